//! How models are written: every member may be missing, and what has no name is kept.

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;

/// Reads a member. A number does for a text: one odd id must not cost a whole page.
pub(crate) fn lenient<'de, D, T>(deserializer: D) -> Result<Option<T>, D::Error>
where
    D: Deserializer<'de>,
    T: DeserializeOwned,
{
    let read = |value| serde_json::from_value(value);
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::Number(number) => {
            let text = Value::from(number.to_string());
            read(Value::Number(number)).or_else(|error| read(text).map_err(|_| error))
        }
        value => read(value),
    }
    .map_err(D::Error::custom)
}

macro_rules! models {
    ($($(#[$doc:meta])* $name:ident as $kind:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])*
            #[serde(
                skip_serializing_if = "Option::is_none",
                deserialize_with = "crate::models::lenient"
            )]
            pub $field: Option<$type>,)*
            /// Everything else.
            #[serde(flatten)]
            pub rest: Rest,
        }

        impl Model for $name {
            const KIND: Kind = Kind::$kind;
        }
    )*};
}

//! How models are written: every member may be missing, and what has no name is kept.

use serde::de::{DeserializeOwned, Error as _};
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize};
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

/// Shows a member of a model without what objects in it hold.
pub(crate) struct Shown<'a, T>(pub(crate) &'a T);

impl<T: Serialize> fmt::Debug for Shown<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match serde_json::to_value(self.0) {
            Ok(Value::Object(members)) => f.debug_set().entries(members.keys()).finish(),
            Ok(Value::Array(items)) => f.debug_list().entries(items.iter().map(Shown)).finish(),
            Ok(value) => write!(f, "{value}"),
            Err(_) => f.write_str("…"),
        }
    }
}

macro_rules! models {
    ($($(#[$doc:meta])* $name:ident as $kind:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
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

        /// Members of objects, and those without a name here, are shown by their names alone: they may be secrets.
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                let mut shown = f.debug_struct(stringify!($name));
                $(if let Some(value) = &self.$field {
                    shown.field(stringify!($field), &crate::models::Shown(value));
                })*
                shown.field("rest", &crate::models::Shown(&self.rest)).finish()
            }
        }

        impl Model for $name {
            const KIND: Kind = Kind::$kind;
        }
    )*};
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn no_secret_is_in_what_debug_shows() {
        let ssl = json!({"id": "1", "cert": "PUBLIC", "snis": ["a"], "key": "SECRET", "keys": ["SECRET"],
            "client": {"ca": "SECRET"}});
        let ssl: crate::apisix::Ssl = serde_json::from_value(ssl).unwrap();
        let shown = format!("{ssl:?}");
        for word in ["Ssl", "PUBLIC", "snis: [\"a\"]", "\"key\""] {
            assert!(shown.contains(word), "{shown}");
        }
        let consumer = json!({"username": "jack", "plugins": {"key-auth": {"key": "SECRET"}}});
        let consumer: crate::api7::Consumer = serde_json::from_value(consumer).unwrap();
        let all = format!("{shown}{ssl:#?}{consumer:?}");
        assert!(all.contains("jack") && all.contains("key-auth"), "{all}");
        assert!(!all.contains("SECRET"), "{all}");
    }
}

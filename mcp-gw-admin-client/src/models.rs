//! How models are written: every member may be missing, and what has no name is kept.

use std::collections::BTreeMap;
use std::fmt;

use mcp_gw_core::RawJson;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde::ser::SerializeMap;
use serde_json::{Map, Value};

/// Reads a member. A number does for a text: one odd id must not cost a whole page.
pub(crate) fn lenient<T: DeserializeOwned>(
    name: &str,
    value: Option<Value>,
) -> Result<Option<T>, String> {
    let read = |value| serde_json::from_value(value);
    match value {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Number(number)) => {
            let text = Value::from(number.to_string());
            read(Value::Number(number)).or_else(|error| read(text).map_err(|_| error))
        }
        Some(value) => read(value),
    }
    .map_err(|error| format!("{name}: {error}"))
}

/// Members as they came, where they are written differently after they were read: numbers that are longer than 64 bits,
/// or have zeros at their end.
#[derive(Clone, Default)]
pub(crate) struct Originals(BTreeMap<String, (Value, RawJson)>);

/// What came has no part in whether two models are the same.
impl PartialEq for Originals {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Originals {
    pub(crate) fn of(raw: &RawJson, members: &Map<String, Value>) -> Self {
        let Ok(all) = raw.members() else {
            return Self::default();
        };
        let kept = all.iter().filter_map(|(name, text)| {
            let text = raw.slice(text);
            let value = members.get(name)?;
            let same = RawJson::from_serialize(value).ok()?;
            let is_same = same.as_bytes() == text.as_bytes();
            (!is_same).then(|| (name.to_owned(), (value.clone(), text)))
        });
        Self(kept.collect())
    }

    /// Writes a member: as it came, if it was not changed since.
    pub(crate) fn write<M: SerializeMap, T: Serialize>(
        &self,
        map: &mut M,
        name: &str,
        value: &T,
    ) -> Result<(), M::Error> {
        if let Some((was, text)) = self.0.get(name)
            && serde_json::to_value(value).is_ok_and(|value| value == *was)
        {
            return map.serialize_entry(name, text);
        }
        map.serialize_entry(name, value)
    }
}

/// The name of a member that has the name of a field.
pub(crate) fn member(field: &'static str) -> &'static str {
    field.strip_prefix("r#").unwrap_or(field)
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
    ($($(#[$doc:meta])* $name:ident $(as $kind:ident)? { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Default, PartialEq, Deserialize)]
        #[serde(try_from = "mcp_gw_core::RawJson")]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])*
            pub $field: Option<$type>,)*
            /// Everything else.
            pub rest: Rest,
            originals: crate::models::Originals,
        }

        impl TryFrom<mcp_gw_core::RawJson> for $name {
            type Error = String;

            fn try_from(raw: mcp_gw_core::RawJson) -> Result<Self, String> {
                let mut rest: Rest = raw.decode_owned().map_err(|error| error.message)?;
                let originals = crate::models::Originals::of(&raw, &rest);
                $(let name = crate::models::member(stringify!($field));
                let $field = crate::models::lenient(name, rest.remove(name))?;)*
                Ok(Self { $($field,)* rest, originals })
            }
        }

        impl Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap as _;
                let mut map = serializer.serialize_map(None)?;
                $(if let Some(value) = &self.$field {
                    let name = crate::models::member(stringify!($field));
                    self.originals.write(&mut map, name, value)?;
                })*
                for (name, value) in &self.rest {
                    self.originals.write(&mut map, name, value)?;
                }
                map.end()
            }
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

        $(impl Model for $name {
            const KIND: Kind = Kind::$kind;
        })?
    )*};
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    #[test]
    fn what_is_written_back_is_what_came() {
        let text = concat!(
            r#"{"id":"s","type":"http","n":123456789012345678901234567890,"#,
            r#""upstream":{"timeout":1.50,"big":[18446744073709551616]},"x":[1.0]}"#
        );
        let mut service: crate::api7::PublishedService = serde_json::from_str(text).unwrap();
        let members = |text: &str| {
            let raw = mcp_gw_core::RawJson::parse(text.to_owned()).unwrap();
            let all = raw.members().unwrap();
            let all = all
                .iter()
                .map(|(name, value)| (name.to_owned(), value.get().to_owned()));
            all.collect::<std::collections::BTreeMap<_, _>>()
        };
        let written = |service: &_| members(&serde_json::to_string(service).unwrap());
        assert_eq!(written(&service), members(text));
        // What is changed is written as it is now.
        service.rest.insert("n".to_owned(), json!(7));
        service.upstream = Some(json!({"timeout": 2}));
        let now = written(&service);
        assert_eq!(now["n"], "7");
        assert_eq!(now["upstream"], r#"{"timeout":2}"#);
        assert_eq!(now["x"], "[1.0]");
        let odd: Result<crate::api7::Role, _> = serde_json::from_str(r#"{"id":{}}"#);
        assert!(odd.unwrap_err().to_string().contains("id: "));
        assert!(serde_json::from_str::<crate::api7::Role>("[]").is_err());
    }

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

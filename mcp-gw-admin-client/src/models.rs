//! How models are written: every member may be missing, and what has no name is kept.

macro_rules! models {
    ($($(#[$doc:meta])* $name:ident as $kind:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])*
            #[serde(skip_serializing_if = "Option::is_none")]
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

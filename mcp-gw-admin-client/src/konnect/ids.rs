//! Ids: UUIDs, alone or behind the control plane that they belong to.
//!
//! The analytics API names consumers, services and routes `<control_plane_id>:<id>`, everything else names them by
//! their UUID alone. What people and earlier results give may be either.

use std::fmt;

/// A UUID, and the control plane that it belongs to where that is known. Both are in lower case.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct ScopedId {
    /// The control plane.
    pub control_plane_id: Option<String>,
    /// The entity.
    pub id: String,
}

/// A text that is no id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdError {
    /// Neither a UUID nor two with a colon between them.
    #[error("is not a UUID, and not two of them as <control_plane_id>:<id>")]
    Malformed,
    /// It belongs to another plane than the one that is asked for.
    #[error("belongs to control plane {found}, not to {wanted}")]
    OtherPlane {
        /// The plane in the id.
        found: String,
        /// The plane that was asked for.
        wanted: String,
    },
}

impl ScopedId {
    /// Reads `<id>` or `<control_plane_id>:<id>`; blanks around it do not count.
    ///
    /// # Errors
    /// [`IdError::Malformed`] for anything else.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let text = text.trim();
        let (plane, id) = match text.split_once(':') {
            Some((plane, id)) => (Some(plane), id),
            None => (None, text),
        };
        if !is_uuid(id) || !plane.is_none_or(is_uuid) {
            return Err(IdError::Malformed);
        }
        Ok(Self {
            control_plane_id: plane.map(str::to_ascii_lowercase),
            id: id.to_ascii_lowercase(),
        })
    }

    /// The same entity, of this plane.
    ///
    /// # Errors
    /// [`IdError::Malformed`] when `plane` is no UUID, [`IdError::OtherPlane`] when it is said already to belong to
    /// another one.
    pub fn within(self, plane: &str) -> Result<Self, IdError> {
        let wanted = plane.trim().to_ascii_lowercase();
        if !is_uuid(&wanted) {
            return Err(IdError::Malformed);
        }
        match self.control_plane_id {
            Some(found) if found != wanted => Err(IdError::OtherPlane { found, wanted }),
            _ => Ok(Self {
                control_plane_id: Some(wanted),
                id: self.id,
            }),
        }
    }

    /// `<control_plane_id>:<id>`, as filters of the analytics API want it. `None` while the plane is not known.
    pub fn scoped(&self) -> Option<String> {
        let plane = self.control_plane_id.as_ref()?;
        Some(format!("{plane}:{}", self.id))
    }
}

/// As it was found: with the plane where that is known.
impl fmt::Display for ScopedId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(plane) = &self.control_plane_id {
            write!(f, "{plane}:")?;
        }
        f.write_str(&self.id)
    }
}

/// Whether it is a UUID as Konnect writes them: 8-4-4-4-12 hexadecimal digits, of either case.
pub fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "0198aaaa-0000-7000-8000-00000000000a";
    const B: &str = "0198bbbb-0000-7000-8000-00000000000b";

    #[test]
    fn both_spellings_are_read() {
        let bare = ScopedId::parse(&format!(" {} ", B.to_uppercase())).unwrap();
        assert_eq!((bare.scoped(), bare.id.as_str()), (None, B));
        let scoped = ScopedId::parse(&format!("{A}:{B}")).unwrap();
        assert_eq!(scoped.scoped().unwrap(), format!("{A}:{B}"));
        assert_eq!(bare.within(A).unwrap(), scoped);
        assert_eq!(scoped.clone().within(A), Ok(scoped.clone()));
        let other = scoped.within(B).unwrap_err();
        assert_eq!(
            other.to_string(),
            format!("belongs to control plane {A}, not to {B}")
        );
    }

    #[test]
    fn what_is_neither_is_refused() {
        for text in [
            "",
            ":",
            "a",
            &format!("{A}:"),
            &format!(":{A}"),
            &format!("{A}:{B}:{A}"),
            &A.replace('-', ""),
            &A.replace('0', "g"),
            &format!("{A}/.."),
            "é198aaaa-0000-7000-8000-00000000000",
        ] {
            assert_eq!(ScopedId::parse(text), Err(IdError::Malformed), "{text}");
        }
        let id = ScopedId::parse(A).unwrap();
        assert_eq!(id.within("x"), Err(IdError::Malformed));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            plane in proptest::option::of("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"),
            id in "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}",
        ) {
            let scoped = ScopedId { control_plane_id: plane, id };
            prop_assert_eq!(ScopedId::parse(&scoped.to_string()), Ok(scoped));
        }

        #[test]
        fn any_text_is_read_without_harm(text in "\\PC{0,90}") {
            if let Ok(id) = ScopedId::parse(&text) {
                prop_assert!(is_uuid(&id.id));
            }
        }
    }
}

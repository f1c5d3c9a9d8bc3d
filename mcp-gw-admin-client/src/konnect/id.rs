//! Ids: a UUID, alone or behind that of its control plane.

use std::fmt;
use std::str::FromStr;

/// A UUID, in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid(String);

/// An id as rows of requests have it: `<control plane>:<id>`, or without the plane.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Scoped {
    /// The control plane.
    pub plane: Option<Uuid>,
    /// What it is the id of.
    pub id: Uuid,
}

/// A text that is no id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no UUID, nor two with a colon between them")]
#[non_exhaustive]
pub struct NoId;

impl Uuid {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Uuid {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let is_uuid = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        is_uuid.then(|| Self(text.to_ascii_lowercase())).ok_or(NoId)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Scoped {
    /// An id of a control plane.
    pub const fn new(plane: Uuid, id: Uuid) -> Self {
        Self {
            plane: Some(plane),
            id,
        }
    }
}

impl FromStr for Scoped {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        let text = text.trim();
        match text.split_once(':') {
            Some((plane, id)) => Ok(Self::new(plane.parse()?, id.parse()?)),
            None => Ok(Self {
                plane: None,
                id: text.parse()?,
            }),
        }
    }
}

impl fmt::Display for Scoped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(plane) = &self.plane {
            write!(f, "{plane}:")?;
        }
        fmt::Display::fmt(&self.id, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "7f9fd312-a987-4628-b4c5-bb4f4fddd5f7";
    const B: &str = "5F9FD312-A987-4628-B4C5-BB4F4FDDD5F7";

    #[test]
    fn ids_are_read_in_both_forms() {
        let bare: Scoped = format!(" {B} ").parse().unwrap();
        assert_eq!((bare.plane, bare.id.as_str()), (None, &*B.to_lowercase()));
        let both: Scoped = format!("{A}:{B}").parse().unwrap();
        assert_eq!(both.to_string(), format!("{A}:{}", B.to_lowercase()));
        let braces = format!("{{{A}}}");
        let twice = format!("{A}:{A}:{A}");
        let half = format!(":{A}");
        for text in [
            "",
            "a",
            &A[1..],
            &braces,
            &twice,
            &half,
            &A.replace('-', "0"),
        ] {
            assert_eq!(text.parse::<Scoped>(), Err(NoId), "{text}");
        }
    }
}

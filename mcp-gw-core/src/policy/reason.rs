//! What decided, as it is kept in a decision: a list has one for each of its items.

use std::borrow::{Borrow, Cow};
use std::fmt;
use std::hash::{Hash, Hasher};
use std::ops::Deref;
use std::sync::Arc;

/// What decided: the id of a rule, or a word such as `default`. A cheap clone.
#[derive(Clone)]
pub struct Reason(Text);

#[derive(Clone)]
enum Text {
    Static(&'static str),
    Shared(Arc<str>),
}

impl Deref for Reason {
    type Target = str;

    fn deref(&self) -> &str {
        match &self.0 {
            Text::Static(text) => text,
            Text::Shared(text) => text,
        }
    }
}

impl From<&'static str> for Reason {
    fn from(text: &'static str) -> Self {
        Self(Text::Static(text))
    }
}

impl From<Arc<str>> for Reason {
    fn from(text: Arc<str>) -> Self {
        Self(Text::Shared(text))
    }
}

impl From<String> for Reason {
    fn from(text: String) -> Self {
        Self(Text::Shared(text.into()))
    }
}

impl From<Cow<'static, str>> for Reason {
    fn from(text: Cow<'static, str>) -> Self {
        match text {
            Cow::Borrowed(text) => text.into(),
            Cow::Owned(text) => text.into(),
        }
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl AsRef<str> for Reason {
    fn as_ref(&self) -> &str {
        self
    }
}

impl Borrow<str> for Reason {
    fn borrow(&self) -> &str {
        self
    }
}

impl PartialEq for Reason {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Reason {}

impl PartialEq<str> for Reason {
    fn eq(&self, other: &str) -> bool {
        &**self == other
    }
}

impl PartialEq<&str> for Reason {
    fn eq(&self, other: &&str) -> bool {
        &**self == *other
    }
}

impl PartialEq<String> for Reason {
    fn eq(&self, other: &String) -> bool {
        **self == **other
    }
}

impl Hash for Reason {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (**self).hash(state);
    }
}

/// Reasons in their order; nearly always there is one.
#[derive(Debug, Clone, Default)]
pub(super) enum Reasons {
    #[default]
    None,
    One(Reason),
    /// In a box, so that each decision is small.
    Many(Box<Several>),
}

#[derive(Debug, Clone)]
pub(super) struct Several(Vec<Reason>);

impl Reasons {
    pub(super) fn reserve(&mut self, count: usize) {
        if count > 1 && matches!(self, Self::None) {
            *self = Self::Many(Box::new(Several(Vec::with_capacity(count))));
        }
    }

    pub(super) fn push(&mut self, reason: Reason) {
        *self = match std::mem::take(self) {
            Self::None => Self::One(reason),
            Self::One(first) => Self::Many(Box::new(Several(vec![first, reason]))),
            Self::Many(mut reasons) => {
                reasons.0.push(reason);
                Self::Many(reasons)
            }
        };
    }

    pub(super) fn as_slice(&self) -> &[Reason] {
        match self {
            Self::None => &[],
            Self::One(reason) => std::slice::from_ref(reason),
            Self::Many(reasons) => &reasons.0,
        }
    }
}

impl PartialEq for Reasons {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl Eq for Reasons {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_kept_in_their_order_however_many_there_are() {
        for room in [0, 1, 2, 9] {
            let mut reasons = Reasons::default();
            reasons.reserve(room);
            assert_eq!(reasons, Reasons::None);
            let all = [
                "default".into(),
                Arc::<str>::from("a").into(),
                String::from("b").into(),
            ];
            for (at, reason) in all.iter().enumerate() {
                reasons.push(Reason::clone(reason));
                assert_eq!(reasons.as_slice(), &all[..=at]);
            }
            assert_eq!(reasons.as_slice(), ["default", "a", "b"]);
            assert_eq!(
                format!("{:?}", reasons.as_slice()),
                r#"["default", "a", "b"]"#
            );
        }
    }
}

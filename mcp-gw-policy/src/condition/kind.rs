//! What is known of a value's type before it is there.

/// The static type of an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Not known before run time.
    Any,
    Bool,
    /// `int`, `uint` or `double`: they compare with one another.
    Number,
    Text,
    Bytes,
    /// A list; of texts, if it is known.
    List,
    Texts,
    Map,
    Time,
    Span,
    Null,
    /// `int`, `string` and so on, as in `type(x) == int`.
    Type,
}

impl Kind {
    /// True for what is small whatever it is.
    pub(super) const fn is_scalar(self) -> bool {
        matches!(
            self,
            Self::Bool | Self::Number | Self::Time | Self::Span | Self::Null | Self::Type
        )
    }

    /// How messages call it.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Any => "a value",
            Self::Bool => "true or false",
            Self::Number => "a number",
            Self::Text => "a string",
            Self::Bytes => "bytes",
            Self::List => "a list",
            Self::Texts => "a list of strings",
            Self::Map => "a map",
            Self::Time => "a timestamp",
            Self::Span => "a duration",
            Self::Null => "null",
            Self::Type => "a type",
        }
    }

    pub(super) const fn is_list(self) -> bool {
        matches!(self, Self::List | Self::Texts)
    }

    /// True when no value of one can be equal to one of the other.
    pub(super) fn is_apart_from(self, other: Self) -> bool {
        if self == Self::Any || other == Self::Any || (self.is_list() && other.is_list()) {
            return false;
        }
        self != other
    }

    /// True when a value of it may stand where `wanted` is needed.
    pub(super) fn may_be(self, wanted: Self) -> bool {
        !self.is_apart_from(wanted)
    }
}

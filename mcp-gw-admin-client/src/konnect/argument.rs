//! Arguments that cannot be used.

/// One argument that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{argument}: {message}")]
#[non_exhaustive]
pub struct ArgumentFault {
    /// The name of the argument.
    pub argument: &'static str,
    /// What is wrong and what to give instead. Repeats nothing of what was given.
    pub message: String,
}

impl ArgumentFault {
    pub(crate) fn new(argument: &'static str, message: impl Into<String>) -> Self {
        Self {
            argument,
            message: message.into(),
        }
    }
}

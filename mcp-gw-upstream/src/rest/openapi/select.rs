//! Which operations are wanted.

use std::collections::BTreeSet;

use mcp_gw_core::Glob;

/// Some operations: all that an entry of any of the lists names.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Filter {
    /// Tags.
    pub tags: Vec<Glob>,
    /// Values of `operationId`, or names of tools.
    pub operations: Vec<Glob>,
    /// Methods, in any case of letters.
    pub methods: Vec<String>,
    /// Paths as the description writes them: `/pets/{petId}`. `*` matches `/` too.
    pub paths: Vec<Glob>,
}

/// What of an operation is asked about.
pub(super) struct Facts<'f> {
    pub(super) tags: &'f BTreeSet<&'f str>,
    pub(super) id: Option<&'f str>,
    pub(super) name: &'f str,
    pub(super) method: &'f str,
    pub(super) path: &'f str,
}

impl Filter {
    /// A filter that says nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds tags.
    #[must_use]
    pub fn with_tags(mut self, tags: impl IntoIterator<Item = Glob>) -> Self {
        self.tags.extend(tags);
        self
    }

    /// Adds values of `operationId`, or names of tools.
    #[must_use]
    pub fn with_operations(mut self, operations: impl IntoIterator<Item = Glob>) -> Self {
        self.operations.extend(operations);
        self
    }

    /// Adds methods.
    #[must_use]
    pub fn with_methods<M: Into<String>>(mut self, methods: impl IntoIterator<Item = M>) -> Self {
        self.methods.extend(methods.into_iter().map(Into::into));
        self
    }

    /// Adds paths.
    #[must_use]
    pub fn with_paths(mut self, paths: impl IntoIterator<Item = Glob>) -> Self {
        self.paths.extend(paths);
        self
    }

    /// True when it names nothing at all.
    pub fn is_empty(&self) -> bool {
        self.tags.is_empty()
            && self.operations.is_empty()
            && self.methods.is_empty()
            && self.paths.is_empty()
    }

    pub(super) fn names(&self, facts: &Facts<'_>) -> bool {
        let is_named =
            |glob: &Glob| glob.matches(facts.name) || facts.id.is_some_and(|id| glob.matches(id));
        let has_tag = |glob: &Glob| facts.tags.iter().any(|tag| glob.matches(tag));
        let is_method = |method: &String| method.eq_ignore_ascii_case(facts.method);
        self.tags.iter().any(has_tag)
            || self.operations.iter().any(is_named)
            || self.methods.iter().any(is_method)
            || self.paths.iter().any(|glob| glob.matches(facts.path))
    }
}

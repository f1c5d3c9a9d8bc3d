//! Which operations are wanted.

use std::collections::BTreeSet;

use mcp_gw_core::Glob;

/// A choice of operations. Each list that is not empty has to match, by one of its entries; a filter
/// without any entry says nothing. As `exclude`, one entry of any list is enough.
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

    /// Which of the lists have an entry for it; `None` for a list that is empty.
    fn matches(&self, facts: &Facts<'_>) -> [Option<bool>; 4] {
        fn any<T>(list: &[T], is: impl Fn(&T) -> bool) -> Option<bool> {
            (!list.is_empty()).then(|| list.iter().any(is))
        }
        let is_named =
            |glob: &Glob| glob.matches(facts.name) || facts.id.is_some_and(|id| glob.matches(id));
        [
            any(&self.tags, |glob| {
                facts.tags.iter().any(|tag| glob.matches(tag))
            }),
            any(&self.operations, is_named),
            any(&self.methods, |method| {
                method.eq_ignore_ascii_case(facts.method)
            }),
            any(&self.paths, |glob| glob.matches(facts.path)),
        ]
    }

    pub(super) fn admits(&self, facts: &Facts<'_>) -> bool {
        self.matches(facts).into_iter().all(|is| is != Some(false))
    }

    pub(super) fn names(&self, facts: &Facts<'_>) -> bool {
        self.matches(facts).contains(&Some(true))
    }
}

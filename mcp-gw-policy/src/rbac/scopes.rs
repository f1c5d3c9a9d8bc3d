//! OAuth scopes: which imply which, what needs which, and which are missing.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::present;

/// What scopes mean.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ScopesConfig {
    /// Scope to the scopes that it implies, such as `files:write: [files:read]`. What these imply
    /// follows too.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub implies: BTreeMap<String, Vec<String>>,
    /// What can be used only with certain scopes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub required: Vec<ScopeRequirement>,
}

impl ScopesConfig {
    /// True when it says nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What can be used only with certain scopes: a `require` rule in fewer words.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ScopeRequirement {
    /// The scopes, all of which are needed.
    pub scopes: Vec<String>,
    /// Names of tools, as globs.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub tools: Option<Vec<String>>,
    /// URIs of resources, as globs.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub resources: Option<Vec<String>>,
    /// URI templates, as globs.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub resource_templates: Option<Vec<String>>,
    /// Names of prompts, as globs.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub prompts: Option<Vec<String>>,
    /// Servers that offer it, as globs; absent: all.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "present")]
    pub servers: Option<Vec<String>>,
}

/// The fewest of `candidates` with which `allows` is true; of several such sets the first, in the
/// order of the candidates. Empty when none of up to [`MOST_SCOPES`] does.
///
/// It costs a decision for each set that is tried, at most `tries` of them.
pub(crate) fn smallest_missing<'s>(
    candidates: &[&'s str],
    mut tries: usize,
    mut allows: impl FnMut(&[&'s str]) -> bool,
) -> Vec<&'s str> {
    // With more scopes no `allow` and no `require` that looks at scopes is lost; a `deny` may be won.
    // So all of them together tell nothing, and each set has to be tried.
    for size in 1..=candidates.len().min(MOST_SCOPES) {
        let mut picked: Vec<usize> = (0..size).collect();
        loop {
            let Some(left) = tries.checked_sub(1) else {
                return Vec::new();
            };
            tries = left;
            let set: Vec<&str> = picked
                .iter()
                .filter_map(|at| candidates.get(*at).copied())
                .collect();
            if allows(&set) {
                return set;
            }
            if !advance(&mut picked, candidates.len()) {
                break;
            }
        }
    }
    Vec::new()
}

/// The next combination in order; false after the last.
fn advance(picked: &mut [usize], of: usize) -> bool {
    let size = picked.len();
    for at in (0..size).rev() {
        let Some(current) = picked.get(at).copied() else {
            return false;
        };
        if current < of.saturating_sub(size.saturating_sub(at)) {
            let rest = picked.iter_mut().skip(at);
            for (value, slot) in (current.saturating_add(1)..).zip(rest) {
                *slot = value;
            }
            return true;
        }
    }
    false
}

/// The largest set of scopes that a challenge asks for.
pub(crate) const MOST_SCOPES: usize = 8;

/// How many sets are tried for one challenge; fewer when each of them has long arguments to read.
pub(crate) const MOST_TRIES: usize = 256;
pub(crate) const FEW_TRIES: usize = 16;

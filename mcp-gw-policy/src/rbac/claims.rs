//! Claims of callers, and the values that they must have.

use std::borrow::Cow;
use std::cmp::Ordering;

use mcp_gw_core::Glob;
use serde_json::{Map, Number, Value};

use super::WhoFault;
use crate::fault::shown;

/// A value that a claim must have.
#[derive(Debug)]
pub(super) enum ClaimPattern {
    Text(Glob),
    Exact(Value),
}

/// How claims are compared where a doubt is left: whether a text means a number, whether a name with
/// dots means a path.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Doubt {
    /// Then they do not fit: for what gives.
    #[default]
    Misses,
    /// Then they fit: for what takes away.
    Fits,
}

impl ClaimPattern {
    pub(super) fn fits(&self, claim: &Value, doubt: Doubt) -> bool {
        if let Value::Array(items) = claim {
            return items.iter().any(|item| self.fits_one(item, doubt));
        }
        self.fits_one(claim, doubt)
    }

    fn fits_one(&self, claim: &Value, doubt: Doubt) -> bool {
        match (self, claim) {
            (_, Value::Null | Value::Array(_)) => false,
            (Self::Text(glob), Value::String(text)) => glob.matches(text),
            // Any value at all.
            (Self::Text(glob), _) if glob.is_any() => true,
            (_, Value::Object(_)) => false,
            (Self::Exact(Value::Number(value)), Value::Number(claim)) => is_same(value, claim),
            (Self::Exact(value), claim) if doubt == Doubt::Misses => value == claim,
            _ if doubt == Doubt::Misses => false,
            (Self::Text(glob), claim) => {
                let is_number = || Some(is_same(&number(glob.as_literal()?)?, claim.as_number()?));
                glob.matches(&said(claim)) || is_number().unwrap_or(false)
            }
            (Self::Exact(Value::Number(value)), claim) => {
                number(&said(claim)).is_some_and(|claim| is_same(value, &claim))
            }
            (Self::Exact(value), claim) => said(value) == said(claim),
        }
    }
}

fn number(text: &str) -> Option<Number> {
    serde_json::from_str(text).ok()
}

/// What a text, a number or a truth says, whatever its type: issuers write `true` and `"true"`.
fn said(value: &Value) -> Cow<'_, str> {
    match value {
        Value::String(text) => Cow::Borrowed(text),
        other => Cow::Owned(other.to_string()),
    }
}

/// Numbers are compared by their value: 5 is 5.0.
fn is_same(one: &Number, other: &Number) -> bool {
    let whole = |number: &Number| {
        let signed = number.as_i64().map(i128::from);
        signed
            .or_else(|| number.as_u64().map(i128::from))
            .or_else(|| {
                let double = number
                    .as_f64()
                    .filter(|double| double.fract().abs() == 0.0)?;
                format!("{double:.0}").parse().ok()
            })
    };
    match (whole(one), whole(other)) {
        (None, None) => one.as_f64().partial_cmp(&other.as_f64()) == Some(Ordering::Equal),
        (one, other) => one == other,
    }
}

pub(super) fn claim_patterns(
    name: &str,
    wanted: &Value,
    faults: &mut Vec<WhoFault>,
) -> Vec<ClaimPattern> {
    let values = match wanted {
        Value::Array(values) => values.as_slice(),
        one => std::slice::from_ref(one),
    };
    if values.is_empty() {
        let message = format!("the claim {} has an empty list of values", shown(name));
        faults.push(("claims", message, "name at least one value".to_owned()));
    }
    let mut patterns = Vec::with_capacity(values.len());
    for value in values {
        match value {
            Value::String(text) => {
                if let Some(glob) = Glob::parse(text) {
                    patterns.push(ClaimPattern::Text(glob));
                } else {
                    let message = format!("{} ends in a backslash", shown(text));
                    faults.push(("claims", message, "write `\\\\` for a backslash".to_owned()));
                }
            }
            Value::Null => {
                let message = format!("the claim {} has no value", shown(name));
                let help = "write one: `\"*\"` is any";
                faults.push(("claims", message, help.to_owned()));
            }
            Value::Array(_) | Value::Object(_) => {
                let message = format!("the claim {} is compared with a structure", shown(name));
                let help = "name the member, as `realm_access.roles`, or write a condition";
                faults.push(("claims", message, help.to_owned()));
            }
            scalar => patterns.push(ClaimPattern::Exact(scalar.clone())),
        }
    }
    patterns
}

/// The claim of this name, and after it the one at this path. A name with a slash or a colon in it, such
/// as a URL, is no path.
pub(super) fn claims_at<'c>(
    claims: &'c Map<String, Value>,
    name: &str,
) -> impl Iterator<Item = &'c Value> {
    let at_path = || {
        let (first, path) = name.split_once('.')?;
        let start = claims.get(first).filter(|_| !name.contains(['/', ':']))?;
        path.split('.')
            .try_fold(start, |claim, part| claim.as_object()?.get(part))
    };
    claims.get(name).into_iter().chain(at_path())
}

/// All that a name may mean: names of claims and of members may have dots in them, as ids of clients
/// do, and what is on the way may be a list. In a URL only what comes after the last slash is a path.
///
/// Each value of the claims is come to by one way only, so this takes no longer than the claims are large.
pub(super) fn claims_meant<'c>(claims: &'c Map<String, Value>, name: &str) -> Vec<&'c Value> {
    let no_path = name.rfind(['/', ':']).unwrap_or_default();
    let mut found = Vec::new();
    let mut open = Vec::new();
    look_in(claims, name, no_path, &mut found, &mut open);
    while let Some((value, rest)) = open.pop() {
        match value {
            Value::Object(members) => look_in(members, rest, 0, &mut found, &mut open),
            Value::Array(items) => open.extend(items.iter().map(|item| (item, rest))),
            _ => {}
        }
    }
    found
}

/// Members whose names are the whole of `path`, and those whose names are the start of it, with the rest.
fn look_in<'c, 'n>(
    members: &'c Map<String, Value>,
    path: &'n str,
    no_path: usize,
    found: &mut Vec<&'c Value>,
    open: &mut Vec<(&'c Value, &'n str)>,
) {
    found.extend(members.get(path));
    for (at, _) in path
        .match_indices('.')
        .filter(|(at, _)| *at > no_path || no_path == 0)
    {
        let (first, rest) = path.split_at(at);
        let rest = rest.strip_prefix('.').unwrap_or(rest);
        open.extend(members.get(first).map(|member| (member, rest)));
    }
}

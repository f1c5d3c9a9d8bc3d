//! What a condition says of the form of a text, and of addresses: parts that must all hold.

use cel::common::ast::{Expr, IdedExpr, LiteralValue};

use super::Condition;
use super::functions::What;
use super::never::{bare, conjuncts, literal, path};
use crate::ip::Cidrs;

/// True when a part of the condition is false wherever the value at `of` is `text`.
pub(super) fn rules_out(condition: &Condition, of: &str, text: &str) -> bool {
    sides(condition).iter().any(|side| {
        let fits = form(condition, side, of, text);
        fits == Some(false)
    })
}

/// The blocks that the address must be in; each list has to have it.
pub(super) fn blocks(condition: &Condition) -> impl Iterator<Item = &Cidrs> {
    sides(condition)
        .into_iter()
        .filter_map(|side| match matcher(condition, side)? {
            (What::Cidrs(blocks), subject) if path(subject)? == "source.ip" => Some(&**blocks),
            _ => None,
        })
}

/// Why the address cannot be in all the blocks that are asked for.
pub(super) fn apart(condition: &Condition) -> Option<String> {
    let blocks: Vec<&Cidrs> = blocks(condition).collect();
    let is_apart = |(at, one): (usize, &&Cidrs)| {
        let mut later = blocks.iter().skip(at.saturating_add(1));
        later.any(|other| !one.overlaps(other))
    };
    let why = "no address is in all the blocks of its `source.ip_in(…)`";
    blocks
        .iter()
        .enumerate()
        .any(is_apart)
        .then(|| why.to_owned())
}

fn sides(condition: &Condition) -> Vec<&IdedExpr> {
    let mut sides = Vec::new();
    conjuncts(&condition.tree, &mut sides);
    sides
}

/// A pattern or list of blocks that was compiled with the condition, and what it is asked about.
fn matcher<'c>(condition: &'c Condition, side: &'c IdedExpr) -> Option<(&'c What, &'c IdedExpr)> {
    let Expr::Call(call) = &bare(side).expr else {
        return None;
    };
    let [variable, _, subject] = call.args.as_slice() else {
        return None;
    };
    let Expr::Ident(name) = &variable.expr else {
        return None;
    };
    let at: usize = name.strip_prefix("@m")?.parse().ok()?;
    Some((&condition.matchers.get(at)?.what, subject))
}

/// Whether a text has the form that a part of a condition asks of the value at `of`, if it asks for one.
fn form(condition: &Condition, side: &IdedExpr, of: &str, text: &str) -> Option<bool> {
    if let Some((what, subject)) = matcher(condition, side) {
        return match what {
            _ if path(subject)? != of => None,
            What::Glob(glob) => Some(glob.matches(text)),
            What::Regex(regex) => Some(regex.is_match(text)),
            What::Cidrs(_) => None,
        };
    }
    let Expr::Call(call) = &bare(side).expr else {
        return None;
    };
    let (subject, args) = match &call.target {
        Some(subject) => (&**subject, call.args.as_slice()),
        None => call.args.split_first()?,
    };
    let [wanted] = args else {
        return None;
    };
    let LiteralValue::String(wanted) = literal(bare(wanted))? else {
        return None;
    };
    if path(subject)? != of {
        return None;
    }
    match call.func_name.as_str() {
        "startsWith" => Some(text.starts_with(wanted.inner())),
        "endsWith" => Some(text.ends_with(wanted.inner())),
        "contains" => Some(text.contains(wanted.inner())),
        _ => None,
    }
}

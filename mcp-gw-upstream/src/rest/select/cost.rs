//! What an expression can make of its input, before it is used.

use std::collections::HashMap;

use jmespath::ast::Ast;

/// How many values an expression can make of one that it is given, besides copies of that.
pub(super) fn makes(ast: &Ast) -> u64 {
    let all = |parts: &mut dyn Iterator<Item = &Ast>| {
        parts.fold(1, |sum: u64, part| {
            sum.saturating_add(1).saturating_add(makes(part))
        })
    };
    match ast {
        Ast::MultiList { elements, .. } => all(&mut elements.iter()),
        Ast::MultiHash { elements, .. } => all(&mut elements.iter().map(|pair| &pair.value)),
        Ast::Function { args, .. } => all(&mut args.iter()),
        Ast::Projection { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. }
        | Ast::Comparison { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. } => makes(lhs).saturating_add(makes(rhs)),
        Ast::Condition {
            predicate, then, ..
        } => makes(predicate).saturating_add(makes(then)),
        Ast::Expref { ast: node, .. }
        | Ast::Flatten { node, .. }
        | Ast::ObjectValues { node, .. }
        | Ast::Not { node, .. } => makes(node),
        Ast::Identity { .. }
        | Ast::Field { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Slice { .. } => 0,
    }
}

/// How much of its input can come out, at the worst: 1 is all of it, once. What names members takes
/// different parts as long as the names differ.
pub(super) fn copies(ast: &Ast) -> u64 {
    let both = |one: &Ast, other: &Ast| copies(one).saturating_mul(copies(other));
    match ast {
        Ast::MultiList { elements, .. } => side_by_side(elements.iter()),
        Ast::MultiHash { elements, .. } => side_by_side(elements.iter().map(|pair| &pair.value)),
        Ast::Function { args, .. } => {
            // An expression is applied to what another argument gives.
            let is_reference = |arg: &&Ast| matches!(arg, Ast::Expref { .. });
            let (applied, given): (Vec<&Ast>, Vec<&Ast>) = args.iter().partition(is_reference);
            let applied = applied.into_iter().map(copies);
            side_by_side(given.into_iter()).saturating_mul(applied.fold(1, u64::saturating_mul))
        }
        Ast::Projection { lhs, rhs, .. } | Ast::Subexpr { lhs, rhs, .. } => both(lhs, rhs),
        Ast::Comparison { lhs, rhs, .. } | Ast::And { lhs, rhs, .. } | Ast::Or { lhs, rhs, .. } => {
            copies(lhs).saturating_add(copies(rhs))
        }
        Ast::Condition {
            predicate, then, ..
        } => copies(predicate).saturating_add(copies(then)),
        Ast::Expref { ast, .. } => copies(ast),
        Ast::Flatten { node, .. } | Ast::ObjectValues { node, .. } | Ast::Not { node, .. } => {
            copies(node)
        }
        Ast::Identity { .. }
        | Ast::Field { .. }
        | Ast::Index { .. }
        | Ast::Literal { .. }
        | Ast::Slice { .. } => 1,
    }
}

/// The same for parts that all take from one input.
fn side_by_side<'a>(parts: impl Iterator<Item = &'a Ast>) -> u64 {
    let mut of_member: HashMap<&str, u64> = HashMap::new();
    let mut of_all: u64 = 0;
    for part in parts {
        match member(part) {
            Some(name) => {
                let sum = of_member.entry(name).or_default();
                *sum = sum.saturating_add(copies(part));
            }
            None => of_all = of_all.saturating_add(copies(part)),
        }
    }
    let most = of_member.into_values().max().unwrap_or_default();
    of_all.saturating_add(most).max(1)
}

/// The member that all of a part is taken from.
fn member(ast: &Ast) -> Option<&str> {
    match ast {
        Ast::Field { name, .. } => Some(name),
        Ast::Subexpr { lhs, .. } | Ast::Projection { lhs, .. } => member(lhs),
        Ast::Flatten { node, .. } | Ast::ObjectValues { node, .. } => member(node),
        _ => None,
    }
}

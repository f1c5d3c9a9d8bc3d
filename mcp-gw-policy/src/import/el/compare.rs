//! Comparisons and what joins them: where a value is missing, and where an error ends the whole.

use super::pattern::java_pattern;
use super::{Expr, Kind, literal};

/// An expression that stands where a truth is needed.
pub(super) fn truth(expr: Expr) -> Result<String, String> {
    match expr.kind {
        Kind::Truth | Kind::Unknown => Ok(expr.cel),
        _ => Err(format!("`{}` is not true or false", expr.cel)),
    }
}

/// Comparisons with a value that is missing: it is `null` there, and would be an error here.
pub(super) fn equality(left: Expr, operator: &str, right: Expr) -> Expr {
    if left.kind == Kind::Missing || right.kind == Kind::Missing {
        if !(left.is_safe && right.is_safe) {
            // Its error would be lost: what is no truth makes the translation fail.
            return Expr::new("null", Kind::Missing);
        }
        let no_value = |expr: &Expr| matches!(expr.kind, Kind::Missing | Kind::Null);
        let is_equal = no_value(&left) && no_value(&right);
        let truth = is_equal == (operator == "==");
        return Expr::new(truth.to_string(), Kind::Truth);
    }
    let (left, right) = if left.kind == Kind::Null {
        (right, left)
    } else {
        (left, right)
    };
    if left.kind == Kind::Null && right.kind == Kind::Null {
        return Expr::new((operator == "==").to_string(), Kind::Truth);
    }
    if right.kind == Kind::Null {
        let is_safe = left.is_safe;
        // Of what is not text or list by its nature the value itself may be null.
        let not_null = (left.kind == Kind::Unknown).then(|| format!("{} != null", left.cel));
        let present = match (left.has, not_null) {
            (Some(has), Some(not_null)) => format!("({has} && {not_null})"),
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) if is_safe => "true".to_owned(),
            (None, None) => format!("{} != null", left.cel),
        };
        let cel = if operator == "==" {
            format!("!({present})")
        } else {
            present
        };
        return Expr {
            is_safe,
            ..Expr::new(cel, Kind::Truth)
        };
    }
    let is_safe = left.is_safe && right.is_safe;
    let plain = format!("{} {operator} {}", left.cel, right.cel);
    let cel = match (&left.has, &right.has, operator) {
        (None, None, _) => plain,
        // Both may be missing, and are the same then.
        (Some(_), Some(_), _) => format!("{} {operator} {}", left.or_null(), right.or_null()),
        // The other side is evaluated, as it was, and may be an error.
        _ if !is_safe => format!("{} {operator} {}", left.or_null(), right.or_null()),
        (Some(one), None, "==") | (None, Some(one), "==") => format!("({one} && {plain})"),
        (Some(one), None, _) | (None, Some(one), _) => format!("(!{one} || {plain})"),
    };
    Expr {
        is_safe,
        ..Expr::new(cel, Kind::Truth)
    }
}

/// `a || b`. An error on the left ends the whole there, where CEL goes on to the right.
pub(super) fn either(left: Expr, right: Expr) -> Result<Expr, String> {
    let (left_is_safe, right_is_safe) = (never_fails(&left), never_fails(&right));
    let (left, right) = (truth(left)?, certain(right)?);
    let cel = if left_is_safe {
        format!("({left} || {right})")
    } else {
        format!("({left} ? true : {right})")
    };
    Ok(Expr {
        is_safe: left_is_safe && right_is_safe,
        ..Expr::new(cel, Kind::Truth)
    })
}

/// `a && b`, likewise.
pub(super) fn both(left: Expr, right: Expr) -> Result<Expr, String> {
    let (left_is_safe, right_is_safe) = (never_fails(&left), never_fails(&right));
    let (left, right) = (truth(left)?, certain(right)?);
    let cel = if left_is_safe {
        format!("({left} && {right})")
    } else {
        format!("({left} ? {right} : false)")
    };
    Ok(Expr {
        is_safe: left_is_safe && right_is_safe,
        ..Expr::new(cel, Kind::Truth)
    })
}

/// The same, and an error for what turns out to be no truth.
fn certain(expr: Expr) -> Result<String, String> {
    match expr.kind {
        Kind::Truth => Ok(expr.cel),
        _ => truth(expr).map(|cel| format!("({cel} ? true : false)")),
    }
}

/// A truth that comes out for every request.
fn never_fails(expr: &Expr) -> bool {
    expr.is_safe && expr.kind == Kind::Truth && expr.has.is_none()
}

/// Java's `a.equals(b)`: an error without `a`, and of numbers true only for two of one type.
pub(super) fn equals(on: Expr, argument: Expr) -> Result<Expr, String> {
    let is_text = |expr: &Expr| expr.kind == Kind::Text;
    match (on.has.is_some(), argument.has.is_some()) {
        (_, false) if is_text(&argument) => {
            // Of `null` it is an error there, as what a map does not have is one here.
            let same = format!("{} == {}", on.cel, argument.cel);
            let cel = match on.kind {
                Kind::Unknown => format!("{{true: {same}}}[{} != null]", on.cel),
                _ => same,
            };
            Ok(Expr {
                is_safe: on.kind == Kind::Text
                    && on.is_safe
                    && on.has.is_none()
                    && argument.is_safe,
                ..Expr::new(cel, Kind::Truth)
            })
        }
        (false, true) if is_text(&on) => Ok(equality(on, "==", argument)),
        _ => Err("`equals` of something else than a value and a text".to_owned()),
    }
}

pub(super) fn contains(on: &Expr, item: &Expr) -> Result<Expr, String> {
    let cel = match (on.kind, item.kind) {
        (Kind::List, Kind::Text | Kind::Unknown) => format!("{} in {}", item.cel, on.cel),
        (Kind::Text, Kind::Text) => format!("{}.contains({})", on.cel, item.cel),
        // A claim may be a list or a text, and the method means another thing for each.
        (Kind::Unknown, Kind::Text) => format!(
            "(type({0}) == list ? {1} in {0} : {0}.contains({1}))",
            on.cel, item.cel
        ),
        _ => return Err("`contains` of something else than a text or a list".to_owned()),
    };
    let has_all = on.has.is_none() && item.has.is_none();
    Ok(Expr {
        is_safe: has_all && on.is_safe && item.is_safe && on.kind == Kind::List,
        ..Expr::new(cel, Kind::Truth)
    })
}

/// Java's `matches` is about the whole text, CEL's about any part of it.
pub(super) fn matches(on: &Expr, pattern: &Expr) -> Result<Expr, String> {
    if pattern.kind != Kind::Text || !matches!(on.kind, Kind::Text | Kind::Unknown) {
        return Err("`matches` with something else than a text and a literal pattern".to_owned());
    }
    let Some(pattern) = &pattern.raw else {
        return Err("`matches` with a pattern that is no literal".to_owned());
    };
    let pattern = literal(&format!("^(?:{})$", java_pattern(pattern)?));
    Ok(Expr::risky(
        format!("{}.matches({pattern})", on.cel),
        Kind::Truth,
    ))
}

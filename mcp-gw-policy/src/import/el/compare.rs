//! Comparisons and what joins them: where a value is missing, and where an error ends the whole.

use super::expr::{Expr, Kind, literal, not, only_if};
use super::pattern::java_pattern;

/// An expression that stands where a truth is needed.
pub(super) fn truth(expr: Expr) -> Result<String, String> {
    match expr.kind {
        Kind::Truth | Kind::Unknown => Ok(expr.cel),
        _ => Err(format!("`{}` is not true or false", expr.cel)),
    }
}

/// `==` and `!=`. A value that is missing is `null` there, and would be an error here.
pub(super) fn equality(left: Expr, operator: &str, right: Expr) -> Result<Expr, String> {
    let nulled = |expr: Expr| match expr.kind {
        Kind::Missing => Expr::new("null", Kind::Null),
        _ => expr,
    };
    let (left, right) = (nulled(left), nulled(right));
    let (left, right) = if left.kind == Kind::Null {
        (right, left)
    } else {
        (left, right)
    };
    if left.kind == Kind::Null && right.kind == Kind::Null {
        return Ok(Expr::new((operator == "==").to_string(), Kind::Truth));
    }
    if right.kind == Kind::Null {
        return Ok(nothing(left, operator));
    }
    if [left.kind, right.kind].contains(&Kind::Holder) {
        return Err("it compares a whole map or list of values; name one of them".to_owned());
    }
    one_spelling(&left, &right)?;
    let is_safe = left.is_safe && right.is_safe;
    let plain = format!("{} {operator} {}", left.known(), right.known());
    let cel = match (&left.has, &right.has, operator) {
        _ if (left.kind, right.kind) == (Kind::Unknown, Kind::Unknown) => {
            return Ok(scalars(&left, operator, &right));
        }
        (None, None, _) => plain,
        // Both may be missing, and are the same then.
        (Some(_), Some(_), _) => format!("{} {operator} {}", left.or_null(), right.or_null()),
        // The other side is evaluated, as it was, and may be an error.
        _ if !is_safe => format!("{} {operator} {}", left.or_null(), right.or_null()),
        // Where it is not known whether it is there, that is an error, which `&&` and `||` may pass over.
        (Some(one), None, operator) | (None, Some(one), operator) if one.starts_with('{') => {
            format!("({one} ? {plain} : {})", operator != "==")
        }
        (Some(one), None, "==") | (None, Some(one), "==") => format!("({one} && {plain})"),
        (Some(one), None, _) | (None, Some(one), _) => format!("({} || {plain})", not(one)),
    };
    Ok(Expr {
        is_safe,
        ..Expr::new(cel, Kind::Truth)
    })
}

/// `== null` and `!= null`.
fn nothing(value: Expr, operator: &str) -> Expr {
    let is_safe = value.is_safe;
    // Of what is not text or list by its nature the value itself may be null.
    let present = match (value.kind, value.has) {
        (Kind::Unknown, Some(has)) => format!("({has} && {} != null)", value.cel),
        (_, Some(has)) => has,
        (Kind::Unknown, None) => format!("{} != null", value.cel),
        (_, None) if is_safe => "true".to_owned(),
        (_, None) => format!("{} != null", value.cel),
    };
    let cel = if operator == "==" {
        not(&present)
    } else {
        present
    };
    Expr {
        is_safe,
        ..Expr::new(cel, Kind::Truth)
    }
}

/// Two values of which nothing is known. The numbers within lists and maps have types there.
fn scalars(left: &Expr, operator: &str, right: &Expr) -> Expr {
    let (left, right) = (left.or_null(), right.or_null());
    let same = format!("{left} {operator} {right}");
    let is_scalar = format!("type({left}) != list && type({left}) != map");
    Expr::risky(only_if(&same, &is_scalar), Kind::Truth)
}

/// An address has several spellings in IPv6, and another one there than here.
pub(super) fn one_spelling(left: &Expr, right: &Expr) -> Result<(), String> {
    let is_address = |expr: &Expr| expr.cel == "source.ip";
    let is_v6 = |expr: &Expr| match expr.kind {
        Kind::List => expr.cel.contains(':'),
        _ => expr.raw.as_deref().is_some_and(|text| text.contains(':')),
    };
    if is_address(left) && is_v6(right) || is_address(right) && is_v6(left) {
        return Err("an IPv6 address as text; write `source.ip_in('…')`".to_owned());
    }
    Ok(())
}

/// `<` and its like, of numbers. `null` is less than everything there.
pub(super) fn order(left: &Expr, operator: &str, right: &Expr) -> Result<Expr, String> {
    let is_less = operator.starts_with('<');
    for side in [left, right] {
        match side.kind {
            Kind::Number | Kind::Unknown => {}
            Kind::Missing => return Err("it orders what a list does not have".to_owned()),
            Kind::Text => {
                let message = "texts are put in order, which differs between the languages";
                return Err(message.to_owned());
            }
            _ => return Err("it puts in order what has none".to_owned()),
        }
    }
    let plain = format!("{} {operator} {}", left.known(), right.known());
    let cel = match (left.kind, right.kind) {
        (Kind::Number, Kind::Number) => plain,
        (Kind::Unknown, Kind::Number) => format!("({} ? {plain} : {is_less})", left.is_value()),
        (Kind::Number, _) => format!("({} ? {plain} : {})", right.is_value(), !is_less),
        _ => return Err("it orders two values that may be missing".to_owned()),
    };
    Ok(Expr::risky(cel, Kind::Truth))
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
            one_spelling(&on, &argument)?;
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
        (false, true) if is_text(&on) => equality(on, "==", argument),
        _ => Err("`equals` of something else than a value and a text".to_owned()),
    }
}

pub(super) fn contains(on: &Expr, item: &Expr) -> Result<Expr, String> {
    let cel = match (on.kind, item.kind) {
        // No list here holds `null`.
        (Kind::List, Kind::Text | Kind::Unknown) => format!("{} in {}", item.or_null(), on.cel),
        (Kind::Text, Kind::Text) => format!("{}.contains({})", on.cel, item.cel),
        // A claim may be a list or a text, and the method means another thing for each.
        (Kind::Unknown, Kind::Text) => format!(
            "(type({0}) == list ? {1} in {0} : {0}.contains({1}))",
            on.cel, item.cel
        ),
        _ => return Err("`contains` of something else than a text or a list".to_owned()),
    };
    Ok(Expr {
        is_safe: on.has.is_none() && on.is_safe && item.is_safe && on.kind == Kind::List,
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

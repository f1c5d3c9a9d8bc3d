//! Conditions that can never be true, as far as that shows without a request.

use cel::common::ast::{Expr, IdedExpr, LiteralValue, operators as op};

use super::meter::Pay;
use super::{Condition, Verdict, forms, sample};
use crate::fault::nearest;
use crate::uri;

/// Why `condition` can never be true, if that is known.
pub(super) fn reason(condition: &Condition) -> Option<String> {
    if let Some(reason) = contradiction(&condition.tree).or_else(|| forms::apart(condition)) {
        return Some(reason);
    }
    // What a sample lacks others may have, so only an error about what is always there counts.
    if condition.reads.open_ended {
        return None;
    }
    let outcomes = sample::dry_run(condition);
    let fails = |verdict: &Verdict| matches!(verdict, Verdict::Error(_));
    if condition.reads.anything && !outcomes.iter().all(fails) {
        return None;
    }
    outcomes.into_iter().find_map(|verdict| match verdict {
        Verdict::Error(message) => Some(format!("it fails on every request: {message}")),
        Verdict::False => Some("it is false whatever the request".to_owned()),
        Verdict::True => None,
    })
}

/// The expression without what has it paid for.
pub(super) fn bare(mut expr: &IdedExpr) -> &IdedExpr {
    while let Expr::Call(call) = &expr.expr {
        let is_paid = Pay::ALL.iter().any(|pay| pay.function() == call.func_name);
        match call.args.get(1).filter(|_| is_paid) {
            Some(inner) => expr = inner,
            None => break,
        }
    }
    expr
}

/// Why an expression cannot come out true.
fn contradiction(expr: &IdedExpr) -> Option<String> {
    match &expr.expr {
        Expr::Literal(LiteralValue::Boolean(truth)) if !*truth.inner() => {
            Some("it is false".to_owned())
        }
        Expr::Call(call) if call.func_name == op::LOGICAL_OR => {
            // All of the sides have to be impossible.
            let mut reasons = call.args.iter().map(contradiction);
            let first = reasons.next()??;
            reasons.all(|reason| reason.is_some()).then_some(first)
        }
        Expr::Call(call) if call.func_name == op::LOGICAL_AND => {
            let mut sides = Vec::new();
            conjuncts(expr, &mut sides);
            sides
                .iter()
                .find_map(|side| contradiction(side))
                .or_else(|| conflict(&sides))
        }
        _ => conflict(&[expr]),
    }
}

/// Why two conditions cannot both be true, if that is known. It looks at both as they are.
pub(super) fn exclusion(one: &Condition, other: &Condition) -> Option<String> {
    let mut sides = Vec::new();
    conjuncts(&one.tree, &mut sides);
    conjuncts(&other.tree, &mut sides);
    conflict(&sides)
}

pub(super) fn conjuncts<'e>(expr: &'e IdedExpr, into: &mut Vec<&'e IdedExpr>) {
    match &expr.expr {
        Expr::Call(call) if call.func_name == op::LOGICAL_AND => {
            call.args.iter().for_each(|arg| conjuncts(arg, into));
        }
        _ => into.push(expr),
    }
}

/// What one comparison says of a value.
enum Says<'e> {
    OneOf(Vec<&'e LiteralValue>),
    Not(&'e LiteralValue),
    Below(f64, bool),
    Above(f64, bool),
    Present(bool),
}

/// Two of the comparisons that cannot both hold.
fn conflict(sides: &[&IdedExpr]) -> Option<String> {
    let said: Vec<(String, Says<'_>)> = sides.iter().filter_map(|side| comparison(side)).collect();
    for (index, (path, first)) in said.iter().enumerate() {
        if matches!(first, Says::OneOf(values) if values.is_empty()) {
            return Some("it asks for a member of an empty list".to_owned());
        }
        if let Some(why) = impossible(path, first) {
            return Some(why);
        }
        let later = said.iter().skip(index.saturating_add(1));
        if later
            .filter(|(other, _)| other == path)
            .any(|(_, second)| excludes(first, second))
        {
            return Some(format!("what it asks of `{path}` contradicts itself"));
        }
    }
    None
}

/// Why a comparison with a value that has a fixed set of values, or a form, cannot hold.
fn impossible(path: &str, says: &Says<'_>) -> Option<String> {
    if let Some((low, high)) = bounds(path) {
        let bound = [Says::Below(high, true), Says::Above(low, true)];
        let never = bound.iter().any(|bound| excludes(says, bound));
        return never.then(|| match high {
            f64::INFINITY => format!("`{path}` is never below {low}"),
            high => format!("`{path}` is from {low} to {high}"),
        });
    }
    let Says::OneOf(values) = says else {
        return None;
    };
    let mut reasons = values.iter().map(|value| never_that(path, value));
    let first = reasons.next()??;
    reasons.all(|reason| reason.is_some()).then_some(first)
}

/// Why a value is never this one.
fn never_that(path: &str, value: &LiteralValue) -> Option<String> {
    let LiteralValue::String(text) = value else {
        return None;
    };
    let text = text.inner();
    if path == "source.ip" {
        let is_address = text.parse::<std::net::IpAddr>().is_ok();
        return (!is_address).then(|| {
            format!("`source.ip` is one address, which '{text}' is not; write `source.ip_in(…)` for a block")
        });
    }
    if path == "mcp.resource.uri" {
        return other_spelling(text);
    }
    let known: &[&str] = match path {
        "identity.kind" => &crate::rbac::KINDS,
        "mcp.method" => &METHODS,
        "request.transport" => &["stdio", "http", "in_process"],
        "request.scheme" => &["http", "https"],
        "request.method" => &["GET", "POST", "DELETE", "PUT", "PATCH", "HEAD", "OPTIONS"],
        _ => return None,
    };
    if known.contains(&text) {
        return None;
    }
    let same = known.iter().find(|known| known.eq_ignore_ascii_case(text));
    Some(
        match same
            .copied()
            .or_else(|| nearest(text, known.iter().copied()))
        {
            Some(near) => format!("`{path}` is never '{text}'; did you mean '{near}'?"),
            None => format!(
                "`{path}` is never '{text}', but one of {}",
                known.join(", ")
            ),
        },
    )
}

/// Why a URI, of a resource or a template, is never spelled like this. What is none may be what one reads
/// decoded.
fn other_spelling(text: &str) -> Option<String> {
    let checked = [false, true].map(|is_template| uri::check(text, is_template).ok());
    let (plain, decoded) = checked.into_iter().flatten().next()?.into_parts();
    let is_possible = plain == text || decoded.is_some_and(|decoded| decoded == text);
    (!is_possible)
        .then(|| format!("`mcp.resource.uri` is never '{text}', as it has one spelling: '{plain}'"))
}

/// The least and the largest value of what is counted.
fn bounds(path: &str) -> Option<(f64, f64)> {
    if let Some((_, low, high)) = HOURS.iter().find(|(name, ..)| *name == path) {
        return Some((*low, *high));
    }
    let counted = path.strip_prefix("size(")?;
    let of_arguments = ["mcp.tool.arguments", "mcp.prompt.arguments"];
    let is_bounded = of_arguments
        .iter()
        .any(|arguments| counted.starts_with(arguments));
    Some((
        0.0,
        if is_bounded {
            MOST_BYTES
        } else {
            f64::INFINITY
        },
    ))
}

/// What a condition may read of arguments, [`super::ArgumentLimits::bytes`].
const MOST_BYTES: f64 = 65_536.0;

/// A comparison somewhere in a condition that comes out the same for every request; it may be that the
/// condition as a whole does not.
pub(super) fn idle_part(condition: &Condition) -> Option<String> {
    let mut open = vec![&condition.tree];
    while let Some(expr) = open.pop() {
        match comparison(expr) {
            Some((path, Says::OneOf(values))) => {
                let why = values.iter().find_map(|value| never_that(&path, value));
                if why.is_some() {
                    return why;
                }
            }
            // A slip in it only makes it true.
            Some((_, Says::Not(_))) | None => {}
            Some((path, says)) => {
                let why = impossible(&path, &says);
                if why.is_some() {
                    return why;
                }
            }
        }
        match &expr.expr {
            Expr::Call(call) => open.extend(call.args.iter().rev()),
            Expr::Comprehension(inner) => {
                open.extend([&inner.loop_step, &inner.loop_cond, &inner.iter_range]);
            }
            _ => {}
        }
    }
    None
}

/// The texts that `path` must be one of for the condition to be true, as far as that is said plainly.
pub(super) fn wanted<'c>(condition: &'c Condition, path: &str) -> Option<Vec<&'c str>> {
    let mut sides = Vec::new();
    conjuncts(&condition.tree, &mut sides);
    let said = sides.iter().filter_map(|side| comparison(side));
    let values = said
        .filter(|(of, _)| of == path)
        .find_map(|(_, says)| match says {
            Says::OneOf(values) => Some(values),
            _ => None,
        })?;
    let texts = values.into_iter().map(|value| match value {
        LiteralValue::String(text) => Some(text.inner()),
        _ => None,
    });
    texts.collect()
}

/// Parts of a time, with their bounds.
const HOURS: [(&str, f64, f64); 6] = [
    ("request.time.getHours()", 0.0, 23.0),
    ("request.time.getMinutes()", 0.0, 59.0),
    ("request.time.getSeconds()", 0.0, 59.0),
    ("request.time.getDayOfWeek()", 0.0, 6.0),
    ("request.time.getMonth()", 0.0, 11.0),
    ("request.time.getDate()", 1.0, 31.0),
];

/// The methods that rules are asked about.
const METHODS: [&str; 15] = [
    "tools/list",
    "tools/call",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "prompts/list",
    "prompts/get",
    "completion/complete",
    "subscriptions/listen",
    "tasks/get",
    "tasks/update",
    "tasks/cancel",
    "tasks/result",
    "tasks/list",
];

fn excludes(first: &Says<'_>, second: &Says<'_>) -> bool {
    match (first, second) {
        (Says::OneOf(left), Says::OneOf(right)) => !left
            .iter()
            .any(|value| right.iter().any(|other| same(value, other))),
        (Says::OneOf(values), Says::Not(not)) | (Says::Not(not), Says::OneOf(values)) => {
            values.iter().all(|value| same(value, not))
        }
        (Says::Below(high, _), Says::Above(low, _))
        | (Says::Above(low, _), Says::Below(high, _))
            if low > high =>
        {
            true
        }
        (Says::Below(high, with), Says::Above(low, and))
        | (Says::Above(low, with), Says::Below(high, and)) => {
            // Of `x < 1 && x >= 1` one side leaves the bound out.
            low >= high && !(*with && *and)
        }
        (Says::OneOf(values), bound @ (Says::Below(..) | Says::Above(..)))
        | (bound @ (Says::Below(..) | Says::Above(..)), Says::OneOf(values)) => values
            .iter()
            .all(|value| number(value).is_some_and(|value| outside(value, bound))),
        (Says::Present(left), Says::Present(right)) => left != right,
        _ => false,
    }
}

fn outside(value: f64, bound: &Says<'_>) -> bool {
    match bound {
        Says::Below(high, with) => value > *high || (!with && value >= *high),
        Says::Above(low, with) => value < *low || (!with && value <= *low),
        _ => false,
    }
}

fn same(left: &LiteralValue, right: &LiteralValue) -> bool {
    match (number(left), number(right)) {
        (Some(left), Some(right)) => left.total_cmp(&right).is_eq(),
        _ => left == right,
    }
}

/// Literals so large that they are not exact as a double tell nothing.
#[expect(
    clippy::cast_precision_loss,
    reason = "checked: integers up to 2^53 are exact"
)]
fn number(literal: &LiteralValue) -> Option<f64> {
    const EXACT: u64 = 1 << 53;
    match literal {
        LiteralValue::Int(value) => {
            (value.inner().unsigned_abs() <= EXACT).then_some(*value.inner() as f64)
        }
        LiteralValue::UInt(value) => (*value.inner() <= EXACT).then_some(*value.inner() as f64),
        LiteralValue::Double(value) => Some(*value.inner()),
        _ => None,
    }
}

/// The value that a comparison with literals is about, and what it says of it.
fn comparison(expr: &IdedExpr) -> Option<(String, Says<'_>)> {
    let Expr::Call(call) = &expr.expr else {
        let path = path(expr)?;
        return Some((path, Says::Present(true)));
    };
    if call.func_name == op::LOGICAL_NOT {
        let [inner] = call.args.as_slice() else {
            return None;
        };
        return Some((path(inner)?, Says::Present(false)));
    }
    let [left, right] = call.args.as_slice() else {
        return None;
    };
    if call.func_name == op::IN {
        let Expr::List(list) = &right.expr else {
            return None;
        };
        let values: Option<Vec<_>> = list.elements.iter().map(literal).collect();
        return Some((path(left)?, Says::OneOf(values?)));
    }
    let (value, literal, flipped) = match (literal(left), literal(right)) {
        (None, Some(literal)) => (left, literal, false),
        (Some(literal), None) => (right, literal, true),
        _ => return None,
    };
    let says = match (call.func_name.as_str(), flipped) {
        (op::EQUALS, _) => Says::OneOf(vec![literal]),
        (op::NOT_EQUALS, _) => Says::Not(literal),
        (op::LESS, false) | (op::GREATER, true) => Says::Below(number(literal)?, false),
        (op::LESS_EQUALS, false) | (op::GREATER_EQUALS, true) => {
            Says::Below(number(literal)?, true)
        }
        (op::GREATER, false) | (op::LESS, true) => Says::Above(number(literal)?, false),
        (op::GREATER_EQUALS, false) | (op::LESS_EQUALS, true) => {
            Says::Above(number(literal)?, true)
        }
        _ => return None,
    };
    Some((path(value)?, says))
}

pub(super) const fn literal(expr: &IdedExpr) -> Option<&LiteralValue> {
    match &expr.expr {
        Expr::Literal(literal) => Some(literal),
        _ => None,
    }
}

/// A variable and the members selected of it.
pub(super) fn path(expr: &IdedExpr) -> Option<String> {
    match &bare(expr).expr {
        Expr::Ident(name) if name.starts_with('?') => {
            Some(format!("has({})", name.trim_start_matches('?')))
        }
        Expr::Ident(name) if !name.starts_with('@') => Some(name.clone()),
        Expr::Select(select) if select.test => {
            Some(format!("has({}.{})", path(&select.operand)?, select.field))
        }
        Expr::Select(select) => Some(format!("{}.{}", path(&select.operand)?, select.field)),
        Expr::Call(call) if call.func_name == "size" => {
            let inner = call.target.as_deref().or_else(|| call.args.first())?;
            Some(format!("size({})", path(inner)?))
        }
        Expr::Call(call) if call.args.len() <= 1 && call.func_name.starts_with("get") => {
            let zone = call.args.iter().all(|zone| literal(zone).is_some());
            let of = path(call.target.as_deref()?)?;
            zone.then(|| format!("{of}.{}()", call.func_name))
        }
        _ => None,
    }
}

//! Numbers of an answer as they are written there: what is selected is reckoned in binary floating point,
//! which holds some 16 digits.

use std::collections::HashMap;
use std::io;

use jmespath::Variable;
use jmespath::ast::Ast;
use serde_json::ser::Formatter;

use crate::rest::scan::after_string;

/// So many digits are never changed.
const SAFE_DIGITS: usize = 15;

/// Functions that compare.
const COMPARING: [&str; 7] = [
    "contains", "max", "max_by", "min", "min_by", "sort", "sort_by",
];

/// How numbers are written which floating point holds in another way: none where several different ones
/// are held alike.
#[derive(Debug, Default)]
pub(super) struct Numbers<'t>(HashMap<u64, Option<&'t str>>);

impl<'t> Numbers<'t> {
    /// Those of a JSON text.
    ///
    /// # Errors
    /// A sentence, when the expression compares and two different ones are taken for equal.
    pub(super) fn of(text: &'t str, expression: &Ast) -> Result<Self, String> {
        let mut found = HashMap::new();
        let mut wide = Vec::new();
        for token in tokens(text) {
            // The same reading as that of the tree.
            let Ok(value) = serde_json::from_str::<f64>(token) else {
                continue;
            };
            let is_whole = token.parse::<i64>().is_ok() || token.parse::<u64>().is_ok();
            if digits(token) > SAFE_DIGITS {
                wide.push((value, token));
            }
            // The tree has whole numbers of 64 bits as they are, but for the sign of zero.
            if is_whole && token != "-0" {
                continue;
            }
            let known = found.entry(value.to_bits()).or_insert(Some(token));
            if known.is_some_and(|known| decimal(known) != decimal(token)) {
                *known = None;
            }
        }
        let mut literals = Vec::new();
        if compares(expression, &mut literals) && !wide.is_empty() {
            let near = |value: &f64| value.abs() >= 1.0 || digits(&value.to_string()) > SAFE_DIGITS;
            let literals: Vec<(f64, String)> = literals
                .iter()
                .filter_map(|number| Some((number.as_f64().filter(near)?, number.to_string())))
                .collect();
            wide.extend(literals.iter().map(|(value, text)| (*value, text.as_str())));
            apart(wide)?;
        }
        Ok(Self(found))
    }
}

/// Numbers that are compared must be told apart, and equal is here what differs by less than this part.
fn apart(mut wide: Vec<(f64, &str)>) -> Result<(), String> {
    wide.sort_by(|(one, _), (other, _)| one.total_cmp(other));
    let mut pairs = wide.iter().zip(wide.iter().skip(1));
    let near = pairs.find(|((one, left), (other, right))| {
        (one - other).abs() <= (one.abs() + other.abs()) * f64::EPSILON
            && decimal(left) != decimal(right)
    });
    match near {
        Some(((_, left), (_, right))) => Err(too_near(left, right)),
        None => Ok(()),
    }
}

fn too_near(one: &str, other: &str) -> String {
    let short = |text: &str| text.chars().take(60).collect::<String>();
    format!(
        "`select` cannot tell the numbers {} and {} of this answer apart; ask the API for less, or take \
         the answer without `select`",
        short(one),
        short(other)
    )
}

/// The numbers of a JSON text which may not be held as they are written.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text.as_bytes();
    std::iter::from_fn(move || {
        loop {
            let at = rest
                .iter()
                .position(|byte| matches!(byte, b'"' | b'-' | b'0'..=b'9'))?;
            let found = rest.get(at..)?;
            if let [b'"', behind @ ..] = found {
                rest = after_string(behind);
                continue;
            }
            let is_of_number =
                |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
            let length = found.iter().take_while(|byte| is_of_number(byte)).count();
            let (token, behind) = found.split_at(length);
            rest = behind;
            let is_plain = token.len() <= SAFE_DIGITS && token.iter().all(u8::is_ascii_digit);
            if !is_plain && let Ok(token) = std::str::from_utf8(token) {
                return Some(token);
            }
        }
    })
}

/// How many digits a number has that count.
fn digits(token: &str) -> usize {
    decimal(token).1.len()
}

/// A number as its sign, its digits without zeros at either end, and the power of ten of the first one:
/// the same for the same number, however it is written.
fn decimal(token: &str) -> (bool, String, i64) {
    let is_negative = token.starts_with('-');
    let token = token.trim_start_matches('-');
    let (mantissa, exponent) = token.split_once(['e', 'E']).unwrap_or((token, "0"));
    let exponent: i64 = exponent.parse().unwrap_or(i64::from(i32::MAX));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{part}");
    let significant = all.trim_start_matches('0');
    let zeros = all.len() - significant.len();
    let significant = significant.trim_end_matches('0');
    if significant.is_empty() {
        return (is_negative, String::new(), 0);
    }
    let power = i64::try_from(whole.len()).unwrap_or(0) - i64::try_from(zeros).unwrap_or(0);
    (
        is_negative,
        significant.to_owned(),
        power.saturating_add(exponent),
    )
}

/// True when an expression compares numbers; adds those that it names.
fn compares(ast: &Ast, literals: &mut Vec<serde_json::Number>) -> bool {
    let mut all = |parts: &mut dyn Iterator<Item = &Ast>| {
        parts.fold(false, |found, part| compares(part, literals) | found)
    };
    match ast {
        Ast::Comparison { lhs, rhs, .. } => {
            all(&mut [&**lhs, &**rhs].into_iter());
            true
        }
        Ast::Function { name, args, .. } => {
            all(&mut args.iter()) | COMPARING.contains(&name.as_str())
        }
        Ast::MultiList { elements, .. } => all(&mut elements.iter()),
        Ast::MultiHash { elements, .. } => all(&mut elements.iter().map(|pair| &pair.value)),
        Ast::Projection { lhs, rhs, .. }
        | Ast::Subexpr { lhs, rhs, .. }
        | Ast::And { lhs, rhs, .. }
        | Ast::Or { lhs, rhs, .. } => all(&mut [&**lhs, &**rhs].into_iter()),
        Ast::Condition {
            predicate, then, ..
        } => all(&mut [&**predicate, &**then].into_iter()),
        Ast::Expref { ast: node, .. }
        | Ast::Flatten { node, .. }
        | Ast::ObjectValues { node, .. }
        | Ast::Not { node, .. } => compares(node, literals),
        Ast::Literal { value, .. } => {
            if let Variable::Number(number) = &**value {
                literals.push(number.clone());
            }
            false
        }
        Ast::Identity { .. } | Ast::Field { .. } | Ast::Index { .. } | Ast::Slice { .. } => false,
    }
}

/// Writes numbers as the answer does.
pub(super) struct Exact<'n, 't>(pub(super) &'n Numbers<'t>);

impl Formatter for Exact<'_, '_> {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        let Numbers(known) = self.0;
        match known.get(&value.to_bits()) {
            Some(Some(text)) => writer.write_all(text.as_bytes()),
            // Which of them it was is not known.
            Some(None) => Err(io::ErrorKind::InvalidData.into()),
            None => serde_json::to_writer(writer, &value).map_err(io::Error::from),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_same_number_is_the_same_however_it_is_written() {
        for (one, other) in [
            ("1", "1.0"),
            ("1.50e1", "15"),
            ("0.001", "1E-3"),
            ("0", "0.00"),
        ] {
            assert_eq!(decimal(one), decimal(other), "{one} {other}");
        }
        for (one, other) in [("1", "-1"), ("1", "10"), ("1.0001", "1.001"), ("12", "21")] {
            assert_ne!(decimal(one), decimal(other), "{one} {other}");
        }
        assert_eq!(digits("-0.00120e5"), 2);
    }

    #[test]
    fn numbers_are_found_outside_of_strings() {
        let text = r#"{"1.5":["2.5\"3.5",4.5,-6,7,1234567890123456, 1e5]}"#;
        let found: Vec<&str> = tokens(text).collect();
        assert_eq!(found, ["4.5", "-6", "1234567890123456", "1e5"]);
    }

    proptest! {
        #[test]
        fn what_is_one_number_is_one_decimal(whole in any::<u32>(), part in 1_u32..100_000, shift in 0_i32..20) {
            let one = format!("{whole}.{part:05}");
            let other = format!("{whole}{part:05}e-5");
            prop_assert_eq!(decimal(&one), decimal(&other));
            let shifted = format!("{whole}.{part:05}e{shift}");
            prop_assert_eq!(decimal(&shifted) == decimal(&one), shift == 0);
        }
    }
}

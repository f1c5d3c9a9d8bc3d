//! Numbers as they are written, and what is left of them when they are read.

/// From here on a double skips integers: 2^53.
pub(crate) const SKIPS_INTEGERS: f64 = 9_007_199_254_740_992.0;

/// True unless `text`, a value without quotes in YAML, is a number that loses digits, or all it is, when
/// it is read: `100.00000000000000001`, `99999999999999999999`, `1.5e999`. What is no number keeps all.
pub fn keeps_its_digits(text: &str) -> bool {
    let is_part = |c: char| c.is_ascii_digit() || matches!(c, '-' | '+' | '.' | 'e' | 'E');
    let is_number = text.contains(|c: char| c.is_ascii_digit())
        && text.chars().all(is_part)
        && text.parse::<f64>().is_ok();
    !is_number || text.parse::<i64>().is_ok() || is_exact(text)
}

/// True when the double that a number is read as is written with the same digits: none was lost.
pub(crate) fn is_exact(number: &str) -> bool {
    let Ok(double) = number.parse::<f64>() else {
        return false;
    };
    digits(number).is_some_and(|written| Some(written) == digits(&format!("{double:e}")))
}

/// The digits of a number without zeros around them, and the exponent of the last one.
fn digits(number: &str) -> Option<(String, i64)> {
    let number = number.trim_start_matches(['-', '+']);
    let (mantissa, exponent) = number.split_once(['e', 'E']).unwrap_or((number, "0"));
    let (whole, part) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{part}");
    let without_end = all.trim_end_matches('0');
    let digits = without_end.trim_start_matches('0');
    if digits.is_empty() {
        return Some((String::new(), 0));
    }
    let exponent = exponent.trim_start_matches('+').parse::<i64>().ok()?;
    let zeros = i64::try_from(all.len().checked_sub(without_end.len())?).ok()?;
    let part = i64::try_from(part.len()).ok()?;
    let last = exponent.checked_sub(part)?.checked_add(zeros)?;
    Some((digits.to_owned(), last))
}

#[cfg(test)]
mod tests {
    use super::keeps_its_digits;

    #[test]
    fn a_number_keeps_its_digits_or_not() {
        for kept in [
            "",
            "a",
            "1.2.3",
            "2026-11-20",
            "-",
            "e",
            "0",
            "-1",
            "1.5",
            "+1.50",
            ".5",
            "1.",
            "0.1",
            "1e3",
            "100.00",
            "9223372036854775807",
            "-9223372036854775808",
            "5e-324",
            "10000000000000000000000",
            "nan",
            "inf",
        ] {
            assert!(keeps_its_digits(kept), "{kept}");
        }
        for lost in [
            "100.00000000000000001",
            "99999999999999999999",
            "1.5e999",
            "-1.5e999",
            "1e-400",
            "18446744073709551615",
            "9007199254740993.0",
            "0.1000000000000000055",
        ] {
            assert!(!keeps_its_digits(lost), "{lost}");
        }
    }
}

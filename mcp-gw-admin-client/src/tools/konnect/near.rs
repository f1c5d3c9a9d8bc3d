//! Names that are like one that was not found.

/// So many are offered.
const MOST: usize = 5;

/// Longer names are compared by their beginnings: the cost grows with the square.
const LONGEST: usize = 64;

/// The names that are most like `wanted`, best first, each once.
pub(crate) fn nearest<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let wanted = letters(wanted);
    let mut ranked: Vec<(usize, &str)> = names
        .into_iter()
        .filter_map(|name| Some((distance_to(&wanted, &letters(name))?, name)))
        .collect();
    ranked.sort_unstable();
    ranked.dedup();
    ranked
        .into_iter()
        .map(|(_, name)| name)
        .take(MOST)
        .collect()
}

/// Letters and digits in lower case: how names are separated says little.
fn letters(name: &str) -> Vec<char> {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .take(LONGEST)
        .collect()
}

/// How unlike two names are; `None` when they have little in common.
fn distance_to(wanted: &[char], name: &[char]) -> Option<usize> {
    if wanted.is_empty() || name.is_empty() {
        return None;
    }
    let is_part = |part: &[char], whole: &[char]| {
        part.len() >= 3 && whole.windows(part.len()).any(|window| window == part)
    };
    if is_part(wanted, name) || is_part(name, wanted) {
        return Some(usize::from(wanted != name));
    }
    let distance = edits(wanted, name);
    (distance * 5 <= wanted.len().max(name.len()) * 2).then_some(distance + 1)
}

/// How many letters have to be put in, taken out or replaced.
fn edits(a: &[char], b: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (at, x) in a.iter().enumerate() {
        let mut diagonal = at;
        let mut left = at + 1;
        for (y, cell) in b.iter().zip(row.iter_mut().skip(1)) {
            let replaced = diagonal + usize::from(x != y);
            diagonal = *cell;
            left = replaced.min(diagonal + 1).min(left + 1);
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = at + 1;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_meant_comes_first() {
        let names = [
            "billing-prod",
            "orders-staging",
            "Orders Prod",
            "order-prod",
            "x",
            "ordersprod",
        ];
        let found = nearest("orders-prod", names);
        assert_eq!(found, ["Orders Prod", "ordersprod", "order-prod"]);
        assert_eq!(
            nearest("orders", names)[..2],
            ["Orders Prod", "orders-staging"]
        );
        assert!(nearest("", names).is_empty() && nearest("--", names).is_empty());
        assert_eq!(nearest("Größe", ["größe-1", "x"]), ["größe-1"]);
    }

    proptest! {
        #[test]
        fn edits_are_what_the_definition_says(a in "[ab]{0,6}", b in "[ab]{0,6}") {
            fn naive(a: &[char], b: &[char]) -> usize {
                match (a, b) {
                    ([], rest) | (rest, []) => rest.len(),
                    ([x, a @ ..], [y, b @ ..]) if x == y => naive(a, b),
                    ([_, a1 @ ..], [_, b1 @ ..]) => 1 + naive(a1, b1).min(naive(a1, b)).min(naive(a, b1)),
                }
            }
            let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
            prop_assert_eq!(edits(&a, &b), naive(&a, &b));
        }
    }
}

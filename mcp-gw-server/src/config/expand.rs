//! `${VAR}` in a text.

use super::fault::{Fault, short};
use super::path::ConfigPath;
use super::tree::{Kind, Node};

/// What stands for `${…}`, or why nothing does: what is wrong and what to do.
pub(super) type Resolved = Result<String, (String, String)>;

/// Replaces `${…}` in every text below `node`; what cannot be replaced is a fault and stays.
///
/// `$${` stands for `${`. What is put in is never looked at again.
pub(super) fn expand_tree(
    node: &mut Node,
    path: &ConfigPath,
    resolve: &dyn Fn(&str) -> Resolved,
    faults: &mut Vec<Fault>,
) {
    match &mut node.kind {
        Kind::Text(text) if text.contains("${") => match expand(text, resolve) {
            Ok(expanded) => {
                *text = expanded;
                node.from_env = true;
            }
            Err(found) => faults.extend(found.into_iter().map(|(message, help)| {
                let fault = Fault::new(path.clone(), message).with_help(help);
                fault.with_position(node.position)
            })),
        },
        Kind::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                expand_tree(item, &path.index(index), resolve, faults);
            }
        }
        Kind::Map(entries) => {
            for entry in entries {
                expand_tree(&mut entry.value, &path.key(&entry.key), resolve, faults);
            }
        }
        _ => {}
    }
}

/// `NAME` or `NAME:-default` as the environment has it.
///
/// As in a shell, `:-` also stands in for a variable that is set but empty.
pub(super) fn from_env(inside: &str, env: &dyn Fn(&str) -> Option<String>) -> Resolved {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    if !is_variable(name) {
        return Err((
            format!("`${{{}}}` is not a variable", short(name)),
            "write `${NAME}` or `${NAME:-default}`, or `$${` for a literal `${`".to_owned(),
        ));
    }
    match (env(name), default) {
        (Some(value), Some(default)) if value.is_empty() => Ok(default.to_owned()),
        (Some(value), _) => Ok(value),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => Err((
            format!("the environment variable `{}` is not set", short(name)),
            format!("set it, or write a default as `${{{}:-…}}`", short(name)),
        )),
    }
}

fn expand(text: &str, resolve: &dyn Fn(&str) -> Resolved) -> Result<String, Vec<(String, String)>> {
    let mut expanded = String::with_capacity(text.len());
    let mut faults = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            expanded.push_str(before);
            expanded.push_str("${");
            rest = after;
            continue;
        }
        expanded.push_str(before);
        let Some((inside, after)) = after.split_once('}') else {
            faults.push((
                "`${` is not closed".to_owned(),
                "close it with `}`, or write `$${` for a literal `${`".to_owned(),
            ));
            rest = "";
            break;
        };
        if inside.contains("${") {
            faults.push((
                "a `${…}` stands inside another one".to_owned(),
                "use one variable, with a default that is plain text".to_owned(),
            ));
        } else {
            match resolve(inside) {
                Ok(value) => expanded.push_str(&value),
                Err(fault) => faults.push(fault),
            }
        }
        rest = after;
    }
    expanded.push_str(rest);
    if faults.is_empty() {
        Ok(expanded)
    } else {
        Err(faults)
    }
}

fn is_variable(name: &str) -> bool {
    let mut chars = name.chars();
    chars
        .next()
        .is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> Result<String, Vec<(String, String)>> {
        let env = |name: &str| match name {
            "A" => Some("alpha".to_owned()),
            "EMPTY" => Some(String::new()),
            "TRICKY" => Some("${A}: [x".to_owned()),
            _ => None,
        };
        expand(text, &|inside| from_env(inside, &env))
    }

    #[test]
    fn variables_defaults_and_escapes_are_replaced_once() {
        let table = [
            ("${A}", "alpha"),
            ("x${A}y${A}", "xalphayalpha"),
            ("${NONE:-d}", "d"),
            ("${NONE:-}", ""),
            ("${EMPTY:-d}", "d"),
            ("${EMPTY}", ""),
            ("$${A}", "${A}"),
            ("$A $5", "$A $5"),
            ("${TRICKY}", "${A}: [x"),
            ("${A:-a:-b}", "alpha"),
            ("${NONE:-a:-b}", "a:-b"),
        ];
        for (text, expected) in table {
            assert_eq!(run(text).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_replaced_is_said() {
        for (text, expected) in [
            ("${NONE}", "`NONE` is not set"),
            ("${A", "not closed"),
            ("${}", "is not a variable"),
            ("${a b}", "is not a variable"),
            ("${NONE:-${A}}", "inside another"),
        ] {
            let faults = run(text).unwrap_err();
            assert!(faults[0].0.contains(expected), "{text}: {faults:?}");
        }
        assert_eq!(run("${NONE} ${ALSO}").unwrap_err().len(), 2);
    }
}

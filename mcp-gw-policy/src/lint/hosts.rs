//! Globs with a star in the host: it takes slashes as well.

use super::{LayerView, Lint, LintKind};
use crate::config::{NamePattern, RuleEffect};
use crate::fault::shown;

/// Globs that allow, and that an address of another host can fit.
pub(super) fn look_at(layer: &LayerView<'_>, lints: &mut Vec<Lint>) {
    for (at, rule) in layer.rules.iter().enumerate() {
        if rule.effect != RuleEffect::Allow {
            continue;
        }
        let keys = [
            ("resources", &rule.resources),
            ("resource_templates", &rule.resource_templates),
        ];
        for (key, patterns) in keys {
            let globs = patterns.iter().flatten().enumerate();
            for (index, glob) in globs.filter_map(|(index, pattern)| match pattern {
                NamePattern::Glob(glob) => Some((index, glob)),
                _ => None,
            }) {
                let Some(regex) = with_host(glob) else {
                    continue;
                };
                let message = format!(
                    "a star takes slashes, too: {} also fits other hosts, with the rest of it in their path",
                    shown(glob)
                );
                let help = format!("write `{{ regex: '{regex}' }}` for one host");
                let mut lint = layer.lint(LintKind::WideHost, at, Some(key), message, help);
                lint.path = lint.path.index(index);
                lints.push(lint);
            }
        }
    }
}

/// The glob as a regular expression in which a star in the host stays within it, for a web address whose
/// host is in part a star.
fn with_host(glob: &str) -> Option<String> {
    let (scheme, rest) = glob.split_once("://")?;
    let own = scheme.rsplit('+').next().unwrap_or_default();
    if !["http", "https", "ws", "wss", "ftp"].contains(&own.to_ascii_lowercase().as_str()) {
        return None;
    }
    let host = rest.split('/').next().unwrap_or_default();
    let is_star = host.chars().all(|c| c == '*');
    if is_star || !host.contains('*') || rest.contains('\\') {
        return None;
    }
    let path = rest.get(host.len()..).unwrap_or_default();
    let written = |text: &str, star: &str, one: &str| -> String {
        let mut regex = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '*' => regex.push_str(star),
                '?' => regex.push_str(one),
                c => regex.push_str(&regex_syntax::escape(&c.to_string())),
            }
        }
        regex
    };
    let host = written(host, "[^/?]*", "[^/?]");
    Some(format!(
        "{}://{host}{}",
        regex_syntax::escape(scheme),
        written(path, ".*", ".")
    ))
}

#[cfg(test)]
mod tests {
    use super::with_host;

    #[test]
    fn stars_within_a_host_are_found() {
        for (glob, regex) in [
            (
                "https://*.example.com/*",
                Some(r"https://[^/?]*\.example\.com/.*"),
            ),
            ("https://example.com*", Some(r"https://example\.com[^/?]*")),
            ("one+https://a?*/b?", Some(r"one\+https://a[^/?][^/?]*/b.")),
            ("https://*", None),
            ("https://*/docs/*", None),
            ("https://example.com/*", None),
            ("file:///*.txt", None),
            ("notes://*.a/b", None),
        ] {
            assert_eq!(with_host(glob).as_deref(), regex, "{glob}");
        }
    }
}

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
            for (index, pattern) in patterns.iter().flatten().enumerate() {
                let (text, help) = match pattern {
                    NamePattern::Glob(glob) => match with_host(glob) {
                        Some(regex) => {
                            (glob, format!("write `{{ regex: '{regex}' }}` for one host"))
                        }
                        None if hides_host(glob) => (glob, WRITE_OUT.to_owned()),
                        None => continue,
                    },
                    NamePattern::Regex(regex) if is_open_host(regex) => {
                        let help = "write `[^/?]*` for what may stand within the host";
                        (regex, help.to_owned())
                    }
                    _ => continue,
                };
                let star = match pattern {
                    NamePattern::Regex(_) => "`.` is a slash, too",
                    _ => "a star takes slashes, too",
                };
                let message = format!(
                    "{star}: {} also fits other hosts, with the rest of it in their path",
                    shown(text)
                );
                let mut lint = layer.lint(LintKind::WideHost, at, Some(key), message, help);
                lint.path = lint.path.index(index);
                lints.push(lint);
            }
        }
    }
}

const WRITE_OUT: &str = "write the scheme and the host out, as `https://example.com/*`";

const WEB: [&str; 5] = ["http", "https", "ws", "wss", "ftp"];

/// True for a glob whose first star stands for the slashes before the host, or a part of the scheme, and
/// that goes on with a host.
fn hides_host(glob: &str) -> bool {
    let Some((start, rest)) = glob.split_once('*') else {
        return false;
    };
    let own = start.rsplit('+').next().unwrap_or_default();
    let scheme = own.split(':').next().unwrap_or_default();
    let slashes = own.get(scheme.len()..).unwrap_or_default();
    let is_web = WEB.contains(&scheme.to_ascii_lowercase().as_str());
    if !is_web || !["", ":", ":/"].contains(&slashes) {
        return false;
    }
    let rest = rest.trim_start_matches('*');
    let rest = rest.split_once("://").map_or(rest, |(_, rest)| rest);
    let host = rest.trim_start_matches(':').split('/').next();
    host.is_some_and(|host| host.contains(|c| !matches!(c, '*' | '?')))
}

/// True for a regular expression of web addresses in whose host any character may stand.
fn is_open_host(regex: &str) -> bool {
    let Some((scheme, rest)) = regex
        .split_once("://")
        .or_else(|| regex.split_once(":\\/\\/"))
    else {
        return false;
    };
    let scheme = scheme.to_ascii_lowercase();
    if !WEB.iter().any(|web| scheme.contains(web)) {
        return false;
    }
    let host = rest.split('/').next().unwrap_or_default();
    // A point with a backslash before it is a point.
    let plain = host.replace("\\\\", "").replace("\\.", "");
    let any = [".*", ".+", ".{", "\\S*", "\\S+"];
    let is_whole = any.iter().any(|any| plain == *any);
    !is_whole && any.iter().any(|any| plain.contains(any))
}

/// The glob as a regular expression in which a star in the host stays within it, for a web address whose
/// host is in part a star.
fn with_host(glob: &str) -> Option<String> {
    let (scheme, rest) = glob.split_once("://")?;
    let own = scheme.rsplit('+').next().unwrap_or_default();
    if !WEB.contains(&own.to_ascii_lowercase().as_str()) {
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
    use super::{hides_host, is_open_host, with_host};

    #[test]
    fn a_star_before_the_host_is_found() {
        for (glob, hides) in [
            ("https*example.com/*", true),
            ("http*://example.com/*", true),
            ("https:*example.com/*", true),
            ("one+https:/*.example.com", true),
            ("https*", false),
            ("http*://*", false),
            ("https*/docs/*", false),
            ("https://*.example.com/*", false),
            ("files*example.com/*", false),
            ("https://example.com/*", false),
        ] {
            assert_eq!(hides_host(glob), hides, "{glob}");
        }
    }

    #[test]
    fn any_character_in_the_host_of_a_regex_is_found() {
        for (regex, is_open) in [
            (r"https://.*\.example\.com/.*", true),
            (r"https?://[a-z]+.+example\.com/.*", true),
            (r"(?i)https:\/\/.*example\.com\/.*", true),
            (r"https://[^/?]*\.example\.com/.*", false),
            (r"https://a\.example\.com/.*", false),
            (r"https://.*", false),
            (r"https://.*/docs/.*", false),
            (r"file:///.*\.txt", false),
        ] {
            assert_eq!(is_open_host(regex), is_open, "{regex}");
        }
    }

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

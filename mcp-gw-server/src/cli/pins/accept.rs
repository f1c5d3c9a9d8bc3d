//! What becomes pinned, and how it is told.

use std::fmt::Write as _;

use crate::config::Config;
use crate::pins::{Drift, Drifts, Kind, Seen, ServerPins, Sight, compare, visible};

/// What the server itself calls a tool or prompt of it that is named as clients know it: under another
/// name that the configuration gives it, or with the server's prefix.
pub(super) fn own_name(config: &Config, name: &str, item: &str) -> Option<String> {
    let server = config.servers.get(name)?;
    let prefix = server.prefix_name.as_deref().unwrap_or(name);
    let rest = item.strip_prefix(prefix);
    let bare = rest.and_then(|rest| rest.strip_prefix("__"));
    let called = bare.unwrap_or(item);
    let mut tools = server.tools.iter();
    let renamed = tools.find(|(_, shape)| shape.rename.as_deref() == Some(called));
    let own = renamed.map(|(own, _)| own.as_str()).or(bare);
    own.map(str::to_owned)
}

/// Pins what is offered: the items of these names, or everything when there are none. What was
/// accepted, and what cannot be.
pub(super) fn accept(
    pins: &mut ServerPins,
    sight: &Sight,
    items: &[String],
) -> (Drifts, Vec<String>) {
    let is_meant = |name: &String| items.is_empty() || items.contains(name);
    let mut faults = Vec::new();
    for item in items {
        let is_there = |kind: Kind| {
            let key = (kind, item.clone());
            sight.0.contains_key(&key) || pins.pins.contains_key(&key)
        };
        if !Kind::ALL.into_iter().any(is_there) {
            faults.push(format!(
                "it offers no tool or prompt `{}`, and none is pinned; `pins diff` shows what differs",
                visible(item)
            ));
        }
    }
    let mut done = compare(pins, sight);
    done.retain(|((_, name), _)| is_meant(name));
    done.retain(|((kind, name), drift)| {
        let is_twice = matches!(drift, Drift::Twice(_));
        if is_twice {
            faults.push(format!(
                "{} `{}` is offered twice with different definitions, and cannot be approved: tell \
                 those who make the server",
                kind.as_str(),
                visible(name)
            ));
        }
        !is_twice
    });
    for (key, drift) in &done {
        if *drift == Drift::Removed {
            pins.pins.remove(key);
        }
    }
    pins.put_all(done.iter().filter_map(|(key, _)| match sight.0.get(key) {
        Some(Seen::Once(print)) => Some((key.clone(), print)),
        _ => None,
    }));
    (done, faults)
}

/// `docs: tool search: changed, sha256 0a09c7062fe8`.
pub(super) fn headline(server: &str, (kind, name): &(Kind, String), drift: &Drift) -> String {
    let (kind, name, how) = (kind.as_str(), visible(name), drift.as_str());
    let mut line = format!("{server}: {kind} {name}: {how}");
    if let Drift::Changed(print) | Drift::New(print) = drift {
        let _ = write!(line, ", sha256 {}", print.digest.short());
    }
    line
}

/// `2 changed, 1 new`.
pub(super) fn summary(drifts: &Drifts) -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    for (_, drift) in drifts {
        let word = drift.as_str();
        match counts.iter_mut().find(|(other, _)| *other == word) {
            Some((_, count)) => *count += 1,
            None => counts.push((word, 1)),
        }
    }
    let counts: Vec<_> = counts
        .iter()
        .map(|(word, count)| format!("{count} {word}"))
        .collect();
    counts.join(", ")
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::{Offer, ToolSpec};

    use super::*;

    fn sight(tools: &[(&str, &str)]) -> Sight {
        let tools = tools
            .iter()
            .map(|(name, text)| ToolSpec::new(name, text).unwrap());
        Sight::of(&Offer::of_tools(tools.collect()))
    }

    fn names(drifts: &Drifts) -> Vec<&str> {
        drifts.iter().map(|((_, name), _)| &**name).collect()
    }

    #[test]
    fn what_is_named_is_approved_and_nothing_else() {
        let mut pins = ServerPins::of(&sight(&[("a", "1"), ("b", "1"), ("gone", "1")]));
        let now = sight(&[("a", "2"), ("b", "2"), ("c", "2")]);
        let (done, faults) = accept(&mut pins, &now, &["a".to_owned(), "d".to_owned()]);
        assert_eq!(names(&done), ["a"]);
        assert!(faults[0].contains("`d`") && faults.len() == 1, "{faults:?}");
        assert_eq!(
            summary(&compare(&pins, &now)),
            "1 changed, 1 new, 1 removed"
        );
        let (done, faults) = accept(&mut pins, &now, &[]);
        assert_eq!(names(&done), ["b", "c", "gone"]);
        assert!(faults.is_empty() && compare(&pins, &now).is_empty());
        assert_eq!(pins, ServerPins::of(&now));
    }

    #[test]
    fn a_name_for_clients_leads_to_the_servers_own() {
        let text = "policy: { default: allow }\nservers: { one: { command: x, tools: { alpha: { rename: beta } } }, \
                    two: { command: x, prefix_name: zwei } }";
        let config = Config::load("mcp-gw.yaml", text, &|_: &str| None).unwrap();
        for (server, item, own) in [
            ("one", "beta", Some("alpha")),
            ("one", "one__beta", Some("alpha")),
            ("one", "one__gamma", Some("gamma")),
            ("one", "alpha", None),
            ("two", "zwei__a", Some("a")),
            ("two", "two__a", None),
        ] {
            assert_eq!(own_name(&config, server, item).as_deref(), own, "{item}");
        }
    }

    #[test]
    fn what_is_offered_twice_is_not_approved() {
        let mut pins = ServerPins::default();
        let now = sight(&[("a", "1"), ("a", "2"), ("b", "1")]);
        let (done, faults) = accept(&mut pins, &now, &[]);
        assert_eq!(names(&done), ["b"]);
        assert!(faults[0].contains("offered twice"), "{faults:?}");
        assert_eq!(pins.pins.len(), 1);
    }
}

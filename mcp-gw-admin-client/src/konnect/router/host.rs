//! Hosts of routes.

/// Whether a host of a route, perhaps with `*` at one end and perhaps with a port, is for this one.
///
/// A route without a port is for all ports; one with a port is not for a question without.
pub(super) fn matches(wanted: &str, host: &str) -> bool {
    let (wanted, wanted_port) = split(wanted);
    let (host, port) = split(host);
    if wanted_port.is_some() && wanted_port != port {
        return false;
    }
    let (wanted, host) = (wanted.to_ascii_lowercase(), host.to_ascii_lowercase());
    if let Some(end) = wanted.strip_prefix('*') {
        return host.len() > end.len() && host.ends_with(end);
    }
    if let Some(start) = wanted.strip_suffix('*') {
        return host.len() > start.len() && host.starts_with(start);
    }
    wanted == host
}

/// The name, and the port behind it. `[::1]` is a name.
fn split(host: &str) -> (&str, Option<u16>) {
    match host.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') || name.ends_with(']') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (host, None),
        },
        _ => (host, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_wildcards_and_ports() {
        for (wanted, host, fits) in [
            ("example.com", "Example.COM", true),
            ("example.com", "example.com:8443", true),
            ("example.com:8443", "example.com:8443", true),
            ("example.com:8443", "example.com", false),
            ("example.com:8443", "example.com:80", false),
            ("*.example.com", "a.b.example.com", true),
            ("*.example.com", "example.com", false),
            ("*.example.com", ".example.com", false),
            ("*.example.com:80", "a.example.com:80", true),
            ("example.*", "example.org", true),
            ("example.*", "example.", false),
            ("[::1]", "[::1]:80", true),
            ("::1", "::1", true),
            ("a", "b", false),
        ] {
            assert_eq!(matches(wanted, host), fits, "{wanted} {host}");
        }
    }
}

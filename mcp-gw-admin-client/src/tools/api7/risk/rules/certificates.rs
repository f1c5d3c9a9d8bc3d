//! What certificates are for: their keys, the host names that they belong to, and who serves these.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Judge, Rule, Severity};
use crate::tools::api7::risk::key::{Key, keys};
use crate::tools::api7::risk::scan::{Group, Resource, Scan};
use crate::tools::api7::risk::source::Source;

pub(super) static RULES: &[Rule] = &[
    Rule {
        id: "weak-key",
        category: "transmission",
        severity: Severity::High,
        title: "The key of a certificate is short",
        remedy: "Make a new key (RSA 2048 or more, or P-256), and a certificate for it.",
        reference: "https://csrc.nist.gov/pubs/sp/800/57/pt1/r5/final",
        needs: &[Source::Certificates, Source::CaCertificates],
        run: weak,
    },
    Rule {
        id: "orphan-certificate",
        category: "transmission",
        severity: Severity::Low,
        title: "A certificate is used by nothing",
        remedy: "Give it to an SNI, or remove it: what nobody uses, nobody renews or watches.",
        reference: "https://docs.api7.ai/enterprise/",
        needs: &[Source::Certificates, Source::Snis, Source::Upstreams],
        run: orphans,
    },
    Rule {
        id: "sni-without-certificate",
        category: "transmission",
        severity: Severity::Medium,
        title: "An SNI has no certificate",
        remedy: "Give the SNI a certificate that is there: until then connections to its host names fail.",
        reference: "https://docs.api7.ai/enterprise/",
        needs: &[Source::Certificates, Source::Snis],
        run: bare,
    },
    Rule {
        id: "unused-sni",
        category: "transmission",
        severity: Severity::Low,
        title: "An SNI has host names that no route serves",
        remedy: "Remove the SNI, or give a service or a route one of its host names.",
        reference: "https://docs.api7.ai/enterprise/",
        needs: &[Source::Snis, Source::Routes, Source::StreamRoutes],
        run: unused,
    },
];

fn weak(judge: &mut Judge<'_>) {
    let (rsa, ec) = (judge.limits.min_rsa_bits, judge.limits.min_ec_bits);
    let groups = judge.scan.groups.iter();
    for certificate in
        groups.flat_map(|group| group.certificates.iter().chain(&group.ca_certificates))
    {
        judge.look();
        let texts = ["cert", "certificate", "certs"].into_iter();
        let texts = texts.flat_map(|name| {
            certificate
                .texts(name)
                .into_iter()
                .map(move |pem| (name, pem))
        });
        let mut is_read = false;
        for (member, pem) in texts {
            let Some(found) = keys(pem) else {
                continue;
            };
            is_read = true;
            let short = found.into_iter().find_map(|key| match key {
                Key::Rsa(bits) if bits < rsa => Some(("RSA", bits, rsa)),
                Key::Ec(bits) if bits < ec => Some(("EC", bits, ec)),
                _ => None,
            });
            if let Some((sort, bits, least)) = short {
                let says = format!("a key of {bits} bits; {sort} wants {least} at least");
                let value = json!(format!("{sort} {bits}"));
                judge.found(certificate, format!("/{member}"), value, says);
                break;
            }
        }
        if !is_read {
            judge.undecided("the API does not show the certificate itself, or it cannot be read");
        }
    }
}

/// What a resource says of certificates.
#[derive(Default)]
struct Named {
    /// There is a member about certificates, even if it is empty.
    is_told: bool,
    /// A certificate stands there itself.
    is_inline: bool,
    texts: BTreeSet<String>,
}

impl Named {
    fn look(&mut self, value: &Value, is_about: bool, depth: usize) {
        if depth == 0 {
            return;
        }
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    let name = name.to_ascii_lowercase();
                    // Authorities are no certificates of a server.
                    let is_own = name.contains("cert") && !name.starts_with("ca");
                    self.is_told |= is_own;
                    self.look(value, is_about || is_own, depth - 1);
                }
            }
            Value::Array(items) => {
                for item in items {
                    self.look(item, is_about, depth - 1);
                }
            }
            Value::String(text) if is_about && text.contains("-----BEGIN") => self.is_inline = true,
            Value::String(text) if is_about && !text.is_empty() => {
                self.texts.insert(text.clone());
            }
            Value::Number(number) if is_about => {
                self.texts.insert(number.to_string());
            }
            _ => {}
        }
    }

    fn of(resource: &Resource) -> Self {
        let mut named = Self::default();
        named.look(&resource.body, false, 6);
        named
    }
}

fn orphans(judge: &mut Judge<'_>) {
    for group in &judge.scan.groups {
        let (mut used, mut is_told) = (BTreeSet::new(), group.snis.is_empty());
        for sni in &group.snis {
            let named = Named::of(sni);
            is_told |= named.is_told;
            used.extend(named.texts);
        }
        for service in &group.services {
            for (upstream, _) in service.all_upstreams() {
                used.extend(Named::of(&upstream).texts);
            }
        }
        let unread = [Source::Snis, Source::Services, Source::Upstreams]
            .into_iter()
            .find(|source| group.missing.contains(source));
        for certificate in &group.certificates {
            judge.look();
            if used.contains(&certificate.id) {
                continue;
            }
            if let Some(source) = unread {
                judge.undecided(&format!("not all {} could be read", source.what()));
            } else if is_told {
                let says = "neither an SNI nor an upstream has it";
                judge.found(certificate, "/id", json!(certificate.id), says);
            } else {
                judge.undecided(NO_LINK);
            }
        }
    }
}

const NO_LINK: &str = "the API does not say which certificate an SNI has";

fn bare(judge: &mut Judge<'_>) {
    for group in &judge.scan.groups {
        let known: BTreeSet<&str> = group.certificates.iter().map(|one| &*one.id).collect();
        for sni in &group.snis {
            judge.look();
            let named = Named::of(sni);
            if named.is_inline || named.texts.iter().any(|text| known.contains(&**text)) {
                continue;
            }
            if !named.is_told {
                judge.undecided(NO_LINK);
            } else if named.texts.is_empty() {
                judge.found(
                    sni,
                    "/certificate_id",
                    Value::Null,
                    "no certificate is named",
                );
            } else if group.missing.contains(&Source::Certificates) {
                judge.undecided("not all certificates could be read");
            } else {
                let value: Vec<&String> = named.texts.iter().take(5).collect();
                let says = "the certificate that it names is not there";
                judge.found(sni, "/certificate_id", json!(value), says);
            }
        }
    }
}

/// Host names, the last letter first: those that end alike stand together.
#[derive(Default)]
struct Hosts {
    is_all: bool,
    names: BTreeSet<String>,
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

impl Hosts {
    fn add(&mut self, host: &str) {
        self.is_all |= host == "*";
        self.names.insert(reversed(&host.to_ascii_lowercase()));
    }

    /// Whether some name is one that `host` is, too: each may begin with `*.`.
    fn meet(&self, host: &str) -> bool {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        if self.is_all || host == "*" || self.names.contains(&reversed(&host)) {
            return true;
        }
        if let Some(end) = host.strip_prefix('*') {
            let start = reversed(end);
            let next = self.names.range(start.clone()..).next();
            if next.is_some_and(|name| name.starts_with(&start)) {
                return true;
            }
        }
        let ends = host.match_indices('.').filter_map(|(at, _)| host.get(at..));
        ends.take(32)
            .any(|end| self.names.contains(&reversed(&format!("*{end}"))))
    }
}

fn served(scan: &Scan, group: &Group) -> Hosts {
    let mut hosts = Hosts::default();
    let routes = scan
        .routes()
        .filter(|served| std::ptr::eq(served.group, group));
    for served in routes {
        for host in served.hosts() {
            hosts.add(&host);
        }
    }
    for service in group.services.iter().filter(|service| service.is_stream()) {
        for route in &service.stream_routes {
            match route.text("sni") {
                Some(sni) if !sni.is_empty() => hosts.add(sni),
                _ => hosts.add("*"),
            }
        }
    }
    hosts
}

fn unused(judge: &mut Judge<'_>) {
    let scan = judge.scan;
    for group in scan.groups.iter().filter(|group| !group.snis.is_empty()) {
        let hosts = served(scan, group);
        let unread = [Source::Services, Source::Routes, Source::StreamRoutes]
            .into_iter()
            .find(|source| group.missing.contains(source));
        for sni in &group.snis {
            judge.look();
            let found = ["snis", "sni", "hosts", "host", "domains", "domain"]
                .into_iter()
                .map(|member| (member, sni.texts(member)))
                .find(|(_, names)| !names.is_empty());
            let Some((member, names)) = found else {
                judge.undecided("the API does not say which host names an SNI has");
                continue;
            };
            if names.iter().any(|name| hosts.meet(name)) {
                continue;
            }
            if let Some(source) = unread {
                judge.undecided(&format!("not all {} could be read", source.what()));
                continue;
            }
            let says = "no route that is switched on serves one of its host names";
            judge.found(sni, format!("/{member}"), json!(names), says);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names_meet_when_a_request_may_have_both() {
        let mut hosts = Hosts::default();
        for name in ["a.example.com", "*.inner.example.com", "B.example.org"] {
            hosts.add(name);
        }
        for name in [
            "a.example.com",
            "A.Example.com.",
            "*.example.com",
            "x.inner.example.com",
            "x.y.inner.example.com",
            "*.inner.example.com",
            "*.example.org",
            "*",
        ] {
            assert!(hosts.meet(name), "{name}");
        }
        for name in [
            "example.com",
            "b.example.com",
            "*.other.com",
            "xa.example.com",
            "inner.example.com",
            "",
        ] {
            assert!(!hosts.meet(name), "{name}");
        }
        hosts.add("*");
        assert!(hosts.meet("other.com"));
    }
}

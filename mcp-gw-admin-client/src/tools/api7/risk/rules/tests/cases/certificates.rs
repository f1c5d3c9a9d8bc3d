//! Of certificates, SNIs and the health of nodes.

use serde_json::{Value, json};

use super::super::Says::{self, Finds, Passes, Undecided};
use super::with;
use crate::tools::api7::risk::key::tests::{P_192, RSA_1024, pem};

type Case = (&'static str, Says, Value);

pub(super) fn cases() -> Vec<Case> {
    [keys(), orphans(), bare(), unused(), health()].concat()
}

fn keys() -> Vec<Case> {
    let certificate = |cert: &str| json!({"certificates": [{"id": "c", "cert": cert}]});
    let good = pem(&rcgen::PKCS_ECDSA_P256_SHA256);
    vec![
        ("weak-key", Finds(1), certificate(RSA_1024)),
        ("weak-key", Finds(1), certificate(P_192)),
        (
            "weak-key",
            Finds(1),
            json!({"ca_certificates": [{"id": "c", "certificate": format!("{good}{RSA_1024}")}]}),
        ),
        ("weak-key", Passes, certificate(&good)),
        ("weak-key", Passes, certificate(&pem(&rcgen::PKCS_ED25519))),
        (
            "weak-key",
            Undecided,
            certificate("-----BEGIN CERTIFICATE-----"),
        ),
        (
            "weak-key",
            Undecided,
            json!({"certificates": [{"id": "c"}]}),
        ),
    ]
}

fn orphans() -> Vec<Case> {
    let has = |snis: Value| json!({"certificates": [{"id": "c"}], "snis": snis});
    let one = has(json!([{"id": "n", "certificate_id": "d"}]));
    vec![
        ("orphan-certificate", Finds(1), one.clone()),
        ("orphan-certificate", Finds(1), has(json!([]))),
        (
            "orphan-certificate",
            Passes,
            has(json!([{"id": "n", "certificate_id": "c"}])),
        ),
        (
            "orphan-certificate",
            Passes,
            has(json!([{"id": "n", "certificates": [{"id": "c"}]}])),
        ),
        (
            "orphan-certificate",
            Passes,
            with(
                one.clone(),
                json!({"services": [{"id": "s", "_upstreams": [{"id": "u", "tls": {"client_cert_id": "c"}}]}]}),
            ),
        ),
        (
            "orphan-certificate",
            Undecided,
            has(json!([{"id": "n", "name": "c"}])),
        ),
        (
            "orphan-certificate",
            Undecided,
            with(one, json!({"missing": ["snis"]})),
        ),
    ]
}

fn bare() -> Vec<Case> {
    let has = |sni: Value| json!({"certificates": [{"id": "c"}], "snis": [sni]});
    let gone = has(json!({"id": "n", "certificate_id": "d"}));
    let id = "sni-without-certificate";
    vec![
        (id, Finds(1), gone.clone()),
        (id, Finds(1), has(json!({"id": "n", "certificate_id": ""}))),
        (id, Passes, has(json!({"id": "n", "certificate_id": "c"}))),
        (
            id,
            Passes,
            has(json!({"id": "n", "cert": "-----BEGIN CERTIFICATE-----"})),
        ),
        (id, Undecided, has(json!({"id": "n"}))),
        (
            id,
            Undecided,
            with(gone, json!({"missing": ["certificates"]})),
        ),
    ]
}

fn unused() -> Vec<Case> {
    let has = |hosts: Value, route: Value| {
        json!({
            "services": [{"id": "s", "hosts": hosts, "_routes": [route]}],
            "snis": [{"id": "n", "snis": ["a.example.com"]}],
        })
    };
    let on = || json!({"id": "r", "paths": ["/"]});
    let other = has(json!(["b.example.com"]), on());
    let stream = |route: Value| {
        json!({
            "services": [{"id": "s", "type": "stream", "_stream_routes": [route]}],
            "snis": [{"id": "n", "snis": ["a.example.com"]}],
        })
    };
    let id = "unused-sni";
    vec![
        (id, Finds(1), other.clone()),
        (
            id,
            Finds(1),
            has(json!(["a.example.com"]), json!({"id": "r", "status": 0})),
        ),
        (
            id,
            Finds(1),
            stream(json!({"id": "t", "sni": "b.example.com"})),
        ),
        (id, Passes, has(json!(["a.example.com"]), on())),
        (id, Passes, has(json!(["*.example.com"]), on())),
        (id, Passes, has(json!([]), on())),
        (id, Passes, stream(json!({"id": "t"}))),
        (id, Undecided, with(other, json!({"missing": ["services"]}))),
        (id, Undecided, json!({"snis": [{"id": "n", "name": "web"}]})),
    ]
}

fn health() -> Vec<Case> {
    let service = |health: Value| {
        json!({"services": [{"id": "p", "service_id": "s", "upstream": {"nodes": {"a:80": 1}, "checks": {"active": {}}},
            "_health": health}]})
    };
    let node = |status: &str| json!({"ip": "10.0.0.1", "port": 80, "status": status});
    let id = "unhealthy-node";
    let untold = json!({"services": [{"id": "p", "upstream": {"checks": {"active": {}}}}]});
    vec![
        (
            id,
            Finds(1),
            service(json!({"value": [{"nodes": [node("healthy"), node("unhealthy")]}]})),
        ),
        (
            id,
            Finds(1),
            service(json!([{"nodes": {"x": node("mostly_unhealthy")}}])),
        ),
        (
            id,
            Passes,
            service(json!([{"nodes": [node("healthy"), node("mostly_healthy")]}])),
        ),
        (
            id,
            Passes,
            json!({"services": [{"id": "p", "upstream": {"nodes": {"a:80": 1}}}]}),
        ),
        (id, Undecided, service(json!([{"nodes": {}}]))),
        (id, Undecided, untold),
    ]
}

//! The guard on requests to REST APIs: what it refuses, what it sends, and what it takes.
#![cfg(test)]

mod bounds;
mod corpus;
mod credentials;
mod names;
mod raw;
mod redirects;
mod tls;
mod wire;

use std::net::{IpAddr, Ipv4Addr};

use http::Method;
use http::header::HeaderName;
use mcp_gw_core::{Glob, Secret};
use mcp_gw_upstream::egress::{
    Answer, ApiRules, Base, BaseRules, Client, CredentialId, Injected, PartsBody, RequestParts,
    SendError,
};
use names::Names;
use raw::Raw;

/// A base, whatever it is.
fn base(text: &str) -> Base {
    let rules = BaseRules::new().with_http(true).with_ip(true);
    Base::parse(text, rules).unwrap()
}

/// The rules that the corpus is about.
fn strict(base: Base) -> ApiRules {
    let methods = ["GET", "POST", "PUT", "DELETE", "HEAD", "CONNECT", "TRACE"];
    let glob = |text| Glob::parse(text).unwrap();
    ApiRules::new(base)
        .with_methods(methods.map(|method| method.parse::<Method>().unwrap()))
        .with_denied_paths(["/admin", "/admin/*", "/Secret/*"].map(glob))
        .with_credential_headers([HeaderName::from_static("x-api-key")])
        .with_credential_query(["appid".to_owned()])
        .with_request_headers(["x-custom", "cookie"].map(HeaderName::from_static))
        .with_max_body(64)
}

/// A server that is reached by the name `api.test`, through rules that `change` makes.
struct Api {
    rules: ApiRules,
    client: Client,
}

impl Api {
    fn new(server: &Raw, change: impl FnOnce(ApiRules) -> ApiRules) -> Self {
        let address = format!("http://api.test:{}/v1", server.port());
        let names = Names::always([IpAddr::V4(Ipv4Addr::LOCALHOST)]);
        let rules = ApiRules::new(base(&address)).with_allow_private(true);
        Self {
            rules: change(rules),
            client: Client::with_resolver(names),
        }
    }

    async fn ask(&self, parts: RequestParts) -> Result<Answer, SendError> {
        let checked = self.rules.check(parts).expect("it is legal");
        self.client.send(checked, &Injected::none()).await
    }

    async fn get(&self, endpoint: &str) -> Result<Answer, SendError> {
        self.ask(get(endpoint)).await
    }

    /// Status and body.
    async fn text(&self, endpoint: &str) -> Result<(u16, String), SendError> {
        let mut answer = self.get(endpoint).await?;
        let body = answer.read().await?;
        Ok((
            answer.status().as_u16(),
            String::from_utf8_lossy(&body).into(),
        ))
    }
}

fn get(endpoint: &str) -> RequestParts {
    RequestParts {
        method: "GET".to_owned(),
        endpoint: endpoint.to_owned(),
        ..RequestParts::default()
    }
}

fn post(endpoint: &str, body: &str) -> RequestParts {
    RequestParts {
        method: "POST".to_owned(),
        body: Some(PartsBody {
            content_type: "application/json".to_owned(),
            bytes: body.to_owned().into(),
        }),
        ..get(endpoint)
    }
}

fn secret(text: &str) -> Secret<String> {
    Secret::new(text.to_owned())
}

/// A key in a header and one in the query.
fn credential() -> Injected {
    let key = secret("k3y-in-a-header");
    Injected::new(CredentialId::next())
        .with_header(HeaderName::from_static("x-api-key"), &key, &key)
        .unwrap()
        .with_query("appid", &secret("k3y in & query"))
}

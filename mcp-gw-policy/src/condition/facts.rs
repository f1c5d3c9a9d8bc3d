//! What conditions can see. Each fact is made when a condition first asks for it: those of the caller
//! and the connection once per request or list, those of the item once per item.

use std::collections::HashMap;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use cel::common::types::{CelBool, CelList, CelMap, CelMapKey, CelString, CelTimestamp};
use cel::common::value::{CowVal, Val};
use chrono::{DateTime, Utc};
use mcp_gw_core::{AccessRequest, Caller, CallerKind, Feature, Phase, RequestMeta, ToolSpec};
use serde::Deserialize;
use serde_json::Value;

use super::{ArgumentLimits, json};
use crate::rbac::Identity;

/// Headers that carry a credential. No condition sees them.
pub(super) const HIDDEN_HEADERS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
];

/// The facts of one evaluation.
pub(super) trait Source: Send + Sync {
    /// The fact of this name, if it is known for the request; for `?name`, whether it is.
    fn fact<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>>;
}

/// Facts about the caller and the connection: the same for all items of a list.
pub(crate) struct Facts<'a> {
    caller: &'a Caller,
    identity: &'a Identity<'a>,
    meta: &'a RequestMeta,
    claims: OnceLock<CelMap<'a>>,
    roles: OnceLock<CelList<'a>>,
    groups: OnceLock<CelList<'a>>,
    scopes: OnceLock<CelList<'a>>,
    metadata: OnceLock<CelMap<'a>>,
    headers: OnceLock<CelMap<'a>>,
    headers_all: OnceLock<CelMap<'a>>,
    query: OnceLock<CelMap<'a>>,
    sans: OnceLock<CelList<'a>>,
    client: OnceLock<Client>,
    /// Steps that all evaluations together may still take, where there is a bound to that.
    steps: AtomicU64,
}

/// What a client says of itself, MCP `Implementation`.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Client {
    name: Option<String>,
    version: Option<String>,
}

impl<'a> Facts<'a> {
    /// Facts of a request. Nothing is made yet.
    pub(crate) fn new(
        caller: &'a Caller,
        identity: &'a Identity<'a>,
        meta: &'a RequestMeta,
    ) -> Self {
        Self {
            caller,
            identity,
            meta,
            claims: OnceLock::new(),
            roles: OnceLock::new(),
            groups: OnceLock::new(),
            scopes: OnceLock::new(),
            metadata: OnceLock::new(),
            headers: OnceLock::new(),
            headers_all: OnceLock::new(),
            query: OnceLock::new(),
            sans: OnceLock::new(),
            client: OnceLock::new(),
            steps: AtomicU64::new(u64::MAX),
        }
    }

    /// The same, with so many steps for all evaluations together.
    pub(crate) fn with_steps(mut self, steps: u64) -> Self {
        self.steps = AtomicU64::new(steps);
        self
    }

    /// Steps that all evaluations together may still take.
    pub(crate) fn steps_left(&self) -> u64 {
        self.steps.load(Ordering::Relaxed)
    }

    /// The facts with those of one item: `uri` is its name in the spelling that rules are compared with.
    pub(crate) const fn of<'s>(
        &'s self,
        request: &'s AccessRequest<'s>,
        uri: &'s str,
    ) -> RequestFacts<'s, 'a> {
        RequestFacts {
            shared: self,
            request,
            uri,
            arguments: OnceLock::new(),
            annotations: OnceLock::new(),
        }
    }

    fn claim(&self, names: &[&str]) -> Option<&'a str> {
        names
            .iter()
            .find_map(|name| self.caller.claims.get(*name).and_then(Value::as_str))
    }

    fn headers_shown(&self) -> Vec<(&'a str, &'a str)> {
        let listed = || self.meta.headers.iter();
        let all: Vec<(&str, &str)> = self.meta.http.as_ref().map_or_else(
            || {
                listed()
                    .map(|(name, value)| (name.as_str(), value.as_str()))
                    .collect()
            },
            |http| http.headers(),
        );
        all.into_iter()
            .filter(|(name, _)| !HIDDEN_HEADERS.contains(name))
            .collect()
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let info = self.meta.client_info.as_ref();
            info.and_then(|info| info.decode_owned().ok())
                .unwrap_or_default()
        })
    }

    fn identity(&self, name: &str) -> Option<CowVal<'_, '_>> {
        let caller = self.caller;
        Some(match name {
            "id" => text(&caller.id),
            "sub" => text(self.claim(&["sub"]).unwrap_or(&caller.id)),
            "kind" => text(caller.kind.as_str()),
            "issuer" => text(&caller.issuer),
            "authenticated" => truth(caller.kind != CallerKind::Anonymous),
            "roles" => lent(self.roles.get_or_init(|| texts(self.identity.roles()))),
            "groups" => lent(self.groups.get_or_init(|| texts(self.identity.groups()))),
            "scopes" => lent(self.scopes.get_or_init(|| texts(self.identity.scopes()))),
            _ => return None,
        })
    }

    /// Who the credential was given to: the OAuth client, or the holder of the key.
    fn consumer(&self, name: &str) -> Option<CowVal<'_, '_>> {
        let id = self.claim(&["client_id", "azp"]).unwrap_or(&self.caller.id);
        Some(match name {
            "id" => text(id),
            "name" => text(self.claim(&["client_name"]).unwrap_or(id)),
            "plan" => text(self.claim(&["plan"])?),
            "groups" => lent(self.groups.get_or_init(|| texts(self.identity.groups()))),
            "metadata" => lent(self.metadata.get_or_init(
                || match self.caller.claims.get("metadata") {
                    Some(Value::Object(members)) => json::map(members),
                    _ => CelMap::default(),
                },
            )),
            _ => return None,
        })
    }

    fn request(&self, name: &str) -> Option<CowVal<'_, '_>> {
        let meta = self.meta;
        Some(match name {
            "id" => text(&meta.request_id),
            "transport" => text(meta.transport.as_str()),
            "endpoint" => text(meta.endpoint.as_deref().unwrap_or_default()),
            "time" => {
                let time = DateTime::<Utc>::from(meta.received?).fixed_offset();
                CowVal::owned(CelTimestamp::from(time))
            }
            "headers" => lent(self.headers.get_or_init(|| {
                let mut first: HashMap<CelMapKey<'a>, Box<dyn Val + 'a>> = HashMap::new();
                for (name, value) in self.headers_shown() {
                    first
                        .entry(CelMapKey::from(name))
                        .or_insert_with(|| Box::new(CelString::from(value)));
                }
                CelMap::from(first)
            })),
            "headers_all" => lent(self.headers_all.get_or_init(|| {
                let mut lists: HashMap<&'a str, Vec<Box<dyn Val + 'a>>> = HashMap::new();
                for (name, value) in self.headers_shown() {
                    lists
                        .entry(name)
                        .or_default()
                        .push(Box::new(CelString::from(value)));
                }
                let lists = lists.into_iter().map(|(name, values)| {
                    let list: Box<dyn Val + 'a> = Box::new(CelList::from(values));
                    (CelMapKey::from(name), list)
                });
                CelMap::from(lists.collect::<HashMap<_, _>>())
            })),
            "method" => text(meta.http.as_ref()?.method()),
            "path" => text(meta.http.as_ref()?.path()),
            "host" => text(meta.http.as_ref()?.host()?),
            "scheme" => text(meta.http.as_ref()?.scheme()),
            "query" => {
                let http = meta.http.as_ref()?;
                lent(
                    self.query
                        .get_or_init(|| query(http.query().unwrap_or_default())),
                )
            }
            _ => return None,
        })
    }

    fn tls(&self, name: &str) -> Option<CowVal<'_, '_>> {
        let tls = self.meta.tls.as_deref()?;
        Some(match name {
            "subject" => text(tls.subject.as_deref()?),
            "sans" => lent(
                self.sans
                    .get_or_init(|| texts(tls.sans.iter().map(String::as_str))),
            ),
            "sni" => text(tls.sni.as_deref()?),
            _ => return None,
        })
    }
}

/// [`Facts`] with those of one item: a tool, a resource, a prompt.
pub(crate) struct RequestFacts<'s, 'a> {
    shared: &'s Facts<'a>,
    request: &'s AccessRequest<'s>,
    uri: &'s str,
    arguments: OnceLock<Result<Box<dyn Val + 's>, String>>,
    annotations: OnceLock<CelMap<'s>>,
}

impl RequestFacts<'_, '_> {
    /// Reads the arguments, so that what is wrong with them is known before they are looked at.
    pub(super) fn arguments(&self, limits: &ArgumentLimits) -> Result<(), &str> {
        let read = self.arguments.get_or_init(|| match self.request.arguments {
            Some(arguments) => json::arguments(arguments.as_raw().as_str(), limits),
            None => Ok(Box::new(CelMap::default())),
        });
        match read {
            Ok(_) => Ok(()),
            Err(message) => Err(message),
        }
    }

    pub(crate) fn steps_left(&self) -> u64 {
        self.shared.steps_left()
    }

    /// Takes steps from those of all evaluations. Two threads never decide one request.
    pub(super) fn spend(&self, steps: u64) {
        let left = self.steps_left().saturating_sub(steps);
        self.shared.steps.store(left, Ordering::Relaxed);
    }

    pub(super) const fn feature(&self) -> Feature {
        self.request.feature
    }

    fn item(&self, name: &str) -> Option<CowVal<'_, '_>> {
        let request = self.request;
        let is = |feature: Feature| (request.feature == feature).then_some(());
        Some(match name {
            "method" => text(request.method),
            "server" => text(request.server),
            "protocol_version" => text(self.shared.meta.protocol_version?),
            "client.name" => text(self.shared.client().name.as_deref()?),
            "client.version" => text(self.shared.client().version.as_deref()?),
            "tool.name" => is(Feature::Tool).map(|()| text(request.name))?,
            "tool.annotations" => {
                let tool = request.tool?;
                lent(self.annotations.get_or_init(|| annotations(tool)))
            }
            "tool.arguments" => is(Feature::Tool).and_then(|()| self.given())?,
            "resource.uri" => match request.feature {
                Feature::Resource | Feature::ResourceTemplate => text(self.uri),
                _ => return None,
            },
            "prompt.name" => is(Feature::Prompt).map(|()| text(request.name))?,
            "prompt.arguments" => is(Feature::Prompt).and_then(|()| self.given())?,
            _ => return None,
        })
    }

    fn given(&self) -> Option<CowVal<'_, '_>> {
        if self.request.phase == Phase::List {
            return None;
        }
        let tree = self.arguments.get()?.as_ref().ok()?;
        Some(CowVal::Borrowed(&**tree))
    }

    fn has(&self, name: &str) -> bool {
        match name {
            "mcp.tool" => self.request.feature == Feature::Tool,
            "mcp.resource" => self.fact("mcp.resource.uri").is_some(),
            "mcp.prompt" => self.request.feature == Feature::Prompt,
            "mcp.client" => self.shared.meta.client_info.is_some(),
            _ => self.fact(name).is_some(),
        }
    }
}

impl Source for RequestFacts<'_, '_> {
    fn fact<'b>(&'b self, name: &str) -> Option<CowVal<'b, 'b>> {
        if let Some(name) = name.strip_prefix('?') {
            return Some(truth(self.has(name)));
        }
        let shared = self.shared;
        match name.split_once('.') {
            Some(("mcp", rest)) => self.item(rest),
            Some(("identity", rest)) => shared.identity(rest),
            Some(("consumer", rest)) => shared.consumer(rest),
            Some(("request", rest)) => shared.request(rest),
            Some(("source", "ip")) => {
                let addr = shared.meta.client_addr?.to_canonical();
                Some(CowVal::owned(CelString::from(addr.to_string())))
            }
            Some(("tls", rest)) => shared.tls(rest),
            None if matches!(name, "jwt" | "oauth") => {
                let caller = shared.caller;
                Some(lent(
                    shared.claims.get_or_init(|| json::map(&caller.claims)),
                ))
            }
            _ => None,
        }
    }
}

fn text(text: &str) -> CowVal<'_, '_> {
    CowVal::owned(CelString::from(text))
}

fn truth<'b>(truth: bool) -> CowVal<'b, 'b> {
    CowVal::owned(CelBool::from(truth))
}

fn lent<'b, 'v: 'b, V: Val + 'v>(value: &'b V) -> CowVal<'b, 'b> {
    CowVal::Borrowed(value)
}

fn texts<'v>(texts: impl Iterator<Item = &'v str>) -> CelList<'v> {
    let texts: Vec<Box<dyn Val + 'v>> = texts
        .map(|text| -> Box<dyn Val + 'v> { Box::new(CelString::from(text)) })
        .collect();
    CelList::from(texts)
}

/// The upstream's hints, with what MCP says of a tool that gives none: the worst.
fn annotations(tool: &ToolSpec) -> CelMap<'_> {
    let hints = tool.annotations();
    let mut members: HashMap<CelMapKey<'_>, Box<dyn Val + '_>> = [
        ("readOnlyHint", hints.is_read_only()),
        ("destructiveHint", hints.is_destructive()),
        ("idempotentHint", hints.is_idempotent()),
        ("openWorldHint", hints.open_world_hint.unwrap_or(true)),
    ]
    .into_iter()
    .map(|(name, hint)| {
        let hint: Box<dyn Val> = Box::new(CelBool::from(hint));
        (CelMapKey::from(name), hint)
    })
    .collect();
    if let Some(title) = &hints.title {
        members.insert(
            CelMapKey::from("title"),
            Box::new(CelString::from(title.as_str())),
        );
    }
    CelMap::from(members)
}

/// The parameters of a query, decoded (`application/x-www-form-urlencoded`); of several with one
/// name the first.
fn query<'v>(text: &str) -> CelMap<'v> {
    let mut members: HashMap<CelMapKey<'v>, Box<dyn Val + 'v>> = HashMap::new();
    for pair in text.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        members
            .entry(CelMapKey::from(decoded(name)))
            .or_insert_with(|| Box::new(CelString::from(decoded(value))));
    }
    CelMap::from(members)
}

fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'+', _, _) => bytes.push(b' '),
            (b'%', Some(high), Some(low)) => {
                bytes.push(
                    u8::try_from(high.saturating_mul(16).saturating_add(low)).unwrap_or(b'?'),
                );
                rest = ahead;
            }
            (other, _, _) => bytes.push(other),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

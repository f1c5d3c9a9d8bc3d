//! Audit events as they are kept.

use std::time::Duration;

use mcp_gw_core::{AuditEvent, Effect, ObjectWriter, RawJson};

use super::Time;

/// Names an event before it is stored, so that it is stored once however often that is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventId([u8; 16]);

impl EventId {
    /// The id with these bytes, which no other event may have.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// The bytes.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

/// What happened to one request, or what somebody did to the gateway. Holds neither arguments nor
/// results nor credentials.
///
/// U+0000 becomes U+FFFD in all texts, and texts longer than 4,096 characters are cut, as not every
/// database takes the former and nobody reads the latter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AuditRecord {
    /// Makes storing it twice the same as storing it once.
    pub event_id: Option<EventId>,
    /// When it began.
    pub time: Time,
    /// How long it took.
    pub duration: Duration,
    /// The id of the request.
    pub request_id: String,
    /// How the caller was connected.
    pub transport: String,
    /// The client's address.
    pub client_addr: Option<String>,
    /// The revision of MCP that the client speaks.
    pub protocol_version: Option<String>,
    /// Who asked; empty when credentials were refused.
    pub caller_id: String,
    /// What kind of caller that is.
    pub caller_kind: String,
    /// The MCP method, or what was done.
    pub method: String,
    /// The tool, resource or prompt, or what it was done to.
    pub name: Option<String>,
    /// The server that it is of.
    pub server: Option<String>,
    /// What the policy said: `allow` or `deny`.
    pub effect: Option<String>,
    /// The kind of reason.
    pub reason: Option<String>,
    /// The ids of the rules that decided.
    pub reasons: Vec<String>,
    /// Which policy decided.
    pub policy_version: Option<String>,
    /// How it ended.
    pub outcome: String,
    /// The error in full, for the log.
    pub error: Option<String>,
    /// True when the request may have reached the server.
    pub backend_asked: bool,
    /// Length of the arguments in bytes.
    pub request_bytes: u64,
    /// Length of the result in bytes.
    pub response_bytes: u64,
    /// A JSON object with whatever else there is to say: `name_known`, `feature`, `policy_us`,
    /// `shadow_effect`, `shadow_reasons`, `errored_rules`, `policy_errors`, `items`, `items_visible`.
    pub details: Option<RawJson>,
}

impl AuditRecord {
    /// Something that was done at `time` by `caller_id`, with this outcome.
    pub fn new(
        time: Time,
        caller_id: impl Into<String>,
        method: impl Into<String>,
        outcome: impl Into<String>,
    ) -> Self {
        Self {
            event_id: None,
            time,
            duration: Duration::ZERO,
            request_id: String::new(),
            transport: String::new(),
            client_addr: None,
            protocol_version: None,
            caller_id: caller_id.into(),
            caller_kind: String::new(),
            method: method.into(),
            name: None,
            server: None,
            effect: None,
            reason: None,
            reasons: Vec::new(),
            policy_version: None,
            outcome: outcome.into(),
            error: None,
            backend_asked: false,
            request_bytes: 0,
            response_bytes: 0,
            details: None,
        }
    }

    /// What is kept of an event of the gateway.
    pub fn of(event: &AuditEvent) -> Self {
        let outcome = event.outcome.as_str();
        Self {
            duration: event.duration,
            request_id: event.request_id.to_string(),
            transport: event.transport.as_str().to_owned(),
            client_addr: event.client_addr.map(|addr| addr.to_string()),
            protocol_version: event.protocol_version.map(str::to_owned),
            caller_kind: event.caller_kind.as_str().to_owned(),
            name: event.name.as_deref().map(str::to_owned),
            server: event.server.as_deref().map(str::to_owned),
            effect: event.effect.map(|effect| effect.as_str().to_owned()),
            reason: event.reason.map(str::to_owned),
            reasons: event.reasons.iter().map(ToString::to_string).collect(),
            policy_version: event.policy_version.map(|version| version.to_string()),
            error: event.error.clone(),
            backend_asked: event.backend_asked,
            request_bytes: u64::try_from(event.request_bytes).unwrap_or(u64::MAX),
            response_bytes: u64::try_from(event.response_bytes).unwrap_or(u64::MAX),
            details: details(event),
            ..Self::new(event.time.into(), &*event.caller_id, event.method, outcome)
        }
    }

    /// The record as every store keeps it.
    pub(crate) fn tamed(mut self) -> Self {
        let texts = [
            &mut self.request_id,
            &mut self.transport,
            &mut self.caller_id,
            &mut self.caller_kind,
            &mut self.method,
            &mut self.outcome,
        ];
        let maybe = [
            &mut self.client_addr,
            &mut self.protocol_version,
            &mut self.name,
            &mut self.server,
            &mut self.effect,
            &mut self.reason,
            &mut self.policy_version,
            &mut self.error,
        ];
        let maybe = maybe.into_iter().filter_map(Option::as_mut);
        texts
            .into_iter()
            .chain(maybe)
            .chain(&mut self.reasons)
            .for_each(tame);
        self.reasons.truncate(1_000);
        self.duration = Duration::from_micros(int(self.duration.as_micros()).unsigned_abs());
        self.request_bytes = int(u128::from(self.request_bytes)).unsigned_abs();
        self.response_bytes = int(u128::from(self.response_bytes)).unsigned_abs();
        self.details = self.details.filter(|it| it.len() <= 65_536);
        self
    }
}

/// As far as a database can count.
fn int(number: u128) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn tame(text: &mut String) {
    if let Some((end, _)) = text.char_indices().nth(4_096) {
        text.truncate(end);
    }
    if text.contains('\0') {
        *text = text.replace('\0', "\u{fffd}");
    }
}

fn details(event: &AuditEvent) -> Option<RawJson> {
    let mut out = ObjectWriter::with_capacity(64);
    let strings = |list: &mut dyn Iterator<Item = String>| -> Vec<RawJson> {
        list.map(|text| RawJson::string(&text)).collect()
    };
    let mut any = false;
    if event.name.is_some() {
        out = out.boolean("name_known", event.name_known);
        any = true;
    }
    if let Some(feature) = event.feature {
        out = out.string("feature", feature.as_str());
        any = true;
    }
    if let Some(took) = event.policy_duration {
        out = out.integer("policy_us", int(took.as_micros()));
        any = true;
    }
    if let Some(shadow) = &event.shadow {
        let reasons = strings(&mut shadow.reasons.iter().map(ToString::to_string));
        out = out
            .string("shadow_effect", Effect::as_str(shadow.effect))
            .array("shadow_reasons", &reasons);
        any = true;
    }
    for (name, list) in [
        (
            "errored_rules",
            strings(&mut event.errored_rules.iter().map(ToString::to_string)),
        ),
        (
            "policy_errors",
            strings(&mut event.policy_errors.iter().cloned()),
        ),
    ] {
        if !list.is_empty() {
            out = out.array(name, &list);
            any = true;
        }
    }
    if let Some((all, visible)) = event.items {
        let count = |number: usize| i64::try_from(number).unwrap_or(i64::MAX);
        out = out
            .integer("items", count(all))
            .integer("items_visible", count(visible));
        any = true;
    }
    any.then(|| out.finish())
}

/// An event with its place in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoredEvent {
    /// Its number: rises with the order of storing, with gaps. Where several processes write at once,
    /// an event may turn up a moment later than one with a higher number.
    pub seq: i64,
    /// The event.
    pub record: AuditRecord,
}

impl StoredEvent {
    pub(crate) const fn new(seq: i64, record: AuditRecord) -> Self {
        Self { seq, record }
    }
}

/// Which events. All that is set must hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AuditQuery {
    /// Begun at this time or later.
    pub from: Option<Time>,
    /// Begun before this time.
    pub to: Option<Time>,
    /// Asked by this caller.
    pub caller_id: Option<String>,
    /// About this tool, resource or prompt.
    pub name: Option<String>,
    /// Of this server.
    pub server: Option<String>,
    /// With this method.
    pub method: Option<String>,
    /// Ended so.
    pub outcome: Option<String>,
}

impl AuditQuery {
    /// All events.
    pub fn new() -> Self {
        Self::default()
    }

    /// Which texts are asked for, as pairs of column and text.
    pub(crate) fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("caller_id", &self.caller_id),
            ("name", &self.name),
            ("server", &self.server),
            ("method", &self.method),
            ("outcome", &self.outcome),
        ]
        .into_iter()
        .filter_map(|(column, text)| Some((column, text.as_deref()?)))
    }

    pub(crate) fn takes(&self, record: &AuditRecord) -> bool {
        self.from.is_none_or(|from| from <= record.time)
            && self.to.is_none_or(|to| record.time < to)
            && self.texts().all(|(column, wanted)| {
                let text = match column {
                    "caller_id" => Some(&record.caller_id),
                    "name" => record.name.as_ref(),
                    "server" => record.server.as_ref(),
                    "method" => Some(&record.method),
                    _ => Some(&record.outcome),
                };
                text.is_some_and(|text| text == wanted)
            })
    }
}

/// How long audit events are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Retention {
    /// Events that began longer ago are deleted.
    pub max_age: Option<Duration>,
    /// Of more events than this the oldest are deleted.
    pub max_events: Option<u64>,
}

impl Retention {
    /// For ever.
    pub const fn forever() -> Self {
        Self {
            max_age: None,
            max_events: None,
        }
    }

    /// For this long.
    pub const fn of_age(max_age: Duration) -> Self {
        Self {
            max_age: Some(max_age),
            max_events: None,
        }
    }

    /// The last so many.
    pub const fn of_count(max_events: u64) -> Self {
        Self {
            max_age: None,
            max_events: Some(max_events),
        }
    }
}

#[cfg(test)]
mod tests;

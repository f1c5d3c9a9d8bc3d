//! For whom a connection of its own is opened to a server of an old revision, and what is declared
//! there: capabilities are fixed in the handshake, so clients of different capability cannot share.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use mcp_gw_core::{
    CallContext, CallerKind, ClientRef, JsonText, LogLevel, Members, ObjectWriter, RawJson,
    SessionKey,
};

use crate::era::{Era, Hello};

/// The extension for tasks, whose results only clients of 2026-07-28 understand.
pub(crate) const TASKS: &str = "io.modelcontextprotocol/tasks";

/// The method that asks a client for its roots.
pub(crate) const ROOTS: &str = "roots/list";

/// What a server can ask a client for, by the capability that covers it.
const ASKABLE: [(&str, &str); 3] = [
    ("sampling", "sampling/createMessage"),
    ("elicitation", "elicitation/create"),
    ("roots", ROOTS),
];

static NUMBERS: AtomicU64 = AtomicU64::new(0);

/// Tells connections apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    who: Who,
    capabilities: Box<str>,
    /// Of requests without a session, which each say it anew.
    level: Option<LogLevel>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Who {
    Session(SessionKey),
    Caller(CallerKey),
}

/// Tells callers apart.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct CallerKey {
    kind: CallerKind,
    pub(crate) id: Arc<str>,
    issuer: Arc<str>,
}

impl CallerKey {
    fn of(client: &ClientRef) -> Self {
        Self {
            kind: client.caller.kind,
            id: Arc::clone(&client.caller.id),
            issuer: Arc::clone(&client.caller.issuer),
        }
    }
}

impl Key {
    /// One for each client that subscribes, whether it has a connection of its own or not, and
    /// whatever it has logged: all connections of its own are of this one.
    pub(crate) fn watcher(client: &ClientRef) -> Self {
        let who = Who::of(client);
        let capabilities = match who {
            // They are what they were when the session began.
            Who::Session(_) => Box::default(),
            Who::Caller(_) => {
                let declared = client.capabilities.clone().unwrap_or_default();
                let members = declared.members().unwrap_or_default();
                truth(&declared, &members, false).as_str().into()
            }
        };
        Self {
            who,
            capabilities,
            level: None,
        }
    }

    /// The same for the client whose connection this is the key of.
    pub(crate) fn as_watcher(&self) -> Self {
        let capabilities = match self.who {
            Who::Session(_) => Box::default(),
            Who::Caller(_) => self.capabilities.clone(),
        };
        Self {
            who: self.who.clone(),
            capabilities,
            level: None,
        }
    }
}

impl Who {
    fn of(client: &ClientRef) -> Self {
        match &client.session {
            Some(session) => Self::Session(session.clone()),
            None => Self::Caller(CallerKey::of(client)),
        }
    }
}

/// For whom a connection was opened.
pub(crate) struct Owner {
    /// Tells it from others.
    pub(crate) key: Key,
    /// The same, for one connection after another and not for ever: no other has this number.
    pub(crate) number: u64,
    /// The client, as its subscriptions know it.
    pub(crate) watcher: Key,
    /// Whose client it is.
    pub(crate) caller: CallerKey,
    /// The client's session; clients of revisions from 2026-07-28 on have none.
    pub(crate) session: Option<SessionKey>,
    /// What is declared to the server: a `ClientCapabilities` object.
    pub(crate) capabilities: RawJson,
    covers: [bool; ASKABLE.len()],
    /// True when the client tells of changes of its roots.
    pub(crate) tells_roots: bool,
}

impl Owner {
    /// For whom the connection of this client must be; `None` for everybody.
    pub(crate) fn of(client: &ClientRef, hello: &Hello) -> Option<Self> {
        if hello.era == Era::Modern {
            return None;
        }
        let declared = client.capabilities.clone().unwrap_or_default();
        let members = declared.members().unwrap_or_default();
        let covers = covered(&members);
        let level = client.log_level.filter(|_| hello.has("logging"));
        if !covers.contains(&true) && level.is_none() {
            return None;
        }
        let session = client.session.clone();
        let capabilities = truth(&declared, &members, session.is_some());
        let roots = members.get("roots").map(|roots| declared.slice(roots));
        let tells_roots = session.is_some()
            && roots
                .and_then(|roots| roots.member("listChanged").ok()?)
                .is_some_and(|says| says.as_str() == "true");
        let key = Key {
            level: level.filter(|_| session.is_none()),
            who: Who::of(client),
            capabilities: capabilities.as_str().into(),
        };
        Some(Self {
            watcher: key.as_watcher(),
            caller: CallerKey::of(client),
            key,
            number: NUMBERS.fetch_add(1, Ordering::Relaxed),
            session,
            capabilities,
            covers,
            tells_roots,
        })
    }

    /// True when this client can be asked something.
    pub(crate) fn can_be_asked(client: &ClientRef) -> bool {
        let declared = client.capabilities.as_ref();
        let members = declared.and_then(|declared| declared.members().ok());
        covered(&members.unwrap_or_default()).contains(&true)
    }

    /// True when the client can be asked for something, and does not want log messages alone.
    pub(crate) fn covers_any(&self) -> bool {
        self.covers.contains(&true)
    }

    /// True when the client can be asked for this.
    pub(crate) fn covers(&self, method: &str) -> bool {
        let mut all = ASKABLE.iter().zip(self.covers);
        all.any(|((_, covered), is_declared)| is_declared && *covered == method)
    }
}

fn covered(members: &Members<'_>) -> [bool; ASKABLE.len()] {
    let has = |name| members.get(name).is_some_and(|value| value.get() != "null");
    ASKABLE.map(|(capability, _)| has(capability))
}

/// Capabilities may lead to what somebody wrote; their names are enough.
impl fmt::Debug for Owner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Owner")
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// What the gateway can keep of what the client declares, in the handshake of an old revision:
/// tasks are not relayed there, and only a client with a session tells of changes of its roots.
fn truth(declared: &RawJson, members: &Members<'_>, has_session: bool) -> RawJson {
    let mut out = ObjectWriter::with_capacity(declared.len());
    for (name, value) in members.iter() {
        let without: &[&str] = match name {
            "tasks" => continue,
            "extensions" => &[TASKS],
            "roots" if !has_session => &["listChanged"],
            _ => &[],
        };
        out = match less(value, without) {
            Some(value) => out.raw(name, &value),
            None => out.raw_value(name, value),
        };
    }
    out.finish()
}

/// The object `value` without these members; `None` when it has none of them.
fn less(value: JsonText<'_>, without: &[&str]) -> Option<RawJson> {
    let members: Members<'_> = serde_json::from_str(value.get()).ok()?;
    without
        .iter()
        .any(|name| members.get(name).is_some())
        .then(|| ObjectWriter::default().members(&members, without).finish())
}

/// The client's capabilities as they are declared to a server of 2026-07-28: all of them, but tasks
/// only for clients of that revision.
pub(crate) fn declared(ctx: &CallContext) -> RawJson {
    let Some(all) = ctx.link().capabilities().filter(RawJson::is_object) else {
        return RawJson::empty_object();
    };
    if crate::ask::is_modern(ctx) {
        return all;
    }
    let Ok(members) = all.members() else {
        return RawJson::empty_object();
    };
    match members
        .get("extensions")
        .and_then(|found| less(found, &[TASKS]))
    {
        None => all,
        Some(rest) => ObjectWriter::default()
            .members(&members, &["extensions"])
            .raw("extensions", &rest)
            .finish(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::atomic::AtomicBool;

    use async_trait::async_trait;
    use mcp_gw_core::testing::context_of;
    use mcp_gw_core::{
        CallNotification, Caller, ClientLink, ClientLinkError, Incoming, RequestMeta, Transport,
    };

    use super::*;

    struct Link(RawJson);

    #[async_trait]
    impl ClientLink for Link {
        fn notify(&self, _: CallNotification) {}

        fn wants_progress(&self) -> bool {
            false
        }

        fn capabilities(&self) -> Option<RawJson> {
            Some(self.0.clone())
        }

        async fn request(&self, _: &str, _: RawJson) -> Result<RawJson, ClientLinkError> {
            Err(ClientLinkError::Gone)
        }
    }

    pub(crate) fn context(
        capabilities: &str,
        session: Option<&str>,
        level: Option<LogLevel>,
    ) -> CallContext {
        context_as(Caller::local(), capabilities, session, level)
    }

    pub(crate) fn context_as(
        caller: Caller,
        capabilities: &str,
        session: Option<&str>,
        level: Option<LogLevel>,
    ) -> CallContext {
        let meta = RequestMeta::new("1", Transport::InProcess)
            .with_session(session.map(SessionKey::new))
            .with_log_level(level);
        let link = Link(RawJson::parse(capabilities.to_owned()).unwrap());
        context_of(Incoming::new(caller, meta).with_link(Arc::new(link)))
    }

    pub(crate) fn hello(era: Era, capabilities: &str) -> Hello {
        Hello {
            era,
            version: "2025-11-25",
            capabilities: RawJson::parse(capabilities.to_owned()).ok(),
            instructions: None,
            is_used: AtomicBool::new(false),
            hint: None,
        }
    }

    #[test]
    fn only_who_can_be_asked_or_wants_logs_that_there_are_needs_a_connection() {
        let (old, logging) = (
            hello(Era::Legacy, "{}"),
            hello(Era::Legacy, r#"{"logging":{}}"#),
        );
        let level = Some(LogLevel::Info);
        for (capabilities, level, hello, expected) in [
            ("{}", None, &logging, false),
            ("null", None, &logging, false),
            ("[1]", None, &logging, false),
            (r#"{"experimental":{},"extensions":{}}"#, None, &old, false),
            (r#"{"roots":null}"#, None, &old, false),
            (r#"{"roots":{}}"#, None, &old, true),
            ("{}", level, &old, false),
            ("{}", level, &logging, true),
            (
                r#"{"sampling":{}}"#,
                level,
                &hello(Era::Modern, r#"{"logging":{}}"#),
                false,
            ),
        ] {
            let ctx = context(capabilities, Some("s"), level);
            let owner = Owner::of(&ctx.client(), hello);
            assert_eq!(owner.is_some(), expected, "{capabilities} {level:?}");
        }
    }

    #[test]
    fn a_connection_is_for_one_session_or_for_one_caller_and_level() {
        let hello = hello(Era::Legacy, r#"{"logging":{}}"#);
        let key = |session, level| {
            let ctx = context(r#"{"roots":{}}"#, session, Some(level));
            Owner::of(&ctx.client(), &hello).unwrap().key
        };
        let (info, error) = (LogLevel::Info, LogLevel::Error);
        assert_eq!(key(Some("s"), info), key(Some("s"), error));
        assert_ne!(key(Some("s"), info), key(Some("t"), info));
        assert_ne!(key(None, info), key(None, error));
        // A session cannot be named so that it is taken for a caller.
        assert_ne!(key(Some("local"), info), key(None, info));
    }

    #[test]
    fn only_what_was_declared_is_covered() {
        let hello = hello(Era::Legacy, "{}");
        let ctx = context(r#"{"elicitation":{},"tools":{}}"#, None, None);
        let owner = Owner::of(&ctx.client(), &hello).unwrap();
        assert!(owner.covers("elicitation/create"));
        for other in ["roots/list", "sampling/createMessage", "tools/call", ""] {
            assert!(!owner.covers(other), "{other}");
        }
    }
}

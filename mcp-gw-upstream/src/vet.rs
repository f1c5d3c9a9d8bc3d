//! What a server lists on a new connection may have to be judged before requests of clients go there:
//! whoever started a process again may have started another one.

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use mcp_gw_core::{BackendError, BoxError, CompletionRef, Feature, Offer, RawJson, TaskMethod};
use tokio::time::Instant;

use crate::ask::{Ask, SUBSCRIBE};
use crate::channel::{Channel, Met as _, Verdict};
use crate::era::Hello;
use crate::offer::{self, Lists};
use crate::settings::Settings;

/// What was refused is looked at again after this time: it may be what it was before.
const AGAIN: Duration = Duration::from_secs(1);

/// Judges what a server lists on a connection, before anything of a client goes there.
///
/// It is asked for each connection: each process, each session, those that all clients share and those
/// of clients' own; again when the server says that its lists have changed, and when something was
/// refused a while ago. Requests of clients wait for it; the lists themselves do not. Where the lists
/// cannot be read or judged, requests fail with [`BackendError::Unavailable`], and the next one
/// begins anew.
#[async_trait]
pub trait Vet: fmt::Debug + Send + Sync + 'static {
    /// False when no request has to wait now.
    fn is_needed(&self) -> bool;

    /// Judges an offer, of which only the tools and prompts are there.
    ///
    /// # Errors
    /// When it cannot be judged now.
    async fn vet(self: Arc<Self>, offer: Offer) -> Result<Arc<dyn Judgement>, BoxError>;

    /// True while nothing of the server may reach a client but the results of calls that are under way:
    /// what it asks is answered with an error, and what it tells of these calls is dropped.
    fn is_silenced(&self) -> bool {
        false
    }
}

/// What came of the look at a connection.
pub trait Judgement: fmt::Debug + Send + Sync + 'static {
    /// True when a request about this item must not go there. A request that is about none asks for the
    /// resource with no URI.
    fn refuses(&self, feature: Feature, name: &str) -> bool;
}

/// What is known of the lists of one connection.
#[derive(Debug, Default)]
pub(crate) struct Vetted {
    judgement: Mutex<Option<(Arc<dyn Judgement>, Instant)>>,
    /// One at a time reads them.
    turn: tokio::sync::Mutex<()>,
    /// Why that failed the last time.
    failure: Mutex<String>,
    /// How often that failed.
    failures: AtomicU64,
    /// How often what was known was forgotten.
    forgotten: AtomicU64,
    /// The server at the other end was judged once, and what it says of its own accord may be heard.
    may_speak: AtomicBool,
}

impl Vetted {
    /// There may be another server at the other end: it is judged anew, and not heard before.
    pub(crate) fn forget(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        let mut slot = lock(&self.judgement);
        self.may_speak.store(false, Ordering::SeqCst);
        *slot = None;
    }

    /// The server lists something else, or may again what it did: it is judged anew.
    pub(crate) fn look_again(&self) {
        self.forgotten.fetch_add(1, Ordering::SeqCst);
        *lock(&self.judgement) = None;
    }

    /// True when the server at the other end was judged, and not refused as a whole.
    pub(crate) fn may_speak(&self) -> bool {
        self.may_speak.load(Ordering::SeqCst)
    }

    #[cfg(test)]
    pub(crate) fn let_speak(&self) {
        self.may_speak.store(true, Ordering::SeqCst);
    }

    fn now(&self) -> Option<(Arc<dyn Judgement>, Instant)> {
        lock(&self.judgement).clone()
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a request is about; `None` for those of the gateway's own, which need not wait.
fn item<'a>(ask: &Ask<'a>) -> Option<(Feature, &'a str)> {
    match *ask {
        Ask::Tool(call) => Some((Feature::Tool, &call.name)),
        Ask::Resource(read) => Some((Feature::Resource, &read.uri)),
        Ask::Prompt(get) => Some((Feature::Prompt, &get.name)),
        Ask::Complete(completion) => Some(match &completion.reference {
            CompletionRef::Prompt(name) => (Feature::Prompt, name),
            CompletionRef::Resource(uri) => (Feature::Resource, uri),
            _ => (Feature::Resource, ""),
        }),
        // What goes on there may be ended.
        Ask::Task(ask) if ask.method == TaskMethod::Cancel => None,
        Ask::Task(_) => Some((Feature::Resource, "")),
        Ask::Uri { method, uri } if method == SUBSCRIBE => Some((Feature::Resource, uri)),
        Ask::Uri { .. }
        | Ask::List { .. }
        | Ask::Discover
        | Ask::Initialize { .. }
        | Ask::SetLevel(_)
        | Ask::Ping
        | Ask::Listen { .. } => None,
    }
}

/// Comes back when this request may go on this connection.
pub(crate) async fn admit<C: Channel + ?Sized>(
    channel: &C,
    connection: &Arc<C::Own>,
    ask: &Ask<'_>,
) -> Result<(), Verdict> {
    let settings = &channel.common().settings;
    let Some(vet) = settings.vet.as_ref().filter(|vet| vet.is_needed()) else {
        return Ok(());
    };
    let Some((feature, name)) = item(ask) else {
        return Ok(());
    };
    let vetted = &connection.desk().vetted;
    if let Some((judgement, since)) = vetted.now() {
        if !judgement.refuses(feature, name) {
            return Ok(());
        }
        if since.elapsed() > AGAIN {
            vetted.look_again();
        }
    }
    let judgement = look(channel, connection, vet).await?;
    if !judgement.refuses(feature, name) {
        return Ok(());
    }
    Err(Verdict::Final(match ask {
        Ask::Task(_) => settings.unavailable("it is blocked until its offer is approved"),
        _ => BackendError::NotFound {
            feature,
            name: name.to_owned(),
        },
    }))
}

/// Reads the lists of a connection, or waits until somebody else has.
async fn look<C: Channel + ?Sized>(
    channel: &C,
    connection: &Arc<C::Own>,
    vet: &Arc<dyn Vet>,
) -> Result<Arc<dyn Judgement>, Verdict> {
    let settings = &channel.common().settings;
    let vetted = &connection.desk().vetted;
    let failures = vetted.failures.load(Ordering::SeqCst);
    let _turn = vetted.turn.lock().await;
    if let Some((judgement, _)) = vetted.now() {
        return Ok(judgement);
    }
    if vetted.failures.load(Ordering::SeqCst) != failures {
        // All who waited for the same hear the same.
        let reason = lock(&vetted.failure).clone();
        return Err(Verdict::Final(settings.unavailable(reason)));
    }
    let forgotten = vetted.forgotten.load(Ordering::SeqCst);
    let lists = On {
        channel,
        connection,
        is_stale: AtomicBool::new(false),
    };
    let reason = match offer::read_definitions(&lists).await {
        Ok(offer) => match Arc::clone(vet).vet(connection.usable(offer)).await {
            Ok(judgement) => {
                let mut slot = lock(&vetted.judgement);
                if vetted.forgotten.load(Ordering::SeqCst) == forgotten {
                    let may_speak = !judgement.refuses(Feature::Resource, "");
                    vetted.may_speak.store(may_speak, Ordering::SeqCst);
                    *slot = Some((Arc::clone(&judgement), Instant::now()));
                }
                return Ok(judgement);
            }
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    let reason = format!("what it offers on a new connection cannot be judged: {reason}");
    if lists.is_stale.load(Ordering::Relaxed) || !connection.is_alive().await {
        return Err(Verdict::Stale(settings.unavailable(reason)));
    }
    lock(&vetted.failure).clone_from(&reason);
    vetted.failures.fetch_add(1, Ordering::SeqCst);
    Err(Verdict::Final(settings.unavailable(reason)))
}

/// The lists of one connection.
struct On<'a, C: Channel + ?Sized> {
    channel: &'a C,
    connection: &'a Arc<C::Own>,
    /// It is of no use any more.
    is_stale: AtomicBool,
}

impl<C: Channel + ?Sized> Lists for On<'_, C> {
    fn settings(&self) -> &Settings {
        &self.channel.common().settings
    }

    async fn met(&self) -> Result<Arc<Hello>, BackendError> {
        Ok(Arc::clone(self.connection.hello()))
    }

    async fn ask_for_list(&self, ask: Ask<'_>) -> Result<RawJson, BackendError> {
        let outcome = self.channel.once(self.connection, ask, None).await;
        outcome.map_err(|verdict| {
            if matches!(verdict, Verdict::Stale(_)) {
                self.is_stale.store(true, Ordering::Relaxed);
            }
            verdict.into_error()
        })
    }
}

//! The one stream on which a server of 2026-07-28 tells what changes (`subscriptions/listen`): with
//! the union of what is wanted, opened anew when that changes or when it breaks.

use std::collections::BTreeSet;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use mcp_gw_core::{BackendError, BackendEvent, ObjectWriter, RawJson};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use crate::era::{Hello, rpc_code};
use crate::notice::Events;
use crate::settings::Settings;
use crate::subscriptions::Subscriptions;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How a stream ended, or why there is none.
#[derive(Debug)]
pub(crate) enum End {
    /// The server has no such method.
    NotServed,
    /// It does not take this request.
    Refused(RawJson),
    /// It has said that this is the end.
    Closed,
    /// It broke, or could not be opened.
    Broken,
}

impl End {
    /// What a JSON-RPC error means.
    pub(crate) fn of_error(error: RawJson) -> Self {
        if rpc_code(&error) == Some(mcp_gw_core::code::METHOD_NOT_FOUND) {
            Self::NotServed
        } else {
            Self::Refused(error)
        }
    }
}

/// A way to open such a stream.
pub(crate) trait Opener: Send + Sync + 'static {
    /// Opens a stream for `filter`, hands over the params of the acknowledgement, emits what is
    /// told, and comes back when the stream has ended. Dropping it closes the stream.
    fn open(
        &self,
        filter: RawJson,
        acknowledged: oneshot::Sender<RawJson>,
    ) -> impl Future<Output = End> + Send;
}

/// What is watched by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Resource,
    Task,
}

impl Kind {
    const fn member(self) -> &'static str {
        match self {
            Self::Resource => "resourceSubscriptions",
            Self::Task => "taskIds",
        }
    }

    /// The method that clients want it by: those of old revisions have one for resources alone.
    const fn wanted_by(self) -> &'static str {
        match self {
            Self::Resource => "resources/subscribe",
            Self::Task => "subscriptions/listen",
        }
    }
}

/// What is wanted of a server, and what it has agreed to; outlives its connections.
pub(crate) struct Listening {
    events: Arc<Events>,
    wanted: Mutex<Wanted>,
    /// The version of what is wanted.
    changed: watch::Sender<u64>,
    agreed: watch::Sender<Agreed>,
    /// Who watches which task.
    pub(crate) tasks: Subscriptions,
}

#[derive(Debug, Default)]
struct Wanted {
    resources: BTreeSet<Arc<str>>,
    tasks: BTreeSet<Arc<str>>,
    version: u64,
    /// A stream was open once: when there is another one, something may have been missed.
    was_open: bool,
}

impl Wanted {
    const fn of(&mut self, kind: Kind) -> &mut BTreeSet<Arc<str>> {
        match kind {
            Kind::Resource => &mut self.resources,
            Kind::Task => &mut self.tasks,
        }
    }
}

/// What came of asking for a version of what is wanted.
#[derive(Debug, Default)]
struct Agreed {
    version: u64,
    outcome: Agreement,
}

#[derive(Debug, Default)]
enum Agreement {
    #[default]
    Nothing,
    Accepted(Accepted),
    Refused(RawJson),
}

/// The subset that a server has acknowledged.
#[derive(Debug, Default)]
struct Accepted {
    resources: BTreeSet<String>,
    tasks: BTreeSet<String>,
}

impl Accepted {
    /// Reads the params of `notifications/subscriptions/acknowledged`.
    fn read(params: &RawJson) -> Self {
        let filter = params.member("notifications").ok().flatten();
        let names = |kind: Kind| {
            let names = filter.as_ref().and_then(|filter| {
                let names = filter.member(kind.member()).ok().flatten()?;
                names.decode_owned::<Vec<String>>().ok()
            });
            names.unwrap_or_default().into_iter().collect()
        };
        Self {
            resources: names(Kind::Resource),
            tasks: names(Kind::Task),
        }
    }

    const fn of(&self, kind: Kind) -> &BTreeSet<String> {
        match kind {
            Kind::Resource => &self.resources,
            Kind::Task => &self.tasks,
        }
    }
}

impl Listening {
    pub(crate) fn new(events: Arc<Events>) -> Self {
        Self {
            events,
            wanted: Mutex::default(),
            changed: watch::Sender::new(0),
            agreed: watch::Sender::default(),
            tasks: Subscriptions::default(),
        }
    }

    /// Wants news of `name`, and waits until the server has agreed. Given up, it is not wanted.
    ///
    /// # Errors
    /// When the server does not agree, or does not say anything.
    pub(crate) async fn want(
        &self,
        settings: &Settings,
        kind: Kind,
        name: &str,
    ) -> Result<(), BackendError> {
        let mut agreed = self.agreed.subscribe();
        let version = self.change(kind, |names| names.insert(name.into()));
        let mut doubt = Doubt(Some((self, kind, name)));
        let answered = agreed.wait_for(|agreed| agreed.version >= version);
        let outcome = match timeout(settings.timeout, answered).await {
            Err(_) | Ok(Err(_)) => Err(settings.timed_out(settings.timeout)),
            Ok(Ok(agreed)) => match &agreed.outcome {
                Agreement::Accepted(accepted) if accepted.of(kind).contains(name) => Ok(()),
                Agreement::Refused(error) => Err(BackendError::Rpc(error.clone())),
                Agreement::Accepted(_) | Agreement::Nothing => Err(BackendError::Unsupported {
                    server: Arc::clone(&settings.server),
                    method: kind.wanted_by(),
                }),
            },
        };
        if outcome.is_ok() {
            doubt.0 = None;
        }
        outcome
    }

    /// Wants news of `name` no more. True when it was wanted.
    pub(crate) fn unwant(&self, kind: Kind, name: &str) -> bool {
        let mut was_wanted = false;
        self.change(kind, |names| {
            was_wanted = names.remove(name);
            was_wanted
        });
        was_wanted
    }

    /// Wants news of what is subscribed to already, of a server that is met as one of the new
    /// revision.
    pub(crate) fn adopt(&self, subscriptions: &Subscriptions) {
        for (uri, ()) in subscriptions.all() {
            self.change(Kind::Resource, |names| names.insert(uri));
        }
    }

    fn change(&self, kind: Kind, change: impl FnOnce(&mut BTreeSet<Arc<str>>) -> bool) -> u64 {
        let mut wanted = self.lock();
        if change(wanted.of(kind)) {
            wanted.version += 1;
        }
        let version = wanted.version;
        drop(wanted);
        self.changed.send_if_modified(|now| {
            let is_newer = *now < version;
            *now = version.max(*now);
            is_newer
        });
        version
    }

    /// What to ask for, and the version of it; `None` when nothing is wanted.
    fn filter(&self, lists: &[&'static str]) -> (u64, Option<RawJson>) {
        let wanted = self.lock();
        let mut filter = ObjectWriter::default();
        for list in lists {
            filter = filter.raw(list, &RawJson::from_serialize(&true).unwrap_or_default());
        }
        let mut is_empty = lists.is_empty();
        for (kind, names) in [
            (Kind::Resource, &wanted.resources),
            (Kind::Task, &wanted.tasks),
        ] {
            if !names.is_empty() {
                let names: Vec<&str> = names.iter().map(|name| &**name).collect();
                let names = RawJson::from_serialize(&names).unwrap_or_default();
                filter = filter.raw(kind.member(), &names);
                is_empty = false;
            }
        }
        (wanted.version, (!is_empty).then(|| filter.finish()))
    }

    fn agree(&self, version: u64, outcome: Agreement) {
        self.agreed.send_replace(Agreed { version, outcome });
    }

    /// A stream is open. When that is not the first one and none was open beside it, everything may
    /// have changed in between.
    fn opened(&self, is_seamless: bool) {
        let resources: Vec<Arc<str>> = {
            let mut wanted = self.lock();
            if !std::mem::replace(&mut wanted.was_open, true) || is_seamless {
                return;
            }
            wanted.resources.iter().map(Arc::clone).collect()
        };
        self.events.emit(BackendEvent::OfferChanged);
        for uri in resources {
            let params = ObjectWriter::default().string("uri", &uri).finish();
            self.events
                .emit(BackendEvent::ResourceUpdated { uri, params });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Listening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening")
            .field("wanted", &*self.lock())
            .finish_non_exhaustive()
    }
}

/// Takes back what the server did not agree to.
struct Doubt<'a>(Option<(&'a Listening, Kind, &'a str)>);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        if let Some((listening, kind, name)) = self.0.take() {
            listening.unwant(kind, name);
        }
    }
}

/// A stream that is being read. Dropping it closes it.
struct Open {
    task: JoinHandle<End>,
    acknowledged: oneshot::Receiver<RawJson>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Open {
    fn begin<O: Opener>(opener: &Arc<O>, filter: RawJson) -> Self {
        let (acknowledge, acknowledged) = oneshot::channel();
        let opener = Arc::clone(opener);
        Self {
            task: tokio::spawn(async move { opener.open(filter, acknowledge).await }),
            acknowledged,
        }
    }

    /// Waits for the acknowledgement.
    async fn acknowledged(&mut self, limit: Duration) -> Result<Accepted, End> {
        tokio::select! {
            biased;
            Ok(params) = &mut self.acknowledged => Ok(Accepted::read(&params)),
            end = &mut self.task => Err(end.unwrap_or(End::Broken)),
            () = sleep(limit) => Err(End::Broken),
        }
    }

    async fn ended(&mut self) -> End {
        (&mut self.task).await.unwrap_or(End::Broken)
    }
}

/// Listens for as long as the connection that `opener` is of is in use.
pub(crate) async fn run<O: Opener>(
    opener: Arc<O>,
    listening: Arc<Listening>,
    settings: Settings,
    hello: Arc<Hello>,
) {
    let lists = lists(&hello);
    let mut changed = listening.changed.subscribe();
    let mut current: Option<Open> = None;
    let mut pause = FIRST_PAUSE;
    loop {
        changed.borrow_and_update();
        let (version, filter) = listening.filter(&lists);
        let failed = match filter {
            None => {
                current = None;
                listening.agree(version, Agreement::Accepted(Accepted::default()));
                None
            }
            Some(filter) => {
                let mut next = Open::begin(&opener, filter);
                match next.acknowledged(settings.timeout).await {
                    Ok(accepted) => {
                        listening.opened(current.is_some());
                        // The one before is closed only now.
                        current = Some(next);
                        pause = FIRST_PAUSE;
                        listening.agree(version, Agreement::Accepted(accepted));
                        None
                    }
                    Err(end) => Some(end),
                }
            }
        };
        let retry = match failed {
            None => None,
            Some(End::NotServed) => {
                listening.agree(version, Agreement::Nothing);
                None
            }
            Some(End::Refused(error)) => {
                log(
                    &settings,
                    "does not take what is asked of its stream of news",
                );
                listening.agree(version, Agreement::Refused(error));
                Some(LONGEST_PAUSE)
            }
            Some(End::Closed | End::Broken) => {
                let now = pause;
                pause = (pause * 2).min(LONGEST_PAUSE);
                Some(now)
            }
        };
        tokio::select! {
            _ = changed.changed() => {}
            () = async { sleep(retry.unwrap_or_default()).await }, if retry.is_some() => {}
            () = lost(&mut current) => {
                log(&settings, "has ended its stream of news");
                current = None;
                sleep(pause).await;
            }
        }
    }
}

/// Comes back when the stream that was open is not any more.
async fn lost(current: &mut Option<Open>) {
    match current {
        Some(open) => {
            open.ended().await;
        }
        None => std::future::pending().await,
    }
}

fn log(settings: &Settings, what: &str) {
    tracing::debug!(
        target: "mcp_gw::upstream",
        server = &*settings.server,
        "the server {what}"
    );
}

/// The lists of which the server says that it tells of changes.
fn lists(hello: &Hello) -> Vec<&'static str> {
    let tells = |name: &str| {
        let capability = hello.capabilities.as_ref()?.member(name).ok()??;
        let tells: bool = capability
            .member("listChanged")
            .ok()??
            .decode_owned()
            .ok()?;
        tells.then_some(())
    };
    [
        ("tools", "toolsListChanged"),
        ("prompts", "promptsListChanged"),
        ("resources", "resourcesListChanged"),
    ]
    .into_iter()
    .filter_map(|(name, member)| tells(name).map(|()| member))
    .collect()
}

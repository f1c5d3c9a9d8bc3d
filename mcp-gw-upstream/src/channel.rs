//! Which connection a request goes on: the one that all share, or one of its client's own; and what
//! happens when that is of no use any more. The same for both transports.

use std::future::Future;
use std::sync::Arc;

use mcp_gw_core::{BackendError, CallContext, ClientRef, Offer, RawJson, SessionKey};

use crate::ask::Ask;
use crate::chores::Chores;
use crate::common::Common;
use crate::desk::Desk;
use crate::era::{Era, Hello};
use crate::lanes::{Connection, Lanes, Seat, Spot, Upkeep};
use crate::owner::{Key, Owner};
use crate::relay;
use crate::room::Bounds;
use crate::single::Single;
use crate::vet;

/// A connection to a server that has said what it speaks.
pub(crate) trait Met: Connection + Sized {
    /// What it takes to open one.
    type Road: AsRef<Common> + Send + Sync + 'static;

    /// Opens the one that all share.
    fn open(
        road: Arc<Self::Road>,
    ) -> impl Future<Output = Result<Self, BackendError>> + Send + 'static;

    /// Opens one for one client, to a server that is known to be of an old revision.
    fn open_own(
        road: Arc<Self::Road>,
        owner: Arc<Owner>,
        memory: Arc<Self::Memory>,
    ) -> impl Future<Output = Result<Self, BackendError>> + Send + 'static;

    fn hello(&self) -> &Arc<Hello>;

    fn desk(&self) -> &Desk;

    /// True while it is of use. Otherwise comes back when its end is on record, so that whoever
    /// opens another knows how often it has ended. To be asked before it is forgotten.
    fn is_alive(&self) -> impl Future<Output = bool> + Send;

    /// What of these lists can be called there.
    fn usable(&self, offer: Offer) -> Offer {
        offer
    }
}

/// Why a request on one connection has no result.
pub(crate) enum Verdict {
    /// It is the answer.
    Final(BackendError),
    /// The request was not looked at; another connection has to be opened first.
    Stale(BackendError),
}

impl Verdict {
    pub(crate) fn into_error(self) -> BackendError {
        match self {
            Self::Final(error) | Self::Stale(error) => error,
        }
    }
}

/// All connections to one server.
#[derive(Debug)]
pub(crate) struct Base<T: Met> {
    pub(crate) road: Arc<T::Road>,
    shared: Single<T>,
    lanes: Lanes<T>,
    chores: Chores,
}

impl<T: Met> Base<T> {
    /// Opens none yet. `orphaned` is told of each client that has lost its last connection.
    pub(crate) fn new(
        road: T::Road,
        bounds: Bounds,
        orphaned: Box<dyn Fn(Key) + Send + Sync>,
    ) -> Self {
        let common = road.as_ref();
        let upkeep = Upkeep {
            watched: Arc::clone(&common.watched),
            extras: Arc::clone(&common.extras),
            orphaned: Some(orphaned),
        };
        Self {
            shared: Single::default(),
            lanes: Lanes::new(common.settings.clone(), bounds, upkeep),
            chores: Chores::default(),
            road: Arc::new(road),
        }
    }

    pub(crate) fn common(&self) -> &Common {
        (*self.road).as_ref()
    }

    /// The connections of clients' own.
    pub(crate) const fn lanes(&self) -> &Lanes<T> {
        &self.lanes
    }

    /// What is done beside all calls.
    pub(crate) const fn chores(&self) -> &Chores {
        &self.chores
    }

    /// The shared connection, if there is one.
    pub(crate) fn shared_now(&self) -> Option<Arc<T>> {
        self.shared.ready()
    }

    /// Lets go of the shared connection, if it is this one. True when it was.
    pub(crate) fn forget_shared(&self, connection: &Arc<T>) -> bool {
        self.shared.forget(connection)
    }

    /// The shared connection; one that is of use, as far as anybody knows.
    async fn shared(&self) -> Result<Arc<T>, BackendError> {
        let open = || T::open(Arc::clone(&self.road));
        let settings = &self.common().settings;
        let connection = self.shared.get(settings, open).await?;
        if connection.is_alive().await {
            return Ok(connection);
        }
        self.shared.forget(&connection);
        self.shared.get(settings, open).await
    }

    /// What the server said of itself; connects when there is no connection.
    pub(crate) async fn hello(&self) -> Result<Arc<Hello>, BackendError> {
        Ok(Arc::clone(self.shared().await?.hello()))
    }

    /// What the server said of itself when it was last met; connects when that was never.
    async fn known(&self) -> Result<Arc<Hello>, BackendError> {
        match self.common().known.get() {
            Some(hello) => Ok(hello),
            None => self.hello().await,
        }
    }

    /// The connection that calls of this client must be on.
    async fn seat(&self, client: &ClientRef) -> Result<Spot<T>, BackendError> {
        let hello = self.known().await?;
        let open = |owner, memory| T::open_own(Arc::clone(&self.road), owner, memory);
        let seat = match self.lanes.seat(&hello, client, open).await? {
            Spot::Own(seat) => seat,
            shared @ Spot::Shared(_) => return Ok(shared),
        };
        if seat.connection.is_alive().await {
            if !seat.connection.desk().is_stale() {
                return Ok(Spot::Own(seat));
            }
            seat.connection.end().await;
        }
        seat.forget();
        drop(seat);
        self.lanes.seat(&hello, client, open).await
    }

    /// The connection that this call must be on.
    async fn seat_of(&self, ctx: &CallContext) -> Result<Spot<T>, BackendError> {
        // Nobody has a connection of its own to a server that asks with its answers.
        if self.known().await?.era == Era::Modern {
            return Ok(Spot::Shared(None));
        }
        self.seat(&ctx.client()).await
    }

    /// Opens the connection of its own of a client that was announced to the lanes, unless it has
    /// ended or needs none.
    pub(crate) async fn open_ahead(
        &self,
        session: &SessionKey,
        client: &ClientRef,
    ) -> Result<(), BackendError> {
        let hello = self.known().await;
        let owner = hello.as_ref().ok();
        let owner = owner.and_then(|hello| Owner::of(client, hello));
        let open = |owner, memory| T::open_own(Arc::clone(&self.road), owner, memory);
        self.lanes.open_ahead(session, owner, open).await?;
        hello.map(drop)
    }

    /// Ends all connections for good.
    pub(crate) async fn end(&self) {
        self.chores.stop();
        let shared = async {
            if let Some(connection) = self.shared.close().await {
                connection.end().await;
            }
        };
        tokio::join!(shared, self.lanes.close());
    }
}

/// A way to ask one server.
pub(crate) trait Channel: Send + Sync + 'static {
    type Own: Met;

    fn base(&self) -> &Base<Self::Own>;

    /// Asks on this connection, once.
    fn once(
        &self,
        connection: &Arc<Self::Own>,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> impl Future<Output = Result<RawJson, Verdict>> + Send;

    /// What the server offers now.
    fn offered(&self) -> impl Future<Output = Result<Offer, BackendError>> + Send;

    /// The server does not answer checks on the shared connection any more.
    fn renew(&self, reason: &str);

    fn common(&self) -> &Common {
        self.base().common()
    }

    /// Asks on this connection, without another try.
    fn ask_on(
        &self,
        connection: &Arc<Self::Own>,
        ask: Ask<'_>,
    ) -> impl Future<Output = Result<RawJson, BackendError>> + Send {
        async move {
            let admitted = vet::admit(self, connection, &ask).await;
            admitted.map_err(Verdict::into_error)?;
            let outcome = self.once(connection, ask, None).await;
            outcome.map_err(Verdict::into_error)
        }
    }

    /// Asks on the connection of its own that this client must have, and keeps it; `None`, and
    /// nothing is asked, when it is served on the shared one.
    fn ask_own(
        &self,
        ask: Ask<'_>,
        client: &ClientRef,
    ) -> impl Future<Output = Result<Option<Seat<Self::Own>>, BackendError>> + Send {
        async move {
            let mut is_first = true;
            loop {
                let Spot::Own(seat) = self.base().seat(client).await? else {
                    return Ok(None);
                };
                let outcome = match vet::admit(self, &seat.connection, &ask).await {
                    Ok(()) => self.once(&seat.connection, ask, None).await,
                    Err(verdict) => Err(verdict),
                };
                match outcome {
                    Ok(_) => return Ok(Some(seat)),
                    Err(Verdict::Stale(_)) if is_first => {
                        is_first = false;
                        let_go(&seat).await;
                    }
                    Err(verdict) => return Err(verdict.into_error()),
                }
            }
        }
    }

    /// Asks, and waits for the result.
    fn ask(
        &self,
        ask: Ask<'_>,
        ctx: Option<&CallContext>,
    ) -> impl Future<Output = Result<RawJson, BackendError>> + Send {
        async move {
            let base = self.base();
            // A connection of a client's own may be stale, and then the shared one as well.
            let (mut stale_own, mut stale_shared) = (false, false);
            loop {
                let spot = match ctx {
                    Some(ctx) => base.seat_of(ctx).await?,
                    None => Spot::Shared(None),
                };
                let connection = match &spot {
                    Spot::Own(seat) => Arc::clone(&seat.connection),
                    Spot::Shared(_) => base.shared().await?,
                };
                let outcome = match vet::admit(self, &connection, &ask).await {
                    Ok(()) => {
                        set_level(self, &connection, ctx).await;
                        self.once(&connection, ask, ctx).await
                    }
                    Err(verdict) => Err(verdict),
                };
                let outcome = match (outcome, &spot) {
                    (Err(Verdict::Stale(_)), Spot::Own(seat)) if !stale_own => {
                        stale_own = true;
                        let_go(seat).await;
                        continue;
                    }
                    (Err(Verdict::Stale(_)), Spot::Shared(_)) if !stale_shared => {
                        stale_shared = true;
                        connection.is_alive().await;
                        base.forget_shared(&connection);
                        continue;
                    }
                    (Ok(result), _) => {
                        Ok(relay::settled(result, connection.hello().era, &ask, ctx))
                    }
                    (Err(Verdict::Stale(error)), _) => {
                        tracing::warn!(
                            target: "mcp_gw::upstream",
                            server = &*self.common().settings.server,
                            method = ask.method(),
                            %error,
                            "a request is given up: a connection that was just opened for it is of no use either"
                        );
                        Err(error)
                    }
                    (Err(Verdict::Final(error)), _) => Err(error),
                };
                return match spot {
                    // What the client is told that asked there.
                    Spot::Shared(Some(lack)) => {
                        lack.explain(&self.common().settings.server, outcome)
                    }
                    _ => outcome,
                };
            }
        }
    }
}

async fn let_go<T: Met>(seat: &Seat<T>) {
    seat.connection.is_alive().await;
    seat.forget();
}

/// Asks for the log messages that the client wants, before its call.
async fn set_level<C: Channel + ?Sized>(
    channel: &C,
    connection: &Arc<C::Own>,
    ctx: Option<&CallContext>,
) {
    let desk = connection.desk();
    let level = ctx.and_then(|ctx| desk.level_to_set(ctx, connection.hello()));
    if let Some(level) = level {
        let ask = Ask::SetLevel(level);
        if channel.once(connection, ask, None).await.is_err() {
            desk.level_refused();
        }
    }
}

//! How connections are opened: which addresses a name has, which of them may be connected to, and how
//! long all of it may take.

use std::error::Error as StdError;
use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use std::vec;

use async_trait::async_trait;
use http::{Extensions, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::connect::dns::{GaiResolver, Name};
use hyper_util::client::legacy::connect::{Connection as _, HttpConnector, HttpInfo};
use rustls::ClientConfig;
use tokio::time::timeout;
use tower_service::Service;

/// After so long without a word on a connection the operating system asks whether it is there.
const KEEPALIVE: Duration = Duration::from_secs(15);

pub(crate) type BoxError = Box<dyn StdError + Send + Sync>;

/// Finds the addresses of a name. A name that is an address itself is never asked for.
///
/// Asked anew for each connection. Dropping the future gives the question up.
#[async_trait]
pub trait Resolve: Send + Sync + 'static {
    /// All addresses of `host`, in the order in which they shall be tried.
    ///
    /// # Errors
    /// When they cannot be found out.
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// Says whether there may be a connection.
pub(crate) trait Admit: Send + Sync + 'static {
    /// Judges all addresses that a name has now, or the one that is connected to.
    fn admit(&self, addresses: &[IpAddr]) -> Result<(), BoxError>;
}

/// Turns names into addresses, none of which is of use before all are admitted.
#[derive(Clone)]
pub(crate) struct Lookup {
    names: Names,
    admit: Option<Arc<dyn Admit>>,
}

#[derive(Clone)]
enum Names {
    System(GaiResolver),
    Other(Arc<dyn Resolve>),
}

impl Lookup {
    /// As the operating system does it, and without a look at what comes out.
    pub(crate) fn system() -> Self {
        Self {
            names: Names::System(GaiResolver::new()),
            admit: None,
        }
    }

    /// By `names`, or by the operating system where that is `None`, and only to what `admit` lets pass.
    pub(crate) fn guarded(names: Option<Arc<dyn Resolve>>, admit: Arc<dyn Admit>) -> Self {
        Self {
            names: names.map_or_else(|| Names::System(GaiResolver::new()), Names::Other),
            admit: Some(admit),
        }
    }

    fn judge(&self, addresses: &[IpAddr]) -> Result<(), BoxError> {
        match &self.admit {
            Some(admit) => admit.admit(addresses),
            None => Ok(()),
        }
    }
}

async fn addresses(mut names: Names, name: Name) -> io::Result<Vec<SocketAddr>> {
    match &mut names {
        Names::System(system) => Ok(system.call(name).await?.collect()),
        Names::Other(other) => {
            let found = other.resolve(name.as_str()).await?;
            // The port is that of the request.
            Ok(found.into_iter().map(|ip| SocketAddr::new(ip, 0)).collect())
        }
    }
}

impl Service<Name> for Lookup {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let found = addresses(this.names.clone(), name).await?;
            let plain: Vec<IpAddr> = found.iter().map(SocketAddr::ip).collect();
            this.judge(&plain)?;
            Ok(found.into_iter())
        })
    }
}

/// Opens connections, within a time.
#[derive(Clone)]
pub(crate) struct Connector {
    inner: HttpsConnector<HttpConnector<Lookup>>,
    lookup: Lookup,
    limit: Duration,
}

/// An open connection.
pub(crate) type Stream = <HttpsConnector<HttpConnector<Lookup>> as Service<Uri>>::Response;

impl Connector {
    pub(crate) fn new(lookup: Lookup, limit: Duration, tls: Arc<ClientConfig>) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(lookup.clone());
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEPALIVE));
        Self {
            inner: HttpsConnector::from((tcp, tls)),
            lookup,
            limit,
        }
    }
}

impl Connector {
    /// A connection to the host that the address names, over TLS where it says so.
    pub(crate) async fn connect(&self, address: Uri) -> Result<Stream, BoxError> {
        // An address in the place of a name is connected to without a look-up.
        if let Some(address) = address_of(&address) {
            self.lookup.judge(&[address])?;
        }
        let mut inner = self.inner.clone();
        let connecting = async {
            poll_fn(|cx| inner.poll_ready(cx)).await?;
            inner.call(address).await
        };
        let stream = timeout(self.limit, connecting).await;
        let stream = stream.map_err(|_| TooSlow(self.limit))??;
        // What was judged was a list; this is where it led.
        if self.lookup.admit.is_some() {
            self.lookup
                .judge(&peer(&stream).into_iter().collect::<Vec<_>>())?;
        }
        Ok(stream)
    }
}

fn address_of(address: &Uri) -> Option<IpAddr> {
    let host = address.host()?;
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .parse()
        .ok()
}

fn peer(stream: &Stream) -> Option<IpAddr> {
    let mut extras = Extensions::new();
    stream.connected().get_extras(&mut extras);
    Some(extras.get::<HttpInfo>()?.remote_addr().ip())
}

/// No connection within this time.
#[derive(Debug)]
pub(crate) struct TooSlow(pub(crate) Duration);

impl fmt::Display for TooSlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not connected within {:?}", self.0)
    }
}

impl StdError for TooSlow {}

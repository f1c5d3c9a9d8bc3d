//! The client: an Admin API, its key, and what is to be done there.

use bytes::Bytes;
use http::Request;
use http::header::HeaderName;
use mcp_gw_core::Secret as Hidden;

use crate::apisix::handle::Api;
use crate::apisix::kind::Place;
use crate::apisix::model::{
    Consumer, ConsumerGroup, Credential, GlobalRule, Model, PluginConfig, PluginMetadata, Proto,
    Route, Secret, Service, Ssl, StreamRoute, Upstream,
};
use crate::apisix::plugin::{self, Subsystem};
use crate::http::{
    Answer, BaseUrl, BaseUrlError, Error, Transport, TransportConfig, TransportError,
};
use crate::paging::odd;

/// The header of the key.
const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How an Admin API is reached: its address, with the prefix, and its key.
pub type ClientConfig = TransportConfig;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ApisixError {
    /// The address of the Admin API cannot be used.
    #[error("the address of the Admin API cannot be used: {0}")]
    Url(#[from] BaseUrlError),
    /// Nothing can be sent.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// A client of one Admin API, with the rights of one key. A clone is cheap and shares the connections.
///
/// ```no_run
/// use futures_util::TryStreamExt as _;
/// use mcp_gw_admin_client::apisix::{Client, ListParams};
/// use mcp_gw_core::Secret;
///
/// # async fn run(key: String) -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new("http://127.0.0.1:9180/apisix/admin", Secret::new(key))?;
/// let mut routes = std::pin::pin!(client.routes().items(ListParams::default()));
/// while let Some(route) = routes.try_next().await? {
///     println!("{:?}: {:?}", route.value.id, route.value.uri);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
}

impl Client {
    /// A client of the Admin API at `url`, with the defaults. The prefix belongs to the address:
    /// `http://127.0.0.1:9180/apisix/admin`.
    ///
    /// # Errors
    /// When the address or the key cannot be used.
    pub fn new(url: &str, key: impl Into<Hidden<String>>) -> Result<Self, ApisixError> {
        let base: BaseUrl = url.parse()?;
        Self::with_config(ClientConfig::new(base), key)
    }

    /// The same with other timeouts, authorities, proxy …
    ///
    /// # Errors
    /// When something cannot be used.
    pub fn with_config(
        mut config: ClientConfig,
        key: impl Into<Hidden<String>>,
    ) -> Result<Self, ApisixError> {
        config.credential = Some((KEY, key.into()));
        let transport = Transport::new(config)?;
        Ok(Self { transport })
    }

    /// What sends its requests.
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// Sends any request: one of [`Kind`](crate::apisix::Kind), of [`plugin`], or of a
    /// [`Target`](crate::http::Target) below the prefix.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn raw(&self, request: Request<Bytes>) -> Result<Answer, Error> {
        self.transport.send(request).await
    }

    /// The resources of one kind at one place.
    pub fn resources<M: Model>(&self, place: Place) -> Api<M> {
        Api::new(self.clone(), place)
    }

    /// The names of the plugins.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn plugin_names(&self, subsystem: Subsystem) -> Result<Vec<String>, Error> {
        let answer = self.raw(plugin::names(subsystem)?).await?;
        let Some(body) = answer.body else {
            return Err(odd("a list of names", "it is empty"));
        };
        body.decode_owned()
            .map_err(|error| odd("a list of names", &error.message))
    }
}

macro_rules! handles {
    ($($(#[doc = $doc:literal])* $name:ident: $model:ident;)*) => {
        impl Client {
            $($(#[doc = $doc])*
            pub fn $name(&self) -> Api<$model> {
                self.resources(Place::root())
            })*

            /// The credentials of a consumer.
            pub fn credentials(&self, username: &str) -> Api<Credential> {
                self.resources(Place::of_consumer(username))
            }

            /// Where APISIX gets secrets from, at one manager: `vault`, `aws`, `gcp`. Lists of it are those of all managers.
            pub fn secrets(&self, manager: &str) -> Api<Secret> {
                self.resources(Place::of_manager(manager))
            }
        }
    };
}

handles! {
    /// The routes.
    routes: Route;
    /// The services.
    services: Service;
    /// The upstreams.
    upstreams: Upstream;
    /// The consumers.
    consumers: Consumer;
    /// The certificates.
    ssls: Ssl;
    /// The consumer groups.
    consumer_groups: ConsumerGroup;
    /// The plugin configs.
    plugin_configs: PluginConfig;
    /// The global rules.
    global_rules: GlobalRule;
    /// The TCP and UDP routes.
    stream_routes: StreamRoute;
    /// The protobuf definitions.
    protos: Proto;
    /// The settings of plugins for all who use them.
    plugin_metadata: PluginMetadata;
}

//! The client: the Admin API of a gateway, its token, and what is to be read there.

use http::header::HeaderName;
use mcp_gw_core::{RawJson, Secret};

use crate::http::{
    BaseUrl, BaseUrlError, Error, Target, Transport, TransportConfig, TransportError,
};
use crate::kong::handle::Entities;
use crate::kong::kind::{Kind, Place};
use crate::kong::model::{Consumer, ConsumerGroup, Model, Plugin, Route, Service, Vault};
use crate::paging::odd;

/// The header of the token, unless the gateway is told another (`rbac_auth_header`).
const TOKEN: HeaderName = HeaderName::from_static("kong-admin-token");

/// How an Admin API is reached.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// Its address, timeouts, authorities, proxy. A credential here is replaced by `token`.
    pub transport: TransportConfig,
    /// A token of the Enterprise edition; without one nothing is sent with requests.
    pub token: Option<Secret<String>>,
    /// The header of the token.
    pub header: HeaderName,
    /// The workspace (Enterprise); the default one without.
    pub workspace: Option<String>,
}

impl ClientConfig {
    /// The Admin API at `base`, without a token, with the defaults.
    pub fn new(base: BaseUrl) -> Self {
        Self {
            transport: TransportConfig::new(base),
            token: None,
            header: TOKEN,
            workspace: None,
        }
    }

    /// Sets the token (`Kong-Admin-Token`).
    #[must_use]
    pub fn with_token(mut self, token: impl Into<Secret<String>>) -> Self {
        self.token = Some(token.into());
        self
    }

    /// Sets the workspace.
    #[must_use]
    pub fn with_workspace(mut self, workspace: impl Into<String>) -> Self {
        self.workspace = Some(workspace.into());
        self
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KongError {
    /// The address of the Admin API cannot be used.
    #[error("the address of the Admin API cannot be used: {0}")]
    Url(#[from] BaseUrlError),
    /// The workspace cannot be part of a path.
    #[error("{0}")]
    Workspace(String),
    /// Nothing can be sent.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// A client of one gateway, with the rights of one token. A clone is cheap and shares the connections.
///
/// ```no_run
/// use futures_util::TryStreamExt as _;
/// use mcp_gw_admin_client::kong::{Client, ListParams};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new("http://127.0.0.1:8001")?;
/// let mut routes = std::pin::pin!(client.routes().items(ListParams::default()));
/// while let Some(route) = routes.try_next().await? {
///     println!("{:?}: {:?}", route.name, route.paths);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
    workspace: Option<String>,
}

impl Client {
    /// A client of the Admin API at `url`, without a token, with the defaults.
    ///
    /// # Errors
    /// When the address cannot be used.
    pub fn new(url: &str) -> Result<Self, KongError> {
        Self::with_config(ClientConfig::new(url.parse()?))
    }

    /// The same with a token, a workspace, other timeouts, authorities, proxy …
    ///
    /// # Errors
    /// When something cannot be used.
    pub fn with_config(config: ClientConfig) -> Result<Self, KongError> {
        let mut transport = config.transport;
        transport.credential = config.token.map(|token| (config.header, token));
        if let Some(workspace) = &config.workspace
            && let Err(error) = Target::at("").segment("workspace", workspace)
        {
            return Err(KongError::Workspace(error.to_string()));
        }
        Ok(Self {
            transport: Transport::new(transport)?,
            // The default one is there without a prefix.
            workspace: config.workspace.filter(|workspace| workspace != "default"),
        })
    }

    /// What sends its requests.
    pub const fn transport(&self) -> &Transport {
        &self.transport
    }

    /// The same, for what has to be done within a time.
    #[cfg(feature = "tools")]
    pub(crate) fn within(&self, budget: crate::http::Budget) -> Self {
        Self {
            transport: self.transport.within(Some(budget)),
            workspace: self.workspace.clone(),
        }
    }

    /// What the gateway says of itself: `version`, `hostname`, `configuration` …
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn about(&self) -> Result<RawJson, Error> {
        let answer = self.transport.send(Target::at("/").get()?).await?;
        answer
            .body
            .filter(RawJson::is_object)
            .ok_or_else(|| odd("what a gateway says of itself", "it is no object"))
    }

    /// The entities of one type.
    pub fn entities<M: Model>(&self) -> Entities<M> {
        self.of_kind(M::KIND)
    }

    /// The entities of one kind, as any type: `RawJson` takes them as they come.
    pub fn of_kind<M>(&self, kind: Kind) -> Entities<M> {
        let place = Place::gateway(self.workspace.as_deref());
        Entities::new(self.transport.clone(), place, kind)
    }

    /// The services.
    pub fn services(&self) -> Entities<Service> {
        self.entities()
    }

    /// The routes.
    pub fn routes(&self) -> Entities<Route> {
        self.entities()
    }

    /// The consumers.
    pub fn consumers(&self) -> Entities<Consumer> {
        self.entities()
    }

    /// The consumer groups, which the Enterprise edition has.
    pub fn consumer_groups(&self) -> Entities<ConsumerGroup> {
        self.entities()
    }

    /// The plugins.
    pub fn plugins(&self) -> Entities<Plugin> {
        self.entities()
    }

    /// The vaults.
    pub fn vaults(&self) -> Entities<Vault> {
        self.entities()
    }
}

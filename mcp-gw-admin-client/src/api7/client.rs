//! The client: a dashboard, a token, and what is to be done there.

use bytes::Bytes;
use http::Request;
use http::header::HeaderName;
use mcp_gw_core::{RawJson, Secret};

use crate::api7::handle::Api;
use crate::api7::iam;
use crate::api7::kind::Place;
use crate::api7::model::{
    AlertPolicy, AuditLog, CaCertificate, Certificate, Consumer, Credential, CustomPlugin,
    GatewayGroup, GatewayInstance, GlobalRule, Model, PermissionPolicy, PluginMetadata, Proto,
    PublishedService, Role, Route, SecretProvider, ServiceTemplate, Sni, Ssl, StreamRoute,
    Upstream, User, WebhookTemplate,
};
use crate::http::{
    Answer, BaseUrl, BaseUrlError, Error, Transport, TransportConfig, TransportError,
};

/// The header of the token.
const KEY: HeaderName = HeaderName::from_static("x-api-key");

/// How a dashboard is reached: its address, and a token of it.
pub type ClientConfig = TransportConfig;

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Api7Error {
    /// The address of the dashboard cannot be used.
    #[error("the address of the dashboard cannot be used: {0}")]
    Url(#[from] BaseUrlError),
    /// Nothing can be sent.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// A client of one dashboard, with the rights of one token. A clone is cheap and shares the connections.
///
/// ```no_run
/// use futures_util::TryStreamExt as _;
/// use mcp_gw_admin_client::api7::{Client, ListParams};
/// use mcp_gw_core::Secret;
///
/// # async fn run(token: String) -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new("https://dashboard.example.com:7443", Secret::new(token))?;
/// let mut services = std::pin::pin!(client.services("default").items(ListParams::default()));
/// while let Some(service) = services.try_next().await? {
///     println!("{:?}", service.name);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    transport: Transport,
}

impl Client {
    /// A client of the dashboard at `url`, with the defaults.
    ///
    /// # Errors
    /// When the address or the token cannot be used.
    pub fn new(url: &str, token: impl Into<Secret<String>>) -> Result<Self, Api7Error> {
        let base: BaseUrl = url.parse()?;
        Self::with_config(ClientConfig::new(base), token)
    }

    /// The same with other timeouts, authorities, proxy …
    ///
    /// # Errors
    /// When something cannot be used.
    pub fn with_config(
        mut config: ClientConfig,
        token: impl Into<Secret<String>>,
    ) -> Result<Self, Api7Error> {
        config.credential = Some((KEY, token.into()));
        let transport = Transport::new(config)?;
        Ok(Self { transport })
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
        }
    }

    /// Sends any request: one of [`Kind`](crate::api7::Kind), of [`iam`], or of a
    /// [`Target`](crate::http::Target).
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

    /// The gateway groups.
    pub fn gateway_groups(&self) -> Api<GatewayGroup> {
        self.resources(Place::global())
    }

    /// The instances of a gateway group, or all.
    pub fn gateway_instances(&self, group: Option<&str>) -> Api<GatewayInstance> {
        self.resources(group.map_or_else(Place::global, Place::group))
    }

    /// The service templates.
    pub fn service_templates(&self) -> Api<ServiceTemplate> {
        self.resources(Place::global())
    }

    /// The published services of a gateway group.
    pub fn services(&self, group: &str) -> Api<PublishedService> {
        self.resources(Place::group(group))
    }

    /// The upstreams of a published service.
    pub fn upstreams(&self, group: &str, service: &str) -> Api<Upstream> {
        self.resources(Place::group(group).with_service(service))
    }

    /// The routes of a published service.
    pub fn routes(&self, group: &str, service: &str) -> Api<Route> {
        self.resources(Place::group(group).with_service(service))
    }

    /// The TCP and UDP routes of a published service.
    pub fn stream_routes(&self, group: &str, service: &str) -> Api<StreamRoute> {
        self.resources(Place::group(group).with_service(service))
    }

    /// The consumers of a gateway group.
    pub fn consumers(&self, group: &str) -> Api<Consumer> {
        self.resources(Place::group(group))
    }

    /// The credentials of a consumer.
    pub fn credentials(&self, group: &str, username: &str) -> Api<Credential> {
        self.resources(Place::group(group).with_username(username))
    }

    /// The certificates of a gateway group.
    pub fn certificates(&self, group: &str) -> Api<Certificate> {
        self.resources(Place::group(group))
    }

    /// The certificates of authorities of a gateway group.
    pub fn ca_certificates(&self, group: &str) -> Api<CaCertificate> {
        self.resources(Place::group(group))
    }

    /// The global rules of a gateway group.
    pub fn global_rules(&self, group: &str) -> Api<GlobalRule> {
        self.resources(Place::group(group))
    }

    /// The host names of a gateway group, with their certificates.
    pub fn snis(&self, group: &str) -> Api<Sni> {
        self.resources(Place::group(group))
    }

    /// The certificates of a gateway group with their host names, as APISIX knows them.
    pub fn ssls(&self, group: &str) -> Api<Ssl> {
        self.resources(Place::group(group))
    }

    /// The settings of plugins for a whole gateway group, by the names of the plugins.
    pub fn plugin_metadata(&self, group: &str) -> Api<PluginMetadata> {
        self.resources(Place::group(group))
    }

    /// Where a gateway group gets secrets from, of one kind: `vault`, `kubernetes`, `aws`.
    pub fn secret_providers(&self, group: &str, kind: &str) -> Api<SecretProvider> {
        self.resources(Place::group(group).with_provider(kind))
    }

    /// The protobuf definitions of a gateway group.
    pub fn protos(&self, group: &str) -> Api<Proto> {
        self.resources(Place::group(group))
    }

    /// The plugins of your own.
    pub fn custom_plugins(&self) -> Api<CustomPlugin> {
        self.resources(Place::global())
    }

    /// Who changed what in the dashboard: only to be listed.
    pub fn audit_logs(&self) -> Api<AuditLog> {
        self.resources(Place::global())
    }

    /// When somebody is alerted.
    pub fn alert_policies(&self) -> Api<AlertPolicy> {
        self.resources(Place::global())
    }

    /// What alerts send.
    pub fn webhook_templates(&self) -> Api<WebhookTemplate> {
        self.resources(Place::global())
    }

    /// The roles.
    pub fn roles(&self) -> Api<Role> {
        self.resources(Place::global())
    }

    /// The users.
    pub fn users(&self) -> Api<User> {
        self.resources(Place::global())
    }

    /// The permission policies.
    pub fn permission_policies(&self) -> Api<PermissionPolicy> {
        self.resources(Place::global())
    }

    /// Sets all roles of a user: those that are not named are taken away.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn assign_roles(&self, user: &str, roles: &[String]) -> Result<Answer, Error> {
        self.raw(iam::assign_roles(user, roles)?).await
    }

    /// The permission policies of a role, as the API writes them.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn policies_of_role(&self, role: &str) -> Result<Option<RawJson>, Error> {
        Ok(self.raw(iam::policies_of_role(role)?).await?.body)
    }

    /// Gives permission policies to a role.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn attach_policies(&self, role: &str, ids: &[String]) -> Result<Answer, Error> {
        self.raw(iam::attach_policies(role, ids)?).await
    }

    /// Takes permission policies from a role.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn detach_policies(&self, role: &str, ids: &[String]) -> Result<Answer, Error> {
        self.raw(iam::detach_policies(role, ids)?).await
    }
}

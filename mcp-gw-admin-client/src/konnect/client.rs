//! The client: Konnect in one region, a token of it, and what is to be read there.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use http::Request;
use http::header::AUTHORIZATION;
use mcp_gw_core::Secret;
use serde::de::DeserializeOwned;

use crate::http::{
    Answer, BaseUrl, BaseUrlError, Error, RetryPolicy, Target, Transport, TransportConfig,
    TransportError,
};
use crate::kong::{
    Consumer, ConsumerGroup, Entities, Kind, Model, Place, Plugin, Route, Service, Vault,
};
use crate::konnect::analytics::Query;
use crate::konnect::debug::StandIn;
use crate::konnect::model::{AlertEvent, ControlPlane};
use crate::konnect::planes::{self, PlaneParams};
use crate::konnect::region::{GLOBAL, Region};
use crate::konnect::uuid::Uuid;
use crate::paging::{self, Page, odd, written};

/// How many items a page has when pages are read one after the other and nobody said.
pub(crate) const PAGE_SIZE: u32 = 100;

/// An API that is limited by the minute may want to be left alone for so long.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// How Konnect is reached. The token goes to both addresses, and nowhere else.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ClientConfig {
    /// What belongs to a region: control planes, requests, debug sessions.
    pub regional: TransportConfig,
    /// What belongs to none: users, the organization.
    pub global: TransportConfig,
    /// What the region is called.
    pub region: String,
}

impl ClientConfig {
    /// A region of Konnect.
    ///
    /// # Errors
    /// Never for the regions that there are: their addresses can be used.
    pub fn new(region: Region) -> Result<Self, BaseUrlError> {
        let regional = region.url().parse()?;
        Ok(Self::at(regional, GLOBAL.parse()?, region.as_str()))
    }

    /// Konnect at other addresses: a proxy in front of it, or a test. `region` is what it is called in texts.
    pub fn at(regional: BaseUrl, global: BaseUrl, region: impl Into<String>) -> Self {
        let transport = |base| {
            let mut config = TransportConfig::new(base);
            let first = config.retries.first_pause;
            config.retries = RetryPolicy::default().with_pauses(first, LONGEST_PAUSE);
            config
        };
        Self {
            regional: transport(regional),
            global: transport(global),
            region: region.into(),
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KonnectError {
    /// An address cannot be used.
    #[error("the address of Konnect cannot be used: {0}")]
    Url(#[from] BaseUrlError),
    /// The token would go over the network for all to read.
    #[error("the address of Konnect must begin with https://: the token goes there")]
    Plain,
    /// Nothing can be sent.
    #[error(transparent)]
    Transport(#[from] TransportError),
}

/// A client of one region, with the rights of one token: that of a person (`kpat_…`) or of a system account (`spat_…`).
/// A clone is cheap and shares the connections.
///
/// ```no_run
/// use futures_util::TryStreamExt as _;
/// use mcp_gw_admin_client::konnect::{Client, PlaneParams, Region};
/// use mcp_gw_core::Secret;
///
/// # async fn run(token: String) -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(Region::Eu, Secret::new(token))?;
/// let mut planes = std::pin::pin!(client.control_planes(PlaneParams::default()));
/// while let Some(plane) = planes.try_next().await? {
///     println!("{:?}: {:?}", plane.id, plane.name);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Client {
    regional: Transport,
    global: Transport,
    region: String,
}

impl Client {
    /// A client of a region, with the defaults.
    ///
    /// # Errors
    /// When the token cannot be used.
    pub fn new(region: Region, token: impl Into<Secret<String>>) -> Result<Self, KonnectError> {
        Self::with_config(ClientConfig::new(region)?, token)
    }

    /// The same with other addresses, timeouts, authorities, proxy …
    ///
    /// # Errors
    /// When something cannot be used.
    pub fn with_config(
        config: ClientConfig,
        token: impl Into<Secret<String>>,
    ) -> Result<Self, KonnectError> {
        let token = token.into();
        let transport = |mut config: TransportConfig| {
            if !config.base.is_https() && !config.base.is_loopback() {
                return Err(KonnectError::Plain);
            }
            let value = Secret::new(format!("Bearer {}", token.expose()));
            config.credential = Some((AUTHORIZATION, value));
            Ok(Transport::new(config)?)
        };
        Ok(Self {
            regional: transport(config.regional)?,
            global: transport(config.global)?,
            region: config.region,
        })
    }

    /// What sends requests to the region.
    pub const fn transport(&self) -> &Transport {
        &self.regional
    }

    /// What sends requests about what belongs to no region.
    pub const fn global_transport(&self) -> &Transport {
        &self.global
    }

    /// What the region is called.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The same, for what has to be done within a time.
    #[cfg(feature = "tools")]
    pub(crate) fn within(&self, budget: crate::http::Budget) -> Self {
        Self {
            regional: self.regional.within(Some(budget)),
            global: self.global.within(Some(budget)),
            region: self.region.clone(),
        }
    }

    /// Sends any request to the region.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn raw(&self, request: Request<Bytes>) -> Result<Answer, Error> {
        self.regional.send(request).await
    }

    /// A page of the control planes that the token may read, as any type: `RawJson` takes them as they come.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn control_plane_page<M: DeserializeOwned>(
        &self,
        params: &PlaneParams,
    ) -> Result<Page<M>, Error> {
        let answer = self.raw(params.request()?).await?;
        paging::data(&answer.body.ok_or_else(|| odd("a list", "it is empty"))?)
    }

    /// All control planes that the token may read, page by page.
    pub fn control_plane_pages<M: DeserializeOwned + Send + 'static>(
        &self,
        params: PlaneParams,
    ) -> impl Stream<Item = Result<Page<M>, Error>> + Send + use<M> {
        let size = params.size.unwrap_or(PAGE_SIZE).max(1);
        let first = params.number.unwrap_or(1);
        let params = params.with_size(size);
        let client = self.clone();
        paging::pages(first, size, move |number| {
            let (client, params) = (client.clone(), params.clone().with_number(number));
            async move { client.control_plane_page(&params).await }
        })
    }

    /// All control planes that the token may read.
    pub fn control_planes(
        &self,
        params: PlaneParams,
    ) -> impl Stream<Item = Result<ControlPlane, Error>> + Send + use<> {
        paging::items(self.control_plane_pages(params))
    }

    /// A control plane, as any type.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_not_found`] when there is none in this region.
    pub async fn control_plane<M: DeserializeOwned>(&self, id: &Uuid) -> Result<M, Error> {
        one(&self.regional, planes::at(id.as_str(), "")?).await
    }

    /// The control planes in a group, page by page: `id`, and what else there is.
    pub fn group_members<M: DeserializeOwned + Send + 'static>(
        &self,
        group: &Uuid,
    ) -> impl Stream<Item = Result<Page<M>, Error>> + Send + use<M> {
        let (client, group) = (self.clone(), group.clone());
        paging::cursored(None, move |after| {
            let (client, group) = (client.clone(), group.clone());
            async move {
                let target = planes::at(group.as_str(), "/group-memberships")?;
                let request = planes::page_of(target, PAGE_SIZE, after.as_deref())?;
                let answer = client.raw(request).await?;
                let body = answer.body.ok_or_else(|| odd("a list", "it is empty"))?;
                Ok((paging::data(&body)?, paging::after(&body)))
            }
        })
    }

    /// The entities of one type in a control plane.
    pub fn entities<M: Model>(&self, plane: &Uuid) -> Entities<M> {
        self.of_kind(plane, M::KIND)
    }

    /// The entities of one kind in a control plane, as any type: `RawJson` takes them as they come.
    pub fn of_kind<M>(&self, plane: &Uuid, kind: Kind) -> Entities<M> {
        let within = Place::control_plane(plane.as_str());
        Entities::new(self.regional.clone(), within, kind)
    }

    /// Requests that were made to gateways, newest first: as [`RequestRow`](crate::konnect::RequestRow), or as any type.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn requests<M: DeserializeOwned>(&self, query: &Query) -> Result<Page<M>, Error> {
        let request = Target::at("/v2/api-requests").ask(&written(&query.body())?)?;
        let answer = self.raw(request).await?;
        let body = answer.body.ok_or_else(|| odd("a list", "it is empty"))?;
        paging::listed(&body, "results", None)
    }

    /// What an alert was about. The address is made up, as that of [`StandIn`] is: Konnect's own is not published.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn alert_event(&self, id: &Uuid) -> Result<AlertEvent, Error> {
        let target = Target::at("/v2/alerting/events").segment("alert_event_id", id.as_str())?;
        one(&self.regional, target).await
    }

    /// Debug sessions, by a contract that is made up.
    pub fn stand_in(&self) -> StandIn {
        StandIn::new(self.regional.clone())
    }
}

/// Reads one thing.
pub(crate) async fn one<M: DeserializeOwned>(
    transport: &Transport,
    target: Target,
) -> Result<M, Error> {
    let answer = transport.send(target.get()?).await?;
    let body = answer.body.ok_or_else(|| odd("an object", "it is empty"))?;
    body.decode_owned()
        .map_err(|error| odd("what this looks like", &error.message))
}

macro_rules! handles {
    ($($(#[doc = $doc:literal])* $name:ident: $model:ident;)*) => {
        impl Client {
            $($(#[doc = $doc])*
            pub fn $name(&self, plane: &Uuid) -> Entities<$model> {
                self.entities(plane)
            })*
        }
    };
}

handles! {
    /// The services of a control plane.
    services: Service;
    /// The routes of a control plane.
    routes: Route;
    /// The consumers of a control plane.
    consumers: Consumer;
    /// The consumer groups of a control plane.
    consumer_groups: ConsumerGroup;
    /// The plugins of a control plane.
    plugins: Plugin;
    /// The vaults of a control plane.
    vaults: Vault;
}

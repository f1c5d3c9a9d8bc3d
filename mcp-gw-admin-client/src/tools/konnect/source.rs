//! Where the tools read: a region of Konnect, or one gateway, which is a control plane of its own.

use futures_util::stream::{self, BoxStream, StreamExt as _};
use mcp_gw_core::{ObjectWriter, RawJson};

use crate::http::{Budget, Error, Transport};
use crate::kong;
use crate::konnect::{Client, Entities, Kind, Page, PlaneParams, Uuid};

/// Pages of objects as they come.
pub(crate) type Pages = BoxStream<'static, Result<Page<RawJson>, Error>>;

/// Where the tools read.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    Konnect(Client),
    Gateway(Gateway),
}

/// A gateway of one's own, and what it is as a control plane.
#[derive(Debug, Clone)]
pub(crate) struct Gateway {
    pub(crate) client: kong::Client,
    pub(crate) id: Uuid,
    pub(crate) name: String,
}

impl Source {
    pub(crate) fn within(&self, budget: Budget) -> Self {
        match self {
            Self::Konnect(client) => Self::Konnect(client.within(budget)),
            Self::Gateway(gateway) => Self::Gateway(Gateway {
                client: gateway.client.within(budget),
                ..gateway.clone()
            }),
        }
    }

    pub(crate) const fn transport(&self) -> &Transport {
        match self {
            Self::Konnect(client) => client.transport(),
            Self::Gateway(gateway) => gateway.client.transport(),
        }
    }

    /// What is said of it in texts: `region eu (https://eu.api.konghq.com)`.
    pub(crate) fn place(&self) -> String {
        let url = self.transport().base().as_str();
        match self {
            Self::Konnect(client) => format!("region {} ({url})", client.region()),
            Self::Gateway(_) => format!("the gateway at {url}"),
        }
    }

    /// The region; a gateway of one's own has none.
    pub(crate) fn region(&self) -> Option<String> {
        match self {
            Self::Konnect(client) => Some(client.region().to_owned()),
            Self::Gateway(_) => None,
        }
    }

    /// The entities of a kind in a control plane, as they come.
    pub(crate) fn entities(&self, plane: &Uuid, kind: Kind) -> Entities<RawJson> {
        match self {
            Self::Konnect(client) => client.of_kind(plane, kind),
            Self::Gateway(gateway) => gateway.client.of_kind(kind),
        }
    }

    /// All control planes.
    pub(crate) fn planes(&self, params: PlaneParams) -> Pages {
        match self {
            Self::Konnect(client) => client.control_plane_pages(params).boxed(),
            Self::Gateway(gateway) => {
                let gateway = gateway.clone();
                let page = async move { Ok(Page::of(vec![gateway.plane().await?])) };
                stream::once(page).boxed()
            }
        }
    }
}

impl Gateway {
    /// The one control plane that a gateway is, as far as it tells of itself.
    pub(crate) async fn plane(&self) -> Result<RawJson, Error> {
        let about = self.client.about().await;
        // Who may read a workspace alone may not read this: all but the version is known without it.
        let about = match about {
            Err(error) if !error.is_forbidden() && !error.is_not_found() => return Err(error),
            about => about,
        };
        let told = about.as_ref().ok();
        let member = |name: &str| told?.member(name).ok().flatten();
        let config = ObjectWriter::default()
            .string("cluster_type", "SELF_HOSTED")
            .boolean("cloud_gateway", false)
            .finish();
        let writer = ObjectWriter::default()
            .string("id", self.id.as_str())
            .string("name", &self.name)
            .raw("labels", &RawJson::empty_object())
            .raw("config", &config);
        let writer = match &about {
            Ok(_) => writer,
            Err(error) => {
                let says = crate::tools::advice::says(error);
                writer.string("description", &format!("Its version is not known: {says}"))
            }
        };
        let told = ["version", "edition", "hostname"].iter();
        let told = told.filter_map(|name| Some((*name, member(name)?)));
        Ok(told
            .fold(writer, |writer, (name, value)| writer.raw(name, &value))
            .finish())
    }
}

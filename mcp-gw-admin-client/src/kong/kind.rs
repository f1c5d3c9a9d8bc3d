//! The kinds of entities, and the requests about them.

use bytes::Bytes;
use http::Request;

use crate::http::{RequestError, Target};
use crate::kong::list::ListParams;

/// A kind of entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// What requests are handed on to.
    Service,
    /// Which requests go to which service.
    Route,
    /// Who sends requests.
    Consumer,
    /// Several consumers. A gateway of one's own has them in the Enterprise edition only.
    ConsumerGroup,
    /// What is done with requests and responses.
    Plugin,
    /// Where secrets come from.
    Vault,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Service,
        Self::Route,
        Self::Consumer,
        Self::ConsumerGroup,
        Self::Plugin,
        Self::Vault,
    ];

    /// What one of them is called in the API: `consumer_group`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Route => "route",
            Self::Consumer => "consumer",
            Self::ConsumerGroup => "consumer_group",
            Self::Plugin => "plugin",
            Self::Vault => "vault",
        }
    }

    /// The argument that holds its id.
    const fn id_name(self) -> &'static str {
        match self {
            Self::Service => "service_id",
            Self::Route => "route_id",
            Self::Consumer => "consumer_id",
            Self::ConsumerGroup => "consumer_group_id",
            Self::Plugin => "plugin_id",
            Self::Vault => "vault_id",
        }
    }

    const fn path(self) -> &'static str {
        match self {
            Self::Service => "/services",
            Self::Route => "/routes",
            Self::Consumer => "/consumers",
            Self::ConsumerGroup => "/consumer_groups",
            Self::Plugin => "/plugins",
            Self::Vault => "/vaults",
        }
    }

    /// True when Konnect finds it by its name without being asked for all.
    pub const fn has_name_filter(self) -> bool {
        matches!(
            self,
            Self::Service | Self::Route | Self::Consumer | Self::Plugin
        )
    }

    /// A request for a page of them.
    ///
    /// # Errors
    /// When the place or a filter cannot be used.
    pub fn list(self, place: &Place, params: &ListParams) -> Result<Request<Bytes>, RequestError> {
        let target = place.target()?.then(self.path());
        params.write(target, place.is_konnect())?.get()
    }

    /// A request for one of them: by its id; at a gateway of one's own also by what is unique besides (the name of a service
    /// or route, the username of a consumer, the prefix of a vault, the instance name of a plugin).
    ///
    /// # Errors
    /// When the place or the id cannot be used.
    pub fn get(self, place: &Place, id: &str) -> Result<Request<Bytes>, RequestError> {
        place
            .target()?
            .then(self.path())
            .segment(self.id_name(), id)?
            .get()
    }
}

/// Where entities are.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Place {
    root: Root,
    within: Option<(Kind, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Root {
    Konnect(String),
    Gateway(Option<String>),
}

impl Place {
    /// A control plane of Konnect, by its id.
    pub fn control_plane(id: impl Into<String>) -> Self {
        Self {
            root: Root::Konnect(id.into()),
            within: None,
        }
    }

    /// A gateway, below the address of its Admin API; `workspace` is of the Enterprise edition, whose default workspace is
    /// the one without a name.
    pub fn gateway(workspace: Option<&str>) -> Self {
        Self {
            root: Root::Gateway(workspace.map(str::to_owned)),
            within: None,
        }
    }

    /// Those of one entity: the routes of a service, the plugins of a route …
    pub fn within(mut self, kind: Kind, id: impl Into<String>) -> Self {
        self.within = Some((kind, id.into()));
        self
    }

    const fn is_konnect(&self) -> bool {
        matches!(self.root, Root::Konnect(_))
    }

    fn target(&self) -> Result<Target, RequestError> {
        let target = match &self.root {
            Root::Konnect(id) => Target::at("/v2/control-planes")
                .segment("control_plane_id", id)?
                .then("/core-entities"),
            Root::Gateway(None) => Target::at(""),
            Root::Gateway(Some(workspace)) => Target::at("").segment("workspace", workspace)?,
        };
        match &self.within {
            None => Ok(target),
            Some((kind, id)) => target.then(kind.path()).segment(kind.id_name(), id),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;
    use crate::http::{BaseUrl, hostile};

    const PLANE: &str = "7f9fd312-a987-4628-b4c5-bb4f4fddd5f7";

    #[test]
    fn requests_are_what_the_apis_document() {
        let konnect = Place::control_plane(PLANE);
        let params = ListParams::default()
            .with_size(7)
            .with_name("a b&c")
            .with_tags("x,y")
            .with_offset("o=");
        let line = |request: Result<Request<Bytes>, RequestError>| {
            let request = request.unwrap();
            format!("{} {}", request.method(), request.uri())
        };
        assert_eq!(
            line(Kind::Service.list(&konnect, &params)),
            format!(
                "GET /v2/control-planes/{PLANE}/core-entities/services?size=7&offset=o%3D&tags=x%2Cy&filter%5Bname%5D%5Beq%5D=a%20b%26c"
            )
        );
        let nested = konnect.clone().within(Kind::Service, "s");
        assert_eq!(
            line(Kind::Plugin.list(&nested, &ListParams::default())),
            format!("GET /v2/control-planes/{PLANE}/core-entities/services/s/plugins")
        );
        let gateway = Place::gateway(None);
        assert_eq!(line(Kind::Vault.get(&gateway, "v")), "GET /vaults/v");
        let place = Place::gateway(Some("team a"));
        let params = ListParams::default().with_custom_id("c");
        assert_eq!(
            line(Kind::Consumer.list(&place, &params)),
            "GET /team%20a/consumers?custom_id=c"
        );
        let named = ListParams::default().with_name("n");
        let error = Kind::Route.list(&gateway, &named).unwrap_err();
        assert!(matches!(error, RequestError::Unsupported { .. }));
    }

    #[test]
    fn no_id_leads_elsewhere() {
        for id in ["", "..", "a/b", "%2e%2e", "a\nb"] {
            for place in [Place::control_plane(id), Place::gateway(Some(id))] {
                let params = ListParams::default();
                assert!(Kind::Route.list(&place, &params).is_err(), "{id:?}");
            }
            let place = Place::gateway(None);
            assert!(Kind::Route.get(&place, id).is_err(), "{id:?}");
            let place = place.within(Kind::Service, id);
            assert!(Kind::Route.get(&place, "r").is_err(), "{id:?}");
        }
    }

    fn sent(request: &Request<Bytes>) -> Url {
        let base: BaseUrl = "https://kong.example:8444/base".parse().unwrap();
        let url = base.join(request.uri());
        url.expect("what was built can be joined")
    }

    fn segments(url: &Url) -> Vec<String> {
        let decoded = |segment: &str| {
            // In a query a plus is a blank, in a path it is not.
            let escaped = format!("s={}", segment.replace('+', "%2B"));
            let query = url::form_urlencoded::parse(escaped.as_bytes());
            query.map(|(_, value)| value.into_owned()).collect()
        };
        url.path_segments().unwrap().map(decoded).collect()
    }

    proptest! {
        #[test]
        fn nothing_that_is_given_leaves_its_place(
            place in hostile(), owner in hostile(), id in hostile(), values in proptest::array::uniform4(hostile()),
            is_konnect in any::<bool>(), kind in 0..Kind::ALL.len(),
        ) {
            let kind = Kind::ALL[kind];
            let (at, mut path) = if is_konnect {
                let path = ["base", "v2", "control-planes", &place, "core-entities"];
                (Place::control_plane(&*place), path.map(str::to_owned).to_vec())
            } else {
                (Place::gateway(Some(&place)), vec!["base".to_owned(), place.clone()])
            };
            let at = at.within(Kind::Service, &*owner);
            path.extend(["services".to_owned(), owner, kind.path().replace('/', "")]);

            let [offset, tags, name, custom_id] = &values;
            let mut params = ListParams::default().with_size(7).with_offset(offset).with_tags(tags);
            params = params.with_custom_id(custom_id);
            let mut wanted = vec![("size", "7"), ("offset", offset), ("tags", tags), ("custom_id", custom_id)];
            if is_konnect {
                params = params.with_name(name);
                wanted.insert(3, ("filter[name][eq]", name));
            }
            if let Ok(request) = kind.list(&at, &params) {
                let url = sent(&request);
                prop_assert_eq!(segments(&url), path.clone(), "{}", url);
                let pairs: Vec<_> = url.query_pairs().collect();
                let wanted: Vec<_> = wanted.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
                prop_assert_eq!(pairs, wanted, "{}", url);
                prop_assert!(url.fragment().is_none());
            }
            if let Ok(request) = kind.get(&at, &id) {
                let url = sent(&request);
                path.push(id);
                prop_assert_eq!(segments(&url), path, "{}", url);
                prop_assert_eq!((url.query(), url.fragment()), (None, None));
            }
        }
    }
}

//! The kinds of resources, and the requests about them.

use bytes::Bytes;
use http::{Method, Request};
use mcp_gw_core::RawJson;

use crate::apisix::list::ListParams;
use crate::http::{RequestError, Target};

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// Read all, page by page.
    List,
    /// Read one.
    Get,
    /// Make one under an id that APISIX chooses.
    Post,
    /// Make one under an id, or put it in the place of what is there.
    Put,
    /// Change parts of it: members are merged (RFC 7396), `null` removes one.
    Patch,
    /// Remove it.
    Delete,
}

impl Verb {
    /// What was wanted, as a participle.
    const fn participle(self) -> &'static str {
        match self {
            Self::List => "listed",
            Self::Get => "read one by one",
            Self::Post => "created without an id: APISIX wants one",
            Self::Put => "put in a place",
            Self::Patch => "changed in parts: APISIX only takes it as a whole",
            Self::Delete => "deleted",
        }
    }
}

/// Where a resource is: what its kind needs besides its own id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Place {
    /// The consumer that a credential belongs to.
    pub username: Option<String>,
    /// The manager of a secret: `vault`, `aws`, `gcp`.
    pub manager: Option<String>,
}

impl Place {
    /// Below nothing else.
    pub fn root() -> Self {
        Self::default()
    }

    /// Below a consumer.
    pub fn of_consumer(username: impl Into<String>) -> Self {
        Self {
            username: Some(username.into()),
            ..Self::default()
        }
    }

    /// Below a manager of secrets: `vault`, `aws`, `gcp`.
    pub fn of_manager(manager: impl Into<String>) -> Self {
        Self {
            manager: Some(manager.into()),
            ..Self::default()
        }
    }
}

/// What is known of a kind.
struct Spec {
    /// The segment of its path.
    name: &'static str,
    about: &'static str,
    /// `p`ost, p`u`t, p`a`tch; all can be read and deleted.
    verbs: &'static str,
    has_plugins: bool,
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])* $kind:ident = $name:literal, $verbs:literal, $has_plugins:literal;)*) => {
        /// A kind of resource of the Admin API.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Kind {
            $($(#[doc = $doc])* $kind,)*
        }

        impl Kind {
            /// All of them.
            pub const ALL: &'static [Self] = &[$(Self::$kind),*];

            const fn spec(self) -> &'static Spec {
                match self {
                    $(Self::$kind => &Spec {
                        name: $name,
                        about: concat!($($doc),*),
                        verbs: $verbs,
                        has_plugins: $has_plugins,
                    },)*
                }
            }
        }
    };
}

kinds! {
    /// Which requests go where.
    Route = "routes", "pua", true;
    /// What several routes have in common.
    Service = "services", "pua", true;
    /// The nodes that requests go to.
    Upstream = "upstreams", "pua", false;
    /// Who calls APIs; its id is its username.
    Consumer = "consumers", "u", true;
    /// What a consumer proves itself with.
    Credential = "credentials", "u", true;
    /// A certificate with its host names.
    Ssl = "ssls", "pua", false;
    /// Plugins that several consumers have in common.
    ConsumerGroup = "consumer_groups", "ua", true;
    /// Plugins that several routes have in common.
    PluginConfig = "plugin_configs", "ua", true;
    /// Plugins that run for every request.
    GlobalRule = "global_rules", "ua", true;
    /// Which TCP and UDP connections go where.
    StreamRoute = "stream_routes", "pu", true;
    /// A protobuf definition.
    Proto = "protos", "pu", false;
    /// Where APISIX gets secrets from; below a manager.
    Secret = "secrets", "ua", false;
    /// Settings of a plugin for all who use it; its id is the plugin's name.
    PluginMetadata = "plugin_metadata", "u", false;
}

impl Kind {
    /// The name, as it stands in paths: `routes`.
    pub const fn name(self) -> &'static str {
        self.spec().name
    }

    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        self.spec().about.trim()
    }

    /// The kind with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether the API can do this with it.
    pub fn can(self, verb: Verb) -> bool {
        let verbs = self.spec().verbs;
        match verb {
            Verb::List | Verb::Get | Verb::Delete => true,
            Verb::Post => verbs.contains('p'),
            Verb::Put => verbs.contains('u'),
            Verb::Patch => verbs.contains('a'),
        }
    }

    /// Whether its objects hold plugins, whose settings the API has schemas for.
    pub const fn has_plugins(self) -> bool {
        self.spec().has_plugins
    }

    /// A request for a list.
    ///
    /// # Errors
    /// When something is missing or cannot be used.
    pub fn list(self, place: &Place, params: &ListParams) -> Result<Request<Bytes>, RequestError> {
        params.write(self.collection(place)?)?.get()
    }

    /// A request for one.
    ///
    /// # Errors
    /// When something is missing or cannot be used.
    pub fn get(self, place: &Place, id: &str) -> Result<Request<Bytes>, RequestError> {
        self.one(place, id)?.get()
    }

    /// A request that makes one; APISIX chooses the id.
    ///
    /// # Errors
    /// When the kind wants an id, or something is missing or cannot be used.
    pub fn post(self, place: &Place, body: &RawJson) -> Result<Request<Bytes>, RequestError> {
        self.check(Verb::Post)?;
        self.collection(place)?.request(Method::POST, Some(body))
    }

    /// A request that makes one, or puts `body` in the place of what is there. A consumer has its name in its body, and
    /// may be put without an id.
    ///
    /// # Errors
    /// When something is missing or cannot be used.
    pub fn put(
        self,
        place: &Place,
        id: Option<&str>,
        body: &RawJson,
    ) -> Result<Request<Bytes>, RequestError> {
        self.check(Verb::Put)?;
        let target = match id {
            Some(id) => self.one(place, id)?,
            None if self == Self::Consumer => self.collection(place)?,
            None => return Err(RequestError::Missing { what: "id" }),
        };
        target.request(Method::PUT, Some(body))
    }

    /// A request that merges `body` into it (RFC 7396): `null` removes a member.
    ///
    /// # Errors
    /// When it cannot be patched, or something is missing or cannot be used.
    pub fn patch(
        self,
        place: &Place,
        id: &str,
        body: &RawJson,
    ) -> Result<Request<Bytes>, RequestError> {
        self.check(Verb::Patch)?;
        self.one(place, id)?.request(Method::PATCH, Some(body))
    }

    /// A request that puts `value` in the place of one attribute: `at` are the names that lead to it.
    ///
    /// # Errors
    /// As [`Kind::patch`], and when `at` is empty.
    pub fn patch_at(
        self,
        place: &Place,
        id: &str,
        at: &[&str],
        value: &RawJson,
    ) -> Result<Request<Bytes>, RequestError> {
        self.check(Verb::Patch)?;
        if at.is_empty() {
            return Err(RequestError::Missing { what: "at" });
        }
        let mut target = self.one(place, id)?;
        for step in at {
            target = target.segment("at", step)?;
        }
        target.request(Method::PATCH, Some(value))
    }

    /// A request that removes it. `is_forced` removes it also when others refer to it.
    ///
    /// # Errors
    /// When something is missing or cannot be used.
    pub fn delete(
        self,
        place: &Place,
        id: &str,
        is_forced: bool,
    ) -> Result<Request<Bytes>, RequestError> {
        let force = is_forced.then_some("true");
        self.one(place, id)?
            .query_if("force", force)?
            .request(Method::DELETE, None)
    }

    /// A request that asks whether `body` is one, and stores nothing. Settings of plugins are not looked at.
    ///
    /// # Errors
    /// When the API has no schema of the kind.
    pub fn validate(self, body: &RawJson) -> Result<Request<Bytes>, RequestError> {
        if self == Self::Secret {
            return Err(self.cannot("validated: APISIX has no schema of it"));
        }
        Target::at("/schema/validate/")
            .then(self.name())
            .request(Method::POST, Some(body))
    }

    const fn cannot(self, action: &'static str) -> RequestError {
        RequestError::Unsupported {
            what: self.name(),
            action,
        }
    }

    fn check(self, verb: Verb) -> Result<(), RequestError> {
        if self.can(verb) {
            Ok(())
        } else {
            Err(self.cannot(verb.participle()))
        }
    }

    /// The path of all of them.
    fn collection(self, place: &Place) -> Result<Target, RequestError> {
        let above =
            |what, value: &Option<String>| value.clone().ok_or(RequestError::Missing { what });
        match self {
            Self::Credential => Target::at("/consumers")
                .segment("username", &above("username", &place.username)?)
                .map(|target| target.then("/credentials")),
            Self::Secret => {
                Target::at("/secrets").segment("manager", &above("manager", &place.manager)?)
            }
            _ => Ok(Target::at("/").then(self.name())),
        }
    }

    /// The path of one of them.
    fn one(self, place: &Place, id: &str) -> Result<Target, RequestError> {
        let target = self.collection(place)?;
        target.segment("id", id)
    }
}

#[cfg(test)]
mod tests;

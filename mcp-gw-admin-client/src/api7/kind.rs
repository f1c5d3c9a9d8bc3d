//! The kinds of resources, and the requests about them.

use bytes::Bytes;
use http::{Method, Request};
use mcp_gw_core::RawJson;

use crate::api7::kinds::{Field, Part, Spec, spec};
use crate::api7::list::ListParams;
use crate::http::{RequestError, Target};

/// A kind of resource of the Admin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
#[expect(missing_docs, reason = "each says what it is: `Kind::about`")]
pub enum Kind {
    PublishedService,
    ServiceTemplate,
    Upstream,
    Route,
    StreamRoute,
    SecretProvider,
    Certificate,
    Consumer,
    Credential,
    GatewayGroup,
    CaCertificate,
    Sni,
    GlobalRules,
    PluginMetadata,
    GatewayInstance,
    ServiceRegistry,
    CustomPlugin,
    Ssl,
    Proto,
    Plugin,
    PluginSchema,
    RouteTemplate,
    StreamRouteTemplate,
    ServiceVersion,
    Role,
    User,
    PermissionPolicy,
    AlertPolicy,
    AlertHistory,
    WebhookTemplate,
    AuditLog,
    ApiProduct,
    Subscription,
    Approval,
    SystemSettings,
    CoreSchema,
    Version,
}

/// What is done with a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Verb {
    /// Read all, page by page.
    List,
    /// Read one.
    Get,
    /// Make one that was not there.
    Create,
    /// Put another in its place, or make it.
    Replace,
    /// Change parts of it, by JSON Patch (RFC 6902).
    Patch,
    /// Remove it.
    Delete,
}

impl Verb {
    /// What was done, as a participle.
    pub(crate) const fn participle(self) -> &'static str {
        match self {
            Self::List => "listed",
            Self::Get => "read one by one",
            Self::Create => "created",
            Self::Replace => "replaced",
            Self::Patch => "patched",
            Self::Delete => "deleted",
        }
    }
}

/// Where a resource is: what its kind needs besides its own id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
#[must_use]
pub struct Place {
    /// The gateway group.
    pub gateway_group_id: Option<String>,
    /// The service: of an upstream, or that routes are listed of.
    pub service_id: Option<String>,
    /// The consumer that a credential belongs to.
    pub username: Option<String>,
    /// The kind of secret provider: `vault`, `kubernetes`, `aws`, `gcp`, `azure`.
    pub provider: Option<String>,
}

impl Place {
    /// In no gateway group.
    pub fn global() -> Self {
        Self::default()
    }

    /// In this gateway group.
    pub fn group(id: impl Into<String>) -> Self {
        Self {
            gateway_group_id: Some(id.into()),
            ..Self::default()
        }
    }

    /// Sets the service.
    pub fn with_service(mut self, id: impl Into<String>) -> Self {
        self.service_id = Some(id.into());
        self
    }

    /// Sets the consumer.
    pub fn with_username(mut self, name: impl Into<String>) -> Self {
        self.username = Some(name.into());
        self
    }

    /// Sets the kind of secret provider.
    pub fn with_provider(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(name.into());
        self
    }

    fn value(&self, field: Field) -> Option<&str> {
        match field {
            Field::Group => self.gateway_group_id.as_deref(),
            Field::Service => self.service_id.as_deref(),
            Field::Username => self.username.as_deref(),
            Field::Provider => self.provider.as_deref(),
        }
    }

    fn needed(&self, field: Field) -> Result<&str, RequestError> {
        let what = field.argument();
        self.value(field).ok_or(RequestError::Missing { what })
    }
}

impl Kind {
    /// The name, in camel case: `publishedService`.
    pub const fn name(self) -> &'static str {
        spec(self).name
    }

    /// What it is, in a few words.
    pub const fn about(self) -> &'static str {
        spec(self).about
    }

    /// The kind with this name.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name)
    }

    /// Whether the API can do this with it.
    pub fn can(self, verb: Verb) -> bool {
        let spec = spec(self);
        match verb {
            Verb::List => spec.verbs.contains('l'),
            Verb::Get => spec.verbs.contains('g'),
            Verb::Create => spec.verbs.contains('c') || spec.verbs.contains('r'),
            Verb::Replace => spec.verbs.contains('r'),
            Verb::Patch => spec.verbs.contains('p'),
            Verb::Delete => spec.verbs.contains('d'),
        }
    }

    /// Whether one of it must be created under an id that the caller chooses.
    pub fn needs_id_to_create(self) -> bool {
        !spec(self).verbs.contains('c')
    }

    /// Whether its objects hold plugins, whose settings the API has schemas for.
    pub const fn has_plugins(self) -> bool {
        spec(self).has_plugins
    }

    /// What it needs to be told about where it is, as [`Place`] calls it, to do `verb`.
    pub fn needs(self, verb: Verb) -> Vec<&'static str> {
        let spec = spec(self);
        let mut fields: Vec<Field> = Vec::new();
        if spec.elsewhere.is_none() {
            fields.extend(spec.path.iter().filter_map(Part::field));
            fields.extend(spec.query.iter().filter(|field| !spec.is_optional(**field)));
        }
        if verb == Verb::List {
            fields.extend(
                spec.filter
                    .iter()
                    .filter(|field| !spec.is_optional(**field)),
            );
        } else {
            fields.extend(spec.under);
        }
        let mut names: Vec<&str> = Vec::new();
        for field in fields {
            if !names.contains(&field.argument()) {
                names.push(field.argument());
            }
        }
        names
    }

    /// A request for a list.
    ///
    /// # Errors
    /// When it cannot be listed, or something is missing or cannot be used.
    pub fn list(self, place: &Place, params: &ListParams) -> Result<Request<Bytes>, RequestError> {
        self.check(Verb::List)?;
        let spec = spec(self);
        let mut target = self.collection(place)?;
        for &field in spec.filter {
            target = Self::with_field(target, spec, field, place)?;
        }
        params.write(target)?.get()
    }

    /// A request for one. What exists once only, such as the version, has no id.
    ///
    /// # Errors
    /// When it cannot be read one by one, or something is missing or cannot be used.
    pub fn get(self, place: &Place, id: Option<&str>) -> Result<Request<Bytes>, RequestError> {
        self.check(Verb::Get)?;
        self.one(place, id)?.get()
    }

    /// A request that makes one, under `id` when the caller chooses it.
    ///
    /// # Errors
    /// When it cannot be created, or something is missing or cannot be used.
    pub fn create(
        self,
        place: &Place,
        id: Option<&str>,
        body: &RawJson,
    ) -> Result<Request<Bytes>, RequestError> {
        self.check(Verb::Create)?;
        if id.is_some() || self.needs_id_to_create() {
            if !self.can(Verb::Replace) {
                return Err(self.cannot("created under an id of your choice"));
            }
            return self.one(place, id)?.request(Method::PUT, Some(body));
        }
        self.collection(place)?.request(Method::POST, Some(body))
    }

    /// A request that puts `body` in its place.
    ///
    /// # Errors
    /// When it cannot be replaced, or something is missing or cannot be used.
    pub fn replace(
        self,
        place: &Place,
        id: Option<&str>,
        body: &RawJson,
    ) -> Result<Request<Bytes>, RequestError> {
        self.check(Verb::Replace)?;
        self.one(place, id)?.request(Method::PUT, Some(body))
    }

    /// A request that changes it by the operations of a JSON Patch (RFC 6902): an array.
    ///
    /// # Errors
    /// When it cannot be patched, or something is missing or cannot be used.
    pub fn patch(
        self,
        place: &Place,
        id: Option<&str>,
        operations: &RawJson,
    ) -> Result<Request<Bytes>, RequestError> {
        self.check(Verb::Patch)?;
        self.one(place, id)?
            .request(Method::PATCH, Some(operations))
    }

    /// A request that removes it.
    ///
    /// # Errors
    /// When it cannot be deleted, or something is missing or cannot be used.
    pub fn delete(self, place: &Place, id: &str) -> Result<Request<Bytes>, RequestError> {
        self.check(Verb::Delete)?;
        self.one(place, Some(id))?.request(Method::DELETE, None)
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

    /// The path of all of them, with the query that every request has.
    fn collection(self, place: &Place) -> Result<Target, RequestError> {
        let spec = spec(self);
        let target = Self::path(spec, place)?;
        Self::with_query(target, spec, place)
    }

    /// The path of one of them, with the query that every request has.
    fn one(self, place: &Place, id: Option<&str>) -> Result<Target, RequestError> {
        let spec = spec(self);
        let mut target = Self::path(spec, place)?;
        if let Some(field) = spec.under {
            target = target.segment(field.argument(), place.needed(field)?)?;
        }
        target = match (spec.id, id) {
            (Some(_), Some(id)) => target.segment("id", id)?,
            (Some(_), None) => return Err(RequestError::Missing { what: "id" }),
            (None, Some(_)) => return Err(self.cannot("told apart by an id: there is only one")),
            (None, None) => target,
        };
        Self::with_query(target, spec, place)
    }

    fn path(spec: &Spec, place: &Place) -> Result<Target, RequestError> {
        if let Some(elsewhere) = spec.elsewhere
            && place.gateway_group_id.is_none()
        {
            return Ok(Target::at(elsewhere));
        }
        let mut target = Target::at("");
        for part in spec.path {
            target = match *part {
                Part::Fixed(text) => target.then(text),
                Part::Of(field) => target.segment(field.argument(), place.needed(field)?)?,
            };
        }
        Ok(target)
    }

    fn with_query(mut target: Target, spec: &Spec, place: &Place) -> Result<Target, RequestError> {
        for &field in spec.query {
            target = Self::with_field(target, spec, field, place)?;
        }
        Ok(target)
    }

    fn with_field(
        target: Target,
        spec: &Spec,
        field: Field,
        place: &Place,
    ) -> Result<Target, RequestError> {
        let value = if spec.is_optional(field) {
            place.value(field)
        } else {
            Some(place.needed(field)?)
        };
        match value {
            // An empty filter is none, and the API would answer with everything.
            Some("") => Err(RequestError::Missing {
                what: field.argument(),
            }),
            value => target.query_if(field.parameter(), value),
        }
    }
}

#[cfg(test)]
mod tests;

//! An operation of a REST API: what a model sees of it, and how arguments become a request.

use mcp_gw_core::{ObjectWriter, RawJson, SpecError, ToolAnnotations, ToolSpec};

use super::argument::{self, ArgumentError, Check, Given};
use super::body::{BODY, Body};
use super::param::{Param, Place, Query};
use super::template::{PathFault, Template};
use super::text::percent_decode;
use crate::egress::RequestParts;

/// One operation of an API: a tool, once somebody sends what [`Operation::parts`] makes.
///
/// From a description ([`openapi::read`](super::openapi::read)) or written by hand
/// ([`ToolConfig`](super::ToolConfig)).
#[derive(Debug)]
pub struct Operation {
    pub(super) name: String,
    pub(super) id: Option<String>,
    pub(super) title: Option<String>,
    pub(super) description: String,
    pub(super) input_schema: RawJson,
    pub(super) annotations: ToolAnnotations,
    /// Somebody said that doing it twice does harm, whatever the method.
    pub(super) is_once: bool,
    /// The description says that nothing has to be shown.
    pub(super) is_open: bool,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) template: Template,
    pub(super) params: Vec<Param>,
    pub(super) body: Option<Body>,
    /// The arguments that have to be there.
    pub(super) required: Vec<String>,
    /// What is sent where a call does not have it.
    pub(super) defaults: Vec<(String, RawJson)>,
    /// The arguments that mean something when they are `null`.
    pub(super) nullable: Vec<String>,
    /// What the answer should be, as `accept` says it.
    pub(super) accept: Option<String>,
    pub(super) security: Vec<Security>,
    pub(super) tags: Vec<String>,
    pub(super) deprecated: bool,
    pub(super) check: Check,
}

/// One way to be allowed to call an operation: all of its schemes together. An empty one is "nobody has
/// to show anything".
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Security {
    /// The schemes.
    pub schemes: Vec<Scheme>,
}

/// A scheme of `securitySchemes`, and what of it is wanted here.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scheme {
    /// What the description calls it.
    pub name: String,
    /// What it is.
    pub kind: SchemeKind,
    /// The scopes or roles that it must have.
    pub scopes: Vec<String>,
}

/// What a credential is and where it goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SchemeKind {
    /// A key in a header field.
    HeaderKey {
        /// The field.
        name: String,
    },
    /// A key in the query.
    QueryKey {
        /// The parameter.
        name: String,
    },
    /// A key in a cookie.
    CookieKey {
        /// The cookie.
        name: String,
    },
    /// `Authorization: Bearer …`.
    Bearer,
    /// `Authorization: Basic …`.
    Basic,
    /// Another scheme of `Authorization`, in lower case.
    Http {
        /// Its name.
        scheme: String,
    },
    /// OAuth 2.0: a bearer token.
    OAuth2 {
        /// Where tokens come from, if the description has a flow for clients that act for themselves.
        token_url: Option<String>,
    },
    /// `OpenID` Connect: a bearer token.
    OpenIdConnect {
        /// The discovery document.
        url: String,
    },
    /// A certificate of the client.
    MutualTls,
    /// What the description names and does not describe, or in words that this crate does not know.
    Unknown,
}

impl Operation {
    /// The name of the tool: 1 to 64 letters, digits, `_` and `-`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The `operationId` of the description.
    pub fn id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// A title for people.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// What it does.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// The schema of the arguments: JSON Schema 2020-12, complete in itself, without any `$ref`.
    pub const fn input_schema(&self) -> &RawJson {
        &self.input_schema
    }

    /// What the method says about its effect.
    pub const fn annotations(&self) -> &ToolAnnotations {
        &self.annotations
    }

    /// True when nobody said that doing it twice does harm: then the method decides.
    pub(crate) const fn may_repeat(&self) -> bool {
        !self.is_once
    }

    /// True when the description says of this operation that no credential is needed: none is sent.
    pub const fn is_open(&self) -> bool {
        self.is_open
    }

    /// The method, in upper case.
    pub fn method(&self) -> &str {
        &self.method
    }

    /// The path, with its places for values.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tags of the description.
    pub fn tags(&self) -> &[String] {
        &self.tags
    }

    /// True when the description says that nobody should use it any more.
    pub const fn is_deprecated(&self) -> bool {
        self.deprecated
    }

    /// The ways to be allowed to call it, any of which will do; none when nothing has to be shown.
    pub fn security(&self) -> &[Security] {
        &self.security
    }

    /// The header fields that its arguments become: who checks the request has to let them pass.
    /// `cookie` is among them when there are parameters in cookies.
    pub fn headers(&self) -> impl Iterator<Item = &str> {
        let has_cookie = self.params.iter().any(|param| param.place == Place::Cookie);
        let fields = self.params.iter().filter(|it| it.place == Place::Header);
        let fields = fields.map(|param| param.name.as_str());
        fields.chain(has_cookie.then_some("cookie"))
    }

    /// The media type of its body, without parameters, if it takes one.
    pub fn content_type(&self) -> Option<&str> {
        let body = self.body.as_ref()?;
        body.content_type.split(';').next().map(str::trim)
    }

    /// The definition of the tool.
    ///
    /// # Errors
    /// Never for operations made by this crate.
    pub fn spec(&self) -> Result<ToolSpec, SpecError> {
        let mut definition =
            ObjectWriter::with_capacity(self.input_schema.len() + 512).string("name", &self.name);
        if let Some(title) = &self.title {
            definition = definition.string("title", title);
        }
        let definition = definition
            .string("description", &self.description)
            .raw("inputSchema", &self.input_schema);
        ToolSpec::from_definition(definition.finish())?.with_annotations(&self.annotations)
    }

    /// The request that these arguments, an object, ask for. It is not checked by any rule about where
    /// requests may go.
    ///
    /// No value changes how many segments the path has, or any other parameter than its own.
    ///
    /// # Errors
    /// When an argument is unknown, missing, of another shape than the schema wants, or cannot be
    /// written where it has to go. The text tells the model what to do.
    pub fn parts(&self, arguments: &RawJson) -> Result<RequestParts, ArgumentError> {
        let names = self.names();
        let mut given = argument::given(arguments, |name| {
            let is_known = names.contains(&name);
            let is_whole = name == BODY && self.needs_body();
            !is_known || is_whole || self.nullable.iter().any(|it| it == name)
        })?;
        for (name, value) in &self.defaults {
            given.entry(name.clone()).or_insert_with(|| value.clone());
        }
        argument::check_names(&given, &names, &self.required)?;
        self.check.check(&self.name, &self.input_schema, &given)?;

        let mut endpoint = self.endpoint(&given)?;
        let mut query = Query::default();
        let mut headers = Vec::new();
        let mut cookies = Vec::new();
        for param in &self.params {
            let Some(value) = given.get(&param.argument) else {
                continue;
            };
            let wrong = |reason: String| ArgumentError::of(&param.argument, reason);
            let is_other = |name: &str| self.is_other(param, name);
            match param.place {
                Place::Path => {}
                Place::Query => param
                    .in_query(value, &mut query, &is_other)
                    .map_err(wrong)?,
                Place::Header => {
                    let value = param.in_header(value).map_err(wrong)?;
                    headers.extend(value.map(|value| (param.name.clone(), value)));
                }
                Place::Cookie => cookies.extend(param.in_cookie(value, &is_other).map_err(wrong)?),
            }
        }
        if !cookies.is_empty() {
            headers.push(("cookie".to_owned(), cookies.join("; ")));
        }
        if let Some(accept) = &self.accept {
            headers.push(("accept".to_owned(), accept.clone()));
        }
        for (part, sign) in [(&self.template.query, '?'), (&query.raw, '&')] {
            if !part.is_empty() {
                endpoint.push(if endpoint.contains('?') { sign } else { '?' });
                endpoint.push_str(part);
            }
        }
        let body = match &self.body {
            Some(body) => body.write(&given)?,
            None => None,
        };
        Ok(RequestParts {
            method: self.method.clone(),
            endpoint,
            query: query.pairs,
            headers,
            body,
        })
    }

    /// Checks what the guard on requests would refuse of values in the path (E-3), in words about the argument
    /// and not about a path that no caller wrote.
    ///
    /// # Errors
    /// When one holds a slash.
    pub(super) fn check_segments(&self, arguments: &RawJson) -> Result<(), ArgumentError> {
        let given = argument::given(arguments, |_| false)?;
        for param in self.params.iter().filter(|it| it.place == Place::Path) {
            let value = given.get(&param.argument);
            let text = value.and_then(|value| param.in_path(value).ok());
            if text.is_some_and(|text| hides_slash(&text)) {
                let reason =
                    "it is one segment of the path and cannot hold `/` or `\\`, in any spelling";
                return Err(ArgumentError::of(&param.argument, reason));
            }
        }
        Ok(())
    }

    fn needs_body(&self) -> bool {
        let whole = self.body.as_ref().filter(|body| body.members.is_none());
        whole.is_some_and(|body| body.required)
    }

    /// All arguments.
    pub(super) fn names(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.params.iter().map(|it| it.argument.as_str()).collect();
        match self.body.as_ref().map(|body| &body.members) {
            Some(Some(members)) => names.extend(members.iter().map(|(name, _)| name.as_str())),
            Some(None) => names.push(BODY),
            None => {}
        }
        names
    }

    fn endpoint(&self, given: &Given) -> Result<String, ArgumentError> {
        let mut values = Vec::new();
        for param in self.params.iter().filter(|it| it.place == Place::Path) {
            if let Some(value) = given.get(&param.argument) {
                let text = param.in_path(value);
                let text = text.map_err(|reason| ArgumentError::of(&param.argument, reason))?;
                values.push((&param.name, text));
            }
        }
        let value = |name: &str| {
            let found = values.iter().find(|(other, _)| *other == name);
            found.map(|(_, text)| text.as_str())
        };
        let argument = |name: String| {
            let is = |param: &&Param| param.place == Place::Path && param.name == name;
            let param = self.params.iter().find(is);
            param.map_or_else(|| name.clone(), |param| param.argument.clone())
        };
        self.template.expand(value).map_err(|fault| match fault {
            PathFault::Dots(name) => ArgumentError::of(
                &argument(name),
                "`.` and `..` would lead to another path; give the id or name itself",
            ),
            PathFault::Empty(name) => ArgumentError::of(
                &argument(name),
                "it is a part of the path and cannot be empty",
            ),
            PathFault::Missing(name) => {
                ArgumentError::of(&argument(name), "it is required and missing")
            }
        })
    }

    /// True when a name in a query or cookie belongs to another parameter than `param`, or to a
    /// credential.
    fn is_other(&self, param: &Param, name: &str) -> bool {
        let is_other = |other: &Param| {
            other.place == param.place && other.name == name && other.name != param.name
        };
        let schemes = self.security.iter().flat_map(|way| &way.schemes);
        let is_key = |scheme: &Scheme| match &scheme.kind {
            SchemeKind::QueryKey { name: key } => param.place == Place::Query && key == name,
            SchemeKind::CookieKey { name: key } => param.place == Place::Cookie && key == name,
            _ => false,
        };
        self.params.iter().any(is_other) || schemes.into_iter().any(is_key)
    }
}

/// True for a value that has a slash when it is decoded, or decoded again: the guard never lets one out (E-3),
/// and its words would be about a path that no caller wrote.
fn hides_slash(encoded: &str) -> bool {
    let mut text = encoded.to_owned();
    for _ in 0..6 {
        let next = String::from_utf8_lossy(&percent_decode(&text)).into_owned();
        if next.contains(['/', '\\']) {
            return true;
        }
        if next == text {
            break;
        }
        text = next;
    }
    false
}

/// What the method says about the effect of an operation (RFC 9110 §9.2).
pub(super) fn annotations_of(method: &str, title: Option<&str>) -> ToolAnnotations {
    let mut hints = match method {
        "GET" | "HEAD" | "OPTIONS" => ToolAnnotations::read_only().with_idempotent(true),
        "PUT" | "DELETE" => ToolAnnotations::destructive().with_idempotent(true),
        // It may be anything: the default of MCP is to expect the worst.
        _ => ToolAnnotations::destructive().with_idempotent(false),
    };
    if let Some(title) = title {
        hints = hints.with_title(title);
    }
    hints.with_open_world(true)
}

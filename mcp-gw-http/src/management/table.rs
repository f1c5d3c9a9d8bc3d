//! What there is: one row for each operation. The routes, who may use them and the `OpenAPI` document all come
//! from here.

use std::sync::Arc;

use axum::http::{Method, StatusCode};
use futures_util::future::BoxFuture;
use mcp_gw_server::identity::Scope;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::ask::{Ask, Reply};
use super::fault::Fault;

/// Who may use an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// Everybody: credentials are not looked at.
    Nobody,
    /// Whoever is known.
    Anybody,
    /// Who holds a scope.
    Scope(Scope),
}

/// What a body is.
#[derive(Clone)]
pub(super) enum BodyKind {
    Json(Vec<SchemaOf>),
    Form(SchemaOf),
}

impl BodyKind {
    pub(super) const fn media_type(&self) -> &'static str {
        match self {
            Self::Json(_) => "application/json",
            Self::Form(_) => "application/x-www-form-urlencoded",
        }
    }
}

pub(super) type SchemaOf = fn(&mut SchemaGenerator) -> Schema;
type Run = Arc<dyn Fn(Ask) -> BoxFuture<'static, Result<Reply, Fault>> + Send + Sync>;

fn schema<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A parameter of the query.
#[derive(Debug, Clone, Copy)]
pub(super) struct Param {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    /// The type in JSON Schema.
    pub(super) kind: &'static str,
}

/// Pages: how long, and from where.
pub(super) const PAGE: [Param; 2] = [
    Param {
        name: "limit",
        about: "How many at most, 1 to 1000",
        kind: "integer",
    },
    Param {
        name: "cursor",
        about: "Where the page before ended: what it said as `next_cursor`",
        kind: "string",
    },
];

/// One operation.
#[derive(Clone)]
pub(super) struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) id: &'static str,
    pub(super) tag: &'static str,
    pub(super) about: &'static str,
    pub(super) need: Need,
    pub(super) query: Vec<Param>,
    pub(super) body: Option<BodyKind>,
    /// Statuses of success, with what is answered.
    pub(super) gives: Vec<(StatusCode, Option<SchemaOf>)>,
    /// Statuses of failure beyond those that come from the rest of the row.
    pub(super) fails: Vec<u16>,
    /// The gateway charges what is asked of it by itself.
    pub(super) is_charged_behind: bool,
    /// A revision may be expected with `If-Match`.
    pub(super) is_conditional: bool,
    pub(super) run: Run,
}

impl Operation {
    pub(super) fn new<F, R>(
        (method, path, id): (Method, &'static str, &'static str),
        need: Need,
        about: &'static str,
        run: F,
    ) -> Self
    where
        F: Fn(Ask) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Reply, Fault>> + Send + 'static,
    {
        Self {
            method,
            path,
            id,
            tag: "",
            about,
            need,
            query: Vec::new(),
            body: None,
            gives: Vec::new(),
            fails: Vec::new(),
            is_charged_behind: false,
            is_conditional: false,
            run: Arc::new(move |ask| Box::pin(run(ask))),
        }
    }

    pub(super) const fn tag(mut self, tag: &'static str) -> Self {
        self.tag = tag;
        self
    }

    pub(super) fn query(mut self, params: &[Param]) -> Self {
        self.query.extend_from_slice(params);
        self
    }

    pub(super) fn takes<T: JsonSchema>(mut self) -> Self {
        match &mut self.body {
            Some(BodyKind::Json(schemas)) => schemas.push(schema::<T>),
            _ => self.body = Some(BodyKind::Json(vec![schema::<T>])),
        }
        self
    }

    pub(super) fn takes_form<T: JsonSchema>(mut self) -> Self {
        self.body = Some(BodyKind::Form(schema::<T>));
        self
    }

    pub(super) fn gives<T: JsonSchema>(mut self, status: StatusCode) -> Self {
        self.gives.push((status, Some(schema::<T>)));
        self
    }

    pub(super) fn gives_nothing(mut self) -> Self {
        self.gives.push((StatusCode::NO_CONTENT, None));
        self
    }

    /// A page for people.
    pub(super) fn gives_page(mut self) -> Self {
        self.gives.push((StatusCode::OK, None));
        self
    }

    pub(super) fn fails(mut self, statuses: &[u16]) -> Self {
        self.fails.extend_from_slice(statuses);
        self
    }

    /// A call, or a list, that the gateway behind charges.
    pub(super) fn behind(mut self) -> Self {
        self.is_charged_behind = true;
        self.fails(&[502, 504])
    }

    pub(super) fn conditional(mut self) -> Self {
        self.is_conditional = true;
        self.fails(&[412])
    }

    /// All statuses that are no success.
    pub(super) fn all_fails(&self) -> Vec<u16> {
        let mut all = vec![400, 403, 429, 500, 503];
        all.extend_from_slice(&self.fails);
        if self.need != Need::Nobody {
            all.push(401);
        }
        if self.path.contains('{') {
            all.extend([404, 422]);
        }
        if self.body.is_some() {
            all.extend([408, 413, 422]);
        }
        if matches!(self.body, Some(BodyKind::Json(_))) {
            all.push(415);
        }
        if !self.query.is_empty() || self.is_conditional {
            all.push(422);
        }
        all.sort_unstable();
        all.dedup();
        all
    }

    /// What the path has in braces.
    pub(super) fn path_params(&self) -> Vec<&'static str> {
        let parts = self.path.split('/');
        parts
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .collect()
    }
}

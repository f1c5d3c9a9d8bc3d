//! The names that conditions may use: variables with their members, functions with their shapes.

use super::kind::Kind;
use super::meter::Pay;

/// A fact with a fixed name.
pub(super) struct Fact {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// Where it comes from.
    pub(super) about: About,
}

/// What a fact is about.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum About {
    /// Who asks.
    Caller,
    /// How and when: what may be otherwise the next time that the same caller asks.
    Request,
    /// What is asked for.
    Target,
    /// The arguments of what is asked for.
    Arguments,
}

const fn fact(path: &'static str, kind: Kind, about: About) -> Fact {
    Fact { path, kind, about }
}

/// Roots whose members are not known before: verified claims, static variables.
pub(super) const OPEN_ROOTS: [&str; 3] = ["jwt", "oauth", "vars"];

/// Roots with the members in [`FACTS`] and no others.
pub(super) const FIXED_ROOTS: [&str; 6] =
    ["identity", "consumer", "request", "source", "tls", "mcp"];

/// Names that stand for a group of facts, for `has()` only.
pub(super) const GROUPS: [&str; 4] = ["mcp.tool", "mcp.resource", "mcp.prompt", "mcp.client"];

pub(super) const FACTS: [Fact; 39] = [
    fact("identity.id", Kind::Text, About::Caller),
    fact("identity.sub", Kind::Text, About::Caller),
    fact("identity.kind", Kind::Text, About::Caller),
    fact("identity.issuer", Kind::Text, About::Caller),
    fact("identity.authenticated", Kind::Bool, About::Caller),
    fact("identity.roles", Kind::Texts, About::Caller),
    fact("identity.groups", Kind::Texts, About::Caller),
    fact("identity.scopes", Kind::Texts, About::Caller),
    fact("consumer.id", Kind::Text, About::Caller),
    fact("consumer.name", Kind::Text, About::Caller),
    fact("consumer.plan", Kind::Text, About::Caller),
    fact("consumer.groups", Kind::Texts, About::Caller),
    fact("consumer.metadata", Kind::Map, About::Caller),
    fact("request.headers", Kind::Map, About::Request),
    fact("request.headers_all", Kind::Map, About::Request),
    fact("request.method", Kind::Text, About::Request),
    fact("request.path", Kind::Text, About::Request),
    fact("request.host", Kind::Text, About::Request),
    fact("request.scheme", Kind::Text, About::Request),
    fact("request.query", Kind::Map, About::Request),
    fact("request.id", Kind::Text, About::Request),
    fact("request.time", Kind::Time, About::Request),
    fact("request.transport", Kind::Text, About::Request),
    fact("request.endpoint", Kind::Text, About::Request),
    fact("source.ip", Kind::Text, About::Request),
    fact("tls.subject", Kind::Text, About::Request),
    fact("tls.sans", Kind::Texts, About::Request),
    fact("tls.sni", Kind::Text, About::Request),
    fact("mcp.method", Kind::Text, About::Target),
    fact("mcp.server", Kind::Text, About::Target),
    fact("mcp.protocol_version", Kind::Text, About::Request),
    fact("mcp.client.name", Kind::Text, About::Request),
    fact("mcp.client.version", Kind::Text, About::Request),
    fact("mcp.tool.name", Kind::Text, About::Target),
    fact("mcp.tool.annotations", Kind::Map, About::Target),
    fact("mcp.tool.arguments", Kind::Map, About::Arguments),
    fact("mcp.resource.uri", Kind::Text, About::Target),
    fact("mcp.prompt.name", Kind::Text, About::Target),
    fact("mcp.prompt.arguments", Kind::Map, About::Arguments),
];

/// The members that `path` has, for suggestions.
pub(super) fn members(path: &str) -> impl Iterator<Item = &'static str> + Clone {
    let depth = path.split('.').count();
    let path = path.to_owned();
    FACTS.iter().filter_map(move |fact| {
        let rest = fact.path.strip_prefix(path.as_str())?;
        rest.starts_with('.')
            .then(|| fact.path.split('.').nth(depth))
            .flatten()
    })
}

/// The names of CEL's types, as in `type(x) == int`.
pub(super) const TYPES: [&str; 9] = [
    "bool",
    "bytes",
    "double",
    "int",
    "list",
    "map",
    "null_type",
    "string",
    "uint",
];

/// A function that conditions may call as it is.
pub(super) struct Function {
    pub(super) name: &'static str,
    /// The receiver, for one that is called as `x.f(…)`.
    pub(super) receiver: Option<Kind>,
    /// Its other arguments.
    pub(super) args: &'static [Kind],
    pub(super) gives: Kind,
    /// What its receiver costs, and each of its arguments.
    pub(super) target: Option<Pay>,
    pub(super) each: Option<Pay>,
}

const fn global(name: &'static str, arg: Kind, gives: Kind, each: Pay) -> Function {
    let args = match arg {
        Kind::Text => &[Kind::Text],
        _ => &[Kind::Any] as &[Kind],
    };
    Function {
        name,
        receiver: None,
        args,
        gives,
        target: None,
        each: Some(each),
    }
}

const fn member(
    name: &'static str,
    receiver: Kind,
    args: &'static [Kind],
    gives: Kind,
    pays: (Option<Pay>, Option<Pay>),
) -> Function {
    Function {
        name,
        receiver: Some(receiver),
        args,
        gives,
        target: pays.0,
        each: pays.1,
    }
}

const NONE: &[Kind] = &[];
const TEXT: &[Kind] = &[Kind::Text];
const NUMBER: &[Kind] = &[Kind::Number];

/// Left out on purpose: what makes texts longer (`replace`, `join`, `format`) or searches them in
/// quadratic time (`indexOf`).
pub(super) const FUNCTIONS: [Function; 48] = [
    global("size", Kind::Any, Kind::Number, Pay::Text),
    global("int", Kind::Any, Kind::Number, Pay::Copy),
    global("uint", Kind::Any, Kind::Number, Pay::Copy),
    global("double", Kind::Any, Kind::Number, Pay::Copy),
    global("string", Kind::Any, Kind::Text, Pay::Copy),
    global("bool", Kind::Any, Kind::Bool, Pay::Copy),
    global("dyn", Kind::Any, Kind::Any, Pay::Copy),
    global("type", Kind::Any, Kind::Type, Pay::Copy),
    global("timestamp", Kind::Any, Kind::Time, Pay::Copy),
    global("duration", Kind::Any, Kind::Span, Pay::Copy),
    member(
        "size",
        Kind::Any,
        NONE,
        Kind::Number,
        (Some(Pay::Text), None),
    ),
    member(
        "contains",
        Kind::Text,
        TEXT,
        Kind::Bool,
        (Some(Pay::Search), Some(Pay::Walk)),
    ),
    member(
        "startsWith",
        Kind::Text,
        TEXT,
        Kind::Bool,
        (None, Some(Pay::Walk)),
    ),
    member(
        "endsWith",
        Kind::Text,
        TEXT,
        Kind::Bool,
        (None, Some(Pay::Walk)),
    ),
    member(
        "lowerAscii",
        Kind::Text,
        NONE,
        Kind::Text,
        (Some(Pay::Search), None),
    ),
    member(
        "upperAscii",
        Kind::Text,
        NONE,
        Kind::Text,
        (Some(Pay::Search), None),
    ),
    member(
        "trim",
        Kind::Text,
        NONE,
        Kind::Text,
        (Some(Pay::Search), None),
    ),
    member(
        "charAt",
        Kind::Text,
        NUMBER,
        Kind::Text,
        (Some(Pay::Search), None),
    ),
    member(
        "substring",
        Kind::Text,
        NUMBER,
        Kind::Text,
        (Some(Pay::Rewrite), None),
    ),
    member(
        "substring",
        Kind::Text,
        &[Kind::Number, Kind::Number],
        Kind::Text,
        (Some(Pay::Rewrite), None),
    ),
    member(
        "split",
        Kind::Text,
        TEXT,
        Kind::Texts,
        (Some(Pay::Pieces), Some(Pay::Walk)),
    ),
    member(
        "split",
        Kind::Text,
        &[Kind::Text, Kind::Number],
        Kind::Texts,
        (Some(Pay::Pieces), Some(Pay::Walk)),
    ),
    member(
        "getFullYear",
        Kind::Time,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getFullYear",
        Kind::Time,
        TEXT,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getMonth",
        Kind::Time,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getMonth",
        Kind::Time,
        TEXT,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getDayOfYear",
        Kind::Time,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getDayOfYear",
        Kind::Time,
        TEXT,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getDayOfMonth",
        Kind::Time,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getDayOfMonth",
        Kind::Time,
        TEXT,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getDate",
        Kind::Time,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getDate",
        Kind::Time,
        TEXT,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getDayOfWeek",
        Kind::Time,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getDayOfWeek",
        Kind::Time,
        TEXT,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getHours",
        Kind::Time,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getHours",
        Kind::Time,
        TEXT,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getMinutes",
        Kind::Time,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getMinutes",
        Kind::Time,
        TEXT,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getSeconds",
        Kind::Time,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getSeconds",
        Kind::Time,
        TEXT,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getMilliseconds",
        Kind::Time,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getMilliseconds",
        Kind::Time,
        TEXT,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getHours",
        Kind::Span,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getMinutes",
        Kind::Span,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getSeconds",
        Kind::Span,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    member(
        "getMilliseconds",
        Kind::Span,
        NONE,
        Kind::Number,
        (None, Some(Pay::Copy)),
    ),
    // Two that stand for their own checks, so that the table is what suggestions are made from.
    member(
        "matches",
        Kind::Text,
        TEXT,
        Kind::Bool,
        (None, Some(Pay::Copy)),
    ),
    member(
        "glob",
        Kind::Text,
        TEXT,
        Kind::Bool,
        (None, Some(Pay::Copy)),
    ),
];

/// Functions that take literals which are compiled with the condition, or that are short for
/// something else.
pub(super) const OWN: [&str; 6] = [
    "matches",
    "glob",
    "ip_in",
    "has_role",
    "has_scope",
    "in_group",
];

/// The macros, for suggestions.
pub(super) const MACROS: [&str; 7] = [
    "has",
    "all",
    "exists",
    "exists_one",
    "existsOne",
    "map",
    "filter",
];

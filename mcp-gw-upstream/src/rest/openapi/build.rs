//! From the members of a description to operations.

use std::collections::BTreeSet;

use mcp_gw_core::{ObjectWriter, RawJson};
use serde_json::{Map, Value};

use super::bodies::{self, Plan};
use super::document::Document;
use super::parameters::{Described, Reader, is_json};
use super::report::Report;
use super::schema::{Limits, Maker, ReadOnly};
use super::servers::Home;
use super::{Options, security, servers, strings};
use crate::rest::argument::Check;
use crate::rest::body::{BODY, is_media_type};
use crate::rest::operation::{Operation, annotations_of};
use crate::rest::param::Form;
use crate::rest::template::Template;
use crate::rest::text::trimmed;

/// An operation as it was found.
#[derive(Debug)]
pub(super) struct Found<'d> {
    pub(super) path: &'d str,
    pub(super) method: &'static str,
    pub(super) id: Option<&'d str>,
    pub(super) item: &'d Map<String, Value>,
    pub(super) operation: &'d Map<String, Value>,
}

impl Found<'_> {
    /// Where it is, if that is not where the others are.
    pub(super) fn servers(&self) -> Vec<String> {
        let own = self.operation.get("servers");
        servers::of(own.or_else(|| self.item.get("servers")))
    }

    pub(super) fn is_deprecated(&self) -> bool {
        self.operation.get("deprecated") == Some(&Value::Bool(true))
    }
}

/// All operations, in order of path and method.
pub(super) fn find<'d>(document: &'d Document, report: &mut Report) -> Vec<Found<'d>> {
    let mut all = Vec::new();
    let paths = document.member("paths");
    if paths.is_some_and(|paths| !paths.is_object()) {
        report.note(
            "paths",
            "it is no mapping of paths, so nothing is read of it",
        );
    }
    let paths = paths.and_then(Value::as_object);
    let mut paths: Vec<(&String, &Value)> = paths.into_iter().flatten().collect();
    paths.retain(|(path, _)| !path.starts_with("x-"));
    paths.sort_by_key(|(path, _)| *path);
    for (path, item) in paths {
        let item = match document.object(item) {
            Ok(item) => item,
            Err(fault) => {
                report.total = report.total.saturating_add(1);
                report.skip_path("*", path, fault);
                continue;
            }
        };
        for (key, method) in METHODS {
            let Some(operation) = item.get(*key) else {
                continue;
            };
            report.total = report.total.saturating_add(1);
            if matches!(*method, "TRACE" | "QUERY") {
                report.skip_path(method, path, format!("{method} is never sent"));
                continue;
            }
            match document.object(operation) {
                Ok(operation) => all.push(Found {
                    path,
                    method,
                    id: operation.get("operationId").and_then(Value::as_str),
                    item,
                    operation,
                }),
                Err(fault) => report.skip_path(method, path, fault),
            }
        }
    }
    all
}

/// Makes operations of one description.
pub(super) struct Builder<'d, 'o> {
    document: &'d Document,
    options: &'o Options,
    home: &'o Home<'o>,
    read_only: ReadOnly,
    /// Schemas made so far, over all operations.
    pub(super) work: usize,
    /// Those of them that were too much and were thrown away.
    wasted: usize,
    /// Which attempt was taken last.
    taken: usize,
}

impl<'d, 'o> Builder<'d, 'o> {
    pub(super) fn new(document: &'d Document, options: &'o Options, home: &'o Home<'o>) -> Self {
        Self {
            document,
            options,
            home,
            read_only: ReadOnly::default(),
            work: 0,
            wasted: 0,
            taken: 0,
        }
    }

    /// Makes an operation of what was found.
    ///
    /// # Errors
    /// Why it cannot be used.
    pub(super) fn operation(
        &mut self,
        found: &Found<'d>,
        name: String,
        report: &mut Report,
    ) -> Result<Operation, String> {
        let members = found.operation;
        self.home.admit(&found.servers())?;
        let mut notes = Vec::new();
        // Some tell several operations of one path apart by what no request has.
        let (path, apart) = found.path.split_once('#').unwrap_or((found.path, ""));
        if !apart.is_empty() {
            notes.push("what is behind the `#` of its path is not sent".to_owned());
        }
        let mut template = Template::parse(path)?;
        let security = security::of(self.document, members);
        let plan = self.body(found, &mut notes)?;
        let lists = [found.item.get("parameters"), members.get("parameters")];
        let params = Reader {
            document: self.document,
            security: &security,
            guarded: &self.options.guarded,
            is_open: security::is_open(members),
            notes: &mut notes,
        }
        .read(lists, &mut template, plan.is_some())?;
        let input_schema = self.input_schema(&params, plan.as_ref(), &mut notes);
        let (title, description) = texts(found);
        let at = format!("{} {}", found.method, found.path);
        for note in notes {
            report.note(&at, note);
        }
        Ok(Operation {
            annotations: annotations_of(found.method, title.as_deref()),
            required: required(&params, plan.as_ref()),
            defaults: Vec::new(),
            nullable: Vec::new(),
            name,
            id: found.id.map(|id| trimmed(id, 200)),
            title,
            description,
            input_schema,
            method: found.method.to_owned(),
            path: found.path.to_owned(),
            template,
            params: params.into_iter().map(|it| it.param).collect(),
            body: plan.map(|plan| plan.body),
            accept: self.accept(members),
            security,
            tags: strings(members.get("tags"))
                .take(50)
                .map(|it| trimmed(it, 100))
                .collect(),
            is_once: false,
            is_open: security::is_open(members),
            deprecated: found.is_deprecated(),
            check: Check::default(),
        })
    }

    fn body(&self, found: &Found<'d>, notes: &mut Vec<String>) -> Result<Option<Plan<'d>>, String> {
        let Some(request) = found.operation.get("requestBody") else {
            return Ok(None);
        };
        if matches!(found.method, "GET" | "HEAD") {
            notes.push(format!("its body is left out: {} has none", found.method));
            return Ok(None);
        }
        bodies::of(self.document, request, notes)
    }

    /// The schema of all arguments: as much of it as there is room for.
    fn input_schema(
        &mut self,
        params: &[Described<'d>],
        plan: Option<&Plan<'d>>,
        notes: &mut Vec<String>,
    ) -> RawJson {
        // A description that is made to take long is not looked into any deeper; where most was in vain, what
        // was good enough for the last operation is tried first.
        let first = if self.work > MAX_WORK {
            ATTEMPTS.len().saturating_sub(1)
        } else if self.wasted > MAX_WASTED {
            self.taken.saturating_sub(1)
        } else {
            0
        };
        let mut attempts = ATTEMPTS.iter().enumerate().skip(first).peekable();
        while let Some((attempt, limits)) = attempts.next() {
            let mut maker = Maker::new(self.document, &mut self.read_only, *limits);
            let schema = object_schema(&mut maker, limits, params, plan);
            self.work = self.work.saturating_add(maker.nodes);
            let fits = !maker.is_over && schema.len() <= self.options.max_schema;
            if fits || attempts.peek().is_none() {
                self.taken = attempt;
                notes.extend(maker.faults.into_iter().take(20));
                return schema;
            }
            self.wasted = self.wasted.saturating_add(maker.nodes);
        }
        RawJson::empty_object()
    }

    /// The media types of a good answer, the best first.
    fn accept(&self, members: &Map<String, Value>) -> Option<String> {
        let responses = members.get("responses")?.as_object()?;
        let good = responses
            .iter()
            .filter(|(status, _)| status.starts_with('2'));
        let mut types: BTreeSet<(bool, &str)> = BTreeSet::new();
        for (_, response) in good.take(10) {
            let Ok(response) = self.document.object(response) else {
                continue;
            };
            let content = response.get("content").and_then(Value::as_object);
            for media in content
                .into_iter()
                .flatten()
                .map(|(media, _)| media)
                .take(20)
            {
                if is_media_type(media) && !media.contains('*') {
                    types.insert((!is_json(media), media));
                }
            }
        }
        let mut wanted: Vec<&str> = types.into_iter().map(|(_, media)| media).take(4).collect();
        if wanted.contains(&"application/json") {
            wanted = vec!["application/json"];
        }
        (!wanted.is_empty()).then(|| format!("{}, */*;q=0.1", wanted.join(", ")))
    }
}

/// Title and description: what there is of a summary and a description, or at least what is called.
fn texts(found: &Found<'_>) -> (Option<String>, String) {
    let text = |name: &str| {
        let text = found.operation.get(name).and_then(Value::as_str);
        text.map(str::trim).filter(|text| !text.is_empty())
    };
    let title = text("summary").map(|it| {
        let words: Vec<&str> = it.split_whitespace().take(MAX_TITLE).collect();
        trimmed(&words.join(" "), MAX_TITLE)
    });
    let whole = match (text("summary"), text("description")) {
        (Some(summary), Some(more)) if more.starts_with(summary) => more.to_owned(),
        (Some(summary), Some(more)) => format!("{summary}\n\n{more}"),
        (Some(one), None) | (None, Some(one)) => one.to_owned(),
        (None, None) => format!("{} {}", found.method, found.path),
    };
    (title, trimmed(&whole, MAX_DESCRIPTION))
}

fn required(params: &[Described<'_>], plan: Option<&Plan<'_>>) -> Vec<String> {
    let params = params.iter().filter(|it| it.param.required);
    let params = params.map(|it| it.param.argument.clone());
    let body = plan
        .filter(|plan| plan.body.required)
        .map(|_| BODY.to_owned());
    params.chain(body).collect()
}

fn object_schema<'d>(
    maker: &mut Maker<'d, '_>,
    limits: &Limits,
    params: &[Described<'d>],
    plan: Option<&Plan<'d>>,
) -> RawJson {
    let raw = |schema: Map<String, Value>| {
        RawJson::from_serialize(&schema).unwrap_or_else(|_| RawJson::empty_object())
    };
    let mut properties = ObjectWriter::with_capacity(1024);
    for it in params {
        let schema = parameter_schema(maker, limits, it);
        properties = properties.raw(&it.param.argument, &raw(schema));
    }
    if let Some(plan) = plan {
        properties = properties.raw(BODY, &raw(plan.schema(maker)));
    }
    let required: Vec<RawJson> = required(params, plan)
        .iter()
        .map(|name| RawJson::string(name))
        .collect();
    let mut schema = ObjectWriter::with_capacity(2048)
        .string("type", "object")
        .raw("properties", &properties.finish());
    if !required.is_empty() {
        schema = schema.array("required", &required);
    }
    schema.boolean("additionalProperties", false).finish()
}

fn parameter_schema<'d>(
    maker: &mut Maker<'d, '_>,
    limits: &Limits,
    it: &Described<'d>,
) -> Map<String, Value> {
    let mut schema = match it.schema {
        Some(schema) => maker.make(schema),
        None if it.param.form == Form::Json => Map::new(),
        None => Map::from_iter([("type".to_owned(), Value::from("string"))]),
    };
    let text = it
        .description
        .map(str::trim)
        .filter(|text| !text.is_empty());
    let text = text.map(|text| trimmed(text, limits.text.max(MIN_TEXT)));
    let text = if it.param.argument == it.param.name {
        text
    } else {
        // Models know the names of well-known APIs.
        let text = text.unwrap_or_default();
        Some(format!("`{}`: {text}", trimmed(&it.param.name, 100)))
    };
    if let Some(text) = text {
        let text = text.trim_end_matches(": ");
        schema.insert("description".to_owned(), text.into());
    }
    let example = it.example.filter(|_| limits.has_examples);
    if let Some(example @ (Value::Bool(_) | Value::Number(_) | Value::String(_))) = example
        && example.as_str().is_none_or(|text| text.len() <= 100)
    {
        let examples = Value::Array(vec![example.clone()]);
        schema.entry("examples").or_insert(examples);
    }
    schema
}

/// What is tried, one after the other, until a schema is small enough. The last is taken as it is.
const ATTEMPTS: &[Limits] = &[
    limits(12, 2, 1_500, 400, 200, true),
    limits(10, 1, 1_500, 200, 200, true),
    limits(8, 1, 1_000, 120, 100, false),
    limits(6, 1, 800, 80, 100, false),
    limits(5, 1, 600, 60, 60, false),
    limits(4, 1, 500, 40, 60, false),
    limits(3, 1, 400, 0, 40, false),
    limits(2, 1, 300, 0, 40, false),
    limits(1, 1, 250, 0, 20, false),
    limits(0, 1, 250, 0, 10, false),
];

const fn limits(
    depth: usize,
    unroll: usize,
    nodes: usize,
    text: usize,
    values: usize,
    has_examples: bool,
) -> Limits {
    Limits {
        depth,
        unroll,
        nodes,
        text,
        values,
        has_examples,
    }
}

/// The methods of a path, as the description and as the wire has them.
const METHODS: &[(&str, &str)] = &[
    ("get", "GET"),
    ("head", "HEAD"),
    ("options", "OPTIONS"),
    ("post", "POST"),
    ("put", "PUT"),
    ("patch", "PATCH"),
    ("delete", "DELETE"),
    ("trace", "TRACE"),
    ("query", "QUERY"),
];

/// Schemas that are made of one description before it is only looked at from above.
const MAX_WORK: usize = 20_000_000;

/// Schemas that may be made in vain before it is thought that the rest of the description is like that.
const MAX_WASTED: usize = 500_000;

/// The longest title, in characters.
const MAX_TITLE: usize = 100;

/// The longest description of a tool, in characters.
const MAX_DESCRIPTION: usize = 1_000;

/// What is kept of the description of an argument in any case.
const MIN_TEXT: usize = 80;

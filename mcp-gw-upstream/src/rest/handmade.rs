//! Operations that are written by hand, for APIs without a description.

use std::collections::{BTreeMap, BTreeSet};

use mcp_gw_core::{ObjectWriter, RawJson, ToolAnnotations};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::argument::{Check, can_check, is_schema};
use super::body::{Body, Field, Kind};
use super::openapi::is_set_by_others;
use super::operation::{Operation, annotations_of};
use super::param::{Form, Param, Place, Style};
use super::rebase::rebase;
use super::template::Template;
use super::text::legal_name;

/// A tool that sends one request: what [`ToolConfig::build`] makes an [`Operation`] of.
///
/// ```
/// use mcp_gw_upstream::rest::{InputConfig, ToolConfig};
/// use mcp_gw_core::RawJson;
///
/// let tool = ToolConfig::new("get_weather", "The weather of a town.", "GET", "/weather/{town}")
///     .with_input("town", InputConfig::default())
///     .with_input("units", InputConfig::default().with_default("metric"));
/// let operation = tool.build().unwrap();
/// let parts = operation.parts(&RawJson::parse(r#"{"town":"New York"}"#).unwrap()).unwrap();
/// assert_eq!(parts.endpoint, "/weather/New%20York");
/// assert_eq!(parts.query, [("units".to_owned(), "metric".to_owned())]);
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ToolConfig {
    /// Its name: 1 to 64 letters, digits, `_` and `-`.
    pub name: String,
    /// Its name for people.
    #[serde(default)]
    pub title: Option<String>,
    /// What it does.
    pub description: String,
    /// The method, in upper case.
    #[serde(default = "get")]
    pub method: String,
    /// The path below that of the API: each `{name}` is filled with the argument of that name.
    pub path: String,
    /// The arguments, under their names.
    #[serde(default)]
    pub inputs: BTreeMap<String, InputConfig>,
    /// How arguments that go into the body are written.
    #[serde(default)]
    pub body: BodyForm,
    /// What clients are told about it; what is not given is as the method says. One that is destructive, or
    /// not idempotent, in these words is never sent twice.
    #[serde(default)]
    pub annotations: Option<ToolAnnotations>,
}

/// An argument of a tool that is written by hand.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct InputConfig {
    /// Where it goes. If not given: into the path if that has `{name}`, else into the query for `GET`,
    /// `HEAD`, `OPTIONS` and `DELETE`, else into the body.
    #[serde(rename = "in")]
    pub place: Option<InputPlace>,
    /// What the API calls it, if it is not the argument's name.
    pub name: Option<String>,
    /// What it means.
    pub description: Option<String>,
    /// Of which type it is: `string`, `integer`, `number`, `boolean`, `array` or `object`; `string` if
    /// not given.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// Whether a call must have it; what is in the path always must, unless it has a default.
    pub required: bool,
    /// The only values that it may have.
    #[serde(rename = "enum")]
    pub values: Option<Vec<Value>>,
    /// What is sent where a call does not have it.
    pub default: Option<Value>,
    /// A JSON Schema for it (2020-12), in place of `type` and `enum`.
    pub schema: Option<Map<String, Value>>,
}

/// Where an argument goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum InputPlace {
    /// Into the path.
    Path,
    /// Into the query; a list once for each item, an object as `name[member]`.
    Query,
    /// Into a header field.
    Header,
    /// Into the body, as a member or field.
    Body,
}

/// How a body of several arguments is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum BodyForm {
    /// As a JSON object.
    #[default]
    Json,
    /// As `application/x-www-form-urlencoded`.
    Form,
}

/// Why a tool cannot be made of its configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("tool {tool:?}: {message}")]
#[non_exhaustive]
pub struct ToolConfigError {
    /// Its name.
    pub tool: String,
    /// What is wrong, and what to do.
    pub message: String,
}

impl InputConfig {
    /// Sets where it goes.
    #[must_use]
    pub const fn with_place(mut self, place: InputPlace) -> Self {
        self.place = Some(place);
        self
    }

    /// Sets its type.
    #[must_use]
    pub fn with_type(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Sets what it means.
    #[must_use]
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.description = Some(description.into());
        self
    }

    /// Sets its schema, in place of a type.
    #[must_use]
    pub fn with_schema(mut self, schema: Map<String, Value>) -> Self {
        self.schema = Some(schema);
        self
    }

    /// Sets what the API calls it.
    #[must_use]
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Makes every call give it.
    #[must_use]
    pub const fn with_required(mut self, required: bool) -> Self {
        self.required = required;
        self
    }

    /// Sets what is sent where a call does not have it.
    #[must_use]
    pub fn with_default(mut self, value: impl Into<Value>) -> Self {
        self.default = Some(value.into());
        self
    }
}

impl ToolConfig {
    /// A tool without arguments.
    pub fn new(
        name: impl Into<String>,
        description: impl Into<String>,
        method: impl Into<String>,
        path: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            title: None,
            description: description.into(),
            method: method.into(),
            path: path.into(),
            inputs: BTreeMap::new(),
            body: BodyForm::default(),
            annotations: None,
        }
    }

    /// Adds an argument.
    #[must_use]
    pub fn with_input(mut self, name: impl Into<String>, input: InputConfig) -> Self {
        self.inputs.insert(name.into(), input);
        self
    }

    /// Sets how a body is written.
    #[must_use]
    pub const fn with_body(mut self, body: BodyForm) -> Self {
        self.body = body;
        self
    }

    /// Makes the operation.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn build(&self) -> Result<Operation, ToolConfigError> {
        self.operation().map_err(|message| ToolConfigError {
            tool: self.name.chars().take(100).collect(),
            message,
        })
    }

    fn operation(&self) -> Result<Operation, String> {
        if self.name.is_empty() || legal_name(&self.name, "", 64) != self.name.trim_matches('_') {
            return Err("`name` must be 1 to 64 letters, digits, `_` and `-`".to_owned());
        }
        if self.name.len() > 64 {
            return Err("`name` is longer than 64 characters".to_owned());
        }
        if !METHODS.contains(&self.method.as_str()) {
            return Err(format!("`method` must be one of {}", METHODS.join(", ")));
        }
        let template = Template::parse(&self.path)?;
        let mut made = Made::default();
        for (argument, input) in &self.inputs {
            self.input(argument, input, &template, &mut made)
                .map_err(|message| format!("input {argument:?}: {message}"))?;
        }
        let names: BTreeSet<&str> = made.params.iter().map(|it| it.name.as_str()).collect();
        if let Some(place) = template.places().find(|place| !names.contains(place)) {
            return Err(format!(
                "`path` has {{{place}}}, but there is no input for it"
            ));
        }
        let title = self.title.as_deref();
        let input_schema = made.schema();
        if !can_check(&input_schema) {
            let message = "a `schema` of the inputs refers to what is not where it stands: keep what it \
                           refers to in its `$defs`";
            return Err(message.to_owned());
        }
        Ok(Operation {
            name: self.name.clone(),
            id: None,
            title: self.title.clone(),
            description: self.description.clone(),
            input_schema,
            annotations: self.hints(annotations_of(&self.method, title)),
            is_once: self.annotations.as_ref().is_some_and(|hints| {
                hints.destructive_hint == Some(true) || hints.idempotent_hint == Some(false)
            }),
            is_open: false,
            method: self.method.clone(),
            path: self.path.clone(),
            template,
            body: self.body_of(&made),
            required: made.required,
            defaults: made.defaults,
            nullable: made.nullable,
            params: made.params,
            accept: None,
            security: Vec::new(),
            tags: Vec::new(),
            deprecated: false,
            check: Check::default(),
        })
    }

    /// What was said about it, and otherwise what the method says.
    fn hints(&self, of_method: ToolAnnotations) -> ToolAnnotations {
        let Some(said) = &self.annotations else {
            return of_method;
        };
        let mut hints = of_method;
        hints.title = said.title.clone().or(hints.title);
        hints.read_only_hint = said.read_only_hint.or(hints.read_only_hint);
        hints.destructive_hint = said.destructive_hint.or(hints.destructive_hint);
        hints.idempotent_hint = said.idempotent_hint.or(hints.idempotent_hint);
        hints.open_world_hint = said.open_world_hint.or(hints.open_world_hint);
        hints
    }

    fn input(
        &self,
        argument: &str,
        input: &InputConfig,
        template: &Template,
        made: &mut Made,
    ) -> Result<(), String> {
        let is_legal = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        if argument.is_empty() || argument.len() > 64 || !argument.chars().all(is_legal) {
            return Err("its name must be 1 to 64 letters, digits, `_`, `-` and `.`".to_owned());
        }
        let name = input.name.as_deref().unwrap_or(argument);
        if name.is_empty() || name.chars().any(char::is_control) {
            return Err("`name` cannot be empty or have control characters".to_owned());
        }
        let schema = input.schema()?;
        let kind = schema
            .get("type")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned();
        let place = self.place(argument, name, input, template)?;
        if !made.taken.insert((place, name.to_ascii_lowercase())) {
            return Err(format!("another input is sent as {name:?}, too"));
        }
        let place = match place {
            PlaceOrBody::Body => {
                made.members.push((argument.to_owned(), name.to_owned()));
                // In a body, `null` may be how something is removed.
                let kinds = schema.get("type");
                let is_null = |kind: &Value| kind == "null";
                if kinds.is_none_or(|it| {
                    is_null(it) || it.as_array().is_some_and(|it| it.iter().any(is_null))
                }) {
                    made.nullable.push(argument.to_owned());
                }
                None
            }
            PlaceOrBody::At(place) => Some(place),
        };
        let required = place == Some(Place::Path) || input.required;
        if required && input.default.is_none() {
            made.required.push(argument.to_owned());
        }
        if let Some(value) = &input.default {
            let value = RawJson::from_serialize(value).map_err(|error| error.message)?;
            made.defaults.push((argument.to_owned(), value));
        }
        if let Some(place) = place {
            let form = if place == Place::Query && kind == "object" {
                Form::Styled {
                    style: Style::Deep,
                    explode: true,
                    reserved: false,
                }
            } else {
                Form::usual(place)
            };
            made.params.push(Param {
                argument: argument.to_owned(),
                name: name.to_owned(),
                place,
                form,
                required,
            });
        }
        let mut schema = Value::Object(schema);
        rebase(&mut schema, &format!("/properties/{argument}"));
        made.properties.push((argument.to_owned(), schema));
        Ok(())
    }

    fn place(
        &self,
        argument: &str,
        name: &str,
        input: &InputConfig,
        template: &Template,
    ) -> Result<PlaceOrBody, String> {
        let is_in_path = |name: &str| template.places().any(|place| place == name);
        let has_body = !matches!(self.method.as_str(), "GET" | "HEAD" | "OPTIONS");
        let place = match input.place {
            Some(InputPlace::Path) => PlaceOrBody::At(Place::Path),
            Some(InputPlace::Query) => PlaceOrBody::At(Place::Query),
            Some(InputPlace::Header) => PlaceOrBody::At(Place::Header),
            None if is_in_path(name) => PlaceOrBody::At(Place::Path),
            None if !has_body || self.method == "DELETE" => PlaceOrBody::At(Place::Query),
            Some(InputPlace::Body) | None => PlaceOrBody::Body,
        };
        match place {
            PlaceOrBody::At(Place::Path) if !is_in_path(name) => Err(format!(
                "`path` has no {{{name}}}; write it there, or set `in`"
            )),
            PlaceOrBody::At(Place::Header) if is_set_by_others(name) => Err(format!(
                "the header `{argument}` cannot be an input: the gateway sets it"
            )),
            PlaceOrBody::At(Place::Header) if legal_name(name, ".!#$%&'*+^`|~", 200) != name => {
                Err("`name` is none that a header can have".to_owned())
            }
            PlaceOrBody::Body if !has_body => {
                Err(format!("{} has no body; set `in: query`", self.method))
            }
            place => Ok(place),
        }
    }

    fn body_of(&self, made: &Made) -> Option<Body> {
        if made.members.is_empty() {
            return None;
        }
        let is_needed = |(name, _): &(String, String)| made.required.contains(name);
        let fields = || {
            let all = made.members.iter().map(|(_, name)| Field {
                name: name.clone(),
                form: None,
                is_file: false,
                content_type: None,
            });
            all.collect()
        };
        let (content_type, kind) = match self.body {
            BodyForm::Json => ("application/json", Kind::Json),
            BodyForm::Form => ("application/x-www-form-urlencoded", Kind::Fields(fields())),
        };
        Some(Body {
            content_type: content_type.to_owned(),
            kind,
            required: made.members.iter().any(is_needed),
            members: Some(made.members.clone()),
        })
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PlaceOrBody {
    At(Place),
    Body,
}

/// What is made of the inputs.
#[derive(Default)]
struct Made {
    params: Vec<Param>,
    members: Vec<(String, String)>,
    properties: Vec<(String, Value)>,
    required: Vec<String>,
    defaults: Vec<(String, RawJson)>,
    nullable: Vec<String>,
    taken: BTreeSet<(PlaceOrBody, String)>,
}

impl Made {
    fn schema(&self) -> RawJson {
        let raw =
            |it: &Value| RawJson::from_serialize(it).unwrap_or_else(|_| RawJson::empty_object());
        let mut properties = ObjectWriter::default();
        for (name, schema) in &self.properties {
            properties = properties.raw(name, &raw(schema));
        }
        let required: Vec<RawJson> = self.required.iter().map(|it| RawJson::string(it)).collect();
        let mut schema = ObjectWriter::default()
            .string("type", "object")
            .raw("properties", &properties.finish());
        if !required.is_empty() {
            schema = schema.array("required", &required);
        }
        schema.boolean("additionalProperties", false).finish()
    }
}

impl InputConfig {
    fn schema(&self) -> Result<Map<String, Value>, String> {
        let mut schema = match &self.schema {
            Some(_) if self.kind.is_some() || self.values.is_some() => {
                return Err("`schema` stands in place of `type` and `enum`; keep one".to_owned());
            }
            Some(schema) => schema.clone(),
            None => {
                let kind = self.kind.as_deref().unwrap_or("string");
                if !TYPES.contains(&kind) {
                    return Err(format!("`type` must be one of {}", TYPES.join(", ")));
                }
                let mut schema = Map::new();
                schema.insert("type".to_owned(), kind.into());
                if let Some(values) = &self.values {
                    schema.insert("enum".to_owned(), json!(values));
                }
                schema
            }
        };
        if let Some(text) = &self.description {
            schema.insert("description".to_owned(), text.as_str().into());
        }
        if let Some(value) = &self.default {
            schema.insert("default".to_owned(), value.clone());
        }
        if is_schema(&Value::Object(schema.clone())) {
            Ok(schema)
        } else {
            Err("`schema` is no JSON Schema".to_owned())
        }
    }
}

fn get() -> String {
    "GET".to_owned()
}

const METHODS: &[&str] = &["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"];

const TYPES: &[&str] = &["string", "integer", "number", "boolean", "array", "object"];

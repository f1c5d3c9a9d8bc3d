//! Operations of an API as tools: from a description of it, or described in the file.

use std::collections::BTreeMap;
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::ApiMethod;
use crate::config::reshape::AnnotationsShape;

/// A description of an API in `OpenAPI` 3.0 or 3.1, from exactly one of `file` and `url`. Its operations
/// become tools, and go to the `url` of the API, whatever servers it names.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct OpenApiSection {
    /// The file, in JSON or YAML.
    pub file: Option<PathBuf>,
    /// Its address. It is read at the start and when the configuration is read again; what the API says
    /// with `allow_http`, `allow_ip`, `allow_private` and `allow_addresses` counts for it, too. No
    /// credential is sent.
    pub url: Option<String>,
    /// Which operations: all that are in one of the lists; all if not given.
    pub include: OperationFilter,
    /// Which not, although they are in `include`.
    pub exclude: OperationFilter,
    /// Makes tools of operations that change something, as far as `methods` of the API has theirs; only
    /// `GET` and `HEAD` otherwise.
    pub write: bool,
    /// Makes tools of operations that are called deprecated, too.
    pub deprecated: bool,
    /// How many tools at most; the operations that come after are left out, and told of.
    #[schemars(range(min = 1, max = 10_000))]
    pub max_tools: Option<u32>,
}

/// Some operations of a description. In all lists, `*` stands for any characters, `?` for one, and `\` takes
/// the next as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct OperationFilter {
    /// Tags.
    pub tags: Vec<String>,
    /// Values of `operationId`.
    pub operations: Vec<String>,
    /// Methods.
    pub methods: Vec<ApiMethod>,
    /// Paths as the description writes them, such as `/pets/{id}`.
    pub paths: Vec<String>,
}

impl OperationFilter {
    /// True when it names nothing.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Its lists of patterns, under their keys.
    pub(super) fn patterns(&self) -> [(&'static str, &Vec<String>); 3] {
        [
            ("tags", &self.tags),
            ("operations", &self.operations),
            ("paths", &self.paths),
        ]
    }
}

/// A tool that sends one request to the API.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct ApiToolConfig {
    /// Its name: 1 to 64 of `A-Z a-z 0-9 _ -`.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What it does; models choose by it.
    pub description: String,
    /// The method.
    #[serde(default = "get")]
    #[schemars(extend("default" = "GET"))]
    pub method: ApiMethod,
    /// The path below that of `url`, such as `/pets/{id}`: each `{name}` is filled with the argument of that
    /// name, which cannot add a segment.
    pub path: String,
    /// The arguments, under their names.
    #[serde(default)]
    pub inputs: BTreeMap<String, ApiInputConfig>,
    /// How arguments with `in: body` are sent.
    #[serde(default)]
    pub body: BodyForm,
    /// What clients are told about the tool; if not given, what the method says.
    #[serde(default)]
    pub annotations: AnnotationsShape,
}

/// An argument of a tool.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ApiInputConfig {
    /// Where it goes. If not given: into the path if that has `{name}`, else into the query for `GET`,
    /// `HEAD` and `DELETE`, else into the body.
    #[serde(rename = "in")]
    pub place: Option<InputPlace>,
    /// What the API calls it, if it is not the argument's name.
    pub name: Option<String>,
    /// What it means; models are told.
    pub description: Option<String>,
    /// Of which type it is.
    #[serde(rename = "type")]
    pub kind: InputType,
    /// Whether a call must have it; what is in the path always must.
    pub required: bool,
    /// The only values that it may have.
    #[serde(rename = "enum")]
    pub values: Option<Vec<Value>>,
    /// What is sent where a call does not have it.
    pub default: Option<Value>,
    /// A JSON Schema for it (draft 2020-12), in place of `type` and `enum`.
    pub schema: Option<Map<String, Value>>,
}

/// Where an argument goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum InputPlace {
    /// Into the path.
    Path,
    /// Into the query; a list once for each item.
    Query,
    /// Into a header.
    Header,
    /// Into the body, as a member or field.
    Body,
}

/// Of which type an argument is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum InputType {
    /// A text.
    #[default]
    String,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// A list.
    Array,
    /// An object.
    Object,
}

impl InputType {
    /// Its name in JSON Schema.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Integer => "integer",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Array => "array",
            Self::Object => "object",
        }
    }
}

/// How a body is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
#[non_exhaustive]
pub enum BodyForm {
    /// As a JSON object.
    #[default]
    Json,
    /// As a form, `application/x-www-form-urlencoded`.
    Form,
}

impl BodyForm {
    /// Its media type.
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Form => "application/x-www-form-urlencoded",
        }
    }
}

impl ApiToolConfig {
    /// The names in braces in `path`, in their order; `None` if braces do not match.
    pub fn placeholders(&self) -> Option<Vec<&str>> {
        let mut names = Vec::new();
        let mut rest = self.path.as_str();
        while let Some((before, after)) = rest.split_once('{') {
            let (name, after) = after.split_once('}')?;
            if before.contains('}') || name.contains('{') {
                return None;
            }
            names.push(name);
            rest = after;
        }
        (!rest.contains('}')).then_some(names)
    }

    /// Where the argument `name` goes.
    pub fn place_of(&self, name: &str) -> InputPlace {
        let input = self.inputs.get(name);
        let places = self.placeholders().unwrap_or_default();
        match input.and_then(|input| input.place) {
            Some(place) => place,
            None if places.contains(&name) => InputPlace::Path,
            None if self.method.is_safe() || self.method == ApiMethod::Delete => InputPlace::Query,
            None => InputPlace::Body,
        }
    }
}

const fn get() -> ApiMethod {
    ApiMethod::Get
}

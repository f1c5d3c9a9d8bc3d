//! How a tool is written here: typed arguments and answers, one way to check and to write them.

use std::borrow::Cow;
use std::future::Future;
use std::sync::{Arc, OnceLock};

use async_trait::async_trait;
use mcp_gw_core::{
    Arguments, CallContext, JsonError, ObjectWriter, RawJson, SpecError, Tool, ToolAnnotations,
    ToolError, ToolOutput, ToolSpec,
};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::http::Budget;
use crate::tools::redact::said_twice;
use crate::tools::schema;
use crate::tools::spoken::Spoken;

/// What calling a tool changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    Reads,
    /// Something is added.
    Adds,
    /// Something is replaced or removed; doing it twice is as good as once.
    Replaces,
    /// Something is changed, and more so when it is done twice.
    Changes,
}

impl Effect {
    fn annotations(self, title: &str, is_open: bool) -> ToolAnnotations {
        let hints = match self {
            Self::Reads => ToolAnnotations::read_only().with_idempotent(true),
            Self::Adds => ToolAnnotations::additive().with_idempotent(false),
            Self::Replaces => ToolAnnotations::destructive().with_idempotent(true),
            Self::Changes => ToolAnnotations::destructive().with_idempotent(false),
        };
        hints.with_title(title).with_open_world(is_open)
    }
}

/// A tool of an admin API. `S` is what all tools of that API share.
pub(crate) trait Operation<S>: Send + Sync + 'static {
    const NAME: &'static str;
    const TITLE: &'static str;
    const DESCRIPTION: &'static str;
    const EFFECT: Effect;
    /// What it changes when the server is read-only and it is listed all the same.
    const READ_ONLY_EFFECT: Effect = Self::EFFECT;
    /// It deals with more than the one API.
    const IS_OPEN: bool = false;
    type Args: DeserializeOwned + JsonSchema + Send;
    type Output: Serialize + JsonSchema + Spoken + Send;

    fn run(
        shared: &S,
        args: Self::Args,
    ) -> impl Future<Output = Result<Self::Output, ToolError>> + Send;

    /// What people and models read instead of the structured content as text.
    fn text(_: &Self::Output) -> Option<String> {
        None
    }
}

/// What the tools of an API share, as far as this module looks at it.
pub(crate) trait Shared: Sized + Send + Sync + 'static {
    /// The text without credentials that must not be shown.
    fn scrub(&self, text: &str) -> String;

    /// What the user has to do before anything can be asked.
    fn unset(&self) -> Option<&str> {
        None
    }

    /// True when nothing may be changed, nor shown as a change.
    fn is_read_only(&self) -> bool;

    /// The same for one call, which has to be done and told within a time.
    #[must_use]
    fn within(&self, budget: Budget) -> Self;
}

type Build<S> = fn(Arc<S>) -> Result<Arc<dyn Tool>, SpecError>;

/// A tool, not yet bound to what it shares with others.
pub(crate) struct Blueprint<S> {
    pub(crate) name: &'static str,
    /// What it changes when the server is read-only.
    pub(crate) least_effect: Effect,
    build: Build<S>,
}

impl<S: Shared> Blueprint<S> {
    pub(crate) const fn of<O: Operation<S>>() -> Self {
        Self {
            name: O::NAME,
            least_effect: O::READ_ONLY_EFFECT,
            build: |shared| Bound::<S, O>::build(shared),
        }
    }

    pub(crate) fn build(&self, shared: Arc<S>) -> Result<Arc<dyn Tool>, SpecError> {
        (self.build)(shared)
    }
}

struct Bound<S, O> {
    spec: ToolSpec,
    /// Made with the first call: most tools of a list are never called.
    validator: OnceLock<Option<jsonschema::Validator>>,
    shared: Arc<S>,
    operation: std::marker::PhantomData<fn() -> O>,
}

impl<S: Shared, O: Operation<S>> Bound<S, O> {
    fn build(shared: Arc<S>) -> Result<Arc<dyn Tool>, SpecError> {
        let effect = if shared.is_read_only() {
            O::READ_ONLY_EFFECT
        } else {
            O::EFFECT
        };
        let input = schema::of_arguments::<O::Args>();
        let output = schema::of_answer::<O::Output>();
        let spec = ToolSpec::new(O::NAME, O::DESCRIPTION)?
            .with_input_schema(&schema::raw(&input))?
            .with_output_schema(&schema::raw(&output))?
            .with_annotations(&effect.annotations(O::TITLE, O::IS_OPEN))?;
        Ok(Arc::new(Self {
            spec,
            validator: OnceLock::new(),
            shared,
            operation: std::marker::PhantomData,
        }))
    }

    fn arguments(&self, args: &Arguments) -> Result<O::Args, ToolError> {
        if let Some(name) = said_twice(args.as_raw()) {
            let name = crate::http::one_line(&name, 64);
            return Err(ToolError::invalid_arguments(format!(
                "the member {name:?} is given twice in one object, and it is not clear which is meant. Nothing was sent"
            )));
        }
        let tree = args
            .to_value()
            .map_err(|error| ToolError::invalid_arguments(error.message))?;
        let validator = self.validator.get_or_init(|| {
            let schema = self.spec.input_schema().to_value().ok()?;
            jsonschema::validator_for(&schema).ok()
        });
        if let Some(validator) = validator {
            schema::check(validator, &tree).map_err(ToolError::invalid_arguments)?;
        }
        args.decode()
            .or_else(|error| {
                let schema = self.spec.input_schema().to_value().unwrap_or_default();
                whole(args.as_raw(), &[&schema]).map_or(Err(error), |args| args.decode_owned())
            })
            .map_err(|error| ToolError::invalid_arguments(error.message))
    }
}

/// The value with `2` for `2.0`, which JSON Schema takes for an integer too and types do not: wherever one of `schemas`
/// wants an integer. `None` when there is nothing like that.
fn whole(raw: &RawJson, schemas: &[&Value]) -> Option<RawJson> {
    let schemas = branches(schemas);
    if schemas.is_empty() {
        return None;
    }
    match raw.as_bytes().first()? {
        b'{' => {
            let members = raw.members().ok()?;
            let mut is_changed = false;
            let mut writer = ObjectWriter::with_capacity(raw.len());
            for (name, value) in members.iter() {
                let value = raw.slice(value);
                let of_all = schemas.iter();
                let inner: Vec<&Value> = of_all.filter_map(|of| member_of(of, name)).collect();
                let changed = whole(&value, &inner);
                is_changed |= changed.is_some();
                writer = writer.raw(name, &changed.unwrap_or(value));
            }
            is_changed.then(|| writer.finish())
        }
        b'[' => {
            let inner: Vec<&Value> = schemas.iter().filter_map(|s| s.get("items")).collect();
            let items: Vec<RawJson> = raw.decode_owned().ok()?;
            let changed: Vec<_> = items.iter().map(|item| whole(item, &inner)).collect();
            if changed.iter().all(Option::is_none) {
                return None;
            }
            let all = items.into_iter().zip(changed);
            let all: Vec<RawJson> = all.map(|(item, changed)| changed.unwrap_or(item)).collect();
            RawJson::from_serialize(&all).ok()
        }
        b'-' | b'0'..=b'9' if schemas.iter().any(|schema| wants_integer(schema)) => {
            integer(raw.as_str()).and_then(|text| RawJson::parse(text).ok())
        }
        _ => None,
    }
}

/// The schemas with those that they are made of.
fn branches<'a>(schemas: &[&'a Value]) -> Vec<&'a Value> {
    let mut all: Vec<&Value> = schemas.to_vec();
    let mut at = 0;
    while let Some(schema) = all.get(at).copied() {
        let parts = ["anyOf", "oneOf", "allOf"].iter();
        let parts = parts.filter_map(|name| schema.get(name)?.as_array());
        all.extend(parts.flatten());
        at += 1;
    }
    all
}

fn member_of<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let known = schema.get("properties").and_then(|all| all.get(name));
    known.or_else(|| {
        schema
            .get("additionalProperties")
            .filter(|of| of.is_object())
    })
}

fn wants_integer(schema: &Value) -> bool {
    match schema.get("type") {
        Some(Value::String(name)) => name == "integer",
        Some(Value::Array(names)) => names.iter().any(|name| name == "integer"),
        _ => false,
    }
}

/// `2` for `2.0`, `20` for `2e1`; `None` for what is no integer, or is written as one.
fn integer(number: &str) -> Option<String> {
    // Whole floats below this are exact, and written without an exponent.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let digits = number.strip_prefix('-').unwrap_or(number);
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    if let Some((whole, zeros)) = number.split_once('.')
        && zeros.bytes().all(|byte| byte == b'0')
    {
        return Some(whole.to_owned());
    }
    let value: f64 = number.parse().ok()?;
    (value.fract() == 0.0 && value.abs() <= EXACT).then(|| format!("{value:.0}"))
}

#[async_trait]
impl<S: Shared, O: Operation<S>> Tool for Bound<S, O> {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, ctx: &CallContext, args: Arguments) -> Result<ToolOutput, ToolError> {
        self.answer(ctx, args)
            .await
            .map_err(|error| in_names_of_client(ctx, error))
    }
}

impl<S: Shared, O: Operation<S>> Bound<S, O> {
    async fn answer(&self, ctx: &CallContext, args: Arguments) -> Result<ToolOutput, ToolError> {
        if let Some(says) = self.shared.unset() {
            return Err(ToolError::failed(says));
        }
        let args = self.arguments(&args)?;
        let bounded = ctx
            .end()
            .map(|end| self.shared.within(Budget::until(end.into())));
        let mut output = O::run(bounded.as_ref().unwrap_or(&*self.shared), args)
            .await
            .map_err(|error| match error {
                ToolError::Failed { message, source } => ToolError::Failed {
                    message: self.shared.scrub(&message),
                    source,
                },
                error => error,
            })?;
        output.each_text(&mut |text| {
            if let Cow::Owned(worded) = ctx.in_names_of_client(text) {
                *text = worded;
            }
        });
        let output = written(&output, O::text(&output)).map_err(ToolError::internal)?;
        // An API that repeats the token must not make it known.
        let text = output.as_raw().as_str();
        let clean = self.shared.scrub(text);
        if clean == text {
            return Ok(output);
        }
        RawJson::parse(clean)
            .ok()
            .and_then(|raw| ToolOutput::from_raw(raw).ok())
            .map_or_else(
                // Never an error: what was called may have been a write that succeeded.
                || {
                    Ok(ToolOutput::text(
                        "It was done. The answer repeats the token and is not shown.",
                    ))
                },
                Ok,
            )
    }
}

/// The error, naming what the client can call.
fn in_names_of_client(ctx: &CallContext, error: ToolError) -> ToolError {
    let worded = |message: String| ctx.in_names_of_client(&message).into_owned();
    match error {
        ToolError::InvalidArguments { message } => ToolError::InvalidArguments {
            message: worded(message),
        },
        ToolError::Failed { message, source } => ToolError::Failed {
            message: worded(message),
            source,
        },
        error => error,
    }
}

/// Structured content, and as text what is made for readers or else the same.
fn written<T: Serialize>(output: &T, text: Option<String>) -> Result<ToolOutput, JsonError> {
    let Some(text) = text else {
        return ToolOutput::structured(output);
    };
    let block = ObjectWriter::default()
        .string("type", "text")
        .string("text", &text)
        .finish();
    let raw = ObjectWriter::default()
        .array("content", [&block])
        .raw("structuredContent", &RawJson::from_serialize(output)?)
        .boolean("isError", false)
        .finish();
    Ok(ToolOutput::from_raw(raw).unwrap_or_else(|_| ToolOutput::text(text)))
}

/// JSON that is sent on as it came, after it was read as a `T`.
#[derive(Debug, Clone)]
pub(crate) struct Checked<T> {
    pub(crate) raw: RawJson,
    pub(crate) value: T,
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for Checked<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = RawJson::deserialize(deserializer)?;
        let value = raw
            .decode_owned()
            .map_err(|error| serde::de::Error::custom(error.message))?;
        Ok(Self { raw, value })
    }
}

impl<T: JsonSchema> JsonSchema for Checked<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        T::json_schema(generator)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let number = json!({"type": ["integer", "null"]});
        let object = |members: Value| json!({"type": "object", "properties": members});
        let schema = object(json!({
            "page": number,
            "n": {"type": "number"},
            "r": {"type": "array", "items": object(json!({"c": {"type": "integer"}, "d": {"type": "object"}}))},
            "route": {"anyOf": [object(json!({"page_size": number})), {"type": "null"}]},
            "by_name": {"type": "object", "additionalProperties": number},
            "body": {"type": "object", "additionalProperties": true},
        }));
        let changed = |text: &str| {
            let raw = RawJson::parse(text.to_owned()).unwrap();
            whole(&raw, &[&schema]).map(|raw| raw.to_string())
        };
        for (text, wanted) in [
            (r#"{"page":2.0,"n":1.50}"#, Some(r#"{"page":2,"n":1.50}"#)),
            (
                r#"{"r":[{"c":3.00,"d":{"x":1.0}},7]}"#,
                Some(r#"{"r":[{"c":3,"d":{"x":1.0}},7]}"#),
            ),
            (
                r#"{"route":{"page_size":10.0,"x":1.0}}"#,
                Some(r#"{"route":{"page_size":10,"x":1.0}}"#),
            ),
            (r#"{"by_name":{"a":-1.0}}"#, Some(r#"{"by_name":{"a":-1}}"#)),
            (r#"{"page":2e1}"#, Some(r#"{"page":20}"#)),
            (r#"{"page":2,"body":{"n":2.0}}"#, None),
            (r#"{"page":2.5,"text":"2.0"}"#, None),
            (r#"{"page":1e300}"#, None),
            (r#"{"n":2.0}"#, None),
        ] {
            assert_eq!(changed(text).as_deref(), wanted, "{text}");
        }
    }
}

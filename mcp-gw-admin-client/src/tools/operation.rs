//! How a tool is written here: typed arguments and answers, one way to check and to write them.

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

use crate::http::Budget;
use crate::tools::schema;

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
    /// It deals with more than the one API.
    const IS_OPEN: bool = false;
    type Args: DeserializeOwned + JsonSchema + Send;
    type Output: Serialize + JsonSchema + Send;

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

    /// The same for one call, which has to be done and told within a time.
    #[must_use]
    fn within(&self, budget: Budget) -> Self;
}

type Build<S> = fn(Arc<S>) -> Result<Arc<dyn Tool>, SpecError>;

/// A tool, not yet bound to what it shares with others.
pub(crate) struct Blueprint<S> {
    pub(crate) name: &'static str,
    pub(crate) effect: Effect,
    build: Build<S>,
}

impl<S: Shared> Blueprint<S> {
    pub(crate) const fn of<O: Operation<S>>() -> Self {
        Self {
            name: O::NAME,
            effect: O::EFFECT,
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
        let input = schema::of_arguments::<O::Args>();
        let output = schema::of_answer::<O::Output>();
        let spec = ToolSpec::new(O::NAME, O::DESCRIPTION)?
            .with_input_schema(&schema::raw(&input))?
            .with_output_schema(&schema::raw(&output))?
            .with_annotations(&O::EFFECT.annotations(O::TITLE, O::IS_OPEN))?;
        Ok(Arc::new(Self {
            spec,
            validator: OnceLock::new(),
            shared,
            operation: std::marker::PhantomData,
        }))
    }

    fn arguments(&self, args: &Arguments) -> Result<O::Args, ToolError> {
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
            .map_err(|error| ToolError::invalid_arguments(error.message))
    }
}

#[async_trait]
impl<S: Shared, O: Operation<S>> Tool for Bound<S, O> {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, ctx: &CallContext, args: Arguments) -> Result<ToolOutput, ToolError> {
        let args = self.arguments(&args)?;
        let bounded = ctx
            .end()
            .map(|end| self.shared.within(Budget::until(end.into())));
        let output = O::run(bounded.as_ref().unwrap_or(&*self.shared), args)
            .await
            .map_err(|error| match error {
                ToolError::Failed { message, source } => ToolError::Failed {
                    message: self.shared.scrub(&message),
                    source,
                },
                error => error,
            })?;
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

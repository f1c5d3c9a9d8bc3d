//! The comfortable way to write a tool: a plain struct with an `async fn`.

use std::future::Future;
use std::sync::Arc;

use async_trait::async_trait;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::context::CallContext;
use crate::json::RawJson;
use crate::tool::{Arguments, SpecError, Tool, ToolAnnotations, ToolError, ToolOutput, ToolSpec};

/// A tool with typed arguments. The schema that clients see comes from [`TypedTool::Args`].
///
/// ```
/// use mcp_gw_core::schemars::{self, JsonSchema}; // the derive writes `schemars::…`
/// use mcp_gw_core::{CallContext, ToolError, TypedTool};
/// use serde::Deserialize;
///
/// #[derive(Deserialize, JsonSchema)]
/// struct AddArgs {
///     /// The first number.
///     a: f64,
///     /// The second number.
///     b: f64,
/// }
///
/// struct Add;
///
/// impl TypedTool for Add {
///     const NAME: &'static str = "add";
///     const DESCRIPTION: &'static str = "Adds two numbers.";
///     type Args = AddArgs;
///     type Output = String;
///
///     async fn call(&self, _: &CallContext, args: AddArgs) -> Result<String, ToolError> {
///         Ok((args.a + args.b).to_string())
///     }
/// }
/// ```
pub trait TypedTool: Send + Sync + 'static {
    /// The name: `verb_object` in snake case is the custom.
    const NAME: &'static str;
    /// What it does and when to use it, for the model.
    const DESCRIPTION: &'static str;
    /// The arguments: a struct. Doc comments become descriptions. Use `#[serde(deny_unknown_fields)]`
    /// to refuse arguments that it does not know, [`NoArguments`] when there are none.
    type Args: DeserializeOwned + JsonSchema + Send;
    /// The answer: `String`, [`Structured`], or [`ToolOutput`] for full control.
    type Output: IntoToolOutput;

    /// Hints about its behaviour. By default none, which clients read as "may destroy something".
    fn annotations(&self) -> ToolAnnotations {
        ToolAnnotations::default()
    }

    /// Does the work. Cancellation drops the future.
    ///
    /// # Errors
    /// See [`ToolError`].
    fn call(
        &self,
        ctx: &CallContext,
        args: Self::Args,
    ) -> impl Future<Output = Result<Self::Output, ToolError>> + Send;
}

/// What a [`TypedTool`] may answer with.
pub trait IntoToolOutput: Send {
    /// The schema of `structuredContent`, when there is always one.
    fn output_schema() -> Option<RawJson> {
        None
    }

    /// The answer.
    ///
    /// # Errors
    /// When the value cannot be written as JSON.
    fn into_tool_output(self) -> Result<ToolOutput, ToolError>;
}

impl IntoToolOutput for ToolOutput {
    fn into_tool_output(self) -> Result<ToolOutput, ToolError> {
        Ok(self)
    }
}

impl IntoToolOutput for String {
    fn into_tool_output(self) -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::text(self))
    }
}

impl IntoToolOutput for &'static str {
    fn into_tool_output(self) -> Result<ToolOutput, ToolError> {
        Ok(ToolOutput::text(self))
    }
}

/// Answers with `structuredContent` and declares its schema. `T` must serialize to an object for
/// clients of revisions up to 2025-11-25.
#[derive(Debug, Clone)]
#[expect(
    clippy::exhaustive_structs,
    reason = "a newtype to be built by its users"
)]
pub struct Structured<T>(pub T);

impl<T: Serialize + JsonSchema + Send> IntoToolOutput for Structured<T> {
    fn output_schema() -> Option<RawJson> {
        RawJson::from_serialize(&schema_of::<T>()).ok()
    }

    fn into_tool_output(self) -> Result<ToolOutput, ToolError> {
        ToolOutput::structured(&self.0).map_err(ToolError::internal)
    }
}

/// Arguments of a tool that takes none; it accepts and ignores whatever is sent.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[non_exhaustive]
pub struct NoArguments {}

/// JSON Schema 2020-12 of `T`.
fn schema_of<T: JsonSchema>() -> schemars::Schema {
    SchemaSettings::draft2020_12()
        .into_generator()
        .into_root_schema_for::<T>()
}

/// Makes a [`Tool`] of a [`TypedTool`].
///
/// # Errors
/// When [`TypedTool::NAME`] cannot be used, or [`TypedTool::Args`] is not a struct.
pub fn typed<T: TypedTool>(tool: T) -> Result<Arc<dyn Tool>, SpecError> {
    let schema = schema_of::<T::Args>();
    let is_object = schema.get("type").and_then(|kind| kind.as_str()) == Some("object");
    if !is_object {
        return Err(SpecError::InputSchema {
            name: T::NAME.to_owned(),
        });
    }
    let schema = RawJson::from_serialize(&schema).map_err(SpecError::Json)?;
    let mut spec = ToolSpec::new(T::NAME, T::DESCRIPTION)?.with_input_schema(&schema)?;
    if let Some(schema) = T::Output::output_schema() {
        spec = spec.with_output_schema(&schema)?;
    }
    let annotations = tool.annotations();
    if annotations != ToolAnnotations::default() {
        spec = spec.with_annotations(&annotations)?;
    }
    Ok(Arc::new(Typed { spec, tool }))
}

struct Typed<T> {
    spec: ToolSpec,
    tool: T,
}

#[async_trait]
impl<T: TypedTool> Tool for Typed<T> {
    fn spec(&self) -> &ToolSpec {
        &self.spec
    }

    async fn call(&self, ctx: &CallContext, args: Arguments) -> Result<ToolOutput, ToolError> {
        let args = args.decode::<T::Args>().map_err(|error| {
            let says = without_rust(&error.message);
            ToolError::invalid_arguments(format!("{says}{}", self.expectation()))
        })?;
        self.tool.call(ctx, args).await?.into_tool_output()
    }
}

impl<T> Typed<T> {
    /// What the schema wants, so that the model can correct itself without listing again.
    fn expectation(&self) -> String {
        #[derive(Deserialize)]
        struct Shape {
            #[serde(default)]
            properties: serde_json::Map<String, serde_json::Value>,
            #[serde(default)]
            required: Vec<String>,
        }
        let Ok(shape) = self.spec.input_schema().decode_owned::<Shape>() else {
            return String::new();
        };
        let wanted: Vec<String> = shape
            .properties
            .iter()
            .map(|(name, schema)| {
                let kind = schema
                    .get("type")
                    .and_then(|kind| kind.as_str())
                    .unwrap_or("any");
                let optional = if shape.required.contains(name) {
                    ""
                } else {
                    ", optional"
                };
                format!("{name} ({kind}{optional})")
            })
            .collect();
        if wanted.is_empty() {
            String::new()
        } else {
            format!("; expected: {}", wanted.join(", "))
        }
    }
}

/// A message of serde without the names of Rust's types, which mean nothing to a model.
fn without_rust(message: &str) -> String {
    let words = message
        .split(' ')
        .map(|word| match word.trim_end_matches(',') {
            "u8" | "u16" | "u32" | "u64" | "u128" | "usize" => "a non-negative integer",
            "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "an integer",
            "f32" | "f64" => "a number",
            _ => word,
        });
    words.collect::<Vec<_>>().join(" ").replace("struct ", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct EchoArgs {
        /// What to say.
        text: String,
        times: Option<u8>,
    }

    #[derive(Serialize, JsonSchema)]
    struct Said {
        text: String,
    }

    struct Echo;

    impl TypedTool for Echo {
        const NAME: &'static str = "echo";
        const DESCRIPTION: &'static str = "Says it again.";
        type Args = EchoArgs;
        type Output = Structured<Said>;

        fn annotations(&self) -> ToolAnnotations {
            ToolAnnotations::read_only()
        }

        async fn call(&self, _: &CallContext, args: EchoArgs) -> Result<Self::Output, ToolError> {
            Ok(Structured(Said {
                text: args.text.repeat(args.times.unwrap_or(1).into()),
            }))
        }
    }

    #[test]
    fn the_definition_comes_from_the_types() {
        let tool = typed(Echo).unwrap();
        let definition = tool.spec().definition().to_value().unwrap();
        assert_eq!(
            definition["inputSchema"]["required"],
            serde_json::json!(["text"])
        );
        assert_eq!(
            definition["inputSchema"]["properties"]["text"]["description"],
            "What to say."
        );
        assert_eq!(definition["inputSchema"]["additionalProperties"], false);
        assert_eq!(definition["outputSchema"]["type"], "object");
        assert_eq!(definition["annotations"]["readOnlyHint"], true);
    }

    #[test]
    fn a_model_is_not_told_of_rust_types() {
        let read = |text: &str| {
            serde_json::from_str::<EchoArgs>(text)
                .map(drop)
                .unwrap_err()
        };
        for (text, says) in [
            (
                r#"{"text":"a","times":"x"}"#,
                "expected a non-negative integer",
            ),
            (r#"{"text":7}"#, "expected a string"),
            (r#"{"text":"a","u8":7}"#, "unknown field `u8`"),
        ] {
            let message = without_rust(&read(text).to_string());
            assert!(message.contains(says), "{message}");
        }
    }

    #[test]
    fn arguments_that_are_not_a_struct_are_refused_when_the_tool_is_made() {
        struct Bad;
        impl TypedTool for Bad {
            const NAME: &'static str = "bad";
            const DESCRIPTION: &'static str = "";
            type Args = String;
            type Output = String;
            async fn call(&self, _: &CallContext, args: String) -> Result<String, ToolError> {
                Ok(args)
            }
        }
        assert!(typed(Bad).is_err());
    }
}

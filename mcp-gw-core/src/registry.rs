//! Local tools as a backend.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::{Backend, BackendError, Offer, ToolCall};
use crate::context::CallContext;
use crate::policy::Feature;
use crate::tool::{SpecError, Tool, ToolError, ToolOutput};
use crate::typed::{TypedTool, typed};

/// Tools that run in this process, served as one backend.
///
/// ```
/// # use mcp_gw_core::{CallContext, NoArguments, ToolError, ToolRegistry, TypedTool};
/// # struct Ping;
/// # impl TypedTool for Ping {
/// #     const NAME: &'static str = "ping";
/// #     const DESCRIPTION: &'static str = "Answers.";
/// #     type Args = NoArguments;
/// #     type Output = &'static str;
/// #     async fn call(&self, _: &CallContext, _: NoArguments) -> Result<&'static str, ToolError> { Ok("pong") }
/// # }
/// let registry = ToolRegistry::builder("local").typed(Ping).build()?;
/// assert_eq!(registry.len(), 1);
/// # Ok::<(), mcp_gw_core::RegistryError>(())
/// ```
pub struct ToolRegistry {
    name: Arc<str>,
    tools: Vec<Arc<dyn Tool>>,
    index: HashMap<Arc<str>, usize>,
}

/// Why a registry could not be built. All faults are in it.
#[derive(Debug, thiserror::Error)]
#[error("the tools cannot be registered: {}", faults.join("; "))]
#[non_exhaustive]
pub struct RegistryError {
    /// One sentence per fault.
    pub faults: Vec<String>,
}

/// Collects tools for a [`ToolRegistry`].
#[derive(Default)]
#[must_use]
pub struct ToolRegistryBuilder {
    name: String,
    tools: Vec<Result<Arc<dyn Tool>, SpecError>>,
}

impl ToolRegistry {
    /// Starts a registry that is called `name` in policy, audit and metrics.
    pub fn builder(name: impl Into<String>) -> ToolRegistryBuilder {
        ToolRegistryBuilder {
            name: name.into(),
            tools: Vec::new(),
        }
    }

    /// Number of tools.
    pub fn len(&self) -> usize {
        self.tools.len()
    }

    /// True when there is no tool.
    pub fn is_empty(&self) -> bool {
        self.tools.is_empty()
    }
}

impl std::fmt::Debug for ToolRegistry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names = self.tools.iter().map(|tool| tool.spec().name());
        f.debug_struct("ToolRegistry")
            .field("name", &self.name)
            .field("tools", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for ToolRegistryBuilder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ToolRegistryBuilder")
            .field("name", &self.name)
            .field("tools", &self.tools.len())
            .finish()
    }
}

impl ToolRegistryBuilder {
    /// Adds a tool.
    pub fn tool(mut self, tool: impl Tool) -> Self {
        self.tools.push(Ok(Arc::new(tool)));
        self
    }

    /// Adds a typed tool.
    pub fn typed(mut self, tool: impl TypedTool) -> Self {
        self.tools.push(typed(tool));
        self
    }

    /// Adds several tools.
    pub fn extend(mut self, tools: impl IntoIterator<Item = Arc<dyn Tool>>) -> Self {
        self.tools.extend(tools.into_iter().map(Ok));
        self
    }

    /// Checks the names and builds the registry.
    ///
    /// # Errors
    /// When a definition is not usable or a name is taken twice.
    pub fn build(self) -> Result<ToolRegistry, RegistryError> {
        let mut faults = Vec::new();
        let mut tools = Vec::with_capacity(self.tools.len());
        let mut index = HashMap::new();
        for tool in self.tools {
            match tool {
                Err(error) => faults.push(error.to_string()),
                Ok(tool) => {
                    let name = tool.spec().shared_name();
                    if index.insert(Arc::clone(&name), tools.len()).is_some() {
                        faults.push(format!("two tools are called `{name}`"));
                    }
                    tools.push(tool);
                }
            }
        }
        if faults.is_empty() {
            Ok(ToolRegistry {
                name: self.name.into(),
                tools,
                index,
            })
        } else {
            Err(RegistryError { faults })
        }
    }
}

#[async_trait]
impl Backend for ToolRegistry {
    fn name(&self) -> &str {
        &self.name
    }

    fn offer_now(&self) -> Option<Offer> {
        Some(Offer::of_tools(
            self.tools.iter().map(|tool| tool.spec().clone()).collect(),
        ))
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(self.offer_now().unwrap_or_default())
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        let tool = self
            .index
            .get(&call.name)
            .and_then(|&at| self.tools.get(at))
            .ok_or_else(|| BackendError::NotFound {
                feature: Feature::Tool,
                name: call.name.to_string(),
            })?;
        match tool.call(ctx, call.arguments).await {
            Ok(output) => Ok(output),
            Err(ToolError::InvalidArguments { message }) => Ok(ToolOutput::error(format!(
                "invalid arguments for `{}`: {message}",
                call.name
            ))),
            Err(ToolError::Failed { message, source }) => {
                if let Some(source) = source {
                    tracing::warn!(tool = &*call.name, error = %source, "a tool failed");
                }
                Ok(ToolOutput::error(message))
            }
            Err(ToolError::Internal(source)) => Err(BackendError::Internal {
                server: Arc::clone(&self.name),
                source,
            }),
        }
    }
}

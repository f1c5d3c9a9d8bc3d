//! Arguments beside those of an operation: what a model needs to get the rest of a long answer, or a part
//! of it.

use mcp_gw_core::{ObjectWriter, RawJson};

use super::api::Failed;
use super::gateway_call::invalid;
use super::operation::Operation;
use super::select::Selection;

/// What the arguments are called when no parameter has the name.
const SELECT: &str = "select";
const READ_ON: &str = "read_on";

/// The names that they have at one tool: no parameter of it has them.
#[derive(Debug)]
pub(super) struct Beside {
    select: String,
    /// Only where something is kept.
    read_on: Option<String>,
}

/// What a call says beside the arguments of its operation.
#[derive(Debug, Default)]
pub(super) struct Taken {
    pub(super) selection: Option<Selection>,
    pub(super) read_on: Option<String>,
    /// The arguments without these, where there were any.
    pub(super) arguments: Option<RawJson>,
}

impl Beside {
    /// The names at this tool; `None` where answers have no body.
    pub(super) fn of(operation: &Operation, keeps: bool) -> Option<Self> {
        let known = operation.names();
        let free = |name: &str| {
            let mut free = name.to_owned();
            while known.contains(&free.as_str()) {
                free = format!("gateway_{free}");
            }
            free
        };
        (operation.method() != "HEAD").then(|| Self {
            select: free(SELECT),
            read_on: keeps.then(|| free(READ_ON)),
        })
    }

    /// The schema of the arguments with these among them.
    pub(super) fn schema(&self, of_operation: &RawJson) -> RawJson {
        let argument = |description: &str| {
            let argument = ObjectWriter::default().string("type", "string");
            argument.string("description", description).finish()
        };
        let Ok(members) = of_operation.members() else {
            return of_operation.clone();
        };
        let known = of_operation.member("properties").ok().flatten();
        let known = known.as_ref().and_then(|known| known.members().ok());
        let mut properties = ObjectWriter::with_capacity(of_operation.len() + 256);
        if let Some(known) = &known {
            properties = properties.members(known, &[]);
        }
        properties = properties.raw(
            &self.select,
            &argument("JMESPath: the part of a JSON answer that is needed."),
        );
        if let Some(read_on) = &self.read_on {
            let description = "`next` of an earlier result: gives what follows. Nothing is sent.";
            properties = properties.raw(read_on, &argument(description));
        }
        ObjectWriter::with_capacity(of_operation.len() + 512)
            .members(&members, &["properties"])
            .raw("properties", &properties.finish())
            .finish()
    }

    /// Takes them out of the arguments of a call.
    pub(super) fn take(&self, arguments: &RawJson) -> Result<Taken, Failed> {
        let Ok(members) = arguments.members() else {
            // Who makes a request of them says what is wrong.
            return Ok(Taken::default());
        };
        let text = |name: &str| match members.get(name) {
            None => Ok(None),
            Some(value) => serde_json::from_str::<Option<String>>(value.get())
                // An empty one is what some models write for what they leave out.
                .map(|text| text.filter(|text| !text.is_empty()))
                .map_err(|_| invalid(format!("argument `{name}` must be a string"))),
        };
        let selection = text(&self.select)?;
        let selection = selection.as_deref().map(Selection::parse).transpose();
        let read_on = self.read_on.as_deref();
        let names: Vec<&str> = [Some(self.select.as_str()), read_on]
            .into_iter()
            .flatten()
            .collect();
        let is_there = names.iter().any(|name| members.get(name).is_some());
        Ok(Taken {
            selection: selection
                .map_err(|error| Failed::new("select_invalid", error.to_string()))?,
            read_on: read_on.map_or(Ok(None), text)?,
            arguments: is_there.then(|| {
                let rest = ObjectWriter::with_capacity(arguments.len());
                rest.members(&members, &names).finish()
            }),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::handmade::{InputConfig, ToolConfig};
    use super::*;

    fn operation(inputs: &[&str]) -> Operation {
        let tool = ToolConfig::new("t", "A tool.", "GET", "/t");
        let tool = inputs.iter().fold(tool, |tool, name| {
            tool.with_input(*name, InputConfig::default())
        });
        tool.build().unwrap()
    }

    #[test]
    fn no_parameter_has_their_names() {
        for (inputs, select, read_on) in [
            (&[][..], "select", "read_on"),
            (&["select"], "gateway_select", "read_on"),
            (
                &["select", "gateway_select", "read_on"],
                "gateway_gateway_select",
                "gateway_read_on",
            ),
        ] {
            let operation = operation(inputs);
            let beside = Beside::of(&operation, true).unwrap();
            assert_eq!(beside.select, select);
            assert_eq!(beside.read_on.as_deref(), Some(read_on));
            let schema = beside.schema(operation.input_schema()).to_value().unwrap();
            let properties = schema["properties"].as_object().unwrap();
            assert_eq!(properties.len(), inputs.len() + 2);
            assert_eq!(schema["additionalProperties"], false);
            let arguments = json!({"select": "a", read_on: "answer://x", "n": 1}).to_string();
            let taken = beside.take(&RawJson::parse(arguments).unwrap()).unwrap();
            assert_eq!(taken.selection.is_some(), inputs.is_empty());
            assert_eq!(taken.read_on.as_deref(), Some("answer://x"));
            let rest = taken.arguments.unwrap().to_value().unwrap();
            assert_eq!(rest["n"], 1);
            assert_eq!(rest.get("select").is_some(), !inputs.is_empty());
        }
        let head = ToolConfig::new("t", "A tool.", "HEAD", "/t")
            .build()
            .unwrap();
        assert!(Beside::of(&head, true).is_none());
        assert!(
            Beside::of(&operation(&[]), false)
                .unwrap()
                .read_on
                .is_none()
        );
    }
}

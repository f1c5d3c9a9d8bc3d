//! Workflows that clients offer ready-made: which tools to call one after the other, and what to hand on.

use mcp_gw_core::{
    Arguments, BackendError, Feature, ItemSpec, ObjectWriter, PromptGet, RawJson, SpecError,
};
use serde_json::{Map, Value};

use crate::http::one_line;

/// A workflow.
struct Workflow {
    name: &'static str,
    title: &'static str,
    says: &'static str,
    arguments: &'static [Argument],
    /// All that it calls.
    tools: &'static [&'static str],
    /// What to do: `{name}` stands for an argument.
    steps: &'static str,
}

struct Argument {
    name: &'static str,
    says: &'static str,
    /// What stands for one that is not given; without it, it has to be.
    usual: Option<&'static str>,
}

const fn needed(name: &'static str, says: &'static str) -> Argument {
    Argument {
        name,
        says,
        usual: None,
    }
}

const fn optional(name: &'static str, says: &'static str, usual: &'static str) -> Argument {
    Argument {
        name,
        says,
        usual: Some(usual),
    }
}

static WORKFLOWS: [Workflow; 5] = [
    Workflow {
        name: "debug-performance",
        title: "Debug a slow API",
        says: "Traces slow requests with a debug session, and finds what they wait for.",
        arguments: &[
            optional(
                "control_plane",
                "The name of the control plane.",
                "(ask the user, or see which there are)",
            ),
            needed("path", "The path of slow requests, such as /slow-endpoint."),
            optional(
                "latency_ms",
                "From how many milliseconds on a request is slow.",
                "1000",
            ),
        ],
        tools: &[
            "GetControlPlane",
            "CreateDebugSession",
            "ActiveTracingSession",
            "GetPlugin",
        ],
        steps: "Find out why requests for the path {path} are slow.\n\
            1. GetControlPlane, operation get_by_name or list: the control plane {control_plane}. Take its control_plane_id.\n\
            2. CreateDebugSession with control_plane_id, http_path {path}, http_latency >={latency_ms}ms (without quotes), \
            session_duration 60. Show the parameters to the user and create it only when the user agrees. Take debug_session_id.\n\
            3. ActiveTracingSession, operation fetch_status, as often as it says, until the status is completed.\n\
            4. ActiveTracingSession, operation summarize_session: say which bottleneck takes how much, and which plugin is behind it.\n\
            5. GetPlugin, operation get_by_id, with the plugin_id of the bottleneck: say what in its config may be the cause.",
    },
    Workflow {
        name: "investigate-endpoint",
        title: "Investigate an API endpoint",
        says: "Follows a path through control plane, route, service and plugins.",
        arguments: &[needed("path", "The path of a request, such as /api/users.")],
        tools: &["GetControlPlane", "GetRoute", "GetService", "GetPlugin"],
        steps: "Find out what happens to a request for the path {path}.\n\
            1. GetControlPlane, operation get_by_route, path {path}: take the control_plane_id, route_id and service_id of the \
            best match.\n\
            2. GetRoute, operation get_by_id, with route_id: methods, hosts, strip_path.\n\
            3. GetService, operation get_by_id, with service_id: where it goes, its timeouts, whether it is enabled.\n\
            4. GetPlugin, operation list: those of this route, of this service, and global ones; say which are disabled.",
    },
    Workflow {
        name: "analyze-consumer",
        title: "Analyze failing consumers",
        says: "Finds the consumers whose requests fail most, and why.",
        arguments: &[optional(
            "time_range",
            "15M, 1H, 6H, 12H, 24H or 7D.",
            "24H",
        )],
        tools: &["GetAnalytics", "GetConsumer", "GetPlugin"],
        steps: "Find the consumers whose requests fail most, and why they do.\n\
            1. GetAnalytics, operation query_api_requests, time_range {time_range}, status_codes [500, 502, 503]: \
            counts.consumers ranks them. Take consumer_id and control_plane_id of the first.\n\
            2. GetConsumer, operation get_by_id, with both.\n\
            3. GetAnalytics, operation get_consumer_requests, time_range {time_range}, consumer_id, failureOnly true: which \
            services, routes and statuses.\n\
            4. GetPlugin, operation list, in that control plane: those with scope consumer and this consumer_id, and \
            authentication.",
    },
    Workflow {
        name: "audit-configuration",
        title: "Audit the configuration",
        says: "Reads the configuration of all control planes, and says what is odd in it.",
        arguments: &[],
        tools: &[
            "GetControlPlane",
            "GetService",
            "GetRoute",
            "GetPlugin",
            "GetConsumer",
            "GetVault",
        ],
        steps: "Audit the configuration of all control planes.\n\
            1. GetControlPlane, operation list.\n\
            2. For each, with its control_plane_id: GetService, GetRoute, GetPlugin, GetConsumer, GetVault, operation list. Read \
            on with skip where left_out says so.\n\
            3. Sum up: how many of each; disabled services and plugins; routes without a service, or without authentication and \
            rate limiting at the route, the service or globally; plain http to services; plugins that differ between control \
            planes. Say which control planes could not be read.",
    },
    Workflow {
        name: "investigate-alert",
        title: "Investigate an alert",
        says: "Reads what an alert was about, and traces such requests.",
        arguments: &[needed("alert_event_id", "The id of the event.")],
        tools: &[
            "FetchAlertingEventDetails",
            "CreateDebugSession",
            "ActiveTracingSession",
        ],
        steps: "Investigate the alert event {alert_event_id}.\n\
            1. FetchAlertingEventDetails with alert_event_id {alert_event_id}: say what it is about.\n\
            2. CreateDebugSession with debug_session_inputs as they are. Show them to the user and create it only when the user \
            agrees. Take debug_session_id.\n\
            3. ActiveTracingSession, operation fetch_status, as often as it says, until the status is completed.\n\
            4. ActiveTracingSession, operation summarize_session: say what the cause may be.",
    },
];

/// Longer arguments are cut.
const LONGEST: usize = 512;

/// Whether all tools of a workflow are there.
pub(crate) fn is_listed(name: &str, has_tool: impl Fn(&str) -> bool) -> bool {
    let mut named = WORKFLOWS.iter().filter(|one| one.name == name);
    named.any(|one| one.tools.iter().all(|tool| has_tool(tool)))
}

/// The workflows all of whose tools are listed.
///
/// # Errors
/// When one has no usable definition: a fault of this crate.
pub(crate) fn specs(has_tool: impl Fn(&str) -> bool) -> Result<Vec<ItemSpec>, SpecError> {
    let listed = WORKFLOWS
        .iter()
        .filter(|one| one.tools.iter().all(|tool| has_tool(tool)));
    listed
        .map(|one| {
            let arguments: Vec<RawJson> = one
                .arguments
                .iter()
                .map(|argument| {
                    ObjectWriter::default()
                        .string("name", argument.name)
                        .string("description", argument.says)
                        .boolean("required", argument.usual.is_none())
                        .finish()
                })
                .collect();
            let definition = ObjectWriter::default()
                .string("name", one.name)
                .string("title", one.title)
                .string("description", one.says)
                .array("arguments", &arguments)
                .finish();
            ItemSpec::from_definition(Feature::Prompt, definition)
        })
        .collect()
}

/// A `GetPromptResult`.
///
/// # Errors
/// When there is no such workflow, or an argument is missing or unknown.
pub(crate) fn get(listed: &[ItemSpec], get: &PromptGet) -> Result<RawJson, BackendError> {
    let is_listed = listed.iter().any(|spec| spec.key() == &*get.name);
    let one = WORKFLOWS
        .iter()
        .find(|one| is_listed && *one.name == *get.name)
        .ok_or_else(|| BackendError::NotFound {
            feature: Feature::Prompt,
            name: get.name.to_string(),
        })?;
    let text = filled(one, &get.arguments).map_err(|message| {
        let error = ObjectWriter::default()
            .integer("code", -32602)
            .string("message", &message);
        BackendError::Rpc(error.finish())
    })?;
    let content = ObjectWriter::default()
        .string("type", "text")
        .string("text", &text)
        .finish();
    let message = ObjectWriter::default()
        .string("role", "user")
        .raw("content", &content)
        .finish();
    Ok(ObjectWriter::default()
        .string("description", one.says)
        .array("messages", [&message])
        .finish())
}

/// The steps with their arguments, which are quoted: each is one value, whatever it holds.
fn filled(one: &Workflow, arguments: &Arguments) -> Result<String, String> {
    let given: Map<String, Value> = arguments.decode().map_err(|error| error.message)?;
    if let Some(name) = given
        .keys()
        .find(|name| one.arguments.iter().all(|argument| argument.name != **name))
    {
        let name = one_line(name, 64);
        return Err(format!("the prompt {} has no argument {name:?}", one.name));
    }
    let mut values = Vec::with_capacity(one.arguments.len());
    for argument in one.arguments {
        let given = match given.get(argument.name) {
            Some(Value::String(text)) if !text.trim().is_empty() => Some(text),
            Some(Value::String(_) | Value::Null) | None => None,
            Some(_) => return Err(format!("the argument {} is no text", argument.name)),
        };
        let value = match (given, argument.usual) {
            (Some(text), _) => RawJson::string(&one_line(text, LONGEST)).to_string(),
            (None, Some(usual)) => usual.to_owned(),
            (None, None) => return Err(format!("the argument {} is missing", argument.name)),
        };
        values.push((argument.name, value));
    }
    Ok(written(one.steps, &values))
}

/// The steps with what stands for their arguments. What an argument holds is not looked at again.
fn written(steps: &str, values: &[(&str, String)]) -> String {
    let mut out = String::with_capacity(steps.len());
    let mut rest = steps;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let named = after.split_once('}');
        let value = named.and_then(|(name, rest)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((value, rest))
        });
        if let Some((value, after)) = value {
            out.push_str(value);
            rest = after;
        } else {
            out.push('{');
            rest = after;
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::Extras;
    use serde_json::json;

    use super::*;

    fn ask(name: &str, arguments: &Value) -> Result<String, BackendError> {
        let arguments = Arguments::from_serialize(arguments).unwrap();
        let prompt = PromptGet::new(name, arguments, Extras::default());
        let result = get(&specs(|_| true).unwrap(), &prompt)?.to_value().unwrap();
        assert_eq!(result["messages"][0]["role"], "user");
        Ok(result["messages"][0]["content"]["text"]
            .as_str()
            .unwrap()
            .to_owned())
    }

    #[test]
    fn each_workflow_names_its_tools_and_all_its_arguments() {
        assert_eq!(specs(|_| true).unwrap().len(), 5);
        for one in &WORKFLOWS {
            for tool in one.tools {
                assert!(one.steps.contains(tool), "{}: {tool}", one.name);
            }
            for argument in one.arguments {
                let place = format!("{{{}}}", argument.name);
                assert!(one.steps.contains(&place), "{}: {place}", one.name);
            }
            assert_eq!(
                one.steps.matches('{').count(),
                one.steps.matches('}').count()
            );
        }
    }

    #[test]
    fn a_workflow_is_there_with_its_tools_only() {
        let free = specs(|tool| tool != "CreateDebugSession").unwrap();
        let names: Vec<&str> = free.iter().map(ItemSpec::key).collect();
        assert_eq!(
            names,
            [
                "investigate-endpoint",
                "analyze-consumer",
                "audit-configuration"
            ]
        );
        let prompt = PromptGet::new("debug-performance", Arguments::none(), Extras::default());
        assert!(matches!(
            get(&free, &prompt),
            Err(BackendError::NotFound { .. })
        ));
    }

    #[test]
    fn arguments_are_quoted_and_missing_ones_refused() {
        let text = ask(
            "debug-performance",
            &json!({"path": "/a\n{latency_ms} \"b\""}),
        )
        .unwrap();
        assert!(
            text.contains(r#"for the path "/a {latency_ms} \"b\"" are slow"#),
            "{text}"
        );
        assert!(text.contains("http_latency >=1000ms"), "{text}");
        for arguments in [
            json!({}),
            json!({"path": " "}),
            json!({"path": 7}),
            json!({"path": "/", "x": "y"}),
        ] {
            assert!(matches!(
                ask("debug-performance", &arguments),
                Err(BackendError::Rpc(_))
            ));
        }
        assert!(
            ask("audit-configuration", &json!({}))
                .unwrap()
                .contains("GetVault")
        );
        assert!(matches!(
            ask("nothing", &json!({})),
            Err(BackendError::NotFound { .. })
        ));
    }
}

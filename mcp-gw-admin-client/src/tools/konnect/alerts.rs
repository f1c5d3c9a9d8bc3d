//! What an alert was about.

use mcp_gw_core::{ObjectWriter, RawJson, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::tools::konnect::args::Uid;
use crate::tools::konnect::debug::is_taken;
use crate::tools::konnect::shared::{Konnect, Right};
use crate::tools::konnect::source::Source;
use crate::tools::operation::{Effect, Operation};
use crate::tools::redact::{Place, clean};
use crate::tools::spoken::Spoken;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct AlertArgs {
    /// The event.
    alert_event_id: Uid,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Told {
    alert_event_id: String,
    /// The control plane that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    control_plane_id: Option<String>,
    /// What it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_id: Option<String>,
    /// What kind of thing that is.
    #[serde(skip_serializing_if = "Option::is_none")]
    entity_type: Option<String>,
    /// What to call `CreateDebugSession` with, as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Map<String, Value>>")]
    debug_session_inputs: Option<RawJson>,
    /// All that is known of the event.
    #[schemars(with = "Map<String, Value>")]
    event: RawJson,
    /// What to do next.
    next: String,
}

impl Spoken for Told {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        change(&mut self.next);
    }
}

const INPUTS: &str = "debug_session_inputs";

fn next_step(next: &str, left_out: &[String]) -> String {
    if left_out.is_empty() {
        return next.to_owned();
    }
    let names = left_out.join(", ");
    format!("{next} Left out of them, as CreateDebugSession does not take it so: {names}.")
}

/// What `CreateDebugSession` takes of the inputs of an event, and the names of what it does not. Whether the user has
/// agreed is nothing that an event can say.
fn inputs(told: &RawJson, plane: Option<&str>) -> (Option<RawJson>, Vec<String>) {
    let Ok(Value::Object(mut told)) = told.to_value() else {
        return (None, Vec::new());
    };
    told.retain(|_, value| !value.is_null());
    let plane = told
        .remove("control_plane_id")
        .or_else(|| plane.map(Value::from));
    let mut taken = Map::new();
    let mut left_out = Vec::new();
    if let Some(plane) = plane {
        taken.insert("control_plane_id".to_owned(), plane);
    }
    if !is_taken(&taken) {
        return (None, vec!["control_plane_id".to_owned()]);
    }
    for (name, value) in told {
        let value = match value {
            // Statuses are texts there.
            Value::Number(status) if name == "http_status_code" => Value::from(status.to_string()),
            value => value,
        };
        let mut with = taken.clone();
        with.insert(name.clone(), value);
        if name != "confirm" && is_taken(&with) {
            taken = with;
        } else {
            left_out.push(crate::http::one_line(&name, 64));
        }
    }
    (RawJson::from_serialize(&taken).ok(), left_out)
}

pub(crate) struct FetchAlertingEventDetails;

impl Operation<Konnect> for FetchAlertingEventDetails {
    const NAME: &'static str = "FetchAlertingEventDetails";
    const TITLE: &'static str = "Read an alert";
    const DESCRIPTION: &'static str = "Reads what an alert event (alert_event_id) was about: control_plane_id, entity_id, \
        entity_type, and debug_session_inputs, which are the arguments of a CreateDebugSession that investigates it.";
    const EFFECT: Effect = Effect::Reads;
    type Args = AlertArgs;
    type Output = Told;

    async fn run(shared: &Konnect, args: AlertArgs) -> Result<Told, ToolError> {
        let Source::Konnect(client) = &shared.source else {
            return Err(ToolError::failed("A gateway of one's own has no alerts."));
        };
        let id = args.alert_event_id.bare("alert_event_id")?;
        let event = client.alert_event(&id).await;
        let event = event.map_err(|error| shared.not_published(&error, Right::Read))?;
        let whole = RawJson::from_serialize(&event).map_err(ToolError::internal)?;
        let whole = clean(&whole, &Place::at("event"), false).raw;
        let told = whole.member(INPUTS).ok().flatten();
        let (inputs, left_out) = told
            .filter(RawJson::is_object)
            .map(|told| inputs(&told, event.control_plane_id.as_deref()))
            .unwrap_or_default();
        let next = match &inputs {
            Some(_) => {
                "Show the user debug_session_inputs; call CreateDebugSession with them as they are, which creates nothing \
                 before the user agrees."
            }
            None => {
                "It has no inputs for a debug session: look at what entity_id names, or at GetAnalytics."
            }
        };
        Ok(Told {
            alert_event_id: id.to_string(),
            control_plane_id: event.control_plane_id,
            entity_id: event.entity_id,
            entity_type: event.entity_type,
            debug_session_inputs: inputs,
            // The inputs are beside it, as far as they can be used.
            event: whole.members().map_or_else(
                |_| RawJson::empty_object(),
                |members| {
                    ObjectWriter::default()
                        .members(&members, &[INPUTS])
                        .finish()
                },
            ),
            next: next_step(next, &left_out),
        })
    }
}

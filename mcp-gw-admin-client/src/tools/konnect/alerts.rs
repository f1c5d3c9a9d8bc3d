//! What an alert was about.

use mcp_gw_core::{RawJson, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::tools::konnect::args::Uid;
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
        let event = event.map_err(|error| shared.failed(&error, Right::Read))?;
        let whole = RawJson::from_serialize(&event).map_err(ToolError::internal)?;
        let whole = clean(&whole, &Place::at("event"), false).raw;
        let inputs = whole
            .member("debug_session_inputs")
            .ok()
            .flatten()
            .filter(RawJson::is_object);
        let next = match &inputs {
            Some(_) => {
                "Show the user debug_session_inputs and ask; then call CreateDebugSession with them as they are."
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
            event: whole,
            next: next.to_owned(),
        })
    }
}

//! What the registry of servers refuses, and calls by way of it.

use axum::http::StatusCode;
use mcp_gw_server::registry::{CallFault, FieldFault, RegistryError};

use super::{AGAIN, Fault, Item};

impl From<RegistryError> for Fault {
    fn from(error: RegistryError) -> Self {
        match error {
            RegistryError::Invalid(faults) => Self::invalid(faults.into_iter().map(item).collect()),
            RegistryError::Store(error) => error.into(),
            RegistryError::Taken { reason, .. } => {
                let detail = format!("Choose another name for the template: {reason}");
                Self::new(StatusCode::CONFLICT, "NAME_TAKEN", detail)
            }
            _ => Self::internal(),
        }
    }
}

fn item(fault: FieldFault) -> Item {
    let mut loc = vec!["body".to_owned()];
    loc.extend(fault.path);
    Item {
        loc,
        msg: fault.message,
        kind: fault.kind.to_owned(),
    }
}

impl From<CallFault> for Fault {
    fn from(error: CallFault) -> Self {
        match error {
            CallFault::NoSuch { what, .. } => Self::not_found(format!("There is no such {what}")),
            // Why may tell of hosts behind: who may read servers finds it there.
            CallFault::Away { .. } => {
                let detail = "Service unavailable: no instance of the server can be called now";
                Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "SERVER_UNAVAILABLE",
                    detail,
                )
                .after(AGAIN)
            }
            CallFault::Gateway(error) => error.into(),
            CallFault::Store(error) => error.into(),
            _ => Self::internal(),
        }
    }
}

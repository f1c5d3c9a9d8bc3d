//! The commands that ask the management API of a gateway that runs.

mod calls;
mod gateway;
mod keys;
mod said;
mod secrets;
mod servers;
mod session;
mod store;
mod templates;
mod users;

use std::io::Write as _;
use std::process::ExitCode;

use clap::Subcommand;

use crate::cli::say;
use crate::client::{ClientError, Done, ErrorKind};

use session::{AtArgs, Session};

/// What is asked of a gateway that runs.
#[derive(Debug, Subcommand)]
pub(crate) enum Manage {
    /// Log in at a gateway that runs, and keep the token for the commands below
    Login(AtArgs),
    /// End the token that `login` keeps, and remove it
    Logout(AtArgs),
    /// Users of a gateway that runs: list, make, change and remove them
    #[command(subcommand_value_name = "SUBCOMMAND")]
    Users {
        #[command(subcommand)]
        what: users::Users,

        #[command(flatten)]
        at: AtArgs,
    },
    /// API keys of a gateway that runs: list, make, rotate, revoke and remove them
    #[command(subcommand_value_name = "SUBCOMMAND")]
    Keys {
        #[command(subcommand)]
        what: keys::Keys,

        #[command(flatten)]
        at: AtArgs,
    },
    /// Servers in the database of a gateway that runs: list, register, change and remove them
    #[command(subcommand_value_name = "SUBCOMMAND")]
    Servers {
        #[command(subcommand)]
        what: servers::Servers,

        #[command(flatten)]
        at: AtArgs,
    },
    /// Templates, which are what calls name: how calls are spread over their servers
    #[command(subcommand_value_name = "SUBCOMMAND")]
    Templates {
        #[command(subcommand)]
        what: templates::Templates,

        #[command(flatten)]
        at: AtArgs,
    },
    /// Call a tool of a server by way of a gateway that runs
    Call {
        #[command(flatten)]
        call: calls::CallArgs,

        #[command(flatten)]
        at: AtArgs,
    },
    /// How a gateway that runs does
    Health(AtArgs),
    /// How much a gateway that runs is used
    Stats(AtArgs),
    /// What was done at a gateway that runs, the last first
    Audit {
        #[command(flatten)]
        audit: gateway::AuditArgs,

        #[command(flatten)]
        at: AtArgs,
    },
}

/// Why there is nothing to show.
#[derive(Debug)]
enum Trouble {
    Api(ClientError),
    Local(String),
}

impl From<ClientError> for Trouble {
    fn from(error: ClientError) -> Self {
        Self::Api(error)
    }
}

impl From<String> for Trouble {
    fn from(error: String) -> Self {
        Self::Local(error)
    }
}

impl From<&str> for Trouble {
    fn from(error: &str) -> Self {
        Self::Local(error.to_owned())
    }
}

/// What is printed, and whether all is well.
#[derive(Debug)]
struct Shown {
    text: String,
    is_well: bool,
}

impl From<String> for Shown {
    fn from(text: String) -> Self {
        Self {
            text,
            is_well: true,
        }
    }
}

type Result<T = Shown> = std::result::Result<T, Trouble>;

/// Runs a command, in a tokio runtime.
pub(crate) async fn run(manage: Manage) -> ExitCode {
    let at = match &manage {
        Manage::Login(at)
        | Manage::Logout(at)
        | Manage::Health(at)
        | Manage::Stats(at)
        | Manage::Users { at, .. }
        | Manage::Keys { at, .. }
        | Manage::Servers { at, .. }
        | Manage::Templates { at, .. }
        | Manage::Call { at, .. }
        | Manage::Audit { at, .. } => at,
    };
    let shown = match at.place() {
        Ok(base) => {
            let url = base.as_str().to_owned();
            let shown = asked(&manage, at).await;
            shown.map_err(|trouble| told(trouble, &url))
        }
        Err(error) => Err(error),
    };
    match shown {
        Ok(shown) => {
            let mut text = shown.text;
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            // A stream that nobody reads leaves nothing to be done.
            let _ = std::io::stdout().write_all(text.as_bytes());
            if shown.is_well {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            }
        }
        Err(error) => {
            say(&error);
            ExitCode::FAILURE
        }
    }
}

async fn asked(manage: &Manage, at: &AtArgs) -> Result {
    match manage {
        Manage::Login(_) => return session::login(at).await,
        Manage::Logout(_) => return session::logout(at).await,
        _ => {}
    }
    let session = Session::open(at)?;
    match manage {
        Manage::Login(_) | Manage::Logout(_) => Ok(String::new().into()),
        Manage::Users { what, .. } => users::run(&session, what).await,
        Manage::Keys { what, .. } => keys::run(&session, what).await,
        Manage::Servers { what, .. } => servers::run(&session, what).await,
        Manage::Templates { what, .. } => templates::run(&session, what).await,
        Manage::Call { call, .. } => calls::run(&session, call).await,
        Manage::Health(_) => gateway::health(&session).await,
        Manage::Stats(_) => gateway::stats(&session).await,
        Manage::Audit { audit, .. } => gateway::audit(&session, audit).await,
    }
}

/// What went wrong, and what to do.
fn told(trouble: Trouble, url: &str) -> String {
    let error = match trouble {
        Trouble::Local(text) => return text,
        Trouble::Api(error) => error,
    };
    let next = match (error.kind, error.code.as_deref()) {
        (ErrorKind::Unavailable, _) if error.status.is_none() => {
            format!("is the gateway running, and is --url ({url}) right?")
        }
        (ErrorKind::Timeout | ErrorKind::Lost, _) if error.done == Done::Unknown => {
            "look whether it was done before you try again".to_owned()
        }
        (_, Some("INVALID_CREDENTIALS")) => "are name and password right?".to_owned(),
        (ErrorKind::Unauthorized, _) => format!(
            "log in with `mcp-gw-http login --url {url} --username NAME`, or give a key with MCP_GW_API_KEY"
        ),
        (ErrorKind::Forbidden, _) if !error.required_permissions.is_empty() => format!(
            "this needs the scope {}: use a key or user that has it",
            error.required_permissions.join(", ")
        ),
        (ErrorKind::NotFound, None) => {
            format!("is --url ({url}) that of a gateway with `management` in its configuration?")
        }
        (ErrorKind::RateLimited, _) | (_, Some("TOO_MANY_ATTEMPTS")) => match error.retry_after {
            Some(wait) => format!("try again in {} s", wait.as_secs()),
            None => "try again later".to_owned(),
        },
        _ => String::new(),
    };
    let mut text = error.message.clone();
    if !next.is_empty() {
        text = format!("{text}; {next}");
    }
    if let Some(id) = &error.request_id {
        text = format!("{text} (request {id})");
    }
    text
}

//! Which gateway, and as whom.

use clap::Args;
use mcp_gw_core::Secret;
use mcp_gw_server::cli::environment;

use super::said::plain;
use super::{Result, Trouble, secrets, store};
use crate::cli::say;
use crate::client::{BaseUrl, Client, Credentials};

const PASSWORD: &str = "MCP_GW_PASSWORD";

/// Where the gateway is, and how one is known there.
#[derive(Debug, Clone, Args)]
pub(crate) struct AtArgs {
    /// The gateway; `$MCP_GW_URL` if not given, or `http://localhost:8000`
    // An id of its own: what is global reaches the `--url` of `run` otherwise.
    #[arg(
        id = "gateway_url",
        long = "url",
        value_name = "URL",
        global = true,
        help_heading = "Gateway"
    )]
    url: Option<String>,

    /// An API key; rather set `$MCP_GW_API_KEY`, as others on this machine can read arguments
    #[arg(
        long,
        value_name = "KEY",
        global = true,
        help_heading = "Gateway",
        conflicts_with = "username"
    )]
    api_key: Option<String>,

    /// A user; the password is in `$MCP_GW_PASSWORD`, or asked for, and never an argument
    #[arg(long, value_name = "NAME", global = true, help_heading = "Gateway")]
    username: Option<String>,

    /// Read the password of --username from a line of standard input
    #[arg(long, global = true, help_heading = "Gateway", requires = "username")]
    password_stdin: bool,

    /// Write JSON, for programs
    #[arg(long, global = true, help_heading = "Gateway")]
    json: bool,
}

impl AtArgs {
    /// Where the gateway is.
    pub(super) fn place(&self) -> std::result::Result<BaseUrl, String> {
        let text = self.url.clone().or_else(|| set("MCP_GW_URL"));
        let text = text.unwrap_or_else(|| "http://localhost:8000".to_owned());
        let base = text.parse::<BaseUrl>();
        base.map_err(|error| format!("the URL of the gateway (--url, MCP_GW_URL): {error}"))
    }

    fn password(&self) -> std::result::Result<Secret<String>, String> {
        secrets::password(
            PASSWORD,
            self.password_stdin,
            "--password-stdin",
            "password",
        )
    }
}

fn set(name: &str) -> Option<String> {
    environment(name).filter(|text| !text.is_empty())
}

/// A gateway, asked as somebody.
pub(super) struct Session {
    pub(super) client: Client,
    pub(super) is_json: bool,
}

impl Session {
    pub(super) fn open(at: &AtArgs) -> Result<Self> {
        let base = at.place()?;
        let credentials = if let Some(key) = &at.api_key {
            Credentials::api_key(key)
        } else if let Some(name) = &at.username {
            Credentials::password(name, at.password()?.expose())
        } else if let Some(key) = set("MCP_GW_API_KEY") {
            Credentials::api_key(key)
        } else if let Some(token) = store::token(base.as_str())? {
            Credentials::Token(token)
        } else {
            Credentials::None
        };
        Ok(Self {
            client: client(base, credentials)?,
            is_json: at.json,
        })
    }
}

fn client(base: BaseUrl, credentials: Credentials) -> Result<Client> {
    if !base.is_https() && !base.is_loopback() && !matches!(credentials, Credentials::None) {
        say("warning: credentials go to another machine without encryption: use https");
    }
    Client::new(base, credentials).map_err(|error| Trouble::Local(error.to_string()))
}

/// Logs in, and keeps the token.
pub(super) async fn login(at: &AtArgs) -> Result {
    let Some(name) = &at.username else {
        return Err("who logs in? give --username NAME".into());
    };
    let base = at.place()?;
    let password = at.password()?;
    let client = client(base, Credentials::None)?;
    let token = client.login(name, &password).await?;
    let file = store::keep(client.base().as_str(), &token.access_token)?;
    let (file, minutes) = (file.display(), token.expires_in / 60);
    let name = plain(name);
    Ok(format!("logged in as {name} for {minutes} min; the token is in {file}").into())
}

/// Ends the token that is kept, and removes it.
pub(super) async fn logout(at: &AtArgs) -> Result {
    let base = at.place()?;
    let Some(token) = store::token(base.as_str())? else {
        return Ok(format!("nobody is logged in at {}", base.as_str()).into());
    };
    let client = client(base, Credentials::Token(token))?;
    let ended = client.logout().await;
    store::remove(client.base().as_str())?;
    match ended {
        Ok(()) => Ok("logged out".to_owned().into()),
        // It is good no more.
        Err(error) if error.status == Some(401) => Ok("logged out".to_owned().into()),
        Err(error) => {
            say(
                "the token is removed here, but the gateway was not told: it is good until it expires",
            );
            Err(error.into())
        }
    }
}

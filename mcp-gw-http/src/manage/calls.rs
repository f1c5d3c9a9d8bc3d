//! `call`: a tool of a server.

use std::io::Read as _;

use clap::Args;
use mcp_gw_core::RawJson;

use super::session::Session;
use super::{Result, Shown};
use crate::client::{ClientError, ErrorKind};

/// So long may arguments be.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Which tool, with what.
#[derive(Debug, Args)]
pub(crate) struct CallArgs {
    /// The id of the server, or with --template the name of a template
    #[arg(value_name = "SERVER")]
    server: String,

    /// The name of the tool, as the server has it
    #[arg(value_name = "TOOL")]
    tool: String,

    /// A JSON object, @FILE for one in a file, or - for standard input
    #[arg(long, value_name = "JSON", default_value = "{}")]
    arguments: String,

    /// SERVER is a template: the server whose turn it is gets the call
    #[arg(long)]
    template: bool,
}

impl CallArgs {
    fn arguments(&self) -> Result<RawJson> {
        let text = if self.arguments == "-" {
            read(std::io::stdin(), "standard input")?
        } else if let Some(file) = self.arguments.strip_prefix('@') {
            let opened = std::fs::File::open(file);
            read(opened.map_err(|error| format!("{file}: {error}"))?, file)?
        } else {
            self.arguments.clone()
        };
        let parsed = RawJson::parse(text);
        let parsed = parsed.map_err(|error| format!("--arguments is not JSON: {error}"))?;
        if parsed.is_object() {
            Ok(parsed)
        } else {
            Err(r#"--arguments is not a JSON object, such as {"path": "/tmp"}"#.into())
        }
    }
}

fn read(from: impl std::io::Read, name: &str) -> Result<String> {
    let mut text = String::new();
    let read = from.take(LONGEST + 1).read_to_string(&mut text);
    read.map_err(|error| format!("{name}: {error}"))?;
    if u64::try_from(text.len()).unwrap_or(u64::MAX) > LONGEST {
        return Err(format!("{name} is longer than {LONGEST} bytes").into());
    }
    Ok(text)
}

/// Lines stay lines; nothing else acts on a terminal.
fn shown(text: &str) -> String {
    let is_odd = |char: char| char.is_control() && char != '\n' && char != '\t';
    let chars = text.chars();
    chars
        .map(|char| if is_odd(char) { '\u{fffd}' } else { char })
        .collect()
}

/// What a server is called by is not its id.
fn named(mut error: ClientError, server: &str) -> ClientError {
    if error.kind == ErrorKind::NotFound && error.code.is_some() {
        let next = "a server is named by its id (`mcp-gw-http servers list`), and a template takes --template";
        error.message = format!("{} at {server:?}; {next}", error.message);
    }
    error
}

pub(super) async fn run(session: &Session, call: &CallArgs) -> Result {
    let (client, arguments) = (&session.client, call.arguments()?);
    let (server, tool) = (&call.server, &call.tool);
    let result = if call.template {
        client.call_template_tool(server, tool, &arguments).await?
    } else {
        let result = client.call_tool(server, tool, &arguments).await;
        result.map_err(|error| named(error, server))?
    };
    let text = result.text();
    let text = if session.is_json || text.is_empty() {
        result.raw().as_str().to_owned()
    } else {
        shown(&text)
    };
    Ok(Shown {
        text,
        is_well: !result.is_error(),
    })
}

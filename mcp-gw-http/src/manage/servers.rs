//! `servers`: the servers in the database.

use std::collections::BTreeMap;

use clap::{Args, Subcommand};
use futures_util::TryStreamExt as _;
use mcp_gw_core::RawJson;
use mcp_gw_server::cli::environment;

use super::Result;
use super::said::{facts, json, or_dash, plain, table, yes};
use super::session::Session;
use super::users::filled;
use crate::client::{Logs, NewServer, Server, ServerChange, ServerQuery};

/// What is done.
#[derive(Debug, Subcommand)]
pub(crate) enum Servers {
    /// List them, with how they do
    List {
        /// Only those of this template
        #[arg(long, value_name = "NAME")]
        template: Option<String>,
    },
    /// Show one
    Show(One),
    /// Register one: a URL, or a command behind `--`
    Create(New),
    /// Change where one is
    Update {
        #[command(flatten)]
        server: One,

        #[command(flatten)]
        to: Place,
    },
    /// Let one get calls
    Enable(One),
    /// Let one get no more calls
    Disable(One),
    /// Remove one
    Delete(One),
    /// Show what one wrote last, and its last error
    Logs {
        #[command(flatten)]
        server: One,

        /// How many lines
        #[arg(long, value_name = "COUNT")]
        last: Option<u32>,
    },
    /// List the tools of one
    Tools(One),
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The id of the server
    #[arg(value_name = "SERVER")]
    id: String,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// What calls name; several servers of a template share its calls
    #[arg(value_name = "TEMPLATE")]
    template: String,

    /// Its id; one is made if not given
    #[arg(long, value_name = "ID")]
    id: Option<String>,

    /// It gets no calls yet
    #[arg(long)]
    disabled: bool,

    #[command(flatten)]
    place: Place,
}

/// Where a server is.
#[derive(Debug, Args)]
pub(crate) struct Place {
    /// Its URL
    #[arg(long, value_name = "URL", conflicts_with = "command")]
    endpoint: Option<String>,

    /// The program and its arguments
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,

    /// A variable of its environment, NAME=VALUE, or NAME for the value that it has here; may be given again
    #[arg(long = "env", value_name = "NAME[=VALUE]")]
    env: Vec<String>,

    /// The folder of the program
    #[arg(long, value_name = "FOLDER")]
    working_dir: Option<String>,

    /// How it is spoken to: http for a URL and stdio for a command if not given
    #[arg(long, value_name = "NAME")]
    transport: Option<String>,
}

impl Place {
    fn command(&self) -> Option<Vec<String>> {
        (!self.command.is_empty()).then(|| self.command.clone())
    }

    /// What was said, or what the place needs.
    fn transport(&self) -> Option<String> {
        let needed = match (&self.endpoint, self.command.is_empty()) {
            (_, false) => Some("stdio"),
            (Some(_), true) => Some("http"),
            (None, true) => None,
        };
        self.transport.clone().or_else(|| needed.map(str::to_owned))
    }

    fn env(&self) -> Result<Option<BTreeMap<String, String>>> {
        let mut vars = BTreeMap::new();
        for text in &self.env {
            let (name, value) = if let Some((name, value)) = text.split_once('=') {
                (name, value.to_owned())
            } else {
                let value = environment(text);
                let value = value.ok_or_else(|| format!("--env {text}: it is not set"))?;
                (text.as_str(), value)
            };
            vars.insert(name.to_owned(), value);
        }
        Ok((!vars.is_empty()).then_some(vars))
    }

    fn change(&self) -> Result<ServerChange> {
        let mut change = ServerChange {
            endpoint: self.endpoint.as_deref().map(filled),
            command: self.command().map(Some),
            transport: self.transport(),
            working_dir: self.working_dir.as_deref().map(filled),
            env_vars: self.env()?.map(Some),
            ..ServerChange::default()
        };
        // It is in one place, so it is not in the other any more.
        if change.command.is_some() {
            change.endpoint = Some(None);
        } else if matches!(change.endpoint, Some(Some(_))) {
            change.command = Some(None);
        }
        Ok(change)
    }
}

pub(super) async fn run(session: &Session, what: &Servers) -> Result {
    let client = &session.client;
    let server = match what {
        Servers::List { template } => return list(session, template.as_deref()).await,
        Servers::Show(one) => client.get_server(&one.id).await?,
        Servers::Create(new) => client.register_server(&made(new)?).await?,
        Servers::Update { server, to } => {
            client
                .update_server(&server.id, &to.change()?, None)
                .await?
        }
        Servers::Enable(one) => client.enable_server(&one.id).await?,
        Servers::Disable(one) => client.disable_server(&one.id).await?,
        Servers::Delete(one) => {
            client.delete_server(&one.id, None).await?;
            return Ok(format!("{} is removed", plain(&one.id)).into());
        }
        Servers::Logs { server, last } => {
            return logs(session, &client.server_logs(&server.id, *last).await?);
        }
        Servers::Tools(one) => return tools(session, &client.server_tools(&one.id).await?),
    };
    show(session, &server)
}

fn made(new: &New) -> Result<NewServer> {
    let mut server = NewServer::new(&new.template);
    server.id.clone_from(&new.id);
    let place = &mut server.place;
    place.endpoint.clone_from(&new.place.endpoint);
    place.command = new.place.command();
    place.env_vars = new.place.env()?;
    place.working_dir.clone_from(&new.place.working_dir);
    place.transport = new.place.transport();
    place.is_active = new.disabled.then_some(false);
    Ok(server)
}

fn place_of(server: &Server) -> String {
    let command = server.command.as_ref().map(|words| words.join(" "));
    or_dash(server.endpoint.as_deref().or(command.as_deref()))
}

/// A table of servers.
pub(super) fn rows(servers: &[Server]) -> String {
    let rows: Vec<Vec<String>> = servers
        .iter()
        .map(|server| {
            vec![
                server.id.clone(),
                server.template_name.clone(),
                yes(server.is_active),
                or_dash(server.status.as_deref()),
                server.requests.unwrap_or(0).to_string(),
                place_of(server),
            ]
        })
        .collect();
    table(
        &["id", "template", "enabled", "status", "calls", "place"],
        &rows,
    )
}

async fn list(session: &Session, template: Option<&str>) -> Result {
    let query = template.map_or_else(ServerQuery::default, ServerQuery::of_template);
    let servers: Vec<Server> = session.client.servers(query).try_collect().await?;
    if session.is_json {
        return json(&servers);
    }
    Ok(rows(&servers).into())
}

fn show(session: &Session, server: &Server) -> Result {
    if session.is_json {
        return json(server);
    }
    let vars = server.env_vars.as_ref();
    let vars = vars.map(|vars| vars.keys().cloned().collect::<Vec<_>>().join(", "));
    Ok(facts(&[
        ("id", server.id.clone()),
        ("template", server.template_name.clone()),
        ("enabled", yes(server.is_active)),
        ("status", server.status.clone().unwrap_or_default()),
        ("last error", server.last_error.clone().unwrap_or_default()),
        ("no calls as", server.fault.clone().unwrap_or_default()),
        ("place", place_of(server)),
        ("transport", server.transport.clone()),
        ("env", vars.unwrap_or_default()),
        ("at /mcp/", server.mcp_server.clone().unwrap_or_default()),
        ("calls", server.requests.unwrap_or(0).to_string()),
        ("made", server.created_at.clone()),
    ])
    .into())
}

fn logs(session: &Session, logs: &Logs) -> Result {
    if session.is_json {
        return json(logs);
    }
    let lines = logs.lines.iter().map(|line| {
        let (time, source, text) = (plain(&line.time), plain(&line.source), plain(&line.text));
        format!("{time} {source} {text}\n")
    });
    let mut text: String = lines.collect();
    if let Some(error) = &logs.last_error {
        let line = format!("last error: {}\n", plain(error));
        text.push_str(&line);
    }
    Ok(text.into())
}

fn tools(session: &Session, tools: &[RawJson]) -> Result {
    if session.is_json {
        return json(tools);
    }
    let member = |tool: &RawJson, name: &str| {
        let member = tool.member(name).ok().flatten();
        let text = member.and_then(|member| member.decode_owned::<String>().ok());
        text.unwrap_or_default()
    };
    let rows: Vec<Vec<String>> = tools
        .iter()
        .map(|tool| {
            let about = member(tool, "description");
            let first = about.lines().next().unwrap_or_default().to_owned();
            vec![member(tool, "name"), first]
        })
        .collect();
    Ok(table(&["tool", "description"], &rows).into())
}

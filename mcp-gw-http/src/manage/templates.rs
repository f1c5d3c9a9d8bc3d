//! `templates`: what calls name.

use clap::{Args, Subcommand};

use super::Result;
use super::said::{facts, json, plain};
use super::servers;
use super::session::Session;
use super::users::filled;
use crate::client::{Template, TemplateChange};

/// What is done.
#[derive(Debug, Subcommand)]
pub(crate) enum Templates {
    /// List their names
    List,
    /// Show one, with its servers
    Show(One),
    /// Change how the calls of one are spread
    Update {
        #[command(flatten)]
        template: One,

        #[command(flatten)]
        to: To,
    },
    /// Remove one without servers
    Delete(One),
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The name
    #[arg(value_name = "TEMPLATE")]
    name: String,
}

#[derive(Debug, Args)]
pub(crate) struct To {
    /// What it is for; empty takes it away
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// How calls are spread: `round_robin`, `least_connections` and others
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,

    /// How often servers are asked how they do, 5 to 300
    #[arg(long, value_name = "SECONDS")]
    health_check_interval: Option<u32>,

    /// How often a call is tried, 1 to 10
    #[arg(long, value_name = "COUNT")]
    max_retries: Option<u32>,

    /// Connections to each server, 1 to 20
    #[arg(long, value_name = "COUNT")]
    pool_size: Option<u32>,

    /// How long a call may take, 5 to 300
    #[arg(long, value_name = "SECONDS")]
    timeout: Option<u32>,
}

impl To {
    fn change(&self) -> TemplateChange {
        TemplateChange {
            description: self.description.as_deref().map(filled),
            strategy: self.strategy.clone(),
            health_check_interval: self.health_check_interval,
            max_retries: self.max_retries,
            pool_size: self.pool_size,
            timeout: self.timeout,
        }
    }
}

pub(super) async fn run(session: &Session, what: &Templates) -> Result {
    let client = &session.client;
    match what {
        Templates::List => {
            let names = client.list_templates().await?;
            if session.is_json {
                return json(&names);
            }
            let lines = names.iter().map(|name| format!("{}\n", plain(name)));
            Ok(lines.collect::<String>().into())
        }
        Templates::Show(one) => show(session, &client.get_template(&one.name).await?),
        Templates::Update { template, to } => {
            let change = to.change();
            let changed = client.update_template(&template.name, &change, None);
            show(session, &changed.await?)
        }
        Templates::Delete(one) => {
            client.delete_template(&one.name, None).await?;
            Ok(format!("{} is removed", plain(&one.name)).into())
        }
    }
}

fn show(session: &Session, template: &Template) -> Result {
    if session.is_json {
        return json(template);
    }
    let known = facts(&[
        ("name", template.name.clone()),
        (
            "description",
            template.description.clone().unwrap_or_default(),
        ),
        ("strategy", template.strategy.clone()),
        ("timeout", format!("{} s", template.timeout)),
        ("tries", template.max_retries.to_string()),
        ("connections", template.pool_size.to_string()),
        (
            "health check",
            format!("{} s", template.health_check_interval),
        ),
        ("at /mcp/", template.mcp_server.clone().unwrap_or_default()),
    ]);
    let servers = servers::rows(&template.instances);
    Ok(format!("{known}\n{servers}").into())
}

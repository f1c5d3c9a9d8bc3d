//! Servers.

use axum::http::header::LINK;
use axum::http::{HeaderName, Method, StatusCode};
use mcp_gw_core::RawJson;
use mcp_gw_server::identity::Scope;
use mcp_gw_server::registry::{
    LOG_LINES, NewServer as Order, RegistryError, ServerChange, ServerView,
};
use mcp_gw_server::store::{EnvVars, InstanceFilter, MAX_PAGE, PageRequest, StoreError};

use super::accounts::edit;
use super::ask::{Ask, Reply};
use super::fault::Fault;
use super::place::{object, spec_of};
use super::shapes::{Command, Logs, NewServer, Place, ServerPatch, ServerShown};
use super::table::{Need, Operation, PAGE, Param};

const READ: Need = Need::Scope(Scope::Read);
const WRITE: Need = Need::Scope(Scope::Write);
const NEXT: HeaderName = HeaderName::from_static("x-next-cursor");

/// What there is about servers.
pub(super) fn table() -> Vec<Operation> {
    const ONE: &str = "/servers/{server_id}";
    const LIST: [Param; 2] = [
        Param {
            name: "include_health",
            about: "Show how each does, too",
            kind: "boolean",
        },
        Param {
            name: "template_name",
            about: "Only those of this template",
            kind: "string",
        },
    ];
    const LAST: [Param; 1] = [Param {
        name: "last",
        about: "How many lines at most, 1 to 100",
        kind: "integer",
    }];
    vec![
        Operation::new(
            (Method::GET, "/servers", "list_servers"),
            READ,
            "Servers: all, or with `limit` a page, whose `Link` leads to the next",
            list,
        )
        .query(&PAGE)
        .query(&LIST)
        .gives::<Vec<ServerShown>>(StatusCode::OK),
        Operation::new(
            (Method::POST, "/servers", "register_server"),
            WRITE,
            "Register a server",
            register,
        )
        .takes::<NewServer>()
        .takes::<Place>()
        .gives::<ServerShown>(StatusCode::CREATED)
        .fails(&[409]),
        Operation::new((Method::GET, ONE, "get_server"), READ, "A server", get)
            .gives::<ServerShown>(StatusCode::OK),
        Operation::new(
            (Method::PATCH, ONE, "update_server"),
            WRITE,
            "Change a server",
            update,
        )
        .takes::<ServerPatch>()
        .gives::<ServerShown>(StatusCode::OK)
        .conditional()
        .fails(&[409]),
        Operation::new(
            (Method::DELETE, ONE, "delete_server"),
            WRITE,
            "Remove a server",
            delete,
        )
        .gives_nothing()
        .conditional(),
        Operation::new(
            (Method::POST, "/servers/{server_id}/enable", "enable_server"),
            WRITE,
            "Let it get calls",
            enable,
        )
        .gives::<ServerShown>(StatusCode::OK)
        .fails(&[409, 412]),
        Operation::new(
            (
                Method::POST,
                "/servers/{server_id}/disable",
                "disable_server",
            ),
            WRITE,
            "Let it get no more calls",
            disable,
        )
        .gives::<ServerShown>(StatusCode::OK)
        .fails(&[409, 412]),
        Operation::new(
            (Method::GET, "/servers/{server_id}/logs", "server_logs"),
            WRITE,
            "What it wrote last, and its last error",
            logs,
        )
        .query(&LAST)
        .gives::<Logs>(StatusCode::OK),
    ]
    .into_iter()
    .map(|row| row.tag("servers"))
    .collect()
}

pub(super) fn shown(status: StatusCode, view: ServerView) -> Result<Reply, Fault> {
    let revision = view.instance.revision;
    Ok(Reply::json(status, &ServerShown::from(view))?.at(revision))
}

async fn list(ask: Ask) -> Result<Reply, Fault> {
    let is_healthy_shown = ask.flag("include_health")?.unwrap_or(false);
    let filter = match ask.asked("template_name")? {
        Some(name) => InstanceFilter::of_template(name),
        None => InstanceFilter::new(),
    };
    let is_paged = ask.asked("limit")?.is_some() || ask.asked("cursor")?.is_some();
    let mut page = if is_paged {
        ask.page()?
    } else {
        PageRequest::first(MAX_PAGE)
    };
    let mut servers = Vec::new();
    let next = loop {
        let found = ask
            .api
            .registry
            .servers(&filter, &page)
            .await
            .map_err(of_page)?;
        servers.extend(found.items);
        match found.next {
            Some(next) if !is_paged => page = PageRequest::first(MAX_PAGE).after(next),
            next => break next,
        }
    };
    let servers = servers.into_iter().map(|view| ask.seen(view).into());
    let servers: Vec<ServerShown> = if is_healthy_shown {
        servers.collect()
    } else {
        servers.map(ServerShown::without_health).collect()
    };
    let reply = Reply::ok(&servers)?;
    let Some(next) = next else {
        return Ok(reply);
    };
    let mut link = format!(
        "</servers?cursor={}&limit={}",
        escaped(next.as_str()),
        page.limit
    );
    for name in ["include_health", "template_name"] {
        if let Some(value) = ask.asked(name)? {
            link = format!("{link}&{name}={}", escaped(value));
        }
    }
    let reply = reply.with(LINK, format!("{link}>; rel=\"next\""));
    Ok(reply.with(NEXT, next.as_str().to_owned()))
}

fn escaped(text: &str) -> String {
    let of_byte = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(of_byte).collect()
}

/// A cursor that is none was in the query.
fn of_page(error: RegistryError) -> Fault {
    match error {
        RegistryError::Store(StoreError::Invalid { reason, .. }) => {
            Fault::at(&["query", "cursor"], reason, "value_error")
        }
        error => error.into(),
    }
}

async fn register(ask: Ask) -> Result<Reply, Fault> {
    let new: NewServer = ask.json()?;
    let spec = spec_of(&ask, new.instance_metadata, new.config)?;
    let mut order = Order::new(new.template_name, spec);
    order.id = new.id;
    let view = ask.api.registry.register(&ask.asker(), order).await?;
    ask.is_about(&*view.instance.id);
    let place = format!("/servers/{}", escaped(&view.instance.id));
    Ok(shown(StatusCode::CREATED, view)?.with(axum::http::header::LOCATION, place))
}

async fn get(ask: Ask) -> Result<Reply, Fault> {
    let view = ask.api.registry.server(ask.param("server_id")?).await?;
    shown(StatusCode::OK, ask.seen(view))
}

async fn update(ask: Ask) -> Result<Reply, Fault> {
    let patch: ServerPatch = ask.json()?;
    let nullable = |value: Option<Option<RawJson>>, name| match value {
        None => Ok(None),
        Some(value) => object(value, name).map(Some),
    };
    let mut change = ServerChange::new();
    change.endpoint = edit(patch.endpoint);
    change.command = edit(
        patch
            .command
            .map(|command| command.map(Command::into_words)),
    );
    change.transport = edit(patch.transport);
    change.backend = edit(patch.backend);
    change.container_id = edit(patch.container_id);
    change.deployment_id = edit(patch.deployment_id);
    change.namespace = edit(patch.namespace);
    change.working_dir = edit(patch.working_dir);
    change.env_vars = edit(patch.env_vars.map(|vars| vars.map(EnvVars::new)));
    change.is_active = edit(patch.is_active);
    change.instance_metadata = edit(nullable(patch.instance_metadata, "instance_metadata")?);
    change.config = edit(nullable(patch.config, "config")?);
    let (id, expected) = (ask.param("server_id")?, ask.expected()?);
    let view = ask
        .api
        .registry
        .update(&ask.asker(), id, expected, change)
        .await?;
    shown(StatusCode::OK, view)
}

async fn delete(ask: Ask) -> Result<Reply, Fault> {
    ask.api
        .registry
        .delete(ask.param("server_id")?, ask.expected()?)
        .await?;
    Ok(Reply::nothing())
}

async fn enable(ask: Ask) -> Result<Reply, Fault> {
    shown(
        StatusCode::OK,
        ask.api
            .registry
            .set_enabled(ask.param("server_id")?, true)
            .await?,
    )
}

async fn disable(ask: Ask) -> Result<Reply, Fault> {
    shown(
        StatusCode::OK,
        ask.api
            .registry
            .set_enabled(ask.param("server_id")?, false)
            .await?,
    )
}

async fn logs(ask: Ask) -> Result<Reply, Fault> {
    let id = ask.param("server_id")?;
    let most = u32::try_from(LOG_LINES).unwrap_or(u32::MAX);
    let last = ask.count("last", most)?.unwrap_or(most);
    let view = ask.api.registry.server(id).await?;
    let lines = ask
        .api
        .registry
        .logs(id, usize::try_from(last).unwrap_or(LOG_LINES))
        .await?;
    Reply::ok(&Logs {
        server_id: id.to_owned(),
        last_error: view.instance.health.last_error,
        lines: lines.into_iter().map(Into::into).collect(),
    })
}

//! Templates, and the other way to their servers.

use axum::http::{Method, StatusCode};
use mcp_gw_server::identity::Scope;
use mcp_gw_server::registry::{NewServer as Order, RegistryError, TemplateView};
use mcp_gw_server::store::{Conflict, Revision, TemplateChange};

use super::accounts::edit;
use super::ask::{Ask, Reply};
use super::fault::Fault;
use super::place::spec_of;
use super::servers::shown;
use super::shapes::{
    Message, Names, NewInstance, Place, ServerShown, TemplatePatch, TemplateShown,
};
use super::table::{Need, Operation};

const READ: Need = Need::Scope(Scope::Read);
const WRITE: Need = Need::Scope(Scope::Write);

/// What there is about templates.
pub(super) fn table() -> Vec<Operation> {
    const ONE: &str = "/gateway/templates/{template}";
    const OF: &str = "/gateway/templates/{template}/instances";
    vec![
        Operation::new(
            (Method::GET, "/gateway/templates", "list_templates"),
            Need::Nobody,
            "The names of the templates",
            names,
        )
        .gives::<Names>(StatusCode::OK),
        Operation::new(
            (Method::GET, ONE, "get_template"),
            READ,
            "A template with its instances",
            template,
        )
        .gives::<TemplateShown>(StatusCode::OK),
        Operation::new(
            (Method::PATCH, ONE, "update_template"),
            WRITE,
            "Change how the calls of a template are spread",
            update_template,
        )
        .takes::<TemplatePatch>()
        .gives::<TemplateShown>(StatusCode::OK)
        .conditional(),
        Operation::new(
            (Method::DELETE, ONE, "delete_template"),
            WRITE,
            "Remove a template without instances",
            delete_template,
        )
        .gives_nothing()
        .conditional()
        .fails(&[409]),
        Operation::new(
            (Method::POST, OF, "register_instance"),
            WRITE,
            "Register an instance; one of the same id is replaced",
            register_instance,
        )
        .takes::<NewInstance>()
        .takes::<Place>()
        .gives::<ServerShown>(StatusCode::OK)
        .fails(&[409]),
        Operation::new(
            (
                Method::DELETE,
                "/gateway/templates/{template}/instances/{server_id}",
                "delete_instance",
            ),
            WRITE,
            "Remove an instance",
            delete_instance,
        )
        .gives::<Message>(StatusCode::OK),
    ]
    .into_iter()
    .map(|row| row.tag("templates"))
    .collect()
}

async fn names(ask: Ask) -> Result<Reply, Fault> {
    let templates = ask.api.registry.template_names();
    Reply::ok(&Names { templates })
}

fn template_shown(view: TemplateView) -> Result<Reply, Fault> {
    let revision = view.template.revision;
    Ok(Reply::ok(&TemplateShown::from(view))?.at(revision))
}

async fn template(ask: Ask) -> Result<Reply, Fault> {
    let mut view = ask.api.registry.template(ask.param("template")?).await?;
    let instances = std::mem::take(&mut view.instances).into_iter();
    view.instances = instances.map(|view| ask.seen(view)).collect();
    template_shown(view)
}

async fn update_template(ask: Ask) -> Result<Reply, Fault> {
    let name = ask.param("template")?;
    let patch: TemplatePatch = ask.json()?;
    let expected = ask.expected()?;
    for _ in 0..TRIES {
        let changed = patched(&ask, name, expected, patch.clone()).await;
        let conflict = changed.as_ref().err().and_then(RegistryError::as_conflict);
        // Who names no revision wants the change made to whatever it is.
        if expected.is_some() || conflict != Some(Conflict::Revision) {
            return template_shown(changed?);
        }
    }
    Err(Conflict::Revision.into())
}

/// So often a change is tried again that others overtake.
const TRIES: usize = 32;

/// Reads a template, and writes what it is with a change.
async fn patched(
    ask: &Ask,
    name: &str,
    expected: Option<Revision>,
    patch: TemplatePatch,
) -> Result<TemplateView, RegistryError> {
    let registry = &ask.api.registry;
    let now = registry.template(name).await?.template;
    // The parts that stay must be those that were read.
    let expected = expected.unwrap_or(now.revision);
    let mut balancer = now.load_balancer;
    balancer.strategy = patch.strategy.unwrap_or(balancer.strategy);
    balancer.health_check_interval = patch
        .health_check_interval
        .unwrap_or(balancer.health_check_interval);
    balancer.max_retries = patch.max_retries.unwrap_or(balancer.max_retries);
    balancer.pool_size = patch.pool_size.unwrap_or(balancer.pool_size);
    balancer.timeout = patch.timeout.unwrap_or(balancer.timeout);
    let mut change = TemplateChange::new();
    change.description = edit(patch.description);
    change.load_balancer = balancer.into();
    registry.update_template(name, Some(expected), change).await
}

async fn delete_template(ask: Ask) -> Result<Reply, Fault> {
    let (name, expected) = (ask.param("template")?, ask.expected()?);
    ask.api.registry.delete_template(name, expected).await?;
    Ok(Reply::nothing())
}

async fn delete_instance(ask: Ask) -> Result<Reply, Fault> {
    let (template, id) = (ask.param("template")?, ask.param("server_id")?);
    ask.api.registry.delete_of(template, id).await?;
    let message = format!("Instance {id} was removed from template {template}");
    Reply::ok(&Message { message })
}

async fn register_instance(ask: Ask) -> Result<Reply, Fault> {
    let new: NewInstance = ask.json()?;
    let spec = spec_of(&ask, new.instance_metadata, new.config)?;
    let order = Order::new(ask.param("template")?, spec)
        .with_id(new.id)
        .replacing();
    shown(
        StatusCode::OK,
        ask.api.registry.register(&ask.asker(), order).await?,
    )
}

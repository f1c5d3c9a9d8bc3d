//! Rows of templates and instances, and the statements that read and write them.

use mcp_gw_core::RawJson;

use super::row::{Query, Reader, Row};
use crate::error::{Entity, Result, StoreError};
use crate::values::{
    EnvVars, Health, HostKind, Instance, InstanceSpec, LoadBalancer, NewTemplate, ServerStatus,
    ServerTransport, Strategy, Template, Time,
};

/// The columns of [`read_template`].
macro_rules! template_columns {
    () => {
        "name, description, strategy, health_check_interval, max_retries, pool_size, timeout, \
         revision, created_at, updated_at"
    };
}

/// The columns of an instance but its id and place, in the order of [`put_spec`].
macro_rules! spec_columns {
    () => {
        "template_name, endpoint, command, transport, backend, container_id, deployment_id, \
         namespace, working_dir, env_vars, is_active, instance_metadata, config, revision, \
         created_at, updated_at"
    };
}

/// Those of its health, in the order of [`put_health`].
macro_rules! health_columns {
    () => {
        "status, last_health_check, consecutive_failures, last_error"
    };
}

/// The columns of [`read_instance`].
macro_rules! instance_columns {
    () => {
        concat!("place, id, ", spec_columns!(), ", ", health_columns!())
    };
}

pub(super) const TEMPLATES: &str = concat!("SELECT ", template_columns!(), " FROM gw_templates");
pub(super) const TEMPLATE: &str = concat!(
    "SELECT ",
    template_columns!(),
    " FROM gw_templates WHERE name = $1"
);
pub(super) const ADD_TEMPLATE: &str = concat!(
    "INSERT INTO gw_templates (",
    template_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8) ON CONFLICT (name) DO NOTHING"
);
pub(super) const PUT_TEMPLATE: &str = "UPDATE gw_templates SET description = $2, strategy = $3, \
    health_check_interval = $4, max_retries = $5, pool_size = $6, timeout = $7, revision = $8, \
    updated_at = $9 WHERE name = $1";
/// Holds the template, so that nobody deletes it until the instance is there.
pub(super) const HOLD_TEMPLATE: &str =
    "UPDATE gw_templates SET revision = revision WHERE name = $1";

pub(super) const INSTANCES: &str = concat!("SELECT ", instance_columns!(), " FROM gw_instances");
pub(super) const INSTANCE: &str = concat!(
    "SELECT ",
    instance_columns!(),
    " FROM gw_instances WHERE id = $1"
);
pub(super) const ADD_INSTANCE: &str = concat!(
    "INSERT INTO gw_instances (id, ",
    spec_columns!(),
    ", ",
    health_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
     $19, $20, $21) RETURNING place"
);
pub(super) const PUT_INSTANCE: &str = concat!(
    "UPDATE gw_instances SET (",
    spec_columns!(),
    ", ",
    health_columns!(),
    ") = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
     $21) WHERE id = $1"
);
/// Leaves the health as it is: that may change at the same time.
pub(super) const UPDATE_INSTANCE: &str = concat!(
    "UPDATE gw_instances SET (",
    spec_columns!(),
    ") = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
     WHERE id = $1"
);
pub(super) const SET_HEALTH: &str = concat!(
    "UPDATE gw_instances SET (",
    health_columns!(),
    ") = ($2, $3, $4, $5) WHERE id = $1"
);

pub(super) fn read_template(row: &mut Reader) -> Result<Template> {
    Ok(Template {
        name: row.text()?,
        description: row.maybe_text()?,
        load_balancer: LoadBalancer {
            strategy: row.named(Strategy::from_name)?,
            health_check_interval: row.small()?,
            max_retries: row.small()?,
            pool_size: row.small()?,
            timeout: row.small()?,
        },
        revision: row.revision()?,
        created_at: row.time()?,
        updated_at: row.time()?,
    })
}

fn read_env(row: &mut Reader) -> Result<Option<EnvVars>> {
    let text = row.maybe_text()?;
    let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|_| StoreError::damaged("the variables of an instance cannot be read"))
}

fn read_command(row: &mut Reader) -> Result<Option<Vec<String>>> {
    let text = row.maybe_text()?;
    let parsed = text.map(|text| serde_json::from_str(&text)).transpose();
    parsed.map_err(|_| StoreError::damaged("the command of an instance cannot be read"))
}

pub(super) fn read_instance(row: &mut Reader) -> Result<Instance> {
    Ok(Instance {
        place: row.int()?,
        id: row.text()?,
        template_name: row.text()?,
        spec: InstanceSpec {
            endpoint: row.maybe_text()?,
            command: read_command(row)?,
            transport: row.named(ServerTransport::from_name)?,
            backend: row.named(HostKind::from_name)?,
            container_id: row.maybe_text()?,
            deployment_id: row.maybe_text()?,
            namespace: row.maybe_text()?,
            working_dir: row.maybe_text()?,
            env_vars: read_env(row)?,
            is_active: row.flag()?,
            instance_metadata: row.maybe_json()?,
            config: row.maybe_json()?,
        },
        revision: row.revision()?,
        created_at: row.time()?,
        updated_at: row.time()?,
        health: Health {
            status: row.named(ServerStatus::from_name)?,
            last_health_check: row.maybe_time()?,
            consecutive_failures: row.small()?,
            last_error: row.maybe_text()?,
        },
    })
}

pub(super) fn one_template(row: Option<Row>, name: &str) -> Result<Template> {
    let row = row.ok_or_else(|| StoreError::not_found(Entity::Template, name))?;
    read_template(&mut row.reader())
}

pub(super) fn one_instance(row: Option<Row>, id: &str) -> Result<Instance> {
    let row = row.ok_or_else(|| StoreError::not_found(Entity::Instance, id))?;
    read_instance(&mut row.reader())
}

pub(super) fn add_template(template: &NewTemplate, now: Time) -> Query<'static> {
    let balancer = &template.load_balancer;
    Query::new(ADD_TEMPLATE)
        .text(&*template.name)
        .maybe_text(template.description.as_deref())
        .text(balancer.strategy.as_str())
        .int(balancer.health_check_interval.into())
        .int(balancer.max_retries.into())
        .int(balancer.pool_size.into())
        .int(balancer.timeout.into())
        .time(now)
}

/// The arguments `$1` to `$17`: the id, and what an instance is.
pub(super) fn put_spec(sql: &'static str, instance: &Instance) -> Query<'static> {
    let spec = &instance.spec;
    let command = spec.command.as_deref();
    // Texts always become JSON.
    let command = command.map(|it| serde_json::to_string(it).unwrap_or_default());
    let env = spec.env_vars.as_ref();
    let env = env.map(|it| serde_json::to_string(it).unwrap_or_default());
    Query::new(sql)
        .text(&*instance.id)
        .text(&*instance.template_name)
        .maybe_text(spec.endpoint.as_deref())
        .maybe_text(command.as_deref())
        .text(spec.transport.as_str())
        .text(spec.backend.as_str())
        .maybe_text(spec.container_id.as_deref())
        .maybe_text(spec.deployment_id.as_deref())
        .maybe_text(spec.namespace.as_deref())
        .maybe_text(spec.working_dir.as_deref())
        .maybe_text(env.as_deref())
        .flag(spec.is_active)
        .maybe_text(spec.instance_metadata.as_ref().map(RawJson::as_str))
        .maybe_text(spec.config.as_ref().map(RawJson::as_str))
        .int(instance.revision.get())
        .time(instance.created_at)
        .time(instance.updated_at)
}

/// Four arguments more: how an instance is.
pub(super) fn put_health(query: Query<'static>, health: &Health) -> Query<'static> {
    query
        .text(health.status.as_str())
        .maybe_time(health.last_health_check)
        .int(health.consecutive_failures.into())
        .maybe_text(health.last_error.as_deref())
}

//! Templates and instances.

use async_trait::async_trait;
use mcp_gw_core::RawJson;

use super::access::returned;
use super::fault::Fault;
use super::row::{Query, Reader, Row};
use super::{SqlStore, Write, expect};
use crate::changes::ChangeKind;
use crate::check;
use crate::contract::Servers;
use crate::error::{Conflict, Entity, Result, StoreError};
use crate::values::{
    EnvVars, Health, HostKind, Instance, InstanceFilter, InstanceSpec, List, LoadBalancer,
    NewInstance, NewTemplate, Page, PageRequest, Place, Revision, ServerStatus, ServerTransport,
    Strategy, Template, TemplateChange, Time,
};

/// How often an instance is put anew when others make it at the same time.
const TURNS: usize = 5;

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

const TEMPLATES: &str = concat!("SELECT ", template_columns!(), " FROM gw_templates");
const TEMPLATE: &str = concat!(
    "SELECT ",
    template_columns!(),
    " FROM gw_templates WHERE name = $1"
);
const ADD_TEMPLATE: &str = concat!(
    "INSERT INTO gw_templates (",
    template_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, 1, $8, $8) ON CONFLICT (name) DO NOTHING"
);
const PUT_TEMPLATE: &str = "UPDATE gw_templates SET description = $2, strategy = $3, \
    health_check_interval = $4, max_retries = $5, pool_size = $6, timeout = $7, revision = $8, \
    updated_at = $9 WHERE name = $1";
/// Holds the template, so that nobody deletes it until the instance is there.
const HOLD_TEMPLATE: &str = "UPDATE gw_templates SET revision = revision WHERE name = $1";

const INSTANCES: &str = concat!("SELECT ", instance_columns!(), " FROM gw_instances");
const INSTANCE: &str = concat!(
    "SELECT ",
    instance_columns!(),
    " FROM gw_instances WHERE id = $1"
);
const ADD_INSTANCE: &str = concat!(
    "INSERT INTO gw_instances (id, ",
    spec_columns!(),
    ", ",
    health_columns!(),
    ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, \
     $19, $20, $21) RETURNING place"
);
const PUT_INSTANCE: &str = concat!(
    "UPDATE gw_instances SET (",
    spec_columns!(),
    ", ",
    health_columns!(),
    ") = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
     $21) WHERE id = $1"
);
/// Leaves the health as it is: that may change at the same time.
const UPDATE_INSTANCE: &str = concat!(
    "UPDATE gw_instances SET (",
    spec_columns!(),
    ") = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17) \
     WHERE id = $1"
);
const SET_HEALTH: &str = concat!(
    "UPDATE gw_instances SET (",
    health_columns!(),
    ") = ($2, $3, $4, $5) WHERE id = $1"
);

fn read_template(row: &mut Reader) -> Result<Template> {
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

fn read_instance(row: &mut Reader) -> Result<Instance> {
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

fn one_template(row: Option<Row>, name: &str) -> Result<Template> {
    let row = row.ok_or_else(|| StoreError::not_found(Entity::Template, name))?;
    read_template(&mut row.reader())
}

fn one_instance(row: Option<Row>, id: &str) -> Result<Instance> {
    let row = row.ok_or_else(|| StoreError::not_found(Entity::Instance, id))?;
    read_instance(&mut row.reader())
}

fn add_template(template: &NewTemplate, now: Time) -> Query<'static> {
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
fn put_spec(sql: &'static str, instance: &Instance) -> Query<'static> {
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
fn put_health(query: Query<'static>, health: &Health) -> Query<'static> {
    query
        .text(health.status.as_str())
        .maybe_time(health.last_health_check)
        .int(health.consecutive_failures.into())
        .maybe_text(health.last_error.as_deref())
}

impl Write<'_> {
    /// Makes the template where there is none, and keeps it from being deleted.
    async fn ensure_template(&mut self, name: &str, now: Time) -> Result<()> {
        let hold = Query::new(HOLD_TEMPLATE).text(name);
        if self.execute(hold).await? == 0 {
            self.execute(add_template(&NewTemplate::new(name), now))
                .await?;
        }
        Ok(())
    }

    async fn add_instance(&mut self, instance: NewInstance, now: Time) -> Result<Instance> {
        let mut instance = instance.into_instance(0, now);
        let query = put_health(put_spec(ADD_INSTANCE, &instance), &instance.health);
        let added = self.ask_one(query).await;
        let row = added.map_err(|fault| fault.taken(Conflict::Instance))?;
        instance.place = returned(row)?;
        Ok(instance)
    }
}

impl SqlStore {
    /// Puts an instance in the place of another, or `None` when somebody was faster.
    async fn try_put(&self, new: NewInstance) -> Result<Option<Instance>> {
        let now = self.now();
        let mut write = self.begin().await?;
        write.ensure_template(&new.template_name, now).await?;
        let query = Query::new(INSTANCE).text(&*new.id);
        let instance = if let Some(row) = write.hold(query).await? {
            let mut known = read_instance(&mut row.reader())?;
            new.replace(&mut known, now);
            let query = put_health(put_spec(PUT_INSTANCE, &known), &known.health);
            write.put(query).await?;
            known
        } else {
            match write.add_instance(new, now).await {
                Err(error) if error.as_conflict().is_some() => return Ok(None),
                answer => answer?,
            }
        };
        write.changed(ChangeKind::Servers);
        write.commit().await?;
        Ok(Some(instance))
    }
}

#[async_trait]
impl Servers for SqlStore {
    async fn create_template(&self, template: NewTemplate) -> Result<Template> {
        check::new_template(&template)?;
        let now = self.now();
        let mut write = self.begin().await?;
        if write.execute(add_template(&template, now)).await? == 0 {
            return Err(StoreError::conflict(Conflict::Template));
        }
        write.changed(ChangeKind::Servers);
        write.commit().await?;
        Ok(template.into_template(now))
    }

    async fn template(&self, name: &str) -> Result<Template> {
        if !check::is_name(name) {
            return Err(StoreError::not_found(Entity::Template, name));
        }
        let row = self.read_one(Query::new(TEMPLATE).text(name)).await?;
        one_template(row, name)
    }

    async fn templates(&self, page: &PageRequest) -> Result<Page<Template>> {
        let mut query = Query::new(TEMPLATES);
        if let Some(after) = Place::into_text(page.place(List::Templates)?) {
            query = query.narrow("name > {}").text(after);
        }
        query.push(" ORDER BY name");
        let rows = self.read(query.at_most(page.limit())).await?;
        let templates = rows.into_iter().map(|row| read_template(&mut row.reader()));
        let templates = templates.collect::<Result<_>>()?;
        Ok(Page::of(
            templates,
            page.limit(),
            List::Templates,
            |template: &Template| Place::Text(template.name.clone()),
        ))
    }

    async fn update_template(
        &self,
        name: &str,
        expected: Option<Revision>,
        change: TemplateChange,
    ) -> Result<Template> {
        check::template_change(&change)?;
        if !check::is_name(name) {
            return Err(StoreError::not_found(Entity::Template, name));
        }
        let mut write = self.begin().await?;
        let row = write.hold(Query::new(TEMPLATE).text(name)).await?;
        let mut template = one_template(row, name)?;
        expect(expected, template.revision)?;
        change.apply(&mut template, self.now());
        let balancer = &template.load_balancer;
        let query = Query::new(PUT_TEMPLATE)
            .text(name)
            .maybe_text(template.description.as_deref())
            .text(balancer.strategy.as_str())
            .int(balancer.health_check_interval.into())
            .int(balancer.max_retries.into())
            .int(balancer.pool_size.into())
            .int(balancer.timeout.into())
            .int(template.revision.get())
            .time(template.updated_at);
        write.put(query).await?;
        write.changed(ChangeKind::Servers);
        write.commit().await?;
        Ok(template)
    }

    async fn delete_template(&self, name: &str, expected: Option<Revision>) -> Result<()> {
        let missing = StoreError::not_found(Entity::Template, name);
        if !check::is_name(name) {
            return Err(missing);
        }
        let mut write = self.begin().await?;
        // First of all: that it has instances is an answer only to who knows what it is.
        let row = write.hold(Query::new(TEMPLATE).text(name)).await?;
        expect(expected, one_template(row, name)?.revision)?;
        let query = Query::new("DELETE FROM gw_templates WHERE name = $1").text(name);
        let deleted = write.delete(query, expected, missing).await;
        deleted.map_err(|fault| match fault {
            Fault::Reference => StoreError::conflict(Conflict::InUse),
            other => other.into(),
        })?;
        write.changed(ChangeKind::Servers);
        write.commit().await
    }

    async fn create_instance(&self, instance: NewInstance) -> Result<Instance> {
        check::new_instance(&instance)?;
        let now = self.now();
        let mut write = self.begin().await?;
        write.ensure_template(&instance.template_name, now).await?;
        let instance = write.add_instance(instance, now).await?;
        write.changed(ChangeKind::Servers);
        write.commit().await?;
        Ok(instance)
    }

    async fn put_instance(&self, instance: NewInstance) -> Result<Instance> {
        check::new_instance(&instance)?;
        for _ in 0..TURNS {
            if let Some(put) = self.try_put(instance.clone()).await? {
                return Ok(put);
            }
        }
        Err(StoreError::Unavailable {
            reason: "others keep making and deleting what is to be put".to_owned(),
            retryable: true,
        })
    }

    async fn instance(&self, id: &str) -> Result<Instance> {
        if !check::is_name(id) {
            return Err(StoreError::not_found(Entity::Instance, id));
        }
        one_instance(self.read_one(Query::new(INSTANCE).text(id)).await?, id)
    }

    async fn instances(
        &self,
        filter: &InstanceFilter,
        page: &PageRequest,
    ) -> Result<Page<Instance>> {
        let mut query = Query::new(INSTANCES);
        if let Some(after) = Place::number(page.place(List::Instances)?.as_ref()) {
            query = query.narrow("place > {}").int(after);
        }
        if let Some(name) = &filter.template_name {
            if !check::is_name(name) {
                return Ok(Page::empty());
            }
            query = query.narrow("template_name = {}").text(&**name);
        }
        query.push(" ORDER BY place");
        let rows = self.read(query.at_most(page.limit())).await?;
        let instances = rows.into_iter().map(|row| read_instance(&mut row.reader()));
        let instances = instances.collect::<Result<_>>()?;
        Ok(Page::of(
            instances,
            page.limit(),
            List::Instances,
            |instance: &Instance| Place::Number(instance.place),
        ))
    }

    async fn update_instance(
        &self,
        id: &str,
        expected: Option<Revision>,
        spec: InstanceSpec,
    ) -> Result<Instance> {
        check::spec(&spec)?;
        if !check::is_name(id) {
            return Err(StoreError::not_found(Entity::Instance, id));
        }
        let mut write = self.begin().await?;
        let row = write.hold(Query::new(INSTANCE).text(id)).await?;
        let mut instance = one_instance(row, id)?;
        expect(expected, instance.revision)?;
        instance.update(spec, self.now());
        write.put(put_spec(UPDATE_INSTANCE, &instance)).await?;
        write.changed(ChangeKind::Servers);
        write.commit().await?;
        Ok(instance)
    }

    async fn set_health(&self, id: &str, health: Health) -> Result<()> {
        check::health(&health)?;
        let missing = StoreError::not_found(Entity::Instance, id);
        if !check::is_name(id) {
            return Err(missing);
        }
        let mut write = self.begin().await?;
        let query = put_health(Query::new(SET_HEALTH).text(id), &health);
        if write.execute(query).await? == 0 {
            return Err(missing);
        }
        write.changed(ChangeKind::Health);
        write.commit().await
    }

    async fn delete_instance(&self, id: &str, expected: Option<Revision>) -> Result<()> {
        let missing = StoreError::not_found(Entity::Instance, id);
        if !check::is_name(id) {
            return Err(missing);
        }
        let mut write = self.begin().await?;
        let query = Query::new("DELETE FROM gw_instances WHERE id = $1").text(id);
        write.delete(query, expected, missing).await?;
        write.changed(ChangeKind::Servers);
        write.commit().await
    }
}

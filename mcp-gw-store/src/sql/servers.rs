//! Templates and instances.

use async_trait::async_trait;

use super::access::returned;
use super::fault::Fault;
use super::row::Query;
use super::server_rows::{
    ADD_INSTANCE, HOLD_TEMPLATE, INSTANCE, INSTANCES, PUT_INSTANCE, PUT_TEMPLATE, SET_HEALTH,
    TEMPLATE, TEMPLATES, UPDATE_INSTANCE, add_template, one_instance, one_template, put_health,
    put_spec, read_instance, read_template,
};
use super::{SqlStore, Write, expect};
use crate::changes::ChangeKind;
use crate::check;
use crate::contract::Servers;
use crate::error::{Conflict, Entity, Result, StoreError};
use crate::values::{
    Health, Instance, InstanceFilter, InstanceSpec, List, NewInstance, NewTemplate, Page,
    PageRequest, Place, Revision, Template, TemplateChange, Time,
};

/// How often an instance is put anew when others make it at the same time.
const TURNS: usize = 5;

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

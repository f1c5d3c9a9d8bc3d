//! Templates and instances.

use std::ops::Bound::{Excluded, Unbounded};

use async_trait::async_trait;

use super::{MemoryStore, State, expect, next};
use crate::changes::ChangeKind;
use crate::check;
use crate::contract::Servers;
use crate::error::{Conflict, Entity, Result, StoreError};
use crate::values::{
    Health, Instance, InstanceFilter, InstanceSpec, List, NewInstance, NewTemplate, Page,
    PageRequest, Place, Revision, Template, TemplateChange, Time,
};

impl State {
    fn template(&self, name: &str) -> Result<&Template> {
        let template = self.templates.get(name);
        template.ok_or_else(|| StoreError::not_found(Entity::Template, name))
    }

    fn instance(&self, id: &str) -> Result<&Instance> {
        let place = self.instance_ids.get(id);
        let instance = place.and_then(|place| self.instances.get(place));
        instance.ok_or_else(|| StoreError::not_found(Entity::Instance, id))
    }

    fn put(&mut self, instance: &Instance) {
        self.instances.insert(instance.place, instance.clone());
    }

    /// Adds an instance that is not there yet.
    fn add(&mut self, instance: NewInstance, now: Time) -> Instance {
        let place = next(&mut self.last_instance);
        let instance = instance.into_instance(place, now);
        self.instance_ids.insert(instance.id.clone(), place);
        self.put(&instance);
        instance
    }

    fn ensure_template(&mut self, name: &str, now: Time) {
        if !self.templates.contains_key(name) {
            let template = NewTemplate::new(name).into_template(now);
            self.templates.insert(name.to_owned(), template);
        }
    }
}

#[async_trait]
impl Servers for MemoryStore {
    async fn create_template(&self, template: NewTemplate) -> Result<Template> {
        check::new_template(&template)?;
        let now = self.now();
        let mut state = self.state();
        if state.templates.contains_key(&template.name) {
            return Err(StoreError::conflict(Conflict::Template));
        }
        let template = template.into_template(now);
        let name = template.name.clone();
        state.templates.insert(name, template.clone());
        drop(state);
        self.changed(ChangeKind::Servers);
        Ok(template)
    }

    async fn template(&self, name: &str) -> Result<Template> {
        self.state().template(name).cloned()
    }

    async fn templates(&self, page: &PageRequest) -> Result<Page<Template>> {
        let after = Place::into_text(page.place(List::Templates)?);
        let state = self.state();
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        let templates = state.templates.range::<String, _>(range);
        let templates = templates.map(|(_, template)| template.clone());
        let templates = templates.take(page.limit() + 1).collect();
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
        let now = self.now();
        let mut state = self.state();
        let mut template = state.template(name)?.clone();
        expect(expected, template.revision)?;
        change.apply(&mut template, now);
        state.templates.insert(name.to_owned(), template.clone());
        drop(state);
        self.changed(ChangeKind::Servers);
        Ok(template)
    }

    async fn delete_template(&self, name: &str, expected: Option<Revision>) -> Result<()> {
        let mut state = self.state();
        expect(expected, state.template(name)?.revision)?;
        if state.instances.values().any(|it| it.template_name == name) {
            return Err(StoreError::conflict(Conflict::InUse));
        }
        state.templates.remove(name);
        drop(state);
        self.changed(ChangeKind::Servers);
        Ok(())
    }

    async fn create_instance(&self, instance: NewInstance) -> Result<Instance> {
        check::new_instance(&instance)?;
        let now = self.now();
        let mut state = self.state();
        if state.instance_ids.contains_key(&instance.id) {
            return Err(StoreError::conflict(Conflict::Instance));
        }
        state.ensure_template(&instance.template_name, now);
        let instance = state.add(instance, now);
        drop(state);
        self.changed(ChangeKind::Servers);
        Ok(instance)
    }

    async fn put_instance(&self, instance: NewInstance) -> Result<Instance> {
        check::new_instance(&instance)?;
        let now = self.now();
        let mut state = self.state();
        state.ensure_template(&instance.template_name, now);
        let known = state.instance(&instance.id).ok().cloned();
        let instance = if let Some(mut known) = known {
            instance.replace(&mut known, now);
            state.put(&known);
            known
        } else {
            state.add(instance, now)
        };
        drop(state);
        self.changed(ChangeKind::Servers);
        Ok(instance)
    }

    async fn instance(&self, id: &str) -> Result<Instance> {
        self.state().instance(id).cloned()
    }

    async fn instances(
        &self,
        filter: &InstanceFilter,
        page: &PageRequest,
    ) -> Result<Page<Instance>> {
        let after = Place::number(page.place(List::Instances)?.as_ref());
        let state = self.state();
        let range = (after.map_or(Unbounded, Excluded), Unbounded);
        let instances = state.instances.range(range).map(|(_, instance)| instance);
        let instances = instances.filter(|instance| filter.takes(instance));
        let instances = instances.take(page.limit() + 1).cloned().collect();
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
        let now = self.now();
        let mut state = self.state();
        let mut instance = state.instance(id)?.clone();
        expect(expected, instance.revision)?;
        instance.update(spec, now);
        state.put(&instance);
        drop(state);
        self.changed(ChangeKind::Servers);
        Ok(instance)
    }

    async fn set_health(&self, id: &str, health: Health) -> Result<()> {
        check::health(&health)?;
        let mut state = self.state();
        let mut instance = state.instance(id)?.clone();
        instance.health = health;
        state.put(&instance);
        drop(state);
        self.changed(ChangeKind::Health);
        Ok(())
    }

    async fn delete_instance(&self, id: &str, expected: Option<Revision>) -> Result<()> {
        let mut state = self.state();
        let instance = state.instance(id)?;
        expect(expected, instance.revision)?;
        let place = instance.place;
        state.instances.remove(&place);
        state.instance_ids.remove(id);
        drop(state);
        self.changed(ChangeKind::Servers);
        Ok(())
    }
}

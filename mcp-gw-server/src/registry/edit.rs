//! Changes of servers: written into the store, and in force when they return.

use mcp_gw_store::{
    Conflict, Edit, Entity, Health, Instance, InstanceSpec, NewInstance, NewTemplate, Revision,
    StoreError, Template, TemplateChange,
};

use super::Registry;
use super::change::ServerChange;
use super::names::server_name;
use super::validate::{Asker, Faults, FieldFault};
use super::view::{ServerView, TemplateView};

/// So often a change is tried again that others overtake.
const TRIES: usize = 16;

/// Why nothing was changed or found.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// What was asked for cannot be accepted: each fault with its place.
    #[error("{}", told(.0))]
    Invalid(Vec<FieldFault>),
    /// A new template cannot have its name beside what the configuration of the gateway has.
    #[error("the template cannot be called `{template}`: {reason}")]
    Taken {
        /// What it was to be called.
        template: String,
        /// What has the name.
        reason: String,
    },
    /// The store said no, or could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl RegistryError {
    /// True when there is no such server or template.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_not_found())
    }

    /// What it is at odds with, if that is it.
    pub fn as_conflict(&self) -> Option<Conflict> {
        match self {
            Self::Store(error) => error.as_conflict(),
            Self::Invalid(_) | Self::Taken { .. } => None,
        }
    }
}

fn told(faults: &[FieldFault]) -> String {
    let faults = faults.iter();
    let faults = faults.map(|fault| format!("{}: {}", fault.path.join("."), fault.message));
    faults.collect::<Vec<_>>().join("; ")
}

/// A server to be registered.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewServer {
    /// Its id; one is made when there is none.
    pub id: Option<String>,
    /// The template that it is an instance of; made with it where there is none.
    pub template_name: String,
    /// What it is.
    pub spec: InstanceSpec,
    /// Takes the place of an instance of the same id, rather than being refused.
    pub replaces: bool,
}

impl NewServer {
    /// An instance of this template.
    pub fn new(template_name: impl Into<String>, spec: InstanceSpec) -> Self {
        Self {
            id: None,
            template_name: template_name.into(),
            spec,
            replaces: false,
        }
    }

    /// Sets its id.
    #[must_use]
    pub fn with_id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// Lets it take the place of an instance of the same id.
    #[must_use]
    pub const fn replacing(mut self) -> Self {
        self.replaces = true;
        self
    }
}

impl Registry {
    /// Registers a server. When this returns it is behind the gateway and was asked once, so that its
    /// status is known, unless it took longer than [`RegistryOptions::first_answer`].
    ///
    /// One without endpoint and command is kept, and is unhealthy.
    ///
    /// # Errors
    /// When it cannot be accepted, its id or the name of a new template is taken, or it cannot be written.
    ///
    /// [`RegistryOptions::first_answer`]: super::RegistryOptions::first_answer
    pub async fn register(
        &self,
        asker: &Asker,
        new: NewServer,
    ) -> Result<ServerView, RegistryError> {
        let id = match new.id {
            Some(id) => id,
            None => made_id()?,
        };
        let mut faults = Faults::default();
        faults.name("id", &id);
        faults.name("template_name", &new.template_name);
        let before = match self.inner.shelf.known(&id) {
            Some(known) if new.replaces => Some(known),
            _ => None,
        };
        let before = before.as_ref().map(|known| &known.instance.spec);
        faults.spec(&self.inner.options, asker, &new.spec, before);
        checked(faults)?;
        self.may_be_called(&new.template_name).await?;
        let mut instance = NewInstance::new(id, new.template_name, new.spec);
        instance.health = Health::new();
        let written = {
            let _edit = self.inner.edits.read().await;
            let store = &self.inner.store;
            self.make_template(&instance.template_name).await?;
            let instance = if new.replaces {
                store.put_instance(instance).await?
            } else {
                store.create_instance(instance).await?
            };
            self.inner.shelf.put(instance.clone());
            instance
        };
        self.in_force().await;
        self.first_answer(&written).await;
        Ok(self.seen(written))
    }

    /// Changes a server. Calls under way on it go on as they were. Without `expected` the change is made
    /// to what the server is then, whoever else changes it at the same time.
    ///
    /// # Errors
    /// When there is none, the change cannot be accepted, or another one was made since `expected` was
    /// read.
    pub async fn update(
        &self,
        asker: &Asker,
        id: &str,
        expected: Option<Revision>,
        change: ServerChange,
    ) -> Result<ServerView, RegistryError> {
        let mut written = self.changed(asker, id, expected, &change).await;
        if expected.is_none() && is_overtaken(&written) {
            // One after another here; those of other gateways are tried again.
            let _turn = self.inner.turns.lock().await;
            for _ in 0..TRIES {
                written = self.changed(asker, id, None, &change).await;
                if !is_overtaken(&written) {
                    break;
                }
            }
        }
        let written = written?;
        self.in_force().await;
        self.first_answer(&written).await;
        Ok(self.seen(written))
    }

    /// Reads a server, and writes what it is with a change.
    async fn changed(
        &self,
        asker: &Asker,
        id: &str,
        expected: Option<Revision>,
        change: &ServerChange,
    ) -> Result<Instance, RegistryError> {
        let _edit = self.inner.edits.read().await;
        let before = self.inner.store.instance(id).await?;
        let spec = change.clone().applied(&before.spec);
        let mut faults = Faults::default();
        faults.spec(&self.inner.options, asker, &spec, Some(&before.spec));
        if matches!(change.env_vars, Edit::Keep) {
            faults.kept_variables(asker, &spec, &before.spec);
        }
        checked(faults)?;
        // What was judged is what was read.
        let expected = expected.or(Some(before.revision));
        let store = &self.inner.store;
        let instance = store.update_instance(id, expected, spec).await?;
        self.inner.shelf.put(instance.clone());
        Ok(instance)
    }

    /// Lets calls go to a server, or no more. A disabled server stays in the store.
    ///
    /// # Errors
    /// When there is none, or it cannot be written.
    pub async fn set_enabled(
        &self,
        id: &str,
        is_active: bool,
    ) -> Result<ServerView, RegistryError> {
        let mut change = ServerChange::new();
        change.is_active = Edit::Set(is_active);
        self.update(&Asker::default(), id, None, change).await
    }

    /// Deletes a server. No call goes there from now on; those under way are waited for in the
    /// background for as long as a call may take, and then end with an error.
    ///
    /// # Errors
    /// When there is none, or it cannot be written.
    pub async fn delete(&self, id: &str, expected: Option<Revision>) -> Result<(), RegistryError> {
        {
            let _edit = self.inner.edits.read().await;
            self.inner.store.delete_instance(id, expected).await?;
            self.inner.shelf.remove(id);
        }
        self.in_force().await;
        Ok(())
    }

    /// Creates a template without instances.
    ///
    /// # Errors
    /// When its name is taken or no name, a number is out of range, or it cannot be written.
    pub async fn create_template(&self, new: NewTemplate) -> Result<TemplateView, RegistryError> {
        let mut faults = Faults::default();
        faults.name("name", &new.name);
        checked(faults)?;
        let template = {
            let _edit = self.inner.edits.read().await;
            let template = self.inner.store.create_template(new).await?;
            self.inner.shelf.put_template(template.clone());
            template
        };
        self.told(template).await
    }

    /// Changes a template: its load balancing is another one for the next call.
    ///
    /// # Errors
    /// When there is none, a number is out of range, or another change was made since `expected` was read.
    pub async fn update_template(
        &self,
        name: &str,
        expected: Option<Revision>,
        change: TemplateChange,
    ) -> Result<TemplateView, RegistryError> {
        let template = {
            let _edit = self.inner.edits.read().await;
            let store = &self.inner.store;
            let template = store.update_template(name, expected, change).await?;
            self.inner.shelf.put_template(template.clone());
            template
        };
        self.told(template).await
    }

    /// Deletes a template.
    ///
    /// # Errors
    /// When there is none, it has instances (`Conflict::InUse`), or it cannot be written.
    pub async fn delete_template(
        &self,
        name: &str,
        expected: Option<Revision>,
    ) -> Result<(), RegistryError> {
        {
            let _edit = self.inner.edits.read().await;
            self.inner.store.delete_template(name, expected).await?;
            self.inner.shelf.remove_template(name);
        }
        self.in_force().await;
        Ok(())
    }

    /// Deletes an instance of this template and of no other.
    ///
    /// # Errors
    /// As [`Registry::delete`], and when it is another template's.
    pub async fn delete_of(&self, template: &str, id: &str) -> Result<(), RegistryError> {
        let instance = self.inner.store.instance(id).await?;
        if instance.template_name != template {
            return Err(StoreError::not_found(Entity::Instance, id).into());
        }
        self.delete(id, None).await
    }

    async fn told(&self, template: Template) -> Result<TemplateView, RegistryError> {
        self.in_force().await;
        self.template(&template.name).await
    }

    /// Makes the template of a new instance, unless it is there.
    async fn make_template(&self, name: &str) -> Result<(), RegistryError> {
        if self.has_template(name) {
            return Ok(());
        }
        let mut new = NewTemplate::new(name);
        new.load_balancer = self.inner.options.load_balancer;
        let template = match self.inner.store.create_template(new).await {
            Err(error) if error.as_conflict() == Some(Conflict::Template) => {
                self.inner.store.template(name).await?
            }
            made => made?,
        };
        self.inner.shelf.put_template(template);
        Ok(())
    }

    fn has_template(&self, name: &str) -> bool {
        let kind = self.inner.shelf.kind(name);
        kind.is_some_and(|kind| kind.template.is_some())
    }

    /// Refuses a new template that nothing could be called at. One that there is stays when a configuration takes
    /// its name, and has it again when that lets it go.
    async fn may_be_called(&self, template: &str) -> Result<(), RegistryError> {
        if self.has_template(template) {
            return Ok(());
        }
        let name = server_name(template);
        let mut taken = self.inner.composition.taken([&*name]).await;
        taken.remove(&name).map_or(Ok(()), |reason| {
            let template = template.to_owned();
            Err(RegistryError::Taken { template, reason })
        })
    }

    /// Waits for what a server says when it is first asked.
    async fn first_answer(&self, instance: &Instance) {
        let kind = self.inner.shelf.kind(&instance.template_name);
        let Some(server) = kind.and_then(|kind| kind.server) else {
            return;
        };
        if !instance.spec.is_active {
            return;
        }
        let asked = async {
            // What it says of itself is in the record of the instance, and in the lists of clients.
            let _ = self.inner.gateway.refresh_backend(&server).await;
            if let Some(record) = self.inner.shelf.record(&instance.id) {
                record.known().await;
            }
        };
        let _ = tokio::time::timeout(self.inner.options.first_answer, asked).await;
    }
}

fn checked(faults: Faults) -> Result<(), RegistryError> {
    if faults.0.is_empty() {
        Ok(())
    } else {
        Err(RegistryError::Invalid(faults.0))
    }
}

/// True when somebody else's change came in between.
fn is_overtaken<T>(written: &Result<T, RegistryError>) -> bool {
    let error = written.as_ref().err();
    error.and_then(RegistryError::as_conflict) == Some(Conflict::Revision)
}

/// An id that nobody guesses and no two servers have.
fn made_id() -> Result<String, RegistryError> {
    let mut bytes = [0_u8; 8];
    getrandom::fill(&mut bytes).map_err(|_| {
        RegistryError::Store(StoreError::Unavailable {
            reason: "the system has no random numbers now".to_owned(),
            retryable: true,
        })
    })?;
    Ok(format!("srv_{:016x}", u64::from_be_bytes(bytes)))
}

//! What is shown of servers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use mcp_gw_store::{
    Instance, InstanceFilter, LoadBalancer, Page, PageRequest, ServerStatus, Strategy, Template,
};

use mcp_gw_upstream::BEFORE_LAST_WORDS;

use super::record::LogLine;
use super::state::{Kind, Known};
use super::{Registry, RegistryError};

/// One instance as it is now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ServerView {
    /// The record; its health is what this gateway knows.
    pub instance: Instance,
    /// The name of its server in the gateway, at `/mcp/<server>`; `None` while it is not in there.
    pub server: Option<Arc<str>>,
    /// Why it gets no calls though it is enabled: what is wrong with the record.
    pub fault: Option<Arc<str>>,
    /// Tool calls that went there since the gateway started.
    pub requests: u64,
    /// Requests that are there now.
    pub active: usize,
}

impl ServerView {
    /// The same for who may not read its log: what its process wrote last is not in its last error.
    #[must_use]
    pub fn without_last_words(mut self) -> Self {
        let health = &mut self.instance.health;
        health.last_error = health.last_error.take().map(|error| before_words(&error));
        self.fault = self.fault.map(|fault| before_words(&fault).into());
        self
    }
}

fn before_words(error: &str) -> String {
    let how = error.split(BEFORE_LAST_WORDS).next();
    how.unwrap_or_default().to_owned()
}

/// One template as it is now.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TemplateView {
    /// The record.
    pub template: Template,
    /// The name of its server in the gateway; `None` while it is not in there.
    pub server: Option<Arc<str>>,
    /// Its instances, in the order of their creation.
    pub instances: Vec<ServerView>,
}

impl TemplateView {
    /// How many of its instances are enabled and answer.
    pub fn healthy(&self) -> usize {
        let instances = self.instances.iter();
        instances.filter(|one| is_healthy(&one.instance)).count()
    }
}

fn is_healthy(instance: &Instance) -> bool {
    instance.spec.is_active && instance.health.status == ServerStatus::Healthy
}

/// How many there are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistrySummary {
    /// Templates.
    pub templates: usize,
    /// Instances, disabled ones as well.
    pub total: usize,
    /// Those that are enabled.
    pub active: usize,
    /// Those that are enabled and answer.
    pub healthy: usize,
    /// The others, of which nothing is known as well.
    pub unhealthy: usize,
}

/// How much one template is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct TemplateStats {
    /// Its instances.
    pub total: usize,
    /// Those that are enabled and answer.
    pub healthy: usize,
    /// How they take turns.
    pub strategy: Strategy,
}

/// The checks of health.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct HealthChecker {
    /// True unless the registry was stopped.
    pub is_running: bool,
    /// The shortest time between two checks of one instance, of all templates.
    pub interval: Duration,
    /// When an instance was last asked.
    pub last_check: Option<SystemTime>,
}

/// How much is used.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct RegistryStats {
    /// Since the registry was started.
    pub uptime: Duration,
    /// Tool calls that went to instances there are, on whatever way they came.
    pub total_requests: u64,
    /// Requests that are under way at them.
    pub active_connections: usize,
    /// Tool calls by instance.
    pub requests_per_instance: BTreeMap<String, u64>,
    /// Requests under way by instance.
    pub active_per_instance: BTreeMap<String, usize>,
    /// By name.
    pub templates: BTreeMap<String, TemplateStats>,
    /// How many there are.
    pub summary: RegistrySummary,
    /// The checks of health.
    pub health_checker: HealthChecker,
}

impl Registry {
    /// A page of the instances, in the order of their creation.
    ///
    /// # Errors
    /// When the store cannot be read, or the cursor is none.
    pub async fn servers(
        &self,
        filter: &InstanceFilter,
        page: &PageRequest,
    ) -> Result<Page<ServerView>, RegistryError> {
        let found = self.inner.store.instances(filter, page).await?;
        Ok(mapped(found, |instance| self.seen(instance)))
    }

    /// One instance.
    ///
    /// # Errors
    /// When there is none, or the store cannot be read.
    pub async fn server(&self, id: &str) -> Result<ServerView, RegistryError> {
        Ok(self.seen(self.inner.store.instance(id).await?))
    }

    /// A page of the templates with their instances, in the order that the store has them in.
    ///
    /// # Errors
    /// When the store cannot be read, or the cursor is none.
    pub async fn templates(&self, page: &PageRequest) -> Result<Page<TemplateView>, RegistryError> {
        let found = self.inner.store.templates(page).await?;
        Ok(mapped(found, |template| self.kind_seen(template)))
    }

    /// One template with its instances.
    ///
    /// # Errors
    /// When there is none, or the store cannot be read.
    pub async fn template(&self, name: &str) -> Result<TemplateView, RegistryError> {
        Ok(self.kind_seen(self.inner.store.template(name).await?))
    }

    /// The names of all templates, in order.
    pub fn template_names(&self) -> Vec<String> {
        self.inner.shelf.all().into_keys().collect()
    }

    /// The last lines of the log of an instance, the newest at the end: what its process wrote to
    /// standard error, and what became of it. At most [`LOG_LINES`](super::LOG_LINES) are kept.
    ///
    /// # Errors
    /// When there is no such instance, or the store cannot be read.
    pub async fn logs(&self, id: &str, last: usize) -> Result<Vec<LogLine>, RegistryError> {
        if let Some(record) = self.inner.shelf.record(id) {
            return Ok(record.lines(last));
        }
        self.inner.store.instance(id).await?;
        Ok(Vec::new())
    }

    /// How many there are, and how they are.
    pub fn summary(&self) -> RegistrySummary {
        let mut summary = RegistrySummary::default();
        for kind in self.inner.shelf.all().values() {
            summary.templates += 1;
            for known in &kind.instances {
                summary.add(known);
            }
        }
        summary
    }

    /// True when the store can be read and, as of the last seconds, written.
    pub async fn is_store_well(&self) -> bool {
        self.inner.store.check().await.is_ok()
    }

    /// How much is used.
    pub fn stats(&self) -> RegistryStats {
        let kinds = self.inner.shelf.all();
        let interval = |kind: &Kind| {
            let template = kind.template.as_ref();
            template.map(|it| it.load_balancer.health_check_interval)
        };
        let usual = LoadBalancer::default().health_check_interval;
        let interval = kinds.values().filter_map(interval).min().unwrap_or(usual);
        let mut stats = RegistryStats {
            uptime: self.inner.began.elapsed(),
            total_requests: 0,
            active_connections: 0,
            requests_per_instance: BTreeMap::new(),
            active_per_instance: BTreeMap::new(),
            templates: BTreeMap::new(),
            summary: RegistrySummary::default(),
            health_checker: HealthChecker {
                is_running: !self.inner.ending.is_cancelled(),
                interval: super::make::seconds(interval),
                last_check: None,
            },
        };
        for (name, kind) in kinds {
            stats.add(name, &kind);
        }
        stats
    }

    /// A record as it was read, with what this gateway knows of it.
    pub(super) fn seen(&self, instance: Instance) -> ServerView {
        let known = self.inner.shelf.known(&instance.id);
        let server = known.as_ref().and_then(|_| {
            let kind = self.inner.shelf.kind(&instance.template_name)?;
            kind.server
        });
        view(instance, known.as_ref(), server)
    }

    fn kind_seen(&self, template: Template) -> TemplateView {
        let kind = self.inner.shelf.kind(&template.name).unwrap_or_default();
        let server = kind.server;
        let instances = kind.instances.iter();
        let instances = instances.map(|known| {
            let instance = Instance::clone(&known.instance);
            view(instance, Some(known), server.clone())
        });
        TemplateView {
            instances: instances.collect(),
            server: server.clone(),
            template,
        }
    }
}

fn mapped<T, U>(page: Page<T>, each: impl FnMut(T) -> U) -> Page<U> {
    let mut mapped = Page::empty();
    mapped.items = page.items.into_iter().map(each).collect();
    mapped.next = page.next;
    mapped
}

fn view(mut instance: Instance, known: Option<&Known>, server: Option<Arc<str>>) -> ServerView {
    let fault = known.and_then(|known| known.fault.clone());
    let is_in = instance.spec.is_active && fault.is_none();
    if let Some(known) = known {
        let health = known.record.health();
        // Nothing is known of it here, but perhaps by another gateway on the same store.
        if health.status != ServerStatus::Unknown {
            instance.health = health;
        }
    }
    ServerView {
        server: server.filter(|_| is_in),
        fault: fault.filter(|_| instance.spec.is_active),
        requests: known.map_or(0, |known| known.record.requests()),
        active: known.map_or(0, |known| known.record.active()),
        instance,
    }
}

impl RegistrySummary {
    fn add(&mut self, known: &Known) {
        let is_active = known.instance.spec.is_active;
        let is_healthy = is_active && known.record.status() == ServerStatus::Healthy;
        self.total += 1;
        self.active += usize::from(is_active);
        self.healthy += usize::from(is_healthy);
        self.unhealthy += usize::from(!is_healthy);
    }
}

impl RegistryStats {
    fn add(&mut self, name: String, kind: &Kind) {
        self.summary.templates += 1;
        let mut own = RegistrySummary::default();
        for known in &kind.instances {
            own.add(known);
            self.summary.add(known);
            let (id, record) = (&known.instance.id, &known.record);
            self.total_requests += record.requests();
            self.active_connections += record.active();
            self.requests_per_instance
                .insert(id.clone(), record.requests());
            self.active_per_instance.insert(id.clone(), record.active());
            let asked = record.health().last_health_check.map(SystemTime::from);
            self.health_checker.last_check = self.health_checker.last_check.max(asked);
        }
        let template = kind.template.as_ref();
        let balancer = template.map_or_else(LoadBalancer::default, |it| it.load_balancer);
        let stats = TemplateStats {
            total: own.total,
            healthy: own.healthy,
            strategy: balancer.strategy,
        };
        self.templates.insert(name, stats);
    }
}

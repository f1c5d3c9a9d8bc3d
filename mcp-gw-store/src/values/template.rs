//! Templates, which servers are instances of.

use serde::{Deserialize, Serialize};

use super::{Edit, Revision, Time, named};

named! {
    /// How the instances of a template take turns.
    Strategy {
        /// One after the other.
        #[default]
        RoundRobin = "round_robin",
        /// Whoever has the fewest calls under way.
        LeastConnections = "least_connections",
        /// One after the other, each as often as its weight says.
        Weighted = "weighted",
        /// Whoever failed least.
        HealthBased = "health_based",
        /// Anyone.
        Random = "random",
    }
}

/// How calls are spread over the instances of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct LoadBalancer {
    /// Who is next.
    pub strategy: Strategy,
    /// Seconds between two checks of health, from 5 to 300.
    pub health_check_interval: u32,
    /// How often a call is tried again on another instance, from 1 to 10.
    pub max_retries: u32,
    /// Connections to each instance, from 1 to 20.
    pub pool_size: u32,
    /// Seconds that a call may take, from 5 to 300.
    pub timeout: u32,
}

impl Default for LoadBalancer {
    fn default() -> Self {
        Self {
            strategy: Strategy::default(),
            health_check_interval: 30,
            max_retries: 3,
            pool_size: 3,
            timeout: 60,
        }
    }
}

/// What instances have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Template {
    /// Its name.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// How calls are spread over its instances.
    pub load_balancer: LoadBalancer,
    /// How often it was changed.
    pub revision: Revision,
    /// When it was created.
    pub created_at: Time,
    /// When it was last changed.
    pub updated_at: Time,
}

/// A template to be created.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTemplate {
    /// Its name: 1 to 256 bytes, cases told apart.
    pub name: String,
    /// What it is.
    pub description: Option<String>,
    /// How calls are spread over its instances.
    pub load_balancer: LoadBalancer,
}

impl NewTemplate {
    /// A template with the usual load balancing.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            load_balancer: LoadBalancer::default(),
        }
    }

    pub(crate) fn into_template(self, now: Time) -> Template {
        Template {
            name: self.name,
            description: self.description,
            load_balancer: self.load_balancer,
            revision: Revision::FIRST,
            created_at: now,
            updated_at: now,
        }
    }
}

/// What to change of a template.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TemplateChange {
    /// Another description.
    pub description: Edit<Option<String>>,
    /// Another load balancing.
    pub load_balancer: Edit<LoadBalancer>,
}

impl TemplateChange {
    /// Changes nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn apply(self, template: &mut Template, now: Time) {
        self.description.apply(&mut template.description);
        self.load_balancer.apply(&mut template.load_balancer);
        template.revision = template.revision.next();
        template.updated_at = now;
    }
}

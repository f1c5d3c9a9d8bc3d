//! Which tools a token may use, as far as that can be learnt, and whether its organization lets anybody in.
//!
//! It only says what is listed: Konnect itself decides about each request. So what is in doubt is listed, and what was known
//! stays while nobody answers.

mod learn;
mod needs;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use mcp_gw_core::{BackendEvent, BackendListener};
use tokio::time::Instant;

use crate::http::Budget;
use crate::konnect::rights::Rights;
use crate::konnect::{Client, Organization, Region};
use crate::tools::konnect::memory::Memory;
use crate::tools::konnect::sight::learn::{Found, learn};

pub(crate) use needs::why;

/// What was learnt is asked for again after this time.
const GOOD: Duration = Duration::from_secs(300);
/// The same when not all could be asked; Konnect may want more.
const SOON: Duration = Duration::from_secs(60);
/// What was learnt counts no longer than this while nobody answers.
const OLDEST: Duration = Duration::from_secs(3600);
/// All questions together take no longer: a client waits for the list.
const LONGEST: Duration = Duration::from_secs(5);

/// What is known of a token.
pub(crate) struct Sight {
    client: Client,
    /// The region, where it is certain which one that is.
    region: Option<Region>,
    /// Whether what is listed depends on it.
    is_by_rights: bool,
    /// The switch in the configuration.
    is_enabled: bool,
    known: Mutex<Known>,
    /// One at a time asks; the others wait for what it learns.
    asking: tokio::sync::Mutex<()>,
    listener: OnceLock<Arc<dyn BackendListener>>,
    memory: Arc<Memory>,
}

#[derive(Debug)]
struct Known {
    rights: Rights,
    organization: Option<Organization>,
    /// When all of this was last learnt.
    learnt: Option<Instant>,
    /// When it was last asked for, and until when that is good enough.
    asked: Option<Instant>,
    until: Option<Instant>,
}

impl fmt::Debug for Sight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sight")
            .field("known", &*self.known())
            .finish_non_exhaustive()
    }
}

impl Sight {
    pub(crate) fn new(client: Client, region: Option<Region>, memory: Arc<Memory>) -> Self {
        Self {
            client,
            region,
            is_by_rights: true,
            is_enabled: true,
            known: Mutex::new(Known {
                rights: Rights::UNKNOWN,
                organization: None,
                learnt: None,
                asked: None,
                until: None,
            }),
            asking: tokio::sync::Mutex::default(),
            listener: OnceLock::new(),
            memory,
        }
    }

    /// Sets whether the rights of the token are asked for, and whether anybody is let in.
    pub(crate) const fn with(mut self, is_by_rights: bool, is_enabled: bool) -> Self {
        self.is_by_rights = is_by_rights;
        self.is_enabled = is_enabled;
        self
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// True when something is ever asked: what is listed may change.
    pub(crate) const fn asks(&self) -> bool {
        self.is_by_rights && self.is_enabled
    }

    /// Whether a tool is listed.
    pub(crate) fn shows(&self, tool: &str) -> bool {
        !self.asks() || needs::is_met(tool, self.known().rights)
    }

    /// How long what is listed is good; `None` when it does not change.
    pub(crate) fn good_for(&self) -> Option<Duration> {
        self.asks().then(|| match self.known().until {
            Some(until) => until.saturating_duration_since(Instant::now()),
            None => Duration::ZERO,
        })
    }

    /// Why nobody is let in: the switch of the organization. A sentence for a model; asks nobody.
    pub(crate) fn denies(&self) -> Option<String> {
        if !self.is_enabled {
            return Some(SWITCHED_OFF.to_owned());
        }
        let known = self.known();
        let state = known.organization.as_ref()?.state.as_deref()?;
        let state = ["inactive", "deleting", "deleted"]
            .into_iter()
            .find(|off| state.trim().eq_ignore_ascii_case(off))?;
        Some(format!(
            "Access is denied: the organization of the token is {state}, by what Kong Konnect says of it. Konnect was not \
             asked. The user has to see an admin of the organization, or give this server a token of another one."
        ))
    }

    pub(crate) fn watch(&self, listener: Arc<dyn BackendListener>) {
        // The gateway registers once.
        let _ = self.listener.set(listener);
    }

    /// Asks again, when it is time.
    pub(crate) async fn look(&self) {
        if !self.asks() {
            return;
        }
        let _one = self.asking.lock().await;
        let now = Instant::now();
        if self.known().until.is_some_and(|until| now < until) {
            return;
        }
        let client = self.client.within(Budget::until(now + LONGEST));
        let found = tokio::time::timeout(LONGEST, learn(&client, self.region)).await;
        self.keep(found.unwrap_or_default(), now);
    }

    fn keep(&self, found: Found, asked: Instant) {
        let mut known = self.known();
        let pause = if found.is_sure {
            GOOD
        } else {
            found.retry_after.unwrap_or(SOON).clamp(SOON, GOOD)
        };
        known.asked = Some(asked);
        known.until = Some(asked + pause);
        let is_old = known
            .learnt
            .is_none_or(|learnt| asked.saturating_duration_since(learnt) > OLDEST);
        if let Some(organization) = found.organization {
            let before = known.organization.as_ref().and_then(|org| org.id.as_ref());
            if before.is_some() && before != organization.id.as_ref() {
                // Ids of one organization mean nothing in another.
                self.memory.forget();
            }
            known.organization = Some(organization);
        } else if is_old {
            known.organization = None;
        }
        if found.is_sure {
            known.learnt = Some(asked);
        }
        if found.is_sure || is_old {
            known.rights = found.rights;
        }
    }

    /// Konnect refused somebody something: perhaps the rights have changed.
    pub(crate) fn refused(&self) {
        {
            let mut known = self.known();
            let is_new = |asked: Instant| asked.elapsed() < SOON;
            if !self.asks() || known.asked.is_none_or(is_new) {
                return;
            }
            known.until = None;
        }
        if let Some(listener) = self.listener.get() {
            listener.on_event(BackendEvent::OfferChanged);
        }
    }
}

const SWITCHED_OFF: &str = "Access is denied: whoever runs this server has switched off access to this organization of Kong \
    Konnect (`enabled: false` in its configuration). Konnect was not asked. The user has to see them.";

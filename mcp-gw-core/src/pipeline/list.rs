//! What a caller may see: lists, and the questions that the gateway itself asks on the way of a
//! request.

use std::collections::HashSet;
use std::sync::Arc;

use super::{Use, describe, questions, questions_about};
use crate::audit::{AuditScope, Outcome};
use crate::catalogue::pages::{Bits, Page, PageKey};
use crate::catalogue::{Entry, Target};
use crate::context::Incoming;
use crate::error::GatewayError;
use crate::freshness::CacheHint;
use crate::gateway::Gateway;
use crate::json::RawJson;
use crate::limit::Charge;
use crate::policy::{AccessRequest, Decision, Feature, ListPolicy, Phase};
use crate::tool::ToolSpec;

/// One page of a list, filtered for the caller.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListPage {
    /// The definitions, in the order of the catalogue.
    pub items: Arc<[RawJson]>,
    /// The same as one JSON array. Those who may see the same share it.
    pub array: RawJson,
    /// Key of the last item when there may be more: where the next page goes on.
    pub next_after: Option<Arc<str>>,
    /// What the client may be told about keeping the page.
    pub hint: CacheHint,
}

/// What a caller may know of.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Sight {
    /// The features of which there is something to see.
    pub features: HashSet<Feature>,
    /// The servers of which there is something to see.
    pub servers: HashSet<Arc<str>>,
}

impl Gateway {
    /// One page of what the caller may see of a feature: at most `limit` items that come after the
    /// item `after`.
    ///
    /// # Errors
    /// When a limit is reached, or `after` is not in the list any more.
    pub async fn list(
        &self,
        incoming: &Incoming,
        feature: Feature,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, GatewayError> {
        let method = list_method(feature);
        let mut scope = self.audit(Some(&incoming.caller), &incoming.meta, method);
        let result = self
            .list_stages(incoming, &mut scope, feature, after, limit.max(1))
            .await;
        let (outcome, error) = match &result {
            Ok(_) => (Outcome::Ok, None),
            Err(error) => (Outcome::Error(error.class()), Some(describe(error))),
        };
        scope.event.error = error;
        scope.close(outcome);
        result
    }

    async fn list_stages(
        &self,
        incoming: &Incoming,
        scope: &mut AuditScope<'_>,
        feature: Feature,
        after: Option<&str>,
        limit: usize,
    ) -> Result<ListPage, GatewayError> {
        let method = list_method(feature);
        let catalogue = self.catalogue_of(incoming);
        let _hold = self
            .admit(&Charge::new(&incoming.caller, &incoming.meta, method))
            .await?;
        let entries = catalogue.entries(feature);
        let start = match after {
            None => 0,
            // A cursor that leads from an item which the caller may not see would tell that it is
            // there.
            Some(key) => match catalogue.position(feature, key) {
                Some(at) if self.may_see(incoming, feature, key).await => at + 1,
                _ => {
                    return Err(GatewayError::InvalidParams {
                        message: "the list has changed since this cursor was given; list again \
                                  from the start"
                            .to_owned(),
                    });
                }
            },
        };
        let mut hint = catalogue.hint(feature, self.inner.clock.now());
        hint.is_public &= self.is_uniform();
        let rest = entries.get(start..).unwrap_or_default();
        let (mut all, mut visible) = (Vec::new(), 0_usize);
        for chunk in rest.chunks(limit) {
            let began = scope.now();
            let decisions = self
                .decide_list(incoming, method, feature, plain(chunk))
                .await;
            scope.policy_took(began);
            let version = decisions.first().and_then(Decision::version);
            scope.event.policy_version = scope.event.policy_version.or(version);
            let of_each = by_entry(chunk, &decisions);
            visible += of_each.filter(|(_, its)| is_any_allowed(its)).count();
            all.push(decisions);
            // One more that the caller may see is enough to know that a cursor leads somewhere.
            if visible > limit {
                break;
            }
        }
        let decided = rest.chunks(limit).zip(&all);
        let write = || page_of(decided.flat_map(|(chunk, its)| by_entry(chunk, its)), limit);
        let page = if visible < WORTH_KEEPING {
            Arc::new(write())
        } else {
            let mut allowed = Bits::default();
            allowed.extend(all.iter().flatten().map(Decision::is_allowed));
            let key = PageKey {
                feature,
                start,
                limit,
                allowed,
            };
            catalogue.pages().get(key, write)
        };
        scope.event.items = Some((entries.len(), page.items.len()));
        scope.event.response_bytes = page.bytes;
        Ok(ListPage {
            items: Arc::clone(&page.items),
            array: page.array.clone(),
            next_after: page.next_after.clone(),
            hint,
        })
    }

    /// The decisions on `entries` in a list, for [`by_entry`].
    async fn decide_list(
        &self,
        incoming: &Incoming,
        method: &str,
        feature: Feature,
        entries: impl Iterator<Item = &Entry> + Send,
    ) -> Vec<Decision> {
        let questions: Vec<_> = entries
            .flat_map(|entry| questions(incoming, method, feature, entry))
            .collect();
        self.inner.policy.decide_all(&questions).await
    }

    /// True when the item would be in the caller's list. It is neither limited nor audited: a
    /// question of the gateway itself, on the way of a request that will be.
    pub async fn may_see(&self, incoming: &Incoming, feature: Feature, name: &str) -> bool {
        let catalogue = self.catalogue_of(incoming);
        let (caller, meta) = (&*incoming.caller, &*incoming.meta);
        let method = list_method(feature);
        let Some(entry) = catalogue.find(feature, name) else {
            // What is not there takes as long as what is not to be seen.
            let request = AccessRequest {
                phase: Phase::List,
                ..AccessRequest::new(caller, meta, method, feature, name)
            };
            self.inner.policy.decide(&request).await;
            return false;
        };
        let entry = std::iter::once(entry);
        is_any_allowed(&self.decide_list(incoming, method, feature, entry).await)
    }

    /// True when it may depend on its arguments whether it is refused, and the caller would see it in a
    /// list, as this server has it. What nobody serves is asked about, too, and never seen.
    pub(super) async fn is_listed(
        &self,
        incoming: &Incoming,
        what: &Use<'_>,
        target: Option<&Target>,
    ) -> bool {
        if !matches!(what.feature, Feature::Tool | Feature::Prompt) {
            return false;
        }
        let name = target.map_or(what.name, |target| &*target.canonical);
        let method = list_method(what.feature);
        let asked =
            AccessRequest::new(&incoming.caller, &incoming.meta, method, what.feature, name);
        let asked = AccessRequest {
            phase: Phase::List,
            upstream_name: target.map_or(what.name, |target| &*target.own_name),
            server: target.map_or("", |target| &*target.server),
            tool: target.and_then(|target| target.tool.as_ref()),
            ..asked
        };
        self.inner.policy.decide(&asked).await.is_allowed() && target.is_some()
    }

    /// True when the caller may be told of updates of the resource: when it may subscribe to it now,
    /// and read it. Like [`Gateway::may_see`] it is a question of the gateway itself, neither limited
    /// nor audited.
    pub async fn may_hear_of(&self, incoming: &Incoming, uri: &str) -> bool {
        let target = self.catalogue_of(incoming).target(Feature::Resource, uri);
        let Some(target) = target else {
            return false;
        };
        for method in ["resources/subscribe", "resources/read"] {
            let what = Use {
                method,
                feature: Feature::Resource,
                name: uri,
                arguments: None,
                earlier: None,
            };
            let decision = self.decide(incoming, &what, Some(&target)).await;
            if !decision.is_allowed() {
                return false;
            }
        }
        true
    }

    /// What the caller may know of, without its items. Like [`Gateway::may_see`] it is a question of
    /// the gateway itself, neither limited nor audited.
    pub async fn sight(&self, incoming: &Incoming) -> Sight {
        let catalogue = self.catalogue_of(incoming);
        let mut sight = Sight::default();
        for feature in [
            Feature::Tool,
            Feature::Resource,
            Feature::ResourceTemplate,
            Feature::Prompt,
        ] {
            let (method, entries) = (list_method(feature), catalogue.entries(feature));
            let decisions = self
                .decide_list(incoming, method, feature, plain(entries))
                .await;
            for (entry, decisions) in by_entry(entries, &decisions) {
                if is_any_allowed(decisions) {
                    sight.features.insert(feature);
                    sight.servers.insert(Arc::clone(&entry.server));
                }
            }
        }
        sight
    }
}

impl Gateway {
    /// The policy as it is now, to ask it later whose lists have changed; `None` when it cannot be
    /// asked so.
    pub fn policy_now(&self) -> Option<Arc<dyn ListPolicy>> {
        self.inner.policy.as_of_now()
    }
}

impl dyn ListPolicy {
    /// Whether a list would show `entries` of a feature to the caller, in their order; `None` where
    /// that cannot be told. It is neither limited nor audited: no client asks.
    pub fn shows_entries(
        &self,
        incoming: &Incoming,
        feature: Feature,
        entries: &[&Entry],
    ) -> Vec<Option<bool>> {
        let method = list_method(feature);
        let questions: Vec<_> = entries
            .iter()
            .flat_map(|entry| questions(incoming, method, feature, entry))
            .collect();
        let mut shown = self.shows(&questions).into_iter();
        // What is not answered is not known; nor is what looks different to different callers.
        let agreed = |entry: &&Entry| {
            let mut answers = (0..questions_about(entry)).map(|_| shown.next().flatten());
            let first = answers.next()?;
            // All of them are taken.
            let others = answers.filter(|other| *other != first).count();
            first.filter(|_| others == 0)
        };
        entries.iter().map(agreed).collect()
    }
}

fn plain(entries: &[Arc<Entry>]) -> impl Iterator<Item = &Entry> {
    entries.iter().map(|entry| &**entry)
}

/// Each item with the decisions on it: one for each server that it may lead to. A policy that answers
/// too few questions has not allowed the rest.
fn by_entry<'a>(
    entries: &'a [Arc<Entry>],
    mut decisions: &'a [Decision],
) -> impl Iterator<Item = (&'a Entry, &'a [Decision])> {
    plain(entries).map(move |entry| {
        let count = questions_about(entry).min(decisions.len());
        let (of_entry, rest) = decisions.split_at(count);
        decisions = rest;
        (entry, of_entry)
    })
}

/// A page of so many items is worth being kept.
const WORTH_KEEPING: usize = 16;

/// The first `limit` of what may be seen.
fn page_of<'a>(decided: impl Iterator<Item = (&'a Entry, &'a [Decision])>, limit: usize) -> Page {
    let mut visible = decided.filter(|(_, decisions)| is_any_allowed(decisions));
    let (mut items, mut last) = (Vec::new(), None);
    for (entry, decisions) in visible.by_ref().take(limit) {
        last = Some(&entry.key);
        items.push(definition_for(entry, decisions));
    }
    let has_more = visible.next().is_some();
    let next_after = last.filter(|_| has_more).map(Arc::clone);
    Page::new(items, next_after)
}

fn is_any_allowed(decisions: &[Decision]) -> bool {
    decisions.iter().any(Decision::is_allowed)
}

/// The definition for who may use only some of the servers that a tool leads to.
fn definition_for(entry: &Entry, decisions: &[Decision]) -> RawJson {
    let Some(choice) = entry.tool.as_ref().and_then(ToolSpec::choice) else {
        return entry.definition.clone();
    };
    let mut may: Vec<bool> = decisions.iter().map(Decision::is_allowed).collect();
    may.resize(choice.options().len(), false);
    choice.narrowed(&entry.definition, &may)
}

pub(super) const fn list_method(feature: Feature) -> &'static str {
    match feature {
        Feature::Tool => "tools/list",
        Feature::Resource => "resources/list",
        Feature::ResourceTemplate => "resources/templates/list",
        Feature::Prompt => "prompts/list",
    }
}

//! Whose lists have changed: clients hear of a change where the list that they see is another one.

use std::collections::HashMap;
use std::sync::Arc;

use mcp_gw_core::{
    Caller, CallerKind, Catalogue, CatalogueChange, CatalogueSwap, Difference, Entry, Feature,
    Incoming, ListPolicy, RawJson, RequestMeta, Transport, jsonrpc,
};

use super::rules::{Judges, View};
use crate::authn::is_alike;
use crate::client::Client;
use crate::engine::Inner;
use crate::listen::{Listener, Topic};

/// So many snapshots that took each other's place are told apart.
const MOST_SWAPS: usize = 16;
/// So many items are asked about before others have their turn.
const STRIDE: usize = 256;
/// So many questions are asked about one piece of news. Who is not asked about is told.
const MOST_QUESTIONS: usize = 2_000_000;
/// So many callers of one id, with rights of their own each, are looked through for the same.
const MOST_ALIKE: usize = 16;

const TOPICS: [Topic; 3] = [Topic::Tools, Topic::Prompts, Topic::Resources];

/// What has happened to the lists of an endpoint.
#[derive(Debug, Default)]
pub(super) struct Swaps {
    change: CatalogueChange,
    each: Vec<CatalogueSwap>,
    /// More has happened than is told apart.
    is_blind: bool,
}

impl Swaps {
    /// Adds a change; without a swap everybody is to be told.
    pub(super) fn note(&mut self, change: CatalogueChange, swap: Option<&CatalogueSwap>) {
        self.change.tools |= change.tools;
        self.change.prompts |= change.prompts;
        self.change.resources |= change.resources;
        match swap {
            Some(swap) if self.each.len() < MOST_SWAPS => self.each.push(swap.clone()),
            _ => self.is_blind = true,
        }
    }

    const fn has(&self, topic: &Topic) -> bool {
        match topic {
            Topic::Tools => self.change.tools,
            Topic::Prompts => self.change.prompts,
            Topic::Resources => self.change.resources,
            Topic::Uri(_) | Topic::Task(_) => false,
        }
    }
}

const fn features(topic: &Topic) -> &'static [Feature] {
    match topic {
        Topic::Tools => &[Feature::Tool],
        Topic::Prompts => &[Feature::Prompt],
        Topic::Resources => &[Feature::Resource, Feature::ResourceTemplate],
        Topic::Uri(_) | Topic::Task(_) => &[],
    }
}

/// Who hears of changes.
enum Hearer {
    Client(Arc<Client>),
    Listener(Arc<Listener>),
}

impl Hearer {
    fn wants(&self, topic: &Topic) -> bool {
        match self {
            Self::Client(_) => true,
            Self::Listener(listener) => listener.wants(topic),
        }
    }
}

/// Those who see the same lists: they have the same rights at the same endpoint.
struct Group {
    asks: Incoming,
    hearers: Vec<Hearer>,
}

/// Groups by what tells most of them apart.
type Groups = HashMap<(CallerKind, Arc<str>, Arc<str>, Transport), Vec<Group>>;

/// All who hear of changes, by endpoint.
#[derive(Default)]
struct Audience(HashMap<Option<Arc<str>>, Groups>);

impl Audience {
    fn add(
        &mut self,
        endpoint: Option<&Arc<str>>,
        caller: &Arc<Caller>,
        transport: Transport,
        hearer: Hearer,
    ) {
        let groups = self.0.entry(endpoint.cloned()).or_default();
        let (id, issuer) = (Arc::clone(&caller.id), Arc::clone(&caller.issuer));
        let alike = groups
            .entry((caller.kind, id, issuer, transport))
            .or_default();
        let is_theirs = |group: &&mut Group| {
            let theirs = &group.asks.caller;
            Arc::ptr_eq(theirs, caller) || is_alike(theirs, caller)
        };
        // Whoever has others' rights without being found there is asked about alone.
        if let Some(group) = alike.iter_mut().take(MOST_ALIKE).find(is_theirs) {
            group.hearers.push(hearer);
        } else {
            let meta = RequestMeta::new("", transport).with_endpoint(endpoint.cloned());
            alike.push(Group {
                asks: Incoming::new(Arc::clone(caller), meta),
                hearers: vec![hearer],
            });
        }
    }
}

/// How a caller sees an item, by all policies that are asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Seen {
    Never,
    Always,
    /// By some and not by all, or it cannot be told.
    Sometimes,
}

/// What has happened to a list, whoever sees it.
struct FeatureNews<'a> {
    feature: Feature,
    changed: Vec<Difference<'a>>,
    /// One list for each swap.
    moved: Vec<Vec<&'a Entry>>,
    /// What there is now.
    list: &'a [Arc<Entry>],
}

/// What has happened that clients are told by one notification.
struct TopicNews<'a> {
    topic: &'static Topic,
    /// It cannot be told who sees it.
    is_blind: bool,
    features: Vec<FeatureNews<'a>>,
    message: RawJson,
}

impl<'a> TopicNews<'a> {
    /// `None` when nothing has happened.
    fn of(
        topic: &'static Topic,
        swaps: Option<&'a Swaps>,
        catalogue: &'a Catalogue,
        judges: &Judges,
    ) -> Option<Self> {
        let swaps = swaps.filter(|swaps| swaps.has(topic));
        let is_unclear = |views: &[View]| views.iter().any(Option::is_none);
        let blind_swaps = |swaps: &Swaps| swaps.is_blind || is_unclear(&judges.all);
        if swaps.is_none() && judges.fresh.is_empty() {
            return None;
        }
        let is_blind = swaps.is_some_and(blind_swaps) || is_unclear(&judges.fresh);
        let features = features(topic).iter().map(|feature| {
            let mut news = FeatureNews {
                feature: *feature,
                changed: Vec::new(),
                moved: Vec::new(),
                list: catalogue.entries(*feature),
            };
            for swap in swaps.iter().flat_map(|swaps| &swaps.each) {
                let differences = swap.before.differences(&swap.after, *feature);
                news.changed.extend(differences.changed);
                news.moved.push(differences.moved);
            }
            news
        });
        Some(Self {
            topic,
            is_blind,
            features: if is_blind {
                Vec::new()
            } else {
                features.collect()
            },
            message: jsonrpc::notification(topic.method(), &RawJson::empty_object()),
        })
    }
}

/// Asks policies what a caller sees, and gives others their turn.
struct Inquiry<'a> {
    judges: &'a Judges,
    left: usize,
}

impl Inquiry<'_> {
    /// True when the list that a caller sees is another one, or may be.
    async fn concerns(&mut self, news: &TopicNews<'_>, asks: &Incoming) -> bool {
        if news.is_blind {
            return true;
        }
        for feature in &news.features {
            let changed = self.is_changed(feature, asks).await;
            if changed != Some(false) {
                return true;
            }
        }
        false
    }

    /// Whether the caller sees another list; `None` when there were too many questions.
    async fn is_changed(&mut self, news: &FeatureNews<'_>, asks: &Incoming) -> Option<bool> {
        let judges = self.judges;
        let entries = news.changed.iter().flat_map(sides);
        let seen = self.seen(&judges.all, asks, news.feature, entries).await?;
        let mut seen = seen.into_iter();
        for difference in &news.changed {
            let mut sides = seen.by_ref().take(sides(difference).count());
            let is_told = if difference.looks_the_same() {
                let first = sides.next();
                first == Some(Seen::Sometimes) || sides.any(|side| Some(side) != first)
            } else {
                sides.any(|side| side != Seen::Never)
            };
            if is_told {
                return Some(true);
            }
        }
        for moved in &news.moved {
            let entries = moved.iter().copied();
            let seen = self.seen(&judges.all, asks, news.feature, entries).await?;
            if seen.iter().filter(|seen| **seen != Seen::Never).count() > 1 {
                return Some(true);
            }
        }
        let entries = news.list.iter().map(|entry| &**entry);
        let entries = entries.filter(|_| !judges.fresh.is_empty());
        let seen = self
            .seen(&judges.fresh, asks, news.feature, entries)
            .await?;
        Some(seen.contains(&Seen::Sometimes))
    }

    /// How the caller sees each of `entries`; `None` when there were too many questions.
    async fn seen<'e>(
        &mut self,
        views: &[View],
        asks: &Incoming,
        feature: Feature,
        entries: impl Iterator<Item = &'e Entry>,
    ) -> Option<Vec<Seen>> {
        let entries: Vec<_> = entries.collect();
        let mut seen = Vec::with_capacity(entries.len());
        for entries in entries.chunks(STRIDE) {
            let questions = entries.len() * views.len();
            self.left = self.left.checked_sub(questions)?;
            seen.extend(see(views, asks, feature, entries));
            tokio::task::yield_now().await;
        }
        Some(seen)
    }
}

/// What there was and is, as far as there was and is.
fn sides<'a>(difference: &Difference<'a>) -> impl Iterator<Item = &'a Entry> + use<'a> {
    difference.before.into_iter().chain(difference.after)
}

fn see(views: &[View], asks: &Incoming, feature: Feature, entries: &[&Entry]) -> Vec<Seen> {
    let unknown = || vec![None; entries.len()];
    let ask = |policy: &Arc<dyn ListPolicy>| policy.shows_entries(asks, feature, entries);
    let mut seen: Vec<Option<Seen>> = vec![None; entries.len()];
    for view in views {
        let shown = view.as_ref().map_or_else(unknown, ask);
        for (seen, shown) in seen.iter_mut().zip(shown) {
            let by_this = match shown {
                Some(true) => Seen::Always,
                Some(false) => Seen::Never,
                None => Seen::Sometimes,
            };
            *seen = match *seen {
                Some(before) if before != by_this => Some(Seen::Sometimes),
                _ => Some(by_this),
            };
        }
    }
    let seen = seen.into_iter();
    seen.map(|seen| seen.unwrap_or(Seen::Sometimes)).collect()
}

impl Inner {
    /// Tells those whose lists have changed, by `lists` or because of another policy.
    pub(super) async fn deliver_lists(
        &self,
        lists: &HashMap<Option<Arc<str>>, Swaps>,
        judges: &Judges,
    ) {
        let mut inquiry = Inquiry {
            judges,
            left: MOST_QUESTIONS,
        };
        let audience =
            self.audience(|endpoint| !judges.fresh.is_empty() || lists.contains_key(endpoint));
        for (endpoint, groups) in audience.0 {
            let catalogue = self.gateway.catalogue_at(endpoint.as_deref());
            let swaps = lists.get(&endpoint);
            let news = TOPICS
                .iter()
                .filter_map(|topic| TopicNews::of(topic, swaps, &catalogue, judges));
            let news: Vec<_> = news.collect();
            for group in groups.into_values().flatten() {
                for news in &news {
                    let mut hearers = group.hearers.iter();
                    if hearers.any(|hearer| hearer.wants(news.topic))
                        && inquiry.concerns(news, &group.asks).await
                    {
                        group.tell(news);
                    }
                }
            }
        }
    }

    /// Those at the endpoints that `is_meant` names.
    fn audience(&self, is_meant: impl Fn(&Option<Arc<str>>) -> bool) -> Audience {
        let mut audience = Audience::default();
        for client in self.clients.all() {
            if is_meant(&client.endpoint) {
                let endpoint = client.endpoint.clone();
                let (caller, transport) = (client.lister(), client.transport());
                let hearer = Hearer::Client(client);
                audience.add(endpoint.as_ref(), &caller, transport, hearer);
            }
        }
        for listener in self.listeners.all() {
            let asks = listener.incoming.clone();
            let endpoint = &asks.meta.endpoint;
            if is_meant(endpoint) {
                let hearer = Hearer::Listener(listener);
                let transport = asks.meta.transport;
                audience.add(endpoint.as_ref(), &asks.caller, transport, hearer);
            }
        }
        audience
    }
}

impl Group {
    fn tell(&self, news: &TopicNews<'_>) {
        for hearer in &self.hearers {
            match hearer {
                Hearer::Client(client) => {
                    client.outbox.send(news.message.clone());
                }
                Hearer::Listener(listener) => {
                    listener.tell(news.topic, &RawJson::empty_object());
                }
            }
        }
    }
}

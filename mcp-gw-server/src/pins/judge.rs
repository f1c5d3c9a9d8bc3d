//! Holds what a server offers against what is pinned of it, and says what becomes of it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mcp_gw_core::{Feature, LeftOut, Offer};

use super::diff;
use super::file::{PinsFile, ServerPins};
use super::print::{Kind, Print, Seen, Sight};
use super::store::{PinsError, Store};
use crate::config::PinMode;

pub(super) use connection::Differs;

/// What differs from what is pinned, under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Drift {
    /// It was offered differently.
    Changed(Print),
    /// It was not offered.
    New(Print),
    /// It is offered more than once, with definitions that differ.
    Twice(Box<[Print; 2]>),
    /// It is offered no more.
    Removed,
}

impl Drift {
    /// The word for it.
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Changed(_) => "changed",
            Self::New(_) => "new",
            Self::Twice(_) => "offered twice with different definitions",
            Self::Removed => "removed",
        }
    }

    /// The same for the same difference.
    fn id(&self) -> String {
        let digests = match self {
            Self::Changed(print) | Self::New(print) => print.digest.to_string(),
            Self::Twice(prints) => prints
                .iter()
                .map(|print| print.digest.to_string())
                .collect(),
            Self::Removed => String::new(),
        };
        format!("{} {digests}", self.as_str())
    }

    /// Whether it may do harm. What is gone does none.
    pub(crate) const fn counts(&self) -> bool {
        !matches!(self, Self::Removed)
    }
}

/// A kind and a name, and how they differ.
pub(crate) type Drifts = Vec<((Kind, String), Drift)>;

/// Everything in `sight` that differs from `pins`, in a fixed order.
pub(crate) fn compare(pins: &ServerPins, sight: &Sight) -> Drifts {
    let mut drifts = Drifts::new();
    for (key, seen) in &sight.0 {
        let drift = match (pins.pins.get(key), seen) {
            (_, Seen::Twice(prints)) => Drift::Twice(prints.clone()),
            (Some(pin), Seen::Once(print)) if pin.digest == print.digest => continue,
            (Some(_), Seen::Once(print)) => Drift::Changed(print.clone()),
            (None, Seen::Once(print)) => Drift::New(print.clone()),
        };
        drifts.push((key.clone(), drift));
    }
    let gone = pins.pins.keys().filter(|key| !sight.0.contains_key(*key));
    drifts.extend(gone.map(|key| (key.clone(), Drift::Removed)));
    drifts.sort_by(|(a, _), (b, _)| a.cmp(b));
    drifts
}

/// Where the pins of one gateway are, shared by the judges of its servers.
#[derive(Debug)]
pub(crate) struct Keeper {
    pub(crate) store: Store,
    /// Whether there was anything.
    is_known: AtomicBool,
}

impl Keeper {
    /// # Errors
    /// As [`Store::open`].
    pub(crate) fn open(store: Store) -> Result<Self, PinsError> {
        let is_known = store.open()?;
        Ok(Self::unread(store, is_known))
    }

    /// One that has not looked at what is kept.
    pub(crate) const fn unread(store: Store, is_known: bool) -> Self {
        Self {
            store,
            is_known: AtomicBool::new(is_known),
        }
    }
}

/// Judges the offers of one server.
#[derive(Debug)]
pub(crate) struct Judge {
    server: String,
    mode: PinMode,
    keeper: Arc<Keeper>,
    /// Held by who judges: two offers of one server are judged one after the other.
    turn: Mutex<()>,
    /// Never held while pins are read or written: calls wait for it.
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// Whether the server has ever been judged.
    is_asked: bool,
    /// Whether the last time failed.
    is_failed: bool,
    /// What it was last judged by.
    judged_by: Option<ServerPins>,
    /// What was said already.
    said: HashSet<String>,
    refused: Refused,
}

/// What calls may not reach.
#[derive(Debug, Default)]
enum Refused {
    #[default]
    Nothing,
    Names(HashSet<(Kind, String)>),
    Everything,
}

impl Judge {
    pub(crate) fn new(server: &str, mode: PinMode, keeper: Arc<Keeper>) -> Self {
        Self {
            server: server.to_owned(),
            mode,
            keeper,
            turn: Mutex::default(),
            memory: Mutex::default(),
        }
    }

    /// What of `offer` may be shown. Reads what is pinned, and pins when the server is new: not for a
    /// thread that must not block.
    ///
    /// # Errors
    /// When there are no pins that it could be held against, and the mode wants them.
    pub(crate) fn judge(&self, offer: Offer) -> Result<Offer, PinsError> {
        let sight = Sight::of(&offer);
        let _turn = self.turn();
        let pins = self.pins(&sight);
        let mut memory = self.memory();
        memory.is_asked = true;
        memory.is_failed = pins.is_err();
        let pins = match pins {
            Ok(pins) => pins,
            Err(error) if self.mode == PinMode::Warn => {
                self.say_once(&mut memory, &error);
                return Ok(offer);
            }
            Err(error) => return Err(error),
        };
        let drifts = compare(&pins, &sight);
        let (offer, refused) = self.sentence(offer, &drifts);
        memory.refused = refused;
        self.say(&mut memory, &pins, &drifts);
        memory.judged_by = Some(pins);
        Ok(offer)
    }

    /// Whether what differs is kept from clients.
    pub(super) const fn is_strict(&self) -> bool {
        matches!(self.mode, PinMode::Quarantine | PinMode::Block)
    }

    /// Whether a call may go to the server.
    pub(crate) fn refuses(&self, feature: Feature, name: &str) -> bool {
        match &self.memory().refused {
            Refused::Nothing => false,
            Refused::Everything => true,
            Refused::Names(names) => Kind::ALL
                .into_iter()
                .filter(|kind| kind.feature() == feature)
                .any(|kind| names.contains(&(kind, name.to_owned()))),
        }
    }

    /// Lets no call pass until an offer was judged.
    pub(super) fn refuse_everything(&self) {
        self.memory().refused = Refused::Everything;
    }

    /// Whether no call may go to the server.
    pub(crate) fn refuses_everything(&self) -> bool {
        matches!(self.memory().refused, Refused::Everything)
    }

    /// Whether an offer would be judged by other pins now than it was.
    pub(crate) fn is_outdated(&self, file: &PinsFile) -> bool {
        self.is_outdated_by(file.servers.get(&self.server))
    }

    /// The same, where these are what is pinned of the server.
    pub(crate) fn is_outdated_by(&self, pins: Option<&ServerPins>) -> bool {
        let memory = self.memory();
        memory.is_asked && (memory.is_failed || memory.judged_by.as_ref() != pins)
    }

    /// Whether there were no pins to judge by when an offer came.
    #[cfg(feature = "management")]
    pub(super) fn is_failed(&self) -> bool {
        self.memory().is_failed
    }

    /// What is pinned of the server; what it offers, when it is seen for the first time.
    fn pins(&self, sight: &Sight) -> Result<ServerPins, PinsError> {
        let was_known = self.memory().judged_by.is_some();
        let keeper = &self.keeper;
        let found = keeper.store.find(&self.server)?;
        if let Some(pins) = found.pins {
            keeper.is_known.store(true, Ordering::Relaxed);
            return Ok(pins);
        }
        let is_gone = !found.is_there && keeper.is_known.load(Ordering::Relaxed);
        if is_gone || was_known {
            return Err(keeper.store.gone(&self.server));
        }
        // Another gateway may be quicker: then what it saw is what counts.
        let (pins, is_first) = keeper.store.pin_first(&self.server, sight)?;
        keeper.is_known.store(true, Ordering::Relaxed);
        if is_first {
            tracing::warn!(
                target: "mcp_gw::pins",
                server = %self.server,
                pinned = pins.pins.len(),
                place = %keeper.store,
                "a server is seen for the first time: what it offers is trusted and pinned"
            );
        }
        Ok(pins)
    }

    /// What becomes of an offer that differs so.
    fn sentence(&self, mut offer: Offer, drifts: &Drifts) -> (Offer, Refused) {
        let names: HashSet<_> = drifts
            .iter()
            .filter(|(_, drift)| drift.counts())
            .map(|(key, _)| key.clone())
            .collect();
        match self.mode {
            PinMode::Quarantine if !names.is_empty() => {
                let stays = |kind, name: &str| !names.contains(&(kind, name.to_owned()));
                offer.tools.retain(|tool| stays(Kind::Tool, tool.name()));
                offer
                    .prompts
                    .retain(|prompt| stays(Kind::Prompt, prompt.key()));
                let out = drifts.iter().filter(|(_, drift)| drift.counts());
                let out = out.take(MOST_REPORTED).map(|((kind, name), drift)| {
                    let reason = format!("it is {}: see `pins diff`", drift.as_str());
                    LeftOut::new(kind.feature(), &diff::visible(name), reason)
                });
                offer.left_out.extend(out);
                (offer, Refused::Names(names))
            }
            PinMode::Block if !names.is_empty() => {
                let mut blocked = Offer::default();
                // When to ask again is not for a model to read.
                blocked.hints = offer.hints;
                blocked.remarks.push(format!(
                    "it is blocked, as {} of its tools and prompts are not as pinned: see `pins diff`",
                    names.len()
                ));
                (blocked, Refused::Everything)
            }
            _ => (offer, Refused::Nothing),
        }
    }

    /// Says each difference once, as long as it lasts.
    fn say(&self, memory: &mut Memory, pins: &ServerPins, drifts: &Drifts) {
        let mut said = HashSet::new();
        let mut untold = 0;
        let mut told = 0;
        for (key, drift) in drifts {
            let id = label(key, drift);
            if !memory.said.contains(&id) {
                if told < MOST_TOLD {
                    told += 1;
                    self.tell(key, pins, drift);
                } else {
                    untold += 1;
                }
            }
            said.insert(id);
        }
        if untold > 0 {
            tracing::warn!(
                target: "mcp_gw::pins",
                server = %self.server,
                more = untold,
                "there are more differences than are logged; `pins diff` shows all"
            );
        }
        memory.said = said;
    }

    fn tell(&self, key: &(Kind, String), pins: &ServerPins, drift: &Drift) {
        let (kind, name) = (key.0.as_str(), diff::visible(&key.1));
        if !drift.counts() {
            tracing::info!(
                target: "mcp_gw::pins",
                server = %self.server, kind, %name,
                "a server does not offer any more what is pinned"
            );
            return;
        }
        let consequence = match self.mode {
            PinMode::Quarantine => "it is left out until it is approved",
            PinMode::Block => "the whole server is left out until it is approved",
            _ => "it is offered all the same",
        };
        tracing::warn!(
            target: "mcp_gw::pins",
            server = %self.server, kind, %name,
            drift = drift.as_str(),
            diff = %diff::of(pins.pins.get(key), drift, Some(MOST_LOGGED)),
            "what a server offers is not what is pinned: {consequence}; `pins diff` shows it, \
             `pins approve` accepts it"
        );
    }

    fn say_once(&self, memory: &mut Memory, error: &PinsError) {
        if memory.said.insert(error.to_string()) {
            tracing::error!(
                target: "mcp_gw::pins",
                server = %self.server,
                error = %chain(error),
                "what a server offers is not held against its pins"
            );
        }
    }

    fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is remembered of a difference that was logged.
fn label(key: &(Kind, String), drift: &Drift) -> String {
    format!("{} {} {}", key.0.as_str(), key.1, drift.id())
}

/// An error with what caused it.
pub(crate) fn chain(error: &PinsError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

/// So many lines of a difference go to the log.
const MOST_LOGGED: usize = 60;
/// So many items are reported as left out.
const MOST_REPORTED: usize = 100;
/// So many differences of one offer go to the log.
const MOST_TOLD: usize = 20;

mod connection;
#[cfg(test)]
mod tests;

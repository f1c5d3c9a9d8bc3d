//! What a server lists on one connection, of several that it may have.

use std::collections::HashMap;

use mcp_gw_core::{Feature, Offer};

use super::{Drift, Judge, MOST_TOLD, compare, label};
use crate::config::PinMode;
use crate::pins::print::{Digest, Kind, Sight};
use crate::pins::store::PinsError;

/// What of the lists of one connection is not as pinned, and how it is there; `None` when that is never
/// to be trusted.
pub(crate) type Differs = HashMap<(Kind, String), Option<Digest>>;

impl Judge {
    /// What of an offer that was read on one connection is not as pinned, and says so. What is offered to
    /// all is judged by itself. As [`Judge::judge`], not for a thread that must not block.
    ///
    /// # Errors
    /// When there are no pins that it could be held against.
    pub(crate) fn vet(&self, offer: &Offer) -> Result<Differs, PinsError> {
        let sight = Sight::of(offer);
        let pins = self.pins(&sight)?;
        let mut drifts = compare(&pins, &sight);
        drifts.retain(|(_, drift)| drift.counts());
        let mut memory = self.memory();
        let unsaid = drifts
            .iter()
            .filter(|(key, drift)| memory.said.insert(label(key, drift)))
            .take(MOST_TOLD);
        let unsaid: Vec<_> = unsaid.collect();
        drop(memory);
        for (key, drift) in unsaid {
            self.tell(key, &pins, drift);
        }
        let differs = drifts.into_iter().map(|(key, drift)| match drift {
            Drift::Changed(print) | Drift::New(print) => (key, Some(print.digest)),
            // Whatever is approved, nobody can say which one is called.
            Drift::Twice(_) | Drift::Removed => (key, None),
        });
        Ok(differs.collect())
    }

    /// Whether a request about an item may go where the lists differed like this when they were read.
    /// What was approved since passes.
    pub(crate) fn refuses_there(&self, differs: &Differs, feature: Feature, name: &str) -> bool {
        if differs.is_empty() {
            return false;
        }
        let memory = self.memory();
        let is_pinned = |key: &(Kind, String), digest: &Option<Digest>| {
            let pin = memory.judged_by.as_ref().and_then(|by| by.pins.get(key));
            pin.zip(digest.as_ref())
                .is_some_and(|(pin, digest)| pin.digest == *digest)
        };
        match self.mode {
            PinMode::Block => !differs.iter().all(|(key, digest)| is_pinned(key, digest)),
            PinMode::Quarantine => differs.iter().any(|(key, digest)| {
                key.0.feature() == feature && key.1 == name && !is_pinned(key, digest)
            }),
            _ => false,
        }
    }
}

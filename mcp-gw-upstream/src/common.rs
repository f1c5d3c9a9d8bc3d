//! What is known of one server, whatever it is reached over.

use std::sync::Arc;

use crate::era::Known;
use crate::extras::Extras;
use crate::listen_stream::Listening;
use crate::notice::Events;
use crate::settings::Settings;
use crate::watched::Watched;

/// Outlives all connections to the server.
#[derive(Debug)]
pub(crate) struct Common {
    pub(crate) settings: Settings,
    /// Who hears of what happens outside of any call.
    pub(crate) events: Arc<Events>,
    /// What it said of itself when it was last met.
    pub(crate) known: Known,
    /// What is watched at it.
    pub(crate) watched: Arc<Watched>,
    /// What it lists for single clients beyond what it lists for all.
    pub(crate) extras: Arc<Extras>,
    /// What is wanted of the stream of news, when it is of the new revision.
    pub(crate) listening: Arc<Listening>,
}

impl Common {
    pub(crate) fn new(settings: Settings) -> Self {
        let events: Arc<Events> = Arc::default();
        Self {
            settings,
            known: Known::default(),
            watched: Arc::new(Watched::new(Arc::clone(&events))),
            extras: Arc::new(Extras::new(Arc::clone(&events))),
            listening: Arc::new(Listening::new(Arc::clone(&events))),
            events,
        }
    }
}

//! What all tools of one dashboard share: the client, and how answers are shown.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::time::SystemTime;

use mcp_gw_core::Clock;

use crate::api7::Client;
use crate::http::Budget;
use crate::tools::api7::config::Access;
use crate::tools::api7::risk::RiskConfig;
use crate::tools::desk::Desk;
pub(crate) use crate::tools::desk::unbuilt;
use crate::tools::operation::Shared;

/// What all tools of one dashboard share.
#[derive(Debug, Clone)]
pub(crate) struct Api7 {
    pub(crate) client: Client,
    pub(crate) desk: Desk,
    pub(crate) risk: RiskConfig,
    pub(crate) clock: Time,
}

impl Deref for Api7 {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

/// Where the time comes from.
#[derive(Clone)]
pub(crate) struct Time(pub(crate) Arc<dyn Clock>);

impl Time {
    pub(crate) fn wall(&self) -> SystemTime {
        self.0.wall()
    }
}

impl fmt::Debug for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Time")
    }
}

impl Shared for Api7 {
    fn scrub(&self, text: &str) -> String {
        self.desk.scrub(text)
    }

    fn unset(&self) -> Option<&str> {
        self.desk.unset.as_deref()
    }

    fn is_read_only(&self) -> bool {
        self.desk.access == Access::ReadOnly
    }

    fn within(&self, budget: Budget) -> Self {
        Self {
            client: self.client.within(budget),
            desk: self.desk.within(budget),
            ..self.clone()
        }
    }
}

impl Api7 {
    /// Where the dashboard shows something.
    pub(crate) fn console(&self, path: &str, id: &str, rest: &str) -> String {
        let mut url = format!("{}{path}/", self.client.transport().base().as_str());
        crate::http::encode(&mut url, id);
        url + rest
    }
}

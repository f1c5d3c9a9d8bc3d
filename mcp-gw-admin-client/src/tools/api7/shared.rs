//! What all tools of one dashboard share: the client, and how answers are shown.

use std::ops::Deref;

use crate::api7::Client;
use crate::tools::desk::Desk;
pub(crate) use crate::tools::desk::unbuilt;
use crate::tools::operation::Shared;

/// What all tools of one dashboard share.
#[derive(Debug)]
pub(crate) struct Api7 {
    pub(crate) client: Client,
    pub(crate) desk: Desk,
}

impl Deref for Api7 {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.desk
    }
}

impl Shared for Api7 {
    fn scrub(&self, text: &str) -> String {
        self.desk.scrub(text)
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

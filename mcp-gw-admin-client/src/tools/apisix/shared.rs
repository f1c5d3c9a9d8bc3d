//! What all tools of one APISIX share.

use std::borrow::Cow;
use std::ops::Deref;

use bytes::Bytes;
use http::{Method, Request};
use mcp_gw_core::{JsonText, ObjectWriter, RawJson, ToolError};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;

use crate::apisix::{Kind, Place};
use crate::http::{Budget, RequestError};
use crate::tools::advice::Words;
use crate::tools::answer::{Outcome, Sent};
use crate::tools::api7::Access;
use crate::tools::apisix::input::Saving;
use crate::tools::desk::{Desk, agree, aside, unbuilt};
use crate::tools::input::Writing;
use crate::tools::operation::Shared;
use crate::tools::spoken::Spoken;
use crate::tools::view::View;

pub(crate) static WORDS: Words = Words {
    api: "the Admin API",
    address: "APISIX_SERVER_HOST with APISIX_ADMIN_API_PORT and APISIX_ADMIN_API_PREFIX",
    gateway: "APISIX_SERVER_HOST with APISIX_SERVER_PORT",
    unauthorized: "The key is not accepted for this: it is wrong, or it is the key of a viewer, who may only read. The user \
        has to give this server a key that is in deployment.admin.admin_key of APISIX (APISIX_ADMIN_KEY).",
    forbidden: "This machine or this key may not do this. The user has to look at deployment.admin in the configuration of \
        APISIX: allow_admin and the role of the key.",
    not_found: "Check the id: list the resources of this type with get_resource, and take the id from there.",
    invalid: "Correct what the message names. get_plugin_schema shows how a plugin is set up; validate_resource checks a \
        whole resource.",
    secret: "key of the Admin API, which goes to the Admin API only",
    patch: "the update tools",
    less: "a smaller page_size, or search",
};

/// What all tools of one APISIX share.
#[derive(Debug)]
pub(crate) struct Apisix(pub(crate) Desk);

impl Deref for Apisix {
    type Target = Desk;

    fn deref(&self) -> &Desk {
        &self.0
    }
}

impl Shared for Apisix {
    fn scrub(&self, text: &str) -> String {
        self.0.scrub(text)
    }

    fn unset(&self) -> Option<&str> {
        self.0.unset.as_deref()
    }

    fn is_read_only(&self) -> bool {
        self.0.access == Access::ReadOnly
    }

    fn within(&self, budget: Budget) -> Self {
        Self(self.0.within(budget))
    }
}

type Built = Result<Request<Bytes>, RequestError>;

/// What came of one request.
#[derive(Debug, Serialize)]
#[serde(transparent)]
pub(crate) struct Told(pub(crate) Outcome);

impl JsonSchema for Told {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        Outcome::schema_name()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let mut schema = Outcome::json_schema(generator);
        // APISIX has no console of its own.
        if let Some(properties) = schema.get_mut("properties") {
            properties
                .as_object_mut()
                .map(|all| all.remove("console_url"));
        }
        schema
    }
}

impl Spoken for Told {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        self.0.each_text(change);
    }
}

impl Apisix {
    /// Sends a read.
    pub(crate) async fn look(&self, request: Built, view: &View) -> Result<Told, ToolError> {
        self.read(request, view).await.map(Told)
    }

    /// Reads a list and shows those of its items that `is_wanted`; `says` is why.
    pub(crate) async fn look_through(
        &self,
        request: Built,
        view: &View,
        says: &str,
        is_wanted: impl Fn(&RawJson) -> bool + Send + 'static,
    ) -> Result<Told, ToolError> {
        let request = request.map_err(unbuilt)?;
        let mut outcome = Outcome::new(Sent::line(&request));
        let answer = self.transport.send(request).await;
        let mut answer = answer.map_err(|error| self.failed(&error))?;
        let body = answer.body.clone().unwrap_or_default();
        if let Some((body, kept, all)) = aside(body.len(), move || keep(&body, is_wanted)).await?
            && kept < all
        {
            answer.body = Some(body);
            outcome.remarks.push(format!(
                "{says} {kept} of the {all} items of this page are shown; `total` and pages count the others too."
            ));
        }
        self.show(&mut outcome, answer, view, self.budget(view))
            .await?;
        Ok(Told(outcome))
    }

    /// Sends a write that makes or replaces something, after its plugins were checked.
    pub(crate) async fn save(
        &self,
        kind: Kind,
        request: Built,
        body: &RawJson,
        saving: &Saving,
    ) -> Result<Told, ToolError> {
        let request = request.map_err(unbuilt)?;
        // Consumers are named in their bodies alone.
        if request.method() == Method::PUT && kind != Kind::Consumer {
            let id = request.uri().path().rsplit('/').next();
            agree("id", &decoded(id.unwrap_or_default()), body)?;
        }
        self.may_be_sent(body)?;
        self.may_write(&saving.writing)?;
        let remarks = if saving.validate == Some(false) {
            Vec::new()
        } else {
            self.check(kind, body).await?
        };
        let is_put = request.method() == Method::PUT;
        let mut outcome = self.write(Ok(request), &saving.writing).await?.outcome;
        if is_put && outcome.status == Some(200) {
            outcome
                .remarks
                .push("One with this id was there, and has been replaced.".to_owned());
        }
        outcome.remarks.extend(remarks);
        Ok(Told(outcome))
    }

    /// Sends a write that changes parts of something, after the plugins that it changes were checked as they will be.
    pub(crate) async fn amend(
        &self,
        kind: Kind,
        id: &str,
        change: &RawJson,
        saving: &Saving,
    ) -> Result<Told, ToolError> {
        let place = Place::root();
        let request = kind.patch(&place, id, change);
        agree("id", id, change)?;
        self.may_be_sent(change)?;
        self.may_write(&saving.writing)?;
        let remarks = if saving.validate == Some(false) {
            Vec::new()
        } else {
            self.check_change(kind, id, change).await?
        };
        let mut outcome = self.write(request, &saving.writing).await?.outcome;
        outcome.remarks.extend(remarks);
        Ok(Told(outcome))
    }

    /// Sends a write that changes or removes something.
    pub(crate) async fn change(
        &self,
        request: Built,
        writing: &Writing,
    ) -> Result<Told, ToolError> {
        Ok(Told(self.write(request, writing).await?.outcome))
    }
}

/// A segment of a path as it was before it was encoded.
fn decoded(segment: &str) -> String {
    // In a query a plus would be a blank.
    let query = format!("x={}", segment.replace('+', "%2B"));
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs
        .next()
        .map(|(_, value)| value.into_owned())
        .unwrap_or_default()
}

/// The body with those of its items that `is_wanted`; how many these are, and how many there were.
fn keep(body: &RawJson, is_wanted: impl Fn(&RawJson) -> bool) -> Option<(RawJson, usize, usize)> {
    let list = body.member("list").ok()??;
    let items: Vec<JsonText<'_>> = list.decode().ok()?;
    let all = items.len();
    let kept: Vec<RawJson> = items
        .into_iter()
        .map(|item| list.slice(item))
        .filter(is_wanted)
        .collect();
    let members = body.members().ok()?;
    let writer = members
        .iter()
        .fold(ObjectWriter::default(), |writer, (name, value)| {
            if name == "list" {
                writer.array(name, &kept)
            } else {
                writer.raw_value(name, value)
            }
        });
    Some((writer.finish(), kept.len(), all))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_list_stays_as_it_is() {
        let text = r#"{"total":3,"list":[{"key":"a","n":1.50},{"key":"b"},{"key" : "a"}]}"#;
        let body = RawJson::parse(text).unwrap();
        let (body, kept, all) = keep(&body, |item| item.as_str().contains("\"a\"")).unwrap();
        assert_eq!(
            body.as_str(),
            r#"{"total":3,"list":[{"key":"a","n":1.50},{"key" : "a"}]}"#
        );
        assert_eq!((kept, all), (2, 3));
        for text in ["[]", r#"{"list":{}}"#, r#"{"value":1}"#] {
            let body = RawJson::parse(text).unwrap();
            assert!(keep(&body, |_| true).is_none(), "{text}");
        }
    }
}

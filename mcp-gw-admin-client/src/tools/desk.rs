//! What all tools of one API share: how requests are sent, and how answers are shown.

use bytes::Bytes;
use http::Request;
use mcp_gw_core::{RawJson, ToolError};

use crate::http::{Answer, Budget, Error, RequestError, Transport};
use crate::tools::advice::{self, Words};
use crate::tools::answer::{Outcome, Sent};
use crate::tools::api7::{Access, Secrets};
use crate::tools::input::Writing;
use crate::tools::redact::{Place, clean, unsendable, without_secrets};
use crate::tools::view::View;

/// Longer bodies are looked at where they hold up nobody else.
const LARGE: usize = 256 * 1024;

/// What all tools of one API share.
#[derive(Debug, Clone)]
pub(crate) struct Desk {
    /// To the API, with its credentials.
    pub(crate) transport: Transport,
    /// Without credentials: what is sent here is for the gateway and what is behind it.
    pub(crate) gateway: Option<Transport>,
    pub(crate) access: Access,
    pub(crate) secrets: Secrets,
    pub(crate) answer_bytes: usize,
    pub(crate) max_gateway_requests: usize,
    pub(crate) gateway_concurrency: usize,
    pub(crate) words: &'static Words,
    /// What the user has to set before anything can be asked.
    pub(crate) unset: Option<String>,
}

/// Does what takes as long as the body that it is done to: with a large one where it holds up nobody else.
///
/// # Errors
/// When it did not come to its end.
pub(crate) async fn aside<T: Send + 'static>(
    length: usize,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ToolError> {
    if length <= LARGE {
        return Ok(work());
    }
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|_| ToolError::failed("The answer cannot be shown."))
}

/// A request that could not be built, as a model reads it.
pub(crate) fn unbuilt(error: RequestError) -> ToolError {
    advice::failed(&error.into())
}

impl Desk {
    /// The text without credentials that must not be shown.
    pub(crate) fn scrub(&self, text: &str) -> String {
        self.transport.scrub(text)
    }

    /// The same for one call.
    pub(crate) fn within(&self, budget: Budget) -> Self {
        Self {
            transport: self.transport.within(Some(budget)),
            gateway: self.gateway.as_ref().map(|to| to.within(Some(budget))),
            ..self.clone()
        }
    }

    /// The way to the API for what comes before the point: it leaves time for that.
    pub(crate) fn first(&self) -> Transport {
        self.transport
            .within(self.transport.budget().map(Budget::half))
    }

    /// The same with other advice.
    pub(crate) fn with_words(&self, words: &'static Words) -> Self {
        Self {
            words,
            ..self.clone()
        }
    }

    /// An error of the API, as a model reads it.
    pub(crate) fn failed(&self, error: &Error) -> ToolError {
        advice::failed_as(self.words, error)
    }

    /// How long a body may be.
    pub(crate) fn budget(&self, view: &View) -> usize {
        view.max_bytes
            .and_then(|bytes| usize::try_from(bytes).ok())
            .unwrap_or(self.answer_bytes)
    }

    /// Puts an answer into `outcome`: without secrets, and no longer than `budget`.
    pub(crate) async fn show(
        &self,
        outcome: &mut Outcome,
        answer: Answer,
        view: &View,
        budget: usize,
    ) -> Result<(), ToolError> {
        outcome.status = Some(answer.status);
        let remark = answer.remark;
        outcome
            .remarks
            .extend(remark.map(|says| without_secrets(&says).into_owned()));
        if let Some(body) = answer.body {
            self.show_body(outcome, body, view, budget).await?;
        }
        Ok(())
    }

    /// Puts a body into `outcome`: without secrets, and no longer than `budget`.
    async fn show_body(
        &self,
        outcome: &mut Outcome,
        body: RawJson,
        view: &View,
        budget: usize,
    ) -> Result<(), ToolError> {
        let wanted = view.show_secrets == Some(true);
        let with_secrets = wanted && self.secrets == Secrets::OnRequest;
        let place = Place::at(&outcome.request.path);
        let view = view.clone();
        let length = body.len();
        let work = move || {
            let clean = clean(&body, &place, with_secrets);
            let shown = view.show(&clean.raw, budget);
            (clean.redacted, clean.remarks, shown)
        };
        let (count, remarks, shown) = aside(length, work).await?;
        outcome.redacted = (count > 0).then_some(count);
        outcome.remarks.extend(remarks);
        if wanted && count > 0 {
            outcome
                .remarks
                .push("This server is configured to show no secrets.".to_owned());
        }
        let shown = shown.map_err(ToolError::invalid_arguments)?;
        outcome.body = Some(shown.body);
        outcome.cut = shown.cut;
        Ok(())
    }

    /// Sends a read.
    pub(crate) async fn read(
        &self,
        request: Result<Request<Bytes>, RequestError>,
        view: &View,
    ) -> Result<Outcome, ToolError> {
        let request = request.map_err(unbuilt)?;
        let mut outcome = Outcome::new(Sent::line(&request));
        let answer = self.transport.send(request).await;
        let answer = answer.map_err(|error| self.failed(&error))?;
        if answer.body.is_none() {
            outcome.remarks.push("The answer is empty.".to_owned());
        }
        self.show(&mut outcome, answer, view, self.budget(view))
            .await?;
        Ok(outcome)
    }

    /// Refuses a write that is not allowed, before anything is looked up for it.
    pub(crate) fn may_write(&self, writing: &Writing) -> Result<(), ToolError> {
        if self.access == Access::ReadWrite || writing.dry_run == Some(true) {
            return Ok(());
        }
        Err(ToolError::failed(format!(
            "Nothing was sent. {READ_ONLY} To see the request that would be sent, call again with dry_run: true."
        )))
    }

    /// Refuses a body that would put marks in the place of what is there.
    ///
    /// # Errors
    /// When it would.
    pub(crate) fn may_be_sent(&self, body: &RawJson) -> Result<(), ToolError> {
        if let Some(says) = unsendable(body) {
            return Err(ToolError::invalid_arguments(format!(
                "{says}. Nothing was sent. Read all of it first (show_secrets for secrets, pointer and skip for what was \
                 cut), or change only other members ({})",
                self.words.patch
            )));
        }
        Ok(())
    }

    /// Sends a write, or shows what would be sent.
    pub(crate) async fn write(
        &self,
        request: Result<Request<Bytes>, RequestError>,
        writing: &Writing,
    ) -> Result<Written, ToolError> {
        let request = request.map_err(unbuilt)?;
        let mut outcome = Outcome::new(Sent::whole(&request));
        if let Some(body) = &outcome.request.body {
            self.may_be_sent(body)?;
        }
        if writing.dry_run == Some(true) {
            outcome.dry_run = true;
            let url = self.transport.base().join(request.uri());
            outcome.request.url = url.map(String::from);
            outcome
                .remarks
                .push("This request was not sent, and nothing was changed. Call again without dry_run to send it.".to_owned());
            if self.access != Access::ReadWrite {
                outcome.remarks.push(READ_ONLY.to_owned());
            }
            return Ok(Written {
                outcome,
                body: None,
            });
        }
        self.may_write(writing)?;
        let answer = self.transport.send(request).await;
        let answer = answer.map_err(|error| self.failed(&error))?;
        let body = answer.body.clone();
        let view = View {
            show_secrets: writing.show_secrets,
            ..View::default()
        };
        let status = answer.status;
        let shown = self.show(&mut outcome, answer, &view, self.answer_bytes);
        if let Err(problem) = shown.await {
            outcome
                .remarks
                .push(format!("It was done ({status}). {problem}"));
        }
        // The caller knows what it sent.
        outcome.request.body = None;
        Ok(Written { outcome, body })
    }
}

/// A member of a body; of what is no object there is none.
///
/// # Errors
/// When the body cannot be read, as it has a member twice: what is checked would not be what is sent.
pub(crate) fn member(body: &RawJson, name: &str) -> Result<Option<RawJson>, ToolError> {
    if !body.is_object() {
        return Ok(None);
    }
    body.member(name).map_err(|error| {
        ToolError::invalid_arguments(format!(
            "the body cannot be read: {}. Nothing was sent",
            error.message
        ))
    })
}

/// What is written must not have one name in its path and another in its body: it is not clear which is meant.
///
/// # Errors
/// When it has.
pub(crate) fn agree(member: &str, id: &str, body: &RawJson) -> Result<(), ToolError> {
    let Some(said) = self::member(body, member)? else {
        return Ok(());
    };
    let text = said.decode_owned::<String>();
    let text = text.unwrap_or_else(|_| said.to_string());
    if said.is_null() || text == id {
        return Ok(());
    }
    let text = crate::http::one_line(&text, 64);
    Err(ToolError::invalid_arguments(format!(
        "the body has {text:?} as its {member}, and {id:?} is to be written. Nothing was sent; leave out `{member}` of \
         the body, or make both the same"
    )))
}

const READ_ONLY: &str = "This server changes nothing until the user starts it with --allow-write.";

/// What came of a write.
pub(crate) struct Written {
    pub(crate) outcome: Outcome,
    /// The whole answer.
    body: Option<RawJson>,
}

impl Written {
    /// The id that the API gave to what was made.
    pub(crate) fn id(&self) -> Option<String> {
        let value = self.body.as_ref()?.member("value").ok()??;
        value.member("id").ok()??.decode_owned().ok()
    }
}

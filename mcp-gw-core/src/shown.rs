//! How clients see the URIs and the ids of tasks of one server, and the places where they stand: in
//! results, in what a server asks and tells while it works, and in what comes back.
//!
//! What is mapped on the way to the client is unmapped on the way back. Text, arguments and
//! `structuredContent` are somebody's own words and stay as they are.

use std::borrow::Cow;
use std::sync::Arc;

use memchr::memmem;

use crate::backend::Extras;
use crate::input::RESPONSES;
use crate::json::{JsonText, Members, RawJson};
use crate::jsonrpc::as_str;
use crate::meta_key::RELATED_TASK;
use crate::splice::Splice;
use crate::uri_map::UriMap;

/// What one server's things are called for the clients of an endpoint. By default: as the server
/// calls them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) uris: Option<UriMap>,
    pub(crate) tasks: Option<TaskMap>,
}

/// Ids of tasks of one server among several: `docs:7` for the task `7` of the server `docs`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TaskMap(Arc<str>);

impl TaskMap {
    /// The form for this server. A colon in its name is escaped, so that no two servers share one.
    pub(crate) fn of(server: &str) -> Self {
        let name = server.replace('%', "%25").replace(':', "%3A");
        Self(format!("{name}:").into())
    }

    pub(crate) fn map(&self, id: &str) -> String {
        format!("{}{id}", self.0)
    }

    /// What the server calls a task; `None` when the id is not of this form.
    pub(crate) fn unmap(&self, id: &str) -> Option<String> {
        id.strip_prefix(&*self.0).map(str::to_owned)
    }
}

/// Why a message cannot be shown: where a name may stand it says a member twice, or text that is not
/// Unicode. A reader of it may see the server's own name, which could be one of another server's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unclear;

impl Unclear {
    /// A clause whose subject is the message.
    pub(crate) const REASON: &'static str = "it names a member twice, or has text that is not Unicode, where a name of the server may stand";
}

/// A message in the words of its reader.
pub(crate) type Mapped = Result<RawJson, Unclear>;

impl Shown {
    pub(crate) const fn is_plain(&self) -> bool {
        self.uris.is_none() && self.tasks.is_none()
    }

    /// The id by which clients know a task.
    pub(crate) fn task_id(&self, id: &str) -> String {
        match &self.tasks {
            Some(tasks) => tasks.map(id),
            None => id.to_owned(),
        }
    }

    /// A `ReadResourceResult`.
    pub(crate) fn read(&self, result: &RawJson) -> Mapped {
        self.result(result, |edits, members| {
            for content in array(members.get("contents")) {
                if let Some(content) = edits.object(Some(content)) {
                    edits.uri(content.get("uri"));
                }
            }
        })
    }

    /// A `CallToolResult`, or the task that is made instead: `resultType: task` with a `taskId` of its
    /// own (2026-07-28), or the member `task` (2025-11-25).
    pub(crate) fn tool(&self, result: &RawJson) -> Mapped {
        self.result(result, |edits, members| {
            edits.blocks(members.get("content"));
            if says(members, "resultType", "task") {
                edits.task_id(members.get("taskId"));
            }
            if let Some(task) = edits.object(members.get("task")) {
                edits.task_id(task.get("taskId"));
            }
        })
    }

    /// How a task stands, with its result or its error.
    pub(crate) fn task(&self, answer: &RawJson) -> Mapped {
        self.result(answer, |edits, members| {
            edits.task_id(members.get("taskId"));
            if let Some(result) = edits.object(members.get("result")) {
                edits.blocks(result.get("content"));
                edits.meta(result.get("_meta"));
            }
            if let Some(error) = edits.object(members.get("error"))
                && let Some(data) = edits.object(error.get("data"))
            {
                edits.uri(data.get("uri"));
                edits.task_id(data.get("taskId"));
            }
        })
    }

    /// An error object about a task, whose `data` may name it, or a URI.
    pub(crate) fn task_error(&self, error: &RawJson) -> Mapped {
        self.edit(error, Way::Out, |edits, members| {
            if let Some(data) = edits.object(members.get("data")) {
                edits.uri(data.get("uri"));
                edits.task_id(data.get("taskId"));
            }
        })
    }

    /// A `GetPromptResult`.
    pub(crate) fn prompt(&self, result: &RawJson) -> Mapped {
        self.result(result, |edits, members| {
            edits.messages(members.get("messages"));
        })
    }

    /// An error object about a resource, whose `data` names its URI.
    pub(crate) fn error(&self, error: &RawJson) -> Mapped {
        self.edit(error, Way::Out, |edits, members| {
            if let Some(data) = edits.object(members.get("data")) {
                edits.uri(data.get("uri"));
            }
        })
    }

    /// `params` of what the server asks of the client while it works.
    pub(crate) fn question(&self, params: &RawJson) -> Mapped {
        self.edit(params, Way::Out, |edits, members| {
            edits.question(members);
        })
    }

    /// What the client answers to that.
    pub(crate) fn answer(&self, answer: &RawJson) -> RawJson {
        self.back(answer, |edits, members| {
            edits.answer(members);
        })
    }

    /// `params` of what the server tells the client while it works. Only an update of a resource
    /// is about a URI.
    pub(crate) fn notification(&self, method: &str, params: &RawJson) -> Mapped {
        self.edit(params, Way::Out, |edits, members| {
            edits.meta(members.get("_meta"));
            if method == "notifications/resources/updated" {
                edits.uri(members.get("uri"));
            }
        })
    }

    /// What a client sends beside the name and the arguments, for the server.
    pub(crate) fn extras(&self, extras: Extras) -> Extras {
        if self.is_plain() {
            return extras;
        }
        let Extras { meta, mut members } = extras;
        let meta = meta.map(|meta| {
            self.back(&meta, |edits, members| {
                edits.related(members);
            })
        });
        for (name, value) in &mut members {
            if name == RESPONSES {
                *value = self.back(value, |edits, responses| {
                    for (_, answer) in responses.iter() {
                        if let Some(answer) = edits.object(Some(answer)) {
                            edits.answer(&answer);
                        }
                    }
                });
            }
        }
        Extras::new(meta, members)
    }

    /// A result: what every one may have, and what `find` knows.
    fn result<'r>(
        &self,
        result: &'r RawJson,
        find: impl FnOnce(&mut Edits<'_, 'r>, &Members<'r>),
    ) -> Mapped {
        self.edit(result, Way::Out, |edits, members| {
            find(edits, members);
            edits.meta(members.get("_meta"));
            let Some(requests) = edits.object(members.get("inputRequests")) else {
                return;
            };
            for (_, request) in requests.iter() {
                let request = edits.object(Some(request));
                if let Some(params) = request.and_then(|it| edits.object(it.get("params"))) {
                    edits.question(&params);
                }
            }
        })
    }

    /// What a client says. Names that cannot be read lead to nothing of the server's, so they may stay.
    fn back<'r>(
        &self,
        source: &'r RawJson,
        find: impl FnOnce(&mut Edits<'_, 'r>, &Members<'r>),
    ) -> RawJson {
        let mapped = self.edit(source, Way::Back, find);
        mapped.unwrap_or_else(|Unclear| source.clone())
    }

    /// Most messages name neither; a search is far cheaper than taking them apart.
    fn edit<'r>(
        &self,
        source: &'r RawJson,
        way: Way,
        find: impl FnOnce(&mut Edits<'_, 'r>, &Members<'r>),
    ) -> Mapped {
        let text = source.as_bytes();
        let has = |name: &[u8]| memmem::find(text, name).is_some();
        let may = (self.uris.is_some() && has(b"\"uri"))
            || (self.tasks.is_some() && has(b"askId\""))
            // A name may be written with escapes.
            || (!self.is_plain() && has(b"\\u"));
        if !may {
            return Ok(source.clone());
        }
        if !source.is_object() {
            return Ok(source.clone());
        }
        let members = source.members().map_err(|_| Unclear)?;
        let mut edits = Edits {
            shown: self,
            way,
            splice: Splice::of(source),
            is_unclear: false,
        };
        find(&mut edits, &members);
        if edits.is_unclear {
            return Err(Unclear);
        }
        Ok(edits.splice.finish())
    }
}

/// Where a message goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// From the server to the client.
    Out,
    /// From the client to the server.
    Back,
}

/// The text of a string; of anything else there is none.
fn read(value: Option<JsonText<'_>>) -> Result<Option<Cow<'_, str>>, Unclear> {
    match value {
        Some(value) if value.get().starts_with('"') => as_str(value).map(Some).ok_or(Unclear),
        _ => Ok(None),
    }
}

fn array(value: Option<JsonText<'_>>) -> Vec<JsonText<'_>> {
    value
        .and_then(|value| serde_json::from_str(value.get()).ok())
        .unwrap_or_default()
}

fn says(members: &Members<'_>, name: &str, word: &str) -> bool {
    members.get(name).and_then(as_str).as_deref() == Some(word)
}

struct Edits<'m, 'r> {
    shown: &'m Shown,
    way: Way,
    splice: Splice<'r>,
    is_unclear: bool,
}

impl<'r> Edits<'_, 'r> {
    /// The members of an object; of anything else there are none to be changed.
    fn object(&mut self, value: Option<JsonText<'r>>) -> Option<Members<'r>> {
        let text = value?.get();
        let members = serde_json::from_str(text).ok();
        self.is_unclear |= members.is_none() && text.starts_with('{');
        members
    }

    fn uri(&mut self, value: Option<JsonText<'r>>) {
        let Some(map) = &self.shown.uris else { return };
        let way = self.way;
        let new = read(value).map(|old| {
            old.and_then(|old| match way {
                Way::Out => Some(map.map(&old)),
                Way::Back => map.unmap(&old),
            })
        });
        self.change(value, new);
    }

    fn task_id(&mut self, value: Option<JsonText<'r>>) {
        let Some(map) = &self.shown.tasks else { return };
        let way = self.way;
        let new = read(value).map(|old| {
            old.and_then(|old| match way {
                Way::Out => Some(map.map(&old)),
                Way::Back => map.unmap(&old),
            })
        });
        self.change(value, new);
    }

    fn change(&mut self, value: Option<JsonText<'r>>, new: Result<Option<String>, Unclear>) {
        match (value, new) {
            (_, Err(Unclear)) => self.is_unclear = true,
            (Some(value), Ok(Some(new))) => self.splice.replace(value, RawJson::string(&new)),
            _ => {}
        }
    }

    /// The member `_meta`, which may say to which task a message belongs.
    fn meta(&mut self, meta: Option<JsonText<'r>>) {
        if let Some(meta) = self.object(meta) {
            self.related(&meta);
        }
    }

    fn related(&mut self, meta: &Members<'r>) {
        if let Some(task) = self.object(meta.get(RELATED_TASK)) {
            self.task_id(task.get("taskId"));
        }
    }

    /// `params` of a request to the client: messages to sample from may have resources in them. The
    /// URLs of an elicitation are no resources.
    fn question(&mut self, params: &Members<'r>) {
        self.meta(params.get("_meta"));
        self.messages(params.get("messages"));
    }

    /// What a client answers. Roots are its own URIs, and the content of an elicitation is what a
    /// person wrote; only a message (client/sampling) may name resources of the server.
    fn answer(&mut self, answer: &Members<'r>) {
        self.meta(answer.get("_meta"));
        if answer.get("role").is_some() && answer.get("action").is_none() {
            self.content(answer.get("content"));
        }
    }

    fn messages(&mut self, messages: Option<JsonText<'r>>) {
        for message in array(messages) {
            if let Some(message) = self.object(Some(message)) {
                self.content(message.get("content"));
            }
        }
    }

    /// The content of a message: one block or several.
    fn content(&mut self, content: Option<JsonText<'r>>) {
        let Some(content) = content else { return };
        if content.get().starts_with('[') {
            self.blocks(Some(content));
        } else {
            self.block(content);
        }
    }

    fn blocks(&mut self, blocks: Option<JsonText<'r>>) {
        for block in array(blocks) {
            self.block(block);
        }
    }

    fn block(&mut self, block: JsonText<'r>) {
        let Some(members) = self.object(Some(block)) else {
            return;
        };
        // What a tool said, in a message that a model is to go on from.
        if says(&members, "type", "tool_result") {
            for inner in array(members.get("content")) {
                if let Some(members) = self.object(Some(inner)) {
                    self.link(&members);
                }
            }
            return;
        }
        self.link(&members);
    }

    /// A content block: only links and embedded resources have a URI.
    fn link(&mut self, block: &Members<'r>) {
        let kind = block.get("type").and_then(as_str);
        match kind.as_deref() {
            Some("resource_link") => self.uri(block.get("uri")),
            Some("resource") => {
                if let Some(resource) = self.object(block.get("resource")) {
                    self.uri(resource.get("uri"));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;

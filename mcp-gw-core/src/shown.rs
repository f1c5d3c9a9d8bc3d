//! How clients see the URIs and the ids of tasks of one server, and the places where they stand: in
//! results, in what a server asks and tells while it works, and in what comes back.
//!
//! What is mapped on the way to the client is unmapped on the way back. Text, arguments and
//! `structuredContent` are somebody's own words and stay as they are.

use std::sync::Arc;

use memchr::memmem;
use serde_json::value::RawValue;

use crate::backend::Extras;
use crate::input::RESPONSES;
use crate::json::{Members, RawJson};
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
    pub(crate) fn read(&self, result: &RawJson) -> RawJson {
        self.result(result, |edits, members| {
            for content in array(members.get("contents")) {
                if let Some(content) = object(Some(content)) {
                    edits.uri(content.get("uri"));
                }
            }
        })
    }

    /// A `CallToolResult`, or the task that is made instead: `resultType: task` with a `taskId` of its
    /// own (2026-07-28), or the member `task` (2025-11-25).
    pub(crate) fn tool(&self, result: &RawJson) -> RawJson {
        self.result(result, |edits, members| {
            edits.blocks(members.get("content"));
            if says(members, "resultType", "task") {
                edits.task_id(members.get("taskId"));
            }
            if let Some(task) = object(members.get("task")) {
                edits.task_id(task.get("taskId"));
            }
        })
    }

    /// How a task stands, with its result or its error.
    pub(crate) fn task(&self, answer: &RawJson) -> RawJson {
        self.result(answer, |edits, members| {
            edits.task_id(members.get("taskId"));
            if let Some(result) = object(members.get("result")) {
                edits.blocks(result.get("content"));
                edits.meta(result.get("_meta"));
            }
            if let Some(error) = object(members.get("error"))
                && let Some(data) = object(error.get("data"))
            {
                edits.uri(data.get("uri"));
            }
        })
    }

    /// A `GetPromptResult`.
    pub(crate) fn prompt(&self, result: &RawJson) -> RawJson {
        self.result(result, |edits, members| {
            edits.messages(members.get("messages"));
        })
    }

    /// An error object about a resource, whose `data` names its URI.
    pub(crate) fn error(&self, error: &RawJson) -> RawJson {
        self.edit(error, Way::Out, |edits, members| {
            if let Some(data) = object(members.get("data")) {
                edits.uri(data.get("uri"));
            }
        })
    }

    /// `params` of what the server asks of the client while it works.
    pub(crate) fn question(&self, params: &RawJson) -> RawJson {
        self.edit(params, Way::Out, |edits, members| {
            edits.question(members);
        })
    }

    /// What the client answers to that.
    pub(crate) fn answer(&self, answer: &RawJson) -> RawJson {
        self.edit(answer, Way::Back, |edits, members| {
            edits.answer(members);
        })
    }

    /// `params` of what the server tells the client while it works. Only an update of a resource
    /// is about a URI.
    pub(crate) fn notification(&self, method: &str, params: &RawJson) -> RawJson {
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
            self.edit(&meta, Way::Back, |edits, members| {
                edits.related(members);
            })
        });
        for (name, value) in &mut members {
            if name == RESPONSES {
                *value = self.edit(value, Way::Back, |edits, responses| {
                    for (_, answer) in responses.iter() {
                        if let Some(answer) = object(Some(answer)) {
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
    ) -> RawJson {
        self.edit(result, Way::Out, |edits, members| {
            find(edits, members);
            edits.meta(members.get("_meta"));
            let Some(requests) = object(members.get("inputRequests")) else {
                return;
            };
            for (_, request) in requests.iter() {
                let params = object(Some(request)).and_then(|it| object(it.get("params")));
                if let Some(params) = params {
                    edits.question(&params);
                }
            }
        })
    }

    /// Most messages name neither; a search is far cheaper than taking them apart.
    fn edit<'r>(
        &self,
        source: &'r RawJson,
        way: Way,
        find: impl FnOnce(&mut Edits<'_, 'r>, &Members<'r>),
    ) -> RawJson {
        let text = source.as_bytes();
        let has = |name: &[u8]| memmem::find(text, name).is_some();
        let may = (self.uris.is_some() && has(b"\"uri"))
            || (self.tasks.is_some() && has(b"askId\""))
            // A name may be written with escapes.
            || (!self.is_plain() && has(b"\\u"));
        if !may {
            return source.clone();
        }
        let Ok(members) = source.members() else {
            return source.clone();
        };
        let mut edits = Edits {
            shown: self,
            way,
            splice: Splice::of(source),
        };
        find(&mut edits, &members);
        edits.splice.finish()
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

fn object(value: Option<&RawValue>) -> Option<Members<'_>> {
    serde_json::from_str(value?.get()).ok()
}

fn array(value: Option<&RawValue>) -> Vec<&RawValue> {
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
}

impl<'r> Edits<'_, 'r> {
    fn uri(&mut self, value: Option<&'r RawValue>) {
        let Some(map) = &self.shown.uris else { return };
        let way = self.way;
        self.change(value, |uri| match way {
            Way::Out => Some(map.map(uri)),
            Way::Back => map.unmap(uri),
        });
    }

    fn task_id(&mut self, value: Option<&'r RawValue>) {
        let Some(map) = &self.shown.tasks else { return };
        let way = self.way;
        self.change(value, |id| match way {
            Way::Out => Some(map.map(id)),
            Way::Back => map.unmap(id),
        });
    }

    fn change(&mut self, value: Option<&'r RawValue>, change: impl FnOnce(&str) -> Option<String>) {
        let Some(value) = value else { return };
        if let Some(new) = as_str(value).and_then(|old| change(&old)) {
            self.splice.replace(value, RawJson::string(&new));
        }
    }

    /// The member `_meta`, which may say to which task a message belongs.
    fn meta(&mut self, meta: Option<&'r RawValue>) {
        if let Some(meta) = object(meta) {
            self.related(&meta);
        }
    }

    fn related(&mut self, meta: &Members<'r>) {
        if let Some(task) = object(meta.get(RELATED_TASK)) {
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

    fn messages(&mut self, messages: Option<&'r RawValue>) {
        for message in array(messages) {
            if let Some(message) = object(Some(message)) {
                self.content(message.get("content"));
            }
        }
    }

    /// The content of a message: one block or several.
    fn content(&mut self, content: Option<&'r RawValue>) {
        let Some(content) = content else { return };
        if content.get().starts_with('[') {
            self.blocks(Some(content));
        } else {
            self.block(content);
        }
    }

    fn blocks(&mut self, blocks: Option<&'r RawValue>) {
        for block in array(blocks) {
            self.block(block);
        }
    }

    fn block(&mut self, block: &'r RawValue) {
        let Some(members) = object(Some(block)) else {
            return;
        };
        // What a tool said, in a message that a model is to go on from.
        if says(&members, "type", "tool_result") {
            for inner in array(members.get("content")) {
                if let Some(members) = object(Some(inner)) {
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
                if let Some(resource) = object(block.get("resource")) {
                    self.uri(resource.get("uri"));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests;

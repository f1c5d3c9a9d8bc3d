//! Lists: read to their end or to a bound, and shown as far as they fit.

use std::fmt::Write as _;
use std::marker::PhantomData;

use futures_util::{Stream, TryStreamExt as _};
use mcp_gw_core::{ObjectWriter, RawJson};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::http::{Error, one_line};
use crate::konnect::Page;
use crate::konnect::text::is_unseen;
use crate::tools::advice;
use crate::tools::redact::{Place, clean};
use crate::tools::spoken::Spoken;

/// What a kind of thing is called, and what is told of it when not all can be.
pub(crate) trait Sort: Send + Sync + 'static {
    /// What one is called: `service`.
    const ONE: &'static str;
    /// What several are called: `services`.
    const MANY: &'static str;
    /// The argument that other tools want its id as.
    const ID: &'static str;
    /// The member that it is found by name by.
    const NAME: &'static str;
    /// The main members: what they are called, and what they are.
    const MEMBERS: &'static [(&'static str, &'static str)];

    /// Adds members that make it easier to go on.
    fn add(item: &RawJson, writer: ObjectWriter) -> ObjectWriter;
}

/// A thing as it is shown: what the API says of it without `null`, and the ids that other tools want.
#[derive(Debug, Serialize)]
#[serde(transparent, bound = "")]
pub(crate) struct Item<S> {
    raw: RawJson,
    #[serde(skip)]
    sort: PhantomData<fn() -> S>,
}

impl<S: Sort> JsonSchema for Item<S> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        S::ONE.into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let members = S::MEMBERS
            .iter()
            .map(|(name, says)| ((*name).to_owned(), json!({ "description": says })));
        let id = (S::ID.to_owned(), json!({ "type": "string" }));
        let properties: Map<String, Value> = members.chain([id]).collect();
        json_schema!({ "type": "object", "properties": properties })
    }
}

/// What was left out of a list.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct LeftOut {
    /// How many, at least.
    pub(crate) count: usize,
    /// What to call again with to read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

impl Spoken for LeftOut {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        self.next.iter_mut().for_each(change);
    }
}

/// What was read of a list.
pub(crate) struct Gathered {
    pub(crate) items: Vec<RawJson>,
    /// Why it is not all, in a sentence.
    pub(crate) remark: Option<String>,
    /// So many more there are, as far as that is known.
    pub(crate) more: usize,
    /// There are more than that, or may be.
    pub(crate) is_cut: bool,
}

impl Gathered {
    /// All there is.
    pub(crate) const fn of(items: Vec<RawJson>) -> Self {
        Self {
            items,
            remark: None,
            more: 0,
            is_cut: false,
        }
    }

    /// Those that are meant. Of what was not read nobody knows whether it would be.
    pub(crate) fn retain(&mut self, is_meant: impl Fn(&RawJson) -> bool) {
        self.items.retain(is_meant);
        self.more = 0;
        self.is_cut = false;
    }
}

/// Reads all pages, up to `most` items. What breaks off after the first page leaves a remark.
///
/// # Errors
/// When the first page cannot be read.
pub(crate) async fn gather(
    pages: impl Stream<Item = Result<Page<RawJson>, Error>>,
    most: usize,
) -> Result<Gathered, Error> {
    let mut pages = std::pin::pin!(pages);
    let mut all = Gathered::of(Vec::new());
    let mut is_first = true;
    let mut total = None;
    loop {
        match pages.try_next().await {
            Ok(None) => break,
            Ok(Some(page)) => {
                let told = page.total.and_then(|total| usize::try_from(total).ok());
                total = told.or(total);
                let room = most.saturating_sub(all.items.len());
                let count = page.items.len();
                all.items.extend(page.items.into_iter().take(room));
                if count > room {
                    let known = total.unwrap_or(most + count - room);
                    all.more = known.saturating_sub(all.items.len());
                    all.is_cut = total.is_none();
                    all.remark = Some(format!(
                        "Only the first {most} were read (max_items in the configuration of this server)."
                    ));
                    break;
                }
            }
            Err(error) if is_first => return Err(error),
            Err(error) => {
                let says = advice::says(&error);
                let count = all.items.len();
                all.remark = Some(format!(
                    "Reading broke off after {count}, and there may be more: {says}."
                ));
                all.more = total.map_or(0, |total| total.saturating_sub(count));
                all.is_cut = total.is_none();
                break;
            }
        }
        is_first = false;
    }
    Ok(all)
}

/// `at least `, where not all were counted.
pub(crate) const fn at_least(is_cut: bool) -> &'static str {
    if is_cut { "at least " } else { "" }
}

/// What of a list is shown.
pub(crate) struct Shown<S> {
    pub(crate) items: Vec<Item<S>>,
    /// Only the main members of each are.
    pub(crate) is_brief: bool,
    /// How many secrets are not shown.
    pub(crate) redacted: usize,
    /// Where to read on.
    pub(crate) next: Option<usize>,
}

/// Those of `items` from `skip` on that fit: whole if all of them do, else with their main members.
pub(crate) fn show<S: Sort>(items: &[RawJson], skip: usize, room: usize) -> Shown<S> {
    let rest = items.get(skip..).unwrap_or_default();
    let length: usize = rest.iter().map(RawJson::len).sum();
    let is_brief = length > room && rest.len() > 1;
    let (mut shown, mut redacted, mut taken) = (Vec::new(), 0, 0);
    for item in rest {
        let (raw, count) = presented::<S>(item, is_brief, room);
        if taken + raw.len() > room && !shown.is_empty() {
            break;
        }
        taken += raw.len();
        redacted += count;
        shown.push(Item {
            raw,
            sort: PhantomData,
        });
    }
    let end = skip + shown.len();
    Shown {
        next: (end < items.len()).then_some(end),
        items: shown,
        is_brief,
        redacted,
    }
}

/// A thing without secrets and `null`, with what [`Sort::add`] adds; how many secrets there were.
fn presented<S: Sort>(item: &RawJson, is_brief: bool, room: usize) -> (RawJson, usize) {
    let clean = clean(item, &Place::of_kong(S::MANY), false);
    let Ok(members) = clean.raw.members() else {
        // One that cannot be read by all alike.
        let text = one_line(clean.raw.as_str(), room.min(4096));
        let raw = ObjectWriter::default().string("unreadable", &text).finish();
        return (raw, clean.redacted);
    };
    let mut writer = ObjectWriter::with_capacity(clean.raw.len());
    // Nothing else than a text is an id that another tool takes.
    if let Some(id) = members.get("id").filter(|id| id.get().starts_with('"')) {
        writer = writer.raw_value(S::ID, id);
    }
    writer = S::add(&clean.raw, writer);
    for (name, value) in members.iter() {
        let is_main = || S::MEMBERS.iter().any(|(main, _)| *main == name);
        let is_again = name == "id" && is_brief;
        if value.get() == "null" || is_again || name == S::ID || (is_brief && !is_main()) {
            continue;
        }
        writer = if is_brief && value.get().len() > LONGEST {
            let length = value.get().len();
            writer.string(
                name,
                &format!("[cut: {length} bytes; get_by_id shows them]"),
            )
        } else {
            writer.raw_value(name, value)
        };
    }
    (writer.finish(), clean.redacted)
}

/// A longer value of a brief item is cut.
const LONGEST: usize = 400;

impl<S: Sort> Item<S> {
    /// The main members in one line.
    pub(crate) fn line(&self) -> String {
        let mut out = String::from("-");
        let Ok(members) = self.raw.members() else {
            return out;
        };
        let names = std::iter::once(S::ID).chain(S::MEMBERS.iter().map(|(name, _)| *name));
        for name in names.filter(|name| *name != "id") {
            let Some(value) = members.get(name) else {
                continue;
            };
            let text = in_words(&self.raw.slice(value));
            if !text.is_empty() {
                let _ = write!(out, " {name}={text}");
            }
        }
        out
    }

    /// The whole, as JSON, in which nothing is unseen.
    pub(crate) fn text(&self) -> String {
        let mut out = String::with_capacity(self.raw.len());
        for c in self.raw.as_str().chars() {
            if c.is_ascii() || !is_unseen(c) {
                out.push(c);
                continue;
            }
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
        out
    }
}

/// A value in a line: texts as they are unless they would be mistaken, lists with commas.
fn in_words(value: &RawJson) -> String {
    const LONGEST: usize = 160;
    let text = match value.to_value() {
        Ok(Value::String(text)) if is_plain(&text) => text,
        Ok(Value::Array(items)) if items.iter().all(is_plain_text) => {
            let texts: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            texts.join(",")
        }
        _ => value.to_string(),
    };
    one_line(&text, LONGEST)
}

fn is_plain_text(value: &Value) -> bool {
    value
        .as_str()
        .is_some_and(|text| is_plain(text) && !text.contains(','))
}

/// Whether a text in a line ends where it seems to.
fn is_plain(text: &str) -> bool {
    !text.contains(|c: char| c.is_whitespace() || c.is_control() || matches!(c, '"' | '='))
}

#[cfg(test)]
mod tests;

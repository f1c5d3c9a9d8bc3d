//! What is in a control plane: services, routes, consumers, consumer groups, plugins, vaults.

mod sorts;

use futures_util::TryFutureExt as _;
use mcp_gw_core::{RawJson, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::Error;
use crate::konnect::{Entities, Kind, ListParams, Uuid};
use crate::tools::desk::aside;
use crate::tools::konnect::args::{Uid, needed, unused};
use crate::tools::konnect::listing::{Gathered, Item, LeftOut, Sort, at_least, gather, show};
use crate::tools::konnect::near::nearest;
use crate::tools::konnect::shared::{Konnect, Right};
use crate::tools::konnect::source::Source;
use crate::tools::spoken::Spoken;

pub(crate) use sorts::{GetConsumer, GetConsumerGroup, GetPlugin, GetRoute, GetService, GetVault};

/// What is asked of entities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum Asked {
    /// All.
    List,
    /// The one with an id.
    GetById,
    /// Those with a name.
    GetByName,
}

impl Asked {
    const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::GetById => "get_by_id",
            Self::GetByName => "get_by_name",
        }
    }
}

/// A question about entities, whatever its arguments are called.
pub(crate) struct Question {
    pub(crate) plane: Uid,
    pub(crate) asked: Asked,
    pub(crate) id: Option<Uid>,
    pub(crate) name: Option<String>,
    /// What the argument of the name is called.
    pub(crate) name_argument: &'static str,
    pub(crate) skip: Option<u32>,
}

/// A kind of entity.
pub(crate) trait EntitySort: Sort {
    const KIND: Kind;

    /// How many are off, for those that can be: they may be why something does not work.
    fn is_off(_: &RawJson) -> bool {
        false
    }

    /// Whether it is called so.
    fn is_called(item: &RawJson, name: &str) -> bool {
        text_of(item, Self::NAME).as_deref() == Some(name)
    }

    /// Whether it is meant when nothing is called so.
    fn is_meant(_: &RawJson, _: &str) -> bool {
        false
    }
}

/// A member that is a text.
pub(crate) fn text_of(item: &RawJson, name: &str) -> Option<String> {
    item.member(name).ok()??.decode_owned().ok()
}

/// What was found.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(bound = "")]
#[schemars(bound = "")]
pub(crate) struct Found<S: Sort> {
    /// Where it is: what other tools want as `control_plane_id`.
    control_plane_id: String,
    /// How many were found, at least, also those that are not shown.
    count: usize,
    #[serde(skip)]
    is_cut: bool,
    items: Vec<Item<S>>,
    /// What is not shown: `count`; `next` says how to read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    left_out: Option<LeftOut>,
    /// When nothing has the name: names that are like it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    near_names: Vec<String>,
    /// How many secrets are not shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    redacted: Option<usize>,
    /// What else there is to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

impl<S: Sort> Spoken for Found<S> {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        self.left_out.each_text(change);
        self.remarks.iter_mut().for_each(change);
    }
}

impl<S: Sort> Found<S> {
    /// For people and models: a line for each, or the whole of the only one.
    pub(crate) fn text(&self) -> String {
        let (count, many) = (self.count, S::MANY);
        let plane = &self.control_plane_id;
        let what = if count == 1 { S::ONE } else { many };
        let least = at_least(self.is_cut);
        let mut lines = vec![format!("{least}{count} {what} in control plane {plane}")];
        match self.items.as_slice() {
            [only] => lines.push(only.text()),
            items => lines.extend(items.iter().map(Item::line)),
        }
        if let Some(LeftOut { count, next }) = &self.left_out {
            let next = next.as_deref().unwrap_or("nothing more was read");
            lines.push(format!("{least}{count} more are not shown: {next}"));
        }
        if !self.near_names.is_empty() {
            lines.push(format!("Names like it: {}", self.near_names.join(", ")));
        }
        lines.extend(self.remarks.iter().cloned());
        lines.join("\n")
    }
}

impl Konnect {
    /// Answers a question about entities.
    ///
    /// # Errors
    /// When an argument is missing, or Konnect does not answer.
    pub(crate) async fn entities<S: EntitySort>(
        &self,
        question: Question,
    ) -> Result<Found<S>, ToolError> {
        let plane = self.plane(&question.plane)?;
        let operation = question.asked.as_str();
        let (id, name) = (question.id, question.name);
        if question.asked != Asked::GetById {
            unused(id.as_ref(), S::ID, operation)?;
        }
        if question.asked != Asked::GetByName {
            unused(name.as_ref(), question.name_argument, operation)?;
        }
        let api = self.source.entities(&plane, S::KIND);
        let mut near = Vec::new();
        let found = match question.asked {
            Asked::List => self.all_of(&api).await,
            Asked::GetById => {
                let id = needed(id, S::ID, operation)?.bare(S::ID)?;
                api.get(id.as_str()).map_ok(only).await
            }
            Asked::GetByName => {
                let name = needed(name, question.name_argument, operation)?;
                let (found, names) = self
                    .by_name::<S>(&api, &name)
                    .await
                    .map_err(|error| self.not_read(S::KIND, &error))?;
                near = names;
                Ok(found)
            }
        };
        let found = found.map_err(|error| self.not_read(S::KIND, &error))?;
        let mut answer = self.present::<S>(&plane, found, question.skip).await?;
        answer.near_names = near;
        if question.asked == Asked::GetByName && answer.count == 0 {
            let asked = self.source.place();
            answer.remarks.push(format!(
                "Nothing is called so in this control plane ({asked}). Use operation list, or a name that is like it."
            ));
        }
        Ok(answer)
    }

    async fn all_of(&self, api: &Entities<RawJson>) -> Result<Gathered, Error> {
        gather(api.pages(ListParams::default()), self.max_items).await
    }

    /// Those that are called so, or names that are like it.
    async fn by_name<S: EntitySort>(
        &self,
        api: &Entities<RawJson>,
        name: &str,
    ) -> Result<(Gathered, Vec<String>), Error> {
        let quick = match &self.source {
            Source::Konnect(_) if S::KIND.has_name_filter() => {
                let params = ListParams::default().with_name(name);
                gather(api.pages(params), self.max_items).await?.items
            }
            Source::Gateway(_) if S::KIND != Kind::Plugin => match api.get(name).await {
                Ok(one) => vec![one],
                // A name that cannot be part of a path is the name of nothing here; the list shows it.
                Err(error) if error.is_not_found() || error.is_invalid() => Vec::new(),
                Err(error) => return Err(error),
            },
            _ => Vec::new(),
        };
        let quick = quick.into_iter().filter(|item| S::is_called(item, name));
        let quick: Vec<RawJson> = quick.collect();
        if !quick.is_empty() {
            return Ok((Gathered::of(quick), Vec::new()));
        }
        let mut all = self.all_of(api).await?;
        let names: Vec<String> = all
            .items
            .iter()
            .filter_map(|item| text_of(item, S::NAME))
            .collect();
        let near = nearest(name, names.iter().map(String::as_str));
        let near = near
            .into_iter()
            .map(|name| crate::http::one_line(name, 128));
        let near: Vec<String> = near.collect();
        let is_any = all.items.iter().any(|item| S::is_called(item, name));
        all.retain(|item| S::is_called(item, name) || (!is_any && S::is_meant(item, name)));
        let near = if all.items.is_empty() {
            near
        } else {
            Vec::new()
        };
        Ok((all, near))
    }

    /// Puts together what is answered, and remembers where things are.
    async fn present<S: EntitySort>(
        &self,
        plane: &Uuid,
        found: Gathered,
        skip: Option<u32>,
    ) -> Result<Found<S>, ToolError> {
        let ids = found.items.iter().filter_map(|item| text_of(item, "id"));
        self.memory
            .learn(plane, ids.filter_map(|id| id.parse().ok()));
        let skip = skip.map_or(0, |skip| usize::try_from(skip).unwrap_or(usize::MAX));
        let (count, more, is_cut) = (found.items.len(), found.more, found.is_cut);
        let off = found.items.iter().filter(|item| S::is_off(item)).count();
        let length = found.items.iter().map(RawJson::len).sum();
        let (items, room) = (found.items, self.answer_bytes);
        let shown = aside(length, move || show::<S>(&items, skip, room)).await?;
        let mut remarks: Vec<String> = found.remark.into_iter().collect();
        if shown.is_brief {
            remarks.push(format!(
                "Only the main members are shown, as all {count} do not fit; get_by_id shows all of one."
            ));
        }
        if off > 0 {
            remarks.push(format!(
                "{off} of them are disabled (`enabled` is false) and do nothing."
            ));
        }
        if skip > 0 && skip >= count {
            remarks.push(format!("There are {count}: skip less."));
        }
        let left = shown.next.map_or(0, |next| count - next) + more;
        let left = left.max(usize::from(is_cut));
        Ok(Found {
            control_plane_id: plane.to_string(),
            count: count + more,
            is_cut,
            items: shown.items,
            left_out: (left > 0).then(|| LeftOut {
                count: left,
                next: shown.next.map(|next| format!("skip: {next}")),
            }),
            near_names: Vec::new(),
            redacted: (shown.redacted > 0).then_some(shown.redacted),
            remarks,
        })
    }

    fn not_read(&self, kind: Kind, error: &Error) -> ToolError {
        let is_free = matches!(self.source, Source::Gateway(_)) && kind == Kind::ConsumerGroup;
        if is_free && error.is_not_found() {
            return ToolError::failed(
                "There are no consumer groups here: they are part of the Enterprise edition of Kong Gateway.",
            );
        }
        self.failed(error, Right::Read)
    }
}

fn only(item: RawJson) -> Gathered {
    Gathered::of(vec![item])
}

//! Control planes as they are shown.

use mcp_gw_core::{ObjectWriter, RawJson};
use schemars::JsonSchema;
use serde::Serialize;

use crate::tools::konnect::entities::text_of;
use crate::tools::konnect::listing::{Item, LeftOut, Sort, at_least};
use crate::tools::spoken::Spoken;

#[derive(Debug)]
pub(crate) struct Planes;

impl Sort for Planes {
    const ONE: &'static str = "control plane";
    const MANY: &'static str = "control planes";
    const ID: &'static str = "control_plane_id";
    const NAME: &'static str = "name";
    const MEMBERS: &'static [(&'static str, &'static str)] = &[
        ("id", "The same."),
        ("name", "The name."),
        ("cluster_type", "What it is."),
        (
            "is_group",
            "It is a group: GetControlPlaneGroup lists its members.",
        ),
        ("description", "A description."),
        ("labels", "Labels."),
        ("tags", "The labels as key:value."),
    ];

    fn add(item: &RawJson, mut writer: ObjectWriter) -> ObjectWriter {
        if let Some(kind) = cluster_type(item) {
            writer = writer
                .string("cluster_type", &kind)
                .boolean("is_group", kind == GROUP);
        }
        let labels = item.member("labels").ok().flatten();
        let labels: Vec<RawJson> = labels
            .and_then(|labels| labels.decode_owned().ok())
            .map(|labels: serde_json::Map<String, serde_json::Value>| {
                let pair = |(key, value): (&String, &serde_json::Value)| {
                    let value = value
                        .as_str()
                        .map_or_else(|| value.to_string(), str::to_owned);
                    RawJson::string(&format!("{key}:{value}"))
                };
                labels.iter().map(pair).collect()
            })
            .unwrap_or_default();
        writer.array("tags", &labels)
    }
}

const GROUP: &str = "CLUSTER_TYPE_CONTROL_PLANE_GROUP";

fn cluster_type(item: &RawJson) -> Option<String> {
    text_of(&item.member("config").ok()??, "cluster_type")
}

/// Whether a control plane is a group of others.
pub(crate) fn is_group(item: &RawJson) -> bool {
    cluster_type(item).as_deref() == Some(GROUP)
}

/// A route that answers the path.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct RouteMatch {
    pub(crate) control_plane_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) route_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) service_id: Option<String>,
    /// Its path that answers.
    pub(crate) path: String,
    /// prefix or regex.
    pub(crate) kind: &'static str,
    /// What it also asks for: method, host …
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) only_if: Vec<&'static str>,
}

/// A control plane that could not be looked into.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Unread {
    pub(crate) control_plane_id: String,
    pub(crate) name: String,
    /// Why.
    pub(crate) message: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct FoundPlanes {
    /// The region that was asked; what is in others is not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) region: Option<String>,
    /// How many were found, at least, also those that are not shown.
    pub(crate) count: usize,
    #[serde(skip)]
    pub(crate) is_cut: bool,
    pub(crate) items: Vec<Item<Planes>>,
    /// Of `get_by_route`: the routes that answer, best first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) routes: Vec<RouteMatch>,
    /// Of `get_by_route`: control planes that could not be looked into.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) unread: Vec<Unread>,
    /// What is not shown: `count`; `next` says how to read on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) left_out: Option<LeftOut>,
    /// When nothing has the name: names that are like it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) near_names: Vec<String>,
    /// What else there is to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) remarks: Vec<String>,
}

impl Spoken for FoundPlanes {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        self.left_out.each_text(change);
        self.remarks.iter_mut().for_each(change);
    }
}

impl FoundPlanes {
    pub(crate) fn text(&self) -> String {
        let what = if self.count == 1 {
            Planes::ONE
        } else {
            Planes::MANY
        };
        let place = match &self.region {
            Some(region) => format!(" in region {region}"),
            None => String::new(),
        };
        let least = at_least(self.is_cut);
        let mut lines = vec![format!("{least}{} {what}{place}", self.count)];
        match self.items.as_slice() {
            [only] => lines.push(only.text()),
            items => lines.extend(items.iter().map(Item::line)),
        }
        for route in &self.routes {
            lines.push(serde_json::to_string(route).unwrap_or_default());
        }
        for unread in &self.unread {
            let Unread {
                control_plane_id,
                name,
                message,
            } = unread;
            lines.push(format!("Not read: {name} ({control_plane_id}): {message}"));
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

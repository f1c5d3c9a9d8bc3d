//! Control planes, and the members of their groups.

mod found;

use mcp_gw_core::{RawJson, ToolError};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::konnect::{PlaneParams, Uuid};
use crate::tools::konnect::args::{Uid, needed, unused};
use crate::tools::konnect::entities::text_of;
use crate::tools::konnect::listing::{Gathered, LeftOut, gather, show};
use crate::tools::konnect::near::nearest;
use crate::tools::konnect::shared::{Konnect, Right};
use crate::tools::konnect::source::Source;
use crate::tools::operation::{Effect, Operation};

use found::Planes;
pub(crate) use found::{FoundPlanes, RouteMatch, Unread, is_group};

/// What control planes can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum AskedOfPlanes {
    /// All.
    List,
    /// The one with an id.
    GetById,
    /// Those with a name.
    GetByName,
    /// Those with routes that answer a path.
    GetByRoute,
}

impl AskedOfPlanes {
    const fn as_str(self) -> &'static str {
        match self {
            Self::List => "list",
            Self::GetById => "get_by_id",
            Self::GetByName => "get_by_name",
            Self::GetByRoute => "get_by_route",
        }
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct PlaneArgs {
    /// What is asked for.
    operation: AskedOfPlanes,
    /// For `get_by_id`: the id of the control plane.
    id: Option<Uid>,
    /// For `get_by_name`: the whole display name.
    #[schemars(length(min = 1, max = 512))]
    name: Option<String>,
    /// For `get_by_route`: the path of a request, such as /api/users.
    #[schemars(length(min = 1, max = 4096))]
    path: Option<String>,
    /// Leave out so many of a long list, to read on.
    skip: Option<u32>,
}

pub(crate) struct GetControlPlane;

impl Operation<Konnect> for GetControlPlane {
    const NAME: &'static str = "GetControlPlane";
    const TITLE: &'static str = "Find control planes";
    const DESCRIPTION: &'static str = "Finds control planes: begin here, as all other tools want a control_plane_id. \
        Operations: list, get_by_id (id), get_by_name (name), get_by_route (path: the control planes whose routes answer a \
        request for it, best first, with route_id and service_id). When nothing has the name, the result is empty and has \
        near_names.";
    const EFFECT: Effect = Effect::Reads;
    type Args = PlaneArgs;
    type Output = FoundPlanes;

    async fn run(shared: &Konnect, args: PlaneArgs) -> Result<FoundPlanes, ToolError> {
        let operation = args.operation.as_str();
        if args.operation != AskedOfPlanes::GetById {
            unused(args.id.as_ref(), "id", operation)?;
        }
        if args.operation != AskedOfPlanes::GetByName {
            unused(args.name.as_ref(), "name", operation)?;
        }
        if args.operation != AskedOfPlanes::GetByRoute {
            unused(args.path.as_ref(), "path", operation)?;
        }
        match args.operation {
            AskedOfPlanes::List => {
                let found = shared.all_planes().await?;
                let mut answer = shared.present_planes(found, args.skip);
                if answer.count == 0 {
                    answer.remarks.push(shared.nothing_here());
                }
                Ok(answer)
            }
            AskedOfPlanes::GetById => {
                let id = needed(args.id, "id", operation)?.bare("id")?;
                let item = shared.plane_by_id(&id).await?;
                Ok(shared.present_planes(Gathered::of(vec![item]), args.skip))
            }
            AskedOfPlanes::GetByName => {
                let name = needed(args.name, "name", operation)?;
                shared.planes_by_name(&name, args.skip).await
            }
            AskedOfPlanes::GetByRoute => {
                let path = needed(args.path, "path", operation)?;
                shared.planes_by_route(&path, args.skip).await
            }
        }
    }

    fn text(found: &FoundPlanes) -> Option<String> {
        Some(found.text())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub(crate) enum AskedOfGroups {
    /// All members.
    List,
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct GroupArgs {
    /// The group: a control plane with `is_group`.
    control_plane_group_id: Uid,
    /// What is asked for.
    #[expect(dead_code, reason = "there is one value, which says nothing")]
    operation: AskedOfGroups,
    /// Leave out so many of a long list, to read on.
    skip: Option<u32>,
}

pub(crate) struct GetControlPlaneGroup;

impl Operation<Konnect> for GetControlPlaneGroup {
    const NAME: &'static str = "GetControlPlaneGroup";
    const TITLE: &'static str = "List the members of a group";
    const DESCRIPTION: &'static str = "Lists the control planes that are members of a control plane group: id, name, tags. \
        The only operation is list.";
    const EFFECT: Effect = Effect::Reads;
    type Args = GroupArgs;
    type Output = FoundPlanes;

    async fn run(shared: &Konnect, args: GroupArgs) -> Result<FoundPlanes, ToolError> {
        let id = args.control_plane_group_id.bare("control_plane_group_id")?;
        let members = shared.members_of(&id).await?;
        let mut answer = shared.present_planes(members, args.skip);
        if answer.count == 0 {
            answer.remarks.push(
                "It has no members, or none that this token may read; a control plane that is no group has none either."
                    .to_owned(),
            );
        }
        Ok(answer)
    }

    fn text(found: &FoundPlanes) -> Option<String> {
        Some(found.text())
    }
}

impl Konnect {
    pub(crate) async fn all_planes(&self) -> Result<Gathered, ToolError> {
        let pages = self.source.planes(PlaneParams::default());
        gather(pages, self.max_items)
            .await
            .map_err(|error| self.failed(&error, Right::Read))
    }

    async fn plane_by_id(&self, id: &Uuid) -> Result<RawJson, ToolError> {
        let found = match &self.source {
            Source::Konnect(client) => client.control_plane(id).await,
            Source::Gateway(gateway) => {
                self.is_known(id)?;
                gateway.plane().await
            }
        };
        found.map_err(|error| self.failed(&error, Right::Read))
    }

    async fn planes_by_name(
        &self,
        name: &str,
        skip: Option<u32>,
    ) -> Result<FoundPlanes, ToolError> {
        let is_named = |item: &RawJson| text_of(item, "name").as_deref() == Some(name);
        let pages = self.source.planes(PlaneParams::default().with_name(name));
        let mut found = gather(pages, self.max_items)
            .await
            .map_err(|error| self.failed(&error, Right::Read))?;
        found.retain(is_named);
        if !found.items.is_empty() {
            return Ok(self.present_planes(found, skip));
        }
        let mut all = self.all_planes().await?;
        let names: Vec<String> = all
            .items
            .iter()
            .filter_map(|item| text_of(item, "name"))
            .collect();
        all.retain(is_named);
        let mut answer = self.present_planes(all, skip);
        if answer.items.is_empty() {
            let near = nearest(name, names.iter().map(String::as_str)).into_iter();
            answer.near_names = near.map(|name| crate::http::one_line(name, 128)).collect();
            answer.remarks.push(format!(
                "No control plane is called so. This server asks {}; use operation list, or a name that is like it.",
                self.source.place()
            ));
        }
        Ok(answer)
    }

    /// The members of a group, with their names where these can be read.
    async fn members_of(&self, group: &Uuid) -> Result<Gathered, ToolError> {
        let Source::Konnect(client) = &self.source else {
            return Err(ToolError::failed(
                "A gateway of one's own has no groups of control planes.",
            ));
        };
        let pages = client.group_members::<RawJson>(group);
        let mut members = gather(pages, self.max_items)
            .await
            .map_err(|error| self.failed(&error, Right::Read))?;
        let has_names = members
            .items
            .iter()
            .all(|item| text_of(item, "name").is_some());
        if has_names {
            return Ok(members);
        }
        // Memberships may be ids alone.
        let all = self.all_planes().await?;
        for member in &mut members.items {
            let id = text_of(member, "id");
            let known = all
                .items
                .iter()
                .find(|item| id.is_some() && text_of(item, "id") == id);
            if let Some(known) = known {
                *member = known.clone();
            }
        }
        Ok(members)
    }

    pub(crate) fn present_planes(&self, found: Gathered, skip: Option<u32>) -> FoundPlanes {
        let skip = skip.map_or(0, |skip| usize::try_from(skip).unwrap_or(usize::MAX));
        let (count, more, is_cut) = (found.items.len(), found.more, found.is_cut);
        let shown = show::<Planes>(&found.items, skip, self.answer_bytes);
        let mut remarks: Vec<String> = found.remark.into_iter().collect();
        if shown.is_brief {
            remarks.push(format!(
                "Only the main members are shown, as all {count} do not fit; get_by_id shows all of one."
            ));
        }
        let left = shown.next.map_or(0, |next| count - next) + more;
        let left = left.max(usize::from(is_cut));
        FoundPlanes {
            region: self.source.region(),
            count: count + more,
            is_cut,
            items: shown.items,
            routes: Vec::new(),
            unread: Vec::new(),
            left_out: (left > 0).then(|| LeftOut {
                count: left,
                next: shown.next.map(|next| format!("skip: {next}")),
            }),
            near_names: Vec::new(),
            remarks,
        }
    }

    /// What is said of an empty list.
    pub(crate) fn nothing_here(&self) -> String {
        format!(
            "Nothing is there, or nothing that this token may read. This server asks {}: what is in another region is not \
             seen, so ask the user which region it is in.",
            self.source.place()
        )
    }
}

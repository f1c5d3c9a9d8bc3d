//! Finding the control plane of an id that came without it.

use futures_util::stream::{self, StreamExt as _};
use mcp_gw_core::ToolError;

use crate::http::Error;
use crate::konnect::ids::ScopedId;
use crate::konnect::{Kind, Uuid};
use crate::tools::konnect::args::Uid;
use crate::tools::konnect::entities::text_of;
use crate::tools::konnect::planes::is_group;
use crate::tools::konnect::shared::{Konnect, Right};

/// So many control planes are asked at the same time.
const AT_ONCE: usize = 4;

/// So many questions are asked for one call: each id may cost one for each control plane.
const MOST: usize = 400;

impl Konnect {
    /// The ids with their control planes: as they came, as earlier results say, or as it is found out now.
    ///
    /// # Errors
    /// When one is no id, or in no control plane that can be read.
    pub(crate) async fn located(
        &self,
        ids: &[Uid],
        what: &str,
        kind: Kind,
    ) -> Result<Vec<ScopedId>, ToolError> {
        let mut planes: Option<Vec<Uuid>> = None;
        let mut all = Vec::with_capacity(ids.len());
        let mut asked = 0;
        for id in ids {
            let scoped = id.scoped(what)?;
            if scoped.control_plane_id.is_some() {
                all.push(scoped);
                continue;
            }
            let bare = id.bare(what)?;
            let known = self.memory.plane_of(&bare);
            let plane = if let Some(plane) = known {
                plane
            } else {
                let planes = match &mut planes {
                    Some(planes) => planes,
                    none => none.insert(self.planes_to_ask().await?),
                };
                asked += planes.len();
                if asked > MOST {
                    return Err(ToolError::failed(format!(
                        "The control planes of these ids are not known, and there are too many to be asked for each. Give \
                         `{what}` as <control_plane_id>:<id>."
                    )));
                }
                self.plane_with(&bare, what, kind, planes).await?
            };
            self.memory.learn(&plane, [bare]);
            let scoped = scoped.within(plane.as_str());
            all.push(scoped.map_err(|error| ToolError::failed(error.to_string()))?);
        }
        Ok(all)
    }

    /// All control planes, groups last: what they show is in one of the others.
    async fn planes_to_ask(&self) -> Result<Vec<Uuid>, ToolError> {
        let found = self.all_planes().await?;
        let (groups, others): (Vec<_>, Vec<_>) =
            found.items.iter().partition(|plane| is_group(plane));
        let all = others.into_iter().chain(groups);
        let ids = all.filter_map(|plane| text_of(plane, "id")?.parse().ok());
        Ok(ids.collect())
    }

    async fn plane_with(
        &self,
        id: &Uuid,
        what: &str,
        kind: Kind,
        planes: &[Uuid],
    ) -> Result<Uuid, ToolError> {
        let planes: Vec<Uuid> = planes.to_vec();
        let count = planes.len();
        let mut coming = stream::iter(planes)
            .map(|plane| async move {
                let found = self.source.entities(&plane, kind).get(id.as_str()).await;
                (plane, found)
            })
            .buffered(AT_ONCE);
        let mut failure: Option<Error> = None;
        while let Some((plane, found)) = coming.next().await {
            match found {
                Ok(_) => return Ok(plane),
                Err(error) if error.is_not_found() => {}
                // What does not hold such things refuses the question.
                Err(error) if error.is_invalid() => {}
                Err(error) => {
                    failure.get_or_insert(error);
                }
            }
        }
        let mut text = format!(
            "None of the {count} control planes that could be asked has {id} (`{what}`). This server asks {}.",
            self.source.place()
        );
        if let Some(error) = failure {
            text.push_str(" One did not answer: ");
            text.push_str(&self.says(&error, Right::Read));
        }
        Err(ToolError::failed(text))
    }
}

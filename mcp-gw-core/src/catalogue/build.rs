//! How the main snapshot is built: each backend's items under names that are its alone.

use std::sync::Arc;
use std::time::Instant;

use super::{Age, Catalogue, Entry, FEATURES, Share, Table};
use crate::backend::{ItemSpec, Offer};
use crate::json::RawJson;
use crate::mount::{LeftOut, MountPoint, Naming};
use crate::policy::Feature;
use crate::tool::{ToolSpec, check_name};
use crate::uri_template::UriTemplate;
use crate::wording::Wording;

/// Some clients take no longer names.
const LONG_NAME: usize = 64;
/// So many items that were left out are written down for one backend.
const MOST_REPORTED: usize = 100;

/// One backend's part in a snapshot.
pub(crate) struct Part<'a> {
    pub(crate) point: &'a Arc<MountPoint>,
    pub(crate) is_static: bool,
    pub(crate) offer: Option<&'a Arc<Offer>>,
    pub(crate) asked_at: Option<Instant>,
}

/// What people should know of how one backend's items were taken in.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) left_out: Vec<LeftOut>,
    /// Names that are longer than all clients take.
    pub(crate) long: Vec<Arc<str>>,
}

impl Report {
    fn leave_out(&mut self, feature: Feature, name: &str, reason: impl Into<String>) {
        if self.left_out.len() < MOST_REPORTED {
            self.left_out.push(LeftOut::new(feature, name, reason));
        }
    }
}

impl Catalogue {
    /// Builds the main snapshot. What collides or cannot be named is left out and reported; the rest
    /// stays. There is one report for each part. What is as it was in `before` is taken from there: of
    /// thousands of servers one says something new at a time.
    pub(crate) fn build(version: u64, parts: &[Part<'_>], before: &Self) -> (Self, Vec<Report>) {
        let shares = parts.iter().map(|part| share(part, before));
        let mut builder = Builder {
            before,
            catalogue: Self {
                version,
                tools: Table::like(&before.tools),
                resources: Table::like(&before.resources),
                resource_templates: Table::like(&before.resource_templates),
                prompts: Table::like(&before.prompts),
                ..Self::default()
            },
            names: Claims::new(parts, |point| vec![point.space()]),
            uris: Claims::new(parts, |point| match &point.shown.uris {
                Some(uris) => uris.marks().to_vec(),
                None => Vec::new(),
            }),
        };
        let (shares, reports): (Vec<_>, _) = parts
            .iter()
            .zip(shares)
            .map(|(part, share)| builder.add(part, share))
            .unzip();
        let mut catalogue = builder.catalogue;
        catalogue.shares = shares.into_iter().collect();
        catalogue.reword(None);
        (catalogue, reports)
    }
}

fn share(part: &Part<'_>, before: &Catalogue) -> Share {
    let offer = part.offer;
    let is_same = |old: &&Share| {
        let is_same_offer = match (&old.offer, offer) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (old, new) => old.is_none() && new.is_none(),
        };
        is_same_offer
            && Arc::ptr_eq(&old.point, part.point)
            && (old.is_static, old.asked_at) == (part.is_static, part.asked_at)
    };
    let old = before.shares.of(&part.point.server).filter(is_same);
    if let Some(old) = old {
        return Share {
            counts: true,
            age: Age::AsBefore,
            ..old.clone()
        };
    }
    let instructions = offer.and_then(|offer| offer.instructions.as_deref());
    let capabilities = offer.and_then(|offer| offer.capabilities.clone());
    let logs = capabilities
        .as_ref()
        .is_some_and(|all| all.member("logging").is_ok_and(|found| found.is_some()));
    Share {
        point: Arc::clone(part.point),
        offer: offer.cloned(),
        items: 0,
        age: Age::New,
        counts: true,
        is_static: part.is_static,
        asked_at: part.asked_at,
        hints: offer.map(|offer| offer.hints).unwrap_or_default(),
        instructions: instructions.map(Arc::from),
        absent: offer
            .filter(|offer| offer.texts_follow_names)
            .map(|offer| offer.absent.clone()),
        wording: Wording::default(),
        logs,
        capabilities,
    }
}

struct Builder<'a> {
    before: &'a Catalogue,
    catalogue: Catalogue,
    names: Claims<'a>,
    uris: Claims<'a>,
}

/// One part on its way into the catalogue.
struct Adding<'a> {
    point: &'a Arc<MountPoint>,
    report: &'a mut Report,
    /// It is made of what it was made of before: what was made then may be taken.
    may_take: bool,
    taken: usize,
    added: usize,
}

/// What is kept for whom: texts in order, none of which begins another one.
struct Claims<'a>(Vec<(&'a str, &'a Arc<MountPoint>)>);

impl<'a> Claims<'a> {
    fn new(parts: &[Part<'a>], of: impl Fn(&'a MountPoint) -> Vec<&'a str>) -> Self {
        let all = parts.iter().flat_map(|part| {
            let texts = of(part.point).into_iter();
            texts.map(|text| (text, part.point))
        });
        let mut all: Vec<_> = all.filter(|(text, _)| !text.is_empty()).collect();
        all.sort_unstable_by_key(|(text, _)| *text);
        Self(all)
    }

    /// Who has the text that `key` begins with.
    fn owner(&self, key: &str) -> Option<&'a Arc<MountPoint>> {
        let behind = self.0.partition_point(|(text, _)| *text <= key);
        let (text, point) = self.0.get(behind.checked_sub(1)?)?;
        key.starts_with(text).then_some(*point)
    }
}

impl Builder<'_> {
    /// Adds the items of a part. Its share says on the way in whether it is made of what it was made of before,
    /// and on the way out whether it is the same.
    fn add(&mut self, part: &Part<'_>, mut share: Share) -> (Share, Report) {
        let mut report = Report::default();
        let Some(offer) = part.offer else {
            return (share, report);
        };
        // Texts that follow names are other ones where names of other items are.
        if offer.texts_follow_names {
            share.age = Age::New;
        }
        let mut adding = Adding {
            point: part.point,
            report: &mut report,
            may_take: share.age == Age::AsBefore,
            taken: 0,
            added: 0,
        };
        for tool in &offer.tools {
            self.add_one(&mut adding, Feature::Tool, tool.name(), |key| {
                shown_tool(part.point, tool, key)
            });
        }
        for feature in FEATURES {
            let items = match feature {
                Feature::Tool => continue,
                Feature::Resource => &offer.resources,
                Feature::ResourceTemplate => &offer.resource_templates,
                Feature::Prompt => &offer.prompts,
            };
            for item in items {
                self.add_one(&mut adding, feature, item.key(), |key| {
                    shown_item(part.point, feature, item, key)
                });
            }
        }
        let (taken, added) = (adding.taken, adding.added);
        if taken != added || added != share.items {
            (share.age, share.items) = (Age::New, added);
        }
        (share, report)
    }

    fn add_one(
        &mut self,
        adding: &mut Adding<'_>,
        feature: Feature,
        own: &str,
        make: impl FnOnce(&str) -> Result<Entry, String>,
    ) {
        let (point, report) = (adding.point, &mut *adding.report);
        let is_name = matches!(feature, Feature::Tool | Feature::Prompt);
        let key = match self.key(point, feature, own) {
            Ok(key) => key,
            Err(reason) => return report.leave_out(feature, own, reason),
        };
        let old = adding.may_take.then(|| self.before.table(feature));
        let old = old.and_then(|table| table.shared(&key));
        let old = old.filter(|old| Arc::ptr_eq(&old.point, point) && *old.upstream_key == *own);
        let entry = if let Some(old) = old {
            adding.taken += 1;
            Arc::clone(old)
        } else {
            let checked = if is_name { check_name(&key) } else { Ok(()) };
            let checked = checked.map_err(|error| error.to_string());
            match checked.and_then(|()| make(&key)) {
                Ok(entry) => Arc::new(entry),
                Err(reason) => return report.leave_out(feature, own, reason),
            }
        };
        if is_name && key.len() > LONG_NAME && report.long.len() < MOST_REPORTED {
            report.long.push(Arc::clone(&entry.key));
        }
        adding.added += 1;
        self.catalogue.table_mut(feature).push(entry);
    }

    /// What clients shall call an item; otherwise why it cannot be shown.
    fn key(&self, point: &Arc<MountPoint>, feature: Feature, own: &str) -> Result<String, String> {
        let candidates = match (feature, &point.shown.uris, point.naming) {
            (Feature::Resource | Feature::ResourceTemplate, Some(uris), _) => {
                [Some(uris.map(own)), None]
            }
            (Feature::Resource | Feature::ResourceTemplate, None, _) | (_, _, Naming::Never) => {
                [Some(own.to_owned()), None]
            }
            (_, _, Naming::OnCollision) => [Some(own.to_owned()), Some(point.prefixed(own))],
            (_, _, Naming::Always) => [Some(point.prefixed(own)), None],
        };
        let mut refusal = Taken::BySelf;
        for key in candidates.into_iter().flatten() {
            match self.free(point, feature, key) {
                Ok(key) => return Ok(key),
                Err(why) => refusal = why,
            }
            if matches!(refusal, Taken::BySelf) {
                break;
            }
        }
        let kind = feature.as_str();
        Err(match refusal {
            Taken::BySelf => format!("the server has a {kind} of this name already"),
            Taken::By(server) => format!("server `{server}` has a {kind} of this name already"),
            Taken::Claimed(server) => format!("it is named like a {kind} of server `{server}`"),
        })
    }

    /// The key, if nobody has it and nobody else may have it.
    fn free(
        &self,
        point: &Arc<MountPoint>,
        feature: Feature,
        key: String,
    ) -> Result<String, Taken> {
        if let Some(entry) = self.catalogue.table(feature).find(&key) {
            return Err(if Arc::ptr_eq(&entry.point, point) {
                Taken::BySelf
            } else {
                Taken::By(Arc::clone(&entry.server))
            });
        }
        // A rule for `docs__*` must not meet a tool that another server calls `docs__delete`.
        let claims = match feature {
            Feature::Tool | Feature::Prompt => &self.names,
            Feature::Resource | Feature::ResourceTemplate => &self.uris,
        };
        let claimed = claims.owner(&key);
        let claimed = claimed.filter(|other| !Arc::ptr_eq(other, point));
        match claimed {
            Some(other) => Err(Taken::Claimed(Arc::clone(&other.server))),
            None => Ok(key),
        }
    }
}

enum Taken {
    BySelf,
    By(Arc<str>),
    Claimed(Arc<str>),
}

fn shown_tool(point: &Arc<MountPoint>, tool: &ToolSpec, key: &str) -> Result<Entry, String> {
    let original = tool.definition();
    let linked = point
        .shown
        .uris
        .as_ref()
        .map(|uris| uris.map_definition(original));
    let shown = match linked {
        Some(definition) if definition != *original => ToolSpec::from_definition(definition),
        _ => Ok(tool.clone()),
    };
    let shown = shown
        .and_then(|tool| tool.with_name(key))
        .map_err(|error| error.to_string())?;
    Ok(Entry {
        key: shown.shared_name(),
        canonical: shown.shared_name(),
        upstream_key: tool.shared_name(),
        own_name: Arc::clone(tool.own_name()),
        definition: shown.definition().clone(),
        unworded: shown.definition().clone(),
        tool: Some(shown),
        server: Arc::clone(&point.server),
        original: original.clone(),
        template: None,
        point: Arc::clone(point),
    })
}

fn shown_item(
    point: &Arc<MountPoint>,
    feature: Feature,
    item: &ItemSpec,
    key: &str,
) -> Result<Entry, String> {
    let original = item.definition();
    let member = match feature {
        Feature::Resource => "uri",
        Feature::ResourceTemplate => "uriTemplate",
        Feature::Tool | Feature::Prompt => "name",
    };
    let definition = if key == item.key() {
        original.clone()
    } else {
        original
            .with_member(member, &RawJson::string(key))
            .map_err(|error| error.to_string())?
    };
    let template = match feature {
        Feature::ResourceTemplate => UriTemplate::parse(item.key()).map(Arc::new),
        _ => None,
    };
    let (key, own): (Arc<str>, Arc<str>) = (key.into(), item.key().into());
    Ok(Entry {
        canonical: Arc::clone(&key),
        key,
        upstream_key: Arc::clone(&own),
        own_name: own,
        unworded: definition.clone(),
        definition,
        tool: None,
        server: Arc::clone(&point.server),
        original: original.clone(),
        template,
        point: Arc::clone(point),
    })
}

#[cfg(test)]
mod tests;

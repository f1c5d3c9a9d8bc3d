//! What a server offers: all pages of all its lists, within bounds.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use mcp_gw_core::{BackendError, Feature, ItemSpec, Offer, RawJson, SpecError, ToolSpec, code};
use serde_json::value::RawValue;
use tokio::time::timeout;

use crate::ask::Ask;
use crate::era::{Era, Hello, Probe, read_discover, rpc_code};
use crate::relay::Channel;

const MAX_PAGES: usize = 100;
const MAX_ITEMS: usize = 10_000;
/// So many bytes one list may have, all its pages together.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Reads everything that the server offers.
pub(crate) async fn read<C: Channel>(channel: &C) -> Result<Offer, BackendError> {
    let limit = channel.settings().max_total_timeout;
    timeout(limit, lists(channel))
        .await
        .unwrap_or_else(|_| Err(channel.settings().timed_out(limit)))
}

async fn lists<C: Channel>(channel: &C) -> Result<Offer, BackendError> {
    let hello = look(channel).await?;
    let mut offer = Offer::default();
    // Some servers have tools without saying so.
    offer.tools = list(channel, &TOOLS, ToolSpec::from_definition).await?;
    if hello.has("resources") {
        offer.resources = items(channel, &RESOURCES, Feature::Resource).await?;
        offer.resource_templates = items(channel, &TEMPLATES, Feature::ResourceTemplate).await?;
    }
    if hello.has("prompts") {
        offer.prompts = items(channel, &PROMPTS, Feature::Prompt).await?;
    }
    offer.capabilities.clone_from(&hello.capabilities);
    offer.instructions.clone_from(&hello.instructions);
    Ok(offer)
}

/// What the server says of itself now. One of an old revision says it in its handshake alone.
async fn look<C: Channel>(channel: &C) -> Result<Arc<Hello>, BackendError> {
    let hello = channel.hello().await?;
    let is_used = hello.is_used.swap(true, Ordering::Relaxed);
    if hello.era == Era::Legacy || !is_used {
        return Ok(hello);
    }
    match channel.ask(Ask::Discover, None).await {
        Ok(result) => match read_discover(channel.settings(), &result) {
            Ok(Probe::Modern(now)) => Ok(Arc::new(now)),
            Ok(Probe::Legacy) | Err(_) => Ok(hello),
        },
        Err(BackendError::Rpc(_)) => Ok(hello),
        Err(error) => Err(error),
    }
}

/// A method that lists, and the member that holds its items.
struct List {
    method: &'static str,
    member: &'static str,
}

const TOOLS: List = List {
    method: "tools/list",
    member: "tools",
};
const RESOURCES: List = List {
    method: "resources/list",
    member: "resources",
};
const TEMPLATES: List = List {
    method: "resources/templates/list",
    member: "resourceTemplates",
};
const PROMPTS: List = List {
    method: "prompts/list",
    member: "prompts",
};

/// A list without which the tools are still of use.
async fn items<C: Channel>(
    channel: &C,
    what: &List,
    feature: Feature,
) -> Result<Vec<ItemSpec>, BackendError> {
    let read = |definition| ItemSpec::from_definition(feature, definition);
    match list(channel, what, read).await {
        Err(BackendError::Rpc(error)) => {
            warn(channel, what, &crate::settings::excerpt(error.as_bytes()));
            Ok(Vec::new())
        }
        other => other,
    }
}

async fn list<C: Channel, T>(
    channel: &C,
    what: &List,
    read: impl Fn(RawJson) -> Result<T, SpecError>,
) -> Result<Vec<T>, BackendError> {
    let mut found = Vec::new();
    let mut seen: HashSet<Bytes> = HashSet::new();
    let mut cursor: Option<RawJson> = None;
    let mut bytes = 0;
    for _ in 0..MAX_PAGES {
        let ask = Ask::List {
            method: what.method,
            cursor: cursor.as_ref(),
        };
        let page = match channel.ask(ask, None).await {
            Ok(page) => page,
            Err(BackendError::Rpc(error)) if rpc_code(&error) == Some(code::METHOD_NOT_FOUND) => {
                return Ok(found);
            }
            Err(error) => return Err(error),
        };
        take_page(channel, what, &page, &read, &mut found)?;
        if found.len() > MAX_ITEMS {
            found.truncate(MAX_ITEMS);
            warn(
                channel,
                what,
                "it has more than 10000 items; the rest is left out",
            );
            return Ok(found);
        }
        bytes += page.len();
        if bytes > MAX_BYTES {
            warn(
                channel,
                what,
                "it is longer than 64 MiB; the rest is left out",
            );
            return Ok(found);
        }
        cursor = page.member("nextCursor").ok().flatten();
        match &cursor {
            None => return Ok(found),
            Some(next) if next.is_null() => return Ok(found),
            Some(next) if !seen.insert(next.detached().to_bytes()) => {
                warn(channel, what, "it repeats a cursor; the list ends here");
                return Ok(found);
            }
            Some(_) => {}
        }
    }
    warn(
        channel,
        what,
        "it has more than 100 pages; the rest is left out",
    );
    Ok(found)
}

fn take_page<C: Channel, T>(
    channel: &C,
    what: &List,
    page: &RawJson,
    read: impl Fn(RawJson) -> Result<T, SpecError>,
    found: &mut Vec<T>,
) -> Result<(), BackendError> {
    let wrong = || {
        channel.settings().protocol(format!(
            "the result of {} has no array `{}`",
            what.method, what.member
        ))
    };
    let members = page.members().map_err(|_| wrong())?;
    let items = members.get(what.member).ok_or_else(wrong)?;
    let items: Vec<&RawValue> = serde_json::from_str(items.get()).map_err(|_| wrong())?;
    let text = page.to_bytes();
    for item in items {
        match read(RawJson::within(&text, item)) {
            Ok(item) => found.push(item),
            Err(error) => {
                let reason = match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                warn(channel, what, &format!("an item is left out: {reason}"));
            }
        }
    }
    Ok(())
}

fn warn<C: Channel>(channel: &C, what: &List, message: &str) {
    tracing::warn!(
        target: "mcp_gw::upstream",
        server = &*channel.settings().server,
        method = what.method,
        "{message}"
    );
}

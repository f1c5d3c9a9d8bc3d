//! What a server offers: all pages of all its lists, within bounds.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use mcp_gw_core::{
    BackendError, CacheHint, Feature, ItemSpec, JsonText, LeftOut, ListHints, Offer, RawJson,
    SpecError, ToolSpec, code,
};
use tokio::time::timeout;

use crate::ask::Ask;
use crate::era::{Era, Hello, Probe, read_discover, rpc_code};
use crate::settings::Settings;

const MAX_PAGES: usize = 100;
const MAX_ITEMS: usize = 10_000;
/// So many bytes one list may have, all its pages together.
const MAX_BYTES: usize = 64 * 1024 * 1024;
/// So many items that cannot be read are written down.
const MAX_LEFT_OUT: usize = 100;

/// A connection whose lists can be read.
pub(crate) trait Lists: Sync {
    fn settings(&self) -> &Settings;

    /// What the server said of itself.
    fn met(&self) -> impl Future<Output = Result<Arc<Hello>, BackendError>> + Send;

    /// Asks for a page, or what the server says of itself.
    fn ask_for_list(
        &self,
        ask: Ask<'_>,
    ) -> impl Future<Output = Result<RawJson, BackendError>> + Send;
}

/// Reads everything that the server offers.
pub(crate) async fn read<C: Lists>(channel: &C) -> Result<Offer, BackendError> {
    let limit = channel.settings().max_total_timeout;
    timeout(limit, lists(channel))
        .await
        .unwrap_or_else(|_| Err(channel.settings().timed_out(limit)))
}

async fn lists<C: Lists>(channel: &C) -> Result<Offer, BackendError> {
    let hello = look(channel).await?;
    let mut offer = Offer::default();
    // A list that is not served is as good as what the server says of itself.
    offer.hints = ListHints::all(hello.hint);
    // Some servers have tools without saying so.
    let tools = list(channel, &TOOLS, ToolSpec::from_definition).await?;
    (offer.tools, offer.hints.tools) = tools.into_parts(&mut offer, hello.hint);
    if hello.has("resources") {
        let found = items(channel, &RESOURCES).await?;
        (offer.resources, offer.hints.resources) = found.into_parts(&mut offer, hello.hint);
        let found = items(channel, &TEMPLATES).await?;
        (offer.resource_templates, offer.hints.resource_templates) =
            found.into_parts(&mut offer, hello.hint);
    }
    if hello.has("prompts") {
        let found = items(channel, &PROMPTS).await?;
        (offer.prompts, offer.hints.prompts) = found.into_parts(&mut offer, hello.hint);
    }
    if hello.era == Era::Legacy {
        // Whatever it says there has no meaning in its revision.
        offer.hints = ListHints::all(None);
    }
    offer.capabilities.clone_from(&hello.capabilities);
    offer.instructions.clone_from(&hello.instructions);
    Ok(offer)
}

/// Reads the tools and prompts that the server offers, and nothing else of what [`read`] reads.
pub(crate) async fn read_definitions<C: Lists>(channel: &C) -> Result<Offer, BackendError> {
    let limit = channel.settings().max_total_timeout;
    let lists = async {
        let mut offer = Offer::default();
        let tools = list(channel, &TOOLS, ToolSpec::from_definition).await?;
        (offer.tools, _) = tools.into_parts(&mut offer, None);
        if channel.met().await?.has("prompts") {
            let prompts = items(channel, &PROMPTS).await?;
            (offer.prompts, _) = prompts.into_parts(&mut offer, None);
        }
        Ok(offer)
    };
    timeout(limit, lists)
        .await
        .unwrap_or_else(|_| Err(channel.settings().timed_out(limit)))
}

/// What the server says of itself now. One of an old revision says it in its handshake alone.
async fn look<C: Lists>(channel: &C) -> Result<Arc<Hello>, BackendError> {
    let hello = channel.met().await?;
    let is_used = hello.is_used.swap(true, Ordering::Relaxed);
    if hello.era == Era::Legacy || !is_used {
        return Ok(hello);
    }
    match channel.ask_for_list(Ask::Discover).await {
        Ok(result) => match read_discover(channel.settings(), &result) {
            Ok(Probe::Modern(now)) => Ok(Arc::new(now)),
            Ok(Probe::Legacy) | Err(_) => Ok(hello),
        },
        Err(BackendError::Rpc(_)) => Ok(hello),
        Err(error) => Err(error),
    }
}

/// A method that lists, the member that holds its items, and what they are.
struct List {
    method: &'static str,
    member: &'static str,
    feature: Feature,
}

const TOOLS: List = List {
    method: "tools/list",
    member: "tools",
    feature: Feature::Tool,
};
const RESOURCES: List = List {
    method: "resources/list",
    member: "resources",
    feature: Feature::Resource,
};
const TEMPLATES: List = List {
    method: "resources/templates/list",
    member: "resourceTemplates",
    feature: Feature::ResourceTemplate,
};
const PROMPTS: List = List {
    method: "prompts/list",
    member: "prompts",
    feature: Feature::Prompt,
};

/// What a list holds, and what is to be said about it.
struct Found<T> {
    items: Vec<T>,
    /// What is true of all pages; `None` when one says nothing.
    hint: Option<CacheHint>,
    is_served: bool,
    /// How many items were looked at.
    seen: usize,
    left_out: Vec<LeftOut>,
    remark: Option<String>,
}

impl<T> Found<T> {
    const fn nothing() -> Self {
        Self {
            items: Vec::new(),
            hint: None,
            is_served: false,
            seen: 0,
            left_out: Vec::new(),
            remark: None,
        }
    }

    /// The items and the hint; the rest goes into the offer. A list that is not served is as good as
    /// `otherwise` says.
    fn into_parts(
        self,
        offer: &mut Offer,
        otherwise: Option<CacheHint>,
    ) -> (Vec<T>, Option<CacheHint>) {
        offer.left_out.extend(self.left_out);
        offer.remarks.extend(self.remark);
        let hint = if self.is_served { self.hint } else { otherwise };
        (self.items, hint)
    }

    /// Takes note of a page.
    fn page(&mut self, page: &RawJson) {
        let hint = CacheHint::read(page);
        self.hint = if self.is_served {
            self.hint.zip(hint).map(|(all, one)| all.and(one))
        } else {
            hint
        };
        self.is_served = true;
    }

    /// Ends the list here, and says why.
    fn cut<C: Lists>(mut self, channel: &C, what: &List, why: &str) -> Self {
        warn(channel, what, why);
        self.remark = Some(format!("{}: {why}", what.method));
        self
    }

    /// Ends the list at a page that is of no use: those before it stay.
    ///
    /// # Errors
    /// When it is the first.
    fn stop<C: Lists>(
        self,
        channel: &C,
        what: &List,
        error: BackendError,
    ) -> Result<Self, BackendError> {
        let why = match &error {
            BackendError::Rpc(error) => crate::settings::excerpt(error.as_bytes()),
            error => error.to_string(),
        };
        if self.is_served {
            let why = format!("the next page cannot be read, and the list ends here: {why}");
            return Ok(self.cut(channel, what, &why));
        }
        if matches!(error, BackendError::Protocol { .. }) {
            warn(channel, what, &why);
        }
        Err(error)
    }
}

/// A list without which the tools are still of use.
async fn items<C: Lists>(channel: &C, what: &List) -> Result<Found<ItemSpec>, BackendError> {
    let read = |definition| ItemSpec::from_definition(what.feature, definition);
    match list(channel, what, read).await {
        Err(BackendError::Rpc(error)) => {
            let why = crate::settings::excerpt(error.as_bytes());
            let broken = Found {
                is_served: true,
                ..Found::nothing()
            };
            Ok(broken.cut(channel, what, &why))
        }
        other => other,
    }
}

async fn list<C: Lists, T>(
    channel: &C,
    what: &List,
    read: impl Fn(RawJson) -> Result<T, SpecError>,
) -> Result<Found<T>, BackendError> {
    let mut found = Found::nothing();
    let mut seen: HashSet<Bytes> = HashSet::new();
    let mut cursor: Option<RawJson> = None;
    let mut bytes = 0;
    for _ in 0..MAX_PAGES {
        let ask = Ask::List {
            method: what.method,
            cursor: cursor.as_ref(),
        };
        let page = match channel.ask_for_list(ask).await {
            Ok(page) => page,
            Err(BackendError::Rpc(error)) if rpc_code(&error) == Some(code::METHOD_NOT_FOUND) => {
                return Ok(found);
            }
            Err(error @ BackendError::Rpc(_)) => return found.stop(channel, what, error),
            // The server cannot be reached: it is asked for all of it again.
            Err(error) => return Err(error),
        };
        if let Err(error) = take_page(channel, what, &page, &read, &mut found) {
            return found.stop(channel, what, error);
        }
        if found.items.len() > MAX_ITEMS {
            found.items.truncate(MAX_ITEMS);
            let why = "it has more than 10000 items; the rest is left out";
            return Ok(found.cut(channel, what, why));
        }
        bytes += page.len();
        if bytes > MAX_BYTES {
            let why = "it is longer than 64 MiB; the rest is left out";
            return Ok(found.cut(channel, what, why));
        }
        cursor = page.member("nextCursor").ok().flatten();
        match &cursor {
            None => return Ok(found),
            Some(next) if next.is_null() => return Ok(found),
            Some(next) if !seen.insert(next.detached().to_bytes()) => {
                let why = "it repeats a cursor; the list ends here";
                return Ok(found.cut(channel, what, why));
            }
            Some(_) => {}
        }
    }
    let why = "it has more than 100 pages; the rest is left out";
    Ok(found.cut(channel, what, why))
}

fn take_page<C: Lists, T>(
    channel: &C,
    what: &List,
    page: &RawJson,
    read: impl Fn(RawJson) -> Result<T, SpecError>,
    found: &mut Found<T>,
) -> Result<(), BackendError> {
    let wrong = || {
        channel.settings().protocol(format!(
            "the result of {} has no array `{}`",
            what.method, what.member
        ))
    };
    let members = page.members().map_err(|_| wrong())?;
    let items = members.get(what.member).ok_or_else(wrong)?;
    let items: Vec<JsonText<'_>> = serde_json::from_str(items.get()).map_err(|_| wrong())?;
    found.page(page);
    for item in items {
        found.seen += 1;
        let definition = page.slice(item);
        match read(definition.clone()) {
            Ok(item) => found.items.push(item),
            Err(error) => {
                let reason = match std::error::Error::source(&error) {
                    Some(source) => format!("{error}: {source}"),
                    None => error.to_string(),
                };
                if found.left_out.len() < MAX_LEFT_OUT {
                    let name = name_of(&definition, what.feature, found.seen);
                    let kind = what.feature.as_str();
                    warn(
                        channel,
                        what,
                        &format!("{kind} `{name}` is left out: {reason}"),
                    );
                    found
                        .left_out
                        .push(LeftOut::new(what.feature, &name, reason));
                }
            }
        }
    }
    Ok(())
}

/// What an item that cannot be read may be called; the item `number` of its list, counted from 1, if
/// it says nothing of the kind.
fn name_of(definition: &RawJson, feature: Feature, number: usize) -> String {
    let members = definition.members().unwrap_or_default();
    let own = match feature {
        Feature::Resource => "uri",
        Feature::ResourceTemplate => "uriTemplate",
        _ => "name",
    };
    let mut names = [own, "name", "title"].into_iter().filter_map(|key| {
        let name: String = serde_json::from_str(members.get(key)?.get()).ok()?;
        (!name.is_empty()).then(|| name.chars().take(128).collect())
    });
    names.next().unwrap_or_else(|| format!("number {number}"))
}

fn warn<C: Lists>(channel: &C, what: &List, message: &str) {
    tracing::warn!(
        target: "mcp_gw::upstream",
        server = &*channel.settings().server,
        method = what.method,
        "{message}"
    );
}

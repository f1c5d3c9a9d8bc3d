//! The methods of a backend over a connection, whatever that runs over.

use std::sync::{Arc, Weak};

use mcp_gw_core::{
    BackendError, CallContext, ClientRef, ObjectWriter, RawJson, ToolOutput, code, jsonrpc,
};

use crate::ask::{Ask, is_modern};
use crate::channel::Channel;
use crate::era::{Era, Hello, MODERN};
use crate::listen_stream::Kind;
use crate::offer::Lists;
use crate::owner::{Key, Owner};
use crate::settings::Settings;
use crate::watched::{Place, warn_refused};

impl<C: Channel> Lists for C {
    fn settings(&self) -> &Settings {
        &self.common().settings
    }

    async fn met(&self) -> Result<Arc<Hello>, BackendError> {
        self.base().hello().await
    }

    async fn ask_for_list(&self, ask: Ask<'_>) -> Result<RawJson, BackendError> {
        self.ask(ask, None).await
    }
}

/// `tools/call`.
pub(crate) async fn call_tool<C: Channel>(
    channel: &C,
    ctx: &CallContext,
    ask: Ask<'_>,
) -> Result<ToolOutput, BackendError> {
    ToolOutput::from_raw(used(channel, ctx, ask).await?).map_err(|_| {
        channel
            .common()
            .settings
            .protocol("the result is not an object")
    })
}

/// A request whose result is an object that is handed on.
pub(crate) async fn object<C: Channel>(
    channel: &C,
    ctx: &CallContext,
    ask: Ask<'_>,
) -> Result<RawJson, BackendError> {
    let result = used(channel, ctx, ask).await?;
    if result.is_object() {
        Ok(result)
    } else {
        Err(channel
            .common()
            .settings
            .protocol("the result is not an object"))
    }
}

/// What a client asks for. A state that it brings back must be one that the server gave it; servers
/// of old revisions give none, and would do the work without what they were to be told.
async fn used<C: Channel>(
    channel: &C,
    ctx: &CallContext,
    ask: Ask<'_>,
) -> Result<RawJson, BackendError> {
    let brings_state = ask.brings_state() && is_modern(ctx);
    if brings_state && channel.base().hello().await?.era == Era::Legacy {
        return Err(BackendError::Rpc(jsonrpc::error_object(
            code::INVALID_PARAMS,
            "Invalid params: `requestState` was not given for this call. Make the call without it.",
            None,
        )));
    }
    channel.ask(ask, Some(ctx)).await
}

/// Members of results that 2026-07-28 has given a meaning, of all methods and of `resources/read`.
const KIND: &[&str] = &["resultType"];
const KIND_AND_HINTS: &[&str] = &["resultType", "ttlMs", "cacheScope"];

/// The result that a server in `era` gave, without what would be taken for more than it is: servers of old
/// revisions know no types of results, so what they write under that name says nothing. Clients of old
/// revisions, to which it says nothing either, get it as it is.
pub(crate) fn settled(
    result: RawJson,
    era: Era,
    ask: &Ask<'_>,
    ctx: Option<&CallContext>,
) -> RawJson {
    let Some(ctx) = ctx.filter(|_| era == Era::Legacy) else {
        return result;
    };
    let spoken = ctx.meta().protocol_version;
    if spoken.is_some_and(|version| version != MODERN) {
        ctx.link().mark_plain();
        return result;
    }
    let names = match ask {
        Ask::Resource(_) => KIND_AND_HINTS,
        _ => KIND,
    };
    // What cannot be read here cannot be read by the client either.
    match result.members() {
        Ok(members) if names.iter().any(|name| members.get(name).is_some()) => {
            ObjectWriter::with_capacity(result.len())
                .members(&members, names)
                .finish()
        }
        _ => result,
    }
}

/// The first subscription of a client asks the server for news: on the connection of its own where its
/// calls are, as a process knows what happens in itself alone, and otherwise on the shared one.
pub(crate) async fn subscribe<C: Channel>(
    channel: &C,
    ctx: &CallContext,
    uri: &str,
) -> Result<(), BackendError> {
    let client = ctx.client();
    let watcher = Key::watcher(&client);
    // Kept until it is on record that something is watched there.
    let mut seat = None;
    let first = async || {
        let ask = Ask::subscribe(uri);
        seat = channel.ask_own(ask, &client).await?;
        let Some(seat) = &seat else {
            subscribe_shared(channel, uri).await?;
            return Ok(Place {
                shared: true,
                own: false,
            });
        };
        // Calls for which it wants log messages may be on another one.
        for other in channel.base().lanes().of_watcher(&watcher) {
            let is_asked = Arc::ptr_eq(&other, &seat.connection);
            if !is_asked && channel.ask_on(&other, ask).await.is_err() {
                warn_refused(&channel.common().settings);
            }
        }
        Ok(Place {
            shared: false,
            own: true,
        })
    };
    let server = &channel.common().settings.server;
    let clients = &channel.common().watched.clients;
    clients.add(server, &watcher, uri, first).await
}

/// The first subscriber of a resource on the shared connection asks the server for news of it. Those
/// of the new revision tell them on the one stream of all news.
pub(crate) async fn subscribe_shared<C: Channel>(
    channel: &C,
    uri: &str,
) -> Result<(), BackendError> {
    let ask = Ask::subscribe(uri);
    let first = async || {
        if channel.base().hello().await?.era == Era::Modern {
            let listening = &channel.common().listening;
            return listening
                .want(&channel.common().settings, Kind::Resource, uri)
                .await;
        }
        channel.ask(ask, None).await?;
        Ok(())
    };
    let server = &channel.common().settings.server;
    channel
        .common()
        .watched
        .shared
        .add(server, uri, first)
        .await
}

/// The last subscription ends that, wherever it was asked for.
pub(crate) async fn unsubscribe<C: Channel>(
    channel: &C,
    uri: &str,
    client: Option<&ClientRef>,
) -> Result<(), BackendError> {
    let Some(client) = client else {
        return unsubscribe_shared(channel, uri).await;
    };
    let watcher = Key::watcher(client);
    let last = async |place: Place| {
        let mut outcome = Ok(());
        for connection in channel.base().lanes().of_watcher(&watcher) {
            let ended = channel.ask_on(&connection, Ask::unsubscribe(uri)).await;
            outcome = outcome.and(ended.map(drop));
        }
        if place.shared {
            unsubscribe_shared(channel, uri).await?;
        }
        outcome
    };
    let clients = &channel.common().watched.clients;
    clients.remove(&watcher, uri, last).await
}

async fn unsubscribe_shared<C: Channel>(channel: &C, uri: &str) -> Result<(), BackendError> {
    let last = async |()| {
        if channel.common().listening.unwant(Kind::Resource, uri) {
            return Ok(());
        }
        channel.ask(Ask::unsubscribe(uri), None).await?;
        Ok(())
    };
    channel.common().watched.shared.remove(uri, last).await
}

/// A client has lost its last connection of its own: what it watches is watched on the shared one.
pub(crate) async fn adopt<C: Channel>(channel: &C, watcher: &Key) {
    let clients = &channel.common().watched.clients;
    for (uri, _) in clients.of(watcher) {
        let shares = async |place: Place| {
            // It may have another one by now.
            if !place.shared && !place.own {
                subscribe_shared(channel, &uri).await?;
                return Ok(Place {
                    shared: true,
                    own: false,
                });
            }
            Ok(place)
        };
        if clients.relocate(watcher, &uri, shares).await.is_err() {
            warn_refused(&channel.common().settings);
        }
    }
}

/// What is done about clients that have lost their last connection of their own.
pub(crate) fn adopting<C: Channel>(channel: &Weak<C>) -> Box<dyn Fn(Key) + Send + Sync> {
    let channel = Weak::clone(channel);
    Box::new(move |watcher| {
        if let Some(channel) = channel.upgrade() {
            let of_chore = Arc::clone(&channel);
            channel
                .base()
                .chores()
                .spawn(async move { adopt(&*of_chore, &watcher).await });
        }
    })
}

/// Opens the connection of its own that a client which can be asked something will need, so that
/// what the server lists there is known before its first call.
pub(crate) fn greet<C: Channel>(channel: &Arc<C>, client: &ClientRef) {
    let Some(session) = client.session.clone() else {
        return;
    };
    if !Owner::can_be_asked(client) || !channel.base().lanes().expect(&session, client.transport) {
        return;
    }
    let (of_chore, client) = (Arc::clone(channel), client.clone());
    channel.base().chores().spawn(async move {
        if let Err(error) = of_chore.base().open_ahead(&session, &client).await {
            tracing::debug!(
                target: "mcp_gw::upstream",
                server = &*of_chore.common().settings.server,
                %error,
                "a client has no connection of its own before its first call"
            );
        }
    });
}

/// The first who watches a task asks the server for news of it.
pub(crate) async fn watch_task<C: Channel>(channel: &C, task_id: &str) -> Result<(), BackendError> {
    let (settings, listening) = (&channel.common().settings, &channel.common().listening);
    let first = async || {
        if channel.base().hello().await?.era == Era::Legacy {
            return Err(BackendError::Unsupported {
                server: Arc::clone(&settings.server),
                method: "subscriptions/listen",
            });
        }
        listening.want(settings, Kind::Task, task_id).await
    };
    listening.tasks.add(&settings.server, task_id, first).await
}

/// The last who watches a task ends that.
pub(crate) async fn unwatch_task<C: Channel>(channel: &C, task_id: &str) {
    let listening = &channel.common().listening;
    let last = async |()| {
        listening.unwant(Kind::Task, task_id);
        Ok(())
    };
    // Nothing in it can fail.
    let _ = listening.tasks.remove(task_id, last).await;
}

/// Asks whether the server answers.
pub(crate) async fn check<C: Channel>(channel: &C) -> Result<(), BackendError> {
    let ask = match channel.base().hello().await?.era {
        Era::Modern => Ask::Discover,
        Era::Legacy => Ask::Ping,
    };
    match channel.ask(ask, None).await {
        // A server that says no is there.
        Ok(_) | Err(BackendError::Rpc(_)) => Ok(()),
        Err(error) => Err(error),
    }
}

/// Makes a struct with a [`Channel`] as its `core` a [`Backend`](mcp_gw_core::Backend). A macro, because a trait of another crate
/// cannot be implemented for every type that has one of ours.
macro_rules! backend {
    ($server:ty) => {
        #[async_trait::async_trait]
        #[deny(clippy::missing_trait_methods)]
        impl mcp_gw_core::Backend for $server {
            fn name(&self) -> &str {
                &$crate::channel::Channel::common(&*self.core)
                    .settings
                    .server
            }

            fn offer_now(&self) -> Option<mcp_gw_core::Offer> {
                None
            }

            async fn offer(&self) -> Result<mcp_gw_core::Offer, mcp_gw_core::BackendError> {
                $crate::channel::Channel::offered(&*self.core).await
            }

            /// They go on as they came.
            fn arguments_in_effect(
                &self,
                _: &str,
                _: &mcp_gw_core::Arguments,
            ) -> Option<mcp_gw_core::Arguments> {
                None
            }

            async fn call_tool(
                &self,
                ctx: &mcp_gw_core::CallContext,
                call: mcp_gw_core::ToolCall,
            ) -> Result<mcp_gw_core::ToolOutput, mcp_gw_core::BackendError> {
                $crate::relay::call_tool(&*self.core, ctx, $crate::ask::Ask::Tool(&call)).await
            }

            async fn read_resource(
                &self,
                ctx: &mcp_gw_core::CallContext,
                read: mcp_gw_core::ResourceRead,
            ) -> Result<mcp_gw_core::RawJson, mcp_gw_core::BackendError> {
                $crate::relay::object(&*self.core, ctx, $crate::ask::Ask::Resource(&read)).await
            }

            async fn get_prompt(
                &self,
                ctx: &mcp_gw_core::CallContext,
                get: mcp_gw_core::PromptGet,
            ) -> Result<mcp_gw_core::RawJson, mcp_gw_core::BackendError> {
                $crate::relay::object(&*self.core, ctx, $crate::ask::Ask::Prompt(&get)).await
            }

            async fn complete(
                &self,
                ctx: &mcp_gw_core::CallContext,
                completion: mcp_gw_core::Completion,
            ) -> Result<mcp_gw_core::RawJson, mcp_gw_core::BackendError> {
                $crate::relay::object(&*self.core, ctx, $crate::ask::Ask::Complete(&completion))
                    .await
            }

            async fn task(
                &self,
                ctx: &mcp_gw_core::CallContext,
                ask: mcp_gw_core::TaskAsk,
            ) -> Result<mcp_gw_core::RawJson, mcp_gw_core::BackendError> {
                $crate::relay::object(&*self.core, ctx, $crate::ask::Ask::Task(&ask)).await
            }

            async fn watch_task(
                &self,
                _ctx: &mcp_gw_core::CallContext,
                task_id: &str,
            ) -> Result<(), mcp_gw_core::BackendError> {
                $crate::relay::watch_task(&*self.core, task_id).await
            }

            async fn unwatch_task(&self, task_id: &str) {
                $crate::relay::unwatch_task(&*self.core, task_id).await;
            }

            async fn check(&self) -> Result<(), mcp_gw_core::BackendError> {
                $crate::relay::check(&*self.core).await
            }

            fn renew(&self, reason: &str) {
                $crate::channel::Channel::renew(&*self.core, reason);
            }

            fn greet(&self, client: &mcp_gw_core::ClientRef) {
                $crate::relay::greet(&self.core, client);
            }

            fn end_session(&self, session: &mcp_gw_core::SessionKey) {
                $crate::channel::Channel::base(&*self.core)
                    .lanes()
                    .end_session(session);
            }

            fn roots_changed(&self, session: &mcp_gw_core::SessionKey) {
                $crate::channel::Channel::base(&*self.core)
                    .lanes()
                    .roots_changed(session);
            }

            async fn subscribe(
                &self,
                ctx: &mcp_gw_core::CallContext,
                uri: &str,
            ) -> Result<(), mcp_gw_core::BackendError> {
                $crate::relay::subscribe(&*self.core, ctx, uri).await
            }

            async fn resubscribe(&self, uri: &str) -> Result<(), mcp_gw_core::BackendError> {
                $crate::relay::subscribe_shared(&*self.core, uri).await
            }

            async fn unsubscribe(
                &self,
                uri: &str,
                client: Option<&mcp_gw_core::ClientRef>,
            ) -> Result<(), mcp_gw_core::BackendError> {
                $crate::relay::unsubscribe(&*self.core, uri, client).await
            }

            fn watch(&self, listener: std::sync::Arc<dyn mcp_gw_core::BackendListener>) {
                $crate::channel::Channel::common(&*self.core)
                    .events
                    .watch(listener);
            }

            async fn close(&self) {
                $crate::channel::Channel::base(&*self.core).end().await;
            }

            fn unsupported(&self, method: &'static str) -> mcp_gw_core::BackendError {
                mcp_gw_core::BackendError::Unsupported {
                    server: std::sync::Arc::clone(
                        &$crate::channel::Channel::common(&*self.core)
                            .settings
                            .server,
                    ),
                    method,
                }
            }
        }

        impl Drop for $server {
            fn drop(&mut self) {
                // What goes on beside would keep it.
                $crate::channel::Channel::base(&*self.core).chores().stop();
            }
        }
    };
}
pub(crate) use backend;

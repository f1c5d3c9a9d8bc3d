//! Calls by the names of the store, down the one road of the gateway.

use std::sync::Arc;

use mcp_gw_core::{
    Arguments, BackendError, Caller, Catalogue, Extras, Feature, GatewayError, Incoming, PromptGet,
    RawJson, RequestMeta, ResourceRead, ToolCall, ToolOutput,
};
use mcp_gw_store::{ServerStatus, StoreError};

use super::Registry;
use super::names::server_name;
use super::state::Kind;

/// So many items of a list are asked for at once.
const PAGE: usize = 1000;

/// Why there is no result.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CallFault {
    /// There is no such server: an instance, or a template, by this name.
    #[error("there is no {what} `{name}`")]
    NoSuch {
        /// `server` or `template`.
        what: &'static str,
        /// What was asked for.
        name: String,
    },
    /// It is there, and gets no calls now.
    #[error("`{name}` cannot be called: {reason}")]
    Away {
        /// What was asked for.
        name: String,
        /// Why, for people who may know of servers.
        reason: String,
    },
    /// The gateway said no, or its server did. `Unknown` is what nobody may know of, too.
    #[error(transparent)]
    Gateway(#[from] GatewayError),
    /// The store could not be asked.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a call comes to.
pub type CallOutcome<T> = Result<T, CallFault>;

/// All items of a list that the caller may see: their definitions as the server wrote them.
pub type ItemList = Vec<RawJson>;

/// Where a call goes.
struct Aim {
    endpoint: Arc<str>,
    replica: Option<Arc<str>>,
    /// What people call it.
    name: String,
    /// Something answers there.
    is_well: bool,
    /// What is wrong, when nothing does.
    reason: String,
}

impl Registry {
    /// Calls a tool of one server, at that very instance, by the name that the server gave it. Policy,
    /// limits and audit see it as any call.
    ///
    /// # Errors
    /// When there is no result of the tool; a tool that failed is a result with `isError: true`.
    pub async fn call(
        &self,
        caller: Arc<Caller>,
        meta: RequestMeta,
        server_id: &str,
        tool: &str,
        arguments: Arguments,
    ) -> CallOutcome<ToolOutput> {
        let aim = self.instance_aim(server_id).await?;
        self.call_at(caller, meta, aim, tool, arguments).await
    }

    /// Calls a tool of a template, at the instance whose turn it is. Servers and REST APIs of the
    /// configuration can be called by their names as well, and no template takes these from them.
    ///
    /// # Errors
    /// As [`Registry::call`].
    pub async fn call_template(
        &self,
        caller: Arc<Caller>,
        meta: RequestMeta,
        template: &str,
        tool: &str,
        arguments: Arguments,
    ) -> CallOutcome<ToolOutput> {
        let aim = self.template_aim(template)?;
        self.call_at(caller, meta, aim, tool, arguments).await
    }

    /// The tools of one server that the caller may see.
    ///
    /// # Errors
    /// When there is no such server, none of its template can be asked, or a limit is reached.
    pub async fn tools(
        &self,
        caller: Arc<Caller>,
        meta: RequestMeta,
        server_id: &str,
    ) -> CallOutcome<ItemList> {
        let aim = self.instance_aim(server_id).await?;
        self.list_at(caller, meta, aim, Feature::Tool).await
    }

    /// The tools, resources, resource templates or prompts of a template that the caller may see.
    ///
    /// # Errors
    /// As [`Registry::tools`].
    pub async fn list_template(
        &self,
        caller: Arc<Caller>,
        meta: RequestMeta,
        template: &str,
        feature: Feature,
    ) -> CallOutcome<ItemList> {
        let aim = self.template_aim(template)?;
        self.list_at(caller, meta, aim, feature).await
    }

    /// Reads a resource of a template: a `ReadResourceResult`.
    ///
    /// # Errors
    /// When there is no result.
    pub async fn read_template(
        &self,
        caller: Arc<Caller>,
        meta: RequestMeta,
        template: &str,
        uri: &str,
    ) -> CallOutcome<RawJson> {
        let aim = self.template_aim(template)?;
        let incoming = aim.incoming(caller, meta);
        let read = ResourceRead::new(uri, Extras::default());
        self.know(&aim).await;
        let gateway = &self.inner.gateway;
        let outcome = gateway.read_resource(&incoming, read).await;
        outcome.map_err(|error| aim.fault(error))
    }

    /// Gets a prompt of a template: a `GetPromptResult`.
    ///
    /// # Errors
    /// When there is no result.
    pub async fn get_template_prompt(
        &self,
        caller: Arc<Caller>,
        meta: RequestMeta,
        template: &str,
        prompt: &str,
        arguments: Arguments,
    ) -> CallOutcome<RawJson> {
        let aim = self.template_aim(template)?;
        let incoming = aim.incoming(caller, meta);
        let get = PromptGet::new(prompt, arguments, Extras::default());
        self.know(&aim).await;
        let outcome = self.inner.gateway.get_prompt(&incoming, get).await;
        outcome.map_err(|error| aim.fault(error))
    }

    async fn call_at(
        &self,
        caller: Arc<Caller>,
        meta: RequestMeta,
        aim: Aim,
        tool: &str,
        arguments: Arguments,
    ) -> CallOutcome<ToolOutput> {
        self.know(&aim).await;
        let incoming = aim.incoming(caller, meta);
        let call = ToolCall::new(tool, arguments);
        let outcome = self.inner.gateway.call_tool(&incoming, call).await;
        outcome.map_err(|error| aim.fault(error))
    }

    async fn list_at(
        &self,
        caller: Arc<Caller>,
        meta: RequestMeta,
        aim: Aim,
        feature: Feature,
    ) -> CallOutcome<ItemList> {
        self.know(&aim).await;
        if !aim.is_well && !has_items(&self.inner.gateway.catalogue_at(Some(&aim.endpoint))) {
            return Err(aim.away());
        }
        let incoming = aim.incoming(caller, meta);
        let mut items = ItemList::new();
        let mut after: Option<Arc<str>> = None;
        loop {
            let gateway = &self.inner.gateway;
            let page = gateway
                .list(&incoming, feature, after.as_deref(), PAGE)
                .await?;
            items.extend(page.items.iter().cloned());
            after = page.next_after;
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    /// A server that has just come may be well and not be in the catalogue yet: its offer is on its way.
    async fn know(&self, aim: &Aim) {
        let catalogue = self.inner.gateway.catalogue_at(Some(&aim.endpoint));
        if !aim.is_well || catalogue.capabilities().next().is_some() || has_items(&catalogue) {
            return;
        }
        let asked = self.inner.gateway.refresh_backend(&aim.endpoint);
        let _ = tokio::time::timeout(self.inner.options.first_answer, asked).await;
    }

    async fn instance_aim(&self, id: &str) -> CallOutcome<Aim> {
        let no_such = || CallFault::NoSuch {
            what: "server",
            name: id.to_owned(),
        };
        let Some(known) = self.inner.shelf.known(id) else {
            // Another gateway may have registered it in this moment.
            return match self.inner.store.instance(id).await {
                Ok(_) => Err(CallFault::Away {
                    name: id.to_owned(),
                    reason: "it was registered just now".to_owned(),
                }),
                Err(error) if error.is_not_found() => Err(no_such()),
                Err(error) => Err(error.into()),
            };
        };
        let health = known.record.health();
        let away = |reason: &str| CallFault::Away {
            name: id.to_owned(),
            reason: reason.to_owned(),
        };
        if !known.instance.spec.is_active {
            return Err(away("it is disabled"));
        }
        if let Some(fault) = &known.fault {
            return Err(away(fault));
        }
        let kind = self.inner.shelf.kind(&known.instance.template_name);
        let server = kind.and_then(|kind| kind.server);
        let endpoint = server.ok_or_else(|| away("it is not behind the gateway"))?;
        Ok(Aim {
            endpoint,
            replica: Some(id.into()),
            name: id.to_owned(),
            is_well: health.status == ServerStatus::Healthy,
            reason: health
                .last_error
                .unwrap_or_else(|| "it has not answered yet".to_owned()),
        })
    }

    #[expect(
        clippy::result_large_err,
        reason = "the error is that of the calls it is part of"
    )]
    fn template_aim(&self, template: &str) -> CallOutcome<Aim> {
        // What the configuration calls so stays, whatever is registered under its name.
        let is_endpoint = || self.inner.gateway.has_endpoint(template);
        let is_of_file = |kind: &Kind| {
            kind.server.is_none() && server_name(template) == template && is_endpoint()
        };
        let kind = self.inner.shelf.kind(template);
        let Some(kind) = kind.filter(|kind| !is_of_file(kind)) else {
            if !is_endpoint() {
                return Err(CallFault::NoSuch {
                    what: "template",
                    name: template.to_owned(),
                });
            }
            return Ok(Aim {
                endpoint: template.into(),
                replica: None,
                name: template.to_owned(),
                is_well: true,
                reason: "it is away".to_owned(),
            });
        };
        let reason = why_away(&kind);
        let Some(endpoint) = kind.server.clone() else {
            return Err(CallFault::Away {
                name: template.to_owned(),
                reason,
            });
        };
        let mut instances = kind.instances.iter();
        Ok(Aim {
            endpoint,
            replica: None,
            name: template.to_owned(),
            is_well: instances.any(|one| one.record.status() == ServerStatus::Healthy),
            reason,
        })
    }
}

fn has_items(catalogue: &Catalogue) -> bool {
    let features = [
        Feature::Tool,
        Feature::Resource,
        Feature::ResourceTemplate,
        Feature::Prompt,
    ];
    let mut features = features.into_iter();
    features.any(|feature| !catalogue.entries(feature).is_empty())
}

/// Why nobody of a template can be called, when that is so.
fn why_away(kind: &Kind) -> String {
    let active = || {
        kind.instances
            .iter()
            .filter(|one| one.instance.spec.is_active)
    };
    if active().next().is_none() {
        return "it has no instance that is enabled".to_owned();
    }
    let fault = active().find_map(|known| {
        let fault = known.fault.as_deref().map(str::to_owned);
        fault.or_else(|| known.record.health().last_error)
    });
    fault.unwrap_or_else(|| "none of its instances has answered yet".to_owned())
}

impl Aim {
    fn incoming(&self, caller: Arc<Caller>, meta: RequestMeta) -> Incoming {
        let meta = meta
            .with_endpoint(Some(Arc::clone(&self.endpoint)))
            .with_replica(self.replica.clone());
        Incoming::new(caller, meta)
    }

    fn away(&self) -> CallFault {
        CallFault::Away {
            name: self.name.clone(),
            reason: self.reason.clone(),
        }
    }

    /// What nobody knows of a server that has never answered is not unknown: it is away.
    fn fault(&self, error: GatewayError) -> CallFault {
        match error {
            GatewayError::Unknown { .. } if !self.is_well => self.away(),
            GatewayError::Backend(BackendError::Unavailable { reason, .. }) => CallFault::Away {
                name: self.name.clone(),
                reason,
            },
            error => error.into(),
        }
    }
}

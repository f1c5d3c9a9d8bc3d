//! API7 Enterprise: the Admin API of its dashboard.
//!
//! [`Kind`], [`iam`] and [`action`] build requests and send nothing. A [`Client`] sends them: by a typed handle per
//! kind of resource ([`Api`]), or raw ([`Client::raw`]).

pub mod action;
mod client;
mod handle;
pub mod iam;
mod kind;
mod kinds;
mod list;
mod model;

pub use crate::paging::Page;
pub use client::{Api7Error, Client, ClientConfig};
pub use handle::Api;
pub use kind::{Kind, Place, Verb};
pub use list::{Direction, ListParams};
pub use model::{
    AlertHistory, AlertPolicy, ApiProduct, Approval, AuditLog, CaCertificate, Certificate,
    Consumer, Credential, CustomPlugin, GatewayGroup, GatewayInstance, GlobalRule, Labels, Model,
    PermissionPolicy, PluginMetadata, PolicyDocument, Proto, PublishedService, Rest, Role, Route,
    RouteTemplate, SecretProvider, ServiceRegistry, ServiceTemplate, ServiceVersion, Sni, Ssl,
    Statement, StreamRoute, StreamRouteTemplate, Subscription, Upstream, User, WebhookTemplate,
};

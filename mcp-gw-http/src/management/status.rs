//! How the gateway does, and what it says of itself.

use axum::http::{Method, StatusCode};
use mcp_gw_server::identity::Scope;
use mcp_gw_server::registry::RegistrySummary;

use super::ask::{Ask, Reply};
use super::fault::Fault;
use super::openapi::VERSION;
use super::shapes::{
    Counted, GatewayHealth, GatewayStats, Health, Message, Passed, RegistryShown, Spread, Stats,
    TemplateHealth,
};
use super::table::{Need, Operation};

const READ: Need = Need::Scope(Scope::Read);

/// The page that shows the `OpenAPI` document. It loads nothing from elsewhere.
const PAGE: &str = include_str!("docs.html");

/// What there is about the gateway itself.
pub(super) fn table() -> Vec<Operation> {
    vec![
        Operation::new(
            (Method::GET, "/health", "health"),
            Need::Nobody,
            "How the gateway does",
            health,
        )
        .gives::<Health>(StatusCode::OK)
        .gives::<Health>(StatusCode::SERVICE_UNAVAILABLE),
        Operation::new(
            (Method::GET, "/stats", "stats"),
            READ,
            "How much is used",
            stats,
        )
        .gives::<Stats>(StatusCode::OK),
        Operation::new(
            (Method::GET, "/gateway/health", "gateway_health"),
            Need::Nobody,
            "How the gateway does, with templates",
            gateway_health,
        )
        .gives::<GatewayHealth>(StatusCode::OK),
        Operation::new(
            (Method::GET, "/gateway/stats", "gateway_stats"),
            READ,
            "How much is used, by template and instance",
            gateway_stats,
        )
        .gives::<GatewayStats>(StatusCode::OK),
        Operation::new(
            (Method::GET, "/gateway/registry", "registry"),
            READ,
            "How many there are, by template",
            registry,
        )
        .gives::<RegistryShown>(StatusCode::OK),
        Operation::new(
            (Method::POST, "/gateway/registry/sync", "sync_registry"),
            Need::Scope(Scope::Write),
            "Nothing needs to be done: what is registered is in force",
            sync,
        )
        .gives::<Message>(StatusCode::OK),
        Operation::new(
            (Method::GET, "/mcp/{template}/health", "template_health"),
            Need::Nobody,
            "How the instances of a template do",
            template_health,
        )
        .gives::<TemplateHealth>(StatusCode::OK),
        Operation::new(
            (Method::GET, "/openapi.json", "openapi"),
            Need::Nobody,
            "This document",
            openapi,
        )
        .gives::<Passed>(StatusCode::OK),
    ]
    .into_iter()
    .map(|row| row.tag("gateway"))
    .chain([Operation::new(
        (Method::GET, "/docs", "docs"),
        Need::Nobody,
        "A page that shows the OpenAPI document",
        docs,
    )
    .gives_page()
    .tag("gateway")])
    .collect()
}

fn counted(summary: RegistrySummary) -> Counted {
    Counted {
        total: summary.total,
        healthy: summary.healthy,
        unhealthy: summary.unhealthy,
    }
}

async fn health(ask: Ask) -> Result<Reply, Fault> {
    let registry = &ask.api.registry;
    let is_well = registry.is_store_well().await;
    let health = Health {
        status: if is_well { "healthy" } else { "unhealthy" },
        timestamp: Health::now(),
        uptime: registry.stats().uptime.as_secs(),
        version: VERSION,
        database: if is_well { "connected" } else { "unavailable" },
        mcp_servers: counted(registry.summary()),
    };
    let status = if is_well {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    Reply::json(status, &health)
}

async fn gateway_health(ask: Ask) -> Result<Reply, Fault> {
    let registry = &ask.api.registry;
    let said = if registry.is_store_well().await {
        "healthy"
    } else {
        "unhealthy"
    };
    let summary = registry.summary();
    Reply::ok(&GatewayHealth {
        status: said,
        database: said,
        templates: summary.templates,
        instances: counted(summary),
        uptime: registry.stats().uptime.as_secs_f64(),
    })
}

async fn stats(ask: Ask) -> Result<Reply, Fault> {
    let stats = ask.api.registry.stats();
    Reply::ok(&Stats {
        uptime: stats.uptime.as_secs(),
        total_requests: stats.total_requests,
        active_servers: stats.summary.active,
        healthy_servers: stats.summary.healthy,
        load_balancer: Spread {
            strategy: ask.api.strategy,
            total_requests: stats.total_requests,
            requests_per_server: stats.requests_per_instance,
        },
    })
}

async fn gateway_stats(ask: Ask) -> Result<Reply, Fault> {
    Reply::ok(&GatewayStats::from(ask.api.registry.stats()))
}

async fn registry(ask: Ask) -> Result<Reply, Fault> {
    Reply::ok(&RegistryShown::from(ask.api.registry.stats()))
}

async fn sync(_: Ask) -> Result<Reply, Fault> {
    let message = "The registry is in force as the database has it".to_owned();
    Reply::ok(&Message { message })
}

async fn template_health(ask: Ask) -> Result<Reply, Fault> {
    let template = ask.api.registry.template(ask.param("template")?).await?;
    Reply::ok(&TemplateHealth::from(template))
}

async fn openapi(ask: Ask) -> Result<Reply, Fault> {
    Ok(Reply::text(
        StatusCode::OK,
        "application/json",
        ask.api.document.clone(),
    ))
}

async fn docs(_: Ask) -> Result<Reply, Fault> {
    let policy = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
                  connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    let reply = Reply::text(StatusCode::OK, "text/html; charset=utf-8", PAGE);
    Ok(reply.with(
        axum::http::header::CONTENT_SECURITY_POLICY,
        policy.to_owned(),
    ))
}

//! The table of all kinds: paths and parameters of the Admin API.

use crate::api7::kind::Kind;

/// A value of [`Place`](crate::api7::Place).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Field {
    Group,
    Service,
    Username,
    Provider,
}

impl Field {
    /// Its name in `Place` and in the arguments of tools.
    pub(crate) const fn argument(self) -> &'static str {
        match self {
            Self::Group => "gateway_group_id",
            Self::Service => "service_id",
            Self::Username => "username",
            Self::Provider => "provider",
        }
    }

    /// Its name in a query.
    pub(crate) const fn parameter(self) -> &'static str {
        match self {
            Self::Provider => "type",
            field => field.argument(),
        }
    }
}

/// A part of a path.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part {
    Fixed(&'static str),
    Of(Field),
}

impl Part {
    pub(crate) const fn field(&self) -> Option<Field> {
        match *self {
            Self::Fixed(_) => None,
            Self::Of(field) => Some(field),
        }
    }
}

/// What is known of a kind.
#[derive(Debug)]
pub(crate) struct Spec {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// The path of all of them.
    pub(crate) path: &'static [Part],
    /// The same without a gateway group, where that makes sense.
    pub(crate) elsewhere: Option<&'static str>,
    /// What stands in the query of every request.
    pub(crate) query: &'static [Field],
    /// What stands in the query of a list besides.
    pub(crate) filter: &'static [Field],
    /// What of that may be missing.
    pub(crate) optional: &'static [Field],
    /// What stands in the path before the id.
    pub(crate) under: Option<Field>,
    /// What identifies one of them.
    pub(crate) id: Option<&'static str>,
    /// `l`ist, `g`et, `c`reate by POST, `r`eplace by PUT, `p`atch, `d`elete.
    pub(crate) verbs: &'static str,
    pub(crate) has_plugins: bool,
}

impl Spec {
    pub(crate) fn is_optional(&self, field: Field) -> bool {
        self.optional.contains(&field)
    }

    const fn new(name: &'static str, about: &'static str, verbs: &'static str) -> Self {
        Self {
            name,
            about,
            path: &[],
            elsewhere: None,
            query: &[],
            filter: &[],
            optional: &[],
            under: None,
            id: Some("id"),
            verbs,
            has_plugins: false,
        }
    }

    const fn at(mut self, path: &'static [Part]) -> Self {
        self.path = path;
        self
    }

    const fn elsewhere(mut self, path: &'static str) -> Self {
        self.elsewhere = Some(path);
        self
    }

    /// Within a gateway group, which is named in the query.
    const fn grouped(mut self) -> Self {
        self.query = &[Field::Group];
        self
    }

    const fn filtered(mut self, filter: &'static [Field]) -> Self {
        self.filter = filter;
        self
    }

    const fn optional(mut self, fields: &'static [Field]) -> Self {
        self.optional = fields;
        self
    }

    const fn under(mut self, field: Field) -> Self {
        self.under = Some(field);
        self
    }

    const fn single(mut self) -> Self {
        self.id = None;
        self
    }

    const fn with_plugins(mut self) -> Self {
        self.has_plugins = true;
        self
    }
}

impl Kind {
    /// All of them; the first seventeen are those of the tool `get_resource`, in its order.
    pub const ALL: &'static [Self] = &[
        Self::PublishedService,
        Self::ServiceTemplate,
        Self::Upstream,
        Self::Route,
        Self::StreamRoute,
        Self::SecretProvider,
        Self::Certificate,
        Self::Consumer,
        Self::Credential,
        Self::GatewayGroup,
        Self::CaCertificate,
        Self::Sni,
        Self::GlobalRules,
        Self::PluginMetadata,
        Self::GatewayInstance,
        Self::ServiceRegistry,
        Self::CustomPlugin,
        Self::Ssl,
        Self::Proto,
        Self::Plugin,
        Self::PluginSchema,
        Self::RouteTemplate,
        Self::StreamRouteTemplate,
        Self::ServiceVersion,
        Self::Role,
        Self::User,
        Self::PermissionPolicy,
        Self::AlertPolicy,
        Self::AlertHistory,
        Self::WebhookTemplate,
        Self::AuditLog,
        Self::ApiProduct,
        Self::Subscription,
        Self::Approval,
        Self::SystemSettings,
        Self::CoreSchema,
        Self::Version,
    ];
}

macro_rules! specs {
    ($($kind:ident = $spec:expr;)*) => {
        pub(crate) const fn spec(kind: Kind) -> &'static Spec {
            match kind { $(Kind::$kind => { const SPEC: Spec = $spec; &SPEC })* }
        }
    };
}

use Field::{Group, Provider, Service, Username};
use Part::{Fixed, Of};

specs! {
    PublishedService = Spec::new("publishedService", "a service that runs in a gateway group", "lgcrpd")
        .at(&[Fixed("/apisix/admin/services")]).grouped().with_plugins();
    ServiceTemplate = Spec::new("serviceTemplate", "a service before it is published", "lgcrpd")
        .at(&[Fixed("/api/services/template")]).with_plugins();
    Upstream = Spec::new("upstream", "the nodes behind a published service", "lgcrpd")
        .at(&[Fixed("/apisix/admin/services"), Of(Service), Fixed("/upstreams")]).grouped();
    Route = Spec::new("route", "a route of a published service", "lgrpd")
        .at(&[Fixed("/apisix/admin/routes")]).grouped().filtered(&[Service]).with_plugins();
    StreamRoute = Spec::new("streamRoute", "a TCP or UDP route of a published service", "lgrpd")
        .at(&[Fixed("/apisix/admin/stream_routes")]).grouped().filtered(&[Service]).with_plugins();
    SecretProvider = Spec::new("secretProvider", "where the gateway gets secrets from", "lgrd")
        .at(&[Fixed("/apisix/admin/secret_providers")]).grouped().filtered(&[Provider])
        .optional(&[Provider]).under(Provider);
    Certificate = Spec::new("certificate", "a certificate of a gateway group", "lgcrpd")
        .at(&[Fixed("/apisix/admin/certificates")]).grouped();
    Consumer = Spec::new("consumer", "who calls APIs; its id is its username", "lgcrpd")
        .at(&[Fixed("/apisix/admin/consumers")]).grouped().with_plugins();
    Credential = Spec::new("credential", "what a consumer proves itself with", "lgrd")
        .at(&[Fixed("/apisix/admin/consumers"), Of(Username), Fixed("/credentials")]).grouped()
        .filtered(&[Username]).with_plugins();
    GatewayGroup = Spec::new("gatewayGroup", "gateway instances with one configuration", "lgcrd")
        .at(&[Fixed("/api/gateway_groups")]);
    CaCertificate = Spec::new("caCertificate", "a certificate of an authority", "lgcrpd")
        .at(&[Fixed("/apisix/admin/ca_certificates")]).grouped();
    Sni = Spec::new("sni", "which certificate a host name has", "lgcrpd")
        .at(&[Fixed("/apisix/admin/snis")]).grouped();
    GlobalRules = Spec::new("globalRules", "plugins that run for every request", "lgrd")
        .at(&[Fixed("/apisix/admin/global_rules")]).grouped().with_plugins();
    PluginMetadata = Spec::new("pluginMetadata", "settings of a plugin for a whole group; its id is the plugin's name", "lgrd")
        .at(&[Fixed("/apisix/admin/plugin_metadata")]).grouped();
    GatewayInstance = Spec::new("gatewayInstance", "a running gateway process", "l")
        .at(&[Fixed("/api/gateway_groups"), Of(Group), Fixed("/instances")])
        .elsewhere("/api/instances").filtered(&[Group]).optional(&[Group]);
    ServiceRegistry = Spec::new("serviceRegistry", "where upstream nodes are looked up", "lgcrd")
        .at(&[Fixed("/api/gateway_groups"), Of(Group), Fixed("/service_registries")])
        .filtered(&[Group]);
    CustomPlugin = Spec::new("customPlugin", "a plugin of your own", "lgcrd")
        .at(&[Fixed("/api/custom_plugins")]).grouped().optional(&[Group]);
    Ssl = Spec::new("ssl", "a certificate with its host names, as APISIX knows it", "lgcrd")
        .at(&[Fixed("/apisix/admin/ssls")]).grouped();
    Proto = Spec::new("proto", "a protobuf definition", "lgcrd")
        .at(&[Fixed("/apisix/admin/protos")]).grouped();
    Plugin = Spec::new("plugin", "the names of the plugins that there are", "l")
        .at(&[Fixed("/apisix/admin/plugins/list")]).grouped();
    PluginSchema = Spec::new("pluginSchema", "the JSON Schema of a plugin's settings; its id is the plugin's name", "g")
        .at(&[Fixed("/apisix/admin/plugins")]).grouped();
    RouteTemplate = Spec::new("routeTemplate", "a route of a service template", "lgcrpd")
        .at(&[Fixed("/api/routes/template")]).filtered(&[Service]).optional(&[Service]).with_plugins();
    StreamRouteTemplate = Spec::new("streamRouteTemplate", "a TCP or UDP route of a service template", "lgcrpd")
        .at(&[Fixed("/api/stream_routes/template")]).filtered(&[Service]).optional(&[Service]).with_plugins();
    ServiceVersion = Spec::new("serviceVersion", "a published version of a service", "g")
        .at(&[Fixed("/api/service_versions")]);
    Role = Spec::new("role", "what its users may do, as a set of permission policies", "lgcrd")
        .at(&[Fixed("/api/roles")]);
    User = Spec::new("user", "a user of the dashboard", "lgd").at(&[Fixed("/api/users")]);
    PermissionPolicy = Spec::new("permissionPolicy", "what is allowed or denied", "lgcrd")
        .at(&[Fixed("/api/permission_policies")]);
    AlertPolicy = Spec::new("alertPolicy", "when somebody is alerted", "lgcrpd")
        .at(&[Fixed("/api/alert/policies")]);
    AlertHistory = Spec::new("alertHistory", "the alerts that there were", "l")
        .at(&[Fixed("/api/alert/policies/histories")]);
    WebhookTemplate = Spec::new("webhookTemplate", "what an alert sends", "lgcrd")
        .at(&[Fixed("/api/alert/webhook_templates")]);
    AuditLog = Spec::new("auditLog", "who changed what in the dashboard", "l")
        .at(&[Fixed("/api/audit_logs")]);
    ApiProduct = Spec::new("apiProduct", "a product of the developer portal; lists take `portal_id`", "lc")
        .at(&[Fixed("/api/api_products")]);
    Subscription = Spec::new("subscription", "who subscribed to an API product", "l")
        .at(&[Fixed("/api/subscriptions")]);
    Approval = Spec::new("approval", "what waits to be accepted in the developer portal", "l")
        .at(&[Fixed("/api/approvals")]);
    SystemSettings = Spec::new("systemSettings", "the settings of the dashboard; there is one", "gr")
        .at(&[Fixed("/api/system_settings")]).single();
    CoreSchema = Spec::new("coreSchema", "the JSON Schemas of the resources; there is one", "g")
        .at(&[Fixed("/api/schema/core")]).single();
    Version = Spec::new("version", "the version of the dashboard; there is one", "g")
        .at(&[Fixed("/api/version")]).single();
}

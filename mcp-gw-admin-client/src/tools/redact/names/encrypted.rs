//! What APISIX and API7 Enterprise store encrypted: the `encrypt_fields` of their plugins, with older names.

/// Sorted by name.
const FIELDS: [(&str, &[&str]); 48] = [
    ("ai-aliyun-content-moderation", &["access_key_secret"]),
    (
        "ai-aws-content-moderation",
        &["comprehend.secret_access_key"],
    ),
    (
        "ai-cache",
        &[
            "redis_password",
            "semantic.embedding.openai.api_key",
            "semantic.embedding.azure_openai.api_key",
        ],
    ),
    ("ai-lakera-guard", &["api_key"]),
    ("ai-proxy", AI),
    (
        "ai-proxy-multi",
        &[
            "instances.auth.header",
            "instances.auth.query",
            "instances.auth.gcp.service_account_json",
            "instances.auth.aws.secret_access_key",
            "instances.auth.aws.session_token",
        ],
    ),
    (
        "ai-rag",
        &[
            "embeddings_provider.azure_openai.api_key",
            "vector_search_provider.azure_ai_search.api_key",
        ],
    ),
    ("ai-rate-limiting", REDIS),
    ("ai-request-rewrite", AI),
    ("authz-casdoor", &["client_secret"]),
    ("authz-keycloak", &["client_secret", "password"]),
    (
        "aws-lambda",
        &[
            "authorization.apikey",
            "authorization.iam.accesskey",
            "authorization.iam.secretkey",
        ],
    ),
    (
        "azure-functions",
        &["authorization.apikey", "master_apikey"],
    ),
    ("basic-auth", &["password"]),
    ("cas-auth", &["cookie.secret"]),
    ("clickhouse-logger", &["password"]),
    ("csrf", &["key"]),
    (
        "dingtalk-auth",
        &["app_secret", "secret", "secret_fallbacks"],
    ),
    ("elasticsearch-logger", &["auth.password", "headers"]),
    (
        "error-log-logger",
        &["clickhouse.password", "kafka.brokers.sasl_config.password"],
    ),
    ("feishu-auth", &["app_secret", "secret", "secret_fallbacks"]),
    ("google-cloud-logging", &["auth_config.private_key"]),
    ("graphql-limit-count", REDIS),
    ("hmac-auth", &["secret_key", "access_key"]),
    ("http-logger", &["auth_header"]),
    ("jwe-decrypt", &["key", "secret"]),
    ("jwt-auth", &["secret", "private_key"]),
    ("kafka-logger", &["brokers.sasl_config.password"]),
    ("kafka-proxy", &["sasl.password"]),
    ("key-auth", &["key"]),
    ("lago", &["token"]),
    ("ldap-auth", &["ldap_password"]),
    ("ldap-auth-advanced", &["ldap_password"]),
    ("limit-conn", REDIS),
    ("limit-count", REDIS),
    ("limit-count-advanced", REDIS),
    ("limit-req", REDIS),
    ("loggly", &["customer_token"]),
    ("loki-logger", &["headers"]),
    ("openfunction", &["authorization.service_token"]),
    ("openid-connect", OPENID),
    ("opentelemetry", &["collector.request_headers"]),
    ("openwhisk", &["service_token"]),
    ("rocketmq-logger", &["secret_key", "access_key"]),
    (
        "saml-auth",
        &["sp_private_key", "secret", "secret_fallbacks"],
    ),
    ("sls-logger", &["access_key_secret"]),
    ("splunk-hec-logging", &["endpoint.token"]),
    ("tencent-cloud-cls", &["secret_key"]),
];

const AI: &[&str] = &[
    "auth.header",
    "auth.query",
    "auth.gcp.service_account_json",
    "auth.aws.secret_access_key",
    "auth.aws.session_token",
];

const REDIS: &[&str] = &["redis_password", "sentinel_password"];

const OPENID: &[&str] = &[
    "client_secret",
    "client_rsa_private_key",
    "dpop.private_key",
    "session.secret",
    "session.redis.password",
];

/// What is secret in the settings of a plugin, as paths.
pub(crate) fn of(plugin: &str) -> Option<&'static [&'static str]> {
    let found = FIELDS.binary_search_by_key(&plugin, |(name, _)| name);
    found
        .ok()
        .and_then(|at| FIELDS.get(at))
        .map(|(_, fields)| *fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_plugin_is_found() {
        for (name, fields) in FIELDS {
            assert_eq!(of(name), Some(fields), "{name}");
        }
        assert_eq!(of("prometheus"), None);
    }
}

//! What the file asks for and the gateway does not do yet: said when it starts, never passed over.

use super::file::{AuditLogging, AuditStorage, AuthMethod, Security, SeedFile};
use super::translate::{Found, below, monitoring};
use crate::config::check::Checker;
use crate::config::path::ConfigPath;

/// Remarks about keys that are looked at and change nothing, and what is wrong with their values.
pub(super) fn not_active<'f>(checker: &mut Checker<'_>, file: &'f SeedFile) {
    let root = ConfigPath::root();
    let gateway = root.key("api_gateway");
    let inner = &file.api_gateway;
    let of_security = |path: &ConfigPath, security: Option<&'f Security>| {
        let audit = security.and_then(|it| it.audit_logging.as_ref());
        (path.key("security").key("audit_logging"), audit)
    };
    let audits = [
        (root.key("audit_logging"), file.audit_logging.as_ref()),
        of_security(&root, file.security.as_ref()),
        of_security(&gateway, inner.security.as_ref()),
        (gateway.key("audit_logging"), inner.audit_logging.as_ref()),
    ];
    if let Some(Found { path, value }) = Found::one(checker, audits) {
        audit(checker, value, &path);
    }
    // Two of them are told of where they are translated.
    let monitoring = monitoring(&mut Checker::nowhere(), file);
    let monitoring = monitoring.as_ref();
    let alerts = [
        (root.key("alerts"), file.alerts.as_ref()),
        below(monitoring, "alerts", |it| it.alerts.as_ref()),
        (gateway.key("alerts"), inner.alerts.as_ref()),
    ];
    if let Some(Found { path, value }) = Found::one(checker, alerts) {
        let set = [
            ("high_error_rate", value.high_error_rate.is_some()),
            ("high_latency", value.high_latency.is_some()),
            (
                "rate_limit_exceeded",
                value.rate_limit_exceeded == Some(true),
            ),
        ];
        for (key, _) in set.into_iter().filter(|(_, is_set)| *is_set) {
            let message = "not active yet: nobody is alerted";
            let help = "let Prometheus alert by the metrics of the gateway";
            checker.remark(&path.key(key), message, help);
        }
    }
}

/// A method that no caller can use.
pub(super) fn method(checker: &mut Checker<'_>, method: AuthMethod, path: &ConfigPath) {
    if method == AuthMethod::Oauth2 {
        let message = "not active yet: this file names no issuer of such tokens";
        let help = "describe it in `auth.jwt` of mcp-gw.yaml; tokens that are signed with \
                    `jwt_secret` are `bearer_token`";
        checker.remark(path, message, help);
    }
}

fn audit(checker: &mut Checker<'_>, audit: &AuditLogging, path: &ConfigPath) {
    if !audit.enabled {
        let message = "not active: what happens is always written to the log";
        let help = "send the log elsewhere; see docs/operations.md";
        checker.remark(&path.key("enabled"), message, help);
    }
    if audit.storage == Some(AuditStorage::Database) {
        let message = "not active yet: audit events go to the log, not to a database";
        let help = "keep the log; see docs/operations.md";
        checker.remark(&path.key("storage"), message, help);
    }
    if audit.level.is_some() {
        let message = "not active yet: audit events of all levels go to the log";
        let help = "`--log` says what of the log is shown";
        checker.remark(&path.key("level"), message, help);
    }
    let at = path.key("retention");
    match audit.retention.as_deref() {
        Some(text) if is_retention(text) => {
            let message = "not active yet: how long audit events are kept is a matter of the log";
            checker.remark(&at, message, "let what keeps the log remove them");
        }
        Some(text) => {
            let message = format!("{} is not a time to keep events", checker.shown(&at, text));
            let help = "write a whole number with one of the units s m h d w y, such as `90d`";
            checker.fault(&at, message, help);
        }
        None => {}
    }
}

/// A whole number above zero with a unit.
fn is_retention(text: &str) -> bool {
    let number = text.strip_suffix(['s', 'm', 'h', 'd', 'w', 'y']);
    let is_digits = |number: &&str| number.bytes().all(|byte| byte.is_ascii_digit());
    let number = number.filter(is_digits).map(str::parse::<u32>);
    number.is_some_and(|number| number.is_ok_and(|number| number > 0))
}

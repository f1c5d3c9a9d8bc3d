//! Which values a store takes: those that every database keeps as they are.

use mcp_gw_core::RawJson;

use crate::error::{Result, StoreError};
use crate::values::{
    EnvVars, Health, InstanceSpec, KeyChange, LoadBalancer, NewInstance, NewKey, NewTemplate,
    NewUser, Pin, QuotaCharge, QuotaKey, QuotaRecord, TemplateChange, UserChange,
};

/// Longest name, in bytes. Names are in indexes, which have a bound on what they hold.
pub(crate) const NAME: usize = 256;
/// Longest name that others give, such as a URI of a resource.
const FOREIGN: usize = 2_048;
/// Longest text, in bytes.
const TEXT: usize = 65_536;
/// Longest JSON text or list, in bytes.
const JSON: usize = 1_048_576;

#[cfg(any(feature = "sqlite", feature = "postgres"))]
/// True when something of this name may be stored: what is not need not be looked for.
pub(crate) fn is_name(text: &str) -> bool {
    name("", text).is_ok()
}

/// A name of ours: not empty, and short.
pub(crate) fn name(what: &'static str, text: &str) -> Result<()> {
    if text.is_empty() {
        return Err(StoreError::invalid(what, "must not be empty"));
    }
    plain(what, text, NAME)
}

fn plain(what: &'static str, text: &str, most: usize) -> Result<()> {
    if text.len() > most {
        return Err(StoreError::invalid(
            what,
            format!("is longer than {most} bytes"),
        ));
    }
    if text.contains('\0') {
        return Err(StoreError::invalid(
            what,
            "holds the character U+0000, which no database takes",
        ));
    }
    Ok(())
}

fn text(what: &'static str, text: Option<&str>) -> Result<()> {
    text.map_or(Ok(()), |text| plain(what, text, TEXT))
}

fn list(what: &'static str, items: &[String]) -> Result<()> {
    let mut length = 0_usize;
    for item in items {
        plain(what, item, TEXT)?;
        length = length.saturating_add(item.len()).saturating_add(8);
    }
    if length > JSON {
        return Err(StoreError::invalid(what, "is longer than 1 MiB in all"));
    }
    Ok(())
}

fn object(what: &'static str, json: Option<&RawJson>) -> Result<()> {
    let Some(json) = json else { return Ok(()) };
    if !json.is_object() {
        return Err(StoreError::invalid(what, "must be a JSON object"));
    }
    if json.len() > JSON {
        return Err(StoreError::invalid(what, "is longer than 1 MiB"));
    }
    Ok(())
}

fn within(what: &'static str, number: u32, least: u32, most: u32) -> Result<()> {
    if (least..=most).contains(&number) {
        return Ok(());
    }
    Err(StoreError::invalid(
        what,
        format!("is {number} and must be from {least} to {most}"),
    ))
}

fn username(text: &str) -> Result<()> {
    name("the username", text)
}

fn email(value: Option<&str>) -> Result<()> {
    value.map_or(Ok(()), |value| plain("the email address", value, 512))
}

fn password_hash(value: &str) -> Result<()> {
    plain("the password hash", value, 4_096)
}

pub(crate) fn new_user(user: &NewUser) -> Result<()> {
    username(&user.username)?;
    email(user.email.as_deref())?;
    text("the full name", user.full_name.as_deref())?;
    password_hash(user.password_hash.expose())?;
    list("the list of roles", &user.roles)?;
    list("the list of groups", &user.groups)
}

pub(crate) fn user_change(change: &UserChange) -> Result<()> {
    change.username.as_set().map_or(Ok(()), |it| username(it))?;
    let set = change.email.as_set();
    set.map_or(Ok(()), |it| email(it.as_deref()))?;
    let set = change.full_name.as_set();
    set.map_or(Ok(()), |it| text("the full name", it.as_deref()))?;
    let set = change.password_hash.as_set();
    set.map_or(Ok(()), |it| password_hash(it.expose()))?;
    let set = change.roles.as_set();
    set.map_or(Ok(()), |it| list("the list of roles", it))?;
    let set = change.groups.as_set();
    set.map_or(Ok(()), |it| list("the list of groups", it))
}

fn public_id(value: &str) -> Result<()> {
    name("the public id of the key", value)
}

pub(crate) fn new_key(key: &NewKey) -> Result<()> {
    public_id(&key.public_id)?;
    name("the name of the key", &key.name)?;
    text("the description", key.description.as_deref())?;
    list("the list of scopes", &key.scopes)
}

pub(crate) fn key_change(change: &KeyChange) -> Result<()> {
    let set = change.name.as_set();
    set.map_or(Ok(()), |it| name("the name of the key", it))?;
    let set = change.description.as_set();
    set.map_or(Ok(()), |it| text("the description", it.as_deref()))?;
    let set = change.scopes.as_set();
    set.map_or(Ok(()), |it| list("the list of scopes", it))?;
    change.public_id.as_set().map_or(Ok(()), |it| public_id(it))
}

fn load_balancer(value: &LoadBalancer) -> Result<()> {
    within("health_check_interval", value.health_check_interval, 5, 300)?;
    within("max_retries", value.max_retries, 1, 10)?;
    within("pool_size", value.pool_size, 1, 20)?;
    within("timeout", value.timeout, 5, 300)
}

pub(crate) fn template_name(value: &str) -> Result<()> {
    name("the name of the template", value)
}

pub(crate) fn new_template(template: &NewTemplate) -> Result<()> {
    template_name(&template.name)?;
    text("the description", template.description.as_deref())?;
    load_balancer(&template.load_balancer)
}

pub(crate) fn template_change(change: &TemplateChange) -> Result<()> {
    let set = change.description.as_set();
    set.map_or(Ok(()), |it| text("the description", it.as_deref()))?;
    change.load_balancer.as_set().map_or(Ok(()), load_balancer)
}

fn env_vars(variables: Option<&EnvVars>) -> Result<()> {
    let what = "the list of variables";
    let Some(variables) = variables else {
        return Ok(());
    };
    let mut length = 0_usize;
    for (key, value) in variables.expose() {
        plain(what, key, TEXT)?;
        plain(what, value, TEXT)?;
        length = length.saturating_add(key.len()).saturating_add(value.len());
    }
    if length > JSON {
        return Err(StoreError::invalid(what, "is longer than 1 MiB in all"));
    }
    Ok(())
}

pub(crate) fn spec(spec: &InstanceSpec) -> Result<()> {
    for (what, value) in [
        ("the endpoint", &spec.endpoint),
        ("the container_id", &spec.container_id),
        ("the deployment_id", &spec.deployment_id),
        ("the namespace", &spec.namespace),
        ("the working_dir", &spec.working_dir),
    ] {
        text(what, value.as_deref())?;
    }
    list("the command", spec.command.as_deref().unwrap_or_default())?;
    env_vars(spec.env_vars.as_ref())?;
    object("the instance_metadata", spec.instance_metadata.as_ref())?;
    object("the config", spec.config.as_ref())
}

pub(crate) fn health(health: &Health) -> Result<()> {
    text("the last error", health.last_error.as_deref())
}

pub(crate) fn new_instance(instance: &NewInstance) -> Result<()> {
    name("the id of the instance", &instance.id)?;
    template_name(&instance.template_name)?;
    spec(&instance.spec)?;
    health(&instance.health)
}

pub(crate) fn pins(server: &str, pins: &[Pin]) -> Result<()> {
    name("the name of the server", server)?;
    let mut seen = std::collections::BTreeSet::new();
    for pin in pins {
        name("the kind of a pin", &pin.kind)?;
        plain("the name of a pin", &pin.name, FOREIGN)?;
        plain("the digest of a pin", &pin.digest, NAME)?;
        let definition = pin.definition.as_deref();
        definition.map_or(Ok(()), |it| plain("the definition of a pin", it, JSON))?;
        if !seen.insert((&pin.kind, &pin.name)) {
            return Err(StoreError::invalid(
                "the list of pins",
                "has one name twice",
            ));
        }
    }
    Ok(())
}

pub(crate) fn token_id(value: &str) -> Result<()> {
    name("the id of the token", value)
}

/// A number that every database can count to.
pub(crate) fn count(number: u64) -> Result<i64> {
    i64::try_from(number).map_err(|_| StoreError::invalid("a number of units", "is above 2^63 - 1"))
}

fn distinct<'k>(keys: impl Iterator<Item = &'k QuotaKey>) -> Result<()> {
    let mut seen = std::collections::BTreeSet::new();
    for key in keys {
        if !seen.insert(key) {
            return Err(StoreError::invalid(
                "the list of quotas",
                "has one key twice",
            ));
        }
    }
    Ok(())
}

pub(crate) fn charges(charges: &[QuotaCharge]) -> Result<()> {
    for charge in charges {
        count(charge.cost)?;
        count(charge.max)?;
    }
    distinct(charges.iter().map(|charge| &charge.key))
}

pub(crate) fn records(records: &[QuotaRecord]) -> Result<()> {
    for record in records {
        count(record.used)?;
    }
    distinct(records.iter().map(|record| &record.key))
}

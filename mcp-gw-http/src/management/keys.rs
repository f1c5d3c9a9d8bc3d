//! API keys.

use axum::http::{Method, StatusCode};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use mcp_gw_server::identity::{IdentityError, IssuedKey, KeyOrder, Scope};
use mcp_gw_server::store::{ApiKey, KeyId, Time, UserId};

use super::accounts::of_page;
use super::ask::{Ask, Reply};
use super::fault::Fault;
use super::shapes::{KeyShown, NewKey, PageOf};
use super::table::{Need, Operation, PAGE, Param};

const ADMIN: Need = Need::Scope(Scope::Admin);

/// What there is about keys.
pub(super) fn table() -> Vec<Operation> {
    const ONE: &str = "/auth/api-keys/{key_id}";
    const OF: [Param; 1] = [Param {
        name: "user_id",
        about: "Only those of this user",
        kind: "integer",
    }];
    vec![
        Operation::new(
            (Method::POST, "/auth/api-keys", "create_key"),
            ADMIN,
            "Make a key; its text is told once",
            create_key,
        )
        .takes::<NewKey>()
        .gives::<KeyShown>(StatusCode::CREATED)
        .fails(&[404]),
        Operation::new(
            (Method::GET, "/auth/api-keys", "list_keys"),
            Need::Anybody,
            "Keys: the own ones, or for admins all",
            list_keys,
        )
        .query(&PAGE)
        .query(&OF)
        .gives::<PageOf<KeyShown>>(StatusCode::OK)
        .fails(&[404]),
        Operation::new(
            (Method::GET, ONE, "get_key"),
            Need::Anybody,
            "A key",
            get_key,
        )
        .gives::<KeyShown>(StatusCode::OK),
        Operation::new(
            (Method::POST, "/auth/api-keys/{key_id}/rotate", "rotate_key"),
            Need::Anybody,
            "Exchange the text of a key; the old one ends at once",
            rotate_key,
        )
        .gives::<KeyShown>(StatusCode::OK)
        .conditional()
        .fails(&[409]),
        Operation::new(
            (Method::POST, "/auth/api-keys/{key_id}/revoke", "revoke_key"),
            Need::Anybody,
            "End a key for good, and keep what is known of it",
            revoke_key,
        )
        .gives::<KeyShown>(StatusCode::OK),
        Operation::new(
            (Method::DELETE, ONE, "delete_key"),
            Need::Anybody,
            "Remove a key",
            delete_key,
        )
        .gives_nothing(),
    ]
    .into_iter()
    .map(|row| row.tag("api keys"))
    .collect()
}

/// An ISO time; of UTC if it names no zone, and the beginning of a day that names no hour.
pub(super) fn moment(text: &str) -> Option<Time> {
    let micros = DateTime::parse_from_rfc3339(text).map(|time| time.timestamp_micros());
    let micros = micros.or_else(|_| {
        let time = NaiveDateTime::parse_from_str(text, "%Y-%m-%dT%H:%M:%S%.f");
        let time = time.or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f"));
        time.map(|time| time.and_utc().timestamp_micros())
    });
    let micros = micros.ok().or_else(|| {
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
        Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
    });
    micros.map(Time::from_micros)
}

async fn create_key(ask: Ask) -> Result<Reply, Fault> {
    let by = ask.principal()?;
    let new: NewKey = ask.json()?;
    let is_named_permissions = new.permissions.is_some();
    let scopes = match (new.permissions, new.scopes) {
        (Some(one), Some(other)) if one != other => {
            let says = "It says something else than `permissions`: give one of them";
            return Err(Fault::at(&["body", "scopes"], says, "value_error"));
        }
        (one, other) => one.or(other).unwrap_or_default(),
    };
    let mut order = KeyOrder::new(new.name);
    order.user_id = new.user_id.map(UserId::new);
    order.description = new.description;
    order.scopes = scopes;
    order.is_active = new.is_active;
    if let Some(text) = new.expires_at {
        let wrong = || {
            Fault::at(
                &["body", "expires_at"],
                "Input should be an ISO time",
                "datetime_parsing",
            )
        };
        order.expires_at = Some(moment(&text).ok_or_else(wrong)?);
    }
    let made = ask.api.identity.create_key(&by, order).await;
    let made = made.map_err(|error| match Fault::from(error) {
        fault if is_named_permissions => fault.renamed("scopes", "permissions"),
        fault => fault,
    })?;
    ask.is_about(made.key.id.to_string());
    issued(StatusCode::CREATED, made)
}

fn issued(status: StatusCode, issued: IssuedKey) -> Result<Reply, Fault> {
    let revision = issued.key.revision;
    let shown = KeyShown::from(issued.key).with_text(issued.text.expose().clone());
    Ok(Reply::json(status, &shown)?.at(revision))
}

fn key_reply(key: ApiKey) -> Result<Reply, Fault> {
    let revision = key.revision;
    Ok(Reply::ok(&KeyShown::from(key))?.at(revision))
}

fn key_id(ask: &Ask) -> Result<KeyId, Fault> {
    ask.number("key_id").map(KeyId::new)
}

async fn list_keys(ask: Ask) -> Result<Reply, Fault> {
    let by = ask.principal()?;
    let of = match ask.asked("user_id")? {
        None => None,
        Some(text) => {
            let wrong = |_| {
                Fault::at(
                    &["query", "user_id"],
                    "Input should be a whole number",
                    "int_parsing",
                )
            };
            Some(UserId::new(text.parse().map_err(wrong)?))
        }
    };
    let keys = ask.api.identity.keys(&by, of, &ask.page()?).await;
    Reply::ok(&PageOf::<KeyShown>::of(keys.map_err(of_page)?))
}

async fn get_key(ask: Ask) -> Result<Reply, Fault> {
    let (by, id) = (ask.principal()?, key_id(&ask)?);
    key_reply(ask.api.identity.key(&by, id).await?)
}

async fn rotate_key(ask: Ask) -> Result<Reply, Fault> {
    let (by, id) = (ask.principal()?, key_id(&ask)?);
    let expected = ask.expected()?;
    let rotated = ask.api.identity.rotate_key(&by, id, expected).await;
    let rotated = rotated.map_err(|error| match error {
        IdentityError::Changed if expected.is_none() => {
            let detail = "The key was changed at the same time: try again";
            Fault::new(StatusCode::CONFLICT, "CONFLICT", detail)
        }
        error => error.into(),
    });
    issued(StatusCode::OK, rotated?)
}

async fn revoke_key(ask: Ask) -> Result<Reply, Fault> {
    let (by, id) = (ask.principal()?, key_id(&ask)?);
    key_reply(ask.api.identity.revoke_key(&by, id).await?)
}

async fn delete_key(ask: Ask) -> Result<Reply, Fault> {
    let (by, id) = (ask.principal()?, key_id(&ask)?);
    ask.api.identity.delete_key(&by, id).await?;
    Ok(Reply::nothing())
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn times_are_read_as_clients_write_them() {
        let told = |text| moment(text).map(|time| time.to_string());
        for (text, time) in [
            ("2030-01-02T03:04:05Z", "2030-01-02T03:04:05.000Z"),
            ("2030-01-02T03:04:05+01:00", "2030-01-02T02:04:05.000Z"),
            ("2030-01-02T03:04:05", "2030-01-02T03:04:05.000Z"),
            ("2030-01-02T03:04:05.250", "2030-01-02T03:04:05.250Z"),
            ("2030-01-02", "2030-01-02T00:00:00.000Z"),
        ] {
            assert_eq!(told(text).as_deref(), Some(time), "{text}");
        }
        for text in ["", "tomorrow", "2030-13-01", "1", "2030-01-02T25:00:00Z"] {
            assert_eq!(told(text), None, "{text}");
        }
    }
}

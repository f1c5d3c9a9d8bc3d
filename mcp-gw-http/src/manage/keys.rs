//! `keys`: API keys.

use clap::{Args, Subcommand};
use futures_util::TryStreamExt as _;
use serde_json::Value;

use super::said::{facts, json, or_dash, table, yes};
use super::session::Session;
use super::{Result, users};
use crate::client::{ApiKey, IssuedKey, KeyQuery, NewKey};

/// What is done.
#[derive(Debug, Subcommand)]
pub(crate) enum Keys {
    /// List them: the own ones, or for admins all
    List {
        /// Only those of this user, by name or id
        #[arg(long, value_name = "USER")]
        user: Option<String>,
    },
    /// Show what is known of one
    Show(One),
    /// Make one; it is shown once
    Create(New),
    /// Give one another text, which is shown once; the old one is good no more
    Rotate(One),
    /// End one for good, and keep what is known of it
    Revoke(One),
    /// Remove one
    Delete(One),
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The id
    #[arg(value_name = "ID")]
    id: i64,
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// What it is called
    #[arg(value_name = "NAME")]
    name: String,

    /// What it may do: gateway:read, gateway:write, tools:call or admin; may be given again
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<String>,

    /// Whose it is, by name or id; one's own if not given
    #[arg(long, value_name = "USER")]
    user: Option<String>,

    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,

    /// When it ends, as 2030-12-31 or an ISO time
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
}

pub(super) async fn run(session: &Session, what: &Keys) -> Result {
    let client = &session.client;
    match what {
        Keys::List { user } => list(session, user.as_deref()).await,
        Keys::Show(one) => show(session, &client.get_key(one.id).await?),
        Keys::Create(new) => create(session, new).await,
        Keys::Rotate(one) => issued(session, &client.rotate_key(one.id).await?),
        Keys::Revoke(one) => show(session, &client.revoke_key(one.id).await?),
        Keys::Delete(one) => {
            client.delete_key(one.id).await?;
            Ok(format!("key {} is removed", one.id).into())
        }
    }
}

async fn create(session: &Session, new: &New) -> Result {
    let mut key = NewKey::new(&new.name, new.scopes.iter());
    if let Some(user) = &new.user {
        key.user_id = Some(users::id_of(session, user).await?);
    }
    key.description.clone_from(&new.description);
    key.expires_at.clone_from(&new.expires);
    issued(session, &session.client.create_key(&key).await?)
}

async fn list(session: &Session, user: Option<&str>) -> Result {
    let query = match user {
        Some(user) => KeyQuery::of_user(users::id_of(session, user).await?),
        None => KeyQuery::default(),
    };
    let keys: Vec<ApiKey> = session.client.keys(query).try_collect().await?;
    if session.is_json {
        return json(&keys);
    }
    let rows: Vec<Vec<String>> = keys
        .iter()
        .map(|key| {
            vec![
                key.id.to_string(),
                key.name.clone(),
                key.user_id.to_string(),
                yes(key.is_active),
                key.permissions.join(","),
                or_dash(key.expires_at.as_deref()),
                or_dash(key.last_used.as_deref()),
            ]
        })
        .collect();
    let names = ["id", "name", "user", "active", "scopes", "expires", "used"];
    Ok(table(&names, &rows).into())
}

fn known(key: &ApiKey) -> String {
    facts(&[
        ("id", key.id.to_string()),
        ("name", key.name.clone()),
        ("user", key.user_id.to_string()),
        ("description", key.description.clone().unwrap_or_default()),
        ("active", yes(key.is_active)),
        ("scopes", key.permissions.join(", ")),
        ("made", key.created_at.clone()),
        ("expires", key.expires_at.clone().unwrap_or_default()),
        ("revoked", key.revoked_at.clone().unwrap_or_default()),
        ("used", key.last_used.clone().unwrap_or_default()),
    ])
}

fn show(session: &Session, key: &ApiKey) -> Result {
    if session.is_json {
        return json(key);
    }
    Ok(known(key).into())
}

fn issued(session: &Session, issued: &IssuedKey) -> Result {
    let text = issued.key.expose();
    if session.is_json {
        let mut value = serde_json::to_value(&issued.record)
            .map_err(|error| format!("this cannot be written as JSON: {error}"))?;
        if let Some(members) = value.as_object_mut() {
            members.insert("key".to_owned(), Value::String(text.clone()));
        }
        return json(&value);
    }
    let known = known(&issued.record);
    let key = facts(&[("key", text.clone())]);
    Ok(format!("{known}\n{key}\nKeep the key now: it is not shown again.").into())
}

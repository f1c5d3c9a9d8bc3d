//! `users`: who may log in.

use clap::{Args, Subcommand};
use futures_util::{StreamExt as _, TryStreamExt as _};

use super::said::{facts, json, plain, table, yes};
use super::session::Session;
use super::{Result, secrets};
use crate::client::{NewUser, User, UserChange, UserQuery};

const NEW_PASSWORD: &str = "MCP_GW_NEW_PASSWORD";

/// What is done.
#[derive(Debug, Subcommand)]
pub(crate) enum Users {
    /// List them
    List,
    /// Show one
    Show(One),
    /// Make one; the password is in `$MCP_GW_NEW_PASSWORD`, or asked for
    Create(New),
    /// Change what is known of one
    Update {
        #[command(flatten)]
        user: One,

        #[command(flatten)]
        to: To,
    },
    /// Set the password; all tokens of the user end
    SetPassword {
        #[command(flatten)]
        user: One,

        #[command(flatten)]
        from: NewPassword,
    },
    /// Let a user log in and use keys again
    Enable(One),
    /// Let a user neither log in nor use keys; all tokens end
    Disable(One),
    /// End all tokens of a user
    Logout(One),
    /// Remove one, with all keys
    Delete(One),
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The name or the id
    #[arg(value_name = "USER")]
    user: String,
}

#[derive(Debug, Args)]
pub(crate) struct NewPassword {
    /// Read the new password from a line of standard input (the one after that of --password-stdin)
    #[arg(long)]
    new_password_stdin: bool,
}

impl NewPassword {
    fn read(&self) -> std::result::Result<mcp_gw_core::Secret<String>, String> {
        secrets::password(
            NEW_PASSWORD,
            self.new_password_stdin,
            "--new-password-stdin",
            "new password",
        )
    }
}

#[derive(Debug, Args)]
pub(crate) struct New {
    /// The name
    #[arg(value_name = "NAME")]
    name: String,

    #[command(flatten)]
    from: NewPassword,

    /// An address
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,

    /// The name in full
    #[arg(long, value_name = "TEXT")]
    full_name: Option<String>,

    /// A role, for the policy; may be given again
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,

    /// A group, for the policy; may be given again
    #[arg(long = "group", value_name = "GROUP")]
    groups: Vec<String>,

    /// Everything is allowed
    #[arg(long)]
    superuser: bool,
}

#[derive(Debug, Args)]
pub(crate) struct To {
    /// An address; empty takes it away
    #[arg(long, value_name = "ADDRESS")]
    email: Option<String>,

    /// The name in full; empty takes it away
    #[arg(long, value_name = "TEXT")]
    full_name: Option<String>,

    /// All roles: may be given again; an empty one alone is none
    #[arg(long = "role", value_name = "ROLE")]
    roles: Option<Vec<String>>,

    /// All groups: may be given again; an empty one alone is none
    #[arg(long = "group", value_name = "GROUP")]
    groups: Option<Vec<String>>,

    /// Whether everything is allowed
    #[arg(long, value_name = "true|false")]
    superuser: Option<bool>,
}

/// What is given, where empty is nothing.
pub(super) fn filled(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn all(words: &[String]) -> Vec<String> {
    let words = words.iter().filter(|word| !word.is_empty());
    words.cloned().collect()
}

impl To {
    fn change(&self) -> UserChange {
        UserChange {
            email: self.email.as_deref().map(filled),
            full_name: self.full_name.as_deref().map(filled),
            roles: self.roles.as_deref().map(all),
            groups: self.groups.as_deref().map(all),
            is_superuser: self.superuser,
            ..UserChange::default()
        }
    }
}

pub(super) async fn run(session: &Session, what: &Users) -> Result {
    let client = &session.client;
    let mut change = UserChange::default();
    let user = match what {
        Users::List => return list(session).await,
        Users::Show(one) => client.get_user(id(session, one).await?).await?,
        Users::Create(new) => client.create_user(&made(new)?).await?,
        Users::Update { user, to } => {
            let id = id(session, user).await?;
            client.update_user(id, &to.change(), None).await?
        }
        Users::SetPassword { user, from } => {
            let id = id(session, user).await?;
            change.password = Some(from.read()?);
            client.update_user(id, &change, None).await?
        }
        Users::Enable(one) | Users::Disable(one) => {
            change.is_active = Some(matches!(what, Users::Enable(_)));
            let id = id(session, one).await?;
            client.update_user(id, &change, None).await?
        }
        Users::Logout(one) => {
            client.end_tokens(id(session, one).await?).await?;
            return Ok(format!("all tokens of {} ended", plain(&one.user)).into());
        }
        Users::Delete(one) => {
            client.delete_user(id(session, one).await?, None).await?;
            return Ok(format!("{} is removed, with all keys", plain(&one.user)).into());
        }
    };
    show(session, &user)
}

fn made(new: &New) -> Result<NewUser> {
    let mut user = NewUser::new(&new.name, new.from.read()?);
    user.email.clone_from(&new.email);
    user.full_name.clone_from(&new.full_name);
    user.roles.clone_from(&new.roles);
    user.groups.clone_from(&new.groups);
    user.is_superuser = new.superuser;
    Ok(user)
}

/// The id of a user who may be named.
pub(super) async fn id_of(session: &Session, user: &str) -> Result<i64> {
    if let Ok(id) = user.parse() {
        return Ok(id);
    }
    let mut users = Box::pin(session.client.users(UserQuery::default()));
    while let Some(one) = users.next().await {
        let one = one?;
        if one.username.to_lowercase() == user.to_lowercase() {
            return Ok(one.id);
        }
    }
    Err(format!("there is no user {}: see `users list`", plain(user)).into())
}

async fn id(session: &Session, one: &One) -> Result<i64> {
    id_of(session, &one.user).await
}

async fn list(session: &Session) -> Result {
    let users = session.client.users(UserQuery::default());
    let users: Vec<User> = users.try_collect().await?;
    if session.is_json {
        return json(&users);
    }
    let rows: Vec<Vec<String>> = users
        .iter()
        .map(|user| {
            vec![
                user.id.to_string(),
                user.username.clone(),
                yes(user.is_active),
                yes(user.is_superuser),
                user.roles.join(","),
            ]
        })
        .collect();
    Ok(table(&["id", "name", "active", "superuser", "roles"], &rows).into())
}

fn show(session: &Session, user: &User) -> Result {
    if session.is_json {
        return json(user);
    }
    Ok(facts(&[
        ("id", user.id.to_string()),
        ("name", user.username.clone()),
        ("full name", user.full_name.clone().unwrap_or_default()),
        ("email", user.email.clone().unwrap_or_default()),
        ("active", yes(user.is_active)),
        ("superuser", yes(user.is_superuser)),
        ("roles", user.roles.join(", ")),
        ("groups", user.groups.join(", ")),
        ("made", user.created_at.clone()),
    ])
    .into())
}

//! Who people are: logins and users.

use axum::http::{Method, StatusCode};
use mcp_gw_core::Secret;
use mcp_gw_server::identity::{AccountChange, IdentityError, NewAccount, Principal, Scope};
use mcp_gw_server::store::{Edit, KeyId, User, UserFilter, UserId};

use super::ask::{Ask, Reply};
use super::body;
use super::fault::Fault;
use super::shapes::{LoginForm, Me, NewUser, PageOf, PasswordChange, Token, UserPatch, UserShown};
use super::table::{Need, Operation, PAGE, Param};

const ADMIN: Need = Need::Scope(Scope::Admin);

/// What there is about logins and users.
pub(super) fn table() -> Vec<Operation> {
    let mut table = sessions();
    table.extend(users());
    table
}

fn sessions() -> Vec<Operation> {
    vec![
        Operation::new(
            (Method::POST, "/auth/login", "login"),
            Need::Nobody,
            "Log in",
            login,
        )
        .takes_form::<LoginForm>()
        .gives::<Token>(StatusCode::OK)
        .fails(&[401]),
        Operation::new(
            (Method::POST, "/auth/logout", "logout"),
            Need::Anybody,
            "End the token that this is asked with",
            logout,
        )
        .gives_nothing(),
        Operation::new(
            (Method::GET, "/auth/me", "me"),
            Need::Anybody,
            "Who asks, and what they may do",
            me,
        )
        .gives::<Me>(StatusCode::OK),
        Operation::new(
            (Method::POST, "/auth/password", "change_password"),
            Need::Anybody,
            "Change the own password; all own tokens end",
            change_password,
        )
        .takes::<PasswordChange>()
        .gives_nothing(),
    ]
    .into_iter()
    .map(|row| row.tag("auth"))
    .collect()
}

fn users() -> Vec<Operation> {
    const ONE: &str = "/auth/users/{user_id}";
    const FILTERS: [Param; 2] = [
        Param {
            name: "is_active",
            about: "Only those who are active, or not",
            kind: "boolean",
        },
        Param {
            name: "is_superuser",
            about: "Only superusers, or none of them",
            kind: "boolean",
        },
    ];
    vec![
        Operation::new(
            (Method::POST, "/auth/users", "create_user"),
            ADMIN,
            "Make a user",
            create_user,
        )
        .takes::<NewUser>()
        .gives::<UserShown>(StatusCode::CREATED)
        .fails(&[409]),
        Operation::new(
            (Method::GET, "/auth/users", "list_users"),
            ADMIN,
            "Users",
            list_users,
        )
        .query(&PAGE)
        .query(&FILTERS)
        .gives::<PageOf<UserShown>>(StatusCode::OK),
        Operation::new(
            (Method::GET, ONE, "get_user"),
            Need::Anybody,
            "A user: oneself, or for admins anybody",
            get_user,
        )
        .gives::<UserShown>(StatusCode::OK),
        Operation::new(
            (Method::PATCH, ONE, "update_user"),
            ADMIN,
            "Change a user",
            update_user,
        )
        .takes::<UserPatch>()
        .gives::<UserShown>(StatusCode::OK)
        .conditional()
        .fails(&[409]),
        Operation::new(
            (Method::DELETE, ONE, "delete_user"),
            ADMIN,
            "Remove a user, with all keys",
            delete_user,
        )
        .gives_nothing()
        .conditional()
        .fails(&[409]),
        Operation::new(
            (Method::POST, "/auth/users/{user_id}/logout", "end_tokens"),
            ADMIN,
            "End all tokens of a user",
            end_tokens,
        )
        .gives_nothing(),
    ]
    .into_iter()
    .map(|row| row.tag("users"))
    .collect()
}

async fn login(ask: Ask) -> Result<Reply, Fault> {
    let form = body::pairs(&ask.form, "body")?;
    let username = body::needed(&form, "username", "body")?;
    ask.is_about(username);
    let password = body::needed(&form, "password", "body")?;
    if let Some(grant) = body::one(&form, "grant_type", "body")?
        && grant != "password"
    {
        let says = "Input should be `password`";
        return Err(Fault::at(&["body", "grant_type"], says, "literal_error"));
    }
    let password = Secret::new(password.to_owned());
    let issued = ask
        .api
        .identity
        .login(username, &password, ask.addr)
        .await?;
    Reply::ok(&Token {
        access_token: issued.access_token.expose().clone(),
        token_type: "bearer",
        expires_in: issued.expires_in,
    })
}

async fn logout(ask: Ask) -> Result<Reply, Fault> {
    let is_key = ask.principal()?.key_id.is_some();
    let value = ask
        .headers
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    let token = value
        .and_then(|value| value.split_once(' '))
        .map(|(_, token)| token.trim());
    let (Some(token), false) = (token, is_key) else {
        let detail = "A key does not log out: revoke it";
        return Err(Fault::new(StatusCode::BAD_REQUEST, "NOT_A_TOKEN", detail));
    };
    ask.api
        .identity
        .logout(&Secret::new(token.to_owned()))
        .await?;
    Ok(Reply::nothing())
}

async fn me(ask: Ask) -> Result<Reply, Fault> {
    let principal = Principal::of(&ask.caller);
    let user = match &principal {
        Some(principal) => Some(ask.api.identity.user(principal.user_id).await?.into()),
        None => None,
    };
    let scopes = Scope::held_by(&ask.caller);
    Reply::ok(&Me {
        kind: ask.caller.kind.as_str().to_owned(),
        id: ask.caller.id.to_string(),
        user,
        key_id: principal
            .and_then(|principal| principal.key_id)
            .map(KeyId::get),
        scopes: scopes.into_iter().map(Scope::as_str).collect(),
    })
}

async fn change_password(ask: Ask) -> Result<Reply, Fault> {
    let principal = ask.principal()?;
    if principal.key_id.is_some() {
        let detail = "A key does not change passwords: log in";
        return Err(Fault::new(StatusCode::FORBIDDEN, "NOT_A_TOKEN", detail));
    }
    let change: PasswordChange = ask.json()?;
    let (old, new) = (
        Secret::new(change.old_password),
        Secret::new(change.new_password),
    );
    let identity = &ask.api.identity;
    identity
        .change_password(principal.user_id, &old, &new)
        .await?;
    Ok(Reply::nothing())
}

fn user_reply(status: StatusCode, user: User) -> Result<Reply, Fault> {
    let revision = user.revision;
    Ok(Reply::json(status, &UserShown::from(user))?.at(revision))
}

async fn create_user(ask: Ask) -> Result<Reply, Fault> {
    let new: NewUser = ask.json()?;
    let mut account = NewAccount::new(new.username, Secret::new(new.password));
    account.email = new.email;
    account.full_name = new.full_name;
    account.is_active = new.is_active;
    account.is_superuser = new.is_superuser;
    account.roles = new.roles;
    account.groups = new.groups;
    ask.is_about(&account.username);
    user_reply(
        StatusCode::CREATED,
        ask.api.identity.create_user(account).await?,
    )
}

async fn list_users(ask: Ask) -> Result<Reply, Fault> {
    let mut filter = UserFilter::default();
    filter.is_active = ask.flag("is_active")?;
    filter.is_superuser = ask.flag("is_superuser")?;
    let users = ask.api.identity.users(&filter, &ask.page()?).await;
    Reply::ok(&PageOf::<UserShown>::of(users.map_err(of_page)?))
}

/// A cursor that is none was in the query.
pub(super) fn of_page(error: IdentityError) -> Fault {
    match error {
        IdentityError::Invalid { reason, .. } => {
            Fault::at(&["query", "cursor"], reason, "value_error")
        }
        error => error.into(),
    }
}

fn user_id(ask: &Ask) -> Result<UserId, Fault> {
    ask.number("user_id").map(UserId::new)
}

async fn get_user(ask: Ask) -> Result<Reply, Fault> {
    let id = user_id(&ask)?;
    let is_self = Principal::of(&ask.caller).is_some_and(|principal| principal.user_id == id);
    if !is_self && !ask.is_admin() {
        return Err(Fault::not_found("There is no such user"));
    }
    user_reply(StatusCode::OK, ask.api.identity.user(id).await?)
}

/// What is there is to be set.
pub(super) fn edit<T>(value: Option<T>) -> Edit<T> {
    value.map_or(Edit::Keep, Edit::Set)
}

async fn update_user(ask: Ask) -> Result<Reply, Fault> {
    let (id, expected) = (user_id(&ask)?, ask.expected()?);
    let patch: UserPatch = ask.json()?;
    let mut change = AccountChange::new();
    change.password = patch.password.map(Secret::new);
    change.email = edit(patch.email);
    change.full_name = edit(patch.full_name);
    change.is_active = edit(patch.is_active);
    change.is_superuser = edit(patch.is_superuser);
    change.roles = edit(patch.roles);
    change.groups = edit(patch.groups);
    let user = ask.api.identity.update_user(id, expected, change).await?;
    user_reply(StatusCode::OK, user)
}

async fn delete_user(ask: Ask) -> Result<Reply, Fault> {
    let (id, expected) = (user_id(&ask)?, ask.expected()?);
    ask.api.identity.delete_user(id, expected).await?;
    Ok(Reply::nothing())
}

async fn end_tokens(ask: Ask) -> Result<Reply, Fault> {
    ask.api.identity.end_tokens(user_id(&ask)?).await?;
    Ok(Reply::nothing())
}

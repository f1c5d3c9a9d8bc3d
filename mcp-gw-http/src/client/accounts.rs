//! Logins, users and keys.

use futures_util::Stream;
use http::Method;
use http::header::ETAG;
use mcp_gw_admin_client::http::Target;
use mcp_gw_core::Secret;
use serde::Serialize;

use super::asked::{KeyQuery, NewKey, NewUser, PageQuery, UserChange, UserQuery};
use super::error::{ClientError, header};
use super::paging;
use super::send::{Call, Client};
use super::told::{ApiKey, IssuedKey, Me, Page, User};

#[derive(Serialize)]
struct PasswordChange<'a> {
    old_password: &'a str,
    new_password: &'a str,
}

pub(super) fn page_of(target: Target, page: &PageQuery) -> Result<Target, ClientError> {
    let limit = page.limit.map(|limit| limit.to_string());
    let target = target.query_if("limit", limit.as_deref())?;
    Ok(target.query_if("cursor", page.cursor.as_deref())?)
}

const fn word(flag: bool) -> &'static str {
    if flag { "true" } else { "false" }
}

fn user(id: i64) -> Result<Target, ClientError> {
    Ok(Target::at("/auth/users").segment("user", &id.to_string())?)
}

fn key(id: i64) -> Result<Target, ClientError> {
    Ok(Target::at("/auth/api-keys").segment("key", &id.to_string())?)
}

/// Logins and users.
impl Client {
    /// Who asks, and what they may do.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn me(&self) -> Result<Me, ClientError> {
        self.ask(Call::get(Target::at("/auth/me"))?).await
    }

    /// Ends the token that this is asked with.
    ///
    /// # Errors
    /// `NOT_A_TOKEN` for a key.
    pub async fn logout(&self) -> Result<(), ClientError> {
        let call = Call::post(Target::at("/auth/logout"))?;
        let result = self.tell(call).await;
        self.forget_login().await;
        result
    }

    /// Changes the own password; all own tokens end.
    ///
    /// # Errors
    /// `WRONG_PASSWORD`, or a password that is not taken.
    pub async fn change_password(
        &self,
        old: &Secret<String>,
        new: &Secret<String>,
    ) -> Result<(), ClientError> {
        let body = PasswordChange {
            old_password: old.expose(),
            new_password: new.expose(),
        };
        let call = Call::send(Method::POST, Target::at("/auth/password"), &body)?;
        self.tell(call).await
    }

    async fn user_of(&self, call: Call) -> Result<User, ClientError> {
        let answer = self.answer(call).await?;
        let mut user: User = answer.read()?;
        user.etag = header(&answer.headers, ETAG.as_str()).map(str::to_owned);
        Ok(user)
    }

    /// Makes a user.
    ///
    /// # Errors
    /// `USERNAME_TAKEN`, or what is wrong with the members.
    pub async fn create_user(&self, new: &NewUser) -> Result<User, ClientError> {
        let call = Call::send(Method::POST, Target::at("/auth/users"), new)?;
        self.user_of(call).await
    }

    /// A page of the users.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_users(
        &self,
        query: &UserQuery,
        page: &PageQuery,
    ) -> Result<Page<User>, ClientError> {
        let target = page_of(Target::at("/auth/users"), page)?
            .query_if("is_active", query.is_active.map(word))?
            .query_if("is_superuser", query.is_superuser.map(word))?;
        self.ask(Call::get(target)?).await
    }

    /// All users, page by page.
    pub fn users(&self, query: UserQuery) -> impl Stream<Item = Result<User, ClientError>> {
        let query = std::sync::Arc::new(query);
        paging::items(move |page| {
            let query = std::sync::Arc::clone(&query);
            async move { self.list_users(&query, &page).await }
        })
    }

    /// A user: oneself, or for admins anybody.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get_user(&self, id: i64) -> Result<User, ClientError> {
        self.user_of(Call::get(user(id)?)?).await
    }

    /// Changes a user, with `etag` only when the revision is still that one.
    ///
    /// # Errors
    /// `LAST_ADMIN`, `CHANGED_MEANWHILE` and others.
    pub async fn update_user(
        &self,
        id: i64,
        change: &UserChange,
        etag: Option<&str>,
    ) -> Result<User, ClientError> {
        let call = Call::send(Method::PATCH, user(id)?, change)?;
        self.user_of(call.expecting(etag)?).await
    }

    /// Removes a user, with all keys.
    ///
    /// # Errors
    /// `LAST_ADMIN` and others.
    pub async fn delete_user(&self, id: i64, etag: Option<&str>) -> Result<(), ClientError> {
        self.tell(Call::delete(user(id)?)?.expecting(etag)?).await
    }

    /// Ends all tokens of a user.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn end_tokens(&self, id: i64) -> Result<(), ClientError> {
        self.tell(Call::post(user(id)?.then("/logout"))?).await
    }
}

/// Keys.
impl Client {
    /// Makes a key; its text is told once.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn create_key(&self, new: &NewKey) -> Result<IssuedKey, ClientError> {
        let call = Call::send(Method::POST, Target::at("/auth/api-keys"), new)?;
        self.ask(call).await
    }

    /// A page of the keys: the own ones, or for admins all.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn list_keys(
        &self,
        query: &KeyQuery,
        page: &PageQuery,
    ) -> Result<Page<ApiKey>, ClientError> {
        let user_id = query.user_id.map(|id| id.to_string());
        let target = page_of(Target::at("/auth/api-keys"), page)?;
        let target = target.query_if("user_id", user_id.as_deref())?;
        self.ask(Call::get(target)?).await
    }

    /// All of them, page by page.
    pub fn keys(&self, query: KeyQuery) -> impl Stream<Item = Result<ApiKey, ClientError>> {
        let query = std::sync::Arc::new(query);
        paging::items(move |page| {
            let query = std::sync::Arc::clone(&query);
            async move { self.list_keys(&query, &page).await }
        })
    }

    /// What is known of a key.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn get_key(&self, id: i64) -> Result<ApiKey, ClientError> {
        self.ask(Call::get(key(id)?)?).await
    }

    /// Gives a key another text; the old one is good no more.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn rotate_key(&self, id: i64) -> Result<IssuedKey, ClientError> {
        self.ask(Call::post(key(id)?.then("/rotate"))?).await
    }

    /// Ends a key for good, and keeps what is known of it.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn revoke_key(&self, id: i64) -> Result<ApiKey, ClientError> {
        self.ask(Call::post(key(id)?.then("/revoke"))?).await
    }

    /// Removes a key.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub async fn delete_key(&self, id: i64) -> Result<(), ClientError> {
        self.tell(Call::delete(key(id)?)?).await
    }
}

//! Users: made, changed and removed.

use mcp_gw_core::Secret;
use mcp_gw_store::{
    Edit, NewUser, Page, PageRequest, Revision, User, UserChange, UserFilter, UserId,
};

use super::Identity;
use super::error::IdentityError;
use super::password::Verdict;
use super::scope::ADMIN_ROLE;
use crate::config::LONGEST_PASSWORD;

/// The longest name of a user, role or group, in bytes.
pub(super) const LONGEST_NAME: usize = 128;

/// The longest address, in bytes (RFC 5321 §4.5.3.1).
const LONGEST_EMAIL: usize = 320;

/// How many roles or groups a user may have.
const MOST_ROLES: usize = 100;

/// A user to be made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NewAccount {
    /// The name, which stays: 1 to 128 bytes of plain text. No other user has it, in whichever case.
    pub username: String,
    /// The password.
    pub password: Secret<String>,
    /// An address.
    pub email: Option<String>,
    /// The name that people know.
    pub full_name: Option<String>,
    /// Whether the user can log in, and their keys are good.
    pub is_active: bool,
    /// Whether the user may do everything.
    pub is_superuser: bool,
    /// Roles, for the policy.
    pub roles: Vec<String>,
    /// Groups, for the policy.
    pub groups: Vec<String>,
}

impl NewAccount {
    /// An active user who is no superuser.
    pub fn new(username: impl Into<String>, password: impl Into<Secret<String>>) -> Self {
        Self {
            username: username.into(),
            password: password.into(),
            email: None,
            full_name: None,
            is_active: true,
            is_superuser: false,
            roles: Vec::new(),
            groups: Vec::new(),
        }
    }
}

/// What is to be different of a user. The name stays: it is what rules and the audit log know.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct AccountChange {
    /// Another password; all tokens of the user end.
    pub password: Option<Secret<String>>,
    /// Another address, or none.
    pub email: Edit<Option<String>>,
    /// Another name that people know, or none.
    pub full_name: Edit<Option<String>>,
    /// `false` ends all tokens of the user, and their keys are not good until it is `true` again.
    pub is_active: Edit<bool>,
    /// Whether the user may do everything.
    pub is_superuser: Edit<bool>,
    /// Other roles.
    pub roles: Edit<Vec<String>>,
    /// Other groups.
    pub groups: Edit<Vec<String>>,
}

impl AccountChange {
    /// Nothing is different yet.
    pub fn new() -> Self {
        Self::default()
    }
}

impl Identity {
    /// Makes a user.
    ///
    /// # Errors
    /// When a value is not a good one, somebody has the name, or the store fails.
    pub async fn create_user(&self, account: NewAccount) -> Result<User, IdentityError> {
        username_fault(&account.username)?;
        email_fault(account.email.as_deref())?;
        full_name_fault(account.full_name.as_deref())?;
        names_fault("roles", &account.roles)?;
        names_fault("groups", &account.groups)?;
        self.password_fault("password", &account.password)?;
        let hash = self.0.passwords.hash(&account.password).await?;
        let mut user = NewUser::new(account.username, hash);
        user.email = account.email;
        user.full_name = account.full_name;
        user.is_active = account.is_active;
        user.is_superuser = account.is_superuser;
        user.roles = account.roles;
        user.groups = account.groups;
        let made = self.0.store.create_user(user).await;
        self.0.forget();
        Ok(made?)
    }

    /// A user.
    ///
    /// # Errors
    /// When there is none with this number, or the store fails.
    pub async fn user(&self, id: UserId) -> Result<User, IdentityError> {
        Ok(self.0.store.user(id).await?)
    }

    /// Users, in the order in which they were made.
    ///
    /// # Errors
    /// When the page is none, or the store fails.
    pub async fn users(
        &self,
        filter: &UserFilter,
        page: &PageRequest,
    ) -> Result<Page<User>, IdentityError> {
        Ok(self.0.store.users(filter, page).await?)
    }

    /// Changes a user. It is in force when this returns; streams that it ends end soon after.
    ///
    /// # Errors
    /// When a value is not a good one, there is no such user, somebody changed it since `expected`, nobody
    /// could manage the gateway afterwards, or the store fails.
    pub async fn update_user(
        &self,
        id: UserId,
        expected: Option<Revision>,
        change: AccountChange,
    ) -> Result<User, IdentityError> {
        let mut next = UserChange::new();
        if let Edit::Set(email) = &change.email {
            email_fault(email.as_deref())?;
        }
        if let Edit::Set(name) = &change.full_name {
            full_name_fault(name.as_deref())?;
        }
        if let Edit::Set(roles) = &change.roles {
            names_fault("roles", roles)?;
        }
        if let Edit::Set(groups) = &change.groups {
            names_fault("groups", groups)?;
        }
        if let Some(password) = &change.password {
            self.password_fault("password", password)?;
            next.password_hash = self.0.passwords.hash(password).await?.into();
            next.revoke_tokens = true;
        }
        next.revoke_tokens |= change.is_active == Edit::Set(false);
        next.email = change.email;
        next.full_name = change.full_name;
        next.is_active = change.is_active;
        next.is_superuser = change.is_superuser;
        next.roles = change.roles;
        next.groups = change.groups;
        let changed = self.0.store.update_user(id, expected, next).await;
        self.0.forget();
        Ok(changed?)
    }

    /// Removes a user, with all keys.
    ///
    /// # Errors
    /// As [`Identity::update_user`].
    pub async fn delete_user(
        &self,
        id: UserId,
        expected: Option<Revision>,
    ) -> Result<(), IdentityError> {
        let deleted = self.0.store.delete_user(id, expected).await;
        self.0.forget();
        Ok(deleted?)
    }

    /// Another password for a user who knows the one there is. All tokens of the user end, also the one that
    /// this was asked with.
    ///
    /// # Errors
    /// When the old password is wrong or was tried too often, the new one is none, or the store fails.
    pub async fn change_password(
        &self,
        id: UserId,
        old: &Secret<String>,
        new: &Secret<String>,
    ) -> Result<(), IdentityError> {
        self.password_fault("new_password", new)?;
        let inner = &*self.0;
        let user = inner.store.user(id).await?;
        let (rates, now) = (inner.settings.load().rates, inner.clock.now());
        let attempt = inner.throttle.begin(&user.username, None, rates, now);
        let attempt = attempt.map_err(|retry_after| IdentityError::Throttled { retry_after })?;
        let verdict = inner.passwords.verify(old, Some(&user.password_hash)).await;
        match verdict {
            Ok(Verdict::Right { .. }) => inner.throttle.succeeded(attempt),
            Ok(Verdict::Wrong) => return Err(IdentityError::WrongPassword),
            Err(error) => {
                inner.throttle.undecided(&attempt);
                return Err(error);
            }
        }
        let mut change = UserChange::new();
        change.password_hash = inner.passwords.hash(new).await?.into();
        change.revoke_tokens = true;
        // Somebody who changed it meanwhile did not know of this one.
        let changed = inner
            .store
            .update_user(id, Some(user.revision), change)
            .await;
        inner.forget();
        changed?;
        Ok(())
    }

    pub(super) fn password_fault(
        &self,
        field: &'static str,
        password: &Secret<String>,
    ) -> Result<(), IdentityError> {
        let least = self.0.settings.load().shortest_password;
        let has = password.expose().len();
        if (least..=LONGEST_PASSWORD).contains(&has) {
            return Ok(());
        }
        let reason = format!("the password has {has} bytes, not {least} to {LONGEST_PASSWORD}");
        Err(IdentityError::invalid(field, reason))
    }
}

/// Whether a text is a name, and if not, why.
pub(super) fn name_fault(field: &'static str, name: &str) -> Result<(), IdentityError> {
    let fault = |reason: &str| Err(IdentityError::invalid(field, reason));
    if name.is_empty() || name.len() > LONGEST_NAME {
        return fault("a name has 1 to 128 bytes");
    }
    if name.chars().any(is_hidden) {
        return fault("a name has no control characters, and none that cannot be seen");
    }
    if name.trim() != name {
        return fault("a name has no blanks around it");
    }
    Ok(())
}

/// Characters that make two names look alike that are not.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e0fff}'
        )
}

fn username_fault(name: &str) -> Result<(), IdentityError> {
    name_fault("username", name)?;
    let is_taken = ["anonymous", "local"]
        .iter()
        .any(|taken| name.eq_ignore_ascii_case(taken));
    // The audit log would not tell them apart.
    if is_taken || name.starts_with(crate::config::KEY_ID) {
        let reason = "the name is that of callers without one, or of a key";
        return Err(IdentityError::invalid("username", reason));
    }
    Ok(())
}

fn email_fault(email: Option<&str>) -> Result<(), IdentityError> {
    let Some(email) = email else {
        return Ok(());
    };
    let parts = email.rsplit_once('@');
    let is_whole = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty());
    let is_plain = !email.chars().any(|c| is_hidden(c) || c.is_whitespace());
    if is_whole && is_plain && email.len() <= LONGEST_EMAIL {
        return Ok(());
    }
    Err(IdentityError::invalid(
        "email",
        "this is no address, such as `ann@example.com`",
    ))
}

fn full_name_fault(name: Option<&str>) -> Result<(), IdentityError> {
    let Some(name) = name else {
        return Ok(());
    };
    if name.len() <= 2 * LONGEST_NAME && !name.chars().any(char::is_control) {
        return Ok(());
    }
    let reason = "a name has at most 256 bytes, and no control characters";
    Err(IdentityError::invalid("full_name", reason))
}

fn names_fault(field: &'static str, names: &[String]) -> Result<(), IdentityError> {
    if names.len() > MOST_ROLES {
        return Err(IdentityError::invalid(field, "there are more than 100"));
    }
    for name in names {
        name_fault(field, name)?;
        if field == "roles" && name == ADMIN_ROLE {
            let reason = "the role `admin` is that of superusers: make the user one";
            return Err(IdentityError::invalid(field, reason));
        }
    }
    Ok(())
}

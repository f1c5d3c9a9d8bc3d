//! API keys: made, shown, exchanged and ended. Who is no administrator has to do with their own only.

use mcp_gw_core::Secret;
use mcp_gw_store::{
    ApiKey, KeyChange, KeyFilter, KeyId, NewKey, Page, PageRequest, Revision, Time, UserId,
};

use super::Identity;
use super::accounts::{is_hidden, name_fault};
use super::error::IdentityError;
use super::scope::{Principal, Scope};

/// The longest description, in bytes.
const LONGEST_DESCRIPTION: usize = 1024;

/// The longest that a key may be good, in seconds: 10 years.
const LONGEST_LIFE: u64 = 10 * 366 * 24 * 60 * 60;

/// A key to be made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct KeyOrder {
    /// What it is called: 1 to 128 bytes of plain text.
    pub name: String,
    /// Whose it is; of who asks if not given.
    pub user_id: Option<UserId>,
    /// What it is for.
    pub description: Option<String>,
    /// The names of its scopes. Without any it is good for nothing.
    pub scopes: Vec<String>,
    /// Whether it is good yet.
    pub is_active: bool,
    /// Until when it is good; for `management.api_key_expire_days` if not given.
    pub expires_at: Option<Time>,
}

impl KeyOrder {
    /// A key of who asks, without a scope.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            user_id: None,
            description: None,
            scopes: Vec::new(),
            is_active: true,
            expires_at: None,
        }
    }
}

/// A key that was made. Its text is told once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IssuedKey {
    /// What is kept of it.
    pub key: ApiKey,
    /// The key itself.
    pub text: Secret<String>,
}

impl Identity {
    /// Makes a key. It never has a scope that its user has not, nor one that `by` has not.
    ///
    /// # Errors
    /// When a value is not a good one, `by` may not do it, or the store fails.
    pub async fn create_key(
        &self,
        by: &Principal,
        order: KeyOrder,
    ) -> Result<IssuedKey, IdentityError> {
        name_fault("name", &order.name)?;
        description_fault(order.description.as_deref())?;
        let user_id = order.user_id.unwrap_or(by.user_id);
        if user_id != by.user_id && !by.is_admin() {
            let reason = "only administrators make keys for others";
            return Err(IdentityError::Forbidden { reason });
        }
        let user = match self.user(user_id).await {
            Err(IdentityError::NotFound) => {
                return Err(IdentityError::invalid("user_id", "there is no such user"));
            }
            user => user?,
        };
        let theirs = self.0.settings.load().roles.of_user(&user);
        let scopes = scopes(&order.scopes, by, &theirs)?;
        let now = self.0.time();
        let expires_at = match order.expires_at {
            None => now.after(self.0.settings.load().key_life),
            Some(time) if time <= now => {
                return Err(IdentityError::invalid("expires_at", "the time has passed"));
            }
            Some(time) if time > now.after(std::time::Duration::from_secs(LONGEST_LIFE)) => {
                let reason = "a key is good for ten years at most";
                return Err(IdentityError::invalid("expires_at", reason));
            }
            Some(time) => time,
        };
        let made = self.0.keys.make()?;
        let mut key = NewKey::new(user_id, order.name, made.public_id, made.hash);
        key.description = order.description;
        key.scopes = scopes;
        key.is_active = order.is_active;
        key.expires_at = Some(expires_at);
        let stored = self.0.store.create_key(key).await;
        self.0.forget();
        Ok(IssuedKey {
            key: stored?,
            text: made.text,
        })
    }

    /// A key that `by` may see.
    ///
    /// # Errors
    /// [`IdentityError::NotFound`] also where it is somebody else's.
    pub async fn key(&self, by: &Principal, id: KeyId) -> Result<ApiKey, IdentityError> {
        let key = self.0.store.key(id).await?;
        if key.user_id == by.user_id || by.is_admin() {
            Ok(key)
        } else {
            Err(IdentityError::NotFound)
        }
    }

    /// Keys that `by` may see: of all users, or of one.
    ///
    /// # Errors
    /// [`IdentityError::NotFound`] for a user that `by` may not ask about.
    pub async fn keys(
        &self,
        by: &Principal,
        of: Option<UserId>,
        page: &PageRequest,
    ) -> Result<Page<ApiKey>, IdentityError> {
        let of = if by.is_admin() {
            of
        } else if of.is_none_or(|of| of == by.user_id) {
            Some(by.user_id)
        } else {
            return Err(IdentityError::NotFound);
        };
        let filter = of.map_or_else(KeyFilter::new, KeyFilter::of_user);
        Ok(self.0.store.keys(&filter, page).await?)
    }

    /// Exchanges the text of a key for another one; the old one ends at once. All else stays, until when it is
    /// good, too.
    ///
    /// # Errors
    /// When it was revoked, `by` may not see it, it has scopes that `by` has not, it has another revision than
    /// `expected`, somebody has changed it in the same moment, or the store fails.
    pub async fn rotate_key(
        &self,
        by: &Principal,
        id: KeyId,
        expected: Option<Revision>,
    ) -> Result<IssuedKey, IdentityError> {
        let key = self.key(by, id).await?;
        if key.revoked_at.is_some() {
            let reason = "it was revoked: make a new one";
            return Err(IdentityError::invalid("key_id", reason));
        }
        Self::within(by, &key)?;
        let made = self.0.keys.make()?;
        let mut change = KeyChange::new();
        change.public_id = made.public_id.into();
        change.secret_hash = made.hash.into();
        let stored = self
            .0
            .store
            .update_key(id, expected.or(Some(key.revision)), change)
            .await;
        self.0.forget();
        Ok(IssuedKey {
            key: stored?,
            text: made.text,
        })
    }

    /// Ends a key for good; it is kept to be seen. Twice is once.
    ///
    /// # Errors
    /// When `by` may not see it, `by` is a key that has not all of its scopes, or the store fails.
    pub async fn revoke_key(&self, by: &Principal, id: KeyId) -> Result<ApiKey, IdentityError> {
        Self::may_end(by, &self.key(by, id).await?)?;
        let revoked = self.0.store.revoke_key(id).await;
        self.0.forget();
        Ok(revoked?)
    }

    /// Removes a key.
    ///
    /// # Errors
    /// When `by` may not see it, `by` is a key that has not all of its scopes, or the store fails.
    pub async fn delete_key(&self, by: &Principal, id: KeyId) -> Result<(), IdentityError> {
        Self::may_end(by, &self.key(by, id).await?)?;
        let deleted = self.0.store.delete_key(id, None).await;
        self.0.forget();
        Ok(deleted?)
    }

    /// A key ends no key that can do more than it can. Users who log in end all of their own.
    fn may_end(by: &Principal, key: &ApiKey) -> Result<(), IdentityError> {
        match by.key_id {
            None => Ok(()),
            Some(_) => Self::within(by, key),
        }
    }

    /// Nobody gets the text of a key that can do more than they can; a key may have itself exchanged.
    fn within(by: &Principal, key: &ApiKey) -> Result<(), IdentityError> {
        if by.key_id == Some(key.id) {
            return Ok(());
        }
        let named = key.scopes.iter().filter_map(|name| Scope::from_name(name));
        let mut beyond = named.filter(|scope| !by.may(*scope));
        match beyond.next() {
            None => Ok(()),
            Some(_) => Err(IdentityError::Forbidden {
                reason: "the key has scopes that the caller has not",
            }),
        }
    }
}

fn scopes(
    names: &[String],
    by: &Principal,
    theirs: &[Scope],
) -> Result<Vec<String>, IdentityError> {
    let mut scopes = Vec::new();
    for name in names {
        let Some(scope) = Scope::from_name(name) else {
            let all = Scope::ALL.map(Scope::as_str).join(", ");
            let reason = format!("a scope is one of {all}");
            return Err(IdentityError::invalid("scopes", reason));
        };
        if !by.may(scope) {
            return Err(IdentityError::Forbidden {
                reason: "a key never has a scope that its maker has not",
            });
        }
        if !theirs.contains(&scope) {
            let reason = format!("the user has not the scope {scope}");
            return Err(IdentityError::invalid("scopes", reason));
        }
        if !scopes.contains(&scope) {
            scopes.push(scope);
        }
    }
    Ok(scopes
        .into_iter()
        .map(|scope| scope.as_str().to_owned())
        .collect())
}

fn description_fault(text: Option<&str>) -> Result<(), IdentityError> {
    let is_good = |text: &str| {
        let is_plain = |c: char| c == '\n' || !is_hidden(c);
        text.len() <= LONGEST_DESCRIPTION && text.chars().all(is_plain)
    };
    if text.is_none_or(is_good) {
        return Ok(());
    }
    let reason = "a description has at most 1024 bytes, and no control characters but line ends";
    Err(IdentityError::invalid("description", reason))
}

//! The first user: a store without users gets the superuser `admin`.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_gw_core::Secret;
use mcp_gw_store::NewUser;

use super::Identity;
use super::error::IdentityError;

/// The name of the first user.
const NAME: &str = "admin";

/// The first user, whose password was made at random: to be told once.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FirstAdmin {
    /// The name.
    pub username: String,
    /// The password; it is nowhere else.
    pub password: Secret<String>,
}

impl Identity {
    /// Makes the user `admin` where there is no user at all. Of several gateways that start at once one makes
    /// it, and only that one has a password to tell.
    ///
    /// # Errors
    /// When `given` is no good password, or the store fails.
    pub(super) async fn make_first(
        &self,
        given: Option<&Secret<String>>,
    ) -> Result<Option<FirstAdmin>, IdentityError> {
        let store = &self.0.store;
        if store.counts().await?.users > 0 {
            return Ok(None);
        }
        let password = match given {
            Some(given) => {
                self.password_fault("admin_password", given)?;
                given.clone()
            }
            None => random()?,
        };
        let hash = self.0.passwords.hash(&password).await?;
        let mut user = NewUser::new(NAME, hash);
        user.is_superuser = true;
        user.email = Some("admin@localhost".to_owned());
        user.full_name = Some("Administrator".to_owned());
        match store.create_user(user).await.map_err(IdentityError::from) {
            Ok(_) => {}
            Err(IdentityError::Duplicate) => return Ok(None),
            Err(error) => return Err(error),
        }
        self.0.forget();
        Ok(given.is_none().then(|| FirstAdmin {
            username: NAME.to_owned(),
            password,
        }))
    }
}

/// 144 random bits.
fn random() -> Result<Secret<String>, IdentityError> {
    let mut bytes = [0; 18];
    getrandom::fill(&mut bytes)
        .map_err(|_| IdentityError::internal("this machine has no random numbers"))?;
    Ok(Secret::new(URL_SAFE_NO_PAD.encode(bytes)))
}

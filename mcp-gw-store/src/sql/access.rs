//! Users and keys.

use async_trait::async_trait;

use super::fault::Fault;
use super::row::{Query, Reader, Row};
use super::{SqlStore, Write, expect};
use crate::changes::ChangeKind;
use crate::check;
use crate::contract::{Keys, Users};
use crate::error::{Conflict, Entity, Result, StoreError};
use crate::values::{
    ApiKey, KeyChange, KeyFilter, KeyHolder, KeyId, List, NewKey, NewUser, Page, PageRequest,
    PasswordHash, Place, Revision, SecretHash, Time, User, UserChange, UserFilter, UserId,
};

/// The columns of [`read_user`].
macro_rules! user_columns {
    () => {
        "u.id, u.username, u.email, u.full_name, u.password_hash, u.is_active, u.is_superuser, \
         u.user_roles, u.user_groups, u.token_epoch, u.revision, u.created_at, u.updated_at"
    };
}

/// The columns of [`read_key`].
macro_rules! key_columns {
    () => {
        "k.id, k.public_id, k.secret_hash, k.user_id, k.name, k.description, k.scopes, \
         k.is_active, k.expires_at, k.created_at, k.updated_at, k.last_used, k.revoked_at, \
         k.revision"
    };
}

const USERS: &str = concat!("SELECT ", user_columns!(), " FROM gw_users u");
const USER: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM gw_users u WHERE u.id = $1"
);
const USER_BY_NAME: &str = concat!(
    "SELECT ",
    user_columns!(),
    " FROM gw_users u WHERE u.username_key = $1"
);
const ADD_USER: &str = "INSERT INTO gw_users (username, username_key, email, full_name, \
    password_hash, is_active, is_superuser, user_roles, user_groups, token_epoch, revision, \
    created_at, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 0, 1, $10, $10) \
    RETURNING id";
const PUT_USER: &str = "UPDATE gw_users SET username = $2, username_key = $3, email = $4, \
    full_name = $5, password_hash = $6, is_active = $7, is_superuser = $8, user_roles = $9, \
    user_groups = $10, token_epoch = $11, revision = $12, updated_at = $13 WHERE id = $1";

const KEYS: &str = concat!("SELECT ", key_columns!(), " FROM gw_keys k");
const KEY: &str = concat!("SELECT ", key_columns!(), " FROM gw_keys k WHERE k.id = $1");
const HOLDER: &str = concat!(
    "SELECT ",
    key_columns!(),
    ", ",
    user_columns!(),
    " FROM gw_keys k JOIN gw_users u ON u.id = k.user_id WHERE k.public_id = $1"
);
const ADD_KEY: &str = "INSERT INTO gw_keys (public_id, secret_hash, user_id, name, description, \
    scopes, is_active, expires_at, created_at, updated_at, revision) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9, 1) RETURNING id";
const PUT_KEY: &str = "UPDATE gw_keys SET public_id = $2, secret_hash = $3, name = $4, \
    description = $5, scopes = $6, is_active = $7, expires_at = $8, revoked_at = $9, \
    revision = $10, updated_at = $11 WHERE id = $1";
const TOUCH_KEY: &str = "UPDATE gw_keys SET last_used = $2 \
    WHERE id = $1 AND (last_used IS NULL OR last_used < $2)";

fn read_user(row: &mut Reader) -> Result<User> {
    Ok(User {
        id: UserId::new(row.int()?),
        username: row.text()?,
        email: row.maybe_text()?,
        full_name: row.maybe_text()?,
        password_hash: PasswordHash::new(row.text()?),
        is_active: row.flag()?,
        is_superuser: row.flag()?,
        roles: row.list()?,
        groups: row.list()?,
        token_epoch: row.int()?,
        revision: row.revision()?,
        created_at: row.time()?,
        updated_at: row.time()?,
    })
}

fn read_key(row: &mut Reader) -> Result<ApiKey> {
    Ok(ApiKey {
        id: KeyId::new(row.int()?),
        public_id: row.text()?,
        secret_hash: SecretHash::from_bytes(row.bytes()?),
        user_id: UserId::new(row.int()?),
        name: row.text()?,
        description: row.maybe_text()?,
        scopes: row.list()?,
        is_active: row.flag()?,
        expires_at: row.maybe_time()?,
        created_at: row.time()?,
        updated_at: row.time()?,
        last_used: row.maybe_time()?,
        revoked_at: row.maybe_time()?,
        revision: row.revision()?,
    })
}

fn one_user(row: Option<Row>, id: impl std::fmt::Display) -> Result<User> {
    let row = row.ok_or_else(|| StoreError::not_found(Entity::User, id))?;
    read_user(&mut row.reader())
}

fn one_key(row: Option<Row>, id: KeyId) -> Result<ApiKey> {
    let row = row.ok_or_else(|| StoreError::not_found(Entity::Key, id))?;
    read_key(&mut row.reader())
}

fn put_user(user: &User) -> Query<'static> {
    Query::new(PUT_USER)
        .int(user.id.get())
        .text(&*user.username)
        .text(user.username.to_lowercase())
        .maybe_text(user.email.as_deref())
        .maybe_text(user.full_name.as_deref())
        .text(user.password_hash.expose())
        .flag(user.is_active)
        .flag(user.is_superuser)
        .list(&user.roles)
        .list(&user.groups)
        .int(user.token_epoch)
        .int(user.revision.get())
        .time(user.updated_at)
}

#[async_trait]
impl Users for SqlStore {
    async fn create_user(&self, user: NewUser) -> Result<User> {
        check::new_user(&user)?;
        let now = self.now();
        let mut write = self.begin().await?;
        let query = Query::new(ADD_USER)
            .text(&*user.username)
            .text(user.username.to_lowercase())
            .maybe_text(user.email.as_deref())
            .maybe_text(user.full_name.as_deref())
            .text(user.password_hash.expose())
            .flag(user.is_active)
            .flag(user.is_superuser)
            .list(&user.roles)
            .list(&user.groups)
            .time(now);
        let added = write.ask_one(query).await;
        let row = added.map_err(|fault| fault.taken(Conflict::Username))?;
        let id = returned(row)?;
        write.changed(ChangeKind::Users);
        write.commit().await?;
        Ok(user.into_user(UserId::new(id), now))
    }

    async fn user(&self, id: UserId) -> Result<User> {
        one_user(self.read_one(Query::new(USER).int(id.get())).await?, id)
    }

    async fn user_by_name(&self, username: &str) -> Result<User> {
        if !check::is_name(username) {
            return Err(StoreError::not_found(Entity::User, username));
        }
        let query = Query::new(USER_BY_NAME).text(username.to_lowercase());
        one_user(self.read_one(query).await?, username)
    }

    async fn users(&self, filter: &UserFilter, page: &PageRequest) -> Result<Page<User>> {
        let mut query = Query::new(USERS);
        if let Some(after) = Place::number(page.place(List::Users)?.as_ref()) {
            query = query.narrow("u.id > {}").int(after);
        }
        if let Some(wanted) = filter.is_active {
            query = query.narrow("u.is_active = {}").flag(wanted);
        }
        if let Some(wanted) = filter.is_superuser {
            query = query.narrow("u.is_superuser = {}").flag(wanted);
        }
        query.push(" ORDER BY u.id");
        let rows = self.read(query.at_most(page.limit())).await?;
        let users = rows.into_iter().map(|row| read_user(&mut row.reader()));
        let users = users.collect::<Result<_>>()?;
        Ok(Page::of(users, page.limit(), List::Users, |user: &User| {
            Place::Number(user.id.get())
        }))
    }

    async fn update_user(
        &self,
        id: UserId,
        expected: Option<Revision>,
        change: UserChange,
    ) -> Result<User> {
        check::user_change(&change)?;
        let mut write = self.begin().await?;
        let is_last = change.ends_superuser() && write.is_last_superuser(id).await?;
        let row = write.hold(Query::new(USER).int(id.get())).await?;
        let mut user = one_user(row, id)?;
        expect(expected, user.revision)?;
        if is_last {
            return Err(StoreError::conflict(Conflict::LastSuperuser));
        }
        change.apply(&mut user, self.now());
        let put = write.put(put_user(&user)).await;
        put.map_err(|fault| fault.taken(Conflict::Username))?;
        write.changed(ChangeKind::Users);
        write.commit().await?;
        Ok(user)
    }

    async fn delete_user(&self, id: UserId, expected: Option<Revision>) -> Result<()> {
        let mut write = self.begin().await?;
        let is_last = write.is_last_superuser(id).await?;
        let query = Query::new("DELETE FROM gw_users WHERE id = $1");
        let missing = StoreError::not_found(Entity::User, id);
        write.delete(query.int(id.get()), expected, missing).await?;
        if is_last {
            return Err(StoreError::conflict(Conflict::LastSuperuser));
        }
        write.changed(ChangeKind::Users);
        write.changed(ChangeKind::Keys);
        write.commit().await
    }
}

/// The number that an `INSERT … RETURNING` returns.
pub(super) fn returned(row: Option<Row>) -> Result<i64> {
    let row = row.ok_or_else(|| StoreError::damaged("an insert returned no row"))?;
    row.reader().int()
}

impl Write<'_> {
    /// Deletes the row of this statement if it is of the revision that is expected.
    pub(super) async fn delete(
        &mut self,
        query: Query<'_>,
        expected: Option<Revision>,
        missing: StoreError,
    ) -> std::result::Result<(), Fault> {
        let mut query = query;
        query.push(" RETURNING revision");
        let row = self.ask_one(query).await?.ok_or(missing)?;
        // A revision that was not expected leaves the transaction to be rolled back.
        Ok(expect(expected, row.reader().revision()?)?)
    }
}

fn put_key(key: &ApiKey) -> Query<'static> {
    Query::new(PUT_KEY)
        .int(key.id.get())
        .text(&*key.public_id)
        .bytes(key.secret_hash.expose())
        .text(&*key.name)
        .maybe_text(key.description.as_deref())
        .list(&key.scopes)
        .flag(key.is_active)
        .maybe_time(key.expires_at)
        .maybe_time(key.revoked_at)
        .int(key.revision.get())
        .time(key.updated_at)
}

impl SqlStore {
    /// Changes a key, unless `change` leaves it as it is.
    async fn change_key(
        &self,
        id: KeyId,
        expected: Option<Revision>,
        change: impl FnOnce(&mut ApiKey, Time) + Send,
    ) -> Result<ApiKey> {
        let mut write = self.begin().await?;
        let row = write.hold(Query::new(KEY).int(id.get())).await?;
        let mut key = one_key(row, id)?;
        let old = key.revision;
        expect(expected, old)?;
        change(&mut key, self.now());
        if key.revision == old {
            return Ok(key);
        }
        let put = write.put(put_key(&key)).await;
        put.map_err(|fault| fault.taken(Conflict::KeyId))?;
        write.changed(ChangeKind::Keys);
        write.commit().await?;
        Ok(key)
    }
}

#[async_trait]
impl Keys for SqlStore {
    async fn create_key(&self, key: NewKey) -> Result<ApiKey> {
        check::new_key(&key)?;
        let now = self.now();
        let mut write = self.begin().await?;
        let query = Query::new(ADD_KEY)
            .text(&*key.public_id)
            .bytes(key.secret_hash.expose())
            .int(key.user_id.get())
            .text(&*key.name)
            .maybe_text(key.description.as_deref())
            .list(&key.scopes)
            .flag(key.is_active)
            .maybe_time(key.expires_at)
            .time(now);
        let row = write.ask_one(query).await.map_err(|fault| match fault {
            Fault::Reference => StoreError::not_found(Entity::User, key.user_id),
            other => other.taken(Conflict::KeyId),
        })?;
        let id = returned(row)?;
        write.changed(ChangeKind::Keys);
        write.commit().await?;
        Ok(key.into_key(KeyId::new(id), now))
    }

    async fn key(&self, id: KeyId) -> Result<ApiKey> {
        one_key(self.read_one(Query::new(KEY).int(id.get())).await?, id)
    }

    async fn key_holder(&self, public_id: &str) -> Result<KeyHolder> {
        let missing = || StoreError::not_found(Entity::Key, public_id);
        if !check::is_name(public_id) {
            return Err(missing());
        }
        let row = self.read_one(Query::new(HOLDER).text(public_id)).await?;
        let mut row = row.ok_or_else(missing)?.reader();
        Ok(KeyHolder::new(read_key(&mut row)?, read_user(&mut row)?))
    }

    async fn keys(&self, filter: &KeyFilter, page: &PageRequest) -> Result<Page<ApiKey>> {
        let mut query = Query::new(KEYS);
        if let Some(after) = Place::number(page.place(List::Keys)?.as_ref()) {
            query = query.narrow("k.id > {}").int(after);
        }
        if let Some(user) = filter.user_id {
            query = query.narrow("k.user_id = {}").int(user.get());
        }
        query.push(" ORDER BY k.id");
        let rows = self.read(query.at_most(page.limit())).await?;
        let keys = rows.into_iter().map(|row| read_key(&mut row.reader()));
        let keys = keys.collect::<Result<_>>()?;
        Ok(Page::of(keys, page.limit(), List::Keys, |key: &ApiKey| {
            Place::Number(key.id.get())
        }))
    }

    async fn update_key(
        &self,
        id: KeyId,
        expected: Option<Revision>,
        change: KeyChange,
    ) -> Result<ApiKey> {
        check::key_change(&change)?;
        let change = |key: &mut ApiKey, now| change.apply(key, now);
        self.change_key(id, expected, change).await
    }

    async fn revoke_key(&self, id: KeyId) -> Result<ApiKey> {
        let revoke = |key: &mut ApiKey, now| {
            if key.revoked_at.is_none() {
                key.revoke(now);
            }
        };
        self.change_key(id, None, revoke).await
    }

    async fn delete_key(&self, id: KeyId, expected: Option<Revision>) -> Result<()> {
        let mut write = self.begin().await?;
        let query = Query::new("DELETE FROM gw_keys WHERE id = $1");
        let missing = StoreError::not_found(Entity::Key, id);
        write.delete(query.int(id.get()), expected, missing).await?;
        write.changed(ChangeKind::Keys);
        write.commit().await
    }

    async fn touch_keys(&self, uses: &[(KeyId, Time)]) -> Result<()> {
        if uses.is_empty() {
            return Ok(());
        }
        let mut uses = uses.to_vec();
        // Always in the same order, or two processes could wait for each other.
        uses.sort();
        let mut write = self.begin().await?;
        for (id, time) in uses {
            let query = Query::new(TOUCH_KEY).int(id.get()).time(time);
            write.execute(query).await?;
        }
        write.commit().await
    }
}

//! Users and keys.

use std::ops::Bound::{Excluded, Unbounded};

use async_trait::async_trait;

use super::{MemoryStore, State, expect, next};
use crate::changes::ChangeKind;
use crate::check;
use crate::contract::{Keys, Users};
use crate::error::{Conflict, Entity, Result, StoreError};
use crate::values::{
    ApiKey, KeyChange, KeyFilter, KeyHolder, KeyId, List, NewKey, NewUser, Page, PageRequest,
    Place, Revision, Time, User, UserChange, UserFilter, UserId,
};

impl State {
    fn user(&self, id: UserId) -> Result<&User> {
        let user = self.users.get(&id.get());
        user.ok_or_else(|| StoreError::not_found(Entity::User, id))
    }

    /// Refuses to lose this user where no other one is an active administrator.
    fn keep_superuser(&self, user: &User) -> Result<()> {
        let counts = |user: &User| user.is_active && user.is_superuser;
        let mut others = self.users.values().filter(|other| other.id != user.id);
        if counts(user) && !others.any(counts) {
            return Err(StoreError::conflict(Conflict::LastSuperuser));
        }
        Ok(())
    }

    fn key(&self, id: KeyId) -> Result<&ApiKey> {
        let key = self.keys.get(&id.get());
        key.ok_or_else(|| StoreError::not_found(Entity::Key, id))
    }

    fn drop_key(&mut self, id: i64) {
        if let Some(key) = self.keys.remove(&id) {
            self.public_ids.remove(&key.public_id);
        }
    }
}

#[async_trait]
impl Users for MemoryStore {
    async fn create_user(&self, user: NewUser) -> Result<User> {
        check::new_user(&user)?;
        let now = self.now();
        let mut state = self.state();
        let name = user.username.to_lowercase();
        if state.usernames.contains_key(&name) {
            return Err(StoreError::conflict(Conflict::Username));
        }
        let id = next(&mut state.last_user);
        let user = user.into_user(UserId::new(id), now);
        state.usernames.insert(name, id);
        state.users.insert(id, user.clone());
        drop(state);
        self.changed(ChangeKind::Users);
        Ok(user)
    }

    async fn user(&self, id: UserId) -> Result<User> {
        self.state().user(id).cloned()
    }

    async fn user_by_name(&self, username: &str) -> Result<User> {
        let state = self.state();
        let id = state.usernames.get(&username.to_lowercase());
        let user = id.and_then(|id| state.users.get(id));
        user.cloned()
            .ok_or_else(|| StoreError::not_found(Entity::User, username))
    }

    async fn users(&self, filter: &UserFilter, page: &PageRequest) -> Result<Page<User>> {
        let after = Place::number(page.place(List::Users)?.as_ref());
        let state = self.state();
        let users = state
            .users
            .range((after.map_or(Unbounded, Excluded), Unbounded));
        let users = users
            .map(|(_, user)| user)
            .filter(|user| filter.takes(user));
        let users = users.take(page.limit() + 1).cloned().collect();
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
        let now = self.now();
        let mut state = self.state();
        let old = state.user(id)?;
        expect(expected, old.revision)?;
        if change.ends_superuser() {
            state.keep_superuser(old)?;
        }
        let (mut user, old_name) = (old.clone(), old.username.to_lowercase());
        change.apply(&mut user, now);
        let name = user.username.to_lowercase();
        if name != old_name {
            if state.usernames.contains_key(&name) {
                return Err(StoreError::conflict(Conflict::Username));
            }
            state.usernames.remove(&old_name);
            state.usernames.insert(name, id.get());
        }
        state.users.insert(id.get(), user.clone());
        drop(state);
        self.changed(ChangeKind::Users);
        Ok(user)
    }

    async fn delete_user(&self, id: UserId, expected: Option<Revision>) -> Result<()> {
        let mut state = self.state();
        let user = state.user(id)?;
        expect(expected, user.revision)?;
        state.keep_superuser(user)?;
        let name = user.username.to_lowercase();
        state.usernames.remove(&name);
        state.users.remove(&id.get());
        let keys = state.keys.values().filter(|key| key.user_id == id);
        let keys: Vec<i64> = keys.map(|key| key.id.get()).collect();
        for key in keys {
            state.drop_key(key);
        }
        drop(state);
        self.changed(ChangeKind::Users);
        self.changed(ChangeKind::Keys);
        Ok(())
    }
}

#[async_trait]
impl Keys for MemoryStore {
    async fn create_key(&self, key: NewKey) -> Result<ApiKey> {
        check::new_key(&key)?;
        let now = self.now();
        let mut state = self.state();
        if state.public_ids.contains_key(&key.public_id) {
            return Err(StoreError::conflict(Conflict::KeyId));
        }
        state.user(key.user_id)?;
        let id = next(&mut state.last_key);
        let key = key.into_key(KeyId::new(id), now);
        state.public_ids.insert(key.public_id.clone(), id);
        state.keys.insert(id, key.clone());
        drop(state);
        self.changed(ChangeKind::Keys);
        Ok(key)
    }

    async fn key(&self, id: KeyId) -> Result<ApiKey> {
        self.state().key(id).cloned()
    }

    async fn key_holder(&self, public_id: &str) -> Result<KeyHolder> {
        let state = self.state();
        let id = state.public_ids.get(public_id).copied();
        let id = id.ok_or_else(|| StoreError::not_found(Entity::Key, public_id))?;
        let key = state.key(KeyId::new(id))?;
        let user = state.user(key.user_id)?;
        Ok(KeyHolder::new(key.clone(), user.clone()))
    }

    async fn keys(&self, filter: &KeyFilter, page: &PageRequest) -> Result<Page<ApiKey>> {
        let after = Place::number(page.place(List::Keys)?.as_ref());
        let state = self.state();
        let keys = state
            .keys
            .range((after.map_or(Unbounded, Excluded), Unbounded));
        let keys = keys.map(|(_, key)| key).filter(|key| filter.takes(key));
        let keys = keys.take(page.limit() + 1).cloned().collect();
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
        let now = self.now();
        let mut state = self.state();
        let old = state.key(id)?;
        expect(expected, old.revision)?;
        let (mut key, old_id) = (old.clone(), old.public_id.clone());
        change.apply(&mut key, now);
        if key.public_id != old_id {
            if state.public_ids.contains_key(&key.public_id) {
                return Err(StoreError::conflict(Conflict::KeyId));
            }
            state.public_ids.remove(&old_id);
            state.public_ids.insert(key.public_id.clone(), id.get());
        }
        state.keys.insert(id.get(), key.clone());
        drop(state);
        self.changed(ChangeKind::Keys);
        Ok(key)
    }

    async fn revoke_key(&self, id: KeyId) -> Result<ApiKey> {
        let now = self.now();
        let mut state = self.state();
        let mut key = state.key(id)?.clone();
        if key.revoked_at.is_none() {
            key.revoke(now);
            state.keys.insert(id.get(), key.clone());
            drop(state);
            self.changed(ChangeKind::Keys);
        }
        Ok(key)
    }

    async fn delete_key(&self, id: KeyId, expected: Option<Revision>) -> Result<()> {
        let mut state = self.state();
        expect(expected, state.key(id)?.revision)?;
        state.drop_key(id.get());
        drop(state);
        self.changed(ChangeKind::Keys);
        Ok(())
    }

    async fn touch_keys(&self, uses: &[(KeyId, Time)]) -> Result<()> {
        let mut state = self.state();
        for (id, time) in uses {
            if let Some(key) = state.keys.get_mut(&id.get()) {
                key.last_used = key.last_used.max(Some(*time));
            }
        }
        Ok(())
    }
}

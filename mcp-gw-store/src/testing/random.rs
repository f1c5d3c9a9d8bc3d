//! Random sequences of operations, to hold one store against another.
//!
//! Operations are numbers: what they do is made of them here, the same for each store. What comes of
//! each is a line of text without what stores choose for themselves, such as ids.

mod ledger;

use std::fmt::Write as _;

use mcp_gw_core::RawJson;
use mcp_gw_core::testing::ManualClock;

use crate::contract::Store;
use crate::error::{Result, StoreError};
use crate::values::{
    Cursor, Edit, Health, InstanceFilter, InstanceSpec, KeyChange, KeyFilter, KeyId, LoadBalancer,
    NewInstance, NewKey, NewTemplate, NewUser, Page, PageRequest, PasswordHash, Revision,
    SecretHash, ServerStatus, Strategy, TemplateChange, Time, UserChange, UserFilter, UserId,
};

/// A store with its clock, and what is known of the ids in it.
#[derive(Debug)]
pub struct Player<'s> {
    store: &'s dyn Store,
    clock: ManualClock,
    users: Vec<UserId>,
    keys: Vec<KeyId>,
    cursors: Vec<Cursor>,
}

/// One operation: which one, and what with.
pub type Step = (u8, u8, u8, u8);

const NAMES: [&str; 6] = ["ada", "ADA", "eve", "'; --", "ä\u{301}", ""];

fn name(number: u8) -> &'static str {
    NAMES.get(usize::from(number) % NAMES.len()).unwrap_or(&"")
}

fn maybe(number: u8) -> Option<String> {
    (!number.is_multiple_of(3)).then(|| name(number).to_owned())
}

fn edit<T>(number: u8, value: T) -> Edit<T> {
    if number.is_multiple_of(2) {
        Edit::Keep
    } else {
        Edit::Set(value)
    }
}

fn expected(number: u8) -> Option<Revision> {
    (number % 4 == 3).then(|| Revision::new(i64::from(number / 4 % 4)))
}

impl<'s> Player<'s> {
    /// A player of an empty store on this clock.
    pub const fn new(store: &'s dyn Store, clock: ManualClock) -> Self {
        Self {
            store,
            clock,
            users: Vec::new(),
            keys: Vec::new(),
            cursors: Vec::new(),
        }
    }

    /// Does one thing, and says what came of it.
    pub async fn play(&mut self, step: Step) -> String {
        let (what, a, b, c) = step;
        let answer = match what % 8 {
            0 => self.on_users(a, b, c).await,
            1 => self.on_keys(a, b, c).await,
            2 => self.on_templates(a, b, c).await,
            3 => self.on_instances(a, b, c).await,
            4 => self.on_quotas(a, b, c).await,
            5 => self.on_pins(a, b, c).await,
            6 => self.on_tokens(a, b, c).await,
            _ => self.on_audit(a, b, c).await,
        };
        let changed = self.store.counts().await;
        match answer {
            Ok(text) => format!("{text} {changed:?}"),
            // A number is what stores choose themselves.
            Err(StoreError::NotFound { what, .. }) => format!("no {what} {changed:?}"),
            Err(error) => format!("{error:?} {changed:?}"),
        }
    }

    fn user(&self, number: u8) -> UserId {
        let place = usize::from(number) % self.users.len().max(1);
        self.users.get(place).copied().unwrap_or(UserId::new(0))
    }

    fn key(&self, number: u8) -> KeyId {
        let place = usize::from(number) % self.keys.len().max(1);
        self.keys.get(place).copied().unwrap_or(KeyId::new(0))
    }

    fn page(&self, number: u8) -> PageRequest {
        let page = PageRequest::first(u32::from(number % 4));
        match self.cursors.get(usize::from(number / 4)) {
            Some(cursor) => page.after(cursor.clone()),
            None => page,
        }
    }

    /// What a page shows.
    fn shown<T>(&mut self, page: Page<T>, show: impl Fn(&Self, &T) -> String) -> String {
        let mut text = String::new();
        for item in &page.items {
            let _ = write!(text, "[{}]", show(self, item));
        }
        let _ = write!(text, " more: {}", page.next.is_some());
        self.cursors.extend(page.next);
        text
    }

    fn place_of_user(&self, id: UserId) -> Option<usize> {
        self.users.iter().position(|known| *known == id)
    }

    fn show_user(&self, user: &crate::User) -> String {
        let mut shown = user.clone();
        let place = self.place_of_user(user.id);
        shown.id = UserId::new(0);
        format!("{place:?} {shown:?} {}", shown.password_hash.expose())
    }

    fn show_key(&self, key: &crate::ApiKey) -> String {
        let mut shown = key.clone();
        let place = self.keys.iter().position(|known| *known == key.id);
        let owner = self.place_of_user(key.user_id);
        (shown.id, shown.user_id) = (KeyId::new(0), UserId::new(0));
        let secret = shown.secret_hash.expose();
        format!("{place:?} of {owner:?} {shown:?} {secret:?}")
    }

    async fn on_users(&mut self, a: u8, b: u8, c: u8) -> Result<String> {
        match a % 6 {
            0 | 1 => {
                let mut new = NewUser::new(name(b), PasswordHash::new(name(c)));
                new.email = maybe(c);
                new.is_superuser = c.is_multiple_of(2);
                new.roles = maybe(b).into_iter().collect();
                let user = self.store.create_user(new).await?;
                self.users.push(user.id);
                Ok(self.show_user(&user))
            }
            2 => {
                let mut change = UserChange::new();
                change.username = edit(b, name(b / 2).to_owned());
                change.full_name = edit(c, maybe(c / 2));
                change.is_active = edit(b / 2, c.is_multiple_of(3));
                change.revoke_tokens = c.is_multiple_of(5);
                let id = self.user(c);
                let user = self.store.update_user(id, expected(b), change).await?;
                Ok(self.show_user(&user))
            }
            3 => {
                self.store.delete_user(self.user(b), expected(c)).await?;
                Ok(String::new())
            }
            4 => {
                let user = self.store.user_by_name(name(b)).await?;
                Ok(self.show_user(&user))
            }
            _ => {
                let mut filter = UserFilter::new();
                filter.is_superuser = (!b.is_multiple_of(3)).then_some(b % 3 == 1);
                let page = self.store.users(&filter, &self.page(c)).await?;
                Ok(self.shown(page, Self::show_user))
            }
        }
    }

    async fn on_keys(&mut self, a: u8, b: u8, c: u8) -> Result<String> {
        match a % 8 {
            0 | 1 => {
                let hash = SecretHash::from_bytes([c; 32]);
                let mut new = NewKey::new(self.user(b), name(c), format!("k{}", b % 5), hash);
                new.scopes = maybe(b).into_iter().collect();
                new.expires_at = maybe(b).map(|_| Time::from_micros(i64::from(c)));
                let key = self.store.create_key(new).await?;
                self.keys.push(key.id);
                Ok(self.show_key(&key))
            }
            2 => {
                let mut change = KeyChange::new();
                change.public_id = edit(b, format!("k{}", b / 2 % 5));
                change.expires_at = edit(c, None);
                change.description = edit(b / 4, maybe(c));
                let id = self.key(c);
                let key = self.store.update_key(id, expected(b), change).await?;
                Ok(self.show_key(&key))
            }
            3 => {
                let key = self.store.revoke_key(self.key(b)).await?;
                Ok(self.show_key(&key))
            }
            4 => {
                self.store.delete_key(self.key(b), expected(c)).await?;
                Ok(String::new())
            }
            5 => {
                let uses = [(self.key(b), Time::from_micros(i64::from(c)))];
                self.store.touch_keys(&uses).await?;
                let key = self.store.key(self.key(b)).await?;
                Ok(self.show_key(&key))
            }
            6 => {
                let holder = self.store.key_holder(&format!("k{}", b % 5)).await?;
                Ok(self.show_key(&holder.key) + &self.show_user(&holder.user))
            }
            _ => {
                let filter = if b.is_multiple_of(2) {
                    KeyFilter::new()
                } else {
                    KeyFilter::of_user(self.user(b))
                };
                let page = self.store.keys(&filter, &self.page(c)).await?;
                Ok(self.shown(page, Self::show_key))
            }
        }
    }

    async fn on_templates(&mut self, a: u8, b: u8, c: u8) -> Result<String> {
        let balancer = || {
            let mut balancer = LoadBalancer::default();
            let all = Strategy::ALL;
            balancer.strategy = all.get(usize::from(c) % all.len()).copied().unwrap();
            balancer.pool_size = u32::from(c % 22);
            balancer
        };
        match a % 5 {
            0 => {
                let mut new = NewTemplate::new(name(b));
                new.description = maybe(c);
                new.load_balancer = balancer();
                Ok(format!("{:?}", self.store.create_template(new).await?))
            }
            1 => {
                let mut change = TemplateChange::new();
                change.description = edit(b, maybe(c));
                change.load_balancer = edit(c, balancer());
                let changed = self.store.update_template(name(b / 2), expected(c), change);
                Ok(format!("{:?}", changed.await?))
            }
            2 => {
                self.store.delete_template(name(b), expected(c)).await?;
                Ok(String::new())
            }
            3 => Ok(format!("{:?}", self.store.template(name(b)).await?)),
            _ => {
                let page = self.store.templates(&self.page(c)).await?;
                Ok(self.shown(page, |_, template| format!("{template:?}")))
            }
        }
    }

    fn instance(b: u8, c: u8) -> NewInstance {
        let mut spec = InstanceSpec::http(name(c));
        spec.command = maybe(b).map(|text| vec![text; 2]);
        spec.is_active = !b.is_multiple_of(4);
        spec.instance_metadata = RawJson::parse(format!("{{\"weight\": {c}.0}}")).ok();
        let mut new = NewInstance::new(name(b), name(c / 2), spec);
        new.health.last_error = maybe(c);
        new
    }

    async fn on_instances(&mut self, a: u8, b: u8, c: u8) -> Result<String> {
        // Where it stands in lists is a number that stores choose themselves.
        let show = |instance: &crate::Instance| {
            let mut shown = instance.clone();
            shown.place = 0;
            format!("{shown:?}")
        };
        match a % 7 {
            0 => {
                let new = Self::instance(b, c);
                Ok(show(&self.store.create_instance(new).await?))
            }
            1 => {
                let new = Self::instance(b, c);
                Ok(show(&self.store.put_instance(new).await?))
            }
            2 => {
                let spec = Self::instance(b, c).spec;
                let updated = self.store.update_instance(name(b), expected(c), spec);
                Ok(show(&updated.await?))
            }
            3 => {
                let mut health = Health::of(ServerStatus::Healthy);
                health.consecutive_failures = c.into();
                self.store.set_health(name(b), health).await?;
                Ok(String::new())
            }
            4 => {
                self.store.delete_instance(name(b), expected(c)).await?;
                Ok(String::new())
            }
            5 => Ok(show(&self.store.instance(name(b)).await?)),
            _ => {
                let filter = if b.is_multiple_of(2) {
                    InstanceFilter::new()
                } else {
                    InstanceFilter::of_template(name(b / 2))
                };
                let page = self.store.instances(&filter, &self.page(c)).await?;
                Ok(self.shown(page, |_, instance| show(instance)))
            }
        }
    }
}

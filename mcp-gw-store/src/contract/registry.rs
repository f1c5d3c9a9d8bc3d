//! Users, keys and servers.

use async_trait::async_trait;

use crate::error::Result;
use crate::values::{
    ApiKey, Health, Instance, InstanceFilter, InstanceSpec, KeyChange, KeyFilter, KeyHolder, KeyId,
    NewInstance, NewKey, NewTemplate, NewUser, Page, PageRequest, Revision, Template,
    TemplateChange, Time, User, UserChange, UserFilter, UserId,
};

/// Users. Lists are in the order of creation.
///
/// Where there is an active administrator there is one for good: what would take the last one away is
/// a [`Conflict::LastSuperuser`], also when several processes do so at once.
///
/// In all traits of this crate, `expected` is the revision that the caller has read, or `None` to
/// write whatever there is; with another revision than that it is a [`Conflict::Revision`].
///
/// [`Conflict::Revision`]: crate::Conflict::Revision
/// [`Conflict::LastSuperuser`]: crate::Conflict::LastSuperuser
#[async_trait]
pub trait Users {
    /// Creates a user.
    ///
    /// # Errors
    /// [`Conflict::Username`](crate::Conflict::Username) when the name is taken, in any case.
    async fn create_user(&self, user: NewUser) -> Result<User>;

    /// The user with this id.
    ///
    /// # Errors
    /// When there is none.
    async fn user(&self, id: UserId) -> Result<User>;

    /// The user with this name, in any case.
    ///
    /// # Errors
    /// When there is none.
    async fn user_by_name(&self, username: &str) -> Result<User>;

    /// Users that the filter takes.
    ///
    /// # Errors
    /// When the cursor is not one of this list.
    async fn users(&self, filter: &UserFilter, page: &PageRequest) -> Result<Page<User>>;

    /// Changes a user, and returns it as it is then.
    ///
    /// # Errors
    /// When there is none, the revision is another one, it is the last active administrator and would
    /// be none, or the name is taken: the first of these that holds.
    async fn update_user(
        &self,
        id: UserId,
        expected: Option<Revision>,
        change: UserChange,
    ) -> Result<User>;

    /// Deletes a user with all keys of it.
    ///
    /// # Errors
    /// When there is none, the revision is another one, or it is the last active administrator.
    async fn delete_user(&self, id: UserId, expected: Option<Revision>) -> Result<()>;
}

/// API keys. Lists are in the order of creation.
#[async_trait]
pub trait Keys {
    /// Creates a key.
    ///
    /// # Errors
    /// When there is no such user, or [`Conflict::KeyId`](crate::Conflict::KeyId) when the public id
    /// is taken.
    async fn create_key(&self, key: NewKey) -> Result<ApiKey>;

    /// The key with this id.
    ///
    /// # Errors
    /// When there is none.
    async fn key(&self, id: KeyId) -> Result<ApiKey>;

    /// The key with this public id, and its user, from one moment. Whether the secret matches, and
    /// either is active, is for the caller to see.
    ///
    /// # Errors
    /// When there is none.
    async fn key_holder(&self, public_id: &str) -> Result<KeyHolder>;

    /// Keys that the filter takes.
    ///
    /// # Errors
    /// When the cursor is not one of this list.
    async fn keys(&self, filter: &KeyFilter, page: &PageRequest) -> Result<Page<ApiKey>>;

    /// Changes a key, and returns it as it is then.
    ///
    /// # Errors
    /// When there is none, the public id is taken, or the revision is another one.
    async fn update_key(
        &self,
        id: KeyId,
        expected: Option<Revision>,
        change: KeyChange,
    ) -> Result<ApiKey>;

    /// Revokes a key for good, and returns it. A key that is revoked stays as it is, with the time
    /// of the first revocation.
    ///
    /// # Errors
    /// When there is none.
    async fn revoke_key(&self, id: KeyId) -> Result<ApiKey>;

    /// Deletes a key.
    ///
    /// # Errors
    /// When there is none, or the revision is another one.
    async fn delete_key(&self, id: KeyId, expected: Option<Revision>) -> Result<()>;

    /// Notes when keys were used, unless a later use is known. Keys that are gone are passed over.
    /// This is no change of a key. [`LastUsed`](crate::LastUsed) collects uses for it.
    ///
    /// # Errors
    /// When the store cannot be used.
    async fn touch_keys(&self, uses: &[(KeyId, Time)]) -> Result<()>;
}

/// Templates and instances. Templates are listed by name (by their bytes), instances in the order of
/// creation.
#[async_trait]
pub trait Servers {
    /// Creates a template.
    ///
    /// # Errors
    /// [`Conflict::Template`](crate::Conflict::Template) when there is one of this name.
    async fn create_template(&self, template: NewTemplate) -> Result<Template>;

    /// The template of this name.
    ///
    /// # Errors
    /// When there is none.
    async fn template(&self, name: &str) -> Result<Template>;

    /// All templates.
    ///
    /// # Errors
    /// When the cursor is not one of this list.
    async fn templates(&self, page: &PageRequest) -> Result<Page<Template>>;

    /// Changes a template, and returns it as it is then.
    ///
    /// # Errors
    /// When there is none, or the revision is another one.
    async fn update_template(
        &self,
        name: &str,
        expected: Option<Revision>,
        change: TemplateChange,
    ) -> Result<Template>;

    /// Deletes a template without instances.
    ///
    /// # Errors
    /// When there is none, the revision is another one, or
    /// [`Conflict::InUse`](crate::Conflict::InUse) when it has instances.
    async fn delete_template(&self, name: &str, expected: Option<Revision>) -> Result<()>;

    /// Creates an instance, and its template where there is none.
    ///
    /// # Errors
    /// [`Conflict::Instance`](crate::Conflict::Instance) when there is one with this id.
    async fn create_instance(&self, instance: NewInstance) -> Result<Instance>;

    /// Creates an instance, or puts it in the place of the one with its id, which keeps its time of
    /// creation and its place in lists. Creates its template where there is none.
    ///
    /// # Errors
    /// When the store cannot be used, or takes no such value.
    async fn put_instance(&self, instance: NewInstance) -> Result<Instance>;

    /// The instance with this id.
    ///
    /// # Errors
    /// When there is none.
    async fn instance(&self, id: &str) -> Result<Instance>;

    /// Instances that the filter takes.
    ///
    /// # Errors
    /// When the cursor is not one of this list.
    async fn instances(
        &self,
        filter: &InstanceFilter,
        page: &PageRequest,
    ) -> Result<Page<Instance>>;

    /// Gives an instance another description, and returns it as it is then. Its health stays.
    ///
    /// # Errors
    /// When there is none, or the revision is another one.
    async fn update_instance(
        &self,
        id: &str,
        expected: Option<Revision>,
        spec: InstanceSpec,
    ) -> Result<Instance>;

    /// Notes how an instance is. Its revision stays.
    ///
    /// # Errors
    /// When there is none.
    async fn set_health(&self, id: &str, health: Health) -> Result<()>;

    /// Deletes an instance. Its template stays.
    ///
    /// # Errors
    /// When there is none, or the revision is another one.
    async fn delete_instance(&self, id: &str, expected: Option<Revision>) -> Result<()>;
}

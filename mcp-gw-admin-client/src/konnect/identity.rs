//! Who the token belongs to, and what they may do: the identity API, which belongs to no region.

use futures_util::Stream;
use serde::de::DeserializeOwned;

use crate::http::{Error, Target};
use crate::konnect::client::{Client, PAGE_SIZE, one};
use crate::konnect::model::{AssignedRole, Organization, Team, User};
use crate::konnect::uuid::Uuid;
use crate::paging::{self, Page, odd};

const ROLES: &str = "/assigned-roles";
const TEAMS: &str = "/teams";

impl Client {
    /// Who the token belongs to, if that is a person.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn me(&self) -> Result<User, Error> {
        one(self.global_transport(), Target::at("/v3/users/me")).await
    }

    /// The organization of the token.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn organization(&self) -> Result<Organization, Error> {
        one(self.global_transport(), Target::at("/v3/organizations/me")).await
    }

    /// What a person may do by roles of their own, page by page; what teams give is not among it.
    pub fn roles_of_user(
        &self,
        user: &Uuid,
    ) -> impl Stream<Item = Result<Page<AssignedRole>, Error>> + Send + use<> {
        self.of_somebody("/v3/users", "user_id", user, ROLES)
    }

    /// The teams of a person, page by page.
    pub fn teams_of_user(
        &self,
        user: &Uuid,
    ) -> impl Stream<Item = Result<Page<Team>, Error>> + Send + use<> {
        self.of_somebody("/v3/users", "user_id", user, TEAMS)
    }

    /// What the members of a team may do, page by page.
    pub fn roles_of_team(
        &self,
        team: &Uuid,
    ) -> impl Stream<Item = Result<Page<AssignedRole>, Error>> + Send + use<> {
        self.of_somebody("/v3/teams", "team_id", team, ROLES)
    }

    /// What a system account may do, page by page.
    pub fn roles_of_system_account(
        &self,
        account: &Uuid,
    ) -> impl Stream<Item = Result<Page<AssignedRole>, Error>> + Send + use<> {
        self.of_somebody("/v3/system-accounts", "account_id", account, ROLES)
    }

    fn of_somebody<M: DeserializeOwned + Send + 'static>(
        &self,
        path: &'static str,
        what: &'static str,
        id: &Uuid,
        list: &'static str,
    ) -> impl Stream<Item = Result<Page<M>, Error>> + Send + use<M> {
        let (global, id) = (self.global_transport().clone(), id.clone());
        paging::pages(1, PAGE_SIZE, move |number| {
            let (global, id) = (global.clone(), id.clone());
            async move {
                let request = Target::at(path)
                    .segment(what, id.as_str())?
                    .then(list)
                    .query("page[size]", &PAGE_SIZE.to_string())?
                    .query("page[number]", &number.to_string())?
                    .get()?;
                let answer = global.send(request).await?;
                paging::data(&answer.body.ok_or_else(|| odd("a list", "it is empty"))?)
            }
        })
    }
}

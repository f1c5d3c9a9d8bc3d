//! The options by which the gateway of MCP Platform is started: each stands for a variable.

use clap::Args;

/// What MCP Platform is told on its command line.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct PlatformArgs {
    /// The database of users, keys and servers, as `GATEWAY_DATABASE_URL` names it. Others on this
    /// machine can read what is written here: name a database with a password by the variable
    #[arg(long, value_name = "URL")]
    database_url: Option<String>,

    /// Address to listen on with that database, as `GATEWAY_HOST` says it
    #[arg(long, value_name = "ADDRESS")]
    host: Option<String>,

    /// Port to listen on with that database, as `GATEWAY_PORT` says it
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,

    /// Whether it is to start in any case, with the usual database.
    #[arg(skip)]
    starts: bool,
}

const DATABASE_URL: &str = "GATEWAY_DATABASE_URL";

impl PlatformArgs {
    /// The same for `start`, which needs nothing else.
    pub(crate) const fn started(mut self) -> Self {
        self.starts = true;
        self
    }

    /// True when nothing was said.
    pub(crate) const fn is_empty(&self) -> bool {
        self.database_url.is_none() && self.host.is_none() && self.port.is_none() && !self.starts
    }

    /// A variable, as these options and the environment say it.
    pub(crate) fn variable(
        &self,
        name: &str,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Option<String> {
        if self.is_empty() {
            return env(name);
        }
        let said = match name {
            DATABASE_URL => self.database_url.clone(),
            "GATEWAY_HOST" => self.host.clone(),
            "GATEWAY_PORT" => self.port.map(|port| port.to_string()),
            // Another gateway's, which would come first.
            "ALLOWED_APIS" => return None,
            _ => None,
        };
        let found = said.or_else(|| env(name).filter(|text| !text.trim().is_empty()));
        let usual = || (name == DATABASE_URL).then(|| "sqlite:///gateway.db".to_owned());
        found.or_else(usual)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_stronger_than_variables_and_the_database_is_the_usual_one() {
        let env = |name: &str| match name {
            "GATEWAY_PORT" => Some("1".to_owned()),
            "ALLOWED_APIS" => Some("https://api.example".to_owned()),
            _ => None,
        };
        let nothing = PlatformArgs::default();
        assert_eq!(nothing.variable("GATEWAY_PORT", &env).as_deref(), Some("1"));
        assert_eq!(nothing.variable(DATABASE_URL, &env), None);
        assert!(nothing.variable("ALLOWED_APIS", &env).is_some());
        let started = nothing.started();
        assert_eq!(started.variable("GATEWAY_PORT", &env).as_deref(), Some("1"));
        let usual = started.variable(DATABASE_URL, &env);
        assert_eq!(usual.as_deref(), Some("sqlite:///gateway.db"));
        assert_eq!(started.variable("ALLOWED_APIS", &env), None);
        let said = PlatformArgs {
            database_url: Some("sqlite:///:memory:".to_owned()),
            host: Some("::1".to_owned()),
            port: Some(0),
            starts: false,
        };
        let said = |name| said.variable(name, &env);
        assert_eq!(said("GATEWAY_PORT").as_deref(), Some("0"));
        assert_eq!(said("GATEWAY_HOST").as_deref(), Some("::1"));
        assert_eq!(said(DATABASE_URL).as_deref(), Some("sqlite:///:memory:"));
    }
}

//! Another configuration for a gateway that runs.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::{Backend, Clock, Mounting, Remount, Secret};
use tokio_util::sync::CancellationToken;

use crate::authn::Callers;
use crate::compose::{LaunchError, Parts, Running, endpoint_of};
use crate::config::{Config, ManagementConfig};
#[cfg(feature = "cli")]
use crate::config::{ConfigFaults, Fault};
#[cfg(feature = "management")]
use crate::identity::Management;
use crate::limits::tell_of_limits;
use crate::pins::Guards;
use crate::rest;

/// What a new configuration has changed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Reloaded {
    /// What is in force now: sections of the configuration, and servers as `servers.<name>`, with
    /// ` (new)` or ` (gone)` behind those that were not or are not there.
    pub changed: Vec<String>,
    /// What is different, too, and takes a restart.
    pub pending: Vec<String>,
}

impl std::fmt::Display for Reloaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&*self.changed, &*self.pending) {
            ([], []) => f.write_str("the configuration says what it said before"),
            (changed, []) => write!(f, "changed: {}", changed.join(", ")),
            ([], pending) => write!(f, "takes a restart: {}", pending.join(", ")),
            (changed, pending) => write!(
                f,
                "changed: {}; takes a restart: {}",
                changed.join(", "),
                pending.join(", ")
            ),
        }
    }
}

/// Sections that are in force as soon as they are read; servers are told of one by one.
const AT_ONCE: [&str; 6] = [
    "auth",
    "policy",
    "limits",
    "pins",
    "call_timeout",
    "endpoints",
];

/// Sections that are read once, at the start.
const AT_START: [&str; 5] = ["name", "version", "instructions", "http", "input"];

/// How often is looked whether a backend that went is still in use.
const LOOK: Duration = Duration::from_millis(50);

impl Running {
    /// Counts a configuration that was refused because of its policy.
    #[cfg(feature = "cli")]
    pub(crate) fn refused(&self, faults: &ConfigFaults) {
        let mut paths = faults.faults().iter().map(Fault::path);
        if paths.any(|path| path.section() == Some("policy")) {
            self.policy().count_refused();
        }
    }

    /// Puts `config` in the place of the configuration there is, without a pause: callers, policy,
    /// limits, servers and endpoints. Requests see the old or the new, and those under way go on with
    /// the server that they came to, for as long as a call may take. Servers that `config` describes
    /// as before stay connected. What takes a restart is said.
    ///
    /// Streams and sessions of callers that there are no more, or that have other rights, end;
    /// clients are told of lists that are other ones for them.
    ///
    /// # Errors
    /// When a part cannot be made: nothing has changed then.
    pub async fn reload(&self, config: &Config) -> Result<Reloaded, LaunchError> {
        let mut parts = self.parts.lock().await;
        let before = parts.config.clone();
        let differ = |section: &str| before.marks.differ(&config.marks, section);
        if is_keyed(&before) && !is_keyed(config) {
            return Err(LaunchError::Unkeyed);
        }
        // Everything that can fail comes first.
        let callers = Callers::of(config, Some(&self.callers.now()), &self.clock)?;
        #[cfg(feature = "management")]
        let callers = {
            let management = self.management();
            callers.with_stored(config, management.map(Management::identity))
        };
        let limits = self.limits.next(&before.limits, &config.limits)?;
        let policy = self.rules.prepare(config).map_err(LaunchError::Policy)?;
        let guards = if differ("pins") {
            #[cfg(not(feature = "management"))]
            let guards = Guards::of(config);
            #[cfg(feature = "management")]
            let guards = Guards::stored(config, self.management().map(Management::store));
            Some(guards.map_err(LaunchError::Pins)?)
        } else {
            None
        };
        if differ("limits") || differ("auth") {
            tell_of_limits(config);
        }
        limits.connect().await;
        let (next, came) = parts.remount(config, guards.as_ref(), &self.clock)?;
        #[cfg(feature = "management")]
        let (next, stored) =
            parts.keep_stored(next, config, guards.as_ref().unwrap_or(&parts.guards));
        let stays = |name: &str| !came.iter().any(|come| come.name == name);
        // Other names are looked at with the rules that come.
        self.names.put(&config.policy);
        let gone = self.gateway().remount(next).map_err(|error| {
            self.names.put(&before.policy);
            LaunchError::Build(error)
        })?;
        // Nothing fails from here on.
        #[cfg(feature = "management")]
        {
            parts.stored = stored;
        }
        self.limits.put(limits);
        #[cfg(feature = "management")]
        if let (Some(management), Some(config)) = (self.management(), &config.management)
            && differ("management")
        {
            management.identity().set(config);
        }
        parts.maker.call_limit.set(config.call_timeout.get());
        let has_other_keys = !callers.is_same(&self.callers.now());
        let has_other_rules = self.rules.put(config, policy);
        if has_other_keys || has_other_rules || differ("auth") {
            callers.prefetch();
            self.callers.put(callers);
            let callers = self.callers.now();
            self.engine().end_callers(&|caller| callers.knows(caller));
        }
        if has_other_rules {
            self.engine().rules_changed();
        }
        if let Some(guards) = guards {
            parts.pins.stop().await;
            let is_elsewhere = |name: &str| parts.has_stored(name);
            let before = &parts.guards;
            guards.take_over(before, config, stays, is_elsewhere).await;
            parts.pins = guards.watch();
            parts.guards = guards;
        }
        let mut report = Reloaded::default();
        let sections = AT_ONCE.into_iter().filter(|section| {
            before.marks.differ(&config.marks, section) || (*section == "auth" && has_other_keys)
        });
        report.changed.extend(sections.map(str::to_owned));
        report.changed.extend(came.iter().map(Came::to_string));
        let stay: Vec<&str> = config.servers.keys().map(String::as_str).collect();
        let stay: Vec<&str> = stay.into_iter().chain(rest::names(config)).collect();
        let names = gone.iter().map(|backend| (**backend).name());
        let names = names.filter(|name| !stay.contains(name));
        let names = names.map(|name| format!("{} (gone)", place_of(&before, name)));
        report.changed.extend(names);
        tell_parts(&mut report, (&before, config), self.has_metrics());
        let longest = before.call_timeout.get().max(config.call_timeout.get());
        for backend in gone {
            let ending = parts.ending.clone();
            parts.leaving.spawn(leave(backend, longest, ending));
        }
        while parts.leaving.try_join_next().is_some() {}
        parts.look_after();
        self.engine().remounted();
        parts.config = config.clone();
        // Who brought the others looks whether there is room for them.
        #[cfg(feature = "management")]
        parts
            .reloads
            .send_modify(|count| *count = count.saturating_add(1));
        Ok(report)
    }
}

/// A server that came, in the place of one of the same name unless it is new.
struct Came {
    name: String,
    /// Where the configuration has it.
    place: String,
    is_new: bool,
}

impl std::fmt::Display for Came {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let new = if self.is_new { " (new)" } else { "" };
        write!(f, "{}{new}", self.place)
    }
}

impl Parts {
    /// True for a server behind the gateway that the configuration does not name.
    #[cfg_attr(
        not(feature = "management"),
        expect(clippy::unused_self, reason = "there are none")
    )]
    fn has_stored(&self, name: &str) -> bool {
        #[cfg(feature = "management")]
        return self.stored.contains_key(name);
        #[cfg(not(feature = "management"))]
        {
            let _ = name;
            false
        }
    }

    /// What is to be behind the gateway for `config`, and which servers come for it.
    fn remount(
        &self,
        config: &Config,
        guards: Option<&Guards>,
        clock: &Arc<dyn Clock>,
    ) -> Result<(Remount, Vec<Came>), LaunchError> {
        let mut next = Remount::new();
        let mut came = Vec::new();
        for name in &self.extra {
            next = next.keep(name, Mounting::plain());
        }
        let (before, guards) = (&self.config, guards.unwrap_or(&self.guards));
        let was_guarded = |name: &str| {
            let server = before.servers.get(name);
            server.is_some_and(|server| self.guards.guards(before, server))
        };
        for (name, server) in &config.servers {
            let mounting = config.mounting(name, server);
            let is_there = before.servers.contains_key(name);
            let is_same = is_there && !before.marks.differ_in_server(&config.marks, name);
            // A guard is there from the beginning or not at all; what it goes by may change.
            if is_same && was_guarded(name) == guards.guards(config, server) {
                next = next.keep(name, mounting);
            } else {
                let backend = self.maker.backend(config, (name, server), guards)?;
                next = next.mount(backend, mounting);
                came.push(Came {
                    name: name.clone(),
                    place: place_of(config, name),
                    is_new: !is_there,
                });
            }
        }
        if rest::is_same(before, config) {
            for name in rest::names(config) {
                next = next.keep(name, rest::mounting(config, name));
            }
        } else {
            for made in rest::backends(config, clock).map_err(LaunchError::of_api)? {
                came.push(Came {
                    name: made.name.clone(),
                    place: place_of(config, &made.name),
                    is_new: !rest::names(before).any(|name| *name == made.name),
                });
                let (backend, mounting) = self.maker.api(made);
                next = next.mount(backend, mounting);
            }
        }
        for (name, endpoint) in &config.endpoints {
            next = next.endpoint(endpoint_of(name, endpoint));
        }
        Ok((next, came))
    }
}

/// Where a configuration has what is behind the gateway under this name.
fn place_of(config: &Config, name: &str) -> String {
    if config.apis.contains_key(name) {
        format!("apis.{name}")
    } else if !config.servers.contains_key(name) && *config.rest.tool_name == *name {
        format!("rest ({name})")
    } else {
        format!("servers.{name}")
    }
}

/// What of the management API is in force as soon as it is read.
const AT_ONCE_OF_MANAGEMENT: [&str; 1] = [""];

/// What of `management`, `limits` and `metrics` is another thing now, and since when.
fn tell_parts(report: &mut Reloaded, (before, config): (&Config, &Config), has_metrics: bool) {
    let differ = |section: &str| before.marks.differ(&config.marks, section);
    if differ("management") {
        for (key, differs) in management_parts(before, config) {
            let list = if AT_ONCE_OF_MANAGEMENT.contains(&key) {
                &mut report.changed
            } else {
                &mut report.pending
            };
            if differs {
                list.push(format!("management{key}"));
            }
        }
    }
    let pending = AT_START.into_iter().filter(|section| differ(section));
    report.pending.extend(pending.map(str::to_owned));
    // What is counted would be forgotten in another room.
    let (old, new) = (&before.limits, &config.limits);
    let rooms = [
        ("limits.keys", old.keys != new.keys),
        ("limits.addresses", old.addresses != new.addresses),
    ];
    let rooms = rooms.into_iter().filter(|(_, differs)| *differs);
    report.pending.extend(rooms.map(|(key, _)| key.to_owned()));
    if differ("metrics") {
        // Nothing was counted before.
        let list = if has_metrics {
            &mut report.changed
        } else {
            &mut report.pending
        };
        list.push("metrics".to_owned());
    }
}

/// Which parts of the management API are other ones. A database stays open as long as the process runs.
fn management_parts(before: &Config, now: &Config) -> Vec<(&'static str, bool)> {
    let (Some(before), Some(now)) = (&before.management, &now.management) else {
        return vec![(" (as a whole)", true)];
    };
    let differs = |of: fn(&ManagementConfig) -> Option<&Secret<String>>| {
        of(before).map(Secret::expose) != of(now).map(Secret::expose)
    };
    let url = differs(|config| Some(&config.database_url));
    let connections = before.database_connections != now.database_connections;
    let secret = differs(|config| config.secret_key.as_ref());
    let (then, soon) = (&before.load_balancer, &now.load_balancer);
    let parts = [
        (".database_url", url),
        (".database_connections", connections),
        (".secret_key", secret),
        (".audit", before.audit != now.audit),
        (".cors_origins", before.cors_origins != now.cors_origins),
        (
            ".allowed_commands",
            before.allowed_commands != now.allowed_commands,
        ),
        (
            ".local_commands",
            before.local_commands != now.local_commands,
        ),
        (".allow_private", before.allow_private != now.allow_private),
        (
            ".load_balancer",
            then.strategy != soon.strategy
                || then.health_check_interval != soon.health_check_interval,
        ),
    ];
    let is_any = parts.iter().any(|(_, differs)| *differs);
    parts.into_iter().chain([("", !is_any)]).collect()
}

fn is_keyed(config: &Config) -> bool {
    config.is_keyed()
}

/// Closes a backend when nobody uses it any more, when every call has had its time, or at the end.
pub(crate) async fn leave(backend: Arc<dyn Backend>, longest: Duration, ending: CancellationToken) {
    let unused = async {
        while Arc::strong_count(&backend) > 1 {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::select! {
        _ = tokio::time::timeout(longest, unused) => {}
        () = ending.cancelled() => {}
    }
    backend.close().await;
}

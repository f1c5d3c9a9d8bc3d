//! Which APIs are allowed, and how often each may be asked.

use std::collections::BTreeSet;

use mcp_gw_ratelimit::{MatchConfig, OverrideConfig, Per, RuleConfig};

use super::APIS;
use super::env::Variables;
use super::file::{AllowedApi, RateLimits};
use super::translate::{Found, Translation};
use crate::config::apis::{Allowance, ApiConfig, Base};
use crate::config::fault::{Fault, short};
use crate::config::path::ConfigPath;
use crate::config::types::seconds;

/// An API of the list.
#[derive(Debug)]
pub(super) struct Listed {
    /// Its name in `apis`.
    pub(super) name: String,
    pub(super) base: Base,
}

/// What became of the list.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    /// What is allowed.
    pub(super) listed: Vec<Listed>,
    /// What the file allows and the environment does not.
    pub(super) left_out: Vec<Base>,
}

/// An API of the file.
struct Entry {
    base: Base,
    api: ApiConfig,
    path: ConfigPath,
    is_text: bool,
}

impl Translation<'_, '_> {
    /// Puts the APIs that are allowed into the configuration.
    pub(super) fn choose(&mut self, allowed: &[AllowedApi], path: &ConfigPath) -> Chosen {
        let mut of_file = self.entries(allowed, path);
        let mut entries = Vec::new();
        let mut left_out = Vec::new();
        if let Some(wanted) = &self.variables.apis {
            for (index, text) in wanted.iter().enumerate() {
                entries.extend(self.wanted(index, text, &mut of_file));
            }
            left_out.extend(of_file.into_iter().map(|entry| entry.base));
        } else {
            entries = of_file;
            if allowed.is_empty() {
                let message = "no API is allowed";
                let help = "add one: `allowed_apis: [\"https://api.example.com\"]`";
                self.checker.fault(path, message, help);
            }
        }
        let mut names = BTreeSet::new();
        let mut listed: Vec<Listed> = Vec::new();
        for entry in entries {
            if listed.iter().any(|other| other.base == entry.base) {
                continue;
            }
            let name = free_name(&entry.base, &mut names);
            let ours = ConfigPath::root().key("apis").key(&name);
            if entry.is_text {
                self.places.put(ours.key("url"), entry.path.clone());
            }
            self.places.put(ours, entry.path);
            self.config.apis.insert(name.clone(), entry.api);
            listed.push(Listed {
                name,
                base: entry.base,
            });
        }
        Chosen { listed, left_out }
    }

    /// The APIs of the file that can be used, each once.
    fn entries(&mut self, allowed: &[AllowedApi], path: &ConfigPath) -> Vec<Entry> {
        let mut entries: Vec<Entry> = Vec::new();
        for (index, one) in allowed.iter().enumerate() {
            let path = path.index(index);
            let (api, is_text) = match one {
                AllowedApi::Address(text) => (ApiConfig::new(text.as_str()), true),
                AllowedApi::Api(api) => (ApiConfig::clone(api), false),
            };
            let at = if is_text {
                path.clone()
            } else {
                path.key("url")
            };
            match Base::parse(&api.url, Allowance::of(&api)) {
                Ok(base) if entries.iter().any(|other| other.base == base) => {
                    let message = "another entry has the same address";
                    self.checker.fault(&at, message, "keep one of the two");
                }
                Ok(base) => entries.push(Entry {
                    base,
                    api,
                    path,
                    is_text,
                }),
                Err(fault) => {
                    // What an address alone cannot allow.
                    let help = fault.help.replace("add `allow_", "write `{ url: …, allow_");
                    let help = if help == fault.help || !is_text {
                        fault.help.to_owned()
                    } else {
                        help.replace(": true`", ": true }`")
                    };
                    self.checker.fault(&at, fault.message, help);
                }
            }
        }
        entries
    }

    /// The API that an item of the variable names: with what the file says of it, if it does.
    fn wanted(&mut self, index: usize, text: &str, of_file: &mut Vec<Entry>) -> Option<Entry> {
        let path = Variables::path(APIS);
        let known = Base::parse(text, Allowance::ALL).ok();
        let at = known.and_then(|base| of_file.iter().position(|entry| entry.base == base));
        if let Some(at) = at {
            return Some(of_file.remove(at));
        }
        match Base::parse(text, Allowance::default()) {
            Ok(base) => Some(Entry {
                base,
                api: ApiConfig::new(text),
                path,
                is_text: true,
            }),
            Err(fault) => {
                let number = index.saturating_add(1);
                let message = format!("item {number} of the variable: {}", fault.message);
                let help = if fault.help.contains("add `allow_") {
                    "write another address, or describe the API in a file"
                } else {
                    fault.help
                };
                self.of_env.push(Fault::new(path, message).with_help(help));
                None
            }
        }
    }

    /// A limit for each caller at each API: requests in any 60 seconds.
    pub(super) fn rates(
        &mut self,
        rates: Option<&Found<'_, RateLimits>>,
        listed: &[Listed],
        left_out: &[Base],
    ) {
        let of_file = rates.and_then(|rates| rates.value.default);
        let mut rule = RuleConfig::default();
        "rate_limits".clone_into(&mut rule.name);
        rule.per = Per::CallerAndServer;
        rule.quota = self.variables.rate.or(of_file).unwrap_or(DEFAULT_RATE);
        rule.window = Some(seconds(60));
        rule.applies_to = servers(listed.iter().map(|api| api.name.clone()));
        if let Some(Found { path, value }) = rates {
            let ours = ConfigPath::root().key("limits");
            self.places.put(ours, path.clone());
            let path = path.key("per_api");
            let mut seen = BTreeSet::new();
            for (text, quota) in &value.per_api {
                let at = path.key(text);
                let Some(name) = self.name_of(text, &at, true, listed, left_out) else {
                    continue;
                };
                if !seen.insert(name.clone()) {
                    let message = "another key names the same API";
                    self.checker.key_fault(&at, message, "keep one of the two");
                    continue;
                }
                let mut other = OverrideConfig::default();
                other.applies_to = servers([name]);
                other.quota = Some(*quota);
                rule.overrides.push(other);
            }
        }
        if !listed.is_empty() {
            self.config.limits.rules.push(rule);
        }
    }

    /// The name of the API that `text`, at `at`, means. It must be allowed.
    pub(super) fn name_of(
        &mut self,
        text: &str,
        at: &ConfigPath,
        is_key: bool,
        listed: &[Listed],
        left_out: &[Base],
    ) -> Option<String> {
        let base = Base::parse(text, Allowance::ALL).ok();
        let is_it = |other: &Base| base.as_ref() == Some(other);
        if let Some(api) = listed.iter().find(|api| is_it(&api.base)) {
            return Some(api.name.clone());
        }
        if left_out.iter().any(is_it) {
            let message = "this has no effect: `ALLOWED_APIS` leaves the API out";
            let help = "add its address to the variable, or remove this";
            self.checker.remark(at, message, help);
            return None;
        }
        let shown = if is_key {
            format!("`{}`", short(text))
        } else {
            self.checker.shown(at, text)
        };
        let message = format!("{shown} is not among `allowed_apis`");
        let help = "write it as it stands there, or add it there";
        if is_key {
            self.checker.key_fault(at, message, help);
        } else {
            self.checker.fault(at, message, help);
        }
        None
    }
}

fn servers(names: impl IntoIterator<Item = String>) -> MatchConfig {
    let mut applies = MatchConfig::default();
    applies.servers = names.into_iter().collect();
    applies
}

/// The name of an API, which no other has.
fn free_name(base: &Base, names: &mut BTreeSet<String>) -> String {
    let name = base.name();
    let mut free = name.clone();
    let mut number = 1_u32;
    while !names.insert(free.clone()) {
        number = number.saturating_add(1);
        free = format!("{name}-{number}");
    }
    free
}

/// What API Gateway MCP takes where nothing is said.
const DEFAULT_RATE: u64 = 100;

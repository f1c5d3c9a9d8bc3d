//! Which policy is meant: a file of its own, or the part of a gateway's configuration.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use mcp_gw_policy::{CaseCaller, FaultPath, PolicyConfig, PolicyEngine, SourceMap};
use sha2::{Digest as _, Sha256};

use super::finding::Finding;
use super::quoted;
use crate::authn::caller_of;
use crate::cli::environment;
use crate::config::{Config, ConfigFaults, Fault, is_gateway_file, read_file};

/// Where in a file the policy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Root {
    /// It is the whole file.
    File,
    /// It is a part of a gateway's configuration.
    Gateway,
}

impl Root {
    /// A place in the policy, as a place in the file.
    pub(super) fn of(self, path: &FaultPath) -> FaultPath {
        let root = match self {
            Self::File => FaultPath::root(),
            Self::Gateway => FaultPath::root().key("policy"),
        };
        path.steps().iter().fold(root, |path, step| match step {
            mcp_gw_policy::PathStep::Index(index) => path.index(*index),
            mcp_gw_policy::PathStep::Key(key) => path.key(key),
            _ => path,
        })
    }
}

/// A policy, and what its file says besides.
pub(super) struct Subject {
    /// The file, as it was named.
    pub(super) file: String,
    pub(super) policy: PolicyConfig,
    pub(super) root: Root,
    pub(super) places: SourceMap,
    /// The callers that a gateway's configuration names.
    pub(super) callers: BTreeMap<String, CaseCaller>,
    /// The gateway's configuration.
    pub(super) config: Option<Config>,
    /// Variables of the environment that are not set.
    pub(super) unset: BTreeSet<String>,
    /// What the file says.
    text: String,
}

/// Why there is no policy.
#[derive(Debug)]
pub(super) enum Refusal {
    /// The file cannot be read.
    Unreadable(String),
    /// This is wrong with it.
    Faulty(Vec<Finding>),
}

impl Refusal {
    /// What is said where a policy is only the means to something else.
    pub(super) fn in_words(self, file: &str) -> String {
        match self {
            Self::Unreadable(why) => why,
            Self::Faulty(findings) => {
                let lines = findings.iter().map(|fault| fault.line(file));
                let lines: Vec<_> = lines.collect();
                format!("{}\n{file} cannot be used", lines.join("\n"))
            }
        }
    }
}

impl Subject {
    /// Reads a policy, or the configuration of a gateway that has one.
    pub(super) fn open(path: &Path) -> Result<Self, Refusal> {
        let text = read_file(path).map_err(|faults| Refusal::Unreadable(first_line(&faults)))?;
        let file = path.display().to_string();
        let subject = if is_gateway_file(&text) {
            Self::of_gateway(file, &text)?
        } else {
            Self::of_policy(file, &text)?
        };
        Ok(subject)
    }

    fn of_policy(file: String, text: &str) -> Result<Self, Refusal> {
        let policy = PolicyConfig::from_yaml(text).map_err(|faults| {
            Refusal::Faulty(faults.faults().iter().map(Finding::of_policy).collect())
        })?;
        let places = SourceMap::of(text);
        let engine = PolicyEngine::compile(&policy)
            .map_err(|faults| Refusal::Unreadable(format!("{file}: {faults}")))?;
        let mut unknowable = engine.needs_tls();
        if !unknowable.is_empty() {
            for fault in &mut unknowable {
                fault.position = places.position(&fault.path);
            }
            let findings = unknowable.iter().map(Finding::of_policy);
            return Err(Refusal::Faulty(findings.collect()));
        }
        Ok(Self {
            file,
            policy,
            root: Root::File,
            places,
            callers: BTreeMap::new(),
            config: None,
            unset: BTreeSet::new(),
            text: text.to_owned(),
        })
    }

    /// Secrets are of no use here: where the environment has none, something else stands in.
    fn of_gateway(file: String, text: &str) -> Result<Self, Refusal> {
        let unset = RefCell::new(BTreeSet::new());
        let with_stand_ins = |name: &str| {
            environment(name).or_else(|| {
                let stand_in = stand_in_of(text, name)?;
                unset.borrow_mut().insert(name.to_owned());
                Some(stand_in)
            })
        };
        let config = match Config::load(&file, text, &with_stand_ins) {
            Ok(config) if !is_in(&unset.borrow(), &config) => config,
            // A stand-in that does not fit, or that decides something, is better said of the variable.
            other => {
                let with_stand_ins = other.err();
                Config::load(&file, text, &environment)
                    .map_err(|faults| refused(&faults, with_stand_ins.as_ref()))?
            }
        };
        let callers = config.auth.api_keys.iter();
        let callers = callers
            .map(|key| (key.id.clone(), CaseCaller::from(&caller_of(key))))
            .collect();
        Ok(Self {
            file,
            policy: config.whole_policy(),
            root: Root::Gateway,
            places: SourceMap::of(text),
            callers,
            config: Some(config),
            unset: unset.into_inner(),
            text: text.to_owned(),
        })
    }

    /// The configuration, when its servers can be asked what they offer.
    pub(super) fn to_ask(&self) -> Result<&Config, String> {
        let Some(config) = &self.config else {
            return Err(format!(
                "{}: a policy alone names no servers that could be asked; give the configuration of \
                 the gateway, or leave out --ask",
                self.file
            ));
        };
        // Keys of callers and of sessions are of no use for that.
        let lacks = self
            .unset
            .iter()
            .filter(|name| self.is_of_a_server(config, name));
        let lacks: Vec<_> = lacks.map(String::as_str).collect();
        if lacks.is_empty() {
            return Ok(config);
        }
        Err(format!(
            "{}: the servers cannot be asked, as the environment lacks {}; set it, or leave out --ask",
            self.file,
            quoted(lacks.into_iter())
        ))
    }

    /// True when a server would be another one with another value of this variable.
    fn is_of_a_server(&self, config: &Config, variable: &str) -> bool {
        let with_another = |name: &str| {
            let other = (name == variable).then(|| stand_in(&format!("another {name}")));
            other
                .or_else(|| environment(name))
                .or_else(|| stand_in_of(&self.text, name))
        };
        Config::load(&self.file, &self.text, &with_another)
            .map_or(true, |other| config.marks.differ(&other.marks, "servers"))
    }

    /// The engine of this policy.
    pub(super) fn engine(&self) -> Result<PolicyEngine, String> {
        PolicyEngine::compile(&self.policy).map_err(|faults| format!("{}: {faults}", self.file))
    }
}

/// What stands in for a variable that the text names; others say something by not being there.
fn stand_in_of(text: &str, name: &str) -> Option<String> {
    text.contains(&format!("${{{name}")).then(|| stand_in(name))
}

fn first_line(text: &impl ToString) -> String {
    let text = text.to_string();
    text.lines().next().unwrap_or_default().to_owned()
}

/// What is wrong with a configuration; of variables that are not set, only what a stand-in does not
/// mend.
fn refused(faults: &ConfigFaults, with_stand_ins: Option<&ConfigFaults>) -> Refusal {
    let remains = |fault: &&Fault| {
        with_stand_ins.is_none_or(|others| {
            let mut others = others.faults().iter();
            others.any(|other| other.path() == fault.path())
        })
    };
    let all = faults.faults().iter();
    let mut findings: Vec<_> = all
        .clone()
        .filter(remains)
        .map(Finding::of_config)
        .collect();
    if findings.is_empty() {
        findings = all.map(Finding::of_config).collect();
    }
    Refusal::Faulty(findings)
}

/// True when the policy, or what it knows of callers, depends on one of these variables.
fn is_in(unset: &BTreeSet<String>, config: &Config) -> bool {
    if unset.is_empty() {
        return false;
    }
    let callers: Vec<_> = config
        .auth
        .api_keys
        .iter()
        .map(|key| CaseCaller::from(&caller_of(key)))
        .collect();
    // In JSON a stand-in is what it is: it has no characters that are escaped.
    let text = serde_json::to_string(&(config.whole_policy(), callers));
    text.is_ok_and(|text| unset.iter().any(|name| text.contains(&stand_in(name))))
}

/// What fits wherever a secret may stand: long enough, and 32 bytes in base64.
fn stand_in(name: &str) -> String {
    BASE64_STANDARD.encode(Sha256::digest(name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(text: &str) -> Result<Subject, Refusal> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file.yaml");
        std::fs::write(&path, text).unwrap();
        Subject::open(&path)
    }

    #[test]
    fn a_policy_is_taken_from_either_kind_of_file() {
        let policy = open("rules: [{ id: a, effect: allow }]").unwrap();
        assert_eq!((policy.root, policy.policy.rules.len()), (Root::File, 1));
        let gateway = "
policy: { rules: [{ id: a, effect: allow }] }
auth: { api_keys: [{ id: ann, key: '${NO_SUCH_KEY}', groups: [staff] }] }
http: { sessions: { keys: [{ key: '${NO_SUCH_SESSION_KEY}' }] } }
servers: { a: { command: a } }
";
        let gateway = open(gateway)
            .map_err(|refusal| refusal.in_words("f"))
            .unwrap();
        assert_eq!(gateway.root, Root::Gateway);
        assert_eq!(gateway.callers["ann"].groups, ["staff"]);
        assert!(gateway.unset.contains("NO_SUCH_KEY"));
        let path = gateway.root.of(&FaultPath::root().key("rules").index(0));
        assert_eq!(gateway.places.position(&path).unwrap().0, 2);
    }

    #[test]
    fn only_what_servers_are_started_with_is_needed_to_ask_them() {
        let text = "
policy: { default: allow }
auth: { api_keys: [{ id: ann, key: '${NO_SUCH_KEY}' }] }
http: { sessions: { keys: [{ key: '${NO_SUCH_SESSION_KEY}' }] } }
servers: { a: { command: a, env: { TOKEN: VALUE } } }
";
        let ask = |value: &str| {
            let subject = open(&text.replace("VALUE", value));
            let subject = subject.map_err(|refusal| refusal.in_words("f")).unwrap();
            assert_eq!(subject.unset.len(), 2 + usize::from(value.contains('$')));
            subject.to_ask().map(|_| ())
        };
        assert_eq!(ask("plain"), Ok(()));
        let lacks = ask("'${NO_SUCH_TOKEN}'").unwrap_err();
        assert!(lacks.contains("lacks `NO_SUCH_TOKEN`;"), "{lacks}");
    }

    #[test]
    fn what_is_no_policy_says_what_is_wrong_with_what_it_seems_to_be() {
        for (text, says) in [
            ("rule: []", "did you mean `rules`?"),
            ("policy: { rule: [] }", "policy.rule"),
            ("servers: { a: { comand: a, url: 7 } }", "servers.a"),
            (
                "policy: { rules: [{ id: a, effect: allow, tools: ['${NO_SUCH_TOOL}_*'] }] }\nservers: { a: { command: a } }",
                "NO_SUCH_TOOL",
            ),
            ("a: [", "YAML"),
        ] {
            let words = open(text).err().unwrap().in_words("f");
            assert!(words.contains(says), "{text}: {words}");
        }
        let text = "auth: { api_keys: [{ id: a, key: '${NO_SUCH_KEY}' }] }\nname: 7";
        let words = open(text).err().unwrap().in_words("f");
        assert!(
            words.contains("name") && !words.contains("NO_SUCH_KEY"),
            "{words}"
        );
    }
}

//! How our gateway is set up: with nothing on but forwarding, and with everything.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use crate::wire::Failure;

/// What is on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Settings {
    pub(crate) name: &'static str,
    pub(crate) is_full: bool,
}

impl Settings {
    /// Any caller may do anything, and nothing is counted or written down.
    pub(crate) const BARE: Self = Self {
        name: "ours, bare",
        is_full: false,
    };
    /// API keys, a policy, limits, the audit log in a file, metrics.
    pub(crate) const FULL: Self = Self {
        name: "ours, all on",
        is_full: true,
    };

    /// What `--log` is to say.
    pub(crate) const fn log(self) -> &'static str {
        if self.is_full { "info" } else { "error" }
    }

    /// Writes the configuration file: the upstream as so many servers.
    pub(crate) fn write(
        self,
        folder: &Path,
        upstream: &str,
        servers: usize,
        has_callers: bool,
    ) -> Result<PathBuf, Failure> {
        let mut text = "http: { listen: \"127.0.0.1:0\" }\n".to_owned();
        if self.is_full {
            if has_callers {
                writeln!(
                    text,
                    "auth: {{ api_keys: [{{ id: bench, key: \"{KEY}\", roles: [worker] }}] }}"
                )?;
            }
            text.push_str(EVERYTHING);
        } else {
            text.push_str("policy: { default: allow }\n");
        }
        text.push_str("servers:\n");
        for index in 0..servers {
            writeln!(text, "  s{index:02}: {{ url: \"{upstream}\" }}")?;
        }
        let file = folder.join("mcp-gw.yaml");
        fs::write(&file, text)?;
        Ok(file)
    }

    /// The names that the gateway gives to the `echo` of its servers.
    pub(crate) fn echoes(servers: usize) -> Vec<String> {
        match servers {
            1 => vec!["echo".to_owned()],
            _ => (0..servers)
                .map(|index| format!("s{index:02}__echo"))
                .collect(),
        }
    }
}

/// The key of the caller, where callers have keys.
pub(crate) const KEY: &str = "bench-bench-bench-bench-bench-0001";

/// Rules of every effect, with and without a caller in them; limits that are never reached.
const EVERYTHING: &str = r#"metrics: { listen: "127.0.0.1:0" }
policy:
  rules:
    - { id: use, effect: allow, tools: ["*echo", "*tool_*"], who: { kinds: [api_key, local] } }
    - { id: read, effect: allow, methods: [list] }
    - { id: operate, effect: allow, who: { roles: [operator] } }
    - { id: no-deleting, effect: deny, tools: ["*delete*", "*drop*"] }
    - { id: no-secrets, effect: deny, tools: [{ regex: ".*(secret|password).*" }] }
    - { id: from-here, effect: require, tools: ["*admin*"], from: ["127.0.0.0/8"] }
limits:
  rules:
    - { name: minute, quota: 1000000000, window: 60s }
    - { name: tool, per: caller_and_tool, quota: 1000000000, window: 10s }
  other: { quota: 1000000000, window: 60s }
"#;

//! Sessions in the configuration: bounds, what is kept of their streams, keys that seal their ids.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp_gw_core::Secret;
use schemars::JsonSchema;
use serde::Deserialize;

use super::check::Checker;
use super::path::ConfigPath;
use super::text::{ByteSize, DurationText};
use super::types::seconds;
use crate::http::journal::ReplayLimits;
use crate::session::{SessionLimits, SessionSeal};

/// Limits on sessions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct SessionsConfig {
    /// How long a session may lie idle before it ends. An open request or stream is use.
    pub idle_timeout: DurationText,
    /// How many sessions one caller may hold at a time; the one longest unused makes room for the next.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_per_caller: u32,
    /// How many sessions there may be at a time.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_total: u32,
    /// How long a client of 2025-11-25 waits for an answer before it is sent away, to come back for
    /// it a second later: where a proxy cuts what takes long. Never if not given. Messages wait in
    /// `replay` meanwhile.
    pub poll_after: Option<DurationText>,
    /// What is kept for clients that come back after a break, or that have no stream open.
    pub replay: ReplayConfig,
    /// Keys that seal sessions into their ids, so that every gateway with these keys can serve a
    /// session that another began. The first seals, all open. Without keys a session is served only
    /// where it began.
    pub keys: Vec<SessionKeyConfig>,
    /// How long a sealed session id is good for, at most `720h`.
    pub max_age: DurationText,
}

impl Default for SessionsConfig {
    fn default() -> Self {
        Self {
            idle_timeout: seconds(30 * 60),
            max_per_caller: 64,
            max_total: 4096,
            poll_after: None,
            replay: ReplayConfig::default(),
            keys: Vec::new(),
            max_age: seconds(24 * 3600),
        }
    }
}

/// What is kept of the streams of sessions.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ReplayConfig {
    /// How many messages of one session; the oldest make room.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max_messages: u32,
    /// How many bytes of one session.
    pub max_size: ByteSize,
    /// How many bytes of all sessions together. Beyond, nothing is kept of what was sent.
    pub max_total_size: ByteSize,
    /// How long a message is kept.
    pub max_age: DurationText,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            max_messages: 256,
            max_size: ByteSize::new(1 << 20),
            max_total_size: ByteSize::new(64 << 20),
            max_age: seconds(5 * 60),
        }
    }
}

/// A key that seals session ids: exactly one of `key` and `key_file`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SessionKeyConfig {
    /// The key itself, 32 random bytes in Base64; take it from the environment as
    /// `${SESSION_KEY}`.
    #[schemars(extend("writeOnly" = true))]
    pub key: Option<Secret<String>>,
    /// A file that holds the key; blanks and line ends around it are ignored.
    pub key_file: Option<PathBuf>,
}

impl SessionKeyConfig {
    /// The key; reads `key_file`.
    ///
    /// # Errors
    ///
    /// [`SessionKeyError`] if there is not exactly one source, the file cannot be read, or the text
    /// is not 32 bytes in Base64.
    pub fn bytes(&self) -> Result<Secret<[u8; 32]>, SessionKeyError> {
        let file;
        let text = match (&self.key, &self.key_file) {
            (Some(key), None) => key,
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path);
                file = Secret::new(text.map_err(|source| SessionKeyError::File { source })?);
                &file
            }
            _ => return Err(SessionKeyError::Source),
        };
        let bytes = STANDARD.decode(text.expose().trim()).ok();
        let bytes = bytes.and_then(|bytes| bytes.try_into().ok());
        bytes.map(Secret::new).ok_or(SessionKeyError::Malformed)
    }
}

/// Why there is no session key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SessionKeyError {
    /// Not exactly one of the two sources is given.
    #[error("not exactly one of `key` and `key_file` is given")]
    Source,
    /// The text is no key.
    #[error("the key is not 32 bytes in Base64")]
    Malformed,
    /// The file cannot be read.
    #[error("the file cannot be read: {}", source.kind())]
    File {
        /// What the operating system says.
        source: io::Error,
    },
}

impl SessionKeyError {
    /// What to do about it.
    pub fn help(&self) -> &'static str {
        match self {
            Self::Source => "give one of them: best `key: ${SESSION_KEY}`",
            Self::Malformed => "make one with `openssl rand -base64 32`",
            Self::File { .. } => "check the path, and that this program may read it",
        }
    }
}

impl SessionsConfig {
    /// The same as the engine takes it.
    pub(crate) fn limits(&self) -> SessionLimits {
        let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        let size = |size: ByteSize| usize::try_from(size.bytes()).unwrap_or(usize::MAX);
        let replay = ReplayLimits::new(
            count(self.replay.max_messages),
            size(self.replay.max_size),
            size(self.replay.max_total_size),
            self.replay.max_age.get(),
        );
        SessionLimits::new(
            self.idle_timeout.get(),
            count(self.max_per_caller),
            count(self.max_total),
        )
        .with_replay(replay)
        .with_poll_after(self.poll_after.map(DurationText::get))
    }

    /// What seals session ids, for the endpoint at `path`; reads files of keys.
    pub(crate) fn seal(&self, path: &str) -> Result<Option<SessionSeal>, SessionKeyError> {
        let keys = self.keys.iter().map(SessionKeyConfig::bytes);
        let keys: Vec<_> = keys.collect::<Result<_, _>>()?;
        let seal = SessionSeal::new(keys, self.max_age.get());
        Ok(seal.map(|seal| seal.with_audience(path)))
    }
}

/// Checks what the types do not say.
pub(super) fn check(checker: &mut Checker<'_>, sessions: &SessionsConfig, path: &ConfigPath) {
    checker.duration(&path.key("idle_timeout"), sessions.idle_timeout);
    let replay = path.key("replay").key("max_age");
    checker.duration(&replay, sessions.replay.max_age);
    if let Some(poll_after) = sessions.poll_after {
        checker.duration(&path.key("poll_after"), poll_after);
    }
    let at = path.key("max_age");
    if sessions.max_age.get() < Duration::from_secs(1) || sessions.max_age > LONGEST_AGE {
        let help = format!("write something from `1s` to `{LONGEST_AGE}`");
        checker.fault(&at, "no time that a session id can be good for", help);
    }
    let mut seen: Vec<[u8; 32]> = Vec::new();
    for (index, key) in sessions.keys.iter().enumerate() {
        let at = path.key("keys").index(index);
        let part = match (&key.key, &key.key_file) {
            (Some(_), None) => at.key("key"),
            (None, Some(_)) => at.key("key_file"),
            _ => at,
        };
        match key.bytes() {
            Err(error) => checker.fault(&part, error.to_string(), error.help()),
            Ok(bytes) => match seen.iter().position(|other| other == bytes.expose()) {
                Some(first) => {
                    let message =
                        format!("the key of `{}[{first}]` is there again", path.key("keys"));
                    checker.fault(&part, message, "remove one of them");
                }
                None => seen.push(*bytes.expose()),
            },
        }
    }
}

/// The longest `max_age`.
const LONGEST_AGE: DurationText = seconds(720 * 3600);

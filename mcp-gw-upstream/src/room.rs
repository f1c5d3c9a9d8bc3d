//! How many connections of their own clients may have, whose goes when there is no room, and what a
//! client is told that gets none.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use mcp_gw_core::{BackendError, JsonText, ObjectWriter, RawJson};

/// How many there may be, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Of all callers together.
    pub(crate) max: usize,
    /// Of one caller.
    pub(crate) share: usize,
    pub(crate) idle: Duration,
}

impl Bounds {
    /// One caller has at most half of them, unless `share` says otherwise.
    pub(crate) fn new(max: usize, share: Option<usize>, idle: Duration) -> Self {
        Self {
            max,
            share: share.unwrap_or(max / 2).clamp(1, max.max(1)),
            idle,
        }
    }
}

/// Why a client that could be asked something is on the connection that all share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lack {
    /// Nobody has one of its own.
    Off,
    /// There are as many as may be, and all in use.
    Full(usize),
    /// Its caller has as many as one may have, and all in use.
    Share(usize),
    /// It could not be opened.
    Failed,
}

impl Lack {
    /// What is the matter, and which setting is about it.
    pub(crate) fn reason(self) -> String {
        match self {
            Self::Off => "`max_connections` is 0".to_owned(),
            Self::Full(max) => {
                format!("all {max} connections that `max_connections` allows are in use")
            }
            Self::Share(share) => format!(
                "its caller has as many as `max_connections_per_caller` allows ({share}), all of them \
                 in use"
            ),
            Self::Failed => "it could not be opened".to_owned(),
        }
    }

    fn note(self, server: &str) -> String {
        let advice = match self {
            Self::Full(_) | Self::Share(_) => {
                "end calls that wait for answers, or have the setting raised"
            }
            Self::Off => "have the setting raised",
            Self::Failed => "try again later",
        };
        format!(
            "[mcp-gw] During this call server `{server}` could not ask this client anything (sampling, \
             elicitation, roots): the client has no connection of its own to it, as {}. If the call \
             failed for want of that: {advice}.",
            self.reason()
        )
    }

    /// The outcome of a call that its client could not be asked in. One that went wrong says so, as
    /// nobody could guess it.
    pub(crate) fn explain(
        self,
        server: &str,
        outcome: Result<RawJson, BackendError>,
    ) -> Result<RawJson, BackendError> {
        match outcome {
            Ok(result) => Ok(failed(&result, || self.note(server)).unwrap_or(result)),
            Err(BackendError::Rpc(error)) => {
                let told = with_message(&error, || self.note(server));
                Err(BackendError::Rpc(told.unwrap_or(error)))
            }
            Err(error) => Err(error),
        }
    }
}

/// The result of a tool that failed, with another text at its end; `None` for other results.
fn failed(result: &RawJson, note: impl FnOnce() -> String) -> Option<RawJson> {
    let members = result.members().ok()?;
    members.get("isError").filter(|says| says.get() == "true")?;
    let content = members.get("content")?.get().trim();
    let head = content.strip_prefix('[')?.strip_suffix(']')?;
    let text = ObjectWriter::default()
        .string("type", "text")
        .string("text", &note())
        .finish();
    let comma = if head.trim().is_empty() { "" } else { "," };
    let content = RawJson::parse(format!("[{head}{comma}{text}]")).ok()?;
    replaced(result, "content", &content)
}

/// An error object whose message says more.
fn with_message(error: &RawJson, note: impl FnOnce() -> String) -> Option<RawJson> {
    let message: String = error.member("message").ok()??.decode_owned().ok()?;
    let message = RawJson::string(&format!("{message} {}", note()));
    replaced(error, "message", &message)
}

/// The same object with another value of this member, in its place.
fn replaced(object: &RawJson, member: &str, value: &RawJson) -> Option<RawJson> {
    let members = object.members().ok()?;
    let mut writer = ObjectWriter::with_capacity(object.len() + value.len());
    for (name, old) in members.iter() {
        let old: JsonText<'_> = old;
        writer = if name == member {
            writer.raw(name, value)
        } else {
            writer.raw_value(name, old)
        };
    }
    Some(writer.finish())
}

/// Something that may have to go.
pub(crate) struct Idle<K, C, S> {
    pub(crate) key: K,
    pub(crate) caller: C,
    /// Its client waits for news on it.
    pub(crate) is_watching: bool,
    pub(crate) since: S,
}

/// Which of `idle` goes first: one of a caller that has more than `fair`, then one on which nobody waits
/// for news, and of those the one that has been idle for longest.
pub(crate) fn first_to_go<K, C: Eq + Hash, S: Ord>(
    idle: impl Iterator<Item = Idle<K, C, S>>,
    held: &HashMap<C, usize>,
    fair: usize,
) -> Option<K> {
    let over = |one: &Idle<K, C, S>| held.get(&one.caller).is_some_and(|count| *count > fair);
    idle.min_by(|a, b| {
        let (left, right) = ((!over(a), a.is_watching), (!over(b), b.is_watching));
        left.cmp(&right).then_with(|| a.since.cmp(&b.since))
    })
    .map(|one| one.key)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(text: &str) -> RawJson {
        RawJson::parse(text.to_owned()).unwrap()
    }

    #[test]
    fn one_caller_has_half_of_them_and_at_least_one() {
        let share = |max, share| Bounds::new(max, share, Duration::ZERO).share;
        assert_eq!(
            [0, 1, 2, 3, 512].map(|max| share(max, None)),
            [1, 1, 1, 1, 256]
        );
        assert_eq!(share(16, Some(16)), 16);
        assert_eq!(share(16, Some(99)), 16);
        assert_eq!(share(16, Some(0)), 1);
    }

    #[test]
    fn what_went_wrong_says_that_the_client_could_not_be_asked() {
        let explain = |text| Lack::Share(8).explain("s", Ok(raw(text))).unwrap();
        for fine in [
            r#"{"content":[ ],"isError":false}"#,
            r#"{"content":[1.0]}"#,
            r#"{"content":"odd","isError":true}"#,
            "[1]",
        ] {
            assert_eq!(explain(fine).as_str(), fine);
        }
        let told =
            explain(r#"{"x":1.0,"content":[ {"type":"x/y","v":1e5} ],"isError":true,"z":[]}"#);
        let told = told.as_str();
        let begins =
            r#"{"x":1.0,"content":[ {"type":"x/y","v":1e5} ,{"type":"text","text":"[mcp-gw]"#;
        assert!(told.starts_with(begins), "{told}");
        assert!(told.ends_with(r#""}],"isError":true,"z":[]}"#), "{told}");
        assert!(
            told.contains("`max_connections_per_caller` allows (8)"),
            "{told}"
        );
        let told = explain(r#"{"content":[],"isError":true}"#);
        assert!(told.as_str().starts_with(r#"{"content":[{"type":"text""#));

        let error = BackendError::Rpc(raw(r#"{"code":-1,"message":"no","data":{"n":1.0}}"#));
        let told = Lack::Full(16).explain("s", Err(error));
        let Err(BackendError::Rpc(told)) = told else {
            panic!("{told:?}")
        };
        let told = told.as_str();
        assert!(
            told.starts_with(r#"{"code":-1,"message":"no [mcp-gw]"#),
            "{told}"
        );
        assert!(told.ends_with(r#","data":{"n":1.0}}"#), "{told}");
        let lost = BackendError::Lost {
            server: "s".into(),
            reason: "hung up".to_owned(),
        };
        let told = Lack::Off.explain("s", Err(lost));
        assert!(matches!(told, Err(BackendError::Lost { .. })));
    }

    #[test]
    fn who_has_most_gives_first() {
        let idle = |key, caller, is_watching, since| Idle {
            key,
            caller,
            is_watching,
            since,
        };
        let held = HashMap::from([('g', 3), ('h', 1)]);
        let first = |all: Vec<Idle<i32, char, i32>>| first_to_go(all.into_iter(), &held, 2);
        assert_eq!(first(vec![]), None);
        let all = vec![
            idle(1, 'h', false, 0),
            idle(2, 'g', true, 9),
            idle(3, 'g', false, 8),
        ];
        assert_eq!(first(all), Some(3));
        let all = vec![idle(1, 'h', false, 0), idle(2, 'g', true, 9)];
        assert_eq!(first(all), Some(2));
        let all = vec![idle(1, 'h', true, 0), idle(2, 'h', false, 9)];
        assert_eq!(first(all), Some(2));
        let all = vec![idle(1, 'h', false, 5), idle(2, 'h', false, 4)];
        assert_eq!(first(all), Some(2));
    }
}

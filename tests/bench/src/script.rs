//! What is asked, as text, and how its answer is judged: the same over HTTP and over standard input and output.

use std::{borrow::Cow, fmt::Write as _};

use http::StatusCode;
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::{
    client::{Ask, Plan},
    wire::{Era, Failure, MODERN},
};

/// The text of a request, in the pieces between which its id and its payload go.
#[derive(Debug)]
pub(crate) struct Script {
    era: Era,
    ask: Ask,
    after_id: String,
    end: String,
    /// What follows the serial number in the payload.
    filler: String,
}

impl Script {
    pub(crate) fn of(plan: &Plan) -> Result<Self, Failure> {
        let meta = match plan.era {
            Era::Modern => format!(
                r#""_meta":{{"io.modelcontextprotocol/protocolVersion":"{MODERN}","io.modelcontextprotocol/clientCapabilities":{{}},"io.modelcontextprotocol/clientInfo":{CLIENT}}}"#
            ),
            Era::Legacy => String::new(),
        };
        let (after_id, end, filler) = match plan.ask {
            Ask::Echo(bytes) => {
                let filler = bytes
                    .checked_sub(SERIAL_DIGITS)
                    .ok_or("a payload has 16 bytes or more")?;
                let name = serde_json::to_string(&plan.tool)?;
                let start = format!(
                    r#","method":"tools/call","params":{{"name":{name},"arguments":{{"text":""#
                );
                let comma = if meta.is_empty() { "" } else { "," };
                (start, format!(r#""}}{comma}{meta}}}}}"#), filler)
            }
            Ask::List(_) => (
                r#","method":"tools/list","params":{"#.to_owned(),
                format!("{meta}}}}}"),
                0,
            ),
        };
        let filler = ALPHABET.chars().cycle().take(filler).collect();
        Ok(Self {
            era: plan.era,
            ask: plan.ask,
            after_id,
            end,
            filler,
        })
    }

    /// The request with this id.
    pub(crate) fn request(&self, id: u64, serial: u64) -> String {
        let length = self.after_id.len() + self.filler.len() + self.end.len() + 64;
        let mut text = String::with_capacity(length);
        // Writing to a string cannot fail.
        let _ = write!(text, r#"{{"jsonrpc":"2.0","id":{id}{}"#, self.after_id);
        if matches!(self.ask, Ask::Echo(_)) {
            let _ = write!(text, "{serial:016x}{}", self.filler);
        }
        text.push_str(&self.end);
        text
    }

    /// Whether `text`, the message of an answer, is the answer to the request of this id; `status` is what came with it.
    pub(crate) fn check(
        &self,
        id: u64,
        serial: u64,
        status: StatusCode,
        text: &str,
    ) -> Result<(), Failure> {
        let wrong = |why: &str| format!("{why}: {status}: {}", short(text));
        let message: Message<'_> =
            serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
        if message.error.is_some() || !status.is_success() {
            return Err(wrong("an error").into());
        }
        if message.id.and_then(|raw| raw.get().parse().ok()) != Some(id) {
            return Err(wrong("another id").into());
        }
        let result = message.result.ok_or_else(|| wrong("no result"))?;
        let expected = (self.era == Era::Modern).then_some("complete");
        if result.kind.as_deref() != expected {
            return Err(wrong("not the resultType of this era").into());
        }
        let right = match self.ask {
            Ask::List(count) => result.tools.is_some_and(|tools| tools.len() == count),
            Ask::Echo(_) if result.is_error => false,
            Ask::Echo(_) => match result.content.as_deref() {
                Some([Block { kind, text }]) => kind == "text" && self.is_payload(serial, text),
                _ => false,
            },
        };
        if right {
            Ok(())
        } else {
            Err(wrong("another result").into())
        }
    }

    /// The text that a call of this serial number sends and gets back.
    #[cfg(feature = "management")]
    pub(crate) fn payload(&self, serial: u64) -> String {
        format!("{serial:016x}{}", self.filler)
    }

    /// Whether `text` is the result of that call, without an envelope around it.
    #[cfg(feature = "management")]
    pub(crate) fn check_result(&self, serial: u64, text: &str) -> Result<(), Failure> {
        let wrong = |why: &str| format!("{why}: {}", short(text));
        let result: Outcome<'_> =
            serde_json::from_str(text).map_err(|error| wrong(&error.to_string()))?;
        match result.content.as_deref() {
            Some([Block { kind, text }])
                if !result.is_error && kind == "text" && self.is_payload(serial, text) =>
            {
                Ok(())
            }
            _ => Err(wrong("another result").into()),
        }
    }

    fn is_payload(&self, serial: u64, text: &str) -> bool {
        text.split_at_checked(SERIAL_DIGITS)
            .is_some_and(|(digits, rest)| {
                u64::from_str_radix(digits, 16) == Ok(serial) && rest == self.filler
            })
    }
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    result: Option<Outcome<'a>>,
    error: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Outcome<'a> {
    #[serde(borrow, rename = "resultType")]
    kind: Option<Cow<'a, str>>,
    #[serde(default, rename = "isError")]
    is_error: bool,
    #[serde(borrow)]
    content: Option<Vec<Block<'a>>>,
    tools: Option<Vec<IgnoredAny>>,
}

#[derive(Deserialize)]
struct Block<'a> {
    #[serde(borrow, rename = "type")]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Cow<'a, str>,
}

/// The beginning of a text that may be long.
pub(crate) fn short(text: &str) -> &str {
    let end = text
        .char_indices()
        .nth(200)
        .map_or(text.len(), |(index, _)| index);
    text.get(..end).unwrap_or(text)
}

pub(crate) const CLIENT: &str = r#"{"name":"mcp-gw-bench","version":"0"}"#;
const ALPHABET: &str = "abcdefghijklmnopqrstuvwxyz ABCDEFGHIJKLMNOPQRSTUVWXYZ 0123456789. ";
const SERIAL_DIGITS: usize = 16;

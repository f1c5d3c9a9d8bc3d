//! Pairs of a name and a value, headers, addresses, and tokens that look like what they are, in a text that is no JSON.
//!
//! Once over the text, from front to back. Where it is not clear where a secret ends, more is taken out rather than less.

use mcp_gw_core::RawJson;
use serde_json::value::RawValue;

use super::{is_open, is_reference, is_scheme};
use crate::tools::redact::names::{Place, encrypted};
use crate::tools::redact::words::{
    is_secret_field, is_secret_name, is_secret_number, is_secret_parameter, plain,
};
use crate::tools::redact::{REDACTED, clean_within};

/// Goes over a text that is no JSON.
pub(super) struct Scan<'a> {
    text: &'a str,
    at: usize,
    levels: usize,
    /// So many more pieces are read as JSON: what begins like it and is none costs a look at all that follows.
    tries: usize,
    /// The plugin that was named last: the text may be about it.
    plugin: Option<&'a str>,
    out: String,
    /// How much of the text is in `out`, or replaced.
    copied: usize,
    count: usize,
}

impl<'a> Scan<'a> {
    pub(super) fn new(text: &'a str, levels: usize) -> Self {
        Self {
            text,
            at: 0,
            levels,
            tries: 16,
            plugin: None,
            out: String::new(),
            copied: 0,
            count: 0,
        }
    }

    /// The text without secrets, and how many there were; `None` when there are none.
    pub(super) fn run(mut self) -> Option<(String, usize)> {
        while let Some(byte) = self.byte(self.at) {
            if byte == b'{' && self.object() {
                continue;
            }
            if is_word(byte) {
                self.word();
            } else {
                self.at += 1;
            }
        }
        self.finish()
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.text.as_bytes().get(at).copied()
    }

    /// From one place to another. Both are beside ASCII.
    fn part(&self, from: usize, to: usize) -> &'a str {
        self.text.get(from..to).unwrap_or_default()
    }

    /// The place after bytes for which `is` holds.
    fn after(&self, from: usize, is: impl Fn(u8) -> bool) -> usize {
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        from + rest.iter().position(|&b| !is(b)).unwrap_or(rest.len())
    }

    /// Reads on after an object in JSON.
    fn object(&mut self) -> bool {
        let next = self.after(self.at + 1, |b| b.is_ascii_whitespace());
        if self.levels == 0 || self.tries == 0 || self.byte(next) != Some(b'"') {
            return false;
        }
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut stream = serde_json::Deserializer::from_str(rest).into_iter::<&RawValue>();
        let Some(Ok(found)) = stream.next() else {
            self.tries -= 1;
            return false;
        };
        let end = self.at + found.get().len();
        let place = Place::at(self.plugin.unwrap_or_default());
        if let Ok(raw) = RawJson::parse(found.get().to_owned())
            && let Some((shown, count)) = clean_within(&raw, &place, self.levels - 1)
        {
            self.replace(self.at, end, shown.as_str());
            self.count += count;
        }
        self.at = end;
        true
    }

    fn word(&mut self) {
        let start = self.at;
        let end = self.after(start, is_word);
        let word = self.part(start, end).trim_end_matches(['.', '-']);
        self.at = end;
        if is_token(word) {
            return self.hide(start, start + word.len());
        }
        if encrypted::of(word).is_some() {
            self.plugin = Some(word);
        }
        if self.part(end, end + 3) == "://" {
            return self.address(end + 3);
        }
        if is_scheme(word) && self.byte(end) == Some(b' ') {
            return self.proof(word, end);
        }
        self.pair(start, end);
    }

    /// The name and password in a URL.
    fn address(&mut self, from: usize) {
        let is_within = |b: u8| !b.is_ascii_whitespace() && !b"\"'<>\\".contains(&b);
        let end = self.after(from, |b| is_within(b) && !b"/?#".contains(&b));
        let authority = self.part(from, end);
        self.at = from;
        let (name, rest) = authority.split_once(':').unwrap_or_default();
        let begin = from + name.len() + 1;
        let is_port = rest.bytes().all(|b| b.is_ascii_digit());
        if let Some((password, _)) = rest.rsplit_once('@') {
            if is_open(password) {
                self.hide(begin, begin + password.len());
            }
        } else if !is_port && !authority.starts_with('[') && is_open(rest) {
            // A password may hold what belongs encoded in it.
            let most = self.text.len().min(end + LONGEST);
            let length = self.text.as_bytes().get(end..most).unwrap_or_default();
            let length = length.iter().take_while(|&&b| is_within(b));
            let at = length.enumerate().filter(|(_, b)| **b == b'@').last();
            if let Some((at, _)) = at {
                self.hide(begin, end + at);
            }
        } else if authority == "hooks.slack.com"
            || authority.ends_with("webhook.office.com")
            || self.part(end, end + 14) == "/api/webhooks/"
        {
            let path = self.after(end, |b| {
                !b.is_ascii_whitespace() && !b"\"'<>\\".contains(&b)
            });
            self.hide(end, path);
        }
    }

    /// What comes after `Bearer` or `Basic`.
    fn proof(&mut self, scheme: &str, end: usize) {
        let from = self.after(end, |b| b == b' ');
        let to = self.after(from, |b| {
            b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)
        });
        let token = self.part(from, to).trim_end_matches('.');
        // A pair, also one whose value is in quotes or was taken out.
        let is_plain = token.trim_end_matches('=').contains('=')
            || token.ends_with('=')
                && (self.byte(to) == Some(b'"') || self.part(to, to + REDACTED.len()) == REDACTED);
        let has = |is: fn(&u8) -> bool| token.bytes().skip(1).any(|b| is(&b));
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        let is_mixed = has(u8::is_ascii_digit) || has(u8::is_ascii_uppercase);
        if !is_plain && ((is_bearer && token.len() >= 16) || (is_mixed && token.len() >= 6)) {
            self.hide(from, from + token.len());
        }
    }

    /// A name, what separates it, and a value.
    fn pair(&mut self, start: usize, end: usize) {
        let word = self.part(start, end);
        let before = start.checked_sub(1).and_then(|at| self.byte(at));
        let sign = self.separator(start, end);
        let is_element = before == Some(b'<') && self.byte(end) == Some(b'>');
        let is_option = word.starts_with("--") && self.byte(end) == Some(b' ');
        if sign.is_none() && !is_element && !is_option {
            return;
        }
        let name = plain(word);
        let is_parameter = matches!(before, Some(b'?' | b'&'));
        let is_named = is_secret_name(&name)
            || (is_parameter && is_secret_parameter(&name))
            || (name == "key" && self.plugin.is_some_and(has_key))
            || name == "cookie"
            || (word.contains('-') && is_secret_field(&name, "?"));
        if !is_named {
            return;
        }
        if is_element {
            return self.value(end + 1, self.after(end + 1, |b| b != b'<'), &name);
        }
        let Some(sign) = sign else {
            let from = self.after(end, |b| b == b' ');
            return self.value(from, self.after(from, |b| !b.is_ascii_whitespace()), &name);
        };
        let quotes = self.after(sign.end, is_quote);
        let value = if quotes > sign.end {
            self.quoted(sign.end, quotes, sign.is_doubled)
        } else {
            self.bare(&sign, &name)
        };
        if let Some((from, to)) = value {
            self.value(from, to, &name);
        }
    }

    fn separator(&self, start: usize, end: usize) -> Option<Sign> {
        let quotes = self.after(end, is_quote);
        let is_doubled = self.part(end, quotes).ends_with("\"\"");
        // In Lua a name may stand in brackets.
        let bracket = usize::from(quotes > end && self.byte(quotes) == Some(b']'));
        let at = self.after(quotes + bracket, |b| matches!(b, b' ' | b'\t'));
        let is_call = start >= 2 && quotes > end && {
            let open = self.part(start - 2, start);
            open.starts_with('(') && open.ends_with(['"', '\''])
        };
        let sign = self.byte(at)?;
        let mut next = at + 1;
        match sign {
            b'=' => next = self.after(next, |b| matches!(b, b'=' | b'>')),
            b':' if self.byte(next) != Some(b':') && self.part(next, next + 2) != "//" => {}
            b',' if is_call => {}
            _ => return None,
        }
        Some(Sign {
            byte: sign,
            is_spaced: at > quotes,
            end: self.after(next, |b| matches!(b, b' ' | b'\t')),
            is_apart: self.byte(next).is_some_and(|b| b.is_ascii_whitespace()),
            is_doubled,
        })
    }

    /// A value in quotes, which may be escaped or doubled.
    fn quoted(&self, open: usize, mut from: usize, is_doubled: bool) -> Option<(usize, usize)> {
        let opening = self.part(open, from);
        if is_doubled && opening.starts_with("\"\"") {
            let rest = self.part(from, self.text.len());
            let length = rest.find("\"\"").unwrap_or(rest.len());
            return Some((from, from + length));
        }
        let quote = opening.trim_start_matches('\\').bytes().next()?;
        let slashes = opening.len() - opening.trim_start_matches('\\').len();
        // More of them: the value is empty, or begins with a quote.
        if opening.len() > slashes + 1 {
            from = open + slashes + 1;
        }
        let mut at = from;
        while let Some(byte) = self.byte(at) {
            if byte == quote {
                let before = self.part(from, at);
                let escapes = before.len() - before.trim_end_matches('\\').len();
                let is_end = if slashes == 0 {
                    escapes.is_multiple_of(2)
                } else {
                    escapes <= slashes
                };
                if is_end {
                    return Some((from, at - escapes.min(slashes)));
                }
            }
            at += 1;
        }
        Some((from, self.text.len()))
    }

    /// A value without quotes, unless it is prose or code.
    fn bare(&self, sign: &Sign, name: &str) -> Option<(usize, usize)> {
        // Seen here, as how far it goes need not be known then.
        if matches!(self.byte(sign.end), Some(b'$' | b'{' | b'[' | b'(')) {
            return None;
        }
        let is_line =
            ["authorization", "cookie", "setcookie", "proxyauthorization"].contains(&name);
        if is_line && sign.byte == b':' {
            let end = self.after(sign.end, |b| !b"\r\n\"'\\".contains(&b));
            return Some((sign.end, end));
        }
        let end = match sign.byte {
            b'=' => self.after(sign.end, |b| {
                !b.is_ascii_whitespace() && !b"&;\"'<>)]}\\".contains(&b)
            }),
            _ => self.after(sign.end, |b| {
                !b.is_ascii_whitespace() && !b",;\"'<>)]}\\".contains(&b)
            }),
        };
        let value = self.part(sign.end, end).trim_end_matches(',');
        let end = sign.end + value.len();
        // In YAML what follows is the value.
        let block = self.after(sign.end, |b| b"|>-+".contains(&b));
        if block > sign.end && matches!(self.byte(block), Some(b'\r' | b'\n')) {
            return Some((sign.end, self.text.len()));
        }
        let is_small = value.bytes().all(|b| b.is_ascii_lowercase());
        if sign.byte == b':' && is_small && (self.byte(end) == Some(b' ') || is_state(value)) {
            return None;
        }
        // `token = conf.token`, `token = get()`.
        let is_path = value.contains('.')
            && value
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b"._".contains(&b));
        let is_code = value.contains('(') || is_path;
        if sign.is_spaced && sign.is_apart && is_code {
            return None;
        }
        Some((sign.end, end))
    }

    /// Takes a value out, unless it is none.
    fn value(&mut self, from: usize, to: usize, name: &str) {
        let value = self.part(from, to);
        let is_number = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
        let is_nothing = matches!(
            value.to_ascii_lowercase().as_str(),
            "" | "true" | "false" | "null" | "nil" | "none" | "undefined" | "string"
        );
        // What comes after the end of a text in code, and what only says how.
        let is_code = [" ..", " +", " ."]
            .iter()
            .any(|start| value.starts_with(start));
        let is_said =
            (name == "cookie" && !value.contains('=')) || (name == "jwt" && value.len() < 20);
        if is_code || is_said {
            return;
        }
        let begins = value.starts_with(['{', '[', '(', '*', '<', '%']) || !is_open(value);
        if is_nothing
            || begins
            || is_reference(value)
            || (is_number && !is_secret_number(name, value))
        {
            return;
        }
        self.hide(from, to);
    }

    fn hide(&mut self, from: usize, to: usize) {
        self.replace(from, to, REDACTED);
        self.count += 1;
        self.at = to;
    }

    fn replace(&mut self, from: usize, to: usize, with: &str) {
        self.out.push_str(self.part(self.copied, from));
        self.out.push_str(with);
        self.copied = to;
    }

    fn finish(mut self) -> Option<(String, usize)> {
        if self.copied == 0 {
            return None;
        }
        self.out
            .push_str(self.text.get(self.copied..).unwrap_or_default());
        Some((self.out, self.count))
    }
}

/// A password in an address goes on for no longer than that.
const LONGEST: usize = 256;

/// What stands between a name and a value.
struct Sign {
    byte: u8,
    /// There is a blank before it.
    is_spaced: bool,
    /// There is a blank after it.
    is_apart: bool,
    /// The name is in doubled quotes, as in CSV.
    is_doubled: bool,
    /// Where the value begins.
    end: usize,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-.".contains(&byte)
}

fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'\\' | b'`')
}

/// What messages say of a token, and what scopes let do.
fn is_state(word: &str) -> bool {
    const WORDS: [&str; 17] = [
        "", "admin", "all", "create", "delete", "empty", "expired", "invalid", "list", "manage",
        "missing", "read", "required", "revoked", "unknown", "update", "write",
    ];
    WORDS.contains(&word)
}

/// Plugins that call their secret `key`.
fn has_key(plugin: &str) -> bool {
    encrypted::of(plugin).is_some_and(|fields| fields.contains(&"key"))
}

/// What its issuer made recognisable.
fn is_token(word: &str) -> bool {
    const HEADS: [&str; 14] = [
        "ghp_",
        "gho_",
        "ghs_",
        "ghu_",
        "github_pat_",
        "glpat-",
        "xoxb-",
        "xoxp-",
        "xoxa-",
        "sk-",
        "sk_live_",
        "rk_live_",
        "hvs.",
        "a7ee-",
    ];
    let has_digit = || word.bytes().any(|b| b.is_ascii_digit());
    if HEADS.iter().any(|head| word.starts_with(head)) {
        return word.len() >= 24 && has_digit();
    }
    // A JSON Web Token.
    word.starts_with("eyJ") && word.len() >= 32 && word.bytes().filter(|&b| b == b'.').count() == 2
}

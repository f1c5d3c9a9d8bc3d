//! Secrets in texts: JSON in them, pairs of a name and a value, headers, addresses, tokens that look like what they are.
//!
//! Once over the text, from front to back. Where it is not clear where a secret ends, more is taken out rather than less.

use std::borrow::Cow;

use mcp_gw_core::RawJson;
use serde_json::value::RawValue;

use super::names::{Place, encrypted};
use super::words::{
    is_count, is_secret_field, is_secret_name, is_secret_number, is_secret_parameter, plain,
};
use super::{LEVELS, REDACTED, clean_within};

/// A reference says where a secret is, not what it is.
pub(super) fn is_reference(text: &str) -> bool {
    text.starts_with("$secret://")
        || text
            .get(..7)
            .is_some_and(|head| head.eq_ignore_ascii_case("$env://"))
}

/// The text without secrets.
pub(crate) fn without_secrets(text: &str) -> Cow<'_, str> {
    hidden(text, false, LEVELS, Place::default)
        .map_or(Cow::Borrowed(text), |(shown, _)| Cow::Owned(shown))
}

/// Whether a header is secret.
pub(crate) fn is_secret_header(name: &str, value: &str) -> bool {
    let name = plain(name);
    let is_challenge = matches!(&*name, "wwwauthenticate" | "proxyauthenticate");
    is_secret_field(&name, value)
        || (!is_challenge && hidden(value, true, LEVELS, Place::default).is_some())
}

/// The text without secrets, and how many there were; `None` when there are none.
pub(super) fn hidden(
    text: &str,
    is_header: bool,
    levels: usize,
    place: impl FnOnce() -> Place,
) -> Option<(String, usize)> {
    if levels > 0 && text.trim_start().starts_with(['{', '[', '"']) {
        if let Ok(raw) = RawJson::parse(text.to_owned()) {
            let (shown, count) = clean_within(&raw, &place(), levels - 1)?;
            return Some((shown.to_string(), count));
        }
    }
    if text.contains("PRIVATE KEY-----") || is_secret_value(text, is_header) {
        return Some((REDACTED.to_owned(), 1));
    }
    let mut scan = Scan {
        text,
        at: 0,
        levels,
        tries: 16,
        plugin: None,
        out: String::new(),
        copied: 0,
        count: 0,
    };
    scan.run();
    scan.finish()
}

/// What is secret as a whole, whatever its name is.
fn is_secret_value(text: &str, is_header: bool) -> bool {
    if text.contains(char::is_whitespace) {
        return is_header && is_proof(text);
    }
    has_password(text) || has_secret_parameter(text) || is_webhook(text)
}

/// The value of a header that proves who sends it.
fn is_proof(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(' ') else {
        return false;
    };
    is_scheme(scheme) && !rest.contains([' ', '"', '$'])
}

fn is_scheme(word: &str) -> bool {
    ["bearer", "basic", "apikey", "token"]
        .iter()
        .any(|name| word.eq_ignore_ascii_case(name))
}

/// An address with a password in it.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return is_user_at_host(text);
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.split_once(':').is_some_and(|(_, word)| is_open(word)))
}

/// `user:password@host`.
fn is_user_at_host(text: &str) -> bool {
    let Some((user, host)) = text.rsplit_once('@') else {
        return false;
    };
    let Some((name, password)) = user.split_once(':') else {
        return false;
    };
    let host = host.split(['/', '?', ':']).next().unwrap_or_default();
    let is_name = |text: &str| {
        !text.is_empty()
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b))
    };
    let is_other = ["mailto", "sip", "sips", "acct", "xmpp", "arn", "urn"].contains(&name);
    is_name(name) && is_name(host) && !is_other && !password.contains('/') && is_open(password)
}

/// A secret that is there, and not taken out already or filled in later.
fn is_open(value: &str) -> bool {
    !value.is_empty() && !value.starts_with('$') && !value.starts_with("[redacted")
}

/// A URL that whoever has it may use.
fn has_secret_parameter(text: &str) -> bool {
    let Some((_, query)) = text.split_once('?') else {
        return false;
    };
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or_default();
        is_open(value) && is_secret_parameter(&plain(name)) && !is_count(&plain(name), value)
    })
}

fn is_webhook(text: &str) -> bool {
    text.contains("://hooks.slack.com/")
        || text.contains("/api/webhooks/")
        || text.contains("webhook.office.com/")
}

/// Goes over a text that is no JSON.
struct Scan<'a> {
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
    fn run(&mut self) {
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
            return self.proof(end);
        }
        self.pair(start, end);
    }

    /// The name and password in a URL.
    fn address(&mut self, from: usize) {
        let end = self.after(from, |b| {
            !b.is_ascii_whitespace() && !b"/?#\"'<>\\,;".contains(&b)
        });
        let authority = self.part(from, end);
        self.at = from;
        if let Some((user, _)) = authority.rsplit_once('@')
            && let Some((name, password)) = user.split_once(':')
            && is_open(password)
        {
            let begin = from + name.len() + 1;
            self.hide(begin, begin + password.len());
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
    fn proof(&mut self, end: usize) {
        let from = self.after(end, |b| b == b' ');
        let to = self.after(from, |b| {
            b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b)
        });
        let token = self.part(from, to).trim_end_matches('.');
        let is_plain = token.trim_end_matches('=').contains('=')
            || self.byte(to) == Some(b'"') && token.ends_with('=');
        let has = |is: fn(&u8) -> bool| token.bytes().skip(1).any(|b| is(&b));
        let is_mixed = has(u8::is_ascii_digit) || has(u8::is_ascii_uppercase);
        if !is_plain && (token.len() >= 16 || (token.len() >= 6 && is_mixed)) {
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
        let at = self.after(quotes, |b| matches!(b, b' ' | b'\t'));
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
            sign,
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
                    escapes % 2 == 0
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
        if is_line && sign.sign == b':' {
            let end = self.after(sign.end, |b| !b"\r\n\"'\\".contains(&b));
            return Some((sign.end, end));
        }
        let end = match sign.sign {
            b'=' => self.after(sign.end, |b| {
                !b.is_ascii_whitespace() && !b"&;\"'<>)]}\\".contains(&b)
            }),
            _ => self.after(sign.end, |b| {
                !b.is_ascii_whitespace() && !b",;\"'<>)]}\\".contains(&b)
            }),
        };
        let value = self.part(sign.end, end).trim_end_matches(',');
        let end = sign.end + value.len();
        let is_small = value.bytes().all(|b| b.is_ascii_lowercase());
        if sign.sign == b':' && is_small && (self.byte(end) == Some(b' ') || is_state(value)) {
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

/// What stands between a name and a value.
struct Sign {
    sign: u8,
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

/// What messages say of a token.
fn is_state(word: &str) -> bool {
    matches!(
        word,
        "" | "required"
            | "missing"
            | "invalid"
            | "expired"
            | "empty"
            | "wrong"
            | "unknown"
            | "revoked"
    )
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_found_in_texts_of_all_kinds() {
        for text in [
            r#"failed to check the configuration of plugin key-auth: {"key":"SECRET1"} password=SECRET2 x"#,
            "see https://u:SECRET3@host/x and redis://:SECRET@h:1/0",
            "curl -H \"Authorization: Bearer SECRETSECRETSECRET4\" https://h",
            "Bearer SECRETSECRETSECRET4",
            "access_token=SECRET6&refresh_token=SECRET7",
            "a=1&password=SECRET&b=2",
            "Authorization: Basic SECRETSECRETSECRET",
            "Authorization: SECRET",
            "X-Api-Key: SECRET2",
            "X-Auth: SECRET",
            "Cookie: a=SECRET; b=SECRET",
            "GET / HTTP/1.1\r\nHost: h\r\nX-Api-Key: SECRET\r\nCookie: a=SECRET\r\n\r\n",
            "id,body\n1,\"{\"\"password\"\":\"\"SECRET5\"\",\"\"a\"\":1}\"",
            "Server=h;User=u;Password=SECRET;Port=1",
            "jdbc:mysql://h/db?user=u&password=SECRET and more",
            "look at /x?password=SECRET now",
            "API_KEY=SECRET",
            "spring.datasource.password=SECRET",
            "password: 'SECRET'\nuser: u",
            "db:\n  password: SECRET1\n",
            "local password = \"SECRET\" return 1",
            "ngx.req.set_header('Authorization', 'SECRET')",
            "ngx.req.set_header(\"X-Api-Key\",\"SECRET\")",
            r#"body: {\"password\":\"SE\\\"CRET\",\"a\":1}"#,
            r#"{"password":"SECRET","cut off": "#,
            r#"jwe-decrypt says "key":"SECRET" is too short {"#,
            "<password>SECRET</password>",
            "mysql --password SECRET -h x",
            "mysql --password=SECRET -h x",
            "x eyJSECRETSECRET.eyJSECRETSECRET.SECRETSECRET y",
            "token ghp_SECRETSECRETSECRET12345 leaked",
            "hook https://hooks.slack.com/services/SECRET/SECRET failed",
            "-----BEGIN RSA PRIVATE KEY-----SECRET",
            "user:SECRET@host.example.com",
            "secret=>SECRET",
            "api_key=12345SECRET",
        ] {
            let (shown, count) = hidden(text, false, LEVELS, Place::default).expect(text);
            assert!(!shown.contains("SECRET"), "{text}: {shown}");
            assert!(count > 0 && shown.contains(REDACTED), "{shown}");
            let again = hidden(&shown, false, LEVELS, Place::default);
            assert_eq!(again, None, "{shown}");
        }
        let (shown, _) = hidden("password=123456 x", false, 1, Place::default).unwrap();
        assert_eq!(shown, "password=[redacted] x");
    }

    #[test]
    fn what_is_no_secret_is_not_touched() {
        for text in [
            "",
            "Bearer authentication?",
            "Basic auth is used",
            "Bearer realm=\"x\"",
            "the token: is required",
            "invalid token: expired",
            "property \"secret\" is required",
            "property \"password\" validation failed: wrong type: expected string, got number",
            "token_ttl=5 max_tokens=100 n=7",
            "https://a/b@c:d and http://h:80/x?page=2&token=$arg_token",
            "local token = ngx.req.get_headers()[\"token\"]",
            "local token = conf.token",
            "if token == nil then return 401 end",
            "password=$secret://vault/1/k",
            "password: null, secret=true, token=[redacted]",
            "a::token::b",
            "mailto:a@b.example sip:x@y",
            "uses the cookie of the session",
            "10.0.0.1:80 2001:db8::1",
            "require(\"token\")",
            "{{{{{{{{[[[[[[[[",
        ] {
            assert_eq!(hidden(text, false, LEVELS, Place::default), None, "{text}");
        }
    }

    #[test]
    fn headers_are_secret_by_name_or_by_value() {
        for (name, value) in [
            ("X-Auth", "x"),
            ("X-Secret-Header", "x"),
            ("Authorization", "x"),
            ("Cookie", "a=b"),
            ("X-Foo", "Bearer x"),
            ("Location", "https://idp/cb?code=x&state=y"),
            ("Link", "<https://h/?token=x>; rel=next"),
            ("X-Note", "password=x"),
        ] {
            assert!(is_secret_header(name, value), "{name}: {value}");
        }
        for (name, value) in [
            ("WWW-Authenticate", "Bearer realm=x"),
            ("Access-Control-Allow-Credentials", "true"),
            ("X-RateLimit-Remaining-Tokens", "500"),
            ("X-Token", "$http_x_token"),
            ("Content-Type", "text/html; charset=utf-8"),
            ("Date", "Fri, 20 Nov 2026 23:00:00 GMT"),
        ] {
            assert!(!is_secret_header(name, value), "{name}: {value}");
        }
    }

    proptest! {
        #[test]
        fn a_text_is_clean_after_it_was_cleaned(
            text in r#"([a-z:= "'{}\\\[\],?&@/;.<>é\n-]|password|token|Bearer |key|://|\$|[A-Z0-9]{3,9}|authorization: ){0,24}"#,
        ) {
            let once = without_secrets(&text).into_owned();
            prop_assert_eq!(without_secrets(&once), &*once);
        }

        #[test]
        fn no_secret_survives_what_is_around_it(
            before in "[a-z ,;{}&]{0,12}", after in "[a-z ,;{}&]{0,12}", secret in "[A-Z][A-Za-z0-9]{7,20}",
            form in 0_usize..8,
        ) {
            let pair = match form {
                0 => format!("password={secret}"),
                1 => format!("\"password\":\"{secret}\""),
                2 => format!("\\\"client_secret\\\": \\\"{secret}\\\""),
                3 => format!("X-Api-Key: {secret}"),
                4 => format!("https://u:{secret}@h/"),
                5 => format!("{{\"token\":\"{secret}\"}}"),
                6 => format!("'api_key' => '{secret}'"),
                _ => format!("Authorization: Basic {secret}"),
            };
            let text = format!("{before} {pair} {after}");
            prop_assert!(!without_secrets(&text).contains(&secret), "{}", text);
        }
    }
}

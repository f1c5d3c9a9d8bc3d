//! Lua in plugins: which calls start programs or run text as code, and which texts look like secrets.
//!
//! Code is read by its words, not run. What words do not tell (functions that are looked up by computed names) cannot be
//! judged.

/// A word of Lua.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Word {
    Name(String),
    Text(String),
    Sign(char),
}

/// What is known of a piece of code.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Judged {
    /// What it uses that is dangerous.
    pub(super) uses: Vec<String>,
    /// Why not all of it can be judged.
    pub(super) open: Option<String>,
}

/// The words without comments; `None` when it is no Lua.
fn words(code: &str) -> Option<Vec<Word>> {
    let mut words = Vec::new();
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        if let Some(after) = rest.strip_prefix("--") {
            rest = match long(after) {
                Some((_, after)) => after,
                None => after.split_once('\n').map_or("", |(_, after)| after),
            };
            continue;
        }
        if c == '['
            && let Some((text, after)) = long(rest)
        {
            words.push(Word::Text(text.to_owned()));
            rest = after;
            continue;
        }
        if matches!(c, '"' | '\'') {
            let (text, after) = quoted(rest.get(1..)?, c)?;
            words.push(Word::Text(text));
            rest = after;
            continue;
        }
        let is_letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let end = rest.find(|c| !is_letter(c)).unwrap_or(rest.len());
        if end > 0 {
            words.push(Word::Name(rest.get(..end)?.to_owned()));
            rest = rest.get(end..)?;
            continue;
        }
        if c.is_control() && !c.is_whitespace() {
            return None;
        }
        if !c.is_whitespace() {
            words.push(Word::Sign(c));
        }
        rest = rest.get(c.len_utf8()..)?;
    }
    Some(words)
}

/// `[[…]]`, `[=[…]=]` at the beginning, and what is behind it.
fn long(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('[')?;
    let level = inner.bytes().take_while(|byte| *byte == b'=').count();
    let inner = inner.get(level..)?.strip_prefix('[')?;
    let end = format!("]{}]", "=".repeat(level));
    inner.split_once(&end)
}

/// A text up to its quote, with escapes read, and what is behind it.
fn quoted(text: &str, quote: char) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == quote {
            return Some((out, text.get(at + 1..)?));
        }
        if c != '\\' {
            out.push(c);
            continue;
        }
        let (at, c) = chars.next()?;
        let digits = |from: usize, most: usize, radix: u32| {
            let all = text.get(from..).unwrap_or_default();
            let all = all.chars().take(most).take_while(|c| c.is_digit(radix));
            all.collect::<String>()
        };
        let (digits, radix, skip) = match c {
            'x' => (digits(at + 1, 2, 16), 16, 0),
            '0'..='9' => (digits(at, 3, 10), 10, 1),
            'z' => (String::new(), 10, 0),
            other => {
                out.push(other);
                continue;
            }
        };
        let code = u32::from_str_radix(&digits, radix).ok();
        out.extend(code.and_then(char::from_u32));
        for _ in skip..digits.len() {
            chars.next();
        }
    }
    None
}

/// Programs are started, or text is run as code.
const DANGEROUS: [&str; 12] = [
    "os.execute",
    "io.popen",
    "loadstring",
    "load",
    "dofile",
    "loadfile",
    "ngx.pipe",
    "resty.shell",
    "resty.exec",
    "C.system",
    "C.popen",
    "string.dump",
];

/// What looks up functions by names that may be computed, or does what only its arguments tell.
const OPEN: [&str; 14] = [
    "_G", "_ENV", "getfenv", "setfenv", "debug", "package", "rawget", "io", "os", "ffi", "jit",
    "require", "module", "posix",
];

/// Of those, what does no harm.
const HARMLESS: [&str; 5] = ["os.time", "os.date", "os.clock", "os.getenv", "os.difftime"];

/// Modules that do what their names say.
fn is_known(module: &str) -> bool {
    ["apisix.", "resty.", "ngx.", "cjson"]
        .iter()
        .any(|known| module.starts_with(known))
        || matches!(module, "math" | "string" | "table" | "bit" | "ngx")
}

/// Judges code. `is_code` is false for texts that only may be code: of these only what is sure is said.
pub(super) fn judged(code: &str, is_code: bool) -> Judged {
    let Some(words) = words(code) else {
        let uses = DANGEROUS
            .iter()
            .filter(|name| name.contains('.') && code.contains(**name));
        return Judged {
            uses: uses.map(|name| (*name).to_owned()).collect(),
            open: is_code.then(|| "the code cannot be read".to_owned()),
        };
    };
    let mut judged = Judged::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let Word::Name(first) = word else {
            at += 1;
            continue;
        };
        if is_member(&words, at) {
            at += 1;
            continue;
        }
        let (path, end) = path(&words, at, first);
        look(
            &mut judged,
            &path,
            words.get(end..).unwrap_or_default(),
            is_code,
        );
        at = end.max(at + 1);
    }
    judged.uses.sort();
    judged.uses.dedup();
    judged
}

/// Whether the word at `at` is a member of what is before it, and no beginning: `f().name`, but not `'a' .. name`.
fn is_member(words: &[Word], at: usize) -> bool {
    let sign = |back: usize| match at.checked_sub(back).and_then(|at| words.get(at)) {
        Some(Word::Sign(sign)) => Some(*sign),
        _ => None,
    };
    match sign(1) {
        Some('.') => sign(2) != Some('.'),
        Some(':') => sign(2) != Some(':'),
        _ => false,
    }
}

/// `a.b`, `a['b']`, `a:b` from a name on, without what is around all globals, and where it ends.
fn path(words: &[Word], at: usize, first: &str) -> (String, usize) {
    let mut path = first.to_owned();
    let mut at = at + 1;
    loop {
        let next: Vec<_> = words.iter().skip(at).take(3).collect();
        let (name, length) = match next.as_slice() {
            [Word::Sign('.' | ':'), Word::Name(name), ..] => (name, 2),
            [Word::Sign('['), Word::Text(name), Word::Sign(']')] => (name, 3),
            _ => break,
        };
        if matches!(path.as_str(), "_G" | "_ENV") {
            path.clear();
        } else {
            path.push('.');
        }
        path.push_str(name);
        at += length;
    }
    (path, at)
}

/// Whether `path` is `name`, or something of it, also under another name in front.
fn is_of(path: &str, name: &str) -> bool {
    let is_whole = |at: usize| {
        let before = path.get(..at).unwrap_or_default();
        let after = path.get(at + name.len()..).unwrap_or_default();
        (before.is_empty() || (name.contains('.') && before.ends_with('.')))
            && (after.is_empty() || after.starts_with('.'))
    };
    path.match_indices(name).any(|(at, _)| is_whole(at))
}

fn look(judged: &mut Judged, path: &str, after: &[Word], is_code: bool) {
    // What is set has a name of its own: `{ debug = true }`.
    let is_set = matches!(after, [Word::Sign('='), next, ..] if *next != Word::Sign('='));
    if is_set && !path.contains('.') {
        return;
    }
    // A text about loading something is no code.
    let is_meant = |name: &str| is_code || name.contains('.');
    let mut found = DANGEROUS
        .iter()
        .filter(|name| is_meant(name) && is_of(path, name));
    if let Some(name) = found.next() {
        judged.uses.push((*name).to_owned());
        return;
    }
    if path == "require" {
        let module = match after {
            [Word::Text(module), ..]
            | [Word::Sign('('), Word::Text(module), Word::Sign(')'), ..] => Some(module.as_str()),
            _ => None,
        };
        let bad = module.and_then(|module| DANGEROUS.iter().find(|name| is_of(module, name)));
        match (bad, module) {
            (Some(name), _) => judged.uses.push((*name).to_owned()),
            (None, Some(module)) if is_known(module) => {}
            (None, Some(module)) if is_code => {
                let module = crate::http::one_line(module, 64);
                judged
                    .open
                    .get_or_insert(format!("the code uses the module {module}"));
            }
            (None, None) if is_code => {
                let why = "the code uses a module whose name it computes";
                judged.open.get_or_insert(why.to_owned());
            }
            _ => {}
        }
        return;
    }
    let root = path.split('.').next().unwrap_or_default();
    if is_code && OPEN.contains(&root) && !HARMLESS.contains(&path) {
        let path = crate::http::one_line(path, 64);
        let why =
            format!("the code uses {path}, and what that does depends on more than its words");
        judged.open.get_or_insert(why);
    }
}

/// Parts of names of what is secret.
const SECRET: [&str; 14] = [
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "secret",
    "token",
    "api_key",
    "apikey",
    "api-key",
    "access_key",
    "client_key",
    "private_key",
    "credential",
    "authorization",
];

/// How secrets of well known kinds begin, and how long they are at least.
const KINDS: [(&str, usize, &str); 9] = [
    ("AKIA", 20, "a key of a cloud"),
    ("ASIA", 20, "a key of a cloud"),
    ("AIza", 35, "a key of a cloud"),
    ("ghp_", 30, "a token of GitHub"),
    ("github_pat_", 30, "a token of GitHub"),
    ("glpat-", 20, "a token of GitLab"),
    ("xoxb-", 20, "a token of Slack"),
    ("sk_live_", 20, "a key for payments"),
    ("eyJ", 40, "a JWT"),
];

/// Whether code holds a secret, in words without it; `Err` when it may.
pub(super) fn secret(code: &str, is_code: bool) -> Result<Option<String>, String> {
    if code.contains("-----BEGIN") && code.contains("PRIVATE KEY-----") {
        return Ok(Some("there is a private key in it".to_owned()));
    }
    let letters = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    for part in code.split(|c| !letters(c)) {
        let kind = KINDS.iter().find(|(begin, least, _)| {
            let is_dotted = *begin != "eyJ" || part.matches('.').count() == 2;
            part.starts_with(begin) && part.len() >= *least && is_dotted
        });
        if let Some((_, _, kind)) = kind {
            return Ok(Some(format!("there is {kind} in it")));
        }
    }
    let Some(words) = words(code) else {
        return if is_code {
            Err("the code cannot be read".to_owned())
        } else {
            Ok(None)
        };
    };
    let mut may_be = false;
    for (at, word) in words.iter().enumerate() {
        let (Word::Name(name) | Word::Text(name)) = word else {
            continue;
        };
        let lower = name.to_ascii_lowercase();
        if let Word::Text(text) = word {
            let scheme = ["bearer ", "basic "]
                .iter()
                .find_map(|s| lower.strip_prefix(s));
            if scheme.is_some_and(|rest| rest.trim().len() >= 8) {
                return Ok(Some("there is an Authorization header in it".to_owned()));
            }
            if has_password(text) {
                return Ok(Some("there is an address with a password in it".to_owned()));
            }
            may_be |= is_random(text);
        }
        let Some(known) = SECRET.iter().find(|known| lower.contains(**known)) else {
            continue;
        };
        if let Some(length) = given(&words, at + 1)
            && length >= 8
        {
            return Ok(Some(format!(
                "a text is assigned to a variable called {known}"
            )));
        }
    }
    if may_be && is_code {
        return Err("a text in the code may be a secret".to_owned());
    }
    Ok(None)
}

/// How long the text is that is assigned, or given as the next argument, to the name before `at`.
fn given(words: &[Word], at: usize) -> Option<usize> {
    let mut at = at;
    while words.get(at) == Some(&Word::Sign(']')) {
        at += 1;
    }
    let is_argument = match words.get(at)? {
        Word::Sign('=') => false,
        Word::Sign(',') => true,
        _ => return None,
    };
    // `f(password, 'x')` gives a variable; `f('password', 'x')` a name and its value.
    if is_argument && !matches!(words.get(at.checked_sub(1)?)?, Word::Text(_)) {
        return None;
    }
    let mut length = 0;
    at += 1;
    while let Some(Word::Text(text)) = words.get(at) {
        if text.starts_with('$') || text.contains(char::is_whitespace) {
            return None;
        }
        length += text.len();
        let joined = [words.get(at + 1), words.get(at + 2)];
        if joined != [Some(&Word::Sign('.')), Some(&Word::Sign('.'))] {
            break;
        }
        at += 3;
    }
    Some(length)
}

/// `scheme://user:password@host`.
fn has_password(text: &str) -> bool {
    text.split_once("://").is_some_and(|(_, rest)| {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.and_then(|user| user.split_once(':'))
            .is_some_and(|(_, password)| !password.is_empty() && !password.starts_with('$'))
    })
}

/// Long, without blanks, with letters and digits: no word of a language.
fn is_random(text: &str) -> bool {
    let is_of_key = |c: char| c.is_ascii_alphanumeric() || "+/=_-".contains(c);
    text.len() >= 20
        && text.chars().all(is_of_key)
        && text.chars().filter(char::is_ascii_digit).count() >= 3
        && text.chars().any(|c| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dangerous_calls_are_found_however_they_are_written() {
        for (code, uses) in [
            ("os.execute('x')", "os.execute"),
            ("os['execute']('x')", "os.execute"),
            ("_G['os']['execute']('x')", "os.execute"),
            ("_G.os.execute('x')", "os.execute"),
            ("os[ \"exec\\117te\" ]('x')", "os.execute"),
            ("local h = io . popen('id')", "io.popen"),
            ("io\n.\npopen 'id'", "io.popen"),
            ("local l = load; l(ngx.var.arg_x)()", "load"),
            ("load(ngx.var.arg_x)()", "load"),
            ("return 'a' .. os.execute('x')", "os.execute"),
            ("x = load == nil", "load"),
            ("require('resty.shell').run('id')", "resty.shell"),
            ("local s = require \"resty.shell\"", "resty.shell"),
            ("local p = require [[ngx.pipe]]", "ngx.pipe"),
            ("local ffi = require 'ffi' ffi.C.system('x')", "C.system"),
        ] {
            assert_eq!(judged(code, true).uses, [uses], "{code}");
        }
    }

    #[test]
    fn what_words_do_not_tell_is_open() {
        for code in [
            "local f = _G['o' .. 's'] f.x()",
            "local f=_G['os']['exec'..'ute'] f('x')",
            "local o = os; o[x]('y')",
            "require('ff' .. 'i')",
            "require 'mine'",
            "local r = require; r(x)",
            "pcall(require, x)",
            "io.open('/etc/passwd')",
            "os.remove('x')",
            "local x = 'not closed",
            "\u{1b}LJ\u{2}",
        ] {
            let judged = judged(code, true);
            assert!(
                judged.uses.is_empty() && judged.open.is_some(),
                "{code}: {judged:?}"
            );
        }
        for code in [
            "-- never use os.execute here\nreturn 1",
            "--[[ os.execute() ]] return function() my_os.execute_later() end",
            "local core = require('apisix.core') core.log.warn(os.time())",
            "self:load('x') core.json.load(y) t.require = 1",
            "return function(conf, ctx) ngx.say('os.execute is bad') end",
            "if a - - b then return '--' end",
            "local text = require('apisix.core').io.get_file('x')",
            "return { debug = true, load = 1, os = 'linux' }",
        ] {
            assert_eq!(judged(code, true), Judged::default(), "{code}");
        }
    }

    #[test]
    fn secrets_are_found_by_their_names_and_by_how_they_look() {
        for code in [
            "local k = [[-----BEGIN RSA PRIVATE KEY-----\nabc]]",
            "ngx.req.set_header('Authorization', 'Bearer abcdefghijk')",
            "set_header(\"X-Api-Key\", \"abcdefgh1\")",
            "local k='AKIAIOSFODNN7EXAMPLE'",
            "local passphrase = 'abcdefgh'",
            "local t = { client_key = \"abcdef1234567890\" }",
            "local pwd = 'hunter' .. '2secret'",
            "h['x-token'] = 'abcdef123456'",
            "local x = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9P'",
            "local u = 'redis://u:hunter22@h/1'",
        ] {
            assert!(matches!(secret(code, true), Ok(Some(_))), "{code}");
        }
        for code in [
            "if token == 'abcdef123456' then password = os.getenv('P') end",
            "local token = '$secret://v/1/k' log(token, 'abcdefghij')",
            "local u = 'https://h/x' local secret = ''",
        ] {
            assert_eq!(secret(code, true), Ok(None), "{code}");
        }
        assert!(secret("local k = 'a8f5f167f44f4964e6c998dee827110c'", true).is_err());
    }

    proptest! {
        #[test]
        fn no_code_breaks_the_reader(code in "\\PC{0,40}|[-\\[\\]='\"\\\\.:a_G0-9 \n]{0,60}") {
            let _ = (judged(&code, true), judged(&code, false), secret(&code, true));
        }
    }
}

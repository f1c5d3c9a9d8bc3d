//! Which members are secret: by the plugin that they belong to, by their names, by what they hold.

use std::borrow::Cow;

mod encrypted;

/// Where a value comes from, as far as it says what is secret in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    names: Vec<String>,
    is_secret: bool,
}

impl Place {
    /// What is at a path of an API, or at a JSON Pointer.
    pub(crate) fn at(path: &str) -> Self {
        /// What is there is a key or a token.
        const SECRET: [&str; 6] = ["adminkey", "token", "tokens", "scim", "apikey", "apikeys"];
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let names: Vec<String> = path
            .split('/')
            .filter(|step| !step.is_empty())
            .map(str::to_owned)
            .collect();
        let is_secret = names.iter().any(|name| SECRET.contains(&&*plain(name)));
        Self { names, is_secret }
    }

    pub(crate) fn path<'a>(&self) -> Path<'a> {
        let mut path = Path {
            names: Vec::new(),
            is_secret: self.is_secret,
            outer: self.names.len(),
        };
        for name in &self.names {
            path.push(Cow::Owned(name.clone()));
        }
        path
    }
}

/// What the members of an object say of each other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside {
    has_certificate: bool,
    /// It is, or may be, a JSON Schema.
    is_schema: bool,
}

impl Beside {
    pub(crate) fn add(&mut self, name: &str) {
        self.has_certificate |= matches!(name, "cert" | "certs" | "certificate" | "snis");
        self.is_schema |= matches!(
            name,
            "type" | "$ref" | "anyOf" | "oneOf" | "allOf" | "enum" | "const" | "not"
        );
    }
}

/// What the values in an object or a list have from those around.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heirs {
    /// What is secret of all that is below.
    secret: Secret,
    has_certificate: bool,
    /// Where the settings of a plugin begin, and which of them are secret.
    plugin: Option<(usize, &'static [&'static str])>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Secret {
    #[default]
    Nothing,
    /// All but what tells one from the other.
    Content,
    All,
}

/// The names that lead to a value.
#[derive(Debug)]
pub(crate) struct Path<'a> {
    names: Vec<Cow<'a, str>>,
    is_secret: bool,
    /// So many of them are around the whole.
    outer: usize,
}

impl<'a> Path<'a> {
    pub(crate) fn push(&mut self, name: Cow<'a, str>) {
        self.names.push(name);
    }

    pub(crate) fn pop(&mut self) {
        self.names.pop();
    }

    fn name(&self) -> &str {
        self.names.last().map_or("", |name| &**name)
    }

    /// The name of what is `levels` around.
    fn owner(&self, levels: usize) -> &str {
        let at = self.names.len().checked_sub(levels + 1);
        at.and_then(|at| self.names.get(at))
            .map_or("", |name| &**name)
    }

    /// What the members of the object have that is here.
    pub(crate) fn enter(&self, around: Heirs, beside: Beside) -> Heirs {
        let mut heirs = Heirs {
            has_certificate: beside.has_certificate,
            ..around
        };
        if self.names.len() == self.outer {
            let outer = self.names.iter().enumerate();
            let mut known = outer.filter_map(|(at, name)| Some((at + 1, encrypted::of(name)?)));
            heirs.plugin = known.next_back();
            return heirs;
        }
        if let Some(fields) = encrypted::of(self.name()) {
            heirs.plugin = Some((self.names.len(), fields));
        }
        let name = plain(self.name());
        let is_schema = beside.is_schema && is_within_schema(self.owner(1));
        if matches!(&*name, "adminkey" | "basicauthcredentials") {
            heirs.secret = Secret::All;
        } else if !is_schema && is_secret_name(&name) && !is_group(&name) {
            heirs.secret = heirs.secret.max(Secret::Content);
        }
        heirs
    }

    pub(crate) fn is_secret_text(&self, text: &str, heirs: Heirs) -> bool {
        if text.is_empty() {
            return false;
        }
        if text.contains("PRIVATE KEY-----") {
            return true;
        }
        // A reference says where the secret is, not what it is.
        if text.starts_with("$secret://") || text.to_ascii_lowercase().starts_with("$env://") {
            return false;
        }
        self.is_inherited(heirs) || self.is_named(text, heirs) || is_secret_value(text)
    }

    /// Fewer than texts: a number of tokens is no token.
    pub(crate) fn is_secret_number(&self, heirs: Heirs) -> bool {
        let name = plain(self.name());
        self.is_inherited(heirs)
            || ["password", "passwd", "passphrase", "passcode", "pwd"]
                .iter()
                .any(|end| name.ends_with(end))
    }

    fn is_inherited(&self, heirs: Heirs) -> bool {
        const HARMLESS: [&str; 10] = [
            "id",
            "name",
            "type",
            "desc",
            "description",
            "create_time",
            "update_time",
            "created_at",
            "updated_at",
            "expires_at",
        ];
        let is_secret = match heirs.secret {
            Secret::All => true,
            Secret::Content => !HARMLESS.contains(&self.name()),
            Secret::Nothing => false,
        };
        is_secret || self.is_encrypted(heirs)
    }

    /// APISIX itself would not store it in plain text.
    fn is_encrypted(&self, heirs: Heirs) -> bool {
        let Some((begin, fields)) = heirs.plugin else {
            return false;
        };
        let below = self.names.get(begin..).unwrap_or_default();
        let around = below
            .iter()
            .take_while(|name| matches!(&***name, "value" | "list"))
            .count();
        let below = below.get(around..).unwrap_or_default();
        fields.iter().any(|field| {
            let mut names = below.iter();
            field
                .split('.')
                .all(|step| names.next().is_some_and(|name| name == step))
        })
    }

    fn is_named(&self, text: &str, heirs: Heirs) -> bool {
        let name = plain(self.name());
        let owner = plain(self.owner(1));
        if matches!(&*owner, "dependencies" | "dependentrequired") {
            return false;
        }
        match &*name {
            // `key` is the name of a variable to most plugins.
            "key" | "keys" => heirs.has_certificate || self.is_secret,
            "value" => self.is_secret,
            // To plugins it is the name of a cookie.
            "cookie" => !owner.ends_with("auth") || text.contains('='),
            "webhook" | "webhookurl" => text.contains("://"),
            _ if self.names.len() == self.outer => self.is_secret,
            _ => is_secret_name(&name) || self.is_credential_of_a_request(&owner),
        }
    }

    /// Headers and parameters by which a plugin shows who it is.
    fn is_credential_of_a_request(&self, owner: &str) -> bool {
        matches!(owner, "header" | "headers" | "query") && self.owner(2) == "auth"
    }
}

/// Whether a header is secret.
pub(crate) fn is_secret_header(name: &str, value: &str) -> bool {
    let name = plain(name);
    is_secret_name(&name) || name == "cookie" || is_secret_value(value)
}

/// A name in small letters without `_` and `-`.
fn plain(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    name.chars()
        .filter(|c| !matches!(c, '_' | '-' | ' '))
        .map(|c| c.to_ascii_lowercase())
        .collect::<String>()
        .into()
}

/// What is in these may be no secret, though a text of that name is one.
fn is_group(name: &str) -> bool {
    ["authorization", "cookie", "credential", "credentials"]
        .iter()
        .any(|end| name.ends_with(end))
}

/// What has names of members for its members.
fn is_within_schema(owner: &str) -> bool {
    matches!(
        owner,
        "properties"
            | "patternProperties"
            | "definitions"
            | "$defs"
            | "dependencies"
            | "dependentSchemas"
    )
}

fn is_secret_name(name: &str) -> bool {
    const ENDS: [&str; 27] = [
        "password",
        "passwords",
        "passwd",
        "passphrase",
        "passcode",
        "secret",
        "secretfallbacks",
        "token",
        "tokenplaintext",
        "privatekey",
        "secretkey",
        "accesskey",
        "accesskeysecret",
        "apikey",
        "authkey",
        "certkey",
        "clientkey",
        "sharedkey",
        "signingkey",
        "encryptionkey",
        "masterkey",
        "hmackey",
        "adminkey",
        "licensekey",
        "credential",
        "credentials",
        "bindpw",
    ];
    const WHOLE: [&str; 11] = [
        "authorization",
        "proxyauthorization",
        "setcookie",
        "authheader",
        "pass",
        "pwd",
        "pw",
        "accesskeyid",
        "secretaccesskey",
        "serviceaccountjson",
        "connectionstring",
    ];
    /// They only say where the next page begins.
    const PAGES: [&str; 5] = [
        "nextpagetoken",
        "prevpagetoken",
        "pagetoken",
        "nexttoken",
        "continuationtoken",
    ];
    WHOLE.contains(&name) || (ENDS.iter().any(|end| name.ends_with(end)) && !PAGES.contains(&name))
}

/// What is secret whatever its name is.
fn is_secret_value(text: &str) -> bool {
    if text.contains(char::is_whitespace) {
        return is_bearer(text);
    }
    has_password(text) || has_secret_parameter(text) || is_webhook(text)
}

/// The value of a header that proves who sends it.
fn is_bearer(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(' ') else {
        return false;
    };
    let is_scheme = ["bearer", "basic"]
        .iter()
        .any(|name| scheme.eq_ignore_ascii_case(name));
    let is_token = |c: char| c.is_ascii_alphanumeric() || "-._~+/=".contains(c);
    is_scheme && rest.len() >= 16 && rest.chars().all(is_token)
}

/// A URL with a password in it.
fn has_password(text: &str) -> bool {
    let Some((_, rest)) = text.split_once("://") else {
        return false;
    };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority
        .rsplit_once('@')
        .is_some_and(|(user, _)| user.contains(':'))
}

/// A URL that whoever has it may use.
fn has_secret_parameter(text: &str) -> bool {
    const MORE: [&str; 5] = ["code", "key", "sig", "signature", "auth"];
    let Some((_, query)) = text.split_once('?') else {
        return false;
    };
    query.split('&').any(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or_default();
        let name = plain(name);
        // A variable of NGINX is filled in later.
        let is_value = !value.is_empty() && !value.starts_with('$');
        is_value && (is_secret_name(&name) || MORE.contains(&&*name))
    })
}

fn is_webhook(text: &str) -> bool {
    text.contains("://hooks.slack.com/")
        || text.contains("/api/webhooks/")
        || text.contains("webhook.office.com/")
}

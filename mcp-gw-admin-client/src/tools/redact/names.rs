//! Which members are secret: by the plugin that they belong to, by their names, by what is beside them.

use std::borrow::Cow;

use super::words::{
    is_count, is_secret_field, is_secret_name, is_secret_number, is_soft_secret, plain,
};

pub(super) mod encrypted;
mod kong;

/// Where a value comes from, as far as it says what is secret in it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Place {
    names: Vec<String>,
    is_secret: bool,
    is_kong: bool,
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
        Self {
            names,
            is_secret,
            is_kong: false,
        }
    }

    /// An entity of Kong of that kind.
    pub(crate) fn of_kong(kind: &str) -> Self {
        Self {
            is_kong: true,
            ..Self::at(kind)
        }
    }

    pub(crate) fn path<'a>(&self) -> Path<'a> {
        let mut path = Path {
            names: Vec::new(),
            is_secret: self.is_secret,
            is_kong: self.is_kong,
            outer: self.names.len(),
        };
        for name in &self.names {
            path.push(Cow::Owned(name.clone()));
        }
        path
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Form {
    #[default]
    Other,
    /// It is, or may be, a JSON Schema.
    Schema,
    Jwk,
}

/// What the members of an object say of each other.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Beside {
    has_certificate: bool,
    form: Form,
    /// A member says that the value of another is secret: `{"name": "Authorization", "value": …}`.
    names_secret: bool,
    /// A member names the plugin that the others are about.
    plugin: Option<&'static [&'static str]>,
}

impl Beside {
    pub(crate) fn add(&mut self, name: &str) {
        self.has_certificate |= matches!(name, "cert" | "certs" | "certificate" | "snis");
        let form = match name {
            "kty" => Form::Jwk,
            "type" | "$ref" | "anyOf" | "oneOf" | "allOf" | "enum" | "const" | "not" => {
                Form::Schema
            }
            _ => Form::Other,
        };
        self.form = self.form.max(form);
    }

    /// Whether the text of a member of this name says something of the others.
    pub(crate) fn is_name(name: &str) -> bool {
        NAMES.contains(&name)
    }

    /// What a member says that is such a name.
    pub(crate) fn add_name(&mut self, name: &str, text: &str) {
        /// Longer ones are no names.
        const LONGEST: usize = 256;
        if text.len() > LONGEST {
            return;
        }
        if let Some(pointer) = text.strip_prefix('/').filter(|_| name == "path") {
            self.add_pointer(pointer);
            return;
        }
        self.plugin = self.plugin.or_else(|| encrypted::of(text));
        let is_word = |b: u8| b.is_ascii_alphanumeric() || b"-_. ".contains(&b);
        self.names_secret |= text.bytes().all(is_word) && {
            let is_header = text.starts_with(['x', 'X']) && text.contains('-');
            let text = plain(text);
            is_secret_name(&text)
                || matches!(&*text, "cookie" | "setcookie")
                || (is_header && is_secret_field(&text, "?"))
        };
    }

    /// The path of an operation of a patch.
    fn add_pointer(&mut self, pointer: &str) {
        let steps: Vec<&str> = pointer.split('/').collect();
        let (Some(last), Some(at)) = (
            steps.last(),
            steps.iter().position(|step| encrypted::of(step).is_some()),
        ) else {
            self.names_secret |= steps
                .last()
                .is_some_and(|last| is_secret_name(&plain(last)));
            return;
        };
        self.names_secret |= is_secret_name(&plain(last));
        let fields = steps.get(at).and_then(|step| encrypted::of(step));
        let below = steps.get(at + 1..).unwrap_or_default();
        if below.is_empty() {
            self.plugin = fields;
        } else {
            let below = below.join(".");
            let is_within = |field: &&str| below.starts_with(*field) || field.starts_with(&*below);
            self.names_secret |= fields.is_some_and(|fields| fields.iter().any(is_within));
        }
    }
}

/// What the values in an object or a list have from those around.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Heirs {
    /// What is secret of all that is below.
    secret: Secret,
    has_certificate: bool,
    is_jwk: bool,
    /// The value among these members is.
    names_secret: bool,
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
    is_kong: bool,
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
            is_jwk: beside.form == Form::Jwk || (around.is_jwk && self.name() == "oth"),
            names_secret: beside.names_secret,
            ..around
        };
        if around.names_secret && is_value_name(self.name()) {
            heirs.secret = heirs.secret.max(Secret::Content);
        }
        if let Some(fields) = beside.plugin {
            heirs.plugin = Some((self.names.len(), fields));
        }
        if self.names.len() == self.outer {
            let outer = self.names.iter().enumerate();
            let mut known = outer.filter_map(|(at, name)| Some((at + 1, encrypted::of(name)?)));
            heirs.plugin = heirs.plugin.or_else(|| known.next_back());
            return heirs;
        }
        if let Some(fields) = encrypted::of(self.name()) {
            heirs.plugin = Some((self.names.len(), fields));
        }
        let name = plain(self.name());
        let is_schema = beside.form == Form::Schema && is_within_schema(self.owner(1));
        if matches!(&*name, "adminkey" | "basicauthcredentials") {
            heirs.secret = Secret::All;
        } else if !is_schema && is_secret_name(&name) && !is_group(&name) {
            heirs.secret = heirs.secret.max(Secret::Content);
        }
        heirs
    }

    /// Whether a text is secret because of where it is.
    pub(crate) fn is_secret_text(&self, text: &str, heirs: Heirs) -> bool {
        let is_private = heirs.is_jwk && kong::is_private(self.name());
        is_private
            || self.is_inherited(heirs)
            || self.is_of_kong(text)
            || self.is_named(text, heirs)
    }

    fn is_of_kong(&self, text: &str) -> bool {
        // The first name is the kind of the entity, also around JSON in a text.
        let names = self.names.get(self.outer.min(1)..).unwrap_or_default();
        self.is_kong && kong::is_secret(names, text)
    }

    /// Fewer than texts: a number of tokens is no token.
    pub(crate) fn is_secret_number(&self, number: &str, heirs: Heirs) -> bool {
        self.is_inherited(heirs)
            || (heirs.names_secret && is_value_name(self.name()))
            || is_secret_number(&plain(self.name()), number)
    }

    /// The same place, for what a text at it holds.
    pub(crate) fn place(&self) -> Place {
        Place {
            names: self.names.iter().map(ToString::to_string).collect(),
            is_secret: self.is_secret,
            is_kong: self.is_kong,
        }
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
        let around = below.iter().take_while(|name| is_around(name)).count();
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
            "key" => heirs.has_certificate || self.is_secret,
            "keys" => heirs.has_certificate || self.is_secret || is_soft_secret("keys", text),
            "value" if self.is_secret => true,
            // To plugins it is the name of a cookie.
            "cookie" => !owner.ends_with("auth") || text.contains('='),
            "webhook" | "webhookurl" => text.contains("://"),
            _ if self.names.len() == self.outer => self.is_secret,
            _ if is_count(&name, text) => false,
            _ if self.is_header() => {
                is_secret_field(&name, text) || self.is_credential_of_a_request(&owner)
            }
            _ => {
                is_secret_name(&name)
                    || is_soft_secret(&name, text)
                    || (heirs.names_secret && is_value_name(self.name()))
                    || self.is_credential_of_a_request(&owner)
            }
        }
    }

    /// The value of a header that a plugin sets, or that was sent.
    pub(crate) fn is_header(&self) -> bool {
        let is_headers = |name: &str| {
            matches!(
                name,
                "headers" | "header" | "request_headers" | "response_headers"
            )
        };
        let owner = self.owner(1);
        is_headers(owner) || (matches!(owner, "set" | "add") && is_headers(self.owner(2)))
    }

    /// Headers and parameters by which a plugin shows who it is.
    fn is_credential_of_a_request(&self, owner: &str) -> bool {
        matches!(owner, "header" | "headers" | "query") && self.owner(2) == "auth"
    }
}

/// What stands around the settings of a plugin.
fn is_around(name: &str) -> bool {
    matches!(
        name,
        "value" | "list" | "config" | "conf" | "settings" | "plugin_config" | "body" | "data"
    )
}

/// What the values of these members are called in the member beside them.
const NAMES: [&str; 10] = [
    "name",
    "key",
    "header",
    "field",
    "param",
    "parameter",
    "path",
    "plugin",
    "plugin_name",
    "attribute",
];

/// What is in these may be no secret, though a text of that name is one.
fn is_group(name: &str) -> bool {
    [
        "authorization",
        "cookie",
        "credential",
        "credentials",
        "jwt",
    ]
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

/// The value of what a member beside it names.
fn is_value_name(name: &str) -> bool {
    matches!(
        name,
        "value" | "values" | "val" | "default" | "new_value" | "old_value"
    )
}

//! Checks of what makes tools of an API: its description, and tools that are described in the file.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use url::Url;

use super::check::{glob, header, path_patterns, readable};
use super::tools::{ApiInputConfig, ApiToolConfig, InputPlace, InputType, OpenApiSection};
use super::{ApiConfig, ApiMethod};
use crate::config::check::{Checker, is_server_name};
use crate::config::fault::short;
use crate::config::path::ConfigPath;

/// Reports what is wrong with `openapi` and `tools` of an API.
pub(super) fn check(checker: &mut Checker<'_>, api: &ApiConfig, path: &ConfigPath) {
    if let Some(section) = &api.openapi {
        openapi(checker, api, section, &path.key("openapi"));
    }
    let mut names = BTreeSet::new();
    for (index, one) in api.tools.iter().enumerate() {
        let at = path.key("tools").index(index);
        if !is_server_name(&one.name) {
            let shown = checker.shown(&at.key("name"), &one.name);
            let message = format!("{shown} cannot be the name of a tool");
            let help = "use 1 to 64 of `A-Z a-z 0-9 _ -`";
            checker.fault(&at.key("name"), message, help);
        }
        if !names.insert(one.name.as_str()) {
            let message = "another tool of this API has the same name";
            checker.fault(&at.key("name"), message, "choose another one");
        }
        tool(checker, api, one, &at);
    }
}

fn openapi(
    checker: &mut Checker<'_>,
    api: &ApiConfig,
    section: &OpenApiSection,
    path: &ConfigPath,
) {
    match (&section.file, &section.url) {
        (Some(file), None) => readable(checker, file, &path.key("file")),
        (None, Some(url)) => place(checker, api, url, &path.key("url")),
        _ => {
            let values = vec![path.key("file"), path.key("url")];
            let message = "not exactly one of `file` and `url` is given";
            checker.fault_of(path, values, message, "give one of them");
        }
    }
    for (key, filter) in [("include", &section.include), ("exclude", &section.exclude)] {
        let path = path.key(key);
        for (key, patterns) in filter.patterns() {
            let at = path.key(key);
            if key == "paths" {
                path_patterns(checker, patterns, &at);
                continue;
            }
            for (index, pattern) in patterns.iter().enumerate() {
                glob(checker, pattern, &at.index(index));
            }
        }
    }
    let writes = |methods: &[ApiMethod]| methods.iter().any(|method| !method.is_safe());
    if writes(&section.include.methods) && !section.write {
        let at = path.key("include").key("methods");
        let message = "operations of these methods are left out without `write: true`";
        checker.remark(&at, message, "add `openapi: { write: true }`");
    }
}

fn place(checker: &mut Checker<'_>, api: &ApiConfig, text: &str, path: &ConfigPath) {
    let example = "write one such as `https://api.example.com/openapi.json`";
    let Ok(url) = Url::parse(text) else {
        return checker.fault(path, "this is not a URL", example);
    };
    match url.scheme() {
        "https" => {}
        "http" if api.allow_http => {}
        "http" => {
            let message = "what comes from `http` addresses can be changed on the way";
            let help = "write `https://…`, or say `allow_http: true` for the API";
            checker.fault(path, message, help);
        }
        _ => checker.fault(path, "the URL is neither `http` nor `https`", example),
    }
    if url.cannot_be_a_base() || url.host_str().is_none_or(str::is_empty) {
        checker.fault(path, "the URL has no host", example);
    }
    if !url.username().is_empty() || url.password().is_some() || url.fragment().is_some() {
        let message = "the URL has a user name, a password or a `#` part";
        checker.fault(path, message, "remove it; no credential is sent there");
    }
}

fn tool(checker: &mut Checker<'_>, api: &ApiConfig, tool: &ApiToolConfig, path: &ConfigPath) {
    if tool.description.trim().is_empty() {
        let help = "say what the tool does; models choose by it";
        checker.fault(&path.key("description"), "the description is empty", help);
    }
    if !api.methods.contains(&tool.method) {
        let word = tool.method.as_str();
        let message = format!("`methods` of the API does not have {word}");
        checker.fault(&path.key("method"), message, "add it there");
    }
    let Some(placeholders) = tool_path(checker, tool, &path.key("path")) else {
        return;
    };
    let mut wire = BTreeSet::new();
    let mut has_body = false;
    for (name, one) in &tool.inputs {
        let at = path.key("inputs").key(name);
        if name.is_empty() || name.len() > 128 || name.chars().any(char::is_control) {
            let help = "use 1 to 128 characters";
            checker.key_fault(&at, "this cannot be the name of an argument", help);
        }
        let place = tool.place_of(name);
        let sent = one.name.as_deref().unwrap_or(name);
        if !wire.insert((place as u8, sent)) {
            let message = "another argument is sent under the same name";
            checker.key_fault(&at, message, "keep one of the two");
        }
        has_body |= place == InputPlace::Body;
        match place {
            InputPlace::Header => {
                header(checker, api, sent, true, &at);
                parts(checker, api, sent, &at);
            }
            InputPlace::Path if !placeholders.contains(&name.as_str()) => {
                let message = format!("`path` has no `{{{}}}`", short(name));
                checker.fault(&at, message, "add it there, or write another `in`");
            }
            InputPlace::Path if one.name.is_some() => {
                let message = "what is in the path has the name that it has there";
                checker.fault(&at.key("name"), message, "remove it");
            }
            _ => {}
        }
        if place != InputPlace::Path && placeholders.contains(&name.as_str()) {
            let message = "`path` has the argument, which goes elsewhere";
            checker.fault(
                &at.key("in"),
                message,
                "write `in: path`, or remove the key",
            );
        }
        input(checker, one, &at);
    }
    body(checker, api, tool, has_body, path);
}

/// Answers in parts can give a credential away, so they take a word of their own.
fn parts(checker: &mut Checker<'_>, api: &ApiConfig, header: &str, at: &ConfigPath) {
    let is_range = |name: &str| name.eq_ignore_ascii_case("range");
    let has_credential = api.credential.is_some() || !api.credentials_by_caller.is_empty();
    let is_named = api.request_headers.iter().any(|name| is_range(name));
    if is_range(header) && has_credential && !is_named {
        let message =
            "an API that shows what it was sent could be made to give its credential away in parts";
        let help = "remove it, or add `range` to `request_headers` if that cannot be";
        checker.fault(at, message, help);
    }
}

/// The placeholders of a tool's path.
fn tool_path<'t>(
    checker: &mut Checker<'_>,
    tool: &'t ApiToolConfig,
    at: &ConfigPath,
) -> Option<Vec<&'t str>> {
    let is_plain = |c: char| c.is_ascii_graphic() && !matches!(c, '?' | '#' | '\\');
    let is_dots = |segment: &str| {
        let plain = segment.to_ascii_lowercase().replace("%2e", ".");
        matches!(plain.as_str(), "." | "..")
    };
    let path = &tool.path;
    let is_below = path.starts_with('/') && !path.starts_with("//");
    if !is_below || !path.chars().all(is_plain) || path.split('/').any(is_dots) {
        let message = format!("{} is not a path", checker.shown(at, path));
        let help = "write one that starts with one `/`, such as `/pets/{id}`; what goes into the query \
                    is one of `inputs`";
        checker.fault(at, message, help);
        return None;
    }
    let names = tool.placeholders();
    let mut seen = BTreeSet::new();
    let is_good = names.as_ref().is_some_and(|names| {
        let mut all = names.iter();
        all.all(|name| !name.is_empty() && seen.insert(*name))
    });
    if !is_good {
        let message = "the braces do not match, are empty, or name an argument twice";
        checker.fault(at, message, "write each argument once, as `{name}`");
        return None;
    }
    names
}

fn input(checker: &mut Checker<'_>, input: &ApiInputConfig, path: &ConfigPath) {
    if input.values.as_ref().is_some_and(Vec::is_empty) {
        let help = "name some, or remove the key";
        checker.fault(&path.key("enum"), "no value is allowed", help);
        return;
    }
    if input.schema.is_some() && (input.kind != InputType::String || input.values.is_some()) {
        let message = "`schema` stands in place of `type` and `enum`";
        checker.fault(&path.key("schema"), message, "keep `schema` or those");
        return;
    }
    let at = path.key("schema");
    let Ok(validator) = jsonschema::validator_for(&input.json_schema()) else {
        let message = "this is not a JSON Schema of draft 2020-12, or refers to another document";
        let help = "write one such as `{ type: array, items: { type: string } }`";
        return checker.fault(&at, message, help);
    };
    let kind = json!({ "type": input.kind });
    let wrong = input.values.iter().flatten().find(|value| {
        let kind = jsonschema::validator_for(&kind);
        kind.is_ok_and(|kind| !kind.is_valid(value))
    });
    if let Some(wrong) = wrong {
        let word = input.kind.as_str();
        let message = format!("{} is no {word}", short(&wrong.to_string()));
        let help = "write the `type` that the values have (`string` if not given), or `schema` for several";
        checker.fault(&path.key("enum"), message, help);
    }
    if let Some(default) = &input.default
        && !validator.is_valid(default)
    {
        let message = "the argument itself does not take this value";
        let help = "write one that fits its type";
        checker.fault(&path.key("default"), message, help);
    }
}

fn body(
    checker: &mut Checker<'_>,
    api: &ApiConfig,
    tool: &ApiToolConfig,
    has_body: bool,
    path: &ConfigPath,
) {
    if !has_body {
        return;
    }
    if tool.method.is_safe() || tool.method == ApiMethod::Delete {
        let word = tool.method.as_str();
        let message = format!("a request with {word} has no body");
        checker.fault(&path.key("inputs"), message, "write `in: query`");
    }
    let media = tool.body.media_type();
    let mut types = api.content_types.iter();
    if !types.any(|one| one.eq_ignore_ascii_case(media)) {
        let message = format!("`content_types` of the API does not have `{media}`");
        checker.fault(&path.key("body"), message, "add it there");
    }
}

impl ApiInputConfig {
    /// The JSON Schema of the argument, draft 2020-12, without its description.
    pub fn json_schema(&self) -> Value {
        if let Some(schema) = &self.schema {
            return Value::Object(schema.clone());
        }
        let mut schema = json!({ "type": self.kind });
        if let (Some(object), Some(values)) = (schema.as_object_mut(), &self.values) {
            object.insert("enum".to_owned(), values.clone().into());
        }
        schema
    }
}

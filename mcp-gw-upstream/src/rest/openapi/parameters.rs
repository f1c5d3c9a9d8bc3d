//! The parameters of an operation: those of its path and its own, with names for their arguments.

use std::collections::BTreeSet;

use http::HeaderName;
use serde_json::{Map, Value};

use super::document::Document;
use crate::egress::is_refused;
use crate::rest::body::BODY;
use crate::rest::operation::{Scheme, SchemeKind, Security};
use crate::rest::param::{Form, Param, Place, Style};
use crate::rest::template::Template;
use crate::rest::text::{legal_name, trimmed};

/// A parameter, and what is known of its value.
#[derive(Debug)]
pub(super) struct Described<'d> {
    pub(super) param: Param,
    pub(super) schema: Option<&'d Value>,
    pub(super) description: Option<&'d str>,
    pub(super) example: Option<&'d Value>,
}

/// What the guard on requests does not let through.
#[derive(Debug, Clone, Default)]
pub(crate) struct Guarded {
    /// The names that credentials of the configuration are sent under: no caller gives these.
    pub(crate) headers: Vec<String>,
    pub(crate) queries: Vec<String>,
    /// `range`, for operations that get a credential.
    pub(crate) parts: bool,
    /// Segments of a path that are empty, or are for servers that take parameters off.
    pub(crate) empty_segments: bool,
}

/// Reads parameters of one operation.
pub(super) struct Reader<'d, 'r> {
    pub(super) document: &'d Document,
    pub(super) security: &'r [Security],
    pub(super) guarded: &'r Guarded,
    /// The operation gets no credential.
    pub(super) is_open: bool,
    pub(super) notes: &'r mut Vec<String>,
}

impl<'d> Reader<'d, '_> {
    /// The parameters in `lists`, later ones instead of earlier ones of the same name and place, and one
    /// for each place in the path that has none.
    ///
    /// # Errors
    /// Why the operation cannot be called: a parameter that it needs cannot be used.
    pub(super) fn read(
        &mut self,
        lists: [Option<&'d Value>; 2],
        template: &mut Template,
        has_body: bool,
    ) -> Result<Vec<Described<'d>>, String> {
        let mut all: Vec<Described<'d>> = Vec::new();
        let items = lists.into_iter().flatten().filter_map(Value::as_array);
        for item in items.flatten() {
            if all.len() >= MAX_PARAMS {
                return Err(format!("it has more than {MAX_PARAMS} parameters"));
            }
            let Some(found) = self.parameter(item)? else {
                continue;
            };
            let is_same = |it: &Described<'_>| {
                let (one, other) = (&it.param, &found.param);
                one.place == other.place && same_name(one.place, &one.name, &other.name)
            };
            match all.iter_mut().find(|it| is_same(it)) {
                Some(earlier) => *earlier = found,
                None => all.push(found),
            }
        }
        self.fill(&mut all, template);
        self.sendable(&all, template)?;
        arguments(&mut all, has_body);
        Ok(all)
    }

    /// `None` for one that is left out.
    fn parameter(&mut self, item: &'d Value) -> Result<Option<Described<'d>>, String> {
        let members = match self.document.object(item) {
            Ok(members) => members,
            Err(fault) => return Err(format!("a parameter cannot be read: {fault}")),
        };
        let text = |name: &str| members.get(name).and_then(Value::as_str);
        let name = text("name").unwrap_or_default();
        let shown = trimmed(name, 100);
        let required = members.get("required") == Some(&Value::Bool(true));
        let Some(place) = text("in").and_then(Place::parse) else {
            return unusable(
                required,
                &shown,
                "it has no place (`in`) that is known",
                self.notes,
            );
        };
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(char::is_control) {
            return unusable(required, &shown, "its name cannot be sent", self.notes);
        }
        if place == Place::Header {
            if is_set_by_others(name) {
                // The gateway says it, or nobody may.
                return Ok(None);
            }
            if !is_token(name) {
                return unusable(required, &shown, "its name is none of a header", self.notes);
            }
            if self.guarded.parts && !self.is_open && same_name(place, name, "range") {
                let reason = "with it the API's credential could be read piece by piece; \
                              name it in `request_headers` if that is meant";
                return unusable(required, &shown, reason, self.notes);
            }
        }
        if self.is_key(place, name) {
            self.notes.push(format!(
                "the parameter {shown:?} is a credential: the configuration gives it, no caller does"
            ));
            return Ok(None);
        }
        let (form, schema) = match form(members, place) {
            Ok(found) => found,
            Err(reason) => return unusable(required, &shown, &reason, self.notes),
        };
        Ok(Some(Described {
            param: Param {
                argument: String::new(),
                name: name.to_owned(),
                place,
                form,
                required: required || place == Place::Path,
            },
            schema,
            description: text("description"),
            example: members.get("example"),
        }))
    }

    /// A parameter after a `;` leaves its segment empty for some servers, which is never sent before another.
    fn sendable(&self, all: &[Described<'d>], template: &Template) -> Result<(), String> {
        let is_empty = |it: &&Described<'_>| {
            let style = Style::Matrix;
            matches!(it.param.form, Form::Styled { style: own, .. } if own == style)
                && template.is_alone_before_more(&it.param.name)
        };
        match all.iter().find(is_empty) {
            Some(it) if self.guarded.empty_segments => Err(format!(
                "the parameter {:?} with `style: matrix` is a segment alone, which is empty for some servers; \
                 set `allow_empty_segments` for the API if that is meant",
                trimmed(&it.param.name, 100)
            )),
            _ => Ok(()),
        }
    }

    fn is_key(&self, place: Place, name: &str) -> bool {
        let is = |scheme: &Scheme| match (&scheme.kind, place) {
            (SchemeKind::HeaderKey { name: key }, Place::Header)
            | (SchemeKind::QueryKey { name: key }, Place::Query)
            | (SchemeKind::CookieKey { name: key }, Place::Cookie) => same_name(place, key, name),
            _ => false,
        };
        let given = match place {
            Place::Header => self.guarded.headers.as_slice(),
            Place::Query => self.guarded.queries.as_slice(),
            Place::Path | Place::Cookie => &[],
        };
        given.iter().any(|key| same_name(place, key, name))
            || self.security.iter().flat_map(|way| &way.schemes).any(is)
    }

    /// Each place in the path gets a parameter, and each parameter of the path has a place.
    fn fill(&mut self, all: &mut Vec<Described<'d>>, template: &mut Template) {
        let is_path =
            |it: &Described<'_>, name: &str| it.param.place == Place::Path && it.param.name == name;
        // Some write `{name+}` or `{+name}` for what may have slashes; it may not here.
        template.rename(|place| {
            let plain = place.trim_start_matches('+').trim_end_matches(['+', '*']);
            let is_other = !all.iter().any(|it| is_path(it, place));
            (is_other && all.iter().any(|it| is_path(it, plain))).then(|| plain.to_owned())
        });
        let places: BTreeSet<&str> = template.places().collect();
        all.retain(|it| {
            let is_there = it.param.place != Place::Path || places.contains(it.param.name.as_str());
            if !is_there {
                let name = trimmed(&it.param.name, 100);
                self.notes
                    .push(format!("the path has no place for the parameter {name:?}"));
            }
            is_there
        });
        for place in places {
            if all.iter().any(|it| is_path(it, place)) {
                continue;
            }
            let shown = trimmed(place, 100);
            self.notes.push(format!(
                "nothing describes {{{shown}}} in the path: it is taken for text"
            ));
            all.push(Described {
                param: Param {
                    argument: String::new(),
                    name: place.to_owned(),
                    place: Place::Path,
                    form: Form::usual(Place::Path),
                    required: true,
                },
                schema: None,
                description: None,
                example: None,
            });
        }
    }
}

/// A parameter that cannot be used: the operation neither, when it needs it.
fn unusable<T>(
    required: bool,
    name: &str,
    reason: &str,
    notes: &mut Vec<String>,
) -> Result<Option<T>, String> {
    if required {
        return Err(format!("it needs the parameter {name:?}, but {reason}"));
    }
    notes.push(format!("the parameter {name:?} is left out: {reason}"));
    Ok(None)
}

/// How its value is written, and the schema of it.
fn form(members: &Map<String, Value>, place: Place) -> Result<(Form, Option<&Value>), String> {
    if let Some(Value::Object(content)) = members.get("content") {
        let (media, entry) = content.iter().next().ok_or("its `content` is empty")?;
        let is_json = is_json(media);
        let form = if is_json { Form::Json } else { Form::Plain };
        return Ok((form, entry.get("schema")));
    }
    let style = match members.get("style").and_then(Value::as_str) {
        None => place.usual_style(),
        Some(name) => Style::parse(name, place)
            .ok_or_else(|| format!("`style: {}` is not known there", trimmed(name, 40)))?,
    };
    let flag = |name: &str| members.get(name).and_then(Value::as_bool);
    let form = Form::Styled {
        style,
        explode: flag("explode").unwrap_or(style == Style::Form),
        reserved: place == Place::Query && flag("allowReserved").unwrap_or(false),
    };
    Ok((form, members.get("schema")))
}

/// Gives each an argument's name: its own where that is legal and nobody else's. Names that differ in
/// their place get it in front, names that differ in what is not legal a number behind.
fn arguments(all: &mut [Described<'_>], has_body: bool) {
    let plain: Vec<(String, Place)> = all
        .iter()
        .map(|it| (plain_name(&it.param.name), it.param.place))
        .collect();
    let mut taken: BTreeSet<String> = BTreeSet::new();
    let is_clear = |name: &String, place: Place| {
        let is_elsewhere = plain
            .iter()
            .any(|(other, at)| other == name && *at != place);
        let is_taken = has_body && name == BODY;
        !(is_elsewhere || is_taken || name.is_empty())
    };
    // Those that keep their names come first, so that no made-up name is in their way.
    for is_exact in [true, false] {
        for (it, (name, place)) in all.iter_mut().zip(&plain) {
            let is_next = (*name == it.param.name) == is_exact && is_clear(name, *place);
            if is_next && taken.insert(name.clone()) {
                it.param.argument.clone_from(name);
            }
        }
    }
    for (it, (name, place)) in all.iter_mut().zip(&plain) {
        if !it.param.argument.is_empty() {
            continue;
        }
        let stem = if is_clear(name, *place) {
            name.clone()
        } else {
            legal_name(&format!("{}_{name}", place.as_str()), ".", MAX_ARGUMENT)
        };
        let mut argument = stem.clone();
        let mut number = 2_usize;
        while argument == BODY || !taken.insert(argument.clone()) {
            let head: String = stem.chars().take(MAX_ARGUMENT.saturating_sub(5)).collect();
            argument = format!("{head}_{number}");
            number = number.saturating_add(1);
        }
        it.param.argument = argument;
    }
}

/// A name that is legal; signs that compare become words, for `Date<` and `Date>` are not the same.
fn plain_name(name: &str) -> String {
    let mut words = name.to_owned();
    for (sign, word) in [("<=", "_lte"), (">=", "_gte"), ("<", "_lt"), (">", "_gt")] {
        words = words.replace(sign, word);
    }
    legal_name(&words, ".", MAX_ARGUMENT)
}

fn same_name(place: Place, one: &str, other: &str) -> bool {
    match place {
        Place::Header => one.eq_ignore_ascii_case(other),
        _ => one == other,
    }
}

/// `application/json` and `…+json`.
pub(super) fn is_json(media: &str) -> bool {
    let essence = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json") || essence == "text/json"
}

fn is_token(name: &str) -> bool {
    name.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
}

/// Header fields that no argument becomes: those that the guard refuses (E-9), for they say who calls, where
/// to and how the message is written; and those that `OpenAPI` has other places for (§4.8.12.1).
pub(in crate::rest) fn is_set_by_others(name: &str) -> bool {
    HeaderName::from_bytes(name.as_bytes()).is_ok_and(|header| {
        is_refused(&header)
            || matches!(
                header.as_str(),
                "accept" | "content-encoding" | "content-type"
            )
    })
}

/// The most parameters of an operation.
const MAX_PARAMS: usize = 200;

/// The longest name of a parameter, in bytes.
const MAX_NAME: usize = 200;

/// The longest name of an argument: what clients of models take.
const MAX_ARGUMENT: usize = 64;

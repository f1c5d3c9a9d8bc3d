//! Bodies: from an argument to bytes.

use base64::Engine as _;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::{alphabet, engine::DecodePaddingMode};
use mcp_gw_core::{ObjectWriter, RawJson};

use super::argument::{ArgumentError, Given};
use super::multipart::{self, Part};
use super::param::{Form, Param, Place, Query, Style};
use super::shape::Shape;
use super::text::percent_encode;
use crate::egress::PartsBody;

/// The argument that bodies of descriptions are.
pub(super) const BODY: &str = "body";

/// The body of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    /// Without its parameters only where there are none to keep.
    pub(super) content_type: String,
    pub(super) kind: Kind,
    pub(super) required: bool,
    /// The arguments that become members, when the body is not one argument; with their names in it.
    pub(super) members: Option<Vec<(String, String)>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    /// As it came.
    Json,
    /// `application/x-www-form-urlencoded`.
    Fields(Vec<Field>),
    /// `multipart/form-data`.
    Parts(Vec<Field>),
    /// A string, as it is.
    Text,
    /// A string in base64.
    Bytes,
}

/// What is known of a member of a form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Field {
    pub(super) name: String,
    /// How lists and objects are written; as JSON, when it says nothing.
    pub(super) form: Option<Form>,
    /// Its value is the content of a file.
    pub(super) is_file: bool,
    pub(super) content_type: Option<String>,
}

impl Body {
    /// The body of a request, `None` when the arguments have none.
    pub(super) fn write(&self, given: &Given) -> Result<Option<PartsBody>, ArgumentError> {
        let whole = match &self.members {
            None => match given.get(BODY) {
                Some(value) => value.clone(),
                None => return Ok(None),
            },
            Some(members) => {
                let mut writer = ObjectWriter::default();
                let mut is_empty = true;
                for (argument, name) in members {
                    if let Some(value) = given.get(argument) {
                        writer = writer.raw(name, value);
                        is_empty = false;
                    }
                }
                if is_empty && !self.required {
                    return Ok(None);
                }
                writer.finish()
            }
        };
        let wrong = |reason: String| ArgumentError::of(BODY, reason);
        let (content_type, bytes) = match &self.kind {
            Kind::Json => (self.content_type.clone(), whole.to_bytes()),
            Kind::Text => {
                let text = Shape::text_of(&whole).map_err(wrong)?;
                (self.content_type.clone(), text.into_bytes().into())
            }
            Kind::Bytes => {
                let text = Shape::text_of(&whole).map_err(wrong)?;
                let bytes = from_base64(&text).map_err(wrong)?;
                (self.content_type.clone(), bytes.into())
            }
            Kind::Fields(fields) => {
                let text = form(fields, &whole).map_err(wrong)?;
                (self.content_type.clone(), text.into_bytes().into())
            }
            Kind::Parts(fields) => {
                let parts = parts(fields, &whole).map_err(wrong)?;
                let (content_type, bytes) = multipart::write(&parts);
                (content_type, bytes.into())
            }
        };
        Ok(Some(PartsBody {
            content_type,
            bytes,
        }))
    }
}

fn members(whole: &RawJson) -> Result<Vec<(String, RawJson)>, String> {
    match Shape::of(whole)? {
        Shape::Members(members) => Ok(members),
        _ => Err("give an object with the fields of the form".to_owned()),
    }
}

/// `a=1&b=2` (URL standard, `application/x-www-form-urlencoded`).
fn form(fields: &[Field], whole: &RawJson) -> Result<String, String> {
    let mut query = Query::default();
    for (name, value) in members(whole)? {
        let field = fields.iter().find(|field| field.name == name);
        let is_other = |other: &str| other != name && fields.iter().any(|it| it.name == other);
        let form = field.and_then(|field| field.form);
        let is_plain_list = form.is_none() && is_list_of_texts(&value)?;
        let param = Param {
            argument: BODY.to_owned(),
            name: name.clone(),
            place: Place::Query,
            form: match form {
                Some(form) => form,
                None if is_plain_list => Form::usual(Place::Query),
                None => Form::Plain,
            },
            required: false,
        };
        param
            .in_query(&value, &mut query, &is_other)
            .map_err(|reason| format!("at /{name}: {reason}"))?;
    }
    let mut out = query.raw;
    for (name, value) in &query.pairs {
        if !out.is_empty() {
            out.push('&');
        }
        form_encode(&mut out, name);
        out.push('=');
        form_encode(&mut out, value);
    }
    Ok(out)
}

fn is_list_of_texts(value: &RawJson) -> Result<bool, String> {
    let Shape::List(items) = Shape::of(value)? else {
        return Ok(false);
    };
    let is_text = |item: &RawJson| !matches!(item.as_bytes().first(), Some(b'{' | b'['));
    Ok(items.iter().all(is_text))
}

fn form_encode(out: &mut String, text: &str) {
    let mut words = text.split(' ');
    if let Some(word) = words.next() {
        percent_encode(out, word, b"*");
    }
    for word in words {
        out.push('+');
        percent_encode(out, word, b"*");
    }
}

/// The parts of a body: one for each text, file, object and item of a list.
fn parts(fields: &[Field], whole: &RawJson) -> Result<Vec<Part>, String> {
    let mut parts = Vec::new();
    for (name, value) in members(whole)? {
        let field = fields.iter().find(|field| field.name == name);
        let at = |reason: String| format!("at /{name}: {reason}");
        if let Some(Form::Styled {
            style: Style::Deep, ..
        }) = field.and_then(|field| field.form)
        {
            let mut pairs = Vec::new();
            super::param::deep(&mut pairs, &name, &value, &|_| false).map_err(at)?;
            parts.extend(pairs.into_iter().map(|(name, text)| Part {
                name,
                file_name: None,
                content_type: None,
                bytes: text.into_bytes(),
            }));
            continue;
        }
        let items = match Shape::of(&value).map_err(at)? {
            Shape::Null => continue,
            Shape::List(items) => items,
            _ => vec![value.clone()],
        };
        for item in items {
            parts.push(part(&name, field, &item).map_err(at)?);
        }
    }
    Ok(parts)
}

fn part(name: &str, field: Option<&Field>, value: &RawJson) -> Result<Part, String> {
    let declared = field.and_then(|field| field.content_type.clone());
    if field.is_some_and(|field| field.is_file) {
        return file(name, declared, value);
    }
    let is_json = matches!(value.as_bytes().first(), Some(b'{' | b'['));
    Ok(Part {
        name: name.to_owned(),
        file_name: None,
        content_type: declared.or_else(|| is_json.then(|| "application/json".to_owned())),
        bytes: Shape::text_of(value)?.into_bytes(),
    })
}

/// A file: a string in base64, or an object with `base64` or `text`, and perhaps `filename` and
/// `contentType`.
fn file(name: &str, declared: Option<String>, value: &RawJson) -> Result<Part, String> {
    let mut part = Part {
        name: name.to_owned(),
        file_name: Some(name.to_owned()),
        content_type: declared.or_else(|| Some("application/octet-stream".to_owned())),
        bytes: Vec::new(),
    };
    let members = match Shape::of(value)? {
        Shape::Members(members) => members,
        Shape::Text(text) => {
            part.bytes = from_base64(&text)?;
            return Ok(part);
        }
        _ => return Err(FILE_HELP.to_owned()),
    };
    let mut has_content = false;
    for (member, value) in members {
        let Shape::Text(text) = Shape::of(&value)? else {
            return Err(FILE_HELP.to_owned());
        };
        match member.as_str() {
            "base64" | "text" if has_content => return Err(FILE_HELP.to_owned()),
            "base64" => (part.bytes, has_content) = (from_base64(&text)?, true),
            "text" => (part.bytes, has_content) = (text.into_bytes(), true),
            "filename" => part.file_name = Some(text),
            "contentType" if is_media_type(&text) => part.content_type = Some(text),
            "contentType" => return Err("`contentType` is no media type".to_owned()),
            _ => return Err(FILE_HELP.to_owned()),
        }
    }
    if has_content {
        Ok(part)
    } else {
        Err(FILE_HELP.to_owned())
    }
}

/// True for `type/subtype` of RFC 9110, perhaps with parameters.
pub(super) fn is_media_type(text: &str) -> bool {
    let is_token = |text: &str| {
        let sign = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$&'*+-.^_`|~".contains(&byte);
        !text.is_empty() && text.bytes().all(sign)
    };
    let (essence, params) = text.split_once(';').unwrap_or((text, ""));
    let is_plain = params
        .bytes()
        .all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
    let (kind, subtype) = essence.trim().split_once('/').unwrap_or_default();
    text.len() <= 200 && is_plain && is_token(kind) && is_token(subtype)
}

/// Base64 of either alphabet, with or without padding.
fn from_base64(text: &str) -> Result<Vec<u8>, String> {
    let text: Vec<u8> = text
        .bytes()
        .filter(|byte| !byte.is_ascii_whitespace())
        .map(|byte| match byte {
            b'-' => b'+',
            b'_' => b'/',
            byte => byte,
        })
        .collect();
    BASE64
        .decode(text)
        .map_err(|_| "this is not base64; encode the bytes of the file in base64".to_owned())
}

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

const FILE_HELP: &str = "give a file as a string in base64, or as an object with either `base64` or \
                         `text`, and perhaps `filename` and `contentType`";

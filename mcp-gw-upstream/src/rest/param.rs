//! How the value of a parameter is written in a path, a query, a header field or a cookie
//! (`OpenAPI` 3.1 §4.8.12, RFC 6570).

use mcp_gw_core::RawJson;

use super::shape::Shape;
use super::text::percent_encode;

/// Where a parameter goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Place {
    Path,
    Query,
    Header,
    Cookie,
}

impl Place {
    pub(super) fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "path" => Self::Path,
            "query" => Self::Query,
            "header" => Self::Header,
            "cookie" => Self::Cookie,
            _ => return None,
        })
    }

    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Path => "path",
            Self::Query => "query",
            Self::Header => "header",
            Self::Cookie => "cookie",
        }
    }

    /// The style of parameters that name none.
    pub(super) const fn usual_style(self) -> Style {
        match self {
            Self::Path | Self::Header => Style::Simple,
            Self::Query | Self::Cookie => Style::Form,
        }
    }
}

/// How lists and objects are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Simple,
    Label,
    Matrix,
    Form,
    Space,
    Pipe,
    Deep,
}

impl Style {
    /// The style of this name, if it is one for this place.
    pub(super) fn parse(text: &str, place: Place) -> Option<Self> {
        Some(match (text, place) {
            ("simple", Place::Path | Place::Header) => Self::Simple,
            ("label", Place::Path) => Self::Label,
            ("matrix", Place::Path) => Self::Matrix,
            ("form", Place::Query | Place::Cookie) => Self::Form,
            ("spaceDelimited", Place::Query) => Self::Space,
            ("pipeDelimited", Place::Query) => Self::Pipe,
            ("deepObject", Place::Query) => Self::Deep,
            _ => return None,
        })
    }
}

/// How a value becomes text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// By a style.
    Styled {
        style: Style,
        /// Each member and item by itself.
        explode: bool,
        /// Reserved characters stay as they are, those apart that would end the value.
        reserved: bool,
    },
    /// As one JSON text.
    Json,
    /// As one text; a list or an object as JSON.
    Plain,
}

impl Form {
    pub(super) const fn usual(place: Place) -> Self {
        let style = place.usual_style();
        Self::Styled {
            style,
            explode: matches!(style, Style::Form),
            reserved: false,
        }
    }
}

/// A parameter of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Param {
    /// What the argument is called.
    pub(super) argument: String,
    /// What it is called on the wire.
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) form: Form,
    pub(super) required: bool,
}

/// A query, as far as it is made.
#[derive(Debug, Default)]
pub(super) struct Query {
    /// Names and values as they are meant.
    pub(super) pairs: Vec<(String, String)>,
    /// What is written in a way that pairs cannot say: already encoded.
    pub(super) raw: String,
}

impl Query {
    fn raw(&mut self, name: &str, values: &[String], joined_by: &str) {
        if !self.raw.is_empty() {
            self.raw.push('&');
        }
        percent_encode(&mut self.raw, name, b"");
        self.raw.push('=');
        self.raw.push_str(&values.join(joined_by));
    }
}

impl Param {
    /// The value as it stands in its path: nothing in it ends a segment.
    pub(super) fn in_path(&self, value: &RawJson) -> Result<String, String> {
        let (style, explode) = match self.form {
            Form::Styled { style, explode, .. } => (style, explode),
            Form::Json => return Ok(encoded(value.as_str())),
            Form::Plain => return Ok(encoded(&Shape::text_of(value)?)),
        };
        let name = encoded(&self.name);
        let shape = Shape::of(value)?;
        Ok(match style {
            Style::Label => match shape {
                Shape::Null => ".".to_owned(),
                Shape::Text(text) => format!(".{}", encoded(&text)),
                shape => {
                    let between = if explode { "." } else { "," };
                    format!(".{}", flat(shape, explode, encoded)?.join(between))
                }
            },
            Style::Matrix => match shape {
                Shape::Null => format!(";{name}"),
                Shape::Text(text) => format!(";{name}={}", encoded(&text)),
                Shape::List(items) if explode => {
                    let item = |item| Ok::<_, String>(encoded(&Shape::text_of(item)?));
                    let items = items.iter().map(item).collect::<Result<Vec<_>, _>>()?;
                    let start = format!(";{name}=");
                    items.iter().map(|item| [&*start, item].concat()).collect()
                }
                shape @ Shape::Members(_) if explode => {
                    format!(";{}", flat(shape, true, encoded)?.join(";"))
                }
                shape => format!(";{name}={}", flat(shape, false, encoded)?.join(",")),
            },
            _ => flat(shape, explode, encoded)?.join(","),
        })
    }

    /// The value of a header field; `None` when there is nothing to send.
    pub(super) fn in_header(&self, value: &RawJson) -> Result<Option<String>, String> {
        let text = match self.form {
            Form::Styled { explode, .. } => {
                flat(Shape::of(value)?, explode, str::to_owned)?.join(",")
            }
            Form::Json => value.as_str().to_owned(),
            Form::Plain => Shape::text_of(value)?,
        };
        let text = text.trim_matches([' ', '\t']);
        if !text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
            return Err("a header field holds plain ASCII without line breaks".to_owned());
        }
        Ok((!text.is_empty()).then(|| text.to_owned()))
    }

    /// `name=value` as a cookie has it. `is_other` says which names belong to others.
    pub(super) fn in_cookie(
        &self,
        value: &RawJson,
        is_other: &dyn Fn(&str) -> bool,
    ) -> Result<Vec<String>, String> {
        let name = encoded(&self.name);
        let one = |text: &str| vec![format!("{name}={}", encoded(text))];
        let explode = match self.form {
            Form::Styled { explode, .. } => explode,
            Form::Json => return Ok(one(value.as_str())),
            Form::Plain => return Ok(one(&Shape::text_of(value)?)),
        };
        match Shape::of(value)? {
            Shape::Null => Ok(Vec::new()),
            Shape::Text(text) => Ok(one(&text)),
            Shape::List(items) if explode => {
                let texts = items.iter().map(Shape::text_of);
                texts
                    .map(|text| Ok(format!("{name}={}", encoded(&text?))))
                    .collect()
            }
            shape @ Shape::Members(_) if explode => {
                check_names(&shape, is_other)?;
                flat(shape, true, encoded)
            }
            shape => Ok(vec![format!(
                "{name}={}",
                flat(shape, false, encoded)?.join(",")
            )]),
        }
    }

    /// Adds the value to a query. `is_other` says which names belong to other parameters.
    pub(super) fn in_query(
        &self,
        value: &RawJson,
        query: &mut Query,
        is_other: &dyn Fn(&str) -> bool,
    ) -> Result<(), String> {
        let pair = |query: &mut Query, text: String| query.pairs.push((self.name.clone(), text));
        let (style, explode, reserved) = match self.form {
            Form::Styled {
                style,
                explode,
                reserved,
            } => (style, explode, reserved),
            Form::Json => {
                pair(query, value.as_str().to_owned());
                return Ok(());
            }
            Form::Plain => {
                pair(query, Shape::text_of(value)?);
                return Ok(());
            }
        };
        if style == Style::Deep {
            return deep(&mut query.pairs, &self.name, value, is_other);
        }
        let encode = if reserved { open } else { encoded };
        match Shape::of(value)? {
            Shape::Null => {}
            Shape::Text(text) if reserved => query.raw(&self.name, &[open(&text)], ","),
            Shape::Text(text) => pair(query, text),
            Shape::List(items) if explode => {
                for item in &items {
                    let text = Shape::text_of(item)?;
                    if reserved {
                        query.raw(&self.name, &[open(&text)], ",");
                    } else {
                        pair(query, text);
                    }
                }
            }
            shape @ Shape::Members(_) if explode => {
                check_names(&shape, is_other)?;
                let Shape::Members(members) = shape else {
                    return Ok(());
                };
                for (name, value) in members {
                    let text = Shape::text_of(&value)?;
                    if reserved {
                        query.raw(&name, &[open(&text)], ",");
                    } else {
                        query.pairs.push((name, text));
                    }
                }
            }
            shape => self.joined(shape, style, encode, query)?,
        }
        Ok(())
    }

    /// Adds a list or an object as one value, its items joined by the sign of the style.
    fn joined(
        &self,
        shape: Shape,
        style: Style,
        encode: fn(&str) -> String,
        query: &mut Query,
    ) -> Result<(), String> {
        let (between, mark) = match style {
            Style::Space => ("%20", Some(' ')),
            Style::Pipe => ("%7C", Some('|')),
            _ => (",", None),
        };
        let plain = flat(shape, false, str::to_owned)?;
        // Such a character could not be told from the one between two items.
        if let Some(mark) = mark.filter(|&mark| plain.iter().any(|it| it.contains(mark))) {
            return Err(format!("no item can have the character {mark:?}"));
        }
        if !plain.is_empty() {
            // A comma that is between two items stays; one in an item never does.
            let items: Vec<String> = plain.iter().map(|it| encode_item(it, encode)).collect();
            query.raw(&self.name, &items, between);
        }
        Ok(())
    }
}

fn encode_item(text: &str, encode: fn(&str) -> String) -> String {
    encode(text).replace(',', "%2C")
}

/// A list of texts: the text itself, the items, or names and values (`name=value` when exploded).
fn flat(
    shape: Shape,
    explode: bool,
    encode: impl Fn(&str) -> String,
) -> Result<Vec<String>, String> {
    Ok(match shape {
        Shape::Null => Vec::new(),
        Shape::Text(text) => vec![encode(&text)],
        Shape::List(items) => {
            let texts = items.iter().map(Shape::text_of);
            texts
                .map(|text| Ok::<_, String>(encode(&text?)))
                .collect::<Result<_, _>>()?
        }
        Shape::Members(members) => {
            let mut out = Vec::new();
            for (name, value) in &members {
                let (name, value) = (encode(name), encode(&Shape::text_of(value)?));
                if explode {
                    out.push(format!("{name}={value}"));
                } else {
                    out.extend([name, value]);
                }
            }
            out
        }
    })
}

/// Members that become parameters of their own must not be others of the operation.
fn check_names(shape: &Shape, is_other: &dyn Fn(&str) -> bool) -> Result<(), String> {
    let Shape::Members(members) = shape else {
        return Ok(());
    };
    for (name, _) in members {
        if name.is_empty() {
            return Err("no member can have an empty name".to_owned());
        }
        if is_other(name) {
            return Err(format!("{name:?} is a parameter of its own and no member"));
        }
    }
    Ok(())
}

/// Writes `name[member][0]=text` for each text in a value: `deepObject`, and what has come to be
/// understood by it where the standard leaves it open (§4.8.12.2: nested objects, lists).
pub(super) fn deep(
    pairs: &mut Vec<(String, String)>,
    name: &str,
    value: &RawJson,
    is_other: &dyn Fn(&str) -> bool,
) -> Result<(), String> {
    deeper(pairs, name, value, is_other, 0)
}

fn deeper(
    pairs: &mut Vec<(String, String)>,
    name: &str,
    value: &RawJson,
    is_other: &dyn Fn(&str) -> bool,
    depth: usize,
) -> Result<(), String> {
    if depth > MAX_DEPTH || pairs.len() >= MAX_PAIRS {
        return Err(format!(
            "at most {MAX_DEPTH} levels and {MAX_PAIRS} texts can be sent this way"
        ));
    }
    match Shape::of(value)? {
        Shape::Null => {}
        Shape::Text(text) => {
            if depth > 0 && is_other(name) {
                return Err(format!("{name:?} is a parameter of its own and no member"));
            }
            pairs.push((name.to_owned(), text));
        }
        Shape::List(items) => {
            for (index, item) in items.iter().enumerate() {
                let name = format!("{name}[{index}]");
                deeper(pairs, &name, item, is_other, depth.saturating_add(1))?;
            }
        }
        Shape::Members(members) => {
            for (key, value) in &members {
                if key.is_empty() || key.contains(['[', ']']) {
                    return Err("no member can have an empty name, or one with brackets".to_owned());
                }
                let name = format!("{name}[{key}]");
                deeper(pairs, &name, value, is_other, depth.saturating_add(1))?;
            }
        }
    }
    Ok(())
}

fn encoded(text: &str) -> String {
    let mut out = String::new();
    percent_encode(&mut out, text, b"");
    out
}

/// Encoded as `allowReserved` wants it: what would end the value, or make a blank of a plus, is encoded
/// all the same.
fn open(text: &str) -> String {
    let mut out = String::new();
    percent_encode(&mut out, text, b":/?@!$'()*,");
    out
}

/// The deepest nesting of a `deepObject`.
const MAX_DEPTH: usize = 8;

/// The most texts that one becomes.
const MAX_PAIRS: usize = 1_000;

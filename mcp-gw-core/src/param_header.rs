//! Arguments that clients repeat in headers: `x-mcp-header` in the schema of a tool (MCP 2026-07-28,
//! streamable HTTP). This is the schema's side of it; what a header looks like on the wire is the
//! business of those who speak HTTP.

use std::fmt;

use serde_json::{Map, Value};

use crate::json::RawJson;

/// One argument and the header that repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParamHeader {
    path: Vec<String>,
    name: String,
}

/// Arguments that do not say clearly what a header is to repeat.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`arguments` names a member twice, or has text that is not Unicode, where `{header}` repeats an argument"
)]
pub struct UnclearParam {
    header: String,
}

/// Members of a schema that are data, not schemas.
const DATA: [&str; 4] = ["const", "default", "enum", "examples"];
const ANNOTATION: &str = "x-mcp-header";
const DEPTH: usize = 64;

impl ParamHeader {
    /// The name of the header in lower case, such as `mcp-param-region`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The text of the argument in `arguments`; `None` when it is absent, null, or not of a kind
    /// that has a header.
    ///
    /// # Errors
    /// When it cannot be told what the argument is: an object on the way to it names a member twice, so
    /// that readers differ in which one counts, or its text is not Unicode. Such a call goes nowhere.
    pub fn text_in(&self, arguments: &RawJson) -> Result<Option<String>, UnclearParam> {
        let unclear = || UnclearParam {
            header: self.name.clone(),
        };
        let mut value = arguments.clone();
        for key in &self.path {
            if !value.is_object() {
                return Ok(None);
            }
            match value.member(key).map_err(|_| unclear())? {
                Some(member) => value = member,
                None => return Ok(None),
            }
        }
        match value.as_bytes().first() {
            Some(b'"') => value.decode_owned().map(Some).map_err(|_| unclear()),
            None | Some(b'{' | b'[' | b'n') => Ok(None),
            Some(_) => Ok(Some(value.as_str().to_owned())),
        }
    }

    /// Reads the annotations of a schema.
    ///
    /// # Errors
    /// A sentence, when one of them is not valid; clients do not use such a tool over HTTP.
    pub(crate) fn read(schema: &RawJson) -> Result<Vec<Self>, String> {
        // Nearly no schema has the word in it, and only then is it worth a tree.
        if memchr::memmem::find(schema.as_bytes(), ANNOTATION.as_bytes()).is_none() {
            return Ok(Vec::new());
        }
        let tree = schema.to_value().map_err(|error| error.to_string())?;
        let mut walk = Walk::default();
        walk.schema(&tree, true, 0)?;
        Ok(walk.found)
    }
}

/// How all headers of this kind begin, in lower case.
const PREFIX: &str = "mcp-param-";

/// `Mcp-Param-*` headers of a request that repeat no argument that the gateway knows of: whoever is in
/// between hands them on (MCP 2026-07-28, streamable HTTP). What they say is no argument, and nothing is
/// decided by it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ForeignParams(Vec<(String, String)>);

impl ForeignParams {
    /// So many are handed on.
    pub const MOST: usize = 32;
    /// So many bytes of names and values are handed on.
    pub const MOST_BYTES: usize = 8 * 1024;

    /// None of them.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds the header `name`, in lower case.
    ///
    /// # Errors
    /// A sentence, when it is not such a header, was added before, has a value that is not plain visible
    /// ASCII, or there are more than [`Self::MOST`] or [`Self::MOST_BYTES`] with it.
    pub fn push(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let is_name = name.strip_prefix(PREFIX).is_some_and(is_token)
            && !name.bytes().any(|b| b.is_ascii_uppercase());
        let is_value = value.bytes().all(|b| (0x20..0x7f).contains(&b));
        let held = self.0.iter().map(|(name, value)| name.len() + value.len());
        let bytes = held.sum::<usize>() + name.len() + value.len();
        if !is_name || !is_value {
            Err("it is not a header that repeats an argument")
        } else if self.iter().any(|(other, _)| other == name) {
            Err("it is there twice")
        } else if self.0.len() >= Self::MOST {
            Err("there are more than 32 headers that repeat no argument of this tool")
        } else if bytes > Self::MOST_BYTES {
            Err("headers that repeat no argument of this tool have more than 8 KiB")
        } else {
            self.0.push((name.to_owned(), value.to_owned()));
            Ok(())
        }
    }

    /// Their names and values, as they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Values may be arguments, which are nothing for a log.
impl fmt::Debug for ForeignParams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries(self.iter().map(|(name, _)| name))
            .finish()
    }
}

#[derive(Default)]
struct Walk {
    path: Vec<String>,
    found: Vec<ParamHeader>,
}

impl Walk {
    /// `reachable`: through `properties` alone.
    fn schema(&mut self, schema: &Value, reachable: bool, depth: usize) -> Result<(), String> {
        if depth > DEPTH {
            return Err("the schema nests too deep".to_owned());
        }
        match schema {
            Value::Object(members) => self.object(members, reachable, depth),
            Value::Array(items) => items
                .iter()
                .try_for_each(|item| self.schema(item, false, depth + 1)),
            _ => Ok(()),
        }
    }

    fn object(
        &mut self,
        members: &Map<String, Value>,
        reachable: bool,
        depth: usize,
    ) -> Result<(), String> {
        for (key, value) in members {
            match key.as_str() {
                ANNOTATION => self.annotation(members, value, reachable)?,
                "properties" => self.properties(value, reachable, depth)?,
                "$defs" | "definitions" | "patternProperties" | "dependentSchemas" => {
                    self.properties(value, false, depth)?;
                }
                key if DATA.contains(&key) => {}
                _ => self.schema(value, false, depth + 1)?,
            }
        }
        Ok(())
    }

    fn properties(&mut self, value: &Value, reachable: bool, depth: usize) -> Result<(), String> {
        for (name, schema) in value.as_object().into_iter().flatten() {
            self.path.push(name.clone());
            self.schema(schema, reachable, depth + 1)?;
            self.path.pop();
        }
        Ok(())
    }

    fn annotation(
        &mut self,
        members: &Map<String, Value>,
        value: &Value,
        reachable: bool,
    ) -> Result<(), String> {
        if !reachable || self.path.is_empty() {
            return Err(format!(
                "`{ANNOTATION}` stands where no property of the arguments is"
            ));
        }
        let kind = members.get("type").and_then(Value::as_str);
        if !matches!(kind, Some("string" | "integer" | "boolean")) {
            return Err(format!(
                "`{ANNOTATION}` stands on something else than a string, integer or boolean"
            ));
        }
        let token = value.as_str().filter(|token| is_token(token));
        let Some(token) = token else {
            return Err(format!("`{ANNOTATION}` is not the name of a header"));
        };
        let name = format!("{PREFIX}{}", token.to_ascii_lowercase());
        if self.found.iter().any(|other| other.name == name) {
            return Err(format!("`{ANNOTATION}` names one header twice"));
        }
        self.found.push(ParamHeader {
            path: self.path.clone(),
            name,
        });
        Ok(())
    }
}

/// True for a `token` of RFC 9110 §5.6.2.
fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(schema: &str) -> Result<Vec<ParamHeader>, String> {
        ParamHeader::read(&RawJson::parse(schema.to_owned()).unwrap())
    }

    #[test]
    fn annotated_arguments_have_a_header() {
        let found = read(
            r#"{"type":"object","properties":{
                "region":{"type":"string","x-mcp-header":"Region"},
                "n":{"type":"integer","x-mcp-header":"N"},
                "absent":{"type":"boolean","x-mcp-header":"Absent"},
                "x-mcp-header":{"type":"object","properties":{
                    "deep":{"type":"string","x-mcp-header":"Deep"}}}}}"#,
        )
        .unwrap();
        let arguments = RawJson::parse(
            r#"{"region":"K\u00f6ln","n":1.0,"absent":null,"x-mcp-header":{"deep":"a b"}}"#,
        )
        .unwrap();
        let mut texts: Vec<_> = found
            .iter()
            .map(|header| (header.name(), header.text_in(&arguments).unwrap()))
            .collect();
        texts.sort_unstable();
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(
            texts,
            [
                ("mcp-param-absent", None),
                ("mcp-param-deep", some("a b")),
                ("mcp-param-n", some("1.0")),
                ("mcp-param-region", some("Köln")),
            ]
        );
    }

    #[test]
    fn an_argument_that_is_there_twice_has_no_text() {
        let found = read(
            r#"{"properties":{"o":{"properties":{"r":{"type":"string","x-mcp-header":"R"}}}}}"#,
        );
        let found = found.unwrap();
        for (arguments, text) in [
            (r#"{"o":{"r":"x"},"other":{"r":1,"r":2}}"#, Some(Some("x"))),
            (r#"{"o":{"q":"x"}}"#, Some(None)),
            (r#"{"o":["r","r"]}"#, Some(None)),
            ("null", Some(None)),
            (r#"{"o":{"r":"x","r":"x"}}"#, None),
            (r#"{"o":{"r":"x","\u0072":"y"}}"#, None),
            (r#"{"o":{"r":"x"},"o":{}}"#, None),
            (r#"{"o":{"r":"\ud800"}}"#, None),
        ] {
            let arguments = RawJson::parse(arguments).unwrap();
            let told = found[0].text_in(&arguments).ok();
            let expected = text.map(|text| text.map(str::to_owned));
            assert_eq!(told, expected, "{arguments}");
        }
    }

    #[test]
    fn foreign_headers_are_plain_few_and_short() {
        let mut foreign = ForeignParams::new();
        foreign.push("mcp-param-a", "hidden").unwrap();
        foreign.push("mcp-param-b", "").unwrap();
        for (name, value) in [
            ("mcp-param-a", "again"),
            ("mcp-param-", "v"),
            ("mcp-param-é", "v"),
            ("Mcp-Param-C", "v"),
            ("mcp-param-C", "v"),
            ("authorization", "v"),
            ("mcp-param-c", "a\nb"),
            ("mcp-param-c", "é"),
        ] {
            assert!(foreign.push(name, value).is_err(), "{name}: {value}");
        }
        assert_eq!(foreign.iter().count(), 2);
        assert!(!format!("{foreign:?}").contains("hidden"));
        let long = "x".repeat(ForeignParams::MOST_BYTES);
        assert!(foreign.push("mcp-param-long", &long).is_err());
        let pushed = (0..100).filter(|n| foreign.push(&format!("mcp-param-n{n}"), "v").is_ok());
        assert_eq!(pushed.count(), ForeignParams::MOST - 2);
    }

    #[test]
    fn annotations_that_are_not_valid_are_found() {
        for schema in [
            r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"ä"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":7}}}"#,
            r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
            r#"{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
            r#"{"$defs":{"a":{"type":"string","x-mcp-header":"A"}}}"#,
            r#"{"type":"object","x-mcp-header":"A"}"#,
        ] {
            assert!(read(schema).is_err(), "{schema}");
        }
        let data =
            r#"{"properties":{"a":{"default":{"x-mcp-header":"A"}}},"description":"x-mcp-header"}"#;
        assert_eq!(read(data), Ok(Vec::new()));
    }
}

//! Arguments that are repeated in headers: `x-mcp-header` (MCP 2026-07-28, streamable HTTP).

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use mcp_gw_core::{RawJson, ToolSpec};
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::{Map, Value};

/// One argument and the header that repeats it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Mirror {
    path: Vec<String>,
    header: HeaderName,
}

/// The mirrors of all tools that have some, by the tool's name.
pub(crate) type Mirrors = HashMap<Arc<str>, Arc<[Mirror]>>;

/// Members of a schema that are data, not schemas.
const DATA: [&str; 4] = ["const", "default", "enum", "examples"];
const ANNOTATION: &str = "x-mcp-header";
const DEPTH: usize = 64;

/// Reads the annotations of a tool.
///
/// # Errors
/// A sentence, when one of them is not valid; such a tool must not be offered over HTTP.
pub(crate) fn read(tool: &ToolSpec) -> Result<Vec<Mirror>, String> {
    let schema = tool.input_schema();
    // Nearly no schema has the word in it, and only then is it worth a tree.
    if memchr::memmem::find(schema.as_bytes(), ANNOTATION.as_bytes()).is_none() {
        return Ok(Vec::new());
    }
    let tree = schema.to_value().map_err(|error| error.to_string())?;
    let mut walk = Walk::default();
    walk.schema(&tree, true, 0)?;
    Ok(walk.found)
}

#[derive(Default)]
struct Walk {
    path: Vec<String>,
    found: Vec<Mirror>,
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
        let token = value.as_str().unwrap_or_default();
        if !reachable || self.path.is_empty() {
            return Err(format!(
                "`{ANNOTATION}` stands where no property of the arguments is"
            ));
        }
        let is_primitive = matches!(
            members.get("type").and_then(Value::as_str),
            Some("string" | "integer" | "boolean")
        );
        if !is_primitive {
            return Err(format!(
                "`{ANNOTATION}` stands on something else than a string, integer or boolean"
            ));
        }
        let header = (!token.is_empty())
            .then(|| HeaderName::from_bytes(format!("mcp-param-{token}").as_bytes()).ok())
            .flatten()
            .ok_or_else(|| format!("`{ANNOTATION}` is not the name of a header"))?;
        if self.found.iter().any(|mirror| mirror.header == header) {
            return Err(format!("`{ANNOTATION}` names one header twice"));
        }
        self.found.push(Mirror {
            path: self.path.clone(),
            header,
        });
        Ok(())
    }
}

/// The headers that repeat these arguments.
pub(crate) fn headers(mirrors: &[Mirror], arguments: &RawJson) -> Vec<(HeaderName, HeaderValue)> {
    mirrors
        .iter()
        .filter_map(|mirror| {
            let value = mirror
                .path
                .iter()
                .try_fold(arguments.clone(), |value, key| value.member(key).ok()?)?;
            let text = match value.as_bytes().first()? {
                b'"' => value.decode_owned::<String>().ok()?,
                b'{' | b'[' | b'n' => return None,
                _ => value.as_str().to_owned(),
            };
            Some((mirror.header.clone(), encode(&text)?))
        })
        .collect()
}

/// A value as these headers carry it: as it is when it is plain visible ASCII, in Base64 otherwise.
pub(crate) fn encode(value: &str) -> Option<HeaderValue> {
    let plain = value.bytes().all(|b| (0x20..0x7f).contains(&b))
        && !value.starts_with(' ')
        && !value.ends_with(' ')
        && !value.starts_with("=?base64?");
    if plain {
        HeaderValue::from_str(value).ok()
    } else {
        HeaderValue::from_str(&format!("=?base64?{}?=", STANDARD.encode(value))).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tool(schema: &str) -> ToolSpec {
        let text = format!(r#"{{"name":"t","inputSchema":{schema}}}"#);
        ToolSpec::from_definition(RawJson::parse(text).unwrap()).unwrap()
    }

    #[test]
    fn arguments_are_repeated_in_headers() {
        let mirrors = read(&tool(
            r#"{"type":"object","properties":{
                "region":{"type":"string","x-mcp-header":"Region"},
                "n":{"type":"integer","x-mcp-header":"N"},
                "absent":{"type":"boolean","x-mcp-header":"Absent"},
                "x-mcp-header":{"type":"object","properties":{
                    "deep":{"type":"string","x-mcp-header":"Deep"}}}}}"#,
        ))
        .unwrap();
        let arguments = r#"{"region":"Köln","n":1.0,"absent":null,"x-mcp-header":{"deep":"a b"}}"#;
        let found: Vec<(String, String)> = headers(&mirrors, &RawJson::parse(arguments).unwrap())
            .into_iter()
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
            .collect();
        let expected = [
            ("mcp-param-region", "=?base64?S8O2bG4=?="),
            ("mcp-param-n", "1.0"),
            ("mcp-param-deep", "a b"),
        ];
        assert_eq!(found.len(), expected.len());
        for (name, value) in expected {
            assert!(
                found.contains(&(name.to_owned(), value.to_owned())),
                "{found:?}"
            );
        }
    }

    #[test]
    fn annotations_that_are_not_valid_are_found() {
        for schema in [
            r#"{"properties":{"a":{"type":"string","x-mcp-header":""}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"a b"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":7}}}"#,
            r#"{"properties":{"a":{"type":"number","x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"x-mcp-header":"A"}}}"#,
            r#"{"properties":{"a":{"type":"string","x-mcp-header":"A"},"b":{"type":"string","x-mcp-header":"a"}}}"#,
            r#"{"properties":{"a":{"type":"array","items":{"type":"string","x-mcp-header":"A"}}}}"#,
            r#"{"anyOf":[{"properties":{"a":{"type":"string","x-mcp-header":"A"}}}]}"#,
            r#"{"$defs":{"a":{"type":"string","x-mcp-header":"A"}}}"#,
            r#"{"type":"object","x-mcp-header":"A"}"#,
        ] {
            assert!(read(&tool(schema)).is_err(), "{schema}");
        }
        let data =
            r#"{"properties":{"a":{"default":{"x-mcp-header":"A"}}},"description":"x-mcp-header"}"#;
        assert_eq!(read(&tool(data)), Ok(Vec::new()));
    }

    #[test]
    fn what_is_not_plain_ascii_is_written_in_base64() {
        for (value, expected) in [
            ("plain", "plain"),
            ("", ""),
            (" lead", "=?base64?IGxlYWQ=?="),
            ("a\nb", "=?base64?YQpi?="),
            ("=?base64?YQ==?=", "=?base64?PT9iYXNlNjQ/WVE9PT89?="),
        ] {
            assert_eq!(encode(value).unwrap().to_str().unwrap(), expected);
        }
    }
}

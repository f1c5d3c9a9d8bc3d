//! What the server has beside tools when it is asked to: resources, a template, a prompt, links.
//! It says in each answer who it is, and how it was asked.

use crate::message::{Params, quote};

/// Tools that go with it.
pub(crate) const TOOLS: [&str; 2] = [
    r#"{"name":"link","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://page"},"v":1.0}}"#,
    r#"{"name":"order","x-vendor":1.0,"inputSchema":{"type":"object","properties":{"account":{"type":"string","x-mcp-header":"Account"},"item":{"type":"string"},"count":{"type":"integer"}},"required":["account","item","count"],"additionalProperties":false}}"#,
];

/// Members of lists that nobody can call, read or ask for, one after the other.
pub(crate) const NAMELESS_TOOLS: [&str; 5] = [
    r#"{"inputSchema":{"type":"object"}}"#,
    r#"{"name":"","title":"T","inputSchema":{"type":"object"}}"#,
    r#"{"name":7,"inputSchema":{"type":"object"}}"#,
    r#"{"name":null,"inputSchema":{"type":"object"}}"#,
    "7",
];
const NAMELESS_RESOURCES: [&str; 6] = [
    r#"{"uri":"foo","name":"f"}"#,
    r#"{"uri":"odd+","name":"o"}"#,
    r#"{"uri":"odd+:x","name":"x"}"#,
    r#"{"uri":"","name":"empty"}"#,
    r#"{"uri":7,"name":"number"}"#,
    r#"{"name":"none"}"#,
];
const NAMELESS_TEMPLATES: [&str; 3] = [
    r#"{"uriTemplate":"d/{name}","name":"d"}"#,
    r#"{"uriTemplate":"odd+:{x}","name":"o"}"#,
    r#"{"uriTemplate":["{+uri}"],"name":"l"}"#,
];

/// The list with these before its own, if it is to have them.
fn with(nameless: &[&str], is_nameless: bool, member: &str, own: &str) -> String {
    let first: String = nameless
        .iter()
        .filter(|_| is_nameless)
        .flat_map(|item| [item, ","])
        .collect();
    format!(r#""{member}":[{first}{own}]"#)
}

pub(crate) const CAPABILITIES: &str =
    r#"{"tools":{},"resources":{},"prompts":{},"completions":{}}"#;

/// What the tool `link` answers.
pub(crate) const LINKS: &str = r#""content":[{"type":"resource_link","uri":"file:///new","name":"n","v":1.0},{"type":"resource","resource":{"uri":"file:///a","text":"uri"}},{"type":"text","text":"\"uri\":\"file:///a\""}],"structuredContent":{"uri":"file:///a"}"#;

/// The members of a result, when the method is one of these.
pub(crate) fn answer(
    me: &str,
    method: &str,
    params: &Params<'_>,
    is_nameless: bool,
) -> Option<String> {
    let uri = params.uri.as_deref().unwrap_or_default();
    let shown = quote(uri);
    let says = quote(&format!("{me} {uri}"));
    Some(match method {
        "resources/list" => {
            let own = r#"{"uri":"file:///a","name":"a","v":1.0},{"uri":"ui://page","name":"page"}"#;
            with(&NAMELESS_RESOURCES, is_nameless, "resources", own)
        }
        "resources/templates/list" => {
            let own = r#"{"uriTemplate":"file:///d/{name}","name":"d","v":1.0}"#;
            with(&NAMELESS_TEMPLATES, is_nameless, "resourceTemplates", own)
        }
        "prompts/list" => r#""prompts":[{"name":"p","v":1.0}]"#.to_owned(),
        "resources/read" => {
            format!(r#""contents":[{{"uri":{shown},"text":{says},"v":1.0}}]"#)
        }
        "prompts/get" => {
            let name = quote(&format!("file:///{}", params.name.as_deref()?));
            format!(
                r#""messages":[{{"role":"user","content":{{"type":"resource","resource":{{"uri":{name},"text":""}}}}}}]"#
            )
        }
        "completion/complete" => {
            let about = params.reference.as_ref()?;
            let about = quote(about.uri.as_deref().or(about.name.as_deref())?);
            format!(r#""completion":{{"values":[{about}]}}"#)
        }
        _ => return None,
    })
}

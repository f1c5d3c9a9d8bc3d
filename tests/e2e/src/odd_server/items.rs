//! What the server has beside tools when it is asked to: resources, a template, a prompt, links.
//! It says in each answer who it is, and how it was asked.

use crate::message::{Params, quote};

/// Tools that go with it.
pub(crate) const TOOLS: [&str; 2] = [
    r#"{"name":"link","inputSchema":{"type":"object"},"_meta":{"ui":{"resourceUri":"ui://page"},"v":1.0}}"#,
    r#"{"name":"order","x-vendor":1.0,"inputSchema":{"type":"object","properties":{"account":{"type":"string","x-mcp-header":"Account"},"item":{"type":"string"},"count":{"type":"integer"}},"required":["account","item","count"],"additionalProperties":false}}"#,
];

pub(crate) const CAPABILITIES: &str =
    r#"{"tools":{},"resources":{},"prompts":{},"completions":{}}"#;

/// What the tool `link` answers.
pub(crate) const LINKS: &str = r#""content":[{"type":"resource_link","uri":"file:///new","name":"n","v":1.0},{"type":"resource","resource":{"uri":"file:///a","text":"uri"}},{"type":"text","text":"\"uri\":\"file:///a\""}],"structuredContent":{"uri":"file:///a"}"#;

/// The members of a result, when the method is one of these.
pub(crate) fn answer(me: &str, method: &str, params: &Params<'_>) -> Option<String> {
    let uri = params.uri.as_deref().unwrap_or_default();
    let shown = quote(uri);
    let says = quote(&format!("{me} {uri}"));
    Some(match method {
        "resources/list" => {
            r#""resources":[{"uri":"file:///a","name":"a","v":1.0},{"uri":"ui://page","name":"page"}]"#
                .to_owned()
        }
        "resources/templates/list" => {
            r#""resourceTemplates":[{"uriTemplate":"file:///d/{name}","name":"d","v":1.0}]"#.to_owned()
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

//! Answers in other encodings than UTF-8.

use serde_json::json;

use super::*;
use crate::raw::answer;

#[tokio::test]
async fn a_text_in_another_encoding_comes_as_text_and_without_the_credential() {
    let reply = |_: usize, request: &[u8]| {
        let (charset, body) = if request.starts_with(b"GET /v1/wide") {
            let text = r#"{"sent":"token-of-all","name":"Größe"}"#;
            let units = text.encode_utf16();
            ("utf-16le", units.flat_map(u16::to_le_bytes).collect())
        } else {
            ("iso-8859-1", b"{\"name\":\"Gr\xf6\xdfe\"}".to_vec())
        };
        let content_type = format!("application/json; charset={charset}");
        answer("200 OK", &[("content-type", &content_type)], &body)
    };
    let setup = Setup::of(Raw::start(reply).await, |config| config);
    let shown = setup.get("/wide").await;
    assert_eq!(
        shown["data"],
        json!({"sent": "[redacted]", "name": "Größe"})
    );
    assert!(shown["encoding"].is_null());
    let ask = json!({"endpoint": "/latin", "method": "GET", "select": "name"});
    assert_eq!(setup.ask(ask).await["data"], "Größe");
}

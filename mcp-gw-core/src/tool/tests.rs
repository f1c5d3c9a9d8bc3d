use super::*;

#[test]
fn a_definition_keeps_what_it_has_no_name_for() {
    let text = r#"{"x-vendor":{"n":1.50},"name":"a","inputSchema":{"type":"object","$defs":{}},"annotations":{"readOnlyHint":true,"x":1}}"#;
    let spec = ToolSpec::from_definition(RawJson::parse(text).unwrap()).unwrap();
    assert_eq!(spec.definition().as_str(), text);
    assert!(spec.annotations().is_read_only());
    assert_eq!(
        spec.with_name("s__a").unwrap().definition().as_str(),
        text.replace(r#""name":"a""#, r#""name":"s__a""#)
    );
}

#[test]
fn a_value_stands_between_other_members_and_in_the_text() {
    let raw = |text: &str| RawJson::parse(text.to_owned()).unwrap();
    let link = raw(r#"{"type":"resource_link"}"#);
    for (first, last, whole) in [
        (
            "{\"a\":1}",
            "{\"c\":[]}",
            r#"{"a":1,"v":{ "x":"\"" },"c":[]}"#,
        ),
        ("{}", "{}", r#"{"v":{ "x":"\"" }}"#),
    ] {
        let value = raw(r#"{ "x":"\"" }"#);
        let (output, depth) = ToolOutput::around(
            &raw(first),
            ("v", &value),
            &raw(last),
            std::slice::from_ref(&link),
        );
        assert_eq!(depth, 2);
        let shown = output
            .as_raw()
            .member("structuredContent")
            .unwrap()
            .unwrap();
        assert_eq!(shown.as_str(), whole);
        let result = output.as_raw().to_value().unwrap();
        assert_eq!(result["content"][0]["text"], whole);
        assert_eq!(result["content"][0]["type"], "text");
        assert_eq!(result["content"][1]["type"], "resource_link");
        assert_eq!(result["isError"], false);
        RawJson::parse(output.as_raw().to_bytes()).unwrap();
    }
}

#[test]
fn a_tool_without_a_name_is_refused_with_its_reason() {
    for (name, says) in [
        ("", "`name` is missing"),
        (r#""name":"","#, "`name` is empty"),
        (r#""name":7,"#, "`name` is not a string"),
        (r#""name":null,"#, "`name` is not a string"),
        (r#""name":"\udc00","#, "`name` holds half of a character"),
    ] {
        let text = format!(r#"{{{name}"inputSchema":{{}}}}"#);
        let error = ToolSpec::from_definition(RawJson::parse(text).unwrap()).unwrap_err();
        assert_eq!(error.to_string(), says);
    }
}

#[test]
fn a_definition_without_name_or_schema_is_refused() {
    for text in [
        r#"{"inputSchema":{}}"#,
        r#"{"name":"","inputSchema":{}}"#,
        r#"{"name":"a b","inputSchema":{}}"#,
        r#"{"name":"a\u0000","inputSchema":{}}"#,
        r#"{"name":"a\u200bb","inputSchema":{}}"#,
        r#"{"name":"a\u202eb","inputSchema":{}}"#,
        r#"{"name":7,"inputSchema":{}}"#,
        r#"{"name":"a"}"#,
        r#"{"name":"a","inputSchema":true}"#,
        r#"{"name":"a","name":"b","inputSchema":{}}"#,
        "[]",
    ] {
        let raw = RawJson::parse(text).unwrap();
        assert!(ToolSpec::from_definition(raw).is_err(), "{text}");
    }
}

#[test]
fn is_error_reads_the_member_and_not_the_word() {
    for (text, expected) in [
        (r#"{"isError":true}"#, true),
        (r#"{"content":[],"isError" : true}"#, true),
        (r#"{"isError":false}"#, false),
        (r#"{"isError":false,"isError":true}"#, true),
        (r#"{"isError":true,"isError":false}"#, true),
        (
            r#"{"content":[{"type":"text","text":"\"isError\":true"}]}"#,
            false,
        ),
        (r#"{"structuredContent":{"isError":true}}"#, false),
        (r#"{"a":{"isError":true},"isError":false}"#, false),
        (
            r#"{"a":{"isError":false},"isError"
            : true}"#,
            true,
        ),
    ] {
        let output = ToolOutput::from_raw(RawJson::parse(text).unwrap()).unwrap();
        assert_eq!(output.is_error(), expected, "{text}");
    }
    assert!(ToolOutput::error("no").is_error());
    assert!(!ToolOutput::text("yes").is_error());
}

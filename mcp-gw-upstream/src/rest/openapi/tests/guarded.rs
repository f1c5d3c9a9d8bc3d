//! What the guard would refuse is left out, and what is told of a description is so.

use super::*;
use crate::rest::openapi::Guarded;

#[test]
fn what_cannot_be_called_is_counted_whole() {
    let paths: serde_json::Map<String, Value> = (0..2_500)
        .map(|n| (format!("/{n}"), json!({"get": {}})))
        .chain([("//evil.example/x".to_owned(), json!({"get": {}}))])
        .collect();
    let text = description(&Value::Object(paths), &json!({})).to_string();
    let options = Options::all().with_max_operations(1_000);
    let read = read(text.as_bytes(), &options).unwrap();
    assert_eq!(read.operations.len(), 1_000);
    assert_eq!(read.report.unusable, 1_501);
    assert!(read.report.to_string().contains("1501 cannot be used"));
    assert!(
        read.operations
            .iter()
            .all(|it| !it.path().starts_with("//"))
    );
}

#[test]
fn a_credential_of_the_configuration_is_no_argument() {
    let parameters = json!([
        {"name": "X-Api", "in": "header", "required": true, "schema": {"type": "string"}},
        {"name": "appid", "in": "query", "schema": {"type": "string"}},
        {"name": "q", "in": "query", "schema": {"type": "string"}},
    ]);
    let paths = json!({"/a": {"get": {"parameters": parameters}}});
    let guarded = Guarded {
        headers: vec!["x-api".to_owned()],
        queries: vec!["appid".to_owned()],
        parts: false,
        empty_segments: true,
    };
    let text = description(&paths, &json!({})).to_string();
    let options = Options::all().guarded_by(guarded);
    let read = read(text.as_bytes(), &options).unwrap();
    assert_eq!(read.operations[0].names(), ["q"]);
    assert_eq!(read.report.notes.len(), 2);
}

#[test]
fn a_segment_that_may_be_empty_is_told_of() {
    let one = json!([{"name": "p", "in": "path", "required": true, "style": "matrix", "schema": {"type": "string"}}]);
    let paths = json!({
        "/last/{p}": {"get": {"parameters": one}},
        "/amid/{p}/x": {"get": {"parameters": one}},
    });
    let text = description(&paths, &json!({})).to_string();
    let strict = Guarded {
        empty_segments: true,
        ..Guarded::default()
    };
    let found = read(text.as_bytes(), &Options::all().guarded_by(strict)).unwrap();
    assert_eq!(names(&found), ["get_last_p"]);
    assert!(reasons(&found)[0].contains("allow_empty_segments"));
    assert_eq!(
        read(text.as_bytes(), &Options::all())
            .unwrap()
            .operations
            .len(),
        2
    );
}

#[test]
fn a_number_out_of_range_costs_nothing_else() {
    let text = r#"{"openapi":"3.1.0","info":{"title":"1e999"},"paths":{"/a":{"get":{"parameters":[
        {"name":"n","in":"query","schema":{"type":"number","minimum":-1e400,"maximum":1E400,"multipleOf":2}}]}}}}"#;
    let found = read(text.as_bytes(), &Options::all()).unwrap();
    assert_eq!(found.title.as_deref(), Some("1e999"));
    let schema = found.operations[0].input_schema().to_value().unwrap();
    assert_eq!(schema["properties"]["n"]["minimum"], -f64::MAX);
    assert_eq!(schema["properties"]["n"]["maximum"], f64::MAX);
}

#[test]
fn what_stands_beside_a_reference_to_nothing_counts() {
    let schema = json!({"$ref": "#/components/schemas/Q", "type": "integer"});
    let paths =
        json!({"/a": {"get": {"parameters": [{"name": "n", "in": "query", "schema": schema}]}}});
    let found = read_all(&description(&paths, &json!({})));
    let schema = found.operations[0].input_schema().to_value().unwrap();
    assert_eq!(schema["properties"]["n"]["type"], "integer");
    assert!(found.report.notes[0].message.contains("leads to nothing"));
}

#[test]
fn only_an_operation_that_says_so_needs_no_credential() {
    let paths = json!({
        "/open": {"get": {"security": []}},
        "/perhaps": {"get": {"security": [{}]}},
        "/silent": {"get": {}},
    });
    let found = read_all(&description(&paths, &json!({})));
    let open: Vec<bool> = found.operations.iter().map(Operation::is_open).collect();
    assert_eq!(open, [true, false, false]);
}

#[test]
fn what_asks_for_parts_is_told_of_where_it_is_left_out() {
    let range = |required: bool| json!([{"name": "RANGE", "in": "header", "required": required, "schema": {"type": "string"}}]);
    let paths = json!({
        "/a": {"get": {"parameters": range(false)}},
        "/b": {"get": {"parameters": range(true)}},
        "/c": {"get": {"parameters": range(true), "security": []}},
    });
    let text = description(&paths, &json!({})).to_string();
    let guarded = Guarded {
        parts: true,
        ..Guarded::default()
    };
    let found = read(text.as_bytes(), &Options::all().guarded_by(guarded)).unwrap();
    let arguments: Vec<_> = found.operations.iter().map(Operation::names).collect();
    assert_eq!(arguments, [vec![], vec!["RANGE"]]);
    assert!(reasons(&found)[0].contains("GET /b: it needs the parameter"));
    assert!(found.report.notes[0].message.contains("`request_headers`"));
    assert_eq!(
        read_all(&description(&paths, &json!({}))).operations.len(),
        3
    );
}

/// What the guard refuses in any spelling is not offered in that either (E-9).
#[test]
fn a_header_that_nobody_may_set_is_no_argument() {
    let names = [
        "x_forwarded_for",
        "X-Client-IP",
        "Max-Forwards",
        "x_real_ip",
        "Accept",
        "X-Own",
    ];
    let parameters: Vec<Value> = names
        .iter()
        .map(|name| json!({"name": name, "in": "header", "schema": {"type": "string"}}))
        .collect();
    let paths = json!({"/a": {"get": {"parameters": parameters}}});
    let found = read_all(&description(&paths, &json!({})));
    assert_eq!(found.operations[0].names(), ["X-Own"]);
}

#[test]
fn what_nests_too_deeply_costs_its_operation_alone() {
    let described = |levels: usize| {
        let (start, end) = (r#"{"allOf":["#.repeat(levels), "]}".repeat(levels));
        let (lists, ends) = ("[".repeat(2 * levels), "]".repeat(2 * levels));
        format!(
            r#"{{"openapi":"3.1.0","info":{{}},"paths":{{
            "/deep":{{"get":{{"parameters":[{{"name":"q","in":"query","schema":{start}{{"type":"string"}}{end}}}]}}}},
            "/gone":{{"get":{lists}{ends}}},
            "/fine":{{"get":{{"parameters":[{{"name":"q","in":"query","schema":{{"type":"string","description":"[[{{"}}}}]}}}}}}}}"#
        )
    };
    // The reader of YAML takes no more of brackets.
    for text in [described(2_000), format!("# YAML\n{}", described(100))] {
        let found = read(text.as_bytes(), &Options::all()).unwrap();
        let gone = reasons(&found);
        assert_eq!(names(&found), ["get_deep", "get_fine"], "{gone:?}");
        assert_eq!(found.report.unusable, 1);
        let fine = found.operations[1].input_schema().to_value().unwrap();
        assert_eq!(fine["properties"]["q"]["description"], "[[{");
    }
    // What ends within it is no description.
    let whole = described(2_000);
    let cut = whole.get(..4_000).unwrap();
    assert!(read(cut.as_bytes(), &Options::all()).is_err());
}

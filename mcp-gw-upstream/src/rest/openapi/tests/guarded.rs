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

//! Descriptions become operations.

use std::time::Duration;

use mcp_gw_core::Glob;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::rest::SchemeKind;

mod guarded;
mod hostile;
mod schemas;
mod sound;

pub(super) fn description(paths: &Value, components: &Value) -> Value {
    json!({ "openapi": "3.1.0", "info": {}, "paths": paths, "components": components })
}

pub(super) fn read_all(description: &Value) -> Description {
    read(description.to_string().as_bytes(), &Options::all()).unwrap()
}

fn names(description: &Description) -> Vec<&str> {
    description.operations.iter().map(Operation::name).collect()
}

fn reasons(description: &Description) -> Vec<String> {
    let skipped = description.report.skipped.iter();
    skipped
        .map(|it| format!("{} {}: {}", it.method, it.path, it.reason))
        .collect()
}

#[test]
fn what_is_no_description_of_a_known_version_is_refused_with_what_to_do() {
    let fails = |text: &str| {
        read(text.as_bytes(), &Options::new())
            .unwrap_err()
            .to_string()
    };
    assert!(fails("swagger: '2.0'\npaths: {}").contains("convert it to OpenAPI 3.0"));
    assert!(fails("openapi: 4.0.0").contains("OpenAPI 4.0.0 is not known"));
    assert!(fails("openapi: 2").contains("OpenAPI 2 is not known"));
    for text in ["", "[]", "hello", "a: 1", "openapi: [3]"] {
        assert!(fails(text).contains("no OpenAPI description"), "{text}");
    }
    for text in [
        "openapi: 3.0",
        "openapi: 3.0.3",
        "openapi: 3.1.1",
        "{\"openapi\":\"3.2.0\"}",
    ] {
        let description = read(text.as_bytes(), &Options::new()).unwrap();
        assert!(description.operations.is_empty());
    }
    let long = Options::new().with_max_bytes(3);
    assert!(
        read(b"openapi", &long)
            .unwrap_err()
            .to_string()
            .contains("longer than 3 bytes")
    );
}

#[test]
fn what_is_wrong_with_one_operation_costs_that_one_only() {
    let needs = |it: Value| json!({ "parameters": [it] });
    let wrong_style = json!({ "in": "query", "name": "q", "style": "matrix", "required": true });
    let description = read_all(&description(
        &json!({
            "/ok": { "get": {}, "summary": "s", "x-more": 1 },
            "/a/../b": { "get": {} },
            "no-slash": { "get": {} },
            "/text": "get",
            "/op": { "get": 7, "post": {} },
            "/ref": { "$ref": "other.yaml#/a" },
            "/op-ref": { "get": { "$ref": "ops/get.yaml" } },
            "/loop": { "$ref": "#/paths/~1loop" },
            "/missing": { "get": needs(json!({ "$ref": "#/components/parameters/none" })) },
            "/place": { "get": needs(json!({ "in": "body", "name": "b", "required": true })) },
            "/style": { "get": needs(wrong_style) },
            "/optional": { "get": needs(json!({ "in": "query", "name": "q", "style": "label" })) },
            "/body": { "post": { "requestBody": { "required": true, "content": { "multipart/mixed": {} } } } },
            "/trace": { "trace": {} },
        }),
        &json!({}),
    ));
    assert_eq!(names(&description), ["get_ok", "post_op", "get_optional"]);
    assert_eq!(
        reasons(&description),
        [
            "* /loop: the reference \"#/paths/~1loop\" leads back to itself",
            "GET /op: it is no object",
            "GET /op-ref: the reference \"ops/get.yaml\" leads out of the file; bundle the description into one file",
            "* /ref: the reference \"other.yaml#/a\" leads out of the file; bundle the description into one file",
            "* /text: it is no object",
            "TRACE /trace: TRACE is never sent",
            "GET /a/../b: the path has a segment `.` or `..`",
            "POST /body: it needs a body, of no media type that can be sent",
            "GET /missing: a parameter cannot be read: the reference \"#/components/parameters/none\" leads to nothing",
            "GET /place: it needs the parameter \"b\", but it has no place (`in`) that is known",
            "GET /style: it needs the parameter \"q\", but `style: matrix` is not known there",
            "GET no-slash: the path does not begin with `/`",
        ]
    );
    assert_eq!(description.report.total, 15);
    let text = description.report.to_string();
    assert!(
        text.starts_with("15 operations, 12 cannot be used\n  skipped * /loop"),
        "{text}"
    );
    assert!(
        text.contains("note GET /optional: the parameter \"q\" is left out"),
        "{text}"
    );
}

#[test]
fn names_are_legal_unique_and_no_filter_changes_them() {
    let operation = |id: &str| json!({ "operationId": id });
    let text = description(
        &json!({
            "/a": { "get": operation("repos/list"), "post": operation("repos list"), "put": operation("repos_list_2") },
            "/b/{id}": { "get": {}, "delete": operation("!!!") },
            "/b/id": { "get": {} },
            "/c": { "get": operation(&"x".repeat(90)) },
        }),
        &json!({}),
    )
    .to_string();
    let all = read(text.as_bytes(), &Options::all()).unwrap();
    let long = format!("{}_", "x".repeat(55));
    let names = names(&all);
    assert_eq!(
        names[..6],
        [
            "repos_list",
            "repos_list_3",
            "repos_list_2",
            "get_b_id",
            "get_b_id_2",
            "delete_b_id"
        ]
    );
    assert!(
        names[6].len() == 64 && names[6].starts_with(&long),
        "{}",
        names[6]
    );
    for operation in &all.operations {
        assert!(operation.spec().is_ok());
    }
    let only = Options::all().with_include(Filter::new().with_methods(["post"]));
    let only = read(text.as_bytes(), &only).unwrap();
    assert_eq!(super::tests::names(&only), ["repos_list_3"]);
}

#[test]
fn operations_are_chosen_by_tag_id_method_and_path() {
    let operation = |id: &str, tags: &[&str]| json!({ "operationId": id, "tags": tags });
    let mut old = operation("oldPets", &["pets"]);
    old["deprecated"] = json!(true);
    let text = description(
        &json!({
            "/pets": { "get": operation("listPets", &["pets"]), "post": operation("addPet", &["pets", "write"]) },
            "/pets/old": { "get": old },
            "/users": { "get": operation("listUsers", &["users"]), "head": operation("headUsers", &["users"]) },
        }),
        &json!({}),
    )
    .to_string();
    let chosen = |options: &Options| {
        let read = read(text.as_bytes(), options).unwrap();
        let names = names(&read).join(" ");
        (names, read.report.left_out)
    };
    let glob = |text: &str| [Glob::parse(text).unwrap()];
    let out = |not_chosen, write, deprecated| LeftOut {
        not_chosen,
        write,
        deprecated,
    };
    let filter = Filter::new;
    let pets = || filter().with_tags(glob("pets"));
    for (options, names, left_out) in [
        (Options::new(), "listPets listUsers headUsers", out(0, 1, 1)),
        (
            Options::new().with_write(true),
            "listPets addPet listUsers headUsers",
            out(0, 0, 1),
        ),
        (
            Options::all(),
            "listPets addPet oldPets listUsers headUsers",
            out(0, 0, 0),
        ),
        (
            Options::all().with_include(pets()),
            "listPets addPet oldPets",
            out(2, 0, 0),
        ),
        (
            Options::new().with_include(filter().with_methods(["get", "POST"])),
            "listPets listUsers",
            out(1, 1, 1),
        ),
        (
            Options::all().with_include(filter().with_paths(glob("/users")).with_methods(["POST"])),
            "addPet listUsers headUsers",
            out(2, 0, 0),
        ),
        (
            Options::all()
                .with_include(filter().with_operations(glob("list*")))
                .with_exclude(filter().with_tags(glob("users"))),
            "listPets",
            out(4, 0, 0),
        ),
        (
            Options::all().with_exclude(filter().with_methods(["head"]).with_paths(glob("/pets"))),
            "oldPets listUsers",
            out(3, 0, 0),
        ),
    ] {
        assert_eq!(chosen(&options), (names.to_owned(), left_out));
    }
    let few = read(text.as_bytes(), &Options::all().with_max_operations(2)).unwrap();
    assert_eq!(few.operations.len(), 2);
    assert!(reasons(&few)[0].contains("more than 2 operations are chosen"));
}

#[test]
fn what_is_said_of_an_operation() {
    let description = read_all(&json!({
        "openapi": "3.0.3",
        "info": { "title": "Pets", "version": 1 },
        "servers": [{ "url": "https://pets.example/v1" }],
        "security": [{ "key": [] }, { "oauth": ["read"], "mutual": [] }],
        "paths": { "/pets": {
            "get": { "summary": "List\n pets", "description": "All of them.\u{0}", "tags": ["pets"] },
            "put": { "description": "d", "security": [] },
            "delete": { "security": [{ "basic": [] }, { "none": [] }, {}] },
            "post": {},
        } },
        "components": { "securitySchemes": {
            "key": { "type": "apiKey", "in": "header", "name": "X-Key" },
            "oauth": { "type": "oauth2", "flows": { "clientCredentials": { "tokenUrl": "https://t.example" } } },
            "mutual": { "type": "mutualTLS" },
            "basic": { "type": "http", "scheme": "Basic" },
        } },
    }));
    assert_eq!(description.title.as_deref(), Some("Pets"));
    assert_eq!(description.servers, ["https://pets.example/v1"]);
    let [get, post, put, delete] = description.operations.as_slice() else {
        panic!("{}", description.report);
    };
    assert_eq!(get.title(), Some("List pets"));
    assert_eq!(get.description(), "List\n pets\n\nAll of them.");
    assert_eq!(put.description(), "d");
    assert_eq!(delete.description(), "DELETE /pets");
    assert_eq!(get.tags(), ["pets"]);
    let hints = |it: &Operation| {
        let hints = it.annotations();
        (
            hints.is_read_only(),
            hints.is_destructive(),
            hints.is_idempotent(),
        )
    };
    assert_eq!(hints(get), (true, false, true));
    assert_eq!(hints(put), (false, true, true));
    assert_eq!(hints(delete), (false, true, true));
    assert_eq!(hints(post), (false, true, false));

    let ways = |it: &Operation| -> Vec<Vec<SchemeKind>> {
        let ways = it.security().iter();
        ways.map(|way| way.schemes.iter().map(|it| it.kind.clone()).collect())
            .collect()
    };
    let key = SchemeKind::HeaderKey {
        name: "X-Key".to_owned(),
    };
    let oauth = SchemeKind::OAuth2 {
        token_url: Some("https://t.example".to_owned()),
    };
    assert_eq!(ways(get), [vec![key], vec![SchemeKind::MutualTls, oauth]]);
    assert_eq!(get.security()[1].schemes[1].scopes, ["read"]);
    assert!(put.security().is_empty());
    assert_eq!(
        ways(delete),
        [vec![SchemeKind::Basic], vec![SchemeKind::Unknown], vec![]]
    );
}

#[test]
fn parameters_of_a_path_are_those_of_its_operations() {
    let description = read_all(&description(
        &json!({ "/p/{id}/{other}": {
            "parameters": [
                { "$ref": "#/components/parameters/id" },
                { "name": "page", "in": "query", "schema": { "type": "string" } },
                { "name": "X-Old", "in": "header", "schema": {} },
                { "name": "gone", "in": "path", "required": true, "schema": {} },
            ],
            "get": { "parameters": [
                { "name": "page", "in": "query", "required": true, "schema": { "type": "integer" } },
                { "name": "x-old", "in": "header", "schema": { "type": "boolean" } },
            ] },
            "head": {},
        } }),
        &json!({ "parameters": { "id": { "name": "id", "in": "path", "required": true, "schema": { "type": "integer" } } } }),
    ));
    let schema = |index: usize| {
        description.operations[index]
            .input_schema()
            .to_value()
            .unwrap()
    };
    let get = schema(0);
    assert_eq!(get["properties"]["page"], json!({ "type": "integer" }));
    assert_eq!(get["properties"]["x-old"], json!({ "type": "boolean" }));
    assert_eq!(get["required"], json!(["id", "page", "other"]));
    assert_eq!(schema(1)["properties"]["page"], json!({ "type": "string" }));
    let notes: Vec<&str> = description
        .report
        .notes
        .iter()
        .map(|it| it.message.as_str())
        .collect();
    assert_eq!(
        notes[..2],
        [
            "the path has no place for the parameter \"gone\"",
            "nothing describes {other} in the path: it is taken for text",
        ]
    );
}

#[test]
fn the_answer_that_is_wanted_is_said() {
    let description = read_all(&description(
        &json!({ "/a": { "get": { "responses": {
            "200": { "content": { "text/csv": {}, "application/json": {} } },
            "404": { "content": { "application/problem+json": {} } },
        } }, "head": { "responses": { "204": {}, "200": { "content": { "*/*": {}, "x\r\ny": {} } } } } } }),
        &json!({}),
    ));
    let headers = |index: usize| {
        let arguments = mcp_gw_core::RawJson::empty_object();
        description.operations[index]
            .parts(&arguments)
            .unwrap()
            .headers
    };
    let accept = (
        "accept".to_owned(),
        "application/json, */*;q=0.1".to_owned(),
    );
    assert_eq!(headers(0), [accept]);
    assert!(headers(1).is_empty());
}

/// A budget for tests on a slow machine that does much else; what is quadratic takes far longer.
fn ends_soon(start: Instant) {
    let took = start.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
}

#[test]
fn operations_that_are_told_apart_behind_a_hash_are_told_of() {
    let description = read_all(&description(
        &json!({ "/f/{id}#share": { "put": { "operationId": "share" } }, "/f/{id}": { "put": {} } }),
        &json!({}),
    ));
    let share = &description.operations[1];
    let arguments = mcp_gw_core::RawJson::parse(r#"{"id":"7"}"#).unwrap();
    assert_eq!(share.parts(&arguments).unwrap().endpoint, "/f/7");
    let notes: Vec<String> = description
        .report
        .notes
        .iter()
        .map(|it| format!("{}: {}", it.at, it.message))
        .collect();
    let hash = "PUT /f/{id}#share: what is behind the `#` of its path is not sent";
    assert!(notes.contains(&hash.to_owned()), "{notes:?}");
}

#[test]
fn arguments_have_names_that_clients_of_models_take() {
    let parameter = |name: &str| json!({ "name": name, "in": "query", "schema": {} });
    let names = [
        "Date",
        "Date<",
        "Date>",
        "Date>=",
        "ids[]",
        "ids",
        "a b",
        "a?b",
        "filter[x][y]",
        "body",
        "body_2",
        "é",
    ];
    let parameters: Vec<Value> = names.iter().map(|name| parameter(name)).collect();
    let body = json!({ "content": { "application/json": {} } });
    let post = json!({ "post": { "parameters": parameters, "requestBody": body } });
    let description = read_all(&description(&json!({ "/a": post }), &json!({})));
    let schema = description.operations[0].input_schema().as_str().to_owned();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    let names: Vec<&String> = properties.keys().collect();
    assert_eq!(
        names,
        [
            "Date",
            "Date_gt",
            "Date_gte",
            "Date_lt",
            "a_b",
            "a_b_2",
            "body",
            "body_2",
            "filter_x_y",
            "ids",
            "ids_2",
            "query",
            "query_body"
        ]
    );
    assert_eq!(properties["Date_lt"]["description"], "`Date<`");
    assert_eq!(properties["ids_2"]["description"], "`ids[]`");
}

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn docs() -> Shown {
    Shown {
        uris: UriMap::of("Docs_1"),
        tasks: Some(TaskMap::of("docs")),
    }
}

fn raw(text: &str) -> RawJson {
    RawJson::parse(text.to_owned()).unwrap()
}

#[test]
fn no_two_servers_share_an_id() {
    for (server, id, shown) in [
        ("docs", "7", "docs:7"),
        ("docs", "a:b", "docs:a:b"),
        ("docs:a", "b", "docs%3Aa:b"),
        ("docs%3Aa", "b", "docs%253Aa:b"),
    ] {
        let map = TaskMap::of(server);
        assert_eq!(map.map(id), shown);
        assert_eq!(map.unmap(shown).as_deref(), Some(id));
    }
    assert_eq!(TaskMap::of("docs").unmap("doc:7"), None);
}

#[test]
fn tasks_are_named_wherever_they_stand() {
    let map = docs();
    let related = r#""_meta":{"io.modelcontextprotocol/related-task":{"taskId":"7","v":1.0}}"#;
    let shown = related.replace(r#""7""#, r#""docs:7""#);
    for (text, expected) in [
        (
            r#"{"resultType":"task","taskId":"7","n":1.0}"#.to_owned(),
            r#"{"resultType":"task","taskId":"docs:7","n":1.0}"#.to_owned(),
        ),
        (
            r#"{"task":{"taskId":"7","ttl":1e3}}"#.to_owned(),
            r#"{"task":{"taskId":"docs:7","ttl":1e3}}"#.to_owned(),
        ),
        (
            r#"{"content":[],"taskId":"7","structuredContent":{"taskId":"7"}}"#.to_owned(),
            r#"{"content":[],"taskId":"7","structuredContent":{"taskId":"7"}}"#.to_owned(),
        ),
        (format!("{{{related}}}"), format!("{{{shown}}}")),
    ] {
        assert_eq!(map.tool(&raw(&text)).unwrap().as_str(), expected);
    }
    let task = format!(r#"{{"taskId":"7","result":{{"content":[],{related}}}}}"#);
    let expected = format!(r#"{{"taskId":"docs:7","result":{{"content":[],{shown}}}}}"#);
    assert_eq!(map.task(&raw(&task)).unwrap().as_str(), expected);
    for method in ["notifications/progress", "notifications/message"] {
        let told = map.notification(method, &raw(&format!(r#"{{"uri":"a:b",{related}}}"#)));
        assert_eq!(
            told.unwrap().as_str(),
            format!(r#"{{"uri":"a:b",{shown}}}"#)
        );
    }
    let update = map.notification("notifications/resources/updated", &raw(r#"{"uri":"a:b"}"#));
    assert_eq!(update.unwrap().as_str(), r#"{"uri":"docs.1+a:b"}"#);
}

/// What a server asks, with its things under the names of its own or of clients.
fn asked(uri: &str, task: &str) -> String {
    format!(
        r#"{{"_meta":{{"io.modelcontextprotocol/related-task":{{"taskId":"{task}"}}}},"messages":[
            {{"role":"user","content":{{"type":"resource_link","uri":"{uri}"}}}},
            {{"role":"user","content":[{{"type":"tool_result","toolUseId":"1","content":[
                {{"type":"resource","resource":{{"uri":"{uri}","text":"uri"}}}}]}},
                {{"type":"tool_use","id":"1","name":"t","input":{{"type":"resource_link","uri":"a:b"}}}}]}}]}}"#
    )
}

#[test]
fn what_is_asked_is_mapped_by_request_and_in_results() {
    let map = docs();
    let (own, shown) = (asked("a:b", "7"), asked("docs.1+a:b", "docs:7"));
    assert_eq!(map.question(&raw(&own)).unwrap().as_str(), shown);
    let result = |params: &str| {
        format!(
            r#"{{"resultType":"input_required","requestState":"a:b","inputRequests":{{
            "k":{{"method":"sampling/createMessage","params":{params}}},
            "r":{{"method":"roots/list"}},
            "u":{{"method":"elicitation/create","params":{{"mode":"url","url":"a:b","uri":"a:b"}}}}}}}}"#
        )
    };
    for map in [Shown::tool, Shown::prompt, Shown::read, Shown::task] {
        let mapped = map(&docs(), &raw(&result(&own))).unwrap();
        assert_eq!(mapped.as_str(), result(&shown));
    }
}

#[test]
fn what_comes_back_is_the_servers_again() {
    let map = docs();
    let answers = |uri: &str, task: &str| {
        format!(
            r#"{{"s":{{"role":"assistant","model":"m","content":{{"type":"resource_link","uri":"{uri}"}},
            "_meta":{{"io.modelcontextprotocol/related-task":{{"taskId":"{task}"}}}}}},
            "e":{{"action":"accept","content":{{"type":"resource_link","uri":"docs.1+a:b"}}}},
            "r":{{"roots":[{{"uri":"docs.1+a:b"}}]}},"o":{{"role":"user","content":{{"type":"resource_link","uri":"other+a:b"}}}}}}"#
        )
    };
    let meta = |task: &str| {
        raw(&format!(
            r#"{{"io.modelcontextprotocol/related-task":{{"taskId":"{task}"}},"v":1.0}}"#
        ))
    };
    let members = |uri: &str, task: &str| {
        let theirs = raw(r#""docs.1+a:b""#);
        vec![
            (RESPONSES.to_owned(), raw(&answers(uri, task))),
            ("requestState".to_owned(), theirs),
        ]
    };
    let sent = Extras::new(Some(meta("docs:7")), members("docs.1+a:b", "docs:7"));
    let got = map.extras(sent);
    assert_eq!(got.meta, Some(meta("7")));
    assert_eq!(got.members, members("a:b", "7"));
    let answer = r#"{"role":"assistant","content":[{"type":"resource_link","uri":"docs.1+a:b"}]}"#;
    assert_eq!(
        map.answer(&raw(answer)).as_str(),
        answer.replace("docs.1+", "")
    );
}

#[test]
fn links_and_embedded_resources_are_mapped_and_words_are_not() {
    let map = docs();
    let result = raw(r#"{ "content": [
          {"type":"text","text":"\"uri\":\"file:///a\"","uri":"file:///a"},
          {"type":"resource_link","uri":"file:\/\/\/a","name":"n"},
          {"type":"resource","resource":{"uri":"ui://p","text":"uri"},"x":1.0},
          {"type":"resource","resource":{"uri":7}},
          {"type":"later","uri":"file:///a"}, 3 ],
          "structuredContent":{"uri":"file:///a"},"uri":"u"}"#);
    let mapped = map.tool(&result).unwrap();
    let expected = result
        .as_str()
        .replace(r"file:\/\/\/a", "docs.1+file:///a")
        .replace("ui://p", "ui://docs.1__p");
    assert_eq!(mapped.as_str(), expected);
}

#[test]
fn prompts_reads_and_definitions_are_mapped() {
    let map = docs();
    let prompt = raw(
        r#"{"messages":[{"role":"user","content":{"type":"resource","resource":{"uri":"a:b"}}},{"content":[{"type":"resource_link","\u0075ri":"a:b"}]},{"content":"a:b"}]}"#,
    );
    assert_eq!(
        map.prompt(&prompt).unwrap().as_str(),
        prompt.as_str().replace(r#"ri":"a:b"#, r#"ri":"docs.1+a:b"#)
    );
    let read = raw(r#"{"contents":[{"uri":"a:b","text":"a:b"}],"_meta":{"uri":"a:b"}}"#);
    assert_eq!(
        map.read(&read).unwrap().as_str(),
        r#"{"contents":[{"uri":"docs.1+a:b","text":"a:b"}],"_meta":{"uri":"a:b"}}"#
    );
    let task = raw(r#"{"uri":"a:b","result":{"content":[{"type":"resource_link","uri":"a:b"}]}}"#);
    assert_eq!(
        map.task(&task).unwrap().as_str(),
        r#"{"uri":"a:b","result":{"content":[{"type":"resource_link","uri":"docs.1+a:b"}]}}"#
    );
    let task = raw(r#"{"uri":"a:b","error":{"uri":"a:b","data":{"uri":"a:b","x":1.0}}}"#);
    assert_eq!(
        map.task(&task).unwrap().as_str(),
        r#"{"uri":"a:b","error":{"uri":"a:b","data":{"uri":"docs.1+a:b","x":1.0}}}"#
    );
    // The task is said in errors, too, in the words of who reads them.
    let error = raw(r#"{"code":-32602,"taskId":"t","data":{"taskId":"t","uri":"a:b"}}"#);
    let told = map.task_error(&error).unwrap();
    let id = map.task_id("t");
    assert_ne!(id, "t");
    assert_eq!(
        told.as_str(),
        format!(r#"{{"code":-32602,"taskId":"t","data":{{"taskId":"{id}","uri":"docs.1+a:b"}}}}"#)
    );
    let task = map
        .task(&raw(r#"{"error":{"data":{"taskId":"t"}}}"#))
        .unwrap();
    assert_eq!(
        task.as_str(),
        format!(r#"{{"error":{{"data":{{"taskId":"{id}"}}}}}}"#)
    );
}

#[test]
fn what_cannot_be_read_is_left_alone() {
    let map = docs();
    for text in [
        r#"{"content":{"type":"resource_link","uri":"a:b"}}"#,
        r#"{"content":[{"type":"text","uri":7,"text":"\ud800"}],"structuredContent":{"a":1,"a":2}}"#,
        r#"{"contents":7,"messages":"uri","\u0075":1}"#,
        r#"["uri"]"#,
    ] {
        let result = raw(text);
        for mapped in [map.tool(&result), map.read(&result), map.prompt(&result)] {
            assert_eq!(mapped, Ok(result.clone()));
        }
    }
}

#[test]
fn what_may_hide_a_name_of_the_server_is_not_shown() {
    let map = docs();
    let link = r#"{"type":"resource_link","uri":"two+a:b"}"#;
    let resource = r#"{"type":"resource","resource":{"uri":"two+a:b","uri":"c:d"}}"#;
    let twice = r#"{"type":"text","type":"resource_link","uri":"two+a:b"}"#;
    for result in [
        format!(r#"{{"x":1,"x":2,"content":[{link}]}}"#),
        format!(r#"{{"content":[],"content":[{link}]}}"#),
        format!(r#"{{"content":[],"c\u006fntent":[{link}]}}"#),
        format!(r#"{{"content":[{resource}]}}"#),
        format!(r#"{{"content":[{link},{twice}]}}"#),
        r#"{"content":[{"type":"resource_link","uri":"two+a:b\udc00"}]}"#.to_owned(),
        r#"{"resultType":"task","taskId":"two:7","taskId":"7"}"#.to_owned(),
        r#"{"task":{"taskId":"two:7","x":1,"x":2}}"#.to_owned(),
        format!(
            r#"{{"inputRequests":{{"k":{{"params":{{"x":1,"x":2,"messages":[{{"content":{link}}}]}}}}}}}}"#
        ),
        format!(
            r#"{{"inputRequests":{{"k":{{}},"k":{{"params":{{"messages":[{{"content":{link}}}]}}}}}}}}"#
        ),
    ] {
        assert_eq!(map.tool(&raw(&result)), Err(Unclear), "{result}");
        let plain = Shown::default().tool(&raw(&result));
        assert_eq!(plain, Ok(raw(&result)), "nothing is mapped there");
    }
    let error = r#"{"code":1,"data":{"uri":"two+a:b","uri":"c:d"}}"#;
    assert_eq!(map.error(&raw(error)), Err(Unclear));
    let read = r#"{"contents":[{"uri":"two+a:b","uri":"c:d"}]}"#;
    assert_eq!(map.read(&raw(read)), Err(Unclear));
    let question = format!(r#"{{"messages":[],"messages":[{{"content":{link}}}]}}"#);
    assert_eq!(map.question(&raw(&question)), Err(Unclear));
    let news = r#"{"uri":"two+a:b","uri":"c:d"}"#;
    let told = map.notification("notifications/resources/updated", &raw(news));
    assert_eq!(told, Err(Unclear));
    // What a client says twice leads to nothing of the server's.
    let said = raw(r#"{"role":"user","x":1,"x":2,"content":{"uri":"a:b"}}"#);
    assert_eq!(map.answer(&said), said);
}

/// Blocks of all kinds; the second member tells where their URI is.
fn blocks() -> impl Strategy<Value = (Value, Option<&'static str>)> {
    let uri = "[a-z]{1,4}:[a-z/\"\\\\\u{e9}]{0,8}";
    let word = "[a-z\"\\\\{}]{0,6}";
    prop_oneof![
        (uri, word).prop_map(|(uri, name)| (
            json!({"type": "resource_link", "uri": uri, "name": name}),
            Some("/uri")
        )),
        (uri, word).prop_map(|(uri, text)| (
            json!({"type": "resource", "resource": {"uri": uri, "text": text}}),
            Some("/resource/uri")
        )),
        (uri, word).prop_map(|(uri, text)| (
            json!({"type": "text", "text": text, "uri": uri, "resource": {"uri": "a:b"}}),
            None
        )),
    ]
}

proptest! {
    #[test]
    fn everything_else_in_a_result_stays(
        blocks in prop::collection::vec(blocks(), 0..5),
        structured in prop::option::of("[a-z\"]{0,5}"),
    ) {
        let map = docs();
        let content: Vec<_> = blocks.iter().map(|(block, _)| block.clone()).collect();
        let before = json!({"content": content, "structuredContent": {"uri": structured}, "n": 1});
        let mut expected = before.clone();
        for (index, (_, at)) in blocks.iter().enumerate() {
            if let Some(at) = at {
                let uri = expected.pointer_mut(&format!("/content/{index}{at}")).unwrap();
                *uri = map.uris.as_ref().unwrap().map(uri.as_str().unwrap()).into();
            }
        }
        let source = RawJson::from_serialize(&before).unwrap();
        let expected = RawJson::from_serialize(&expected).unwrap();
        prop_assert_eq!(map.tool(&source), Ok(expected));
    }
}

use mcp_gw_core::JsonText;
use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn all(body: &[u8], form: Form, most: usize) -> Vec<Piece> {
    let body = Bytes::copy_from_slice(body);
    let value = match form {
        Form::Json => RawJson::parse(body.clone()).ok(),
        _ => None,
    };
    let mut pieces = vec![Piece::first(&body, form, value, most)];
    while let Some(next) = pieces.last().and_then(|piece| piece.next) {
        // As it comes back in a URI.
        let next = Place::parse(&next.to_string()).unwrap();
        pieces.push(Piece::of(&body, form, next, most));
        assert!(pieces.len() < 10_000, "it goes on");
    }
    pieces
}

/// Any JSON value.
fn json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        "[a-z\\[\\],{}:\" \\\\ü]{0,60}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 60, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..30).prop_map(Value::from),
            prop::collection::btree_map("[a-z\\[\\],]{0,9}", inner, 0..12)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// The text that pieces of a JSON text are of: items of a list, and then the rest of it.
fn joined(body: &str, most: usize) -> String {
    let form = Form::read(
        &Bytes::copy_from_slice(body.as_bytes()),
        Some("application/json"),
    )
    .0;
    let pieces = all(body.as_bytes(), form, most);
    let is_whole = body.len() <= most.max(LEAST);
    if is_whole && serde_json::from_str::<JsonText<'_>>(body).is_ok() {
        return pieces[0].data.as_str().to_owned();
    }
    let is_list = |piece: &&Piece| piece.data.as_str().starts_with('[');
    let lists: Vec<&Piece> = pieces.iter().take_while(is_list).collect();
    let rest: String = pieces[lists.len()..].iter().map(text).collect();
    if lists.is_empty() {
        return rest;
    }
    let inner = |piece: &&Piece| {
        let list = piece.data.as_str().strip_prefix('[').unwrap();
        list.strip_suffix(']').unwrap().to_owned()
    };
    let items = lists.iter().map(inner).collect::<Vec<_>>().join(",");
    let end = if rest.is_empty() { "]" } else { "," };
    format!("[{items}{end}{rest}")
}

fn text(piece: &Piece) -> String {
    let text: Option<String> = piece.data.decode_owned().unwrap();
    text.unwrap_or_default()
}

#[test]
fn what_an_answer_is_shows_in_its_bytes() {
    let json = Some("application/json");
    for (body, media_type, form) in [
        (&b"{\"a\":1}"[..], json, Form::Json),
        (b"{\"a\":1}", Some("application/problem+json"), Form::Json),
        (b"{\"a\":1}", Some("text/plain"), Form::Text),
        (b"{\"a\":", json, Form::Text),
        (b"[1,2,", json, Form::Json),
        (b"<html>", json, Form::Text),
        (b"caf\xc3\xa9", None, Form::Text),
        (b"caf\xc3", None, Form::Text),
        (b"caf\xe9 au lait", None, Form::Binary),
        (b"\x89PNG\0\0", Some("image/png"), Form::Binary),
        (b"a\0b", Some("text/plain"), Form::Binary),
        (b"", None, Form::Text),
    ] {
        let body = Bytes::from_static(body);
        assert_eq!(
            Form::read(&body, media_type).0,
            form,
            "{body:?} {media_type:?}"
        );
    }
}

#[test]
fn a_value_that_has_room_is_whole_and_as_it_came() {
    let body = b" { \"n\" : 1.50, \"n2\": 12345678901234567890 } ";
    let pieces = all(body, Form::Json, 1024);
    assert_eq!(pieces.len(), 1);
    assert_eq!(pieces[0].data.as_bytes().trim_ascii(), body.trim_ascii());
}

#[test]
fn a_list_is_cut_between_items() {
    let body = r#"[ {"a": 1.0}, [2, 3] , "x]y,\"", null, 1e5 ]"#;
    let pieces = all(body.as_bytes(), Form::Json, 1);
    let joined: Vec<Value> = pieces
        .iter()
        .flat_map(|piece| piece.data.decode_owned::<Vec<Value>>().unwrap())
        .collect();
    assert_eq!(
        Value::from(joined),
        serde_json::from_str::<Value>(body).unwrap()
    );
    // An item that is longer than a piece is cut as text.
    let long = format!("[\"{}\"]", "x".repeat(500));
    let pieces = all(long.as_bytes(), Form::Json, 100);
    assert_eq!(pieces.iter().map(text).collect::<String>(), long);
}

#[test]
fn what_is_no_list_is_no_list_further_on_either() {
    let object = format!(
        r#"{{"items":[{}{{"id":60}}],"next_page":"/p2","total":999}}"#,
        r#"{"id":1,"v":[1,2]},"#.repeat(60)
    );
    for most in 64..200 {
        let pieces = all(object.as_bytes(), Form::Json, most);
        assert_eq!(pieces.iter().map(text).collect::<String>(), object);
    }
    // Lists behind each other are not one, nor is what has no commas.
    for body in ["[1]\n[2]\n", "[1 2 3]", "[1,,2]", "[1,2]x", "[[1]]]"] {
        let padded = format!("{body}{}", " ".repeat(100));
        let got = joined(&padded, 64);
        assert_eq!(got.replace([' ', ','], ""), body.replace([' ', ','], ""));
    }
    // Behind an item that has no room all is text.
    let long = format!("[1,\"{}\",2,3]", "x".repeat(100));
    let pieces = all(long.as_bytes(), Form::Json, 64);
    assert_eq!(pieces[0].data.as_str(), "[1]");
    assert_eq!(joined(&long, 64), long);
}

#[test]
fn a_list_that_broke_off_has_the_items_that_are_whole() {
    let pieces = all(br#"[{"a":1},{"a":2},{"a"#, Form::Json, 1024);
    assert_eq!(pieces[0].data.as_str(), r#"[{"a":1},{"a":2}]"#);
    assert_eq!(text(&pieces[1]), r#"{"a"#);
}

#[test]
fn text_is_cut_after_a_line_and_never_in_a_character() {
    let lines = format!("{}\n", "line ".repeat(19)).repeat(20);
    for piece in all(lines.as_bytes(), Form::Text, 200) {
        assert!(text(&piece).ends_with('\n'));
    }
    let wide = "äöü€".repeat(100);
    let pieces = all(wide.as_bytes(), Form::Text, 65);
    assert_eq!(pieces.iter().map(text).collect::<String>(), wide);
}

proptest! {
    #[test]
    fn the_pieces_are_the_whole(text_in in "\\PC{0,600}", most in 1_usize..300) {
        let pieces = all(text_in.as_bytes(), Form::Text, most);
        prop_assert_eq!(pieces.iter().map(text).collect::<String>(), text_in);
    }

    #[test]
    fn bytes_are_put_together_as_they_are(
        bytes in prop::collection::vec(any::<u8>(), 0..600), most in 1_usize..300,
    ) {
        let pieces = all(&bytes, Form::Binary, most);
        let joined: String = pieces.iter().map(text).collect();
        prop_assert_eq!(STANDARD.decode(joined).unwrap(), bytes);
    }

    #[test]
    fn anything_ends(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        from in 0_usize..500,
        is_text in any::<bool>(),
    ) {
        let body = Bytes::from(bytes);
        for form in [Form::Json, Form::Text, Form::Binary] {
            let piece = Piece::of(&body, form, Place::of(from, is_text), 70);
            prop_assert!(piece.next.is_none_or(|next| next.at > from && next.at < body.len()));
        }
    }

    #[test]
    fn nothing_of_any_json_is_lost(
        value in json(), is_pretty in any::<bool>(), most in 1_usize..300, cut in 0_usize..2_000,
    ) {
        let write = if is_pretty { serde_json::to_string_pretty } else { serde_json::to_string };
        let body = write(&value).unwrap();
        let whole = joined(&body, most);
        prop_assert_eq!(serde_json::from_str::<Value>(&whole).unwrap(), value);
        // The same of what broke off, but for a comma at its end.
        let cut = body.get(..cut).unwrap_or(&body);
        let plain = |text: &str| text.replace([' ', '\n'], "");
        let (got, cut) = (plain(&joined(cut, most)), plain(cut));
        let open = got.strip_suffix(']').unwrap_or(&got);
        prop_assert!(got == cut || format!("{open},") == cut, "{} {}", got, cut);
    }

    #[test]
    fn a_list_of_anything_is_whole(
        items in prop::collection::vec("[a-z\\[\\],{}\" ]{0,40}", 0..30), most in 60_usize..300,
    ) {
        let body = serde_json::to_string(&items).unwrap();
        let pieces = all(body.as_bytes(), Form::Json, most);
        let joined: Vec<String> = pieces
            .iter()
            .flat_map(|piece| piece.data.decode_owned::<Vec<String>>().unwrap())
            .collect();
        prop_assert_eq!(joined, items);
    }
}

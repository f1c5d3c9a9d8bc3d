use super::*;

#[test]
fn text_is_kept_as_it_came() {
    let text = r#"{"z":1.0,"a":12345678901234567890123,"é":"\u00e9" , "n":1e5}"#;
    let raw = RawJson::parse(format!("  {text}\n")).unwrap();
    assert_eq!(raw.as_str(), text);
    let members = raw.members().unwrap();
    assert_eq!(members.get("a").unwrap().get(), "12345678901234567890123");
    assert_eq!(members.get("n").unwrap().get(), "1e5");
}

#[test]
fn a_member_shares_the_buffer() {
    let raw = RawJson::parse(r#"{"result":{"big":true}}"#).unwrap();
    let inner = raw.member("result").unwrap().unwrap();
    assert_eq!(inner.as_str(), r#"{"big":true}"#);
    let outer = raw.as_bytes().as_ptr_range();
    assert!(outer.contains(&inner.as_bytes().as_ptr()));
    assert!(!outer.contains(&inner.detached().as_bytes().as_ptr()));
}

#[test]
fn a_value_from_elsewhere_is_copied() {
    let other = RawJson::parse("[1,2]").unwrap();
    let value: JsonText<'_> = other.decode().unwrap();
    assert_eq!(
        RawJson::within(&Bytes::from_static(b"{}"), value).as_str(),
        "[1,2]"
    );
}

#[test]
fn a_name_given_twice_is_refused_also_behind_an_escape() {
    for text in [r#"{"a":1,"a":2}"#, r#"{"a":1,"\u0061":2}"#] {
        let error = RawJson::parse(text).unwrap().members().unwrap_err();
        assert!(error.message.contains("duplicate member `a`"), "{error}");
        assert!(!error.is_syntax);
    }
    let many: Vec<String> = (0..100).map(|i| format!("\"k{i}\":0")).collect();
    let text = format!("{{{},\"k3\":1}}", many.join(","));
    assert!(RawJson::parse(text).unwrap().members().is_err());
}

#[test]
fn what_is_not_one_json_value_is_refused() {
    for text in ["", " ", "{", "{}{}", "nul", "\u{feff}{}", "{'a':1}", "[1,]"] {
        assert!(
            RawJson::parse(text.to_owned()).unwrap_err().is_syntax,
            "{text:?}"
        );
    }
    assert!(RawJson::parse(&b"\"\xff\""[..]).is_err());
}

#[test]
fn deep_nesting_is_text_like_any_other() {
    let text = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(RawJson::parse(text.clone()).unwrap().len(), text.len());
}

#[test]
fn a_written_object_reads_back() {
    let members = RawJson::parse(r#"{"keep":[1.50],"drop":1}"#).unwrap();
    let object = ObjectWriter::default()
        .string("quote\"d", "line\nbreak")
        .integer("n", -3)
        .boolean("yes", true)
        .members(&members.members().unwrap(), &["drop"])
        .array("list", &[RawJson::null(), RawJson::empty_object()])
        .finish();
    assert_eq!(
        object.as_str(),
        r#"{"quote\"d":"line\nbreak","n":-3,"yes":true,"keep":[1.50],"list":[null,{}]}"#
    );
    assert!(RawJson::parse(object.to_bytes()).is_ok());
}

#[test]
fn members_are_added_in_front_of_an_object_that_stays_as_it_is() {
    for (rest, expected) in [
        ("{ \"b\" : 1.0 }", r#"{"a":1, "b" : 1.0 }"#),
        ("{ }", r#"{"a":1 }"#),
        ("[]", r#"{"a":1}"#),
    ] {
        let rest = RawJson::parse(rest).unwrap();
        let joined = ObjectWriter::default().integer("a", 1).finish_with(&rest);
        assert_eq!(joined.as_str(), expected);
        assert!(RawJson::parse(joined.to_bytes()).is_ok());
    }
    let rest = RawJson::parse("{\"b\":1}").unwrap();
    assert_eq!(
        ObjectWriter::default().finish_with(&rest).as_str(),
        "{\"b\":1}"
    );
}

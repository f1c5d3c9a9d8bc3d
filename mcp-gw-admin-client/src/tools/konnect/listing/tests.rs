//! What is read of lists, and what of it is shown.

use super::*;

struct Thing;

impl Sort for Thing {
    const ONE: &'static str = "thing";
    const MANY: &'static str = "things";
    const ID: &'static str = "thing_id";
    const NAME: &'static str = "name";
    const MEMBERS: &'static [(&'static str, &'static str)] =
        &[("name", "The name."), ("paths", "Paths.")];

    fn add(_: &RawJson, writer: ObjectWriter) -> ObjectWriter {
        writer
    }
}

fn items(texts: &[&str]) -> Vec<RawJson> {
    texts
        .iter()
        .map(|text| RawJson::parse((*text).to_owned()).unwrap())
        .collect()
}

fn page(from: usize, to: usize, total: Option<u64>) -> Page<RawJson> {
    let item = |n| RawJson::from_serialize(&json!({ "id": n })).unwrap();
    let mut page = Page::of((from..to).map(item).collect());
    page.total = total;
    page
}

#[tokio::test]
async fn what_was_not_counted_is_no_number() {
    let broken = || {
        Err(Error::new(
            crate::http::ErrorKind::Server,
            "500",
            crate::http::Done::No,
        ))
    };
    for (pages, most, wanted) in [
        (
            vec![Ok(page(0, 4, None)), Ok(page(4, 8, None))],
            6,
            (6, 2, true),
        ),
        (vec![Ok(page(0, 4, Some(9)))], 3, (3, 6, false)),
        (vec![Ok(page(0, 4, None)), broken()], 100, (4, 0, true)),
        (vec![Ok(page(0, 4, Some(8))), broken()], 100, (4, 4, false)),
        (vec![Ok(page(0, 0, None)), broken()], 100, (0, 0, true)),
        (vec![Ok(page(0, 4, None))], 100, (4, 0, false)),
    ] {
        let pages = futures_util::stream::iter(pages);
        let mut all = gather(pages, most).await.unwrap();
        assert_eq!((all.items.len(), all.more, all.is_cut), wanted);
        all.retain(|_| false);
        assert_eq!((all.items.len(), all.more, all.is_cut), (0, 0, false));
    }
}

#[test]
fn what_fits_is_whole_and_what_does_not_is_brief() {
    let all = items(&[
        r#"{"id":"1","name":"a","n":1.50,"x":null,"config":{"client_secret":"hidden!"}}"#,
        r#"{"id":"2","name":"b c","paths":["/a","/b"],"more":"xxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#,
    ]);
    let shown = show::<Thing>(&all, 0, 1000);
    assert_eq!(
        shown.items[0].text(),
        r#"{"thing_id":"1","id":"1","name":"a","n":1.50,"config":{"client_secret":"[redacted]"}}"#
    );
    assert_eq!(
        (shown.redacted, shown.next, shown.is_brief),
        (1, None, false)
    );
    let shown = show::<Thing>(&all, 0, 100);
    assert_eq!(shown.items[0].text(), r#"{"thing_id":"1","name":"a"}"#);
    assert_eq!((shown.items.len(), shown.is_brief), (2, true));
    assert_eq!(
        shown.items[1].line(),
        r#"- thing_id=2 name="b c" paths=/a,/b"#
    );
    let shown = show::<Thing>(&all, 0, 30);
    assert_eq!((shown.items.len(), shown.next), (1, Some(1)));
    let shown = show::<Thing>(&all, 1, 1);
    assert_eq!((shown.items.len(), shown.next), (1, None));
    assert!(show::<Thing>(&all, 7, 100).items.is_empty());
}

#[test]
fn no_text_makes_a_line_of_its_own() {
    let all = items(&[r#"{"id":"1","name":"a\n- thing_id=2 name=b","paths":["/x y"]}"#]);
    let line = show::<Thing>(&all, 0, 1000).items[0].line();
    assert_eq!(
        line,
        r#"- thing_id=1 name="a\n- thing_id=2 name=b" paths=["/x y"]"#
    );
}

#[test]
fn what_is_not_seen_is_escaped_and_an_id_is_a_text() {
    let all = items(&["{\"id\":7,\"name\":\"a\u{202e}\u{e0041}ü\"}"]);
    let text = show::<Thing>(&all, 0, 1000).items[0].text();
    assert_eq!(text, r#"{"id":7,"name":"a\u202e\udb40\udc41ü"}"#);
}

#[test]
fn what_says_a_member_twice_is_shown_as_text() {
    let all = items(&[r#"{"id":"1","id":"2","secret":"hidden!"}"#]);
    let shown = show::<Thing>(&all, 0, 1000);
    assert!(shown.items[0].text().starts_with(r#"{"unreadable":"#));
    assert!(!shown.items[0].text().contains("hidden!"));
}

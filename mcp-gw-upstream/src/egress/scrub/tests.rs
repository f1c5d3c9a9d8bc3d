use proptest::prelude::*;

use super::reading::Reading;
use super::*;

fn secrets(all: &[&str]) -> Vec<Secret<String>> {
    all.iter()
        .map(|text| Secret::new((*text).to_owned()))
        .collect()
}

fn whole(scrub: &mut Scrub, pieces: &[&[u8]]) -> String {
    let mut out = Vec::new();
    for piece in pieces {
        out.extend_from_slice(&scrub.push(Bytes::copy_from_slice(piece)));
    }
    out.extend_from_slice(&scrub.finish());
    String::from_utf8(out).unwrap()
}

#[test]
fn a_credential_does_not_come_back_in_any_spelling() {
    let all = secrets(&["s3cr/t+key", "user:s3cr/t+key", "go&s3cret", "quo\"s3cret"]);
    let text = br#"{"a":"s3cr/t+key","b":"x?k=s3cr%2Ft%2Bkey&","c":"s3cr\/t+key","d":"user:s3cr/t+key","e":"go\u0026s3cret","f":"quo\"s3cret"}"#;
    let clean = whole(&mut Scrub::new(&all), &[text]);
    assert_eq!(
        clean,
        r#"{"a":"[redacted]","b":"x?k=[redacted]&","c":"[redacted]","d":"[redacted]","e":"[redacted]","f":"[redacted]"}"#
    );
    let mut headers = HeaderMap::new();
    headers.insert(
        "location",
        HeaderValue::from_static("/x?k=s3cr%2Ft%2Bkey&y=1"),
    );
    headers.insert("etag", HeaderValue::from_static("abc"));
    Scrub::new(&all).headers(&mut headers);
    assert_eq!(headers["location"], "/x?k=[redacted]&y=1");
    assert_eq!(headers["etag"], "abc");
}

#[test]
fn it_is_found_however_servers_write_it() {
    let secret = "s3cr3t-Val+ue/==";
    let scrub = || Scrub::new(&secrets(&[secret]));
    let by_unit = |write: &dyn Fn(u8) -> String| secret.bytes().map(write).collect::<String>();
    for text in [
        "s3cr3t-Val\\u002Bue/==".to_owned(),
        "s3cr3t-Val\\u002bue\\/\\u003D=".to_owned(),
        "s3cr3t-Val%2bue%2f%3D%3d".to_owned(),
        "s3cr3t%2DVal+ue\\/==".to_owned(),
        by_unit(&|byte| format!("\\u{byte:04x}")),
        by_unit(&|byte| format!("\\u{byte:04X}")),
        by_unit(&|byte| format!("%{byte:02x}")),
    ] {
        let shown = format!(r#"{{"k":"{text}","l":1}}"#);
        let clean = whole(&mut scrub(), &[shown.as_bytes()]);
        assert_eq!(clean, r#"{"k":"[redacted]","l":1}"#, "{text}");
        let bytes: Vec<&[u8]> = shown.as_bytes().chunks(1).collect();
        assert_eq!(whole(&mut scrub(), &bytes), clean, "{text}");
    }
    for before in ["", "k", "k:", "key"] {
        for engine in [&STANDARD_NO_PAD, &URL_SAFE_NO_PAD] {
            let shown = engine.encode(format!("{before}{secret} and more"));
            let clean = whole(&mut scrub(), &[shown.as_bytes()]);
            assert!(clean.contains("[redacted]"), "{shown} {clean}");
            assert!(clean.len() < shown.len(), "{shown} {clean}");
        }
    }
    let quoted = "quo\"s3cr&t/val\u{e9}\u{1f600}";
    for text in [
        r#"quo\\\"s3cr\\u0026t/val\\u00e9\\ud83d\\ude00"#,
        r"quo\\u0022s3cr\u005cu0026t\\\/val\\u00E9\\uD83D\\uDE00",
        r"quo\\\u0022s3cr&t\\/val\u00e9\ud83d\ude00",
    ] {
        let shown = format!(r#"{{"b":"{{\"q\":\"{text}\"}}"}}"#);
        for piece in [1, shown.len()] {
            let pieces: Vec<&[u8]> = shown.as_bytes().chunks(piece).collect();
            let clean = whole(&mut Scrub::new(&secrets(&[quoted])), &pieces);
            assert_eq!(clean, r#"{"b":"{\"q\":\"[redacted]\"}"}"#, "{text}");
        }
    }
    let other = "s3cr3t-Val\\u002Cue/== s3cr3t-Val%2cue/== %zz \\u00 \\";
    assert_eq!(whole(&mut scrub(), &[other.as_bytes()]), other);
    let wide = "p\u{e4}ssw\u{1f600}rd";
    let shown = "p\\u00e4ssw\\uD83D\\ude00rd p%c3%A4ssw%F0%9f%98%80rd";
    let clean = whole(&mut Scrub::new(&secrets(&[wide])), &[shown.as_bytes()]);
    assert_eq!(clean, "[redacted] [redacted]");
}

#[test]
fn without_credentials_nothing_is_held_or_copied() {
    let mut scrub = Scrub::new(&secrets(&["short"]));
    let piece = Bytes::from_static(b"a short one");
    assert_eq!(scrub.push(piece.clone()).as_ptr(), piece.as_ptr());
    assert!(scrub.finish().is_empty());
}

proptest! {
    #[test]
    fn it_does_not_matter_where_the_stream_is_cut(
        text in "([abc]|%6[123]|\\\\u006[123]|[%\\\\u06]){0,60}",
        cuts in prop::collection::vec(0_usize..60, 0..6),
    ) {
        let all = secrets(&["abcabc", "bcabcabc", "aaaaaa"]);
        let expected = whole(&mut Scrub::new(&all), &[text.as_bytes()]);
        let mut places: Vec<usize> = cuts.into_iter().map(|at| at.min(text.len())).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces: Vec<&[u8]> =
            places.windows(2).map(|pair| &text.as_bytes()[pair[0]..pair[1]]).collect();
        let cut = whole(&mut Scrub::new(&all), &pieces);
        prop_assert_eq!(&cut, &expected);
        prop_assert!(!cut.contains("abcabc") && !cut.contains("aaaaaa"));
    }
}

/// A character as a JSON string may have it, in one of the ways that `choice` names.
fn in_json(c: char, choice: u8) -> String {
    let by_unit = |digits: &dyn Fn(u16) -> String| {
        let mut units = [0; 2];
        let units = c.encode_utf16(&mut units).iter();
        let all: Vec<String> = units.map(|unit| format!("\\u{}", digits(*unit))).collect();
        all.concat()
    };
    match (choice % 4, c) {
        (0, _) => by_unit(&|unit| format!("{unit:04x}")),
        (1, _) => by_unit(&|unit| format!("{unit:04X}")),
        (2, '/') | (_, '"' | '\\') => format!("\\{c}"),
        _ => c.to_string(),
    }
}

proptest! {
    #[test]
    fn json_in_json_shows_it_in_no_way(
        secret in "[a-d\"\\\\/&+=\u{e9}\u{1f600}]{8,20}",
        choices in prop::collection::vec(any::<u8>(), 1..20),
        outer in prop::collection::vec(any::<u8>(), 1..20),
        backslash in 0_u8..4,
        piece in 1_usize..70,
    ) {
        let chars = secret.chars().zip(choices.iter().cycle());
        let inner: String = chars.map(|(c, choice)| in_json(c, *choice)).collect();
        // Nobody writes letters and digits of an escape as escapes, or `\\` now so and now so.
        let text: String = inner
            .chars()
            .zip(outer.iter().cycle())
            .map(|(c, choice)| match c {
                '\\' => in_json(c, backslash),
                c if c.is_ascii_alphanumeric() => c.to_string(),
                c => in_json(c, *choice),
            })
            .collect();
        let shown = format!(r#"{{"b":"{{\"q\":\"{text}\"}}"}}"#);
        let pieces: Vec<&[u8]> = shown.as_bytes().chunks(piece).collect();
        let clean = whole(&mut Scrub::new(&secrets(&[&secret])), &pieces);
        prop_assert!(clean.contains("[redacted]"), "{}", clean);
        prop_assert!(!clean.contains(&*text), "{}", clean);
    }
}

/// What is found by trying everything at every place: the first, and of those the longest; then anew behind
/// it.
fn simply(all: &[Secret<String>], text: &[u8]) -> Vec<u8> {
    let scrub = Scrub::new(all);
    let texts: Vec<String> = scrub.needles.texts().map(str::to_owned).collect();
    let mut out = Vec::new();
    let mut rest = text;
    loop {
        let mut best: Option<(usize, usize)> = None;
        for reading in Reading::ALL {
            let (mut said, mut begins) = (Vec::new(), Vec::new());
            let mut at = 0;
            while at < rest.len() {
                let unit = reading.first(&rest[at..], true).unwrap();
                said.extend_from_slice(unit.bytes());
                begins.extend(unit.bytes().iter().map(|_| at));
                at += unit.taken;
            }
            begins.push(rest.len());
            for text in &texts {
                for begin in 0..said.len() {
                    if said[begin..].starts_with(text.as_bytes()) {
                        let (from, to) = (begins[begin], begins[begin + text.len()]);
                        let longer = |(start, end)| from < start || (from == start && to > end);
                        if best.is_none_or(longer) {
                            best = Some((from, to));
                        }
                    }
                }
            }
        }
        let Some((from, to)) = best else {
            out.extend_from_slice(rest);
            return out;
        };
        out.extend_from_slice(&rest[..from]);
        out.extend_from_slice(INSTEAD);
        rest = &rest[to..];
    }
}

fn work(all: &[Secret<String>], text: &[u8], piece: usize) -> u64 {
    let mut scrub = Scrub::new(all);
    for piece in text.chunks(piece) {
        scrub.push(Bytes::copy_from_slice(piece));
    }
    scrub.finish();
    scrub.work()
}

#[test]
fn what_it_takes_grows_with_the_length_and_no_faster() {
    let long = "a".repeat(4000);
    let almost = format!("{}b", "a".repeat(3999));
    let hostile = [
        ("aaaaaa", "a".to_owned()),
        (&*long, "a".to_owned()),
        (&*almost, "a".to_owned()),
        (&*almost, format!("{}%61", "a".repeat(3998))),
        (&*almost, "\\u0061".to_owned()),
        (&*almost, "%61".to_owned()),
        ("%25%25%25%25%25%2", "%25".to_owned()),
        ("\\u0061\\u0061\\u0061", "\\\\u0061".to_owned()),
        ("aaaaaa", "aaaaab".to_owned()),
        ("aaaaaa", "%zz\\x".to_owned()),
        ("TOPSECRETTOKEN12345", "TOPSECRETTOKEN12345".to_owned()),
        ("TOPSECRETTOKEN12345", "TOPSEC\n".to_owned()),
        ("TOPSECRETTOKEN12345", "\\\"harmless\\\", ".to_owned()),
    ];
    for (secret, part) in hostile {
        let all = secrets(&[secret]);
        for size in [1 << 13, 1 << 16] {
            let text = part.repeat(size / part.len());
            for piece in [usize::MAX, 1000] {
                let work = work(&all, text.as_bytes(), piece.min(text.len()));
                // Each of the readings takes a byte once or twice, and some of them again behind a text.
                let most = 24 * text.len() as u64 + 50_000;
                assert!(work < most, "{work} for {size} of {part:.20} by {piece}");
            }
        }
    }
    // Where nothing begins each text is looked for once, and nothing is read closely.
    let harmless = "{\"name\":\"value\"},".repeat(10_000);
    let all = secrets(&["TOPSECRETTOKEN12345"]);
    let texts = Scrub::new(&all).needles.len() as u64 + 1;
    let work = work(&all, harmless.as_bytes(), harmless.len());
    assert!(work <= (texts + 1) * harmless.len() as u64, "{work}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn it_is_what_is_found_by_trying_everything(
        text in "([abc]|a{5}|%6[123]|%2[5]|\\\\u006[123]|\\\\ud83d|\\\\ude00|\\\\{1,4}|\\\\{2}u006[123]|\\\\{2}ud83d\\\\{2}ude00|\\\\u005cu0061|YWJj|[%\\\\u06/\"😀]){0,60}",
        piece in 1_usize..70,
    ) {
        for all in [
            secrets(&["abcabc", "bcabcabc", "aaaaaa"]),
            secrets(&["a\\\\a\\a%aa", "aa%61a%", "a\"a/a😀", "aaaaaaaaaaab"]),
        ] {
            let expected = String::from_utf8(simply(&all, text.as_bytes())).unwrap();
            let pieces: Vec<&[u8]> = text.as_bytes().chunks(piece).collect();
            prop_assert_eq!(whole(&mut Scrub::new(&all), &pieces), &*expected);
            let mut headers = HeaderMap::new();
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                headers.insert("x-a", value);
                Scrub::new(&all).headers(&mut headers);
                prop_assert_eq!(headers["x-a"].as_bytes(), expected.as_bytes());
            }
        }
    }
}

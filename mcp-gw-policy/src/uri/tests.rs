use super::*;

fn text(uri: &str) -> Result<String, UriFault> {
    check(uri, false).map(|checked| checked.text().to_owned())
}

#[test]
fn p7_hostile_uris_are_refused() {
    use UriFault as F;
    for (uri, why) in [
        // No absolute URI.
        ("", F::NotAbsolute),
        ("passwd", F::NotAbsolute),
        ("/etc/passwd", F::NotAbsolute),
        ("//host/path", F::NotAbsolute),
        ("file:", F::NotAbsolute),
        (":path", F::NotAbsolute),
        ("1file:///a", F::NotAbsolute),
        ("fi le:///a", F::NotAbsolute),
        (" file:///a", F::NotAbsolute),
        ("f%69le:///a", F::NotAbsolute),
        ("fıle:///a", F::NotAbsolute),
        // Dot segments, in all spellings.
        ("file:///a/../b", F::DotSegment),
        ("file:///a/./b", F::DotSegment),
        ("file:///a/..", F::DotSegment),
        ("file:///..", F::DotSegment),
        ("file:..", F::DotSegment),
        ("file:../b", F::DotSegment),
        ("notes://../b", F::DotSegment),
        ("file:///a/%2e%2e/b", F::DotSegment),
        ("file:///a/%2E./b", F::DotSegment),
        ("file:///a/.%2e/b", F::DotSegment),
        ("file:///a/..;x=1/b", F::DotSegment),
        ("file:///a/..%20/b", F::DotSegment),
        ("file:///a/..%3Bx/b", F::DotSegment),
        ("file:///a/%2e%2e%3b/b", F::DotSegment),
        ("file:///a?../b", F::DotSegment),
        ("file:///a?x/../b", F::DotSegment),
        // Slashes and backslashes that are not what they seem.
        ("file:///a%2fb", F::EncodedSlash),
        ("file:///a%2Fb", F::EncodedSlash),
        ("file:///a%5cb", F::EncodedSlash),
        ("file:///a?x=%2F", F::EncodedSlash),
        ("file:///a\\b", F::Backslash),
        ("file:\\\\host\\b", F::Backslash),
        // Encoded twice and more.
        ("file:///a/%252e%252e/b", F::DotSegment),
        ("file:///a%252fb", F::EncodedSlash),
        ("file:///a%25255cb", F::EncodedSlash),
        ("file:///a%2500b", F::Control),
        ("file:///a%2525252525252525b", F::Encoding),
        // Control characters, raw and encoded.
        ("file:///a\0b", F::Control),
        ("file:///a\nb", F::Control),
        ("file:///a\tb", F::Control),
        ("file:///a\u{7f}b", F::Control),
        ("file:///a\u{85}b", F::Control),
        ("file:///a%00b", F::Control),
        ("file:///a%0d%0ab", F::Control),
        ("file:///a%7fb", F::Control),
        ("file:///a%C2%85b", F::Control),
        // Fragments.
        ("file:///a#b", F::Fragment),
        ("file:///a#", F::Fragment),
        // Encodings that are none, and overlong ones.
        ("file:///a%", F::Encoding),
        ("file:///a%2", F::Encoding),
        ("file:///a%zz", F::Encoding),
        ("file:///%c0%ae%c0%ae/b", F::Encoding),
        ("file:///a%c0%afb", F::Encoding),
        ("file:///%e9", F::Encoding),
        // Hosts that a resolver reads in another way.
        ("https://ex%61mple.com/", F::Host),
        ("https://ｅxample.com/", F::Host),
        ("https://a@b@example.com/", F::Host),
        ("file:///\u{10ff61}", F::Character),
        // Characters that some parsers drop.
        ("file:///a ", F::Character),
        ("file:///a b", F::Character),
        ("file:///a\u{a0}b", F::Character),
        ("file:///a\u{2028}b", F::Character),
        ("file:///{a}", F::Character),
        ("file:///a|b", F::Character),
        ("file:///<a>", F::Character),
    ] {
        assert_eq!(text(uri), Err(why), "{uri:?}");
    }
    assert_eq!(
        text(&format!("file:///{}", "a".repeat(LONGEST))),
        Err(F::TooLong)
    );
}

/// What a rule and a server could take for two places, or one for the other.
#[test]
fn p7_other_spellings_of_a_place_are_refused() {
    use UriFault as F;
    for (uri, why) in [
        ("https://user@example.com/a", F::Authority),
        ("https://example.com:443/a", F::Authority),
        ("https://example.com:0443/a", F::Authority),
        ("HTTP://example.com:80", F::Authority),
        ("wss://example.com:443/", F::Authority),
        ("https://example.com:/a", F::Authority),
        ("https://example.com./a", F::Authority),
        ("https://example.com.:8443/a", F::Authority),
        // A port is digits, and a number of 16 bits.
        ("https://example.com:+443/a", F::Authority),
        ("https://example.com:-1/a", F::Authority),
        ("https://example.com:443x/a", F::Authority),
        ("https://example.com:4_43/a", F::Authority),
        ("https://example.com:65536/a", F::Authority),
        ("https://[2001:db8::1]:+443/a", F::Authority),
        ("https://example.com:1:443/a", F::Authority),
        ("notes://shelf:one/a", F::Authority),
        ("one+https://example.com:x/a", F::Authority),
        ("file://localhost/a", F::FileHost),
        ("FILE://LocalHost/a", F::FileHost),
        ("file://other/a", F::FileHost),
        ("one+file://localhost/a", F::FileHost),
        ("git+https://example.com:443/a", F::Authority),
        ("file:/a", F::FileHost),
        ("file:a", F::FileHost),
        ("file:secret/key", F::FileHost),
        ("one+file:secret/key", F::FileHost),
        ("file://", F::FileHost),
        ("FILE:a/b", F::FileHost),
        // A query that is none, or that is left out.
        ("file:///etc/shadow?", F::EmptyQuery),
        ("file:///etc/shadow?x", F::FileQuery),
        ("one+file:///etc/shadow?x=1", F::FileQuery),
        ("https://example.com/a?", F::EmptyQuery),
        ("mem:a?", F::EmptyQuery),
        // The host may stand anywhere there, and an empty path is a slash.
        ("https:///example.com/a", F::NoAuthority),
        ("https:/example.com/a", F::NoAuthority),
        ("https:example.com/a", F::NoAuthority),
        ("HTTPS:///example.com/a", F::NoAuthority),
        ("one+https:///example.com/a", F::NoAuthority),
        ("ftp:example.com/a", F::NoAuthority),
        ("ws:/example.com/a", F::NoAuthority),
        ("https:////example.com/a", F::EmptySegment),
        ("https://example.com", F::NoAuthority),
        ("https://example.com?x", F::NoAuthority),
        ("http://example.com:8080", F::NoAuthority),
        ("https://?x", F::NoAuthority),
        ("https://", F::NoAuthority),
        // Addresses have many spellings.
        ("https://127.1/x", F::Address),
        ("https://2130706433/x", F::Address),
        ("https://0x7f000001/x", F::Address),
        ("https://0X7f.0.0.1/x", F::Address),
        ("https://0177.0.0.1/x", F::Address),
        ("https://127.0.0.1.2/x", F::Address),
        ("https://127.0.0.0x1/x", F::Address),
        ("https://127.0.0.256/x", F::Address),
        ("https://127.1:8443/x", F::Address),
        ("https://example.0x/x", F::Address),
        ("https://[::ffff:127.0.0.1]/a", F::Address),
        ("https://[::ffff:7f00:1]/a", F::Address),
        ("https://[::127.0.0.1]/a", F::Address),
        ("https://[::7f00:1]/a", F::Address),
        ("https://[0:0:0:0:0:0:0:1]/a", F::Address),
        ("https://[2001:0db8::1]/a", F::Address),
        ("https://[2001:db8:0:0::1]/a", F::Address),
        ("https://[v1.a]/a", F::Address),
        ("https://[::1/a", F::Address),
        ("https://[::1]a/a", F::Address),
        ("db://[2001:db8::0:1]/a", F::Address),
        // Encoded twice, whatever comes out.
        ("file:///etc/%2573hadow", F::Encoding),
        ("file:///etc/%25%37%33hadow", F::Encoding),
        ("https://example.com/%2561", F::Encoding),
        ("file:////a", F::EmptySegment),
        ("file:///a//b", F::EmptySegment),
        ("file:///a//", F::EmptySegment),
        ("https://example.com//a", F::EmptySegment),
        ("mem:a//b", F::EmptySegment),
    ] {
        assert_eq!(text(uri), Err(why), "{uri:?}");
    }
}

#[test]
fn p7_plain_uris_are_as_they_are() {
    for uri in [
        "file:///",
        "file:///a/b.txt",
        "file:///a/...",
        "file:///a/.hidden/..b/c..",
        "file:///Straße/ä",
        "https://example.com:8080/a?b=c&d=../e@f:g;h",
        "https://example.com/a;b=1",
        "https://example.com:4430/a?u=http://x//y",
        "http://example.com:443/a/",
        "db://user@example.com:5432/a",
        "https://[2001:db8::1]/a",
        "https://[::1]:8443/a",
        "https://[::]/a",
        "https://127.0.0.1/a",
        "https://127.0.0.1:8443/a?b",
        "https://127.0.0.1/a?b?",
        "https://1.example.com/a",
        "https://0xa.example.com/",
        "db://127.1/a",
        "notes://42",
        "notes:///a",
        "notes:/a",
        "file:///a/",
        "urn:isbn:0451450523",
        "mem:a",
        "ui://widget/main.html",
        "demo://resource/static/1",
        "data:text/plain,hello",
    ] {
        assert_eq!(text(uri).as_deref(), Ok(uri));
    }
}

#[test]
fn p7_scheme_and_host_have_no_case_and_the_path_has() {
    for (uri, normal) in [
        ("FILE:///Etc/Passwd", "file:///Etc/Passwd"),
        (
            "HTTPS://Example.COM/Path?Query",
            "https://example.com/Path?Query",
        ),
        ("db://User@Example.COM", "db://User@example.com"),
        ("URN:ISBN:0", "urn:isbn:0"),
        ("https://EXAMPLE.com/?A", "https://example.com/?A"),
        ("https://[2001:DB8::A]/A", "https://[2001:db8::a]/A"),
    ] {
        assert_eq!(text(uri).as_deref(), Ok(normal));
    }
}

#[test]
fn p7_what_need_not_be_encoded_is_compared_decoded() {
    for (uri, normal, decoded) in [
        ("file:///%65tc/%70asswd", "file:///etc/passwd", None),
        ("file:///%7euser", "file:///~user", None),
        ("file:///%C3%A4", "file:///ä", None),
        ("file:///a%20b", "file:///a%20b", Some("file:///a b")),
        ("file:///a%3ab", "file:///a%3Ab", Some("file:///a:b")),
        ("file:///100%25", "file:///100%25", Some("file:///100%")),
        ("file:///%c3%a4%3f", "file:///ä%3F", Some("file:///ä?")),
        // A folder, and a file of that name.
        ("file:///a/", "file:///a/", Some("file:///a")),
        (
            "one+file:///a%20b/",
            "one+file:///a%20b/",
            Some("one+file:///a b"),
        ),
        ("file:///", "file:///", None),
        ("https://a/b/", "https://a/b/", None),
    ] {
        let checked = check(uri, false).unwrap();
        assert_eq!(
            (checked.text(), checked.decoded.as_deref()),
            (normal, decoded),
            "{uri}"
        );
    }
}

#[test]
fn p7_expressions_of_templates_are_left_out() {
    for template in [
        "file:///docs/{name}",
        "file:///{+path}{#part}",
        "x:{rest}",
        "https://{host}/{a}/{b}",
        "https://example.com{/path*}{?q}",
        "https:{+rest}",
        "https://[{address}]/a",
        "https://example.com:{port}/",
        "file:{+path}",
        "file://{+path}",
        "test://template/{id}/data",
    ] {
        let checked = check(template, true).unwrap();
        assert_eq!(checked.text(), template);
    }
    assert_eq!(
        check("HTTPS://Host{X}/{Y}", true).unwrap().text(),
        "https://host{X}/{Y}"
    );
    for (template, why) in [
        ("{+uri}", UriFault::NotAbsolute),
        ("{scheme}://a", UriFault::NotAbsolute),
        ("file:///a/.{x}./b", UriFault::DotSegment),
        ("file:///../{x}", UriFault::DotSegment),
        ("file:///{x}%2f{y}", UriFault::EncodedSlash),
        ("file:///{x", UriFault::Braces),
        ("file:///x}", UriFault::Braces),
        ("file:///{{x}}", UriFault::Braces),
        ("file:///{}", UriFault::Braces),
        ("file:///{x}#a", UriFault::Fragment),
        ("file:///{x}?y={z}", UriFault::FileQuery),
        ("file:a/{x}", UriFault::FileHost),
        ("file:///{x\0}", UriFault::Control),
    ] {
        assert_eq!(check(template, true), Err(why), "{template:?}");
    }
}

#[test]
fn globs_are_compared_in_the_same_spelling() {
    for (glob, folded) in [
        ("HTTPS://Example.COM/A*", Some("https://example.com/A*")),
        ("HTTPS://Example.COM/A?B", Some("https://example.com/A?B")),
        ("FILE:///%65tc/*", Some("file:///etc/*")),
        ("*etc*", Some("*etc*")),
        ("FILE:*", Some("file:*")),
        ("file:///a", Some("file:///a")),
        // It cannot be told where the host ends.
        ("https://*.Example.com/A", None),
        ("*://Example.com/A", None),
        ("*ETC*", None),
    ] {
        assert_eq!(fold_glob(glob).as_deref(), folded, "{glob}");
    }
}

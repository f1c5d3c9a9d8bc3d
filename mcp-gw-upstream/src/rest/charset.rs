//! Texts of APIs that are not in UTF-8, by the `charset` that they are said to have.

use bytes::Bytes;
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

/// `body` in UTF-8, where `content_type` or a byte order mark says that it is a text in something else.
/// `None` when it is to be taken as it is: it is UTF-8, or no text, or not one in what it is said to be in.
/// What `is_cut` may end within a character.
pub(super) fn in_utf8(body: &[u8], content_type: &str, is_cut: bool) -> Option<Bytes> {
    let mut parts = content_type.split(';').map(str::trim);
    let media = parts.next().unwrap_or_default().to_ascii_lowercase();
    let charset = parts.find_map(|part| {
        let (name, value) = part.split_once('=')?;
        let is_it = name.trim().eq_ignore_ascii_case("charset");
        is_it.then(|| value.trim().trim_matches('"'))
    });
    let named = charset.and_then(|label| Encoding::for_label_no_replacement(label.as_bytes()));
    // Only UTF-16 can be told by a mark, which no UTF-8 begins with.
    let marked = Encoding::for_bom(body).map(|(encoding, _)| encoding);
    let marked = marked.filter(|_| named.is_some() || is_text(&media));
    let encoding = marked.or(named).filter(|encoding| *encoding != UTF_8)?;
    let is_json = media.ends_with("json");
    if is_json && !body.contains(&0) && std::str::from_utf8(body).is_ok() {
        // JSON is in UTF-8, whatever is said of it (RFC 8259 §8.1).
        return None;
    }
    let is_wide = encoding == UTF_16LE || encoding == UTF_16BE;
    let whole = if is_wide && is_cut {
        body.len() & !1
    } else {
        body.len()
    };
    let (text, _, has_faults) = encoding.decode(body.get(..whole)?);
    let text = text.into_owned();
    if !has_faults {
        return Some(text.into());
    }
    let sound = text.trim_end_matches('\u{fffd}');
    let is_sound = is_cut && !sound.contains('\u{fffd}');
    is_sound.then(|| Bytes::copy_from_slice(sound.as_bytes()))
}

fn is_text(media: &str) -> bool {
    let is = |kind: &str| media.strip_prefix("application/") == Some(kind);
    let ends = |kind: &str| media.ends_with(kind);
    media.starts_with("text/") || is("json") || is("xml") || ends("+json") || ends("+xml")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wide(text: &str, is_little: bool) -> Vec<u8> {
        let units = text.encode_utf16();
        let bytes = units.map(|unit| {
            if is_little {
                unit.to_le_bytes()
            } else {
                unit.to_be_bytes()
            }
        });
        bytes.flatten().collect()
    }

    fn read(body: &[u8], content_type: &str) -> Option<String> {
        let text = in_utf8(body, content_type, false)?;
        Some(String::from_utf8(text.to_vec()).unwrap())
    }

    #[test]
    fn a_text_is_read_in_what_it_is_said_to_be_in() {
        let says = r#"{"k":"Grüße €"}"#;
        let little = wide(says, true);
        for (body, content_type) in [
            (little.clone(), "application/json; charset=utf-16le"),
            (wide(says, false), "application/json;charset=\"UTF-16BE\""),
            (wide(&format!("\u{feff}{says}"), true), "text/plain"),
            (
                wide(&format!("\u{feff}{says}"), false),
                "application/problem+json",
            ),
            (
                wide(&format!("\u{feff}{says}"), false),
                "text/x; charset=utf-16",
            ),
        ] {
            assert_eq!(
                read(&body, content_type).as_deref(),
                Some(says),
                "{content_type}"
            );
        }
        let latin = read(b"Gr\xfc\xdfe", "text/plain; x=1; Charset=ISO-8859-1");
        assert_eq!(latin.as_deref(), Some("Grüße"));
        let japanese = read(b"\x93\xfa\x96\x7b", "text/html; charset=Shift_JIS");
        assert_eq!(japanese.as_deref(), Some("日本"));
        // One character and half of the next.
        let cut = in_utf8(&wide("a𝄞", true)[..4], "text/plain; charset=utf-16le", true);
        assert_eq!(&*cut.unwrap(), b"a");
        let cut = in_utf8(&little[..7], "text/plain; charset=utf-16le", true);
        assert_eq!(&*cut.unwrap(), br#"{"k"#);
    }

    #[test]
    fn anything_else_stays_as_it_is() {
        for (body, content_type) in [
            ("Grüße".as_bytes(), "text/plain"),
            ("Grüße".as_bytes(), "text/plain; charset=utf-8"),
            ("Grüße".as_bytes(), "text/plain; charset=no-such"),
            ("Grüße".as_bytes(), "text/plain; charset=iso-2022-kr"),
            // UTF-8 in spite of what is said.
            (
                "\"Grüße\"".as_bytes(),
                "application/json; charset=iso-8859-1",
            ),
            // No text, or not in this.
            (b"\xff\xfe\x00\xd8", "image/png"),
            (b"\x00\xd8\x00\xd8", "text/plain; charset=utf-16le"),
            (b"a", "text/plain; charset=utf-16le"),
            (b"\xff\xff", "text/plain; charset=shift_jis"),
            (b"\xef\xbb\xbfa", "text/plain; charset=utf-8"),
        ] {
            assert_eq!(read(body, content_type), None, "{content_type}");
        }
    }
}

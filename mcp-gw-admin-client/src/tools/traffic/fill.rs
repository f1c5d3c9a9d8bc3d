//! What of an answer is shown: headers and body in one bound, without secrets.

use mcp_gw_core::RawJson;

use super::Returned;
use crate::http::Reading;
use crate::tools::redact::{Place, REDACTED, clean, is_secret_header};
use crate::tools::view::{Cut, View};

#[derive(Clone, Copy)]
pub(super) struct Show {
    pub(super) budget: usize,
    pub(super) secrets: bool,
    /// Where the gateway's address is set.
    pub(super) setting: &'static str,
}

/// Puts what came back into `returned`.
pub(super) fn fill(returned: &mut Returned, reading: &Reading, show: Show) {
    returned.status = Some(reading.status.as_u16());
    // They may be as long as the body.
    let mut room = show.budget;
    for (name, value) in &reading.headers {
        let length = name.as_str().len() + value.len() + 6;
        if length > room {
            returned.headers_left_out += 1;
            continue;
        }
        room -= length;
        let mut text = String::from_utf8_lossy(value.as_bytes());
        if !show.secrets && is_secret_header(name.as_str(), &text) {
            text = REDACTED.into();
        }
        let known = returned.headers.entry(name.to_string()).or_default();
        if !known.is_empty() {
            known.push_str(", ");
        }
        known.push_str(&text);
    }
    if reading.body.is_empty() {
        return;
    }
    let (data, more) = read_body(reading);
    let clean = clean(&data, &Place::default(), show.secrets);
    returned.remarks = clean.remarks;
    if !data.is_null() && !reading.is_cut && std::str::from_utf8(&reading.body).is_err() {
        let says = "The answer is no UTF-8: what is none of it is shown as U+FFFD.";
        returned.remarks.push(says.to_owned());
    }
    let data = clean.raw;
    let length = data.len();
    // A view that asks for nothing cannot ask for what is not there.
    if let Ok(shown) = View::default().show(&data, show.budget) {
        returned.data = Some(shown.body);
        let is_cut = shown.cut.is_some() || more.is_some();
        returned.cut = is_cut.then(|| Cut {
            bytes: length,
            of: None,
            next: more
                .unwrap_or_else(|| "max_bytes: a greater number, or fewer requests".to_owned()),
        });
    }
}

/// The body as JSON, and what has to be said about it.
fn read_body(reading: &Reading) -> (RawJson, Option<String>) {
    let body = &reading.body;
    let more = reading
        .is_cut
        .then(|| format!("nothing: only the first {} bytes were read", body.len()));
    if let Ok(json) = RawJson::parse(body.clone()) {
        return (json, more);
    }
    let text = String::from_utf8_lossy(body);
    // Few odd bytes are letters of another alphabet, many are a picture.
    let odd = text.matches(char::REPLACEMENT_CHARACTER).count();
    let is_text = !body.contains(&0) && odd <= body.len() / 8;
    if is_text {
        (RawJson::string(&text), more)
    } else {
        let note = format!(
            "nothing: {} bytes that are not text are not shown",
            body.len()
        );
        (RawJson::null(), Some(note))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    #[test]
    fn a_text_that_is_no_utf8_is_shown_as_far_as_it_is_one() {
        let read = |body: &'static [u8]| {
            let reading = Reading {
                status: http::StatusCode::OK,
                headers: http::HeaderMap::new(),
                body: Bytes::from_static(body),
                is_cut: false,
            };
            let show = Show {
                budget: 1024,
                secrets: false,
                setting: "",
            };
            let mut returned = Returned::of(0);
            fill(&mut returned, &reading, show);
            (
                returned.data.unwrap().to_string(),
                returned.remarks,
                returned.cut,
            )
        };
        let (data, remarks, cut) = read(b"{\"name\":\"caf\xe9\",\"password\":\"hidden\"}");
        assert!(
            data.contains("caf\u{fffd}") && !data.contains("hidden"),
            "{data}"
        );
        assert!(remarks.iter().any(|says| says.contains("no UTF-8")));
        assert!(cut.is_none());
        let (data, _, cut) = read(b"\xff\xd8\xff\xe0JFIF\xff\xff");
        assert_eq!(data, "null");
        assert!(cut.unwrap().next.contains("not text"));
    }
}

//! Bodies of several parts (RFC 7578).

use memchr::memmem;

/// A part of a body.
#[derive(Debug)]
pub(super) struct Part {
    pub(super) name: String,
    pub(super) file_name: Option<String>,
    pub(super) content_type: Option<String>,
    pub(super) bytes: Vec<u8>,
}

/// Writes the parts; gives the content type with its boundary, and the bytes.
pub(super) fn write(parts: &[Part]) -> (String, Vec<u8>) {
    let boundary = boundary(parts);
    let length: usize = parts.iter().map(|part| part.bytes.len() + 256).sum();
    let mut out = Vec::with_capacity(length + 64);
    for part in parts {
        let name = quoted(&part.name);
        let mut head = format!("--{boundary}\r\ncontent-disposition: form-data; name=\"{name}\"");
        if let Some(file_name) = &part.file_name {
            head.extend(["; filename=\"", &quoted(file_name), "\""]);
        }
        if let Some(content_type) = &part.content_type {
            head.extend(["\r\ncontent-type: ", content_type]);
        }
        head.push_str("\r\n\r\n");
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(&part.bytes);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), out)
}

/// A boundary that is in no part. The same parts have the same one, so that a request that is sent
/// again is the same request.
fn boundary(parts: &[Part]) -> String {
    let mut number = 0_u64;
    loop {
        let boundary = format!("----mcp-gw-part-{number:08}");
        let is_in = |part: &Part| memmem::find(&part.bytes, boundary.as_bytes()).is_some();
        if !parts.iter().any(is_in) {
            return boundary;
        }
        number = number.wrapping_add(1);
    }
}

/// A name between quotes, as browsers write it (HTML, multipart form data): nothing in it ends the
/// quotes or the line.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => out.push_str("%22"),
            '\r' => out.push_str("%0D"),
            '\n' => out.push_str("%0A"),
            c if c.is_control() => out.push('_'),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(name: &str, bytes: &[u8]) -> Part {
        Part {
            name: name.to_owned(),
            file_name: None,
            content_type: None,
            bytes: bytes.to_vec(),
        }
    }

    #[test]
    fn a_boundary_is_in_no_part() {
        let parts = [part(
            "a",
            b"x----mcp-gw-part-00000000----mcp-gw-part-00000001",
        )];
        let (content_type, body) = write(&parts);
        assert!(content_type.ends_with("boundary=----mcp-gw-part-00000002"));
        assert!(body.ends_with(b"\r\n------mcp-gw-part-00000002--\r\n"));
    }

    #[test]
    fn no_name_ends_its_quotes_or_its_line() {
        let parts = [Part {
            file_name: Some("c\"\r\nd\u{0}".to_owned()),
            ..part("a\"; filename=\"b\r\nx: y", b"1")
        }];
        let (_, body) = write(&parts);
        let text = String::from_utf8(body).unwrap();
        let head = text.split("\r\n\r\n").next().unwrap();
        assert_eq!(
            head.split("\r\n").nth(1).unwrap(),
            "content-disposition: form-data; name=\"a%22; filename=%22b%0D%0Ax: y\"; filename=\"c%22%0D%0Ad_\""
        );
        assert_eq!(head.split("\r\n").count(), 2);
    }
}

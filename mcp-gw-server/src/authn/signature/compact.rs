//! The compact form: `t=1700000000,v1=<hex>` in one header, with `k=<key>` and `n=<nonce>` if need be.
//!
//! What is signed has a line for each of: the time, the nonce if there is one, the method, the path
//! with its query, and the SHA-256 of the body in hexadecimal.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::SignedHead;

/// So many members it may have: a MAC of an old and a new secret among them.
const MOST: usize = 8;

/// The longest nonce, in bytes.
const LONGEST_NONCE: usize = 128;

/// A signature as it came.
pub(super) struct Compact {
    pub(super) time: u64,
    pub(super) key: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) macs: Vec<[u8; 32]>,
}

impl Compact {
    /// Reads the header.
    pub(super) fn parse(line: &str) -> Result<Self, &'static str> {
        let (mut time, mut key, mut nonce) = (None, None, None);
        let mut macs = Vec::new();
        for (count, part) in line.split(',').enumerate() {
            if count >= MOST {
                return Err("the signature has too many members");
            }
            let (name, value) = part
                .trim_matches([' ', '\t'])
                .split_once('=')
                .ok_or("a member of the signature has no value")?;
            let is_new = match name {
                "t" => time.replace(seconds(value)?).is_none(),
                "k" => key.replace(value.to_owned()).is_none(),
                "n" => nonce.replace(number_once(value)?).is_none(),
                "v1" => {
                    macs.push(from_hex(value).ok_or("the MAC is not 64 hexadecimal digits")?);
                    true
                }
                _ => return Err("the signature has a member that nobody knows"),
            };
            if !is_new {
                return Err("a member of the signature is there twice");
            }
        }
        if macs.is_empty() {
            return Err("the signature has no MAC (`v1`)");
        }
        Ok(Self {
            time: time.ok_or("the signature has no time (`t`)")?,
            key,
            nonce,
            macs,
        })
    }

    /// Whether it may be by the key of this name.
    pub(super) fn is_by(&self, id: &str) -> bool {
        self.key.as_deref().is_none_or(|named| named == id)
    }

    /// What is signed, but for the digest of the body. None of the lines can hold a line break.
    pub(super) fn beginning(&self, head: &SignedHead<'_>) -> String {
        let mut text = format!("{}\n", self.time);
        if let Some(nonce) = &self.nonce {
            text.push_str(nonce);
            text.push('\n');
        }
        text.push_str(head.method);
        text.push('\n');
        text.push_str(head.path());
        if let Some(query) = head.uri.query() {
            text.push('?');
            text.push_str(query);
        }
        text.push('\n');
        text
    }
}

/// What is signed.
pub(super) fn whole(beginning: &str, body: &[u8]) -> String {
    let mut text = beginning.to_owned();
    for byte in Sha256::digest(body) {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// In the one spelling that a number has, so that what is signed is what was sent.
fn seconds(text: &str) -> Result<u64, &'static str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let is_plain = is_plain && text.len() <= 12 && (text == "0" || !text.starts_with('0'));
    let seconds = text.parse().ok().filter(|_| is_plain);
    seconds.ok_or("the time is not a number of seconds")
}

fn number_once(text: &str) -> Result<String, &'static str> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_plain || !(1..=LONGEST_NONCE).contains(&text.len()) {
        return Err("the nonce is empty, too long, or not visible ASCII");
    }
    Ok(text.to_owned())
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let digits: Option<Vec<u32>> = text.as_bytes().iter().map(digit).collect();
    let digits = digits?;
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let bytes = pairs
        .iter()
        .map(|[high, low]| u8::try_from(high << 4 | low).ok());
    bytes.collect::<Option<Vec<u8>>>()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_read_in_one_way() {
        let mac = "ab".repeat(32);
        let read = |text: &str| Compact::parse(&text.replace('M', &mac));
        let one = read("t=1700000000,v1=M").unwrap();
        assert_eq!((one.time, one.macs.len()), (1_700_000_000, 1));
        let all = read("t=1, k=ci ,n=a=b,v1=M,v1=M").unwrap();
        assert_eq!(
            (all.key.as_deref(), all.nonce.as_deref()),
            (Some("ci"), Some("a=b"))
        );
        assert_eq!(all.macs.len(), 2);
        for wrong in [
            "",
            ",",
            "t=1",
            "v1=M",
            "t=,v1=M",
            "t=01,v1=M",
            "t=+1,v1=M",
            "t=-1,v1=M",
            "t=1.0,v1=M",
            "t=1000000000000,v1=M",
            "t=1,t=1,v1=M",
            "t=1,k=a,k=a,v1=M",
            "t=1,n=,v1=M",
            "t=1,n=a b,v1=M",
            "t=1,v1=M0",
            "t=1,v1=M,",
            "t=1,v1=abcd",
            "t=1,v1=M,v2=M",
            "t=1,v1=M,v1=M,v1=M,v1=M,v1=M,v1=M,v1=M,v1=M",
            "T=1,v1=M",
        ] {
            assert!(read(wrong).is_err(), "{wrong:?}");
        }
    }
}

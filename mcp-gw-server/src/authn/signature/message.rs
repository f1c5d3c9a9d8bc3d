//! HTTP Message Signatures (RFC 9421) by `hmac-sha256`, over what must not be changed.

use http::HeaderMap;
use ring::hmac;
use sfv::{
    BareItem, Dictionary, InnerList, Item, ItemSerializer, KeyRef, ListEntry, ListSerializer,
    Parameters, Parser, StringRef,
};

use super::{Refused, SignedHead, invalid};

/// The longest `Signature-Input` or `Signature`, in bytes.
const LONGEST: usize = 8 * 1024;

/// So many signatures a request may have.
const MOST: usize = 8;

/// So many parts of a request a signature may cover.
const MOST_PARTS: usize = 64;

/// The longest nonce, in bytes.
const LONGEST_NONCE: usize = 128;

/// What each signature must cover; [`OF_BODY`] as well where there is a body.
const ALWAYS: [&str; 4] = ["@method", "@authority", "@path", "@query"];
const OF_BODY: [&str; 2] = ["content-digest", "content-type"];

/// A signature that may be looked at.
#[derive(Debug)]
pub(super) struct Signature {
    parts: Vec<Item>,
    /// The value of `@signature-params`.
    params: String,
    pub(super) keyid: String,
    pub(super) nonce: String,
    pub(super) created: u64,
    pub(super) expires: Option<u64>,
    mac: Vec<u8>,
}

/// The signatures of a request: those that have all parameters that are needed, and `tag` if that is
/// given.
pub(super) fn read(head: &SignedHead<'_>, tag: Option<&str>) -> Result<Vec<Signature>, Refused> {
    let inputs = dictionary(head.headers, "signature-input")?;
    let macs = dictionary(head.headers, "signature")?;
    if inputs.len() > MOST || macs.len() > MOST {
        return Err(invalid("there are too many signatures"));
    }
    let mut all = Vec::new();
    let mut why = "there is no signature that is described";
    for (label, input) in inputs {
        let (ListEntry::InnerList(input), Some(ListEntry::Item(mac))) = (input, macs.get(&label))
        else {
            continue;
        };
        match Signature::of(input, mac, tag) {
            Ok(signature) => all.push(signature),
            Err(reason) => why = reason,
        }
    }
    if all.is_empty() {
        return Err(invalid(why));
    }
    Ok(all)
}

/// A header that is a dictionary, and there once.
fn dictionary(headers: &HeaderMap, name: &str) -> Result<Dictionary, Refused> {
    let mut lines = headers.get_all(name).iter();
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(invalid(
            "a header of the signature is missing, or there twice",
        ));
    };
    if line.len() > LONGEST {
        return Err(invalid("a header of the signature is too long"));
    }
    let parsed = Parser::new(line.as_bytes()).parse();
    parsed.map_err(|_| invalid("a header of the signature cannot be read"))
}

impl Signature {
    fn of(input: InnerList, mac: &Item, tag: Option<&str>) -> Result<Self, &'static str> {
        let params = &input.params;
        let text = |name: &str| params.get(name).and_then(BareItem::as_string);
        let text = |name: &str| text(name).map(StringRef::as_str);
        let time = |name: &str| {
            let seconds = params.get(name)?.as_integer()?;
            u64::try_from(i64::from(seconds)).ok()
        };
        // The key says how it is used; who says something else means another key.
        if params.contains_key("alg") && text("alg") != Some("hmac-sha256") {
            return Err("the signature is by another algorithm (`alg`)");
        }
        if tag.is_some() && text("tag") != tag {
            return Err("the signature is for something else (`tag`)");
        }
        let nonce = text("nonce").ok_or("the signature has no `nonce`")?;
        if nonce.is_empty() || nonce.len() > LONGEST_NONCE {
            return Err("the `nonce` of the signature is empty or too long");
        }
        let expires = time("expires");
        if params.contains_key("expires") && expires.is_none() {
            return Err("the signature does not say when it expires");
        }
        let mac = mac.bare_item.as_byte_sequence();
        let signature = Self {
            keyid: text("keyid")
                .ok_or("the signature has no `keyid`")?
                .to_owned(),
            nonce: nonce.to_owned(),
            created: time("created").ok_or("the signature has no time (`created`)")?,
            expires,
            mac: mac.ok_or("the signature is not a byte sequence")?.to_vec(),
            params: String::new(),
            parts: Vec::new(),
        };
        Ok(Self {
            params: written(&input).ok_or("the signature covers nothing")?,
            parts: input.items,
            ..signature
        })
    }

    /// Whether it is a good one, and of all that it must be of. The digest of the body that it covers,
    /// if the request has a body.
    pub(super) fn check(
        &self,
        head: &SignedHead<'_>,
        key: &hmac::Key,
    ) -> Result<Option<[u8; 32]>, &'static str> {
        let covers = |name: &str| self.parts.iter().any(|part| is_plain(part, name));
        if !ALWAYS.iter().all(|name| covers(name)) {
            return Err("the signature does not cover method, authority, path and query");
        }
        let needs = |name: &str| head.has_body() || head.headers.contains_key(name);
        if !OF_BODY.iter().all(|name| covers(name) || !needs(name)) {
            return Err("the signature does not cover the digest and the type of the body");
        }
        let base = base(&self.parts, &self.params, head)?;
        // In constant time.
        hmac::verify(key, base.as_bytes(), &self.mac).map_err(|_| "the signature is not good")?;
        if head.has_body() {
            digest(head.headers).map(Some)
        } else {
            Ok(None)
        }
    }
}

/// True for a part without parameters.
fn is_plain(part: &Item, name: &str) -> bool {
    let text = part.bare_item.as_string();
    part.params.is_empty() && text.is_some_and(|text| text.as_str() == name)
}

/// The text of the list with its parameters, as RFC 9421 §2.3 has it.
fn written(input: &InnerList) -> Option<String> {
    let mut list = ListSerializer::new();
    let mut inner = list.inner_list();
    inner.items(&input.items);
    let _ = inner.finish().parameters(&input.params);
    list.finish()
}

/// What is signed (RFC 9421 §2.5).
pub(super) fn base(
    parts: &[Item],
    params: &str,
    head: &SignedHead<'_>,
) -> Result<String, &'static str> {
    if parts.len() > MOST_PARTS {
        return Err("the signature covers too many parts");
    }
    let mut base = String::new();
    for (index, part) in parts.iter().enumerate() {
        if parts.iter().take(index).any(|other| other == part) {
            return Err("the signature covers a part twice");
        }
        let name = part.bare_item.as_string();
        let name = name.ok_or("a part that is signed has no name")?.as_str();
        if !part.params.is_empty() {
            return Err("the signature covers a part in a form that is not known");
        }
        let _ = ItemSerializer::with_buffer(&mut base).bare_item(&part.bare_item);
        base.push_str(": ");
        add(&mut base, name, head)?;
        base.push('\n');
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(params);
    Ok(base)
}

/// Adds the value of a part (RFC 9421 §2.1, §2.2).
fn add(base: &mut String, name: &str, head: &SignedHead<'_>) -> Result<(), &'static str> {
    match name {
        "@method" => base.push_str(head.method),
        "@authority" => base.push_str(&authority(head.host.ok_or("there is no host")?)),
        "@path" => base.push_str(head.path()),
        "@query" => {
            base.push('?');
            base.push_str(head.uri.query().unwrap_or_default());
        }
        "@request-target" => {
            base.push_str(head.path());
            if let Some(query) = head.uri.query() {
                base.push('?');
                base.push_str(query);
            }
        }
        // Behind a proxy nobody knows the scheme that the client used.
        derived if derived.starts_with('@') => {
            return Err("the signature covers a part that is not known here");
        }
        name if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
            return Err("the name of a header that is signed is not in lower case");
        }
        name => return header(base, name, head.headers),
    }
    Ok(())
}

fn header(base: &mut String, name: &str, headers: &HeaderMap) -> Result<(), &'static str> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    if lines.is_empty() {
        return Err("a header that is signed is missing");
    }
    // Readers of these take one line, and not all the same one.
    if lines.len() > 1 && OF_BODY.contains(&name) {
        return Err("a header about the body is there twice");
    }
    for (index, line) in lines.into_iter().enumerate() {
        if index > 0 {
            base.push_str(", ");
        }
        let line = line
            .to_str()
            .map_err(|_| "a header that is signed is no text")?;
        base.push_str(line.trim_matches([' ', '\t']));
    }
    Ok(())
}

/// A host in small letters, without the port that everybody means anyway. The gateway speaks plain
/// HTTP, and a proxy before it TLS: either port is one that clients leave out.
fn authority(host: &str) -> String {
    let host = host.to_ascii_lowercase();
    let bare = host
        .strip_suffix(":443")
        .or_else(|| host.strip_suffix(":80"));
    match bare {
        Some(bare) => bare.to_owned(),
        None => host,
    }
}

/// The SHA-256 that `Content-Digest` says the body has (RFC 9530 §2).
fn digest(headers: &HeaderMap) -> Result<[u8; 32], &'static str> {
    let line = headers
        .get("content-digest")
        .ok_or("there is no digest of the body")?;
    let unreadable = "the digest of the body cannot be read";
    let digests: Dictionary = Parser::new(line.as_bytes())
        .parse()
        .map_err(|_| unreadable)?;
    let Some(ListEntry::Item(item)) = digests.get("sha-256") else {
        return Err("there is no `sha-256` among the digests of the body");
    };
    let bytes = item.bare_item.as_byte_sequence().ok_or(unreadable)?;
    bytes.try_into().map_err(|_| unreadable)
}

/// `Accept-Signature` (RFC 9421 §5.1): what a signature must cover and say.
pub(super) fn accept(tag: Option<&str>, has_body: bool) -> Option<String> {
    let parts = OF_BODY.iter().filter(|_| has_body);
    let parts = ALWAYS.iter().chain(parts);
    let mut dictionary = sfv::DictSerializer::new();
    let mut list = dictionary.inner_list(KeyRef::from_str("sig").ok()?);
    for part in parts {
        let _ = list.bare_item(StringRef::from_str(part).ok()?);
    }
    let mut params = Parameters::new();
    for name in ["created", "keyid", "nonce"] {
        params.insert(
            KeyRef::from_str(name).ok()?.to_owned(),
            BareItem::Boolean(true),
        );
    }
    let alg = StringRef::from_str("hmac-sha256").ok()?;
    params.insert(
        KeyRef::from_str("alg").ok()?.to_owned(),
        BareItem::String(alg.to_owned()),
    );
    if let Some(tag) = tag {
        let tag = StringRef::from_str(tag).ok()?;
        params.insert(
            KeyRef::from_str("tag").ok()?.to_owned(),
            BareItem::String(tag.to_owned()),
        );
    }
    let _ = list.finish().parameters(&params);
    dictionary.finish()
}

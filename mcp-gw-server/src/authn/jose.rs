//! JSON Web Signatures in their compact form (RFC 7515 §3.1), read strictly: what two readers could
//! take for two things is refused.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::config::JwtAlgorithm;

/// The longest token that is looked at, in bytes.
pub(crate) const LONGEST_TOKEN: usize = 16 * 1024;

/// The longest `kid`, in bytes.
const LONGEST_KID: usize = 1024;

/// A token that was taken apart; nothing of it is believed yet.
pub(crate) struct Token<'t> {
    pub(crate) algorithm: JwtAlgorithm,
    /// Which key it is signed with.
    pub(crate) kid: Option<String>,
    pub(crate) claims: Map<String, Value>,
    /// What is signed.
    pub(crate) signed: &'t [u8],
    pub(crate) signature: Vec<u8>,
}

/// Why a token is no good, for the log. Nothing of the token is in it.
pub(crate) type Reason = &'static str;

impl<'t> Token<'t> {
    /// Takes a token apart.
    pub(crate) fn parse(text: &'t str) -> Result<Self, Reason> {
        if text.len() > LONGEST_TOKEN {
            return Err("the token is too long");
        }
        let not_three = "the token has not three parts";
        let (signed, signature) = text.rsplit_once('.').ok_or(not_three)?;
        let (header, payload) = signed.split_once('.').ok_or(not_three)?;
        if payload.contains('.') {
            return Err(not_three);
        }
        let signature = decode(signature)?;
        let Unique(Value::Object(header)) = read(header)? else {
            return Err("the header of the token is not an object");
        };
        let (algorithm, kid) = check_header(&header)?;
        let Unique(Value::Object(claims)) = read(payload)? else {
            return Err("the claims of the token are not an object");
        };
        Ok(Self {
            algorithm,
            kid,
            claims,
            signed: signed.as_bytes(),
            signature,
        })
    }
}

/// Who a token says has issued it; nothing of it is believed.
#[cfg(feature = "management")]
pub(crate) fn issuer_of(text: &str) -> Option<String> {
    let token = Token::parse(text).ok()?;
    Some(token.claims.get("iss")?.as_str()?.to_owned())
}

/// Base64 for URLs without padding, in its one canonical spelling (RFC 7515 §2).
fn decode(text: &str) -> Result<Vec<u8>, Reason> {
    if text.is_empty() {
        return Err("a part of the token is empty");
    }
    let bytes = URL_SAFE_NO_PAD.decode(text);
    bytes.map_err(|_| "a part of the token is not Base64 for URLs")
}

fn read(part: &str) -> Result<Unique, Reason> {
    let bytes = decode(part)?;
    serde_json::from_slice(&bytes).map_err(|_| "a part of the token is not JSON, or names twice")
}

/// The algorithm and the name of the key. Headers that would lead to other keys (`jku`, `jwk`, `x5u`,
/// `x5c`) are not looked at (RFC 8725 §3.10).
fn check_header(header: &Map<String, Value>) -> Result<(JwtAlgorithm, Option<String>), Reason> {
    // Whatever it lists must be understood, and nothing is (RFC 7515 §4.1.11).
    if header.contains_key("crit") {
        return Err("the token wants something understood that is not (`crit`)");
    }
    if header.contains_key("b64") || header.contains_key("zip") || header.contains_key("enc") {
        return Err("the token is encoded in a way that is not known");
    }
    let algorithm = header.get("alg").and_then(Value::as_str);
    let known = |name: &str| JwtAlgorithm::ALL.into_iter().find(|a| a.as_str() == name);
    let algorithm = algorithm.and_then(known);
    let algorithm = algorithm.ok_or("the token is not signed by a known algorithm")?;
    match header.get("typ") {
        None => {}
        Some(Value::String(typ)) if is_access_token(typ) => {}
        Some(_) => return Err("the token is of another type (`typ`)"),
    }
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) if kid.len() <= LONGEST_KID => Some(kid.clone()),
        Some(_) => return Err("the name of the key (`kid`) is not a text, or too long"),
    };
    Ok((algorithm, kid))
}

/// `JWT` (RFC 7519 §5.1) or `at+jwt` (RFC 9068 §2.1), as a media type without case.
fn is_access_token(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    let typ = typ.strip_prefix("application/").unwrap_or(&typ);
    matches!(typ, "jwt" | "at+jwt")
}

/// A value no object of which names a member twice.
pub(crate) struct Unique(pub(crate) Value);

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(UniqueVisitor)
    }
}

struct UniqueVisitor;

impl<'de> Visitor<'de> for UniqueVisitor {
    type Value = Unique;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Unique, E> {
        Ok(Unique(Value::Null))
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Unique, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a number"))?;
        Ok(Unique(Value::Number(number)))
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<Unique, E> {
        Ok(Unique(value.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Unique, A::Error> {
        let mut all = Vec::new();
        while let Some(Unique(item)) = items.next_element()? {
            all.push(item);
        }
        Ok(Unique(Value::Array(all)))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Unique, A::Error> {
        let mut all = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let Unique(value) = members.next_value()?;
            if all.insert(name, value).is_some() {
                return Err(de::Error::custom("a member is there twice"));
            }
        }
        Ok(Unique(Value::Object(all)))
    }
}

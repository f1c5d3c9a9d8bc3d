//! API keys as texts: `mcp_`, 26 characters that name it, `_`, and 43 that are secret.
//!
//! The name is 12 random bytes and 4 that only this gateway could have added, in base32: a name that
//! somebody thought up is refused without asking the database. The secret is 32 random bytes in Base64
//! for URLs. Both have one spelling, and a length that never changes.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use mcp_gw_core::Secret;
use mcp_gw_store::SecretHash;
use ring::hmac;

use super::error::IdentityError;

/// What every key begins with.
pub(super) const PREFIX: &str = "mcp_";

/// 16 bytes in base32.
const NAME_LEN: usize = 26;

/// 32 bytes in Base64 without padding.
const SECRET_LEN: usize = 43;

/// How many bytes of a name are random; the others are made of them.
const RANDOM: usize = 12;

const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// What keys are hashed with: who reads the database alone can neither make nor try one.
pub(super) struct KeyMaker(hmac::Key);

impl fmt::Debug for KeyMaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyMaker")
    }
}

/// A key that was made: its text is told once.
#[derive(Debug)]
pub(super) struct NewText {
    pub(super) public_id: String,
    pub(super) hash: SecretHash,
    pub(super) text: Secret<String>,
}

/// A key that was shown, taken apart.
pub(super) struct Shown<'k> {
    pub(super) public_id: &'k str,
    pub(super) hash: SecretHash,
}

impl KeyMaker {
    pub(super) fn new(secret: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// A new key.
    ///
    /// # Errors
    /// When the machine has no random numbers.
    pub(super) fn make(&self) -> Result<NewText, IdentityError> {
        let mut random = [0; RANDOM];
        let mut secret = [0; 32];
        let both = getrandom::fill(&mut random).and_then(|()| getrandom::fill(&mut secret));
        both.map_err(|_| IdentityError::internal("this machine has no random numbers"))?;
        let public_id = self.name_of(&random);
        let text = format!("{PREFIX}{public_id}_{}", URL_SAFE_NO_PAD.encode(secret));
        Ok(NewText {
            hash: self.hash(&public_id, &secret),
            public_id,
            text: Secret::new(text),
        })
    }

    /// Takes a text apart; `None` for everything that [`KeyMaker::make`] of this gateway never made.
    pub(super) fn read<'k>(&self, text: &'k str) -> Option<Shown<'k>> {
        let rest = text.strip_prefix(PREFIX)?;
        let (public_id, rest) = rest.split_at_checked(NAME_LEN)?;
        let secret = rest.strip_prefix('_')?;
        if secret.len() != SECRET_LEN {
            return None;
        }
        let name = decode(public_id)?;
        let random = name.first_chunk::<RANDOM>()?;
        if self.name_of(random) != public_id {
            return None;
        }
        let secret: [u8; 32] = URL_SAFE_NO_PAD.decode(secret).ok()?.try_into().ok()?;
        let hash = self.hash(public_id, &secret);
        Some(Shown { public_id, hash })
    }

    fn name_of(&self, random: &[u8; RANDOM]) -> String {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"name\0");
        context.update(random);
        let tag = context.sign();
        let bytes = random.iter().chain(tag.as_ref().iter().take(16 - RANDOM));
        encode(bytes.copied())
    }

    /// Of the name, too: hashes of two keys cannot be exchanged in the database.
    fn hash(&self, public_id: &str, secret: &[u8; 32]) -> SecretHash {
        let mut context = hmac::Context::with_key(&self.0);
        context.update(b"secret\0");
        context.update(public_id.as_bytes());
        context.update(b"\0");
        context.update(secret);
        let mut hash = [0; 32];
        hash.copy_from_slice(context.sign().as_ref());
        SecretHash::from_bytes(hash)
    }
}

/// Base32 (RFC 4648 §6) in lower case and without padding.
fn encode(bytes: impl Iterator<Item = u8>) -> String {
    let mut text = String::with_capacity(NAME_LEN);
    let (mut held, mut bits) = (0_u32, 0);
    let letter = |held: u32| {
        let letter = ALPHABET.get((held & 31) as usize);
        letter.copied().map_or('a', char::from)
    };
    for byte in bytes {
        held = (held << 8) | u32::from(byte);
        bits += 8;
        while bits >= 5 {
            bits -= 5;
            text.push(letter(held >> bits));
        }
        held &= (1 << bits) - 1;
    }
    if bits > 0 {
        text.push(letter(held << (5 - bits)));
    }
    text
}

fn decode(text: &str) -> Option<[u8; 16]> {
    let mut bytes = Vec::with_capacity(16);
    let (mut held, mut bits) = (0_u32, 0);
    for byte in text.bytes() {
        let digit = match byte {
            b'a'..=b'z' => byte - b'a',
            b'2'..=b'7' => byte - b'2' + 26,
            _ => return None,
        };
        held = (held << 5) | u32::from(digit);
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(held >> bits).ok()?);
            held &= (1 << bits) - 1;
        }
    }
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn maker() -> KeyMaker {
        KeyMaker::new(&[7; 32])
    }

    #[test]
    fn what_was_made_is_known_again() {
        let made = maker().make().unwrap();
        let text = made.text.expose();
        assert_eq!(text.len(), PREFIX.len() + NAME_LEN + 1 + SECRET_LEN);
        let shown = maker().read(text).unwrap();
        assert_eq!(
            (shown.public_id, shown.hash),
            (made.public_id.as_str(), made.hash)
        );
        assert!(!format!("{made:?}").contains(text.as_str()));
        assert!(
            KeyMaker::new(&[8; 32]).read(text).is_none(),
            "of another gateway"
        );
    }

    #[test]
    fn hashes_differ_with_name_secret_and_gateway() {
        let maker = maker();
        let hash = maker.hash("a", &[1; 32]);
        assert!(hash != maker.hash("b", &[1; 32]));
        assert!(hash != maker.hash("a", &[2; 32]));
        assert!(hash != KeyMaker::new(&[8; 32]).hash("a", &[1; 32]));
    }

    #[test]
    fn texts_that_nobody_made_are_none() {
        let made = maker().make().unwrap();
        let text = made.text.expose();
        let (name, secret) = text
            .strip_prefix(PREFIX)
            .and_then(|text| text.split_once('_'))
            .unwrap();
        let mut shorter = text.to_owned();
        shorter.pop();
        let last = |c: char| format!("{shorter}{c}");
        for wrong in [
            String::new(),
            "mcp_".to_owned(),
            format!("mcp_{secret}"),
            text.to_uppercase(),
            format!("{text} "),
            format!(" {text}"),
            format!("{text}="),
            format!("{text}\0"),
            shorter.clone(),
            format!("mcp_{}_{secret}", "a".repeat(NAME_LEN)),
            format!("mcp_{}_{secret}", "é".repeat(NAME_LEN / 2)),
            format!("mcp_{name}_{}", "-".repeat(SECRET_LEN)),
            format!("mcp_{name}-{secret}"),
            format!("mcp_{name}_{}", "é".repeat(SECRET_LEN)),
            last('='),
            last('+'),
            "mcp_".repeat(10_000),
        ] {
            let read = maker().read(&wrong);
            assert!(read.is_none_or(|read| read.hash != made.hash), "{wrong}");
        }
        // The last of the characters has two bits that mean nothing: they are zero.
        let spellings = ALPHABET.iter().filter(|c| {
            let text = last(char::from(**c));
            let read = maker().read(&text);
            read.is_some_and(|read| read.hash == made.hash)
        });
        assert!(spellings.count() <= 1);
    }

    proptest! {
        #[test]
        fn base32_is_read_as_it_was_written(bytes: [u8; 16]) {
            let text = encode(bytes.into_iter());
            prop_assert_eq!(text.len(), NAME_LEN);
            prop_assert_eq!(decode(&text), Some(bytes));
        }

        #[test]
        fn no_text_breaks_it(text in "\\PC{0,80}") {
            prop_assert!(maker().read(&text).is_none());
            let longer = format!("mcp_{text}");
            prop_assert!(maker().read(&longer).is_none());
        }

        #[test]
        fn a_changed_key_is_another_one(at in 0_usize..74, to in "[a-z2-7A-Z_-]") {
            let made = maker().make().unwrap();
            let mut text = made.text.expose().clone();
            text.replace_range(at..=at, &to);
            if text != *made.text.expose() {
                let read = maker().read(&text);
                prop_assert!(read.is_none_or(|read| read.hash != made.hash));
            }
        }
    }
}

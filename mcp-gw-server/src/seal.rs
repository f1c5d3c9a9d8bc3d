//! What the gateway gives a client to keep and bring back (`requestState`, MCP 2026-07-28): sealed,
//! so that nobody can change it or use it for another call.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use mcp_gw_core::{Caller, RawJson};
use sha2::{Digest as _, Sha256};

use crate::pins::canonical;

/// Before a sealed state.
const SEALED: &str = "mcp-gw.1.";
const NONCE: usize = 24;
const CLAIM: usize = 20;

/// What a state says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Claim {
    /// The call that waits; none for 0.
    pub(crate) call: u64,
    /// How often it has been given out.
    pub(crate) round: u32,
    /// When it ends, in seconds of the time of day.
    pub(crate) expires: u64,
}

impl Claim {
    fn to_bytes(self) -> [u8; CLAIM] {
        let mut bytes = [0; CLAIM];
        let parts = self
            .call
            .to_be_bytes()
            .into_iter()
            .chain(self.round.to_be_bytes())
            .chain(self.expires.to_be_bytes());
        for (slot, byte) in bytes.iter_mut().zip(parts) {
            *slot = byte;
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (call, rest) = bytes.split_first_chunk()?;
        let (round, rest) = rest.split_first_chunk()?;
        Some(Self {
            call: u64::from_be_bytes(*call),
            round: u32::from_be_bytes(*round),
            expires: u64::from_be_bytes(rest.try_into().ok()?),
        })
    }
}

/// What a state is bound to: the same caller, endpoint, method, name and arguments must come back with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Binding(Vec<u8>);

impl Binding {
    pub(crate) fn new(
        caller: &Caller,
        endpoint: Option<&str>,
        (method, name): (&str, &str),
        arguments: &RawJson,
    ) -> Self {
        // Clients may write the same arguments in another way, so their meaning is bound: with each
        // digit of a number, and each of two members of one name. What is too long for that is bound
        // as it is written.
        let canonical = canonical(arguments);
        let arguments = canonical.as_ref().unwrap_or(arguments);
        let arguments = Sha256::digest(arguments.as_bytes());
        let kind = caller.kind.as_str();
        let mut bound = Vec::with_capacity(160);
        // No endpoint has an empty name.
        let endpoint = endpoint.unwrap_or_default();
        for part in [kind, &caller.issuer, &caller.id, endpoint, method, name] {
            bound.extend_from_slice(&part.len().to_be_bytes());
            bound.extend_from_slice(part.as_bytes());
        }
        bound.extend_from_slice(&arguments);
        Self(bound)
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Seals with a key of this run.
pub(crate) struct Seal(Option<XChaCha20Poly1305>);

impl Seal {
    /// A seal with a random key. Should there be no randomness, nothing is sealed.
    pub(crate) fn random() -> Self {
        let mut key = [0_u8; 32];
        let filled = getrandom::fill(&mut key).is_ok();
        Self(filled.then(|| XChaCha20Poly1305::new(&Key::from(key))))
    }

    /// The text for a client; `None` without randomness.
    pub(crate) fn seal(&self, claim: Claim, binding: &Binding) -> Option<String> {
        let mut nonce = [0_u8; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let payload = Payload {
            msg: &claim.to_bytes(),
            aad: &binding.0,
        };
        let cipher = self.0.as_ref()?;
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let bytes = [&nonce[..], &sealed].concat();
        Some(format!("{SEALED}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// What a text says that a client brought back; `None` unless it was sealed here for the same
    /// caller and call.
    pub(crate) fn open(&self, text: &str, binding: &Binding) -> Option<Claim> {
        let encoded = text.strip_prefix(SEALED)?;
        // All of ours are short; what is long is not worth the work.
        let bytes = (encoded.len() < 128)
            .then(|| URL_SAFE_NO_PAD.decode(encoded).ok())
            .flatten()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let payload = Payload {
            msg: sealed,
            aad: &binding.0,
        };
        let opened = self.0.as_ref()?.decrypt(&XNonce::from(*nonce), payload);
        Claim::from_bytes(&opened.ok()?)
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::CallerKind;
    use proptest::prelude::*;

    use super::*;

    fn binding(caller: &str, method: &str, name: &str, arguments: &str) -> Binding {
        let caller = Caller::new(CallerKind::ApiKey, caller);
        let arguments = RawJson::parse(arguments.to_owned()).unwrap();
        Binding::new(&caller, None, (method, name), &arguments)
    }

    const CLAIMED: Claim = Claim {
        call: 7,
        round: 2,
        expires: 99,
    };

    #[test]
    fn a_state_is_good_for_one_caller_and_one_call() {
        let seal = Seal::random();
        let ours = binding("a", "tools/call", "t", r#"{"x":1,"y":2}"#);
        let text = seal.seal(CLAIMED, &ours).unwrap();
        assert_eq!(seal.open(&text, &ours), Some(CLAIMED));
        let same = binding("a", "tools/call", "t", r#"{ "y" : 2, "x" : 1 }"#);
        assert_eq!(seal.open(&text, &same), Some(CLAIMED));
        for other in [
            binding("b", "tools/call", "t", r#"{"x":1,"y":2}"#),
            binding("a", "prompts/get", "t", r#"{"x":1,"y":2}"#),
            binding("a", "tools/call", "u", r#"{"x":1,"y":2}"#),
            binding("a", "tools/cal", "lt", r#"{"x":1,"y":2}"#),
            binding("a", "tools/call", "t", r#"{"x":1,"y":3}"#),
        ] {
            assert_eq!(seal.open(&text, &other), None);
        }
        assert_eq!(Seal::random().open(&text, &ours), None, "another run");
        let caller = Caller::new(CallerKind::ApiKey, "a");
        let arguments = RawJson::parse(r#"{"x":1,"y":2}"#).unwrap();
        let elsewhere = Binding::new(&caller, Some("e"), ("tools/call", "t"), &arguments);
        assert_eq!(seal.open(&text, &elsewhere), None, "another endpoint");
    }

    #[test]
    fn each_digit_and_each_member_of_the_arguments_is_bound() {
        let seal = Seal::random();
        for (ours, other) in [
            (
                r#"{"x":12345678901234567890123}"#,
                r#"{"x":12345678901234567890124}"#,
            ),
            (r#"{"x":0.1}"#, r#"{"x":0.10000000000000000001}"#),
            (r#"{"x":1,"x":2}"#, r#"{"x":2}"#),
            (r#"{"x":1,"x":2}"#, r#"{"x":2,"x":1}"#),
            (r#"{"x":1e400}"#, r#"{"x":1e401}"#),
        ] {
            let [ours, other] = [ours, other].map(|text| binding("a", "tools/call", "t", text));
            let text = seal.seal(CLAIMED, &ours).unwrap();
            assert_eq!(seal.open(&text, &ours), Some(CLAIMED));
            assert_eq!(seal.open(&text, &other), None);
        }
    }

    proptest! {
        #[test]
        fn what_was_changed_is_not_opened(at in 0_usize..100, to in "[A-Za-z0-9_-]") {
            let (seal, binding) = (Seal::random(), binding("a", "m", "n", "{}"));
            let text = seal.seal(CLAIMED, &binding).unwrap();
            let at = SEALED.len() + at % (text.len() - SEALED.len());
            let mut changed = text.clone();
            changed.replace_range(at..=at, &to);
            prop_assume!(changed != text);
            prop_assert_eq!(seal.open(&changed, &binding), None);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}", tail in "[A-Za-z0-9_-]{0,140}") {
            let (seal, binding) = (Seal::random(), binding("a", "m", "n", "{}"));
            prop_assert_eq!(seal.open(&text, &binding), None);
            prop_assert_eq!(seal.open(&format!("{SEALED}{tail}"), &binding), None);
        }
    }
}

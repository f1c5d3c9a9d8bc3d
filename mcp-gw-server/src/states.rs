//! `requestState` of servers behind (MCP 2026-07-28, basic/patterns/mrtr). The gateway speaks to a
//! server for many callers, so the server cannot tell whose a state is that comes back: the client
//! gets it sealed, for itself and this one call.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{Key, XChaCha20Poly1305, XNonce};
use mcp_gw_core::jsonrpc::as_str;
use mcp_gw_core::{Extras, Feature, JsonText, Members, Needle, ObjectWriter, RawJson};
use sha2::{Digest as _, Sha256};

use crate::engine::Engine;
use crate::exchange::Bound;
use crate::parked::{no_randomness, not_of_this_call};
use crate::rounds::STATE;
use crate::rpc_error::RpcError;
use crate::seal::Binding;

static QUOTED: Needle = Needle::new("\"requestState\"");

/// Before the sealed state of a server.
const SEALED: &str = "mcp-gw.2.";
const NONCE: usize = 24;

/// True for what looks like the sealed state of a server.
pub(crate) fn is_sealed(state: &str) -> bool {
    state.starts_with(SEALED)
}

/// Seals the states of servers: with a key of this run, or with keys that other gateways have, too.
#[derive(Clone)]
pub(crate) struct StateSeal {
    ciphers: Arc<[XChaCha20Poly1305]>,
    audience: Arc<str>,
}

impl StateSeal {
    /// With a random key. Should there be no randomness, nothing is sealed.
    pub(crate) fn random() -> Self {
        let mut key = [0_u8; 32];
        let filled = getrandom::fill(&mut key).is_ok();
        let cipher = filled.then(|| XChaCha20Poly1305::new(&Key::from(key)));
        Self::new(cipher, Arc::from(""))
    }

    /// Seals with the first of these, and opens what any of them sealed.
    pub(crate) fn new(
        ciphers: impl IntoIterator<Item = XChaCha20Poly1305>,
        audience: Arc<str>,
    ) -> Self {
        Self {
            ciphers: ciphers.into_iter().collect(),
            audience,
        }
    }

    /// The cipher for states that follows from the key for something else.
    pub(crate) fn derived(key: &[u8; 32]) -> XChaCha20Poly1305 {
        let derived: [u8; 32] = Sha256::new()
            .chain_update("mcp-gw key for requestState")
            .chain_update(key)
            .finalize()
            .into();
        XChaCha20Poly1305::new(&Key::from(derived))
    }

    /// The text for the client, good until `expires` in seconds of the time of day; `None` without
    /// randomness. `state` is the server's, as it wrote it.
    fn seal(&self, state: &RawJson, expires: u64, aad: &[u8]) -> Option<String> {
        let mut nonce = [0_u8; NONCE];
        getrandom::fill(&mut nonce).ok()?;
        let message = [&expires.to_be_bytes()[..], state.as_bytes()].concat();
        let payload = Payload { msg: &message, aad };
        let cipher = self.ciphers.first()?;
        let sealed = cipher.encrypt(&XNonce::from(nonce), payload).ok()?;
        let bytes = [&nonce[..], &sealed].concat();
        Some(format!("{SEALED}{}", URL_SAFE_NO_PAD.encode(bytes)))
    }

    /// What [`Self::seal`] was given, if it was for the same call and is good still.
    fn open(&self, text: &str, now: u64, aad: &[u8]) -> Option<RawJson> {
        let bytes = URL_SAFE_NO_PAD.decode(text.strip_prefix(SEALED)?).ok()?;
        let (nonce, sealed) = bytes.split_first_chunk::<NONCE>()?;
        let opened = self.ciphers.iter().find_map(|cipher| {
            let payload = Payload { msg: sealed, aad };
            cipher.decrypt(&XNonce::from(*nonce), payload).ok()
        })?;
        let (expires, state) = opened.split_first_chunk()?;
        if now >= u64::from_be_bytes(*expires) {
            return None;
        }
        RawJson::parse(state.to_vec()).ok()
    }

    /// What a state is bound to: the call, and the server that gave it.
    fn aad(&self, binding: &Binding, server: &str) -> Vec<u8> {
        let mut aad = Vec::with_capacity(256);
        for part in ["mcp-gw requestState", &self.audience, server] {
            aad.extend_from_slice(&(part.len() as u64).to_be_bytes());
            aad.extend_from_slice(part.as_bytes());
        }
        aad.extend_from_slice(binding.as_bytes());
        aad
    }
}

impl Engine {
    /// The server that a use goes to; none that the catalogue knows is one without a name.
    pub(crate) fn server_of(&self, bound: &Bound) -> Arc<str> {
        let catalogue = self.gateway().catalogue_at(self.endpoint());
        let server = match bound.feature {
            Feature::Resource => catalogue.locate(&bound.name).map(|(server, ..)| server),
            feature => catalogue
                .find(feature, &bound.name)
                .map(|entry| Arc::clone(&entry.server)),
        };
        server.unwrap_or_else(|| Arc::from(""))
    }

    /// Puts the server's own state in the place of the sealed one that the client brought back.
    ///
    /// # Errors
    /// When it was not given to this caller for this very call, or has expired.
    pub(crate) fn open_state(
        &self,
        bound: &Bound,
        server: &str,
        extras: &mut Extras,
    ) -> Result<(), RpcError> {
        let mut members = extras.members.iter_mut();
        let Some((_, raw)) = members.find(|(name, _)| name == STATE) else {
            return Ok(());
        };
        let seal = &self.inner.states;
        let text: String = raw.decode_owned().unwrap_or_default();
        let aad = seal.aad(&bound.binding(), server);
        *raw = seal
            .open(&text, self.inner.parking.now(), &aad)
            .ok_or_else(not_of_this_call)?;
        Ok(())
    }

    /// The result with the state in it sealed, if it asks for input and has one.
    pub(crate) fn seal_state(
        &self,
        bound: &Bound,
        server: &str,
        result: RawJson,
    ) -> Result<RawJson, RpcError> {
        if !result.may_have(&[&QUOTED]) {
            return Ok(result);
        }
        let Ok(members) = result.members() else {
            return Ok(result);
        };
        let Some(state) = state_to_bring_back(&members) else {
            return Ok(result);
        };
        let seal = &self.inner.states;
        let aad = seal.aad(&bound.binding(), server);
        let sealed = seal
            .seal(&result.slice(state), self.inner.parking.expiry(), &aad)
            .ok_or_else(no_randomness)?;
        let writer = ObjectWriter::with_capacity(result.len() + sealed.len() + 64);
        Ok(writer
            .members(&members, &[STATE])
            .string(STATE, &sealed)
            .finish())
    }
}

/// The state of a result that asks for input; in another one the member is nothing of this hop.
fn state_to_bring_back<'r>(members: &Members<'r>) -> Option<JsonText<'r>> {
    let kind = members.get("resultType").and_then(as_str);
    let state = members.get(STATE)?;
    let is_asked_for = kind.as_deref() == Some("input_required");
    (is_asked_for && state.get().starts_with('"')).then_some(state)
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::{Caller, CallerKind};
    use proptest::prelude::*;

    use super::*;

    fn aad(seal: &StateSeal, caller: &str, name: &str, arguments: &str, server: &str) -> Vec<u8> {
        let caller = Caller::new(CallerKind::ApiKey, caller);
        let arguments = RawJson::parse(arguments.to_owned()).unwrap();
        let binding = Binding::new(&caller, None, ("tools/call", name), &arguments);
        seal.aad(&binding, server)
    }

    #[test]
    fn the_state_of_a_server_is_good_for_one_caller_call_and_server() {
        let seal = StateSeal::random();
        let state = RawJson::parse(r#""a\u0062 \/ é""#).unwrap();
        let ours = aad(&seal, "alice", "t", r#"{"x":1,"y":2}"#, "s");
        let text = seal.seal(&state, 100, &ours).unwrap();
        assert!(is_sealed(&text) && !text.contains("ab"));
        assert_eq!(seal.open(&text, 99, &ours), Some(state.clone()));
        assert_eq!(seal.open(&text, 100, &ours), None, "it has expired");
        let same = aad(&seal, "alice", "t", r#"{"y":2, "x":1}"#, "s");
        assert_eq!(seal.open(&text, 99, &same), Some(state));
        for other in [
            aad(&seal, "bob", "t", r#"{"x":1,"y":2}"#, "s"),
            aad(&seal, "alice", "u", r#"{"x":1,"y":2}"#, "s"),
            aad(&seal, "alice", "t", r#"{"x":2,"y":1}"#, "s"),
            aad(&seal, "alice", "t", r#"{"x":1,"y":2}"#, "r"),
        ] {
            assert_eq!(seal.open(&text, 99, &other), None);
        }
        assert_eq!(StateSeal::random().open(&text, 99, &ours), None);
    }

    #[test]
    fn gateways_with_the_same_key_open_each_others_states() {
        let seal = |keys: &[u8], audience: &str| {
            let ciphers = keys.iter().map(|key| StateSeal::derived(&[*key; 32]));
            StateSeal::new(ciphers, Arc::from(audience))
        };
        let (one, changed, none) = (
            seal(&[1], "/mcp"),
            seal(&[2, 1], "/mcp"),
            seal(&[2], "/mcp"),
        );
        let state = RawJson::string("s");
        let bound = aad(&one, "a", "t", "{}", "s");
        let text = one.seal(&state, 100, &bound).unwrap();
        assert_eq!(changed.open(&text, 99, &bound), Some(state));
        assert_eq!(none.open(&text, 99, &bound), None);
        let elsewhere = aad(&seal(&[1], "/other"), "a", "t", "{}", "s");
        assert_eq!(one.open(&text, 99, &elsewhere), None);
    }

    #[test]
    fn only_who_asks_for_input_has_a_state_that_comes_back() {
        let state = |text: &str| {
            let result = RawJson::parse(text.to_owned()).unwrap();
            let members = result.members().unwrap();
            state_to_bring_back(&members).map(|raw| raw.get().to_owned())
        };
        for kind in ["input_required", r"input\u005frequired"] {
            let asks = format!(r#"{{"resultType":"{kind}","requestState":"a\/b"}}"#);
            assert_eq!(state(&asks).as_deref(), Some(r#""a\/b""#));
        }
        for other in [
            r#"{"content":[],"requestState":"mine"}"#,
            r#"{"resultType":"complete","content":[],"requestState":"mine"}"#,
            r#"{"resultType":"task","taskId":"1","requestState":"mine"}"#,
            r#"{"resultType":"input_required","inputRequests":{}}"#,
        ] {
            assert_eq!(state(other), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn no_text_opens_that_was_not_sealed(text in "\\PC{0,60}", tail in "[A-Za-z0-9_-]{0,140}") {
            let seal = StateSeal::random();
            prop_assert_eq!(seal.open(&text, 0, b"a"), None);
            prop_assert_eq!(seal.open(&format!("{SEALED}{tail}"), 0, b"a"), None);
        }
    }
}

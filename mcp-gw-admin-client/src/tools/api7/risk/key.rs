//! The public keys of certificates: of what sort they are, and how long.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

/// Longer chains are not looked at.
const MOST: usize = 10;

/// A public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Key {
    /// RSA, of so many bits.
    Rsa(usize),
    /// On an elliptic curve of so many bits.
    Ec(usize),
    /// Ed25519 or Ed448, whose lengths are fixed and enough.
    Edwards,
}

/// The keys of the certificates in a PEM text. `None` when there is none, or one that cannot be read.
pub(crate) fn keys(pem: &str) -> Option<Vec<Key>> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).take(MOST);
    let all: Option<Vec<Key>> = all.map(|der| key(der.ok()?.as_ref())).collect();
    all.filter(|all| !all.is_empty())
}

const INTEGER: u8 = 0x02;
const BITS: u8 = 0x03;
const OID: u8 = 0x06;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;

const RSA: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
const RSA_PSS: [u8; 9] = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
const EC: [u8; 7] = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
const ED25519: [u8; 3] = [0x2b, 0x65, 0x70];
const ED448: [u8; 3] = [0x2b, 0x65, 0x71];

/// What the member `subjectPublicKeyInfo` says (RFC 5280, section 4.1).
fn key(certificate: &[u8]) -> Option<Key> {
    let mut certificate = Der(Der(certificate).next(SEQUENCE)?);
    let mut fields = Der(certificate.next(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.next(VERSION)?;
    }
    fields.next(INTEGER)?;
    // The algorithm, the issuer, from when until when, and the subject.
    for _ in 0..4 {
        fields.next(SEQUENCE)?;
    }
    let mut info = Der(fields.next(SEQUENCE)?);
    let algorithm = Der(info.next(SEQUENCE)?).next(OID)?;
    let (unused, key) = info.next(BITS)?.split_first()?;
    if *unused != 0 {
        return None;
    }
    if algorithm == RSA || algorithm == RSA_PSS {
        let modulus = Der(Der(key).next(SEQUENCE)?).next(INTEGER)?;
        let start = modulus.iter().position(|byte| *byte != 0)?;
        let (first, rest) = modulus.get(start..)?.split_first()?;
        let of_first = u8::BITS - first.leading_zeros();
        return Some(Key::Rsa(usize::try_from(of_first).ok()? + rest.len() * 8));
    }
    if algorithm == EC {
        let (form, point) = key.split_first()?;
        let bits = match form {
            4 => point.len() * 4,
            2 | 3 => point.len() * 8,
            _ => return None,
        };
        // The one curve whose length is not one of whole bytes.
        return Some(Key::Ec(if bits == 528 { 521 } else { bits }));
    }
    (algorithm == ED25519 || algorithm == ED448).then_some(Key::Edwards)
}

/// Elements of DER that follow each other.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    /// The content of the next element, when it has this tag.
    fn next(&mut self, tag: u8) -> Option<&'a [u8]> {
        let (found, rest) = self.0.split_first()?;
        let (&length, mut rest) = rest.split_first()?;
        let length = if length < 0x80 {
            usize::from(length)
        } else {
            let number = usize::from(length & 0x7f);
            if number == 0 || number > 4 {
                return None;
            }
            let (bytes, after) = rest.split_at_checked(number)?;
            rest = after;
            bytes
                .iter()
                .fold(0, |sum, &byte| (sum << 8) | usize::from(byte))
        };
        let (content, after) = rest.split_at_checked(length)?;
        self.0 = after;
        (*found == tag).then_some(content)
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;
    use rcgen::{CertificateParams, KeyPair};

    use super::*;

    /// Certificates whose keys are short: RSA 1024 and P-192.
    pub(crate) const RSA_1024: &str = include_str!("key/rsa-1024.pem");
    pub(crate) const P_192: &str = include_str!("key/p-192.pem");

    pub(crate) fn pem(algorithm: &'static rcgen::SignatureAlgorithm) -> String {
        let pair = KeyPair::generate_for(algorithm).unwrap();
        let params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        params.self_signed(&pair).unwrap().pem()
    }

    #[test]
    fn keys_are_found_in_certificates() {
        let of = |pem: &str| keys(pem);
        assert_eq!(of(RSA_1024), Some(vec![Key::Rsa(1024)]));
        assert_eq!(of(P_192), Some(vec![Key::Ec(192)]));
        let p256 = pem(&rcgen::PKCS_ECDSA_P256_SHA256);
        let p384 = pem(&rcgen::PKCS_ECDSA_P384_SHA384);
        let chain = format!("{p256}{p384}{RSA_1024}");
        let all = vec![Key::Ec(256), Key::Ec(384), Key::Rsa(1024)];
        assert_eq!(of(&chain), Some(all));
        assert_eq!(of(&pem(&rcgen::PKCS_ED25519)), Some(vec![Key::Edwards]));
        let half: String = p256.chars().take(200).collect();
        for text in ["", "-----BEGIN CERTIFICATE-----", "x", &half] {
            assert_eq!(of(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_break_it(at in 0usize..400, byte in any::<u8>(), end in 0usize..600) {
            let der = CertificateDer::from_pem_slice(RSA_1024.as_bytes()).unwrap();
            let mut bytes = der.as_ref().to_vec();
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            bytes.truncate(end);
            let _ = key(&bytes);
        }
    }
}

//! Certificates: of what sort their public keys are and how long, and when they end.

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

/// When the first of the certificates in a PEM text ends, in seconds since 1970. `None` when there is none, or one that
/// cannot be read.
pub(crate) fn end(pem: &str) -> Option<i64> {
    let all = CertificateDer::pem_slice_iter(pem.as_bytes()).take(MOST);
    let all: Option<Vec<i64>> = all.map(|der| not_after(der.ok()?.as_ref())).collect();
    all?.into_iter().min()
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

/// The members of a certificate from its issuer on (RFC 5280, section 4.1).
fn fields(certificate: &[u8]) -> Option<Der<'_>> {
    let mut certificate = Der(Der(certificate).next(SEQUENCE)?);
    let mut fields = Der(certificate.next(SEQUENCE)?);
    if fields.0.first() == Some(&VERSION) {
        fields.next(VERSION)?;
    }
    fields.next(INTEGER)?;
    // The algorithm.
    fields.next(SEQUENCE)?;
    Some(fields)
}

const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// What the member `validity` says (RFC 5280, section 4.1.2.5).
fn not_after(certificate: &[u8]) -> Option<i64> {
    let mut fields = fields(certificate)?;
    // The issuer.
    fields.next(SEQUENCE)?;
    let mut validity = Der(fields.next(SEQUENCE)?);
    let first = *validity.0.first()?;
    validity.next(first)?;
    let tag = *validity.0.first()?;
    let text = std::str::from_utf8(validity.next(tag)?)
        .ok()?
        .strip_suffix('Z')?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 || !rest.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |at: usize| rest.get(at..at + 2)?.parse::<i64>().ok();
    let (month, day) = (part(0)?, part(2)?);
    let is_date =
        (1..=9999).contains(&year) && (1..=12).contains(&month) && (1..=31).contains(&day);
    // A year that begins in March has its odd day at the end.
    let (year, month) = if month < 3 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days =
        365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 719_469;
    is_date.then_some(((days * 24 + part(4)?) * 60 + part(6)?) * 60 + part(8)?)
}

/// What the member `subjectPublicKeyInfo` says (RFC 5280, section 4.1).
fn key(certificate: &[u8]) -> Option<Key> {
    let mut fields = fields(certificate)?;
    // The issuer, from when until when, and the subject.
    for _ in 0..3 {
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

    #[test]
    fn certificates_say_when_they_end() {
        // As `openssl x509 -enddate` tells of them.
        let of = |year: i32, month: u8, day: u8| {
            let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            let mut params = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
            params.not_after = rcgen::date_time_ymd(year, month, day);
            params.self_signed(&pair).unwrap().pem()
        };
        for (year, month, day, seconds) in [
            (2000, 2, 29, 951_782_400),
            (2026, 7, 28, 1_785_196_800),
            (2049, 12, 31, 2_524_521_600),
            (2050, 1, 1, 2_524_608_000),
            (4096, 3, 1, 67_095_302_400),
        ] {
            assert_eq!(
                end(&of(year, month, day)),
                Some(seconds),
                "{year}-{month}-{day}"
            );
        }
        let both = format!("{}{}", of(2040, 1, 1), of(2030, 1, 1));
        assert_eq!(end(&both), Some(1_893_456_000));
        assert_eq!(end("x"), None);
        assert_eq!(
            end("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
            None
        );
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
            let _ = (key(&bytes), not_after(&bytes));
        }
    }
}

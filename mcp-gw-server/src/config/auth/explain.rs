//! Tokens and signatures in sentences.

use std::fmt::Write as _;

use super::super::explain::origin;
use super::{AuthConfig, JwtAlgorithm, JwtConfig, SignatureProfile};

/// What is said of tokens and signatures. Nothing in it is secret.
pub(in super::super) fn explain(auth: &AuthConfig) -> Vec<String> {
    let mut lines: Vec<_> = auth.jwt.iter().map(issuer).collect();
    if let Some(signed) = &auth.signature {
        let keys: Vec<_> = signed.keys.iter().map(|key| key.id.as_str()).collect();
        let forms = signed.profiles.iter().map(|profile| match profile {
            SignatureProfile::Rfc9421 => "HTTP Message Signatures".to_owned(),
            SignatureProfile::Compact => format!("the header {}", signed.header),
        });
        let forms: Vec<_> = forms.collect();
        lines.push(format!(
            "{} with a key of {}, by {}, good for {}",
            if signed.required {
                "requests must be signed"
            } else {
                "requests may be signed"
            },
            keys.join(", "),
            forms.join(" or "),
            signed.max_age
        ));
    }
    lines
}

fn issuer(issuer: &JwtConfig) -> String {
    let name = issuer.issuer.as_deref().unwrap_or("any issuer");
    let keys = match &issuer.jwks {
        None => "a shared secret".to_owned(),
        Some(jwks) => match (&jwks.url, &jwks.file) {
            (Some(url), _) => format!("keys from {}", origin(url)),
            (None, Some(file)) => format!("keys in {}", file.display()),
            (None, None) => "no keys".to_owned(),
        },
    };
    let algorithms = issuer.allowed();
    let algorithms: Vec<_> = algorithms
        .iter()
        .copied()
        .map(JwtAlgorithm::as_str)
        .collect();
    let mut line = format!("tokens of {name}, {keys}, {}", algorithms.join(" "));
    // Writing to a text cannot fail.
    if issuer.any_audience {
        line.push_str(", for any audience");
    } else if !issuer.audience.is_empty() {
        let _ = write!(line, ", for {}", issuer.audience.join(" or "));
    }
    if let Some(max_age) = issuer.max_age {
        let _ = write!(line, ", at most {max_age} old");
    }
    line
}

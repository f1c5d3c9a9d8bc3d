//! Names of what is secret. All are in small letters, and without what is neither a letter nor a digit.

use std::borrow::Cow;

/// A name in small letters without what is neither a letter nor a digit: `X-Api-Key` is `xapikey`.
pub(crate) fn plain(name: &str) -> Cow<'_, str> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    if name.chars().all(is_plain) {
        return Cow::Borrowed(name);
    }
    name.chars()
        .map(narrow)
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect::<String>()
        .into()
}

/// A letter that only looks wider is the letter.
fn narrow(c: char) -> char {
    let code = u32::from(c);
    let ascii = (0xff01..=0xff5e).contains(&code).then(|| code - 0xfee0);
    ascii.and_then(char::from_u32).unwrap_or(c)
}

/// A secret is called by a name that ends like this, or with an `s` after it.
const ENDS: [&str; 42] = [
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pass",
    "pwd",
    "pw",
    "secret",
    "secretfallback",
    "token",
    "jwt",
    "jwtkey",
    "credential",
    "connectionstring",
    "privatekey",
    "secretkey",
    "accesskey",
    "accesskeysecret",
    "apikey",
    "authkey",
    "certkey",
    "clientkey",
    "serverkey",
    "sslkey",
    "tlskey",
    "sshkey",
    "sharedkey",
    "signingkey",
    "signaturekey",
    "encryptionkey",
    "encryptkey",
    "decryptionkey",
    "decryptkey",
    "aeskey",
    "cipherkey",
    "masterkey",
    "hmackey",
    "adminkey",
    "licensekey",
    "sessionkey",
    "storagekey",
    "accountkey",
];

const WHOLE: [&str; 16] = [
    "authorization",
    "authorizationheader",
    "proxyauthorization",
    "setcookie",
    "authheader",
    "accesskeyid",
    "secretaccesskey",
    "secretaccesskeyid",
    "serviceaccountjson",
    "keypem",
    "otp",
    "totp",
    "salt",
    "secretid",
    "sessionid",
    "jsessionid",
];

/// They end like a secret and are none.
const HARMLESS: [&str; 10] = [
    "nextpagetoken",
    "prevpagetoken",
    "pagetoken",
    "nexttoken",
    "continuationtoken",
    "proxypass",
    "bypass",
    "compass",
    "totaltokens",
    "maxtokens",
];

/// What says in which form a secret is, after its name.
const FORMS: [&str; 18] = [
    "value", "values", "hash", "hashed", "plain", "text", "pem", "b64", "base64", "raw", "data",
    "content", "current", "previous", "old", "new", "string", "salt",
];

/// These are secret also in the middle of a name, unless what follows is one of [`ABOUT`].
const WITHIN: [&str; 7] = [
    "password",
    "passwd",
    "passphrase",
    "privatekey",
    "secretkey",
    "apikey",
    "accesskey",
];

/// What is said of a secret without saying it.
const ABOUT: [&str; 54] = [
    "algorithm",
    "arg",
    "at",
    "count",
    "created",
    "createdat",
    "desc",
    "description",
    "enabled",
    "encryption",
    "endpoint",
    "expires",
    "expiresat",
    "expiry",
    "field",
    "file",
    "format",
    "header",
    "headers",
    "hint",
    "id",
    "ids",
    "in",
    "label",
    "labels",
    "lastused",
    "length",
    "less",
    "limit",
    "location",
    "max",
    "min",
    "mode",
    "name",
    "names",
    "param",
    "path",
    "pattern",
    "policy",
    "prefix",
    "query",
    "regex",
    "required",
    "reset",
    "rotation",
    "rule",
    "rules",
    "scope",
    "scopes",
    "status",
    "ttl",
    "type",
    "uri",
    "url",
];

/// Whether a text of this name is secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let core = core(name);
    if HARMLESS.iter().any(|harmless| core.ends_with(harmless)) {
        return false;
    }
    let single = core.strip_suffix('s').unwrap_or(core);
    WHOLE.contains(&name)
        || WHOLE.contains(&core)
        || ENDS
            .iter()
            .any(|end| core.ends_with(end) || single.ends_with(end))
        || is_secret_within(core)
}

/// The name without what says in which form a secret is.
fn core(name: &str) -> &str {
    let mut core = name.trim_end_matches(|c: char| c.is_ascii_digit());
    for _ in 0..2 {
        let shorter = FORMS.iter().find_map(|form| core.strip_suffix(form));
        core = shorter.filter(|core| !core.is_empty()).unwrap_or(core);
    }
    if core.is_empty() { name } else { core }
}

fn is_secret_within(core: &str) -> bool {
    WITHIN.iter().any(|word| {
        core.rsplit_once(word).is_some_and(|(_, after)| {
            let is_about =
                |about: &&str| after == *about || (about.len() > 3 && after.ends_with(about));
            !ABOUT.iter().any(is_about)
        })
    })
}

/// Whether a number of this name is secret: fewer are than texts, as a number of tokens is no token.
pub(crate) fn is_secret_number(name: &str, number: &str) -> bool {
    let core = core(name);
    let is_long = number.bytes().filter(u8::is_ascii_digit).count() >= 6;
    if core.ends_with("token") || core.ends_with("credential") {
        return is_long && matches!(core, "token" | "accesstoken" | "authtoken" | "apitoken");
    }
    let is_harmless = HARMLESS.iter().any(|harmless| core.ends_with(harmless));
    let is_named = WHOLE.contains(&core) || ENDS.iter().any(|end| core.ends_with(end));
    is_named && !is_harmless
}

/// Names of members that hold secrets, or say what kind of secret is used.
pub(crate) fn is_soft_secret(name: &str, text: &str) -> bool {
    const KINDS: [&str; 26] = [
        "none",
        "no",
        "off",
        "on",
        "basic",
        "bearer",
        "digest",
        "jwt",
        "hmac",
        "oauth",
        "oauth2",
        "oidc",
        "saml",
        "ldap",
        "kerberos",
        "plain",
        "mutual",
        "mtls",
        "tls",
        "required",
        "optional",
        "enabled",
        "disabled",
        "anonymous",
        "default",
        "custom",
    ];
    const LICENCES: [&str; 14] = [
        "apache",
        "mit",
        "bsd",
        "gpl",
        "mpl",
        "isc",
        "proprietary",
        "commercial",
        "enterprise",
        "community",
        "trial",
        "free",
        "standard",
        "valid",
    ];
    let small = text.to_ascii_lowercase();
    match name {
        "auth" | "authentication" => {
            !KINDS.contains(&&*small) && !small.ends_with("-auth") && !small.contains("://")
        }
        "license" | "licence" => {
            !text.contains(' ') && !LICENCES.iter().any(|word| small.contains(word))
        }
        // What a plugin counts by or looks for is a variable or a name.
        "keys" => {
            !text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_') && !text.starts_with('$')
        }
        _ => false,
    }
}

/// Whether a header of this name proves who sends it. Variables are filled in later.
pub(crate) fn is_secret_field(name: &str, value: &str) -> bool {
    if name.starts_with("accesscontrol") || is_filled_in(value) {
        return false;
    }
    if is_secret_name(name) {
        return !is_count(name, value);
    }
    let is_plain_value =
        value.bytes().all(|b| b.is_ascii_digit()) || matches!(value, "true" | "false");
    let within = ["secret", "token", "passw", "apikey", "credential"];
    let is_named =
        within.iter().any(|word| name.contains(word)) || name.ends_with("auth") || name == "cookie";
    is_named && !is_plain_value
}

/// A variable of NGINX alone.
pub(crate) fn is_filled_in(value: &str) -> bool {
    let is_word = |text: &str| {
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    value.strip_prefix('$').is_some_and(|rest| {
        let inner = rest
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        is_word(inner.unwrap_or(rest)) && value.len() <= 64
    })
}

/// So many tokens are no token.
pub(crate) fn is_count(name: &str, text: &str) -> bool {
    name.ends_with('s') && !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// Whether a parameter of a URL of this name lets in whoever has the URL.
pub(crate) fn is_secret_parameter(name: &str) -> bool {
    const MORE: [&str; 5] = ["code", "key", "sig", "signature", "auth"];
    is_secret_name(name) || MORE.contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_secrets_are_known_in_many_forms() {
        for name in [
            "tokens",
            "api_keys",
            "apikeys",
            "access_keys",
            "secrets",
            "private_key_pem",
            "ssl_key",
            "tls_key",
            "server_key",
            "ssh_key",
            "key_pem",
            "encrypt_key",
            "aes_key",
            "signature_key",
            "password_hash",
            "authorization_header",
            "smtp_pass",
            "userpass",
            "db_pwd",
            "mysql_pw",
            "jwt",
            "otp",
            "secret_id",
            "hmac_secret_keys",
            "p.assword",
            "Authorization ",
            "ｐassword",
            "pass\u{fffd}word",
            "password2",
            "passwordForDb",
            "user_token_value",
            "client_secret_jwt_key",
            "access_token_secret",
            "x-api-key",
            "new_password",
            "password_new",
            "token_hash",
            "rsa_private_key",
        ] {
            assert!(is_secret_name(&plain(name)), "{name}");
        }
    }

    #[test]
    fn what_is_said_of_secrets_is_none() {
        for name in [
            "cache_bypass",
            "proxy_pass",
            "next_page_token",
            "token_endpoint",
            "password_policy",
            "password_expires_at",
            "api_key_header",
            "api_key_name",
            "secret_name",
            "passwordless",
            "key",
            "cache_key",
            "partition_key",
            "access_control",
            "context",
            "max_tokens",
            "author",
            "hash_on",
        ] {
            assert!(!is_secret_name(&plain(name)), "{name}");
        }
    }

    #[test]
    fn some_numbers_are_secret_and_counts_are_not() {
        for (name, number) in [
            ("apikey", "12345678"),
            ("secret", "987654"),
            ("password", "-1"),
            ("redispassword", "1"),
            ("token", "123456"),
            ("otp", "7"),
        ] {
            assert!(is_secret_number(name, number), "{name}");
        }
        for (name, number) in [
            ("token", "7"),
            ("maxtokens", "1000000"),
            ("secrets", "3"),
            ("apikeys", "2"),
            ("tokenttl", "3600000"),
            ("passwordminlength", "8"),
            ("bypass", "1"),
        ] {
            assert!(!is_secret_number(name, number), "{name}");
        }
    }
}

//! What a model reads when something failed: what happened, whether anything was done, and what to do next.

use mcp_gw_core::ToolError;

use crate::http::{Done, Error, ErrorKind};
use crate::tools::answer::Failure;
use crate::tools::redact::without_secrets;

/// What is called what, and what helps, at one API.
#[derive(Debug)]
pub(crate) struct Words {
    /// The API, with an article.
    pub(crate) api: &'static str,
    /// The setting of its address.
    pub(crate) address: &'static str,
    /// The setting of the address of the gateway.
    pub(crate) gateway: &'static str,
    /// What to do when the credentials are not accepted.
    pub(crate) unauthorized: &'static str,
    /// What to do when they do not permit it.
    pub(crate) forbidden: &'static str,
    /// Where ids are found.
    pub(crate) not_found: &'static str,
    /// Where it is found what a body has to look like.
    pub(crate) invalid: &'static str,
    /// What must not go to the gateway, and why.
    pub(crate) secret: &'static str,
    /// The tool that changes a part only.
    pub(crate) patch: &'static str,
    /// How less is asked for at once.
    pub(crate) less: &'static str,
}

/// Those of API7 Enterprise.
pub(crate) static API7: Words = OF_API7;

/// The same for a path that no kind of resource has.
pub(crate) static ANY_PATH: Words = Words {
    not_found: "Check the path and the ids in it: the API reference of this version of the dashboard says which there are. \
        Ask the user for it, and do not guess paths.",
    invalid: "Correct what the message names: the API reference of this version of the dashboard says what this path takes.",
    ..OF_API7
};

const OF_API7: Words = Words {
    api: "the dashboard",
    address: "DASHBOARD_URL",
    gateway: "GATEWAY_URL",
    unauthorized: "The token is not accepted: it is wrong or has expired. The user has to make a new token in the \
        dashboard and give it to this server (TOKEN).",
    forbidden: "The token's owner may not do this. The user has to ask for a role with a permission policy that allows \
        it; get_permission_policy_by_role shows what a role allows.",
    not_found: "Check the ids: list the resources of this kind, in this gateway group, and take the id from there.",
    invalid: "Correct what the message names. read_resource shows the schemas: kind pluginSchema for a plugin, \
        coreSchema for resources.",
    secret: "dashboard's token, which goes to the dashboard only",
    patch: "patch_resource",
    less: "a smaller page_size, or search",
};

/// In what is said of a connection that goes through a proxy.
const THROUGH: &str = " cannot be reached through the proxy ";

/// What happened at the dashboard of an API7 Enterprise, and what to do next, in sentences without secrets: what the
/// tools say of it.
pub fn explain(error: &Error) -> String {
    explain_as(&API7, error)
}

/// What happened, in the words of the API, which may repeat what was sent to it: without the secrets in that.
pub(crate) fn says(error: &Error) -> String {
    without_secrets(&error.to_string()).into_owned()
}

/// What happened and what to do next.
pub(crate) fn explain_as(words: &Words, error: &Error) -> String {
    let mut text = says(error);
    if !text.ends_with(['.', '!', '?', '…']) {
        text.push('.');
    }
    if error.done == Done::Unknown {
        text.push_str(" It may have been done or not: read the resource before you try again.");
    }
    text.push(' ');
    text.push_str(&next_step(words, error));
    text
}

fn next_step(words: &Words, error: &Error) -> String {
    let wait = error.retry_after.map(|wait| wait.as_secs());
    let Words { api, address, .. } = words;
    match error.kind {
        ErrorKind::Request => "Nothing was sent. Correct the argument and call again.".to_owned(),
        ErrorKind::Unauthorized => words.unauthorized.to_owned(),
        ErrorKind::Forbidden => words.forbidden.to_owned(),
        ErrorKind::NotFound => words.not_found.to_owned(),
        ErrorKind::Conflict => {
            "It exists already, or has changed meanwhile. Read it, then change what is there."
                .to_owned()
        }
        ErrorKind::RateLimited => match wait {
            Some(seconds) => format!("Wait {seconds} s before the next call."),
            None => "Wait a little before the next call.".to_owned(),
        },
        ErrorKind::Invalid if error.status == Some(451) => {
            "The API may not answer this, for legal reasons; the user has to ask who runs it."
                .to_owned()
        }
        ErrorKind::Invalid => words.invalid.to_owned(),
        ErrorKind::Server => {
            let who: String = api
                .chars()
                .take(1)
                .flat_map(char::to_uppercase)
                .chain(api.chars().skip(1))
                .collect();
            format!("{who} failed; its logs say why.")
        }
        ErrorKind::Unavailable if error.status == Some(407) => {
            "The proxy (--proxy, or proxy in the configuration of this server) does not let requests through: the user has \
             to give its user name and password in its address, http://user:password@host:3128."
                .to_owned()
        }
        ErrorKind::Unavailable if is_distrust(error) => format!(
            "Its certificate is not believed, and nothing was sent. The user has to give this server the certificate \
             of the authority that signed it (--ca-file, or ca_file in its configuration), or correct the host in {address}."
        ),
        ErrorKind::Unavailable if error.message.contains(THROUGH) => format!(
            "Try again later; if that fails, the user has to check that the proxy (--proxy, or proxy in the configuration of \
             this server) and {api} run, and that {address} is its address."
        ),
        ErrorKind::Unavailable => match wait {
            Some(seconds) => format!(
                "Try again in {seconds} s; if that fails, the user has to check that {api} runs."
            ),
            None => format!(
                "Try again later; if that fails, the user has to check that {api} runs and that {address} is its \
                 address."
            ),
        },
        ErrorKind::Timeout | ErrorKind::Lost => {
            format!("Try again later, or ask for less at once: {}.", words.less)
        }
        ErrorKind::TooLarge => format!("Ask for less at once: {}.", words.less),
        ErrorKind::NotJson | ErrorKind::Redirected => {
            format!("The user has to check that {address} is the address of {api} itself.")
        }
    }
}

/// What to do about a certificate that is not believed.
pub(crate) fn distrust(error: &Error) -> Option<&'static str> {
    is_distrust(error).then_some(
        " Its certificate is not believed, and nothing was sent. The user has to give this server the certificate of the \
         authority that signed it (--ca-file, or ca_file in its configuration).",
    )
}

/// The certificate of the other side was not believed.
fn is_distrust(error: &Error) -> bool {
    error.status.is_none() && error.message.contains("certificate")
}

/// The failure of a whole call at the dashboard.
pub(crate) fn failed(error: &Error) -> ToolError {
    failed_as(&API7, error)
}

/// The failure of a whole call.
pub(crate) fn failed_as(words: &Words, error: &Error) -> ToolError {
    let text = explain_as(words, error);
    if error.kind == ErrorKind::Request {
        return ToolError::invalid_arguments(text);
    }
    ToolError::failed(text)
}

/// The failure of one of several requests.
pub(crate) fn failure(error: &Error) -> Failure {
    Failure {
        kind: error.kind.as_str().to_owned(),
        status: error.status,
        message: explain(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_failure_has_a_next_step_and_says_whether_something_was_done() {
        for kind in [
            ErrorKind::Request,
            ErrorKind::Unauthorized,
            ErrorKind::Forbidden,
            ErrorKind::NotFound,
            ErrorKind::Conflict,
            ErrorKind::RateLimited,
            ErrorKind::Invalid,
            ErrorKind::Server,
            ErrorKind::Unavailable,
            ErrorKind::Timeout,
            ErrorKind::Lost,
            ErrorKind::TooLarge,
            ErrorKind::NotJson,
            ErrorKind::Redirected,
        ] {
            for done in [Done::No, Done::Unknown] {
                let text = explain(&Error::new(kind, "what happened", done));
                assert!(text.starts_with("what happened. "), "{text}");
                assert!(text.len() > 40 && text.ends_with('.'), "{text}");
                let is_said = text.contains("may have been done");
                assert_eq!(is_said, done == Done::Unknown, "{text}");
            }
        }
    }

    #[test]
    fn who_is_told_to_wait_is_told_how_long() {
        let mut error = Error::new(ErrorKind::RateLimited, "slow down", Done::No);
        error.retry_after = Some(std::time::Duration::from_secs(17));
        assert!(explain(&error).contains("17 s"));
    }

    #[test]
    fn a_certificate_that_is_not_believed_is_no_riddle() {
        let message = "https://h cannot be reached: invalid peer certificate: UnknownIssuer";
        let text = explain(&Error::new(ErrorKind::Unavailable, message, Done::No));
        assert!(text.contains("--ca-file"), "{text}");
    }
}

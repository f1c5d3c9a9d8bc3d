//! What a model reads when something failed: what happened, whether anything was done, and what to do next.

use mcp_gw_core::ToolError;

use crate::http::{Done, Error, ErrorKind};
use crate::tools::answer::Failure;

/// What happened and what to do next.
pub(crate) fn explain(error: &Error) -> String {
    let mut text = error.to_string();
    if !text.ends_with(['.', '!', '?', '…']) {
        text.push('.');
    }
    if error.done == Done::Unknown {
        text.push_str(" It may have been done or not: read the resource before you try again.");
    }
    text.push(' ');
    text.push_str(&next_step(error));
    text
}

fn next_step(error: &Error) -> String {
    let wait = error.retry_after.map(|wait| wait.as_secs());
    match error.kind {
        ErrorKind::Request => "Nothing was sent. Correct the argument and call again.".to_owned(),
        ErrorKind::Unauthorized => "The token is not accepted: it is wrong or has expired. The user has to make a new \
             token in the dashboard and give it to this server (TOKEN)."
            .to_owned(),
        ErrorKind::Forbidden => "The token's owner may not do this. The user has to ask for a role with a permission \
             policy that allows it; get_permission_policy_by_role shows what a role allows."
            .to_owned(),
        ErrorKind::NotFound => "Check the ids: list the resources of this kind, in this gateway group, and take the \
             id from there."
            .to_owned(),
        ErrorKind::Conflict => "It exists already, or has changed meanwhile. Read it, then change what is there."
            .to_owned(),
        ErrorKind::RateLimited => match wait {
            Some(seconds) => format!("Wait {seconds} s before the next call."),
            None => "Wait a little before the next call.".to_owned(),
        },
        ErrorKind::Invalid => "Correct what the message names. read_resource shows the schemas: kind pluginSchema for \
             a plugin, coreSchema for resources."
            .to_owned(),
        ErrorKind::Server => "The dashboard failed; its logs say why.".to_owned(),
        ErrorKind::Unavailable if is_distrust(error) => "Its certificate is not believed, and nothing was sent. The user \
             has to give this server the certificate of the authority that signed it (ca_pem), or correct the host in \
             DASHBOARD_URL."
            .to_owned(),
        ErrorKind::Unavailable => match wait {
            Some(seconds) => format!("Try again in {seconds} s; if that fails, the user has to check that the dashboard runs."),
            None => "Try again later; if that fails, the user has to check that the dashboard runs and that \
                     DASHBOARD_URL is its address."
                .to_owned(),
        },
        ErrorKind::Timeout | ErrorKind::Lost => {
            "Try again later, or ask for less at once (page_size).".to_owned()
        }
        ErrorKind::TooLarge => "Ask for less at once: a smaller page_size, or search.".to_owned(),
        ErrorKind::NotJson | ErrorKind::Redirected => {
            "The user has to check that DASHBOARD_URL is the address of the dashboard itself.".to_owned()
        }
    }
}

/// The certificate of the other side was not believed.
fn is_distrust(error: &Error) -> bool {
    error.status.is_none() && error.message.contains("certificate")
}

/// The failure of a whole call.
pub(crate) fn failed(error: &Error) -> ToolError {
    if error.kind == ErrorKind::Request {
        return ToolError::invalid_arguments(explain(error));
    }
    ToolError::failed(explain(error))
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
        assert!(text.contains("ca_pem"), "{text}");
    }
}

//! The variables of API Gateway MCP. What they hold is never repeated.

use super::APIS;
use crate::config::fault::Fault;
use crate::config::path::ConfigPath;

/// What the environment says.
#[derive(Debug, Default)]
pub(super) struct Variables {
    /// The addresses of APIs, without blanks around them.
    pub(super) apis: Option<Vec<String>>,
    /// Requests in a minute.
    pub(super) rate: Option<u64>,
    pub(super) is_required: Option<bool>,
}

impl Variables {
    /// The path of faults about a variable.
    pub(super) fn path(name: &str) -> ConfigPath {
        ConfigPath::root().key(name)
    }

    /// Reads them. A variable that is set and empty is none that is set, but for `AUTH_REQUIRED`: that one
    /// says who is let in.
    pub(super) fn read(env: &dyn Fn(&str) -> Option<String>) -> (Self, Vec<Fault>) {
        let mut faults = Vec::new();
        let mut refuse = |name: &str, message: &str, help: &str| {
            faults.push(Fault::new(Self::path(name), message).with_help(help));
        };
        let set = |name: &str| env(name).filter(|text| !text.trim().is_empty());
        let apis = set(APIS).map(|text| {
            let items = text.split(',').map(str::trim);
            let items = items.filter(|item| !item.is_empty());
            items.map(str::to_owned).collect::<Vec<_>>()
        });
        if apis.as_ref().is_some_and(Vec::is_empty) {
            let help =
                "write addresses with commas between them, such as `https://api.example.com`";
            refuse(APIS, "the variable names no API", help);
        }
        let apis = apis.map(|apis| {
            if apis.len() <= MOST {
                return apis;
            }
            let message = "the variable names more than 1000 APIs";
            refuse(APIS, message, "name those that are used");
            Vec::new()
        });
        let rate = set("RATE_LIMIT").map(|text| number(text.trim()));
        let rate = match rate {
            Some(Some(rate)) if (1..=1_000_000_000).contains(&rate) => Some(rate),
            Some(_) => {
                let message = "the variable is not a whole number from 1 to 1000000000";
                let help = "write how many requests a caller may send to each API in a minute, such \
                            as `100`";
                refuse("RATE_LIMIT", message, help);
                None
            }
            None => None,
        };
        let is_required = match env("AUTH_REQUIRED").as_deref() {
            Some("true") => Some(true),
            Some("false") => Some(false),
            Some(_) => {
                let message = "the variable is neither `true` nor `false`";
                refuse("AUTH_REQUIRED", message, "write one of them, in lower case");
                None
            }
            None => None,
        };
        let variables = Self {
            apis,
            rate,
            is_required,
        };
        (variables, faults)
    }
}

/// A number in digits alone: no sign.
fn number(text: &str) -> Option<u64> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_digits)
}

/// How many APIs there may be.
const MOST: usize = 1000;

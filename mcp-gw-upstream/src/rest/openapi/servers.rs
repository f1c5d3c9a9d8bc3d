//! Where a description says that its API is: a hint, for the configuration decides.

use serde_json::Value;
use url::Url;

use crate::rest::text::trimmed;

/// The addresses of a list of servers, with the usual values of their variables.
pub(super) fn of(servers: Option<&Value>) -> Vec<String> {
    let servers = servers.and_then(Value::as_array).into_iter().flatten();
    servers.filter_map(address).take(MAX_SERVERS).collect()
}

fn address(server: &Value) -> Option<String> {
    let mut url = trimmed(server.get("url")?.as_str()?, MAX_LENGTH);
    if let Some(Value::Object(variables)) = server.get("variables") {
        for (name, variable) in variables.iter().take(20) {
            if let Some(usual) = variable.get("default").and_then(Value::as_str) {
                url = url.replace(&format!("{{{name}}}"), &trimmed(usual, 100));
            }
        }
    }
    Some(trimmed(&url, MAX_LENGTH)).filter(|url| !url.is_empty())
}

/// Which of the places that a description knows requests go to.
pub(super) struct Home<'s> {
    /// Those of the whole description.
    all: &'s [String],
    base: Option<&'s str>,
    /// The configuration names the place of some operations that are not where the others are: these are
    /// meant, and not the others.
    is_elsewhere: bool,
}

impl<'s> Home<'s> {
    /// `own` are the places of single operations.
    pub(super) fn new(
        all: &'s [String],
        base: Option<&'s str>,
        mut own: impl Iterator<Item = Vec<String>>,
    ) -> Self {
        let is_elsewhere = base.is_some_and(|base| {
            !are(all, base) && own.any(|own| own.iter().any(|it| is_absolute(it) && same(it, base)))
        });
        Self {
            all,
            base,
            is_elsewhere,
        }
    }

    /// What is to be said when the configuration names none of the places.
    pub(super) fn note(&self) -> Option<String> {
        let base = self.base?;
        if self.all.is_empty() || self.is_elsewhere || are(self.all, base) {
            return None;
        }
        let there: Vec<&str> = self.all.iter().take(3).map(String::as_str).collect();
        Some(format!(
            "the description says {}; requests go to {base}, as the configuration says",
            there.join(", ")
        ))
    }

    /// Whether an operation with these places of its own is where requests go.
    ///
    /// # Errors
    /// Where it is instead.
    pub(super) fn admit(&self, own: &[String]) -> Result<(), String> {
        let first = |list: &[String]| list.first().cloned().unwrap_or_default();
        let is_here = match self.base {
            Some(base) if self.is_elsewhere => are(own, base),
            base => {
                own.is_empty()
                    || self.all.is_empty()
                    || own
                        .iter()
                        .any(|one| self.all.iter().any(|it| same(one, it)))
                    || base.is_some_and(|base| are(own, base))
            }
        };
        let there = if own.is_empty() {
            first(self.all)
        } else {
            first(own)
        };
        is_here.then_some(()).ok_or_else(|| {
            format!("it is at {there}; add an API with that `url` and this description to reach it")
        })
    }
}

fn are(places: &[String], base: &str) -> bool {
    places.iter().any(|it| same(it, base))
}

fn is_absolute(address: &str) -> bool {
    Url::parse(address).is_ok()
}

fn same(address: &str, base: &str) -> bool {
    place(address, Some(base)) == place(base, Some(address))
}

/// An address in one form, against `base` when it is relative.
fn place(address: &str, base: Option<&str>) -> Option<String> {
    let parsed = match (Url::parse(address), base) {
        (Ok(url), _) => url,
        (Err(_), Some(base)) => Url::parse(base).ok()?.join(address).ok()?,
        (Err(_), None) => return Some(address.trim_end_matches('/').to_owned()),
    };
    let text = parsed.as_str();
    Some(text.trim_end_matches('/').to_owned())
}

/// The most servers that are looked at.
const MAX_SERVERS: usize = 20;

/// The longest address.
const MAX_LENGTH: usize = 500;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_address_of_the_configuration_wins_and_a_difference_is_told() {
        let servers = of(Some(&json!([
            { "url": "https://{region}.example.com/{v}", "variables": { "region": { "default": "eu" }, "v": { "default": "v1" } } },
            { "url": "/v2/" },
            { "url": 7 },
        ])));
        assert_eq!(servers, ["https://eu.example.com/v1", "/v2/"]);
        let differ = |servers: &[String], base| Home::new(servers, base, std::iter::empty()).note();
        assert_eq!(differ(&servers, None), None);
        assert_eq!(differ(&[], Some("https://a.example")), None);
        assert_eq!(
            differ(&servers, Some("https://EU.example.com:443/v1/")),
            None
        );
        assert_eq!(differ(&servers, Some("https://other.example/v2")), None);
        let said = differ(&servers, Some("https://eu.example.com")).unwrap();
        assert!(said.contains("https://eu.example.com/v1, /v2/"), "{said}");
    }

    #[test]
    fn an_operation_that_is_elsewhere_is_reached_by_the_address_of_that_place() {
        let (all, own) = (
            ["https://api.example".to_owned()],
            ["https://up.example/v2".to_owned()],
        );
        let admits = |base| {
            let home = Home::new(&all, base, std::iter::once(own.to_vec()));
            (
                home.admit(&[]).is_ok(),
                home.admit(&own).is_ok(),
                home.note().is_none(),
            )
        };
        assert_eq!(admits(None), (true, false, true));
        assert_eq!(admits(Some("https://api.example/")), (true, false, true));
        assert_eq!(admits(Some("https://up.example/v2")), (false, true, true));
        // A name of the network at home: all that is not elsewhere is there.
        assert_eq!(admits(Some("https://proxy.internal")), (true, false, false));
    }
}

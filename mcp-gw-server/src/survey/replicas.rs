//! Whether all places of a server offer the same: any of them gets the calls, and clients see the
//! lists of one.

use std::collections::BTreeMap;

use mcp_gw_core::{BackendError, ItemSpec, Offer, RawJson, ToolSpec};

use crate::pins::canonical;

/// So many names of one kind are said.
const SHOWN: usize = 5;

/// Where the replicas of `server` differ from the first that answers, and which do not answer: one
/// sentence each.
pub(super) fn differences(
    server: &str,
    offers: &[(String, Result<Offer, BackendError>)],
) -> Vec<String> {
    let mut first: Option<(&str, &Offer)> = None;
    let mut sentences = Vec::new();
    for (label, offer) in offers {
        match (offer, first) {
            (Err(error), _) => {
                sentences.push(format!(
                    "{server}: replica `{label}` cannot be asked: {error}"
                ));
            }
            (Ok(offer), None) => first = Some((label, offer)),
            (Ok(offer), Some((other, model))) => {
                sentences.extend(compare(model, offer).map(|differs| {
                    format!(
                        "{server}: replica `{label}` does not offer the same as `{other}`: {differs}"
                    )
                }));
            }
        }
    }
    sentences
}

/// What is called what, in one list.
type Named<'o> = BTreeMap<&'o str, &'o RawJson>;

/// How `offer` differs from `model`; `None` when it does not.
fn compare(model: &Offer, offer: &Offer) -> Option<String> {
    let kinds = [
        ("tool", tools(&model.tools), tools(&offer.tools)),
        ("resource", items(&model.resources), items(&offer.resources)),
        (
            "resource template",
            items(&model.resource_templates),
            items(&offer.resource_templates),
        ),
        ("prompt", items(&model.prompts), items(&offer.prompts)),
    ];
    let found = kinds.iter().flat_map(|(kind, model, offer)| {
        let without = |all: &Named<'_>, others: &Named<'_>| -> Vec<String> {
            let only = all.keys().filter(|name| !others.contains_key(*name));
            only.map(|name| (*name).to_owned()).collect()
        };
        let changed = model.iter().filter_map(|(name, definition)| {
            let other = offer.get(name)?;
            (!is_same(definition, other)).then(|| (*name).to_owned())
        });
        [
            ("it lacks", without(model, offer)),
            ("it alone has", without(offer, model)),
            ("it defines otherwise", changed.collect()),
        ]
        .into_iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(how, names)| format!("{how} {}", listed(kind, &names)))
        .collect::<Vec<_>>()
    });
    let found: Vec<_> = found.collect();
    (!found.is_empty()).then(|| found.join("; "))
}

fn tools(tools: &[ToolSpec]) -> Named<'_> {
    let named = tools.iter().map(|tool| (tool.name(), tool.definition()));
    named.collect()
}

fn items(items: &[ItemSpec]) -> Named<'_> {
    let named = items.iter().map(|item| (item.key(), item.definition()));
    named.collect()
}

/// True when both say the same, in whatever order and with whatever blanks.
fn is_same(one: &RawJson, other: &RawJson) -> bool {
    one == other || canonical(one).is_some_and(|one| canonical(other) == Some(one))
}

fn listed(kind: &str, names: &[String]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    let shown: Vec<_> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = match names.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{kind}{plural} {}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mcp_gw_core::Feature;

    use super::*;

    fn offer(tools: &[&str], prompts: &[&str]) -> Offer {
        let raw = |text: &str| RawJson::parse(text.to_owned()).unwrap();
        let tools = tools.iter();
        let tools = tools.map(|text| ToolSpec::from_definition(raw(text)).unwrap());
        let mut offer = Offer::of_tools(tools.collect());
        let prompts = prompts.iter();
        offer.prompts = prompts
            .map(|text| ItemSpec::from_definition(Feature::Prompt, raw(text)).unwrap())
            .collect();
        offer
    }

    fn said(offers: Vec<Result<Offer, BackendError>>) -> Vec<String> {
        let labels = (1..).map(|number: usize| number.to_string());
        differences("s", &labels.zip(offers).collect::<Vec<_>>())
    }

    const A: &str = r#"{"name":"a","inputSchema":{"type":"object"}}"#;

    #[test]
    fn the_same_is_the_same_in_any_order() {
        let b = r#"{"name":"b","inputSchema":{"type":"object"}}"#;
        let a = r#"{ "inputSchema": {"type":"object"}, "name":"a" }"#;
        let said = said(vec![Ok(offer(&[A, b], &[])), Ok(offer(&[b, a], &[]))]);
        assert_eq!(said, [""; 0]);
    }

    #[test]
    fn each_difference_to_the_first_that_answers_is_said() {
        let down = Err(BackendError::Unavailable {
            server: Arc::from("s"),
            reason: "no way".to_owned(),
        });
        let other = r#"{"name":"a","inputSchema":{"type":"object","required":["x"]}}"#;
        let many: Vec<_> = (0..7).map(|n| format!(r#"{{"name":"p{n}"}}"#)).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        let said = said(vec![
            down,
            Ok(offer(&[A], &[])),
            Ok(offer(&[other], &many)),
            Ok(offer(&[], &[])),
        ]);
        assert_eq!(
            said,
            [
                "s: replica `1` cannot be asked: server `s` is not available: no way",
                "s: replica `3` does not offer the same as `2`: it defines otherwise tool `a`; it \
                 alone has prompts `p0`, `p1`, `p2`, `p3`, `p4` and 2 more",
                "s: replica `4` does not offer the same as `2`: it lacks tool `a`",
            ]
        );
    }
}

//! Items that no rule can be asked about, most of them resources whose URIs can be read in two ways. The
//! policy refuses them whatever it says, so nobody sees them: that is told.

use mcp_gw_core::{Catalogue, Entry, Feature};
use mcp_gw_policy::objection_to_name;

/// So many are named.
const NAMED: usize = 20;

const FEATURES: [Feature; 4] = [
    Feature::Tool,
    Feature::Resource,
    Feature::ResourceTemplate,
    Feature::Prompt,
];

/// The items of a catalogue that the policy cannot decide about: one sentence for each.
pub(super) fn undecided(catalogue: &Catalogue) -> Vec<String> {
    sentences(catalogue, |_, _| true)
}

/// The same, of those that were not there `before`.
pub(super) fn news(before: &Catalogue, after: &Catalogue) -> Vec<String> {
    sentences(after, |feature, entry| {
        let mut old = before.find(feature, &entry.key).into_iter();
        old.all(|old| old.server != entry.server)
    })
}

fn sentences(catalogue: &Catalogue, is_meant: impl Fn(Feature, &Entry) -> bool) -> Vec<String> {
    let all = FEATURES.into_iter().flat_map(|feature| {
        let entries = catalogue.entries(feature).iter();
        entries.filter_map(move |entry| Some((feature, entry, objection(feature, entry)?)))
    });
    let mut all = all.filter(|(feature, entry, _)| is_meant(*feature, entry));
    let mut sentences: Vec<_> = all
        .by_ref()
        .take(NAMED)
        .map(|(feature, entry, reason)| sentence(feature, entry, &reason))
        .collect();
    let more = all.count();
    if more > 0 {
        sentences.push(format!(
            "{more} more items are shown to nobody, as no rule can be asked about their names or URIs"
        ));
    }
    sentences
}

/// Rules are asked about the name that clients see, and the server's own.
fn objection(feature: Feature, entry: &Entry) -> Option<String> {
    objection_to_name(feature, &entry.canonical)
        .or_else(|| objection_to_name(feature, &entry.own_name))
}

fn sentence(feature: Feature, entry: &Entry, reason: &str) -> String {
    let (kind, server) = (feature.as_str().replace('_', " "), &entry.server);
    let name: String = entry.own_name.chars().take(128).collect();
    format!(
        "the {kind} `{}` of server `{server}` is shown to nobody, as no rule can be asked about it: {reason}",
        name.escape_debug()
    )
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use mcp_gw_core::{
        Backend, BackendError, CallContext, Gateway, ItemSpec, Offer, ToolCall, ToolOutput,
    };

    use super::*;

    struct Files(Vec<String>);

    #[async_trait::async_trait]
    impl Backend for Files {
        fn name(&self) -> &'static str {
            "files"
        }

        async fn offer(&self) -> Result<Offer, BackendError> {
            let mut offer = Offer::of_tools(Vec::new());
            for uri in &self.0 {
                let (feature, member, list) = if uri.contains('{') {
                    let list = &mut offer.resource_templates;
                    (Feature::ResourceTemplate, "uriTemplate", list)
                } else {
                    (Feature::Resource, "uri", &mut offer.resources)
                };
                let definition = mcp_gw_core::ObjectWriter::default().string(member, uri);
                let definition = definition.string("name", "n").finish();
                list.push(ItemSpec::from_definition(feature, definition).unwrap());
            }
            Ok(offer)
        }

        async fn call_tool(
            &self,
            _: &CallContext,
            _: ToolCall,
        ) -> Result<ToolOutput, BackendError> {
            Ok(ToolOutput::text("called"))
        }
    }

    async fn catalogue(uris: &[&str]) -> Arc<Catalogue> {
        let files = Files(uris.iter().map(ToString::to_string).collect());
        let gateway = Gateway::builder().backend_with_prefix("one", files);
        let gateway = gateway.build().unwrap();
        gateway.refresh().await.unwrap();
        gateway.catalogue()
    }

    #[tokio::test]
    async fn what_the_policy_cannot_decide_about_is_told_by_its_own_uri() {
        let there = catalogue(&["file:///fine", "file:///x y", "test://\u{e9}/{x}"]).await;
        let lines = undecided(&there);
        assert_eq!(
            lines,
            [
                "the resource `file:///x y` of server `files` is shown to nobody, as no rule can be \
                 asked about it: it holds a character that has no place in a URI",
                "the resource template `test://\u{e9}/{x}` of server `files` is shown to nobody, as no \
                 rule can be asked about it: its host is not written in plain characters",
            ]
        );
        assert_eq!(news(&there, &there), [""; 0]);
        let before = catalogue(&["file:///x y"]).await;
        assert_eq!(news(&before, &there), lines[1..]);
    }

    #[tokio::test]
    async fn of_many_some_are_named() {
        let uris: Vec<_> = (0..25).map(|n| format!("file:///x {n}")).collect();
        let uris: Vec<_> = uris.iter().map(String::as_str).collect();
        let lines = undecided(&*catalogue(&uris).await);
        assert_eq!(lines.len(), NAMED + 1);
        assert!(
            lines.last().unwrap().starts_with("5 more items"),
            "{lines:?}"
        );
    }
}

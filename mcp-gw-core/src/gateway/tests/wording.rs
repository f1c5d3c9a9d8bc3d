//! Texts that name what a server has, where its clients know it by other names.

use super::*;
use crate::{ItemSpec, UriNaming};

/// Its texts name its tools and its resource; so does its answer, in words of its own and in payload.
struct Speaker {
    name: &'static str,
    follows: bool,
}

const SAYS: &str = "Use get_item, or read text://list.";

#[async_trait]
impl Backend for Speaker {
    fn name(&self) -> &str {
        self.name
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        let get = ToolSpec::new("get_item", ALL).unwrap();
        let list = ToolSpec::new("catalogue", "See get_item.").unwrap();
        // As a wrapper does that renames.
        let list = list.with_own_name("list_items".into());
        let mut offer = Offer::of_tools(vec![get, list]);
        let resource = r#"{"uri":"text://list","description":"For get_item."}"#;
        let resource = RawJson::parse(resource).unwrap();
        let resource = ItemSpec::from_definition(Feature::Resource, resource).unwrap();
        offer.resources.push(resource);
        offer.instructions = Some(SAYS.to_owned());
        offer.texts_follow_names = self.follows;
        offer.absent = vec!["drop_item".into()];
        Ok(offer)
    }

    async fn call_tool(&self, ctx: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        let said = ctx.in_names_of_client("Call list_items. ");
        Ok(ToolOutput::text(format!("{said}list_items")))
    }
}

const ALL: &str = "Gets one; list_items has all, drop_item none.";

async fn gateway(follows: bool) -> Gateway {
    let mounting = |prefix| Mounting::new(Naming::Always, prefix).with_uris(UriNaming::Prefix);
    let speaker = |name| Arc::new(Speaker { name, follows });
    let gateway = Gateway::builder()
        .mount(speaker("one"), mounting("a"))
        .mount(speaker("two"), mounting("b"))
        .endpoint(Endpoint::new("part", |feature, name, _| {
            feature == Feature::Tool && name == "a__get_item"
        }))
        .policy(AllowAll::new())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    gateway
}

fn said(gateway: &Gateway, endpoint: Option<&str>) -> Vec<String> {
    let view = gateway.catalogue_at(endpoint);
    let all = view.instructions();
    all.map(|said| {
        assert!(said.renamed.is_empty());
        said.text.into_owned()
    })
    .collect()
}

fn description(gateway: &Gateway, endpoint: Option<&str>, feature: Feature, key: &str) -> String {
    let view = gateway.catalogue_at(endpoint);
    let entry = view.find(feature, key).unwrap();
    let described = entry.definition.member("description").unwrap().unwrap();
    if let (Some(tool), None) = (&entry.tool, endpoint) {
        assert_eq!(tool.definition(), &entry.definition);
    }
    described.decode_owned().unwrap()
}

#[tokio::test]
async fn texts_name_what_can_be_called_at_each_endpoint() {
    let gateway = gateway(true).await;
    assert_eq!(
        said(&gateway, None),
        [
            "Use a__get_item, or read a+text://list.",
            "Use b__get_item, or read b+text://list."
        ]
    );
    assert_eq!(said(&gateway, Some("two")), [SAYS]);
    for (endpoint, feature, key, wanted) in [
        (
            None,
            Feature::Tool,
            "a__get_item",
            "Gets one; a__catalogue has all, drop_item [not offered here] none.",
        ),
        (None, Feature::Tool, "b__catalogue", "See b__get_item."),
        (None, Feature::Resource, "b+text://list", "For b__get_item."),
        (
            Some("two"),
            Feature::Tool,
            "get_item",
            "Gets one; catalogue has all, drop_item [not offered here] none.",
        ),
        (Some("two"), Feature::Tool, "catalogue", "See get_item."),
    ] {
        let found = description(&gateway, endpoint, feature, key);
        assert_eq!(found, wanted, "{endpoint:?} {key}");
    }
    // At a part of all, what it does not show cannot be called.
    let part = "Use a__get_item, or read text://list [not offered here].";
    assert_eq!(said(&gateway, Some("part")), [part]);
    let found = description(&gateway, Some("part"), Feature::Tool, "a__get_item");
    let wanted =
        "Gets one; list_items [not offered here] has all, drop_item [not offered here] none.";
    assert_eq!(found, wanted);
    let entry = gateway
        .catalogue()
        .find(Feature::Tool, "a__catalogue")
        .cloned();
    let entry = entry.unwrap();
    assert_eq!(&*entry.own_name, "list_items");
    assert_eq!(&**entry.tool.unwrap().own_name(), "list_items");
}

#[tokio::test]
async fn answers_name_it_too_and_payload_stays() {
    let gateway = gateway(true).await;
    for (endpoint, tool, wanted) in [
        (None, "b__get_item", "Call b__catalogue. list_items"),
        (Some("one"), "get_item", "Call catalogue. list_items"),
    ] {
        let meta = RequestMeta::new("r", Transport::InProcess);
        let meta = meta.with_endpoint(endpoint.map(Into::into));
        let incoming = Incoming::new(Caller::local(), meta);
        let output = gateway.call_tool(&incoming, call(tool)).await.unwrap();
        let text = output.as_raw().as_str();
        assert!(text.contains(&format!("\"{wanted}\"")), "{text}");
    }
}

#[tokio::test]
async fn words_of_others_stay_and_it_is_said_what_their_names_are_here() {
    let gateway = gateway(false).await;
    let view = gateway.catalogue();
    let all: Vec<_> = view.instructions().collect();
    assert_eq!(all[1].text, SAYS);
    assert_eq!(
        all[1].renamed,
        [
            ("get_item", "b__get_item"),
            ("text://list", "b+text://list")
        ]
    );
    let found = description(&gateway, None, Feature::Tool, "a__get_item");
    assert_eq!(found, ALL);
}

//! One tool that leads to several servers: each call is one of the server that it names.

use super::*;
use crate::ServerChoice;

/// A tool for three APIs, by the argument `api`.
struct Apis;

#[async_trait]
impl Backend for Apis {
    fn name(&self) -> &'static str {
        "rest"
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        let schema = r#"{"type":"object","properties":{"api":{"enum":["a","b","c"]}}}"#;
        let choice = ServerChoice::by("api")
            .with_option("a", "one")
            .with_option("b", "two")
            .with_option("c", "two")
            .with_form(|value| Some(value.to_ascii_lowercase()))
            .with_refusals(
                ToolOutput::error("no such value"),
                ToolOutput::error("not so"),
            );
        let tool = ToolSpec::new("ask", "")
            .and_then(|tool| tool.with_input_schema(&RawJson::parse(schema).unwrap()))
            .unwrap()
            .with_choice(choice);
        Ok(Offer::of_tools(vec![
            tool,
            ToolSpec::new("other", "").unwrap(),
        ]))
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        Ok(ToolOutput::text(call.arguments.as_raw().as_str()))
    }

    /// What a wrapper fills in is what counts.
    fn arguments_in_effect(&self, _: &str, arguments: &Arguments) -> Option<Arguments> {
        let is_filled = arguments.as_raw().as_str() == r#"{"fill":true}"#;
        is_filled.then(|| asks(r#"{"api":"a"}"#).arguments)
    }
}

fn asks(arguments: &str) -> ToolCall {
    let raw = RawJson::parse(arguments.to_owned()).unwrap();
    ToolCall::new("ask", Arguments::from_raw(raw).unwrap())
}

async fn gateway(rule: fn(&AccessRequest<'_>) -> bool) -> (Gateway, RecordingAudit) {
    let audit = RecordingAudit::default();
    let gateway = Gateway::builder()
        .backend(Apis)
        .policy(Rule(rule))
        .audit(audit.clone())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    (gateway, audit)
}

async fn enum_for(rule: fn(&AccessRequest<'_>) -> bool) -> Vec<String> {
    let (gateway, _) = gateway(rule).await;
    let page = gateway
        .list(&incoming(), Feature::Tool, None, 10)
        .await
        .unwrap();
    let items = page.items.iter().map(|item| item.to_value().unwrap());
    let asks = items.filter(|item| item["name"] == "ask");
    let values = asks.flat_map(|item| {
        let values = &item["inputSchema"]["properties"]["api"]["enum"];
        values.as_array().unwrap().clone()
    });
    values
        .map(|value| value.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_list_has_the_values_whose_server_may_be_used() {
    assert_eq!(enum_for(|_| true).await, ["a", "b", "c"]);
    assert_eq!(
        enum_for(|request| request.server == "two").await,
        ["b", "c"]
    );
    assert_eq!(enum_for(|request| request.server == "one").await, ["a"]);
    // The backend's own name is none of them.
    let none: [&str; 0] = [];
    assert_eq!(enum_for(|request| request.server == "rest").await, none);
    let (gateway, _) = gateway(|request| request.server == "two").await;
    assert!(gateway.may_see(&incoming(), Feature::Tool, "ask").await);
    assert!(!gateway.may_see(&incoming(), Feature::Tool, "other").await);
    let sight = gateway.sight(&incoming()).await;
    assert_eq!(
        sight.servers.into_iter().collect::<Vec<_>>(),
        ["rest".into()]
    );
}

#[tokio::test]
async fn a_call_is_one_of_the_server_that_it_names() {
    let (gateway, audit) = gateway(|request| request.server == "one").await;
    for allowed in [
        r#"{"api":"a"}"#,
        r#"{"x":1,"api":"\u0061"}"#,
        r#"{"x":1,"api":"A"}"#,
        r#"{"fill":true}"#,
    ] {
        gateway.call_tool(&incoming(), asks(allowed)).await.unwrap();
        assert_eq!(
            audit.events().last().unwrap().server.as_deref(),
            Some("one")
        );
    }
    for (refused, server) in [
        (r#"{"api":"b"}"#, "two"),
        (r#"{"api":"B"}"#, "two"),
        (r#"{"api":"d"}"#, "rest"),
        ("{}", "rest"),
        (r#"{"api":"a","api":"b"}"#, "rest"),
        (r#"{"api":"b","api":"a"}"#, "rest"),
    ] {
        let told = gateway.call_tool(&incoming(), asks(refused)).await.unwrap();
        assert_eq!(told, ToolOutput::error("no such value"), "{refused}");
        let event = audit.events().pop().unwrap();
        assert_eq!(event.server.as_deref(), Some(server));
        assert_eq!(event.outcome, Outcome::Error(ErrorClass::Denied));
        assert!(!event.backend_asked, "{refused}");
    }
}

#[tokio::test]
async fn a_value_that_is_seen_is_told_that_the_request_is_forbidden() {
    let (gateway, _) = gateway(|request| {
        let arguments = request.arguments.map(|it| it.as_raw().as_str());
        request.server == "one" && arguments.is_none_or(|it| !it.contains("DELETE"))
    })
    .await;
    for (api, says) in [("a", "not so"), ("b", "no such value")] {
        let call = asks(&format!(r#"{{"api":"{api}","method":"DELETE"}}"#));
        let told = gateway.call_tool(&incoming(), call).await.unwrap();
        assert_eq!(told, ToolOutput::error(says));
    }
}

#[tokio::test]
async fn a_rule_on_the_argument_holds_for_every_spelling() {
    let (gateway, _) = gateway(|request| {
        let arguments = request.arguments.map(|it| it.as_raw().as_str());
        arguments.is_none_or(|it| !it.contains(r#""api":"a""#))
    })
    .await;
    for api in ["a", "A"] {
        let call = asks(&format!(r#"{{"api":"{api}"}}"#));
        let told = gateway.call_tool(&incoming(), call).await.unwrap();
        assert_eq!(told, ToolOutput::error("not so"));
    }
    let other = gateway.call_tool(&incoming(), asks(r#"{"api":"B"}"#)).await;
    // It goes to the backend as it came.
    assert_eq!(other.unwrap(), ToolOutput::text(r#"{"api":"B"}"#));
}

#[tokio::test]
async fn who_may_use_no_value_is_told_of_no_tool() {
    // The server of the tool itself may be used, as it is where the default is to allow.
    let (gateway, _) = gateway(|request| request.server == "rest").await;
    for refused in [r#"{"api":"a"}"#, r#"{"api":"d"}"#, "{}"] {
        let error = gateway.call_tool(&incoming(), asks(refused)).await;
        let error = error.unwrap_err();
        assert_eq!(error.public_message(), "Unknown tool: ask", "{refused}");
    }
}

/// Remembers for which server it was charged.
#[derive(Clone, Default)]
struct Servers(Arc<Mutex<Vec<Option<String>>>>);

#[async_trait]
impl RateLimiter for Servers {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        let server = charge.server.map(str::to_owned);
        self.0.lock().unwrap().push(server);
        Ok(Admission::admitted(None))
    }
}

#[tokio::test]
async fn a_call_counts_for_the_server_that_it_names() {
    let charged = Servers::default();
    let gateway = Gateway::builder()
        .backend(Apis)
        .policy(AllowAll::new())
        .rate_limiter(charged.clone())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    for arguments in [r#"{"api":"a"}"#, r#"{"api":"c"}"#, r#"{"api":"x"}"#] {
        gateway
            .call_tool(&incoming(), asks(arguments))
            .await
            .unwrap();
    }
    let charged = charged.0.lock().unwrap();
    let expected = ["one", "two", "rest"].map(|name| Some(name.to_owned()));
    assert_eq!(*charged, expected);
}

#[tokio::test]
async fn a_refused_value_is_charged_as_one_that_there_is_not() {
    for (rule, expected) in [
        (
            (|request| request.server == "one" || request.server == "rest")
                as fn(&AccessRequest<'_>) -> bool,
            [Some("one"), Some("rest"), Some("rest")],
        ),
        (
            |request| request.server == "one",
            [Some("one"), Some("rest"), Some("rest")],
        ),
        (|request| request.server == "rest", [None; 3]),
        (|_| false, [None; 3]),
    ] {
        let charged = Servers::default();
        let gateway = Gateway::builder()
            .backend(Apis)
            .policy(Rule(rule))
            .rate_limiter(charged.clone())
            .build()
            .unwrap();
        gateway.refresh().await.unwrap();
        for arguments in [r#"{"api":"a"}"#, r#"{"api":"c"}"#, r#"{"api":"x"}"#] {
            let _told = gateway.call_tool(&incoming(), asks(arguments)).await;
        }
        let charged = charged.0.lock().unwrap();
        assert_eq!(*charged, expected.map(|name| name.map(str::to_owned)));
    }
}

#[tokio::test]
async fn who_sees_some_of_the_values_is_told_of_every_change() {
    struct NotOne;
    impl crate::ListPolicy for NotOne {
        fn shows(&self, requests: &[AccessRequest<'_>]) -> Vec<Option<bool>> {
            requests
                .iter()
                .map(|request| Some(request.server != "one"))
                .collect()
        }
    }
    let (gateway, _) = gateway(|_| true).await;
    let catalogue = gateway.catalogue();
    let entries = catalogue.entries(Feature::Tool).iter();
    let entries: Vec<_> = entries.map(|entry| &**entry).collect();
    let policy: &dyn crate::ListPolicy = &NotOne;
    let shown = policy.shows_entries(&incoming(), Feature::Tool, &entries);
    assert_eq!(shown, [None, Some(true)]);
}

//! Results that ask for input, for clients that are asked by requests instead.

use std::sync::Mutex;

use async_trait::async_trait;

use super::*;
use crate::testing::RecordingAudit;
use crate::{
    AllowAll, Arguments, CallContext, CallNotification, Caller, ClientLink, ClientLinkError,
    ErrorClass, Extras, GatewayError, Incoming, Outcome, RequestMeta, ToolCall, ToolOutput,
    ToolSpec, Transport,
};

/// Answers with what was put in, one after the other, and keeps the extras that came.
struct Script {
    answers: Mutex<Vec<&'static str>>,
    extras: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Backend for Script {
    fn name(&self) -> &'static str {
        "script"
    }

    fn offer_now(&self) -> Option<Offer> {
        let tool = RawJson::parse(r#"{"name":"t","inputSchema":{"type":"object"}}"#).unwrap();
        Some(Offer::of_tools(vec![
            ToolSpec::from_definition(tool).unwrap(),
        ]))
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(Offer::default())
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        let members = call.extras.members.iter();
        let text: Vec<String> = members.map(|(name, raw)| format!("{name}={raw}")).collect();
        self.extras.lock().unwrap().push(text.join(" "));
        let mut answers = self.answers.lock().unwrap();
        let answer = match answers.len() {
            1 => answers[0],
            _ => answers.remove(0),
        };
        Ok(ToolOutput::from_raw(RawJson::parse(answer).unwrap()).unwrap())
    }
}

/// A client of an older revision that answers each request with its params, or not at all.
struct Old {
    answers: Result<(), ClientLinkError>,
    /// Its server is of an older revision, too.
    is_plain: bool,
}

impl Old {
    fn new(answers: Result<(), ClientLinkError>) -> Self {
        Self {
            answers,
            is_plain: false,
        }
    }
}

#[async_trait]
impl ClientLink for Old {
    fn notify(&self, _: CallNotification) {}

    fn wants_progress(&self) -> bool {
        false
    }

    fn accepts_input_requests(&self) -> bool {
        false
    }

    fn is_plain(&self) -> bool {
        self.is_plain
    }

    async fn request(&self, _: &str, params: RawJson) -> Result<RawJson, ClientLinkError> {
        self.answers.clone().map(|()| params)
    }
}

struct Ran {
    result: Result<String, GatewayError>,
    extras: Vec<String>,
    outcomes: Vec<Outcome>,
}

async fn run(answers: &[&'static str], link: impl ClientLink) -> Ran {
    let (extras, audit) = (Arc::default(), RecordingAudit::new());
    let script = Script {
        answers: Mutex::new(answers.to_vec()),
        extras: Arc::clone(&extras),
    };
    let gateway = Gateway::builder()
        .backend(script)
        .policy(AllowAll::new())
        .audit(audit.clone())
        .build()
        .unwrap();
    let meta = RequestMeta::new("r", Transport::InProcess);
    let incoming = Incoming::new(Caller::local(), meta).with_link(Arc::new(link));
    let kept = vec![("task".to_owned(), RawJson::null())];
    let call = ToolCall::new("t", Arguments::none()).with_extras(Extras::new(None, kept));
    let result = gateway.call_tool(&incoming, call).await;
    let extras: Vec<String> = extras.lock().unwrap().clone();
    Ran {
        result: result.map(|output| output.as_raw().as_str().to_owned()),
        extras,
        outcomes: audit.events().iter().map(|event| event.outcome).collect(),
    }
}

const DONE: &str = r#"{"content":[]}"#;

#[tokio::test]
async fn what_is_asked_is_asked_of_the_client_and_the_backend_called_again() {
    let asks = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list","params":{"n":1.0}},"b":{"method":"elicitation/create"}},"requestState":"s\u0031"}"#;
    let more = r#"{"resultType":"input_required","requestState":"s2"}"#;
    let ran = run(&[asks, more, DONE], Old::new(Ok(()))).await;
    assert_eq!(ran.result.unwrap(), DONE);
    assert_eq!(
        ran.extras,
        [
            "task=null",
            r#"task=null inputResponses={"a":{"n":1.0},"b":{}} requestState="s\u0031""#,
            r#"task=null requestState="s2""#,
        ]
    );
    assert_eq!(ran.outcomes, [Outcome::Ok], "one call, one event");
}

#[tokio::test]
async fn what_cannot_be_asked_ends_the_call() {
    let asks = r#"{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}}}"#;
    let invalid = [Outcome::Error(ErrorClass::UpstreamInvalid)];
    for (error, why) in [
        (ClientLinkError::Gone, "and the client has not answered"),
        (
            ClientLinkError::Unsupported {
                method: "roots/list".to_owned(),
            },
            "it asks for `roots/list`, for which this client cannot be asked",
        ),
    ] {
        let ran = run(&[asks], Old::new(Err(error))).await;
        let untellable = ran.result.unwrap_err();
        assert!(matches!(untellable, GatewayError::Untellable { .. }));
        let says = untellable.public_message();
        assert!(says.contains(why), "{says}");
        assert_eq!(ran.outcomes, invalid);
    }
    let no = RawJson::parse(r#"{"code":-1,"message":"no"}"#).unwrap();
    let ran = run(&[asks], Old::new(Err(ClientLinkError::Rpc(no.clone())))).await;
    assert_eq!(ran.result.unwrap_err().relayed(), Some(&no));
    // Nor does a backend ask for ever, or for nothing.
    let for_ever = run(&[asks], Old::new(Ok(()))).await;
    assert!(for_ever.result.is_err());
    assert_eq!(for_ever.extras.len(), 11);
    for strange in [
        r#"{"resultType":"input_required"}"#,
        r#"{"resultType":"input_required","inputRequests":[]}"#,
        r#"{"resultType":"input_required","inputRequests":{"a":1}}"#,
        r#"{"resultType":"input_required","inputRequests":{"a":{}}}"#,
        r#"{"resultType":"input_required","resultType":"complete"}"#,
        r#"{"resultType":"input_required","requestState":5}"#,
        r#"{"resultType":"input_required","inputRequests":{},"requestState":null}"#,
    ] {
        let ran = run(&[strange], Old::new(Ok(()))).await;
        assert!(ran.result.is_err(), "{strange}");
        assert_eq!(ran.extras.len(), 1, "{strange}");
        assert_eq!(ran.outcomes, invalid);
    }
}

#[tokio::test]
async fn who_understands_such_results_gets_them_as_they_are() {
    let asks = r#"{"resultType":"input_required","requestState":"s"}"#;
    let ran = run(&[asks, DONE], crate::NoClient::new()).await;
    assert_eq!(ran.result.unwrap(), asks);
    let text = r#"{"content":[{"type":"text","text":"\"input_required\""}]}"#;
    let ran = run(&[text], Old::new(Ok(()))).await;
    assert_eq!(ran.result.unwrap(), text);
}

#[tokio::test]
async fn what_an_old_server_writes_asks_for_nothing_and_makes_no_task() {
    for answer in [
        r#"{"resultType":"input_required","inputRequests":{"a":{"method":"roots/list"}}}"#,
        r#"{"resultType":"task"}"#,
    ] {
        let link = Old {
            answers: Ok(()),
            is_plain: true,
        };
        let ran = run(&[answer], link).await;
        assert_eq!(ran.result.unwrap(), answer);
        assert_eq!(ran.extras.len(), 1);
    }
}

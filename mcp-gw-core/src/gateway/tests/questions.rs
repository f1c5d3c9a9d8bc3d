//! Servers that ask clients: results that ask for input, and requests while a call runs.

use std::sync::Mutex;

use super::*;
use crate::{CallNotification, ClientLink, ClientLinkError, TaskAsk, TaskMethod};

fn raw(text: &str) -> RawJson {
    RawJson::parse(text.to_owned()).unwrap()
}

/// A client of an older revision: it is asked by requests, and answers with what it was asked.
#[derive(Default)]
struct Old {
    asked: Mutex<Vec<String>>,
    refuses: bool,
}

#[async_trait]
impl ClientLink for Old {
    fn notify(&self, _: CallNotification) {}

    fn wants_progress(&self) -> bool {
        false
    }

    fn capabilities(&self) -> Option<RawJson> {
        Some(raw(r#"{"elicitation":{}}"#))
    }

    fn accepts_input_requests(&self) -> bool {
        false
    }

    fn accepts(&self, result: &RawJson) -> bool {
        !result.as_str().contains("input_required")
    }

    async fn request(&self, method: &str, params: RawJson) -> Result<RawJson, ClientLinkError> {
        self.asked
            .lock()
            .unwrap()
            .push(format!("{method} {params}"));
        if self.refuses {
            return Err(ClientLinkError::Rpc(raw(r#"{"code":-1,"message":"no"}"#)));
        }
        Ok(raw(&format!(r#"{{"action":"accept","content":{params}}}"#)))
    }
}

/// Asks `rounds` times by its result, then answers with what came back.
struct Asker {
    rounds: usize,
    calls: AtomicUsize,
}

#[async_trait]
impl Backend for Asker {
    fn name(&self) -> &'static str {
        "asker"
    }

    fn offer_now(&self) -> Option<Offer> {
        let definition = raw(r#"{"name":"ask","inputSchema":{"type":"object"}}"#);
        Some(Offer::of_tools(vec![
            ToolSpec::from_definition(definition).unwrap(),
        ]))
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(self.offer_now().unwrap_or_default())
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        let round = self.calls.fetch_add(1, Ordering::Relaxed);
        if self.rounds == 0 {
            let answer = ctx
                .link()
                .request("elicitation/create", raw("{\"n\":1.0}"))
                .await;
            return Ok(ToolOutput::text(format!("{answer:?}")));
        }
        let member = |name: &str| {
            let found = call.extras.members.iter().find(|(other, _)| other == name);
            found.map_or_else(String::new, |(_, value)| value.to_string())
        };
        if round > 0 {
            assert_eq!(member("requestState"), format!(r#""\u0073-{}""#, round - 1));
        }
        if round < self.rounds {
            return ToolOutput::from_raw(raw(&format!(
                r#"{{"resultType":"input_required","requestState":"\u0073-{round}","inputRequests":{{"k\"":{{"method":"elicitation/create","params":{{"round":{round}.0}}}}}}}}"#
            )))
            .map_err(|_| unreachable!("an object"));
        }
        Ok(ToolOutput::text(format!(
            "{} {}",
            member("kept"),
            member("inputResponses")
        )))
    }
}

async fn ask(rounds: usize, link: Arc<Old>) -> (Result<ToolOutput, GatewayError>, RecordingAudit) {
    let audit = RecordingAudit::new();
    let asker = Asker {
        rounds,
        calls: AtomicUsize::new(0),
    };
    let gateway = Gateway::builder()
        .backend(asker)
        .policy(AllowAll::new())
        .audit(audit.clone())
        .build()
        .unwrap();
    let extras = Extras::new(None, vec![("kept".to_owned(), raw("1.0"))]);
    let call = call("ask").with_extras(extras);
    let result = gateway.call_tool(&incoming().with_link(link), call).await;
    (result, audit)
}

fn methods(audit: &RecordingAudit) -> Vec<(&'static str, Outcome)> {
    let events = audit.events();
    events
        .iter()
        .map(|event| (event.method, event.outcome))
        .collect()
}

#[tokio::test]
async fn a_client_that_knows_no_input_requests_is_asked_and_the_server_is_called_again() {
    let link = Arc::new(Old::default());
    let (result, audit) = ask(2, Arc::clone(&link)).await;
    let text = result.unwrap().as_raw().to_string();
    assert!(
        text.contains(r#"1.0 {\"k\\\"\":{\"action\":\"accept\",\"content\":{\"round\":1.0}}}"#),
        "{text}"
    );
    let asked = link.asked.lock().unwrap().clone();
    let expected = [0, 1].map(|n| format!(r#"elicitation/create {{"round":{n}.0}}"#));
    assert_eq!(asked, expected);
    let one = ("elicitation/create", Outcome::Ok);
    assert_eq!(methods(&audit), [one, one, ("tools/call", Outcome::Ok)]);
}

#[tokio::test]
async fn a_server_that_asks_without_end_is_asked_no_more() {
    let link = Arc::new(Old::default());
    let (result, _) = ask(1000, Arc::clone(&link)).await;
    let error = result.unwrap_err();
    assert_eq!(error.class(), ErrorClass::UpstreamInvalid, "{error}");
    assert_eq!(link.asked.lock().unwrap().len(), 10);
}

#[tokio::test]
async fn what_a_server_asks_while_a_call_runs_is_audited() {
    let (result, audit) = ask(0, Arc::default()).await;
    assert!(result.is_ok());
    let events = audit.events();
    assert_eq!(
        methods(&audit),
        [
            ("elicitation/create", Outcome::Ok),
            ("tools/call", Outcome::Ok)
        ]
    );
    assert_eq!(events[0].server.as_deref(), Some("asker"));
    assert_eq!(events[0].request_id, events[1].request_id);

    let refusing = Old {
        refuses: true,
        ..Old::default()
    };
    let (_, audit) = ask(1, Arc::new(refusing)).await;
    let refused = Outcome::Error(ErrorClass::ClientError);
    assert_eq!(methods(&audit)[0], ("elicitation/create", refused));
}

/// A client of 2026-07-28: questions reach it in answers.
struct New;

#[async_trait]
impl ClientLink for New {
    fn notify(&self, _: CallNotification) {}

    fn wants_progress(&self) -> bool {
        false
    }

    fn capabilities(&self) -> Option<RawJson> {
        Some(raw(r#"{"elicitation":{},"sampling":{}}"#))
    }

    fn accepts_input_requests(&self) -> bool {
        true
    }

    fn accepts(&self, _: &RawJson) -> bool {
        true
    }

    async fn request(&self, method: &str, _: RawJson) -> Result<RawJson, ClientLinkError> {
        let method = method.to_owned();
        Err(ClientLinkError::Unsupported { method })
    }
}

/// Says one thing to calls, and one about its tasks.
struct Scripted {
    call: String,
    task: String,
}

#[async_trait]
impl Backend for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn offer_now(&self) -> Option<Offer> {
        let definition = raw(r#"{"name":"ask","inputSchema":{"type":"object"}}"#);
        Some(Offer::of_tools(vec![
            ToolSpec::from_definition(definition).unwrap(),
        ]))
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(self.offer_now().unwrap_or_default())
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Ok(ToolOutput::from_raw(raw(&self.call)).unwrap())
    }

    async fn task(&self, _: &CallContext, _: TaskAsk) -> Result<RawJson, BackendError> {
        Ok(raw(&self.task))
    }
}

/// What comes of a call, and of a question about the task `7` after it.
async fn said(call_says: &str, task: &str) -> (Result<RawJson, GatewayError>, RecordingAudit) {
    let audit = RecordingAudit::new();
    let gateway = Gateway::builder()
        .backend(Scripted {
            call: call_says.to_owned(),
            task: task.to_owned(),
        })
        .policy(AllowAll::new())
        .audit(audit.clone())
        .build()
        .unwrap();
    let incoming = incoming().with_link(Arc::new(New));
    gateway.call_tool(&incoming, call("ask")).await.unwrap();
    let ask = TaskAsk::new(TaskMethod::Get, "7", Extras::default());
    (gateway.task(&incoming, ask).await, audit)
}

fn names(audit: &RecordingAudit) -> Vec<&'static str> {
    methods(audit).into_iter().map(|(name, _)| name).collect()
}

const TASK: &str = r#"{"resultType":"task","taskId":"7"}"#;

#[tokio::test]
async fn questions_in_answers_are_audited_each() {
    let samples = r#""s":{"method":"sampling/createMessage","params":{"n":1}}"#;
    let (_, audit) = said(
        &format!(
            r#"{{"resultType":"input_required","input\u0052equests":{{{samples},"x":{{"method":"odd"}}}}}}"#
        ),
        "{}",
    )
    .await;
    let events = audit.events();
    let asked: Vec<_> = events.iter().take(3).map(|event| event.method).collect();
    assert_eq!(
        asked,
        [
            "sampling/createMessage",
            "a request to the client",
            "tools/call"
        ]
    );
    assert_eq!(events[0].server.as_deref(), Some("scripted"));
    assert_eq!(
        (events[0].request_bytes, events[0].outcome),
        (7, Outcome::Ok)
    );
    assert_eq!(events[0].request_id, events[2].request_id);

    let asks = format!(r#"{{"taskId":"7","inputRequests":{{{samples}}}}}"#);
    let (answer, audit) = said(TASK, &asks).await;
    assert_eq!(answer.unwrap().as_str(), asks);
    assert_eq!(
        names(&audit),
        ["tools/call", "sampling/createMessage", "tasks/get"]
    );

    // What is nothing of the protocol's asks nobody.
    let (_, audit) = said(
        &format!(r#"{{"content":[],"inputRequests":{{{samples}}}}}"#),
        "{}",
    )
    .await;
    assert_eq!(names(&audit)[0], "tools/call");

    // A server cannot fill the log.
    let many: Vec<_> = (0..100)
        .map(|n| format!(r#""{n}":{{"method":"roots/list"}}"#))
        .collect();
    let many = format!(r#"{{"taskId":"7","inputRequests":{{{}}}}}"#, many.join(","));
    let (_, audit) = said(TASK, &many).await;
    assert_eq!(methods(&audit).len(), 1 + 32 + 1);
}

#[tokio::test]
async fn questions_in_news_of_a_task_are_audited_each() {
    let audit = RecordingAudit::new();
    let gateway = Gateway::builder().policy(AllowAll::new());
    let gateway = gateway.audit(audit.clone()).build().unwrap();
    let incoming = incoming();
    for quiet in [
        "{}",
        r#"{"taskId":"7","inputRequests":{}}"#,
        r#"{"x":"\u0041"}"#,
    ] {
        gateway.note_news_questions(&incoming, "s", &raw(quiet));
    }
    assert!(audit.events().is_empty());
    let asks =
        r#"{"taskId":"7","inputRequests":{"k":{"method":"elicitation/create","params":{"n":1}}}}"#;
    gateway.note_news_questions(&incoming, "s", &raw(asks));
    let events = audit.events();
    assert_eq!(names(&audit), ["elicitation/create"]);
    assert_eq!(
        (events[0].request_bytes, events[0].server.as_deref()),
        (7, Some("s"))
    );
}

#[tokio::test]
async fn an_answer_about_another_task_is_not_told() {
    for (answer, is_told) in [
        (r#"{"status":"working"}"#, true),
        (r#"{"taskId":"7"}"#, true),
        (r#"{"task\u0049d":"\u0037"}"#, true),
        (r#"{"taskId":"8"}"#, false),
        (r#"{"task\u0049d":"8"}"#, false),
        (r#"{"taskId":7}"#, false),
        (r#"{"taskId":null}"#, false),
        (r#"{"taskId":"7","taskId":"8"}"#, false),
        (r#"{"taskId":"8","taskId":"7"}"#, false),
    ] {
        let (got, _) = said(TASK, answer).await;
        match got {
            Ok(got) => assert!(is_told && got.as_str() == answer, "{answer}"),
            Err(error) => {
                assert!(!is_told, "{answer}: {error}");
                assert_eq!(error.class(), ErrorClass::UpstreamInvalid);
            }
        }
    }
}

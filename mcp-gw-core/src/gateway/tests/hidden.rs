//! What a caller may not know of is treated as what does not exist: the same answer, the same charge,
//! the same questions on the way, and nobody behind is asked.

use super::*;
use crate::{ItemSpec, TaskAsk, TaskMethod};

/// Has one of everything that may be used, and one that may not; counts what it is asked.
#[derive(Clone, Default)]
struct Both(Arc<AtomicUsize>);

impl Both {
    fn asked<T>(&self, answer: T) -> T {
        self.0.fetch_add(1, Ordering::Relaxed);
        answer
    }
}

fn items(feature: Feature, member: &str, names: [&str; 2]) -> Vec<ItemSpec> {
    let item = |name: &str| {
        let raw = RawJson::parse(format!(r#"{{"{member}":"{name}"}}"#)).unwrap();
        ItemSpec::from_definition(feature, raw).unwrap()
    };
    names.into_iter().map(item).collect()
}

#[async_trait]
impl Backend for Both {
    fn name(&self) -> &'static str {
        "both"
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        let tool = |name| ToolSpec::new(name, "").unwrap();
        let mut offer = Offer::of_tools(vec![tool("open"), tool("hidden")]);
        let uris = ["test://open", "test://hidden"];
        offer.resources = items(Feature::Resource, "uri", uris);
        let uris = ["test://open/{id}", "test://hidden/{id}"];
        offer.resource_templates = items(Feature::ResourceTemplate, "uriTemplate", uris);
        offer.prompts = items(Feature::Prompt, "name", ["open", "hidden"]);
        Ok(offer)
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Ok(self.asked(ToolOutput::text("")))
    }

    async fn read_resource(
        &self,
        _: &CallContext,
        _: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        Ok(self.asked(RawJson::empty_object()))
    }

    async fn get_prompt(&self, _: &CallContext, _: PromptGet) -> Result<RawJson, BackendError> {
        Ok(self.asked(RawJson::empty_object()))
    }

    async fn complete(&self, _: &CallContext, _: Completion) -> Result<RawJson, BackendError> {
        Ok(self.asked(RawJson::empty_object()))
    }

    async fn subscribe(&self, _: &CallContext, _: &str) -> Result<(), BackendError> {
        let _ = self.asked("subscribed");
        Ok(())
    }

    async fn task(&self, _: &CallContext, _: TaskAsk) -> Result<RawJson, BackendError> {
        Ok(self.asked(RawJson::empty_object()))
    }
}

/// Everything that was done for a request, in its order.
#[derive(Clone, Default)]
struct Diary(Arc<Mutex<Vec<String>>>, bool);

impl Diary {
    fn note(&self, what: String) {
        self.0.lock().unwrap().push(what);
    }
}

#[async_trait]
impl Policy for Diary {
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        self.note(format!("decide {} {}", request.method, request.name));
        if request.name.contains("open") {
            Decision::allow()
        } else {
            Decision::deny().because("rule")
        }
    }
}

#[async_trait]
impl RateLimiter for Diary {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        // The promise of a limiter that tells nothing apart is that it looks at neither.
        let item = (charge.name, charge.server);
        let item = if self.1 { item } else { (None, None) };
        self.note(format!("charge {} {item:?}", charge.method));
        Ok(Admission::admitted(None))
    }

    fn tells_items_apart(&self, charge: &Charge<'_>) -> bool {
        assert_eq!((charge.name, charge.server), (None, None));
        self.1
    }
}

/// Ways to use something; each gets a name and says how it went.
const WAYS: [&str; 9] = [
    "tool",
    "resume",
    "resource",
    "described",
    "prompt",
    "complete prompt",
    "complete template",
    "complete resource",
    "subscribe",
];

async fn go(gateway: &Gateway, way: &str, name: &str) -> Result<(), GatewayError> {
    let incoming = &incoming();
    let uri = format!("test://{name}");
    let read = |uri: &str| ResourceRead::new(uri, Extras::default());
    let complete = |reference| Completion::new(reference, RawJson::null(), Extras::default());
    match way {
        "tool" => gateway.call_tool(incoming, call(name)).await.map(drop),
        "resume" => {
            let resumed = gateway.resume(incoming, Feature::Tool, name, None).await?;
            resumed.finish(Outcome::Ok, 0);
            Ok(())
        }
        "resource" => gateway.read_resource(incoming, read(&uri)).await.map(drop),
        "described" => {
            let uri = read(&format!("{uri}/7"));
            gateway.read_resource(incoming, uri).await.map(drop)
        }
        "prompt" => {
            let get = PromptGet::new(name, Arguments::none(), Extras::default());
            gateway.get_prompt(incoming, get).await.map(drop)
        }
        "complete prompt" => {
            let ask = complete(CompletionRef::Prompt(name.into()));
            gateway.complete(incoming, ask).await.map(drop)
        }
        "complete template" => {
            let ask = complete(CompletionRef::Resource(format!("{uri}/{{id}}").into()));
            gateway.complete(incoming, ask).await.map(drop)
        }
        "complete resource" => {
            let ask = complete(CompletionRef::Resource(uri.into()));
            gateway.complete(incoming, ask).await.map(drop)
        }
        _ => gateway.subscribe(incoming, &uri).await.map(drop),
    }
}

#[tokio::test]
async fn as_much_is_done_for_what_is_hidden_as_for_what_does_not_exist() {
    for tells_apart in [false, true] {
        let (diary, backend) = (Diary(Arc::default(), tells_apart), Both::default());
        let gateway = Gateway::builder()
            .backend(backend.clone())
            .policy(diary.clone())
            .rate_limiter(diary.clone())
            .build()
            .unwrap();
        gateway.refresh().await.unwrap();
        for way in WAYS {
            let mut done = Vec::new();
            for name in ["hidden", "nobody"] {
                diary.0.lock().unwrap().clear();
                let error = go(&gateway, way, name).await.unwrap_err();
                let steps = diary.0.lock().unwrap().join("\n");
                // Whether it is seen in lists says how a refused call is charged, if it has arguments.
                let is_seen = matches!(way, "tool" | "resume" | "prompt" | "complete prompt");
                let asked = 2 + usize::from(tells_apart && is_seen);
                assert_eq!(steps.lines().count(), asked, "{way}: {steps}");
                let told = (error.public_message(), error.class().code(), steps);
                let told = format!("{told:?}").replace("nobody", "hidden");
                assert!(!told.contains("both"), "{way}: {told}");
                done.push(told);
            }
            assert_eq!(done[0], done[1], "{way}");
            let asked = backend.0.swap(0, Ordering::Relaxed);
            assert_eq!(asked, 0, "{way}: nobody behind is asked");
            diary.0.lock().unwrap().clear();
            go(&gateway, way, "open").await.unwrap();
            let steps = diary.0.lock().unwrap().clone();
            let first = if tells_apart { "decide" } else { "charge" };
            assert!(steps[0].starts_with(first), "{way}: {steps:?}");
            // What may be used is counted under its name.
            let is_named = steps.iter().any(|step| step.contains("Some(\"both\")"));
            assert_eq!(is_named, tells_apart, "{way}: {steps:?}");
            backend.0.store(0, Ordering::Relaxed);
        }
    }
}

/// Shows everything, lets everything be called with arguments of which one is the right one, and
/// hides what is called so.
struct Guarded;

#[async_trait]
impl Policy for Guarded {
    async fn decide(&self, request: &AccessRequest<'_>) -> Decision {
        let is_right = || {
            let arguments = request.arguments.map(|it| it.as_raw().as_str().to_owned());
            arguments.is_some_and(|text| text.contains("right"))
        };
        let is_shown = request.name != "hidden" && request.phase == Phase::List;
        if is_shown || (request.name == "open" && is_right()) {
            Decision::allow()
        } else {
            Decision::deny().because("rule")
        }
    }
}

#[tokio::test]
async fn a_call_that_is_refused_for_its_arguments_costs_what_the_tool_does() {
    let diary = Diary(Arc::default(), true);
    let gateway = Gateway::builder()
        .backend(Both::default())
        .policy(Guarded)
        .rate_limiter(diary.clone())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    let own = r#"(Some("open"), Some("both"))"#;
    let nothing = "(None, None)";
    for (name, key, counted, is_allowed) in [
        ("open", "right", own, true),
        ("open", "wrong", own, false),
        ("hidden", "wrong", nothing, false),
        ("nobody", "wrong", nothing, false),
        ("nobody", "right", nothing, false),
    ] {
        let raw = RawJson::parse(format!(r#"{{"key":"{key}"}}"#)).unwrap();
        let arguments = Arguments::from_raw(raw).unwrap();
        let call = ToolCall::new(name, arguments);
        let answer = gateway.call_tool(&incoming(), call).await;
        assert_eq!(answer.is_ok(), is_allowed, "{name} {key}");
        let steps = std::mem::take(&mut *diary.0.lock().unwrap());
        assert_eq!(
            steps,
            [format!("charge tools/call {counted}")],
            "{name} {key}"
        );
    }
}

#[tokio::test]
async fn a_task_that_is_anothers_is_none() {
    let (diary, backend) = (Diary(Arc::default(), true), Both::default());
    let gateway = Gateway::builder()
        .backend(backend.clone())
        .policy(diary.clone())
        .rate_limiter(diary.clone())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    let ask = TaskAsk::new(TaskMethod::Get, "7", Extras::default());
    let error = gateway.task(&incoming(), ask).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::InvalidParams);
    let steps = diary.0.lock().unwrap().clone();
    assert_eq!(
        steps,
        [
            "decide tools/call ",
            "decide tools/list ",
            "charge tasks/get (None, None)"
        ]
    );
    assert_eq!(backend.0.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_gateways_own_question_asks_as_much_of_what_is_not_there() {
    let diary = Diary::default();
    let gateway = Gateway::builder()
        .backend(Both::default())
        .policy(diary.clone())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    for (name, seen) in [("open", true), ("hidden", false), ("opener", false)] {
        let may = gateway.may_see(&incoming(), Feature::Tool, name).await;
        assert_eq!(may, seen, "{name}");
        let steps = std::mem::take(&mut *diary.0.lock().unwrap());
        assert_eq!(steps, [format!("decide tools/list {name}")]);
    }
}

#[tokio::test]
async fn a_policy_that_allows_everything_makes_nothing_of_what_is_not_there() {
    let gateway = Gateway::builder()
        .backend(Both::default())
        .policy(AllowAll::new())
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    for way in WAYS {
        go(&gateway, way, "hidden").await.unwrap();
        let error = go(&gateway, way, "nobody").await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Unknown, "{way}");
    }
}

/// Offers what it does not have when it is asked for: what went, or was taken back, meanwhile.
struct Emptied;

impl Emptied {
    fn none<T>(feature: Feature, name: &str) -> Result<T, BackendError> {
        Err(BackendError::NotFound {
            feature,
            name: name.to_owned(),
        })
    }
}

#[async_trait]
impl Backend for Emptied {
    fn name(&self) -> &'static str {
        "emptied"
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        let item = |feature, text: &str| {
            let definition = RawJson::parse(text.to_owned()).unwrap();
            vec![crate::ItemSpec::from_definition(feature, definition).unwrap()]
        };
        let mut offer = Offer::of_tools(vec![ToolSpec::new("t", "").unwrap()]);
        offer.resources = item(Feature::Resource, r#"{"uri":"a:b"}"#);
        offer.prompts = item(Feature::Prompt, r#"{"name":"p"}"#);
        Ok(offer)
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        Self::none(Feature::Tool, &call.name)
    }

    async fn read_resource(
        &self,
        _: &CallContext,
        read: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        Self::none(Feature::Resource, &read.uri)
    }

    async fn get_prompt(&self, _: &CallContext, get: PromptGet) -> Result<RawJson, BackendError> {
        Self::none(Feature::Prompt, &get.name)
    }

    async fn subscribe(&self, _: &CallContext, uri: &str) -> Result<(), BackendError> {
        Self::none(Feature::Resource, uri)
    }
}

#[tokio::test]
async fn what_a_server_does_not_know_reads_like_what_nobody_serves() {
    let gateway = Gateway::builder()
        .policy(AllowAll::new())
        .backend_with_prefix("two", Emptied)
        .build()
        .unwrap();
    gateway.refresh().await.unwrap();
    let here = incoming();
    let reads = |uri: &'static str| ResourceRead::new(uri, crate::Extras::default());
    let gets = |name: &'static str| {
        crate::PromptGet::new(name, Arguments::none(), crate::Extras::default())
    };
    let calls = |name: &'static str| ToolCall::new(name, Arguments::none());
    for (known, unknown) in [
        (
            gateway.read_resource(&here, reads("two+a:b")).await.err(),
            gateway.read_resource(&here, reads("two+a:c")).await.err(),
        ),
        (
            gateway.subscribe(&here, "two+a:b").await.err(),
            gateway.subscribe(&here, "two+a:c").await.err(),
        ),
        (
            gateway.get_prompt(&here, gets("two__p")).await.err(),
            gateway.get_prompt(&here, gets("two__q")).await.err(),
        ),
        (
            gateway.call_tool(&here, calls("two__t")).await.err(),
            gateway.call_tool(&here, calls("two__u")).await.err(),
        ),
    ] {
        let (known, unknown) = (known.unwrap(), unknown.unwrap());
        assert!(matches!(
            &known,
            GatewayError::Backend(BackendError::NotFound { name, .. }) if name.starts_with("two")
        ));
        assert_eq!(known.class(), unknown.class());
        let expected = unknown.public_message();
        let expected = expected.replace("a:c", "a:b").replace("__q", "__p");
        assert_eq!(known.public_message(), expected.replace("__u", "__t"));
    }
}

use std::sync::Mutex;

use mcp_gw_core::testing::{RecordingLink, call_context};
use mcp_gw_core::{Arguments, Caller, Extras, ToolSpec};

use super::*;
use crate::config::{Config, PinMode, PinsConfig, ServerConfig};
use crate::pins::guards::Guards;
use crate::pins::store::{FileStore as Store, PinsError};

/// Offers what it is told to.
struct Fickle(Mutex<Vec<ToolSpec>>);

#[async_trait]
impl Backend for Fickle {
    fn name(&self) -> &'static str {
        "fickle"
    }

    fn offer_now(&self) -> Option<Offer> {
        Some(Offer::of_tools(self.0.lock().unwrap().clone()))
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        Ok(Offer::of_tools(self.0.lock().unwrap().clone()))
    }

    async fn call_tool(&self, _: &CallContext, call: ToolCall) -> Result<ToolOutput, BackendError> {
        Ok(ToolOutput::text(call.name))
    }

    async fn task(&self, _: &CallContext, _: TaskAsk) -> Result<RawJson, BackendError> {
        Ok(RawJson::empty_object())
    }

    async fn read_resource(
        &self,
        _: &CallContext,
        _: ResourceRead,
    ) -> Result<RawJson, BackendError> {
        Ok(RawJson::empty_object())
    }
}

impl Fickle {
    fn becomes(&self, description: &str) {
        *self.0.lock().unwrap() = vec![
            ToolSpec::new("a", description).unwrap(),
            ToolSpec::new("b", "stays").unwrap(),
        ];
    }
}

/// Counts what it hears.
#[derive(Default)]
struct Ears(Mutex<usize>, tokio::sync::Notify);

impl BackendListener for Ears {
    fn on_event(&self, event: BackendEvent) {
        assert_eq!(event, BackendEvent::OfferChanged);
        *self.0.lock().unwrap() += 1;
        self.1.notify_one();
    }
}

struct Scene {
    fickle: Arc<Fickle>,
    guarded: Arc<dyn Backend>,
    guards: Guards,
    guard: Option<Arc<Guard>>,
    folder: tempfile::TempDir,
}

fn scene(mode: PinMode) -> Scene {
    let folder = tempfile::tempdir().unwrap();
    let pins = PinsConfig::new(mode, folder.path().join("pins.json"));
    let server = ServerConfig::stdio("x", ["y"]);
    let config = Config::default()
        .with_pins(pins)
        .with_server("fickle", server.clone());
    let guards = Guards::of(&config).unwrap();
    let fickle = Arc::new(Fickle(Mutex::default()));
    fickle.becomes("good");
    let guard = guards.guard("fickle", &config, &server);
    let guarded = match &guard {
        Some(guard) => Arc::clone(guard).around(Arc::clone(&fickle) as Arc<dyn Backend>),
        None => Arc::clone(&fickle) as Arc<dyn Backend>,
    };
    Scene {
        fickle,
        guarded,
        guards,
        guard,
        folder,
    }
}

fn context() -> CallContext {
    call_context(Caller::local(), Arc::new(RecordingLink::new()))
}

#[tokio::test]
async fn nothing_is_offered_or_called_past_the_judge() {
    let Scene {
        fickle,
        guarded,
        folder: _folder,
        ..
    } = scene(PinMode::Quarantine);
    assert!(guarded.offer_now().is_none());
    assert_eq!(guarded.offer().await.unwrap().tools.len(), 2);
    let call = |name: &str| ToolCall::new(name, Arguments::none());
    guarded.call_tool(&context(), call("a")).await.unwrap();
    fickle.becomes("evil");
    assert_eq!(guarded.offer().await.unwrap().tools.len(), 1);
    // A call that began with the catalogue of before.
    let error = guarded.call_tool(&context(), call("a")).await.unwrap_err();
    assert!(
        matches!(&error, BackendError::NotFound { feature: Feature::Tool, name } if name == "a"),
        "{error}"
    );
    guarded.call_tool(&context(), call("b")).await.unwrap();
}

#[tokio::test]
async fn a_blocked_server_answers_nothing() {
    let Scene {
        fickle,
        guarded,
        folder: _folder,
        ..
    } = scene(PinMode::Block);
    guarded.offer().await.unwrap();
    let read = || ResourceRead::new("x:y", Extras::default());
    guarded.read_resource(&context(), read()).await.unwrap();
    let task = |method| TaskAsk::new(method, "t", Extras::default());
    guarded
        .task(&context(), task(TaskMethod::Get))
        .await
        .unwrap();
    fickle.becomes("evil");
    assert!(guarded.offer().await.unwrap().tools.is_empty());
    for method in [TaskMethod::Get, TaskMethod::Update] {
        let error = guarded.task(&context(), task(method)).await.unwrap_err();
        assert!(error.to_string().contains("is blocked"), "{error}");
    }
    guarded
        .task(&context(), task(TaskMethod::Cancel))
        .await
        .unwrap();
    assert!(guarded.read_resource(&context(), read()).await.is_err());
    let argument = RawJson::empty_object();
    for reference in [
        CompletionRef::Prompt("p".into()),
        CompletionRef::Resource("x:{y}".into()),
    ] {
        let completion = Completion::new(reference, argument.clone(), Extras::default());
        let error = guarded.complete(&context(), completion).await.unwrap_err();
        assert!(matches!(error, BackendError::NotFound { .. }), "{error}");
    }
    let error = guarded.subscribe(&context(), "x:y").await.unwrap_err();
    assert!(matches!(error, BackendError::NotFound { .. }), "{error}");
}

#[tokio::test]
async fn a_file_that_cannot_be_used_makes_the_server_unavailable() {
    let Scene {
        guarded, folder, ..
    } = scene(PinMode::Quarantine);
    std::fs::write(folder.path().join("pins.json"), "{").unwrap();
    let error = guarded.offer().await.unwrap_err().to_string();
    assert!(error.contains("is damaged"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_approval_makes_the_gateway_ask_again() {
    let Scene {
        fickle,
        guarded,
        guards,
        folder,
        ..
    } = scene(PinMode::Quarantine);
    let ears = Arc::new(Ears::default());
    guarded.watch(Arc::clone(&ears) as Arc<dyn BackendListener>);
    let mut watch = guards.watch();
    guarded.offer().await.unwrap();
    fickle.becomes("evil");
    guarded.offer().await.unwrap();
    let store = Store::new(folder.path().join("pins.json"));
    let approve = |file: &mut super::super::file::PinsFile| {
        file.servers.get_mut("fickle").unwrap().pins.clear();
    };
    store.change(approve).unwrap();
    ears.1.notified().await;
    assert_eq!(*ears.0.lock().unwrap(), 1);
    watch.stop().await;
}

fn config_of(mode: PinMode, folder: &tempfile::TempDir) -> Config {
    Config::default()
        .with_pins(PinsConfig::new(mode, folder.path().join("pins.json")))
        .with_server("fickle", ServerConfig::stdio("x", ["y"]))
}

#[tokio::test]
async fn another_judge_is_in_force_before_anything_more_passes() {
    let Scene {
        fickle,
        guarded,
        guards,
        folder,
        ..
    } = scene(PinMode::Warn);
    let ears = Arc::new(Ears::default());
    guarded.watch(Arc::clone(&ears) as Arc<dyn BackendListener>);
    guarded.offer().await.unwrap();
    fickle.becomes("evil");
    assert_eq!(guarded.offer().await.unwrap().tools.len(), 2);
    let call = |name: &str| ToolCall::new(name, Arguments::none());
    guarded.call_tool(&context(), call("a")).await.unwrap();

    let config = config_of(PinMode::Quarantine, &folder);
    let next = Guards::of(&config).unwrap();
    next.take_over(&guards, &config, |_| false, |_| false).await;
    guarded.call_tool(&context(), call("a")).await.unwrap();
    assert_eq!(*ears.0.lock().unwrap(), 0, "it does not stay");
    next.take_over(&guards, &config, |name| name == "fickle", |_| false)
        .await;
    // Nothing was offered since.
    let error = guarded.call_tool(&context(), call("a")).await.unwrap_err();
    assert!(matches!(error, BackendError::NotFound { .. }), "{error}");
    guarded.call_tool(&context(), call("b")).await.unwrap();
    assert_eq!(*ears.0.lock().unwrap(), 1);
    assert_eq!(guarded.offer().await.unwrap().tools.len(), 1);
    // From now on it is the new one that looks after the file.
    let mut watch = next.watch();
    let store = Store::new(folder.path().join("pins.json"));
    let approve = |file: &mut super::super::file::PinsFile| {
        file.servers.get_mut("fickle").unwrap().pins.clear();
    };
    store.change(approve).unwrap();
    while *ears.0.lock().unwrap() < 2 {
        ears.1.notified().await;
    }
    watch.stop().await;
}

#[tokio::test]
async fn what_cannot_be_judged_anew_is_out_of_reach_until_it_can() {
    let Scene {
        guarded,
        guards,
        folder,
        ..
    } = scene(PinMode::Warn);
    guarded.offer().await.unwrap();
    let file = folder.path().join("pins.json");
    let good = std::fs::read(&file).unwrap();
    let config = config_of(PinMode::Block, &folder);
    let next = Guards::of(&config).unwrap();
    std::fs::write(&file, "{").unwrap();
    next.take_over(&guards, &config, |_| true, |_| false).await;
    let call = || ToolCall::new("a", Arguments::none());
    assert!(guarded.call_tool(&context(), call()).await.is_err());
    assert!(guarded.offer().await.is_err());
    assert!(guarded.call_tool(&context(), call()).await.is_err());
    std::fs::write(&file, good).unwrap();
    assert_eq!(guarded.offer().await.unwrap().tools.len(), 2);
    guarded.call_tool(&context(), call()).await.unwrap();
}

#[test]
fn a_server_without_pins_is_left_as_it_is() {
    let Scene {
        guarded, folder, ..
    } = scene(PinMode::Off);
    assert!(guarded.offer_now().is_some());
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn a_damaged_file_stops_the_start_unless_it_is_only_for_warnings() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pins.json");
    std::fs::write(&file, "{").unwrap();
    let of = |mode| {
        let config = Config::default()
            .with_pins(PinsConfig::new(PinMode::Off, &file))
            .with_server("a", ServerConfig::stdio("x", ["y"]).with_pins(mode));
        Guards::of(&config).map(|_| ())
    };
    assert!(of(PinMode::Off).is_ok() && of(PinMode::Warn).is_ok());
    for mode in [PinMode::Quarantine, PinMode::Block] {
        assert!(matches!(of(mode), Err(PinsError::Damaged { .. })));
    }
}

/// What is offered with this description of the tool `a`.
fn offered(description: &str) -> Offer {
    let fickle = Fickle(Mutex::default());
    fickle.becomes(description);
    fickle.offer_now().unwrap()
}

#[tokio::test]
async fn what_one_connection_lists_is_held_against_the_pins_of_the_server() {
    for mode in [PinMode::Quarantine, PinMode::Block, PinMode::Warn] {
        let Scene {
            guarded,
            guard,
            folder,
            ..
        } = scene(mode);
        let guard = guard.unwrap();
        assert_eq!(guard.is_needed(), mode != PinMode::Warn);
        guarded.offer().await.unwrap();
        let found = Arc::clone(&guard).vet(offered("good")).await.unwrap();
        assert!(!found.refuses(Feature::Tool, "a"));
        let found = Arc::clone(&guard).vet(offered("evil")).await.unwrap();
        assert_eq!(found.refuses(Feature::Tool, "a"), mode != PinMode::Warn);
        for other in [
            (Feature::Tool, "b"),
            (Feature::Prompt, "a"),
            (Feature::Resource, ""),
        ] {
            assert_eq!(
                found.refuses(other.0, other.1),
                mode == PinMode::Block,
                "{other:?}"
            );
        }
        // All others are as they were.
        let call = ToolCall::new("a", Arguments::none());
        guarded.call_tool(&context(), call).await.unwrap();

        // Once it is approved it passes there, too.
        let file = Store::new(folder.path().join("pins.json"));
        let pins =
            crate::pins::file::ServerPins::of(&crate::pins::print::Sight::of(&offered("evil")));
        file.change(|file| file.servers.insert("fickle".to_owned(), pins))
            .unwrap();
        guarded.offer().await.unwrap();
        assert!(!found.refuses(Feature::Tool, "a"));
        std::fs::remove_file(folder.path().join("pins.json")).unwrap();
        let lost = Arc::clone(&guard).vet(offered("good")).await;
        assert!(lost.unwrap_err().to_string().contains("are gone"));
    }
}

/// Keeps what it hears.
#[derive(Default)]
struct Diary(Mutex<Vec<BackendEvent>>);

impl BackendListener for Diary {
    fn on_event(&self, event: BackendEvent) {
        self.0.lock().unwrap().push(event);
    }
}

#[tokio::test]
async fn a_blocked_server_is_not_heard() {
    let updated = || BackendEvent::ResourceUpdated {
        uri: "a:b".into(),
        params: RawJson::empty_object(),
    };
    for (mode, heard) in [(PinMode::Block, 2), (PinMode::Quarantine, 3)] {
        let scene = scene(mode);
        let diary: Arc<Diary> = Arc::default();
        let heard_by = Heard {
            guard: scene.guard.clone().unwrap(),
            listener: Arc::clone(&diary) as Arc<dyn BackendListener>,
        };
        scene.guarded.offer().await.unwrap();
        heard_by.on_event(updated());
        scene.fickle.becomes("evil");
        let _ = scene.guarded.offer().await;
        heard_by.on_event(updated());
        // It may be what it was before.
        heard_by.on_event(BackendEvent::OfferChanged);
        let diary = diary.0.lock().unwrap();
        assert_eq!(diary.len(), heard, "{mode:?}");
        assert_eq!(diary.last(), Some(&BackendEvent::OfferChanged));
    }
}

#[tokio::test]
async fn a_server_that_is_blocked_under_a_call_ends_it_and_asks_for_nothing() {
    let mut scene = scene(PinMode::Block);
    scene.guarded.offer().await.unwrap();
    let guard = scene.guard.take().unwrap();
    let guarded = Guarded {
        backend: Arc::clone(&scene.fickle),
        guard: Arc::clone(&guard),
    };
    let raw = |text: &str| RawJson::parse(text.to_owned()).unwrap();
    let ends = [
        r#"{"content":[]}"#,
        r#"{"resultType":"complete","content":[]}"#,
    ];
    let asks = [
        r#"{"resultType":"input_required","requestState":"s"}"#,
        r#"{"resultType":"input\u005frequired","requestState":"s"}"#,
        r#"{"resultType":"task","taskId":"t"}"#,
        r#"{"resultType":"complete","resultType":"task"}"#,
        r#"{"resultType":5}"#,
    ];
    let passes = |text: &str| {
        let passed = guarded.pass_result(&raw(text), Feature::Tool, "a");
        passed.is_ok()
    };
    assert!(!guard.is_silenced());
    assert!(ends.iter().chain(&asks).all(|text| passes(text)));
    scene.fickle.becomes("evil");
    scene.guarded.offer().await.unwrap();
    assert!(guard.is_silenced());
    assert!(ends.iter().all(|text| passes(text)));
    assert!(!asks.iter().any(|text| passes(text)));
}

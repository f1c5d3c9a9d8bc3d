//! What the tests of both transports share.

use std::sync::{Arc, Mutex};

use mcp_gw_core::testing::{RecordingLink, call_context};
use mcp_gw_core::{
    Arguments, BackendEvent, BackendListener, CallContext, Caller, RawJson, ToolCall,
};
use tokio::sync::mpsc;

pub(crate) fn raw(text: &str) -> RawJson {
    RawJson::parse(text.to_owned()).unwrap()
}

/// A call of `name` with these arguments.
pub(crate) fn call(name: &str, arguments: &str) -> ToolCall {
    ToolCall::new(name, Arguments::from_raw(raw(arguments)).unwrap())
}

/// A context whose client wants progress, and that client.
pub(crate) fn context() -> (CallContext, Arc<RecordingLink>) {
    let link = Arc::new(RecordingLink::new());
    let context = call_context(Caller::local(), Arc::<RecordingLink>::clone(&link) as _);
    (context, link)
}

/// Hands on events of a backend.
#[derive(Debug)]
pub(crate) struct Listener(Mutex<mpsc::Sender<BackendEvent>>);

impl Listener {
    pub(crate) fn new() -> (Arc<Self>, mpsc::Receiver<BackendEvent>) {
        let (sender, receiver) = mpsc::channel(64);
        (Arc::new(Self(Mutex::new(sender))), receiver)
    }
}

impl BackendListener for Listener {
    fn on_event(&self, event: BackendEvent) {
        self.0.lock().unwrap().try_send(event).unwrap();
    }
}

/// A payload whose text any decoding and encoding would change.
pub(crate) const ODD: &str = r#"{"z":1.0,"a":1e5,"big":123456789012345678901234567890,"é":"\u00e9","x-vendor":{"b":[],"a":null}}"#;

//! The pipeline, seen from outside.

use super::*;

fn assert_send<T: Send>(value: T) -> T {
    value
}

#[test]
fn requests_can_move_between_threads() {
    use crate::{Caller, Completion, CompletionRef, Extras, Incoming, PromptGet, RequestMeta};
    let gateway = Gateway::builder().build().unwrap();
    let incoming = Incoming::new(
        Caller::local(),
        RequestMeta::new("1", crate::Transport::InProcess),
    );
    let none = crate::Arguments::none;
    drop(assert_send(
        gateway.call_tool(&incoming, crate::ToolCall::new("x", none())),
    ));
    drop(assert_send(gateway.list(
        &incoming,
        crate::Feature::Tool,
        None,
        1,
    )));
    drop(assert_send(gateway.read_resource(
        &incoming,
        crate::ResourceRead::new("x", Extras::default()),
    )));
    drop(assert_send(gateway.get_prompt(
        &incoming,
        PromptGet::new("x", none(), Extras::default()),
    )));
    drop(assert_send(gateway.complete(
        &incoming,
        Completion::new(
            CompletionRef::Prompt("x".into()),
            RawJson::null(),
            Extras::default(),
        ),
    )));
    drop(assert_send(gateway.subscribe(&incoming, "x")));
    drop(assert_send(gateway.refresh()));
}

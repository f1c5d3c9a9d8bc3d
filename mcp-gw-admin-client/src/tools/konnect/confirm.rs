//! The user is asked before something is created: by the client that calls, where it can be asked.
//!
//! What is asked for is a result (`resultType: input_required`, MCP 2026-07-28); clients of older revisions are asked by a
//! request, which the gateway sends, and the call comes again with the answer.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use mcp_gw_core::{Arguments, CallContext, Caller, ObjectWriter, RawJson, ToolCall, ToolOutput};

/// The tool that asks.
pub(crate) const TOOL: &str = "CreateDebugSession";

/// Under this name the question is asked and answered.
const QUESTION: &str = "confirm";

/// What a call is about to do about its question.
pub(crate) enum Step {
    /// Nobody can be asked, and nothing is to be created: the call goes on as it came.
    Unasked,
    /// Nobody can be asked, and the model says that the user agreed: first the call without `confirm`, which says whether
    /// this was shown before; then the call as it came.
    Claimed(ToolCall),
    /// The call has to be made without `confirm`, which shows what would be created; then the user is asked.
    Ask(ToolCall),
    /// The user agreed.
    Agreed(ToolCall),
    /// The user did not.
    Refused,
}

/// What to do about a call. The agreement of a user counts for the very arguments that were shown.
pub(crate) fn step(ctx: &CallContext, call: &ToolCall) -> Step {
    let confirm = call.arguments.as_raw().member("confirm").ok().flatten();
    if !can_be_asked(ctx) {
        let is_claimed = confirm.is_some_and(|confirm| confirm.as_str() == "true");
        let plain = || again(call, with_confirm(&call.arguments, false));
        return if is_claimed {
            Step::Claimed(plain())
        } else {
            Step::Unasked
        };
    }
    let extra = |name: &str| {
        let mut members = call.extras.members.iter();
        members.find(|(known, _)| known == name).map(|(_, raw)| raw)
    };
    let answer = extra("inputResponses").and_then(|all| all.member(QUESTION).ok().flatten());
    let shown = extra("requestState").and_then(|state| state.decode_owned::<String>().ok());
    let plain = with_confirm(&call.arguments, false);
    match (answer, shown) {
        (Some(answer), Some(shown)) if shown == plain.as_raw().as_str() => {
            if is_yes(&answer) {
                Step::Agreed(again(call, with_confirm(&call.arguments, true)))
            } else {
                Step::Refused
            }
        }
        _ => Step::Ask(again(call, plain)),
    }
}

/// The question, when `shown` is what would be created, and no error.
pub(crate) fn question(call: &ToolCall, shown: &ToolOutput) -> Option<ToolOutput> {
    let structured = shown.as_raw().member("structuredContent").ok()??;
    let wants = structured.member("can_be_created").ok()??;
    if wants.as_str() != "true" {
        return None;
    }
    let text = |name: &str| {
        let value = structured.member(name).ok().flatten();
        value.map(|value| value.to_string()).unwrap_or_default()
    };
    let message = format!(
        "Create a debug session? It traces requests through the gateways.\ncontrol_plane_id: {}\nsampling_rule: {}\n\
         session_duration: {} s\nmax_samples: {}",
        text("control_plane_id"),
        text("sampling_rule"),
        text("session_duration"),
        text("max_samples")
    );
    let schema = RawJson::parse(SCHEMA).ok()?;
    let params = ObjectWriter::default()
        .string("mode", "form")
        .string("message", &message)
        .raw("requestedSchema", &schema)
        .finish();
    let request = ObjectWriter::default()
        .string("method", "elicitation/create")
        .raw("params", &params)
        .finish();
    let result = ObjectWriter::default()
        .string("resultType", "input_required")
        .raw(
            "inputRequests",
            &ObjectWriter::default().raw(QUESTION, &request).finish(),
        )
        .string("requestState", call.arguments.as_raw().as_str())
        .finish();
    ToolOutput::from_raw(result).ok()
}

/// What was shown to whom: only that can be agreed to without a question of this server.
#[derive(Debug, Default)]
pub(crate) struct Shown(Mutex<VecDeque<(Caller, String)>>);

impl Shown {
    /// The oldest is forgotten for more.
    const MOST: usize = 256;

    /// Remembers what a caller sees with this answer, if it could be created.
    pub(crate) fn remember(&self, caller: &Caller, answer: &ToolOutput) {
        let Some(plan) = plan_of(answer) else {
            return;
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|(who, known)| !(who.is_same(caller) && *known == plan));
        if all.len() >= Self::MOST {
            all.pop_front();
        }
        all.push_back((caller.clone(), plan));
    }

    /// Whether the caller saw this before; that counts once.
    pub(crate) fn take(&self, caller: &Caller, answer: &ToolOutput) -> bool {
        let Some(plan) = plan_of(answer) else {
            return false;
        };
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = all.len();
        all.retain(|(who, known)| !(who.is_same(caller) && *known == plan));
        all.len() < before
    }
}

/// What would be created, as it was shown.
fn plan_of(answer: &ToolOutput) -> Option<String> {
    let structured = answer.as_raw().member("structuredContent").ok()??;
    if structured.member("can_be_created").ok()??.as_str() != "true" {
        return None;
    }
    let part = |name: &str| Some(structured.member(name).ok()??.to_string());
    Some(
        [
            part("control_plane_id")?,
            part("sampling_rule")?,
            part("session_duration")?,
            part("max_samples")?,
        ]
        .join(" "),
    )
}

/// What is answered when the user did not agree.
pub(crate) fn refused() -> ToolOutput {
    ToolOutput::error(
        "The user did not agree: nothing was created. Do not ask again without a reason; ask the user what should be \
         different.",
    )
}

const SCHEMA: &str = r#"{"type":"object","properties":{"create":{"type":"boolean","title":"Create this debug session","default":true}}}"#;

/// Whether the client that calls can ask its user something by a form.
fn can_be_asked(ctx: &CallContext) -> bool {
    let link = ctx.link();
    let declared = link.capabilities().or_else(|| {
        let declared = ctx.meta().client_capabilities.clone();
        declared.filter(|_| link.accepts_input_requests())
    });
    let Some(modes) = declared.and_then(|all| all.member("elicitation").ok().flatten()) else {
        return false;
    };
    let has = |mode: &str| matches!(modes.member(mode), Ok(Some(mode)) if mode.is_object());
    // Without any mode it is the form.
    modes.is_object() && (has("form") || !has("url"))
}

fn is_yes(answer: &RawJson) -> bool {
    let action: Option<String> = answer
        .member("action")
        .ok()
        .flatten()
        .and_then(|action| action.decode_owned().ok());
    let content = answer.member("content").ok().flatten();
    let create = content.and_then(|content| content.member("create").ok().flatten());
    action.as_deref() == Some("accept") && create.is_none_or(|create| create.as_str() == "true")
}

/// The arguments with `confirm: true`, or without it. What cannot be read stays as it is: the tool says what is wrong.
fn with_confirm(arguments: &Arguments, confirm: bool) -> Arguments {
    let raw = arguments.as_raw();
    let Ok(members) = raw.members() else {
        return arguments.clone();
    };
    let mut writer = ObjectWriter::with_capacity(raw.len()).members(&members, &["confirm"]);
    if confirm {
        writer = writer.boolean("confirm", true);
    }
    Arguments::from_raw(writer.finish()).unwrap_or_else(|_| arguments.clone())
}

fn again(call: &ToolCall, arguments: Arguments) -> ToolCall {
    ToolCall::new(Arc::clone(&call.name), arguments).with_extras(call.extras.clone())
}

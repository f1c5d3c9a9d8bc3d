//! What can be asked for: the methods of MCP that rules are about (A.7 of the policy sheet).

use mcp_gw_core::{AccessRequest, Feature, Phase};

use crate::config::Method;

/// One thing that rules allow or refuse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    ToolList,
    ToolCall,
    ResourceList,
    ResourceRead,
    ResourceSubscribe,
    TemplateList,
    /// Completing the arguments of a template: `resources/read` on the template itself.
    TemplateRead,
    PromptList,
    PromptGet,
}

/// What a request turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Op(Op),
    /// It can only reduce what the caller has.
    Pass,
    /// No method that rules are about, or not one of its feature.
    Unknown,
}

impl Op {
    pub(crate) const ALL: [Self; 9] = [
        Self::ToolList,
        Self::ToolCall,
        Self::ResourceList,
        Self::ResourceRead,
        Self::ResourceSubscribe,
        Self::TemplateList,
        Self::TemplateRead,
        Self::PromptList,
        Self::PromptGet,
    ];

    pub(crate) const COUNT: usize = Self::ALL.len();

    /// The method that a rule names for it.
    pub(crate) const fn method(self) -> Method {
        match self {
            Self::ToolList => Method::ToolsList,
            Self::ToolCall => Method::ToolsCall,
            Self::ResourceList => Method::ResourcesList,
            Self::ResourceRead | Self::TemplateRead => Method::ResourcesRead,
            Self::ResourceSubscribe => Method::ResourcesSubscribe,
            Self::TemplateList => Method::ResourcesTemplatesList,
            Self::PromptList => Method::PromptsList,
            Self::PromptGet => Method::PromptsGet,
        }
    }

    pub(crate) const fn feature(self) -> Feature {
        match self {
            Self::ToolList | Self::ToolCall => Feature::Tool,
            Self::ResourceList | Self::ResourceRead | Self::ResourceSubscribe => Feature::Resource,
            Self::TemplateList | Self::TemplateRead => Feature::ResourceTemplate,
            Self::PromptList | Self::PromptGet => Feature::Prompt,
        }
    }

    pub(crate) const fn is_list(self) -> bool {
        matches!(
            self,
            Self::ToolList | Self::ResourceList | Self::TemplateList | Self::PromptList
        )
    }

    /// True when the method of a rule covers it.
    pub(crate) fn is_of(self, method: Method) -> bool {
        match method {
            Method::List => self.is_list(),
            Method::Call => !self.is_list(),
            method => self.method() == method,
        }
    }
}

impl Asked {
    pub(crate) fn of(request: &AccessRequest<'_>) -> Self {
        if PASSES.contains(&request.method) {
            return Self::Pass;
        }
        let op = match (request.feature, request.method) {
            (Feature::Tool, "tools/list") => Op::ToolList,
            // Asking about a task needs the right to call its tool.
            (
                Feature::Tool,
                "tools/call" | "tasks/get" | "tasks/update" | "tasks/cancel" | "tasks/result",
            ) => Op::ToolCall,
            (Feature::Resource, "resources/list") => Op::ResourceList,
            (Feature::Resource, "resources/read" | "completion/complete") => Op::ResourceRead,
            (Feature::Resource, "resources/subscribe" | "subscriptions/listen") => {
                Op::ResourceSubscribe
            }
            (Feature::Resource, "resources/unsubscribe") => return Self::Pass,
            (Feature::ResourceTemplate, "resources/templates/list") => Op::TemplateList,
            (Feature::ResourceTemplate, "resources/read" | "completion/complete") => {
                Op::TemplateRead
            }
            (Feature::Prompt, "prompts/list") => Op::PromptList,
            (Feature::Prompt, "prompts/get" | "completion/complete") => Op::PromptGet,
            _ => return Self::Unknown,
        };
        // A list that says it is a call, or the other way round, is neither.
        if op.is_list() == (request.phase == Phase::List) {
            Self::Op(op)
        } else {
            Self::Unknown
        }
    }
}

/// Methods about nothing that a policy protects (A.7). The core asks for none of them; whoever wants to
/// know is told the truth.
const PASSES: [&str; 8] = [
    "initialize",
    "ping",
    "server/discover",
    "logging/setLevel",
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "notifications/roots/list_changed",
];

/// Some of the operations.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ops(u16);

impl Ops {
    pub(crate) fn insert(&mut self, op: Op) {
        self.0 |= 1 << (op as u16);
    }

    pub(crate) const fn contains(self, op: Op) -> bool {
        self.0 & (1 << (op as u16)) != 0
    }

    pub(crate) const fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = Op> {
        Op::ALL.into_iter().filter(move |op| self.contains(*op))
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::testing::access_request;
    use mcp_gw_core::{Caller, RequestMeta, Transport};

    use super::*;

    #[test]
    fn a7_each_method_is_decided_as_the_sheet_says() {
        use Feature::{Prompt, Resource, ResourceTemplate, Tool};
        let (caller, meta) = (Caller::local(), RequestMeta::new("1", Transport::InProcess));
        for (feature, method, asked) in [
            (Tool, "tools/list", Asked::Op(Op::ToolList)),
            (Tool, "tools/call", Asked::Op(Op::ToolCall)),
            (Tool, "tasks/get", Asked::Op(Op::ToolCall)),
            (Resource, "resources/list", Asked::Op(Op::ResourceList)),
            (Resource, "resources/read", Asked::Op(Op::ResourceRead)),
            (
                Resource,
                "resources/subscribe",
                Asked::Op(Op::ResourceSubscribe),
            ),
            (Resource, "resources/unsubscribe", Asked::Pass),
            (
                ResourceTemplate,
                "resources/templates/list",
                Asked::Op(Op::TemplateList),
            ),
            (
                ResourceTemplate,
                "completion/complete",
                Asked::Op(Op::TemplateRead),
            ),
            (Prompt, "prompts/list", Asked::Op(Op::PromptList)),
            (Prompt, "prompts/get", Asked::Op(Op::PromptGet)),
            (Prompt, "completion/complete", Asked::Op(Op::PromptGet)),
            (Tool, "ping", Asked::Pass),
            (Prompt, "notifications/initialized", Asked::Pass),
            (Tool, "Ping", Asked::Unknown),
            (Tool, "vendor/method", Asked::Unknown),
            (Tool, "prompts/get", Asked::Unknown),
            (Tool, "Tools/Call", Asked::Unknown),
        ] {
            let mut request = access_request(&caller, &meta, "a");
            (request.feature, request.method) = (feature, method);
            request.phase = if method.ends_with("/list") {
                Phase::List
            } else {
                Phase::Call
            };
            assert_eq!(Asked::of(&request), asked, "{method}");
        }
        let mut request = access_request(&caller, &meta, "a");
        request.phase = Phase::List;
        assert_eq!(
            Asked::of(&request),
            Asked::Unknown,
            "a call is not decided as a list"
        );
    }
}

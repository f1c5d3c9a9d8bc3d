//! `send_request_to_gateway`: test requests through the gateway, without the dashboard's token.

use mcp_gw_core::ToolError;

use crate::tools::api7::shared::Api7;
use crate::tools::operation::{Effect, Operation};
use crate::tools::traffic::{Args, Output, send_all};

pub(crate) struct SendRequest;

impl Operation<Api7> for SendRequest {
    const NAME: &'static str = "send_request_to_gateway";
    const TITLE: &'static str = "Send test requests";
    const DESCRIPTION: &'static str = "Sends test requests through the API7 gateway (GATEWAY_URL), several at once and each \
        as often as repeatCount says, and answers with status, headers, body and duration of each. Redirects are not \
        followed. Only GET, HEAD and OPTIONS while this server changes nothing.";
    const EFFECT: Effect = Effect::Changes;
    const READ_ONLY_EFFECT: Effect = Effect::Reads;
    const IS_OPEN: bool = true;
    type Args = Args;
    type Output = Output;

    async fn run(shared: &Api7, args: Args) -> Result<Output, ToolError> {
        send_all(shared, args).await
    }
}

//! Members of `_meta` that belong to one hop (MCP 2026-07-28, basic): a gateway reads those of its
//! client and writes its own to the server, but never passes one on.

/// The revision that a request speaks.
pub const PROTOCOL_VERSION: &str = "io.modelcontextprotocol/protocolVersion";
/// The `Implementation` object of the client.
pub const CLIENT_INFO: &str = "io.modelcontextprotocol/clientInfo";
/// The `ClientCapabilities` object of the client.
pub const CLIENT_CAPABILITIES: &str = "io.modelcontextprotocol/clientCapabilities";
/// The least level of log messages that the client wants for a request.
pub const LOG_LEVEL: &str = "io.modelcontextprotocol/logLevel";
/// The `subscriptions/listen` request that a message belongs to.
pub const SUBSCRIPTION_ID: &str = "io.modelcontextprotocol/subscriptionId";
/// The `Implementation` object of the server.
pub const SERVER_INFO: &str = "io.modelcontextprotocol/serverInfo";
/// Under which the client wants progress; of every revision.
pub const PROGRESS_TOKEN: &str = "progressToken";

/// The task that a message belongs to (2025-11-25, basic/utilities/tasks). It is passed on: the id
/// in it is written as its reader knows it.
pub const RELATED_TASK: &str = "io.modelcontextprotocol/related-task";

/// All that belong to one hop.
pub const HOP: [&str; 7] = [
    PROTOCOL_VERSION,
    CLIENT_INFO,
    CLIENT_CAPABILITIES,
    LOG_LEVEL,
    SUBSCRIPTION_ID,
    SERVER_INFO,
    PROGRESS_TOKEN,
];

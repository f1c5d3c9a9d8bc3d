//! `limits forget`: sets a caller free who has used up what is counted in Redis.

use std::path::PathBuf;

use clap::Args;
use mcp_gw_core::{Charge, RequestMeta, Transport};

use super::{About, find, load, names};
use crate::limits::Limits;

/// Whose counts are forgotten.
#[derive(Debug, Clone, Args)]
pub(super) struct ForgetArgs {
    /// The configuration file
    #[arg(long, value_name = "FILE", default_value = "mcp-gw.yaml")]
    config: PathBuf,

    /// The id of a key in `auth.api_keys`, or `anonymous` or `local`
    #[arg(long, value_name = "ID")]
    caller: String,

    /// Also what is counted for this caller and this tool
    #[arg(long, value_name = "NAME")]
    tool: Option<String>,

    /// Also what is counted for this caller and this server
    #[arg(long, value_name = "NAME")]
    server: Option<String>,

    /// Ask the servers whether there is such a tool, and which of them offers it
    #[arg(long, requires = "tool")]
    ask: bool,
}

/// Forgets, and says what.
pub(super) async fn forget(args: &ForgetArgs) -> Result<String, String> {
    let config = load(&args.config)?;
    let caller = find(&config, &args.caller)?;
    let about = About {
        tool: args.tool.as_deref(),
        server: args.server.as_deref(),
        ask: args.ask,
    };
    let limits = Limits::new(&config.limits).map_err(|error| error.to_string())?;
    let redis = limits.redis().ok_or(
        "counts are in the memory of the gateway, which alone can forget them: it does when it is \
         restarted; with `limits.redis` they are where this command can reach them",
    )?;
    let offers = names::check(&config, about).await?;
    let connected = redis.connect().await;
    connected.map_err(|error| format!("{error}; nothing was forgotten"))?;
    let meta = RequestMeta::new("limits forget", Transport::InProcess);
    let server = about.server.or(offers.as_deref());
    let charge = Charge::new(&caller, &meta, "tools/call").of(about.tool, server);
    let forgotten = limits.limiter.now().forget_own(&charge).await;
    let forgotten = forgotten.map_err(|error| format!("{error}; not all may be forgotten"))?;
    Ok(if forgotten.is_empty() {
        format!("no limit counts {} by itself\n", args.caller)
    } else {
        format!(
            "forgot what {} used of: {}\n",
            args.caller,
            forgotten.join(", ")
        )
    })
}

//! The JSON-RPC envelope, and the requests of MCP in it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_server::fuzzing::run("message", data));

//! Tokens from a client, and keys of an issuer.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_server::fuzzing::run("token", data));

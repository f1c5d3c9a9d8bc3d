//! Headers of signed requests, from a client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_server::fuzzing::run("signature", data));

//! Headers that repeat arguments: written for a server, read from a client.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_server::fuzzing::run("header", data));

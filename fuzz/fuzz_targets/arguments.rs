//! Arguments of operations of REST APIs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_server::fuzzing::run("arguments", data));

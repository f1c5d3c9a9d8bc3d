//! Requests to REST APIs, and the addresses of APIs.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_server::fuzzing::run("egress", data));

//! The canonical form of JSON, of which pins are digests.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_server::fuzzing::run("canonical", data));

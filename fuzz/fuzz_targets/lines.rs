//! Readers of lines: clients over standard streams, child processes.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_server::fuzzing::run("lines", data));

//! URIs of resources and templates.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_policy::fuzzing::uri(data));

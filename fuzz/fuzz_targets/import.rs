//! Configurations of mcp-acl.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_policy::fuzz_conditions::import(data));

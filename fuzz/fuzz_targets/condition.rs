//! Conditions of policies, with arguments for them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mcp_gw_policy::fuzz_conditions::condition(data));

//! Texts that any decoding and encoding would change. The tests read this file too.

/// The definition of the tool `vendor`.
pub(crate) const DEFINITION: &str = r#"{"x-vendor":{"rate":1.0,"z":1e5},"name":"vendor","inputSchema":{"type":"object","$schema":"https://json-schema.org/draft/2020-12/schema","x-order":["b","a"],"properties":{"n":{"minimum":-0,"maximum":123456789012345678901234567890}}},"title":"V\u00e9ndor","description":"odd","annotations":{"readOnlyHint":true,"x-cost":1.0},"execution":{"taskSupport":"forbidden"},"_meta":{"vendor.example/tool":1E+2}}"#;

/// The members of its result.
pub(crate) const RESULT: &str = r#""z-vendor":{"b":1.0,"a":1e5},"content":[{"x-first":-0,"type":"x/vendor","big":123456789012345678901234567890,"text":"\u00e9\ud83d\ude00\/","nested":{"z":[1.50,1E+2],"a":null}},{"type":"text","text":"plain","x-vendor":0.10}],"structuredContent":{"zulu":1.0,"alpha":123456789012345678901234567890,"n":-0},"_meta":{"vendor.example/trace":1e5},"isError":false,"x-last":[1.0,{}]"#;

/// The error of the tool `rpc_error`.
pub(crate) const ERROR: &str = r#"{"code":-32050,"message":"no\u0020such luck","data":{"n":1.0,"big":123456789012345678901234567890},"x-vendor":1e5}"#;

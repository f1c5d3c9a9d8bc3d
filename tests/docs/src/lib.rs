//! The Rust code in `docs/`, as doctests: `cargo test --doc -p mcp-gw-docs`.

#[cfg(doctest)]
mod docs {
    #[doc = include_str!("../../../docs/custom-tools.md")]
    mod custom_tools {}

    #[doc = include_str!("../../../docs/embedding.md")]
    mod embedding {}

    #[doc = include_str!("../../../docs/federation.md")]
    mod federation {}

    #[doc = include_str!("../../../CONTRIBUTING.md")]
    mod contributing {}
}

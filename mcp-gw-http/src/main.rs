//! `mcp-gw-http`: see `--help`.

/// A call takes a hundred short-lived pieces of memory and gives them back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    mcp_gw_http::cli::main()
}

//! `mcp-gw-http`: see `--help`.

fn main() -> std::process::ExitCode {
    mcp_gw_http::cli::main()
}

//! `mcp-gw-stdio`: see `--help`.

fn main() -> std::process::ExitCode {
    mcp_gw_stdio::cli::main()
}

//! An MCP server by hand, for tests: it speaks one era, over standard streams or HTTP, and does what
//! well-behaved servers do not do, when asked to.
//!
//! `odd-server [--legacy|--modern] [--http [--close]] [--many N] [--fickle FILE] [--items NAME [--nameless]]`
#![expect(
    clippy::disallowed_methods,
    clippy::expect_used,
    clippy::exit,
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a test tool: it is small, on its own, and may die of what it does not expect"
)]

mod http;
mod items;
mod message;
mod state;
mod stdio;
mod tools;
mod vendor;

use std::sync::Arc;

use state::{Era, Options, State};

fn main() {
    let mut options = Options::default();
    let mut args = std::env::args().skip(1);
    let (mut is_http, mut is_closing) = (false, false);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--legacy" => options.era = Era::Legacy,
            "--modern" => options.era = Era::Modern,
            "--http" => is_http = true,
            "--close" => is_closing = true,
            "--many" => {
                let number = args.next().expect("--many takes a number");
                options.many = number.parse().expect("--many takes a number");
            }
            "--fickle" => options.fickle = Some(args.next().expect("--fickle takes a file").into()),
            "--nameless" => options.nameless = true,
            "--items" => options.items = Some(args.next().expect("--items takes a name")),
            other => {
                println!("unknown argument {other}");
                std::process::exit(2);
            }
        }
    }
    eprintln!("the odd server starts");
    let state = Arc::new(State::new(options));
    if is_http {
        http::serve(&state, is_closing);
    } else {
        stdio::serve(&state);
    }
}

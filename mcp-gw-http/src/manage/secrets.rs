//! Passwords: from the environment, standard input or the terminal, and never from arguments, which everybody on
//! the machine can read.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::process::{Command, Stdio};

use mcp_gw_core::Secret;
use mcp_gw_server::cli::environment;

/// So long may a line be.
const LONGEST: u64 = 64 * 1024;

/// The password in `variable`, or on a line of standard input, or as it is typed.
pub(super) fn password(
    variable: &str,
    is_piped: bool,
    flag: &str,
    ask: &str,
) -> Result<Secret<String>, String> {
    if is_piped {
        return line();
    }
    if let Some(text) = environment(variable).filter(|text| !text.is_empty()) {
        return Ok(Secret::new(text));
    }
    if std::io::stdin().is_terminal() {
        return typed(ask);
    }
    Err(format!(
        "there is no password: set {variable}, or write it to standard input with {flag}"
    ))
}

fn line() -> Result<Secret<String>, String> {
    let mut text = String::new();
    let read = std::io::stdin().lock().take(LONGEST).read_line(&mut text);
    read.map_err(|error| format!("standard input cannot be read: {error}"))?;
    let text = text.trim_end_matches(['\n', '\r']);
    if text.is_empty() {
        return Err("standard input has no password: write it there, on a line".to_owned());
    }
    Ok(Secret::new(text.to_owned()))
}

/// Asks at the terminal, which does not show what is typed.
fn typed(ask: &str) -> Result<Secret<String>, String> {
    let mut out = std::io::stderr();
    let _ = write!(out, "{ask}: ");
    let _ = out.flush();
    if !stty("-echo") {
        return Err(
            "this terminal cannot hide what is typed: write the password to standard input"
                .to_owned(),
        );
    }
    let password = line();
    stty("echo");
    let _ = writeln!(out);
    password
}

/// The terminal is that of standard input.
fn stty(what: &str) -> bool {
    let mut stty = Command::new("stty");
    stty.arg(what).stdout(Stdio::null()).stderr(Stdio::null());
    stty.status().is_ok_and(|status| status.success())
}

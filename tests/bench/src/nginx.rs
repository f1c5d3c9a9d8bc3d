//! nginx as plain reverse proxy: the measure of what a hop costs that reads nothing.

use std::{fmt::Write as _, fs, net::TcpListener, path::Path, process::Stdio};

use http::Uri;
use tempfile::TempDir;
use tokio::process::Command;

use crate::{children::Children, wire::Failure};

/// Starts nginx in front of `upstream`. Gives its process id, its URL, and the folder it works in, which must be kept.
pub(crate) async fn start(
    children: &mut Children,
    upstream: &str,
    core: Option<usize>,
) -> Result<(u32, String, TempDir), Failure> {
    let upstream: Uri = upstream.parse()?;
    let upstream = upstream
        .authority()
        .ok_or("the upstream has no address")?
        .as_str();
    let folder = tempfile::tempdir()?;
    let build = built_without().await?;
    for _ in 0..ATTEMPTS {
        // nginx cannot be asked which port it got. One that was free a moment ago hardly ever is not.
        let own = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
        let configuration = configuration(folder.path(), &own.to_string(), upstream, &build);
        fs::write(folder.path().join("nginx.conf"), configuration)?;
        if let Some(pid) = children.nginx(folder.path(), own.port(), core).await? {
            return Ok((pid, format!("http://{own}/mcp"), folder));
        }
    }
    Err("nginx does not start".into())
}

/// How nginx was built: a module that was left out also takes its settings with it.
async fn built_without() -> Result<String, Failure> {
    let output = Command::new("nginx")
        .arg("-V")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = output.await.map_err(|error| format!("nginx: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// One process, connections kept in both directions, nothing written to disk.
fn configuration(folder: &Path, own: &str, upstream: &str, build: &str) -> String {
    let folder = folder.display();
    let mut paths = String::new();
    for (kind, module) in [
        ("client_body", None),
        ("proxy", None),
        ("fastcgi", Some("--without-http_fastcgi_module")),
        ("uwsgi", Some("--without-http_uwsgi_module")),
        ("scgi", Some("--without-http_scgi_module")),
    ] {
        if !module.is_some_and(|module| build.contains(module)) {
            // Writing to a string cannot fail.
            let _ = writeln!(paths, "    {kind}_temp_path \"{folder}/{kind}\";");
        }
    }
    format!(
        r#"daemon off;
master_process off;
pid "{folder}/pid";
error_log stderr error;
events {{
    worker_connections 8192;
}}
http {{
{paths}    access_log off;
    tcp_nodelay on;
    keepalive_requests 1000000000;
    client_max_body_size 64m;
    client_body_buffer_size 1m;
    proxy_buffers 64 16k;
    proxy_max_temp_file_size 0;
    upstream mcp {{
        server {upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {own};
        location / {{
            proxy_pass http://mcp;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"#
    )
}

const ATTEMPTS: usize = 3;

//! One keep-alive HTTP/1.1 connection.

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Uri, response::Parts};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::wire::Failure;

/// An open connection.
#[derive(Debug)]
pub(crate) struct Channel(SendRequest<Full<Bytes>>);

impl Channel {
    /// Connects to the host of this URL.
    pub(crate) async fn open(url: &Uri) -> Result<Self, Failure> {
        let host = url.host().ok_or("the URL has no host")?;
        if url.scheme_str() != Some("http") {
            return Err("only http:// URLs can be measured".into());
        }
        let port = url.port_u16().unwrap_or(80);
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        // What breaks a connection shows in the request that is under way.
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    /// Sends a request, and reads its answer to the end.
    pub(crate) async fn send(
        &mut self,
        method: Method,
        path: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<(Parts, Bytes), Failure> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = method;
        *request.uri_mut() = path;
        *request.headers_mut() = headers;
        self.0.ready().await?;
        let (head, body) = self.0.send_request(request).await?.into_parts();
        Ok((head, body.collect().await?.to_bytes()))
    }
}

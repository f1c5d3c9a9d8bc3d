//! A scripted HTTP server on a loopback port of its own: it fails the test on a request that was not planned,
//! and on a planned one that was not made.
#![expect(
    dead_code,
    unreachable_pub,
    reason = "each test uses the part that it needs"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use futures_util::{StreamExt as _, stream};
use serde_json::Value;
use tokio::sync::Barrier;

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub line: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// How a planned request is answered.
#[derive(Debug, Clone)]
enum How {
    Whole,
    /// The connection ends in the middle of the body.
    Broken,
    /// Nothing comes, ever.
    Never,
    /// Not before so many requests are here at the same time.
    Together(Arc<Barrier>),
    /// So many bytes of blanks come before the body.
    Long(usize),
}

/// A request that has to come, and its answer.
#[derive(Debug, Clone)]
pub struct Plan {
    line: String,
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    how: How,
}

/// Plans a request: `GET /api/roles?page=2`. It is answered with `{}`.
pub fn on(line: &str) -> Plan {
    Plan {
        line: line.to_owned(),
        status: 200,
        headers: vec![("content-type".to_owned(), "application/json".to_owned())],
        body: "{}".to_owned(),
        how: How::Whole,
    }
}

impl Plan {
    /// Whether it is for this request.
    pub fn is_for(&self, line: &str) -> bool {
        self.line == line
    }

    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub fn body(mut self, body: impl Into<String>) -> Self {
        self.body = body.into();
        self
    }

    pub fn broken(mut self) -> Self {
        self.how = How::Broken;
        self
    }

    pub fn never(mut self) -> Self {
        self.how = How::Never;
        self
    }

    pub fn together(mut self, barrier: &Arc<Barrier>) -> Self {
        self.how = How::Together(Arc::clone(barrier));
        self
    }

    pub fn long(mut self, bytes: usize) -> Self {
        self.how = How::Long(bytes);
        self
    }

    fn answer(self) -> Response {
        let mut response = Response::builder().status(self.status);
        for (name, value) in self.headers {
            response = response.header(name, value);
        }
        let text = Bytes::from(self.body);
        let body = match self.how {
            How::Whole | How::Together(_) => Body::from(text),
            How::Broken => {
                // What is pending is preceded by what was written: the head arrives.
                let rest = stream::once(async {
                    tokio::task::yield_now().await;
                    Err(std::io::Error::other("broken"))
                });
                Body::from_stream(stream::iter([Ok(text)]).chain(rest))
            }
            How::Never => Body::from_stream(stream::pending::<Result<Bytes, std::io::Error>>()),
            How::Long(bytes) => {
                let piece = Bytes::from(vec![b' '; 64 * 1024]);
                let pieces = bytes / piece.len();
                let blanks = stream::iter(std::iter::repeat_n(piece, pieces));
                let all = blanks.chain(stream::iter([text]));
                Body::from_stream(all.map(Ok::<_, std::io::Error>))
            }
        };
        response.body(body).unwrap()
    }
}

#[derive(Debug, Default)]
struct Book {
    plans: Vec<Plan>,
    seen: Vec<Seen>,
    unplanned: Vec<String>,
    /// How many requests are here now, and how many there were at most.
    here: usize,
    most: usize,
}

/// The running server.
#[derive(Debug)]
pub struct Scripted {
    address: SocketAddr,
    book: Arc<Mutex<Book>>,
    task: tokio::task::JoinHandle<()>,
}

impl Scripted {
    /// Requests may come in any order; those with the same line are answered in the order of the plans.
    pub async fn start(plans: impl IntoIterator<Item = Plan>) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let book = Arc::new(Mutex::new(Book {
            plans: plans.into_iter().collect(),
            ..Book::default()
        }));
        let router = Router::new().fallback(serve).with_state(Arc::clone(&book));
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self {
            address,
            book,
            task,
        }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn host(&self) -> String {
        self.address.to_string()
    }

    pub fn plan(&self, plan: Plan) {
        self.book.lock().unwrap().plans.push(plan);
    }

    /// How many requests there were at the same time, at most.
    pub fn most(&self) -> usize {
        self.book.lock().unwrap().most
    }

    /// What is planned and was not asked for need not come.
    pub fn forget_plans(&self) {
        self.book.lock().unwrap().plans.clear();
    }

    /// What was seen so far.
    pub fn seen(&self) -> Vec<Seen> {
        self.book.lock().unwrap().seen.clone()
    }
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.task.abort();
        if std::thread::panicking() {
            return;
        }
        let book = self.book.lock().unwrap();
        assert_eq!(book.unplanned, [""; 0], "nobody planned these requests");
        let unmade: Vec<&str> = book.plans.iter().map(|plan| &*plan.line).collect();
        assert_eq!(unmade, [""; 0], "these requests were not made");
    }
}

async fn serve(State(book): State<Arc<Mutex<Book>>>, request: Request<Body>) -> Response {
    let (parts, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let line = format!("{} {}", parts.method, parts.uri);
    let plan = {
        let mut book = book.lock().unwrap();
        book.seen.push(Seen {
            line: line.clone(),
            headers: parts.headers,
            body,
        });
        let at = book.plans.iter().position(|plan| plan.line == line);
        book.here += 1;
        book.most = book.most.max(book.here);
        if at.is_none() {
            book.unplanned.push(line);
        }
        at.map(|at| book.plans.remove(at))
    };
    if let Some(How::Together(barrier)) = plan.as_ref().map(|plan| &plan.how) {
        barrier.wait().await;
    }
    book.lock().unwrap().here -= 1;
    match plan {
        Some(plan) => plan.answer(),
        None => Response::builder()
            .status(StatusCode::IM_A_TEAPOT)
            .body(Body::from(r#"{"error_msg":"not planned"}"#))
            .unwrap(),
    }
}

/// An address that nobody listens at.
pub async fn nobody() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    format!("http://{}", listener.local_addr().unwrap())
}

/// Short pauses: tests of retries do not wait for seconds.
pub const SHORT: Duration = Duration::from_millis(2);

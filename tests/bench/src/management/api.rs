//! Requests to a management API, one at a time and as load.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header, response::Parts};
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, timeout},
};

use crate::{
    channel::Channel,
    client::Plan,
    load::Outcome,
    script::{Script, short},
    wire::{Failure, JSON},
};

/// A connection that whatever is not measured goes over.
pub(crate) struct Api {
    channel: Channel,
    host: HeaderValue,
}

impl Api {
    pub(crate) async fn open(url: &Uri) -> Result<Self, Failure> {
        Ok(Self {
            channel: Channel::open(url).await?,
            host: host(url)?,
        })
    }

    /// A token for this user.
    pub(crate) async fn login(&mut self, user: &str, password: &str) -> Result<String, Failure> {
        let headers = headers(&self.host, FORM, None)?;
        let body = form(user, password);
        let (head, body) = self
            .send(Method::POST, "/auth/login", headers, body)
            .await?;
        let token = answer(&head, &body, StatusCode::OK)?;
        let token = token.get("access_token").and_then(Value::as_str);
        Ok(token.ok_or("the login gave no token")?.to_owned())
    }

    /// Makes something, and gives what is answered.
    pub(crate) async fn post(
        &mut self,
        path: &str,
        credential: &str,
        body: &Value,
    ) -> Result<Value, Failure> {
        let headers = headers(&self.host, JSON, Some(credential))?;
        let body = body.to_string();
        let (head, body) = self.send(Method::POST, path, headers, body).await?;
        answer(&head, &body, StatusCode::CREATED)
    }

    /// Reads something, and gives its body.
    pub(crate) async fn get(&mut self, path: &str, credential: &str) -> Result<Bytes, Failure> {
        let headers = headers(&self.host, JSON, Some(credential))?;
        let (head, body) = self.send(Method::GET, path, headers, String::new()).await?;
        answer(&head, &body, StatusCode::OK)?;
        Ok(body)
    }

    async fn send(
        &mut self,
        method: Method,
        path: &str,
        headers: HeaderMap,
        body: String,
    ) -> Result<(Parts, Bytes), Failure> {
        let sent = self
            .channel
            .send(method, path.parse()?, headers, body.into());
        timeout(LONGEST, sent)
            .await
            .map_err(|_| format!("{path}: no answer within a minute"))?
    }
}

fn answer(head: &Parts, body: &[u8], expected: StatusCode) -> Result<Value, Failure> {
    let text = str::from_utf8(body)?;
    if head.status != expected {
        return Err(format!("{}: {}", head.status, short(text)).into());
    }
    Ok(serde_json::from_str(text)?)
}

/// What is asked for again and again.
#[derive(Clone, Debug)]
pub(crate) enum Work {
    /// A call of the tool `echo` of this server.
    Echo(String),
    /// A login with this name and this password.
    Login(String, String),
    /// A key for who asks.
    NewKey,
}

/// One kind of request, and how its answer is judged.
#[derive(Clone)]
pub(crate) struct Job(Arc<Inner>);

struct Inner {
    work: Work,
    path: Uri,
    script: Script,
    /// One for each credential, which the requests take by chance.
    headers: Vec<HeaderMap>,
}

impl Job {
    /// `plan` says where the gateway is, and how long texts are.
    pub(crate) fn new(work: Work, plan: &Plan, credentials: &[String]) -> Result<Self, Failure> {
        let host = host(&plan.url)?;
        let headers = credentials.iter().map(|credential| match work {
            Work::Login(..) => headers(&host, FORM, None),
            Work::Echo(_) | Work::NewKey => headers(&host, JSON, Some(credential)),
        });
        let path = match work {
            Work::Echo(_) => "/tools/call",
            Work::Login(..) => "/auth/login",
            Work::NewKey => "/auth/api-keys",
        };
        Ok(Self(Arc::new(Inner {
            path: Uri::from_static(path),
            script: Script::of(plan)?,
            headers: headers.collect::<Result<_, _>>()?,
            work,
        })))
    }

    /// Asks from so many connections for `time`, each as soon as it has its answer.
    pub(crate) async fn run(
        &self,
        url: &Uri,
        connections: usize,
        time: Duration,
    ) -> Result<Outcome, Failure> {
        let mut channels = Vec::with_capacity(connections);
        for _ in 0..connections {
            channels.push(Channel::open(url).await?);
        }
        let begun = Instant::now();
        let mut lanes = JoinSet::new();
        for (lane, channel) in (0_u64..).zip(channels) {
            lanes.spawn(drive(self.clone(), channel, lane, begun + time));
        }
        let mut outcome = Outcome::default();
        while let Some(lane) = lanes.join_next().await {
            match lane {
                Ok(part) => outcome.add(part),
                Err(error) => outcome.fail(&error.into()),
            }
        }
        outcome.elapsed = begun.elapsed();
        Ok(outcome)
    }

    fn body(&self, serial: u64) -> String {
        let inner = &self.0;
        match &inner.work {
            Work::Echo(server) => {
                let text = inner.script.payload(serial);
                // The text is of letters, digits and blanks.
                format!(
                    r#"{{"server_id":"{server}","tool_name":"echo","arguments":{{"text":"{text}"}}}}"#
                )
            }
            Work::Login(user, password) => form(user, password),
            Work::NewKey => {
                json!({ "name": format!("key {serial}"), "scopes": ["tools:call"] }).to_string()
            }
        }
    }

    /// Whether this is the answer to the request with this serial number.
    pub(crate) fn check(
        &self,
        serial: u64,
        status: StatusCode,
        body: &[u8],
    ) -> Result<(), Failure> {
        let text = str::from_utf8(body)?;
        let expected = match self.0.work {
            Work::Echo(_) | Work::Login(..) => StatusCode::OK,
            Work::NewKey => StatusCode::CREATED,
        };
        if status != expected {
            return Err(format!("{status}: {}", short(text)).into());
        }
        let is_right = match self.0.work {
            Work::Echo(_) => return self.0.script.check_result(serial, text),
            Work::Login(..) => {
                let answer: Value = serde_json::from_str(text)?;
                let token = answer.get("access_token").and_then(Value::as_str);
                token.is_some_and(|token| token.split('.').count() == 3)
            }
            Work::NewKey => {
                let answer: Value = serde_json::from_str(text)?;
                let key = answer.get("key").and_then(Value::as_str);
                let name = answer.get("name").and_then(Value::as_str);
                name == Some(&format!("key {serial}"))
                    && key.is_some_and(|key| key.starts_with("mcp_"))
            }
        };
        if is_right {
            Ok(())
        } else {
            Err(format!("another answer: {}", short(text)).into())
        }
    }

    async fn ask(&self, channel: &mut Channel, serial: u64) -> Result<(), Failure> {
        let inner = &self.0;
        let headers = match &*inner.headers {
            [one] => one,
            many => {
                let at = chance(serial) % u64::try_from(many.len().max(1))?;
                let headers = many.get(usize::try_from(at)?);
                headers.ok_or("there is no credential")?
            }
        };
        let body = self.body(serial).into();
        let (method, path) = (Method::POST, inner.path.clone());
        let sent = channel.send(method, path, headers.clone(), body);
        let answer = timeout(PATIENCE, sent).await;
        let (head, body) = answer.map_err(|_| "no answer within ten seconds")??;
        self.check(serial, head.status, &body)
    }
}

async fn drive(job: Job, mut channel: Channel, lane: u64, end: Instant) -> Outcome {
    let mut outcome = Outcome::default();
    for number in 0.. {
        let before = Instant::now();
        // A connection that broke has nothing more to say than that, and most of what follows would fail, too.
        if before >= end || outcome.errors >= MOST_ERRORS {
            break;
        }
        match job.ask(&mut channel, lane << 40 | number).await {
            Ok(()) => outcome.latencies.record(before.elapsed()),
            Err(error) => outcome.fail(&error),
        }
    }
    outcome
}

/// Spreads numbers that follow each other (the finalizer of splitmix64).
fn chance(number: u64) -> u64 {
    let mut mixed = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn form(user: &str, password: &str) -> String {
    // Names and passwords of this program have nothing to escape but blanks.
    format!("username={user}&password={}", password.replace(' ', "+"))
}

fn host(url: &Uri) -> Result<HeaderValue, Failure> {
    let host = url.authority().ok_or("the URL has no host")?;
    Ok(host.as_str().parse()?)
}

fn headers(
    host: &HeaderValue,
    kind: &'static str,
    credential: Option<&str>,
) -> Result<HeaderMap, Failure> {
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, host.clone());
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(credential) = credential {
        let mut value: HeaderValue = format!("Bearer {credential}").parse()?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    Ok(headers)
}

const FORM: &str = "application/x-www-form-urlencoded";
/// After so many a connection asks no more.
const MOST_ERRORS: u64 = 100;
const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST: Duration = Duration::from_secs(60);

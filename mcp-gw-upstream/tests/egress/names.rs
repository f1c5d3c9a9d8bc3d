//! A resolver that says what a test wants, and what happens when it says something else the next time.

use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use mcp_gw_upstream::egress::{Base, BaseRules, RefusalCode, Resolve};

use crate::raw::{Raw, ok};
use crate::{Api, ApiRules, Client, base, get};

/// Answers, one after the other; the last one stays.
pub(crate) struct Names {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub(crate) fn always(addresses: impl IntoIterator<Item = IpAddr>) -> Arc<Self> {
        Self::turns([addresses.into_iter().collect()])
    }

    fn turns(answers: impl IntoIterator<Item = Vec<IpAddr>>) -> Arc<Self> {
        Arc::new(Self {
            answers: Mutex::new(answers.into_iter().collect()),
            asked: Mutex::default(),
        })
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

#[async_trait]
impl Resolve for Names {
    async fn resolve(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        if answers.len() > 1 {
            return Ok(answers.pop_front().unwrap());
        }
        let last = answers.front().cloned();
        last.ok_or_else(|| io::ErrorKind::NotFound.into())
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The API is allowed to be at this address only; the trap is at 127.0.0.2, on the same port.
const GOOD: &str = "127.0.0.1";
const BAD: &str = "127.0.0.2";

struct Rebinding {
    good: Raw,
    trap: Raw,
    rules: ApiRules,
    client: Client,
    names: Arc<Names>,
}

impl Rebinding {
    async fn new(answers: &[&[&str]], keep: bool) -> Self {
        let reply = move |_: usize, _: &[u8]| if keep { ok("good") } else { ok("good").close() };
        let good = Raw::start(reply).await;
        let trap = Raw::at(&format!("{BAD}:{}", good.port()), |_, _| ok("trap")).await;
        let answers = answers
            .iter()
            .map(|all| all.iter().map(|one| ip(one)).collect());
        let names = Names::turns(answers.collect::<Vec<_>>());
        let address = format!("http://rebind.test:{}", good.port());
        Self {
            rules: ApiRules::new(base(&address)).with_allow_addresses([ip(GOOD)]),
            client: Client::with_resolver(Arc::clone(&names) as _),
            good,
            trap,
            names,
        }
    }

    async fn ask(&self) -> Result<String, RefusalCode> {
        let checked = self.rules.check(get("/")).unwrap();
        let answer = self.client.get(checked).await;
        let answer = answer.map_err(|error| {
            assert!(error.is_unsent, "{error:?}");
            assert!(!error.message.contains("127."), "{error}");
            error.code
        })?;
        let body = answer.read_whole().await.unwrap();
        Ok(String::from_utf8(body.to_vec()).unwrap())
    }
}

#[tokio::test]
async fn a_name_that_changes_between_two_connections_leads_nowhere() {
    let dns = Rebinding::new(&[&[GOOD], &[BAD], &[GOOD], &[BAD]], false).await;
    assert_eq!(dns.ask().await.unwrap(), "good");
    assert_eq!(dns.ask().await, Err(RefusalCode::EgressBlocked));
    assert_eq!(dns.ask().await.unwrap(), "good");
    assert_eq!(dns.ask().await, Err(RefusalCode::EgressBlocked));
    assert_eq!((dns.good.connections(), dns.trap.connections()), (2, 0));
    // One look-up for each connection, and it is that which was connected to.
    assert_eq!(dns.names.asked(), ["rebind.test"; 4]);
}

#[tokio::test]
async fn a_name_is_not_looked_up_again_for_a_connection_that_was_judged() {
    let dns = Rebinding::new(&[&[GOOD], &[BAD]], true).await;
    for _ in 0..3 {
        assert_eq!(dns.ask().await.unwrap(), "good");
    }
    assert_eq!(dns.names.asked().len(), 1);
    assert_eq!((dns.good.connections(), dns.trap.connections()), (1, 0));
}

#[tokio::test]
async fn one_bad_address_among_good_ones_refuses_all() {
    for answer in [
        [GOOD, BAD],
        [BAD, GOOD],
        [GOOD, "169.254.169.254"],
        [GOOD, "::1"],
    ] {
        let dns = Rebinding::new(&[&answer], false).await;
        assert_eq!(
            dns.ask().await,
            Err(RefusalCode::EgressBlocked),
            "{answer:?}"
        );
        assert_eq!((dns.good.connections(), dns.trap.connections()), (0, 0));
    }
}

#[tokio::test]
async fn a_name_without_an_address_cannot_be_reached() {
    let dns = Rebinding::new(&[&[]], false).await;
    assert_eq!(dns.ask().await, Err(RefusalCode::UpstreamUnreachable));
    let dns = Rebinding::new(&[], false).await;
    assert_eq!(dns.ask().await, Err(RefusalCode::UpstreamUnreachable));
}

#[tokio::test]
async fn an_address_in_the_place_of_a_name_is_judged_too() {
    let server = Raw::start(|_, _| ok("in")).await;
    for host in ["127.0.0.1", "0x7f.1", "2130706433", "[::ffff:127.0.0.1]"] {
        let address = format!("http://{host}:{}", server.port());
        let any = BaseRules::new().with_http(true).with_ip(true);
        let rules = ApiRules::new(Base::parse(&address, any).unwrap());
        let client = Client::new();
        let error = client
            .get(rules.check(get("/")).unwrap())
            .await
            .unwrap_err();
        assert_eq!(error.code, RefusalCode::EgressBlocked, "{host}");
        assert_eq!(server.connections(), 0);
    }
    let rules = ApiRules::new(base(&server.url())).with_allow_private(true);
    let answer = Client::new()
        .get(rules.check(get("/")).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.read_whole().await.unwrap(), "in");
}

#[tokio::test]
async fn the_systems_names_are_judged_as_well() {
    let server = Raw::start(|_, _| ok("in")).await;
    let rules = ApiRules::new(base(&format!("http://localhost:{}", server.port())));
    let error = Client::new()
        .get(rules.check(get("/")).unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.code, RefusalCode::EgressBlocked);
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn rules_of_one_api_do_not_open_connections_for_another() {
    let server = Raw::start(|_, _| ok("in")).await;
    let api = Api::new(&server, |rules| rules);
    assert_eq!(api.text("/").await.unwrap().1, "in");
    // The same origin, and the same client, but no private addresses.
    let strict = api.rules.clone().with_allow_private(false);
    let error = api
        .client
        .get(strict.check(get("/")).unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.code, RefusalCode::EgressBlocked);
    assert_eq!(server.connections(), 1);
}

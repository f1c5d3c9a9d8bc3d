//! What a limiter hands on with its answer: a hold for as long as the request runs, and standings
//! for who answers.

use super::*;
use crate::{Hold, LimitReport, LimitStanding};

/// Admits everybody, and knows how many are under way.
#[derive(Clone, Default)]
struct UnderWay(Arc<AtomicUsize>);

struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl UnderWay {
    fn now(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl RateLimiter for UnderWay {
    async fn admit(&self, _: &Charge<'_>) -> Result<Admission, LimiterError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let quota = Quota::new(5, 4, Duration::from_secs(1));
        let standing = LimitStanding::new("test", quota, Some(Duration::from_secs(60)));
        Ok(Admission::admitted(Some(quota))
            .with_standings(vec![standing])
            .with_hold(Hold::new(Place(Arc::clone(&self.0)))))
    }
}

#[tokio::test]
async fn a_hold_lasts_as_long_as_the_request() {
    let (limiter, began) = (UnderWay::default(), Arc::new(Notify::new()));
    let gateway = Gateway::builder()
        .tool(Hello)
        .tool(Endless(Arc::clone(&began)))
        .policy(Rule(|request| request.name != "hello"))
        .rate_limiter(limiter.clone())
        .build()
        .unwrap();
    let incoming = incoming();
    for name in ["hello", "nothing"] {
        assert!(gateway.call_tool(&incoming, call(name)).await.is_err());
        assert_eq!(limiter.now(), 0, "{name} was refused after the limit");
    }
    gateway
        .list(&incoming, Feature::Tool, None, 10)
        .await
        .unwrap();
    assert_eq!(limiter.now(), 0);
    let mut running = Box::pin(gateway.call_tool(&incoming, call("endless")));
    tokio::select! {
        _ = &mut running => panic!("it never answers"),
        () = began.notified() => assert_eq!(limiter.now(), 1),
    }
    drop(running);
    assert_eq!(limiter.now(), 0, "the call was given up");
}

#[tokio::test]
async fn who_answers_can_learn_how_the_caller_stands() {
    let gateway = Gateway::builder()
        .tool(Hello)
        .policy(AllowAll::new())
        .rate_limiter(UnderWay::default())
        .build()
        .unwrap();
    let report = LimitReport::new();
    let meta = RequestMeta::new("1", Transport::Http).with_limit_report(report.clone());
    assert!(report.standings().is_empty());
    let incoming = Incoming::new(Caller::anonymous(), meta);
    gateway.call_tool(&incoming, call("hello")).await.unwrap();
    let [standing] = report.standings() else {
        panic!("{report:?}")
    };
    assert_eq!((&*standing.name, standing.quota.remaining), ("test", 4));
}

#[test]
fn a_refused_request_holds_nothing() {
    let count = Arc::new(AtomicUsize::new(1));
    let quota = Quota::new(1, 0, Duration::ZERO);
    let limited = Admission::limited("l", quota, Duration::ZERO);
    let limited = limited.with_hold(Hold::new(Place(Arc::clone(&count))));
    assert_eq!(count.load(Ordering::SeqCst), 0);
    assert!(!limited.is_admitted());
    let (a, b) = (Hold::new(1), Hold::new(1));
    assert!(a == a.clone() && a != b && a != Hold::none() && Hold::none() == Hold::none());
    assert_eq!(format!("{a:?}"), "Hold(true)");
}

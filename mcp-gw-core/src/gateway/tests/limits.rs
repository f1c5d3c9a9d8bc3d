//! What a limiter hands on with its answer: a hold for as long as the request runs, and standings
//! for who answers.

use std::net::IpAddr;

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
    let standings = report.standings();
    let [standing] = &*standings else {
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

#[test]
fn a_report_holds_each_limit_as_it_was_tightest_and_the_tightest_first() {
    let standing = |name: &str, remaining| {
        let quota = Quota::new(9, remaining, Duration::from_secs(1));
        LimitStanding::new(name, quota, Some(Duration::from_secs(60)))
    };
    let report = LimitReport::new();
    report.fill(vec![standing("address", 2)]);
    report.fill(vec![standing("caller", 5)]);
    report.fill(vec![standing("caller", 4)]);
    report.fill(vec![standing("caller", 7), standing("tool", 1)]);
    let told = |report: &LimitReport| -> Vec<(String, u64)> {
        let all = report.standings();
        let all = all.iter();
        all.map(|one| (one.name.to_string(), one.quota.remaining))
            .collect()
    };
    let expected = [("tool", 1), ("address", 2), ("caller", 4)];
    assert_eq!(
        told(&report),
        expected.map(|(name, left)| (name.to_owned(), left))
    );
    // What refused comes before what has less left.
    report.fill(vec![standing("late", 8).refused(Duration::from_secs(3))]);
    report.fill(vec![standing("late", 0)]);
    assert_eq!(told(&report)[0], ("late".to_owned(), 8));
}

#[test]
fn the_tightest_is_what_has_the_smallest_part_left_of_a_window() {
    let standing = |name: &str, limit, remaining, window: Option<u64>| {
        let quota = Quota::new(limit, remaining, Duration::from_secs(1));
        LimitStanding::new(name, quota, window.map(Duration::from_secs))
    };
    let first = |all: Vec<LimitStanding>| {
        let report = LimitReport::new();
        report.fill(all);
        report.standings()[0].name.to_string()
    };
    let busy = standing("at-once", 2, 1, None);
    let (minute, day) = (
        standing("minute", 10, 9, Some(60)),
        standing("day", 10_000, 50, Some(86_400)),
    );
    assert_eq!(first(vec![busy.clone(), minute.clone()]), "minute");
    assert_eq!(first(vec![minute.clone(), day.clone()]), "day");
    // A full bucket is not tight, however small it is beside its rate.
    let bucket = standing("even", 50, 10, Some(1)).with_capacity(10);
    assert_eq!(first(vec![bucket, minute.clone()]), "minute");
    let refused = busy.refused(Duration::from_secs(1));
    assert_eq!(first(vec![minute, day, refused]), "at-once");
}

/// Refuses addresses, and whatever is charged without a name; keeps what it was asked.
#[derive(Clone, Default)]
struct Strict(Arc<Mutex<Vec<(String, bool)>>>);

#[async_trait]
impl RateLimiter for Strict {
    async fn admit(&self, charge: &Charge<'_>) -> Result<Admission, LimiterError> {
        let mut asked = self.0.lock().unwrap();
        asked.push((charge.method.to_owned(), charge.goes_on));
        let quota = Quota::new(5, 0, Duration::from_secs(1));
        Ok(match charge.name {
            Some(_) => Admission::admitted(Some(quota)),
            None => Admission::limited("other", quota, Duration::from_secs(1)),
        })
    }

    async fn admit_address(&self, addr: Option<IpAddr>) -> Result<Admission, LimiterError> {
        let quota = Quota::new(5, 0, Duration::from_secs(1));
        Ok(match addr {
            Some(_) => Admission::admitted(None),
            None => Admission::limited("address", quota, Duration::from_secs(1)),
        })
    }
}

#[tokio::test]
async fn what_does_not_go_down_the_road_is_charged_and_not_audited() {
    let (limiter, audit) = (Strict::default(), RecordingAudit::default());
    let gateway = Gateway::builder()
        .tool(Hello)
        .policy(AllowAll::new())
        .rate_limiter(limiter.clone())
        .audit(audit.clone())
        .build()
        .unwrap();
    let incoming = incoming();
    let error = gateway.charge(&incoming, "ping").await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Limited);
    let report = LimitReport::new();
    assert!(gateway.admit_address(None, &report).await.is_err());
    let addr = Some(IpAddr::from([127, 0, 0, 1]));
    gateway.admit_address(addr, &report).await.unwrap();
    assert!(audit.events().is_empty());
    let resumed = gateway
        .resume(&incoming, Feature::Tool, "hello", None)
        .await;
    resumed.unwrap().finish(Outcome::Ok, 0);
    gateway.call_tool(&incoming, call("hello")).await.unwrap();
    let asked = limiter.0.lock().unwrap().clone();
    let expected = [("ping", false), ("tools/call", true), ("tools/call", false)];
    assert_eq!(asked, expected.map(|(name, on)| (name.to_owned(), on)));
}

#[test]
fn nobody_is_told_to_come_back_when_it_never_helps() {
    let limited = |retry_after| GatewayError::Limited {
        limit_name: "l".into(),
        quota: Quota::new(1, 1, Duration::ZERO),
        retry_after,
    };
    let never = limited(Duration::MAX);
    assert_eq!(never.retry_after(), None);
    assert!(never.public_message().contains("does not help"));
    let soon = limited(Duration::from_millis(1));
    assert_eq!(soon.retry_after(), Some(Duration::from_millis(1)));
    assert!(soon.public_message().contains("in 1 s"));
}

/// Refuses everybody.
struct Full;

#[async_trait]
impl RateLimiter for Full {
    async fn admit(&self, _: &Charge<'_>) -> Result<Admission, LimiterError> {
        let quota = Quota::new(5, 0, Duration::from_secs(1));
        Ok(Admission::limited("full", quota, Duration::from_secs(2)))
    }
}

/// One tool that tells of limits itself, and one that does not.
struct Told;

#[async_trait]
impl Backend for Told {
    fn name(&self) -> &'static str {
        "told"
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        let own = ToolSpec::new("own", "")
            .unwrap()
            .with_limit_result(|error| {
                let after = error.retry_after()?;
                Some(ToolOutput::error(format!("again in {after:?}")))
            });
        // What else is known of a tool stays when its definition changes.
        let own = own.with_output_schema(&RawJson::empty_object()).unwrap();
        Ok(Offer::of_tools(vec![
            own,
            ToolSpec::new("plain", "").unwrap(),
        ]))
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Ok(ToolOutput::text("called"))
    }
}

#[tokio::test]
async fn a_tool_may_tell_of_a_limit_who_sees_it() {
    for (is_seen, own) in [(true, Some("again in 2s")), (false, None)] {
        let audit = RecordingAudit::default();
        let rule: fn(&AccessRequest<'_>) -> bool = if is_seen {
            |_| true
        } else {
            |request| request.name != "own"
        };
        let gateway = Gateway::builder()
            .backend(Told)
            .policy(Rule(rule))
            .rate_limiter(Full)
            .audit(audit.clone())
            .build()
            .unwrap();
        gateway.refresh().await.unwrap();
        for (name, expected) in [("own", own), ("plain", None), ("nothing", None)] {
            let told = gateway.call_tool(&incoming(), call(name)).await;
            match expected {
                Some(text) => assert_eq!(told.unwrap(), ToolOutput::error(text)),
                None => assert_eq!(told.unwrap_err().class(), ErrorClass::Limited, "{name}"),
            }
            let event = audit.events().pop().unwrap();
            assert_eq!(event.outcome, Outcome::Error(ErrorClass::Limited));
        }
    }
}

//! Who is asked when.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use mcp_gw_core::{
    BackendEvent, BackendListener, CacheHint, CallContext, ListHints, Mounting, Naming, Offer,
    Remount, ToolCall, ToolOutput,
};

use super::*;

/// Counts how often it is asked, and says how long its answer is good.
struct Counted(Arc<AtomicUsize>, Option<u64>);

#[async_trait]
impl Backend for Counted {
    fn name(&self) -> &'static str {
        "counted"
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let mut offer = Offer::default();
        let hint = self.1.map(|s| CacheHint::new(Duration::from_secs(s), true));
        offer.hints = ListHints::all(hint);
        Ok(offer)
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Err(self.unsupported("tools/call"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_is_asked_again_when_its_lists_are_no_longer_good_and_not_all_the_time() {
    for (ttl, within, asked) in [
        (None, 100_000, 1),
        (Some(600), 590, 1),
        (Some(600), 610, 2),
        (Some(0), 29, 1),
        (Some(0), 3030, 101),
    ] {
        let count = Arc::new(AtomicUsize::new(0));
        let gateway = Gateway::builder()
            .backend(Counted(Arc::clone(&count), ttl))
            .build()
            .unwrap();
        let mut supervisor = Supervisor::start(&gateway);
        supervisor.asked_once().await;
        // Time is paused, and runs on while nothing else does.
        tokio::time::sleep(Duration::from_secs(within)).await;
        let found = count.load(Ordering::SeqCst);
        assert_eq!(found, asked, "{ttl:?} within {within} s");
        supervisor.stop().await;
    }
}

/// Knows at once what it offers, and may find out that it is something else.
struct Local(Counted);

#[async_trait]
impl Backend for Local {
    fn name(&self) -> &'static str {
        "local"
    }

    fn offer_now(&self) -> Option<Offer> {
        let mut offer = Offer::default();
        let hint = self
            .0
            .1
            .map(|s| CacheHint::new(Duration::from_secs(s), true));
        offer.hints = ListHints::all(hint);
        Some(offer)
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        self.0.offer().await
    }

    async fn call_tool(
        &self,
        ctx: &CallContext,
        call: ToolCall,
    ) -> Result<ToolOutput, BackendError> {
        self.0.call_tool(ctx, call).await
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_known_without_asking_is_asked_for_only_where_it_may_change() {
    for (ttl, asked) in [(None, 0), (Some(300), 4)] {
        let count = Arc::new(AtomicUsize::new(0));
        let backend = Local(Counted(Arc::clone(&count), ttl));
        let gateway = Gateway::builder().backend(backend).build().unwrap();
        let mut supervisor = Supervisor::start(&gateway);
        supervisor.asked_once().await;
        tokio::time::sleep(Duration::from_secs(1000)).await;
        assert_eq!(count.load(Ordering::SeqCst), asked, "{ttl:?}");
        supervisor.stop().await;
    }
}

/// Is met anew each time it is asked, and then has no answer.
#[derive(Default)]
struct Forgetful(
    Arc<AtomicUsize>,
    std::sync::OnceLock<Arc<dyn BackendListener>>,
);

#[async_trait]
impl Backend for Forgetful {
    fn name(&self) -> &'static str {
        "forgetful"
    }

    fn watch(&self, listener: Arc<dyn BackendListener>) {
        assert!(self.1.set(listener).is_ok());
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        self.0.fetch_add(1, Ordering::SeqCst);
        self.1.get().unwrap().on_event(BackendEvent::OfferChanged);
        Err(BackendError::Forgetful {
            server: "forgetful".into(),
        })
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Err(self.unsupported("tools/call"))
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_makes_news_by_being_asked_is_not_asked_without_end() {
    let count = Arc::new(AtomicUsize::new(0));
    let backend = Forgetful(Arc::clone(&count), std::sync::OnceLock::new());
    let gateway = Gateway::builder().backend(backend).build().unwrap();
    let mut supervisor = Supervisor::start(&gateway);
    supervisor.asked_once().await;
    tokio::time::sleep(Duration::from_secs(600)).await;
    let found = count.load(Ordering::SeqCst);
    assert!((30..80).contains(&found), "{found} times in ten minutes");
    supervisor.stop().await;
}

/// Never answers.
struct Silent(String, Arc<AtomicUsize>);

#[async_trait]
impl Backend for Silent {
    fn name(&self) -> &str {
        &self.0
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        self.1.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Err(self.unsupported("tools/call"))
    }
}

#[tokio::test(start_paused = true)]
async fn of_those_with_turns_a_few_are_asked_at_a_time_and_nobody_waits_for_them() {
    let (silent, well) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let gateway = Gateway::builder().build().unwrap();
    let mut supervisor = Supervisor::start(&gateway);
    let mut remount = Remount::new();
    for number in 0..100 {
        let name = format!("silent-{number}");
        let mounting = Mounting::new(Naming::Always, name.clone());
        remount = remount.mount(Silent(name, Arc::clone(&silent)), mounting);
    }
    let counted = Counted(Arc::clone(&well), None);
    remount = remount.mount(counted, Mounting::new(Naming::Always, "counted"));
    gateway.remount(remount).unwrap();
    let turns = Turns::of_strangers(3);
    supervisor.update(|name| (name != "counted").then(|| turns.clone()));
    assert!(supervisor.awaits("counted") && !supervisor.awaits("silent-7"));
    let began = tokio::time::Instant::now();
    supervisor.asked_once().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert_eq!(well.load(Ordering::SeqCst), 1);
    // Each makes room for the next after a second, though it goes on waiting.
    for second in 1..=5 {
        tokio::time::sleep_until(began + Duration::from_millis(second * 1000 - 500)).await;
        let asked = u64::try_from(silent.load(Ordering::SeqCst)).unwrap();
        assert_eq!(asked, 3 * second);
    }
    supervisor.stop().await;
}

#[tokio::test(start_paused = true)]
async fn the_start_waits_a_moment_for_those_that_were_well() {
    for (takes, waits) in [(300, 300), (5_000, 2_000)] {
        let gateway = Gateway::builder().build().unwrap();
        let mut supervisor = Supervisor::start(&gateway);
        let slow = Slow(Duration::from_millis(takes));
        let remount = Remount::new().mount(slow, Mounting::new(Naming::Always, "slow"));
        gateway.remount(remount).unwrap();
        let turns = Turns::of_expected(3);
        supervisor.update(|_| Some(turns.clone()));
        let began = Instant::now();
        supervisor.asked_once().await;
        let waited = began.elapsed().as_millis();
        // Timers are of whole milliseconds.
        assert!((waits..=waits + 2).contains(&waited), "{takes}: {waited}");
        // It goes on nevertheless.
        tokio::time::sleep(Duration::from_millis(takes)).await;
        assert!(gateway.status().iter().all(|server| server.is_up));
        supervisor.stop().await;
    }
}

/// Takes its time.
struct Slow(Duration);

#[async_trait]
impl Backend for Slow {
    fn name(&self) -> &'static str {
        "slow"
    }

    async fn offer(&self) -> Result<Offer, BackendError> {
        tokio::time::sleep(self.0).await;
        Ok(Offer::default())
    }

    async fn call_tool(&self, _: &CallContext, _: ToolCall) -> Result<ToolOutput, BackendError> {
        Err(self.unsupported("tools/call"))
    }
}

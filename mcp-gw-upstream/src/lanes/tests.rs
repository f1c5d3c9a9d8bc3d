use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;

use crate::era::Era;
use crate::owner::tests::{context, hello};

use super::*;

/// What happens to connections, and what they wait for.
#[derive(Default)]
struct World {
    opened: AtomicUsize,
    ended: AtomicUsize,
    /// Lets one connection end.
    may_end: Notify,
}

struct Fake {
    world: Arc<World>,
    number: usize,
}

impl Connection for Fake {
    type Memory = ();

    const SHARES: bool = true;

    async fn end(&self) {
        self.world.may_end.notified().await;
        self.world.ended.fetch_add(1, Ordering::SeqCst);
    }

    fn tell_now(&self, _message: RawJson) {}
}

fn lanes(max: usize) -> Lanes<Fake> {
    Lanes::new(Settings::for_test(), max, Duration::from_secs(60))
}

const ROOTS: &str = r#"{"roots":{}}"#;

async fn seat(lanes: &Lanes<Fake>, world: &Arc<World>, session: &str) -> Option<Seat<Fake>> {
    let ctx = context(ROOTS, Some(session), None);
    let hello = hello(Era::Legacy, "{}");
    let open = |_, _| {
        let world = Arc::clone(world);
        async move {
            let number = world.opened.fetch_add(1, Ordering::SeqCst);
            Ok(Fake { world, number })
        }
    };
    lanes.seat(&hello, Some(&ctx), open).await.unwrap()
}

/// Lets everything run that can, and no time pass.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_is_about_to_end_counts_until_it_has() {
    let (lanes, world) = (lanes(1), Arc::<World>::default());
    drop(seat(&lanes, &world, "a").await.unwrap());
    {
        let mut second = Box::pin(seat(&lanes, &world, "b"));
        tokio::select! {
            biased;
            _ = &mut second => panic!("the first is still there"),
            () = settle() => {}
        }
        assert_eq!(world.opened.load(Ordering::SeqCst), 1);
        world.may_end.notify_one();
        assert_eq!(second.await.unwrap().connection.number, 1);
    }
    assert_eq!(world.ended.load(Ordering::SeqCst), 1);
    // The same when it is the end of its session that ends it.
    lanes.end_session(&SessionKey::new("b"));
    let mut third = Box::pin(seat(&lanes, &world, "c"));
    tokio::select! {
        biased;
        _ = &mut third => panic!("the second is still there"),
        () = settle() => {}
    }
    world.may_end.notify_one();
    assert_eq!(third.await.unwrap().connection.number, 2);
}

#[tokio::test(start_paused = true)]
async fn one_in_use_is_kept_and_idle_ones_go_in_their_time() {
    let (lanes, world) = (lanes(3), Arc::<World>::default());
    let used = seat(&lanes, &world, "a").await.unwrap();
    drop(seat(&lanes, &world, "b").await.unwrap());
    world.may_end.notify_one();
    tokio::time::advance(Duration::from_secs(61)).await;
    settle().await;
    assert_eq!(world.ended.load(Ordering::SeqCst), 1);
    let again = seat(&lanes, &world, "a").await.unwrap();
    assert!(Arc::ptr_eq(&used.connection, &again.connection));
    drop((used, again));
    world.may_end.notify_one();
    // Not before it has been idle for as long as that.
    tokio::time::advance(Duration::from_secs(59)).await;
    settle().await;
    assert_eq!(world.ended.load(Ordering::SeqCst), 1);
    tokio::time::advance(Duration::from_secs(62)).await;
    settle().await;
    assert_eq!(world.ended.load(Ordering::SeqCst), 2);
    assert!(lanes.0.lock().lanes.is_empty() && lanes.0.lock().sweeper.is_none());
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_gives_up_leaves_the_opening_to_the_next() {
    let (lanes, world) = (lanes(1), Arc::<World>::default());
    {
        let mut first = Box::pin(seat(&lanes, &world, "a"));
        tokio::select! {
            biased;
            _ = &mut first => panic!("opening takes a turn of the runtime"),
            () = std::future::ready(()) => {}
        }
    }
    let number = seat(&lanes, &world, "a").await.unwrap().connection.number;
    assert_eq!(number, 0);
    assert_eq!(world.opened.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn what_could_not_be_opened_is_left_alone_for_as_long_as_that_took() {
    let lanes = lanes(1);
    let tries = AtomicUsize::new(0);
    let attempt = async || {
        let ctx = context(ROOTS, Some("a"), None);
        let hello = hello(Era::Legacy, "{}");
        let open = |_, _| {
            tries.fetch_add(1, Ordering::SeqCst);
            async {
                tokio::time::sleep(Duration::from_secs(5)).await;
                Err(Settings::for_test().unavailable("it says no"))
            }
        };
        let seat = lanes.seat(&hello, Some(&ctx), open).await;
        assert!(seat.unwrap().is_none());
        tries.load(Ordering::SeqCst)
    };
    assert_eq!(attempt().await, 1);
    tokio::time::advance(Duration::from_secs(4)).await;
    assert_eq!(attempt().await, 1);
    tokio::time::advance(Duration::from_secs(2)).await;
    assert_eq!(attempt().await, 2);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_opened_after_the_end() {
    let (lanes, world) = (lanes(2), Arc::<World>::default());
    let used = seat(&lanes, &world, "a").await.unwrap();
    world.may_end.notify_one();
    lanes.close().await;
    assert_eq!(world.ended.load(Ordering::SeqCst), 1);
    assert!(seat(&lanes, &world, "a").await.is_none());
    drop(used);
    assert_eq!(world.opened.load(Ordering::SeqCst), 1);
}

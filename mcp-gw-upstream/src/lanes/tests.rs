use std::sync::atomic::{AtomicUsize, Ordering};

use mcp_gw_core::{Caller, CallerKind};
use tokio::sync::Notify;

use crate::era::Era;
use crate::owner::tests::{context, context_as, hello};
use crate::watched::Place;

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

    fn ahead(max: usize) -> usize {
        max / 2
    }

    async fn end(&self) {
        self.world.may_end.notified().await;
        self.world.ended.fetch_add(1, Ordering::SeqCst);
    }

    fn tell_now(&self, _message: RawJson) {}
}

fn lanes(max: usize) -> Lanes<Fake> {
    Lanes::new(Settings::for_test(), bounds(max), Upkeep::default())
}

/// All of them for one caller.
fn bounds(max: usize) -> Bounds {
    Bounds::new(max, Some(max), Duration::from_secs(60))
}

const ROOTS: &str = r#"{"roots":{}}"#;

async fn seat(lanes: &Lanes<Fake>, world: &Arc<World>, session: &str) -> Option<Seat<Fake>> {
    match spot(lanes, world, Caller::local(), session).await {
        Spot::Own(seat) => Some(seat),
        Spot::Shared(_) => None,
    }
}

async fn spot(
    lanes: &Lanes<Fake>,
    world: &Arc<World>,
    caller: Caller,
    session: &str,
) -> Spot<Fake> {
    let ctx = context_as(caller, ROOTS, Some(session), None);
    let hello = hello(Era::Legacy, "{}");
    let open = |_, _| {
        let world = Arc::clone(world);
        async move {
            let number = world.opened.fetch_add(1, Ordering::SeqCst);
            Ok(Fake { world, number })
        }
    };
    lanes.seat(&hello, &ctx.client(), open).await.unwrap()
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
        let seat = lanes.seat(&hello, &ctx.client(), open).await;
        assert!(matches!(seat, Ok(Spot::Shared(Some(Lack::Failed)))));
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

/// Opens the lane of a session that has called nothing, if it may have one.
async fn greet(lanes: &Lanes<Fake>, world: &Arc<World>, session: &str, transport: Transport) {
    let key = SessionKey::new(session);
    if lanes.expect(&key, transport) {
        open_ahead(lanes, world, session).await;
    }
}

async fn open_ahead(lanes: &Lanes<Fake>, world: &Arc<World>, session: &str) {
    let ctx = context(ROOTS, Some(session), None);
    let owner = Owner::of(&ctx.client(), &hello(Era::Legacy, "{}"));
    let open = |_, _| {
        let world = Arc::clone(world);
        async move {
            let number = world.opened.fetch_add(1, Ordering::SeqCst);
            Ok(Fake { world, number })
        }
    };
    let key = SessionKey::new(session);
    lanes.open_ahead(&key, owner, open).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn few_are_opened_before_they_are_needed_and_nothing_is_closed_for_them() {
    let (lanes, world) = (lanes(4), Arc::<World>::default());
    for number in 0..20 {
        greet(&lanes, &world, &format!("s{number}"), Transport::Http).await;
    }
    assert_eq!(world.opened.load(Ordering::SeqCst), 2);
    // Those count that are still to be opened.
    let expected = lanes.expect(&SessionKey::new("x"), Transport::Stdio);
    assert!(expected && !lanes.expect(&SessionKey::new("x"), Transport::Stdio));
    for number in 20..40 {
        greet(&lanes, &world, &format!("s{number}"), Transport::Stdio).await;
    }
    assert_eq!(world.opened.load(Ordering::SeqCst), 3);
    open_ahead(&lanes, &world, "x").await;
    greet(&lanes, &world, "y", Transport::Stdio).await;
    settle().await;
    assert_eq!(world.opened.load(Ordering::SeqCst), 4);
    assert_eq!(world.ended.load(Ordering::SeqCst), 0);
    // The first call finds the one that is there.
    assert_eq!(
        seat(&lanes, &world, "s0").await.unwrap().connection.number,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_before_it_was_greeted_leaves_nothing() {
    let (lanes, world) = (lanes(4), Arc::<World>::default());
    let key = SessionKey::new("a");
    assert!(lanes.expect(&key, Transport::Http));
    lanes.end_session(&key);
    open_ahead(&lanes, &world, "a").await;
    assert_eq!(world.opened.load(Ordering::SeqCst), 0);
    assert!(lanes.0.lock().lanes.is_empty());
    // One that turns out to need none makes room for another.
    assert!(lanes.expect(&key, Transport::Http));
    let open = |_, _| async { Err(Settings::for_test().lost("nobody opens it")) };
    lanes.open_ahead(&key, None, open).await.unwrap();
    assert!(lanes.0.lock().expected.is_empty());
    lanes.close().await;
    assert!(!lanes.expect(&key, Transport::Stdio));
}

/// Lets `session` watch something on its lane.
async fn watch(lanes: &Lanes<Fake>, session: &str) -> Key {
    let watcher = Key::watcher(&context(ROOTS, Some(session), None).client());
    let own = async || {
        Ok(Place {
            shared: false,
            own: true,
        })
    };
    let clients = &lanes.0.upkeep.watched.clients;
    clients.add("s", &watcher, "x:y", own).await.unwrap();
    watcher
}

#[tokio::test(start_paused = true)]
async fn who_watches_something_is_not_idle_and_goes_last() {
    let orphans: Arc<Mutex<Vec<Key>>> = Arc::default();
    let upkeep = Upkeep {
        orphaned: Some(Box::new({
            let orphans = Arc::clone(&orphans);
            move |key| orphans.lock().unwrap().push(key)
        })),
        ..Upkeep::default()
    };
    let lanes = Lanes::new(Settings::for_test(), bounds(2), upkeep);
    let world = Arc::<World>::default();
    let number = async |session: &str| {
        world.may_end.notify_one();
        let seat = seat(&lanes, &world, session).await.unwrap();
        seat.connection.number
    };
    assert_eq!((number("a").await, number("b").await), (0, 1));
    let a = watch(&lanes, "a").await;
    // It has been idle for longer, and stays.
    assert_eq!((number("c").await, number("a").await), (2, 0));
    world.may_end.notify_one();
    tokio::time::advance(Duration::from_secs(121)).await;
    settle().await;
    assert_eq!(number("a").await, 0);
    assert!(orphans.lock().unwrap().is_empty());
    tokio::time::advance(Duration::from_secs(1)).await;
    // Where all watch something, that of one must do without.
    assert_eq!(number("d").await, 3);
    watch(&lanes, "d").await;
    assert_eq!(number("e").await, 4);
    assert_eq!(*orphans.lock().unwrap(), [a]);
    // Who ends its session ends that, too, and needs no other place.
    lanes.end_session(&SessionKey::new("d"));
    assert_eq!(orphans.lock().unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn one_caller_leaves_room_for_others() {
    let share = Bounds::new(4, None, Duration::from_secs(60));
    let lanes = Lanes::new(Settings::for_test(), share, Upkeep::default());
    let world = Arc::<World>::default();
    let caller = |id| Caller::new(CallerKind::ApiKey, id);
    let own = async |id, session: &str| match spot(&lanes, &world, caller(id), session).await {
        Spot::Own(seat) => Ok(seat),
        Spot::Shared(lack) => Err(lack.unwrap()),
    };
    let (g1, _g2) = (own("g", "g1").await.unwrap(), own("g", "g2").await.unwrap());
    assert_eq!(own("g", "g3").await.err(), Some(Lack::Share(2)));
    // It can go on in those that it has, and others have theirs.
    drop(own("g", "g1").await.unwrap());
    let (_h1, _i1) = (own("h", "h1").await.unwrap(), own("i", "i1").await.unwrap());
    assert_eq!(own("j", "j1").await.err(), Some(Lack::Full(4)));
    // An idle one of its own makes room for another of the same caller.
    drop(g1);
    world.may_end.notify_one();
    drop(own("g", "g3").await.unwrap());
    assert_eq!(world.ended.load(Ordering::SeqCst), 1);
    world.may_end.notify_one();
    assert_eq!(own("g", "g1").await.unwrap().connection.number, 5);
}

#[tokio::test(start_paused = true)]
async fn who_has_more_than_others_gives_first() {
    let lanes = lanes(3);
    let world = Arc::<World>::default();
    let caller = |id| Caller::new(CallerKind::ApiKey, id);
    let number = async |id, session: &str| match spot(&lanes, &world, caller(id), session).await {
        Spot::Own(seat) => seat.connection.number,
        Spot::Shared(lack) => panic!("{lack:?}"),
    };
    // One has been idle for longest, but the other one has two.
    for (at, (id, session)) in [("h", "h1"), ("g", "g1"), ("g", "g2")]
        .into_iter()
        .enumerate()
    {
        assert_eq!(number(id, session).await, at);
        tokio::time::advance(Duration::from_secs(1)).await;
    }
    world.may_end.notify_one();
    assert_eq!(number("i", "i1").await, 3);
    assert_eq!(number("h", "h1").await, 0);
    assert_eq!(number("g", "g2").await, 2);
}

#[tokio::test(start_paused = true)]
async fn nobody_opens_more_than_its_share_before_it_needs_them() {
    let share = Bounds::new(4, Some(1), Duration::from_secs(60));
    let lanes = Lanes::new(Settings::for_test(), share, Upkeep::default());
    let world = Arc::<World>::default();
    greet(&lanes, &world, "a", Transport::Stdio).await;
    greet(&lanes, &world, "b", Transport::Stdio).await;
    assert_eq!(world.opened.load(Ordering::SeqCst), 1);
}

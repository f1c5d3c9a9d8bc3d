use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;

fn key(n: u8) -> Key {
    Key::from_bytes([n; 16])
}

fn wants(all: &[(u8, u64)]) -> Wants {
    let want = |(n, most): &(u8, u64)| Want {
        key: key(*n),
        most: *most,
    };
    all.iter().map(want).collect()
}

/// A call that asks for its places.
struct Asking(Pin<Box<dyn Future<Output = Result<Places, Full>>>>);

impl Asking {
    fn new(table: &InFlight, all: &[(u8, u64)], flow: u8) -> Self {
        let (table, wants) = (table.clone(), wants(all));
        Self(Box::pin(async move { table.take(wants, key(flow)).await }))
    }

    fn now(&mut self) -> Option<Result<Places, Full>> {
        match self
            .0
            .as_mut()
            .poll(&mut Context::from_waker(Waker::noop()))
        {
            Poll::Ready(answer) => Some(answer),
            Poll::Pending => None,
        }
    }
}

fn take(table: &InFlight, all: &[(u8, u64)]) -> Option<Result<Places, Full>> {
    Asking::new(table, all, 0).now()
}

fn kept(table: &InFlight, all: &[(u8, u64)]) -> Places {
    let mut places = take(table, all).unwrap().ok().unwrap();
    places.keep();
    places
}

#[test]
fn as_many_are_under_way_as_there_are_places() {
    let table = InFlight::default();
    let one = kept(&table, &[(1, 2)]);
    let two = kept(&table, &[(1, 2)]);
    let third = take(&table, &[(1, 2)]).unwrap();
    assert_eq!(third.err(), Some(Full { at: 0, count: 2 }));
    assert!(
        take(&table, &[(2, 1)]).unwrap().is_ok(),
        "and is over at once"
    );
    drop(one);
    drop(kept(&table, &[(1, 2)]));
    assert_eq!(table.count(key(1)), 1);
    drop(two);
    assert_eq!(
        (table.count(key(1)), table.keys()),
        (0, 0),
        "nothing is left"
    );
}

/// Whoever has no right to it must not take it from somebody who has.
#[test]
fn a_place_that_is_only_asked_for_refuses_nobody() {
    let table = InFlight::default();
    let asked = take(&table, &[(1, 1)]).unwrap();
    let mut bob = Asking::new(&table, &[(1, 1)], 7);
    assert!(bob.now().is_none(), "it is not known yet");
    drop(asked);
    let places = bob.now().unwrap().ok().unwrap();
    let (mut ann, mut eve) = (
        Asking::new(&table, &[(1, 1)], 8),
        Asking::new(&table, &[(1, 1)], 9),
    );
    assert!(ann.now().is_none() && eve.now().is_none());
    let mut places = places;
    places.keep();
    let full = Full { at: 0, count: 1 };
    for one in [&mut ann, &mut eve] {
        assert_eq!(one.now().unwrap().err(), Some(full));
    }
    drop(places);
    assert_eq!(table.keys(), 0);
}

#[test]
fn flows_take_turns_however_many_of_one_wait() {
    let table = InFlight::default();
    let mut asked = take(&table, &[(1, 1)]).unwrap().ok();
    let mut mal: Vec<_> = (0..100)
        .map(|_| Asking::new(&table, &[(1, 1)], 1))
        .collect();
    for one in &mut mal {
        assert!(one.now().is_none());
    }
    let mut bob = Asking::new(&table, &[(1, 1)], 2);
    assert!(bob.now().is_none());
    let mut before = 0;
    loop {
        drop(asked.take());
        if let Some(place) = bob.now() {
            assert!(place.is_ok());
            break;
        }
        asked = mal.iter_mut().find_map(Asking::now).and_then(Result::ok);
        before += 1;
    }
    assert!(before <= 1, "{before} came before");
}

#[test]
fn as_many_of_one_flow_may_wait() {
    let table = InFlight::default();
    let _asked = take(&table, &[(1, 1)]).unwrap();
    let wait = |flow| {
        let mut one = Asking::new(&table, &[(1, 1)], flow);
        let answer = one.now();
        (one, answer)
    };
    let mut mal: Vec<_> = (0..MOST_OF_ONE).map(|_| wait(1)).collect();
    assert!(mal.iter().all(|(_, answer)| answer.is_none()));
    assert!(wait(1).1.is_some_and(|answer| answer.is_err()));
    assert!(wait(2).1.is_none(), "which is nothing to another");
    mal.truncate(10);
    assert!(wait(1).1.is_none(), "who went away makes room");
}

/// A call that wants back what it lent.
type Again = Pin<Box<dyn Future<Output = Option<Places>>>>;

fn again(table: &InFlight, all: &[(u8, u64)]) -> Again {
    let (table, wants) = (table.clone(), wants(all));
    Box::pin(async move { table.take_again(&wants).await })
}

/// Who waits for people keeps nobody else out, and goes on when there is a place for it.
#[test]
fn what_callers_share_is_lent_and_comes_back() {
    use mcp_gw_core::Lend;

    let table = InFlight::default();
    // The second is its caller's own.
    let call = || {
        let places = kept(&table, &[(1, 1), (2, 5)]);
        Lending::new(places, |at| at == 0)
    };
    let first = call();
    first.lend();
    first.lend();
    assert_eq!((table.count(key(1)), table.count(key(2))), (0, 1));
    first.take_back();
    {
        let mut back = Box::pin(first.taken_back());
        let answer = back.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(answer.is_ready(), "one question is open still");
    }
    assert_eq!(table.count(key(1)), 0);
    let second = call();
    first.take_back();
    let mut back = Box::pin(first.taken_back());
    let mut poll = || back.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    assert!(poll().is_pending(), "another has the place");
    let full = take(&table, &[(1, 1)]).unwrap();
    assert!(full.is_err());
    drop(second);
    assert!(
        take(&table, &[(1, 1)]).is_none_or(|it| it.is_err()),
        "it is no new call's"
    );
    assert!(poll().is_ready());
    drop(back);
    assert_eq!((table.count(key(1)), table.count(key(2))), (1, 1));
    // A question that is taken back needs no waiting where the place is free.
    first.lend();
    first.take_back();
    assert_eq!(table.count(key(1)), 1);
    drop(first);
    assert_eq!(table.keys(), 0);
}

/// A step of a trace.
#[derive(Debug, Clone)]
enum Step {
    /// Somebody comes: with these keys, of this flow.
    Come(Vec<u8>, u8),
    /// The store decides on the call of this number.
    Decide(usize, bool),
    /// The call of this number ends, or its client goes away.
    Leave(usize),
    /// The call of this number lends its places.
    Lend(usize),
    /// The one of this number that has lent them wants them back.
    Return(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let keys = proptest::sample::subsequence(vec![0_u8, 1, 2], 1..=3);
    prop_oneof![
        3 => (keys, 0_u8..3).prop_map(|(keys, flow)| Step::Come(keys, flow)),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(n, fits)| Step::Decide(n, fits)),
        2 => any::<usize>().prop_map(Step::Leave),
        1 => any::<usize>().prop_map(Step::Lend),
        1 => any::<usize>().prop_map(Step::Return),
    ]
}

proptest! {
    /// Against a list of calls: never more than there are places, nobody refused while a place may
    /// come free, nobody waits for nothing, and nothing is left in the end.
    #[test]
    fn places_are_never_too_many_and_never_lost(steps in proptest::collection::vec(step(), 1..200)) {
        const MOST: [u64; 3] = [1, 2, 3];
        let table = InFlight::default();
        let mut waiting: Vec<(Vec<u8>, Asking)> = Vec::new();
        let mut undecided: Vec<(Vec<u8>, Places)> = Vec::new();
        let mut under_way: Vec<(Vec<u8>, Places)> = Vec::new();
        let mut lent: Vec<Vec<u8>> = Vec::new();
        let mut returning: Vec<(Vec<u8>, Again)> = Vec::new();
        for step in steps {
            let leaves = match &step {
                Step::Leave(n) => Some(*n),
                _ => None,
            };
            match step {
                Step::Come(keys, flow) => {
                    let all: Vec<_> = keys.iter().map(|n| (*n, MOST[usize::from(*n)])).collect();
                    waiting.push((keys, Asking::new(&table, &all, flow)));
                }
                Step::Decide(n, fits) if !undecided.is_empty() => {
                    let (keys, mut places) = undecided.remove(n % undecided.len());
                    if fits {
                        places.keep();
                        under_way.push((keys, places));
                    }
                }
                Step::Leave(n) => {
                    let all = waiting.len() + undecided.len() + under_way.len();
                    let n = n.checked_rem(all).unwrap_or(0);
                    if n < waiting.len() {
                        waiting.remove(n);
                    } else if n < waiting.len() + undecided.len() {
                        undecided.remove(n - waiting.len());
                    } else if n < all {
                        under_way.remove(n - waiting.len() - undecided.len());
                    }
                }
                Step::Lend(n) if !under_way.is_empty() => {
                    lent.push(under_way.remove(n % under_way.len()).0);
                }
                Step::Return(n) if !lent.is_empty() => {
                    let keys = lent.remove(n % lent.len());
                    let all: Vec<_> = keys.iter().map(|n| (*n, MOST[usize::from(*n)])).collect();
                    returning.push((keys, again(&table, &all)));
                }
                Step::Decide(..) | Step::Lend(_) | Step::Return(_) => {}
            }
            // Some come once more, and find that nobody needs them there any more.
            if let Some(n) = leaves.filter(|n| n % 7 == 0 && !returning.is_empty()) {
                drop(returning.remove(n % returning.len()));
            }
            let mut rest = Vec::new();
            for (keys, mut one) in returning {
                match one.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Pending => rest.push((keys, one)),
                    Poll::Ready(places) => {
                        let mut places = places.expect("nobody is forgotten");
                        places.keep();
                        under_way.push((keys, places));
                    }
                }
            }
            returning = rest;
            let count = |of: &[(Vec<u8>, Places)], n: u8| {
                of.iter().filter(|(keys, _)| keys.contains(&n)).count() as u64
            };
            let mut rest = Vec::new();
            for (keys, mut asking) in waiting {
                match asking.now() {
                    None => rest.push((keys, asking)),
                    Some(Ok(places)) => undecided.push((keys, places)),
                    Some(Err(full)) => {
                        let n = keys[full.at];
                        prop_assert_eq!(full.count, MOST[usize::from(n)]);
                        prop_assert_eq!(count(&under_way, n), full.count);
                    }
                }
            }
            waiting = rest;
            for n in 0..3 {
                let (kept, asked) = (count(&under_way, n), count(&undecided, n));
                prop_assert!(kept + asked <= MOST[usize::from(n)]);
                prop_assert_eq!(table.count(key(n)), kept);
            }
            for (keys, _) in &waiting {
                let has_cause = keys.iter().any(|n| {
                    let asked = count(&undecided, *n);
                    asked > 0 && count(&under_way, *n) + asked == MOST[usize::from(*n)]
                });
                prop_assert!(has_cause, "waits for nothing");
            }
            for (keys, _) in &returning {
                let is_taken = |n: &u8| {
                    count(&under_way, *n) + count(&undecided, *n) == MOST[usize::from(*n)]
                };
                prop_assert!(keys.iter().any(is_taken), "does not get back what is free");
            }
        }
        drop((waiting, undecided, under_way, returning));
        let table = table.lock();
        prop_assert_eq!((table.counts.len(), table.lines.len(), table.waiting), (0, 0, 0));
    }
}

#[test]
fn threads_leave_nothing_behind_and_are_never_too_many() {
    let table = InFlight::default();
    let inside = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for flow in 0..4 {
            let (table, inside) = (&table, &inside);
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread();
                let runtime = { runtime }.build().unwrap();
                for n in 0..2_000_u64 {
                    let wants = wants(&[(1, 2), (2, 3)]);
                    let Ok(mut places) = runtime.block_on(table.take(wants, key(flow))) else {
                        continue;
                    };
                    if n % 3 == 0 {
                        continue;
                    }
                    places.keep();
                    let before = inside.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    assert!(before < 2);
                    inside.fetch_sub(1, std::sync::atomic::Ordering::SeqCst);
                }
            });
        }
    });
    let table = table.lock();
    assert_eq!(
        (table.counts.len(), table.lines.len(), table.waiting),
        (0, 0, 0)
    );
}

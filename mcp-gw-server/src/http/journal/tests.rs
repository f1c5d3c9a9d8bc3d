use mcp_gw_core::testing::ManualClock;
use proptest::prelude::*;

use super::*;

struct Bench {
    clock: ManualClock,
    kept: Arc<AtomicUsize>,
    journal: Arc<Journal>,
}

const AGE: Duration = Duration::from_secs(60);

fn bench(events: usize, bytes: usize, total: usize) -> Bench {
    let clock = ManualClock::new();
    let kept = Arc::new(AtomicUsize::new(0));
    let limits = ReplayLimits::new(events, bytes, total, AGE);
    let journal = Journal::new(limits, Arc::new(clock.clone()), Arc::clone(&kept));
    Bench {
        clock,
        kept,
        journal,
    }
}

fn roomy() -> Bench {
    bench(100, 1 << 20, 1 << 20)
}

fn raw(number: usize) -> RawJson {
    RawJson::parse(number.to_string()).unwrap()
}

/// Everything that can be read now, and the id of the last of it.
fn read(reader: &Reader) -> (Vec<String>, Option<String>) {
    let (mut texts, mut last) = (Vec::new(), None);
    while let Next::Event(id, message) = reader.next() {
        texts.push(message.to_string());
        last = Some(id.to_string());
    }
    (texts, last)
}

fn texts(reader: &Reader) -> Vec<String> {
    read(reader).0
}

fn is_over(reader: &Reader) -> bool {
    matches!(reader.next(), Next::End)
}

#[test]
fn messages_wait_for_a_stream_and_go_out_once() {
    let bench = roomy();
    assert!(bench.journal.send(raw(1)) && bench.journal.send(raw(2)));
    let reader = bench.journal.listen();
    assert_eq!(texts(&reader), ["1", "2"]);
    bench.journal.send(raw(3));
    assert_eq!(texts(&reader), ["3"]);
    assert!(matches!(reader.next(), Next::Wait));
    drop(reader);
    bench.journal.send(raw(4));
    assert_eq!(texts(&bench.journal.listen()), ["4"]);
}

#[test]
fn a_second_reader_takes_over_and_the_first_stops() {
    let bench = roomy();
    let first = bench.journal.listen();
    let second = bench.journal.listen();
    bench.journal.send(raw(1));
    assert!(is_over(&first));
    drop(first);
    assert!(bench.journal.is_read());
    assert_eq!(texts(&second), ["1"]);
    drop(second);
    assert!(!bench.journal.is_read());
    assert_eq!(bench.journal.last_left(), Some(bench.clock.now()));
}

#[test]
fn an_id_replays_its_own_stream_after_that_event_and_goes_on_live() {
    let bench = roomy();
    let (writer, reader) = bench.journal.open();
    let (other, reads_other) = bench.journal.open();
    let prime = reader.prime().unwrap().to_string();
    bench.journal.send(raw(7));
    for n in 1..=3 {
        writer.say(raw(n));
        other.say(raw(n * 100));
    }
    assert_eq!(texts(&reads_other), ["100", "200", "300"]);
    let Next::Event(first, _) = reader.next() else {
        panic!()
    };
    assert_eq!(texts(&reader), ["2", "3"]);
    drop(reader);

    let again = bench.journal.resume(&first.to_string()).unwrap();
    assert_eq!(texts(&again), ["2", "3"]);
    writer.answer(Answer::error(
        None,
        &crate::rpc_error::RpcError::new(1, "x"),
    ));
    drop(writer);
    let (answer, last) = read(&again);
    assert_eq!(answer.len(), 1);
    assert!(is_over(&again));
    drop(again);

    let all = bench.journal.resume(&prime).unwrap();
    assert_eq!(texts(&all).len(), 4);
    assert!(is_over(&all));
    let nothing = bench.journal.resume(&last.unwrap()).unwrap();
    assert!(is_over(&nothing));
    assert_eq!(texts(&bench.journal.listen()), ["7"]);
}

#[test]
fn what_is_unknown_or_anothers_replays_nothing() {
    let (bench, strange) = (roomy(), roomy());
    for journal in [&bench.journal, &strange.journal] {
        let (writer, reader) = journal.open();
        writer.say(raw(1));
        reader.prime();
        texts(&reader);
        journal.send(raw(9));
        texts(&journal.listen());
    }
    let (_writer, reader) = strange.journal.open();
    let theirs = reader.prime().unwrap();
    assert!(bench.journal.resume(&theirs.to_string()).is_none());
    let tag = bench.journal.tag;
    let id = |track, seq| EventId { tag, track, seq }.to_string();
    assert!(bench.journal.resume(&id(5, 1)).is_none());
    assert!(bench.journal.resume(&id(1, 1000)).is_none());
    assert!(bench.journal.resume(&id(0, u64::MAX)).is_none());
    assert!(bench.journal.resume("").is_none());
    assert!(bench.journal.resume("1").is_none());
    // The stream that belongs to no request goes on, without what was sent already.
    let elsewhere = EventId {
        tag: theirs.tag,
        track: STANDALONE,
        seq: 0,
    };
    let reader = bench.journal.resume(&elsewhere.to_string()).unwrap();
    bench.journal.send(raw(10));
    assert_eq!(texts(&reader), ["10"]);
}

#[test]
fn a_stream_that_nobody_can_ask_for_is_forgotten_at_once() {
    let bench = roomy();
    let (writer, reader) = bench.journal.open();
    writer.say(raw(1));
    drop(reader);
    writer.say(raw(2));
    assert_eq!(bench.kept.load(Ordering::Relaxed), 0);
    drop(writer);
    assert_eq!(bench.journal.lock().tracks.len(), 1);
}

#[test]
fn what_was_sent_is_kept_for_its_time_and_no_longer() {
    let bench = roomy();
    let (writer, reader) = bench.journal.open();
    let prime = reader.prime().unwrap().to_string();
    writer.say(raw(1));
    texts(&reader);
    drop((writer, reader));
    bench.clock.advance(AGE / 2);
    bench.journal.sweep(bench.clock.now());
    assert_eq!(texts(&bench.journal.resume(&prime).unwrap()), ["1"]);
    bench.clock.advance(AGE / 2);
    bench.journal.sweep(bench.clock.now());
    assert!(bench.journal.resume(&prime).is_none());
    assert_eq!(bench.kept.load(Ordering::Relaxed), 0);
    assert_eq!(bench.journal.lock().tracks.len(), 1);
}

#[test]
fn the_oldest_make_room_and_are_counted_when_nobody_got_them() {
    let bench = bench(3, 1 << 20, 1 << 20);
    for n in 1..=5 {
        assert!(bench.journal.send(raw(n)));
    }
    assert_eq!(bench.journal.lock().lost, 2);
    let reader = bench.journal.listen();
    assert_eq!(texts(&reader), ["3", "4", "5"]);
    bench.journal.send(raw(6));
    assert_eq!(bench.journal.lock().lost, 2);
    assert_eq!(bench.journal.lock().events, 3);
}

#[test]
fn an_answer_waits_for_its_reader_whatever_the_bounds_are() {
    let bench = bench(2, 300, 300);
    let (writer, reader) = bench.journal.open();
    let long = RawJson::parse(format!("\"{}\"", "x".repeat(1000))).unwrap();
    for n in 0..4 {
        writer.say(raw(n));
    }
    let answer = Answer {
        message: long.into(),
        status: 200,
        retry_after: None,
        challenge: None,
    };
    writer.answer(answer);
    drop(writer);
    let (texts, last) = read(&reader);
    assert_eq!(texts.last().unwrap().len(), 1002);
    assert!(texts.len() < 4);
    // Once it is sent it is too much to keep.
    assert_eq!(bench.kept.load(Ordering::Relaxed), 0);
    drop(reader);
    assert!(bench.journal.resume(&last.unwrap()).is_none());
}

#[test]
fn a_full_house_takes_nothing_from_those_who_read() {
    let bench = roomy();
    bench.kept.fetch_add(1 << 20, Ordering::Relaxed);
    assert!(!bench.journal.send(raw(1)), "nobody reads");
    let reader = bench.journal.listen();
    assert!(bench.journal.send(raw(2)));
    assert_eq!(texts(&reader), ["2"]);
    assert_eq!(bench.kept.load(Ordering::Relaxed), 1 << 20);
}

#[test]
fn answers_alone_are_told_from_streams() {
    let bench = roomy();
    let (writer, reader) = bench.journal.open();
    assert!(matches!(reader.outset(), Outset::Open));
    let answer = |n| Answer {
        message: raw(n).into(),
        status: 429,
        retry_after: None,
        challenge: None,
    };
    let second = writer.clone();
    writer.answer(answer(1));
    drop(writer);
    assert!(matches!(reader.outset(), Outset::Open));
    second.answer(answer(2));
    drop(second);
    let Outset::Answers(answers) = reader.outset() else {
        panic!()
    };
    let got: Vec<_> = answers
        .iter()
        .map(|a| (a.message.clone().into_raw().to_string(), a.status))
        .collect();
    assert_eq!(got, [("1".to_owned(), 429), ("2".to_owned(), 429)]);
    drop(reader);
    assert_eq!(bench.journal.lock().tracks.len(), 1);
    let (writer, reader) = bench.journal.open();
    writer.answer(answer(1));
    writer.say(raw(3));
    assert!(matches!(reader.outset(), Outset::Stream));
}

#[test]
fn the_end_of_a_session_ends_its_streams_and_frees_everything() {
    let bench = roomy();
    let (writer, reader) = bench.journal.open();
    let standing = bench.journal.listen();
    bench.journal.send(raw(1));
    writer.say(raw(2));
    bench.journal.close();
    assert!(is_over(&reader) && is_over(&standing));
    assert!(!bench.journal.send(raw(3)));
    writer.say(raw(4));
    drop((writer, reader, standing));
    assert!(is_over(&bench.journal.listen()));
    assert_eq!(bench.kept.load(Ordering::Relaxed), 0);
}

#[test]
fn a_reader_that_comes_back_to_waiting_messages_gets_their_own_ids() {
    let bench = roomy();
    let reader = bench.journal.listen();
    let first = reader.prime().unwrap();
    drop(reader);
    bench.journal.send(raw(1));
    let reader = bench.journal.listen();
    assert!(reader.prime().is_none());
    let Next::Event(second, _) = reader.next() else {
        panic!()
    };
    let third = reader.prime().unwrap();
    assert!(first.seq < second.seq && second.seq < third.seq);
}

#[derive(Debug, Clone)]
enum Step {
    Send,
    Open,
    Say(usize),
    End(usize),
    Prime(usize),
    Read(usize),
    Leave(usize),
    Resume(usize),
    Listen,
    Wait(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let at = 0_usize..4;
    prop_oneof![
        Just(Step::Send),
        Just(Step::Open),
        at.clone().prop_map(Step::Say),
        at.clone().prop_map(Step::End),
        at.clone().prop_map(Step::Prime),
        at.clone().prop_map(Step::Read),
        at.clone().prop_map(Step::Leave),
        at.prop_map(Step::Resume),
        Just(Step::Listen),
        (0_u64..90).prop_map(Step::Wait),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_bounds_hold_ids_are_unique_and_nothing_leaks(
        steps in prop::collection::vec(step(), 0..120)
    ) {
        let bench = bench(6, 1500, 1200);
        let (mut writers, mut readers) = (Vec::new(), Vec::new());
        let mut ids: Vec<(String, String)> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Send => drop(bench.journal.send(raw(number))),
                Step::Open => {
                    let (writer, reader) = bench.journal.open();
                    writers.push(writer);
                    readers.push(reader);
                }
                Step::Say(at) => if let Some(writer) = writers.get(at) { writer.say(raw(number)) },
                Step::End(at) => if at < writers.len() { drop(writers.remove(at)) },
                Step::Prime(at) => if let Some(id) = readers.get(at).and_then(Reader::prime) {
                    ids.push((id.to_string(), "prime".to_owned()));
                },
                Step::Read(at) => if let Some(Next::Event(id, text)) = readers.get(at).map(Reader::next) {
                    ids.push((id.to_string(), text.to_string()));
                },
                Step::Leave(at) => if at < readers.len() { drop(readers.remove(at)) },
                Step::Resume(at) => if let Some((id, _)) = ids.get(at) {
                    readers.extend(bench.journal.resume(id));
                },
                Step::Listen => readers.push(bench.journal.listen()),
                Step::Wait(seconds) => {
                    bench.clock.advance(Duration::from_secs(seconds));
                    bench.journal.sweep(bench.clock.now());
                }
            }
            let state = bench.journal.lock();
            prop_assert!(state.events <= 6);
            let events = state.tracks.values().flat_map(|track| &track.events);
            let (count, bytes) = events.fold((0, 0), |(n, b), event| (n + 1, b + event.cost()));
            prop_assert_eq!((count, bytes), (state.events, state.bytes));
            prop_assert_eq!(bytes, bench.kept.load(Ordering::Relaxed));
            let read = state.tracks.values().filter(|track| track.reader.is_some());
            prop_assert_eq!(read.count(), state.readers);
        }
        // One id, one message.
        ids.sort();
        ids.dedup();
        let count = ids.len();
        ids.dedup_by(|a, b| a.0 == b.0);
        prop_assert_eq!(ids.len(), count);
        drop((writers, readers));
        bench.clock.advance(AGE);
        bench.journal.sweep(bench.clock.now());
        prop_assert_eq!(bench.kept.load(Ordering::Relaxed), 0);
        prop_assert_eq!(bench.journal.lock().tracks.len(), 1);
    }
}

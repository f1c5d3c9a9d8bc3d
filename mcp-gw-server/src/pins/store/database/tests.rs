use mcp_gw_core::{Offer, ToolSpec};
use mcp_gw_store::MemoryStore;

use super::*;
use crate::pins::file::PinsFile;
use crate::pins::print::Sight;

fn sight(description: &str) -> Sight {
    let tool = ToolSpec::new("read", description).unwrap();
    Sight::of(&Offer::of_tools(vec![tool]))
}

fn pins(description: &str) -> ServerPins {
    ServerPins::of(&sight(description))
}

fn memory() -> Arc<dyn Store> {
    Arc::new(MemoryStore::new())
}

/// A file from before there was a database.
fn file(folder: &tempfile::TempDir, servers: &[(&str, &str)]) -> PathBuf {
    let path = folder.path().join("mcp-gw.pins.json");
    let put = |file: &mut PinsFile| {
        for (server, description) in servers {
            file.servers.insert((*server).to_owned(), pins(description));
        }
    };
    FileStore::new(&path).change(put).unwrap();
    path
}

#[tokio::test]
async fn what_one_gateway_pins_first_counts_for_all() {
    let store = memory();
    let gateway = || SharedStore::new(Arc::clone(&store), None);
    let (one, two) = (gateway(), gateway());
    assert_eq!(one.find("docs").await.unwrap(), Found::default());
    let (kept, is_first) = one.pin_first("docs", &pins("good")).await.unwrap();
    assert!(is_first && kept == pins("good"));
    let (kept, is_first) = two.pin_first("docs", &pins("other")).await.unwrap();
    assert!(!is_first && kept == pins("good"));
    assert_eq!(two.find("docs").await.unwrap().pins, Some(pins("good")));
    // Another server is new, but there is something.
    let found = two.find("notes").await.unwrap();
    assert!(found.pins.is_none() && found.is_there);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_gateways_that_pin_at_the_same_time_one_wins_and_all_go_by_it() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:///{}", folder.path().join("g.db").display());
    let url = mcp_gw_store::DatabaseUrl::parse(&url).unwrap();
    let options = mcp_gw_store::StoreOptions::new();
    let mut gateways = Vec::new();
    for number in 0..6 {
        let store = mcp_gw_store::open(&url, &options).await.unwrap();
        let offer = pins(&format!("as {number} saw it"));
        gateways.push(tokio::spawn(async move {
            let shared = SharedStore::new(store, None);
            shared.pin_first("docs", &offer).await.unwrap()
        }));
    }
    let mut kept = Vec::new();
    for gateway in gateways {
        kept.push(gateway.await.unwrap());
    }
    assert_eq!(kept.iter().filter(|(_, is_first)| *is_first).count(), 1);
    assert!(kept.iter().all(|(pins, _)| *pins == kept[0].0));
}

#[tokio::test]
async fn a_change_is_made_on_what_others_have_written_meanwhile() {
    let store = memory();
    let shared = SharedStore::new(Arc::clone(&store), None);
    shared.pin_first("docs", &pins("1")).await.unwrap();
    let mut seen = Vec::new();
    let mut left = 3;
    let edited = shared.edit("docs", |kept| {
        seen.push(kept.clone());
        if left > 0 {
            left -= 1;
            // As if another did it between the reading and the writing.
            let (store, rows) = (Arc::clone(&store), pins(&format!("by {left}")).to_rows());
            futures_util::FutureExt::now_or_never(async move {
                let revision = store.pins("docs").await.unwrap().revision;
                store.put_pins("docs", Some(revision), rows).await.unwrap();
            })
            .unwrap();
        }
        *kept = Some(pins("mine"));
    });
    edited.await.unwrap();
    let expected = ["1", "by 2", "by 1", "by 0"].map(|text| Some(pins(text)));
    assert_eq!(seen, expected);
    assert_eq!(shared.find("docs").await.unwrap().pins, Some(pins("mine")));
    // Who changes it without an end is given up on.
    let endless = shared.edit("docs", |kept| {
        let (store, rows) = (Arc::clone(&store), pins("other").to_rows());
        futures_util::FutureExt::now_or_never(async move {
            let revision = store.pins("docs").await.unwrap().revision;
            store.put_pins("docs", Some(revision), rows).await.unwrap();
        })
        .unwrap();
        *kept = Some(pins("mine again"));
    });
    let error = endless.await.unwrap_err();
    assert!(matches!(error, PinsError::Contended { .. }), "{error}");
}

#[tokio::test]
async fn what_does_not_change_is_not_written() {
    let store = memory();
    let shared = SharedStore::new(Arc::clone(&store), None);
    shared.pin_first("docs", &pins("1")).await.unwrap();
    let before = store.pins("docs").await.unwrap();
    shared.edit("docs", |_| ()).await.unwrap();
    assert_eq!(store.pins("docs").await.unwrap(), before);
    shared
        .edit("new", |kept| assert!(kept.is_none()))
        .await
        .unwrap();
    assert_eq!(store.pinned_servers().await.unwrap(), ["docs"]);
}

#[tokio::test]
async fn the_file_from_before_is_taken_over_and_never_trusted_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(
        &folder,
        &[("docs", "pinned"), ("notes", "pinned"), ("mail", "pinned")],
    );
    let text = std::fs::read(&path).unwrap();
    let store = memory();
    // Another gateway has seen this one.
    let other = SharedStore::new(Arc::clone(&store), None);
    other
        .pin_first("notes", &pins("in the database"))
        .await
        .unwrap();

    let shared = SharedStore::new(Arc::clone(&store), Some(path.clone()));
    assert!(!shared.has_all());
    // It counts before it is taken over, for who judges and for who approves.
    assert_eq!(
        shared.find("docs").await.unwrap().pins,
        Some(pins("pinned"))
    );
    let (kept, is_first) = shared.pin_first("docs", &pins("evil")).await.unwrap();
    assert!(!is_first && kept == pins("pinned"));
    let edited = shared.edit("mail", |kept| assert_eq!(*kept, Some(pins("pinned"))));
    edited.await.unwrap();
    shared.take_over().await.unwrap();
    assert!(shared.has_all());
    for (server, expected) in [
        ("docs", "pinned"),
        ("notes", "in the database"),
        ("mail", "pinned"),
    ] {
        let found = other.find(server).await.unwrap().pins;
        assert_eq!(found, Some(pins(expected)), "{server}");
    }
    // It is once: what is approved later is not undone by the next start, and the file is left alone.
    other
        .edit("docs", |kept| *kept = Some(pins("approved")))
        .await
        .unwrap();
    let next = SharedStore::new(Arc::clone(&store), Some(path.clone()));
    next.take_over().await.unwrap();
    assert_eq!(
        next.find("docs").await.unwrap().pins,
        Some(pins("approved"))
    );
    assert_eq!(std::fs::read(&path).unwrap(), text);
}

#[tokio::test]
async fn a_file_from_before_that_cannot_be_read_lets_nothing_be_trusted_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = file(&folder, &[("docs", "pinned")]);
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, "{").unwrap();
    let store = memory();
    let shared = SharedStore::new(Arc::clone(&store), Some(path.clone()));
    for error in [
        shared.read_before().unwrap_err(),
        shared.find("docs").await.unwrap_err(),
        shared.pin_first("docs", &pins("evil")).await.unwrap_err(),
        shared.take_over().await.unwrap_err(),
    ] {
        assert!(matches!(error, PinsError::Damaged { .. }), "{error}");
    }
    assert!(store.pinned_servers().await.unwrap().is_empty());
    std::fs::write(&path, good).unwrap();
    assert_eq!(
        shared.find("docs").await.unwrap().pins,
        Some(pins("pinned"))
    );
}

#[tokio::test]
async fn rows_that_make_no_sense_are_neither_used_nor_replaced() {
    let store = memory();
    let row = Row::new("tool", "read", "no digest");
    store.put_pins("docs", None, vec![row]).await.unwrap();
    let shared = SharedStore::new(Arc::clone(&store), None);
    let kept = store.pins("docs").await.unwrap();
    for error in [
        shared.find("docs").await.unwrap_err(),
        shared.pin_first("docs", &pins("evil")).await.unwrap_err(),
        shared.edit("docs", |_| ()).await.unwrap_err(),
    ] {
        assert!(matches!(error, PinsError::Broken { .. }), "{error}");
    }
    assert_eq!(store.pins("docs").await.unwrap(), kept);
}

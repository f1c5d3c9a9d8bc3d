//! Archives and indexes that something happened to.

use super::*;

/// The bytes with some of them changed, and perhaps the end cut off.
fn damaged(mut bytes: Vec<u8>, changes: &[(usize, u8)], cut: Option<usize>) -> Vec<u8> {
    for (at, byte) in changes {
        let at = at % bytes.len();
        bytes[at] = *byte;
    }
    if let Some(cut) = cut {
        bytes.truncate(cut % (bytes.len() + 1));
    }
    bytes
}

fn changes() -> impl Strategy<Value = (Vec<(usize, u8)>, Option<usize>)> {
    let changes = proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6);
    (changes, proptest::option::weighted(0.3, any::<usize>()))
}

#[test]
fn a_member_that_cannot_be_unpacked_is_left_out() {
    let mut bytes = zipped(&[
        ("good.md", b"fine".to_vec()),
        ("bad.md", b"0123456789".repeat(50)),
    ]);
    // Behind the name of the second member is what it was made of.
    let name = bytes.windows(6).position(|part| part == b"bad.md").unwrap();
    bytes[name + 8] ^= 0xff;
    let index = read_archive(&bytes, &Bounds::default()).unwrap();
    assert_eq!(
        (index.report().documents, index.report().unreadable),
        (1, 1)
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn any_damage_to_an_archive_is_an_error_or_fewer_documents((changes, cut) in changes()) {
        let tar = tarred(&files());
        let bounds = Bounds { total_bytes: 1 << 20, document_bytes: 1 << 16, ..Bounds::default() };
        for bytes in [gzipped(&tar), tar, zipped(&files())] {
            if let Ok(index) = read_archive(&damaged(bytes, &changes, cut), &bounds) {
                prop_assert!((1..=4).contains(&index.report().documents));
            }
        }
    }

    #[test]
    fn any_damage_to_an_index_is_an_error_or_none(
        (changes, cut) in changes(),
        which in any::<proptest::sample::Index>(),
    ) {
        let (docs, place) = (folder(&files()), TempDir::new().unwrap());
        let target = place.path().join("index");
        build(docs.path(), &target, &Bounds::default()).unwrap();
        let mut paths: Vec<_> = fs::read_dir(&target).unwrap().map(|entry| entry.unwrap().path()).collect();
        paths.sort();
        let path = which.get(&paths);
        let bytes = fs::read(path).unwrap();
        if bytes.is_empty() {
            return Ok(());
        }
        let now = damaged(bytes.clone(), &changes, cut);
        fs::write(path, &now).unwrap();
        let opened = DocsIndex::open(&target);
        let is_part = !path.ends_with("mcp-gw-docs-index.json");
        prop_assert!(!is_part || opened.is_ok() == (now == bytes), "{path:?}");
        // What says what the index is made of may have lost something that does not count.
        if let Ok(index) = opened {
            prop_assert_eq!(index.search("redis policy", 5).unwrap().len(), 2);
        }
    }
}

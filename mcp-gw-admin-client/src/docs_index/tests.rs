mod damage;

use std::fs;
use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tempfile::TempDir;

use super::section::{Document, Kind};
use super::*;

const RATE: &str = "---\ntitle: \"Rate Limiting\"\ndescription: Limit how many requests come in.\n---\n\
    # Configure\nSet `minute` to what a consumer may do.\n\n```yaml\n# not a heading\nconfig:\n  minute: 5\n```\n\
    ## Redis {#redis}\nCounters are shared through Redis.\n\nPolicy\n------\nChoose `local` or `redis`.\n";
const OIDC: &str = "<html><head><title>OpenID Connect</title><style>p { color: redis }</style></head><body>\
    <nav>Redis menu</nav><h1>Introspection</h1><p>The plugin asks the identity&nbsp;provider &amp; waits.</p>\
    <h2>Session <em>storage</em></h2><pre>storage: cookie\n  secret: a &lt; b</pre><script>if (a<b) redis()</script></body></html>";
const NOTES: &str = "Consumers are people or programs.\nÉtat: configuré.\n";

fn files() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("plugins/rate-limiting.md", RATE.as_bytes().to_vec()),
        ("plugins/openid-connect.html", OIDC.as_bytes().to_vec()),
        ("notes.txt", NOTES.as_bytes().to_vec()),
        ("image.png", vec![0, 1]),
    ]
}

fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = TempDir::new().unwrap();
    for (name, bytes) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    folder
}

/// An archive whose names are what they are, also where no program would write them.
fn tarred(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_cksum();
        archive.append(&header, bytes.as_slice()).unwrap();
    }
    archive.into_inner().unwrap()
}

fn gzipped(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn zipped(files: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut archive = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in files {
        archive
            .start_file(*name, zip::write::SimpleFileOptions::default())
            .unwrap();
        archive.write_all(bytes).unwrap();
    }
    archive.finish().unwrap().into_inner()
}

fn read_archive(bytes: &[u8], bounds: &Bounds) -> Result<DocsIndex, DocsError> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("docs");
    fs::write(&path, bytes).unwrap();
    DocsIndex::in_memory(&path, bounds)
}

fn read_folder(files: &[(&str, Vec<u8>)], bounds: &Bounds) -> Result<DocsIndex, DocsError> {
    DocsIndex::in_memory(folder(files).path(), bounds)
}

fn lines(index: &DocsIndex, query: &str) -> Vec<String> {
    let found = index.search(query, 5).unwrap();
    found
        .iter()
        .map(|one| {
            format!(
                "{} | {} | {} | {}",
                one.source, one.title, one.heading, one.text
            )
        })
        .collect()
}

#[test]
fn sections_are_found_with_source_and_heading() {
    let index = read_folder(&files(), &Bounds::default()).unwrap();
    assert_eq!((index.report().documents, index.report().other), (3, 1));
    let queries = [
        "How do I configure rate limiting?",
        "redis",
        "identity provider",
        "session storage cookies",
        "etat configure",
        "the",
        "menu",
    ];
    let told = queries.map(|query| format!("# {query}\n{}", lines(&index, query).join("\n")));
    insta::assert_snapshot!(told.join("\n\n"));
}

#[test]
fn archives_are_read_like_folders() {
    let bounds = Bounds::default();
    let folder = read_folder(&files(), &bounds).unwrap();
    let tar = tarred(&files());
    for bytes in [gzipped(&tar), tar, zipped(&files())] {
        let index = read_archive(&bytes, &bounds).unwrap();
        assert_eq!(index.report(), folder.report());
        let mut both = [
            lines(&index, "redis policy"),
            lines(&folder, "redis policy"),
        ];
        for lines in &mut both {
            lines.sort();
        }
        assert_eq!(both[0], both[1]);
        assert_eq!(both[0].len(), 2);
    }
}

#[test]
fn a_stored_index_finds_what_one_in_memory_finds() {
    let (docs, place) = (folder(&files()), TempDir::new().unwrap());
    let target = place.path().join("deep/index");
    let report = build(docs.path(), &target, &Bounds::default()).unwrap();
    let stored = DocsIndex::load(&target, &Bounds::default()).unwrap();
    let fresh = DocsIndex::load(docs.path(), &Bounds::default()).unwrap();
    assert_eq!((stored.report(), fresh.report()), (&report, &report));
    assert_eq!(lines(&stored, "consumers"), lines(&fresh, "consumers"));
    // Once more, in the place of the old one; what is open stays readable where files can be open and gone.
    fs::write(docs.path().join("new.md"), "# Zebra\nstripes").unwrap();
    drop(stored);
    assert_eq!(
        build(docs.path(), &target, &Bounds::default())
            .unwrap()
            .documents,
        4
    );
    assert_eq!(lines(&DocsIndex::open(&target).unwrap(), "zebras").len(), 1);
    // A failure leaves the old one where it is, and nothing beside it.
    let bounds = Bounds {
        documents: 1,
        ..Bounds::default()
    };
    build(docs.path(), &target, &bounds).unwrap_err();
    assert_eq!(lines(&DocsIndex::open(&target).unwrap(), "zebras").len(), 1);
    assert_eq!(fs::read_dir(target.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn an_index_of_another_version_or_damaged_is_refused() {
    let (docs, place) = (folder(&files()), TempDir::new().unwrap());
    let target = place.path().join("index");
    build(docs.path(), &target, &Bounds::default()).unwrap();
    let mark = target.join("mcp-gw-docs-index.json");
    let right = fs::read_to_string(&mark).unwrap();
    let says = |text: &str| {
        fs::write(&mark, text).unwrap();
        let error = DocsIndex::open(&target).unwrap_err();
        error.to_string().replace(target.to_str().unwrap(), "INDEX")
    };
    insta::assert_snapshot!(says(r#"{"version":2,"report":"of another shape"}"#), @"INDEX is an index of version 2, and this program reads version 1: build it again");
    insta::assert_snapshot!(says(r#"{"version":1}"#), @"INDEX is not an index: what it is made of cannot be read; build it again");
    insta::assert_snapshot!(says("{}"), @"INDEX is not an index: its version cannot be read; build it again");
    fs::write(&mark, right).unwrap();
    let store = fs::read_dir(&target)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let store = store
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "store"))
        .unwrap();
    let mut bytes = fs::read(&store).unwrap();
    bytes[3] ^= 1;
    fs::write(&store, &bytes).unwrap();
    let error = DocsIndex::open(&target).unwrap_err().to_string();
    assert!(error.ends_with("it is damaged; build it again"), "{error}");
    bytes.truncate(2);
    fs::write(&store, &bytes).unwrap();
    DocsIndex::open(&target).unwrap_err();
    fs::remove_file(&store).unwrap();
    DocsIndex::open(&target).unwrap_err();
}

#[test]
fn a_folder_with_other_things_in_it_is_not_written_into() {
    let docs = folder(&files());
    let error = build(docs.path(), docs.path(), &Bounds::default()).unwrap_err();
    assert!(matches!(error, DocsError::NoIndex { .. }), "{error}");
    assert_eq!(fs::read_dir(docs.path()).unwrap().count(), 3);
    assert!(matches!(
        DocsIndex::open(docs.path()),
        Err(DocsError::NoIndex { .. })
    ));
}

#[test]
fn what_is_no_documentation_is_refused() {
    let bounds = Bounds::default();
    assert!(matches!(
        read_folder(&[("a.png", vec![1])], &bounds),
        Err(DocsError::Empty { .. })
    ));
    assert!(matches!(
        read_archive(b"# text", &bounds),
        Err(DocsError::NoSource { .. })
    ));
    assert!(matches!(
        read_archive(b"PK\x03\x04nothing", &bounds),
        Err(DocsError::Io { .. })
    ));
    assert!(matches!(
        read_archive(&[0x1f, 0x8b, 8, 0], &bounds),
        Err(DocsError::Io { .. })
    ));
    let whole = gzipped(&tarred(&files()));
    let half = read_archive(&whole[..whole.len() / 2], &bounds);
    assert!(matches!(half, Err(DocsError::Io { .. })));
    let nowhere = DocsIndex::in_memory(Path::new("/nowhere/at/all"), &bounds);
    assert!(matches!(nowhere, Err(DocsError::Io { .. })));
}

#[test]
fn names_that_lead_out_of_an_archive_are_left_out() {
    let evil = || b"# Evil\npasswd".to_vec();
    let files = [
        ("../evil.md", evil()),
        ("a/../../evil.md", evil()),
        ("/etc/evil.md", evil()),
        ("..\\evil.md", evil()),
        ("c:\\evil.md", evil()),
        ("a\u{202e}dm.md", evil()),
        (".git/evil.md", evil()),
        ("./a//good.md", b"# Good\nfine".to_vec()),
    ];
    for bytes in [tarred(&files), zipped(&files)] {
        let index = read_archive(&bytes, &Bounds::default()).unwrap();
        assert_eq!((index.report().documents, index.report().outside), (1, 6));
        assert_eq!(
            lines(&index, "evil passwd fine"),
            ["a/good.md | Good | Good | fine"]
        );
    }
}

#[test]
fn links_are_not_followed() {
    let mut archive = tar::Builder::new(Vec::new());
    for kind in [
        tar::EntryType::Symlink,
        tar::EntryType::Link,
        tar::EntryType::Regular,
    ] {
        let mut header = tar::Header::new_ustar();
        header.set_entry_type(kind);
        header.set_size(0);
        if kind == tar::EntryType::Regular {
            header.set_size(4);
            archive
                .append_data(&mut header, "a.md", b"text".as_slice())
                .unwrap();
        } else {
            archive
                .append_link(&mut header, "link.md", "/etc/passwd")
                .unwrap();
        }
    }
    let index = read_archive(&archive.into_inner().unwrap(), &Bounds::default()).unwrap();
    assert_eq!((index.report().links, index.report().documents), (2, 1));
}

#[cfg(unix)]
#[test]
fn links_and_pipes_in_folders_are_not_followed() {
    let secret = folder(&[("secret.md", b"# Secret\nhidden".to_vec())]);
    let docs = folder(&files());
    std::os::unix::fs::symlink(secret.path(), docs.path().join("away")).unwrap();
    std::os::unix::fs::symlink(secret.path().join("secret.md"), docs.path().join("away.md"))
        .unwrap();
    std::os::unix::fs::symlink(docs.path(), docs.path().join("plugins/ring")).unwrap();
    let index = DocsIndex::in_memory(docs.path(), &Bounds::default()).unwrap();
    assert_eq!((index.report().links, index.report().documents), (3, 3));
    assert!(lines(&index, "hidden").is_empty());
}

#[test]
fn everything_that_is_read_has_a_bound() {
    let is_over = |result: Result<DocsIndex, DocsError>, wanted: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.ends_with(wanted), "{error}");
    };
    let bounds = Bounds {
        total_bytes: 1 << 20,
        document_bytes: 1 << 19,
        ..Bounds::default()
    };
    let zeros = || vec![b'a'; 8 << 20];
    // Small outside, large inside: a document, and something that is none.
    let bomb = [("bomb.md", zeros())];
    is_over(
        read_archive(&gzipped(&tarred(&bomb)), &bounds),
        "more than 1048576 bytes",
    );
    is_over(
        read_archive(&gzipped(&tarred(&[("bomb.bin", zeros())])), &bounds),
        "more than 1048576 bytes",
    );
    let long = read_archive(
        &zipped(&[("bomb.md", zeros()), ("a.md", b"a".to_vec())]),
        &bounds,
    )
    .unwrap();
    assert_eq!((long.report().too_long, long.report().documents), (1, 1));
    let many: Vec<(String, Vec<u8>)> = (0..4)
        .map(|n| (format!("{n}.md"), vec![b'a'; 1 << 19]))
        .collect();
    let many: Vec<(&str, Vec<u8>)> = many.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    is_over(
        read_archive(&zipped(&many), &bounds),
        "more than 1048576 bytes",
    );
    is_over(read_folder(&many, &bounds), "more than 1048576 bytes");
    let few = |entries, documents, sections| Bounds {
        documents,
        entries,
        sections,
        ..Bounds::default()
    };
    for bytes in [zipped(&files()), tarred(&files())] {
        is_over(
            read_archive(&bytes, &few(3, 9, 99)),
            "more than 3 files and folders",
        );
        is_over(
            read_archive(&bytes, &few(9, 2, 99)),
            "more than 2 documents",
        );
        is_over(read_archive(&bytes, &few(9, 9, 4)), "more than 4 sections");
    }
    is_over(
        read_folder(&files(), &few(4, 9, 99)),
        "more than 4 files and folders",
    );
}

#[test]
fn what_is_not_utf8_is_read_where_it_is_text() {
    let latin = "État des lieux: la configuration est terminée."
        .chars()
        .map(|c| c as u8)
        .collect();
    let index = read_folder(
        &[
            ("latin.md", latin),
            (
                "utf16.md",
                "a b c".encode_utf16().flat_map(u16::to_le_bytes).collect(),
            ),
            ("noise.md", (128..=255).collect()),
            ("bom.md", "\u{feff}---\ntitle: Bom\n---\ntext".into()),
        ],
        &Bounds::default(),
    )
    .unwrap();
    assert_eq!((index.report().documents, index.report().no_text), (2, 2));
    assert_eq!(lines(&index, "configuration").len(), 1);
    assert_eq!(lines(&index, "text"), ["bom.md | Bom |  | text"]);
}

#[test]
fn a_long_section_is_shown_where_its_words_are() {
    let words = |n: usize| "lorem ipsum dolor sit. ".repeat(n);
    let text = format!(
        "# Zebras\n{}The zebra has stripes. {}",
        words(60),
        words(60)
    );
    let index = read_folder(&[("a.md", text.into())], &Bounds::default()).unwrap();
    let found = index.search("striped zebra", 1).unwrap();
    let text = &found[0].text;
    assert!(text.contains("zebra has stripes"), "{text}");
    assert!(text.starts_with("… ") && text.ends_with(" …"), "{text}");
    // The words are in the heading alone: the beginning.
    let found = index.search("zebras", 2).unwrap();
    assert!(found.iter().all(|one| one.heading == "Zebras"));
}

#[test]
fn results_have_bounds() {
    let words = "apple banana cherry ".repeat(2_000);
    let many: Vec<(String, Vec<u8>)> = (0..60)
        .map(|n| (format!("{n}.md"), words.clone().into()))
        .collect();
    let many: Vec<(&str, Vec<u8>)> = many.iter().map(|(n, b)| (n.as_str(), b.clone())).collect();
    let index = read_folder(&many, &Bounds::default()).unwrap();
    let found = index.search("banana", 1_000).unwrap();
    assert_eq!(found.len(), 50);
    assert!(found.iter().all(|one| one.text.chars().count() <= 904));
    let of_one = |source: &str| found.iter().filter(|one| one.source == source).count();
    assert!(found.iter().all(|one| of_one(&one.source) <= 3));
    assert!(index.search("banana", 0).unwrap().is_empty());
    assert_eq!(
        index.search(&"banana ".repeat(100_000), 1).unwrap().len(),
        1
    );
}

/// The length of all texts.
fn kept(document: &Document) -> usize {
    document.sections.iter().map(|one| one.text.len()).sum()
}

#[test]
fn pages_that_do_not_end_are_read_in_one_go() {
    for part in [
        "<", "<a", "<!--", "<script>", "</", "&", "&#", "&amp", "<pre>\n", "<h1>", "<a>",
    ] {
        let page = part.repeat((1 << 20) / part.len());
        let document = Document::of("x.html", Kind::Html, &page);
        assert!(kept(&document) <= page.len(), "{part}");
    }
    for part in ["#", "# \n", "```\n", "---\n", "a\n---\n", "{%", "\n"] {
        let page = part.repeat((1 << 18) / part.len());
        let document = Document::of("x.md", Kind::Markdown, &page);
        assert!(kept(&document) <= page.len(), "{part}");
    }
}

fn told(kind: Kind, text: &str) -> String {
    let document = Document::of("folder/name.md", kind, text);
    let sections = document
        .sections
        .iter()
        .map(|one| format!("[{}]\n{}", one.heading, one.text));
    format!(
        "{}\n{}",
        document.title,
        sections.collect::<Vec<_>>().join("\n")
    )
}

#[test]
fn headings_are_told_from_what_looks_like_them() {
    let text = "before\n\n# One #\n#hash\n    # code\n```sh\n# comment\n~~~\n## two\n```\n\n\n\nafter\n## Two {: .x }\n\
        | a |\n---\n- item\n---\nUnder\n=====\n{% include x %}\n### {% y %} Three\nthree\n# Four\nfour\n~~~\n# open";
    insta::assert_snapshot!(told(Kind::Markdown, text));
    assert_eq!(
        told(Kind::Markdown, "---\ntitle: open\ntext"),
        "name\n[]\n---\ntitle: open\ntext"
    );
    assert_eq!(told(Kind::Markdown, ""), "name\n");
    for (heading, words) in [
        (
            "Use [the `redis` policy](a(b \"c\")",
            "Use the `redis` policy",
        ),
        (
            "Serde [![Build][b]][actions] ![x](y) [crates.io][z]",
            "Serde   crates.io",
        ),
        ("a [b] (c) ![open", "a b (c)"),
    ] {
        assert_eq!(
            told(Kind::Markdown, &format!("# {heading}\nx")),
            format!("{words}\n[{words}]\nx")
        );
    }
}

#[test]
fn pages_are_read_without_what_is_not_for_readers() {
    let text = "<!doctype html><title>A &amp; B</title><h1>One</h1>x<br>y<SCRIPT>a </ b</SCRIPT >z <b>bold</b>\n text\
        <h2 id=a>Two</h3>1 < 2 &unknown; &#x41;&#66; &#xfffffff;<!-- <h1>no</h1> --><pre>a:\n  - b\n</pre><h1>Three<p>three<div";
    insta::assert_snapshot!(told(Kind::Html, text));
}

proptest! {
    #[test]
    fn any_document_is_cut_into_bounded_sections(
        text in "(#{1,7} |```|~~~|---|===|\n|\n\n|<h[1-6]>|</h1>|<pre>|<!--|-->|<script>|&lt;|title: |\\{%|%\\}|\\PC|[\0-\u{1f}\u{202e}]|[a-z]{1,8}){0,60}",
    ) {
        for kind in [Kind::Markdown, Kind::Html, Kind::Text] {
            let document = Document::of("a/b.md", kind, &text.repeat(20));
            for section in &document.sections {
                prop_assert!(!section.text.is_empty() && section.text.len() <= 3_010);
                prop_assert!(section.heading.chars().count() <= 6 * 161 + 15);
                let unseen = |c: char| crate::konnect::text::is_unseen(c) && c != '\n' && c != '\t';
                prop_assert!(!section.text.contains(unseen) && !section.heading.contains(unseen));
            }
        }
    }
}

#[test]
fn any_text_is_a_query() {
    let index = read_folder(&files(), &Bounds::default()).unwrap();
    for query in [
        "",
        " ",
        "\"",
        "title:",
        "AND OR NOT",
        "+a -b",
        "(",
        "a^2",
        "[a TO b]",
        "*",
        "\\",
        "redis~",
        "\0",
        "🦓",
    ] {
        index.search(query, 5).unwrap();
    }
    assert!(!index.search("redis AND (", 5).unwrap().is_empty());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(200));
    runner
        .run(
            &"([\"():+*^~\\[\\]{}/\\\\-]|AND|OR|NOT|TO|redis|\\PC| ){0,30}",
            |query| {
                prop_assert!(index.search(&query, 5).is_ok());
                Ok(())
            },
        )
        .unwrap();
}

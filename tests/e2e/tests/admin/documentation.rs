//! Documentation that is searched: read ahead by a command or at the start, by both servers, from options and from
//! the file.

use std::fs;
use std::path::Path;

use super::{BOTH, Caller, Dashboard, Served, TOKEN, says};
use crate::operator::run;
use crate::support::HTTP_BIN;
use crate::support::client::Era;
use crate::support::json::{at, items, string};
use crate::support::setup::{Folder, Setup};

const TOOL: &str = "KnowledgeBaseSearch";

const PAGE: &str = "# Rate limiting\n\n## Parameters\n\nThe option `minute` says how many requests a minute may have.\n";

/// Documentation in a folder, with things in it that are none.
fn documentation(folder: &Folder) -> String {
    let at = folder.0.join("docs");
    fs::create_dir_all(at.join("plugins")).unwrap();
    fs::write(at.join("plugins/rate-limiting.md"), PAGE).unwrap();
    fs::write(at.join("logo.png"), b"\x89PNG").unwrap();
    fs::write(at.join("torn.txt"), b"a\0b").unwrap();
    shown(&at)
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

/// A tar archive with one file in it.
fn tar(name: &str, text: &str) -> Vec<u8> {
    let mut head = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| head[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644");
    put(124, &format!("{:011o}", text.len()));
    put(136, "00000000000");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\u{0}00");
    let sum: u32 = head.iter().map(|byte| u32::from(*byte)).sum();
    head[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let mut archive = head.to_vec();
    archive.extend(text.as_bytes());
    archive.resize(archive.len().next_multiple_of(512) + 1024, 0);
    archive
}

#[track_caller]
fn finds(client: &Caller, source: &str) {
    assert!(client.names().contains(&TOOL.to_owned()));
    let answer = client.ok(TOOL, r#"{"query":"how many requests per minute?"}"#);
    let first = items(&at(&answer, &["excerpts"])).remove(0);
    assert_eq!(string(&at(&first, &["source"])), source);
    says(
        &first,
        &["Rate limiting", "Parameters", "how many requests a minute"],
    );
}

/// `docs index`, which has to do it: what it says.
#[track_caller]
fn index(binary: &str, source: &str, index: &str) -> String {
    let (code, stdout, stderr) = run(binary, &["docs", "index", source, index]);
    assert_eq!((code, &*stderr), (Some(0), ""), "{stdout}");
    stdout
}

#[test]
fn it_is_read_ahead_by_a_command_and_searched_by_what_is_served() {
    for binary in BOTH {
        let folder = Folder::new();
        let source = documentation(&folder);
        let ahead = shown(&folder.0.join("built/ahead"));
        says(
            &index(binary, &source, &ahead),
            &[
                "1 document with 1 section",
                "1 (no text by what is in them)",
                "1 (of other kinds)",
                &ahead,
                "--docs",
            ],
        );
        // The index is all that is needed.
        fs::remove_dir_all(&source).unwrap();
        let variables = [("KONNECT_ACCESS_TOKEN", TOKEN)];
        for kind in ["konnect", "kong"] {
            let served = Served::of_kind(kind, binary, &["--docs", &ahead], &variables);
            finds(&served.client(), "plugins/rate-limiting.md");
            let said = served.end().join("\n");
            says(&said, &["documentation can be searched"]);
        }
        // An archive takes the place of what was there; who has opened that keeps it.
        let before = Served::of_kind("kong", binary, &["--docs", &ahead], &[]);
        let client = before.client();
        finds(&client, "plugins/rate-limiting.md");
        let archive = folder.0.join("docs.tar");
        fs::write(&archive, tar("docs/limits.md", PAGE)).unwrap();
        index(binary, &shown(&archive), &ahead);
        let served = Served::of_kind(
            "konnect",
            binary,
            &["--all-tools", "--docs", &ahead],
            &variables,
        );
        finds(&served.client(), "docs/limits.md");
        served.end();
        finds(&client, "plugins/rate-limiting.md");
        before.end();
        let others = fs::read_dir(folder.0.join("built")).unwrap().count();
        assert_eq!(others, 1, "nothing is left beside the index");
    }
}

#[test]
fn the_file_names_a_folder_an_archive_or_an_index() {
    let konnect = Dashboard::start([]);
    let folder = Folder::new();
    let source = documentation(&folder);
    let ahead = shown(&folder.0.join("index"));
    index(HTTP_BIN, &source, &ahead);
    let archive = shown(&folder.0.join("docs.tar"));
    fs::write(&archive, tar("plugins/rate-limiting.md", PAGE)).unwrap();
    let yaml = |docs: &str| {
        format!(
            "http: {{ listen: \"127.0.0.1:0\" }}\npolicy: {{ default: allow }}\nservers:\n  \
             k: {{ konnect: {{ base_url: {:?}, token: {TOKEN}, visibility: all{docs} }} }}\n",
            konnect.url()
        )
    };
    for path in [&source, &archive, &ahead] {
        let docs = format!(", docs: {path:?}");
        for gateway in [
            Setup::verbatim(&yaml(&docs)).over_http(),
            Setup::verbatim(&yaml(&docs)).over_stdio(),
        ] {
            finds(
                &Caller(gateway.client(Era::Modern)),
                "plugins/rate-limiting.md",
            );
        }
    }
    // Beside the file it is found by its name alone, wherever the program is started.
    let file = folder.file("mcp-gw.yaml", &yaml(", docs: index"));
    for binary in BOTH {
        let (code, _, stderr) = run(binary, &["check", "--config", &file]);
        assert_eq!(code, Some(0), "{stderr}");
    }
    let gateway = Setup::verbatim(&yaml("")).over_http();
    let without = Caller(gateway.client(Era::Modern));
    assert!(!without.names().contains(&TOOL.to_owned()));
    without.tool(TOOL, r#"{"query":"minute"}"#).fault();
}

#[test]
fn what_cannot_be_read_ahead_says_why_and_leaves_everything_as_it_was() {
    let folder = Folder::new();
    let source = documentation(&folder);
    let page = folder.file("page.md", PAGE);
    let empty = shown(&folder.0.join("empty"));
    fs::create_dir(&empty).unwrap();
    let torn = shown(&folder.0.join("torn.tar.gz"));
    fs::write(&torn, b"\x1f\x8b\x08\0").unwrap();
    let (absent, target) = (
        shown(&folder.0.join("absent")),
        shown(&folder.0.join("target")),
    );
    let before = listing(&folder.0);
    for binary in BOTH {
        for (from, to, why) in [
            (&absent, &target, "No such file"),
            (&page, &target, "neither a folder nor a .tar.gz"),
            (&torn, &target, "torn.tar.gz cannot be read"),
            (&empty, &target, "has no documents"),
            (&source, &source, "there are other things in it"),
            (&source, &page, "it is a file"),
        ] {
            let (code, stdout, stderr) = run(binary, &["docs", "index", from, to]);
            assert_eq!((code, &*stdout), (Some(1), ""), "{stderr}");
            says(&stderr, &[why]);
            assert_eq!(stderr.lines().count(), 1, "{stderr}");
        }
        let (code, _, stderr) = run(binary, &["docs", "index", &source]);
        assert_eq!(code, Some(2), "{stderr}");
    }
    assert_eq!(listing(&folder.0), before);
    assert_eq!(fs::read_to_string(&page).unwrap(), PAGE);
}

fn listing(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| shown(&entry.unwrap().path())).collect();
    names.sort();
    names
}

#[test]
fn what_cannot_be_searched_is_told_at_the_start() {
    let folder = Folder::new();
    let source = documentation(&folder);
    let ahead = folder.0.join("index");
    index(HTTP_BIN, &source, &shown(&ahead));
    let store = fs::read_dir(&ahead)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let store = store
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "store"));
    fs::write(store.unwrap(), b"something else").unwrap();
    let empty = shown(&folder.0.join("empty"));
    fs::create_dir(&empty).unwrap();
    for binary in BOTH {
        for (path, says_so) in [
            (
                &shown(&folder.0.join("absent")),
                "there is nothing at this path",
            ),
            (&empty, "has no documents"),
            (&shown(&ahead), "it is damaged; build it again"),
        ] {
            let mut args = vec!["kong", "--docs", path];
            if binary == HTTP_BIN {
                args.extend(["--listen", "127.0.0.1:0"]);
            }
            let (code, _, stderr) = run(binary, &args);
            assert_eq!(code, Some(1), "{stderr}");
            says(&stderr, &["docs: ", says_so]);
        }
        let tools = ["kong", "--tools", TOOL];
        let (code, _, stderr) = run(binary, &tools);
        assert_eq!(code, Some(1), "{stderr}");
        says(&stderr, &["nothing to search"]);
    }
}

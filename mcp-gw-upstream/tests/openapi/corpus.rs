//! How much of real descriptions becomes tools.

use mcp_gw_upstream::rest::openapi::{Options, read};
use std::time::Instant;

#[test]
fn scratch() {
    let dir = std::env::var("OAS").unwrap();
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.sort();
    for file in files {
        let bytes = std::fs::read(&file).unwrap();
        let start = Instant::now();
        match read(&bytes, &Options::all()) {
            Err(error) => println!("{}: {error}", file.display()),
            Ok(it) => {
                let sizes: Vec<usize> = it
                    .operations
                    .iter()
                    .map(|o| o.input_schema().len())
                    .collect();
                let total: usize = sizes.iter().sum();
                println!(
                    "{} {:?}: {}/{} in {:?}, notes {}, schema max {} avg {}",
                    file.file_name().unwrap().display(),
                    it.version,
                    it.operations.len(),
                    it.report.total,
                    start.elapsed(),
                    it.report.notes.len(),
                    sizes.iter().max().unwrap_or(&0),
                    total / sizes.len().max(1)
                );
                for s in it.report.skipped.iter().take(5) {
                    println!("   skip {} {} {}", s.method, s.path, s.reason);
                }
                for s in it.report.notes.iter().take(6) {
                    println!("   note {} {}", s.at, s.message);
                }
            }
        }
    }
}
#[test]
fn show() {
    let (Ok(file), Ok(names)) = (std::env::var("SHOW"), std::env::var("NAMES")) else {
        return;
    };
    let it = read(&std::fs::read(file).unwrap(), &Options::all()).unwrap();
    for o in &it.operations {
        if names.split(',').any(|n| n == o.name()) {
            println!(
                "{} {} accept..\n{}\n{:?}\n",
                o.method(),
                o.path(),
                o.spec().unwrap().definition(),
                o.security()
            );
        }
    }
    if names == "?" {
        println!(
            "{:?}",
            it.operations.iter().map(|o| o.name()).collect::<Vec<_>>()
        );
    }
}

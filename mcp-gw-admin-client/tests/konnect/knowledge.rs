//! Searching documentation.

use mcp_gw_admin_client::tools::konnect::{Knowledge, KnowledgeExcerpt};
use mcp_gw_core::BoxError;

use super::*;

/// A book that knows one thing.
pub(super) struct Book;

impl Knowledge for Book {
    fn search(&self, query: &str, most: usize) -> Result<Vec<KnowledgeExcerpt>, BoxError> {
        if query == "broken" {
            return Err("the book is\nlost".into());
        }
        let text = "minute: how many requests a minute";
        let all = [KnowledgeExcerpt::new(
            "plugins/rate-limiting.md",
            "Rate limiting > Parameters",
            text,
        )];
        let found = all.into_iter().filter(|one| one.text.contains(query));
        Ok(found.take(most).collect())
    }
}

async fn search(query: &str) -> Answered {
    let config = KonnectConfig::new(Region::Eu, Secret::new(TOKEN.to_owned()));
    let parts = Parts::default().with_knowledge(Arc::new(Book));
    let backend = konnect_backend(&config, parts).unwrap();
    call(
        &*backend,
        "KnowledgeBaseSearch",
        &json!({"query": query}),
        TOKEN,
    )
    .await
}

#[tokio::test]
async fn excerpts_have_their_source_and_heading() {
    let answered = search("minute").await;
    assert!(
        answered
            .text
            .starts_with("[plugins/rate-limiting.md] Rate limiting > Parameters\nminute")
    );
    let answer = answered.ok();
    assert_eq!(answer["excerpts"][0]["source"], "plugins/rate-limiting.md");
    let answer = search("hour").await.ok();
    assert!(
        answer["remarks"][0]
            .as_str()
            .unwrap()
            .contains("other words")
    );
    let error = search("broken").await.error();
    assert!(error.ends_with("the book is lost"), "{error}");
    assert!(search("").await.error().contains("query"));
}

#[cfg(feature = "docs-index")]
#[tokio::test]
async fn a_folder_of_documentation_is_searched() {
    use mcp_gw_admin_client::docs_index::{Bounds, DocsIndex};

    let folder = tempfile::tempdir().unwrap();
    let text = "# Rate limiting\n\n## Parameters\n\nThe option minute says how many requests a minute may have.\n";
    std::fs::write(folder.path().join("rate-limiting.md"), text).unwrap();
    let index = DocsIndex::load(folder.path(), &Bounds::default()).unwrap();
    let config = KonnectConfig::new(Region::Eu, Secret::new(TOKEN.to_owned()));
    let parts = Parts::default().with_knowledge(Arc::new(index));
    let backend = konnect_backend(&config, parts).unwrap();
    let query = json!({"query": "requests per minute AND (\""});
    let answer = call(&*backend, "KnowledgeBaseSearch", &query, TOKEN)
        .await
        .ok();
    let first = &answer["excerpts"][0];
    assert_eq!(first["source"], "rate-limiting.md");
    assert!(
        first["heading"].as_str().unwrap().contains("Parameters"),
        "{answer}"
    );
}

//! Sections that fit a query.

use std::collections::HashMap;

use schemars::JsonSchema;
use serde::Serialize;
use tantivy::collector::TopDocs;
use tantivy::query::{BooleanQuery, BoostQuery, Occur, Query, TermQuery};
use tantivy::schema::{Field, IndexRecordOption, Value};
use tantivy::snippet::SnippetGenerator;
use tantivy::{TantivyDocument, Term};

use super::DocsError;
use super::engine::Engine;

/// How much of a query is read.
const LONGEST_QUERY: usize = 2_000;
const MOST_WORDS: usize = 48;
/// How long an excerpt is, in characters.
const LONGEST_TEXT: usize = 900;
/// How many sections are shown of one document.
const PER_DOCUMENT: usize = 3;
/// How many results there can be.
const MOST_RESULTS: usize = 50;

/// A part of a document. It is what the document says, and data.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct Excerpt {
    /// The document: its path in the folder or archive.
    pub source: String,
    /// Its title.
    pub title: String,
    /// The headings that the part is under, with ` > ` between them. Empty before the first one.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub heading: String,
    /// The words around those of the query, about 900 characters at most.
    pub text: String,
    /// How well it fits: more is better, and only to be compared within one answer.
    pub score: f32,
}

pub(super) fn search(engine: &Engine, query: &str, most: usize) -> Result<Vec<Excerpt>, DocsError> {
    let text: String = query.chars().take(LONGEST_QUERY).collect();
    let words = Engine::words(&text, MOST_WORDS);
    let most = most.min(MOST_RESULTS);
    if words.is_empty() || most == 0 {
        return Ok(Vec::new());
    }
    let query = query_of(engine, &words);
    let searcher = engine.reader.searcher();
    // More than are shown: many can be of one document.
    let top = TopDocs::with_limit(most.saturating_mul(16).max(100));
    let found = searcher.search(&query, &top).map_err(DocsError::index)?;
    let mut snippets = SnippetGenerator::create(&searcher, &query, engine.fields.text)
        .map_err(DocsError::index)?;
    snippets.set_max_num_chars(LONGEST_TEXT);
    let mut all: Vec<Excerpt> = Vec::new();
    let mut per_document: HashMap<String, usize> = HashMap::new();
    for (score, address) in found {
        if all.len() == most {
            break;
        }
        let section: TantivyDocument = searcher.doc(address).map_err(DocsError::index)?;
        let member = |field: Field| {
            let value = section.get_first(field).and_then(|value| value.as_str());
            value.unwrap_or_default().to_owned()
        };
        let source = member(engine.fields.source);
        let seen = per_document.entry(source.clone()).or_default();
        if *seen == PER_DOCUMENT {
            continue;
        }
        *seen += 1;
        let text = member(engine.fields.text);
        all.push(Excerpt {
            source,
            title: member(engine.fields.title),
            heading: member(engine.fields.heading),
            text: excerpt(&text, |text| snippets.snippet(text).fragment().to_owned()),
            score,
        });
    }
    Ok(all)
}

/// Any of the words, in any field: titles count most, then headings.
fn query_of(engine: &Engine, words: &[String]) -> BooleanQuery {
    let fields = [
        (engine.fields.title, 2.0),
        (engine.fields.heading, 1.5),
        (engine.fields.text, 1.0),
    ];
    let mut clauses: Vec<(Occur, Box<dyn Query>)> = Vec::new();
    for word in words {
        for (field, boost) in fields {
            let term = Term::from_field_text(field, word);
            let query = TermQuery::new(term, IndexRecordOption::WithFreqs);
            let boosted = BoostQuery::new(Box::new(query), boost);
            clauses.push((Occur::Should, Box::new(boosted)));
        }
    }
    BooleanQuery::new(clauses)
}

/// The part of the text with the most words, unless all of it is short enough; its beginning when the words are in
/// title and headings. What is cut off is marked.
fn excerpt(text: &str, fragment: impl FnOnce(&str) -> String) -> String {
    if text.chars().nth(LONGEST_TEXT).is_none() {
        return text.to_owned();
    }
    let fragment = fragment(text);
    let part = if fragment.is_empty() { text } else { &fragment };
    let part: String = part.chars().take(LONGEST_TEXT).collect();
    let part = part.trim();
    let before = if text.starts_with(part) { "" } else { "… " };
    let after = if text.ends_with(part) { "" } else { " …" };
    format!("{before}{part}{after}")
}

//! The index itself: its fields, how words are made of text, and how it is written.

use std::path::Path;

use tantivy::schema::{Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions};
use tantivy::tokenizer::{
    AsciiFoldingFilter, Language, LowerCaser, RemoveLongFilter, SimpleTokenizer, Stemmer,
    StopWordFilter, TextAnalyzer,
};
use tantivy::{Index, IndexReader, IndexWriter, ReloadPolicy, TantivyDocument};

use super::DocsError;
use super::section::Document;

/// The name by which fields know how words are made.
const WORDS: &str = "words";
/// What one thread of the writer may take before it writes.
const MEMORY: usize = 32 << 20;
/// Words that are longer are none.
const LONGEST_WORD: usize = 64;

/// The fields of a section.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    pub(super) source: Field,
    pub(super) title: Field,
    pub(super) heading: Field,
    pub(super) text: Field,
}

impl Fields {
    fn schema() -> (Schema, Self) {
        let mut schema = Schema::builder();
        let words = TextFieldIndexing::default()
            .set_tokenizer(WORDS)
            .set_index_option(IndexRecordOption::WithFreqs);
        let words = TextOptions::default()
            .set_indexing_options(words)
            .set_stored();
        let fields = Self {
            source: schema.add_text_field("source", STORED),
            title: schema.add_text_field("title", words.clone()),
            heading: schema.add_text_field("heading", words.clone()),
            text: schema.add_text_field("text", words),
        };
        (schema.build(), fields)
    }
}

/// An index that is read.
pub(super) struct Engine {
    pub(super) reader: IndexReader,
    pub(super) fields: Fields,
}

impl Engine {
    /// Opens a stored index that is known to be whole: the engine takes what it reads for its own work.
    pub(super) fn open(folder: &Path) -> Result<Self, DocsError> {
        let index = Index::open_in_dir(folder).map_err(DocsError::index)?;
        let (schema, fields) = Fields::schema();
        if index.schema() != schema {
            return Err(DocsError::index("it has other fields"));
        }
        Self::of(&index, fields)
    }

    fn of(index: &Index, fields: Fields) -> Result<Self, DocsError> {
        index.tokenizers().register(WORDS, words());
        let reader = index.reader_builder().reload_policy(ReloadPolicy::Manual);
        let reader: IndexReader = reader.try_into().map_err(DocsError::index)?;
        Ok(Self { reader, fields })
    }

    /// The words of a query, each once, at most `most`. Words such as `the` count only when there are no others.
    pub(super) fn words(query: &str, most: usize) -> Vec<String> {
        let told = StopWordFilter::new(Language::English).map(|stop| {
            TextAnalyzer::builder(SimpleTokenizer::default())
                .filter(RemoveLongFilter::limit(LONGEST_WORD))
                .filter(LowerCaser)
                .filter(stop)
                .filter(AsciiFoldingFilter)
                .filter(Stemmer::new(Language::English))
                .build()
        });
        let told = told.map_or_else(Vec::new, |analyzer| split(analyzer, query, most));
        if told.is_empty() {
            return split(words(), query, most);
        }
        told
    }
}

fn split(mut analyzer: TextAnalyzer, text: &str, most: usize) -> Vec<String> {
    let mut all: Vec<String> = Vec::new();
    let mut stream = analyzer.token_stream(text);
    while all.len() < most && stream.advance() {
        let word = &stream.token().text;
        if !word.is_empty() && !all.contains(word) {
            all.push(word.clone());
        }
    }
    all
}

/// How words are made: letters and digits, in lower case, without accents, English endings off.
fn words() -> TextAnalyzer {
    TextAnalyzer::builder(SimpleTokenizer::default())
        .filter(RemoveLongFilter::limit(LONGEST_WORD))
        .filter(LowerCaser)
        .filter(AsciiFoldingFilter)
        .filter(Stemmer::new(Language::English))
        .build()
}

/// An index that is written.
pub(super) struct Writer {
    writer: IndexWriter,
    fields: Fields,
}

impl Writer {
    pub(super) fn in_memory() -> Result<Self, DocsError> {
        let (schema, fields) = Fields::schema();
        Self::of(&Index::create_in_ram(schema), fields)
    }

    /// In an empty folder.
    pub(super) fn in_folder(folder: &Path) -> Result<Self, DocsError> {
        let (schema, fields) = Fields::schema();
        let index = Index::create_in_dir(folder, schema).map_err(DocsError::index)?;
        Self::of(&index, fields)
    }

    fn of(index: &Index, fields: Fields) -> Result<Self, DocsError> {
        index.tokenizers().register(WORDS, words());
        let writer = index
            .writer_with_num_threads(1, MEMORY)
            .map_err(DocsError::index)?;
        Ok(Self { writer, fields })
    }

    pub(super) fn add(&mut self, document: &Document) -> Result<(), DocsError> {
        for section in &document.sections {
            let mut one = TantivyDocument::new();
            one.add_text(self.fields.source, &document.source);
            one.add_text(self.fields.title, &document.title);
            one.add_text(self.fields.heading, &section.heading);
            one.add_text(self.fields.text, &section.text);
            self.writer.add_document(one).map_err(DocsError::index)?;
        }
        Ok(())
    }

    /// Everything is written, and the threads of the writer are at their end.
    pub(super) fn finish(mut self) -> Result<Engine, DocsError> {
        self.writer.commit().map_err(DocsError::index)?;
        let index = self.writer.index().clone();
        self.writer
            .wait_merging_threads()
            .map_err(DocsError::index)?;
        Engine::of(&index, self.fields)
    }
}

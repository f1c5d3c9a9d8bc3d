//! Searching documentation.

use std::sync::Arc;

use mcp_gw_core::{BoxError, ToolError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::http::one_line;
use crate::tools::konnect::shared::Konnect;
use crate::tools::operation::{Effect, Operation};
use crate::tools::spoken::Spoken;

/// So many excerpts are shown.
const MOST: usize = 6;

/// A piece of documentation.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(inline)]
#[non_exhaustive]
pub struct KnowledgeExcerpt {
    /// The document: a path or an address.
    pub source: String,
    /// Under which headings it stands.
    pub heading: String,
    /// The text.
    pub text: String,
}

impl KnowledgeExcerpt {
    /// A piece of a document.
    pub fn new(
        source: impl Into<String>,
        heading: impl Into<String>,
        text: impl Into<String>,
    ) -> Self {
        Self {
            source: source.into(),
            heading: heading.into(),
            text: text.into(),
        }
    }
}

/// Documentation that can be searched.
pub trait Knowledge: Send + Sync + 'static {
    /// The pieces that fit a query best, best first, up to `most`. Any text is a query. May block.
    ///
    /// # Errors
    /// When it cannot be searched.
    fn search(&self, query: &str, most: usize) -> Result<Vec<KnowledgeExcerpt>, BoxError>;
}

#[cfg(feature = "docs-index")]
impl Knowledge for crate::docs_index::DocsIndex {
    fn search(&self, query: &str, most: usize) -> Result<Vec<KnowledgeExcerpt>, BoxError> {
        let found = Self::search(self, query, most)?;
        let excerpts = found.into_iter().map(|one| {
            let heading = match (one.title.as_str(), one.heading.as_str()) {
                (title, "") => title.to_owned(),
                ("", heading) => heading.to_owned(),
                (title, heading) if heading.starts_with(title) => heading.to_owned(),
                (title, heading) => format!("{title} > {heading}"),
            };
            KnowledgeExcerpt::new(one.source, heading, one.text)
        });
        Ok(excerpts.collect())
    }
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct SearchArgs {
    /// What is looked for, in words.
    #[schemars(length(min = 1, max = 2000))]
    query: String,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Searched {
    /// Best first.
    excerpts: Vec<KnowledgeExcerpt>,
    /// What else there is to know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remarks: Vec<String>,
}

impl Spoken for Searched {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        self.remarks.iter_mut().for_each(change);
    }
}

pub(crate) struct KnowledgeBaseSearch;

impl Operation<Konnect> for KnowledgeBaseSearch {
    const NAME: &'static str = "KnowledgeBaseSearch";
    const TITLE: &'static str = "Search the documentation";
    const DESCRIPTION: &'static str = "Searches the documentation that this server was given by words, and shows excerpts with \
        their source and heading: how plugins are set up, what an option means, what to do about an error.";
    const EFFECT: Effect = Effect::Reads;
    type Args = SearchArgs;
    type Output = Searched;

    async fn run(shared: &Konnect, args: SearchArgs) -> Result<Searched, ToolError> {
        let Some(knowledge) = &shared.knowledge else {
            return Err(ToolError::failed("There is no documentation here."));
        };
        let (knowledge, query) = (Arc::clone(knowledge), args.query);
        let found = tokio::task::spawn_blocking(move || knowledge.search(&query, MOST)).await;
        let found = match found {
            Ok(Ok(found)) => found,
            Ok(Err(error)) => {
                let says = one_line(&error.to_string(), 512);
                return Err(ToolError::failed(format!(
                    "The documentation cannot be searched: {says}"
                )));
            }
            Err(_) => return Err(ToolError::failed("The documentation cannot be searched.")),
        };
        let remark =
            "Nothing was found: use other words, such as the name of a plugin or an option.";
        Ok(Searched {
            remarks: found
                .is_empty()
                .then(|| remark.to_owned())
                .into_iter()
                .collect(),
            excerpts: found,
        })
    }

    fn text(searched: &Searched) -> Option<String> {
        let excerpts = searched.excerpts.iter().map(|one| {
            let (source, heading) = (one_line(&one.source, 256), one_line(&one.heading, 256));
            format!("[{source}] {heading}\n{}", one.text)
        });
        let all: Vec<String> = excerpts.chain(searched.remarks.iter().cloned()).collect();
        Some(all.join("\n\n"))
    }
}

//! Documentation that tools search.

use std::path::Path;
use std::sync::Arc;

use mcp_gw_admin_client::tools::konnect::{Knowledge, KnowledgeExcerpt, Parts};
use mcp_gw_core::BoxError;

use super::admin_api::AdminFault;

/// The tool that searches it.
const TOOL: &str = "KnowledgeBaseSearch";

/// What is wrong with a section that has these `docs` and `tools`. The documentation is not read.
pub(super) fn faults(docs: Option<&Path>, tools: Option<&[String]>) -> Vec<AdminFault> {
    let wanted = tools.unwrap_or_default();
    let index = wanted.iter().position(|name| name == TOOL);
    match (docs, index) {
        (None, Some(index)) => {
            let message = format!("`{TOOL}` has nothing to search");
            let help = "name documentation under `docs`, or remove the tool";
            vec![AdminFault::new("tools", message, help).at(index)]
        }
        (Some(_), _) if !cfg!(feature = "docs-index") => {
            let message = "this program was built without a search for documentation";
            let help = "build it with `--features docs-index`, or remove the key";
            vec![AdminFault::new("docs", message, help)]
        }
        (Some(path), _) if !path.exists() => {
            let help = "name a folder, an archive (.tar.gz, .tar, .zip) or an index";
            vec![AdminFault::new(
                "docs",
                "there is nothing at this path",
                help,
            )]
        }
        _ => Vec::new(),
    }
}

/// Documentation that is not read: for whoever wants to know which tools there would be.
struct Unread;

impl Knowledge for Unread {
    fn search(&self, _: &str, _: usize) -> Result<Vec<KnowledgeExcerpt>, BoxError> {
        Ok(Vec::new())
    }
}

/// What lists the tools that there would be.
pub(super) fn unread(docs: Option<&Path>) -> Parts {
    match docs {
        Some(_) => Parts::default().with_knowledge(Arc::new(Unread)),
        None => Parts::default(),
    }
}

/// The documentation, read.
///
/// # Errors
/// When it cannot be.
pub(super) fn parts(docs: Option<&Path>) -> Result<Parts, Vec<AdminFault>> {
    let Some(path) = docs else {
        return Ok(Parts::default());
    };
    match load(path) {
        Ok(knowledge) => Ok(Parts::default().with_knowledge(knowledge)),
        Err(message) => {
            let help = "name a folder, an archive (.tar.gz, .tar, .zip) or an index";
            Err(vec![AdminFault::new("docs", message, help)])
        }
    }
}

#[cfg(feature = "docs-index")]
fn load(path: &Path) -> Result<Arc<dyn Knowledge>, String> {
    use mcp_gw_admin_client::docs_index::{Bounds, DocsIndex};

    let index = DocsIndex::load(path, &Bounds::default()).map_err(|error| super::chain(&error))?;
    let report = index.report();
    tracing::info!(
        documents = report.documents,
        sections = report.sections,
        "documentation can be searched"
    );
    Ok(Arc::new(index))
}

#[cfg(not(feature = "docs-index"))]
fn load(_: &Path) -> Result<Arc<dyn Knowledge>, String> {
    Err("this program was built without a search for documentation".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_without_documentation_is_no_tool() {
        let tools = ["GetRoute".to_owned(), TOOL.to_owned()];
        let found = faults(None, Some(&tools));
        assert!(
            found[0].to_string().contains("nothing to search"),
            "{found:?}"
        );
        assert_eq!(
            (faults(None, None), faults(None, Some(&tools[..1]))),
            (vec![], vec![])
        );
        let found = faults(Some(Path::new("/no/such/folder")), Some(&tools));
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(parts(Some(Path::new("/no/such/folder"))).is_err());
        assert!(parts(None).is_ok());
    }
}

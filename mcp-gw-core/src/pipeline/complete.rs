//! The road of `completion/complete`.

use super::{Use, catch_panic};
use crate::backend::{BackendError, Completion, CompletionRef};
use crate::context::Incoming;
use crate::error::GatewayError;
use crate::gateway::Gateway;
use crate::json::RawJson;
use crate::policy::Feature;

impl Gateway {
    /// Completes an argument; the answer is a `CompleteResult` object. Whoever may not use the
    /// prompt, template or resource may not complete its arguments either.
    ///
    /// # Errors
    /// When there is no result.
    pub async fn complete(
        &self,
        incoming: &Incoming,
        completion: Completion,
    ) -> Result<RawJson, GatewayError> {
        let (feature, name) = match &completion.reference {
            CompletionRef::Prompt(name) => (Feature::Prompt, name),
            CompletionRef::Resource(uri) => (self.described_by(incoming, uri), uri),
        };
        let what = Use {
            method: "completion/complete",
            feature,
            name,
            arguments: None,
            earlier: None,
        };
        let run = self.begin(incoming, &what).await;
        let run = run.map_err(not_to_be_completed)?;
        let reference = match feature {
            Feature::Prompt => CompletionRef::Prompt(run.upstream_key()),
            _ => CompletionRef::Resource(run.upstream_key()),
        };
        let completion = Completion {
            reference,
            extras: run.shown.extras(completion.extras),
            ..completion
        };
        let answer = catch_panic(run.backend.complete(&run.ctx, completion)).await;
        run.finish(answer).map_err(not_to_be_completed)
    }

    /// What a `ref/resource` means: it has a URI or a URI template. Of what is not known no more is
    /// looked at than its form, as no URI has braces (RFC 3986).
    fn described_by(&self, incoming: &Incoming, uri: &str) -> Feature {
        let is_template = || {
            let catalogue = self.catalogue_of(incoming);
            catalogue.find(Feature::ResourceTemplate, uri).is_some()
        };
        if uri.contains('{') || is_template() {
            Feature::ResourceTemplate
        } else {
            Feature::Resource
        }
    }
}

/// What is not there to be completed reads alike, be it a template or a resource: the standard has
/// one error for both.
fn not_to_be_completed(mut error: GatewayError) -> GatewayError {
    if let GatewayError::Unknown { feature, .. }
    | GatewayError::Denied { feature, .. }
    | GatewayError::Backend(BackendError::NotFound { feature, .. }) = &mut error
        && *feature == Feature::Resource
    {
        *feature = Feature::ResourceTemplate;
    }
    error
}

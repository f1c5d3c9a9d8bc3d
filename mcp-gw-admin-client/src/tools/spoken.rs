//! What answers say in words of this crate, beside what an API has said: the tools that are named there are those that
//! the client knows.

use crate::tools::answer::{Failure, Outcome};

/// An answer with texts of this crate in it.
pub(crate) trait Spoken {
    /// Changes each text that may name a tool or a resource of the same backend. Payload is none.
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String));
}

impl Spoken for Outcome {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        self.remarks.iter_mut().for_each(change);
    }
}

impl Spoken for Failure {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        change(&mut self.message);
    }
}

impl<T: Spoken> Spoken for Option<T> {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        if let Some(spoken) = self {
            spoken.each_text(change);
        }
    }
}

impl<T: Spoken> Spoken for Vec<T> {
    fn each_text(&mut self, change: &mut dyn FnMut(&mut String)) {
        for spoken in self {
            spoken.each_text(change);
        }
    }
}

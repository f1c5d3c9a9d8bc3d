//! The fields of a log line, as `tracing-subscriber` writes them without colours. Each call writes an
//! audit line of nearly twenty fields, so those that need no care are written without its detours.

use std::fmt::{self, Debug};

use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput as _};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// Writes ` name=value` for each field.
#[derive(Debug)]
pub(super) struct PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = Plain {
            writer,
            is_empty: true,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct Plain<'w> {
    writer: Writer<'w>,
    is_empty: bool,
    result: fmt::Result,
}

/// The message has no name, and what begins like this is not what it is called.
fn is_special(name: &str) -> bool {
    name == "message" || name.starts_with("r#") || name.starts_with("log.")
}

/// True for text that is between its quotes as it is.
fn is_plain(text: &str) -> bool {
    let special = |b: u8| u8::from(matches!(b, ..0x20 | 0x7f.. | b'"' | b'\\'));
    text.bytes().fold(0, |found, b| found | special(b)) == 0
}

impl Plain<'_> {
    /// Has the library write it.
    fn leave(&mut self, write: impl FnOnce(&mut DefaultVisitor<'_>)) {
        if self.result.is_ok() {
            let mut visitor = DefaultVisitor::new(self.writer.by_ref(), self.is_empty);
            write(&mut visitor);
            self.result = visitor.finish();
            self.is_empty = false;
        }
    }

    /// Writes these one after the other, behind a blank.
    fn put(&mut self, parts: [&str; 4]) {
        if self.result.is_err() {
            return;
        }
        let blank = if self.is_empty { "" } else { " " };
        self.is_empty = false;
        let mut parts = [blank].into_iter().chain(parts);
        self.result = parts.try_for_each(|part| self.writer.write_str(part));
    }

    /// A value whose text is the same for people and for machines.
    fn number(&mut self, field: &Field, value: &dyn Debug) {
        if is_special(field.name()) {
            return self.leave(|visitor| visitor.record_debug(field, value));
        }
        self.put([field.name(), "=", "", ""]);
        if self.result.is_ok() {
            self.result = write!(self.writer, "{value:?}");
        }
    }
}

impl Visit for Plain<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        if is_special(field.name()) || !is_plain(value) {
            return self.leave(|visitor| visitor.record_str(field, value));
        }
        self.put([field.name(), "=\"", value, "\""]);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        if is_special(field.name()) {
            return self.leave(|visitor| visitor.record_bool(field, value));
        }
        self.put([field.name(), "=", if value { "true" } else { "false" }, ""]);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.number(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.number(field, &value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.leave(|visitor| visitor.record_error(field, value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.leave(|visitor| visitor.record_debug(field, value));
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::fmt::MakeWriter;
    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, text: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(text)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// What an event of every kind of field looks like.
    fn logged<F>(fields: F) -> String
    where
        F: for<'w> FormatFields<'w> + Send + Sync + 'static,
    {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .fmt_fields(fields)
            .with_writer(lines.clone())
            .finish();
        tracing::subscriber::with_default(subscriber, || {
            let inner = io::Error::other("within");
            let outer = io::Error::other(inner);
            let error: &(dyn std::error::Error + 'static) = &outer;
            tracing::info!(text = "plain", "a message");
            tracing::info!(
                shown = %"as it is",
                quoted = "with \"quotes\" and \\",
                foreign = "é\u{1b}[31m\n",
                empty = "",
                absent = None::<&str>,
                there = Some("x"),
                r#type = "raw",
                yes = true,
                no = false,
                most = u64::MAX,
                least = i64::MIN,
                size = 7_usize,
                half = 0.5,
                large = u128::MAX,
                error,
                "\u{1b}[31m{}", "red"
            );
            let span = tracing::info_span!("span", of = "it", n = 1);
            let _in = span.enter();
            tracing::info!(log.target = "elsewhere", "in a span");
            tracing::info!("");
        });
        String::from_utf8(lines.0.lock().unwrap().clone()).unwrap()
    }

    #[test]
    fn lines_are_those_of_the_library() {
        let ours = logged(PlainFields);
        assert_eq!(ours, logged(DefaultFields::new()));
        assert!(ours.contains(r#"text="plain""#), "{ours}");
    }
}

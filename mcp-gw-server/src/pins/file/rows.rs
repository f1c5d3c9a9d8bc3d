//! Pins as a database keeps them.

use std::collections::BTreeMap;

use mcp_gw_core::RawJson;
use mcp_gw_store::Pin as Row;

use super::{Pin, Rest, ServerPins, checked};
use crate::pins::print::{Digest, Kind};

/// The longest name that a database keeps, in bytes.
const LONGEST_NAME: usize = 2048;

/// True when a pin of this name can be kept. What servers offer has shorter names; what is in a file may
/// be anything.
fn is_kept(name: &str) -> bool {
    name.len() <= LONGEST_NAME && !name.contains('\0')
}

impl ServerPins {
    /// These pins, but for those that cannot be kept, and members that this version has no name for.
    pub(crate) fn to_rows(&self) -> Vec<Row> {
        let pins = self.pins.iter().filter(|((_, name), _)| is_kept(name));
        let rows = pins.map(|((kind, name), pin)| {
            let mut row = Row::new(kind.as_str(), name.as_str(), pin.digest.to_string());
            row.definition = pin.text.as_ref().map(|text| text.as_str().to_owned());
            row
        });
        rows.collect()
    }

    /// What a database has.
    ///
    /// # Errors
    /// When it is not what [`ServerPins::to_rows`] made.
    pub(crate) fn from_rows(rows: Vec<Row>) -> Result<Self, String> {
        let mut pins = BTreeMap::new();
        for row in rows {
            let fault = |reason: &str| format!("{} {:?}: {reason}", row.kind, row.name);
            let mut kinds = Kind::ALL.into_iter();
            let kind = kinds.find(|kind| kind.as_str() == row.kind);
            let kind = kind.ok_or_else(|| fault("nothing of this kind is pinned"))?;
            let digest = Digest::parse(&row.digest);
            let digest = digest.ok_or_else(|| fault("its digest is none"))?;
            let text = row.definition.as_deref().map(|text| {
                let text = RawJson::parse(text.to_owned());
                let text = text.map_err(|_| fault("its definition is not JSON"))?;
                checked(kind, &text, digest).map_err(fault)
            });
            let pin = Pin {
                digest,
                text: text.transpose()?,
                rest: Rest::new(),
            };
            pins.insert((kind, row.name), pin);
        }
        let rest = Rest::new();
        Ok(Self { pins, rest })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pins::print::Print;

    fn pins(names: &[&str]) -> ServerPins {
        let print = RawJson::parse(r#"{"name":"a","description":"d"}"#.to_owned());
        let print = Print::of(Kind::Tool, &print.unwrap());
        let mut pins = ServerPins::default();
        pins.put_all(
            names
                .iter()
                .map(|name| ((Kind::Tool, (*name).to_owned()), &print)),
        );
        pins
    }

    #[test]
    fn rows_read_back_and_what_no_database_takes_is_left_out() {
        let longest = "x".repeat(LONGEST_NAME);
        let kept = pins(&["a", "quote\" \u{202e}", &longest]);
        assert_eq!(ServerPins::from_rows(kept.to_rows()), Ok(kept.clone()));
        let too_long = format!("{longest}x");
        let all = pins(&["a", "quote\" \u{202e}", &longest, "nul\0", &too_long]);
        assert_eq!(all.pins.len(), 5);
        assert_eq!(ServerPins::from_rows(all.to_rows()), Ok(kept));
    }

    #[test]
    fn rows_that_were_changed_are_not_read() {
        type Change = fn(&mut Row);
        let good = pins(&["a"]).to_rows();
        let changes: [(Change, &str); 4] = [
            (|row| row.kind = "toll".to_owned(), "nothing of this kind"),
            (
                |row| row.digest.make_ascii_uppercase(),
                "its digest is none",
            ),
            (|row| row.definition = Some("{".to_owned()), "is not JSON"),
            (
                |row| row.definition = Some(r#"{"name":"a","description":"evil"}"#.to_owned()),
                "its `sha256` is not that of its `definition`",
            ),
        ];
        for (change, says) in changes {
            let mut rows = good.clone();
            change(&mut rows[0]);
            let fault = ServerPins::from_rows(rows).unwrap_err();
            assert!(fault.contains(says) && fault.contains("\"a\""), "{fault}");
        }
    }
}

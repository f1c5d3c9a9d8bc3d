//! Pages of lists that were written before, for callers who may see the same.

use std::sync::{Arc, Mutex, PoisonError};

use crate::json::RawJson;
use crate::policy::Feature;

/// What a page depends on, beside the snapshot that it is of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PageKey {
    pub(crate) feature: Feature,
    /// The first item that was asked about.
    pub(crate) start: usize,
    pub(crate) limit: usize,
    /// What was decided, one bit for each question.
    pub(crate) allowed: Bits,
}

/// Yes or no, many times.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    words: Vec<u64>,
    count: usize,
}

impl Bits {
    pub(crate) fn extend(&mut self, bits: impl IntoIterator<Item = bool>) {
        for bit in bits {
            let at = self.count % 64;
            if at == 0 {
                self.words.push(0);
            }
            if let Some(word) = self.words.last_mut() {
                *word |= u64::from(bit) << at;
            }
            self.count += 1;
        }
    }
}

/// A page as it is shown.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) items: Arc<[RawJson]>,
    /// The items as one JSON array.
    pub(crate) array: RawJson,
    pub(crate) next_after: Option<Arc<str>>,
    /// Of the items, without what is between them.
    pub(crate) bytes: usize,
}

impl Page {
    pub(crate) fn new(items: Vec<RawJson>, next_after: Option<Arc<str>>) -> Self {
        let bytes = items.iter().map(RawJson::len).sum();
        Self {
            array: RawJson::array(&items),
            items: items.into(),
            next_after,
            bytes,
        }
    }
}

/// Callers of so many kinds find their pages written.
const MOST: usize = 32;

/// All pages that are kept have at most so many bytes.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The pages of a snapshot that were asked for last. They go with the snapshot.
#[derive(Debug, Default)]
pub(crate) struct Pages {
    /// The one that was asked for last is the last.
    kept: Mutex<Vec<(PageKey, Arc<Page>)>>,
}

impl Pages {
    /// The page of this key, which `write` writes if it is not there.
    pub(crate) fn get(&self, key: PageKey, write: impl FnOnce() -> Page) -> Arc<Page> {
        if let Some(page) = self.find(&key) {
            return page;
        }
        let page = Arc::new(write());
        // It would take the place of all others.
        if page.array.len() > MOST_BYTES {
            return page;
        }
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.push((key, Arc::clone(&page)));
        let mut bytes: usize = kept.iter().map(|(_, page)| page.array.len()).sum();
        while kept.len() > MOST || bytes > MOST_BYTES {
            let (_, oldest) = kept.remove(0);
            bytes -= oldest.array.len();
        }
        page
    }

    fn find(&self, key: &PageKey) -> Option<Arc<Page>> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().rposition(|(other, _)| other == key)?;
        let found = kept.remove(at);
        let page = Arc::clone(&found.1);
        kept.push(found);
        Some(page)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(start: usize, bits: &[bool]) -> PageKey {
        let mut allowed = Bits::default();
        allowed.extend(bits.iter().copied());
        PageKey {
            feature: Feature::Tool,
            start,
            limit: 100,
            allowed,
        }
    }

    fn page(length: usize) -> Page {
        Page::new(vec![RawJson::string(&"x".repeat(length))], None)
    }

    #[test]
    fn keys_differ_in_any_answer_and_in_how_many_there_are() {
        let many: Vec<bool> = (0..130).map(|n| n % 3 == 0).collect();
        assert_eq!(key(0, &many), key(0, &many));
        for at in [0, 63, 64, 129] {
            let mut other = many.clone();
            other[at] = !other[at];
            assert_ne!(key(0, &many), key(0, &other), "{at}");
        }
        assert_ne!(key(0, &[true]), key(0, &[true, false]));
        assert_ne!(key(0, &[true]), key(1, &[true]));
        let (mut parts, mut whole) = (Bits::default(), Bits::default());
        parts.extend(many[..70].iter().copied());
        parts.extend(many[70..].iter().copied());
        whole.extend(many);
        assert_eq!(parts, whole);
    }

    #[test]
    fn what_was_asked_for_last_is_kept_within_bounds() {
        let pages = Pages::default();
        let written = |start: usize, length: usize| {
            let mut is_written = false;
            let found = pages.get(key(start, &[]), || {
                is_written = true;
                page(length)
            });
            assert_eq!(found.array.len(), length + 4);
            is_written
        };
        assert!((0..MOST).all(|start| written(start, 1)));
        assert!(!written(0, 1));
        assert!(written(MOST, 1));
        // The first had been asked for again, so the second made room.
        assert!(!written(0, 1));
        assert!(written(1, 1));
        // One that is larger than all that may be kept is not kept, and takes nobody's place.
        assert!(written(100, MOST_BYTES) && written(100, MOST_BYTES));
        assert!(!written(0, 1));
        // One that fits makes as much room as it needs.
        assert!(written(101, MOST_BYTES - 4) && !written(101, MOST_BYTES - 4));
        assert!(written(0, 1));
    }
}

//! The policies that clients may have seen lists by.

use std::sync::Arc;
use std::time::Duration;

use mcp_gw_core::ListPolicy;
use tokio::time::Instant;

/// A policy as it was at one moment; `None` when it cannot be asked what it showed.
pub(super) type View = Option<Arc<dyn ListPolicy>>;

/// A change may be heard of so long after it was made; the policies of that time are kept.
const MOMENT: Duration = Duration::from_secs(5);
/// So many policies that took each other's place are told apart.
const MOST: usize = 16;

/// The policy in force, and those before.
#[derive(Default)]
pub(super) struct Rules {
    now: View,
    /// In force before `now`, and clients were not told since.
    fresh: Vec<View>,
    /// In force before those, and when clients were told.
    past: Vec<(View, Instant)>,
}

/// The policies to ask whose lists have changed.
#[derive(Default, Clone)]
pub(super) struct Judges {
    /// All that a list may have been seen by; the last one is in force.
    pub(super) all: Vec<View>,
    /// Those that took each other's place since clients were last told; empty when none did.
    pub(super) fresh: Vec<View>,
}

impl std::fmt::Debug for Rules {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rules")
            .field("fresh", &self.fresh.len())
            .field("past", &self.past.len())
            .finish_non_exhaustive()
    }
}

impl Rules {
    pub(super) fn new(now: View) -> Self {
        Self {
            now,
            ..Self::default()
        }
    }

    /// `now` is in force. Where it cannot be told whether it is another one, `is_other` says so.
    pub(super) fn note(&mut self, now: View, is_other: bool) {
        let is_same = match (&self.now, &now) {
            (Some(before), Some(now)) => Arc::ptr_eq(before, now),
            (None, None) => !is_other,
            _ => false,
        };
        if is_same {
            return;
        }
        let before = std::mem::replace(&mut self.now, now);
        if self.fresh.len() < MOST {
            self.fresh.push(before);
        } else if let Some(last) = self.fresh.last_mut() {
            *last = None;
        }
    }

    /// `now` is in force, and nobody has seen anything by another one.
    pub(super) fn begin(&mut self, now: View) {
        *self = Self::new(now);
    }

    /// True when one took another's place, and clients were not told.
    pub(super) fn are_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// True while a policy is kept that is not in force any more.
    pub(super) fn are_kept(&mut self) -> bool {
        self.past.retain(|(_, told)| told.elapsed() < MOMENT);
        !self.past.is_empty() || self.are_fresh()
    }

    /// Those to ask now, of which `now` is in force.
    pub(super) fn judges(&mut self, now: View) -> Judges {
        self.note(now, false);
        self.are_kept();
        let past = self.past.iter().map(|(view, _)| view.clone());
        let mut all: Vec<View> = past.chain(self.fresh.iter().cloned()).collect();
        all.push(self.now.clone());
        let mut fresh = self.fresh.clone();
        if !fresh.is_empty() {
            fresh.push(self.now.clone());
        }
        let told = Instant::now();
        let gone = self.fresh.drain(..).map(|view| (view, told));
        self.past.extend(gone);
        if self.past.len() > MOST {
            // As good as all of them: that it cannot be told.
            self.past = vec![(None, told)];
        }
        Judges { all, fresh }
    }
}

#[cfg(test)]
mod tests {
    use mcp_gw_core::AccessRequest;

    use super::*;

    struct Number(usize);

    impl ListPolicy for Number {
        fn shows(&self, _: &[AccessRequest<'_>]) -> Vec<Option<bool>> {
            vec![None; self.0]
        }
    }

    fn numbers(views: &[View]) -> Vec<Option<usize>> {
        let number = |view: &View| view.as_ref().map(|view| view.shows(&[]).len());
        views.iter().map(number).collect()
    }

    fn policies() -> Vec<View> {
        let policy = |number| -> View { Some(Arc::new(Number(number))) };
        (0..100).map(policy).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn who_was_in_force_is_asked_for_a_moment_and_compared_once() {
        let all = policies();
        let mut rules = Rules::new(all[0].clone());
        assert_eq!(numbers(&rules.judges(all[0].clone()).all), [Some(0)]);
        assert!(!rules.are_kept());
        rules.note(all[1].clone(), true);
        rules.note(all[1].clone(), true);
        assert!(rules.are_fresh());
        let judges = rules.judges(all[2].clone());
        assert_eq!(numbers(&judges.all), [Some(0), Some(1), Some(2)]);
        assert_eq!(numbers(&judges.fresh), [Some(0), Some(1), Some(2)]);
        tokio::time::sleep(MOMENT / 2).await;
        rules.note(all[3].clone(), true);
        let judges = rules.judges(all[3].clone());
        assert_eq!(numbers(&judges.all), [Some(0), Some(1), Some(2), Some(3)]);
        assert_eq!(numbers(&judges.fresh), [Some(2), Some(3)]);
        tokio::time::sleep(MOMENT / 2).await;
        let judges = rules.judges(all[3].clone());
        assert_eq!(numbers(&judges.all), [Some(2), Some(3)]);
        assert!(judges.fresh.is_empty());
        assert!(rules.are_kept());
        tokio::time::sleep(MOMENT).await;
        assert!(!rules.are_kept());
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_told_or_is_too_much_is_kept_as_that() {
        let mut rules = Rules::new(None);
        assert!(rules.judges(None).fresh.is_empty());
        rules.note(None, true);
        assert_eq!(numbers(&rules.judges(None).fresh), [None, None]);
        let all = policies();
        let mut rules = Rules::new(all[0].clone());
        for policy in &all {
            rules.note(policy.clone(), true);
        }
        let fresh = rules.judges(all[99].clone()).fresh;
        assert_eq!(fresh.len(), MOST + 1);
        assert!(fresh.iter().any(Option::is_none));
        for (before, policy) in all.iter().zip(&all[1..]) {
            rules.begin(before.clone());
            rules.note(policy.clone(), true);
            assert_eq!(rules.judges(policy.clone()).fresh.len(), 2);
        }
        for policy in &all {
            rules.judges(policy.clone());
        }
        assert!(rules.past.len() <= MOST);
        let all = rules.judges(all[99].clone()).all;
        assert!(all.iter().any(Option::is_none));
    }
}

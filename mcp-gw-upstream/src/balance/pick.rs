//! Who gets the next call, among those that may get it.

use crate::balance::config::Strategy;
use crate::balance::random::{Random, combine};

/// A replica that may get the next call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate {
    /// Its place among all replicas.
    pub(crate) index: usize,
    pub(crate) weight: u32,
    pub(crate) in_flight: usize,
    /// The digest of what it is known by.
    pub(crate) key: u64,
    /// How often it failed: in a row, and all in all in the last while.
    pub(crate) failures: (u32, u32),
}

impl Candidate {
    /// True when it has less to do than `other`, for its weight, with the next call added.
    fn is_freer_than(&self, other: &Self) -> bool {
        let load = |of: &Self, weight: u32| (of.in_flight as u128 + 1) * u128::from(weight);
        load(self, other.weight) < load(other, self.weight)
    }
}

/// What a strategy remembers from one call to the next.
#[derive(Debug)]
pub(crate) struct Picker {
    strategy: Strategy,
    random: Random,
    /// Where the last round stopped.
    next: usize,
    /// What each replica is owed, for even spreading by weight.
    owed: Vec<i64>,
    /// Whose turn it is, and how many calls it has got in it.
    turn: (usize, u32),
}

impl Picker {
    pub(crate) fn new(strategy: Strategy, replicas: usize, random: Random) -> Self {
        Self {
            strategy,
            random,
            next: 0,
            owed: vec![0; replicas],
            turn: (0, 0),
        }
    }

    /// One of `candidates`, which are in the order of their index; `affinity` is the digest of who
    /// calls. `None` only when there are none.
    pub(crate) fn pick(&mut self, candidates: &[Candidate], affinity: u64) -> Option<usize> {
        let picked = match (candidates, self.strategy) {
            ([], _) => None,
            ([only], _) => Some(only),
            (_, Strategy::RoundRobin) => self.in_turn(candidates),
            (_, Strategy::Weighted) => self.smooth(candidates),
            (_, Strategy::Repeated) => self.repeated(candidates),
            (_, Strategy::LeastConnections) => self.freest(candidates),
            (_, Strategy::Random) => self.any(candidates),
            (_, Strategy::HealthBased) => self.soundest(candidates),
            (_, Strategy::TwoChoices) => {
                let (one, other) = (self.any(candidates)?, self.any(candidates)?);
                Some(if other.is_freer_than(one) { other } else { one })
            }
            (_, Strategy::Consistent) => highest(candidates, affinity),
        };
        picked.map(|candidate| candidate.index)
    }

    fn in_turn<'a>(&mut self, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
        let next = self.next;
        let found = candidates
            .iter()
            .find(|candidate| candidate.index >= next)
            .or_else(|| candidates.first())?;
        self.next = found.index + 1;
        Some(found)
    }

    /// Everyone is owed its weight; who is owed most gets the call and pays for it.
    fn smooth<'a>(&mut self, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
        let total: i64 = candidates.iter().map(|one| i64::from(one.weight)).sum();
        let mut best: Option<(&Candidate, i64)> = None;
        for candidate in candidates {
            let owed = self.owed.get_mut(candidate.index)?;
            *owed += i64::from(candidate.weight);
            if best.is_none_or(|(_, most)| *owed > most) {
                best = Some((candidate, *owed));
            }
        }
        let (picked, _) = best?;
        *self.owed.get_mut(picked.index)? -= total;
        Some(picked)
    }

    /// Everyone gets as many calls in a row as its weight says, then the next one.
    fn repeated<'a>(&mut self, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
        let (at, got) = self.turn;
        let same = candidates.iter().find(|candidate| candidate.index == at);
        if let Some(same) = same.filter(|candidate| got < candidate.weight) {
            self.turn.1 += 1;
            return Some(same);
        }
        let next = candidates
            .iter()
            .find(|candidate| candidate.index > at)
            .or_else(|| candidates.first())?;
        self.turn = (next.index, 1);
        Some(next)
    }

    /// Among equals in turn, or the first would get everything while there is little to do.
    fn freest<'a>(&mut self, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
        let least = candidates
            .iter()
            .fold(None, |least, candidate| match least {
                Some(least) if !candidate.is_freer_than(least) => Some(least),
                _ => Some(candidate),
            })?;
        let next = self.next;
        let is_equal = |candidate: &&Candidate| !least.is_freer_than(candidate);
        let found = candidates
            .iter()
            .filter(is_equal)
            .find(|candidate| candidate.index >= next)
            .or_else(|| candidates.iter().find(is_equal))?;
        self.next = found.index + 1;
        Some(found)
    }

    /// Any of those that failed least, weights not looked at.
    fn soundest<'a>(&mut self, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
        let least = candidates.iter().map(|one| one.failures).min()?;
        let sound = || candidates.iter().filter(|one| one.failures == least);
        let count = u64::try_from(sound().count()).unwrap_or(1);
        let at = usize::try_from(self.random.below(count)).unwrap_or_default();
        sound().nth(at)
    }

    fn any<'a>(&mut self, candidates: &'a [Candidate]) -> Option<&'a Candidate> {
        let total: u64 = candidates.iter().map(|one| u64::from(one.weight)).sum();
        let mut at = self.random.below(total);
        for candidate in candidates {
            let weight = u64::from(candidate.weight);
            if at < weight {
                return Some(candidate);
            }
            at -= weight;
        }
        candidates.last()
    }
}

/// Weighted rendezvous hashing (Schindelhauer and Schomaker, 2005): everybody draws a number for
/// this caller, the weight stretches it, the highest wins. Whoever leaves takes only its own wins.
fn highest(candidates: &[Candidate], affinity: u64) -> Option<&Candidate> {
    let score = |candidate: &Candidate| {
        // 53 bits are what a float holds exactly; the half keeps it off 0 and 1.
        let drawn = combine(candidate.key, affinity) >> 11;
        #[expect(
            clippy::cast_precision_loss,
            reason = "the number has no more bits than the float"
        )]
        let unit = (drawn as f64 + 0.5) / (1_u64 << 53) as f64;
        -f64::from(candidate.weight) / unit.ln()
    };
    candidates
        .iter()
        .map(|candidate| (candidate, score(candidate)))
        .max_by(|(_, a), (_, b)| a.total_cmp(b))
        .map(|(candidate, _)| candidate)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::balance::config::Strategy;
    use crate::balance::random::digest;

    fn candidates(weights: &[u32]) -> Vec<Candidate> {
        let candidate = |(index, weight): (usize, &u32)| Candidate {
            index,
            weight: *weight,
            in_flight: 0,
            key: digest(&format!("replica {index}")),
            failures: (0, 0),
        };
        weights.iter().enumerate().map(candidate).collect()
    }

    #[test]
    fn who_failed_least_gets_the_call_and_chance_decides_among_equals() {
        let mut picker = picker(Strategy::HealthBased, 3, 7);
        let mut all = candidates(&[9, 1, 1]);
        all[0].failures = (1, 1);
        let chosen: Vec<_> = (0..64).filter_map(|_| picker.pick(&all, 0)).collect();
        assert!(!chosen.contains(&0) && chosen.contains(&1) && chosen.contains(&2));
        all[1].failures = (0, 3);
        assert!((0..64).all(|_| picker.pick(&all, 0) == Some(2)));
        all[2].failures = (2, 2);
        assert!((0..64).all(|_| picker.pick(&all, 0) == Some(1)));
    }

    fn picker(strategy: Strategy, replicas: usize, seed: u64) -> Picker {
        Picker::new(strategy, replicas, Random::from_seed(seed))
    }

    fn count(picker: &mut Picker, of: &[Candidate], rounds: usize) -> Vec<usize> {
        let mut counts = vec![0; of.len()];
        for _ in 0..rounds {
            counts[picker.pick(of, 0).unwrap()] += 1;
        }
        counts
    }

    const ALL: [Strategy; 7] = [
        Strategy::RoundRobin,
        Strategy::LeastConnections,
        Strategy::Weighted,
        Strategy::Repeated,
        Strategy::Random,
        Strategy::TwoChoices,
        Strategy::Consistent,
    ];

    #[test]
    fn smooth_weights_do_not_come_in_bursts() {
        let of = candidates(&[5, 1, 1]);
        let mut picker = picker(Strategy::Weighted, 3, 0);
        let order: Vec<_> = (0..7).filter_map(|_| picker.pick(&of, 0)).collect();
        assert_eq!(order, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn repeated_weights_come_in_a_row_and_who_is_not_there_is_passed_over() {
        let of = candidates(&[3, 1, 2]);
        let mut picker = picker(Strategy::Repeated, 3, 0);
        let mut order = |of: &[Candidate], calls| -> Vec<_> {
            let chosen = (0..calls).filter_map(|_| picker.pick(of, 0));
            chosen.collect()
        };
        assert_eq!(order(&of, 8), [0, 0, 0, 1, 2, 2, 0, 0]);
        assert_eq!(order(&of[1..], 4), [1, 2, 2, 1]);
        assert_eq!(order(&of, 6), [2, 2, 0, 0, 0, 1]);
    }

    #[test]
    fn idle_replicas_share_what_there_is() {
        let of = candidates(&[1, 1, 1]);
        let counts = count(&mut picker(Strategy::LeastConnections, 3, 0), &of, 9);
        assert_eq!(counts, [3, 3, 3]);
    }

    proptest! {
        #[test]
        fn who_is_picked_is_among_the_candidates(
            weights in prop::collection::vec(1u32..100, 1..12),
            present in prop::collection::vec(any::<bool>(), 12),
            seed in any::<u64>(),
        ) {
            let mut of = candidates(&weights);
            of.retain(|candidate| present[candidate.index]);
            for strategy in ALL {
                let mut picker = picker(strategy, weights.len(), seed);
                for affinity in 0..8 {
                    let picked = picker.pick(&of, affinity);
                    prop_assert_eq!(picked.is_none(), of.is_empty());
                    let is_there = |picked| of.iter().any(|one| one.index == picked);
                    prop_assert!(picked.is_none_or(is_there));
                }
            }
        }

        #[test]
        fn in_turn_nobody_is_ahead_by_more_than_one(n in 1usize..12, rounds in 0usize..100) {
            let of = candidates(&vec![1; n]);
            let counts = count(&mut picker(Strategy::RoundRobin, n, 0), &of, rounds);
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            prop_assert!(most - least <= 1, "{counts:?}");
        }

        #[test]
        fn weights_are_met_exactly_in_each_round(weights in prop::collection::vec(1u32..20, 1..8)) {
            let of = candidates(&weights);
            let round: u32 = weights.iter().sum();
            for strategy in [Strategy::Weighted, Strategy::Repeated] {
                let mut picker = picker(strategy, weights.len(), 0);
                for _ in 0..3 {
                    let counts = count(&mut picker, &of, round as usize);
                    let wanted: Vec<_> = weights.iter().map(|weight| *weight as usize).collect();
                    prop_assert_eq!(counts, wanted);
                }
            }
        }

        #[test]
        fn the_freest_for_its_weight_is_picked(
            loads in prop::collection::vec((1u32..10, 0usize..50), 1..10)
        ) {
            let mut of = candidates(&loads.iter().map(|load| load.0).collect::<Vec<_>>());
            for (candidate, load) in of.iter_mut().zip(&loads) {
                candidate.in_flight = load.1;
            }
            let picked = picker(Strategy::LeastConnections, of.len(), 0).pick(&of, 0).unwrap();
            prop_assert!(of.iter().all(|other| !other.is_freer_than(&of[picked])));
        }

        #[test]
        fn chance_follows_weights(seed in any::<u64>()) {
            let of = candidates(&[1, 3]);
            let counts = count(&mut picker(Strategy::Random, 2, seed), &of, 4000);
            prop_assert!((800..1200).contains(&counts[0]), "{counts:?}");
        }

        #[test]
        fn losing_a_replica_moves_its_callers_alone(
            weights in prop::collection::vec(1u32..9, 2..10),
            lost in any::<prop::sample::Index>(),
            callers in prop::collection::vec("[a-z]{1,8}", 1..50),
        ) {
            let all = candidates(&weights);
            let lost = lost.index(all.len());
            let mut rest = all.clone();
            rest.remove(lost);
            let mut picker = picker(Strategy::Consistent, all.len(), 0);
            for caller in callers {
                let before = picker.pick(&all, digest(&caller)).unwrap();
                let after = picker.pick(&rest, digest(&caller)).unwrap();
                prop_assert!(before == after || before == lost);
            }
        }
    }

    #[test]
    fn callers_are_spread_by_weight() {
        let of = candidates(&[1, 1, 2]);
        let mut picker = picker(Strategy::Consistent, 3, 0);
        let mut counts = [0; 3];
        for caller in 0..8000 {
            counts[picker
                .pick(&of, digest(&format!("caller {caller}")))
                .unwrap()] += 1;
        }
        assert!((1800..2200).contains(&counts[0]), "{counts:?}");
        assert!((1800..2200).contains(&counts[1]), "{counts:?}");
    }

    #[test]
    fn the_same_caller_goes_to_the_same_replica_in_every_process() {
        let of = candidates(&[1, 1, 1, 1]);
        let mut picker = picker(Strategy::Consistent, 4, 0);
        let mut home = |name| picker.pick(&of, digest(name)).unwrap();
        let found = ["alice", "bob", "carol", "dave"].map(&mut home);
        assert_eq!(found, PINNED);
    }

    /// What the digests gave when they were written. Another outcome would move every caller at an
    /// update.
    const PINNED: [usize; 4] = [0, 2, 0, 1];
}

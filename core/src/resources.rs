//! What a node has, and what tasks ask for: CPUs, GPUs, memory, and names of the user's own; and the ledger of it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::flaw::{Flaw, planted};
use crate::{Error, Result};

/// The name of CPUs.
pub const CPU: &str = "CPU";
/// The name of GPUs.
pub const GPU: &str = "GPU";
/// The name of memory, in bytes.
pub const MEMORY: &str = "memory";

/// Parts of one: amounts are kept as whole numbers of these, so that what is taken can be given back exactly.
const PARTS: f64 = 10_000.0;

/// Amounts of named resources. A name that is not there has the amount 0.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
pub struct Resources(BTreeMap<Arc<str>, u64>);

impl Resources {
    /// The amounts in `amounts`, each to the nearest ten-thousandth.
    ///
    /// # Errors
    /// [`crate::ErrorKind::InvalidInput`] for an amount that is negative or no number, and for GPUs beyond one that
    /// are not whole.
    ///
    /// ```
    /// use sheaf_core::resources::Resources;
    ///
    /// let demand = Resources::new([("CPU", 1.0), ("GPU", 0.5)])?;
    /// assert_eq!(demand.to_string(), "CPU 1, GPU 0.5");
    /// assert!(Resources::new([("GPU", 1.5)]).is_err());
    /// # Ok::<(), sheaf_core::Error>(())
    /// ```
    pub fn new<'a>(amounts: impl IntoIterator<Item = (&'a str, f64)>) -> Result<Self> {
        let mut parts = BTreeMap::new();
        for (name, amount) in amounts {
            if !(amount.is_finite() && amount >= 0.0) {
                return Err(
                    Error::invalid(format!("{amount} is no amount of {name}")).with_hint("amounts are 0 or more")
                );
            }
            if name == GPU && amount > 1.0 && amount.fract() != 0.0 {
                return Err(Error::invalid(format!("{amount} GPUs cannot be had"))
                    .with_hint("ask for a part of one GPU, or for whole ones"));
            }
            let amount = (amount * PARTS).round() as u64;
            if amount > 0 {
                parts.insert(Arc::from(name), amount);
            }
        }
        Ok(Self(parts))
    }

    /// Whether `other` is not more of anything.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|(name, amount)| self.0.get(name).is_some_and(|have| have >= amount))
    }

    /// The part of this, from 0 to 1, that is not in `free`, of the resource of which least is free.
    #[must_use]
    pub fn use_when_free(&self, free: &Self) -> f64 {
        let share = |(name, total): (&Arc<str>, &u64)| {
            1.0 - free.0.get(name).copied().unwrap_or(0).min(*total) as f64 / *total as f64
        };
        self.0.iter().map(share).fold(0.0, f64::max)
    }

    /// What of `demand` this has not enough of.
    #[must_use]
    pub fn lacks(&self, demand: &Self) -> Self {
        let lack = |(name, amount): (&Arc<str>, &u64)| {
            (self.0.get(name).is_none_or(|have| have < amount)).then(|| (Arc::clone(name), *amount))
        };
        Self(demand.0.iter().filter_map(lack).collect())
    }

    /// Whether there is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The part of it that is `name`.
    #[must_use]
    pub fn only(&self, name: &str) -> Self {
        Self(self.0.iter().filter(|(own, _)| &***own == name).map(|(own, amount)| (Arc::clone(own), *amount)).collect())
    }

    /// How much there is of `name`.
    #[must_use]
    pub fn amount(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or(0) as f64 / PARTS
    }

    /// Names and amounts.
    pub fn amounts(&self) -> impl Iterator<Item = (&str, f64)> {
        self.0.iter().map(|(name, parts)| (&**name, *parts as f64 / PARTS))
    }

    /// Adds `other`.
    pub(crate) fn add(&mut self, other: &Self) {
        for (name, amount) in &other.0 {
            *self.0.entry(Arc::clone(name)).or_default() += amount;
        }
    }

    /// Takes `other` away as far as it is there, and says what is not.
    pub(crate) fn subtract(&mut self, other: &Self) -> Self {
        let mut missing = Self::default();
        for (name, amount) in &other.0 {
            let have = self.0.get(name).copied().unwrap_or(0);
            if have > *amount {
                self.0.insert(Arc::clone(name), have - amount);
            } else {
                self.0.remove(name);
            }
            if have < *amount {
                missing.0.insert(Arc::clone(name), amount - have);
            }
        }
        missing
    }
}

impl fmt::Display for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing");
        }
        for (index, (name, amount)) in self.0.iter().enumerate() {
            write!(f, "{}{name} {}", if index == 0 { "" } else { ", " }, *amount as f64 / PARTS)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Resources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// What there is, and what of it is free.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger {
    total: Resources,
    free: Resources,
    /// Taken beyond what was free: what comes back goes here first.
    owed: Resources,
}

impl Ledger {
    /// A ledger from which nothing is taken.
    #[must_use]
    pub fn new(total: Resources) -> Self {
        Self { free: total.clone(), total, owed: Resources::default() }
    }

    /// Takes `demand` if all of it is free.
    pub fn take(&mut self, demand: &Resources) -> bool {
        let fits = self.free.contains(demand);
        if fits {
            self.free.subtract(demand);
        }
        fits
    }

    /// Takes `demand` whether it is free or not.
    pub fn take_anyhow(&mut self, demand: &Resources) {
        let missing = self.free.subtract(demand);
        self.owed.add(&missing);
    }

    /// Gives back what was taken.
    pub fn give(&mut self, demand: &Resources) {
        if !planted(Flaw::LostLease) {
            let back = self.owed.subtract(demand);
            self.free.add(&back);
        }
    }

    /// Whether more is taken than there is.
    #[must_use]
    pub fn is_overdrawn(&self) -> bool {
        !self.owed.is_empty()
    }

    /// All there is.
    #[must_use]
    pub fn total(&self) -> &Resources {
        &self.total
    }

    /// What can be taken.
    #[must_use]
    pub fn free(&self) -> &Resources {
        &self.free
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::Random;

    fn resources(amounts: &[(&str, f64)]) -> Resources {
        Resources::new(amounts.iter().copied()).unwrap()
    }

    #[test]
    fn a_ledger_lends_no_more_than_there_is_and_has_it_all_back() {
        let total = resources(&[(CPU, 4.0), (GPU, 1.0), ("disk", 0.3)]);
        let mut ledger = Ledger::new(total.clone());
        let demands = [
            resources(&[(CPU, 0.1)]),
            resources(&[(GPU, 0.3), (CPU, 1.0)]),
            resources(&[("disk", 0.1)]),
            resources(&[]),
        ];
        let (mut random, mut taken) = (Random::new(1), Vec::new());
        for _ in 0..10_000 {
            if random.below(2) == 0 {
                let demand = &demands[random.below(4) as usize];
                if ledger.take(demand) {
                    taken.push(demand.clone());
                }
            } else if !taken.is_empty() {
                ledger.give(&taken.swap_remove(random.below(taken.len() as u64) as usize));
            }
            for (name, most) in [(CPU, 4.0), (GPU, 1.0), ("disk", 0.3)] {
                let used: f64 = taken.iter().map(|demand| demand.amount(name)).sum();
                assert!(used <= most + 1e-9 && (used + ledger.free().amount(name) - most).abs() < 1e-9);
            }
        }
        taken.iter().for_each(|demand| ledger.give(demand));
        assert_eq!(ledger.free(), &total);
    }

    #[test]
    fn what_is_taken_beyond_what_is_free_is_paid_back_first() {
        let mut ledger = Ledger::new(resources(&[(CPU, 2.0)]));
        assert!(ledger.take(&resources(&[(CPU, 2.0)])));
        ledger.take_anyhow(&resources(&[(CPU, 1.5)]));
        ledger.give(&resources(&[(CPU, 1.0)]));
        assert!(ledger.free().is_empty() && ledger.is_overdrawn());
        ledger.give(&resources(&[(CPU, 1.0)]));
        assert_eq!(ledger.free(), &resources(&[(CPU, 0.5)]));
        ledger.give(&resources(&[(CPU, 1.5)]));
        assert_eq!(ledger, Ledger::new(resources(&[(CPU, 2.0)])));
    }

    #[test]
    fn what_is_missing_is_named() {
        let node = resources(&[(CPU, 2.0), (MEMORY, 1e9)]);
        assert_eq!(node.lacks(&resources(&[(CPU, 2.0)])), Resources::default());
        assert_eq!(node.lacks(&resources(&[(CPU, 3.0), (GPU, 1.0)])).to_string(), "CPU 3, GPU 1");
        assert_eq!(Resources::default().to_string(), "nothing");
        assert!((node.use_when_free(&resources(&[(CPU, 0.5), (MEMORY, 1e9)])) - 0.75).abs() < 1e-9);
    }

    #[test]
    fn amounts_that_cannot_be_are_refused() {
        for (name, amount) in [(CPU, -1.0), (CPU, f64::NAN), (MEMORY, f64::INFINITY), (GPU, 2.5)] {
            assert!(Resources::new([(name, amount)]).is_err(), "{amount} {name}");
        }
        assert!(resources(&[(CPU, 0.0)]).is_empty());
    }
}

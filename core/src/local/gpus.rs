//! Which GPUs a call may use: whole ones are its own, parts of one are shared.

/// Parts of one GPU, so that what is given back is exact.
const PARTS: u64 = 10_000;

/// What of each GPU is free.
#[derive(Debug)]
pub(super) struct Gpus(Vec<u64>);

/// What one call or actor has.
#[derive(Debug, Default, Clone)]
pub(super) struct Taken {
    pub(super) ids: Vec<u32>,
    each: u64,
}

impl Gpus {
    pub(super) fn new(count: f64) -> Self {
        Self(vec![PARTS; count as usize])
    }

    /// Takes so many; the ledger has said already that they are there.
    pub(super) fn take(&mut self, amount: f64) -> Taken {
        let amount = (amount * PARTS as f64).round() as u64;
        let (count, each) = if amount > PARTS { ((amount / PARTS) as usize, PARTS) } else { (1, amount) };
        if amount == 0 {
            return Taken::default();
        }
        // Parts go where least is left, so that whole ones stay whole.
        let mut order: Vec<usize> = (0..self.0.len()).filter(|gpu| self.0[*gpu] >= each).collect();
        order.sort_by_key(|gpu| self.0[*gpu]);
        let ids: Vec<u32> = order.into_iter().take(count).map(|gpu| gpu as u32).collect();
        for gpu in &ids {
            self.0[*gpu as usize] -= each;
        }
        Taken { ids, each }
    }

    pub(super) fn give(&mut self, taken: &Taken) {
        for gpu in &taken.ids {
            self.0[*gpu as usize] += taken.each;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_share_a_gpu_and_whole_ones_are_alone() {
        let mut gpus = Gpus::new(3.0);
        let (half, other) = (gpus.take(0.5), gpus.take(0.5));
        assert_eq!((&half.ids, &other.ids), (&vec![0], &vec![0]));
        let two = gpus.take(2.0);
        assert_eq!(two.ids, [1, 2]);
        gpus.give(&half);
        assert_eq!(gpus.take(0.25).ids, [0]);
        gpus.give(&two);
        assert_eq!(gpus.take(1.0).ids, [1]);
        assert!(gpus.take(0.0).ids.is_empty());
    }
}

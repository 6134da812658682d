//! Epochs played through with trainers that stop at any row and go on in other numbers, by many seeds.

use std::collections::BTreeSet;

use super::{Deal, LocalShuffle, RowSet};
use crate::operators::random::Random;

fn positions(set: &RowSet) -> BTreeSet<u64> {
    set.ranges().iter().cloned().flatten().collect()
}

fn some_rows(random: &mut Random, end: u64) -> RowSet {
    (0..random.below(5))
        .map(|_| {
            let start = random.below(end);
            start..start + random.below(end - start + 1)
        })
        .collect()
}

#[test]
fn sets_of_rows_are_what_sets_are() {
    for seed in 0..500 {
        let mut random = Random(seed);
        let (one, other) = (some_rows(&mut random, 40), some_rows(&mut random, 40));
        let (these, those) = (positions(&one), positions(&other));
        assert_eq!(one.len(), these.len() as u64, "seed {seed}");
        assert_eq!(positions(&one.union(&other)), &these | &those, "seed {seed}");
        let touching = one.ranges().windows(2).any(|pair| pair[0].end >= pair[1].start);
        assert!(!touching, "seed {seed}: {one:?} is not in order");
        let missing: Vec<u64> = one.missing(5..50).into_iter().flatten().collect();
        assert_eq!(missing, (5..50).filter(|row| !these.contains(row)).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(one.first_missing(), (0..).find(|row| !these.contains(row)).unwrap(), "seed {seed}");
        let lacked: Vec<u64> = (0..200).filter(|row| !these.contains(row)).collect();
        let placed: BTreeSet<u64> = those.iter().map(|index| lacked[*index as usize]).collect();
        assert_eq!(positions(&one.place(&other)), placed, "seed {seed}");
    }
}

#[test]
fn windows_follow_one_another_and_their_orders_are_their_own() {
    for seed in 0..100 {
        let size = 1 + Random(seed).below(50) as usize;
        let shuffle = LocalShuffle::new(seed, 3, size);
        let (mut position, mut next, mut lengths) = (0, 0, Vec::new());
        while position < 500 {
            let (number, window) = shuffle.window(position);
            assert_eq!((number, window.start), (next, position), "seed {seed}");
            for inside in window.clone() {
                assert_eq!(shuffle.window(inside), (number, window.clone()), "seed {seed}");
            }
            let rows = (window.end - window.start) as usize;
            let order = shuffle.permutation(number, rows);
            assert_eq!(order.iter().copied().collect::<BTreeSet<_>>(), (0..rows).collect(), "seed {seed}");
            lengths.push(rows);
            (position, next) = (window.end, next + 1);
        }
        assert!(lengths[1..].iter().all(|rows| *rows == size), "seed {seed}: {lengths:?}");
        assert!(lengths[0] <= size, "seed {seed}");
    }
    let order = |seed, epoch| LocalShuffle::new(seed, epoch, 1000).permutation(1, 1000);
    assert_eq!(order(7, 1), order(8, 0), "the order is that of seed + epoch");
    assert_ne!(order(7, 1), order(7, 2));
    assert_ne!(order(7, 1), LocalShuffle::new(7, 1, 1000).permutation(2, 1000));
}

#[test]
fn a_shuffle_moves_each_row_anywhere_in_its_window() {
    let mut seen = vec![BTreeSet::new(); 8];
    for seed in 0..400 {
        for (place, row) in LocalShuffle::new(seed, 0, 8).permutation(5, 8).into_iter().enumerate() {
            seen[row].insert(place);
        }
    }
    assert!(seen.iter().all(|places| places.len() == 8), "{seen:?}");
}

/// What each trainer gets of these rows, dealt one by one.
fn dealt(deal: &Deal, rows: &[u64], trainers: usize) -> Vec<Vec<u64>> {
    let mut hands = vec![Vec::new(); trainers];
    for round in rows.chunks(deal.round() as usize) {
        for (hand, share) in hands.iter_mut().zip(deal.shares(round.len() as u64)) {
            hand.extend(&round[share.start as usize..share.end as usize]);
        }
    }
    hands
}

/// One generation of trainers: what they took before they stopped, and how far.
fn play(random: &mut Random, seed: u64, rows: &[u64], equal: bool) -> (Vec<Vec<u64>>, RowSet, bool) {
    let trainers = 1 + random.below(4) as usize;
    let deal = Deal::new(trainers, 1 + random.below(6) as usize, equal).unwrap();
    let hands = dealt(&deal, rows, trainers);
    if equal {
        assert!(hands.iter().all(|hand| hand.len() == rows.len() / trainers), "seed {seed}");
    } else {
        assert_eq!(hands.iter().map(Vec::len).sum::<usize>(), rows.len(), "seed {seed}");
    }
    let ends = random.below(4) == 0;
    let taken: Vec<u64> =
        hands.iter().map(|hand| if ends { hand.len() as u64 } else { random.below(hand.len() as u64 + 1) }).collect();
    // The number of rows is known to whoever was given some of the last, short round.
    let whole = rows.len() as u64 / deal.round() * (deal.round() / trainers as u64);
    let knows = ends || taken.iter().any(|taken| *taken > whole);
    let total = knows.then_some(rows.len() as u64);
    let took: Vec<Vec<u64>> = hands.iter().zip(&taken).map(|(hand, taken)| hand[..*taken as usize].to_vec()).collect();

    // The same trainers go on with the rows that would have followed, from the rounds that all have taken on.
    let from = (deal.rounds(&taken) * deal.round()).min(rows.len() as u64) as usize;
    let own = from / trainers;
    for ((hand, taken), again) in hands.iter().zip(&taken).zip(dealt(&deal, &rows[from..], trainers)) {
        assert_eq!(&again[*taken as usize - own..], &hand[*taken as usize..], "seed {seed}");
    }
    (took, deal.done(&taken, total), ends)
}

#[test]
fn every_row_is_taken_once_whoever_goes_on() {
    for seed in 0..2000 {
        let mut random = Random(seed);
        let equal = seed % 2 == 1;
        let rows = random.below(80);
        let (mut done, mut taken) = (RowSet::default(), Vec::new());
        loop {
            let left: Vec<u64> = done.missing(0..rows).into_iter().flatten().collect();
            let (took, more, ends) = play(&mut random, seed, &left, equal);
            let places: BTreeSet<u64> = took.iter().flatten().copied().collect();
            let placed = positions(&done.place(&more));
            let given_up = placed.difference(&places).count();
            assert!(places.is_subset(&placed), "seed {seed}: {places:?} are not in {placed:?}");
            assert!(given_up == 0 || equal && given_up < 4, "seed {seed}: {given_up} rows went to nobody");
            assert!(took.iter().all(|hand| hand.is_sorted()), "seed {seed}");
            taken.extend(places);
            done = done.union(&done.place(&more));
            if ends {
                break;
            }
        }
        let unique: BTreeSet<u64> = taken.iter().copied().collect();
        assert_eq!(unique.len(), taken.len(), "seed {seed}: a row was taken twice");
        if !equal {
            assert_eq!(unique, (0..rows).collect(), "seed {seed}");
        }
        assert_eq!(done, RowSet::before(rows), "seed {seed}");
    }
}

//! What every store does alike, whoever keeps its rows.

use std::sync::Arc;

use super::{Batch, Fault, FaultyStore, MemoryStore, Row, StateStore};
use crate::ErrorKind;
use crate::env::Random;

/// A place that a store can be opened in again, with what it had.
pub(super) trait Reopened {
    /// Opens it; the one before is closed.
    fn open(&self) -> Arc<dyn StateStore>;
}

/// A store in memory, which lives on while the process does.
struct Kept(Arc<MemoryStore>);

impl Reopened for Kept {
    fn open(&self) -> Arc<dyn StateStore> {
        Arc::clone(&self.0) as _
    }
}

fn row(key: &str, value: &str) -> Row {
    (key.as_bytes().to_vec(), value.as_bytes().to_vec())
}

/// Asserts that a store does what stores do.
pub(super) fn conforms(place: &dyn Reopened) {
    rows_are_kept_in_order(place);
    batches_are_made_whole(place);
    what_was_committed_is_there_after_each_end(place);
}

fn rows_are_kept_in_order(place: &dyn Reopened) {
    let store = place.open();
    assert_eq!(store.get("never", b"key").unwrap(), None);
    assert_eq!(store.scan("never", b"").unwrap(), []);
    let mut batch = Batch::default();
    for key in ["b", "", "a", "ab", "ac", "b\u{7f}"] {
        batch.put("rows", key, format!("of {key}"));
    }
    batch.put("rows", [0xFF, 0xFF], "last");
    batch.put("others", "a", "");
    store.commit(&batch).unwrap();
    let all = store.scan("rows", b"").unwrap();
    assert!(all.is_sorted() && all.len() == 7, "{all:?}");
    assert_eq!(store.scan("rows", b"a").unwrap(), [row("a", "of a"), row("ab", "of ab"), row("ac", "of ac")]);
    assert_eq!(store.scan("rows", &[0xFF]).unwrap(), [(vec![0xFF, 0xFF], b"last".to_vec())]);
    assert_eq!(store.scan("others", b"").unwrap(), [row("a", "")]);
    assert_eq!(store.get("rows", b"").unwrap(), Some(b"of ".to_vec()));
    assert_eq!(store.get("others", b"b").unwrap(), None);
}

fn batches_are_made_whole(place: &dyn Reopened) {
    let store = place.open();
    let mut batch = Batch::default();
    batch.put("rows", "a", "new");
    batch.delete("rows", "ab");
    batch.delete("rows", "was never there");
    batch.put("more", "large", vec![3; 300_000]);
    store.commit(&batch).unwrap();
    store.commit(&batch).unwrap();
    store.commit(&Batch::default()).unwrap();
    drop(store);
    let store = place.open();
    assert_eq!(store.scan("rows", b"a").unwrap(), [row("a", "new"), row("ac", "of ac")]);
    assert_eq!(store.get("more", b"large").unwrap(), Some(vec![3; 300_000]));
}

/// Kills the process at each commit of some, and looks at what is there then.
fn what_was_committed_is_there_after_each_end(place: &dyn Reopened) {
    let numbers = |store: &dyn StateStore| -> Vec<u8> {
        store.scan("numbers", b"").unwrap().into_iter().map(|(_, value)| value[0]).collect()
    };
    let mut random = Random::new(7);
    for round in 1..30_u8 {
        let at = random.below(4);
        let fault = if random.below(2) == 0 { Fault::KillBefore(at) } else { Fault::KillAfter(at) };
        let store = FaultyStore::new(place.open(), fault);
        let mut clear = Batch::default();
        (0..8_u8).for_each(|number| clear.put("numbers", [number], [0]));
        let mut told = Vec::new();
        for number in 0..4_u8 {
            let mut batch = clear.clone();
            batch.put("numbers", [number], [round]);
            told.push(store.commit(&batch).map(|()| number));
        }
        let made = told.iter().flatten().count() as u64;
        assert_eq!((made, store.commits()), (at, 4), "{fault:?}");
        let last = match fault {
            Fault::KillAfter(at) => Some(at as u8),
            _ => told.iter().flatten().copied().max(),
        };
        drop(store);
        let mut expected = [0; 8];
        if let Some(last) = last {
            expected[usize::from(last)] = round;
            assert_eq!(numbers(&*place.open()), expected, "{fault:?}");
        }
    }
}

#[test]
fn memory_is_a_store() {
    conforms(&Kept(Arc::default()));
}

#[test]
fn a_disk_that_is_full_for_a_while_takes_the_same_batch_later() {
    let store = FaultyStore::new(Arc::new(MemoryStore::default()), Fault::Full(1, 1));
    let mut batch = Batch::default();
    batch.put("rows", "a", "1");
    let told: Vec<_> = (0..4).map(|_| store.commit(&batch).map_err(|error| error.kind())).collect();
    assert_eq!(told, [Ok(()), Err(ErrorKind::DiskFull), Err(ErrorKind::DiskFull), Ok(())]);
    assert_eq!(FaultyStore::new(Arc::new(store), Fault::Never).get("rows", b"a").unwrap(), Some(b"1".to_vec()));
}

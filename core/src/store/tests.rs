//! The store's decisions over a disk that is there.

use super::memory::Draft;
use super::*;
use crate::env::Random;
use crate::ids::{NodeId, TaskId};

const CLIENT: ClientId = ClientId(1);

fn object(number: u64) -> ObjectId {
    TaskId { owner: NodeId(1), number }.result(0)
}

fn memory(size: u64) -> OwnedFd {
    Draft::new(size).unwrap().seal().unwrap()
}

/// A store, what it was granted, and a disk.
struct World {
    store: Store,
    now: Moment,
    folder: tempfile::TempDir,
    answers: BTreeMap<u64, bool>,
    here: Vec<ObjectId>,
    not_here: Vec<String>,
}

impl World {
    fn new(limit: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (answers, here, not_here) = (BTreeMap::new(), Vec::new(), Vec::new());
        Self { store: Store::new(limit), now: Moment::default(), folder, answers, here, not_here }
    }

    fn settle(&mut self) {
        loop {
            let actions = self.store.take_actions();
            if actions.is_empty() {
                return;
            }
            for action in actions {
                match action {
                    StoreAction::Spill(object, memory, size) => {
                        let outcome = Spilled::write(&memory, size, self.folder.path());
                        self.store.spilled(self.now, object, outcome);
                    }
                    StoreAction::ReadBack(object, spilled) => {
                        self.store.returned(self.now, object, spilled.read_back());
                    }
                    StoreAction::Granted(_, question) => {
                        self.answers.insert(question, true);
                    }
                    StoreAction::Refused(_, question, refusal) => {
                        self.not_here.push(refusal.why);
                        self.answers.insert(question, false);
                    }
                    StoreAction::Here(object) => self.here.push(object),
                    StoreAction::NotHere(_, refusal) => self.not_here.push(refusal.why),
                }
            }
        }
    }

    fn put(&mut self, number: u64, size: u64) -> bool {
        self.store.reserve(self.now, CLIENT, number, size);
        self.settle();
        let granted = self.answers.get(&number) == Some(&true);
        if granted {
            let content = Content { memory: memory(size), size, edition: number, origin: Arc::from("a test") };
            self.store.insert(self.now, CLIENT, number, object(number), content);
        }
        granted
    }

    fn open(&mut self, number: u64) -> bool {
        let opened = self.store.open(self.now, CLIENT, object(number)).unwrap();
        self.settle();
        match opened {
            Opened::Later => matches!(self.store.open(self.now, CLIENT, object(number)).unwrap(), Opened::Here(_, _)),
            opened => matches!(opened, Opened::Here(_, _)),
        }
    }

    fn spilled(&self) -> Vec<u64> {
        let mut spilled: Vec<u64> = self
            .store
            .objects()
            .iter()
            .filter(|object| object.is_spilled)
            .map(|object| object.id.task.number)
            .collect();
        spilled.sort_unstable();
        spilled
    }
}

#[test]
fn the_least_recently_used_is_spilled_and_comes_back() {
    let mut world = World::new(1_000);
    for number in 1..=3 {
        assert!(world.put(number, 300));
    }
    assert!(world.open(1));
    world.store.release(world.now, CLIENT, object(1));
    assert!(world.put(4, 300));
    assert_eq!(world.spilled(), [2], "1 was used after 2");
    assert!(world.open(2));
    assert_eq!((world.spilled(), world.here.clone()), (vec![3], vec![object(2)]));
    assert!(world.store.used() <= 1_000);
}

#[test]
fn what_is_read_stays_and_a_full_store_says_so() {
    let mut world = World::new(1_000);
    for number in 1..=3 {
        assert!(world.put(number, 300) && world.open(number));
    }
    assert!(!world.put(4, 300), "it waits");
    assert_eq!(world.answers.get(&4), None);
    world.now = world.now + PATIENCE;
    world.store.tick(world.now);
    world.settle();
    assert_eq!(world.answers.get(&4), Some(&false));
    assert!(world.not_here[0].contains("900 of 1000 bytes"), "{:?}", world.not_here);
    let largest = world.store.largest(2, true);
    assert_eq!(
        largest.iter().map(|held| (held.id, held.size)).collect::<Vec<_>>(),
        [(object(1), 300), (object(2), 300)]
    );
    assert!(largest.iter().all(|held| held.readers == [CLIENT] && &*held.origin == "a test" && !held.is_spilled));
    assert_eq!(world.store.totals(), Totals { memory: (3, 900), disk: (0, 0), limit: 1_000 });
    world.store.reserve(world.now, CLIENT, 5, 300);
    world.settle();
    world.store.client_gone(world.now, CLIENT);
    world.store.reserve(world.now, ClientId(2), 6, 900);
    world.settle();
    assert_eq!(world.answers.get(&6), Some(&true), "what the client read can be spilled");
}

#[test]
fn a_full_disk_is_told_at_once_and_nothing_is_lost() {
    let mut world = World::new(1_000);
    assert!(world.put(1, 600));
    world.store.reserve(world.now, CLIENT, 2, 600);
    for action in world.store.take_actions() {
        if let StoreAction::Spill(object, _, _) = action {
            world.store.spilled(world.now, object, Err(io::ErrorKind::StorageFull.into()));
        }
    }
    let told = world.store.take_actions();
    assert!(
        matches!(&told[..], [StoreAction::Refused(_, 2, refusal)] if refusal.is_disk_full && refusal.why.contains("spilling")),
        "{told:?}"
    );
    assert!(world.open(1));
}

#[test]
fn an_object_larger_than_the_store_is_refused() {
    let mut world = World::new(1_000);
    assert!(!world.put(1, 1_001));
    assert!(world.not_here[0].contains("larger than the object store"));
}

#[test]
fn accounts_balance_whatever_happens() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let mut world = World::new(10_000);
        let mut reads = Vec::new();
        for number in 0..150 {
            world.now = world.now + random.below(3_000);
            let any = random.below(number + 1);
            match random.below(6) {
                0 | 1 => {
                    world.put(number, random.below(4_000));
                }
                2 if world.open(any) => reads.push(any),
                3 => world.store.remove(world.now, object(any)),
                4 if !reads.is_empty() => {
                    let place = random.below(reads.len() as u64) as usize;
                    world.store.release(world.now, CLIENT, object(reads.swap_remove(place)));
                }
                _ => world.store.tick(world.now),
            }
            world.settle();
            assert!(world.store.used() <= 10_000, "seed {seed}: {}", world.store.used());
            // Answers that nobody came for.
            for question in std::mem::take(&mut world.answers).into_keys() {
                world.store.unreserve(world.now, CLIENT, question);
            }
        }
        world.store.client_gone(world.now, CLIENT);
        for number in 0..150 {
            world.store.remove(world.now, object(number));
        }
        world.settle();
        let store = &world.store;
        assert_eq!((store.used, store.leaving, store.reserved.len(), store.idle.len()), (0, 0, 0, 0), "seed {seed}");
    }
}

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
    /// Bytes that the disk takes.
    disk: u64,
    answers: BTreeMap<u64, bool>,
    here: Vec<ObjectId>,
    not_here: Vec<String>,
    /// Memory that was given again, by the question.
    again: BTreeMap<u64, u64>,
    let_go: Vec<(ClientId, Kept)>,
}

impl World {
    fn new(limit: u64) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self {
            store: Store::new(limit),
            now: Moment::default(),
            folder,
            disk: u64::MAX,
            answers: BTreeMap::new(),
            here: Vec::new(),
            not_here: Vec::new(),
            again: BTreeMap::new(),
            let_go: Vec::new(),
        }
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
                        let on_disk: u64 =
                            self.store.objects().iter().filter(|info| info.is_spilled).map(|info| info.size).sum();
                        let outcome = if on_disk + size > self.disk {
                            Err(io::ErrorKind::StorageFull.into())
                        } else {
                            Spilled::write(&memory, size, self.folder.path())
                        };
                        self.store.spilled(self.now, object, outcome);
                    }
                    StoreAction::ReadBack(object, spilled) => {
                        self.store.returned(self.now, object, spilled.read_back());
                    }
                    StoreAction::Granted(_, question, again) => {
                        self.answers.insert(question, true);
                        self.again.extend(again.map(|number| (question, number)));
                    }
                    StoreAction::LetGo(client, kept) => self.let_go.push((client, kept)),
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
            self.insert(number, number, size, None);
        }
        granted
    }

    fn insert(&mut self, question: u64, number: u64, size: u64, kept_as: Option<u64>) {
        let memory = self.store.again(CLIENT, question).map_or_else(|| memory(size), |(memory, _)| memory);
        let content = Content { memory, size, edition: question, origin: Arc::from("a test"), kept_as };
        self.store.insert(self.now, CLIENT, question, object(number), content);
    }

    /// Puts an object whose memory its maker keeps; says by which number, and whether it was there already.
    fn put_kept(&mut self, number: u64, size: u64) -> Option<(u64, bool)> {
        self.put_as(number, number, size)
    }

    /// The same, with the number of the question.
    fn put_as(&mut self, question: u64, number: u64, size: u64) -> Option<(u64, bool)> {
        self.store.reserve(self.now, CLIENT, question, size);
        self.settle();
        (self.answers.remove(&question) == Some(true)).then(|| {
            let again = self.again.remove(&question);
            self.insert(question, number, size, Some(again.unwrap_or(question)));
            (again.unwrap_or(question), again.is_some())
        })
    }

    fn open(&mut self, number: u64) -> bool {
        self.open_by(CLIENT, number)
    }

    fn open_by(&mut self, client: ClientId, number: u64) -> bool {
        let opened = self.store.open(self.now, client, object(number)).unwrap();
        self.settle();
        match opened {
            Opened::Later => matches!(self.store.open(self.now, client, object(number)).unwrap(), Opened::Here(_)),
            opened => matches!(opened, Opened::Here(_)),
        }
    }

    fn release(&mut self, client: ClientId, number: u64, unseen: bool) {
        self.release_edition(client, (number, number), unseen);
    }

    fn release_edition(&mut self, client: ClientId, (number, edition): (u64, u64), unseen: bool) {
        self.store.release(self.now, client, (object(number), edition), unseen);
        self.settle();
    }

    fn remove(&mut self, number: u64) {
        self.store.remove(self.now, object(number));
        self.settle();
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
    world.release(CLIENT, 1, false);
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
        matches!(&told[..], [StoreAction::Refused(_, 2, refusal)] if refusal.is_disk_full && refusal.why.contains("spilled")),
        "{told:?}"
    );
    assert!(world.open(1));
}

#[test]
fn what_is_on_a_full_disk_can_be_read_while_memory_is_full_too() {
    let mut world = World::new(900);
    world.disk = 600;
    for number in 1..=5 {
        assert!(world.put(number, 300), "{number}");
    }
    assert!(!world.put(6, 300), "both are full");
    for number in [1, 2, 3, 4, 5, 1] {
        assert!(world.open(number), "{number}: {:?}", world.not_here);
        assert!(world.store.used() <= 900 + 300, "one object beyond the limit, and not more");
        world.release(CLIENT, number, false);
        world.settle();
    }
    assert!(world.open(1) && world.open(2) && world.open(3), "as many as are in memory");
    assert!(!(world.open(4) && world.open(5)), "no more of them while those are read");
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
                    world.release(CLIENT, reads.swap_remove(place), false);
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

const READER: ClientId = ClientId(2);

#[test]
fn memory_is_written_again_when_nobody_reads_it() {
    let mut world = World::new(10_000);
    assert_eq!(world.put_kept(1, 1_000), Some((1, false)));
    world.remove(1);
    assert_eq!(world.store.used(), 0, "what is spare holds no object");
    assert_eq!(world.put_kept(2, 700), Some((2, false)), "it is much smaller");
    assert_eq!(world.put_kept(3, 900), Some((1, true)));
    assert!(world.open_by(READER, 3) && world.open_by(CLIENT, 3));
    world.remove(3);
    assert_eq!(world.let_go, [(CLIENT, Kept::Read(object(3))), (READER, Kept::Read(object(3)))]);
    assert_eq!(world.put_kept(4, 1_000), Some((4, false)), "two read it");
    world.release(READER, 3, false);
    assert_eq!(world.put_kept(5, 1_000), Some((5, false)), "one reads it");
    world.release(CLIENT, 3, false);
    assert_eq!(world.put_kept(6, 1_000), Some((1, true)));
    assert!(world.open_by(READER, 6));
    world.release(READER, 6, true);
    world.remove(6);
    assert_eq!(world.put_kept(7, 1_000), Some((7, false)), "children of a reader may read it");
    assert_eq!(world.let_go.last(), Some(&(CLIENT, Kept::Made(1))));
}

#[test]
fn spare_memory_goes_for_others_and_after_a_while() {
    let mut world = World::new(1_000);
    assert_eq!(world.put_kept(1, 200), Some((1, false)));
    world.remove(1);
    assert_eq!(world.let_go, []);
    assert!(world.put(2, 1_000), "all of the store");
    assert_eq!(world.let_go, [(CLIENT, Kept::Made(1))]);
    world.remove(2);
    assert_eq!(world.put_kept(3, 200), Some((3, false)));
    world.remove(3);
    world.now = world.store.wakes_at().unwrap();
    world.store.tick(world.now);
    world.settle();
    assert_eq!(world.let_go[1..], [(CLIENT, Kept::Made(3))]);
    assert_eq!(world.put_kept(4, 900), Some((4, false)));
    world.remove(4);
    assert_eq!(world.let_go[2..], [(CLIENT, Kept::Made(4))], "it is too much to keep");
}

#[test]
fn what_is_only_kept_for_reading_is_asked_back_when_room_is_wanted() {
    let mut world = World::new(1_000);
    assert!(world.put(1, 600) && world.open_by(READER, 1));
    assert!(!world.put(2, 600), "it waits");
    assert_eq!(world.let_go, [(READER, Kept::Read(object(1)))]);
    world.release(READER, 1, false);
    assert_eq!((world.answers.get(&2), world.spilled()), (Some(&true), vec![1]));
}

#[test]
fn nothing_is_written_again_that_somebody_may_read() {
    let mut times = 0;
    for seed in 0..500 {
        let mut random = Random::new(seed);
        let mut world = World::new(10_000);
        // Where each object lies, and who reads which memory under which name: also those of whom nobody hears.
        let (mut lies, mut reads, mut unseen) = (BTreeMap::new(), Vec::new(), BTreeSet::new());
        for question in 0..300 {
            world.now = world.now + random.below(1_000);
            let any = random.below(25);
            match random.below(8) {
                0..=2 => {
                    if let Some((memory, is_again)) = world.put_as(question, any, 500 + random.below(500)) {
                        let is_read =
                            |memory| reads.iter().any(|(_, _, read)| *read == memory) || unseen.contains(&memory);
                        assert!(!(is_again && is_read(memory)), "seed {seed}: {memory} is read");
                        times += u32::from(is_again);
                        lies.insert(any, (memory, question));
                    }
                }
                3 => {
                    let reader = if random.below(2) == 0 { CLIENT } else { READER };
                    if world.open_by(reader, any) {
                        let (memory, edition) = lies[&any];
                        reads.push((reader, (any, edition), memory));
                    }
                }
                4 if !reads.is_empty() => {
                    let (reader, object, memory) = reads.swap_remove(random.below(reads.len() as u64) as usize);
                    let forked = random.below(20) == 0;
                    if forked {
                        unseen.insert(memory);
                    }
                    world.release_edition(reader, object, forked);
                }
                5 if random.below(8) == 0 => {
                    world.store.client_gone(world.now, READER);
                    unseen
                        .extend(reads.extract_if(.., |(reader, _, _)| *reader == READER).map(|(_, _, memory)| memory));
                }
                _ => world.remove(any),
            }
            world.settle();
            for (client, kept) in std::mem::take(&mut world.let_go) {
                if let Kept::Made(memory) = kept {
                    assert_eq!(client, CLIENT);
                    // Its number is never given again.
                    unseen.insert(memory);
                }
            }
            let store = &world.store;
            assert!(store.used + store.spares.bytes() + store.reserved_bytes() <= 10_000, "seed {seed}");
        }
        world.store.client_gone(world.now, CLIENT);
        world.store.client_gone(world.now, READER);
        (0..25).for_each(|number| world.remove(number));
        let store = &world.store;
        assert_eq!(
            (store.used, store.spares.bytes(), store.departed.len(), store.read.len()),
            (0, 0, 0, 0),
            "seed {seed}"
        );
    }
    assert!(times > 2_000, "{times}");
}

#[test]
fn what_is_only_kept_goes_before_what_is_newer_and_whoever_does_not_answer_holds_up_nobody() {
    let mut world = World::new(1_000);
    assert!(world.put(1, 500) && world.open_by(READER, 1) && world.put(2, 500));
    assert!(!world.put(3, 400), "it waits for the reader of 1");
    assert_eq!((world.let_go.clone(), world.spilled()), (vec![(READER, Kept::Read(object(1)))], vec![]));
    world.now = world.store.wakes_at().unwrap();
    world.store.tick(world.now);
    world.settle();
    assert_eq!((world.answers.get(&3), world.spilled()), (Some(&true), vec![2]), "the reader uses it");
    world.release(READER, 1, false);
    assert!(world.put(4, 500));
    assert_eq!(world.spilled(), [1, 2]);
}

#[test]
fn an_outcome_of_another_edition_is_not_taken() {
    let mut world = World::new(1_000);
    assert!(world.put(1, 600));
    world.store.reserve(world.now, CLIENT, 2, 600);
    let [StoreAction::Spill(first, memory, _)] = &world.store.take_actions()[..] else { panic!("nothing is spilled") };
    let written = Spilled::write(memory, 600, world.folder.path());
    world.remove(1);
    world.insert(2, 1, 500, None);
    world.store.spilled(world.now, *first, written);
    assert_eq!((world.spilled(), world.store.used()), (vec![], 500));
    assert!(world.open(1));
}

//! The programs that run on simulated machines: drivers and workers that submit, get, pass on and drop.

use super::*;

/// What a client holds and waits for.
#[derive(Debug, Default)]
pub(super) struct Client {
    /// One entry for each reference.
    refs: Vec<ObjectId>,
    /// Questions that are not answered.
    asked: BTreeMap<u64, ObjectId>,
    /// References that it is about to take out of what it was given.
    taking: usize,
    /// What it runs, if it is a worker.
    attempt: Option<Attempt>,
    /// It runs a call of an actor, or makes one.
    is_in_actor: bool,
    /// A worker that keeps what it was handed after its attempt.
    is_over: bool,
}

impl Client {
    pub(super) fn held(&self) -> impl Iterator<Item = ObjectId> {
        self.refs.iter().copied()
    }

    pub(super) fn waits(&self) -> bool {
        !self.asked.is_empty()
    }
}

impl World {
    fn client(&mut self, node: NodeId, client: ClientId) -> Option<&mut Client> {
        self.hosts.get_mut(&node)?.clients.get_mut(&client)
    }

    /// A reference that the client holds, rather one that another node owns: it is handed on by two who do not own it.
    fn any_foreign_ref(&mut self, node: NodeId, client: ClientId) -> Option<ObjectId> {
        let foreign = (0..3).find_map(|_| self.any_ref(node, client).filter(|object| object.owner() != node));
        foreign.or_else(|| self.any_ref(node, client))
    }

    pub(super) fn any_ref(&mut self, node: NodeId, client: ClientId) -> Option<ObjectId> {
        let dice = self.random.draw();
        let refs = &self.client(node, client)?.refs;
        (!refs.is_empty()).then(|| refs[(dice % refs.len() as u64) as usize])
    }

    pub(super) fn client_acts(&mut self, node: NodeId, id: ClientId) {
        if let Some(until) = self.frozen_until(node) {
            return self.later(until, Coming::Client(node, id));
        }
        let has_done_enough = self.now >= CALM_AT && self.told.tasks >= TASKS;
        let Some(client) = self.client(node, id) else { return };
        let goes_home = has_done_enough || client.is_over;
        if goes_home {
            if client.refs.is_empty() && !client.waits() && client.is_over {
                self.hosts.get_mut(&node).map(|host| host.clients.remove(&id));
                return self.step_node(node, Event::ClientGone(id));
            }
            if client.refs.is_empty() {
                return self.soon(2_000, Coming::Client(node, id));
            }
        }
        match self.random.below(if goes_home { 2 } else { 10 }) {
            0 | 1 => self.drop_one(node, id),
            2 | 3 => self.get_one(node, id),
            4 => self.put_one(node, id),
            5 if self.random.below(10) == 0 => {
                if let Some(object) = self.any_ref(node, id) {
                    self.step_node(node, Event::Cancel(object.task, Stop::default()));
                }
            }
            5 if self.random.below(10) == 0 => {
                if let Some(actor) = self.any_handle(node, id) {
                    let may_restart = self.random.below(2) == 0;
                    self.step_node(node, Event::Kill(actor, may_restart));
                }
            }
            5 if self.random.below(10) == 0 => self.name_one(node, id),
            5 if self.random.below(10) == 0 => self.forget_one(node, id),
            5 if self.random.below(4) == 0 => self.ask_why(node, id),
            5 if self.random.below(6) == 0 => self.create_group(node, id),
            5 if self.random.below(20) == 0 => self.remove_any_group(node, id),
            5 => self.call_one(node, id),
            6 => {
                if let Some(object) = self.any_ref(node, id) {
                    self.add_ref(node, id, object);
                }
                self.call_one(node, id);
            }
            _ => self.submit_one(node, id),
        }
        self.soon(400, Coming::Client(node, id));
    }

    fn will_take(&mut self, node: NodeId, id: ClientId, object: ObjectId) {
        if let Some(client) = self.client(node, id) {
            client.taking += 1;
            self.later(self.now, Coming::TakeRef(node, id, object));
        }
    }

    /// A client takes out of a value a reference that was in it.
    pub(super) fn take_ref(&mut self, node: NodeId, id: ClientId, object: ObjectId) {
        if let Some(client) = self.client(node, id) {
            client.taking -= 1;
            self.add_ref(node, id, object);
        }
    }

    fn add_ref(&mut self, node: NodeId, id: ClientId, object: ObjectId) {
        if let Some(client) = self.client(node, id) {
            client.refs.push(object);
            self.step_node(node, Event::AddRef(id, object));
        }
    }

    fn drop_one(&mut self, node: NodeId, id: ClientId) {
        if let Some(object) = self.any_ref(node, id) {
            self.drop_ref(node, id, object);
        }
    }

    pub(super) fn drop_ref(&mut self, node: NodeId, id: ClientId, object: ObjectId) {
        let Some(client) = self.client(node, id) else { return };
        // Who asks for a value holds on to it until what is within it is taken out.
        let is_asked = client.taking > 0 || client.asked.values().any(|asked| *asked == object);
        if let Some(place) = client.refs.iter().position(|held| *held == object)
            && !is_asked
        {
            client.refs.swap_remove(place);
            self.step_node(node, Event::DropRef(id, object));
        }
    }

    /// A client waits for an answer about an object. Says whether it is there.
    pub(super) fn asks(&mut self, node: NodeId, id: ClientId, question: u64, object: ObjectId) -> bool {
        self.client(node, id).map(|client| client.asked.insert(question, object)).is_some()
    }

    fn get_one(&mut self, node: NodeId, id: ClientId) {
        // An actor that waits for a call of its own would wait for ever.
        if self.client(node, id).is_some_and(|client| client.is_in_actor) {
            return;
        }
        let Some(object) = self.any_ref(node, id) else { return };
        let question = self.number(node);
        let Some(client) = self.client(node, id) else { return };
        client.asked.insert(question, object);
        if let Some(attempt) = client.attempt {
            self.step_node(node, Event::Blocked(attempt));
        }
        self.step_node(node, Event::Get(id, question, object));
    }

    /// A client does not wait any more for what it asked.
    fn forget_one(&mut self, node: NodeId, id: ClientId) {
        let Some(client) = self.client(node, id) else { return };
        let Some((question, object)) = client.asked.pop_first() else { return };
        let goes_on = client.attempt.filter(|_| client.asked.is_empty());
        self.step_node(node, Event::Forget(id, question, object));
        if let Some(attempt) = goes_on {
            self.step_node(node, Event::Unblocked(attempt));
        }
    }

    /// A client gives an actor a name, or asks who has one; some actors live on without a handle for a while.
    fn name_one(&mut self, node: NodeId, id: ClientId) {
        let name: Arc<str> = Arc::from(format!("name {}", self.random.below(3)));
        let question = self.number(node);
        let own = self.any_handle(node, id).filter(|actor| actor.owner() == node);
        let request = match own {
            Some(actor) => HeadRequest::Claim(name, actor, Bytes::new()),
            None => HeadRequest::LookUp(name),
        };
        self.asked_names.insert((node, id, question));
        self.step_node(node, Event::AskHead(id, question, request));
        if let (Some(actor), 0) = (own, self.random.below(2)) {
            self.step_node(node, Event::Detach(actor));
            self.soon(5_000, Coming::Local(node, Event::Kill(actor, false)));
        }
    }

    /// An answer about a name: a name is one actor's, until that is over.
    pub(super) fn named(&mut self, node: NodeId, id: ClientId, question: u64, answer: &HeadAnswer) {
        if !self.asked_names.remove(&(node, id, question)) {
            self.broken(&format!("{id} on {node} is answered twice about a name"));
        }
        if let HeadAnswer::Taken(actor, _) = answer
            && !self.handles.contains(actor)
        {
            self.broken(&format!("{actor} has a name and is no actor"));
        }
    }

    /// A client asks why something is not ready, rather something that another node owns.
    fn ask_why(&mut self, node: NodeId, id: ClientId) {
        if let Some(object) = self.any_foreign_ref(node, id) {
            let question = self.number(node);
            self.asked_why.insert((node, id, question));
            self.step_node(node, Event::Explain(id, question, object));
        }
    }

    pub(super) fn explained(&mut self, node: NodeId, id: ClientId, question: u64, about: &About) {
        if !self.asked_why.remove(&(node, id, question)) {
            self.broken(&format!("{id} on {node} is told what it does not ask (any more): {about:?}"));
        }
    }

    fn put_one(&mut self, node: NodeId, id: ClientId) {
        let object = TaskId { owner: node, number: self.number(node) }.result(0);
        let value = self.value(node, id, &format!("put {object}"), object);
        if let Some(client) = self.client(node, id) {
            client.refs.push(object);
        }
        self.step_node(node, Event::Put(id, object, value));
    }

    /// A value, small or large, with references of the client's in it.
    fn value(&mut self, node: NodeId, id: ClientId, token: &str, object: ObjectId) -> Returned {
        let contains: Vec<ObjectId> = (0..self.random.below(3)).filter_map(|_| self.any_ref(node, id)).collect();
        let contains = if self.random.below(2) == 0 { contains } else { Vec::new() };
        let made = if self.random.below(2) == 0 {
            Made::Inline(Bytes::copy_from_slice(token.as_bytes()))
        } else {
            self.stores(node, object);
            Made::Stored { size: 1 << 20 }
        };
        Returned { made, contains }
    }

    fn any_handle(&mut self, node: NodeId, id: ClientId) -> Option<ObjectId> {
        let held = self.hosts.get(&node)?.clients.get(&id)?.held();
        let handles: Vec<ObjectId> = held.filter(|held| self.handles.contains(held)).collect();
        let dice = self.random.draw() as usize;
        (!handles.is_empty()).then(|| handles[dice % handles.len()])
    }

    fn call_one(&mut self, node: NodeId, id: ClientId) {
        if let Some(actor) = self.any_handle(node, id) {
            self.submit(node, id, Kind::Call { actor, caller: id });
        }
    }

    fn submit_one(&mut self, node: NodeId, id: ClientId) {
        let kind = match self.random.below(8) {
            1 => self.fragment(node, id),
            // The tasks of a stage.
            2 => {
                for _ in 0..3 {
                    let kind = self.fragment(node, id);
                    self.submit(node, id, kind);
                }
                self.fragment(node, id)
            }
            0 => Kind::Actor {
                held: Resources::new([("slot", self.random.below(2) as f64)]).unwrap(),
                concurrency: 1 + self.random.below(2) as u32,
            },
            _ => Kind::Function,
        };
        self.submit(node, id, kind);
    }

    fn submit(&mut self, node: NodeId, id: ClientId, kind: Kind) {
        let task = TaskId { owner: node, number: self.number(node) };
        if matches!(kind, Kind::Actor { .. }) {
            self.handles.insert(task.result(0));
        }
        // Most fragments do alike work.
        let is_alike = matches!(kind, Kind::Fragment { .. }) && self.random.below(4) > 0;
        let most = if is_alike { 1 } else { 3 };
        let needs = (0..self.random.below(most)).filter_map(|_| self.any_ref(node, id)).collect();
        let refs = (0..self.random.below(3)).filter_map(|_| self.any_foreign_ref(node, id)).collect();
        let strategy = match self.random.below(5) {
            0 => self.in_a_group(),
            1 | 2 => crate::placement::Strategy::Spread,
            _ => crate::placement::Strategy::Default,
        };
        let begins_early = matches!(kind, Kind::Fragment { begins_early: true, .. });
        let demand =
            if begins_early { Resources::default() } else { cpus([0.0, 0.5, 1.0][self.random.below(3) as usize]) };
        let spec = TaskSpec {
            id: task,
            returns: if kind == Kind::Function { 1 + self.random.below(2) as u32 } else { 1 },
            streams: !matches!(kind, Kind::Actor { .. } | Kind::Fragment { .. }) && self.random.below(4) == 0,
            kind,
            shape: Arc::new(Shape { demand, strategy, ..Shape::default() }),
            needs,
            refs,
            max_retries: self.random.below(4) as u32,
            common: Bytes::new(),
            payload: Bytes::new(),
        };
        if let Some(client) = self.client(node, id) {
            client.refs.extend((0..spec.returns).map(|index| task.result(index)));
        }
        self.running.insert(task);
        self.told.tasks += 1;
        let handed: Vec<ObjectId> = spec.handed().collect();
        self.step_node(node, Event::Submit(id, Arc::new(spec)));
        // Much of what is handed on is not needed any more.
        for object in handed {
            if self.random.below(2) == 0 {
                self.drop_ref(node, id, object);
            }
        }
    }

    /// Whether `other` has not been told that `node` is dead: else what that still holds does not count.
    fn is_believed_in(&self, node: NodeId, other: NodeId) -> bool {
        self.hosts.get(&other).is_some_and(|host| host.node.believes_in(node))
    }

    pub(super) fn answered(&mut self, node: NodeId, id: ClientId, question: u64, answer: Result<Found, Failure>) {
        let Some(object) = self.client(node, id).and_then(|client| client.asked.remove(&question)) else {
            if self.client(node, id).is_some() {
                self.broken(&format!("{id} on {node} is answered twice"));
            }
            return;
        };
        if let Some(attempt) = self.client(node, id).filter(|client| !client.waits()).and_then(|client| client.attempt)
        {
            self.later(self.now, Coming::Local(node, Event::Unblocked(attempt)));
        }
        let was_where = self.placed((node, id, question), object, &answer);
        match answer {
            Err(Failure::Lost(Lost::Freed)) if self.is_believed_in(node, object.owner()) => {
                self.broken(&format!("{object} was freed while {id} on {node} held it"));
            }
            Err(failure) => {
                for inner in failure.contains() {
                    self.will_take(node, id, *inner);
                }
            }
            Ok(_) if was_where => {}
            Ok(Found { place, contains }) => {
                let is_here = self.hosts.get(&node).is_some_and(|host| host.store.contains(&object));
                if matches!(place, Place::At(_)) && !is_here {
                    self.broken(&format!("{object} is not in the store of {node}"));
                }
                // References are taken out before anything else happens in the client, which may then need it no more.
                for inner in contains {
                    if self.random.below(2) == 0 {
                        self.will_take(node, id, inner);
                    }
                }
                if self.random.below(2) == 0 {
                    self.later(self.now + 1, Coming::DropRef(node, id, object));
                }
            }
        }
    }

    pub(super) fn start_worker(
        &mut self,
        node: NodeId,
        attempt: Attempt,
        spec: Arc<TaskSpec>,
        values: &[(ObjectId, Option<Bytes>)],
    ) -> ClientId {
        for (object, value) in values {
            if value.is_none() && !self.hosts.get(&node).is_some_and(|host| host.store.contains(object)) {
                self.broken(&format!("{attempt} starts on {node} without {object}"));
            }
        }
        self.check_call(node, attempt, &spec);
        let is_in_actor = !matches!(spec.kind, Kind::Function | Kind::Fragment { .. });
        let id = self.start_client(node, Client { attempt: Some(attempt), is_in_actor, ..Client::default() });
        for object in &spec.refs {
            self.will_take(node, id, *object);
        }
        if let Some(host) = self.hosts.get_mut(&node) {
            host.workers.insert(attempt, (spec, id));
        }
        let long = [12_000, 800, 800, 800, 800, 5, 5, 5][self.random.below(8) as usize];
        self.soon(long, Coming::Worker(node, attempt));
        id
    }

    /// Calls go to an actor that lives, each node's in their order, and none more often than it may.
    fn check_call(&mut self, node: NodeId, attempt: Attempt, spec: &TaskSpec) {
        let Kind::Call { actor, caller } = spec.kind else { return };
        if !self.hosts.get(&node).is_some_and(|host| host.actors.contains_key(&actor)) {
            self.broken(&format!("{attempt} calls {actor}, which does not live on {node}"));
        }
        let life = self.lives.get(&(node, actor)).copied().unwrap_or(0);
        // A call that raised and is tried again has lost its place.
        if !self.raised.contains(&attempt.task) {
            let last = self.last_call.insert((actor, life, attempt.task.owner, caller), attempt.task.number);
            if last.is_some_and(|last| last >= attempt.task.number) {
                self.broken(&format!("{attempt} of {actor} begins after task {last:x?} of the same caller"));
            }
        }
        let begun = self.begun.entry(attempt.task).or_default();
        *begun += 1;
        if *begun > 1 + spec.max_retries {
            self.broken(&format!("{attempt} begins once too often"));
        }
    }

    fn workers_of(&self, node: NodeId, actor: ObjectId) -> Vec<Attempt> {
        let workers = self.hosts.get(&node).into_iter().flat_map(|host| &host.workers);
        workers
            .filter(|(_, (spec, _))| matches!(spec.kind, Kind::Call { actor: own, .. } if own == actor))
            .map(|(attempt, _)| *attempt)
            .collect()
    }

    pub(super) fn kill_actor(&mut self, node: NodeId, actor: ObjectId, life: u32) {
        if self.hosts.get(&node).is_none_or(|host| host.actors.get(&actor) != Some(&life)) {
            return;
        }
        for attempt in self.workers_of(node, actor) {
            self.kill_worker(node, attempt);
        }
        if let Some(host) = self.hosts.get_mut(&node) {
            host.actors.remove(&actor);
        }
    }

    pub(super) fn crash_actor(&mut self, node: NodeId, actor: ObjectId, life: u32) {
        self.kill_actor(node, actor, life);
        let died = Failure::ActorDied(Arc::from("killed by signal 9"));
        self.step_node(node, Event::ActorGone(actor, died));
    }

    pub(super) fn worker_ends(&mut self, node: NodeId, attempt: Attempt) {
        let Some(host) = self.hosts.get_mut(&node) else { return };
        if host.frozen_until > self.now {
            let at = host.frozen_until;
            return self.later(at, Coming::Worker(node, attempt));
        }
        let waits = |(_, id): &(_, ClientId)| host.clients.get(id).is_some_and(Client::waits);
        if host.workers.get(&attempt).is_some_and(waits) {
            // It goes on when it has what it asked for.
            return self.soon(200, Coming::Worker(node, attempt));
        }
        let streams = host.workers.get(&attempt).is_some_and(|(spec, _)| spec.streams);
        if streams && self.random.below(3) > 0 {
            self.yield_one(node, attempt);
            return self.soon(200, Coming::Worker(node, attempt));
        }
        let Some(host) = self.hosts.get_mut(&node) else { return };
        let Some((spec, id)) = host.workers.remove(&attempt) else { return };
        let outcome = if let Some(unread) = self.unread_by(node, attempt) {
            Outcome::Failed(unread)
        } else if self.random.below(20) == 0 {
            let contains = (0..self.random.below(2)).filter_map(|_| self.any_ref(node, id)).collect();
            let raised = Raised { error: Bytes::from_static(b"raised"), contains };
            match self.random.below(2) {
                0 => Outcome::Failed(Failure::Error(raised)),
                _ => {
                    self.raised.insert(attempt.task);
                    Outcome::Raised(raised)
                }
            }
        } else {
            let result = |index| attempt.task.result(index);
            let token = format!("{attempt} on {node}");
            let is_handle = matches!(spec.kind, Kind::Actor { .. });
            let handle = Returned { made: Made::Inline(Bytes::new()), contains: Vec::new() };
            Outcome::Values(
                (0..spec.returns)
                    .map(|index| if is_handle { handle.clone() } else { self.value(node, id, &token, result(index)) })
                    .collect(),
            )
        };
        if let (Kind::Actor { .. }, Outcome::Values(_), Some(host)) = (&spec.kind, &outcome, self.hosts.get_mut(&node))
        {
            host.actors.insert(attempt.task.result(0), attempt.number);
            self.lives.insert((node, attempt.task.result(0)), self.order);
        }
        self.step_node(node, Event::Ended(attempt, outcome));
        self.let_go(node, id);
    }

    /// A worker makes one more result of what it runs.
    fn yield_one(&mut self, node: NodeId, attempt: Attempt) {
        let Some(host) = self.hosts.get_mut(&node) else { return };
        let Some((spec, id)) = host.workers.get(&attempt).cloned() else { return };
        let index = self.items.entry((node, attempt)).or_insert(spec.returns);
        *index += 1;
        let index = *index - 1;
        let object = attempt.task.result(index);
        let item = self.value(node, id, &format!("item {object}"), object);
        self.step_node(node, Event::Yielded(attempt, index, item));
    }

    /// A result of a task that streams came to whom submitted it.
    pub(super) fn item(&mut self, node: NodeId, id: ClientId, object: ObjectId) {
        // The node may not have heard yet that the client is gone.
        if let Some(client) = self.client(node, id) {
            client.refs.push(object);
        }
    }

    /// The worker's process ends, or it keeps for a while what it was handed.
    fn let_go(&mut self, node: NodeId, id: ClientId) {
        if self.random.below(2) == 0 {
            if let Some(client) = self.client(node, id) {
                client.is_over = true;
                client.attempt = None;
            }
        } else if let Some(host) = self.hosts.get_mut(&node) {
            host.clients.remove(&id);
            self.step_node(node, Event::ClientGone(id));
        }
    }

    pub(super) fn crash_worker(&mut self, node: NodeId, attempt: Attempt) {
        let worker = self.hosts.get_mut(&node).and_then(|host| {
            // A call dies with its actor.
            if matches!(host.workers.get(&attempt)?.0.kind, Kind::Call { .. }) {
                return None;
            }
            let (_, id) = host.workers.remove(&attempt)?;
            host.clients.remove(&id);
            Some(id)
        });
        if let Some(id) = worker {
            self.step_node(node, Event::ClientGone(id));
            let crashed = Outcome::Failed(Failure::Crashed(Arc::from("killed by signal 9")));
            self.step_node(node, Event::Ended(attempt, crashed));
        }
    }

    pub(super) fn kill_worker(&mut self, node: NodeId, attempt: Attempt) {
        let worker = self.hosts.get_mut(&node).and_then(|host| {
            let (_, id) = host.workers.remove(&attempt)?;
            host.clients.remove(&id);
            Some(id)
        });
        if let Some(id) = worker {
            self.later(self.now, Coming::Local(node, Event::ClientGone(id)));
            let cancelled = Outcome::Failed(Failure::Cancelled);
            self.later(self.now, Coming::Local(node, Event::Ended(attempt, cancelled)));
        }
    }
}

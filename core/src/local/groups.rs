//! Placement groups between the clients' words and those of the state machines.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::shell::Shell;
use crate::Result;
use crate::ids::ClientId;
use crate::resources::Resources;
use crate::schedule::{Event, GroupAnswer, GroupRequest, GroupSpec, GroupStatus};
use crate::wire::{Answer, GroupInfo, NewGroup};

impl Shell {
    /// A client wants a group made.
    pub(super) fn create_group(&mut self, id: ClientId, question: u64, group: NewGroup) {
        match spec(group) {
            Ok(spec) => self.post(Event::Group(id, question, GroupRequest::Create(Arc::new(spec)))),
            Err(error) => self.answer(id, question, Answer::Refused(error.to_string(), false), Vec::new()),
        }
    }

    /// The head answers a client's question.
    pub(super) fn group_answered(&mut self, id: ClientId, question: u64, answer: GroupAnswer) {
        let answer = match answer {
            GroupAnswer::Done => Answer::Ready,
            GroupAnswer::NameTaken => Answer::Refused("another placement group has the name".to_string(), false),
            GroupAnswer::Groups(groups) => Answer::Groups(groups.into_iter().map(info).collect()),
        };
        self.answer(id, question, answer, Vec::new());
    }
}

fn spec(group: NewGroup) -> Result<GroupSpec> {
    let amounts = |of: &BTreeMap<String, f64>| Resources::new(of.iter().map(|(name, amount)| (&**name, *amount)));
    let bundles: Vec<Resources> = group.bundles.iter().map(amounts).collect::<Result<_>>()?;
    Ok(GroupSpec {
        id: group.id,
        name: Arc::from(group.name),
        bundles,
        spreading: group.spreading,
        lives_with: group.lives_with,
    })
}

fn info(status: GroupStatus) -> GroupInfo {
    let GroupStatus { spec, state, nodes } = status;
    let amounts = |of: &Resources| of.amounts().map(|(name, amount)| (name.to_string(), amount)).collect();
    GroupInfo {
        id: spec.id,
        name: spec.name.to_string(),
        bundles: spec.bundles.iter().map(amounts).collect(),
        strategy: spec.spreading.name().to_string(),
        state: state.name().to_string(),
        nodes,
    }
}

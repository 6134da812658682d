//! Placement groups, as a process asks for them.

use super::Client;
use crate::ids::{ClientId, GroupId, NodeId};
use crate::placement::groups::Spreading;
use crate::wire::{Answer, GroupInfo, NewGroup, ToNode};
use crate::{Error, ErrorKind, Result};

/// Amounts of named resources.
pub type Amounts = std::collections::BTreeMap<String, f64>;

impl Client {
    /// Has a placement group made as soon as there is room for it; it ends with the client that is named, if one is.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for amounts that cannot be, and when another group has the name.
    pub fn create_group(
        &self,
        name: &str,
        bundles: Vec<Amounts>,
        spreading: Spreading,
        lives_with: Option<(NodeId, ClientId)>,
    ) -> Result<GroupId> {
        let number = self.new_task();
        let id = GroupId { asked_on: number.owner, number: number.number };
        let question = self.questions(1);
        let group = NewGroup { id, name: name.to_string(), bundles, spreading, lives_with };
        match self.inquire(question, &ToNode::CreateGroup(question, group))? {
            Answer::Refused(why, _) => {
                let what = if name.is_empty() { String::new() } else { format!(" {name:?}") };
                Err(Error::new(ErrorKind::InvalidInput, format!("the placement group{what} cannot be made: {why}")))
            }
            _ => Ok(id),
        }
    }

    /// Ends a placement group with all that runs in it; one that is gone is none.
    ///
    /// # Errors
    /// As every method.
    pub fn remove_group(&self, group: GroupId) -> Result<()> {
        let question = self.questions(1);
        self.inquire(question, &ToNode::RemoveGroup(question, group)).map(|_| ())
    }

    /// All placement groups, and those that were removed last.
    ///
    /// # Errors
    /// As every method.
    pub fn groups(&self) -> Result<Vec<GroupInfo>> {
        let question = self.questions(1);
        match self.inquire(question, &ToNode::Groups(question))? {
            Answer::Groups(groups) => Ok(groups),
            _ => Ok(Vec::new()),
        }
    }
}

//! Placement groups between Python's words and the runtime's.

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use sheaf::core::client::Amounts;
use sheaf::core::ids::{ClientId, GroupId, NodeId};
use sheaf::core::placement::groups::Spreading;
use sheaf::core::wire::GroupInfo;

/// A group as Python gets it: id, name, bundles, strategy, state, and the node of each bundle.
pub(super) type Told = (String, String, Vec<Amounts>, String, String, Vec<Option<String>>);

pub(super) fn hex(group: GroupId) -> String {
    format!("{:016x}{:016x}", group.asked_on.0, group.number)
}

pub(super) fn group_of(hex: &str) -> PyResult<GroupId> {
    let number = |digits: Option<&str>| u64::from_str_radix(digits?, 16).ok();
    match (number(hex.get(..16)), number(hex.get(16..))) {
        (Some(node), Some(number)) => Ok(GroupId { asked_on: NodeId(node), number }),
        _ => Err(PyValueError::new_err(format!("{hex:?} is not the id of a placement group"))),
    }
}

pub(super) fn spreading(name: &str) -> PyResult<Spreading> {
    let all = [Spreading::Pack, Spreading::Spread, Spreading::StrictPack, Spreading::StrictSpread];
    all.into_iter()
        .find(|spreading| spreading.name() == name)
        .ok_or_else(|| PyValueError::new_err(format!("{name:?} is no strategy of placement groups")))
}

/// A process, by its node and its number there.
pub(super) fn process((node, client): (String, u64)) -> PyResult<(NodeId, ClientId)> {
    let node = u64::from_str_radix(&node, 16)
        .map_err(|_| PyValueError::new_err(format!("{node:?} is not the id of a node")))?;
    Ok((NodeId(node), ClientId(client)))
}

pub(super) fn told(group: GroupInfo) -> Told {
    let nodes = group.nodes.into_iter().map(|node| node.map(|node| format!("{:016x}", node.0))).collect();
    (hex(group.id), group.name, group.bundles, group.strategy, group.state, nodes)
}

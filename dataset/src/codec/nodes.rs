//! The nodes of ours that can be written. Each says how in its own file; whoever adds one lists it here.

use datafusion::logical_expr::{Expr, LogicalPlan, UserDefinedLogicalNode};
use sheaf_core::Result;

use crate::encoding::{Decoder, Encoded, Encoder, damaged, json, read_json, stays};
use crate::operators::asof_join::AsofJoin;
use crate::operators::broadcast::Broadcast;
use crate::operators::draw::Draw;
use crate::operators::map_batches::MapBatches;
use crate::operators::map_groups::MapGroups;
use crate::operators::mix::Mix;
use crate::operators::node::OperatorNode;
use crate::operators::overlap::Overlap;
use crate::operators::partition::Partition;
use crate::operators::plan_of;
use crate::operators::random_key::RandomKey;
use crate::operators::row_index::RowIndex;
use crate::operators::sample::Sample;
use crate::operators::whole_window::WholeWindow;
use crate::operators::write::WriteFiles;
use crate::operators::zip::Zip;

const NODES: [Node; 14] = [
    Node::of::<OperatorNode<AsofJoin, 2>>(),
    Node::of::<OperatorNode<Broadcast, 1>>(),
    Node::of::<OperatorNode<Draw, 1>>(),
    Node::of::<OperatorNode<MapBatches, 1>>(),
    Node::of::<OperatorNode<MapGroups, 1>>(),
    Node::of::<Mix>(),
    Node::of::<OperatorNode<Overlap, 1>>(),
    Node::of::<OperatorNode<Partition, 1>>(),
    Node::of::<OperatorNode<RandomKey, 1>>(),
    Node::of::<OperatorNode<RowIndex, 1>>(),
    Node::of::<OperatorNode<Sample, 1>>(),
    Node::of::<OperatorNode<WholeWindow, 1>>(),
    Node::of::<OperatorNode<WriteFiles, 1>>(),
    Node::of::<OperatorNode<Zip, 2>>(),
];

/// How a kind of node is written and read.
struct Node {
    kind: &'static str,
    encode: Encode,
    decode: Decode,
}

/// The detail of a node; `None` for nodes of other kinds.
type Encode = fn(&dyn UserDefinedLogicalNode, &mut Encoder) -> Option<Result<Vec<u8>>>;
type Decode = fn(&[u8], Vec<Expr>, Vec<LogicalPlan>, &mut Decoder<'_>) -> Result<LogicalPlan>;

impl Node {
    const fn of<N: Encoded>() -> Self {
        Self { kind: N::KIND, encode: encode_as::<N>, decode: decode_as::<N> }
    }
}

fn encode_as<N: Encoded>(node: &dyn UserDefinedLogicalNode, to: &mut Encoder) -> Option<Result<Vec<u8>>> {
    let node = node.as_any().downcast_ref::<N>()?;
    Some(node.encode(to).and_then(|detail| json(&detail)))
}

fn decode_as<N: Encoded>(
    detail: &[u8],
    exprs: Vec<Expr>,
    inputs: Vec<LogicalPlan>,
    from: &mut Decoder<'_>,
) -> Result<LogicalPlan> {
    let node = N::decode(read_json(detail)?, exprs, inputs, from)?;
    Ok(plan_of(node))
}

/// The kind of a node and its detail.
pub(super) fn encode(node: &dyn UserDefinedLogicalNode, to: &mut Encoder) -> Result<(&'static str, Vec<u8>)> {
    let found = NODES.iter().find_map(|known| Some((known.kind, (known.encode)(node, to)?)));
    match found {
        Some((kind, detail)) => Ok((kind, detail?)),
        None => Err(stays(
            format!("its plan has the node {}", node.name()),
            "run the plan up to there, and go on from its result: materialize or checkpoint",
        )),
    }
}

/// The node of this kind.
pub(super) fn decode(
    kind: &str,
    detail: &[u8],
    exprs: Vec<Expr>,
    inputs: Vec<LogicalPlan>,
    from: &mut Decoder<'_>,
) -> Result<LogicalPlan> {
    let known = NODES.iter().find(|known| known.kind == kind);
    let known = known.ok_or_else(|| damaged(format!("there is no node {kind:?}")))?;
    (known.decode)(detail, exprs, inputs, from)
}

//! What calls ask for, checked once and told to the node once.

use std::collections::BTreeMap;
use std::sync::Weak;

use parking_lot::Mutex;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple};
use sheaf::core::client::Client;
use sheaf::core::ids::NodeId;
use sheaf::core::placement::Label;
use sheaf::core::resources::Resources;
use sheaf::core::wire::{self, Where, Work};

use super::groups::group_of;
use super::{Connection, IntoRuntimeResult};
use crate::errors::IntoPyResult;

/// What a call asks for; made once for a remote function, actor class or method with its options.
#[pyclass(module = "sheaf._sheaf", frozen)]
pub(crate) struct CallOptions {
    options: wire::CallOptions,
    /// The number under which a node knows them.
    defined: Mutex<Option<(Weak<Client>, u32)>>,
}

fn place(strategy: &Bound<'_, PyTuple>) -> PyResult<Where> {
    let kind: String = strategy.get_item(0)?.extract()?;
    match kind.as_str() {
        "DEFAULT" => Ok(Where::Anywhere),
        "SPREAD" => Ok(Where::Spread),
        "NODE" => {
            let name: String = strategy.get_item(1)?.extract()?;
            let number = u64::from_str_radix(&name, 16)
                .map_err(|_| PyValueError::new_err(format!("{name:?} is not the id of a node")))?;
            Ok(Where::Node(NodeId(number), strategy.get_item(2)?.extract()?))
        }
        "GROUP" => {
            let group: String = strategy.get_item(1)?.extract()?;
            let index: i64 = strategy.get_item(2)?.extract()?;
            // -1 is any, in Ray's words.
            Ok(Where::Group(group_of(&group)?, u32::try_from(index).ok()))
        }
        "LABELS" => Ok(Where::Labels(labels(&strategy.get_item(1)?)?, labels(&strategy.get_item(2)?)?)),
        other => Err(PyValueError::new_err(format!("{other:?} is no scheduling strategy"))),
    }
}

/// What is asked of labels: each its name, the values of which one will do, and whether the contrary is meant.
fn labels(asked: &Bound<'_, PyAny>) -> PyResult<Vec<Label>> {
    let asked: Vec<(String, Vec<String>, bool)> = asked.extract()?;
    let label = |(name, values, is_not): (String, Vec<String>, bool)| Label {
        name: name.into(),
        values: values.into_iter().map(Into::into).collect(),
        is_not,
    };
    Ok(asked.into_iter().map(label).collect())
}

#[pymethods]
impl CallOptions {
    #[new]
    #[expect(clippy::too_many_arguments, reason = "each is an option of its own, by keyword")]
    #[pyo3(signature = (name, *, resources, num_returns=1, streams=false, max_retries=0, strategy=None, fail_if_unschedulable=false, env=String::new(), max_calls=0,
        held=None, concurrency=1, extra=Vec::new()))]
    fn new(
        py: Python<'_>,
        name: String,
        resources: BTreeMap<String, f64>,
        num_returns: u32,
        streams: bool,
        max_retries: i64,
        strategy: Option<Bound<'_, PyTuple>>,
        fail_if_unschedulable: bool,
        env: String,
        max_calls: u32,
        held: Option<BTreeMap<String, f64>>,
        concurrency: u32,
        extra: Vec<u8>,
    ) -> PyResult<Self> {
        let held = held.unwrap_or_default();
        for amounts in [&resources, &held] {
            Resources::new(amounts.iter().map(|(name, amount)| (&**name, *amount))).py(py)?;
        }
        let options = wire::CallOptions {
            resources,
            place: strategy.as_ref().map_or(Ok(Where::Anywhere), place)?,
            fail_if_unschedulable,
            // The first result of a stream is the number of the others.
            returns: if streams { 1 } else { num_returns },
            streams,
            // -1 is for ever, in Ray's words.
            max_retries: u32::try_from(max_retries).unwrap_or(u32::MAX),
            held,
            concurrency,
            work: Work { name, env, driver: None, max_calls, extra: extra.into() },
        };
        Ok(Self { options, defined: Mutex::new(None) })
    }

    #[getter]
    fn name(&self) -> &str {
        &self.options.work.name
    }

    #[getter]
    fn num_returns(&self) -> u32 {
        self.options.returns
    }

    #[getter]
    fn max_retries(&self) -> u32 {
        self.options.max_retries
    }

    #[getter]
    fn extra<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.options.work.extra)
    }

    /// Whether results come one by one.
    #[getter]
    pub(super) fn streams(&self) -> bool {
        self.options.streams
    }
}

impl CallOptions {
    pub(super) fn returns(&self) -> u32 {
        self.options.returns
    }

    /// The number under which the node of this client knows them.
    pub(super) fn number(&self, py: Python<'_>, client: &Connection) -> PyResult<u32> {
        let mut defined = self.defined.lock();
        if let Some((known, number)) = &*defined
            && std::ptr::eq(known.as_ptr(), std::sync::Arc::as_ptr(client))
        {
            return Ok(*number);
        }
        let number = client.define(self.options.clone()).runtime(py)?;
        *defined = Some((std::sync::Arc::downgrade(client), number));
        Ok(number)
    }
}

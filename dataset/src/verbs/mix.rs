//! `mix`: rows of several datasets, drawn by weight.

use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::operators::mix::{How, Mix, MixStop, fit};

impl Dataset {
    /// Rows of this dataset and of others, each drawn by the weight of its dataset; those of one dataset stay in order.
    /// The same seed gives the same rows in the same order.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::TypeMismatch`] for datasets with other columns,
    /// [`sheaf_core::ErrorKind::InvalidInput`] for weights that are not one positive number for each dataset.
    pub fn mix(&self, others: &[Self], weights: &[f64], stop: MixStop, seed: u64) -> Result<Self> {
        if weights.len() != others.len() + 1 || weights.iter().any(|weight| !(weight.is_finite() && *weight > 0.0)) {
            return Err(Error::invalid(format!("the weights of {} datasets are {weights:?}", others.len() + 1))
                .with_hint("give each dataset a positive weight"));
        }
        let schema = self.schema();
        if let Some(other) = others.iter().find(|other| !fit(&schema, &other.schema())) {
            let columns = |dataset: &Self| {
                let schema = dataset.schema();
                let told = schema.fields().iter().map(|field| format!("{}: {}", field.name(), field.data_type()));
                told.collect::<Vec<_>>().join(", ")
            };
            let message = format!("a mix of datasets with other columns: ({}) and ({})", columns(self), columns(other));
            return Err(Error::new(ErrorKind::TypeMismatch, message)
                .with_hint("select the same columns of each dataset, and cast them to the same types"));
        }
        let inputs = std::iter::once(self).chain(others).map(|dataset| dataset.logical_plan().clone()).collect();
        let node = Mix::new(inputs, How { weights: weights.to_vec(), stop, seed }).map_err(from_datafusion)?;
        Ok(self.of_node(node))
    }
}

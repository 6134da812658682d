//! Tables by their names, and what is said of one that is not there.

use datafusion::error::DataFusionError;
use datafusion::execution::SessionState;
use sheaf_connectors::error::{from_datafusion, unknown_table_error};
use sheaf_core::Error;

/// The error of a plan that could not be made: one for a table that is not there names the nearest.
pub fn unplanned(state: &SessionState, error: DataFusionError) -> Error {
    let Some(name) = unknown_table(&error) else { return from_datafusion(error) };
    let options = &state.config_options().catalog;
    let catalog = state.catalog_list().catalog(&options.default_catalog);
    let schema = catalog.and_then(|catalog| catalog.schema(&options.default_schema));
    let mut names = schema.map(|schema| schema.table_names()).unwrap_or_default();
    names.sort();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let short = name.strip_prefix(&format!("{}.{}.", options.default_catalog, options.default_schema));
    unknown_table_error(short.unwrap_or(&name), &names).with_source(error)
}

/// The table that was looked for in vain: DataFusion's errors for that have no type of their own.
fn unknown_table(error: &DataFusionError) -> Option<String> {
    let DataFusionError::Plan(text) = error.find_root() else { return None };
    let name = match text.strip_prefix("table '") {
        Some(rest) => rest.split_once("' not found")?.0,
        None => text.strip_prefix("No table named '")?.split('\'').next()?,
    };
    Some(name.to_string())
}

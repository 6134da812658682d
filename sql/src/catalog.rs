//! Tables that SQL can name beside the registered ones: files by their path, and datasets bound to one query.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use datafusion::catalog::{
    CatalogProvider, CatalogProviderList, DynamicFileCatalog, SchemaProvider, TableProvider, UrlTableFactory,
};
use datafusion::datasource::ViewTable;
use datafusion::error::Result;
use datafusion::execution::SessionState;
use sheaf_connectors::error::to_datafusion;
use sheaf_connectors::format::Format;
use sheaf_connectors::location::Location;
use sheaf_connectors::objects;
use sheaf_connectors::read::ReadOptions;
use sheaf_dataset::{Dataset, Session};

use crate::sample::Samples;

/// The session's state for one query. Its catalog has first the datasets bound to the query, then registered tables,
/// then files.
pub(crate) fn state_for(session: &Session, datasets: &BTreeMap<String, Dataset>) -> Result<SessionState> {
    let mut state = session.state();
    let files = Arc::new(FileTables { session: session.clone() });
    let bound = datasets
        .iter()
        .map(|(name, dataset)| (name.clone(), Arc::new(ViewTable::new(dataset.logical_plan().clone(), None))))
        .collect();
    let files = DynamicFileCatalog::new(Arc::clone(state.catalog_list()), files);
    let options = &state.config_options().catalog;
    let default = (options.default_catalog.clone(), options.default_schema.clone());
    state.register_catalog_list(Arc::new(BoundCatalogs { inner: Arc::new(files), default, bound: Arc::new(bound) }));
    state.register_relation_planner(Arc::new(Samples { session: session.clone() }))?;
    Ok(state)
}

/// Opens `FROM 'path'` with the reader that its extension names.
struct FileTables {
    session: Session,
}

impl fmt::Debug for FileTables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileTables")
    }
}

#[async_trait]
impl UrlTableFactory for FileTables {
    async fn try_new(&self, path: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        // A plain name is a table that does not exist, not a file: the error should say so.
        let looks_like_file = path.contains(['/', '\\', '*']) || Format::from_path(path).is_some();
        if !looks_like_file || Location::parse(path).is_err() {
            return Ok(None);
        }
        let table = self.session.open(&[path.to_string()], &ReadOptions::default()).await.map_err(to_datafusion)?;
        Ok(Some(table))
    }
}

type Bound = Arc<BTreeMap<String, Arc<ViewTable>>>;

/// A catalog list whose default schema has the bound datasets on top.
#[derive(Debug)]
struct BoundCatalogs {
    inner: Arc<dyn CatalogProviderList>,
    default: (String, String),
    bound: Bound,
}

impl CatalogProviderList for BoundCatalogs {
    fn register_catalog(&self, name: String, catalog: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        self.inner.register_catalog(name, catalog)
    }

    fn catalog_names(&self) -> Vec<String> {
        self.inner.catalog_names()
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        let inner = self.inner.catalog(name)?;
        if name != self.default.0 {
            return Some(inner);
        }
        Some(Arc::new(BoundCatalog { inner, schema: self.default.1.clone(), bound: Arc::clone(&self.bound) }))
    }
}

#[derive(Debug)]
struct BoundCatalog {
    inner: Arc<dyn CatalogProvider>,
    schema: String,
    bound: Bound,
}

impl CatalogProvider for BoundCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.inner.schema_names()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        let inner = self.inner.schema(name)?;
        if name != self.schema {
            return Some(inner);
        }
        Some(Arc::new(BoundSchema { inner, bound: Arc::clone(&self.bound) }))
    }
}

#[derive(Debug)]
struct BoundSchema {
    inner: Arc<dyn SchemaProvider>,
    bound: Bound,
}

#[async_trait]
impl SchemaProvider for BoundSchema {
    fn table_names(&self) -> Vec<String> {
        let mut names = self.inner.table_names();
        names.extend(self.bound.keys().filter(|name| !self.inner.table_exist(name)).cloned());
        names
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        let table = match self.bound.get(name) {
            Some(table) => Some(Arc::clone(table) as Arc<dyn TableProvider>),
            None => self.inner.table(name).await?,
        };
        if let Some(table) = &table
            && let Some(column) = table.schema().fields().iter().find(|field| objects::is_object(field))
        {
            let error = objects::refused(column.name(), "SQL has no values for");
            return Err(to_datafusion(error.with_context(format!("the table {name:?}"))));
        }
        Ok(table)
    }

    fn register_table(&self, name: String, table: Arc<dyn TableProvider>) -> Result<Option<Arc<dyn TableProvider>>> {
        self.inner.register_table(name, table)
    }

    fn deregister_table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        self.inner.deregister_table(name)
    }

    fn table_exist(&self, name: &str) -> bool {
        self.bound.contains_key(name) || self.inner.table_exist(name)
    }
}

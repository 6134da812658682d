//! Tables in memory, gone with the process: for runtimes that live in a driver, and for tests.

use std::collections::BTreeMap;

use parking_lot::Mutex;

use super::{Batch, Row, StateStore};
use crate::Result;

type Rows = BTreeMap<Vec<u8>, Vec<u8>>;

/// Tables in memory.
#[derive(Debug, Default)]
pub struct MemoryStore {
    tables: Mutex<BTreeMap<String, Rows>>,
}

impl StateStore for MemoryStore {
    fn commit(&self, batch: &Batch) -> Result<()> {
        let mut tables = self.tables.lock();
        for (table, changes) in batch.tables() {
            let rows = tables.entry(table.to_string()).or_default();
            for (key, value) in changes {
                match value {
                    Some(value) => rows.insert(key.clone(), value.clone()),
                    None => rows.remove(key),
                };
            }
        }
        Ok(())
    }

    fn get(&self, table: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.tables.lock().get(table).and_then(|rows| rows.get(key)).cloned())
    }

    fn scan(&self, table: &str, prefix: &[u8]) -> Result<Vec<Row>> {
        let tables = self.tables.lock();
        let rows = tables.get(table).into_iter().flat_map(|rows| rows.range(prefix.to_vec()..));
        let within = rows.take_while(|(key, _)| key.starts_with(prefix));
        Ok(within.map(|(key, value)| (key.clone(), value.clone())).collect())
    }
}

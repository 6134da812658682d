//! The names that completion knows: keywords, functions, and the tables of the session with their columns.

use std::collections::BTreeMap;

use crate::cli::console::Console;

/// Keywords of the statements that Sheaf runs.
const KEYWORDS: &str = "ALL ANALYZE AND ANTI ANY AS ASC BETWEEN BY CASE CAST COPY COUNT CREATE CROSS CURRENT DATE DESC \
     DESCRIBE DISTINCT DROP ELSE END EXCEPT EXISTS EXPLAIN EXTERNAL EXTRACT FALSE FILTER FIRST FOLLOWING FROM FULL \
     GROUP GROUPING HAVING ILIKE IN INNER INSERT INTERSECT INTERVAL INTO IS JOIN LAST LATERAL LEFT LIKE LIMIT \
     LOCATION NATURAL NOT NULL NULLS OFFSET ON OPTIONS OR ORDER OUTER OVER PARTITION PARTITIONED PRECEDING QUALIFY \
     RANGE RECURSIVE REPLACE RIGHT ROLLUP ROW ROWS SELECT SEMI SET SHOW STORED TABLE TABLES THEN TIMESTAMP TO TRUE \
     UNBOUNDED UNION UNNEST USING VALUES VIEW WHEN WHERE WINDOW WITH";

/// Names by what they are.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) functions: Vec<String>,
    /// Tables with their columns.
    pub(super) tables: BTreeMap<String, Vec<String>>,
}

impl Names {
    /// What the session knows now.
    pub(super) fn of(console: &Console) -> Self {
        let state = console.session().state();
        let mut functions: Vec<String> = state
            .scalar_functions()
            .keys()
            .chain(state.aggregate_functions().keys())
            .chain(state.window_functions().keys())
            .cloned()
            .collect();
        functions.sort_unstable();
        functions.dedup();
        let catalog = &state.config_options().catalog;
        let schema = state
            .catalog_list()
            .catalog(&catalog.default_catalog)
            .and_then(|tables| tables.schema(&catalog.default_schema));
        let mut tables = BTreeMap::new();
        if let Some(schema) = schema {
            for name in schema.table_names() {
                // A table that cannot be opened now still has a name.
                let columns = console.wait(async { Ok(schema.table(&name).await) }).ok().and_then(|table| {
                    let schema = table.ok()??.schema();
                    Some(schema.fields().iter().map(|field| field.name().clone()).collect())
                });
                tables.insert(name, columns.unwrap_or_default());
            }
        }
        Self { functions, tables }
    }

    pub(super) fn keywords() -> impl Iterator<Item = &'static str> {
        KEYWORDS.split_whitespace()
    }
}

//! Names of columns and tables, and schemas with them. Their parts stay apart: a name may have any character in it.

use std::sync::Arc;

use datafusion::common::{Column, DFSchema, DFSchemaRef, TableReference};
use serde::{Deserialize, Serialize};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::Result;

use super::{Decoder, Encoder, damaged};

/// A table by the parts of its name.
#[derive(Serialize, Deserialize)]
pub(crate) struct Table(Vec<String>);

impl From<&TableReference> for Table {
    fn from(table: &TableReference) -> Self {
        let parts = [table.catalog(), table.schema(), Some(table.table())];
        Self(parts.into_iter().flatten().map(ToString::to_string).collect())
    }
}

impl Table {
    pub(crate) fn reference(self) -> Result<TableReference> {
        match <[String; 3]>::try_from(self.0) {
            Ok([catalog, schema, table]) => Ok(TableReference::full(catalog, schema, table)),
            Err(parts) => match <[String; 2]>::try_from(parts) {
                Ok([schema, table]) => Ok(TableReference::partial(schema, table)),
                Err(parts) => match <[String; 1]>::try_from(parts) {
                    Ok([table]) => Ok(TableReference::bare(table)),
                    Err(_) => Err(damaged("a table has a name of one to three parts")),
                },
            },
        }
    }
}

/// A column with the table that it is of.
#[derive(Serialize, Deserialize)]
pub(crate) struct Name {
    of: Option<Table>,
    name: String,
}

impl From<&Column> for Name {
    fn from(column: &Column) -> Self {
        Self { of: column.relation.as_ref().map(Table::from), name: column.name.clone() }
    }
}

impl Name {
    pub(crate) fn column(self) -> Result<Column> {
        Ok(Column::new(self.of.map(Table::reference).transpose()?, self.name))
    }
}

pub(crate) fn names(columns: &[Column]) -> Vec<Name> {
    columns.iter().map(Name::from).collect()
}

pub(crate) fn columns(names: Vec<Name>) -> Result<Vec<Column>> {
    names.into_iter().map(Name::column).collect()
}

/// A schema whose columns are of tables.
#[derive(Serialize, Deserialize)]
pub(crate) struct Qualified {
    schema: u32,
    of: Vec<Option<Table>>,
}

impl Qualified {
    pub(crate) fn encode(schema: &DFSchema, to: &mut Encoder) -> Result<Self> {
        let of = schema.iter().map(|(table, _)| table.map(Table::from)).collect();
        Ok(Self { schema: to.schema(schema.as_arrow())?, of })
    }

    pub(crate) fn decode(self, from: &Decoder<'_>) -> Result<DFSchemaRef> {
        let schema = from.schema(self.schema)?;
        if self.of.len() != schema.fields().len() {
            return Err(damaged("a schema has a table for each of its columns"));
        }
        let of = self.of.into_iter().map(|table| table.map(Table::reference).transpose());
        let fields = of.zip(schema.fields()).map(|(table, field)| Ok((table?, Arc::clone(field))));
        let fields = fields.collect::<Result<Vec<_>>>()?;
        DFSchema::new_with_metadata(fields, schema.metadata().clone()).map(Arc::new).map_err(from_datafusion)
    }
}

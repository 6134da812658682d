//! `explode` and `unnest`: one row for each element of a list or map, one column for each field of a struct.

use arrow::datatypes::{DataType, Field};
use datafusion::common::{Column, ScalarValue, UnnestOptions};
use datafusion::functions::expr_fn::{get_field, greatest};
use datafusion::functions_nested::expr_fn::{array_empty, array_length, map_entries, range};
use datafusion::logical_expr::{Expr, cast, lit, when};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::dataset::Dataset;
use crate::expr::col;

/// What `explode` makes of lists besides their elements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExplodeOptions {
    /// Whether a null or empty list gives a row with a null; else it gives none.
    pub outer: bool,
    /// A column of this name with the position of each element, from 0.
    pub index: Option<String>,
}

impl Default for ExplodeOptions {
    fn default() -> Self {
        Self { outer: true, index: None }
    }
}

impl Dataset {
    /// One row for each element of these columns of lists or maps; other columns repeat. Several columns go side by
    /// side, shorter ones filled up with nulls. A map `m` becomes the columns `m_key` and `m_value`.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] for a column of another type;
    /// [`sheaf_core::ErrorKind::InvalidInput`] when two columns would have one name.
    pub fn explode(&self, columns: &[&str], options: &ExplodeOptions) -> Result<Self> {
        self.check_columns(columns.iter().copied())?;
        self.check_lists(columns)?;
        if columns.is_empty() {
            return Err(
                Error::invalid("explode makes rows of a column's lists").with_hint("name one or several columns")
            );
        }
        if let Some(index) = options.index.as_ref().filter(|index| self.columns().contains(*index)) {
            let message = format!("there is a column {index:?} already");
            return Err(Error::invalid(message).with_hint("name the position of the elements otherwise: index=\"at\""));
        }
        let lists = self.as_lists(columns, options)?;
        let unnest = UnnestOptions::new().with_preserve_nulls(options.outer);
        let names = columns.iter().copied().chain(options.index.as_deref()).map(Column::new_unqualified).collect();
        let exploded = lists.then(|plan| plan.unnest_columns_with_options(names, unnest))?;
        let schema = self.schema();
        let maps: Vec<&str> = schema.fields().iter().filter(|field| is_map(field)).map(|f| f.name().as_str()).collect();
        let maps: Vec<&str> = columns.iter().copied().filter(|name| maps.contains(name)).collect();
        if maps.is_empty() {
            return Ok(exploded);
        }
        exploded.in_place(&maps, |_, name| {
            ["key", "value"].map(|part| (part.to_string(), format!("{name}_{part}"))).to_vec()
        })
    }

    /// The fields of these columns of structs as columns, in their place. A null struct gives nulls.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::UnknownColumn`]; [`sheaf_core::ErrorKind::TypeMismatch`] for a column of another type;
    /// [`sheaf_core::ErrorKind::InvalidInput`] when two columns would have one name.
    pub fn unnest(&self, columns: &[&str]) -> Result<Self> {
        self.check_columns(columns.iter().copied())?;
        let schema = self.schema();
        let named = |field: &Field| columns.contains(&field.name().as_str());
        let is_struct = |field: &Field| matches!(field.data_type(), DataType::Struct(_));
        if let Some(field) = schema.fields().iter().find(|field| named(field) && !is_struct(field)) {
            let message = format!("unnest takes structs, and {:?} is {}", field.name(), field.data_type());
            return Err(Error::new(ErrorKind::TypeMismatch, message).with_hint("explode makes rows of lists and maps"));
        }
        self.in_place(columns, |data_type, _| match data_type {
            DataType::Struct(fields) => fields.iter().map(|f| (f.name().clone(), f.name().clone())).collect(),
            _ => Vec::new(),
        })
    }

    /// All columns, those of structs with columns of their fields in their place: as `fields` says, field and name.
    fn in_place(&self, columns: &[&str], fields: impl Fn(&DataType, &str) -> Vec<(String, String)>) -> Result<Self> {
        let (mut output, mut names) = (Vec::new(), Vec::<String>::new());
        for field in self.schema().fields() {
            if !columns.contains(&field.name().as_str()) {
                output.push(col(field.name()));
                names.push(field.name().clone());
                continue;
            }
            for (part, name) in fields(field.data_type(), field.name()) {
                let value = get_field(col(field.name()), part);
                // The engine looks at the field alone, which may have a value under a null struct.
                let value = match field.is_nullable() {
                    true => when(col(field.name()).is_not_null(), value).end().map_err(from_datafusion)?,
                    false => value,
                };
                output.push(value.alias(&name));
                names.push(name);
            }
        }
        if let Some((_, twice)) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
            return Err(Error::invalid(format!("there would be two columns of the name {twice:?}"))
                .with_hint("rename one of them first"));
        }
        self.select(output)
    }

    fn check_lists(&self, columns: &[&str]) -> Result<()> {
        let schema = self.schema();
        let no_list = schema.fields().iter().find(|field| {
            columns.contains(&field.name().as_str())
                && !field.data_type().is_list()
                && !field.data_type().is_null()
                && !is_map(field)
        });
        match no_list {
            Some(field) => {
                let message = format!("explode takes lists, and {:?} is {}", field.name(), field.data_type());
                let hint = match field.data_type() {
                    DataType::Struct(_) => "unnest makes columns of a struct's fields",
                    _ => "text becomes a list by .str.split(…), other columns by make_array",
                };
                Err(Error::new(ErrorKind::TypeMismatch, message).with_hint(hint))
            }
            None => Ok(()),
        }
    }

    /// Maps as lists of their entries, and the positions. The engine drops the row of an empty list and keeps that of a
    /// null one: where both are to give a row, empty ones become null.
    fn as_lists(&self, columns: &[&str], options: &ExplodeOptions) -> Result<Self> {
        let schema = self.schema();
        let fields: Vec<_> = schema.fields().iter().filter(|field| columns.contains(&field.name().as_str())).collect();
        let lists = fields.iter().filter_map(|field| {
            let list = match field.data_type() {
                DataType::Map(..) => map_entries(col(field.name())),
                // The engine takes no column without a type apart.
                DataType::Null => lit(ScalarValue::new_null_list(DataType::Null, true, 1)),
                _ => return None,
            };
            Some((field.name().clone(), list))
        });
        let listed = self.with_columns(lists.collect::<Vec<_>>())?;
        let listed = match &options.index {
            Some(index) => {
                let lengths = fields.iter().filter(|field| !field.data_type().is_null());
                let lengths: Vec<Expr> =
                    lengths.map(|field| cast(array_length(col(field.name())), DataType::Int64)).collect();
                let length = if lengths.len() > 1 { Some(greatest(lengths)) } else { lengths.into_iter().next() };
                let none = || lit(ScalarValue::new_null_list(DataType::Int64, true, 1));
                let positions = length.map_or_else(none, |length| range(lit(0_i64), length, lit(1_i64)));
                listed.with_column(index, positions)?
            }
            None => listed,
        };
        if !options.outer {
            return Ok(listed);
        }
        let schema = listed.schema();
        let is_meant = |name: &str| columns.contains(&name) || options.index.as_deref() == Some(name);
        let fields = schema.fields().iter().filter(|field| is_meant(field.name()));
        let can_be_empty = |kind: &DataType| matches!(kind, DataType::List(_) | DataType::LargeList(_));
        let filled = fields.filter(|field| can_be_empty(field.data_type())).map(|field| {
            let null = ScalarValue::try_new_null(field.data_type()).map_err(from_datafusion)?;
            let filled = when(array_empty(col(field.name())), lit(null)).otherwise(col(field.name()));
            Ok((field.name().clone(), filled.map_err(from_datafusion)?))
        });
        listed.with_columns(filled.collect::<Result<Vec<_>>>()?)
    }
}

fn is_map(field: &Field) -> bool {
    matches!(field.data_type(), DataType::Map(..))
}

//! Columns of Python objects: pickled bytes that an extension type of Arrow marks, which a Python process alone reads.
//!
//! To read a pickle runs what is in it. So the mark is taken off columns of files, which may come from anywhere, and no
//! file is written with it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Schema, SchemaRef};
use arrow_schema::extension::{EXTENSION_TYPE_METADATA_KEY, EXTENSION_TYPE_NAME_KEY};
use sheaf_core::{Error, ErrorKind};

/// The name of the extension type.
pub const PYTHON_OBJECT: &str = "sheaf.python_object";

/// Whether the column is one of Python objects.
#[must_use]
pub fn is_object(field: &Field) -> bool {
    field.metadata().get(EXTENSION_TYPE_NAME_KEY).is_some_and(|name| name == PYTHON_OBJECT)
}

/// Whether the column is one of Python objects, or has such inside.
#[must_use]
pub fn holds_objects(field: &Field) -> bool {
    is_object(field) || inner(field.data_type()).iter().any(|field| holds_objects(field))
}

fn inner(kind: &DataType) -> Vec<&FieldRef> {
    match kind {
        DataType::Struct(fields) => fields.iter().collect(),
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _)
        | DataType::Map(field, _) => vec![field],
        _ => Vec::new(),
    }
}

/// What a place that cannot hold Python objects says of a column of them.
#[must_use]
pub fn refused(column: &str, by: &str) -> Error {
    Error::new(ErrorKind::TypeMismatch, format!("the column {column:?} holds Python objects, which {by}"))
        .with_hint(format!("leave it out: exclude({column:?}), or make values of one type of it before: map(…)"))
}

/// The same columns as bytes, which nobody takes for objects.
#[must_use]
pub fn without_objects(schema: &SchemaRef) -> SchemaRef {
    if !schema.fields().iter().any(|field| is_object(field)) {
        return Arc::clone(schema);
    }
    let plain = |field: &FieldRef| {
        if !is_object(field) {
            return Arc::clone(field);
        }
        let mut metadata = field.metadata().clone();
        metadata.remove(EXTENSION_TYPE_NAME_KEY);
        metadata.remove(EXTENSION_TYPE_METADATA_KEY);
        Arc::new(field.as_ref().clone().with_metadata(metadata))
    };
    let fields: Vec<FieldRef> = schema.fields().iter().map(plain).collect();
    Arc::new(Schema::new_with_metadata(fields, schema.metadata().clone()))
}

//! The table as Parquet: typed columns, of which any cell may be empty.

use super::table::{Flat, Table, flat_names, flat_rows};
use crate::value::python_float;
use parquet::basic::{Compression, LogicalType, Repetition, Type as Physical};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType, DoubleType, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::types::Type;
use std::sync::Arc;

/// The bytes of the file.
///
/// # Errors
/// Where the library refuses, which it has no reason to.
pub fn render(table: &Table) -> Result<Vec<u8>> {
    let names = flat_names(table);
    let rows: Vec<Vec<Flat>> = flat_rows(table).collect();
    let column = |place: usize| rows.iter().map(move |row| row.get(place).unwrap_or(&Flat::Nothing));
    let kinds: Vec<Kind> = (0..names.len()).map(|place| Kind::of(column(place))).collect();
    let fields = names.iter().zip(&kinds).map(|(name, kind)| {
        let (physical, logical) = match kind {
            Kind::Bool => (Physical::BOOLEAN, None),
            Kind::Int => (Physical::INT64, None),
            Kind::Float => (Physical::DOUBLE, None),
            Kind::Text => (Physical::BYTE_ARRAY, Some(LogicalType::String)),
        };
        let field = Type::primitive_type_builder(name, physical).with_repetition(Repetition::OPTIONAL);
        field.with_logical_type(logical).build().map(Arc::new)
    });
    let schema = Type::group_type_builder("results").with_fields(fields.collect::<Result<_>>()?).build()?;
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let mut writer = SerializedFileWriter::new(Vec::new(), Arc::new(schema), Arc::new(properties))?;
    let mut group = writer.next_row_group()?;
    for (place, kind) in kinds.iter().enumerate() {
        match kind {
            Kind::Bool => add::<BoolType>(&mut group, column(place), |value| match value {
                Flat::Bool(bool) => Some(*bool),
                _ => None,
            })?,
            Kind::Int => add::<Int64Type>(&mut group, column(place), |value| match value {
                Flat::Int(int) => Some(*int),
                _ => None,
            })?,
            Kind::Float => add::<DoubleType>(&mut group, column(place), |value| match value {
                #[expect(clippy::cast_precision_loss, reason = "it stands among numbers that are not whole")]
                Flat::Int(int) => Some(*int as f64),
                Flat::Float(float) => Some(*float),
                _ => None,
            })?,
            Kind::Text => add::<ByteArrayType>(&mut group, column(place), |value| {
                Some(ByteArray::from(
                    match value {
                        Flat::Nothing => return None,
                        Flat::Bool(bool) => bool.to_string(),
                        Flat::Int(int) => int.to_string(),
                        Flat::Float(float) => python_float(*float),
                        Flat::Text(text) => text.clone(),
                    }
                    .into_bytes(),
                ))
            })?,
        }
    }
    group.close()?;
    writer.into_inner()
}

/// What all values of a column are.
enum Kind {
    Bool,
    Int,
    Float,
    Text,
}

impl Kind {
    fn of<'a>(values: impl Iterator<Item = &'a Flat> + Clone) -> Self {
        let all = |is: fn(&Flat) -> bool| values.clone().all(|value| *value == Flat::Nothing || is(value));
        match () {
            () if all(|_| false) => Kind::Float,
            () if all(|value| matches!(value, Flat::Bool(_))) => Kind::Bool,
            () if all(|value| matches!(value, Flat::Int(_))) => Kind::Int,
            () if all(|value| matches!(value, Flat::Int(_) | Flat::Float(_))) => Kind::Float,
            () => Kind::Text,
        }
    }
}

/// Writes a column.
fn add<'a, T: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: impl Iterator<Item = &'a Flat>,
    take: impl Fn(&Flat) -> Option<T::T>,
) -> Result<()> {
    let values: Vec<Option<T::T>> = values.map(take).collect();
    let levels: Vec<i16> = values.iter().map(|value| i16::from(value.is_some())).collect();
    let present: Vec<T::T> = values.into_iter().flatten().collect();
    if let Some(mut column) = group.next_column()? {
        column.typed::<T>().write_batch(&present, Some(&levels), None)?;
        column.close()?;
    }
    Ok(())
}

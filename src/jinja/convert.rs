//! Values on their way into templates, and back.

use crate::value::Value;
use minijinja::value::{Object, ObjectRepr, ValueKind};
use minijinja::{Error, ErrorKind};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// What minijinja answers, also where it does not: a few filters and slices panic over absurd numbers.
///
/// # Errors
/// Its own, or that it panicked.
pub(crate) fn guarded<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    // Nothing that it was working on is used again: an environment does not change, and a context is a copy.
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| {
        Err(Error::new(ErrorKind::InvalidOperation, "it cannot be reckoned out: is a number in it far too large?"))
    })
}

/// A value as minijinja has it.
pub(crate) fn to_jinja(value: &Value) -> minijinja::Value {
    use minijinja::Value as V;
    match value {
        Value::Null => V::from(()),
        Value::Bool(flag) => V::from(*flag),
        Value::Int(int) => i64::try_from(*int).map_or_else(|_| V::from(*int), V::from),
        Value::BigInt(digits) => V::from_object(Digits(digits.clone())),
        Value::Float(float) => V::from(*float),
        Value::String(text) => V::from(text.as_str()),
        Value::List(items) => V::from(items.iter().map(to_jinja).collect::<Vec<_>>()),
        Value::Map(map) => V::from_pairs(map.iter().map(|(key, value)| (key.as_str(), to_jinja(value)))),
    }
}

/// An integer that no type of minijinja's holds: it prints, and cannot be reckoned with.
#[derive(Debug)]
struct Digits(String);

impl Object for Digits {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A value that a template made.
///
/// # Errors
/// Where a mapping or sequence of its own cannot be read.
pub(crate) fn from_jinja(value: &minijinja::Value) -> Result<Value, Error> {
    if let Some(Digits(digits)) = value.downcast_object_ref() {
        return Ok(Value::BigInt(digits.clone()));
    }
    Ok(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Value::Null,
        ValueKind::Bool => Value::Bool(value.is_true()),
        ValueKind::Number if value.is_integer() => match i128::try_from(value.clone()) {
            Ok(int) => Value::Int(int),
            Err(_) => Value::BigInt(value.to_string()),
        },
        ValueKind::Number => Value::Float(f64::try_from(value.clone())?),
        ValueKind::Seq | ValueKind::Iterable => {
            Value::List(value.try_iter()?.map(|item| from_jinja(&item)).collect::<Result<_, _>>()?)
        }
        ValueKind::Map => Value::Map(
            value
                .try_iter()?
                .map(|key| Ok((key.to_string(), from_jinja(&value.get_item(&key)?)?)))
                .collect::<Result<_, Error>>()?,
        ),
        _ => Value::String(value.to_string()),
    })
}

//! How the parts of [`Slurm`](super::Slurm) that serde cannot carry by itself lie in a plan.

use crate::value::Value;
use serde::ser::Serializer;
use std::path::PathBuf;

/// A path for messages: one that is no text must not keep the whole record from being written.
#[expect(clippy::ref_option, reason = "serde calls it so")]
pub(super) fn path<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => serializer.serialize_some(&path.to_string_lossy()),
        None => serializer.serialize_none(),
    }
}

/// Free values as JSON texts: they may hold numbers that no JSON library keeps.
pub(super) mod values {
    use super::{Serializer, Value};
    use serde::de::{Deserialize as _, Deserializer, Error as _};
    use std::collections::BTreeMap;

    pub(crate) fn serialize<S: Serializer>(values: &BTreeMap<String, Value>, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(values.iter().map(|(key, value)| (key, value.to_json())))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, Value>, D::Error> {
        let texts = BTreeMap::<String, String>::deserialize(deserializer)?;
        let read = |(key, text): (String, String)| Ok((key, Value::from_json(&text).map_err(D::Error::custom)?));
        texts.into_iter().map(read).collect()
    }
}

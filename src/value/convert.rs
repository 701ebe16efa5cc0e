//! Values made of Rust's own types and looked into: `From`, serde, accessors, indexing.
//!
//! It must not decide what a text means: that is JSON's or YAML's reader.

use super::{Map, Value};
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};
use std::fmt;
use std::ops::Index;

impl Value {
    /// A value of anything that serde can write; numbers that are not finite survive, unlike in JSON.
    ///
    /// # Errors
    /// Where its `Serialize` fails, or a mapping has keys that are no scalars.
    ///
    /// ```
    /// use cw2::Value;
    /// #[derive(serde::Serialize)]
    /// struct Checkpoint { epoch: u32, loss: f64 }
    /// let value = Value::of(&Checkpoint { epoch: 3, loss: f64::NAN }).unwrap();
    /// assert_eq!(value.to_json(), r#"{"epoch":3,"loss":NaN}"#);
    /// ```
    pub fn of<T: Serialize + ?Sized>(value: &T) -> anyhow::Result<Value> {
        from_yaml(serde_yaml::to_value(value)?)
    }

    /// What a mapping has under this key; `None` where there is no such key, or this is no mapping.
    ///
    /// ```
    /// use cw2::Value;
    /// let params = Value::from_pairs([("net", Value::from_pairs([("width", 64)]))]);
    /// assert_eq!(params.get("net").and_then(|net| net.get("width")).and_then(Value::as_i64), Some(64));
    /// assert_eq!(params["net"]["width"].as_f64(), Some(64.0));
    /// assert!(params["optimizer"]["lr"].is_null());
    /// ```
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.as_map()?.get(key)
    }

    /// Whether it is null.
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// The truth value it is.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(bool) => Some(*bool),
            _ => None,
        }
    }

    /// The integer it is, where 64 bits hold it.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Value::Int(int) => i64::try_from(*int).ok(),
            _ => None,
        }
    }

    /// The number it is, an integer too; integers beyond 2^53 are rounded.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(float) => Some(*float),
            #[expect(clippy::cast_precision_loss, reason = "documented")]
            Value::Int(int) => Some(*int as f64),
            Value::BigInt(digits) => digits.parse().ok(),
            _ => None,
        }
    }

    /// The text it is.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Value::String(text) => Some(text),
            _ => None,
        }
    }

    /// The sequence it is.
    pub fn as_list(&self) -> Option<&[Value]> {
        match self {
            Value::List(items) => Some(items),
            _ => None,
        }
    }

    /// The mapping it is.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Value::Map(map) => Some(map),
            _ => None,
        }
    }
}

/// What stands where nothing is.
static NULL: Value = Value::Null;

/// Null where there is no such key, as in `serde_json`: never a panic.
impl Index<&str> for Value {
    type Output = Value;

    fn index(&self, key: &str) -> &Value {
        self.get(key).unwrap_or(&NULL)
    }
}

/// Null where there is no such item.
impl Index<usize> for Value {
    type Output = Value;

    fn index(&self, index: usize) -> &Value {
        self.as_list().and_then(|items| items.get(index)).unwrap_or(&NULL)
    }
}

/// Integers beyond 128 bits are written as their digits.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Value::Null => serializer.serialize_unit(),
            Value::Bool(bool) => serializer.serialize_bool(*bool),
            Value::Int(int) => match (i64::try_from(*int), u64::try_from(*int)) {
                (Ok(int), _) => serializer.serialize_i64(int),
                (_, Ok(int)) => serializer.serialize_u64(int),
                _ => serializer.serialize_i128(*int),
            },
            Value::BigInt(digits) => serializer.serialize_str(digits),
            Value::Float(float) => serializer.serialize_f64(*float),
            Value::String(text) => serializer.serialize_str(text),
            Value::List(items) => serializer.collect_seq(items),
            Value::Map(map) => {
                let mut out = serializer.serialize_map(Some(map.len()))?;
                for (key, value) in map {
                    out.serialize_entry(key, value)?;
                }
                out.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        Value::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i128<E>(self, value: i128) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u128<E>(self, value: u128) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, value)) = access.next_entry::<Value, Value>()? {
            map.insert(key_text(key).map_err(A::Error::custom)?, value);
        }
        Ok(Value::Map(map))
    }
}

/// A key as text: mappings of other languages have numbers as keys, too.
fn key_text(key: Value) -> Result<String, &'static str> {
    match key {
        Value::String(text) => Ok(text),
        Value::List(_) | Value::Map(_) => Err("a key of a mapping must be a scalar"),
        scalar => Ok(scalar.to_json()),
    }
}

fn from_yaml(value: serde_yaml::Value) -> anyhow::Result<Value> {
    use serde_yaml::Value as Yaml;
    Ok(match value {
        // An enum's variant that holds something: as JSON has it.
        Yaml::Tagged(tagged) => {
            let name = tagged.tag.to_string();
            Value::from_pairs([(name.trim_start_matches('!'), from_yaml(tagged.value)?)])
        }
        Yaml::Sequence(items) => Value::List(items.into_iter().map(from_yaml).collect::<Result<_, _>>()?),
        Yaml::Mapping(map) => {
            let mut out = Map::new();
            for (key, value) in map {
                out.insert(key_text(from_yaml(key)?).map_err(anyhow::Error::msg)?, from_yaml(value)?);
            }
            Value::Map(out)
        }
        scalar => scalar.deserialize_any(AnyValue)?,
    })
}

impl From<serde_json::Value> for Value {
    fn from(json: serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Value::Null,
            Json::Bool(bool) => bool.into(),
            Json::Number(number) => match (number.as_i128(), number.as_f64()) {
                (Some(int), _) => int.into(),
                (None, Some(float)) => float.into(),
                (None, None) => number.to_string().into(),
            },
            Json::String(text) => text.into(),
            Json::Array(items) => items.into(),
            Json::Object(map) => Value::from_pairs(map),
        }
    }
}

macro_rules! from {
    ($($type:ty => $make:expr),* $(,)?) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                let make: fn($type) -> Value = $make;
                make(value)
            }
        }
    )*};
}

from! {
    bool => Value::Bool,
    f64 => Value::Float,
    f32 => |value| Value::Float(value.into()),
    i8 => |value| Value::Int(value.into()),
    i16 => |value| Value::Int(value.into()),
    i32 => |value| Value::Int(value.into()),
    i64 => |value| Value::Int(value.into()),
    i128 => Value::Int,
    // Not more than 64 bits on any machine.
    isize => |value| Value::Int(value as i128),
    u8 => |value| Value::Int(value.into()),
    u16 => |value| Value::Int(value.into()),
    u32 => |value| Value::Int(value.into()),
    u64 => |value| Value::Int(value.into()),
    u128 => |value| i128::try_from(value).map_or_else(|_| Value::BigInt(value.to_string()), Value::Int),
    usize => |value| Value::Int(value as i128),
    char => |value| Value::String(value.into()),
    String => Value::String,
    &String => |value| Value::String(value.clone()),
    &str => |value| Value::String(value.to_owned()),
    std::borrow::Cow<'_, str> => |value| Value::String(value.into_owned()),
    Map => Value::Map,
    () => |()| Value::Null,
}

impl<T: Into<Value>> From<Vec<T>> for Value {
    fn from(items: Vec<T>) -> Self {
        items.into_iter().collect()
    }
}

impl<T: Into<Value>, const N: usize> From<[T; N]> for Value {
    fn from(items: [T; N]) -> Self {
        items.into_iter().collect()
    }
}

impl<T: Into<Value> + Clone> From<&[T]> for Value {
    fn from(items: &[T]) -> Self {
        items.iter().cloned().collect()
    }
}

impl<T: Into<Value>> FromIterator<T> for Value {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        Value::List(items.into_iter().map(Into::into).collect())
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Null, Into::into)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(serde::Serialize)]
    #[serde(rename_all = "snake_case")]
    enum Optimizer {
        Sgd,
        Adam { beta: (f64, f64) },
        Named(String),
    }

    #[test]
    fn anything_that_serde_writes_becomes_a_value() {
        #[derive(serde::Serialize)]
        struct Everything<'a> {
            loss: f64,
            big: u64,
            small: i8,
            text: &'a str,
            none: Option<u8>,
            unit: (),
            letter: char,
            optimizers: Vec<Optimizer>,
            by_number: BTreeMap<u8, bool>,
        }
        let everything = Everything {
            loss: f64::NEG_INFINITY,
            big: u64::MAX,
            small: -1,
            text: "1e-3",
            none: None,
            unit: (),
            letter: 'é',
            optimizers: vec![Optimizer::Sgd, Optimizer::Adam { beta: (0.9, 1.0) }, Optimizer::Named("lion".to_owned())],
            by_number: BTreeMap::from([(3, true)]),
        };
        assert_eq!(
            Value::of(&everything).unwrap().to_json(),
            concat!(
                r#"{"loss":-Infinity,"big":18446744073709551615,"small":-1,"text":"1e-3","none":null,"unit":null,"letter":"é","#,
                r#""optimizers":["sgd",{"adam":{"beta":[0.9,1.0]}},{"named":"lion"}],"by_number":{"3":true}}"#
            )
        );
        assert!(Value::of(&BTreeMap::from([([1, 2], 3)])).is_err());
    }

    #[test]
    fn values_pass_through_serde() {
        let value = Value::from_json(r#"{"b":[1,-2.5,null,true,"x"],"a":{"big":18446744073709551615}}"#).unwrap();
        let json = serde_json::to_string(&value).unwrap();
        assert_eq!(json, value.to_json());
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), value);
        assert_eq!(Value::from(serde_json::from_str::<serde_json::Value>(&json).unwrap()), value);
        assert_eq!(Value::of(&value).unwrap(), value);
        assert_eq!(value.to::<Value>().unwrap(), value);
    }

    #[test]
    fn looking_into_a_value_never_panics() {
        let value = Value::from_json(r#"{"list":[1,"a"],"big":340282366920938463463374607431768211456}"#).unwrap();
        assert_eq!(value["list"][0].as_i64(), Some(1));
        assert_eq!(value["list"][1].as_str(), Some("a"));
        assert!(value["list"][2].is_null() && value["nothing"][7]["at all"].is_null());
        assert_eq!(value["big"].as_f64(), Some(2_f64.powi(128)));
        assert_eq!((value["big"].as_i64(), value["list"].as_bool()), (None, None));
    }

    #[test]
    fn ordinary_types_are_values() {
        assert_eq!(Value::from([1_u8, 2]).to_json(), "[1,2]");
        assert_eq!(Value::from(&["a", "b"][..]).to_json(), r#"["a","b"]"#);
        assert_eq!(Value::from(u128::MAX).to_json(), "340282366920938463463374607431768211455");
        assert_eq!(Value::from(Some("x")).to_json(), r#""x""#);
        assert_eq!((0..3).collect::<Value>().to_json(), "[0,1,2]");
    }
}

//! Values as Rust types, through serde: exact, integers of any size and non-finite numbers included.

use super::{Map, Value};
use serde::de::value::{Error, MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{
    DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, IntoDeserializer, Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use std::fmt;

/// Why a value is not of the type asked for, with the path to the part that is not.
///
/// ```
/// use cw2::value::Value;
/// let error = Value::from_pairs([("layers", vec![64, -1])]).to::<std::collections::BTreeMap<String, Vec<u8>>>().unwrap_err();
/// assert_eq!(error.path, "layers[1]");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypeError {
    /// Dotted, `.` for the value itself.
    pub path: String,
    /// What is wrong there.
    pub message: String,
}

impl fmt::Display for TypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.path.as_str() {
            "." => f.write_str(&self.message),
            path => write!(f, "`{path}`: {}", self.message),
        }
    }
}

impl std::error::Error for TypeError {}

impl Value {
    /// The value as a Rust type.
    ///
    /// # Errors
    /// Where it is not of that type, with the path to the part that is not.
    ///
    /// ```
    /// use cw2::value::Value;
    /// #[derive(serde::Deserialize)]
    /// struct Point { x: f64, y: f64 }
    /// let value = Value::from_pairs([("x", Value::from(0.5)), ("y", Value::from(2))]);
    /// let point: Point = value.to().unwrap();
    /// assert_eq!((point.x, point.y), (0.5, 2.0));
    /// ```
    pub fn to<T: DeserializeOwned>(&self) -> Result<T, TypeError> {
        serde_path_to_error::deserialize(self)
            .map_err(|error| TypeError { path: error.path().to_string(), message: error.into_inner().to_string() })
    }

    /// A mapping of these keys, in this order; of equal keys the last wins.
    ///
    /// ```
    /// use cw2::value::Value;
    /// assert_eq!(Value::from_pairs([("lr", 0.1)]).to_json(), r#"{"lr":0.1}"#);
    /// ```
    pub fn from_pairs<K: Into<String>, V: Into<Value>>(pairs: impl IntoIterator<Item = (K, V)>) -> Value {
        Value::Map(pairs.into_iter().map(|(key, value)| (key.into(), value.into())).collect::<Map>())
    }

    /// The same for `serde_json`, which has no number that is not finite and none beyond 64 bits: those become their texts.
    pub fn to_serde_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        let text = || Json::String(self.to_json());
        match self {
            Value::Null => Json::Null,
            Value::Bool(bool) => Json::Bool(*bool),
            Value::Int(int) => i64::try_from(*int)
                .map(Json::from)
                .or_else(|_| u64::try_from(*int).map(Json::from))
                .unwrap_or_else(|_| text()),
            Value::BigInt(_) => text(),
            Value::Float(float) => serde_json::Number::from_f64(*float).map_or_else(text, Json::Number),
            Value::String(text) => Json::String(text.clone()),
            Value::List(items) => Json::Array(items.iter().map(Value::to_serde_json).collect()),
            Value::Map(map) => {
                Json::Object(map.iter().map(|(key, value)| (key.clone(), value.to_serde_json())).collect())
            }
        }
    }
}

impl<'de> Deserializer<'de> for &'de Value {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Value::Null => visitor.visit_unit(),
            Value::Bool(bool) => visitor.visit_bool(*bool),
            Value::Int(int) => match (i64::try_from(*int), u64::try_from(*int)) {
                (Ok(int), _) => visitor.visit_i64(int),
                (_, Ok(int)) => visitor.visit_u64(int),
                _ => visitor.visit_i128(*int),
            },
            // No integer of Rust's holds it, a type of the user's own may read its digits.
            Value::BigInt(digits) => match digits.parse::<u128>() {
                Ok(int) => visitor.visit_u128(int),
                Err(_) => visitor.visit_borrowed_str(digits),
            },
            Value::Float(float) => visitor.visit_f64(*float),
            Value::String(text) => visitor.visit_borrowed_str(text),
            Value::List(items) => {
                let mut access = SeqDeserializer::new(items.iter());
                let value = visitor.visit_seq(&mut access)?;
                access.end().map(|()| value)
            }
            Value::Map(map) => {
                let mut access = MapDeserializer::new(map.iter().map(|(key, value)| (key.as_str(), value)));
                let value = visitor.visit_map(&mut access)?;
                access.end().map(|()| value)
            }
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Value::String(text) => visitor.visit_enum(Variant { name: text, value: None }),
            Value::Map(map) => match map.first() {
                Some((name, value)) if map.len() == 1 => visitor.visit_enum(Variant { name, value: Some(value) }),
                // Says what was expected in serde's own words.
                _ => MapAccessDeserializer::new(MapDeserializer::new(
                    map.iter().map(|(key, value)| (key.as_str(), value)),
                ))
                .deserialize_enum(name, variants, visitor),
            },
            other => other.deserialize_any(visitor),
        }
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier ignored_any
    }
}

impl<'de> IntoDeserializer<'de, Error> for &'de Value {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// A variant of an enum: its name, or a mapping of its name to what it holds.
struct Variant<'de> {
    name: &'de str,
    value: Option<&'de Value>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = Error;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Error> {
        let name: serde::de::value::StrDeserializer<'_, Error> = self.name.into_deserializer();
        Ok((seed.deserialize(name)?, self))
    }
}

impl<'de> Variant<'de> {
    fn content(&self) -> Result<&'de Value, Error> {
        let missing = || serde::de::Error::invalid_type(Unexpected::UnitVariant, &"a variant that holds a value");
        self.value.ok_or_else(missing)
    }
}

impl<'de> VariantAccess<'de> for Variant<'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.value.map_or(Ok(()), serde::Deserialize::deserialize)
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<S::Value, Error> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.content()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, Error> {
        self.content()?.deserialize_any(visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(rename_all = "snake_case")]
    enum Optimizer {
        Sgd,
        Adam { beta: (f64, f64) },
        Named(String),
    }

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Params {
        lr: f64,
        layers: Vec<u16>,
        optimizer: Optimizer,
        #[serde(default)]
        dropout: Option<f64>,
        big: u128,
        extra: BTreeMap<String, i8>,
    }

    fn value(text: &str) -> Value {
        Value::from_json(text).unwrap()
    }

    #[test]
    fn every_kind_of_type_is_read() {
        let params: Params = value(
            r#"{"lr": NaN, "layers": [64, 32], "optimizer": {"adam": {"beta": [0.9, 1]}}, "dropout": null,
                "big": 340282366920938463463374607431768211455, "extra": {"a": -1}}"#,
        )
        .to()
        .unwrap();
        assert!(params.lr.is_nan());
        assert_eq!((params.layers, params.dropout, params.big), (vec![64, 32], None, u128::MAX));
        assert_eq!(params.optimizer, Optimizer::Adam { beta: (0.9, 1.0) });
        assert_eq!(value(r#""sgd""#).to::<Optimizer>().unwrap(), Optimizer::Sgd);
        assert_eq!(value(r#"{"named": "lion"}"#).to::<Optimizer>().unwrap(), Optimizer::Named("lion".to_owned()));
        assert_eq!(value("18446744073709551615").to::<u64>().unwrap(), u64::MAX);
    }

    #[test]
    fn an_error_names_the_place() {
        let wrong = |text: &str| value(text).to::<Params>().unwrap_err().to_string();
        assert_eq!(wrong("[]"), "invalid length 0, expected struct Params with 6 elements");
        assert_eq!(wrong(r#"{"lr": 1, "layers": [1, "x"]}"#), "`layers[1]`: invalid type: string \"x\", expected u16");
        assert_eq!(
            wrong(r#"{"lr": 1, "layers": [70000]}"#),
            "`layers[0]`: invalid value: integer `70000`, expected u16"
        );
        assert!(wrong(r#"{"optimizer": "rmsprop"}"#).starts_with("`optimizer`: unknown variant `rmsprop`"));
        assert!(wrong(r#"{"optimizer": {}}"#).starts_with("`optimizer`: "));
        assert!(wrong(r#"{"optimizer": "adam"}"#).contains("a variant that holds a value"));
    }

    #[test]
    fn serde_json_gets_what_it_can_hold() {
        let json = value(r#"{"a": [1, 1.5, Infinity, 99999999999999999999], "b": null}"#).to_serde_json();
        assert_eq!(json.to_string(), r#"{"a":[1,1.5,"Infinity","99999999999999999999"],"b":null}"#);
    }
}

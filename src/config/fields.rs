//! The kinds of values that known keys have, each as a type that serde reads.
//!
//! Owns what each kind accepts and how it is named in a message ("must be …"; behind a semicolon, what to write).
//! It must not know keys or places.

use super::duration;
use serde::de::{self, Deserialize, Deserializer, Unexpected, Visitor};
use std::fmt;

/// Counts stop here: nothing that cw2 counts has more, and Slurm's own counters are no larger.
const MAX_COUNT: u64 = 1 << 31;

/// A whole number of at least `LEAST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Count<const LEAST: u32>(pub(super) u32);

impl<'de, const LEAST: u32> Deserialize<'de> for Count<LEAST> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct CountVisitor(u32);
        impl CountVisitor {
            fn check<E: de::Error>(&self, number: u64) -> Result<u32, E> {
                if number < u64::from(self.0) {
                    return Err(E::custom(format_args!("must be at least {}", self.0)));
                }
                match u32::try_from(number) {
                    Ok(small) if number < MAX_COUNT => Ok(small),
                    _ => Err(E::custom(format_args!("must be less than {MAX_COUNT}"))),
                }
            }
        }
        impl Visitor<'_> for CountVisitor {
            type Value = u32;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<u32, E> {
                self.check(number)
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<u32, E> {
                self.check(u64::try_from(number).map_err(|_| E::custom(format_args!("must be at least {}", self.0)))?)
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<u32, E> {
                match whole(number) {
                    Some(number) => self.visit_i64(number),
                    None => Err(E::invalid_type(Unexpected::Float(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(CountVisitor(LEAST)).map(Count)
    }
}

/// The number of iterations: a whole number of at least 1 that may be larger than other counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Iterations(pub(super) u64);

impl<'de> Deserialize<'de> for Iterations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct IterationsVisitor;
        impl Visitor<'_> for IterationsVisitor {
            type Value = u64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
                if number == 0 { Err(E::custom("must be at least 1")) } else { Ok(number) }
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<u64, E> {
                self.visit_u64(number.try_into().unwrap_or(0))
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<u64, E> {
                match whole(number) {
                    Some(number) => self.visit_i64(number),
                    None => Err(E::invalid_type(Unexpected::Float(number), &self)),
                }
            }
        }
        deserializer.deserialize_any(IterationsVisitor).map(Iterations)
    }
}

/// `1e6` is a number with a point to the parser and a count to its author.
fn whole(number: f64) -> Option<i64> {
    #[expect(clippy::cast_possible_truncation, reason = "whole and small enough to be exact")]
    (number.fract() == 0.0 && number.abs() <= 9e15).then_some(number as i64)
}

/// A time span in seconds: a number, or text such as `1h30m` or `01:30:00`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Seconds<const POSITIVE: bool>(pub(super) f64);

impl<'de, const POSITIVE: bool> Deserialize<'de> for Seconds<POSITIVE> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SecondsVisitor(bool);
        impl Visitor<'_> for SecondsVisitor {
            type Value = f64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a duration; write seconds, or text such as `90s`, `1h30m` or `01:30:00`")
            }
            fn visit_f64<E: de::Error>(self, seconds: f64) -> Result<f64, E> {
                // A thousand years: longer than any cluster lives, short enough for every clock.
                const LONGEST: f64 = 3.2e10;
                match seconds {
                    _ if seconds.is_nan() => Err(E::invalid_type(Unexpected::Float(seconds), &self)),
                    _ if self.0 && seconds <= 0.0 => Err(E::custom("must be more than 0")),
                    _ if seconds < 0.0 => Err(E::custom("must not be negative")),
                    _ if seconds > LONGEST => Err(E::custom("must be less than a thousand years")),
                    _ => Ok(seconds),
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "such large numbers are refused")]
            fn visit_u64<E: de::Error>(self, seconds: u64) -> Result<f64, E> {
                self.visit_f64(seconds as f64)
            }
            #[expect(clippy::cast_precision_loss, reason = "such large numbers are refused")]
            fn visit_i64<E: de::Error>(self, seconds: i64) -> Result<f64, E> {
                self.visit_f64(seconds as f64)
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
                match duration::seconds(text) {
                    Some(seconds) => self.visit_f64(seconds),
                    None => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(SecondsVisitor(POSITIVE)).map(Seconds)
    }
}

/// A slot's GPUs: a whole number, or a fraction below 1 for slots that share one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Gpus(pub(super) f64);

impl<'de> Deserialize<'de> for Gpus {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct GpusVisitor;
        impl Visitor<'_> for GpusVisitor {
            type Value = f64;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a fraction below 1")
            }
            fn visit_f64<E: de::Error>(self, number: f64) -> Result<f64, E> {
                match number {
                    _ if number < 0.0 => Err(E::custom("must not be negative")),
                    _ if number > 4096.0 => Err(E::custom("must be at most 4096")),
                    _ if number.fract() == 0.0 || number < 1.0 => Ok(number),
                    _ => Err(E::invalid_type(Unexpected::Float(number), &self)),
                }
            }
            #[expect(clippy::cast_precision_loss, reason = "such large numbers are refused")]
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<f64, E> {
                self.visit_f64(number as f64)
            }
            #[expect(clippy::cast_precision_loss, reason = "such large numbers are refused")]
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<f64, E> {
                self.visit_f64(number as f64)
            }
        }
        deserializer.deserialize_any(GpusVisitor).map(Gpus)
    }
}

/// True or false.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Switch(pub(super) bool);

impl<'de> Deserialize<'de> for Switch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct SwitchVisitor;
        impl Visitor<'_> for SwitchVisitor {
            type Value = bool;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("true or false")
            }
            fn visit_bool<E: de::Error>(self, on: bool) -> Result<bool, E> {
                Ok(on)
            }
        }
        deserializer.deserialize_any(SwitchVisitor).map(Switch)
    }
}

/// `retries`: how often, and how long to wait.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Retries {
    pub(super) count: u32,
    pub(super) delay: Option<f64>,
}

impl<'de> Deserialize<'de> for Retries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct RetriesVisitor;
        impl<'de> Visitor<'de> for RetriesVisitor {
            type Value = Retries;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a whole number, or a mapping with `count` and `delay`")
            }
            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Retries, E> {
                let Count(count) = Count::<0>::deserialize(de::value::U64Deserializer::new(number))?;
                Ok(Retries { count, delay: None })
            }
            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Retries, E> {
                self.visit_u64(u64::try_from(number).map_err(|_| E::custom("must be at least 0"))?)
            }
            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Retries, A::Error> {
                let mut retries = Retries { count: 1, delay: None };
                while let Some(key) = map.next_key::<String>()? {
                    match key.as_str() {
                        "count" => retries.count = map.next_value::<Count<0>>()?.0,
                        "delay" => retries.delay = Some(map.next_value::<Seconds<false>>()?.0),
                        _ => {
                            let message = format!("has the unknown key `{key}`: it knows `count` and `delay`");
                            return Err(de::Error::custom(message));
                        }
                    }
                }
                Ok(retries)
            }
        }
        deserializer.deserialize_any(RetriesVisitor)
    }
}

/// SLURM's `time`, in Slurm's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct TimeLimit(pub(super) String);

impl<'de> Deserialize<'de> for TimeLimit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TimeVisitor;
        impl Visitor<'_> for TimeVisitor {
            type Value = String;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a time limit; write minutes, or text such as `1:30:00`, `2-12` or `UNLIMITED`")
            }
            fn visit_u64<E: de::Error>(self, minutes: u64) -> Result<String, E> {
                let Count(minutes) = Count::<1>::deserialize(de::value::U64Deserializer::new(minutes))?;
                Ok(format!("{}:{:02}:00", minutes / 60, minutes % 60))
            }
            fn visit_i64<E: de::Error>(self, minutes: i64) -> Result<String, E> {
                self.visit_u64(u64::try_from(minutes).unwrap_or(0))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
                match duration::slurm_time(text) {
                    Some(_) => Ok(text.to_owned()),
                    None => Err(E::invalid_value(Unexpected::Str(text), &self)),
                }
            }
        }
        deserializer.deserialize_any(TimeVisitor).map(TimeLimit)
    }
}

/// An amount of memory in Slurm's form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Memory(pub(super) String);

impl<'de> Deserialize<'de> for Memory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MemoryVisitor;
        impl Visitor<'_> for MemoryVisitor {
            type Value = String;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an amount of memory; write megabytes, or text such as `4G`")
            }
            fn visit_u64<E: de::Error>(self, megabytes: u64) -> Result<String, E> {
                Ok(megabytes.to_string())
            }
            fn visit_i64<E: de::Error>(self, _: i64) -> Result<String, E> {
                Err(E::custom("must not be negative"))
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
                let number = text.strip_suffix(['b', 'B']).filter(|rest| rest.ends_with(|c: char| c.is_alphabetic()));
                let number = number.unwrap_or(text);
                let number = number.strip_suffix(|c: char| "kmgtKMGT".contains(c)).unwrap_or(number);
                if !number.is_empty() && number.chars().all(|c| c.is_ascii_digit()) {
                    Ok(text.to_owned())
                } else {
                    Err(E::invalid_value(Unexpected::Str(text), &self))
                }
            }
        }
        deserializer.deserialize_any(MemoryVisitor).map(Memory)
    }
}

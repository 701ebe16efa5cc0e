//! The arrays of a manifest, where a long plan has thousands that differ only in their numbers: the first of those is written,
//! with how many times it comes.

use super::bundle::script_name;
use super::record::ArrayRecord;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most arrays that a manifest is believed to have.
const MOST: usize = 1 << 20;

#[derive(Serialize, Deserialize)]
struct Repeated<R> {
    #[serde(flatten)]
    first: R,
    #[serde(default = "once", skip_serializing_if = "is_once")]
    times: u32,
}

fn once() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde wants it so")]
fn is_once(times: &u32) -> bool {
    *times == 1
}

/// The array behind `first`, where it is one of the same kind. `place` counts from 0.
fn next(first: &ArrayRecord, place: usize, after: u32, of: usize) -> ArrayRecord {
    let offset = first.offset.saturating_add(first.jobs.saturating_mul(after.into()));
    ArrayRecord { script: script_name(place + after as usize + 1, of), offset, ..first.clone() }
}

pub(super) fn serialize<S: Serializer>(arrays: &[ArrayRecord], serializer: S) -> Result<S::Ok, S::Error> {
    let mut all: Vec<(usize, Repeated<&ArrayRecord>)> = Vec::new();
    for (place, array) in arrays.iter().enumerate() {
        match all.last_mut() {
            Some((start, Repeated { first, times })) if *array == next(first, *start, *times, arrays.len()) => {
                *times += 1;
            }
            _ => all.push((place, Repeated { first: array, times: 1 })),
        }
    }
    serializer.collect_seq(all.into_iter().map(|(_, repeated)| repeated))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ArrayRecord>, D::Error> {
    let all = Vec::<Repeated<ArrayRecord>>::deserialize(deserializer)?;
    let count = all.iter().fold(0_usize, |sum, repeated| sum.saturating_add(repeated.times as usize));
    if count > MOST {
        return Err(D::Error::custom(format_args!("it has {count} arrays, more than {MOST}")));
    }
    let mut arrays = Vec::with_capacity(count);
    for Repeated { first, times } in all {
        let place = arrays.len();
        let others = (1..times).map(|after| next(&first, place, after, count)).collect::<Vec<_>>();
        if times > 0 {
            arrays.push(first);
        }
        arrays.extend(others);
    }
    Ok(arrays)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Head(#[serde(with = "super")] Vec<ArrayRecord>);

    fn array(script: &str, offset: u64, jobs: u64) -> ArrayRecord {
        ArrayRecord { script: script.to_owned(), offset, jobs, code: None, num_parallel_jobs: None, pilots: None }
    }

    #[test]
    fn many_arrays_take_a_line() {
        let mut arrays: Vec<_> =
            (0..1200).map(|place| array(&script_name(place + 1, 1202), place as u64 * 7, 7)).collect();
        arrays.push(array("sbatch_1201.sh", 8400, 3));
        arrays.push(array("odd.sh", 8403, 3));
        let text = serde_json::to_string(&Head(arrays)).unwrap();
        assert_eq!(
            text,
            r#"[{"script":"sbatch_0001.sh","offset":0,"jobs":7,"times":1200},{"script":"sbatch_1201.sh","offset":8400,"jobs":3},{"script":"odd.sh","offset":8403,"jobs":3}]"#
        );
        let Head(read) = serde_json::from_str(&text).unwrap();
        assert_eq!((read.len(), read[1199].offset, read[1199].script.as_str()), (1202, 8393, "sbatch_1200.sh"));
        assert_eq!(serde_json::to_string(&Head(read)).unwrap(), text);
        assert!(serde_json::from_str::<Head>(r#"[{"script":"s","offset":0,"jobs":1,"times":4000000000}]"#).is_err());
    }
}

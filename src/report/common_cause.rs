//! What repetitions that failed alike have in common, and those that went well do not: "all 6 have width=64; none of the other 12".
//!
//! It only counts. That two things go together is no proof that one is the other's cause; so both counts are always told.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::fmt;

/// What is known of a repetition: a parameter's or another property's name (`host`) and its value as text, each name once.
pub type Facts = Vec<(String, String)>;

/// Something that the failed have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Common {
    /// What it is: `width=64`, `width≥64`, `width=64 and opt=sgd`.
    pub what: String,
    /// How many of the failed have it, and how many of them there are.
    pub failed: (usize, usize),
    /// The same of the others.
    pub others: (usize, usize),
}

/// More than so many would be read by nobody.
const TOLD: usize = 3;

/// What goes together with the failure by chance in one of so many sweeps is not told.
const BY_CHANCE: f64 = 0.01;

impl fmt::Display for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (have, failed) = self.failed;
        let all = if have == failed { format!("all {failed}") } else { format!("{have} of {failed}") };
        let verb = if have == 1 { "has" } else { "have" };
        write!(f, "{all} {verb} {}; ", self.what)?;
        match self.others {
            (0, others) => write!(f, "none of the other {others}"),
            (have, others) => write!(f, "{have} of the other {others}"),
        }
    }
}

/// What the `failed` have in common, the most telling first; `others` went well. Nothing where one alone failed, or nothing went
/// well: then everything would be in common.
pub fn common(failed: &[&Facts], others: &[&Facts]) -> Vec<Common> {
    if failed.len() < 2 || others.is_empty() {
        return Vec::new();
    }
    let mut found: Vec<(f64, Common)> = Vec::new();
    for name in names(failed) {
        let best = values(&name, failed, others).chain(thresholds(&name, failed, others));
        let told = best.map(|common| (chance(&common), common)).filter(|(chance, common)| is_told(*chance, common));
        found.extend(told.min_by(order));
    }
    if !found.iter().any(|(_, common)| separates(common))
        && let Some(both) = together(failed, others)
    {
        // It says all that its parts would.
        return vec![both];
    }
    found.sort_by(order);
    found.into_iter().take(TOLD).map(|(_, common)| common).collect()
}

/// All of the one side, none of the other.
fn separates(common: &Common) -> bool {
    common.failed.0 == common.failed.1 && common.others.0 == 0
}

fn is_told(chance: f64, common: &Common) -> bool {
    let share = |(have, of): (usize, usize)| as_float(have) / as_float(of);
    separates(common) || (chance < BY_CHANCE && share(common.failed) >= 0.5 && share(common.others) < 0.5)
}

/// What separates comes first, then what is the least likely by chance; a plain value before a threshold.
fn order(a: &(f64, Common), b: &(f64, Common)) -> Ordering {
    let plain = |common: &Common| usize::from(!common.what.contains('=') || common.what.contains(" and "));
    separates(&b.1).cmp(&separates(&a.1)).then_with(|| a.0.total_cmp(&b.0)).then_with(|| plain(&a.1).cmp(&plain(&b.1)))
}

fn names(failed: &[&Facts]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for (name, _) in failed.iter().flat_map(|facts| facts.iter()) {
        if known.insert(name.as_str()) {
            names.push(name.clone());
        }
    }
    names
}

fn value<'a>(facts: &'a Facts, name: &str) -> Option<&'a str> {
    facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

fn count<'a>(of: &[&'a Facts], name: &str) -> HashMap<&'a str, usize> {
    let mut counts = HashMap::new();
    for value in of.iter().filter_map(|facts| value(facts, name)) {
        *counts.entry(value).or_default() += 1;
    }
    counts
}

/// Each value that one of the failed has.
fn values<'a>(name: &'a str, failed: &'a [&Facts], others: &'a [&Facts]) -> impl Iterator<Item = Common> + 'a {
    let (have, rest) = (count(failed, name), count(others, name));
    let mut have: Vec<(&str, usize)> = have.into_iter().collect();
    have.sort_unstable();
    have.into_iter().map(move |(value, count)| Common {
        what: format!("{name}={value}"),
        failed: (count, failed.len()),
        others: (rest.get(value).copied().unwrap_or(0), others.len()),
    })
}

/// At least the smallest and at most the largest number that the failed have.
fn thresholds<'a>(name: &'a str, failed: &'a [&Facts], others: &'a [&Facts]) -> impl Iterator<Item = Common> + 'a {
    let numbers = |of: &[&Facts]| -> Option<Vec<f64>> { of.iter().map(|facts| number(value(facts, name)?)).collect() };
    let both = numbers(failed).zip(numbers(others));
    both.into_iter().flat_map(move |(bad, good)| {
        let (least, most) = range(&bad);
        let side = |sign: char, limit: f64, holds: &dyn Fn(f64) -> bool| Common {
            what: format!("{name}{sign}{limit}"),
            failed: (failed.len(), failed.len()),
            others: (good.iter().filter(|number| holds(**number)).count(), others.len()),
        };
        let sides = [side('≥', least, &|number| number >= least), side('≤', most, &|number| number <= most)];
        // Where all failed have one number, its own line tells it better.
        sides.into_iter().filter(move |_| least < most)
    })
}

/// A condition and what it is called.
type Named<'a> = (String, Box<dyn Fn(&Facts) -> bool + 'a>);

/// Values and limits that all the failed have, and none of the others all of: as few as are needed.
fn together(failed: &[&Facts], others: &[&Facts]) -> Option<Common> {
    let conditions = shared(failed);
    let (mut needed, mut left) = (Vec::new(), others.to_vec());
    while !left.is_empty() {
        let fitting = |(_, holds): &&Named<'_>| left.iter().filter(|facts| holds(facts)).count();
        let (what, holds) = conditions.iter().min_by_key(fitting)?;
        let before = left.len();
        left.retain(|facts| holds(facts));
        if left.len() == before {
            return None;
        }
        needed.push(what.clone());
    }
    (needed.len() > 1).then(|| Common {
        what: needed.join(" and "),
        failed: (failed.len(), failed.len()),
        others: (0, others.len()),
    })
}

/// What holds for all of them: a value that is the same, or the smallest and the largest number.
fn shared<'a>(failed: &[&'a Facts]) -> Vec<Named<'a>> {
    let mut conditions: Vec<Named<'a>> = Vec::new();
    for name in names(failed) {
        let texts: Vec<Option<&'a str>> = failed.iter().map(|facts| value(facts, &name)).collect();
        let Some(first) = texts.first().copied().flatten() else { continue };
        if texts.iter().all(|text| *text == Some(first)) {
            let what = format!("{name}={first}");
            conditions.push((what, Box::new(move |facts| value(facts, &name) == Some(first))));
            continue;
        }
        let numbers: Option<Vec<f64>> = texts.iter().map(|text| number((*text)?)).collect();
        let Some(numbers) = numbers else { continue };
        let (least, most) = range(&numbers);
        for (sign, limit) in [('≥', least), ('≤', most)] {
            let (what, name) = (format!("{name}{sign}{limit}"), name.clone());
            let holds = move |number: f64| if sign == '≥' { number >= limit } else { number <= limit };
            conditions.push((what, Box::new(move |facts| value(facts, &name).and_then(number).is_some_and(holds))));
        }
    }
    conditions
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

fn range(numbers: &[f64]) -> (f64, f64) {
    (numbers.iter().copied().fold(f64::MAX, f64::min), numbers.iter().copied().fold(f64::MIN, f64::max))
}

/// How likely at least so many of the failed have it if failing had nothing to do with it (Fisher's exact test, one-sided).
fn chance(common: &Common) -> f64 {
    let ((a, failed), (c, others)) = (common.failed, common.others);
    let (have, all) = (a + c, failed + others);
    let mut logs = vec![0.0; all + 1];
    for n in 1..=all {
        if let Some(before) = logs.get(n - 1).copied()
            && let Some(log) = logs.get_mut(n)
        {
            *log = before + as_float(n).ln();
        }
    }
    let log = |n: usize| logs.get(n).copied().unwrap_or(0.0);
    let choose = |n: usize, k: usize| log(n) - log(k) - log(n - k);
    (a..=have.min(failed))
        .filter(|k| have - k <= others)
        .map(|k| (choose(failed, k) + choose(others, have - k) - choose(all, have)).exp())
        .sum()
}

#[expect(clippy::cast_precision_loss, reason = "counts of repetitions are far below 2^52")]
fn as_float(n: usize) -> f64 {
    n as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts(text: &str) -> Facts {
        text.split_whitespace().filter_map(|fact| fact.split_once('=')).map(|(a, b)| (a.into(), b.into())).collect()
    }

    fn told(failed: &[&str], others: &[&str]) -> Vec<String> {
        let (failed, others): (Vec<_>, Vec<_>) =
            (failed.iter().map(|text| facts(text)).collect(), others.iter().map(|text| facts(text)).collect());
        let common = common(&failed.iter().collect::<Vec<_>>(), &others.iter().collect::<Vec<_>>());
        common.iter().map(Common::to_string).collect()
    }

    #[test]
    fn what_all_failed_have_and_no_other_is_told_first() {
        let failed =
            ["width=64 lr=1", "width=64 lr=2", "width=64 lr=1", "width=64 lr=2", "width=64 lr=1", "width=64 lr=2"];
        let others = ["width=8 lr=1", "width=16 lr=2"].repeat(6);
        assert_eq!(told(&failed, &others), ["all 6 have width=64; none of the other 12"]);
    }

    #[test]
    fn numbers_are_told_by_their_limit() {
        assert_eq!(
            told(&["lr=10", "lr=3", "lr=3.5"], &["lr=1", "lr=0.1", "lr=2.9"]),
            ["all 3 have lr≥3; none of the other 3"]
        );
        assert_eq!(told(&["lr=1", "lr=2"], &["lr=10", "lr=9", "lr=x"]), [] as [&str; 0]);
    }

    #[test]
    fn two_values_together_are_told_where_neither_alone_does_it() {
        assert_eq!(
            told(&["a=1 b=1 c=1", "a=1 b=1 c=2"], &["a=1 b=2 c=1", "a=2 b=1 c=2", "a=2 b=2 c=1"]),
            ["all 2 have a=1 and b=1; none of the other 3"]
        );
        let failed = ["w=128 lr=0.1", "w=128 lr=0.03", "w=128 lr=0.1"];
        let others = ["w=128 lr=0.01", "w=64 lr=0.1", "w=64 lr=0.03"].repeat(9);
        assert_eq!(told(&failed, &others), ["all 3 have w=128 and lr≥0.03; none of the other 27"]);
    }

    #[test]
    fn exceptions_are_counted() {
        let failed = ["host=n1", "host=n1", "host=n1", "host=n1", "host=n1", "host=n2"];
        let others = [&["host=n1"][..], &["host=n2", "host=n3"].repeat(8)].concat();
        assert_eq!(told(&failed, &others), ["5 of 6 have host=n1; 1 of the other 17"]);
    }

    #[test]
    fn nothing_is_told_where_nothing_can_be() {
        for (failed, others) in [
            (&["a=1"][..], &["a=2"][..]),
            (&["a=1", "a=1"], &[]),
            (&[], &["a=1"]),
            (&["a=1", "a=1"], &["a=1", "a=1"]),
            (&["a=1", "a=2"], &["a=1", "a=2"]),
            (&["", ""], &[""]),
        ] {
            assert_eq!(told(failed, others), [] as [&str; 0], "{failed:?} {others:?}");
        }
    }

    #[test]
    fn the_chance_is_fishers() {
        let common = |failed, others| Common { what: String::new(), failed, others };
        assert!((chance(&common((3, 4), (1, 4))) - 17.0 / 70.0).abs() < 1e-12);
        assert!((chance(&common((2, 2), (0, 2))) - 1.0 / 6.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn what_is_told_is_counted_right(failed in prop::collection::vec(0..4, 0..9), others in prop::collection::vec(0..4, 0..9)) {
            let facts = |of: &[i32]| of.iter().map(|a| vec![("a".to_owned(), a.to_string())]).collect::<Vec<Facts>>();
            let (bad, good) = (facts(&failed), facts(&others));
            for common in common(&bad.iter().collect::<Vec<_>>(), &good.iter().collect::<Vec<_>>()) {
                let conditions: Vec<(char, i32)> = common.what.split(" and ").map(|condition| {
                    let number = condition.trim_start_matches(|c: char| !c.is_ascii_digit()).parse().unwrap();
                    (condition.chars().nth(1).unwrap(), number)
                }).collect();
                let holds = |a: &&i32| conditions.iter().all(|(sign, number)| match sign {
                    '≥' => *a >= number,
                    '≤' => *a <= number,
                    _ => *a == number,
                });
                prop_assert_eq!(common.failed, (failed.iter().filter(holds).count(), failed.len()));
                prop_assert_eq!(common.others, (others.iter().filter(holds).count(), others.len()));
            }
        }
    }
}

//! Parameters as columns: flat, those that vary told from those that do not, in an order that people expect.

use crate::store::gather::Run;
use crate::value::Value;
use indexmap::IndexMap;
use std::cmp::Ordering;

/// The parameters of a run by their dotted names; lists stay whole.
pub fn flat(params: &Value) -> IndexMap<String, &Value> {
    fn add<'a>(value: &'a Value, path: &str, out: &mut IndexMap<String, &'a Value>) {
        match value {
            Value::Map(map) if !map.is_empty() => {
                for (key, value) in map {
                    let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                    add(value, &path, out);
                }
            }
            _ if path.is_empty() => {}
            value => drop(out.insert(path.to_owned(), value)),
        }
    }
    let mut out = IndexMap::new();
    add(params, "", &mut out);
    out
}

/// The parameter of this dotted name.
pub fn get<'a>(params: &'a Value, name: &str) -> Option<&'a Value> {
    // A key may hold dots of its own.
    params.get(name).or_else(|| {
        name.match_indices('.').find_map(|(dot, _)| {
            let (first, rest) = (name.get(..dot)?, name.get(dot + 1..)?);
            get(params.get(first)?, rest)
        })
    })
}

/// The names of all parameters, in the order they are first met.
pub fn names<'a>(runs: impl IntoIterator<Item = &'a Run>) -> Vec<String> {
    let mut names: IndexMap<String, ()> = IndexMap::new();
    for run in runs {
        for name in flat(&run.params).into_keys() {
            names.insert(name, ());
        }
    }
    names.into_keys().collect()
}

/// The names of the parameters that are not the same in all of these runs.
pub fn varying<'a>(runs: impl IntoIterator<Item = &'a Run> + Clone) -> Vec<String> {
    let mut seen: IndexMap<String, (&Value, usize, bool)> = IndexMap::new();
    let mut count = 0;
    for run in runs {
        count += 1;
        for (name, value) in flat(&run.params) {
            let known = seen.entry(name).or_insert((value, 0, false));
            known.1 += 1;
            known.2 |= !known.0.same(value);
        }
    }
    seen.into_iter().filter(|(_, (_, had, differs))| *differs || *had < count).map(|(name, _)| name).collect()
}

/// Numbers by size, then texts by their letters, then the rest by what is written; what is missing comes first.
pub fn compare(a: Option<&Value>, b: Option<&Value>) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Null => 0,
        Value::Bool(_) => 1,
        Value::Int(_) | Value::BigInt(_) | Value::Float(_) => 2,
        Value::String(_) => 3,
        Value::List(_) | Value::Map(_) => 4,
    };
    match (a, b) {
        (Some(a), Some(b)) => rank(a).cmp(&rank(b)).then_with(|| match (a.as_f64(), b.as_f64()) {
            (Some(a), Some(b)) => a.total_cmp(&b),
            _ => text(a).cmp(&text(b)),
        }),
        (a, b) => a.is_some().cmp(&b.is_some()),
    }
}

/// A parameter as it is shown: a text without quotes, all else as JSON.
pub fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_json(),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A run of an experiment `e` with these parameters.
    pub(crate) fn run(params: &str) -> Run {
        let params = Value::from_json(params).unwrap();
        let name = format!("e__{}", params.to_json());
        Run { experiment: "e".to_owned(), name, params, repetitions: 3, objective: None, sources: None }
    }

    #[test]
    fn parameters_are_columns() {
        let runs = [
            run(r#"{"lr": 1, "net": {"width": 16, "kind": "mlp"}, "layers": [1, 2], "empty": {}}"#),
            run(r#"{"lr": 1.0, "net": {"width": 32, "kind": "mlp"}, "layers": [1, 3], "empty": {}}"#),
        ];
        assert_eq!(names(&runs), ["lr", "net.width", "net.kind", "layers", "empty"]);
        assert_eq!(varying(&runs), ["net.width", "layers"]);
        // What some do not have varies.
        assert_eq!(varying([&runs[0], &run(r#"{"lr": 1}"#)]), ["net.width", "net.kind", "layers", "empty"]);
        assert_eq!(get(&runs[0].params, "net.width"), Some(&Value::Int(16)));
        assert_eq!(get(&Value::from_json(r#"{"a.b": {"c": 1}}"#).unwrap(), "a.b.c"), Some(&Value::Int(1)));
        assert_eq!(get(&runs[0].params, "net.depth"), None);
    }

    #[test]
    fn values_are_in_order() {
        let mut values: Vec<Value> = ["\"b\"", "10", "2.5", "true", "[1]", "\"a\"", "null", "-1"]
            .map(|json| Value::from_json(json).unwrap())
            .to_vec();
        values.sort_by(|a, b| compare(Some(a), Some(b)));
        let shown: Vec<_> = values.iter().map(text).collect();
        assert_eq!(shown, ["null", "true", "-1", "2.5", "10", "a", "b", "[1]"]);
        assert_eq!(compare(None, Some(&Value::Null)), Ordering::Less);
    }
}

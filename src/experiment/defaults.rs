//! `defaults`: parameters that were added later, at values that the program had anyway.
//!
//! Owns when two sets of parameters are the same but for them.

use crate::value::Value;

/// Whether two sets of parameters are the same where neither is told apart by `defaults`: a parameter that has its default is
/// as good as missing.
pub fn same_but_for(defaults: &Value, a: &Value, b: &Value) -> bool {
    if !matches!(defaults, Value::Map(_)) {
        return a == b;
    }
    without(defaults, a) == without(defaults, b)
}

/// The parameters without those that have their defaults; `None` for a mapping that holds nothing else.
fn without(defaults: &Value, params: &Value) -> Option<Value> {
    match (defaults, params) {
        (Value::Map(defaults), Value::Map(map)) if !defaults.is_empty() => {
            let mut rest = map.clone();
            for (key, default) in defaults {
                let Some(value) = rest.get(key) else { continue };
                match without(default, value) {
                    Some(value) => rest.insert(key.clone(), value),
                    None => rest.shift_remove(key),
                };
            }
            (!rest.is_empty()).then_some(Value::Map(rest))
        }
        (Value::Map(_), _) => Some(params.clone()),
        _ => (!params.same(defaults)).then(|| params.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::testing::value;

    #[test]
    fn what_has_its_default_is_as_good_as_missing() {
        let same = |defaults: &str, a: &str, b: &str| same_but_for(&value(defaults), &value(a), &value(b));
        let defaults = r#"{"drop": 0.0, "net": {"bias": true}}"#;
        assert!(same(defaults, r#"{"lr": 1}"#, r#"{"drop": 0, "lr": 1, "net": {"bias": true}}"#));
        assert!(same(defaults, r#"{"net": {"h": 2}}"#, r#"{"drop": 0, "net": {"h": 2, "bias": true}}"#));
        assert!(!same(defaults, r#"{"lr": 1}"#, r#"{"lr": 1, "drop": 0.1}"#));
        assert!(!same(defaults, r#"{"lr": 1}"#, r#"{"lr": 2, "drop": 0.0}"#));
        assert!(!same(defaults, r#"{"net": {"h": 2}}"#, r#"{"net": {"h": 2, "bias": false}}"#));
        assert!(!same("{}", r#"{"lr": 1}"#, r#"{"lr": 1, "drop": 0}"#));
    }
}

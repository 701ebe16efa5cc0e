//! A JSON Schema of a configuration's documents, for editors: made from the key table, so that it knows every key.
//!
//! Owns what each kind of value in the table looks like to a schema. It describes shapes; what needs more than one key, a
//! file or the cluster is found when the configuration is read.

use super::keys::{KEYS, Key, SWEEPS, Scope};
use serde_json::{Map, Value, json};

/// The schema of one document: editors look at each by itself.
pub fn schema() -> Value {
    let named = |what: &str, name: Value| json!({ "allOf": [{ "$ref": definition(what) }, { "properties": { "name": name } }] });
    let named_so = |pattern: &str| json!({ "properties": { "name": { "type": "string", "pattern": pattern } }, "required": ["name"] });
    json!({
        // What editors know best.
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "cw2",
        "description": "A document of a configuration: an experiment, `DEFAULT`, which is merged under all of them, or `SLURM`, the cluster",
        "type": ["object", "null"],
        "required": ["name"],
        "properties": {
            "name": {
                "type": "string",
                "minLength": 1,
                "description": "the experiment's unique name; `DEFAULT` is merged under every experiment, `SLURM` (or `SLURM_<host>`) describes the cluster",
            },
        },
        "if": named_so("^[Dd][Ee][Ff][Aa][Uu][Ll][Tt]$"),
        "then": { "$ref": definition("experiment") },
        "else": {
            "if": named_so("^[Ss][Ll][Uu][Rr][Mm](_.*)?$"),
            "then": named("slurm", json!({ "not": { "pattern": "_$" } })),
            "else": named("experiment", json!({ "pattern": "^[^/\\u0000-\\u001f\\u007f]*[^/\\u0000-\\u001f\\u007f ][^/\\u0000-\\u001f\\u007f]*$", "not": { "enum": [".", "..", "plans"] } })),
        },
        "definitions": definitions(),
    })
}

fn definition(name: &str) -> String {
    format!("#/definitions/{name}")
}

/// The mappings of keys, and the kinds of values.
fn definitions() -> Value {
    let kinds = kinds();
    let mut all = Map::new();
    all.insert("experiment".to_owned(), keys(Scope::Experiment, &kinds));
    all.insert("slurm".to_owned(), keys(Scope::Slurm, &kinds));
    all.extend(kinds);
    Value::Object(all)
}

/// A mapping with the keys of a scope. Others are free: they are handed to the experiment, or to a template.
fn keys(scope: Scope, kinds: &Map<String, Value>) -> Value {
    let (mut properties, mut sweeps) = (Map::new(), Map::new());
    // Each document says of its own name what it must be.
    for key in KEYS.iter().filter(|key| key.scope == scope && key.name != "name") {
        if scope == Scope::Experiment && SWEEPS.contains(&key.name) {
            sweeps.insert(sweep_pattern(key.name), described(key, kinds));
        } else {
            properties.insert(key.name.to_owned(), described(key, kinds));
        }
    }
    json!({ "type": ["object", "null"], "properties": properties, "patternProperties": sweeps })
}

/// The keys that start with a sweep's name and are no keys of their own.
fn sweep_pattern(prefix: &str) -> String {
    let own = KEYS.iter().filter(|key| key.scope == Scope::Experiment && key.name != prefix);
    let own: Vec<_> = own.filter_map(|key| key.name.strip_prefix(prefix)).collect();
    if own.is_empty() { format!("^{prefix}") } else { format!("^{prefix}(?!(?:{})$)", own.join("|")) }
}

/// A key's value with what is said of it.
fn described(key: &Key, kinds: &Map<String, Value>) -> Value {
    let mut schema = Map::new();
    // Every kind has one: a test looks at them all.
    let kind = kind_of(key.kind, kinds).unwrap_or_default();
    let kind = if key.scope == Scope::Slurm && kind == "text" { "line" } else { kind.as_str() };
    let mut shape = vec![json!({ "$ref": definition(kind) })];
    let description = if key.default == "required" {
        shape.push(json!({ "not": { "type": "null" } }));
        shape.push(json!({ "if": { "type": "string" }, "then": { "pattern": "\\S" } }));
        format!("{} ({})", key.doc, key.kind)
    } else {
        if let Ok(default @ (Value::Number(_) | Value::Bool(_))) = serde_json::from_str(key.default) {
            schema.insert("default".to_owned(), default);
        }
        format!("{} ({}; default: {})", key.doc, key.kind, key.default)
    };
    schema.insert("description".to_owned(), description.into());
    schema.insert("allOf".to_owned(), shape.into());
    Value::Object(schema)
}

/// What each kind of value looks like, by its name among the schema's definitions. `$comment` has the words of the key table for
/// it. Nothing (null) is as good as a missing key, a sweep apart; a scalar is a text as it is written. Readers of YAML 1.2, as
/// editors have, take `yes` and `1_000` for texts.
fn kinds() -> Map<String, Value> {
    // A file of the program's own, which a test reads.
    serde_json::from_str(include_str!("kinds.json")).unwrap_or_default()
}

/// The name of a kind of value, by the words of the key table.
fn kind_of(words: &str, kinds: &Map<String, Value>) -> Option<String> {
    let found = kinds.iter().find(|(_, kind)| kind["$comment"] == words);
    found.map(|(name, _)| name.clone()).or_else(|| (words == "mapping of keys of SLURM").then(|| "slurm".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_has_a_schema() {
        let kinds = kinds();
        assert!(!kinds.is_empty(), "kinds.json cannot be read");
        for key in KEYS {
            assert!(
                kind_of(key.kind, &kinds).is_some(),
                "`{}` is of the kind `{}`, which the schema does not know: write what that looks like in kinds.json",
                key.name,
                key.kind
            );
        }
        let schema = schema();
        for key in KEYS.iter().filter(|key| key.name != "name") {
            let (scope, sweep) = match key.scope {
                Scope::Experiment => ("experiment", SWEEPS.contains(&key.name)),
                Scope::Slurm => ("slurm", false),
            };
            let of = |field: &str, name: &str| schema["definitions"][scope][field].get(name).cloned();
            let found =
                if sweep { of("patternProperties", &sweep_pattern(key.name)) } else { of("properties", key.name) };
            let description = found.expect(key.name)["description"].as_str().unwrap_or_default().to_owned();
            assert!(description.contains(key.doc) && description.contains(key.kind), "{}: {description}", key.name);
        }
    }

    #[test]
    fn no_definition_is_without_use() {
        let text = schema().to_string();
        for name in kinds().keys() {
            assert!(text.contains(&format!("\"{}\"", definition(name))), "{name}");
        }
    }

    #[test]
    fn a_key_of_its_own_is_no_sweep() {
        assert_eq!(sweep_pattern("grid"), "^grid");
        assert_eq!(sweep_pattern("ablative"), "^ablative(?!(?:_base)$)");
    }
}

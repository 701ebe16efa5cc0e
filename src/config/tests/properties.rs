//! Whatever the input: no panic, and what is written is read back unchanged.

use super::*;
use crate::config::traps::Traps;
use proptest::prelude::*;

/// Values of every kind, with the texts that parsers stumble over.
fn values() -> impl Strategy<Value = Value> {
    let big = (any::<bool>(), "[1-9][0-9]{39,60}");
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(|int| Value::Int(int.into())),
        any::<i128>().prop_map(Value::Int),
        big.prop_map(|(negative, digits)| Value::BigInt(if negative { format!("-{digits}") } else { digits })),
        any::<f64>().prop_map(Value::Float),
        prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0, 1e16, 1e-5]).prop_map(Value::Float),
        any::<String>().prop_map(Value::String),
        "[0-9.:eE+_x-]{1,8}".prop_map(Value::String),
        "(yes|No|~|null|<<|=|-|---|\\?|: |#a| a|a |a: b|a\nb|\r|\u{feff}|\u{85}|\u{7f}|\u{2028}|\u{10ffff}|\u{1f600}|\u{ffff}|\u{0})"
            .prop_map(Value::String),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        let key = prop_oneof![any::<String>(), "[a-z]{1,3}", "[ -~]{0,1500}"];
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::List),
            prop::collection::vec((key, inner), 0..5).prop_map(|entries| Value::Map(entries.into_iter().collect())),
        ]
    })
}

/// Whatever comes of it, it can be shown.
fn load_and_render(bytes: Vec<u8>) {
    let files = Files(HashMap::from([(PathBuf::from("c.yml"), bytes)]));
    let (Ok((_, report)) | Err(report)) = load(&files, Path::new("c.yml"), &request());
    report.render(true);
}

proptest! {
    #[test]
    fn json_comes_back(value in values()) {
        let json = value.to_json();
        let back = Value::from_json(&json).map_err(|error| TestCaseError::fail(format!("{error} in {json}")))?;
        prop_assert!(back.same(&value), "{json}");
        prop_assert_eq!(back.to_json(), json);
    }

    #[test]
    fn yaml_comes_back(value in values()) {
        let text = value.to_yaml();
        let nodes = crate::config::yaml::parse(&text, 0, &mut Traps::default())
            .map_err(|error| TestCaseError::fail(format!("{error:?} in {text}")))?;
        if value == Value::Null {
            prop_assert!(nodes.is_empty());
        } else {
            prop_assert_eq!(nodes.len(), 1);
            prop_assert!(nodes[0].to_value().same(&value), "{text}");
            prop_assert_eq!(nodes[0].to_value().to_json(), value.to_json());
        }
    }

    #[test]
    fn a_text_for_both_comes_back(value in values()) {
        let text = value.to_json_and_yaml();
        let json = Value::from_json(&text).map_err(|error| TestCaseError::fail(format!("{error} in {text}")))?;
        prop_assert_eq!(json.to_json(), value.to_json());
        if value != Value::Null && !text.contains("NaN") {
            let nodes = crate::config::yaml::parse(&text, 0, &mut Traps::default())
                .map_err(|error| TestCaseError::fail(format!("{error:?} in {text}")))?;
            prop_assert_eq!(nodes.len(), 1);
            prop_assert_eq!(nodes[0].to_value().to_json(), value.to_json());
        }
    }

    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        load_and_render(bytes);
    }

    #[test]
    fn any_text(text in any::<String>()) {
        load_and_render(text.clone().into_bytes());
        let _ = Value::from_json(&text);
    }

    #[test]
    fn text_like_yaml(
        text in "([a-c]|: |- |\n|  |\\[|\\]|\\{|\\}|,|'|\"|\\||>|&a |\\*a|!|!!str |#|\\?|%|---|\\.\\.\\.|<<|\r|\t|\u{feff}|\u{e9}|name: x\n|grid|0|1e5|\\\\){0,60}"
    ) {
        load_and_render(text.clone().into_bytes());
        let _ = Value::from_json(&text);
    }

    #[test]
    fn any_value_of_any_key(
        key in prop::sample::select(KEYS.iter().map(|key| key.name).collect::<Vec<_>>()),
        value in values(),
        in_slurm in any::<bool>(),
    ) {
        let mut entries: Map = [("name", "a"), ("path", "out"), ("command", "./run")]
            .map(|(key, value)| (key.to_owned(), Value::from(value)))
            .into_iter()
            .collect();
        entries.insert("repetitions".to_owned(), Value::Int(1));
        let entry = (key.to_owned(), value);
        if in_slurm {
            entries.insert("slurm".to_owned(), Value::Map([entry].into_iter().collect()));
        } else {
            entries.extend([entry]);
        }
        load_and_render(Value::Map(entries).to_yaml().into_bytes());
    }

    #[test]
    fn any_assignment(text in "[a-c.=\\[\\]{}: *&'\"0-9é-]{0,20}", params in any::<bool>()) {
        let text = if params { format!("params.{text}") } else { text };
        let request = Request { set: vec![text], ..request() };
        let (Ok((_, report)) | Err(report)) = load_files(&[("c.yml", GOOD)], &request);
        report.render(true);
    }
}

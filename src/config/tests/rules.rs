//! Values that are said by a rule, cases, and what is computed: what is read, and each message whole.

use super::*;

/// The values of the only axis of a sweep `grid: {a: …}`, as JSON.
fn values(rule: &str) -> String {
    let files = [
        ("c.yml", &*format!("{GOOD}import_path: sub/p.yml\ngrid: {{a: {rule}}}\n")),
        ("sub/p.yml", "name: DEFAULT\nlist: {b: {lines: seeds.txt}, c: {glob: 'conf/*.yaml'}}\n"),
        ("sub/seeds.txt", "\u{feff}# seeds\n1\r\n  0x10 \n\nno\n1e-3\nsome text # with a mark\n2024-01-31\n"),
        ("sub/conf/b.yaml", ""),
        ("sub/conf/a.yaml", ""),
        ("sub/conf/c.yml", ""),
    ];
    let (config, _) = load_files(&files, &request()).map_err(|report| report.render(false)).unwrap();
    let sweeps = &config.experiments[0].sweeps;
    let axis = sweeps.iter().find(|sweep| sweep.key == "grid").map(|sweep| &sweep.axes[0]).unwrap();
    Value::List(axis.values.iter().map(Node::to_value).collect()).to_json()
}

#[test]
fn rules_give_values() {
    for (rule, expected) in [
        ("{range: [0, 10, 4]}", "[0,4,8]"),
        ("{range: [3]}", "[0,1,2]"),
        ("{range: [3, 0, -1]}", "[3,2,1]"),
        ("{range: [0, 0.5, 0.1]}", "[0.0,0.1,0.2,0.3,0.4]"),
        ("{range: [1e-3, 3e-3, 1e-3]}", "[0.001,0.002]"),
        ("{linspace: [0, 1, 5]}", "[0.0,0.25,0.5,0.75,1.0]"),
        ("{linspace: [0, 0.9, 4]}", "[0.0,0.3,0.6,0.9]"),
        ("{linspace: [2, 9, 1]}", "[2.0]"),
        ("{logspace: [-4, -1, 4]}", "[0.0001,0.001,0.01,0.1]"),
        ("{geomspace: [1, 100, 3]}", "[1.0,10.0,100.0]"),
        ("{lines: sub/seeds.txt}", r#"[1,16,false,0.001,"some text # with a mark","2024-01-31"]"#),
        ("{glob: 'sub/conf/*.yaml'}", r#"["sub/conf/a.yaml","sub/conf/b.yaml"]"#),
    ] {
        assert_eq!(values(rule), expected, "{rule}");
    }
}

#[test]
fn files_are_relative_to_the_file_that_names_them() {
    let files = [
        ("c.yml", &*format!("{GOOD}import_path: sub/p.yml\n")),
        ("sub/p.yml", "name: DEFAULT\nlist: {b: {lines: seeds.txt}, c: {glob: 'conf/*.yaml'}}\n"),
        ("sub/seeds.txt", "7\n8"),
        ("sub/conf/b.yaml", ""),
        ("sub/conf/a.yaml", ""),
    ];
    let (config, _) = load_files(&files, &request()).unwrap();
    let [b, c] = config.experiments[0].sweeps[0].axes.as_slice() else { panic!("two axes") };
    let json = |axis: &Axis| Value::List(axis.values.iter().map(Node::to_value).collect()).to_json();
    assert_eq!((json(b), json(c)), ("[7,8]".to_owned(), r#"["sub/conf/a.yaml","sub/conf/b.yaml"]"#.to_owned()));
    // The file is one of the configuration's, and its lines are the places of its values.
    assert_eq!(config.files.last().unwrap().path, Path::new("sub/seeds.txt"));
    assert_eq!((b.values[1].at.line, b.values[1].at.column), (2, 1));
    assert_eq!(c.naming, Naming::Labels(vec!["a".to_owned(), "b".to_owned()]));
}

#[test]
fn a_rule_is_a_parameter_where_params_say_so() {
    let axes = |text: &str| -> Vec<_> {
        let e = one(&format!("{GOOD}{text}"), &request());
        e.sweeps[0].axes.iter().map(|axis| axis.path.join(".")).collect()
    };
    assert_eq!(axes("grid: {net: {range: [1, 3]}}\n"), ["net"]);
    assert_eq!(axes("params: {net: {range: 1}}\ngrid: {net: {range: [1, 3]}}\n"), ["net.range"]);
    assert_eq!(axes("params: {net: {}}\ngrid: {net: {range: [1, 3]}}\n"), ["net.range"]);
    assert_eq!(axes("grid: {net: {range: [1, 3], h: [1]}}\n"), ["net.range", "net.h"]);
    assert_eq!(axes("grid: {range: [1, 3]}\n"), ["range"]);
}

#[test]
fn rules_replace_one_another() {
    let merged = |below: &str, above: &str| {
        let text = format!("name: DEFAULT\ngrid: {{a: {below}}}\n---\n{GOOD}grid: {{a: {above}}}\n");
        let e = one(&text, &request());
        let axes = e.sweeps[0].axes.iter();
        axes.map(|axis| format!("{} {}", axis.path.join("."), axis.values.len())).collect::<Vec<_>>()
    };
    assert_eq!(merged("{range: [9]}", "{linspace: [0, 1, 3]}"), ["a 3"]);
    assert_eq!(merged("{range: [9]}", "{range: [2]}"), ["a 2"]);
    assert_eq!(merged("[1]", "{range: [2]}"), ["a 2"]);
    assert_eq!(merged("{range: [2]}", "[1]"), ["a 1"]);
    // As the original merges them.
    assert_eq!(merged("{range: [2]}", "{h: [1]}"), ["a.range 1", "a.h 1"]);
}

#[test]
fn what_is_wrong_with_a_rule() {
    for (rule, message) in [
        ("{range: 3}", "`grid.a.range` takes `[start, stop]` or `[start, stop, step]`, found the number `3`"),
        ("{range: [1, 2, 3, 4]}", "`grid.a.range` takes `[start, stop]` or `[start, stop, step]`, found a list of 4"),
        ("{range: [1, x]}", "`grid.a.range` takes `[start, stop]` or `[start, stop, step]`, found the text `x`"),
        ("{range: [1, 2, 0]}", "`grid.a.range` has a step of 0"),
        ("{range: [2, 1]}", "`grid.a.range` gives no values, so there would be no run"),
        ("{range: [1e12]}", "`grid.a.range` gives 1000000000000 values, more than 1000000"),
        ("{range: [0, 1, 1e-30]}", "`grid.a.range` holds a number with too many digits"),
        ("{linspace: [0, 1]}", "`grid.a.linspace` takes `[start, stop, count]`, found a list of 2"),
        ("{linspace: [0, 1, 2.5]}", "`grid.a.linspace` has a count that is no whole number"),
        ("{linspace: [0, 1, 0]}", "`grid.a.linspace` must give 1 to 1000000 values"),
        ("{geomspace: [0, 1, 3]}", "`grid.a.geomspace` must have ends above 0"),
        ("{logspace: [0, 400, 3]}", "`grid.a.logspace` gives values that no number holds"),
        ("{glob: 'no/*'}", "no file matches `no/*`"),
        ("{glob: 3}", "`grid.a.glob` must be text, found the number `3`"),
        ("{lines: no.txt}", "cannot read `no.txt`: no such file"),
        ("{lines: empty.txt}", "`empty.txt` holds no values, so there would be no run"),
    ] {
        let text = format!("{GOOD}grid: {{a: {rule}}}\n");
        let shown = import_errors(&[("c.yml", &text), ("empty.txt", "\n# none\n")], &request());
        assert!(shown.starts_with(&format!("error: {message}\n --> c.yml:5:")), "{rule}\n{shown}");
        assert_eq!(shown.matches("error").count(), 1, "{shown}");
    }
}

#[test]
fn what_is_nearly_a_rule_is_told() {
    for (sweep, help) in [
        ("grid: {a: {rnage: [0, 3]}}", "did you mean `range`?"),
        ("grid: {a: {uniform: [0, 3]}}", "distributions belong in a key that starts with `random`"),
        ("list: {a: {choice: [0, 3]}}", "write the list itself: `a: [value, …]`"),
    ] {
        let shown = warnings(&format!("{GOOD}{sweep}\n"), &request());
        assert!(
            shown.contains(&format!("help: {help}; if the parameter is meant, name it in `params` too")),
            "{shown}"
        );
        assert_eq!(warnings(&format!("{GOOD}params: {{a: {{}}}}\n{sweep}\n"), &request()), "");
    }
    let exponents = warnings(&format!("{GOOD}grid: {{a: {{logspace: [0.001, 0.1, 3]}}}}\n"), &request());
    assert!(exponents.contains("write `{geomspace: [0.001, 0.1, 3]}` for values between 0.001 and 0.1"), "{exponents}");
}

#[test]
fn keys_of_ones_own_stay_ones_own() {
    let own = "random_state: 3\nrandom: {crop: {size: 3}}\nrandom_crop: [1]\ncases: [1, 2]\ncases_dir: x\n\
               derive: {a: 1}\ndefaults: [a, b]\nseed: 5\ndevice: cuda\nspeed: 3\nwandb: {tags: [a]}\nbases: {x: 1}\n";
    let e = one(&format!("{GOOD}{own}"), &request());
    assert!(e.sweeps.is_empty() && e.derive.is_empty() && !e.paired_seeds);
    assert_eq!(e.defaults, Value::Map(Map::new()));
    let keys: Vec<_> = e.extra.keys().map(String::as_str).collect();
    assert_eq!(keys, own.lines().map(|line| line.split(':').next().unwrap()).collect::<Vec<_>>());
    let shown = warnings(&format!("{GOOD}{own}"), &request());
    let told: Vec<_> = shown.lines().filter(|line| line.starts_with(|c: char| c.is_alphabetic())).collect();
    assert_eq!(
        told,
        [
            "note: `random` is not a key of cw2: it is kept and passed on unchanged",
            "note: `derive` is not a key of cw2: it is kept and passed on unchanged",
            "note: `bases` is not a key of cw2: it is kept and passed on unchanged",
        ]
    );
}

#[test]
fn a_misspelt_sweep_is_told() {
    for (key, told) in [
        ("rnadom: {samples: 3, a: {uniform: [0, 1]}}", "did you mean `random`?"),
        ("randm_net: {samples: 3, a: {uniform: [0, 1]}}", "did you mean `random`?"),
        ("gird_net: {a: [1]}", "did you mean `grid`?"),
        ("case: [{params: {a: 1}}]", "did you mean `cases`?"),
        ("derived: {a: '{{ params.b }}'}", "did you mean `derive`?"),
        ("default: {a: 1}", "did you mean `defaults`?"),
        ("sweep: {a: [1]}", "values to combine in `grid`, `list`, `ablative`, `random` or `cases`"),
        ("sweep: {samples: 3}", "values to combine in `grid`, `list`, `ablative`, `random` or `cases`"),
    ] {
        let shown = warnings(&format!("{GOOD}{key}\n"), &request());
        assert!(shown.starts_with("warning: ") && shown.contains(told), "{key}\n{shown}");
    }
}

#[test]
fn cases_are_sweeps() {
    let e = one(
        &format!(
            "{GOOD}cases:\n- params: {{opt: adam, net: {{h: [1, 2]}}}}\n- params: {{opt: sgd}}\n  grid: {{m: [1, 2]}}\n- {{}}\n"
        ),
        &request(),
    );
    let [cases] = e.sweeps.as_slice() else { panic!("one sweep") };
    assert_eq!(cases.kind, SweepKind::Cases);
    let axes: Vec<Vec<_>> = cases
        .cases
        .iter()
        .map(|case| {
            case.iter()
                .flat_map(Sweep::each_axis)
                .map(|(sweep, axis)| format!("{} {}", sweep.key, axis.path.join(".")))
                .collect()
        })
        .collect();
    assert_eq!(axes, [vec!["cases opt", "cases net.h"], vec!["cases opt", "grid m"], vec![]]);
}

#[test]
fn what_is_wrong_with_a_case() {
    let shown = |text: &str| errors(&format!("{GOOD}{text}\n"), &request());
    assert_eq!(
        shown("cases: [{params: {a: 1}, parms: {b: 2}}]"),
        "error: a case of `cases` has no key `parms`
 --> c.yml:5:26
  |
5 | cases: [{params: {a: 1}, parms: {b: 2}}]
  |                          ^^^^^
  |
  = help: did you mean `params`?"
    );
    assert!(shown("cases: [{params: {a: 1}}, 3]").contains("each of `cases` must be a mapping, found the number `3`"));
    assert!(shown("cases: [{params: [1]}]").contains("`params` must be a mapping, found a list"));
    for twice in [
        "cases: [{params: {a: 1}}]\ngrid: {a: [1]}",
        "grid: {a: [1]}\ncases: [{params: {a: 1}}]",
        "cases: [{params: {a: 1}, grid: {a: [1]}}]",
        "random: {samples: 2, a: {uniform: [0, 1]}}\ngrid: {a: [1]}",
    ] {
        assert!(shown(twice).contains(" sweeps too\n"), "{twice}");
    }
    // Cases may set the same parameter: a run is of one of them.
    assert_eq!(warnings(&format!("{GOOD}cases: [{{params: {{a: 1}}}}, {{grid: {{a: [2]}}}}]\n"), &request()), "");
}

#[test]
fn what_is_wrong_with_computed_parameters() {
    let shown = |text: &str| errors(&format!("{GOOD}{text}\n"), &request());
    assert_eq!(
        shown("params: {a: 1}\nderive: {a: '{{ 2 }}'}"),
        "error: `a` stands in `params`, and is computed by `derive`
 --> c.yml:6:13
  |
6 | derive: {a: '{{ 2 }}'}
  |             ^^^^^^^^^
  |
 ::: c.yml:5:13
  |
5 | params: {a: 1}
  |             - in `params`
  |
  = help: remove one of the two; `null` in `derive` takes back what a parent computes"
    );
    assert!(
        shown("params: {a: 1}\nderive: {a: {b: '{{ 2 }}'}}")
            .contains("`derive` computes `a.b`, but `a` is the number `1`")
    );
    assert!(shown("grid: {a: [1]}\nderive: {a: '{{ 2 }}'}").contains("`derive` computes `a`, and `grid` sweeps `a`"));
    let child =
        format!("name: DEFAULT\nderive: {{a: '{{{{ 2 }}}}'}}\n---\n{GOOD}derive: {{a: null}}\nparams: {{a: 3}}\n");
    assert!(one(&child, &request()).derive.is_empty());
}

#[test]
fn a_template_in_params_is_told() {
    let shown = warnings(
        &format!(
            "{GOOD}params: {{a: 'x {{{{ params.b }}}}', p: '{{{{ question }}}}'}}\ngrid: {{c: ['{{{{seed}}}}', 1]}}\n"
        ),
        &request(),
    );
    assert_eq!(
        shown,
        "warning: `params.a` holds a template, which reaches the program as it is written; so does one more
 --> c.yml:5:13
  |
5 | params: {a: 'x {{ params.b }}', p: '{{ question }}'}
  |             ^^^^^^^^^^^^^^^^^^
  |
  = help: templates work in `derive` (for parameters), `command`, `env`, `workdir` and `launcher`"
    );
}

#[test]
fn defaults_are_parameters() {
    let e = one(
        &format!("{GOOD}defaults: {{drop: 0.0, net: {{b: 1, h: 2}}}}\nparams: {{net: {{h: 3}}}}\nseed: rep\n"),
        &request(),
    );
    assert_eq!(e.params.to_value().to_json(), r#"{"drop":0.0,"net":{"b":1,"h":3}}"#);
    assert!(e.paired_seeds);
}

//! What is wrong with a sweep. Each message whole, as its reader sees it.

use super::*;

#[test]
fn empty_axis() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
grid:
  lr: []
";
    assert_eq!(
        errors(text, &request()),
        "error: `grid.lr` has no values, so there would be no run
 --> c.yml:6:7
  |
6 |   lr: []
  |       ^^
  |
  = help: write at least one value, or remove the key"
    );
}

#[test]
fn scalar_leaf() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
grid:
  net:
    width: 64
";
    assert_eq!(
        errors(text, &request()),
        "error: `grid.net.width` must be a list of values, found the number `64`
 --> c.yml:7:12
  |
7 |     width: 64
  |            ^^
  |
  = help: write `[64]`"
    );
}

#[test]
fn sweep_is_no_mapping() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
listen_port: 80
";
    assert_eq!(
        errors(text, &request()),
        "error: `listen_port` must be a mapping with lists at its leaves, found the number `80`
 --> c.yml:5:14
  |
5 | listen_port: 80
  |              ^^
  |
  = help: keys that start with `grid`, `list` or `ablative` are sweeps; write `parameter: [value, …]`, or rename the key"
    );
}

#[test]
fn empty_sweep() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
grid: {net: {}}
";
    assert_eq!(
        errors(text, &request()),
        "error: `grid.net` is an empty mapping
 --> c.yml:5:13
  |
5 | grid: {net: {}}
  |             ^^
  |
  = help: name at least one parameter with its values, or remove the key"
    );
}

#[test]
fn sweep_through_a_scalar() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
params:
  net: resnet
grid:
  net:
    width: [32, 64]
";
    assert_eq!(
        errors(text, &request()),
        "error: `grid` sweeps `net.width`, but `net` is the text `resnet`
 --> c.yml:9:13
  |
9 |     width: [32, 64]
  |             ^^ swept here
  |
 ::: c.yml:6:8
  |
6 |   net: resnet
  |        ------ not a mapping
  |
  = help: make `net` a mapping, or sweep it as a whole"
    );
}

#[test]
fn sweep_through_a_sweep() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
list:
  net: [small, large]
grid:
  net:
    width: [32, 64]
";
    assert_eq!(
        errors(text, &request()),
        "error: `grid` sweeps `net.width` inside `net`, which is the text `small` in a sweep before it
 --> c.yml:9:13
  |
9 |     width: [32, 64]
  |             ^^ swept here
  |
 ::: c.yml:6:9
  |
6 |   net: [small, large]
  |         ----- not a mapping
  |
  = help: sweep `net` only with mappings, or only as a whole"
    );
}

#[test]
fn what_to_write_for_a_text_in_a_sweep() {
    for (value, help) in [
        ("sgd", "write `[sgd]`"),
        ("1.10", "write `[1.10]`"),
        ("conf/*.yaml", "write `{glob: conf/*.yaml}` for the files that match"),
        ("'a: b'", "write `[\"a: b\"]`"),
    ] {
        let rendered = errors(&format!("{GOOD}grid:\n  a: {value}\n"), &request());
        assert!(rendered.ends_with(&format!("  = help: {help}")), "{rendered}");
    }
}

#[test]
fn a_parameter_in_two_sweeps() {
    let text = |sweeps: &str| format!("{GOOD}{sweeps}\n");
    assert_eq!(
        errors(&text("grid: {opt: [sgd, adam]}\nlist:\n  opt: [adam]\n"), &request()),
        "error: `list` sweeps `opt`, which `grid` sweeps too
 --> c.yml:7:9
  |
7 |   opt: [adam]
  |         ^^^^ this value wins
  |
 ::: c.yml:5:14
  |
5 | grid: {opt: [sgd, adam]}
  |              --- names of runs would tell this one as well
  |
  = help: sweep each parameter once; `exclude` drops single combinations"
    );
    for (sweeps, clash) in [
        ("grid: {net: {width: [1]}}\nlist: {net: [{width: 2}]}", "`list` sweeps `net`, which `grid` sweeps too"),
        ("grid: {net: [{width: 2}]}\nlist: {net: {width: [1]}}", "`list` sweeps `net.width`, which `grid` sweeps too"),
        ("grid: {a: [1]}\nablative: {b: [1], a: [2]}", "`ablative` sweeps `a`, which `grid` sweeps too"),
    ] {
        let rendered = errors(&text(sweeps), &request());
        assert!(rendered.starts_with(&format!("error: {clash}\n")), "{rendered}");
    }
    // Neither name is untrue.
    one(&text("grid: {net: [{kind: a}, {kind: b}]}\nlist: {net: {width: [1]}, netto: [2]}"), &request());
}

#[test]
fn unequal_lists() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
list:
  lr: [1, 2, 3]
  net: {width: [32, 64]}
";
    assert_eq!(
        warnings(text, &request()),
        "warning: the lists of `list` differ in length: `lr` has 3, `net.width` has 2
 --> c.yml:5:1
  |
5 | list:
  | ^^^^
  |
  = help: only the first values of each (2) are combined; make the lists equally long"
    );
}

#[test]
fn set_what_a_sweep_sets() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
grid:
  lr: [1, 2]
";
    assert_eq!(
        warnings(text, &Request { set: vec!["params.lr=3".to_owned()], ..request() }),
        "warning: `grid` also sets `params.lr`, and the sweep wins
 --> --set:1:1
  |
1 | params.lr=3
  | ^^^^^^^^^
  |
 ::: c.yml:5:1
  |
5 | grid:
  | ---- the sweep
  |
  = help: set the sweep itself: `--set 'grid.lr=[value]'`"
    );
}

//! What is wrong with whole documents: names, doubles, selection, imports. Each message whole, as its reader sees it.

use super::*;

#[test]
fn missing_name() {
    let text = "path: out
---
name: a
";
    assert_eq!(
        errors(text, &request()),
        "error: document 1 has no `name`
 --> c.yml:1:1
  |
1 | path: out
  | ^^^^
  |
  = help: give it a `name`: `DEFAULT`, `SLURM` or the experiment's own"
    );
}

#[test]
fn two_defaults() {
    let text = "name: DEFAULT
---
name: a
---
name: default
";
    assert_eq!(
        errors(text, &request()),
        "error: there are two DEFAULT documents
 --> c.yml:5:7
  |
5 | name: default
  |       ^^^^^^^ again here
  |
 ::: c.yml:1:7
  |
1 | name: DEFAULT
  |       ------- first here
  |
  = help: rename or remove one of them"
    );
}

#[test]
fn two_slurms() {
    let text = "name: SLURM
---
name: slurm
";
    assert_eq!(
        errors(text, &request()),
        "error: there are two SLURM documents
 --> c.yml:3:7
  |
3 | name: slurm
  |       ^^^^^ again here
  |
 ::: c.yml:1:7
  |
1 | name: SLURM
  |       ----- first here
  |
  = help: rename or remove one of them"
    );
}

#[test]
fn two_experiments_of_one_name() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
---
name: a
path: out
repetitions: 2
command: ./run
";
    assert_eq!(
        errors(text, &request()),
        "error: there are two experiments named `a`
 --> c.yml:6:7
  |
6 | name: a
  |       ^ again here
  |
 ::: c.yml:1:7
  |
1 | name: a
  |       - first here
  |
  = help: rename or remove one of them"
    );
}

#[test]
fn name_with_slash() {
    let text = "name: a/b
path: out
repetitions: 2
command: ./run
";
    assert_eq!(
        errors(text, &request()),
        "error: an experiment cannot be named `a/b`: a `/` would split its results folder
 --> c.yml:1:7
  |
1 | name: a/b
  |       ^^^
  |
  = help: choose another name"
    );
}

#[test]
fn name_plans() {
    let text = "name: plans
path: out
repetitions: 2
command: ./run
";
    assert_eq!(
        errors(text, &request()),
        "error: an experiment cannot be named `plans`: its results would lie among the plans
 --> c.yml:1:7
  |
1 | name: plans
  |       ^^^^^
  |
  = help: choose another name"
    );
}

#[test]
fn name_is_a_number() {
    let text = "name: 12
path: out
repetitions: 2
command: ./run
";
    assert_eq!(
        errors(text, &request()),
        "error: `name` must be text, found the number `12`
 --> c.yml:1:7
  |
1 | name: 12
  |       ^^
  |
  = help: write the name in quotes"
    );
}

#[test]
fn unknown_experiment() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
---
name: exp_long
path: out
repetitions: 2
command: ./run
";
    assert_eq!(
        errors(text, &Request { experiments: vec!["exp_lnog".to_owned()], ..request() }),
        "error: there is no experiment `exp_lnog`
 --> c.yml:1:1
  |
1 | name: a
  | ^
  |
  = help: did you mean `exp_long`? the experiments are `a` and `exp_long`"
    );
}

#[test]
fn only_defaults() {
    let text = "name: DEFAULT
path: out
";
    assert_eq!(
        errors(text, &request()),
        "error: there is no experiment in this file
 --> c.yml:1:1
  |
1 | name: DEFAULT
  | ^
  |
  = help: add a document with a `name` other than DEFAULT and SLURM"
    );
}

#[test]
fn missing_path_and_repetitions() {
    let text = "name: DEFAULT
command: ./run
---
name: a
";
    assert_eq!(
        errors(text, &request()),
        "error: the experiment `a` has no `path`
 --> c.yml:4:1
  |
4 | name: a
  | ^^^^
  |
  = help: write where its results go, as in `path: results`

error: the experiment `a` has no `repetitions`
 --> c.yml:4:1
  |
4 | name: a
  | ^^^^
  |
  = help: write how often each run is repeated, as in `repetitions: 5`"
    );
}

#[test]
fn missing_command() {
    let text = "name: a
path: out
repetitions: 2
";
    assert_eq!(
        errors(text, &request()),
        "error: the experiment `a` has no `command`
 --> c.yml:1:1
  |
1 | name: a
  | ^^^^
  |
  = help: write what to run, as in `command: python train.py --config {{ config_file }}`; a class in Python is run by its own program: `python main.py CONFIG.yml`"
    );
}

#[test]
fn import_of_nothing() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
import_path: sub/none.yml
";
    assert_eq!(
        errors(text, &request()),
        "error: cannot read `sub/none.yml`: no such file
 --> c.yml:5:14
  |
5 | import_path: sub/none.yml
  |              ^^^^^^^^^^^^
  |
  = help: `import_path` is absolute or relative to the file it is written in"
    );
}

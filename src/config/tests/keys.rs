//! What is wrong with a key or its value. Each message whole, as its reader sees it.

use super::*;

#[test]
fn wrong_type() {
    let text = "name: a
path: out
repetitions: many
command: ./run
";
    assert_eq!(
        errors(text, &request()),
        "error: `repetitions` must be a whole number, found the text `many`
 --> c.yml:3:14
  |
3 | repetitions: many
  |              ^^^^
  |
  = help: write a whole number"
    );
}

#[test]
fn empty_command() {
    let text = "name: a
path: out
repetitions: 2
command: ''
";
    assert_eq!(
        errors(text, &request()),
        "error: `command` is empty
 --> c.yml:4:10
  |
4 | command: ''
  |          ^^
  |
  = help: write the program to run"
    );
}

#[test]
fn command_without_run() {
    let text = "name: a
path: out
repetitions: 2
command: {initialize: ./prepare}
";
    assert_eq!(
        errors(text, &request()),
        "error: `command` has no `run`
 --> c.yml:4:10
  |
4 | command: {initialize: ./prepare}
  |          ^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write what runs a repetition under `run`"
    );
}

#[test]
fn misspelt_command_part() {
    let text = "name: a
path: out
repetitions: 2
command: {rum: ./run}
";
    assert_eq!(
        errors(text, &request()),
        "error: `command` has no key `rum`
 --> c.yml:4:11
  |
4 | command: {rum: ./run}
  |           ^^^
  |
  = help: did you mean `run`?"
    );
}

#[test]
fn no_reps_per_job() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
reps_per_job: 0
";
    assert_eq!(
        errors(text, &request()),
        "error: `reps_per_job` must be at least 1
 --> c.yml:5:15
  |
5 | reps_per_job: 0
  |               ^
  |
  = help: change the value, or remove the key for its default"
    );
}

#[test]
fn too_many_repetitions() {
    let text = "name: a
path: out
repetitions: 3000000000
command: ./run
";
    assert_eq!(
        errors(text, &request()),
        "error: `repetitions` must be less than 2147483648
 --> c.yml:3:14
  |
3 | repetitions: 3000000000
  |              ^^^^^^^^^^
  |
  = help: change the value"
    );
}

#[test]
fn bad_duration() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
timeout: 3 weeks
";
    assert_eq!(
        errors(text, &request()),
        "error: `timeout` must be a duration, found the text `3 weeks`
 --> c.yml:5:10
  |
5 | timeout: 3 weeks
  |          ^^^^^^^
  |
  = help: write seconds, or text such as `90s`, `1h30m` or `01:30:00`"
    );
}

#[test]
fn no_timeout() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
timeout: 0
";
    assert_eq!(
        errors(text, &request()),
        "error: `timeout` must be more than 0
 --> c.yml:5:10
  |
5 | timeout: 0
  |          ^
  |
  = help: change the value, or remove the key for its default"
    );
}

#[test]
fn bad_retries() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
retries: {count: 2, delay: soon}
";
    assert_eq!(
        errors(text, &request()),
        "error: `retries.delay` must be a duration, found the text `soon`
 --> c.yml:5:28
  |
5 | retries: {count: 2, delay: soon}
  |                            ^^^^
  |
  = help: write seconds, or text such as `90s`, `1h30m` or `01:30:00`"
    );
}

#[test]
fn bad_signal() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
checkpoint_signal: SIGKILL
";
    assert_eq!(
        errors(text, &request()),
        "error: `checkpoint_signal` is `SIGKILL`, which cannot be caught
 --> c.yml:5:20
  |
5 | checkpoint_signal: SIGKILL
  |                    ^^^^^^^
  |
  = help: write a signal's name, as in `SIGUSR1`"
    );
}

#[test]
fn strict_misspelt_key() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
rep_per_job: 4
";
    assert_eq!(
        errors(text, &Request { strict: true, ..request() }),
        "error: `rep_per_job` is not a key of cw2
 --> c.yml:5:1
  |
5 | rep_per_job: 4
  | ^^^^^^^^^^^
  |
  = help: did you mean `reps_per_job`?"
    );
}

#[test]
fn misspelt_key() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
rep_per_job: 4
";
    assert_eq!(
        warnings(text, &request()),
        "warning: `rep_per_job` is not a key of cw2
 --> c.yml:5:1
  |
5 | rep_per_job: 4
  | ^^^^^^^^^^^
  |
  = help: did you mean `reps_per_job`? It is kept and passed on unchanged"
    );
}

#[test]
fn text_in_place_of_params() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
params: 5
";
    assert_eq!(
        errors(text, &request()),
        "error: `params` must be a mapping, found the number `5`
 --> c.yml:5:9
  |
5 | params: 5
  |         ^
  |
  = help: write `parameter: value`, one a line"
    );
}

#[test]
fn misspelt_key_beside_the_inherited_one() {
    let text = "name: DEFAULT
repetitions: 1
path: out
command: ./run
---
name: a
repetitons: 5
";
    assert_eq!(
        warnings(text, &request()),
        "warning: `repetitons` is not a key of cw2
 --> c.yml:7:1
  |
7 | repetitons: 5
  | ^^^^^^^^^^
  |
  = help: did you mean `repetitions`? It is kept and passed on unchanged"
    );
    // Written side by side, or not to be inherited: the user's own.
    assert_eq!(warnings(&format!("{GOOD}paths: [a]\nnames: [b]\n"), &request()), "");
    assert_eq!(warnings(&format!("name: DEFAULT\nnames: [b]\n---\n{GOOD}"), &request()), "");
}

#[test]
fn a_path_that_only_a_shell_would_expand() {
    let text = GOOD.replace("path: out", "path: ~/results");
    assert_eq!(
        errors(&text, &request()),
        "error: `path` is `~/results`, but `~` is not expanded here: it would become part of the folder's name
 --> c.yml:2:7
  |
2 | path: ~/results
  |       ^^^^^^^^^
  |
  = help: write the path out; a relative one starts at the working directory"
    );
    for (key, line) in [
        ("workdir", "workdir: $SCRATCH/{{ run }}"),
        ("import_path", "import_path: ~/base.yml"),
        ("slurm_log", "slurm: {slurm_log: '${SCRATCH}/logs'}"),
        ("path_to_template", "slurm: {path_to_template: ~/job.sh}"),
        ("experiment_copy_src", "slurm: {experiment_copy_src: /home/$USER}"),
        ("experiment_copy_dst", "slurm: {experiment_copy_dst: $HOME}"),
        ("experiment_copy_auto_dst", "slurm: {experiment_copy_auto_dst: ~me}"),
    ] {
        let rendered = errors(&format!("{GOOD}{line}\n"), &request());
        assert!(
            rendered.starts_with(&format!("error: `{key}` is `")) && rendered.contains(" expanded here: "),
            "{rendered}"
        );
    }
    // The shell reads it, or it is a name like any other.
    for line in ["slurm: {venv: $HOME/venv}", "workdir: a~b$", "workdir: 5$/x", "slurm: {sh_lines: cd ~}"] {
        one(&format!("{GOOD}{line}\n"), &request());
    }
}

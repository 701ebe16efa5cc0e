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
fn keys_in_the_other_kind_of_document() {
    assert_eq!(
        warnings(&format!("{GOOD}on_finish: ./mail\n"), &request()),
        "note: `on_finish` is a key of SLURM: here it asks for nothing, and is passed on unchanged
 --> c.yml:5:1
  |
5 | on_finish: ./mail
  | ^^^^^^^^^
  |
  = help: write it in the document `SLURM`, or for this experiment alone as `slurm: {on_finish: …}`"
    );
    assert_eq!(
        warnings(&format!("name: SLURM\nreps_per_job: 4\n---\n{GOOD}"), &request()),
        "warning: `reps_per_job` is not a key of SLURM: nothing uses it
 --> c.yml:2:1
  |
2 | reps_per_job: 4
  | ^^^^^^^^^^^^
  |
  = help: `reps_per_job` is a key of experiments: write it in one, or in `DEFAULT` for all"
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
    let text = GOOD.replace("path: out", "path: $SCRATCH/results");
    assert_eq!(
        errors(&text, &request()),
        "error: `path` is `$SCRATCH/results`, but variables of a shell are not expanded here: it would become part of the folder's name
 --> c.yml:2:7
  |
2 | path: $SCRATCH/results
  |       ^^^^^^^^^^^^^^^^
  |
  = help: write `${env:SCRATCH}` for an environment variable"
    );
    for (key, line) in [
        ("workdir", "workdir: $SCRATCH/{{ run }}"),
        ("import_path", "import_path: $HOME/base.yml"),
        ("slurm_log", "slurm: {slurm_log: '${SCRATCH}/logs'}"),
        ("path_to_template", "slurm: {path_to_template: $HOME/job.sh}"),
        ("experiment_copy_src", "slurm: {experiment_copy_src: /home/$USER}"),
        ("experiment_copy_dst", "slurm: {experiment_copy_dst: $HOME}"),
        ("experiment_copy_auto_dst", "slurm: {experiment_copy_auto_dst: ~me}"),
    ] {
        let rendered = errors(&format!("{GOOD}{line}\n"), &request());
        assert!(rendered.starts_with(&format!("error: `{key}` is `")), "{rendered}");
    }
    // The shell reads it, or it is a name like any other.
    for line in ["slurm: {venv: $HOME/venv}", "workdir: a~b$", "workdir: 5$/x", "slurm: {sh_lines: cd ~}"] {
        one(&format!("{GOOD}{line}\n"), &request());
    }
}

/// A request with an environment.
fn at_home() -> Request {
    let variables = [("HOME", "/home/u"), ("SCRATCH", "/scratch/u"), ("NODE", "n{{ 1 }}")];
    let variables = variables.map(|(name, value)| (name.into(), value.into())).into();
    Request { surroundings: Surroundings { variables, home_of: None }, ..request() }
}

#[test]
fn places_are_resolved_in_every_key_that_names_one() {
    let text = "name: DEFAULT
path: ${env:SCRATCH}/out
repetitions: 1
command: ./run ~ '${env:SCRATCH}'
params: {a: ~/data, b: '${env:SCRATCH}'}
own: ~/own
---
name: a
workdir: ~/work/{{ run }}
env: {DATA: '~/data:${env:SCRATCH}', WHERE: '${env:NODE}', N: 5}
slurm: {slurm_log: '${env:NO:-~/logs}'}
---
name: SLURM
venv: ~/venv
slurm_log: ${env:UNSET}
experiment_copy_src: ~
experiment_copy_dst: ${env:SCRATCH}/code
experiment_copy_auto_dst: ~/copies
sh_lines: cd ~
";
    let (config, report) = load_files(&[("c.yml", text)], &at_home()).unwrap();
    let experiment = &config.experiments[0];
    assert_eq!(experiment.path, "/scratch/u/out");
    assert_eq!(experiment.workdir.as_ref().unwrap().text, "/home/u/work/{{ run }}");
    let env: Vec<_> = experiment.env.iter().map(|(_, value)| value.text.as_str()).collect();
    assert_eq!(env, ["/home/u/data:/scratch/u", r#"{{ "n{{ 1 }}" }}"#, "5"]);
    let slurm = &experiment.slurm;
    assert_eq!(slurm.venv.as_deref(), Some("/home/u/venv"));
    // What the document says, an experiment's own replaces before it is looked at.
    assert_eq!(slurm.slurm_log.as_deref(), Some("/home/u/logs"));
    assert_eq!(slurm.experiment_copy_src, None);
    assert_eq!(slurm.experiment_copy_dst.as_deref(), Some("/scratch/u/code"));
    assert_eq!(slurm.experiment_copy_auto_dst.as_deref(), Some("/home/u/copies"));
    // Everything else stays as it is written.
    assert_eq!(slurm.sh_lines, ["cd ~"]);
    assert_eq!(experiment.params.to_value().to_json(), r#"{"a":"~/data","b":"${env:SCRATCH}"}"#);
    assert_eq!(experiment.extra.get("own").unwrap().as_str(), Some("~/own"));
    // What a repetition's configuration says is what holds.
    assert_eq!(experiment.origin.get("path").unwrap().as_str(), Some("/scratch/u/out"));
    assert_eq!(
        report.render(false),
        "warning: `experiment_copy_src: ~` sets nothing: a bare `~` is YAML's `null`
  --> c.yml:16:22
   |
16 | experiment_copy_src: ~
   |                      ^
   |
   = help: write `~/` or `\"~\"` for the home folder, `null` for nothing"
    );
}

#[test]
fn an_unset_variable_is_an_error_with_its_place() {
    let text = GOOD.replace("path: out", "path: ${env:NOWHERE}/out");
    assert_eq!(
        errors(&text, &at_home()),
        "error: `path` is `${env:NOWHERE}/out`, but the environment variable `NOWHERE` is not set
 --> c.yml:2:7
  |
2 | path: ${env:NOWHERE}/out
  |       ^^^^^^^^^^^^^^^^^^
  |
  = help: set it, or write what holds without it, as in `${env:NOWHERE:-/tmp}`"
    );
    let set = Request { set: vec!["env.X=${env:NOWHERE}".to_owned()], ..at_home() };
    let rendered = errors(GOOD, &set);
    assert!(
        rendered.starts_with("error: `env.X` is `${env:NOWHERE}`, but") && rendered.contains("--> --set:1:7"),
        "{rendered}"
    );
    let imports = [
        ("c.yml", &*format!("{GOOD}import_path: ${{env:SCRATCH}}/base.yml\n")),
        ("/scratch/u/base.yml", "name: DEFAULT\niterations: 7\n"),
    ];
    assert_eq!(load_files(&imports, &at_home()).unwrap().0.experiments[0].iterations, Some(7));
}

#[test]
fn flags_have_one_style_for_an_experiment() {
    let text = format!("{GOOD}flag_style: {{bools: pair, dashes: true, nested: '-'}}\n");
    let expected = FlagStyle { bools: Bools::Pair, dashes: true, nested: "-".to_owned(), ..FlagStyle::default() };
    assert_eq!(one(&text, &request()).flag_style, expected);
    assert_eq!(one(GOOD, &request()).flag_style, FlagStyle::default());
    for (style, place, expected) in [
        ("{bool: pair}", "c.yml:5:14", "`flags` have no option `bool`"),
        ("{bools: no}", "c.yml:5:21", "`bools` of `flags` is `false`, which it cannot be"),
        ("switch", "c.yml:5:13", "`flag_style` must be a mapping, found the text `switch`"),
    ] {
        let rendered = errors(&format!("{GOOD}flag_style: {style}\n"), &request());
        assert!(rendered.starts_with(&format!("error: {expected}\n --> {place}")), "{rendered}");
    }
}

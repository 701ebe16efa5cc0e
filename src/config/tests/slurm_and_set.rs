//! What is wrong in SLURM or on the command line. Each message whole, as its reader sees it.

use super::*;

#[test]
fn line_break_in_slurm() {
    let text = r#"name: a
path: out
repetitions: 2
command: ./run
---
name: SLURM
partition: "dev\n#SBATCH --wrap=id"
"#;
    assert_eq!(
        errors(text, &request()),
        r#"error: `partition` holds a line break, which would break the batch script
 --> c.yml:7:12
  |
7 | partition: "dev\n#SBATCH --wrap=id"
  |            ^^^^^^^^^^^^^^^^^^^^^^^^
  |
  = help: write it on one line; shell lines belong in `sh_lines`"#
    );
}

#[test]
fn slurm_option_in_shell_lines() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
---
name: SLURM
sh_lines:
- |
  # why
  #SBATCH --array=0-3
  export A=1
";
    assert_eq!(
        errors(text, &request()),
        "error: `sh_lines` holds an option for Slurm, not a line for the shell: `#SBATCH --array=0-3`
 --> c.yml:9:3
  |
9 |   # why
  |   ^^^^^
  |
  = help: give it a key of its own, or put it into `sbatch_args` as `option: value`"
    );
}

#[test]
fn option_in_slurm() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
---
name: SLURM
account: --wrap=id
";
    assert_eq!(
        errors(text, &request()),
        "error: `account` is `--wrap=id`, which Slurm could take for another option
 --> c.yml:7:10
  |
7 | account: --wrap=id
  |          ^^^^^^^^^
  |
  = help: a value may not start with `-`; other options belong in `sbatch_args`"
    );
}

#[test]
fn bad_sbatch_key() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
---
name: SLURM
sbatch_args:
  --gres: gpu:1
";
    assert_eq!(
        errors(text, &request()),
        "error: `--gres` cannot be an option of sbatch
 --> c.yml:8:3
  |
8 |   --gres: gpu:1
  |   ^^^^^^
  |
  = help: write it without the dashes: `gres`"
    );
}

#[test]
fn bad_slurm_time() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
---
name: SLURM
time: 1h
";
    assert_eq!(
        errors(text, &request()),
        "error: `time` must be a time limit, found the text `1h`
 --> c.yml:7:7
  |
7 | time: 1h
  |       ^^
  |
  = help: write minutes, or text such as `1:30:00`, `2-12` or `UNLIMITED`"
    );
}

#[test]
fn bad_memory() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
slurm:
  mem-per-cpu: lots
";
    assert_eq!(
        errors(text, &request()),
        "error: `mem-per-cpu` must be an amount of memory, found the text `lots`
 --> c.yml:6:16
  |
6 |   mem-per-cpu: lots
  |                ^^^^
  |
  = help: write megabytes, or text such as `4G`"
    );
}

#[test]
fn misspelt_slurm_key() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
slurm:
  cpu-per-task: 4
";
    assert_eq!(
        warnings(text, &request()),
        "warning: `cpu-per-task` is not a key of cw2
 --> c.yml:6:3
  |
6 |   cpu-per-task: 4
  |   ^^^^^^^^^^^^
  |
  = help: did you mean `cpus-per-task`? As it is, it asks Slurm for nothing; other options of sbatch belong in `sbatch_args`"
    );
}

#[test]
fn set_without_value() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
";
    assert_eq!(
        errors(text, &Request { set: vec!["params.lr".to_owned()], ..request() }),
        "error: an assignment needs a `=`
 --> --set:1:1
  |
1 | params.lr
  | ^^^^^^^^^
  |
  = help: write `--set key.path=value`, as in `--set params.net.width=64`"
    );
}

#[test]
fn set_through_a_scalar() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
";
    assert_eq!(
        errors(text, &Request { set: vec!["repetitions.x=1".to_owned()], ..request() }),
        "error: `repetitions` is the number `2`, which has no key `x`
 --> --set:1:1
  |
1 | repetitions.x=1
  | ^^^^^^^^^^^^^
  |
 ::: c.yml:3:14
  |
3 | repetitions: 2
  |              - it is set here
  |
  = help: set `repetitions` as a whole"
    );
}

#[test]
fn set_to_a_wrong_value() {
    let text = "name: a
path: out
repetitions: 2
command: ./run
";
    assert_eq!(
        errors(text, &Request { set: vec!["reps_per_job=none".to_owned()], ..request() }),
        "error: `reps_per_job` must be a whole number, found the text `none`
 --> --set:1:14
  |
1 | reps_per_job=none
  |              ^^^^
  |
  = help: write a whole number"
    );
}

#[test]
fn slurm_key_that_nothing_uses() {
    let text = format!("name: SLURM\nmem: 4G\n---\n{GOOD}---\n{}", GOOD.replace("name: a", "name: b"));
    let expected = "warning: `mem` is not a key of SLURM: nothing uses it
 --> c.yml:2:1
  |
2 | mem: 4G
  | ^^^
  |
  = help: an option of sbatch belongs in `sbatch_args`, as in `sbatch_args: {mem: …}`";
    assert_eq!(warnings(&text, &request()), expected);
    assert!(errors(&text, &Request { strict: true, ..request() }).starts_with("error: `mem` is not a key of SLURM"));
}

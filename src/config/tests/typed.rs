//! What the known keys become.

use super::*;

fn with(lines: &str) -> Experiment {
    one(&format!("{GOOD}{lines}\n"), &request())
}

fn text_of(argv: &Argv) -> String {
    match argv {
        Argv::Shell(line) => format!("sh {}", line.text),
        Argv::Exec(words) => words.iter().map(|word| word.text.as_str()).collect::<Vec<_>>().join("|"),
    }
}

#[test]
fn defaults() {
    let experiment = with("");
    assert_eq!(experiment.iterations, None);
    assert_eq!((experiment.reps_per_job, experiment.reps_in_parallel, experiment.retries), (1, 1, 0));
    assert_eq!(experiment.checkpoint_signal, "SIGTERM");
    assert_eq!(experiment.slurm, Slurm::default());
    assert!(experiment.launcher.is_empty() && experiment.env.is_empty() && experiment.extra.is_empty());
    assert!(!experiment.oversubscribe && !experiment.first_run_only);
}

#[test]
fn commands() {
    let command = |text: &str| one(&GOOD.replace("./run", text), &request()).command.unwrap();
    let parts = |text: &str| {
        let command = command(text);
        [command.initialize.as_ref(), Some(&command.run), command.finalize.as_ref()].map(|argv| argv.map(text_of))
    };
    assert_eq!(parts("./run {{ params | flags }}"), [None, Some("sh ./run {{ params | flags }}".to_owned()), None]);
    assert_eq!(
        parts("[python, 3, 1.10, yes, 0x1F, 'a b']"),
        [None, Some("python|3|1.10|yes|0x1F|a b".to_owned()), None]
    );
    assert_eq!(parts("{run: x, finalize: [y, '']}"), [None, Some("sh x".to_owned()), Some("y|".to_owned())]);
    assert_eq!(
        parts("{initialize: &i [p, &j 1_0], run: *i}"),
        [Some("p|1_0".to_owned()), Some("p|1_0".to_owned()), None]
    );
    let request = Request { command_optional: true, ..request() };
    assert_eq!(one(&GOOD.replace("command: ./run\n", ""), &request).command, None);
}

#[test]
fn launchers_are_split_like_a_shell_line() {
    let launcher =
        |text: &str| with(&format!("launcher: {text}")).launcher.into_iter().map(|word| word.text).collect::<Vec<_>>();
    assert_eq!(launcher("srun --exact -n 1"), ["srun", "--exact", "-n", "1"]);
    assert_eq!(launcher("[srun, -n, 1]"), ["srun", "-n", "1"]);
    assert_eq!(
        launcher("apptainer 'my image.sif' --bind={{ rep_dir }}:/out"),
        ["apptainer", "my image.sif", "--bind={{ rep_dir }}:/out"]
    );
}

#[test]
fn environment_keeps_what_is_written() {
    let experiment = with("env: {A: 1_000, B: yes, C: '', D: '{{ rep }}', E: 1e-3}");
    let env: Vec<_> = experiment.env.iter().map(|(name, text)| (name.as_str(), text.text.as_str())).collect();
    assert_eq!(env, [("A", "1_000"), ("B", "yes"), ("C", ""), ("D", "{{ rep }}"), ("E", "1e-3")]);
}

#[test]
fn durations_and_counts() {
    let experiment = with("timeout: 1h30m\nretries: {count: 3, delay: 2m}\nrep_time: 1-00:00:00\niterations: 1e6");
    assert_eq!(experiment.timeout, Some(5400.0));
    assert_eq!((experiment.retries, experiment.retry_delay), (3, 120.0));
    assert_eq!(experiment.rep_time, Some(86_400.0));
    assert_eq!(experiment.iterations, Some(1_000_000));
    let experiment = with("retries: 2\nretry_delay: 0.5\ntimeout: null\ncheckpoint_signal: usr1");
    assert_eq!((experiment.retries, experiment.retry_delay, experiment.timeout), (2, 0.5, None));
    assert_eq!(experiment.checkpoint_signal, "SIGUSR1");
}

#[test]
fn extra_keys_are_kept_and_internal_ones_dropped() {
    let experiment = with("seed_file: {a: [1]}\n_basic_path: x\nlog_path: y\nlr: 5\nparams: null");
    assert_eq!(Value::Map(experiment.extra).to_json(), r#"{"seed_file":{"a":[1]},"lr":5}"#);
    assert_eq!(experiment.params.to_value().to_json(), "{}");
}

#[test]
fn exclude_is_one_or_many() {
    assert_eq!(with("exclude: {lr: 1}").exclude.len(), 1);
    assert_eq!(with("exclude: [{lr: 1}, {net: {width: 2}}]").exclude.len(), 2);
}

#[test]
fn slurm_values() {
    let slurm = with(
        r#"slurm:
  partition: 007
  job-name: my job
  account:
  time: 90
  mem-per-cpu: 4000
  sbatch_args: {gres: gpu:1, exclusive: null, hold: true, requeue: no, nice: -5, mail-type: [END, FAIL], constraint: 1.10}
  sh_lines: "module load x\nexport A=1"
  num_parallel_jobs: 20
  requeue: on
  grace: 2m
  my-own: {a: 1}"#,
    )
    .slurm;
    let asked = [
        "job-name=my job",
        "partition=007",
        "mem-per-cpu=4000",
        "time=1:30:00",
        ":gres=gpu:1",
        ":exclusive",
        ":hold",
        ":nice=-5",
        ":mail-type=END+FAIL",
        ":constraint=1.10",
    ];
    assert_eq!(slurm.options, super::super::option::asked(&asked));
    assert_eq!(slurm.sh_lines, ["module load x", "export A=1"]);
    assert_eq!((slurm.num_parallel_jobs, slurm.requeue, slurm.grace), (Some(20), Some(true), Some(120.0)));
    assert_eq!(slurm.extra.keys().collect::<Vec<_>>(), ["my-own"]);
}

#[test]
fn slurm_times_are_written_in_slurms_form() {
    for (written, time) in [
        ("5", "0:05:00"),
        ("65", "1:05:00"),
        ("6000", "100:00:00"),
        ("1:30:00", "1:30:00"),
        ("2-12", "2-12"),
        ("UNLIMITED", "UNLIMITED"),
    ] {
        assert_eq!(with(&format!("slurm: {{time: {written}}}")).slurm.options.text("time"), Some(time));
    }
}

#[test]
fn a_template_lies_beside_its_file_or_in_the_working_directory() {
    let main = format!("{GOOD}import_path: sub/p.yml\n");
    let parent = "name: DEFAULT\nslurm: {path_to_template: t.sh}\n";
    let template = |path: &str| {
        let files = [("c.yml", main.as_str()), ("sub/p.yml", parent), (path, "#!/bin/bash\n")];
        load_files(&files, &request()).unwrap().0.experiments.remove(0).slurm.path_to_template
    };
    assert_eq!(template("sub/t.sh"), Some(PathBuf::from("sub/t.sh")));
    assert_eq!(template("t.sh"), Some(PathBuf::from("t.sh")));
    assert_eq!(
        import_errors(&[("c.yml", &main), ("sub/p.yml", parent)], &request()),
        "error: the template `t.sh` cannot be read
 --> sub/p.yml:2:27
  |
2 | slurm: {path_to_template: t.sh}
  |                           ^^^^
  |
  = help: the path is absolute, or relative to this file or the working directory"
    );
}

#[test]
fn several_errors_come_together_in_file_order() {
    let text = "name: a\npath: ''\nrepetitions: 0\ncommand: []\ntimeout: -1\nslurm: {ntasks: two}\n";
    let lines: Vec<_> =
        errors(text, &request()).lines().filter(|line| line.contains("error:")).map(str::to_owned).collect();
    assert_eq!(
        lines,
        [
            "error: `path` is empty",
            "error: `repetitions` must be at least 1",
            "error: `command` is empty",
            "error: `timeout` must be more than 0",
            "error: `ntasks` must be a whole number, found the text `two`",
        ]
    );
}

#[test]
fn every_key_of_the_table_is_documented_once_in_the_reference() {
    let reference = reference_markdown();
    for key in KEYS {
        assert!(reference.contains(&format!("| `{}", key.name)), "{}", key.name);
        assert!(!key.doc.contains('|') && !key.kind.contains('|'), "{}", key.name);
    }
    let rows = reference.lines().filter(|line| line.starts_with("| `")).count();
    assert_eq!(rows, KEYS.len());
}

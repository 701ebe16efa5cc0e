//! What a repetition's command gets: its words, its environment, its files, its turn.

use crate::support::{Call, Scene, skipped, wait_until};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

/// What shells, YAML, templates and people trip over.
const HOSTILE: &[&str] = &[
    "plain",
    "",
    " ",
    "two words",
    "  ends and starts with spaces  ",
    "it's",
    "\"quoted\"",
    "'",
    "\"",
    "\\",
    "\\n",
    "$HOME",
    "${HOME}",
    "$(touch hacked)",
    "`touch hacked`",
    "; touch hacked",
    "& touch hacked",
    "| touch hacked",
    "> hacked",
    "&& touch hacked #",
    "line\nbreak",
    "ends with a line break\n",
    "tab\there",
    "*",
    "~",
    "!",
    "#comment",
    "-n",
    "--flag=1",
    "{a,b}",
    "[a]",
    "{{ rep }}",
    "{% raw %}",
    "%s%d",
    "größe 日本 🎉",
    "a=b",
    "\u{1b}[31m",
];

/// Prints each of its arguments between `<` and `>`.
const ARGS: &str = "#!/bin/sh\nfor word; do printf '<%s>\\n' \"$word\"; done\n";

fn script(scene: &Scene, name: &str, text: &str) {
    let path = scene.write(name, text);
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("an executable script");
}

/// JSON is YAML: a scene whose configuration is this value.
fn scene(config: &Value) -> Scene {
    let scene = Scene::with(&config.to_string());
    script(&scene, "args", ARGS);
    scene
}

fn printed<T: AsRef<str>>(words: impl IntoIterator<Item = T>) -> String {
    words.into_iter().fold(String::new(), |mut text, word| {
        writeln!(text, "<{}>", word.as_ref()).expect("a string takes all");
        text
    })
}

#[test]
fn values_stay_one_word_in_a_shell_command() {
    let config = json!({
        "name": "a", "path": "out", "repetitions": 1, "reps_per_job": 1000,
        "command": "./args {{ params.text }} '{{ params.text }}' \"{{ params.text }}\" pre-{{ params.text }}-post {{ params | flags }}",
        "grid": { "text": HOSTILE },
    });
    let scene = scene(&config);
    scene.cw2("run config.yml").expect(0);
    assert!(!scene.has("hacked"));
    let listed = scene.cw2("list out/plans/001 --json").expect(0).json_lines();
    assert_eq!(listed.len(), HOSTILE.len());
    for (repetition, text) in listed.iter().zip(HOSTILE) {
        let log = scene.read(format!("{}/out.log", repetition["dir"].as_str().expect("a folder")));
        assert_eq!(log, printed([*text, text, text, &format!("pre-{text}-post"), "--text", text]), "{text:?}");
    }
}

#[test]
fn values_and_words_stay_as_they_are_in_a_list_command() {
    // What looks like a template is one, so it is left out of the words.
    let plain = HOSTILE.iter().filter(|text| !text.contains("{{") && !text.contains("{%"));
    let mut command = vec!["./args", "{{ params.text }}", "--x={{ params.text }}"];
    command.extend(plain.clone());
    let config = json!({
        "name": "a", "path": "out", "repetitions": 1, "reps_per_job": 1000,
        "command": command, "grid": { "text": HOSTILE },
    });
    let scene = scene(&config);
    scene.cw2("run config.yml").expect(0);
    assert!(!scene.has("hacked"));
    for (repetition, text) in scene.cw2("list out/plans/001 --json").json_lines().iter().zip(HOSTILE) {
        let log = scene.read(format!("{}/out.log", repetition["dir"].as_str().expect("a folder")));
        let option = format!("--x={text}");
        let words = [(*text).to_owned(), option].into_iter().chain(plain.clone().map(|text| (*text).to_owned()));
        assert_eq!(log, printed(words), "{text:?}");
    }
}

#[test]
fn a_shell_command_keeps_what_the_user_wrote() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 1\nparams: {x: 1 2}\ncommand: |\n  for i in a 'b c' \"$CW2_REP\"; do\n    ./args \"$i\" $((1 + 1))  # a comment\n  done\n  cat <<'END'\n  $HOME stays\n  END\n  exit 0\n",
    );
    script(&scene, "args", ARGS);
    scene.cw2("run config.yml").expect(0);
    assert_eq!(scene.read("out/a/log/rep_00/out.log"), "<a>\n<2>\n<b c>\n<2>\n<0>\n<2>\n$HOME stays\n");
}

#[test]
fn a_mapping_runs_its_parts_in_order() {
    let config = json!({
        "name": "a", "path": "out", "repetitions": 1,
        "command": {
            "finalize": ["./args", "finalize", "{{ rep }}"],
            "initialize": "./args initialize; echo $CW2_OUTCOME; echo left > $CW2_REP_DIR/state",
            "run": ["sh", "-c", "./args run; cat \"$CW2_REP_DIR/state\""],
        },
    });
    let scene = scene(&config);
    scene.cw2("run config.yml").expect(0);
    assert_eq!(scene.read("out/a/log/rep_00/out.log"), "<initialize>\n\n<run>\nleft\n<finalize>\n<0>\n");
    // Nothing to say, nothing left.
    assert!(!scene.has("out/a/log/rep_00/err.log"));
}

#[test]
fn a_value_that_would_be_evaluated_a_second_time_is_refused_when_planning() {
    for (command, by, place) in [
        ("sh -c 'echo {{ params.n }}'", "sh", "5:10"),
        ("[python3, -c, 'print({{ params.n }})']", "python3", "5:24"),
        ("ls\nlauncher: [bash, -lc, 'echo {{ params.n }}; exec \"$@\"']", "bash", "6:23"),
        ("./run now\nlauncher: ssh host", "ssh", "5:10"),
    ] {
        let scene =
            Scene::with(&format!("name: a\npath: out\nrepetitions: 1\nparams: {{n: a b}}\ncommand: {command}\n"));
        let refused = scene.cw2("plan config.yml");
        refused.expect(2).says([&format!("`{by}` evaluates it a second time"), &format!("config.yml:{place}\n")]);
        assert!(!scene.has("out"));
    }
}

#[test]
fn env_workdir_and_launcher_are_templates_and_no_shell_reads_them() {
    let hostile = "a b 'c' \"d\" $HOME \\ \n#é";
    let config = json!({
        "name": "a", "path": "out", "repetitions": 2, "reps_per_job": 2,
        "params": { "text": hostile },
        "env": { "TEXT": "{{ params.text }}", "PLAIN": "$HOME", "REP": "{{ rep }}", "CW2_REP": "not this", "EMPTY": "" },
        "workdir": "work dir/{{ rep }}",
        "launcher": ["env", "LAUNCHED={{ params.text }} by {{ experiment }}"],
        "command": ["sh", "-c", "../../args \"$TEXT\" \"$PLAIN\" \"$REP\" \"$CW2_REP\" \"$EMPTY\" \"$LAUNCHED\"; pwd"],
    });
    let scene = scene(&config);
    for rep in 0..2 {
        fs::create_dir_all(scene.path(format!("work dir/{rep}"))).expect("a folder");
    }
    scene.cw2("run config.yml").expect(0);
    for rep in ["0", "1"] {
        let mut expected = printed([hostile, "$HOME", rep, rep, "", &format!("{hostile} by a")]);
        writeln!(expected, "{}", scene.path(format!("work dir/{rep}")).display()).expect("a string takes all");
        assert_eq!(scene.read(format!("out/a/log/rep_0{rep}/out.log")), expected);
    }
}

#[test]
fn a_launcher_text_is_split_as_a_shell_would() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 1\nlauncher: env 'A=x y' B={{ rep }}\ncommand: printf '%s\\n' \"$A\" \"$B\"\n",
    );
    scene.cw2("run config.yml").expect(0);
    assert_eq!(scene.read("out/a/log/rep_00/out.log"), "x y\n0\n");
}

#[test]
fn a_missing_working_directory_is_named() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 1\nworkdir: nowhere\ncommand: 'true'\n");
    scene.cw2("run config.yml").expect(1).says(["nowhere", "does not exist"]);
    assert_eq!(scene.state("out/a/log/rep_00"), "crashed");
}

#[test]
fn every_variable_is_there() {
    let scene = Scene::with(
        "name: a b\npath: out\nrepetitions: 2\nreps_per_job: 2\ngrid: {lr: [0.1]}\ncommand: env | grep -E '^(CW2_|[A-Z]+_NUM_THREADS)' | sort\n",
    );
    scene.plan();
    let worker = |scene: &Scene| scene.call(["worker", "--plan", "out/plans/001", "--index", "0"]);
    worker(&scene).env("SLURM_CPUS_PER_TASK", "1").env("MKL_NUM_THREADS", "7").run().expect(0);
    let listed = scene.cw2("show config.yml --rep 1 --json").expect(0).json_lines();
    let seed = listed[0]["config"]["seed"].to_string();
    let dir = "out/a_b/a b__l0.1/log/rep_01";
    let found = scene.tree().into_iter().filter(|name| name.ends_with("log/rep_01/")).collect::<Vec<_>>();
    let dir = if scene.has(dir) { dir.to_owned() } else { found[0].trim_end_matches('/').to_owned() };
    let log = scene.read(format!("{dir}/out.log"));
    let run = scene.status(&dir)["run"].as_str().expect("a run").to_owned();
    let place = scene.path(&dir).display().to_string();
    let mut expected = vec![
        "CW2_ATTEMPT=1".to_owned(),
        "CW2_CHECKPOINT_SIGNAL=SIGTERM".to_owned(),
        format!("CW2_CONFIG={place}/config.yml"),
        "CW2_CPUS=1".to_owned(),
        "CW2_EXPERIMENT=a b".to_owned(),
        "CW2_GPUS=".to_owned(),
        format!("CW2_METRICS={place}/metrics.jsonl"),
        "CW2_REP=1".to_owned(),
        format!("CW2_REP_DIR={place}"),
        "CW2_RESUME=0".to_owned(),
        format!("CW2_RUN={run}"),
        format!("CW2_SEED={seed}"),
        "CW2_SLOT=0".to_owned(),
        format!("CW2_SURRENDER={place}/surrender.json"),
        "MKL_NUM_THREADS=7".to_owned(),
        "NUMEXPR_NUM_THREADS=1".to_owned(),
        "OMP_NUM_THREADS=1".to_owned(),
        "OPENBLAS_NUM_THREADS=1".to_owned(),
        "RAYON_NUM_THREADS=1".to_owned(),
    ];
    expected.sort();
    let mut lines: Vec<_> = log.lines().map(str::to_owned).collect();
    lines.sort();
    assert_eq!(lines, expected);
}

#[test]
fn the_configuration_reads_the_same_as_json_and_as_yaml_in_python() {
    let python = |scene: &Scene, code: &str| Call::new("python3", scene.root()).args(["-c", code]).run();
    let config = json!({
        "name": "a", "path": "out", "repetitions": 1, "command": "true", "mine": {"kept": [1, "two"]},
        "params": {
            "texts": HOSTILE, "int": 3, "big": 9_007_199_254_740_993_u64, "float": 1e-5, "large": 1e300, "whole": 2.0, "minus": -0.0,
            "yes": true, "none": null, "empty": {}, "nothing": [], "nested": {"a": {"b": [[1, [2]], {"c": "d"}]}},
            "like": ["yes", "no", "on", "1e-3", "1_000", "0x1F", "012", "12:30:00", "2001-01-01", "null", "~", "1.5", ".inf", "<<", "="],
            "on": 1, "1": "a number's text as key", "key with: colon": 2,
        },
    });
    let scene = scene(&config);
    scene.cw2("run config.yml").expect(0);
    let listed = scene.cw2("list config.yml --json").expect(0).json_lines().remove(0);
    assert_eq!(listed["params"], config["params"]);
    scene.write("listed.json", listed["params"].to_string());
    let json = "import json\na = json.load(open('out/a/log/rep_00/config.yml'))['params']\nb = json.load(open('listed.json'))\nassert repr(a) == repr(b), (a, b)";
    python(&scene, json).expect(0);
    let yaml = "import json, yaml\na = yaml.safe_load(open('out/a/log/rep_00/config.yml'))\nb = json.load(open('out/a/log/rep_00/config.yml'))\nassert repr(a) == repr(b), (a, b)";
    let outcome = python(&scene, yaml);
    if outcome.stderr.contains("No module named 'yaml'") {
        skipped("python3 has no yaml module; it was read as JSON alone");
        return;
    }
    outcome.expect(0);
}

#[test]
fn a_program_of_its_name_is_found_past_a_folder_of_that_name() {
    let scene =
        Scene::with("name: a\npath: out\nrepetitions: 1\nenv: {PATH: '{{ params.path }}'}\ncommand: [tool, x]\n");
    fs::create_dir_all(scene.path("first/tool")).expect("a folder");
    script(&scene, "second/tool", "#!/bin/sh\necho \"tool $1\"\n");
    let path = format!("{0}/first:{0}/second:/usr/bin:/bin", scene.root().display());
    scene.call(["run", "config.yml", "--set", &format!("params.path={path}")]).run().expect(0);
    assert_eq!(scene.read("out/a/log/rep_00/out.log"), "tool x\n");
}

#[test]
fn a_bundle_runs_in_plan_order() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 2\nreps_per_job: 4\ngrid: {x: [2, 1, 3]}\ncommand: echo {{ params.x }} {{ rep }} >> ran\n",
    );
    scene.plan();
    scene.worker("out/plans/001", 0).expect(0).says(["4 repetitions: 4 completed"]);
    assert_eq!(scene.lines("ran"), ["2 0", "2 1", "1 0", "1 1"]);
    scene.worker("out/plans/001", 1).expect(0).says(["2 repetitions: 2 completed"]);
    assert_eq!(scene.lines("ran"), ["2 0", "2 1", "1 0", "1 1", "3 0", "3 1"]);
}

/// Waits in the shell until a file is there; the experiment's timeout is the deadline.
const MEET: &str = "meet() { while ! [ -e \"$1\" ]; do sleep 0.01; done; }\n";

#[test]
fn repetitions_in_parallel_overlap() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 2\nreps_per_job: 2\nreps_in_parallel: 2\ntimeout: 20s\ncommand: |\n  . ./meet\n  touch at.$CW2_REP\n  meet at.0\n  meet at.1\n  echo $CW2_SLOT >> slots\n",
    );
    scene.write("meet", MEET);
    scene.plan();
    scene.worker("out/plans/001", 0).expect(0);
    let mut slots = scene.lines("slots");
    slots.sort();
    assert_eq!(slots, ["0", "1"]);
}

#[test]
fn a_slot_that_is_free_early_is_refilled() {
    // The first repetition ends only when the last has run: all others share the other slot.
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 4\nreps_per_job: 4\nreps_in_parallel: 2\ntimeout: 20s\ncommand: |\n  . ./meet\n  [ $CW2_REP != 0 ] || meet at.3\n  touch at.$CW2_REP\n",
    );
    scene.write("meet", MEET);
    scene.plan();
    scene.worker("out/plans/001", 0).expect(0).says(["4 completed"]);
}

#[test]
fn run_runs_jobs_at_a_time() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 2\ntimeout: 20s\ncommand: |\n  . ./meet\n  touch at.$CW2_REP\n  meet at.0\n  meet at.1\n",
    );
    scene.write("meet", MEET);
    let outcome = scene.cw2("run config.yml --jobs 2").expect(0);
    assert_eq!(outcome.stdout, "");
    wait_until("both", || scene.has("at.0") && scene.has("at.1"));
}

#[test]
fn failures_of_a_kind_are_told_once_and_counted_with_their_cause() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 45\nreps_per_job: 45\ntimeout: 0.3\n\
         command: 'echo no value for {{ rep }} >&2; [ {{ rep }} != 8 ] || sleep 9; exit 3'\n",
    );
    let outcome = scene.cw2("run config.yml").expect(1);
    assert_eq!(
        outcome.err(),
        "1 experiment, 1 run, 45 repetitions to do in 1 job (1 array)
warning: crashed: [HERE]/out/e/log/rep_00: `run` exited with status 3: no value for 0
warning: timed out: [HERE]/out/e/log/rep_08: ended after its timeout of 0.3 s: no value for 8
45 repetitions: 44 crashed, 1 timed out
44 × crashed: `run` exited with status 3: no value for 0
    e.g. out/e/log/rep_00
1 × timed out: ended after its timeout of 0.3 s: no value for 8
    e.g. out/e/log/rep_08
"
    );
}

#[test]
fn metrics_and_own_files_stay_where_they_were_put() {
    let scene = Scene::with(
        "name: a\npath: out\nrepetitions: 1\ncommand: echo '{\"loss\":1}' >> $CW2_METRICS; echo own > {{ rep_dir }}/model.bin; test -e {{ config_file }}\n",
    );
    scene.cw2("run config.yml").expect(0);
    let dir = "out/a/log/rep_00/";
    let files: Vec<_> = scene.tree().into_iter().filter_map(|name| name.strip_prefix(dir).map(str::to_owned)).collect();
    assert_eq!(files, ["", "config.yml", "metrics.jsonl", "model.bin", "out.log", "status.json"]);
}

#[test]
fn run_and_worker_leave_nothing_beside_the_results() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 1\ncommand: 'true'\n");
    scene.cw2("run config.yml -q").expect(0).says([""]);
    let mut expected = vec!["config.yml".to_owned(), "out/".to_owned(), "out/a/".to_owned(), "out/a/log/".to_owned()];
    expected.extend(["", "config.yml", "out.log", "status.json"].map(|name| format!("out/a/log/rep_00/{name}")));
    expected.extend(["out/plans/".to_owned(), "out/plans/001/".to_owned()]);
    let tree = scene.tree();
    assert_eq!(tree[..expected.len()], expected);
    assert!(tree[expected.len()..].iter().all(|name| name.starts_with("out/plans/001/")), "{tree:?}");
}

//! `cw2 exec`: one repetition by hand, in a scratch copy or in its place; and `cw2 run --debug`, which talks to the terminal too.

use crate::support::{Call, Outcome, Scene, wait_until};
use std::process::Command;

/// Writes down what it was called with, and what it read.
const CONFIG: &str = "\
name: e
path: out
repetitions: 2
iterations: 5
retries: 3
env: {GREETING: 'hi {{ rep }}'}
workdir: work
command: 'sh ../say.sh {{ params.word }} {{ rep_dir }}'
params: {word: none}
grid: {word: ['a b', c]}
";

const SAY: &str = r#"
{
  echo "$@"; pwd; echo "$GREETING $CW2_EXPERIMENT $CW2_RUN $CW2_REP $CW2_ATTEMPT $CW2_RESUME $CW2_SEED $CW2_CPUS $OMP_NUM_THREADS"
  grep -o '"iterations": [0-9]*' "$CW2_CONFIG"
} >"$SAID"
echo '{"x": 1}' >>"$CW2_METRICS"
cat "$CW2_REP_DIR/saved" 2>/dev/null
echo saved >"$CW2_REP_DIR/saved"
echo out; echo err >&2
read -r line && echo "read $line"
exit "${CODE:-0}"
"#;

fn scene() -> Scene {
    let scene = Scene::with(CONFIG);
    scene.write("say.sh", SAY);
    scene.write("work/here", "");
    scene
}

fn said(scene: &Scene) -> String {
    scene.read("said").replace(&scene.root().display().to_string(), "[HERE]")
}

fn call(scene: &Scene, words: &str) -> Call {
    scene.call(words.split_whitespace()).env("SAID", scene.path("said"))
}

const FIRST: &str = "out/e/e__wab/log/rep_00";

#[test]
fn a_repetition_is_called_as_by_its_worker_and_leaves_no_trace() {
    let scene = scene();
    call(&scene, "run config.yml -q").run().expect(0);
    // The last one that ran.
    let worker = said(&scene);
    let before = scene.tree();
    let (status, metrics) = (scene.read("out/e/e__wc/log/rep_01/status.json"), "{\"x\": 1}\n");

    let outcome = call(&scene, "exec out -r e__wc --rep 1").run().expect(0);

    assert_eq!(outcome.stdout, "saved\nout\n");
    assert_eq!(outcome.stderr, "err\ncompleted\n");
    let by_hand = said(&scene);
    let scratch =
        by_hand.split_whitespace().find(|word| word.contains("/.exec-rep_01-")).expect("a scratch copy").to_owned();
    assert_eq!(by_hand.replace(&scratch, "[HERE]/out/e/e__wc/log/rep_01"), worker);
    assert_eq!(scene.tree(), before);
    assert_eq!(scene.read("out/e/e__wc/log/rep_01/status.json"), status);
    assert_eq!(scene.read("out/e/e__wc/log/rep_01/metrics.jsonl"), metrics);

    // A crash is told, and not tried again; the copy stays where it is wanted.
    let kept = call(&scene, "exec -r e__wc --rep 1 --keep").env("CODE", "7").run().expect(1);
    let kept = kept.says(["crashed: `run` exited with status 7", "yours to remove: out/e/e__wc/log/.exec-rep_01-"]);
    let place = kept.stderr.lines().find_map(|line| line.split("yours to remove: ").nth(1)).expect("a path");
    assert_eq!(scene.read(format!("{place}/metrics.jsonl")), metrics);
    assert_eq!(scene.state(place), "crashed");
    // Nobody takes it for a repetition.
    assert_eq!(scene.cw2("status --json").expect(0).json_lines()[0]["total"]["completed"], 4);
}

#[test]
fn one_that_was_never_started_runs_without_a_folder_of_its_own() {
    let scene = scene();
    scene.plan();
    let before = scene.tree();
    let outcome = call(&scene, "exec out/plans/001 -r *ab --rep 0").run().expect(0);
    assert_eq!(outcome.stdout, "out\n");
    assert!(said(&scene).contains("hi 0 e e__wab 0 1 0 "), "{}", said(&scene));
    std::fs::remove_file(scene.path("said")).expect("it was there");
    assert_eq!(scene.tree(), before);
}

#[test]
fn an_interrupted_one_is_resumed_in_a_copy_of_all_it_has() {
    let scene = scene();
    call(&scene, "run config.yml -q").run().expect(0);
    let mut status = scene.status(FIRST);
    status["state"] = "interrupted".into();
    scene.write(&format!("{FIRST}/status.json"), status.to_string());
    call(&scene, "exec -r e__wab --rep 0").run().expect(0);
    assert!(said(&scene).contains("hi 0 e e__wab 0 2 1 "), "{}", said(&scene));
    assert_eq!(scene.state(FIRST), "interrupted");

    // In its place it is that attempt.
    let outcome = call(&scene, "exec -r e__wab --rep 0 --in-place").run().expect(0);
    assert_eq!(outcome.stdout, "saved\nout\n");
    assert!(said(&scene).starts_with("a b [HERE]/out/e/e__wab/log/rep_00\n"), "{}", said(&scene));
    let after = scene.status(FIRST);
    assert_eq!((&after["state"], &after["attempt"]), (&"completed".into(), &2.into()));
    assert!(
        scene
            .read(format!("{FIRST}/out.log"))
            .ends_with("==> cw2: what this attempt prints goes to the terminal <==\n")
    );
    let again = call(&scene, "exec -r e__wab --rep 0 --in-place").run().expect(2);
    assert_eq!(
        again.err(),
        "error: `out/e/e__wab/log/rep_00` is completed; without `--in-place` it is run in a scratch copy\n"
    );
}

#[test]
fn in_place_it_is_one_workers_alone() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 1\ncommand: 'touch began; while [ -e config.yml ] && [ ! -e go ]; do sleep 0.01; done'\n",
    );
    let worker = scene.call(["run", "config.yml"]).start();
    wait_until("it starts", || scene.has("began"));
    scene.cw2("exec --in-place").expect(3).says(["`out/e/log/rep_00` is left alone: another worker runs it"]).silent();
    scene.write("go", "");
    worker.end().expect(0);
}

#[test]
fn its_call_can_be_pasted() {
    let scene = scene();
    scene.plan();
    let printed = call(&scene, "exec -r e__wab --rep 1 --print").run().expect(0);
    assert!(
        printed.stdout.starts_with(&format!("cd {}/work && env CW2_ATTEMPT=1 ", scene.root().display())),
        "{}",
        printed.stdout
    );
    assert!(!scene.has("said"));
    let shell = |text: &str| -> Outcome {
        Call::new("/bin/sh", scene.root()).args(["-c", text]).env("SAID", scene.path("said")).run()
    };
    assert_eq!(shell(&printed.stdout).expect(0).stdout, "out\n");
    let pasted = said(&scene);
    let worker = call(&scene, "exec -r e__wab --rep 1").run().expect(0);
    assert_eq!(worker.stdout, "out\n");
    let without_place = |text: &str| text.lines().skip(1).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(without_place(&pasted), without_place(&said(&scene)));

    let env = call(&scene, "exec -r e__wab --rep 1 --env").run().expect(0);
    let text = format!("set -a\n{}echo \"$GREETING|$CW2_RUN|$CW2_ATTEMPT|$PATH\"", env.stdout);
    let told = shell(&text).expect(0).stdout;
    assert!(told.starts_with("hi 1|e__wab|1|/"), "{told}");
}

#[test]
fn words_go_before_the_command_or_its_shell() {
    let scene = scene();
    scene.write_program("watch", "#!/bin/sh\necho \"watched $*\" >watched\nshift 2\nexec \"$@\"\n");
    scene.plan();
    call(&scene, "exec -r e__wc --rep 0").args(["--with", "../watch -x {{", "--launcher", ""]).run().expect(0);
    assert!(scene.read("work/watched").starts_with("watched -x {{ sh ../say.sh c /"), "{}", scene.read("work/watched"));
    call(&scene, "exec -r e__wc --rep 0").args(["--launcher", "../watch -y {{"]).run().expect(0);
    assert!(scene.read("work/watched").starts_with("watched -y {{ /bin/sh -c sh ../say.sh c /"));
}

#[test]
fn a_shell_has_its_environment() {
    let scene = scene();
    scene.plan();
    scene.write_program("shell", "#!/bin/sh\npwd; echo \"$GREETING $CW2_RUN\"; ls -A \"$CW2_REP_DIR\"; exit 5\n");
    let outcome = call(&scene, "exec -r e__wc --rep 1 --shell").env("SHELL", scene.path("shell")).run().expect(5);
    assert_eq!(outcome.out(), "[HERE]/work\nhi 1 e__wc\nconfig.yml\nerr.log\nout.log\n");
}

#[test]
fn a_class_in_python_starts_cold_and_under_its_debugger() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 2\nparams: {a: 7}\n");
    let class = "class E(experiment.AbstractExperiment):
    def initialize(self, config, rep, logger):
        self.a = config['params']['a']
    def run(self, config, rep, logger):
        print('ran', self.a, rep, input())
    def finalize(self, surrender=None, crash=False):
        pass
cluster_work.ClusterWork(E).run()
";
    scene.write("main.py", format!("from cw2 import cluster_work, experiment\n{class}"));
    let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    let python = |call: Call| call.env("PYTHONPATH", &package).env("CW2_BINARY", crate::support::CW2);
    // Nobody answers there.
    python(Call::new("python3", scene.root()).args(["-B", "main.py", "config.yml"])).run().says(["EOFError"]);
    let before = scene.tree();
    for (with, typed) in [(&[][..], "word\n"), (&["--with", "python3 -m pdb"][..], "c\nword\nq\n")] {
        let file = scene.write("typed", typed);
        let call = scene.call(["exec", "out", "--rep", "1", "--no-setup"]).args(with);
        let outcome = python(call)
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(std::fs::File::open(&file).expect("it was written"))
            .run()
            .expect(0);
        assert!(outcome.stdout.contains("ran 7 1 word\n"), "{outcome:?}");
        std::fs::remove_file(file).expect("it was written");
        assert_eq!(scene.tree(), before);
    }
}

#[test]
fn one_must_be_chosen() {
    let scene = scene();
    scene.plan();
    let many = scene.cw2("exec out").expect(2).silent();
    assert_eq!(
        many.err(),
        "error: 4 repetitions are chosen, and one can be run by hand: choose it, such as `-e e -r e__wab --rep 0`\n"
    );
    scene.cw2("exec out -r nothing").expect(2).says(["no repetition is chosen by these options"]).silent();
    scene.cw2("exec out -e f").expect(2).says(["there is no experiment `f` in these plans"]).silent();
    scene.call(["exec", "--with", "'"]).run().expect(2).says(["a quote is not closed"]).silent();
}

/// Answers a program in a terminal of its own: lines `expect TEXT` and `send TEXT`; ends with its status.
const TERMINAL: &str = r#"
import os, pty, select, sys, time
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[2], sys.argv[2:])
seen, deadline = b"", time.time() + 30
for step in open(sys.argv[1]).read().splitlines():
    verb, text = step.split(" ", 1)
    text = text.encode().decode("unicode_escape").encode()
    if verb == "send":
        os.write(fd, text)
        continue
    while text not in seen:
        ready, _, _ = select.select([fd], [], [], max(0, deadline - time.time()))
        try:
            more = os.read(fd, 4096) if ready else b""
        except OSError:
            more = b""
        if not more:
            sys.exit("no %r in %r" % (text, seen))
        seen += more
    seen = seen.split(text, 1)[1]
try:
    while select.select([fd], [], [], max(0, deadline - time.time()))[0] and os.read(fd, 4096):
        pass
except OSError:
    pass
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"#;

/// Runs a program in a terminal, and expects this status in the end.
pub fn in_terminal(scene: &Scene, script: &str, program: &[&str], code: i32) {
    scene.write("terminal.py", TERMINAL);
    scene.write("steps", script);
    let call = Call::new("python3", scene.root()).args(["terminal.py", "steps"]).args(program);
    let package = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("python");
    call.env("TERM", "dumb").env("PYTHONPATH", package).run().expect(code);
}

const ASK: &str = "name: e
path: out
repetitions: 1
timeout: 0.5
command: python3 ask.py
";

fn asking() -> Scene {
    let scene = Scene::with(ASK);
    scene.write(
        "ask.py",
        "import sys, time\nprint('got', input('name? '), sys.stdout.isatty(), flush=True)\ntime.sleep(60)\n",
    );
    scene
}

#[test]
fn a_terminal_is_the_programs_own() {
    let scene = asking();
    scene.plan();
    let cw2 = crate::support::CW2;
    // Longer than the timeout, which nobody keeps at a debugger.
    let ask =
        "expect name? \nsend bob\\n\nexpect got bob True\nsend \\x03\nexpect KeyboardInterrupt\nexpect interrupted: ";
    in_terminal(&scene, ask, &[cw2, "exec"], 75);
    let debug = "expect (Pdb)\nsend p 40+2\\n\nexpect 42\nsend q\\n\nexpect completed";
    in_terminal(&scene, debug, &[cw2, "exec", "--with", "python3 -m pdb"], 0);
    in_terminal(&scene, ask, &[cw2, "run", "config.yml", "--debug"], 75);
    assert_eq!(scene.state("out/debug/e/log/rep_00"), "interrupted");
}

#[test]
fn it_is_stopped_and_continued_by_the_shell() {
    let scene = asking();
    scene.plan();
    // What is typed before the prompt is there may be lost: the shell changes the terminal's mode meanwhile.
    let steps = format!(
        "expect $\nsend {} exec -q\\n\nexpect name? \nsend \\x1a\nexpect Stopped\nexpect $ \nsend fg\\n\nexpect exec\nsend bob\\n\nexpect got bob True\nsend \\x03\nexpect KeyboardInterrupt\nexpect $\nsend exit 0\\n",
        crate::support::CW2
    );
    let call = ["env", "PS1=$ ", "bash", "--norc", "--noprofile", "-i"];
    in_terminal(&scene, &steps, &call, 0);
}

#[test]
fn debugging_shows_what_is_printed_and_reads_what_is_typed() {
    let scene =
        Scene::with("name: e\npath: out\nrepetitions: 3\ncommand: 'echo shown; read line; echo \"got $line\"'\n");
    let mut child = Command::new(crate::support::CW2);
    let child = child.args(["run", "config.yml", "--debug"]).current_dir(scene.root());
    let file = scene.write("typed", "words\n");
    let output = child.stdin(std::fs::File::open(file).expect("it was written")).output().expect("it runs");
    let outcome = Outcome::new(output, scene.root()).expect(0);
    assert_eq!(outcome.stdout, "shown\ngot words\n");
    assert!(scene.read("out/debug/e/log/rep_00/out.log").contains("goes to the terminal"));
}

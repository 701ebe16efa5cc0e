//! `cw2 logs`: what repetitions wrote, byte for byte.

use crate::support::{CW2, Scene, skipped, wait_until};
use std::io::Write as _;
use std::process::Command;

const CONFIG: &str = "\
name: DEFAULT
path: out
repetitions: 2
---
name: first
command: 'echo out {{ params.a }} {{ rep }}; echo err {{ rep }} >&2; test {{ params.a }} != 2'
grid: {a: [1, 2]}
---
name: second
command: 'echo Traceback >&2; echo \"ValueError: bad {{ rep }} in $CW2_REP_DIR at 0x7f{{ rep }}\" >&2; exit 1'
params: {a: 0}
";

fn scene() -> Scene {
    let scene = Scene::with(CONFIG);
    scene.cw2("run config.yml").expect(1);
    scene
}

#[test]
fn repetitions_are_chosen_by_name_number_and_outcome() {
    let scene = scene();
    let one = scene.cw2("logs -r first__a1 --rep 1").expect(0);
    assert_eq!(one.stdout, "out 1 1\n");
    assert_eq!(scene.cw2("logs out -r *a1 --rep 1 --err").expect(0).stdout, "err 1\n");
    assert_eq!(
        scene.cw2("logs -e first --outcome crashed").expect(0).stdout,
        "==> out/first/first__a2/log/rep_00 <==\nout 2 0\n\n==> out/first/first__a2/log/rep_01 <==\nout 2 1\n"
    );
    assert_eq!(
        scene.cw2("logs -r first__a1 --rep 0 --out --err --tail 1").expect(0).stdout,
        "==> out/first/first__a1/log/rep_00/out.log <==\nout 1 0\n\n==> out/first/first__a1/log/rep_00/err.log <==\nerr 0\n"
    );
    // Nothing where something is expected is explained.
    scene.cw2("logs -e second --rep 0").expect(0).says(["out.log is empty; err.log has", "`--err`"]).silent();
    scene.cw2("logs --rep 7").expect(0).says(["these options select no repetition"]).silent();
    scene.cw2("logs").expect(2).says(["this prints one log, but 6 are selected", "--outcome"]).silent();
    scene.cw2("logs -e third").expect(2).says(["there is no experiment `third` in these plans"]).silent();
    scene.cw2("logs --outcome good").expect(2).says(["one of completed, surrendered, crashed, timed_out"]);
    scene.cw2("logs --follow -e second").expect(2).says(["--follow takes one repetition, but 2 are selected"]);
}

#[test]
fn failures_that_are_alike_are_told_once() {
    let scene = scene();
    let failed = scene.cw2("logs --failed").expect(0).says(["cw2 logs --err"]);
    let text = failed.out();
    let (first, second) = text.split_once("\n\n").expect("two groups");
    assert!(first.starts_with("2 × crashed: ") && second.starts_with("2 × crashed: "), "{text}");
    let traceback = "\n    Traceback\n    ValueError: bad 0 in [HERE]/out/second/log/rep_00 at 0x7f0\n  e.g. out/second/log/rep_00/err.log";
    assert!(text.contains(traceback), "{text}");
    let last = scene.cw2("logs --failed --tail 1 -e second").expect(0);
    assert!(!last.stdout.contains("Traceback") && last.stdout.contains("ValueError"), "{}", last.stdout);
    scene.cw2("logs --failed -r first__a1").expect(0).says(["nothing failed"]).silent();
}

#[test]
fn any_bytes_pass_through() {
    let scene =
        Scene::with("name: e\npath: out\nrepetitions: 1\ncommand: \"printf '\\\\377\\\\000\\\\200\\\\nlast'\"\n");
    scene.cw2("run config.yml").expect(0);
    for (args, expected) in [(vec!["logs", "out"], &b"\xff\0\x80\nlast"[..]), (vec!["logs", "-n", "1"], b"last")] {
        let output = Command::new(CW2).args(args).current_dir(scene.root()).output().expect("it runs");
        assert_eq!(output.stdout, expected);
    }
}

#[test]
fn following_tells_what_comes_and_ends_with_the_repetition() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 1\ncommand: 'echo one; until [ -e go ]; do sleep 0.01; done; echo two'\n",
    );
    scene.plan();
    // It waits for one that was not started yet.
    let told = scene.path("told");
    let file = std::fs::File::create(&told).expect("a file");
    let mut follow = Command::new(CW2)
        .args(["logs", "out", "--follow"])
        .current_dir(scene.root())
        .stdout(file)
        .stderr(std::process::Stdio::null())
        .spawn()
        .expect("it starts");
    let worker = scene.call("worker --plan out/plans/001 --index 0".split(' ')).start();
    wait_until("the first line", || scene.read("told") == "one\n");
    // Cut and written anew, as a rotation does: what is new is told.
    scene.write("out/e/log/rep_00/out.log", "");
    wait_until("the cut is seen", || {
        let mut log =
            std::fs::File::options().append(true).open(scene.path("out/e/log/rep_00/out.log")).expect("the log");
        log.write_all(b".").expect("it is ours");
        scene.read("told").starts_with("one\n.")
    });
    scene.write("go", "");
    assert_eq!(worker.end().code, Some(0));
    wait_until("the follower ends", || follow.try_wait().expect("a child").is_some());
    assert!(follow.wait().expect("a child").success());
    assert!(scene.read("told").ends_with("two\n"), "{}", scene.read("told"));
    // One that has ended is printed whole.
    assert!(scene.cw2("logs out -f").expect(0).says(["completed"]).stdout.ends_with("two\n"));
}

#[test]
fn what_a_program_says_does_nothing_to_a_terminal_unless_asked_for() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 1\ncommand: \"printf '\\\\033]0;owned\\\\007 1%%\\\\r 2%%\\\\n'; printf '\\\\033[31mbad' >&2; exit 1\"\n",
    );
    scene.cw2("run config.yml").expect(1);
    let bytes = "\u{1b}]0;owned\u{7} 1%\r 2%\n";
    assert_eq!(scene.cw2("logs").expect(0).stdout, bytes, "to a pipe or a file go the bytes themselves");
    // `script` gives it a terminal, which makes `\r\n` of each line's end.
    let on_terminal = |words: &str| {
        let command = format!("{CW2} {words}");
        let output = Command::new("script").args(["-qec", &command, "/dev/null"]).current_dir(scene.root()).output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n"))
    };
    let Ok(shown) = on_terminal("logs") else { return skipped("there is no `script` here") };
    assert_eq!(shown, "\\u{1b}]0;owned\\u{7} 1%\n 2%\n");
    assert_eq!(on_terminal("logs --raw").expect("as before"), bytes);
    for words in ["status --failed", "logs --failed"] {
        let outcome = scene.cw2(words).expect(0);
        assert!(outcome.stdout.contains("\\u{1b}[31mbad") && !outcome.stdout.contains('\u{1b}'), "{}", outcome.stdout);
    }
}

#[test]
fn a_huge_error_is_cut_and_a_rust_backtrace_is_not_the_error() {
    let scene = Scene::with(&format!(
        "name: e\npath: out\nrepetitions: 1\ncommand: 'cat rust >&2; exit 101'\n---\n\
         name: long\npath: out\nrepetitions: 1\ncommand: ['{}']\n",
        "x".repeat(100_000)
    ));
    let panic = "thread 'main' panicked at x.rs:1:2:\nno value\nstack backtrace:\n";
    scene.write("rust", format!("{panic}   0: std::begin\n             at /x.rs:1\n"));
    scene.cw2("run config.yml").expect(1);
    let failed = scene.cw2("status --failed -e e").expect(0).stdout;
    assert!(failed.contains("`run` exited with status 101: no value\n"), "{failed}");
    let failed = scene.cw2("logs --failed -e e").expect(0).stdout;
    assert!(failed.contains("no value") && !failed.contains("begin"), "{failed}");
    let status = scene.status("out/long/log/rep_00");
    let message = status["error"]["message"].as_str().expect("a message");
    assert!(message.starts_with("cannot start `xxx") && message.len() < 9000, "{}", message.len());
    assert!(message.contains("bytes left out"), "{message}");
}

//! Folders that other users write in: what they leave there is neither obeyed nor taken for one's own.

use crate::support::{CW2, Outcome, Scene, is_root};
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown, lchown, symlink};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

/// A user of whom the tests know nothing but the number.
const STRANGER: u32 = 41_234;

const CONFIG: &str = "
name: a
path: out
repetitions: 1
command: echo said
params: {x: 1}
";
const REP: &str = "out/a/log/rep_00";

fn ours(what: &str) -> Option<Scene> {
    is_root(what).then(|| Scene::with(CONFIG))
}

/// What a stranger puts where this user's repetition is about to be.
fn planted(scene: &Scene, name: &str, target: &Path, maker: u32) {
    let place = scene.path(name);
    fs::create_dir_all(place.parent().expect("a place in a folder")).expect("folders");
    symlink(target, &place).expect("a link");
    lchown(&place, Some(maker), Some(maker)).expect("root gives files away");
}

#[test]
fn nothing_is_written_through_a_strangers_link() {
    for name in ["out.log", "err.log", "config.yml"] {
        let Some(scene) = ours("only root can give a file away") else { return };
        let mine = scene.write("home/.profile", "mine\n");
        planted(&scene, &format!("{REP}/{name}"), &mine, STRANGER);
        let outcome = scene.cw2("run config.yml").says([name, "is a link that user `41234` made"]);
        assert_ne!(outcome.code, Some(0), "{name}");
        assert_eq!(scene.read("home/.profile"), "mine\n", "{name}");
        // Nor is anything made where it leads.
        fs::remove_file(&mine).expect("the file");
        let _ = fs::remove_file(scene.path(REP).join(name));
        planted(&scene, &format!("{REP}/{name}"), &mine, STRANGER);
        assert_ne!(scene.cw2("run config.yml").code, Some(0), "{name}");
        assert!(!scene.has("home/.profile"), "{name}");
    }
}

#[test]
fn no_repetition_is_put_where_a_strangers_link_leads() {
    for folder in ["out/a", "out/a/log", REP] {
        let Some(scene) = ours("only root can give a file away") else { return };
        let mine = scene.write("home/config.yml", "mine\n");
        planted(&scene, folder, mine.parent().expect("a folder"), STRANGER);
        let outcome = scene.cw2("run config.yml").says(["is a link that user `41234` made"]);
        assert_ne!(outcome.code, Some(0), "{folder}");
        assert_eq!(fs::read_dir(scene.path("home")).expect("a folder").count(), 1, "{folder}");
        assert_eq!(scene.read("home/config.yml"), "mine\n", "{folder}");
    }
}

#[test]
fn links_to_what_their_makers_own_are_followed() {
    let Some(scene) = ours("only root can give a file away") else { return };
    // One's own, to anything; a stranger's, to the stranger's.
    fs::create_dir(scene.path("mine")).expect("a folder");
    planted(&scene, "out/a", &scene.path("mine"), 0);
    let theirs = scene.write("theirs", "");
    chown(&theirs, Some(STRANGER), None).expect("root gives files away");
    planted(&scene, &format!("{REP}/out.log"), &theirs, STRANGER);
    scene.cw2("run config.yml").expect(0);
    assert_eq!(scene.read("theirs"), "said\n");
    assert!(scene.has("mine/log/rep_00/status.json"));
}

#[test]
fn a_strangers_link_shows_nothing_of_this_users_files() {
    let Some(scene) = ours("only root can give a file away") else { return };
    scene.write("config.yml", CONFIG.replace("echo said", "exit 3"));
    scene.cw2("run config.yml").expect(1);
    let secret = scene.write("home/key", "SECRET\n");
    for name in ["err.log", "out.log", "metrics.jsonl"] {
        let _ = fs::remove_file(scene.path(REP).join(name));
        planted(&scene, &format!("{REP}/{name}"), &secret, STRANGER);
    }
    for words in
        ["logs --failed out", "logs --err out", "logs out", "report out -o report.html", "results out", "status out"]
    {
        let outcome = scene.cw2(words);
        assert!(!outcome.stdout.contains("SECRET") && !outcome.stderr.contains("SECRET"), "{words}");
    }
    assert!(!scene.read("report.html").contains("SECRET"));
}

#[test]
fn a_strangers_plan_is_run_only_where_the_stranger_is_trusted() {
    let Some(scene) = ours("only root can give a file away") else { return };
    scene.cw2("plan config.yml").expect(0);
    chown(scene.path("out/plans/001"), Some(STRANGER), Some(STRANGER)).expect("root gives files away");
    let before = scene.tree();
    for words in
        ["worker --plan out/plans/001 --index 0", "submit out/plans/001", "exec out", "exec --shell out", "retry out"]
    {
        scene.cw2(words).expect(2).silent().says(["out/plans/001` belongs to user `41234`", "CW2_TRUST=41234"]);
        assert_eq!(scene.tree(), before, "{words}");
    }
    // It can be looked at.
    for words in ["list out/plans/001", "status out", "exec --print out"] {
        scene.cw2(words).expect(0);
    }
    let worker = ["worker", "--plan", "out/plans/001", "--index", "0"];
    scene.call(worker).env("CW2_TRUST", "alice,4123").run().expect(2);
    scene.call(worker).env("CW2_TRUST", "alice, 41234").run().expect(0);
    assert_eq!(scene.read(format!("{REP}/out.log")), "said\n");
}

#[test]
fn the_umask_says_who_may_read_what_is_written() {
    for umask in ["077", "027", "002"] {
        let scene = Scene::with(&CONFIG.replace("echo said", "exit 3"));
        scene.write("code/program", "x");
        scene.write(
            "config.yml",
            format!(
                "{}---\nname: SLURM\nexperiment_copy_src: code\nexperiment_copy_dst: copied\n",
                scene.read("config.yml")
            ),
        );
        let script = format!(
            "umask {umask}; {CW2} run config.yml; {CW2} retry out; {CW2} plan --zip --set params.x=2 config.yml; \
             {CW2} report out -o report.html; {CW2} forget out -r '*'; true"
        );
        let mut command = Command::new("sh");
        command.args(["-c", &script]).current_dir(scene.root()).env("NO_COLOR", "1");
        Outcome::new(command.output().expect("a shell"), scene.root()).expect(0);
        let mask = u32::from_str_radix(umask, 8).expect("octal");
        let mut files = 0;
        for path in scene.tree() {
            let path = path.trim_end_matches('/');
            if ["config.yml", "code", "code/program"].contains(&path) {
                continue;
            }
            let metadata = scene.path(path).symlink_metadata().expect("what is there");
            assert_eq!(metadata.mode() & mask & 0o777, 0, "{umask}: {path} has {:o}", metadata.mode());
            files += 1;
        }
        assert!(files > 20 && scene.has("report.html") && scene.has("out/plans/001/plan.json"), "{:?}", scene.tree());
    }
}

#[test]
fn a_results_folder_that_everybody_writes_in_is_told_of() {
    let scene = Scene::with(CONFIG);
    fs::create_dir(scene.path("out")).expect("a folder");
    for (mode, told) in [(0o777, true), (0o1777, false), (0o775, false)] {
        fs::set_permissions(scene.path("out"), fs::Permissions::from_mode(mode)).expect("our own folder");
        let outcome = scene.cw2("plan --dry-run config.yml").expect(0);
        let text = "every user of this machine can change what is in `out`";
        assert_eq!(outcome.stderr.contains(text), told, "{mode:o}: {}", outcome.stderr);
    }
}

#[test]
fn two_users_share_a_results_folder() {
    let Some(scene) = ours("only root can become another user") else { return };
    // As a project's folder on a cluster: one group, which may write.
    let group = 41_000;
    for (name, mode) in [("bin", 0o755), ("out", 0o2775)] {
        fs::create_dir(scene.path(name)).expect("a folder");
        chown(scene.path(name), Some(STRANGER), Some(group)).expect("root gives files away");
        fs::set_permissions(scene.path(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }
    fs::set_permissions(scene.root(), fs::Permissions::from_mode(0o755)).expect("a mode");
    fs::copy(CW2, scene.path("bin/cw2")).expect("a copy of the binary");
    let call = |user: u32, words: &str| {
        let mut command = Command::new("sh");
        command.args(["-c", &format!("umask 002; exec bin/cw2 {words}")]).current_dir(scene.root());
        command.uid(user).gid(group).env("NO_COLOR", "1").env_remove("RUST_LOG").env_remove("CW2_TRUST");
        Outcome::new(command.output().expect("a shell"), scene.root())
    };
    let (alice, bob) = (STRANGER, STRANGER + 1);
    call(alice, "run config.yml").expect(0);
    call(alice, "plan --set repetitions=2 config.yml").expect(0);
    // What the other one finished is finished, and what is to do is done by whoever plans it.
    call(bob, "run --set repetitions=3 config.yml").expect(0).says(["1 repetition finished and left out"]);
    call(bob, "status out").expect(0);
    // A failure of one's own is retried by the other one's plan, once that is trusted.
    call(bob, "retry out/plans/002").expect(2).says(["belongs to user `41234`"]);
    assert_eq!(scene.path("out/a/log/rep_02/status.json").metadata().expect("a state").uid(), bob);
}

#[test]
fn values_of_programs_do_not_steer_a_terminal() {
    let scene = Scene::with(&CONFIG.replace("{x: 1}", "{x: \"v\\e[31m\\u202ez\"}"));
    scene.cw2("run config.yml").expect(0);
    // Exact for a program.
    let exact = scene.cw2("results out --format csv").expect(0);
    assert!(exact.stdout.contains("v\u{1b}[31m\u{202e}z"), "{}", exact.stdout);
    let escaped = "expect v\\\\u{1b}[31m\\\\u{202e}z";
    for (format, seen) in [("csv", escaped), ("table", "expect N"), ("jsonl", "expect u001b[31m\\\\u{202e}z")] {
        crate::exec::in_terminal(&scene, seen, &[CW2, "results", "out", "--format", format], 0);
    }
}

//! Starters run at once, and a configuration for a program calls it as it calls itself.

use crate::support::{CW2, Outcome, Scene};
use std::fs;
use std::path::Path;
use std::process::Command;

/// Plans a starter as a cluster would get it, and runs it; `cw2` may be a program of its own.
fn works(scene: &Scene, reps: usize) {
    let dry = scene.cw2("plan --strict --dry-run config.yml").expect(0);
    assert!(!dry.stderr.contains("warning"), "{}", dry.stderr);
    for script in scene.plan() {
        let checked = Command::new("shellcheck").arg(&script).output().expect("shellcheck starts");
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    }
    scene.cw2("run config.yml").expect(0);
    let rows = scene.cw2("results --format jsonl").expect(0).json_lines();
    assert_eq!(rows.len(), 3);
    assert!(rows.iter().all(|row| row["n"] == reps && row["metrics"]["loss"]["mean"].is_number()), "{rows:?}");
    assert_eq!(rows.iter().filter(|row| row["best"] == true).count(), 1);
    // The first line names the schema, which lies beside it.
    assert!(scene.read("config.yml").starts_with("# yaml-language-server: $schema=.cw2.schema.json\n"));
    assert_eq!(scene.read(".cw2.schema.json"), scene.cw2("schema").expect(0).stdout);
}

#[test]
fn the_starter_in_python_runs_at_once() {
    let scene = Scene::new();
    let outcome = scene.cw2("init").expect(0);
    assert_eq!(outcome.stdout, "config.yml\ntrain.py\n.cw2.schema.json\n");
    assert_eq!(
        outcome.stderr,
        "next:\n  cw2 list config.yml    # what would run\n  cw2 run config.yml     # run it here, without Slurm\n  cw2 results            # what came \
         out\n  cw2 submit config.yml  # run it on the cluster\n"
    );
    works(&scene, 3);
}

#[test]
fn the_starter_in_shell_runs_at_once() {
    let scene = Scene::new();
    let outcome = scene.cw2("init --lang shell -q").expect(0);
    assert_eq!((outcome.stdout.as_str(), outcome.stderr.as_str()), ("config.yml\ntrain\n.cw2.schema.json\n", ""));
    works(&scene, 3);
}

#[test]
fn the_starter_in_rust_builds_and_runs() {
    let scene = Scene::new();
    scene.cw2("init --lang rust").expect(0).says(["cargo build --release", "target/release/sweep run config.yml"]);
    // With this tree's library, and what is built already.
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    fs::copy(root.join("Cargo.lock"), scene.path("Cargo.lock")).expect("the lock file");
    let folder = Path::new(CW2).parent().expect("the binary lies in a folder");
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--offline", "--config", "profile.dev.debug='line-tables-only'", "--config"]);
    command.arg(format!("patch.crates-io.clusterwork.path='{}'", root.display()));
    command.arg("--target-dir").arg(folder.parent().expect("it lies in the target folder"));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    let output = command.current_dir(scene.root()).output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    works(&scene.of(folder.join("sweep")), 3);
}

#[test]
fn nothing_is_overwritten_and_a_folder_is_made() {
    let scene = Scene::new();
    let outcome = scene.cw2("init deep/er --lang shell").expect(0);
    assert_eq!(outcome.stdout, "deep/er/config.yml\ndeep/er/train\ndeep/er/.cw2.schema.json\n");
    outcome.says(["  cd deep/er\n"]);
    scene.write("deep/er/config.yml", "mine");
    let before = scene.tree();
    scene.cw2("init deep/er").expect(2).silent().says([
        "error: `deep/er/config.yml` is there already: nothing was written; name another folder, as in `cw2 init sweep`",
    ]);
    assert_eq!((scene.tree(), scene.read("deep/er/config.yml").as_str()), (before, "mine"));
    // A dangling link is something too.
    std::os::unix::fs::symlink("nowhere", scene.path("train.py")).expect("a link");
    scene.cw2("init").expect(2).says(["`train.py` is there already"]);
    assert!(!scene.has("config.yml"));
    scene.write("file", "");
    scene.cw2("init file").expect(3).silent().says(["file"]);
}

const PROGRAM: &str = r#"import argparse, os
from pathlib import Path
KINDS = ("adam", "sgd")
parser = argparse.ArgumentParser()
group = parser.add_argument_group("model")
parser.add_argument("--lr", type=float, default=3e-4, help="learning rate")
parser.add_argument("-b", "--batch-size", type=int, default=32)
parser.add_argument("--optimizer", choices=KINDS, default="adam")
parser.add_argument("--nesterov", action="store_true")
parser.add_argument("--no-cuda", dest="cuda", action="store_false")
parser.add_argument("--amp", action=argparse.BooleanOptionalAction, default=True)
group.add_argument("--layers", type=int, nargs="+", default=[64, 32])
parser.add_argument("--tag", action="append")
parser.add_argument("--resume", help="a checkpoint")
parser.add_argument("--name", default="it's $HOME `x` {{ y }}")
parser.add_argument("--net.depth", type=int, default=2)
parser.add_argument("--cache", type=Path, default=Path("cache dir"))
parser.add_argument("--workers", type=int, default=os.cpu_count())
parser.add_argument("-v", "--verbose", action="count", default=0)
parser.add_argument("data", nargs="?", default="data set")
args = parser.parse_args()
open("imported", "w").close()
print(sorted(vars(args).items()))
"#;

#[test]
fn a_program_is_called_as_it_calls_itself() {
    let scene = Scene::new();
    scene.write("my train.py", PROGRAM);
    let outcome = scene.call(["init", "--from", "my train.py"]).run().expect(0);
    assert_eq!(outcome.stdout, "config.yml\n.cw2.schema.json\n");
    // It was read, and not run.
    assert!(!scene.has("imported"));
    let config = scene.read("config.yml");
    assert!(config.contains("  optimizer: adam # one of adam, sgd\n"), "{config}");
    assert!(config.contains("grid:\n  lr: [3.0e-05, 0.0003]\n"), "{config}");
    let dry = scene.cw2("plan --strict --dry-run config.yml").expect(0);
    assert!(!dry.stderr.contains("warning"), "{}", dry.stderr);
    scene.cw2("run config.yml").expect(0);
    let by_itself =
        Command::new("python3").arg("my train.py").current_dir(scene.root()).output().expect("python3 starts");
    let reps = scene.reps();
    assert_eq!(reps.len(), 2);
    let printed =
        reps.iter().map(|rep| scene.read(format!("{rep}/out.log"))).find(|text| text.contains("('lr', 0.0003)"));
    assert_eq!(printed.expect("a run with the default"), String::from_utf8_lossy(&by_itself.stdout));
}

#[test]
fn other_values_reach_the_program_too() {
    let scene = Scene::new();
    scene.write("train.py", PROGRAM);
    scene.cw2("init --from train.py").expect(0);
    let set = [
        "params.nesterov=true",
        "params.cuda=false",
        "params.amp=false",
        "params.layers=[1]",
        "params.tag=[a b, c]",
        "params.resume=x.pt",
        "params.data=/d",
        "params.workers=3",
    ];
    let words = ["run", "config.yml"].into_iter().chain(set.iter().flat_map(|set| ["--set", set]));
    scene.call(words).run().expect(0);
    let text = scene.read(format!("{}/out.log", scene.reps()[0]));
    for part in [
        "('nesterov', True)",
        "('cuda', False)",
        "('amp', False)",
        "('layers', [1])",
        "('tag', ['a b', 'c'])",
        "('resume', 'x.pt')",
        "('data', '/d')",
        "('workers', 3)",
        r#"('name', "it's $HOME `x` {{ y }}")"#,
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
}

#[test]
fn seeds_and_output_folders_are_each_repetitions_own() {
    let scene = Scene::new();
    scene.write(
        "train.py",
        "import argparse\np = argparse.ArgumentParser()\np.add_argument('--seed', type=int)\np.add_argument('--output-dir', default='runs')\n\
         p.add_argument('--out', default='m/w.pt')\np.add_argument('--k', choices=[1, 2], type=int, required=True)\np.add_argument('data')\n\
         p.add_argument('--x; rm -rf .')\np.add_argument('--fast', type=bool, default=True)\nprint(vars(p.parse_args()))\n",
    );
    scene.cw2("init --from train.py").expect(0).says([
        "note: `k` is required, and has no default: write its value under `params`",
        "note: `data` is required",
        "an option is left out, as it has a name that a shell could misread: \"--x; rm -rf .\"",
        "note: `--fast` has `type=bool`",
    ]);
    let config = scene.read("config.yml");
    for line in [
        "repetitions: 3 # each with a seed of its own",
        "  --seed {{ seed }}",
        "  --output-dir {{ rep_dir }}",
        "  --out {{ rep_dir }}/w.pt",
        "  data: CHANGE-ME # required",
        "  k: 1 # required: one of 1, 2",
        "  k: [1, 2]",
    ] {
        assert!(config.lines().any(|found| found == line), "`{line}` is not in\n{config}");
    }
    assert!(!config.contains("rm -rf"), "{config}");
    scene.cw2("run config.yml --set params.fast=false --set params.data=x").expect(0);
    assert_eq!(scene.reps().len(), 6);
    assert!(scene.read(format!("{}/out.log", scene.reps()[0])).contains("'fast': False"));
}

#[test]
fn what_cannot_be_read_is_told_and_nothing_is_written() {
    let scene = Scene::new();
    scene.write("broken.py", "import argparse\nx = (\n");
    scene.write("empty.py", "print(1)\n");
    let from =
        |program: &str, code| -> Outcome { scene.cw2(&format!("init out --from {program}")).expect(code).silent() };
    from("broken.py", 2).says(["`broken.py` cannot be read as Python: broken.py:2:5: '(' was never closed"]);
    from("empty.py", 2).says(["`empty.py` declares no option with argparse", "`cw2 init` without `--from`"]);
    from("missing.py", 2).says(["cannot read `missing.py`: No such file"]);
    let nowhere = scene.call(["init", "out", "--from", "empty.py"]).env("PATH", "/nowhere").run().expect(3).silent();
    nowhere.says(["`--from` reads the program's options with Python, which cannot be started: `python3`"]);
    scene.cw2("init --from empty.py --lang rust").expect(2).silent();
    assert_eq!(scene.tree(), ["broken.py", "empty.py"]);
}

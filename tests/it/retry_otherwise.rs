//! `cw2 retry` with another command, other code, more of what was too little, or from where it crashed.

use crate::support::Scene;
use serde_json::{Value, json};

fn scene(slurm: &str, command: &str) -> Scene {
    let scene = Scene::with(&format!(
        "name: SLURM\n{slurm}\n---\nname: e\npath: out\nrepetitions: 2\nparams: {{x: 1}}\ncommand: |\n  {command}\n"
    ));
    scene.queue(&[]);
    scene
}

#[test]
fn what_crashed_resumes_where_it_is_told_to() {
    let command = "echo $CW2_RESUME >>{{ rep_dir }}/resumed; echo '{\"a\": 1}' >>$CW2_METRICS; test {{ rep }} = 0";
    let scene = scene("time: 10", command);
    scene.cw2("run config.yml").expect(1);
    scene.cluster("retry out --resume").expect(0).says(["to retry: 1 crashed"]);
    scene.worker("out/plans/002", 0).expect(1);
    assert_eq!(scene.read("out/e/log/rep_01/resumed"), "0\n1\n");
    assert_eq!(scene.lines("out/e/log/rep_01/metrics.jsonl").len(), 2, "what it measured before stays");
    // Once.
    scene.cluster("retry out").expect(0);
    scene.worker("out/plans/003", 0).expect(1);
    assert_eq!(scene.read("out/e/log/rep_01/resumed"), "0\n1\n0\n");
    assert_eq!(scene.lines("out/e/log/rep_01/metrics.jsonl").len(), 1);
}

#[test]
fn multiples_are_of_what_each_had_by_the_same_option() {
    let scene = scene("time: 10\nsbatch_args: {mem: 1G}", "false");
    scene.cw2("run config.yml").expect(1);
    scene.cluster("retry out --mem 2x --time 1.5x").expect(0);
    let asked = |plan: &str| {
        let script = scene.read(format!("out/plans/{plan}/sbatch.sh"));
        let lines = script.lines().filter(|line| line.contains("--mem") || line.contains("--time"));
        lines.map(|line| line.trim_start_matches("#SBATCH ").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(asked("002"), ["--time=0:15:00", "--mem=2G"]);
    scene.worker("out/plans/002", 0).expect(1);
    scene.worker("out/plans/002", 1).expect(1);
    // Of the last attempt's; what is not named is as configured.
    scene.cluster("retry out --mem 2x").expect(0);
    assert_eq!(asked("003"), ["--time=0:10:00", "--mem=4G"]);
    let per_cpu = self::scene("mem-per-cpu: 100", "false");
    per_cpu.cw2("run config.yml").expect(1);
    let refused = per_cpu.cluster("retry out --time 2x").expect(2).silent();
    refused.says(["experiment `e` asks for no `time`, so there is nothing for `--time 2x` to go by: give an amount"]);
    let dry = per_cpu.cluster("retry out --mem 2x -n").expect(0);
    assert!(dry.stdout.contains("#SBATCH --mem-per-cpu=200M\n"), "{}", dry.stdout);
}

#[test]
fn the_command_is_that_of_a_configuration_as_it_is_now() {
    let scene = scene("time: 10", "exit 3");
    scene.cw2("run config.yml").expect(1);
    let now = "name: e\npath: out\nrepetitions: 5\nparams: {x: 2}\nenv: {SAID: new}\nkey: kept\ncommand: echo $SAID {{ params.x }} >>said\n";
    scene.write("now.yml", now);
    let retried = scene.cluster("retry out --config now.yml").expect(0);
    retried.says(["commands: as `now.yml` has them now", "2 repetitions to do"]);
    assert_eq!(scene.read("out/plans/002/config/now.yml"), now);
    scene.worker("out/plans/002", 0).expect(0);
    // For the parameters that were planned.
    assert_eq!(scene.read("said"), "new 1\n");
    let config: Value = serde_json::from_str(&scene.read("out/e/log/rep_00/config.yml")).expect("JSON");
    assert_eq!((&config["key"], &config["params"]), (&json!("kept"), &json!({"x": 1})));
    // What does not fit them is refused with its place.
    scene.write("now.yml", now.replace("params.x }}", "params.y }}"));
    scene.cluster("retry out --config now.yml").expect(2).silent().says(["now.yml:7:", "params.y"]);
    scene.write("now.yml", now.replace("name: e", "name: f"));
    scene.cluster("retry out --config now.yml").expect(2).silent().says(["there is no experiment `e` in `now.yml`"]);
    assert!(!scene.has("out/plans/003"));
    scene.worker("out/plans/002", 1).expect(0);
    scene.cluster("retry out --config now.yml").expect(0).says(["to retry: nothing"]).silent();
}

#[test]
fn whose_code_runs_is_told_and_how_the_tree_differs() {
    let scene = scene("experiment_copy_src: .\nexperiment_copy_auto_dst: ../{copies}", "sh ./program");
    let copies = format!("{}-copies", scene.root().display());
    scene.write("config.yml", scene.read("config.yml").replace("../{copies}", &copies));
    scene.write("program", "exit 1\n");
    scene.write("other", "as it was\n");
    // What the stand-ins for Slurm's commands write.
    scene.write(".cw2ignore", "calls\n");
    scene.plan();
    scene.worker("out/plans/001", 0);
    let place = std::fs::read_dir(&copies).expect("copies").next().expect("one").expect("it").path();
    let told = scene.cluster("retry out -n").expect(0);
    let same = format!("code: that of plan out/plans/001, in {}\n", place.display());
    assert!(told.stderr.contains(&same), "{}", told.stderr);
    scene.write("program", "exit 0\n");
    std::fs::remove_file(scene.path("other")).expect("it is there");
    let told = scene.cluster("retry out -n").expect(0);
    let differs =
        "; the tree `.` differs from it now in 2 files, such as `other` (`--fresh-code` runs the code as it is now)\n";
    assert!(told.stderr.contains(&same.replace('\n', differs)), "{}", told.stderr);
    let fresh = scene.cluster("retry out --fresh-code").expect(0);
    assert!(fresh.stderr.contains(" copied to ") && !fresh.stderr.contains("that of plan"), "{}", fresh.stderr);
    let mut all: Vec<_> = std::fs::read_dir(&copies).expect("copies").map(|copy| copy.expect("it").path()).collect();
    all.retain(|copy| *copy != place);
    let [fresh] = all.as_slice() else { panic!("{all:?}") };
    assert_eq!(std::fs::read_to_string(fresh.join("program")).expect("a copy"), "exit 0\n");
    let script = scene.read("out/plans/002/sbatch.sh");
    assert!(script.contains(&format!("#SBATCH --chdir={}\n", fresh.display())), "{script}");
    // A copy that is gone is no dead end.
    std::fs::remove_dir_all(&place).expect("it is there");
    std::fs::remove_dir_all(scene.path("out/plans/002")).expect("it is there");
    scene.cluster("retry out").expect(3).silent().says(["is gone", "`--fresh-code`"]);
    scene.cluster("retry out --fresh-code").expect(0);
    std::fs::remove_dir_all(&copies).expect("they are there");
}

#[test]
fn without_copies_git_tells_that_the_tree_is_another_one() {
    let scene = scene("time: 5", "sh ./program");
    let git = |words: &str| {
        let call = crate::support::Call::new("git", scene.root()).args(words.split_whitespace());
        call.env("GIT_CONFIG_GLOBAL", "/dev/null").run().expect(0)
    };
    scene.write("program", "exit 1\n");
    scene.write(".gitignore", "out\nbin\n");
    git("init -q");
    git("add program .gitignore");
    git("-c user.name=a -c user.email=a@b.c commit -qm one");
    scene.cw2("run config.yml").expect(1);
    let told = scene.cluster("retry out -n").expect(0);
    assert!(!told.stderr.contains("code:"), "{}", told.stderr);
    scene.write("program", "exit 0\n");
    let told = "code: the tree as it is now, which differs from that of plan out/plans/001: ";
    scene.cluster("retry out -n").expect(0).says([format!("{told}other changes to commit ")]);
    git("-c user.name=a -c user.email=a@b.c commit -qam two");
    scene.cluster("retry out -n").expect(0).says([format!("{told}commit "), " now".to_owned()]);
    scene.cluster("retry out -n --fresh-code").expect(0).says(["code: these experiments keep no copy of it"]);
}

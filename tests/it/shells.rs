//! What real shells make of a half-written command line, the manual pages, and commands that do not exist.

use crate::support::{CW2, Call, Scene, skipped};
use std::path::Path;

/// Two experiments, of which a plan was run.
fn scene() -> Scene {
    let scene = Scene::with(
        "name: first\npath: out\nrepetitions: 1\ncommand: 'true'\ngrid: {lr: [1, 2]}\n---\n\
         name: second\npath: out\nrepetitions: 1\ncommand: 'true'\n",
    );
    scene.cw2("run config.yml").expect(0);
    scene.write("notes.txt", "");
    scene
}

/// A shell that finds cw2 in `PATH`; nothing where this machine has no such shell.
fn shell(name: &str, scene: &Scene) -> Option<Call> {
    let path = std::env::var("PATH").unwrap();
    if !path.split(':').any(|folder| Path::new(folder).join(name).is_file()) {
        skipped(&format!("there is no {name}"));
        return None;
    }
    let folder = Path::new(CW2).parent().unwrap();
    Some(Call::new(name, scene.root()).env("PATH", format!("{}:{path}", folder.display())))
}

/// What bash offers for the last of these words; options left out.
fn bash(scene: &Scene, words: &[&str]) -> Vec<String> {
    const ASK: &str = r#"
        source <(cw2 completions bash)
        function=$(complete -p cw2 | sed 's/.*-F \([^ ]*\).*/\1/')
        COMP_WORDS=(cw2 "$@") COMP_CWORD=$# COMP_TYPE=9
        "$function" cw2 "${@: -1}" "${@: -2:1}"
        printf '%s\n' "${COMPREPLY[@]}""#;
    let outcome = shell("bash", scene).unwrap().args(["-c", ASK, "bash"]).args(words).run().expect(0);
    outcome.stdout.lines().filter(|line| !line.starts_with("--")).map(str::to_owned).collect()
}

#[test]
fn bash_completes_commands_experiments_runs_and_plans() {
    let scene = scene();
    for (words, offered) in [
        (&["ca"][..], &["cancel"][..]),
        (&["plan", ""], &["config.yml", "out/"]),
        (&["plan", "config.yml", "-e", ""], &["first", "second"]),
        (&["plan", "config.yml", "-e", "first", "se"], &["second"]),
        (&["run", "-e", "s"], &["second"]),
        (&["status", "-e", ""], &["first", "second"]),
        (&["status", ""], &["out/plans/001", ".", "out/"]),
        (&["status", "out/plans/"], &["out/plans/001"]),
        (&["list", "o"], &["out/", "out/plans/001"]),
        (&["logs", "out", "-r", "first"], &["first__l1", "first__l2"]),
        (&["retry", "out/plans/001", "--runs", ""], &["first__l1", "first__l2", "second"]),
        (&["show", "config.yml", "--run", "sec"], &["second"]),
        (&["completions", "f"], &["fish"]),
        // What cannot be read offers nothing, and says nothing.
        (&["plan", "notes.txt", "-e", ""], &[""]),
        (&["nothing", "such"], &[""]),
    ] {
        assert_eq!(bash(&scene, words), offered, "{words:?}");
    }
}

#[test]
fn fish_completes_with_descriptions() {
    let scene = scene();
    let Some(fish) = shell("fish", &scene) else { return };
    let ask = "cw2 completions fish | source; complete -C 'cw2 can'; complete -C 'cw2 plan config.yml -e '";
    let outcome = fish.args(["-c", ask]).run().expect(0);
    assert_eq!(outcome.stdout, "cancel\tCancel the jobs of plans, or of selected repetitions\nfirst\nsecond\n");
}

#[test]
fn zsh_completes_what_is_typed() {
    let scene = scene();
    let Some(zsh) = shell("zsh", &scene) else { return };
    // A zsh at a terminal of its own, where a person types.
    let ask = r"
        zmodload zsh/zpty
        zpty z zsh -f -i
        zpty -w z 'autoload -U compinit; compinit -u -D; source <(cw2 completions zsh); print REA''DY'
        zpty -r -m z said '*READY*'
        zpty -w -n z $'cw2 list config.yml -e sec\t--json > listed; print DO\'\'NE\n'
        zpty -r -m z said '*DONE*'";
    zsh.args(["-f", "-c", ask]).env("TERM", "dumb").run().expect(0);
    let listed = scene.read("listed");
    assert!(listed.starts_with(r#"{"experiment":"second","run":"second","rep":0,"#), "{listed}");
    assert_eq!(listed.lines().count(), 1);
}

#[test]
fn every_command_has_its_manual_page() {
    let scene = Scene::new();
    scene.cw2("man share/man1").expect(0).silent();
    let help = scene.cw2("--help").expect(0).stdout;
    let commands: Vec<_> = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        // A long description goes on further to the right.
        .filter_map(|line| line.strip_prefix("  ").filter(|line| !line.starts_with(' '))?.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(commands.contains(&"plan"), "{commands:?}");
    let mut pages: Vec<_> = commands.iter().map(|name| format!("share/man1/cw2-{name}.1")).collect();
    pages.push("share/man1/cw2.1".to_owned());
    pages.sort();
    let found: Vec<_> = scene.tree().into_iter().filter(|name| name.ends_with(".1")).collect();
    assert_eq!(found, pages);
    let page = scene.read("share/man1/cw2-plan.1");
    assert!(page.contains("Freeze a configuration into a plan and sbatch scripts"), "{page}");
}

#[test]
fn what_does_not_exist_points_to_what_is_meant() {
    let scene = Scene::with("name: a\npath: out\nrepetitions: 1\ncommand: 'true'\n");
    let as_original = "error: a command comes before the configuration\n = help: `cw2 plan config.yml` writes the sbatch scripts \
         (the original's `-s`), `cw2 submit config.yml` submits them too, `cw2 run config.yml` runs everything here\n";
    for (words, told) in [
        (
            "stop",
            "error: there is no command `stop`\n = help: `cw2 cancel`: Cancel the jobs of plans, or of selected repetitions\n",
        ),
        (
            "LS out",
            "error: there is no command `LS`\n = help: `cw2 list`: List the repetitions of a configuration or a plan\n",
        ),
        ("config.yml -s", as_original),
        ("-s config.yml", as_original),
        ("config.yml", as_original),
    ] {
        let outcome = scene.cw2(words).expect(2).silent();
        assert_eq!(outcome.stderr, told, "{words}");
    }
    scene.cw2("statuss out").expect(2).silent().says(["a similar subcommand exists: 'status'"]);
    scene.cw2("plan config.yml -s").expect(2).silent().says(["unexpected argument '-s'"]);
}

#[test]
fn the_common_options_stand_at_the_end_of_each_help() {
    let scene = Scene::new();
    for command in ["plan", "results", "status", "exec", "report"] {
        let help = scene.cw2(&format!("{command} -h")).expect(0).stdout;
        let options: Vec<_> =
            help.lines().filter(|line| line.starts_with("  -") || line.starts_with("      --")).collect();
        let last: Vec<_> = options.iter().rev().take(3).map(|line| line.trim().get(..9).unwrap_or_default()).collect();
        assert_eq!(last, ["-h, --hel", "-v, --ver", "-q, --qui"], "{help}");
    }
}

#[test]
fn the_schema_is_json_and_knows_the_keys() {
    let outcome = Scene::new().cw2("schema").expect(0);
    let schema: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert!(outcome.stderr.is_empty());
    let repetitions = &schema["definitions"]["experiment"]["properties"]["repetitions"];
    assert_eq!(repetitions["description"], "how often each run is repeated (whole number ≥ 1)");
}

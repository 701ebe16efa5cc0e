//! Results, read back: through plans, and from directories that were copied or renamed.

use crate::support::Scene;
use cw2::{Results, State, load};
use serde::Deserialize;
use std::fs;
use std::process::Command;

/// Two runs of two repetitions, one of which surrenders; a third run is planned and never started.
fn scene() -> Scene {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 2\ngrid: {lr: [0.1, 0.2]}\ncommand: |\n  \
         echo \"{\\\"loss\\\": $CW2_REP}\" >> $CW2_METRICS; [ $CW2_REP = 0 ] || echo '{\"why\": \"enough\"}' > $CW2_SURRENDER\n",
    );
    scene.cw2("run config.yml").expect(0);
    scene.write("config.yml", scene.read("config.yml").replace("0.2]", "0.2, 0.3]"));
    scene.plan();
    scene
}

#[derive(Debug, Deserialize, PartialEq)]
struct Params {
    lr: f64,
}

/// Learning rate, number, state and payload of each.
fn told(results: &Results) -> Vec<(f64, u32, Option<State>, Option<String>)> {
    let one = |rep: cw2::Loaded| {
        #[derive(Deserialize)]
        struct Step {
            loss: u32,
        }
        #[derive(Deserialize)]
        struct Why {
            why: String,
        }
        assert_eq!((rep.experiment.as_str(), rep.unreadable.as_deref()), ("e", None));
        let params: Params = rep.params().expect("parameters");
        assert_eq!(rep.run, format!("e__l{}", params.lr));
        let steps: Vec<Step> = rep.metrics().expect("metrics");
        assert_eq!(steps.iter().map(|step| step.loss).collect::<Vec<_>>(), [rep.rep][..steps.len()]);
        assert_eq!(steps.is_empty(), rep.state.is_none());
        let payload: Option<Why> = rep.payload().expect("a payload");
        (params.lr, rep.rep, rep.state, payload.map(|payload| payload.why))
    };
    results.iter().map(one).collect()
}

fn finished() -> Vec<(f64, u32, Option<State>, Option<String>)> {
    let both =
        |lr| [(lr, 0, Some(State::Completed), None), (lr, 1, Some(State::Surrendered), Some("enough".to_owned()))];
    [0.1, 0.2].into_iter().flat_map(both).collect()
}

#[test]
fn with_a_plan_those_are_told_that_never_ran() {
    let scene = scene();
    let mut expected = finished();
    expected.extend([(0.3, 0, None, None), (0.3, 1, None, None)]);
    assert_eq!(told(&Results::open(scene.path("out")).expect("results")), expected);
    assert_eq!(load(scene.path("out")).expect("results").len(), 6);
    assert_eq!(told(&Results::open(scene.path("out/plans/001")).expect("results")), finished());
}

#[test]
fn copied_and_renamed_folders_are_read_without_their_plan() {
    let scene = scene();
    let copy = Command::new("cp").args(["-r", "out", "kept"]).current_dir(scene.root()).status();
    assert!(copy.expect("cp").success());
    fs::remove_dir_all(scene.path("out")).expect("the original");
    for name in ["kept", "kept/plans/001", "kept/e"] {
        assert_eq!(told(&Results::open(scene.path(name)).expect(name)), finished(), "{name}");
    }
    fs::rename(scene.path("kept/e/e__l0.2"), scene.path("mine")).expect("a run");
    assert_eq!(told(&Results::open(scene.path("mine")).expect("a run")), finished()[2..]);
    fs::rename(scene.path("mine/log/rep_01"), scene.path("single")).expect("a repetition");
    assert_eq!(told(&Results::open(scene.path("single")).expect("a repetition")), finished()[3..]);
    // What other programs call so is no repetition.
    scene.write("other/model/config.yml", "{\"hidden\": 3}");
    scene.write("other/status.json", "{\"state\": \"completed\"}");
    let error = Results::open(scene.path("other")).unwrap_err().to_string();
    assert!(error.contains("neither a plan nor a repetition"), "{error}");
    assert!(load(scene.path("nowhere")).is_err());
}

#[test]
fn one_that_cannot_be_read_says_so_and_hides_no_other() {
    let scene = scene();
    let status = scene.path("out/e/e__l0.1/log/rep_00/status.json");
    fs::remove_file(&status).expect("it is there");
    fs::create_dir(&status).expect("a folder");
    let metrics = scene.path("out/e/e__l0.1/log/rep_01/metrics.jsonl");
    fs::remove_file(&metrics).expect("it is there");
    std::os::unix::fs::symlink("/dev/zero", &metrics).expect("a link");
    for name in ["out", "out/e"] {
        let reps = load(scene.path(name)).expect("results");
        let unreadable: Vec<_> = reps.iter().filter_map(|rep| rep.unreadable.as_deref()).collect();
        assert!(unreadable[0].contains("status.json") && unreadable[0].contains("is a directory"), "{unreadable:?}");
        assert!(unreadable[1].contains("metrics.jsonl") && unreadable[1].contains("is a device"), "{unreadable:?}");
        assert_eq!((unreadable.len(), reps[0].state, reps[1].state), (2, None, Some(State::Surrendered)));
        assert_eq!(reps[0].params::<Params>().expect("parameters"), Params { lr: 0.1 });
    }
}

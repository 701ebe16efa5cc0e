//! `cw2 status --json`: one object, whose keys are stable; `cw2 status --help` lists them.

use super::failures::Group;
use super::progress::{Estimate, Progress};
use super::reps_table::RepRow;
use super::status::{Report, Row};
use crate::run::effective_state::EffectiveState;
use serde_json::{Map, Value, json};

/// The object.
pub fn render(report: &Report) -> Value {
    let mut object = Map::new();
    object.insert("plans".to_owned(), json!(report.plans));
    object.insert("cluster_known".to_owned(), json!(report.cluster_error.is_none()));
    object.insert("cluster_error".to_owned(), json!(report.cluster_error));
    object.insert("waiting".to_owned(), report.waiting.iter().map(|(why, n)| (why.clone(), json!(n))).collect());
    object.insert("forgotten".to_owned(), json!(report.forgotten));
    object.insert("unreadable_forgotten".to_owned(), json!(report.unreadable_forgotten));
    object.insert(
        "unsubmitted".to_owned(),
        report.unsubmitted.iter().map(|(plan, n)| (plan.clone(), json!(n))).collect(),
    );
    object.insert("unreadable_plans".to_owned(), json!(report.unreadable_plans));
    object.insert("unreadable".to_owned(), json!(report.unreadable));
    object.insert("total".to_owned(), Value::Object(progress(&report.total)));
    object.insert("experiments".to_owned(), report.experiments.iter().map(row).collect());
    object
        .insert("interrupted".to_owned(), report.interrupted.iter().map(|(why, n)| (why.clone(), json!(n))).collect());
    object.insert("next".to_owned(), report.next.iter().map(|step| json!(step.command)).collect());
    if let Some(reps) = &report.reps {
        object.insert("reps".to_owned(), reps.iter().map(rep).collect());
    }
    if let Some(runs) = &report.runs {
        object.insert("runs".to_owned(), runs.iter().map(row).collect());
    }
    if let Some(groups) = &report.failed {
        let group = |group: &Group| {
            json!({
                "outcome": group.effective.key(), "reason": group.text, "count": group.count, "example": group.example,
                "log": group.log, "common": group.common,
            })
        };
        object.insert("failed".to_owned(), groups.iter().map(group).collect());
    }
    if let Some(advice) = &report.advice {
        object.insert("advice".to_owned(), json!(advice));
    }
    Value::Object(object)
}

fn rep(row: &RepRow) -> Value {
    json!({
        "path": row.path, "experiment": row.experiment, "run": row.run, "rep": row.rep, "state": row.effective.key(),
        "attempt": row.attempt, "job": row.job, "node": row.node, "seconds": row.seconds, "log": row.log, "newest": row.newest,
        "stopped_by": row.stopped_by,
    })
}

fn row(row: &Row) -> Value {
    let mut object = Map::new();
    object.insert("path".to_owned(), json!(row.path));
    object.insert("experiment".to_owned(), json!(row.experiment));
    if let Some(run) = &row.run {
        object.insert("run".to_owned(), json!(run));
    }
    object.extend(progress(row));
    Value::Object(object)
}

fn progress(row: &Row) -> Map<String, Value> {
    let progress: &Progress = &row.progress;
    let mut object = Map::new();
    object.insert("total".to_owned(), json!(progress.total()));
    for effective in EffectiveState::ALL {
        object.insert(effective.key().to_owned(), json!(progress.count(effective)));
    }
    object.insert("seconds".to_owned(), json!(progress.seconds));
    object.insert("cpu_seconds".to_owned(), json!(progress.cpu_seconds));
    let (word, seconds, why) = match row.estimate {
        Estimate::Done => ("done", Some(0.0), None),
        Estimate::Idle => ("stopped", None, None),
        Estimate::Seconds(seconds) => ("known", Some(seconds), None),
        Estimate::Unknown(why) => ("unknown", None, Some(why)),
    };
    object.insert("estimate".to_owned(), json!(word));
    object.insert("estimate_seconds".to_owned(), json!(seconds));
    object.insert("estimate_unknown".to_owned(), json!(why));
    object
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::next::Step;

    #[test]
    fn the_keys_are_stable() {
        let row = Row {
            path: "out".to_owned(),
            experiment: "e".to_owned(),
            run: Some("e__a1".to_owned()),
            progress: Progress::default(),
            estimate: Estimate::Unknown("nothing runs yet"),
        };
        let report = Report {
            now: jiff::Timestamp::UNIX_EPOCH,
            plans: vec!["out/plans/001".to_owned()],
            cluster_error: Some("squeue: it burns".to_owned()),
            unsure: true,
            total: row.clone(),
            experiments: vec![row.clone()],
            runs: Some(vec![row]),
            failed: Some(vec![Group {
                effective: EffectiveState::TimedOut,
                text: "timed out after 1 s".to_owned(),
                count: 2,
                example: "out/e/log/rep_00".to_owned(),
                log: "out/e/log/rep_00/err.log".to_owned(),
                members: vec![0, 1],
                common: vec!["all 2 have a=1; none of the other 3".to_owned()],
            }]),
            reps: Some(vec![RepRow {
                path: "out".to_owned(),
                experiment: "e".to_owned(),
                run: "e__a1".to_owned(),
                rep: 3,
                effective: EffectiveState::Running,
                attempt: Some(2),
                job: Some("12_3".to_owned()),
                node: Some("n1".to_owned()),
                seconds: Some(1.5),
                log: Some("out/e/e__a1/log/rep_03/out.log".to_owned()),
                newest: Some("epoch 3/5".to_owned()),
                stopped_by: None,
            }]),
            interrupted: vec![("its job was cancelled".to_owned(), 2)],
            next: vec![Step { command: "cw2 retry out".to_owned(), what: String::new() }],
            advice: Some(Vec::new()),
            waiting: vec![("Priority".to_owned(), 3)],
            forgotten: 2,
            unreadable_forgotten: vec!["cannot read `y`".to_owned()],
            unsubmitted: vec![("out/plans/002".to_owned(), 4)],
            unreadable_plans: vec!["cannot read `plans/001`".to_owned()],
            unreadable: vec!["cannot read `x`".to_owned()],
        };
        let text = render(&report).to_string();
        insta::assert_snapshot!(text.replace("],", "],\n").replace("},", "},\n"), @r#"
        {"plans":["out/plans/001"],
        "cluster_known":false,"cluster_error":"squeue: it burns","waiting":{"Priority":3},
        "forgotten":2,"unreadable_forgotten":["cannot read `y`"],
        "unsubmitted":{"out/plans/002":4},
        "unreadable_plans":["cannot read `plans/001`"],
        "unreadable":["cannot read `x`"],
        "total":{"total":0,"completed":0,"surrendered":0,"crashed":0,"timed_out":0,"interrupted":0,"running":0,"queued":0,"lost":0,"job_failed":0,"pending":0,"unreadable":0,"seconds":0.0,"cpu_seconds":0.0,"estimate":"unknown","estimate_seconds":null,"estimate_unknown":"nothing runs yet"},
        "experiments":[{"path":"out","experiment":"e","run":"e__a1","total":0,"completed":0,"surrendered":0,"crashed":0,"timed_out":0,"interrupted":0,"running":0,"queued":0,"lost":0,"job_failed":0,"pending":0,"unreadable":0,"seconds":0.0,"cpu_seconds":0.0,"estimate":"unknown","estimate_seconds":null,"estimate_unknown":"nothing runs yet"}],
        "interrupted":{"its job was cancelled":2},
        "next":["cw2 retry out"],
        "reps":[{"path":"out","experiment":"e","run":"e__a1","rep":3,"state":"running","attempt":2,"job":"12_3","node":"n1","seconds":1.5,"log":"out/e/e__a1/log/rep_03/out.log","newest":"epoch 3/5","stopped_by":null}],
        "runs":[{"path":"out","experiment":"e","run":"e__a1","total":0,"completed":0,"surrendered":0,"crashed":0,"timed_out":0,"interrupted":0,"running":0,"queued":0,"lost":0,"job_failed":0,"pending":0,"unreadable":0,"seconds":0.0,"cpu_seconds":0.0,"estimate":"unknown","estimate_seconds":null,"estimate_unknown":"nothing runs yet"}],
        "failed":[{"outcome":"timed_out","reason":"timed out after 1 s","count":2,"example":"out/e/log/rep_00","log":"out/e/log/rep_00/err.log","common":["all 2 have a=1; none of the other 3"]}],
        "advice":[]}
        "#);
    }
}

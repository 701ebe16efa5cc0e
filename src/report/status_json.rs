//! `cw2 status --json`: one object, whose keys are stable; `cw2 status --help` lists them.

use super::failures::Group;
use super::progress::{Estimate, Progress};
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
    object.insert(
        "unsubmitted".to_owned(),
        report.unsubmitted.iter().map(|(plan, n)| (plan.clone(), json!(n))).collect(),
    );
    object.insert("unreadable_plans".to_owned(), json!(report.unreadable_plans));
    object.insert("unreadable".to_owned(), json!(report.unreadable));
    object.insert("total".to_owned(), Value::Object(progress(&report.total)));
    object.insert("experiments".to_owned(), report.experiments.iter().map(row).collect());
    if let Some(runs) = &report.runs {
        object.insert("runs".to_owned(), runs.iter().map(row).collect());
    }
    if let Some(groups) = &report.failed {
        let group = |group: &Group| json!({"outcome": group.effective.key(), "reason": group.text, "count": group.count, "example": group.example});
        object.insert("failed".to_owned(), groups.iter().map(group).collect());
    }
    if let Some(advice) = &report.advice {
        object.insert("advice".to_owned(), json!(advice));
    }
    Value::Object(object)
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
                members: vec![0, 1],
            }]),
            advice: Some(Vec::new()),
            waiting: vec![("Priority".to_owned(), 3)],
            forgotten: 2,
            unsubmitted: vec![("out/plans/002".to_owned(), 4)],
            unreadable_plans: vec!["cannot read `plans/001`".to_owned()],
            unreadable: vec!["cannot read `x`".to_owned()],
        };
        let text = render(&report).to_string();
        insta::assert_snapshot!(text.replace("],", "],\n").replace("},", "},\n"), @r#"
        {"plans":["out/plans/001"],
        "cluster_known":false,"cluster_error":"squeue: it burns","waiting":{"Priority":3},
        "forgotten":2,"unsubmitted":{"out/plans/002":4},
        "unreadable_plans":["cannot read `plans/001`"],
        "unreadable":["cannot read `x`"],
        "total":{"total":0,"completed":0,"surrendered":0,"crashed":0,"timed_out":0,"interrupted":0,"running":0,"queued":0,"lost":0,"pending":0,"unreadable":0,"seconds":0.0,"cpu_seconds":0.0,"estimate":"unknown","estimate_seconds":null,"estimate_unknown":"nothing runs yet"},
        "experiments":[{"path":"out","experiment":"e","run":"e__a1","total":0,"completed":0,"surrendered":0,"crashed":0,"timed_out":0,"interrupted":0,"running":0,"queued":0,"lost":0,"pending":0,"unreadable":0,"seconds":0.0,"cpu_seconds":0.0,"estimate":"unknown","estimate_seconds":null,"estimate_unknown":"nothing runs yet"}],
        "runs":[{"path":"out","experiment":"e","run":"e__a1","total":0,"completed":0,"surrendered":0,"crashed":0,"timed_out":0,"interrupted":0,"running":0,"queued":0,"lost":0,"pending":0,"unreadable":0,"seconds":0.0,"cpu_seconds":0.0,"estimate":"unknown","estimate_seconds":null,"estimate_unknown":"nothing runs yet"}],
        "failed":[{"outcome":"timed_out","reason":"timed out after 1 s","count":2,"example":"out/e/log/rep_00"}],
        "advice":[]}
        "#);
    }
}

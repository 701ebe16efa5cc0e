//! What to do next: the commands that lead on from how the repetitions stand.

use super::human::count;
use super::progress::Progress;
use crate::run::effective_state::EffectiveState;

/// A command, and what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// As it is typed.
    pub command: String,
    /// In a few words.
    pub what: String,
}

/// What is known besides the counts.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// What this program is called by.
    pub me: &'a str,
    /// The plans, as they are named to a command.
    pub paths: &'a str,
    /// A plan that was never submitted, where none was.
    pub to_submit: Option<&'a str>,
    /// Slurm could not be asked what is queued or runs: it may be under way.
    pub unsure: bool,
    /// Some jobs needed more memory than they had.
    pub out_of_memory: bool,
    /// Some came to their time limit, and will not go on by themselves.
    pub out_of_time: bool,
}

/// The steps, the first one first; none where all is done or under way.
pub fn steps(progress: &Progress, known: &Known<'_>) -> Vec<Step> {
    let sum = |wanted: fn(EffectiveState) -> bool| {
        EffectiveState::ALL.into_iter().filter(|state| wanted(*state)).map(|state| progress.count(state)).sum::<u64>()
    };
    let (me, paths) = (known.me, known.paths);
    let mut steps = Vec::new();
    let failed = sum(EffectiveState::is_failed);
    if failed > 0 {
        let what = if failed == 1 { "why it failed".to_owned() } else { format!("why {} failed", count(failed)) };
        steps.push(Step { command: format!("{me} logs --failed {paths}"), what });
    }
    let missing = sum(EffectiveState::is_missing);
    match (missing, known.to_submit) {
        (0, _) => {}
        _ if known.unsure => {}
        (_, Some(plan)) => {
            steps.push(Step { command: format!("{me} submit {plan}"), what: "it was never submitted".to_owned() });
        }
        (missing, None) => {
            let memory = if known.out_of_memory { " --mem MORE" } else { "" };
            let time = if known.out_of_time { " --time MORE" } else { "" };
            let what = if missing == 1 {
                "the one that is missing".to_owned()
            } else {
                format!("the {} that are missing", count(missing))
            };
            steps.push(Step { command: format!("{me} retry {paths}{memory}{time}"), what });
        }
    }
    steps
}

/// The steps in a line.
pub fn line(steps: &[Step]) -> Option<String> {
    let steps: Vec<_> = steps.iter().map(|step| format!("`{}` ({})", step.command, step.what)).collect();
    (!steps.is_empty()).then(|| format!("next: {}", steps.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use EffectiveState::{Completed, Crashed, Interrupted, JobFailed, Lost, Pending, Running};

    #[test]
    fn what_is_next_follows_from_how_they_stand() {
        let known = Known { me: "cw2", paths: "out", ..Known::default() };
        for (reps, known, expected) in [
            (vec![Completed], known, None),
            (vec![Completed, Running], known, None),
            (
                vec![Completed, Crashed],
                known,
                Some("next: `cw2 logs --failed out` (why it failed), `cw2 retry out` (the one that is missing)"),
            ),
            (
                vec![Lost, JobFailed, Interrupted],
                Known { out_of_memory: true, out_of_time: true, ..known },
                Some(
                    "next: `cw2 logs --failed out` (why 2 failed), `cw2 retry out --mem MORE --time MORE` (the 3 that are missing)",
                ),
            ),
            (vec![Pending], known, Some("next: `cw2 retry out` (the one that is missing)")),
            (
                vec![Pending, Pending],
                Known { to_submit: Some("out/plans/002"), ..known },
                Some("next: `cw2 submit out/plans/002` (it was never submitted)"),
            ),
        ] {
            let mut progress = Progress::default();
            for state in reps {
                progress.add(state, None, super::super::progress::tests::now());
            }
            assert_eq!(line(&steps(&progress, &known)).as_deref(), expected);
        }
    }
}

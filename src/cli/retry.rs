//! `cw2 retry`: one more plan, of exactly what earlier ones left undone.

use super::choose::{self, PlanArgs, RepArgs};
use super::{Exit, print, submit, tell};
use crate::config::scale::Factor;
use crate::ops;
use crate::ops::failure::Failure;
use crate::ops::program::{self, Program};
use crate::ops::reading::Reading;
use crate::ops::retry::{Options, Retried};
use crate::report::planned;
use crate::run::effective_state::EffectiveState;
use clap::Args;
use std::io::Write as _;
use std::num::NonZeroU32;
use std::path::PathBuf;

#[derive(Debug, Args)]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub(super) struct RetryArgs {
    #[command(flatten)]
    plans: PlanArgs,
    #[command(flatten)]
    select: RepArgs,
    /// Only repetitions in these states: `crashed`, `timed_out`, `interrupted`, `lost`, `job_failed`, `pending`
    #[arg(long, num_args = 1.., value_delimiter = ',', value_name = "STATE", value_parser = missing)]
    only: Vec<EffectiveState>,
    /// A new time limit, in the form of the configuration's `time`; or a multiple of what each had, such as `2x`
    #[arg(long, value_name = "TIME")]
    time: Option<String>,
    /// A new amount of memory, per node, CPU or GPU as in the plan; per CPU if the plan has none; or a multiple, such as `2x`
    #[arg(long, value_name = "MEMORY")]
    mem: Option<String>,
    /// A new value for a key of SLURM, e.g. `sbatch_args.gres=gpu:2` (the value is YAML; an empty one unsets the key)
    #[arg(long, value_name = "KEY=VALUE")]
    set_slurm: Vec<String>,
    /// Repetitions per job, instead of the configured number
    #[arg(long, value_name = "N")]
    reps_per_job: Option<NonZeroU32>,
    /// If Slurm cannot be asked, assume that nothing of these plans is queued or running
    #[arg(long)]
    assume_dead: bool,
    /// What to run: the commands as they are in this configuration now, for the same parameters
    #[arg(long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// Copy the code anew, instead of running the copy that the plans were made with
    #[arg(long)]
    fresh_code: bool,
    /// Let what crashed or timed out resume from what it saved (`CW2_RESUME=1`), as what was interrupted does
    #[arg(long)]
    resume: bool,
    /// Submit the new plan
    #[arg(long, conflicts_with_all = ["dry_run", "json"])]
    submit: bool,
    /// Print the scripts and write nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Print one JSON object instead of the scripts' paths
    #[arg(long)]
    json: bool,
}

/// A state that can be retried.
fn missing(text: &str) -> Result<EffectiveState, String> {
    let key = text.trim().replace(['-', ' '], "_");
    let all = || EffectiveState::ALL.into_iter().filter(|effective| effective.is_missing());
    all().find(|effective| effective.key() == key).ok_or_else(|| {
        format!("only these states can be retried: {}", all().map(EffectiveState::key).collect::<Vec<_>>().join(", "))
    })
}

pub(super) fn retry(args: &RetryArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    let given = |key: &str, value: &Option<String>| value.as_ref().map(|value| format!("{key}={value}"));
    let mut set_slurm = args.set_slurm.clone();
    let time_times = args.time.as_deref().and_then(Factor::parse);
    let memory_times = args.mem.as_deref().and_then(Factor::parse);
    set_slurm.extend(given("time", &args.time).filter(|_| time_times.is_none()));
    let options = Options {
        sources: args.plans.sources().to_vec(),
        select: args.select.selection(),
        only: args.only.clone(),
        set_slurm,
        memory: args.mem.clone().filter(|_| memory_times.is_none()),
        memory_times,
        time_times,
        config: args.config.clone(),
        fresh_code: args.fresh_code,
        resume: args.resume,
        reps_per_job: args.reps_per_job,
        assume_dead: args.assume_dead,
        dry_run: args.dry_run,
    };
    let retried = ops::retry::retry(&options, program, &mut |notice| tell(&notice, quiet))?;
    if args.json {
        print_json(&retried)?;
    } else if let Some((_, frozen)) = retried.planned.as_ref().filter(|_| !args.submit) {
        print::scripts(frozen)?;
    }
    choose::tell_unreadable(&retried.unreadable_plans, &retried.unreadable);
    choose::tell_unreadable_forgotten(&retried.unreadable_forgotten);
    if !quiet {
        tell!("{}", retried.picked.summary());
        match &retried.planned {
            None => tell!("nothing to retry: no plan was written"),
            Some((plan, frozen)) => {
                tell!("{}", planned::to_do(plan));
                frozen.notes.iter().for_each(|note| tell!("{note}"));
                if !args.submit {
                    print::next(frozen, args.dry_run, program::name());
                }
            }
        }
    }
    let folder = retried.planned.and_then(|(_, frozen)| frozen.folder).filter(|_| args.submit);
    if let Some(folder) = folder {
        let reading = Reading { config: folder, ..Reading::default() };
        let options = ops::submit::Options { reading, ..ops::submit::Options::default() };
        return submit::submit_all(&options, program, quiet);
    }
    Ok(Exit::Done)
}

/// `{"plan": …, "scripts": […], "retried": {…}, "left_out": {…}, "unreadable_plans": […], "unreadable_forgotten": […], "unreadable": […]}`.
fn print_json(retried: &Retried) -> Result<(), Failure> {
    let Retried { picked, planned, unreadable_plans, unreadable_forgotten, unreadable } = retried;
    let folder = planned.as_ref().and_then(|(_, frozen)| frozen.folder.as_ref());
    let scripts: Vec<String> = match (planned, folder) {
        (Some((_, frozen)), Some(folder)) => {
            frozen.scripts.iter().map(|(script, _)| folder.join(script).to_string_lossy().into_owned()).collect()
        }
        _ => Vec::new(),
    };
    let counts = |counts: Vec<(&str, u64)>| {
        counts.into_iter().map(|(key, count)| (key.to_owned(), count.into())).collect::<serde_json::Map<_, _>>()
    };
    let json = serde_json::json!({
        "plan": folder.map(|folder| folder.to_string_lossy()),
        "scripts": scripts,
        "jobs": planned.as_ref().map_or(0, |(plan, _)| plan.counts().jobs),
        "retried": counts(picked.retried()),
        "left_out": counts(picked.left_out()),
        "unreadable_plans": unreadable_plans,
        "unreadable_forgotten": unreadable_forgotten,
        "unreadable": unreadable,
    });
    let mut out = std::io::stdout().lock();
    writeln!(out, "{json}")?;
    Ok(out.flush()?)
}

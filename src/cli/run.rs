//! `cw2 run`: the same plan and the same worker, on this machine.

use super::progress_lines::{Counts, ProgressLines};
use super::worker::{self, seconds};
use super::{ConfigArgs, Exit, exec, submit, tell};
use crate::ops;
use crate::ops::failure::Failure;
use crate::ops::program::Program;
use crate::ops::run::Ran;
use crate::report::failures;
use crate::run::status::State;
use crate::store::plan::Rep;
use crate::worker::{End, Observer};
use clap::Args;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::collections::HashSet;
use std::io::IsTerminal as _;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

#[derive(Debug, Args)]
pub(super) struct RunArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// How many jobs (array elements) run at a time
    #[arg(short, long, value_name = "N", default_value = "1")]
    jobs: NonZeroUsize,
    /// Run finished repetitions again, and replace their results
    #[arg(short, long)]
    overwrite: bool,
    /// Start no other repetition after N that crashed or timed out; those that run go on to their ends
    #[arg(long, value_name = "N")]
    fail_fast: Option<NonZeroUsize>,
    /// Leave out `venv`, `sh_lines` and `sh_lines_after`
    #[arg(long)]
    no_setup: bool,
    /// Seconds between asking a repetition to stop and SIGKILL
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, hide_short_help = true, value_parser = seconds)]
    grace: f64,
}

pub(super) fn run(args: &RunArgs, program: &Program, quiet: bool) -> Result<Exit, Failure> {
    let reading = args.config.reading();
    if program.scheduler.submits() {
        let options = ops::submit::Options { reading, overwrite: args.overwrite, ..ops::submit::Options::default() };
        return submit::submit_all(&options, program, quiet);
    }
    let prepared = ops::run::is_prepared();
    // A pipe cannot.
    let again = reading.config.is_file();
    let options = ops::run::Options {
        reading,
        overwrite: args.overwrite,
        jobs: args.jobs,
        grace: Duration::from_secs_f64(args.grace),
        fail_fast: args.fail_fast,
        setup_left_out: (!args.no_setup && !again && !prepared).then_some("this configuration can be read only once"),
    };
    if !args.no_setup && !prepared && again {
        let call = exec::this_call(&[])?;
        if let Some(command) = ops::run::preparation(&options, program, &call)? {
            return Err(ops::exec::replace_by(command));
        }
    }
    // What it prints goes to the terminal.
    let hidden = quiet || options.reading.debug;
    let bar = |count| Arc::new(Bar::new(count, hidden)) as Arc<dyn Observer>;
    let ran = ops::run::run(&options, program, None, &mut |notice| tell(&notice, quiet), bar)?;
    exit_of(ran, quiet)
}

/// Tells what became of the repetitions, and what that ends with.
pub(super) fn exit_of(ran: Option<Ran>, quiet: bool) -> Result<Exit, Failure> {
    let Some(Ran { tally, result, summary }) = ran else {
        if !quiet {
            tell!("nothing is left to do");
        }
        return Ok(Exit::Done);
    };
    if !quiet || tally.any_failed() || tally.out_of_room() {
        tell!("{summary}");
    }
    result?;
    Ok(worker::exit(&tally))
}

/// Progress, as a bar on a terminal, elsewhere as a line now and then; and the first failure of each kind as it comes.
pub(super) struct Bar {
    drawn: ProgressBar,
    lines: Option<ProgressLines>,
    told: Mutex<HashSet<String>>,
}

impl Bar {
    pub(super) fn new(repetitions: u64, quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let visible = !quiet && terminal;
        let lines = (!quiet && !terminal).then(|| ProgressLines::new(repetitions, |line| tell!("{line}")));
        let target = if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(repetitions), target);
        if let Ok(style) = ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} (left {eta}) {wide_msg}") {
            bar.set_style(style);
        }
        Bar { drawn: bar, lines, told: Mutex::default() }
    }
}

impl Bar {
    fn count(&self, change: impl Fn(&mut Counts)) {
        if let Some(lines) = &self.lines {
            lines.count(change);
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.drawn.finish_and_clear();
    }
}

impl Observer for Bar {
    fn started(&self, rep: &Rep) {
        self.drawn.set_message(format!("{} rep {}", rep.run.record.run, rep.number));
        self.count(|counts| counts.started += 1);
    }

    fn ended(&self, rep: &Rep, end: &End) {
        let told = match end {
            End::Ran(_, None) | End::Skipped(..) | End::NoTime | End::Stopped => None,
            End::Ran(state, Some(why)) => Some((state.word(), why)),
            End::Busy(why) => Some(("left alone", why)),
            End::Refused(why) => Some(("refused", why)),
            End::NoRoom(why) => Some(("not started", why)),
        };
        if let Some((how, why)) = told {
            let dir = rep.dir.to_string_lossy();
            let kind = format!("{how}: {}", failures::normal(why, &[&dir, &rep.run.record.run]));
            let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
            if told.insert(kind) {
                self.drawn.suspend(|| log::warn!("{how}: {dir}: {why}"));
            }
        }
        self.drawn.inc(1);
        let ran = matches!(end, End::Ran(..));
        self.count(|counts| {
            counts.ended += 1;
            // What did not run was never started.
            counts.started += u64::from(!ran);
            counts.failed += u64::from(matches!(end, End::Ran(State::Crashed | State::TimedOut, _)));
        });
    }
}

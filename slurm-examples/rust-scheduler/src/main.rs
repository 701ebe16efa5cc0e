//! Counts primes, and runs the repetitions that take longest first, so that no slot is left with a long one at the end.

use cw2::scheduler::{Job, Jobs, Scheduler, Sharing, Slot, Task};
use cw2::{ClusterWork, Context, Experiment, Metrics};
use serde::Deserialize;
use std::collections::VecDeque;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

#[derive(Deserialize)]
struct Params {
    from: u64,
    to: u64,
}

#[derive(Default)]
struct Primes;

impl Experiment for Primes {
    fn run(&mut self, cx: &Context) -> anyhow::Result<()> {
        let Params { from, to } = cx.params()?;
        let is_prime = |n: u64| n > 1 && (2..=n.isqrt()).all(|d| !n.is_multiple_of(d));
        let count = (from..=to).filter(|n| is_prime(*n)).count();
        log::info!("{count} primes from {from} to {to}");
        cx.log(Metrics::new().with("primes", count));
        Ok(())
    }
}

/// Within a job the repetition with the highest `to` first, in as many slots as the configuration says.
struct LongestFirst;

impl LongestFirst {
    fn length(task: &Task<'_>) -> u64 {
        task.params().to::<Params>().map_or(0, |params| params.to)
    }

    fn run_job(job: &Job<'_>, slots: &[Slot]) {
        let mut tasks: Vec<_> = job.tasks().collect();
        tasks.sort_by_key(|task| std::cmp::Reverse(Self::length(task)));
        let queue = Mutex::new(VecDeque::from(tasks));
        std::thread::scope(|scope| {
            for slot in slots {
                scope.spawn(|| {
                    loop {
                        let mut left = queue.lock().unwrap_or_else(PoisonError::into_inner);
                        let Some(task) = left.pop_front().filter(|_| !job.stopping()) else { return };
                        // With the queue still locked: the log tells the true order.
                        log::info!("slot {}: up to {}", slot.number(), Self::length(&task));
                        drop(left);
                        task.execute(slot);
                    }
                });
            }
        });
    }
}

impl Scheduler for LongestFirst {
    fn run(&self, jobs: &Jobs<'_>) -> anyhow::Result<()> {
        // One job after another: within a Slurm job there is only one.
        let Some(lane) = jobs.lanes().first() else { return Ok(()) };
        while let Some(job) = jobs.next()? {
            Self::run_job(&job, &job.slots(lane, Sharing::Planned)?);
        }
        Ok(())
    }
}

fn main() -> ExitCode {
    ClusterWork::new(Primes::default).params::<Params>().scheduler(LongestFirst).main()
}

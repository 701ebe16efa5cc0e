//! An experiment that ends in every way there is, for the tests of the library: `params.how` says which.

use anyhow::Context as _;
use cw2::scheduler::{self, Jobs, Scheduler, Sharing};
use cw2::{ClusterWork, Context, Ending, Experiment, IterativeExperiment, Logger, Metrics, Surrender, loggers};
use serde::Deserialize;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

#[derive(Default, Deserialize)]
struct Params {
    how: String,
}

/// Logs six records, and waits for a stop at the fourth.
fn count(cx: &Context) -> anyhow::Result<()> {
    let saves = cx.params_value()["saves"].as_bool() == Some(true);
    let first: u32 = cx.restore()?.unwrap_or_default();
    for n in first..6 {
        cx.log(Metrics::new().with("n", n).with("attempt", cx.attempt()));
        if saves && n == 1 {
            cx.save(&2)?;
        }
        if n == 3 && cx.wait_stop(Duration::from_secs(if cx.resume() { 0 } else { 60 })) {
            break;
        }
    }
    Ok(())
}

#[derive(Default)]
struct EveryEnding {
    starts: u32,
    how: String,
}

impl Experiment for EveryEnding {
    fn initialize(&mut self, cx: &Context) -> anyhow::Result<()> {
        self.starts += 1;
        self.how = cx.params::<Params>()?.how;
        log::info!("start {} of this object, attempt {}", self.starts, cx.attempt());
        match self.how.as_str() {
            "initialize" => anyhow::bail!("nothing works"),
            _ => Ok(()),
        }
    }

    #[expect(clippy::too_many_lines, reason = "one arm an ending")]
    fn run(&mut self, cx: &Context) -> anyhow::Result<()> {
        match self.how.as_str() {
            "surrender" => Err(Surrender::with([("reason", "enough")])).context("in vain"),
            "error" => Err(std::fs::read("/no/such/file").expect_err("there is none")).context("the data is missing"),
            "panic" => panic!("index {} of {}", 7, 3),
            "carried" => {
                // The broken logger panics before, on this thread.
                cx.log(Metrics::new());
                let other = std::thread::spawn(|| panic!("from another thread"));
                other.join().or_else(|panic| std::panic::resume_unwind(panic))
            }
            "child" => {
                let status = cx.spawn(Command::new("sh").args(["-c", "kill -TERM $$"]))?.wait()?;
                anyhow::ensure!(status.signal() == Some(15), "{status}");
                Ok(())
            }
            "background" => {
                let child = cx.spawn(Command::new("sh").args(["-c", "trap '' TERM; sleep 600 & wait"]))?;
                std::fs::write(cx.dir().join(format!("pid{}", cx.attempt())), child.id().to_string())?;
                let first = std::fs::read_to_string(cx.dir().join("pid1"))?;
                let state = std::fs::read_to_string(format!("/proc/{first}/stat")).unwrap_or_default();
                log::info!("the first {}", if state.is_empty() || state.contains(") Z") { "is gone" } else { "runs" });
                anyhow::ensure!(cx.attempt() > 1, "once more");
                Ok(())
            }
            "thread" => {
                let handle = cx.log_handle();
                let join = std::thread::spawn(move || {
                    let _guard = handle.enter();
                    log::warn!("a thread of {}", "its own");
                });
                join.join().map_err(|_| anyhow::anyhow!("the thread panicked"))
            }
            "share" => {
                let status = std::fs::read_to_string("/proc/thread-self/status")?;
                let bound = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).unwrap_or_default();
                let share = format!("{:?} {:?} bound {}", cx.cpus(), cx.gpus(), bound.trim());
                std::fs::write(cx.dir().join("share.txt"), share)?;
                // In its slot until the other one has one too: else a fast one's slot would take both.
                let other = cx.dir().with_file_name(format!("rep_{:02}", 1 - cx.number())).join("share.txt");
                let alone = std::env::var("SCHEDULER").is_ok_and(|scheduler| scheduler == "sequential");
                while !alone && !other.exists() && !cx.stopping() {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            }
            "mix" => {
                for n in 0..200 {
                    log::info!("rep {} line {n}", cx.number());
                    cx.log(Metrics::new().with("n", n).with("nan", f64::NAN));
                    std::thread::sleep(Duration::from_micros(200));
                }
                Ok(())
            }
            "polite" => {
                while !cx.stopping() {
                    std::thread::sleep(Duration::from_millis(2));
                }
                log::info!("saved");
                std::fs::write(cx.dir().join("saved"), cx.attempt().to_string())?;
                Ok(())
            }
            "resume" if cx.resume() => Ok(()),
            "resume" => {
                while !cx.stopping() {
                    std::thread::sleep(Duration::from_millis(2));
                }
                anyhow::bail!("told to stop")
            }
            "stubborn" => {
                let end = Instant::now() + Duration::from_secs(60);
                while Instant::now() < end {
                    std::thread::sleep(Duration::from_millis(2));
                }
                Ok(())
            }
            "look" | "finish" => {
                let stop = || if self.how == "look" { cx.stop_requested() } else { cx.stopping() };
                while !stop() {
                    std::thread::sleep(Duration::from_millis(2));
                }
                if self.how == "finish" {
                    cx.done();
                }
                Ok(())
            }
            "glance" | "beside" => {
                let stop = || if self.how == "glance" { cx.stop_requested() } else { cx.stopping() };
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        while !stop() {
                            std::thread::sleep(Duration::from_millis(2));
                        }
                    });
                });
                Ok(())
            }
            "save" => {
                let (saves, nan) = cx.restore()?.unwrap_or((0_u32, f64::NAN));
                anyhow::ensure!(nan.is_nan());
                if cx.params_value()["late"].as_bool() != Some(true) {
                    cx.save(&(saves + 1, f64::NAN))?;
                }
                if saves == 0 && !cx.resume() && !cx.wait_stop(Duration::ZERO) {
                    assert!(cx.wait_stop(Duration::from_secs(60)), "nobody said stop");
                }
                std::fs::write(cx.dir().join("saves"), saves.to_string())?;
                Ok(())
            }
            "count" => count(cx),
            "exit" => std::process::exit(0),
            "once" if cx.attempt() < 2 => anyhow::bail!("not yet"),
            "flaky" if cx.attempt() < 3 => anyhow::bail!("not yet"),
            _ => Ok(()),
        }
    }

    fn finalize(&mut self, cx: &Context, ending: &Ending) -> anyhow::Result<()> {
        let error = if let Ending::Crashed(error) = ending { format!(": {error:#}") } else { String::new() };
        std::fs::write(cx.dir().join("ending.txt"), format!("{}{error}", ending.word()))?;
        assert!(self.how != "finalize", "too late");
        Ok(())
    }
}

/// An experiment of iterations, which surrenders in the third; where there is only one, its state is saved until the worker
/// is to stop.
#[derive(Default)]
struct Steps;

impl IterativeExperiment for Steps {
    fn initialize(&mut self, cx: &Context) -> anyhow::Result<()> {
        cx.log(Metrics::new().with("at", "initialize"));
        Ok(())
    }

    fn iterate(&mut self, cx: &Context, n: u64) -> anyhow::Result<Metrics> {
        cx.log(Metrics::new().with("at", "within").with("iter", 99));
        if n == 2 {
            return Err(Surrender::with([("at", "surrender")]).into());
        }
        Ok(Metrics::new().with("at", "result"))
    }

    fn save_state(&mut self, cx: &Context, _: u64) -> anyhow::Result<()> {
        while cx.iterations() == Some(1) && !cx.stopping() {
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    fn finalize(&mut self, cx: &Context, _: &Ending) -> anyhow::Result<()> {
        cx.log(Metrics::new().with("at", "finalize"));
        Ok(())
    }
}

/// A logger that never works.
struct Broken;

impl Logger for Broken {
    fn process(&mut self, _: &Metrics) -> anyhow::Result<()> {
        panic!("no logger at all")
    }

    fn name(&self) -> String {
        assert!(std::env::var_os("NAMELESS").is_none(), "no name");
        "Broken".to_owned()
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        assert!(std::env::var_os("NAMELESS").is_none(), "not even dropped");
    }
}

/// Runs every other repetition, and the first of them twice, from its own thread.
struct Careless;

impl Scheduler for Careless {
    fn run(&self, jobs: &Jobs<'_>) -> anyhow::Result<()> {
        while let Some(job) = jobs.next()? {
            let slots = job.slots(&jobs.lanes()[0], Sharing::One)?;
            for index in [0, 0].into_iter().chain((2..job.len()).step_by(2)) {
                if let (Some(task), Some(slot)) = (job.task(index), slots.first()) {
                    task.execute(slot);
                }
            }
        }
        Ok(())
    }
}

/// A program that runs one configuration after another, and may have a thread of its own, as a test of a user's has.
fn host(configs: &[String], alone: bool) -> ExitCode {
    if !alone {
        std::thread::spawn(|| {
            loop {
                std::thread::park();
            }
        });
    }
    let calls = configs.iter().map(|config| {
        let args = ["every-ending", "run", "--quiet", config].map(Into::into);
        ClusterWork::new(EveryEnding::default).call(args)
    });
    ExitCode::from(calls.max().unwrap_or_default())
}

/// Panics after the first repetition.
struct Panicking;

impl Scheduler for Panicking {
    fn run(&self, jobs: &Jobs<'_>) -> anyhow::Result<()> {
        let job = jobs.next()?.context("no job")?;
        let slots = job.slots(&jobs.lanes()[0], Sharing::One)?;
        job.task(0).zip(slots.first()).map(|(task, slot)| task.execute(slot));
        panic!("no order at all")
    }
}

/// Has a process of its own, which ends while a repetition is under way.
struct Helped;

impl Scheduler for Helped {
    fn run(&self, jobs: &Jobs<'_>) -> anyhow::Result<()> {
        let mut helper = Command::new("true").spawn()?;
        while std::fs::read_to_string(format!("/proc/{}/stat", helper.id())).is_ok_and(|stat| !stat.contains(") Z")) {
            std::thread::sleep(Duration::from_millis(1));
        }
        scheduler::Sequential.run(jobs)?;
        let status = helper.wait().context("the helper was taken away")?;
        anyhow::ensure!(status.success(), "the helper: {status}");
        Ok(())
    }
}

/// Does what it has to do, and never returns.
struct Endless;

impl Scheduler for Endless {
    fn run(&self, jobs: &Jobs<'_>) -> anyhow::Result<()> {
        scheduler::Sequential.run(jobs)?;
        loop {
            std::thread::park();
        }
    }
}

fn main() -> ExitCode {
    let program = ClusterWork::new(EveryEnding::default).logger(loggers::Csv::new).logger(loggers::Facade::new);
    let program = program.logger(|| Broken).params::<Params>();
    let program = match std::env::var("OWN") {
        Ok(own) => program.worker_args(["--own", own.as_str()]),
        Err(_) => program,
    };
    if std::env::var_os("OWN_LOGGER").is_some() {
        let target = env_logger::Target::Pipe(Box::new(cw2::LogWriter::out()));
        let format =
            |f: &mut env_logger::fmt::Formatter, record: &log::Record<'_>| writeln!(f, "mine: {}", record.args());
        env_logger::builder().filter_level(log::LevelFilter::Info).target(target).format(format).init();
        log::info!("of no repetition");
    }
    let args: Vec<_> = std::env::args().collect();
    if let Some(word @ ("host" | "host-alone")) = args.get(1).map(String::as_str) {
        return host(&args[2..], word == "host-alone");
    }
    if std::env::var_os("STEPS").is_some() {
        return ClusterWork::iterative(Steps::default).main();
    }
    match std::env::var("SCHEDULER").as_deref() {
        Ok("sequential") => program.scheduler(scheduler::Sequential).main(),
        Ok("parallel") => program.scheduler(scheduler::Parallel).main(),
        Ok("cpu-pinned") => program.scheduler(scheduler::CpuPinned).main(),
        Ok("gpu-splitting") => program.scheduler(scheduler::GpuSplitting).main(),
        Ok("slurm") => program.scheduler(scheduler::SlurmSubmission(scheduler::Sequential)).main(),
        Ok("panicking") => program.scheduler(Panicking).main(),
        Ok("helped") => program.scheduler(Helped).main(),
        Ok("endless") => program.scheduler(Endless).main(),
        Ok("careless") => program.scheduler(Careless).main(),
        _ => program.main(),
    }
}

//! `cw2 status --advice`: what finished repetitions used of what was requested, and what would fit.

use super::human;
use crate::config::{Slurm, SlurmTime, slurm_time};
use serde::Serialize;
use std::fmt::Write as _;

/// Added to what was used: a quarter.
const MARGIN: f64 = 1.25;
/// Shorter jobs cost the cluster more to start than they do.
const SHORT_JOB: f64 = 600.0;
/// What a bundle of short repetitions should take instead.
const GOOD_JOB: f64 = 1_800.0;
/// Fewer finished repetitions tell little.
const FEW: usize = 5;
const MIB: u64 = 1 << 20;

/// What an experiment's jobs ask of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Requested {
    /// Repetitions a job bundles.
    pub reps_per_job: u32,
    /// Whether pilots take one job after another.
    pub pilots: bool,
    /// `--time`, in Slurm's form.
    pub time: Option<String>,
    /// `--mem-per-cpu`, in Slurm's form.
    pub mem_per_cpu: Option<String>,
    /// `--mem`, in Slurm's form.
    pub mem: Option<String>,
    /// `--cpus-per-task`.
    pub cpus_per_task: Option<u32>,
    /// `--ntasks`.
    pub ntasks: Option<u32>,
}

impl Requested {
    /// What a script asks for, be it by a key of SLURM or in `sbatch_args`.
    pub fn of(slurm: &Slurm, reps_per_job: u32) -> Self {
        let text = |option: &str| slurm.options.text(option).map(str::to_owned);
        Requested {
            reps_per_job,
            pilots: slurm.pilots.is_some(),
            time: text("time"),
            mem_per_cpu: text("mem-per-cpu"),
            mem: text("mem"),
            cpus_per_task: slurm.options.number("cpus-per-task"),
            ntasks: slurm.options.number("ntasks"),
        }
    }
}

/// What the finished repetitions of an experiment used.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    /// The folder its plans lie in.
    pub path: String,
    /// The experiment's name.
    pub experiment: String,
    /// What its jobs asked for.
    pub requested: Requested,
    /// Slots of a job.
    pub reps_in_parallel: u32,
    /// A slot's CPUs, where they are given.
    pub cpus_per_rep: Option<u32>,
    /// Seconds of each finished repetition.
    pub seconds: Vec<f64>,
    /// CPU seconds of those that tell them, and their seconds.
    pub cpu: (f64, f64),
    /// The largest process of any.
    pub max_rss: Option<u64>,
    /// All repetitions of the experiment, finished or not.
    pub total: u64,
}

/// Requested, used, and what would fit.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Advice {
    /// The folder its plans lie in.
    pub path: String,
    /// The experiment's name.
    pub experiment: String,
    /// How many repetitions this is taken from.
    pub finished: usize,
    /// What its jobs asked for.
    pub requested: Asked,
    /// What a repetition used.
    pub used: Used,
    /// What would fit; `None` where nothing is finished.
    pub fits: Option<Fits>,
    /// What else a person should know.
    pub notes: Vec<String>,
}

/// What a job asked for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Asked {
    /// As written.
    pub time: Option<String>,
    /// Of it; `None` where it is unlimited or not given.
    pub time_seconds: Option<u64>,
    /// As written.
    pub mem_per_cpu: Option<String>,
    /// As written: of a job as a whole.
    pub mem: Option<String>,
    /// CPUs of a job.
    pub cpus: u32,
    /// Repetitions of a job.
    pub reps_per_job: u32,
    /// Slots of a job.
    pub reps_in_parallel: u32,
}

/// What a repetition used.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Used {
    /// Half of them took less.
    pub seconds_median: f64,
    /// Nineteen of twenty took less.
    pub seconds_p95: f64,
    /// The longest.
    pub seconds_max: f64,
    /// The largest process of any, in bytes.
    pub max_rss: Option<u64>,
    /// CPUs that were busy on average.
    pub cpus: Option<f64>,
}

/// What would fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fits {
    /// Repetitions of a job.
    pub reps_per_job: u32,
    /// A time limit for such a job, in Slurm's form.
    pub time: String,
    /// The same.
    pub time_seconds: u64,
    /// Memory, in Slurm's form; `None` where no repetition tells what it used.
    pub mem_per_cpu: Option<String>,
    /// The same for a job as a whole.
    pub mem: Option<String>,
}

/// What would fit an experiment.
pub fn advise(usage: &Usage) -> Advice {
    let requested = &usage.requested;
    let cpus = requested.ntasks.unwrap_or(1).saturating_mul(requested.cpus_per_task.unwrap_or(1)).max(1);
    let per_job = requested.reps_per_job.max(1);
    let slots = usage.reps_in_parallel.clamp(1, per_job);
    let asked = Asked {
        time_seconds: match requested.time.as_deref().and_then(slurm_time) {
            Some(SlurmTime::Seconds(seconds)) => Some(seconds),
            Some(SlurmTime::Unlimited) | None => None,
        },
        time: requested.time.clone(),
        mem_per_cpu: requested.mem_per_cpu.clone(),
        mem: requested.mem.clone(),
        cpus,
        reps_per_job: per_job,
        reps_in_parallel: slots,
    };
    let mut seconds: Vec<f64> = usage.seconds.iter().copied().filter(|s| s.is_finite() && *s >= 0.0).collect();
    seconds.sort_unstable_by(f64::total_cmp);
    let used = Used {
        seconds_median: quantile(&seconds, 50),
        seconds_p95: quantile(&seconds, 95),
        seconds_max: seconds.last().copied().unwrap_or(0.0),
        max_rss: usage.max_rss,
        cpus: (usage.cpu.1 > 0.0).then(|| usage.cpu.0 / usage.cpu.1),
    };
    let fits = (!seconds.is_empty()).then(|| fits(usage, &asked, &used, slots));
    let notes = notes(usage, &asked, &used, fits.as_ref(), seconds.len());
    Advice {
        path: usage.path.clone(),
        experiment: usage.experiment.clone(),
        finished: seconds.len(),
        requested: asked,
        used,
        fits,
        notes,
    }
}

fn fits(usage: &Usage, asked: &Asked, used: &Used, slots: u32) -> Fits {
    let configured = usage.requested.reps_per_job.max(slots);
    let typical = used.seconds_p95.max(0.001);
    let total = u32::try_from(usage.total).unwrap_or(u32::MAX).max(1);
    // A pilot's start is paid once, however short its jobs are.
    let reps_per_job = if !usage.requested.pilots && f64::from(configured.div_ceil(slots)) * typical < SHORT_JOB {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; too large saturates")]
        let rounds = (GOOD_JOB / typical).floor() as u32;
        rounds.saturating_mul(slots).max(configured).min(total.max(slots))
    } else {
        configured
    };
    let rounds = f64::from(reps_per_job.div_ceil(slots));
    let longest = (rounds * typical).max((rounds - 1.0) * used.seconds_median + used.seconds_max);
    // It uses all the time it gets.
    let least = asked.time_seconds.filter(|_| usage.requested.pilots).unwrap_or(0);
    let time_seconds = round_up(longest * MARGIN).max(least);
    let memory = |cpus: u32| {
        let all = u128::from(used.max_rss?) * u128::from(slots) * 5 / 4;
        let step = u128::from(64 * MIB);
        Some(format!("{}M", all.div_ceil(u128::from(cpus)).div_ceil(step).max(1) * 64))
    };
    let (mem_per_cpu, mem) = (memory(asked.cpus), memory(1));
    Fits { reps_per_job, time: slurm_form(time_seconds), time_seconds, mem_per_cpu, mem }
}

fn notes(usage: &Usage, asked: &Asked, used: &Used, fits: Option<&Fits>, finished: usize) -> Vec<String> {
    let mut notes = Vec::new();
    if finished > 0 && finished < FEW {
        notes.push(format!("based on only {finished} finished repetition{}", if finished == 1 { "" } else { "s" }));
    }
    let share = usage.cpus_per_rep.unwrap_or(asked.cpus / asked.reps_in_parallel.max(1)).max(1);
    if let Some(busy) = used.cpus.filter(|busy| share > 1 && *busy * 2.0 < f64::from(share)) {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "less than a number of CPUs")]
        let each = (busy.ceil() as u32).max(1);
        notes.push(format!(
            "a repetition keeps {busy:.1} of its {share} CPUs busy: `reps_in_parallel: {}` or fewer CPUs would use them",
            asked.cpus / each
        ));
    }
    if let (Some(limit), Some(fits)) = (asked.time_seconds, fits)
        && fits.time_seconds > limit
    {
        notes.push("the requested time is short: jobs may be ended at their limit".to_owned());
    }
    notes
}

/// The least value that so many of a hundred are not above.
fn quantile(sorted: &[f64], percent: usize) -> f64 {
    let place = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(place).copied().unwrap_or(0.0)
}

/// To whole 5 minutes below 2 hours, whole quarters of an hour below a day, else whole hours.
fn round_up(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "positive; too large saturates")]
    let seconds = seconds.ceil() as u64;
    let step = match seconds {
        0..=7_200 => 300,
        7_201..=86_400 => 900,
        _ => 3_600,
    };
    seconds.div_ceil(step).max(1).saturating_mul(step)
}

fn slurm_form(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds % 86_400 / 3_600, seconds % 3_600 / 60);
    if days > 0 { format!("{days}-{hours:02}:{minutes:02}:00") } else { format!("{hours}:{minutes:02}:00") }
}

/// The text: a block for each experiment, and what the margins are.
pub fn render(advice: &[Advice]) -> String {
    let mut text = String::new();
    for advice in advice {
        let plural = if advice.finished == 1 { "" } else { "s" };
        let _ = writeln!(
            text,
            "{} ({} finished repetition{plural})",
            advice.experiment,
            human::count(advice.finished as u64)
        );
        let Some(fits) = &advice.fits else {
            text.push_str("  nothing is finished: no advice yet\n\n");
            continue;
        };
        let (asked, used) = (&advice.requested, &advice.used);
        let not_given = || "not given".to_owned();
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["", "REQUESTED", "USED BY A REPETITION", "WOULD FIT"]);
        table.add_row([
            "time".to_owned(),
            asked.time.clone().unwrap_or_else(not_given),
            format!(
                "{} (95 %: {}, longest {})",
                human::seconds(used.seconds_median),
                human::seconds(used.seconds_p95),
                human::seconds(used.seconds_max)
            ),
            fits.time.clone(),
        ]);
        // In the unit that was asked for: Slurm takes only one of both.
        let (key, asked_memory, memory) = match &asked.mem {
            Some(_) => ("mem", &asked.mem, &fits.mem),
            None => ("mem-per-cpu", &asked.mem_per_cpu, &fits.mem_per_cpu),
        };
        table.add_row([
            key.to_owned(),
            asked_memory.clone().unwrap_or_else(not_given),
            used.max_rss.map_or_else(|| "unknown".to_owned(), |rss| format!("{} (largest process)", human::bytes(rss))),
            memory.clone().unwrap_or_else(|| "unknown".to_owned()),
        ]);
        table.add_row([
            "reps_per_job".to_owned(),
            asked.reps_per_job.to_string(),
            format!("{} in parallel", asked.reps_in_parallel),
            fits.reps_per_job.to_string(),
        ]);
        table.add_row([
            "CPUs".to_owned(),
            asked.cpus.to_string(),
            used.cpus.map_or_else(|| "unknown".to_owned(), |cpus| format!("{cpus:.1} busy on average")),
            String::new(),
        ]);
        for line in table.lines() {
            let _ = writeln!(text, " {}", line.trim_end());
        }
        for note in &advice.notes {
            let _ = writeln!(text, "  note: {note}");
        }
        text.push('\n');
    }
    text.push_str(
        "WOULD FIT includes a reserve of a quarter. `time` is for a job with the `reps_per_job` shown; jobs shorter than 10\n\
         minutes are bundled to about 30. Memory is that of a repetition's largest process: add what its others need.\n",
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::option::asked;

    fn usage(reps_per_job: u32, slots: u32, cpus: u32, seconds: &[f64], mib: Option<u64>) -> Usage {
        Usage {
            path: "out".to_owned(),
            experiment: "mnist".to_owned(),
            requested: Requested {
                reps_per_job,
                pilots: false,
                time: Some("4:00:00".to_owned()),
                mem_per_cpu: Some("4G".to_owned()),
                mem: None,
                cpus_per_task: Some(cpus),
                ntasks: None,
            },
            reps_in_parallel: slots,
            cpus_per_rep: None,
            seconds: seconds.to_vec(),
            cpu: (seconds.iter().sum::<f64>() * 0.9, seconds.iter().sum()),
            max_rss: mib.map(|mib| mib * MIB),
            total: 1_000,
        }
    }

    #[test]
    fn what_fits_follows_from_what_was_used() {
        let hour = [3_600.0; 20];
        for (name, usage, reps_per_job, time, memory) in [
            ("one a job", usage(1, 1, 1, &hour, Some(1000)), 1, "1:15:00", Some("1280M")),
            ("four side by side share the memory", usage(4, 4, 8, &hour, Some(1000)), 4, "1:15:00", Some("640M")),
            ("two rounds", usage(8, 4, 4, &hour, Some(1)), 8, "2:30:00", Some("64M")),
            ("days", usage(40, 1, 1, &hour, None), 40, "2-02:00:00", None),
            ("short ones are bundled", usage(1, 1, 1, &[60.0; 20], None), 30, "0:40:00", None),
            ("short ones in slots", usage(4, 4, 4, &[60.0; 20], None), 120, "0:40:00", None),
            ("no more than there are", usage(1, 1, 1, &[0.1; 20], None), 1_000, "0:05:00", None),
            (
                "one outlier counts once",
                usage(10, 1, 1, &[[60.0; 19].as_slice(), &[600.0]].concat(), None),
                10,
                "0:25:00",
                None,
            ),
            ("fewer than slots", usage(2, 8, 8, &hour, None), 2, "1:15:00", None),
        ] {
            let fits = advise(&usage).fits.unwrap();
            assert_eq!(
                (fits.reps_per_job, fits.time.as_str(), fits.mem_per_cpu.as_deref()),
                (reps_per_job, time, memory),
                "{name}"
            );
        }
        assert_eq!(advise(&Usage::default()).fits, None);
        assert_eq!(advise(&usage(1, 1, 1, &[f64::NAN, -1.0, f64::INFINITY], None)).fits, None);
        assert!(advise(&usage(u32::MAX, 1, u32::MAX, &[f64::MAX, 0.0], Some(1 << 40))).fits.is_some());
    }

    #[test]
    fn what_a_person_should_know_is_noted() {
        for (usage, expected) in [
            (usage(1, 1, 1, &[700.0; 9], None), vec![]),
            (usage(1, 1, 1, &[700.0], None), vec!["based on only 1 finished repetition"]),
            (
                usage(1, 1, 4, &[700.0; 9], None),
                vec!["a repetition keeps 0.9 of its 4 CPUs busy: `reps_in_parallel: 4` or fewer CPUs would use them"],
            ),
            (
                usage(9, 1, 1, &[3_600.0; 9], None),
                vec!["the requested time is short: jobs may be ended at their limit"],
            ),
        ] {
            assert_eq!(advise(&usage).notes, expected);
        }
    }

    #[test]
    fn what_sbatch_args_ask_for_counts() {
        let options = asked(&["time=10", ":mem=1G", ":c=4", ":time=0:30:00", ":n"]);
        let slurm = Slurm { options, ..Slurm::default() };
        let advice = advise(&Usage { requested: Requested::of(&slurm, 1), ..usage(1, 1, 1, &[700.0; 9], Some(900)) });
        let asked = &advice.requested;
        assert_eq!((asked.time.as_deref(), asked.time_seconds, asked.cpus), (Some("0:30:00"), Some(1_800), 4));
        let lines = render(&[advice]);
        assert_eq!(
            lines.lines().find(|line| line.trim_start().starts_with("mem")),
            Some("  mem           1G         900 MiB (largest process)                 1152M")
        );
    }

    #[test]
    fn the_text() {
        let mut nothing = usage(1, 1, 1, &[], None);
        nothing.experiment = "empty".to_owned();
        let mut unknown = usage(1, 1, 1, &[30.0], None);
        (unknown.requested, unknown.cpu) = (Requested::default(), (0.0, 0.0));
        let advice =
            [usage(4, 4, 4, &[650.0, 660.0, 720.5, 700.0, 690.0], Some(900)), unknown, nothing].map(|u| advise(&u));
        insta::assert_snapshot!(render(&advice), @r"
        mnist (5 finished repetitions)
                        REQUESTED  USED BY A REPETITION                      WOULD FIT
          time          4:00:00    11m 30s (95 %: 12m 01s, longest 12m 01s)  0:20:00
          mem-per-cpu   4G         900 MiB (largest process)                 1152M
          reps_per_job  4          4 in parallel                             4
          CPUs          4          0.9 busy on average

        mnist (1 finished repetition)
                        REQUESTED  USED BY A REPETITION             WOULD FIT
          time          not given  30 s (95 %: 30 s, longest 30 s)  0:40:00
          mem-per-cpu   not given  unknown                          unknown
          reps_per_job  1          1 in parallel                    60
          CPUs          1          unknown
          note: based on only 1 finished repetition

        empty (0 finished repetitions)
          nothing is finished: no advice yet

        WOULD FIT includes a reserve of a quarter. `time` is for a job with the `reps_per_job` shown; jobs shorter than 10
        minutes are bundled to about 30. Memory is that of a repetition's largest process: add what its others need.
        ");
    }
}

//! `cw2 list`: the repetitions of a configuration, or of a plan.

use super::{Exit, SelectArgs, tell};
use crate::ops::failure::Failure;
use crate::ops::freeze;
use crate::ops::select::check_experiments;
use crate::plan::Plan;
use crate::plan::build::build;
use crate::store;
use clap::Args;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// A configuration (YAML), or a plan's folder
    #[arg(value_name = "CONFIG|PLAN")]
    source: PathBuf,
    #[command(flatten)]
    select: SelectArgs,
    /// One JSON object a repetition, one a line
    #[arg(long)]
    json: bool,
}

pub(super) fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let out = BufWriter::new(std::io::stdout().lock());
    let mut printer: Box<dyn Printer> =
        if args.json { Box::new(Json(out)) } else { Box::new(Table { out, rows: Vec::new() }) };
    let plan = if args.source.is_dir() { stored(args)? } else { configuration(args)? };
    print(&plan, &args.select.experiments, &mut *printer)?;
    printer.finish()?;
    Ok(Exit::Done)
}

fn configuration(args: &ListArgs) -> Result<Plan, Failure> {
    let reading = args.select.reading(&args.source);
    let config = freeze::load(&reading, true, &mut |notice| tell(&notice, false))?;
    let runs = freeze::resolve(&config, &reading, &freeze::working_directory()?, |_| Ok(()))?;
    Ok(build(&config.experiments, runs, &[], &[], |_| u32::MAX))
}

/// The plan of a folder; it must have every experiment that was asked for.
fn stored(args: &ListArgs) -> Result<Plan, Failure> {
    let stored = store::plan::Plan::open(&args.source)?;
    let plan = stored.read()?;
    let known: Vec<_> = plan.experiments.iter().map(|experiment| experiment.record.name.as_str()).collect();
    check_experiments(&args.select.experiments, &known, &format!("plan `{}`", stored.folder.display()))?;
    Ok(plan)
}

/// Every repetition of the experiments that are asked for, with the number of its job.
fn print(plan: &Plan, wanted: &[String], printer: &mut dyn Printer) -> Result<(), Failure> {
    for (job, record) in (0..).zip(plan.jobs()) {
        for (line, first, count) in record.reps {
            let Some(run) = plan.runs.get(line as usize) else { continue };
            let Some(experiment) = plan.experiments.get(run.record.experiment as usize) else { continue };
            let experiment = &experiment.record.name;
            if !wanted.is_empty() && !wanted.contains(experiment) {
                continue;
            }
            for rep in first..first.saturating_add(count) {
                let dir = run.record.rep_dir(Path::new(""), rep);
                printer.rep(experiment, &run.record.run, rep, &dir.to_string_lossy(), &run.params, job)?;
            }
        }
    }
    Ok(())
}

trait Printer {
    fn rep(&mut self, experiment: &str, run: &str, rep: u32, dir: &str, params: &str, job: u64) -> std::io::Result<()>;
    fn finish(&mut self) -> std::io::Result<()>;
}

struct Json<W>(W);

impl<W: Write> Printer for Json<W> {
    fn rep(&mut self, experiment: &str, run: &str, rep: u32, dir: &str, params: &str, job: u64) -> std::io::Result<()> {
        // `params` is passed on as it is: it may hold numbers that serde_json cannot.
        let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
        writeln!(
            self.0,
            r#"{{"experiment":{},"run":{},"rep":{rep},"dir":{},"params":{params},"job":{job}}}"#,
            text(experiment),
            text(run),
            text(dir),
        )
    }

    fn finish(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// A row a run: repetitions and jobs as ranges.
struct Table<W> {
    out: W,
    rows: Vec<Row>,
}

struct Row {
    experiment: String,
    run: String,
    reps: Vec<(u32, u32)>,
    jobs: (u64, u64),
    dir: String,
}

impl<W: Write> Printer for Table<W> {
    fn rep(&mut self, experiment: &str, run: &str, rep: u32, dir: &str, _: &str, job: u64) -> std::io::Result<()> {
        let run_dir = dir.rsplitn(3, '/').nth(2).unwrap_or(dir);
        match self.rows.last_mut() {
            Some(row) if row.dir == run_dir => {
                row.jobs.1 = job;
                match row.reps.last_mut() {
                    Some((_, last)) if *last + 1 == rep => *last = rep,
                    _ => row.reps.push((rep, rep)),
                }
            }
            _ => self.rows.push(Row {
                experiment: experiment.to_owned(),
                run: run.to_owned(),
                reps: vec![(rep, rep)],
                jobs: (job, job),
                dir: run_dir.to_owned(),
            }),
        }
        Ok(())
    }

    fn finish(&mut self) -> std::io::Result<()> {
        let range = |first: u64, last: u64| if first == last { first.to_string() } else { format!("{first}-{last}") };
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(["EXPERIMENT", "RUN", "REPS", "JOBS", "DIRECTORY"]);
        for row in &self.rows {
            let reps: Vec<_> = row.reps.iter().map(|(a, b)| range((*a).into(), (*b).into())).collect();
            table.add_row([
                row.experiment.clone(),
                row.run.clone(),
                reps.join(","),
                range(row.jobs.0, row.jobs.1),
                row.dir.clone(),
            ]);
        }
        for line in table.lines() {
            writeln!(self.out, "{}", line.trim_end())?;
        }
        self.out.flush()
    }
}

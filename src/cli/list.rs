//! `cw2 list`: the repetitions of a configuration, or of a plan.

use super::{Exit, Failure, SelectArgs, freeze};
use crate::plan::layout;
use crate::plan::record::RunRecord;
use crate::store::plan::Plan;
use clap::Args;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
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
    if args.source.is_dir() {
        plan(args, &mut *printer)?;
    } else {
        configuration(args, &mut *printer)?;
    }
    printer.finish()?;
    Ok(Exit::Done)
}

fn configuration(args: &ListArgs, printer: &mut dyn Printer) -> Result<(), Failure> {
    let config = freeze::load(&args.source, &args.select, true)?;
    let root = std::env::current_dir()
        .map_err(|error| Failure::Environment(format!("cannot tell the working directory: {error}")))?;
    let outline = freeze::outline(&config, &args.select, &root)?;
    let mut result = Ok(());
    let mut params = (u32::MAX, String::new());
    outline.repetitions(|rep| {
        if params.0 != rep.run.line {
            params = (rep.run.line, rep.run.run.params.to_json());
        }
        let dir = rep.dir.to_string_lossy();
        result = printer.rep(&rep.run.experiment.name, &rep.run.name, rep.rep, &dir, &params.1, rep.job);
        result.is_ok()
    });
    Ok(result?)
}

fn plan(args: &ListArgs, printer: &mut dyn Printer) -> Result<(), Failure> {
    let plan = Plan::open(&args.source)?;
    check_selection(&plan, &args.select.experiments)?;
    let mut experiments: HashMap<u32, String> = HashMap::new();
    let mut current: Option<(u32, RunRecord, String)> = None;
    for job in 0..plan.jobs() {
        for (line, first, count) in plan.job_record(job)?.reps {
            if current.as_ref().is_none_or(|(number, ..)| *number != line) {
                current = Some((line, plan.run_record(line)?, plan.params_json(line)?));
            }
            let Some((_, run, params)) = &current else { continue };
            let experiment = match experiments.entry(run.experiment) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(unknown) => unknown.insert(plan.experiment_record(run.experiment)?.name),
            };
            if !args.select.experiments.is_empty() && !args.select.experiments.iter().any(|name| name == &*experiment) {
                continue;
            }
            for rep in first..first.saturating_add(count) {
                let dir = layout::rep_dir(Path::new(&run.dir), rep);
                printer.rep(experiment, &run.run, rep, &dir.to_string_lossy(), params, job)?;
            }
        }
    }
    Ok(())
}

/// Whether the plan has every experiment that was asked for.
fn check_selection(plan: &Plan, wanted: &[String]) -> Result<(), Failure> {
    if wanted.is_empty() {
        return Ok(());
    }
    let count = u32::try_from(plan.manifest.counts.experiments).unwrap_or(u32::MAX);
    let names = (0..count)
        .map(|number| plan.experiment_record(number).map(|experiment| experiment.name))
        .collect::<Result<Vec<_>, _>>()?;
    match wanted.iter().find(|name| !names.contains(name)) {
        None => Ok(()),
        Some(name) => {
            let names: Vec<_> = names.iter().map(|name| format!("`{name}`")).collect();
            Err(Failure::Usage(format!(
                "there is no experiment `{name}` in plan `{}`; its experiments are {}",
                plan.folder.display(),
                names.join(", ")
            )))
        }
    }
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

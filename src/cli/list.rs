//! `cw2 list`: the repetitions of a configuration, or of a plan.

use super::{Exit, SelectArgs, tell};
use crate::ops::failure::Failure;
use crate::ops::list::{self, Listed};
use clap::Args;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// A configuration (YAML), or a plan's folder
    #[arg(value_name = "CONFIG|PLAN")]
    source: PathBuf,
    #[command(flatten)]
    select: SelectArgs,
    /// Print one JSON object per repetition, one per line
    #[arg(long)]
    json: bool,
    /// Only repetitions that are finished, with the parameters that they have here
    #[arg(long)]
    finished: bool,
    /// Only repetitions that are not
    #[arg(long, conflicts_with = "finished")]
    unfinished: bool,
}

pub(super) fn list(args: &ListArgs) -> Result<Exit, Failure> {
    let listing = list::list(&args.select.reading(&args.source), &mut |notice| tell(&notice, false))?;
    let finished = (args.finished || args.unfinished).then(|| list::finished(&listing));
    let wanted = |listed: &Listed<'_>| {
        let finished =
            finished.as_ref().map(|all| all.get(listed.line as usize).is_some_and(|reps| reps.contains(listed.rep)));
        finished.is_none_or(|finished| finished == args.finished)
    };
    let repetitions = list::repetitions(&listing.plan, &args.select.experiments).filter(wanted);
    let mut out = BufWriter::new(std::io::stdout().lock());
    if args.json {
        json(&mut out, repetitions)?;
    } else {
        table(&mut out, repetitions)?;
    }
    out.flush()?;
    Ok(Exit::Done)
}

/// An object a repetition.
fn json<'a>(out: &mut impl Write, repetitions: impl Iterator<Item = Listed<'a>>) -> std::io::Result<()> {
    let text = |text: &str| serde_json::to_string(text).unwrap_or_default();
    for listed in repetitions {
        // `params` is passed on as it is: it may hold numbers that serde_json cannot.
        writeln!(
            out,
            r#"{{"experiment":{},"run":{},"rep":{},"dir":{},"params":{},"job":{}}}"#,
            text(listed.experiment),
            text(&listed.run.record.run),
            listed.rep,
            text(&listed.dir().to_string_lossy()),
            listed.run.params,
            listed.job,
        )?;
    }
    Ok(())
}

/// A row a run: repetitions and jobs as ranges.
fn table<'a>(out: &mut impl Write, repetitions: impl Iterator<Item = Listed<'a>>) -> std::io::Result<()> {
    struct Row<'a> {
        of: Listed<'a>,
        reps: Vec<(u32, u32)>,
        last_job: u64,
    }
    let mut rows: Vec<Row<'_>> = Vec::new();
    for listed in repetitions {
        match rows.last_mut() {
            Some(row) if std::ptr::eq(row.of.run, listed.run) => {
                row.last_job = listed.job;
                match row.reps.last_mut() {
                    Some((_, last)) if *last + 1 == listed.rep => *last = listed.rep,
                    _ => row.reps.push((listed.rep, listed.rep)),
                }
            }
            _ => rows.push(Row { of: listed, reps: vec![(listed.rep, listed.rep)], last_job: listed.job }),
        }
    }
    let range = |first: u64, last: u64| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let mut table = comfy_table::Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["EXPERIMENT", "RUN", "REPS", "JOBS", "DIRECTORY"]);
    for Row { of, reps, last_job } in rows {
        let reps: Vec<_> = reps.iter().map(|(first, last)| range((*first).into(), (*last).into())).collect();
        let record = &of.run.record;
        table.add_row([of.experiment, &record.run, &reps.join(","), &range(of.job, last_job), &record.dir]);
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    Ok(())
}

//! `cw2 results`: what repetitions measured, as a table.

use super::Exit;
use super::choose::RepArgs;
use crate::ops::failure::Failure;
use crate::ops::notice::Notice;
use crate::ops::results::{self, Options, Shape, Wanted};
use crate::printable::Printable;
use crate::report::results::pivot::Pivot;
use crate::report::results::rows::Options as Rows;
use crate::report::results::statistic::Statistic;
use crate::report::results::table::Table;
use crate::report::results::{csv, jsonl, latex, markdown, text};
use crate::run::status::State;
use clap::{Args, ValueEnum};
use std::io::{BufWriter, IsTerminal as _, Write};
use std::path::PathBuf;

#[derive(Debug, Args)]
#[command(after_help = "\
Each row is a run: the parameters that vary, N (how many of its repetitions count), each metric as mean ± sample standard \
deviation over repetitions, the time of one, the version of the code, and what does not count. `*` marks the best row where the key \
`objective: max METRIC` (or `min METRIC`) says what is good. Finished repetitions count; `--include` adds others.

Metrics are the numbers of `metrics.jsonl` at any depth, or what the key `metrics` names. The step of a record is its global_step, \
step, iteration, iter or epoch. Of a step that several attempts logged the last attempt's counts.

--format jsonl prints an object a row: of --reps experiment, run, rep, state, attempt, seconds, commit, dirty, dir, params{}, \
metrics{}; of --history experiment, run, rep, state, attempt, step, params{} (those that vary), metrics{}; else best, experiment, run, params{}, n, of, \
metrics{} (each with mean, sd, n), seconds, commit. csv and parquet have the same as columns.")]
#[expect(clippy::struct_excessive_bools, reason = "they are flags of a command line")]
pub(super) struct ResultsArgs {
    /// Results folders, folders that lie in one, or plans' [default: `.` where there is `./plans`, or else what holds `*/plans`]
    #[arg(value_name = "PATH|PLAN")]
    sources: Vec<PathBuf>,
    #[command(flatten)]
    reps: RepArgs,
    /// Only runs whose parameters this is true of, as `width > 16 and opt == "sgd"`
    #[arg(long = "where", value_name = "EXPRESSION")]
    condition: Option<String>,
    /// Read metrics as this configuration's `metrics` and `objective` say now [default: as they were when a repetition ran]
    #[arg(long, value_name = "CONFIG")]
    config: Option<PathBuf>,
    /// The last value of a metric [default: of every metric]
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    last: Vec<String>,
    /// The best value of a metric
    #[arg(long, value_name = "METRIC", value_delimiter = ',')]
    best: Vec<String>,
    /// With --best: its value at the step where this other metric is best
    #[arg(long, value_name = "OTHER", requires = "best")]
    by: Option<String>,
    /// The value of a metric at a step
    #[arg(long, value_names = ["STEP", "METRIC"], num_args = 2, action = clap::ArgAction::Append,
          allow_negative_numbers = true)]
    at: Vec<String>,
    /// Less is better
    #[arg(long, conflicts_with = "max")]
    min: bool,
    /// More is better; with --sort, the largest first
    #[arg(long)]
    max: bool,
    /// Order by a parameter, a metric, `n` or `time` [default: the objective, or the parameters]
    #[arg(long, value_name = "COLUMN")]
    sort: Option<String>,
    /// One row for all runs that share these parameters
    #[arg(long, value_name = "PARAMETER", value_delimiter = ',')]
    group: Vec<String>,
    /// One row a repetition, however it stands
    #[arg(long = "reps", id = "by_rep", conflicts_with_all = ["group", "pivot", "sort"])]
    by_rep: bool,
    /// One row a step
    #[arg(long, conflicts_with_all = ["group", "pivot", "sort", "by_rep", "best", "at"])]
    history: bool,
    /// With --history: also what a later attempt began again
    #[arg(long, requires = "history")]
    all_attempts: bool,
    /// The values of one parameter down, of another across, a metric in the cells, the best of each column marked
    #[arg(long, value_names = ["ROWS", "COLUMNS", "METRIC"], num_args = 3, conflicts_with_all = ["group", "sort"])]
    pivot: Option<Vec<String>>,
    /// Beside each mean half of its 95 % interval (Student's t)
    #[arg(long, conflicts_with = "median")]
    ci: bool,
    /// Median and quartiles
    #[arg(long)]
    median: bool,
    /// Count repetitions that stand so too: `crashed`, `timed_out`, `interrupted`, `running`
    #[arg(long, value_name = "STATE", value_delimiter = ',', value_parser = state)]
    include: Vec<State>,
    /// How the table is written [default: by the end of FILE, else table]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// The same as `--format jsonl`
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Decimals of the metrics [default: two digits of the deviation]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u8).range(0..=16))]
    digits: Option<u8>,
    /// Write the table to a file
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For a terminal
    Table,
    Csv,
    /// An object a line
    Jsonl,
    Markdown,
    /// A `tabular` with booktabs
    Latex,
    #[cfg(feature = "parquet")]
    Parquet,
}

fn state(text: &str) -> Result<State, String> {
    let wanted = text.replace(['_', '-'], " ");
    let states = [State::Crashed, State::TimedOut, State::Interrupted, State::Running];
    let found = states.into_iter().find(|state| state.word() == wanted);
    found.ok_or_else(|| "one of crashed, timed_out, interrupted, running".to_owned())
}

impl ResultsArgs {
    fn options(&self) -> Result<Options, Failure> {
        let mut values: Vec<Wanted> = self.last.iter().cloned().map(Wanted::Last).collect();
        values.extend(self.best.iter().map(|metric| Wanted::Best(metric.clone(), self.by.clone())));
        for pair in self.at.chunks(2) {
            let [step, metric] = pair else { continue };
            let number = step.parse().ok().filter(|step: &f64| step.is_finite());
            let number = number.ok_or_else(|| {
                Failure::Usage(format!(
                    "`--at` wants a step and a metric, as in `--at 100 loss`: `{step}` is no number"
                ))
            })?;
            values.push(Wanted::At(metric.clone(), number));
        }
        Ok(Options {
            sources: self.sources.clone(),
            reps: self.reps.selection(),
            condition: self.condition.clone(),
            config: self.config.clone(),
            values,
            maximize: self.maximize(),
        })
    }

    fn maximize(&self) -> Option<bool> {
        (self.min || self.max).then_some(self.max)
    }

    fn rows(&self) -> Rows {
        let statistic = match (self.ci, self.median) {
            (true, _) => Statistic::Interval,
            (_, true) => Statistic::Median,
            _ => Statistic::Deviation,
        };
        Rows {
            group: self.group.clone(),
            sort: self.sort.clone(),
            // Beside `--best` it says which value that is.
            maximize: self.maximize().filter(|_| self.best.is_empty() || self.sort.is_some() || self.pivot.is_some()),
            statistic,
            include: self.include.clone(),
            digits: self.digits.map(usize::from),
        }
    }

    fn shape(&self) -> Shape {
        let pivot = self.pivot.as_ref().and_then(|names| match names.as_slice() {
            [rows, columns, metric] => {
                Some(Pivot { rows: rows.clone(), columns: columns.clone(), metric: metric.clone() })
            }
            _ => None,
        });
        match pivot {
            Some(pivot) => Shape::Pivot(pivot, self.rows()),
            None if self.by_rep => Shape::Reps(self.digits.map(usize::from)),
            None => Shape::Rows(self.rows()),
        }
    }

    /// What the file's name says, where nothing else does.
    fn format(&self) -> Result<Format, Failure> {
        if let Some(format) = self.format.or(self.json.then_some(Format::Jsonl)) {
            return Ok(format);
        }
        let Some(path) = &self.output else { return Ok(Format::Table) };
        match path.extension().and_then(|end| end.to_str()) {
            Some("csv") => Ok(Format::Csv),
            Some("jsonl" | "ndjson") => Ok(Format::Jsonl),
            Some("md") => Ok(Format::Markdown),
            Some("tex") => Ok(Format::Latex),
            #[cfg(feature = "parquet")]
            Some("parquet") => Ok(Format::Parquet),
            #[cfg(not(feature = "parquet"))]
            Some("parquet") => Err(Failure::Usage(
                "this program was built without Parquet (`cargo install --features parquet`): write CSV instead"
                    .to_owned(),
            )),
            Some("txt") | None => Ok(Format::Table),
            Some(other) => Err(Failure::Usage(format!("what format is a file `.{other}`? Say `--format`"))),
        }
    }
}

pub(super) fn results(args: &ResultsArgs, quiet: bool) -> Result<Exit, Failure> {
    let format = args.format()?;
    if let Some(path) = &args.output {
        results::save(path, |out| write(args, format, out, quiet))?;
        return Ok(Exit::Done);
    }
    #[cfg(feature = "parquet")]
    if format == Format::Parquet {
        return Err(Failure::Usage("Parquet goes to a file: name it with `-o`".to_owned()));
    }
    let terminal = std::io::stdout().is_terminal();
    let out = BufWriter::new(std::io::stdout().lock());
    // Exact, for whatever reads them, but not for a terminal.
    let mut out: Box<dyn Write> =
        if terminal && format != Format::Table { Box::new(Printable::new(out)) } else { Box::new(out) };
    write(args, format, &mut out, quiet)?;
    out.flush()?;
    Ok(Exit::Done)
}

fn write(args: &ResultsArgs, format: Format, out: &mut dyn Write, quiet: bool) -> Result<(), Failure> {
    let options = args.options()?;
    let mut said: Vec<String> = Vec::new();
    // What there is to say of the table stands below it.
    let mut hear = |notice: Notice<'_>| match notice {
        Notice::Warning(text) => said.push(format!("warning: {text}")),
        Notice::Note(text) if !quiet => said.push(text),
        _ => {}
    };
    let mut left_out = Vec::new();
    if args.history {
        history(args, &options, format, out, &mut hear)?;
    } else {
        let table = results::results(&options, &args.shape(), &mut hear)?;
        left_out = whole(&table, format, out, args.output.is_none())?;
    }
    out.flush()?;
    for line in said {
        tell!("{line}");
    }
    if let ([_, ..], false) = (left_out.as_slice(), quiet) {
        const NAMED: usize = 10;
        let named: Vec<_> = left_out.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
        let more = if left_out.len() > NAMED { format!(" and {} more", left_out.len() - NAMED) } else { String::new() };
        tell!("note: no room for {}{more}; `--last METRIC` chooses", named.join(", "));
    }
    Ok(())
}

/// Writes a table; the metrics that the terminal has no room for.
fn whole(table: &Table, format: Format, out: &mut dyn Write, to_terminal: bool) -> Result<Vec<String>, Failure> {
    match format {
        Format::Table => {
            let (text, left_out) = text::render(table, width().filter(|_| to_terminal));
            out.write_all(text.as_bytes())?;
            return Ok(left_out);
        }
        Format::Csv => csv::write(table, true, out)?,
        Format::Jsonl => jsonl::write(table, out)?,
        Format::Markdown => out.write_all(markdown::render(table).as_bytes())?,
        Format::Latex => out.write_all(latex::render(table).as_bytes())?,
        #[cfg(feature = "parquet")]
        Format::Parquet => {
            let bytes = crate::report::results::parquet::render(table);
            out.write_all(&bytes.map_err(|error| Failure::Environment(format!("cannot write Parquet: {error}")))?)?;
        }
    }
    Ok(Vec::new())
}

/// Writes every step as it is read, where the format allows it.
fn history(
    args: &ResultsArgs,
    options: &Options,
    format: Format,
    out: &mut dyn Write,
    hear: &mut dyn FnMut(Notice<'_>),
) -> Result<(), Failure> {
    let mut all: Option<Table> = None;
    results::steps(options, args.all_attempts, hear, &mut |table| {
        match format {
            Format::Csv => csv::write(table, table.rows.is_empty() && all.is_none(), out)?,
            Format::Jsonl => jsonl::write(table, out)?,
            _ => {}
        }
        match &mut all {
            Some(all) if !matches!(format, Format::Csv | Format::Jsonl) => all.rows.extend(table.rows.iter().cloned()),
            Some(_) => {}
            None => all = Some(Table { digits: args.digits.map(usize::from), ..table.clone() }),
        }
        Ok(())
    })?;
    if let (Some(all), false) = (all, matches!(format, Format::Csv | Format::Jsonl)) {
        whole(&all, format, out, args.output.is_none())?;
    }
    Ok(())
}

/// How wide the terminal is; `COLUMNS` says it where there is none.
fn width() -> Option<usize> {
    let said = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok()).filter(|width| *width > 0);
    said.or_else(|| {
        let out = std::io::stdout();
        let size = out.is_terminal().then(|| rustix::termios::tcgetwinsize(&out).ok()).flatten()?;
        Some(usize::from(size.ws_col)).filter(|width| *width > 0)
    })
}

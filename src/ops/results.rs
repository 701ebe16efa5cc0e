//! What repetitions measured, as a table: read from their directories, chosen, reduced. Looks, and changes nothing.

use super::failure::Failure;
use super::freeze::{self, Purpose};
use super::here::shown;
use super::notice::{self, Notice, Tell};
use super::reading::Reading;
use super::select::{Selection, check_experiments};
use crate::config::metrics::{stored_objective, stored_sources};
use crate::report::human::counted;
use crate::report::results::choice::{Choice, instead};
use crate::report::results::pivot::{self, Pivot};
use crate::report::results::reps::{self, Steps};
use crate::report::results::rows::{self, Options as Rows};
use crate::report::results::table::Table;
use crate::report::results::{Measured, Measurements, filter};
use crate::run::history::{History, Pick};
use crate::store::atomic::{self, Durable};
use crate::store::gather::{Gathered, Record, Rep};
use crate::store::{history, plans};
use indexmap::IndexMap;
use rayon::prelude::*;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

/// Which repetitions, and which of their values.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Folders; those with plans that lie here where none is named.
    pub sources: Vec<PathBuf>,
    /// Which repetitions.
    pub reps: Selection,
    /// Only runs whose parameters this expression is true of.
    pub condition: Option<String>,
    /// The configuration whose `metrics` and `objective` hold; each repetition's own where none is named.
    pub config: Option<PathBuf>,
    /// The values; the last one of every metric where none is named.
    pub values: Vec<Wanted>,
    /// Whether more is better, where that was said.
    pub maximize: Option<bool>,
}

/// A value that is wanted of each repetition.
#[derive(Debug, Clone, PartialEq)]
pub enum Wanted {
    /// The last value of a metric.
    Last(String),
    /// The value at a step.
    At(String, f64),
    /// The best value, or the one at the step where another metric is best.
    Best(String, Option<String>),
}

/// What the rows are.
#[derive(Debug, Clone)]
pub enum Shape {
    /// Runs, or groups of them.
    Rows(Rows),
    /// The values of a parameter, beside those of another one.
    Pivot(Pivot, Rows),
    /// Repetitions.
    Reps(Option<usize>),
}

/// The table.
///
/// # Errors
/// Where there is no repetition, or something that was asked for is not there.
pub fn results(options: &Options, shape: &Shape, tell: Tell<'_>) -> Result<Table, Failure> {
    let gathered = gather(options, tell)?;
    if gathered.reps.is_empty() {
        // Said already; what is asked of none of them is not there.
        let none = Measurements { runs: &[], codes: &[], choices: &[], reps: &[] };
        return Ok(rows::table(&none, &rows::Options::default()).map_err(Failure::Usage)?.0);
    }
    let mut values = options.values.clone();
    if let (Shape::Pivot(pivot, _), true) = (shape, values.is_empty()) {
        values.push(Wanted::Last(pivot.metric.clone()));
    }
    let choices = choices(&values, options.maximize, &gathered)?;
    let (choices, reps) = measure(&gathered, choices, tell)?;
    let all = Measurements { runs: &gathered.runs, codes: &gathered.codes, choices: &choices, reps: &reps };
    match shape {
        Shape::Rows(rows) => {
            let (table, notes) = rows::table(&all, rows).map_err(Failure::Usage)?;
            for note in notes {
                tell(Notice::Note(format!("note: {note}")));
            }
            Ok(table)
        }
        Shape::Pivot(pivot, rows) => pivot::table(&all, pivot, rows).map_err(Failure::Usage),
        Shape::Reps(digits) => Ok(reps::table(&all, *digits)),
    }
}

/// Every step, some thousand rows at a time, with `all_attempts` also what later attempts began again. The first table has no
/// rows.
///
/// # Errors
/// As of [`results`], and what `take` makes of a table.
pub fn steps(
    options: &Options,
    all_attempts: bool,
    tell: Tell<'_>,
    take: &mut dyn FnMut(&Table) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let gathered = gather(options, tell)?;
    let names = wanted_names(&gathered, options, all_attempts)?;
    let steps = Steps::new(&gathered.runs, names, all_attempts);
    let mut table = steps.empty(None);
    take(&table)?;
    let mut troubles = Troubles::default();
    for reps in gathered.reps.chunks(STEPS_AT_ONCE) {
        let rows: Vec<_> = reps
            .par_iter()
            .map(|rep| {
                let record = gathered.read(rep, all_attempts);
                let rows = steps.rows(&measured(rep, &record, Vec::new()), &record.history);
                (rows, Trouble::of(rep, record))
            })
            .collect();
        for (mut rows, trouble) in rows {
            table.rows.append(&mut rows);
            troubles.add(trouble);
        }
        take(&table)?;
        table.rows.clear();
    }
    troubles.tell(tell);
    Ok(())
}

/// Repetitions whose steps are held at once.
const STEPS_AT_ONCE: usize = 64;
/// Repetitions that are read before what they say is put together.
const AT_ONCE: usize = 4096;

/// Repetitions whose metrics cannot be read that are named one by one.
const NAMED_METRICS: usize = 5;

/// Writes a file as a whole, or not at all.
///
/// # Errors
/// Where it cannot be written, or what `write` says.
pub fn save(path: &Path, write: impl FnOnce(&mut dyn Write) -> Result<(), Failure>) -> Result<(), Failure> {
    let folder = path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    if !folder.is_dir() {
        return Err(Failure::Usage(format!("cannot write `{}`: `{}` is no folder", path.display(), folder.display())));
    }
    if path.exists() && !path.is_file() {
        return Err(Failure::Usage(format!("cannot write `{}`: it is no file", path.display())));
    }
    let mut failed = None;
    let save = |file: &mut File| {
        let mut out = Noting { out: BufWriter::new(file), error: None };
        let written = write(&mut out).and_then(|()| Ok(out.flush()?));
        written.map_err(|failure| {
            // The file's own failure, not what became of it on the way.
            out.error.take().unwrap_or_else(|| {
                failed = Some(failure);
                std::io::Error::other("it was not finished")
            })
        })
    };
    match atomic::stage_by(&folder.join(path.file_name().unwrap_or_default()), save) {
        Ok(staged) => Ok(staged.commit(Durable::No)?),
        Err(error) => Err(failed.unwrap_or_else(|| error.into())),
    }
}

/// Notes the first error of a writer.
struct Noting<W> {
    out: W,
    error: Option<std::io::Error>,
}

impl<W: Write> Noting<W> {
    fn note<T>(&mut self, result: std::io::Result<T>) -> std::io::Result<T> {
        result.map_err(|error| {
            let kind = error.kind();
            self.error.get_or_insert(error);
            kind.into()
        })
    }
}

impl<W: Write> Write for Noting<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(bytes);
        self.note(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let flushed = self.out.flush();
        self.note(flushed)
    }
}

fn gather(options: &Options, tell: Tell<'_>) -> Result<Gathered, Failure> {
    let folders = folders(&options.sources)?;
    let mut gathered = Gathered::find(&folders)?;
    for remark in std::mem::take(&mut gathered.remarks) {
        tell(Notice::Warning(remark));
    }
    if gathered.reps.is_empty() {
        let names: Vec<_> = folders.iter().map(|folder| format!("`{}`", shown(folder))).collect();
        return Err(Failure::Usage(format!(
            "there is no repetition in {}: name a results folder, one that lies in it, or a plan's; `{} status` tells what is still to come",
            names.join(", "),
            super::program::name()
        )));
    }
    let known: Vec<&str> = gathered.runs.iter().map(|run| run.experiment.as_str()).collect();
    check_experiments(&options.reps.experiments, &known, "these results")?;
    gathered.retain(|_, run, rep| options.reps.has(&run.experiment, &run.name, rep.number));
    if let Some(condition) = &options.condition {
        let kept = filter::matching(condition, &gathered.runs).map_err(Failure::Usage)?;
        gathered.retain(|place, _, _| kept.binary_search(&place).is_ok());
    }
    if gathered.reps.is_empty() {
        tell(Notice::Warning("no repetition is chosen by these options".to_owned()));
    }
    if let Some(config) = &options.config {
        read_as_in(config, &mut gathered, tell)?;
    }
    Ok(gathered)
}

/// Has metrics read as a configuration says now: what ran before `metrics` was written there need not run again.
fn read_as_in(config: &Path, gathered: &mut Gathered, tell: Tell<'_>) -> Result<(), Failure> {
    let reading = Reading { config: config.to_owned(), ..Reading::default() };
    let experiments = freeze::load(&reading, Purpose::LOOK, tell)?.experiments;
    let mut known = false;
    for run in &mut gathered.runs {
        let Some(experiment) = experiments.iter().find(|experiment| experiment.name == run.experiment) else {
            continue;
        };
        let now = experiment.origin.to_value();
        (run.objective, run.sources, known) = (stored_objective(&now), stored_sources(&now), true);
    }
    if known {
        return Ok(());
    }
    let names: Vec<_> = experiments.iter().map(|experiment| format!("`{}`", experiment.name)).collect();
    Err(Failure::Usage(format!(
        "none of these results are of an experiment in `{}`, which has {}",
        shown(config),
        names.join(", ")
    )))
}

/// Where to look: what was named, else where plans lie.
fn folders(sources: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    if let Some(missing) = sources.iter().find(|source| !source.is_dir()) {
        let is = if missing.exists() { "is no folder" } else { "is not there" };
        return Err(Failure::Usage(format!("`{}` {is}: name a results folder, or a plan's", missing.display())));
    }
    if !sources.is_empty() {
        return Ok(sources.to_vec());
    }
    if Path::new("plans").is_dir() {
        return Ok(vec![PathBuf::from(".")]);
    }
    let mut folders: Vec<PathBuf> = plans::find_below(Path::new("."))?
        .into_iter()
        .filter_map(|plan| plan.parent()?.parent().map(|folder| folder.strip_prefix(".").unwrap_or(folder).to_owned()))
        .collect();
    folders.dedup();
    if folders.is_empty() {
        return Err(Failure::Usage(
            "there are no results here, as there is no plan in `./plans` or `*/plans`: name a results folder"
                .to_owned(),
        ));
    }
    Ok(folders)
}

/// The values that are wanted, each with what is better.
fn choices(values: &[Wanted], maximize: Option<bool>, gathered: &Gathered) -> Result<Vec<Choice>, Failure> {
    let of_objective = |metric: &str| {
        let mut objectives = gathered.runs.iter().filter_map(|run| run.objective.as_ref());
        objectives.find(|objective| objective.metric == metric).map(|objective| objective.maximize)
    };
    let choice = |wanted: &Wanted| match wanted {
        Wanted::Last(metric) => Ok(Choice::last(metric)),
        Wanted::At(metric, step) => Ok(Choice { metric: metric.clone(), pick: Pick::At(*step) }),
        Wanted::Best(metric, by) => {
            let judged = by.as_ref().unwrap_or(metric);
            let maximize = of_objective(judged).or(maximize).ok_or_else(|| {
                Failure::Usage(format!(
                    "which `{judged}` is the best? Say `--max` or `--min`, or write the key `objective: max {judged}`"
                ))
            })?;
            Ok(Choice { metric: metric.clone(), pick: Pick::Best { maximize, by: by.clone() } })
        }
    };
    values.iter().map(choice).collect()
}

/// Reads every repetition, and keeps the values that are wanted of it.
fn measure(
    gathered: &Gathered,
    mut choices: Vec<Choice>,
    tell: Tell<'_>,
) -> Result<(Vec<Choice>, Vec<Measured>), Failure> {
    let every = choices.is_empty();
    let mut names: IndexMap<String, ()> = IndexMap::new();
    let mut all = Vec::with_capacity(gathered.reps.len());
    let mut troubles = Troubles::default();
    for reps in gathered.reps.chunks(AT_ONCE) {
        let read: Vec<_> = reps
            .par_iter()
            .map(|rep| {
                let record = gathered.read(rep, false);
                let names = if every { results_of(&record.history) } else { all_of(&record.history) };
                let values = if every {
                    names.iter().map(|name| record.history.pick(name, &Pick::Last)).collect()
                } else {
                    let pick = |choice: &Choice| record.history.pick(&choice.metric, &choice.pick);
                    choices.iter().map(pick).collect::<Vec<_>>()
                };
                (measured(rep, &record, Vec::new()), names, values, Trouble::of(rep, record))
            })
            .collect();
        for (mut rep, own, values, trouble) in read {
            let places: Vec<usize> = own.into_iter().map(|name| names.insert_full(name, ()).0).collect();
            let numbered: Vec<(usize, Option<f64>)> =
                if every { places.into_iter().zip(values).collect() } else { values.into_iter().enumerate().collect() };
            rep.values = numbered.into_iter().filter_map(|(place, value)| Some((place, value?))).collect();
            rep.values.sort_by_key(|(place, _)| *place);
            all.push(rep);
            troubles.add(trouble);
        }
    }
    troubles.tell(tell);
    let known = || names.keys().map(String::as_str);
    if every {
        let objective = gathered.runs.iter().find_map(|run| run.objective.as_ref());
        if let Some(unknown) = objective.filter(|it| !names.is_empty() && !names.contains_key(&it.metric)) {
            let help = instead(&unknown.metric, known().collect::<Vec<_>>(), "metrics");
            let text = format!("the objective is `{}`, which no repetition has as a metric; {help}", unknown.metric);
            tell(Notice::Warning(text));
        }
        choices = known().map(Choice::last).collect();
        lead_with_objective(gathered, &mut choices, &mut all);
        return Ok((choices, all));
    }
    let asked = choices.iter().flat_map(|choice| match &choice.pick {
        Pick::Best { by: Some(by), .. } => vec![&choice.metric, by],
        _ => vec![&choice.metric],
    });
    for name in asked {
        if !names.contains_key(name) && !all.is_empty() {
            let help = instead(name, known().collect::<Vec<_>>(), "metrics");
            return Err(Failure::Usage(format!("no repetition has the metric `{name}`; {help}")));
        }
    }
    for (place, choice) in choices.iter().enumerate() {
        if !all.is_empty() && all.iter().all(|rep| rep.value(place).is_none()) {
            tell(Notice::Warning(format!("no repetition has a value for `{}`", choice.label())));
        }
    }
    Ok((choices, all))
}

/// What is to be reached comes first.
fn lead_with_objective(gathered: &Gathered, choices: &mut [Choice], reps: &mut [Measured]) {
    let objective = gathered.runs.iter().find_map(|run| run.objective.as_ref());
    let place = objective.and_then(|objective| choices.iter().position(|choice| choice.metric == objective.metric));
    let Some(lead) = place else { return };
    if let Some(first) = choices.get_mut(..=lead) {
        first.rotate_right(1);
    }
    for rep in reps {
        for (place, _) in &mut rep.values {
            *place = match *place {
                place if place == lead => 0,
                place if place < lead => place + 1,
                place => place,
            };
        }
        rep.values.sort_by_key(|(place, _)| *place);
    }
}

/// The names of what was measured, without what tells steps.
fn results_of(history: &History) -> Vec<String> {
    let step = history.rows.last().and_then(|row| row.step).map(|step| step.column);
    let results =
        history.columns.iter().enumerate().filter(|(place, column)| !column.is_step() && Some(*place) != step);
    results.filter(|(_, column)| !column.values.is_empty()).map(|(_, column)| column.name.clone()).collect()
}

fn all_of(history: &History) -> Vec<String> {
    let measured = history.columns.iter().filter(|column| !column.values.is_empty());
    measured.map(|column| column.name.clone()).collect()
}

/// The metrics that steps have, or those of them that are wanted.
fn wanted_names(gathered: &Gathered, options: &Options, all_attempts: bool) -> Result<Vec<String>, Failure> {
    let mut names: IndexMap<String, ()> = IndexMap::new();
    for reps in gathered.reps.chunks(AT_ONCE) {
        let found: Vec<_> =
            reps.par_iter().map(|rep| beside_steps(&gathered.read(rep, all_attempts).history)).collect();
        names.extend(found.into_iter().flatten().map(|name| (name, ())));
    }
    let wanted = options.values.iter().map(|wanted| match wanted {
        Wanted::Last(name) | Wanted::At(name, _) | Wanted::Best(name, _) => name,
    });
    let wanted: Vec<String> = wanted.cloned().collect();
    if let Some(unknown) = wanted.iter().find(|name| !names.contains_key(*name)) {
        let help = instead(unknown, names.keys().map(String::as_str).collect::<Vec<_>>(), "metrics");
        return Err(Failure::Usage(format!("no repetition has the metric `{unknown}`; {help}")));
    }
    Ok(if wanted.is_empty() { names.into_keys().collect() } else { wanted })
}

/// The columns that hold more than the steps of their rows.
fn beside_steps(history: &History) -> Vec<String> {
    let beside = |(place, column): &(usize, &crate::run::history::Column)| {
        column.rows.iter().any(|row| {
            let step = history.rows.get(*row as usize).and_then(|row| row.step);
            step.is_none_or(|step| step.column != *place)
        })
    };
    history.columns.iter().enumerate().filter(beside).map(|(_, column)| column.name.clone()).collect()
}

fn measured(rep: &Rep, record: &Record, values: Vec<(usize, f64)>) -> Measured {
    let status = record.status.as_deref();
    let seconds = status.and_then(|status| {
        let earlier: f64 = status.earlier.iter().filter_map(|attempt| attempt.seconds).sum();
        status.seconds.map(|seconds| seconds + earlier)
    });
    Measured {
        run: rep.run,
        number: rep.number,
        state: status.map(|status| status.state),
        unreadable: status.is_none() && record.unreadable.is_some(),
        attempt: status.map_or(0, |status| status.attempt),
        seconds,
        code: rep.code,
        dir: rep.dir.strip_prefix(".").unwrap_or(&rep.dir).to_string_lossy().into_owned(),
        values,
    }
}

/// What is odd about a repetition's metrics.
struct Trouble {
    dir: PathBuf,
    unread: Vec<history::Unread>,
    unreadable: Option<String>,
    /// Whether its state is known.
    standing: bool,
    repeats: bool,
    long_list: Option<String>,
}

impl Trouble {
    fn of(rep: &Rep, record: Record) -> Option<Self> {
        let repeats = record.history.repeats_steps();
        let odd = repeats || !record.unread.is_empty() || record.unreadable.is_some() || record.long_list.is_some();
        odd.then(|| Trouble {
            dir: rep.dir.clone(),
            unread: record.unread,
            unreadable: record.unreadable,
            standing: record.status.is_some(),
            repeats,
            long_list: record.long_list,
        })
    }
}

/// The same of all repetitions.
#[derive(Default)]
struct Troubles {
    /// Lines that are no records, the files they are in, and the first of them.
    lines: (u64, u64, Option<history::Unread>),
    /// States that cannot be read, and metrics.
    states: Vec<String>,
    metrics: Vec<String>,
    /// How many repeat steps, and the first.
    repeats: (u64, Option<PathBuf>),
    long_list: Option<String>,
}

impl Troubles {
    fn add(&mut self, trouble: Option<Trouble>) {
        let Some(trouble) = trouble else { return };
        for unread in trouble.unread {
            self.lines.0 += unread.count;
            self.lines.1 += 1;
            self.lines.2.get_or_insert(unread);
        }
        let of = if trouble.standing { &mut self.metrics } else { &mut self.states };
        of.extend(trouble.unreadable);
        if trouble.repeats {
            self.repeats.0 += 1;
            self.repeats.1.get_or_insert(trouble.dir);
        }
        self.long_list = self.long_list.take().or(trouble.long_list);
    }

    fn tell(self, tell: Tell<'_>) {
        if let (lines, files, Some(first)) = self.lines {
            let are = if lines == 1 { "is no record and does" } else { "are no records and do" };
            let within = if files > 1 { format!(" in {}", counted(files, "file")) } else { String::new() };
            tell(Notice::Warning(format!(
                "{}{within} {are} not count: `{}`, {}",
                counted(lines, "line"),
                shown(&first.path),
                first.first
            )));
        }
        if let (count, Some(first)) = self.repeats {
            tell(Notice::Warning(format!(
                "steps are logged more than once by the same attempt in {}, and the last one counts: `{}`",
                counted(count, "repetition"),
                shown(&first)
            )));
        }
        if let Some(name) = self.long_list {
            tell(Notice::Warning(format!(
                "lists of more than {} numbers are no metrics and are left out: `{name}`",
                crate::value::LONGEST_LIST
            )));
        }
        for why in self.metrics.iter().take(NAMED_METRICS) {
            tell(Notice::Warning(why.clone()));
        }
        if self.metrics.len() > NAMED_METRICS {
            let more = counted((self.metrics.len() - NAMED_METRICS) as u64, "more repetition");
            tell(Notice::Warning(format!("the metrics of {more} cannot be read either")));
        }
        notice::unreadable(&[], &self.states, tell);
    }
}

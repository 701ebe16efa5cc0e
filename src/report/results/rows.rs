//! A row a run, or a row for all runs that share some parameters.

use super::choice::{Choice, instead};
use super::statistic::{Estimate, Statistic};
use super::table::{Cell, Column, Kind, Table};
use super::{Measured, Measurements, params};
use crate::config::metrics::Objective;
use crate::report::human::counted;
use crate::run::history::Pick;
use crate::run::status::State;
use crate::store::gather::Run;
use crate::value::Value;
use indexmap::IndexMap;
use std::cmp::Ordering;

/// How rows are made.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// One row for all runs that share these parameters.
    pub group: Vec<String>,
    /// What the rows are ordered by: a parameter, a metric, `n` or `time`.
    pub sort: Option<String>,
    /// Whether more is better in what the rows are ordered by, where that was said.
    pub maximize: Option<bool>,
    /// What is made of several repetitions.
    pub statistic: Statistic,
    /// Repetitions that count though they are not finished.
    pub include: Vec<State>,
    /// Decimals.
    pub digits: Option<usize>,
}

impl Options {
    /// Whether a repetition counts.
    pub fn counts(&self, rep: &Measured) -> bool {
        rep.state.is_some_and(|state| state.is_finished() || self.include.contains(&state))
    }
}

/// Repetitions that belong together.
#[derive(Debug)]
pub(super) struct Group<'a> {
    pub(super) experiment: &'a str,
    /// Its runs, by their places.
    pub(super) runs: Vec<usize>,
    pub(super) reps: Vec<&'a Measured>,
    /// What it shares, in the order of the names.
    pub(super) key: Vec<Option<&'a Value>>,
}

/// The repetitions by experiment and the values of these parameters; by run where no names are given.
pub(super) fn groups<'a>(all: &Measurements<'a>, names: Option<&[String]>) -> Vec<Group<'a>> {
    let mut groups: IndexMap<(&str, String), Group<'a>> = IndexMap::new();
    let mut places: Vec<Option<usize>> = vec![None; all.runs.len()];
    for rep in all.reps {
        let Some(run) = all.runs.get(rep.run) else { continue };
        let known = places.get(rep.run).copied().flatten();
        let place = known.unwrap_or_else(|| {
            let key: Vec<_> = names.unwrap_or_default().iter().map(|name| params::get(&run.params, name)).collect();
            let text = match names {
                Some(_) => key
                    .iter()
                    .map(|value| value.map_or("-".to_owned(), Value::to_canonical_json))
                    .collect::<Vec<_>>()
                    .join("\n"),
                None => rep.run.to_string(),
            };
            let entry = groups.entry((&run.experiment, text));
            let place = entry.index();
            entry.or_insert_with(|| Group { experiment: &run.experiment, runs: Vec::new(), reps: Vec::new(), key });
            place
        });
        if let Some((_, group)) = groups.get_index_mut(place) {
            if known.is_none() {
                group.runs.push(rep.run);
            }
            group.reps.push(rep);
        }
        if let Some(slot) = places.get_mut(rep.run) {
            *slot = Some(place);
        }
    }
    groups.into_values().collect()
}

/// The table, and what a person should know of it.
///
/// # Errors
/// Where there is nothing that it is to be grouped or ordered by.
pub fn table(all: &Measurements<'_>, options: &Options) -> Result<(Table, Vec<String>), String> {
    let known = params::names(all.runs);
    let varying = params::varying(all.runs);
    for name in &options.group {
        if !all.runs.iter().any(|run| params::get(&run.params, name).is_some()) {
            let help = instead(name, known.iter().map(String::as_str), "parameters");
            return Err(format!("`--group`: no run has the parameter `{name}`; {help}"));
        }
    }
    let grouped = !options.group.is_empty();
    let names = if grouped { options.group.clone() } else { known };
    let mut rows: Vec<Row<'_>> = groups(all, grouped.then_some(&options.group))
        .into_iter()
        .map(|group| Row::of(group, all, options, &names))
        .collect();
    sort(&mut rows, all, options, &names)?;
    mark(&mut rows, all, options);
    let notes = notes(&rows, all);
    let table = draw(&rows, all, options, &names, if grouped { &names } else { &varying });
    Ok((table, notes))
}

struct Row<'a> {
    group: Group<'a>,
    params: Vec<Option<&'a Value>>,
    counted: u64,
    of: u64,
    estimates: Vec<Option<Estimate>>,
    seconds: Option<f64>,
    codes: Vec<usize>,
    notes: String,
    best: bool,
}

impl<'a> Row<'a> {
    fn of(group: Group<'a>, all: &Measurements<'a>, options: &Options, names: &[String]) -> Self {
        let counted: Vec<&Measured> = group.reps.iter().copied().filter(|rep| options.counts(rep)).collect();
        let run = |place: &usize| all.runs.get(*place);
        let of = group.runs.iter().filter_map(run).zip(&group.runs).map(|(run, place)| {
            let found = group.reps.iter().filter(|rep| rep.run == *place).count() as u64;
            found.max(run.repetitions.into())
        });
        let estimates = (0..all.choices.len()).map(|choice| {
            let values: Vec<f64> = counted.iter().filter_map(|rep| rep.value(choice)).collect();
            options.statistic.of(&values)
        });
        let seconds: Vec<f64> = counted.iter().filter_map(|rep| rep.seconds).collect();
        let mut codes: Vec<usize> = counted.iter().filter_map(|rep| rep.code).collect();
        codes.sort_unstable();
        codes.dedup();
        let first = group.runs.first().and_then(run);
        let params = if options.group.is_empty() {
            names.iter().map(|name| first.and_then(|run| params::get(&run.params, name))).collect()
        } else {
            group.key.clone()
        };
        Row {
            counted: counted.len() as u64,
            of: of.sum(),
            estimates: estimates.collect(),
            seconds: Statistic::Deviation.of(&seconds).map(|estimate| estimate.center),
            codes,
            notes: others(&group.reps, options),
            best: false,
            group,
            params,
        }
    }

    fn center(&self, choice: usize) -> Option<f64> {
        self.estimates.get(choice).copied().flatten().map(|estimate| estimate.center)
    }
}

/// What the repetitions are that do not count.
fn others(reps: &[&Measured], options: &Options) -> String {
    let mut words: IndexMap<&str, u64> = IndexMap::new();
    for rep in reps.iter().filter(|rep| !options.counts(rep)) {
        *words.entry(rep.word()).or_default() += 1;
    }
    let included = reps.iter().filter(|rep| options.counts(rep) && !rep.state.is_some_and(State::is_finished));
    for rep in included {
        *words.entry(rep.word()).or_default() += 1;
    }
    words.iter().map(|(word, count)| format!("{count} {word}")).collect::<Vec<_>>().join(", ")
}

/// The objective of an experiment's runs, where they agree.
fn objective<'a>(experiment: &str, runs: &'a [Run]) -> Option<&'a Objective> {
    let mut objectives = runs.iter().filter(|run| run.experiment == experiment).map(|run| run.objective.as_ref());
    let first = objectives.next()??;
    objectives.all(|other| other == Some(first)).then_some(first)
}

/// What is to be high or low in the rows of an experiment: a choice, and whether more is better.
fn goal(experiment: &str, all: &Measurements<'_>, options: &Options) -> Option<(usize, bool)> {
    let of = |metric: &str| all.choices.iter().position(|choice| choice.metric == metric);
    let objective = objective(experiment, all.runs);
    let sorted = options.sort.as_deref().and_then(|name| chosen(name, all.choices));
    // `--max` speaks of the order, where that is none of a metric.
    let maximize = options.maximize.filter(|_| options.sort.is_none() || sorted.is_some());
    let known = match (sorted, maximize, objective) {
        (Some(place), Some(maximize), _) => Some((place, maximize)),
        (Some(place), None, Some(objective)) if all.choices.get(place)?.metric == objective.metric => {
            Some((place, objective.maximize))
        }
        (None, maximize, Some(objective)) => {
            of(&objective.metric).map(|place| (place, maximize.unwrap_or(objective.maximize)))
        }
        (Some(_), None, _) | (None, _, None) => None,
    };
    // A best value says itself what is better, and so does `--min` where there is only one.
    known.or_else(|| match (&all.choices.first().filter(|_| sorted.is_none())?.pick, maximize) {
        (Pick::Best { maximize, by: None }, _) => Some((0, *maximize)),
        (_, Some(maximize)) if all.choices.len() == 1 => Some((0, maximize)),
        _ => None,
    })
}

/// The choice that a name means: its heading, or its metric.
pub(super) fn chosen(name: &str, choices: &[Choice]) -> Option<usize> {
    let by = |is: &dyn Fn(&Choice) -> bool| choices.iter().position(is);
    by(&|choice| choice.label() == name).or_else(|| by(&|choice| choice.metric == name))
}

/// The better first; what is no number, and what there is not, last.
fn better(a: Option<f64>, b: Option<f64>, maximize: bool) -> Ordering {
    let number = |value: Option<f64>| value.filter(|value| !value.is_nan());
    match (number(a), number(b)) {
        (Some(a), Some(b)) if maximize => b.total_cmp(&a),
        (Some(a), Some(b)) => a.total_cmp(&b),
        (a, b) => b.is_some().cmp(&a.is_some()),
    }
}

fn by_params(a: &Row<'_>, b: &Row<'_>) -> Ordering {
    let pairs = a.params.iter().zip(&b.params);
    pairs.map(|(a, b)| params::compare(*a, *b)).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}

fn sort(rows: &mut [Row<'_>], all: &Measurements<'_>, options: &Options, names: &[String]) -> Result<(), String> {
    // Experiments in the order they were found, runs by what they vary.
    let mut experiments: Vec<&str> = Vec::new();
    for row in rows.iter() {
        if !experiments.contains(&row.group.experiment) {
            experiments.push(row.group.experiment);
        }
    }
    let place = |row: &Row<'_>| experiments.iter().position(|name| *name == row.group.experiment);
    rows.sort_by(|a, b| place(a).cmp(&place(b)).then_with(|| by_params(a, b)));
    let Some(name) = &options.sort else {
        let goals: Vec<_> = experiments.iter().map(|name| goal(name, all, options)).collect();
        rows.sort_by(|a, b| {
            place(a).cmp(&place(b)).then_with(|| match place(a).and_then(|place| goals.get(place).copied().flatten()) {
                Some((choice, maximize)) => better(a.center(choice), b.center(choice), maximize),
                None => Ordering::Equal,
            })
        });
        return Ok(());
    };
    let down = options.maximize.unwrap_or(false);
    let turned = |order: Ordering| if down { order.reverse() } else { order };
    if let Some(choice) = chosen(name, all.choices) {
        let of_goal = experiments.first().and_then(|name| goal(name, all, options)).map(|(_, maximize)| maximize);
        let maximize = options.maximize.or(of_goal).unwrap_or(false);
        rows.sort_by(|a, b| better(a.center(choice), b.center(choice), maximize));
    } else if let Some(param) = names.iter().position(|param| param == name) {
        let value = |row: &Row<'_>| row.params.get(param).copied().flatten().cloned();
        rows.sort_by(|a, b| turned(params::compare(value(a).as_ref(), value(b).as_ref())));
    } else if name == "n" {
        rows.sort_by(|a, b| turned(a.counted.cmp(&b.counted)));
    } else if name == "time" || name == "seconds" {
        rows.sort_by(|a, b| better(a.seconds, b.seconds, down));
    } else if !params::names(all.runs).contains(name) {
        let labels: Vec<_> = all.choices.iter().map(Choice::label).collect();
        let columns: Vec<_> = labels.iter().chain(names).map(String::as_str).chain(["n", "time"]).collect();
        return Err(format!(
            "`--sort`: there is no column `{name}`; {}",
            instead(name, columns.iter().copied(), "columns")
        ));
    }
    Ok(())
}

/// Marks the best row of each experiment.
fn mark(rows: &mut [Row<'_>], all: &Measurements<'_>, options: &Options) {
    let mut experiments: Vec<&str> = rows.iter().map(|row| row.group.experiment).collect();
    experiments.sort_unstable();
    experiments.dedup();
    for experiment in experiments {
        let Some((choice, maximize)) = goal(experiment, all, options) else { continue };
        let number = |row: &Row<'_>| row.center(choice).filter(|center| !center.is_nan());
        let own = rows.iter_mut().filter(|row| row.group.experiment == experiment && number(row).is_some());
        // The only row is no best one.
        let mut own: Vec<_> = own.collect();
        if own.len() > 1 {
            own.sort_by(|a, b| better(number(a), number(b), maximize));
            if let Some(best) = own.first_mut() {
                best.best = true;
            }
        }
    }
}

fn draw(rows: &[Row<'_>], all: &Measurements<'_>, options: &Options, names: &[String], shown: &[String]) -> Table {
    let grouped = !options.group.is_empty();
    let several = |name: fn(&Run) -> &str| {
        all.runs.iter().any(|run| all.runs.first().is_some_and(|first| name(first) != name(run)))
    };
    let same_params = rows.iter().enumerate().any(|(place, row)| {
        rows.iter()
            .skip(place + 1)
            .take(1)
            .any(|other| by_params(row, other).is_eq() && row.group.experiment == other.group.experiment)
    });
    let with_run = !grouped && (shown.is_empty() || same_params);
    let mut columns = vec![Column::new("best", Kind::Best)];
    let detail = |shown: bool| if shown { Kind::Text } else { Kind::Detail };
    columns.push(Column::new("experiment", detail(several(|run| &run.experiment))));
    if !grouped {
        columns.push(Column::new("run", detail(with_run)));
    }
    columns.extend(names.iter().map(|name| Column::param(name, shown)));
    columns.push(Column::new("n", Kind::Count));
    columns.extend(all.choices.iter().map(|choice| Column::new(choice.label(), Kind::Metric)));
    columns.push(Column::new("seconds", Kind::Time));
    columns.push(Column::new("commit", Kind::Code));
    columns.push(Column::new("notes", Kind::Notes));
    let row = |row: &Row<'_>| {
        let mut cells = vec![Cell::Flag(row.best), Cell::Text(row.group.experiment.into())];
        if !grouped {
            let run = row.group.runs.first().and_then(|run| all.runs.get(*run));
            cells.push(Cell::Text(run.map_or("", |run| &run.name).into()));
        }
        cells.extend(row.params.iter().map(|value| value.map_or(Cell::Nothing, |value| Cell::Value(value.clone()))));
        cells.push(Cell::Of(row.counted, row.of));
        cells.extend(
            row.estimates.iter().map(|estimate| estimate.map_or(Cell::Nothing, |it| Cell::Estimate(it, false))),
        );
        cells.push(row.seconds.map_or(Cell::Nothing, Cell::Seconds));
        cells.push(match row.codes.as_slice() {
            [] => Cell::Nothing,
            [only] => all.codes.get(*only).map_or(Cell::Nothing, |code| Cell::Code(code.clone())),
            _ => Cell::Mixed,
        });
        cells.push(if row.notes.is_empty() { Cell::Nothing } else { Cell::Text(row.notes.as_str().into()) });
        cells
    };
    Table { rows: rows.iter().map(row).collect(), columns, statistic: options.statistic, digits: options.digits }
}

/// What makes rows unlike each other that look alike.
fn notes(rows: &[Row<'_>], all: &Measurements<'_>) -> Vec<String> {
    let mut notes = Vec::new();
    let counts: Vec<u64> = rows.iter().map(|row| row.counted).collect();
    if let (Some(least), Some(most)) = (counts.iter().min(), counts.iter().max())
        && least != most
    {
        notes.push(format!("N differs: from {least} to {most} repetitions a row"));
    }
    for (place, choice) in all.choices.iter().enumerate() {
        let fewer = rows.iter().filter(|row| {
            let n = row.estimates.get(place).copied().flatten().map_or(0, |estimate| estimate.n as u64);
            0 < n && n < row.counted
        });
        let fewer = fewer.count() as u64;
        if fewer > 0 {
            let label = choice.label();
            notes.push(format!("`{label}` is missing in some of the repetitions of {}", counted(fewer, "row")));
        }
    }
    let mixed = rows.iter().filter(|row| row.codes.len() > 1).count() as u64;
    let mut codes: Vec<usize> = rows.iter().flat_map(|row| row.codes.iter().copied()).collect();
    codes.sort_unstable();
    codes.dedup();
    if codes.len() > 1 {
        let versions: Vec<_> = codes.iter().filter_map(|code| all.codes.get(*code)).map(super::short).collect();
        let within = if mixed > 0 { format!(", {} mixed", counted(mixed, "row")) } else { String::new() };
        notes.push(format!("the code differs: {} versions ({}){within}", codes.len(), versions.join(", ")));
    }
    notes
}

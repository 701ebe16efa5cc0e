//! The repetitions below some folders, by their own directories alone: no plan is asked, so that what was copied, fetched from
//! another cluster or outlived its plan is found.
//!
//! Owns which directories those are, which of several of one repetition counts, and what runs they are of. What they measured is
//! read one by one ([`Gathered::read`]), so that memory does not grow with what they logged.

use super::history::{self, Unread};
use super::{Result, rep, repetitions};
use crate::config::metrics::{MetricSource, Objective, stored_objective, stored_sources};
use crate::experiment::{params_sha256, same_but_for};
use crate::plan::PlannedRun;
use crate::plan::layout::{self, plan as plan_names};
use crate::plan::record::GitRecord;
use crate::run::history::History;
use crate::run::status::{Found, State, Status};
use crate::value::Value;
use indexmap::IndexMap;
use rayon::prelude::*;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// What was found.
#[derive(Debug, Default)]
pub struct Gathered {
    /// The runs, in the order their first repetition was found.
    pub runs: Vec<Run>,
    /// The repetitions, each once, by run and number.
    pub reps: Vec<Rep>,
    /// The versions of the code that ran.
    pub codes: Vec<Code>,
    /// What a person should know: what was left out, and why. A sentence each.
    pub remarks: Vec<String>,
}

/// A run: one combination of parameters. Repetitions of one name that ran with different parameters are of two.
#[derive(Debug, Clone)]
pub struct Run {
    /// The experiment's name.
    pub experiment: String,
    /// Its own.
    pub name: String,
    /// Its parameters; null where nothing tells.
    pub params: Value,
    /// How many repetitions were configured; 0 where nothing tells.
    pub repetitions: u32,
    /// What is to be reached.
    pub objective: Option<Objective>,
    /// Where its metrics are; `metrics.jsonl` where `None`.
    pub sources: Option<Vec<MetricSource>>,
}

/// A repetition's directory.
#[derive(Debug, Clone)]
pub struct Rep {
    /// Its run, as its place in [`Gathered::runs`].
    pub run: usize,
    /// Its number.
    pub number: u32,
    /// Its directory.
    pub dir: PathBuf,
    /// The code it ran, as its place in [`Gathered::codes`]; `None` where nothing tells.
    pub code: Option<usize>,
}

/// A version of the code: what git said when a plan was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The commit.
    pub commit: String,
    /// The branch.
    pub branch: Option<String>,
    /// Where the work tree differed from the commit: the file with the differences.
    pub diff: Option<PathBuf>,
    /// Whether it differed.
    pub dirty: bool,
}

/// A repetition, read back.
#[derive(Debug)]
pub struct Record {
    /// Its status; `None` where it was never started, or it is unreadable.
    pub status: Option<Box<Status>>,
    /// What it measured.
    pub history: History,
    /// The files with lines that are no records.
    pub unread: Vec<Unread>,
    /// The first list that is too long to be a metric.
    pub long_list: Option<String>,
    /// Why its status or its metrics cannot be read.
    pub unreadable: Option<String>,
}

/// What is known of a repetition's directory at first sight.
struct Head {
    dir: PathBuf,
    experiment: String,
    run: String,
    rep: u32,
    state: Option<State>,
    /// When it ended, or started.
    time: String,
    params_sha256: String,
    plan: String,
}

impl Gathered {
    /// Looks below these folders, each a results folder, one below it, a repetition's directory, or a plan's folder.
    ///
    /// # Errors
    /// Where one of them cannot be read.
    pub fn find(folders: &[PathBuf]) -> Result<Self> {
        let mut gathered = Gathered::default();
        let mut heads = Vec::new();
        for folder in folders {
            // A plan lies in `<results>/plans`.
            let is_plan = super::exists(&folder.join(plan_names::MANIFEST));
            let results = super::canonical(folder)?.parent().and_then(Path::parent).map(Path::to_owned);
            let top = results.filter(|_| is_plan).unwrap_or_else(|| folder.clone());
            let mut found = repetitions::below_with(&top, head)?;
            let debugging = leave_out_debugging(&top, &mut found);
            if debugging > 0 {
                let are = if debugging == 1 { "repetition" } else { "repetitions" };
                let left = if debugging == 1 { "is" } else { "are" };
                gathered.remarks.push(format!(
                    "{debugging} {are} of `--debug` in `{0}` {left} left out; name `{0}` to see them",
                    top.join("debug").display()
                ));
            }
            if is_plan {
                let name = folder.file_name().map(|name| name.to_string_lossy().into_owned());
                let of_plan = planned(folder);
                found.extend(of_plan.iter().flatten().filter_map(|dir| elsewhere(dir, &top)));
                found.retain(|head| match &of_plan {
                    Some(dirs) => super::canonical(&head.dir).is_ok_and(|dir| dirs.contains(&dir)),
                    // Its tree was moved: what it started is known all the same.
                    None => Path::new(&head.plan).file_name().map(|name| name.to_string_lossy().into_owned()) == name,
                });
            }
            heads.append(&mut found);
        }
        gathered.arrange(heads);
        Ok(gathered)
    }

    /// Reads a repetition. With `superseded`, also the metrics that a later attempt took the place of.
    pub fn read(&self, rep: &Rep, superseded: bool) -> Record {
        let (status, mut unreadable) = match rep::status(&rep.dir) {
            Found::Status(status) => (Some(status), None),
            Found::Nothing => (None, None),
            Found::Unreadable(why) => (None, Some(why)),
        };
        let sources = self.runs.get(rep.run).and_then(|run| run.sources.as_deref());
        let mut read = history::read(&rep.dir, sources, status.as_deref(), superseded).unwrap_or_else(|error| {
            unreadable.get_or_insert(error.to_string());
            history::Read::default()
        });
        read.history.forget_stamp(rep.number);
        Record { status, history: read.history, unread: read.unread, long_list: read.long_list, unreadable }
    }

    /// Leaves out repetitions, and runs that are left with none.
    pub fn retain(&mut self, keep: impl Fn(usize, &Run, &Rep) -> bool) {
        let runs = &self.runs;
        self.reps.retain(|rep| runs.get(rep.run).is_some_and(|run| keep(rep.run, run, rep)));
        let mut places = vec![None; self.runs.len()];
        for rep in &self.reps {
            if let Some(place) = places.get_mut(rep.run) {
                *place = Some(0);
            }
        }
        for (place, number) in places.iter_mut().flatten().zip(0..) {
            *place = number;
        }
        let mut number = 0;
        self.runs.retain(|_| {
            number += 1;
            places.get(number - 1).is_some_and(Option::is_some)
        });
        for rep in &mut self.reps {
            rep.run = places.get(rep.run).copied().flatten().unwrap_or(rep.run);
        }
    }

    fn arrange(&mut self, heads: Vec<Head>) {
        let mut kept: IndexMap<(String, String, u32), Head> = IndexMap::new();
        let mut twice: Vec<String> = Vec::new();
        for head in heads {
            let name = (head.experiment.clone(), head.run.clone(), head.rep);
            match kept.entry(name) {
                indexmap::map::Entry::Vacant(place) => drop(place.insert(head)),
                // The same folder, by two paths.
                indexmap::map::Entry::Occupied(known) if same_folder(&known.get().dir, &head.dir) => {}
                indexmap::map::Entry::Occupied(mut known) => {
                    let (counts, other) = if head.standing() > known.get().standing() {
                        let old = known.insert(head);
                        (known.get(), old)
                    } else {
                        (known.get(), head)
                    };
                    twice.push(format!("`{}` counts, and not `{}`", counts.dir.display(), other.dir.display()));
                }
            }
        }
        if let Some(first) = twice.first() {
            let count = twice.len();
            let things = if count == 1 { "repetition is" } else { "repetitions are" };
            self.remarks.push(format!("{count} {things} there twice, and the finished or newer one counts: {first}"));
        }
        let mut runs = Grouped::new();
        for head in kept.into_values() {
            let name = (head.experiment.clone(), head.run.clone(), head.params_sha256.clone());
            runs.entry(name).or_default().push(head);
        }
        if let Some(name) = put_together(&mut runs) {
            self.remarks.push(format!(
                "repetitions of the run `{name}` ran with different parameters, so they are rows of their own"
            ));
        }
        let named: Vec<_> = runs.iter().collect();
        let read = |((experiment, name, hash), heads): (&(String, String, String), &Vec<Head>)| {
            run(experiment.clone(), name.clone(), hash, heads)
        };
        self.runs = named.into_par_iter().map(read).collect();
        let mut codes = Codes::default();
        for (number, mut heads) in runs.into_values().enumerate() {
            heads.sort_by_key(|head| head.rep);
            self.reps.extend(heads.into_iter().map(|head| Rep {
                run: number,
                number: head.rep,
                code: codes.of(&head),
                dir: head.dir,
            }));
        }
        self.codes = codes.found;
    }
}

impl Head {
    /// Which of two repetitions counts: the finished one, else the newer one.
    fn standing(&self) -> (bool, &str) {
        (self.state.is_some_and(State::is_finished), &self.time)
    }
}

/// What a repetition's directory says of itself.
fn head(dir: &Path, found: Found) -> Head {
    match found {
        Found::Status(status) => Head {
            dir: dir.to_owned(),
            experiment: status.experiment,
            run: status.run,
            rep: status.rep,
            state: Some(status.state),
            time: status.ended.unwrap_or(status.started),
            params_sha256: status.params_sha256,
            plan: status.plan,
        },
        Found::Nothing | Found::Unreadable(_) => {
            let config = rep::stored_config(dir).unwrap_or(Value::Null);
            let text = |key: &str| config[key].as_str().unwrap_or_default().to_owned();
            Head {
                dir: dir.to_owned(),
                experiment: text("name"),
                run: text("run"),
                rep: config["rep"].as_i64().and_then(|rep| u32::try_from(rep).ok()).unwrap_or_default(),
                state: None,
                time: String::new(),
                params_sha256: params_sha256(&config["params"]),
                plan: String::new(),
            }
        }
    }
}

/// Repetitions by experiment, run, and the hash of their parameters.
type Grouped = IndexMap<(String, String, String), Vec<Head>>;

/// Puts the repetitions of a run together that differ by nothing but parameters that were added later, as the newest of them
/// says (`defaults`). Returns the first run that stays apart.
fn put_together(runs: &mut Grouped) -> Option<String> {
    let mut hashes: IndexMap<(String, String), Vec<String>> = IndexMap::new();
    for (experiment, name, hash) in runs.keys() {
        hashes.entry((experiment.clone(), name.clone())).or_default().push(hash.clone());
    }
    let mut apart = None;
    for ((experiment, name), hashes) in hashes.into_iter().filter(|(_, hashes)| hashes.len() > 1) {
        let key = |hash: &String| (experiment.clone(), name.clone(), hash.clone());
        let time = |hash: &&String| runs.get(&key(hash)).into_iter().flatten().map(|head| head.time.clone()).max();
        let Some(newest) = hashes.iter().max_by_key(time).cloned() else { continue };
        let config = runs.get(&key(&newest)).and_then(|heads| config_of(&newest, heads)).unwrap_or(Value::Null);
        for hash in hashes.iter().filter(|hash| **hash != newest) {
            let other = runs.get(&key(hash)).and_then(|heads| config_of(hash, heads)).unwrap_or(Value::Null);
            if same_but_for(&config["defaults"], &config["params"], &other["params"]) {
                let heads = runs.shift_remove(&key(hash)).unwrap_or_default();
                runs.entry(key(&newest)).or_default().extend(heads);
            } else {
                apart.get_or_insert_with(|| name.clone());
            }
        }
    }
    apart
}

/// The configuration of the first repetition that has parameters of this hash.
fn config_of(hash: &str, heads: &[Head]) -> Option<Value> {
    let mut configs = heads.iter().filter_map(|head| rep::stored_config(&head.dir));
    configs.find(|config| params_sha256(&config["params"]) == hash)
}

/// What the configurations of a run's repetitions say; the newest one tells what is not a parameter.
fn run(experiment: String, name: String, hash: &str, heads: &[Head]) -> Run {
    let newest = heads.iter().max_by_key(|head| &head.time);
    let config = newest.and_then(|head| rep::stored_config(&head.dir)).unwrap_or(Value::Null);
    let fits = |config: &Value| params_sha256(&config["params"]) == hash;
    let params = if fits(&config) {
        config["params"].clone()
    } else {
        let others = heads.iter().filter_map(|head| rep::stored_config(&head.dir));
        others.into_iter().find(fits).map_or(Value::Null, |config| config["params"].clone())
    };
    Run {
        experiment,
        name,
        params,
        repetitions: config["repetitions"].as_i64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0),
        objective: stored_objective(&config),
        sources: stored_sources(&config),
    }
}

/// Leaves out what `--debug` ran, which lies in a folder of its own among the results, where that was not asked for.
fn leave_out_debugging(top: &Path, heads: &mut Vec<Head>) -> usize {
    let count = heads.len();
    let among = |dir: &Path| {
        dir.strip_prefix(top).is_ok_and(|below| below.components().any(|part| part.as_os_str() == "debug"))
    };
    heads.retain(|head| {
        let debugging = || {
            let config = rep::stored_config(&head.dir);
            config.is_some_and(|config| config["path"].as_str().is_some_and(|path| path.ends_with("/debug")))
        };
        !(among(&head.dir) && debugging())
    });
    count - heads.len()
}

/// The directories of a plan's repetitions; `None` where it cannot be read, or its tree was moved.
fn planned(folder: &Path) -> Option<std::collections::HashSet<PathBuf>> {
    let plan = super::plan::Plan::open(folder).ok()?;
    let value = plan.read().ok()?;
    let of = |run: &PlannedRun| run.reps.iter().map(|rep| run.record.rep_dir(&plan.root, rep)).collect::<Vec<_>>();
    let dirs = value.runs.iter().flat_map(of);
    let there: std::collections::HashSet<_> = dirs.filter_map(|dir| super::canonical(&dir).ok()).collect();
    (!there.is_empty()).then_some(there)
}

/// A repetition of a plan that lies outside of its results folder, where a program chose to have it.
fn elsewhere(dir: &Path, results: &Path) -> Option<Head> {
    let inside = super::canonical(results).is_ok_and(|results| dir.starts_with(results));
    let found = (!inside).then(|| rep::status(dir))?;
    let is_one = !matches!(found, Found::Nothing) || rep::stored_config(dir).is_some();
    is_one.then(|| head(dir, found))
}

fn same_folder(a: &Path, b: &Path) -> bool {
    super::canonical(a).ok().zip(super::canonical(b).ok()).is_some_and(|(a, b)| a == b)
}

/// The versions of the code, found by the plans that started repetitions.
#[derive(Default)]
struct Codes {
    found: Vec<Code>,
    /// By the folder above a plan's folder and the plan's name.
    known: HashMap<(PathBuf, String), Option<usize>>,
    /// The last one, as neighbours are alike: a repetition's run's folder, and the plan.
    last: Option<((PathBuf, String), Option<usize>)>,
}

impl Codes {
    fn of(&mut self, head: &Head) -> Option<usize> {
        let plan = Path::new(&head.plan).file_name()?.to_string_lossy().into_owned();
        let run_dir = head.dir.parent()?.to_owned();
        let key = (run_dir, plan);
        if let Some((known, code)) = &self.last
            && *known == key
        {
            return *code;
        }
        // `<path>/<experiment>/<run>/log/rep_00`: wherever that was copied to, the plans lie in `<path>/plans`.
        let code = key.0.ancestors().take(4).find_map(|above| self.at(above, &key.1));
        self.last = Some((key, code));
        code
    }

    fn at(&mut self, results: &Path, plan: &str) -> Option<usize> {
        let key = (results.to_owned(), plan.to_owned());
        if let Some(known) = self.known.get(&key) {
            return *known;
        }
        let folder = layout::plans(results).join(plan);
        let record = super::read(&folder.join(plan_names::GIT)).ok();
        let record = record.and_then(|text| serde_json::from_slice::<GitRecord>(&text).ok());
        let code = record.and_then(|record| {
            Some(Code {
                commit: record.commit?,
                branch: record.branch,
                dirty: record.dirty.unwrap_or(false),
                diff: record.diff.map(|name| folder.join(name)),
            })
        });
        let place = code.map(|code| {
            let known = self.found.iter().position(|other| alike(other, &code));
            known.unwrap_or_else(|| {
                self.found.push(code);
                self.found.len() - 1
            })
        });
        self.known.insert(key, place);
        place
    }
}

/// Whether two plans' code is the same: what was not committed counts.
fn alike(a: &Code, b: &Code) -> bool {
    let diff = |code: &Code| code.diff.as_deref().map(|path| super::read(path).unwrap_or_default());
    a.commit == b.commit && a.dirty == b.dirty && diff(a) == diff(b)
}

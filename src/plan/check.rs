//! What can be wrong with a plan though every key is well formed: templates that cannot be rendered, shares that do not fit.
//!
//! Pure. It finds at plan time what would otherwise crash every repetition, or waste an allocation.

use super::record::ExperimentRecord;
use super::runs::Resolved;
use super::sbatch::{self, limit};
use crate::config::{Argv, At, Diagnostic, Experiment, Slurm, Template};
use crate::run::render::{self, Arguments, Context, Names};
use crate::run::share;
use crate::value::{TypeError, Value};
use std::path::Path;

/// What to do about a template that cannot be rendered.
const TEMPLATE_HELP: &str = "correct the name, or give a value that may be missing a default: `{{ params.lr | default(0.1) }}`; \
     `params[\"learning-rate\"]` reaches a key that is no plain name; `{% raw %}…{% endraw %}` keeps braces that are no template";

/// Checks an experiment by itself: its templates' syntax and names, and whether its slots fit what it asks of the cluster.
pub fn experiment(experiment: &Experiment) -> Vec<Diagnostic> {
    let mut found: Vec<Diagnostic> = templates(experiment)
        .filter_map(|template| render::check(&template.text).err().map(|why| unusable(template, &why)))
        .collect();
    found.extend(meaningless(experiment));
    found.extend(unfit(experiment));
    found.extend(shares(experiment));
    found
}

/// Why a template cannot be rendered. What minijinja says is without what to do about it.
fn unusable(template: &Template, why: &str) -> Diagnostic {
    let (message, help) = match why.rsplit_once("; ") {
        Some((message, help)) if !why.starts_with("template: ") => (message, help),
        _ => (why, TEMPLATE_HELP),
    };
    Diagnostic::error(message).at(template.at).help(help)
}

/// Whether an experiment tells how many iterations there are; for a program whose experiment consists of them.
pub fn iterations(experiment: &Experiment) -> Option<Diagnostic> {
    if experiment.command.is_some() || experiment.iterations.is_some() {
        return None;
    }
    let at = experiment.origin.key_at("name").unwrap_or_default();
    let diagnostic = Diagnostic::error(format!("the experiment `{}` has no `iterations`", experiment.name)).at(at);
    Some(diagnostic.help("write how many iterations this program's experiment has, as in `iterations: 100`"))
}

/// Whether a job ends within its time limit, as far as the configuration says how long a repetition takes. `repetitions` are all
/// of the experiment. Nothing is wrong where jobs requeue themselves: what is left goes on then.
pub fn time(experiment: &Experiment, repetitions: u64) -> Option<Diagnostic> {
    let (each, limit) = (experiment.rep_time?, limit::seconds(&experiment.slurm)?);
    // What a pilot does not come to, another one does.
    let most = if experiment.slurm.pilots.is_some() { 1 } else { experiment.reps_per_job };
    let bundle = repetitions.min(most.into());
    let rounds = bundle.div_ceil(u64::from(experiment.reps_in_parallel.max(1)));
    #[expect(clippy::cast_precision_loss, reason = "a job's repetitions are far fewer than 2^52")]
    let needed = rounds as f64 * each;
    if needed <= limit || limit::requeues(&experiment.slurm) > 0 {
        return None;
    }
    let (takes, lower) = match rounds {
        1 => (format!("a repetition takes {each} s (`rep_time`)"), ""),
        _ => (
            format!("a job runs its repetitions in {rounds} rounds of {each} s (`rep_time`)"),
            ", lower `reps_per_job`",
        ),
    };
    let message = format!(
        "experiment `{}`: {takes}, but its time limit is {limit} s (`time`): what has not finished by then is left undone",
        experiment.name
    );
    let at = experiment.origin.key_at("rep_time").unwrap_or_default();
    let help = format!("raise `time`{lower}, or let jobs requeue themselves: `requeue: true`");
    Some(Diagnostic::warning(message).at(at).help(help))
}

/// What no script can hold.
fn unfit(experiment: &Experiment) -> impl Iterator<Item = Diagnostic> {
    sbatch::unfit(&experiment.slurm).into_iter().map(|(path, error)| {
        let message = error.to_string();
        let (message, help) = message.rsplit_once("; ").unwrap_or((&message, "remove it"));
        let parent = path.split_last().and_then(|(key, way)| {
            way.iter().try_fold(&experiment.slurm_origin, |node, key| node.get(key))?.key_at(key)
        });
        Diagnostic::error(message).at(parent.unwrap_or_default()).help(help)
    })
}

/// What would have no effect: an experiment that is part of a Rust program starts no process.
fn meaningless(experiment: &Experiment) -> Option<Diagnostic> {
    // A class in Python starts as a process of its own.
    if experiment.command.is_some() || experiment.typed.is_some() {
        return None;
    }
    let env = experiment.env.iter().map(|(_, template)| ("env", template));
    let workdir = experiment.workdir.iter().map(|template| ("workdir", template));
    let launcher = experiment.launcher.iter().map(|template| ("launcher", template));
    let (key, template) = env.chain(workdir).chain(launcher).next()?;
    let message = format!("`{key}` has no effect without a `command`: the experiment runs in the program itself");
    Some(Diagnostic::error(message).at(template.at).help("remove it, and let the program do what it was for"))
}

/// Renders every template of a run as the worker will, to find what it lacks: for its first repetition, and for its last one
/// where a condition may be in it.
pub fn run(root: &Path, run: Resolved<'_>) -> Result<(), Box<Diagnostic>> {
    let uses = |text: &str| templates(run.experiment).any(|template| template.text.contains(text));
    // The first one in any case: a launcher may be wrong whatever the values.
    if run.first || uses("{") {
        repetition(root, run, 0)?;
    }
    let last = run.experiment.repetitions.saturating_sub(1);
    if last > 0 && (uses("{%") || uses(" if ")) {
        repetition(root, run, last)?;
    }
    Ok(())
}

/// Whether the parameters of a run are of the type that the program's own experiment has for them.
pub fn params(run: Resolved<'_>, typed: impl Fn(&Value) -> Result<(), TypeError>) -> Result<(), Box<Diagnostic>> {
    if run.experiment.command.is_some() {
        return Ok(());
    }
    typed(run.params).map_err(|error| {
        let at = ["params", "name"].iter().find_map(|key| run.experiment.origin.key_at(key)).unwrap_or_default();
        let message =
            format!("the parameters of `{}` are not what this program's experiment takes: {error}", run.record.run);
        Box::new(
            Diagnostic::error(message).at(at).help("correct them here or in the sweep; or the type in the program"),
        )
    })
}

fn repetition(root: &Path, run: Resolved<'_>, rep: u32) -> Result<(), Box<Diagnostic>> {
    let experiment = run.experiment;
    let dir = super::layout::rep_dir(&root.join(&run.record.dir), rep);
    let dir_text = dir.to_string_lossy();
    let config_file = dir.join(super::layout::rep::CONFIG);
    let config_text = config_file.to_string_lossy();
    let names = Names {
        flag_style: experiment.flag_style.clone(),
        experiment: &experiment.name,
        run: &run.record.run,
        rep,
        rep_dir: &dir_text,
        config_file: &config_text,
        iterations: experiment.iterations,
        cpus: 1,
        gpus: "0",
        ..Names::default()
    };
    let context = Context::new(run.params, &names);
    let wrong = |template: &Template, why: String| {
        let which = if rep == 0 { String::new() } else { format!(", repetition {rep}") };
        Box::new(unusable(template, &why).because(format!("in run `{}`{which}", run.record.run)))
    };
    for argv in argvs(experiment) {
        let mut words = Arguments::default();
        for template in &experiment.launcher {
            words.push(&template.text, &context).map_err(|why| wrong(template, why))?;
        }
        for template in words_of(argv) {
            let result = match argv {
                Argv::Shell(_) => words.push_shell(&template.text, &context),
                Argv::Exec(_) => words.push(&template.text, &context),
            };
            result.map_err(|why| wrong(template, why))?;
        }
    }
    for template in texts(experiment) {
        let text = render::plain(&template.text, &context).map_err(|why| wrong(template, why))?;
        let is_workdir = experiment.workdir.as_ref() == Some(template);
        if is_workdir && (text.starts_with('~') || text.contains("${env:")) {
            return Err(Box::new(unexpanded(template, &text).because(format!("in run `{}`", run.record.run))));
        }
    }
    Ok(())
}

/// What a template inserts is a parameter's value, which is not looked at: it would name a folder `~`.
fn unexpanded(template: &Template, text: &str) -> Diagnostic {
    let message = format!("`workdir` becomes `{text}`: what a template inserts is not expanded");
    let help = "write `~` or `${env:NAME}` into `workdir` itself, as in `workdir: ~/{{ params.folder }}`";
    Diagnostic::error(message).at(template.at).help(help)
}

/// The phases of an experiment's command.
fn argvs(experiment: &Experiment) -> impl Iterator<Item = &Argv> {
    let command = experiment.command.iter();
    command.flat_map(|c| c.initialize.iter().chain([&c.run]).chain(c.finalize.iter()))
}

fn words_of(argv: &Argv) -> &[Template] {
    match argv {
        Argv::Shell(template) => std::slice::from_ref(template),
        Argv::Exec(templates) => templates,
    }
}

/// The templates that are no part of a call.
fn texts(experiment: &Experiment) -> impl Iterator<Item = &Template> {
    experiment.env.iter().map(|(_, template)| template).chain(experiment.workdir.as_ref())
}

fn templates(experiment: &Experiment) -> impl Iterator<Item = &Template> {
    argvs(experiment).flat_map(words_of).chain(&experiment.launcher).chain(texts(experiment))
}

/// What an experiment asks of the cluster, and what its slots need of that.
struct Demand<'a> {
    name: &'a str,
    slurm: &'a Slurm,
    slots: u32,
    cpus_per_rep: Option<u32>,
    gpus_per_rep: Option<f64>,
    oversubscribe: bool,
}

/// What is wrong, and what to do.
type Problem = (String, String);

/// Whether the slots of an experiment fit what it asks of the cluster, where `cw2 retry` changed that.
///
/// # Errors
///
/// What is wrong and what to do, for a person.
pub fn fits(record: &ExperimentRecord) -> Result<(), String> {
    let demand = Demand {
        name: &record.name,
        slurm: &record.slurm,
        slots: record.reps_in_parallel,
        cpus_per_rep: record.cpus_per_rep,
        gpus_per_rep: record.gpus_per_rep,
        oversubscribe: record.oversubscribe,
    };
    match demand.cpus().or_else(|| demand.gpus()).or_else(|| demand.grace()) {
        Some((problem, help)) => Err(format!("{problem}; {help}")),
        None => Ok(()),
    }
}

/// The same for an experiment of a configuration, with places.
fn shares(experiment: &Experiment) -> Vec<Diagnostic> {
    let demand = Demand {
        name: &experiment.name,
        slurm: &experiment.slurm,
        slots: experiment.reps_in_parallel,
        cpus_per_rep: experiment.cpus_per_rep,
        gpus_per_rep: experiment.gpus_per_rep,
        oversubscribe: experiment.oversubscribe,
    };
    let key_at = |key: &str| experiment.origin.key_at(key);
    let cpus_at = key_at("reps_in_parallel").or_else(|| key_at("cpus_per_rep"));
    let found = [(demand.cpus(), cpus_at), (demand.gpus(), key_at("gpus_per_rep")), (demand.grace(), key_at("name"))];
    let diagnostic =
        |((problem, help), at): (Problem, Option<At>)| Diagnostic::error(problem).at(at.unwrap_or_default()).help(help);
    found.into_iter().filter_map(|(problem, at)| Some(diagnostic((problem?, at)))).collect()
}

impl Demand<'_> {
    fn cpus_per_task(&self) -> Option<u32> {
        self.slurm.options.number("cpus-per-task")
    }

    fn ntasks(&self) -> u32 {
        self.slurm.options.number("ntasks").unwrap_or(1)
    }

    /// The CPUs an element gets: `ntasks` × `cpus-per-task`; `None` where the configuration leaves it to the cluster.
    fn allocated_cpus(&self) -> Option<u64> {
        Some(u64::from(self.cpus_per_task()?) * u64::from(self.ntasks()))
    }

    /// Whether the warning before the time limit leaves time to do something.
    fn grace(&self) -> Option<Problem> {
        let (grace, limit) = (self.slurm.grace?, limit::seconds(self.slurm)?);
        (grace >= limit).then(|| {
            (
                format!(
                    "experiment `{}`: a job is warned {grace} s before its time limit (`grace`), but the limit is {limit} s \
                     (`time`): it would be told to end as soon as it starts",
                    self.name
                ),
                "lower `grace`, or raise `time`".to_owned(),
            )
        })
    }

    fn cpus(&self) -> Option<Problem> {
        let available = self.allocated_cpus()?;
        let slots = u64::from(self.slots);
        let each = u64::from(self.cpus_per_rep.unwrap_or(1));
        let needed = slots * each;
        if needed <= available || self.oversubscribe {
            return None;
        }
        let each = if each == 1 { String::new() } else { format!(" × {each} CPUs each = {needed} CPUs") };
        let tasks = Some(self.ntasks()).filter(|n| *n > 1).map_or(String::new(), |n| format!("{n} tasks × "));
        Some((
            format!(
                "experiment `{}`: {slots} repetitions in parallel{each} do not fit the {available} CPUs of a job ({tasks}`cpus-per-task: {}`)",
                self.name,
                self.cpus_per_task().unwrap_or(1),
            ),
            "raise `cpus-per-task`, lower `reps_in_parallel`, or say `oversubscribe: true`".to_owned(),
        ))
    }

    fn gpus(&self) -> Option<Problem> {
        let per_rep = self.gpus_per_rep?;
        let slots = self.slots as usize;
        let requested = self.slurm.options.gpus();
        let fits = match share::fit(requested.unwrap_or(0), per_rep) {
            Ok(fits) => fits,
            Err(why) => return Some((why, "e.g. 1, 2, 0.5 or 0.25".to_owned())),
        };
        let requested = requested?;
        (fits < slots).then(|| {
            #[expect(clippy::cast_precision_loss, reason = "a job has few slots")]
            let needed = (slots as f64 * per_rep * 1e6).round() / 1e6;
            (
                format!(
                    "experiment `{}`: {slots} repetitions in parallel × {per_rep} GPUs = {needed} GPUs, but a job gets {requested}",
                    self.name
                ),
                format!("ask for more GPUs in `sbatch_args`, or set `reps_in_parallel: {}`", fits.max(1)),
            )
        })
    }
}

/// The parameters in which two mappings differ: dotted path, first value, second value.
pub fn differences(first: &Value, second: &Value) -> Vec<(String, Option<Value>, Option<Value>)> {
    let mut found = Vec::new();
    compare(first, second, &mut Vec::new(), &mut found);
    found
}

fn compare(
    first: &Value,
    second: &Value,
    path: &mut Vec<String>,
    found: &mut Vec<(String, Option<Value>, Option<Value>)>,
) {
    let (Value::Map(a), Value::Map(b)) = (first, second) else {
        // Exact, as the hash is: `1` and `1.0` differ.
        if first.to_canonical_json() != second.to_canonical_json() {
            found.push((path.join("."), Some(first.clone()), Some(second.clone())));
        }
        return;
    };
    for (key, value) in a {
        path.push(key.clone());
        match b.get(key) {
            Some(other) => compare(value, other, path, found),
            None => found.push((path.join("."), Some(value.clone()), None)),
        }
        path.pop();
    }
    for (key, value) in b.iter().filter(|(key, _)| !a.contains_key(*key)) {
        let mut path = path.clone();
        path.push(key.clone());
        found.push((path.join("."), None, Some(value.clone())));
    }
}

//! A plan on its way to disk: what `plan`, `run` and `retry` share.

use super::Failure;
use super::snapshot::{self, Code};
use crate::plan::build::{Built, Sink};
use crate::plan::layout;
use crate::plan::record::{ExperimentRecord, FORMAT, JobRecord, Manifest, RunRecord};
use crate::plan::sbatch::{self, Script};
use crate::plan::template::Template;
use crate::report::human;
use crate::store::{self, plan::PlanWriter};
use std::cell::Cell;
use std::fmt::Write as _;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Slurm's default, where neither the configuration nor the cluster says.
pub(super) const MAX_ARRAY_SIZE: u32 = 1001;

/// A plan that was written, or would be.
#[derive(Debug)]
pub(super) struct Frozen {
    /// Its folder; `None` where nothing is left to do.
    pub folder: Option<PathBuf>,
    /// What it holds.
    pub built: Built,
    /// Its scripts: name and text.
    pub scripts: Vec<(String, String)>,
    /// What was done with the code.
    pub notes: Vec<String>,
}

/// Whether a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Whole, or not at all.
    Write,
    /// Nothing is written, not even a folder.
    DryRun,
}

/// What goes into a plan besides its records.
#[derive(Debug)]
pub(super) struct Draft {
    /// Where relative paths start.
    pub root: PathBuf,
    /// The folder of plans it goes into.
    pub plans: PathBuf,
    /// The configuration as the user named it.
    pub config: String,
    /// `-o`.
    pub overwrite: bool,
    /// With `-o`, the highest number among the plans that finished what is overwritten: a plan of such a number would take
    /// their work for its own, and skip it. They may be gone.
    pub above: Cell<u32>,
    /// See [`Manifest::retry_of`].
    pub retry_of: Vec<String>,
    /// The configuration's files: name and text.
    pub sources: Vec<(String, String)>,
    /// The users' script templates.
    pub templates: Vec<Template>,
    /// The code snapshots it asks for.
    pub code: Code,
    /// What the program is called with by its jobs, before `worker`.
    pub own_args: Vec<String>,
}

impl Draft {
    /// Has the plan's records built, and writes it; nothing is written where there is no job.
    pub(super) fn write(
        &self,
        mode: Mode,
        records: impl FnOnce(&mut dyn Sink) -> Result<Built, Failure>,
    ) -> Result<Frozen, Failure> {
        if mode == Mode::DryRun {
            let mut built = records(&mut Nowhere)?;
            let notes = self.code.take(&mut built, None)?.keep();
            let name = layout::plan_name(store::plan::next_number(&self.plans, self.above.get())?);
            let (_, scripts) = self.head(&built, &name)?;
            return Ok(Frozen { folder: None, built, scripts, notes });
        }
        let mut writer = PlanWriter::create(&self.plans)?;
        let mut built = records(&mut ToDisk(&mut writer))?;
        if built.counts.jobs == 0 {
            return Ok(Frozen { folder: None, built, scripts: Vec::new(), notes: Vec::new() });
        }
        let taken = self.code.take(&mut built, Some(&writer))?;
        self.code.record_origin(&built, &writer)?;
        for (name, text) in &self.sources {
            writer.copy(layout::plan::SOURCES, name, text)?;
        }
        for template in &self.templates {
            writer.copy(layout::plan::TEMPLATES, &template.file_name(), &template.text)?;
        }
        // A script that cannot be written is found before anything is made beside the plan.
        self.head(&built, &layout::plan_name(1))?;
        for folder in built.arrays.iter().filter_map(|array| array.slurm.slurm_log.as_ref()) {
            // Slurm does not create the folder of its logs: the job would fail without a trace.
            store::create_folder(&self.root.join(folder))?;
        }
        writer.number_above(self.above.get());
        let folder = writer.finish(|name| self.head(&built, name))?;
        let notes = taken.keep();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let (_, scripts) = self.head(&built, &name)?;
        Ok(Frozen { folder: Some(folder), built, scripts, notes })
    }

    /// The manifest and the scripts of a plan with this name.
    fn head(&self, built: &Built, name: &str) -> Result<(Manifest, Vec<(String, String)>), Failure> {
        let folder = self.plans.join(name);
        let now = jiff::Timestamp::now();
        let manifest = Manifest {
            format: FORMAT,
            id: String::new(),
            cw2: env!("CARGO_PKG_VERSION").to_owned(),
            created: now.round(jiff::Unit::Second).unwrap_or(now).to_string(),
            root: self.root.to_string_lossy().into_owned(),
            folder: relative(&folder, &self.root),
            config: self.config.clone(),
            overwrite: self.overwrite,
            retry_of: self.retry_of.clone(),
            counts: built.counts,
            arrays: built.arrays.iter().map(|array| array.record.clone()).collect(),
        };
        let program = std::env::current_exe()
            .map_err(|error| Failure::Environment(format!("cannot tell where this program lies: {error}")))?;
        let mut scripts = Vec::new();
        for array in &built.arrays {
            let own = array.template.as_ref().map(|copy| {
                let own = self.templates.iter().find(|template| template.copy() == *copy);
                own.ok_or_else(|| {
                    Failure::Environment(format!("the plan's copy of a script template, `{copy}`, is gone"))
                })
            });
            let own = own.transpose()?;
            let template = own.map(|own| sbatch::UserTemplate { path: &own.path, text: &own.text });
            let code = snapshot::for_script(array.record.code.as_ref(), &self.root);
            let script = Script {
                array,
                plan: &folder,
                workdir: &self.root,
                code: code.as_ref().map(|(folder, per_job, path)| sbatch::Code { folder, per_job: *per_job, path }),
                binary: &program,
                own_args: &self.own_args,
                config: &self.config,
            };
            let text = sbatch::render(&script, template.as_ref()).map_err(|error| Failure::Usage(error.to_string()))?;
            scripts.push((array.record.script.clone(), text));
        }
        Ok((manifest, scripts))
    }
}

impl Frozen {
    /// Prints the scripts' paths; for a dry run, the scripts.
    pub(super) fn print(&self, mode: Mode) -> Result<(), Failure> {
        let mut out = std::io::stdout().lock();
        match (&self.folder, mode) {
            (Some(folder), _) => {
                for (script, _) in &self.scripts {
                    writeln!(out, "{}", folder.join(script).display())?;
                }
            }
            (None, Mode::DryRun) => {
                for (number, (script, text)) in self.scripts.iter().enumerate() {
                    if self.scripts.len() > 1 {
                        let gap = if number > 0 { "\n" } else { "" };
                        writeln!(out, "{gap}# ---- {script} ----")?;
                    }
                    out.write_all(text.as_bytes())?;
                }
            }
            (None, Mode::Write) => {}
        }
        Ok(out.flush()?)
    }
}

/// A path below the root without it; others as they are.
pub(super) fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

/// Where the records of a dry run go.
pub(super) struct Nowhere;

impl Sink for Nowhere {
    fn experiment(&mut self, _: &ExperimentRecord, _: &str) -> std::io::Result<()> {
        Ok(())
    }
    fn run(&mut self, _: &RunRecord, _: &str) -> std::io::Result<()> {
        Ok(())
    }
    fn job(&mut self, _: &JobRecord) -> std::io::Result<()> {
        Ok(())
    }
}

struct ToDisk<'a>(&'a mut PlanWriter);

impl Sink for ToDisk<'_> {
    fn experiment(&mut self, record: &ExperimentRecord, settings_json: &str) -> std::io::Result<()> {
        self.0.experiment(record, settings_json).map_err(std::io::Error::other)
    }
    fn run(&mut self, record: &RunRecord, params_json: &str) -> std::io::Result<()> {
        self.0.run(record, params_json).map_err(std::io::Error::other)
    }
    fn job(&mut self, record: &JobRecord) -> std::io::Result<()> {
        self.0.job(record).map_err(std::io::Error::other)
    }
}

/// The lines on standard error that say what was planned.
pub(super) fn summary(built: &Built) -> String {
    let counts = &built.counts;
    let mut text = format!(
        "{}, {}, {} to do in {} ({})",
        count(counts.experiments, "experiment"),
        count(counts.runs, "run"),
        count(counts.repetitions, "repetition"),
        count(counts.jobs, "job"),
        count(built.arrays.len() as u64, "array"),
    );
    if counts.finished > 0 {
        let _ = write!(text, "; {} finished and left out", count(counts.finished, "repetition"));
    }
    if built.renamed > 0 {
        let _ = write!(
            text,
            "\nnote: {} got a hash in their names: they would have shared a directory",
            count(built.renamed, "run")
        );
    }
    for (experiment, pattern) in &built.idle_excludes {
        let _ = write!(
            text,
            "\nnote: experiment `{experiment}`: no run matches `exclude: {pattern}` (a parameter's name and type count)"
        );
    }
    text
}

/// A number of things: `1 run`, `1,000 runs`.
pub(super) fn count(n: u64, word: &str) -> String {
    format!("{} {word}{}", human::count(n), if n == 1 { "" } else { "s" })
}

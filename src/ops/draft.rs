//! A plan on its way to disk: what `plan`, `run` and `retry` share.

use super::failure::Failure;
use super::finish;
use super::snapshot::{self, Code};
use crate::plan::bundle::PlannedArray;
use crate::plan::record::{Counts, FORMAT, Manifest};
use crate::plan::sbatch::{self, Script};
use crate::plan::template::Template;
use crate::plan::{Plan, layout};
use crate::store::{self, claims, plan::PlanWriter};
use std::path::{Path, PathBuf};

/// Slurm's default, where neither the configuration nor the cluster says.
pub const MAX_ARRAY_SIZE: u32 = 1001;

/// A plan that was written, or would be.
#[derive(Debug)]
pub struct Frozen {
    /// Its folder; `None` where nothing is left to do.
    pub folder: Option<PathBuf>,
    /// Its scripts: name and text.
    pub scripts: Vec<(String, String)>,
    /// The script that calls `on_finish`: name and text.
    pub finish: Option<(String, String)>,
    /// What was done with the code.
    pub notes: Vec<String>,
}

/// Whether a plan is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Whole, or not at all.
    Write,
    /// Nothing is written, not even a folder.
    DryRun,
}

/// What goes into a plan besides its records.
#[derive(Debug)]
pub struct Draft {
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
    pub above: u32,
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
    /// Whether writing it changes more than that there is one plan more: what counts as finished, or copies of code.
    pub fn replaces(&self) -> bool {
        self.overwrite || self.code.is_copied()
    }

    /// Writes a plan; nothing is written where there is no job.
    pub fn write(&self, plan: &Plan, mode: Mode) -> Result<Frozen, Failure> {
        let mut arrays = plan.arrays.clone();
        let pilots = arrays.iter().any(|array| array.record.pilots.is_some());
        if let (true, Some(why)) = (pilots, claims::objection_to_mount(&self.plans)?) {
            return Err(no_pilots(&why));
        }
        if mode == Mode::DryRun {
            let notes = self.code.take(&mut arrays, None)?.keep();
            let name = layout::plan_name(store::plan::next_number(&self.plans, self.above)?);
            let finish = self.finish(&arrays, &name)?;
            return Ok(Frozen { folder: None, scripts: self.scripts(&arrays, &name)?, finish, notes });
        }
        if arrays.is_empty() {
            return Ok(Frozen { folder: None, scripts: Vec::new(), finish: None, notes: Vec::new() });
        }
        let mut writer = PlanWriter::create(&self.plans)?;
        if pilots && let Some(why) = claims::objection(&self.plans)? {
            return Err(no_pilots(&why));
        }
        writer.plan(plan)?;
        let taken = self.code.take(&mut arrays, Some(&writer))?;
        self.code.record_origin(&arrays, &writer)?;
        for (name, text) in &self.sources {
            writer.copy(layout::plan::SOURCES, name, text)?;
        }
        for template in &self.templates {
            writer.copy(layout::plan::TEMPLATES, &template.file_name(), &template.text)?;
        }
        // A script that cannot be written is found before anything is made beside the plan.
        self.scripts(&arrays, &layout::plan_name(1))?;
        for folder in arrays.iter().filter_map(|array| array.slurm.slurm_log.as_ref()) {
            // Slurm does not create the folder of its logs: the job would fail without a trace.
            store::create_folder(&self.root.join(folder))?;
        }
        writer.number_above(self.above);
        let counts = (plan.counts(), plan.jobs_per_line(), plan.has_python());
        let head = |name: &str| {
            let scripts = self.scripts(&arrays, name)?.into_iter().chain(self.finish(&arrays, name)?);
            Ok((self.manifest(counts, &arrays, name), scripts.collect()))
        };
        let folder = writer.finish::<Failure>(head)?;
        let notes = taken.keep();
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let finish = self.finish(&arrays, &name)?;
        Ok(Frozen { folder: Some(folder), scripts: self.scripts(&arrays, &name)?, finish, notes })
    }

    /// The head of a plan with this name.
    fn manifest(
        &self,
        (counts, jobs_per_line, python): (Counts, u32, bool),
        arrays: &[PlannedArray],
        name: &str,
    ) -> Manifest {
        let now = jiff::Timestamp::now();
        Manifest {
            format: FORMAT,
            id: String::new(),
            cw2: env!("CARGO_PKG_VERSION").to_owned(),
            created: now.round(jiff::Unit::Second).unwrap_or(now).to_string(),
            root: self.root.to_string_lossy().into_owned(),
            folder: relative(&self.plans.join(name), &self.root),
            config: self.config.clone(),
            overwrite: self.overwrite,
            retry_of: self.retry_of.clone(),
            counts,
            jobs_per_line,
            arrays: arrays.iter().map(|array| array.record.clone()).collect(),
            python,
        }
    }

    /// The script that calls `on_finish` in a plan with this name.
    fn finish(&self, arrays: &[PlannedArray], name: &str) -> Result<Option<(String, String)>, Failure> {
        let commands = finish::commands(arrays);
        let Some(array) = arrays.first().filter(|_| !commands.is_empty()) else { return Ok(None) };
        let folder = self.plans.join(name);
        let script = Script {
            array,
            plan: &folder,
            workdir: &self.root,
            code: None,
            binary: &program_file()?,
            own_args: &self.own_args,
            config: &self.config,
            by_hand: false,
        };
        let commands: Vec<&str> = commands.iter().map(String::as_str).collect();
        let text = sbatch::finish::render(&script, &commands).map_err(|error| Failure::Usage(error.to_string()))?;
        Ok(Some((sbatch::finish::SCRIPT.to_owned(), text)))
    }

    /// The scripts of a plan with this name: names and texts.
    fn scripts(&self, arrays: &[PlannedArray], name: &str) -> Result<Vec<(String, String)>, Failure> {
        let folder = self.plans.join(name);
        let program = program_file()?;
        let mut scripts = Vec::new();
        for array in arrays {
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
                by_hand: false,
            };
            let text = sbatch::render(&script, template.as_ref()).map_err(|error| Failure::Usage(error.to_string()))?;
            scripts.push((array.record.script.clone(), text));
        }
        Ok(scripts)
    }
}

/// Where this program lies.
fn program_file() -> Result<PathBuf, Failure> {
    std::env::current_exe()
        .map_err(|error| Failure::Environment(format!("cannot tell where this program lies: {error}")))
}

/// Says why there can be no pilots, and what to do.
fn no_pilots(why: &str) -> Failure {
    Failure::Environment(format!("{why}; let `path` be on such a file system, or remove `pilots`"))
}

/// A path below the root without it; others as they are.
pub fn relative(path: &Path, root: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().into_owned()
}

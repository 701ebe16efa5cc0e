//! What fuzz targets call: each takes any text, and goes the way that a user's would go. For `fuzz/`, and the test that goes
//! through its corpus; no part of what the library promises.

use crate::config::{self, Match, Report, Request, Source};
use crate::experiment::Expansion;
use crate::plan::sbatch::{self, Script};
use crate::plan::{build::build, check, layout, runs};
use crate::run::shell;
use std::io;
use std::path::{Path, PathBuf};

pub use crate::plan::sbatch::written::arguments as sbatch_arguments;
pub use crate::store::plan::forged::read as read_plan;

/// More runs or repetitions than these are not expanded: that takes its time, whoever asks for them.
const MOST: u64 = 2_000;

/// A file that imports itself, whatever path it names.
struct Same<'t>(&'t str);

impl Source for Same<'_> {
    fn read(&self, _: &Path) -> io::Result<Vec<u8>> {
        Ok(self.0.as_bytes().to_owned())
    }

    fn glob(&self, folder: &Path, pattern: &str, _: usize) -> io::Result<Vec<Match>> {
        let found = |name: &str| Match { path: folder.join(name), inner: PathBuf::from(name) };
        Ok(["a.csv", "b c.csv", pattern].map(found).to_vec())
    }
}

/// What a configuration becomes.
#[derive(Debug, Default)]
pub struct Planned {
    /// The directory of each run, relative to the working directory.
    pub dirs: Vec<PathBuf>,
    /// The scripts.
    pub scripts: Vec<String>,
}

/// Reads a configuration, expands and checks it, and renders its scripts.
///
/// # Errors
/// What is wrong with it, as a person is told.
pub fn configuration(text: &str) -> Result<Planned, String> {
    let root = Path::new("/home/u");
    let request = Request { hostname: "node1".to_owned(), for_slurm: true, original: true, ..Request::default() };
    let told = |report: &Report| report.render(false);
    let (config, report) =
        config::load(&Same(text), Path::new("config.yml"), &request).map_err(|report| told(&report))?;
    let _ = told(&report);
    let mut report = Report::default();
    report.files.clone_from(&config.files);
    config.experiments.iter().flat_map(check::experiment).for_each(|diagnostic| report.push(diagnostic));
    let mut several = 0_u64;
    for experiment in &config.experiments {
        match Expansion::new(experiment) {
            Ok(expansion) => several = several.saturating_add(expansion.len()),
            Err(diagnostic) => report.push(*diagnostic),
        }
    }
    if report.has_errors() || several > MOST {
        return Err(told(&report));
    }
    let runs = runs::resolve(&config.experiments, root, |run| check::run(root, run)).map_err(|diagnostic| {
        report.push(*diagnostic);
        told(&report)
    })?;
    let plan = build(&config.experiments, runs, &[], &[], |_| 1001);
    let folder = root.join("out").join("plans/001");
    let scripts = plan.arrays.iter().map(|array| {
        let binary = Path::new("/usr/bin/cw2");
        let script = Script {
            array,
            plan: &folder,
            workdir: root,
            code: None,
            binary,
            own_args: &[],
            config: "config.yml",
            by_hand: false,
        };
        sbatch::render(&script, None).map_err(|error| error.to_string())
    });
    let scripts = scripts.collect::<Result<_, _>>()?;
    Ok(Planned {
        dirs: plan.runs.into_iter().map(|run| layout::rep_dir(Path::new(&run.record.dir), 0)).collect(),
        scripts,
    })
}

/// A shell text in which each `@` is this value.
///
/// # Errors
/// Where no quoting is safe.
pub fn shell_text(template: &str, value: &str) -> Result<String, String> {
    let marked = shell::mark_word(value)?;
    shell::insert(&template.replace('@', &marked))
}

/// A value as it stands in an `#SBATCH` line.
///
/// # Errors
/// Where no line can hold it.
pub fn sbatch_value(value: &str) -> Result<String, String> {
    sbatch::quote_sbatch(value).map_err(|error| error.to_string())
}

//! What a plan keeps of the code: its snapshots, from the flags to the folders that its jobs run in, and what git says.

use super::failure::Failure;
use crate::config::Config;
use crate::plan::Plan;
use crate::plan::bundle::PlannedArray;
use crate::plan::code::{self, PathEntry, Request, SnapshotError, SnapshotFlags, SnapshotTarget};
use crate::plan::layout::{self, plan as names};
use crate::plan::record::{CodeMode, CodeRecord};
use crate::store::plan::PlanWriter;
use crate::store::snapshot::{self, Snapshot, Target, Tree};
use crate::store::{self, git};
use std::path::{Path, PathBuf};

/// The code snapshots a plan asks for.
#[derive(Debug, Default)]
pub struct Code {
    wish: SnapshotFlags,
    root: PathBuf,
    overwrite: bool,
    /// The results folders, which nothing may replace.
    results: Vec<PathBuf>,
    /// The folders that cw2 fills: no code.
    filled: Vec<PathBuf>,
    requests: Vec<Request>,
    /// The arrays already have the code of earlier plans.
    earlier: bool,
}

/// The snapshots of a plan. Dropped unkept, they are undone.
#[derive(Debug, Default)]
pub struct Taken {
    snapshots: Vec<Snapshot>,
    /// What was done, for the person.
    pub notes: Vec<String>,
}

impl Taken {
    /// The plan is there: they stay.
    pub fn keep(self) -> Vec<String> {
        self.snapshots.into_iter().for_each(Snapshot::keep);
        self.notes
    }
}

impl Code {
    /// What the configuration and the flags ask for; no snapshot where `wish` is missing, as for `run`, whose jobs do not wait.
    pub fn decide(config: &Config, root: &Path, wish: Option<SnapshotFlags>, overwrite: bool) -> Result<Self, Failure> {
        let mut code = Code { root: root.to_owned(), overwrite, ..Code::default() };
        for experiment in &config.experiments {
            let results = snapshot::resolve(&root.join(&experiment.path));
            code.filled.push(layout::plans(&results));
            code.filled.push(results.join(crate::experiment::component(&experiment.name)));
            code.results.push(results);
        }
        code.results.dedup();
        if let Some(wish) = wish {
            code.wish = wish;
            code.requests =
                code::requests(config.experiments.iter().map(|experiment| &experiment.slurm), root, code.wish)?;
        }
        Ok(code)
    }

    /// Whether code is copied.
    pub fn is_copied(&self) -> bool {
        !self.requests.is_empty()
    }

    /// For `retry`: jobs run in the code they were first planned with.
    pub fn of_earlier(root: &Path) -> Self {
        Code { root: root.to_owned(), earlier: true, ..Code::default() }
    }

    /// For `retry --fresh-code`: what the experiments ask for, of the code as it is now, in the way it was copied before. What is
    /// where a copy is to be gives way.
    pub fn afresh(plan: &Plan, root: &Path, plans: &Path, mode: Option<CodeMode>) -> Result<Self, Failure> {
        let wish = SnapshotFlags {
            zip: mode == Some(CodeMode::Archive),
            multicopy: mode == Some(CodeMode::PerJob),
            nocodecopy: false,
            skip_size_check: true,
        };
        let results = snapshot::resolve(plans.parent().unwrap_or(plans));
        let names = plan.experiments.iter().map(|experiment| crate::experiment::component(&experiment.record.name));
        let filled = names.map(|name| results.join(name)).chain([layout::plans(&results)]).collect();
        let slurms = plan.experiments.iter().map(|experiment| &experiment.record.slurm);
        let requests = code::requests(slurms, root, wish)?;
        Ok(Code {
            wish,
            root: root.to_owned(),
            overwrite: true,
            results: vec![results],
            filled,
            requests,
            earlier: false,
        })
    }

    /// Writes what git says of the code into the plan, unless the code is an earlier plan's: that plan has its record.
    pub fn record_origin(&self, arrays: &[PlannedArray], writer: &PlanWriter) -> Result<(), Failure> {
        if self.earlier && arrays.iter().any(|array| array.record.code.is_some()) {
            return Ok(());
        }
        let origin = self.requests.first().map_or_else(|| self.root.clone(), |first| snapshot::resolve(&first.source));
        let (record, diff) = git::record(&origin);
        let json = serde_json::to_string_pretty(&record).map_err(anyhow::Error::from)?;
        writer.file(names::GIT, format!("{json}\n").as_bytes())?;
        if let Some(diff) = diff {
            writer.file(names::GIT_DIFF, &diff)?;
        }
        Ok(())
    }

    /// Takes the snapshots, and tells the arrays where their jobs run. Without a plan it only looks at what would be taken.
    pub fn take(&self, arrays: &mut [PlannedArray], writer: Option<&PlanWriter>) -> Result<Taken, Failure> {
        let mut taken = Taken::default();
        for array in arrays.iter().filter(|array| array.record.pilots.is_some()) {
            let asked = if self.earlier { None } else { code::decide(&array.slurm, &self.root, self.wish)? };
            let mode = asked.map(|request| request.mode).or(array.record.code.as_ref().map(|code| code.mode));
            if mode == Some(CodeMode::PerJob) {
                return Err(code::SnapshotError::of_pilots().into());
            }
        }
        if self.earlier {
            self.take_again(arrays, writer.is_some(), &mut taken)?;
        }
        for request in &self.requests {
            let mut arrays: Vec<_> = arrays
                .iter_mut()
                .filter(|array| {
                    let wanted = code::decide(&array.slurm, &self.root, self.wish);
                    wanted.is_ok_and(|wanted| wanted.as_ref() == Some(request))
                })
                .collect();
            let jobs: Vec<u64> = arrays.iter().flat_map(|array| array.record.all_jobs()).collect();
            if jobs.is_empty() {
                continue;
            }
            let source = snapshot::resolve(&request.source);
            let Some(place) = self.take_one(request, &source, &jobs, writer, &mut taken)? else { continue };
            for array in &mut arrays {
                array.record.code = Some(CodeRecord {
                    mode: request.mode,
                    source: source.to_string_lossy().into_owned(),
                    place: self.relative(&place),
                });
            }
        }
        Ok(taken)
    }

    /// Gives the jobs of a retry copies of their own again: of the one that no job ran in, beside the first ones.
    fn take_again(&self, arrays: &mut [PlannedArray], write: bool, taken: &mut Taken) -> Result<(), Failure> {
        let mut done: Vec<String> = Vec::new();
        for index in 0..arrays.len() {
            let Some(code) = arrays.get(index).and_then(|array| array.record.code.clone()) else { continue };
            if done.contains(&code.place) {
                continue;
            }
            done.push(code.place.clone());
            let mut arrays: Vec<_> =
                arrays.iter_mut().filter(|array| array.record.code.as_ref() == Some(&code)).collect();
            let mut place = PathBuf::from(&code.place);
            if code.mode == CodeMode::PerJob {
                let jobs: Vec<u64> = arrays.iter().flat_map(|array| array.record.all_jobs()).collect();
                let (folder, name) = (place.parent().unwrap_or(Path::new("/")), retry_name(&place));
                if write {
                    let tree = Tree::all(&snapshot::resolve(&layout::untouched_copy(&place)))?;
                    let snapshot = snapshot::take(&tree, code.mode, Target::Below(folder, &name), &jobs)?;
                    place.clone_from(&snapshot.place);
                    taken.notes.push(format!("code: copied again for each job, to {}", place.display()));
                    taken.snapshots.push(snapshot);
                } else {
                    place = snapshot::free_name(folder, &name, code.mode);
                }
            }
            let place = self.relative(&place);
            done.push(place.clone());
            for array in &mut arrays {
                array.record.code = Some(CodeRecord { place: place.clone(), ..code.clone() });
            }
        }
        Ok(())
    }

    /// A path below the root without it; others as they are.
    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root).unwrap_or(path).to_string_lossy().into_owned()
    }

    /// Takes one snapshot; returns where it is, unless that is the plan's own folder or there is none.
    fn take_one(
        &self,
        request: &Request,
        source: &Path,
        jobs: &[u64],
        writer: Option<&PlanWriter>,
        taken: &mut Taken,
    ) -> Result<Option<PathBuf>, Failure> {
        let stamp = jiff::Zoned::now().strftime("%Y%m%d-%H%M%S").to_string();
        let archive = request.mode == CodeMode::Archive;
        let place = match &request.place {
            SnapshotTarget::At(place) => snapshot::resolve(place),
            SnapshotTarget::Below(folder) => snapshot::free_name(&snapshot::resolve(folder), &stamp, request.mode),
            SnapshotTarget::InPlan => PathBuf::new(),
        };
        if request.reuse {
            let there = store::exists(&place);
            if store::exists(&layout::untouched_copy(&place)) {
                return Err(SnapshotError::per_job_copies(&place).into());
            }
            let line = if there {
                format!("no code is copied: jobs run in the earlier copy `{}`", place.display())
            } else {
                format!("no code is copied: jobs run in the source, since `{}` does not exist", place.display())
            };
            taken.notes.push(line);
            return Ok(there.then_some(place));
        }
        if request.place != SnapshotTarget::InPlan {
            let results = self.results.iter().map(|path| ("the results folder", path.as_path()));
            let keep: Vec<_> = [("the working directory", self.root.as_path())].into_iter().chain(results).collect();
            code::check_place(source, &place, &keep)?;
            if store::exists(&place) && !self.overwrite {
                return Err(SnapshotError::exists(&place, archive).into());
            }
        }
        let tree = Tree::list(source, &self.leave_out(source))?;
        code::check_size(source, tree.files(), self.wish.skip_size_check)?;
        let Some(writer) = writer else { return Ok((request.place != SnapshotTarget::InPlan).then_some(place)) };
        let size = describe(&tree);
        let target = match &request.place {
            SnapshotTarget::InPlan => {
                snapshot::write_archive(&tree, &writer.folder().join(names::CODE_ARCHIVE))?;
                taken.notes.push(format!("code: {size} archived in the plan's folder, as {}", names::CODE_ARCHIVE));
                return Ok(None);
            }
            SnapshotTarget::At(_) => Target::At(&place),
            SnapshotTarget::Below(_) => Target::Below(place.parent().unwrap_or(Path::new("/")), &stamp),
        };
        let snapshot = snapshot::take(&tree, request.mode, target, jobs)?;
        let place = snapshot.place.clone();
        taken.notes.push(match request.mode {
            CodeMode::Copy => format!("code: {size} copied to {}", place.display()),
            CodeMode::PerJob => format!("code: {size} copied for each job, to {}", place.display()),
            CodeMode::Archive => format!("code: {size} archived as {}", place.display()),
        });
        if let Some(aside) = &snapshot.aside {
            taken.notes.push(format!("what was there is now {}; remove it when no job needs it", aside.display()));
        }
        taken.snapshots.push(snapshot);
        Ok(Some(place))
    }

    /// What of a source is results: a results folder inside as a whole, else what cw2 writes.
    fn leave_out(&self, source: &Path) -> Vec<PathBuf> {
        let inside = self.results.iter().filter(|path| path.starts_with(source) && *path != source);
        inside.chain(&self.filled).cloned().collect()
    }
}

/// What the copies for a retry are named after: the first ones.
fn retry_name(first: &Path) -> String {
    let name = first.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.split_once("-retry").map_or(&*name, |(stem, _)| stem);
    format!("{stem}-retry")
}

/// `12 files (0.3 MB)`.
fn describe(tree: &Tree) -> String {
    let files = tree.files().count();
    let bytes: u64 = tree.files().map(|(_, size)| size).sum();
    format!("{files} file{} ({})", if files == 1 { "" } else { "s" }, code::size(bytes))
}

/// What a script says about the snapshot an array runs in: its folder, and the entries of `PYTHONPATH`. `None` where it runs in
/// the root.
pub fn for_script(code: Option<&CodeRecord>, root: &Path) -> Option<(PathBuf, bool, Vec<PathEntry>)> {
    let code = code.filter(|code| code.mode != CodeMode::Archive)?;
    let submitters = std::env::var_os("PYTHONPATH");
    let path = code::python_path(submitters.as_deref(), root, Path::new(&code.source), snapshot::resolve);
    Some((root.join(&code.place), code.mode == CodeMode::PerJob, path))
}

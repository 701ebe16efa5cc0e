//! What can be known of the cluster here, and of folders for results: `cw2 doctor`.

use super::failure::Failure;
use super::freeze::{self, Purpose, working_directory};
use super::here::{hostname, user};
use super::notice::{Notice, Tell};
use super::reading::Reading;
use crate::paths::clean;
use crate::report::doctor::{BetweenNodes, Examined, Folder, Found, Slurm};
use crate::slurm::{self, SlurmError};
use crate::store;
use crate::store::lock_probe::{self, Attempt, LockFile, Locks};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Options {
    /// Folders for results, or configurations that name them.
    pub places: Vec<Reading>,
    /// Try locks from two nodes, through `srun` with these words.
    pub srun: Option<Vec<String>>,
    /// How this program is called, to try a lock.
    pub try_lock: Vec<String>,
}

/// Looks at everything.
///
/// # Errors
/// What is wrong with a configuration, or this program cannot be called.
pub fn doctor(options: &Options, tell: Tell<'_>) -> Result<Examined, Failure> {
    let mut paths: Vec<PathBuf> = Vec::new();
    for place in &options.places {
        let named = place.config.extension().is_some_and(|end| end == "yml" || end == "yaml");
        let found = if place.config.is_file() || named && !place.config.is_dir() {
            of_config(place, tell)?
        } else {
            vec![place.config.clone()]
        };
        paths.extend(found.into_iter().filter(|path| !paths.contains(path)).collect::<Vec<_>>());
    }
    let program = std::env::current_exe()
        .map_err(|error| Failure::Environment(format!("cannot tell where this program lies: {error}")))?;
    let words = std::iter::once(program.to_string_lossy().into_owned()).chain(options.try_lock.iter().cloned());
    let words: Vec<String> = words.collect();
    let slurm = cluster();
    let root = working_directory()?;
    let folders = paths.iter().map(|path| folder(&clean(&root.join(path)), &words, options.srun.as_deref(), tell));
    Ok(Examined { host: hostname(), slurm, folders: folders.collect() })
}

/// The folders in which a configuration's experiments put their results.
fn of_config(reading: &Reading, tell: Tell<'_>) -> Result<Vec<PathBuf>, Failure> {
    let config = freeze::load(reading, Purpose::LOOK, tell)?;
    Ok(config.experiments.into_iter().map(|experiment| PathBuf::from(experiment.path)).collect())
}

fn cluster() -> Slurm {
    let facts = match slurm::facts() {
        Ok(facts) => facts,
        Err(SlurmError::Missing(program)) => return Slurm::None(format!("there is no `{program}`")),
        Err(SlurmError::NoCluster(program)) => return Slurm::None(format!("`{program}` knows of no cluster")),
        Err(error) => return Slurm::Broken(error.to_string()),
    };
    let accounting = slurm::accounting_answers().map_err(|error| error.to_string());
    let limits = slurm::limits(&user()).map_err(|error| error.to_string());
    Slurm::Found { facts, accounting, limits }
}

fn folder(path: &Path, words: &[String], srun: Option<&[String]>, tell: Tell<'_>) -> Folder {
    let there = path.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    let found = lock_probe::probe_by(there, |file| by_process(words, file)).map(|probed| {
        let nodes = srun.map(|srun| {
            tell(Notice::Note("waiting for two nodes of the cluster, to try a lock from both".to_owned()));
            by_nodes(there, words, srun)
        });
        Found { file_system: probed.file_system, here: probed.locks, nodes }
    });
    Folder {
        path: path.to_string_lossy().into_owned(),
        instead: (there != path).then(|| there.to_string_lossy().into_owned()),
        found: found.map_err(|error| error.to_string()),
    }
}

/// Lets another process of this machine try a lock.
fn by_process(words: &[String], file: &Path) -> store::Result<Attempt> {
    let failed = |error| store::StoreError::new("try the lock of", file, error);
    let (program, arguments) = words.split_first().ok_or_else(|| failed(std::io::Error::other("no program")))?;
    let output = Command::new(program).args(arguments).arg(file).stdin(Stdio::null()).output().map_err(failed)?;
    let said = String::from_utf8_lossy(&output.stdout);
    let attempt = said.lines().next().and_then(|line| parse(line).map(|(_, attempt)| attempt));
    attempt.ok_or_else(|| {
        let why = String::from_utf8_lossy(&output.stderr);
        failed(std::io::Error::other(why.trim().to_owned()))
    })
}

/// Lets two nodes try the lock of one file, and keep what they got until both have.
fn by_nodes(folder: &Path, words: &[String], srun: &[String]) -> Result<BetweenNodes, String> {
    let file = LockFile::create(folder).map_err(|error| error.to_string())?;
    let mut command = Command::new("srun");
    command.args(["--nodes=2", "--ntasks=2", "--ntasks-per-node=1", "--cpus-per-task=1", "--time=2", "--input=all"]);
    command.args(["--unbuffered", "--job-name=cw2-doctor"]).args(srun).args(words).arg("--keep").arg(file.path());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("srun: {error}"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    // What it says must not fill its pipe while this process waits for the answers.
    let said = std::thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.map(|stderr| stderr.take(64 << 10).read_to_string(&mut text));
        text
    });
    let mut answers = Vec::new();
    for line in BufReader::new(stdout.ok_or("srun has no output")?).lines().map_while(Result::ok) {
        answers.extend(parse(&line));
        if answers.len() == 2 {
            break;
        }
    }
    // Both have what they get: this is the sign to give it back.
    drop(stdin);
    let ended = child.wait().map_err(|error| format!("srun: {error}"))?;
    let said = said.join().unwrap_or_default();
    let said: Vec<_> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let nodes: Vec<_> = answers.iter().map(|(node, _)| node.clone()).collect();
    let attempts: Vec<_> = answers.into_iter().map(|(_, attempt)| attempt).collect();
    let [first, second] = attempts.as_slice() else {
        let said = if said.is_empty() { ended.to_string() } else { said.join("; ") };
        return Err(format!("two nodes were asked, {} answered: {said}", attempts.len()));
    };
    Ok(BetweenNodes { nodes, locks: together(first, second) })
}

/// What two that tried one lock at the same time found.
fn together(first: &Attempt, second: &Attempt) -> Locks {
    match (first, second) {
        (Attempt::Refused(why), _) | (_, Attempt::Refused(why)) => Locks::None(why.clone()),
        (Attempt::Took, Attempt::Took) => Locks::DoNotExclude,
        (Attempt::Busy, Attempt::Busy) => Locks::Stay,
        _ => Locks::Exclude,
    }
}

/// Tries a lock for another process. With `keep` it is kept until standard input ends. `say` is given the answer's line.
///
/// # Errors
/// Where the file cannot be opened, or the answer not be written.
pub fn try_lock(file: &Path, keep: bool, say: impl FnOnce(&str) -> Result<(), Failure>) -> Result<(), Failure> {
    let (attempt, lock) = lock_probe::attempt_and_keep(file)?;
    let node = std::env::var("SLURMD_NODENAME").unwrap_or_else(|_| hostname());
    let word = match &attempt {
        Attempt::Took => "took",
        Attempt::Busy => "busy",
        Attempt::Refused(_) => "refused",
    };
    let why = if let Attempt::Refused(why) = &attempt { why.replace('\n', " ") } else { String::new() };
    say(&format!("{node}\t{word}\t{why}"))?;
    if keep {
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
    }
    drop(lock);
    Ok(())
}

/// A line of [`try_lock`]: the node, and what it found.
fn parse(line: &str) -> Option<(String, Attempt)> {
    let mut fields = line.trim_end().splitn(3, '\t');
    let (node, word, why) = (fields.next()?, fields.next()?, fields.next().unwrap_or_default());
    let attempt = match word {
        "took" => Attempt::Took,
        "busy" => Attempt::Busy,
        "refused" => Attempt::Refused(why.to_owned()),
        _ => return None,
    };
    Some((node.to_owned(), attempt))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_nodes_exclude_each_other_where_one_is_left_out() {
        let none = || Attempt::Refused("Function not implemented".to_owned());
        assert_eq!(together(&Attempt::Took, &Attempt::Busy), Locks::Exclude);
        assert_eq!(together(&Attempt::Busy, &Attempt::Took), Locks::Exclude);
        assert_eq!(together(&Attempt::Took, &Attempt::Took), Locks::DoNotExclude);
        assert_eq!(together(&Attempt::Busy, &Attempt::Busy), Locks::Stay);
        assert_eq!(together(&Attempt::Took, &none()), Locks::None("Function not implemented".to_owned()));
    }

    #[test]
    fn an_answer_is_read_as_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let file = LockFile::create(dir.path()).unwrap();
        let answer = || {
            let mut line = String::new();
            try_lock(file.path(), false, |text| {
                line = text.to_owned();
                Ok(())
            })
            .unwrap();
            parse(&line).unwrap().1
        };
        assert_eq!(answer(), Attempt::Took);
        file.hold().unwrap();
        assert_eq!(answer(), Attempt::Busy);
        assert_eq!(
            parse("n1\trefused\tno\tlocks\n"),
            Some(("n1".to_owned(), Attempt::Refused("no\tlocks".to_owned())))
        );
        assert_eq!(parse("srun: job 5 queued"), None);
    }
}

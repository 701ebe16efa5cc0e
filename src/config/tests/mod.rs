//! Whole configurations: what comes out of `load`, and every message as its reader sees it.

mod documents;
mod keys;
mod properties;
mod random;
mod resolve;
mod rules;
mod slurm_and_set;
mod sweeps;
mod typed;
mod yaml;

use super::*;
use std::collections::HashMap;
use std::io;

/// Files in memory.
struct Files(HashMap<PathBuf, Vec<u8>>);

impl Source for Files {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.0.get(path).cloned().ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such file"))
    }

    fn glob(&self, folder: &Path, pattern: &str, _: usize) -> io::Result<Vec<Match>> {
        let matching = self.0.keys().filter_map(|path| {
            let inner = path.strip_prefix(folder).ok()?.to_owned();
            let matches = wildmatch::WildMatch::new(pattern).matches(&inner.to_string_lossy());
            matches.then(|| Match { path: path.clone(), inner })
        });
        let mut found: Vec<_> = matching.collect();
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }
}

/// Loads `c.yml` out of these files.
pub(crate) fn load_files(all: &[(&str, &str)], request: &Request) -> Result<(Config, Report), Report> {
    let files = all.iter().map(|(path, text)| (PathBuf::from(path), text.as_bytes().to_vec())).collect();
    let loaded = load(&Files(files), Path::new("c.yml"), request);
    if request.set.is_empty() && request.experiments.is_empty() {
        keep_for_schema(all, loaded.as_ref().err());
    }
    loaded
}

/// Keeps what a test read in the folder that `CW2_TEST_CONFIGS` names, with what is wrong with it: the tests of the Python
/// package have a validator, and look whether the schema says the same.
fn keep_for_schema(files: &[(&str, &str)], wrong: Option<&Report>) {
    let Some(folder) = std::env::var_os("CW2_TEST_CONFIGS") else { return };
    let documents = |text: &str| super::yaml::parse(text, 0, &mut traps::Traps::default()).ok();
    let Some(all) = files
        .iter()
        .filter(|(path, _)| Path::new(path).extension().is_some_and(|end| end == "yml"))
        .map(|(_, text)| documents(text))
        .collect::<Option<Vec<_>>>()
    else {
        return;
    };
    let documents: Vec<_> = all.iter().flatten().map(|node| node.to_value().to_json()).collect();
    let text: Vec<_> = files.iter().map(|(_, text)| *text).collect();
    let object = format!(
        "{{\"text\": {}, \"error\": {}, \"documents\": [{}]}}",
        serde_json::json!(text),
        serde_json::json!(wrong.map(|report| report.render(false))),
        documents.join(", ")
    );
    let name = object
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    std::fs::write(Path::new(&folder).join(format!("{name:016x}.json")), object).unwrap();
}

pub(crate) fn request() -> Request {
    Request { hostname: "node17.example".to_owned(), for_slurm: true, ..Request::default() }
}

/// The messages of a configuration that must fail.
fn errors(text: &str, request: &Request) -> String {
    import_errors(&[("c.yml", text)], request)
}

fn import_errors(files: &[(&str, &str)], request: &Request) -> String {
    load_files(files, request)
        .map(|(_, report)| report.render(false))
        .expect_err("this should be an error")
        .render(false)
}

/// The messages of a configuration that must succeed.
fn warnings(text: &str, request: &Request) -> String {
    load_files(&[("c.yml", text)], request).unwrap().1.render(false)
}

/// The only experiment of a configuration.
pub(crate) fn one(text: &str, request: &Request) -> Experiment {
    let (mut config, _) = load_files(&[("c.yml", text)], request).unwrap();
    assert_eq!(config.experiments.len(), 1);
    config.experiments.remove(0)
}

/// A configuration with nothing but what is required.
pub(crate) const GOOD: &str = "name: a\npath: out\nrepetitions: 2\ncommand: ./run\n";

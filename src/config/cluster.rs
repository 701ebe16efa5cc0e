//! Which SLURM documents hold on this machine, and what they import.
//!
//! `SLURM_<host>` lies over `SLURM`, and each over the documents of the file that its `import_path` names, which are chosen in
//! the same way.

use super::Request;
use super::error::{Diagnostic, names};
use super::import::Loader;
use super::keys;
use super::merge::{Named, merge_all};
use super::node::{At, Node, brief};

/// What decides which documents hold.
#[derive(Debug, Clone, Copy)]
pub(super) struct Choice<'a> {
    /// This machine's name.
    pub(super) hostname: &'a str,
    /// The cluster that was asked for, instead.
    pub(super) cluster: Option<&'a str>,
}

impl Choice<'_> {
    /// Whether a document's host is meant.
    fn means(self, host: &str) -> bool {
        match self.cluster {
            Some(cluster) => cluster.eq_ignore_ascii_case(host),
            None => self.hostname.to_lowercase().contains(&host.to_lowercase()),
        }
    }
}

/// The host that a document names.
fn host(named: &Named) -> Option<&str> {
    named.name.split_once('_').map(|(_, host)| host)
}

/// The documents that hold, the lowest first: the plain one, and the last that names the host.
pub(super) fn holding<'d>(documents: &'d [Named], choice: Choice<'_>) -> impl Iterator<Item = &'d Named> {
    let plain = documents.iter().find(|named| host(named).is_none());
    plain.into_iter().chain(documents.iter().rfind(|named| host(named).is_some_and(|host| choice.means(host))))
}

/// One way through the files.
struct Walk<'a> {
    choice: Choice<'a>,
    /// The files that import one another, each with the place that asks for it.
    chain: Vec<u32>,
    /// The clusters that some document names.
    known: Vec<String>,
    /// What lies over each other, the lowest first.
    layers: Vec<Node>,
}

impl Loader<'_> {
    /// The SLURM document for this machine, merged; none where there is none. What is wrong goes to the report.
    pub(super) fn cluster(&mut self, file: u32, request: &Request) -> Option<Node> {
        let choice = Choice { hostname: &request.hostname, cluster: request.cluster.as_deref() };
        let mut walk = Walk { choice, chain: Vec::new(), known: Vec::new(), layers: Vec::new() };
        let errors = self.report.error_count();
        self.walk(file, None, &mut walk);
        if let Some(cluster) = &request.cluster
            && !walk.known.iter().any(|known| known.eq_ignore_ascii_case(cluster))
        {
            let help = match keys::nearest(cluster, walk.known.iter().map(String::as_str)) {
                _ if walk.known.is_empty() => {
                    format!("a document named `SLURM_{}` would describe it", brief(cluster))
                }
                near => {
                    let near = near.map_or(String::new(), |near| format!("did you mean `{}`? ", brief(near)));
                    format!("{near}the documents describe {}", names(walk.known.iter().map(String::as_str)))
                }
            };
            let message = format!("no SLURM document describes the cluster `{}`", brief(cluster));
            self.report.push(Diagnostic::error(message).help(help));
        } else if walk.layers.is_empty() && self.report.error_count() == errors {
            self.tell_no_match(file, None, request);
        }
        merge_all(walk.layers)
    }

    /// Adds the layers of a file, which the document at `from` imports.
    fn walk(&mut self, file: u32, from: Option<At>, walk: &mut Walk<'_>) {
        let documents = self.documents(file).map(|documents| documents.slurm.clone()).unwrap_or_default();
        walk.known.extend(documents.iter().filter_map(|named| host(named).map(str::to_owned)));
        walk.chain.push(file);
        let holding: Vec<_> = holding(&documents, walk.choice).cloned().collect();
        if let Some(at) = from.filter(|_| holding.is_empty()) {
            self.tell_nothing_imported(file, &documents, at, walk.choice);
        }
        for named in holding {
            let mut node = named.node;
            let import = node.as_map_mut().and_then(|map| map.shift_remove("import_path"));
            if let Some((_, path)) = import.filter(|(_, path)| !path.is_null())
                && let Some(target) = self.file_of("import_path", &path, || vec![(file, named.name.clone())])
            {
                if walk.chain.contains(&target) {
                    let start = walk.chain.iter().position(|file| *file == target).unwrap_or(0);
                    let cycle = walk.chain.iter().skip(start).chain([&target]);
                    let whole: Vec<_> = cycle.map(|file| self.file_name(*file)).collect();
                    let message = format!("the imports of SLURM form a cycle: {}", whole.join(" → "));
                    self.report.push(Diagnostic::error(message).at(path.at).help("remove one of the imports"));
                } else {
                    self.walk(target, Some(path.at), walk);
                }
            }
            walk.layers.push(node);
        }
        walk.chain.pop();
    }

    /// What describes only other machines would be left out without a word.
    fn tell_no_match(&mut self, file: u32, from: Option<At>, request: &Request) {
        let documents = self.documents(file).map(|documents| documents.slurm.clone()).unwrap_or_default();
        let Some(first) = documents.first() else { return };
        let all = names(documents.iter().map(|named| named.name.as_str()));
        let host = brief(&request.hostname);
        let message = format!("no SLURM document matches this host, `{host}`: there are only {all}");
        let diagnostic = if request.for_slurm { Diagnostic::error(message) } else { Diagnostic::warning(message) };
        let help =
            "name one of them after this host, add a document `SLURM` for all others, or choose one with `--cluster`";
        self.report.push(diagnostic.at(from.unwrap_or(first.name_at)).help(help));
    }

    /// An import of which nothing holds.
    fn tell_nothing_imported(&mut self, file: u32, documents: &[Named], at: At, choice: Choice<'_>) {
        let place = self.file_name(file);
        let diagnostic = if documents.is_empty() {
            Diagnostic::error(format!("there is no SLURM document in `{place}`"))
                .help("import a file with a document named `SLURM` or `SLURM_<host>`")
        } else {
            let all = names(documents.iter().map(|named| named.name.as_str()));
            let wanted = match choice.cluster {
                Some(cluster) => format!("describes the cluster `{}`", brief(cluster)),
                None => format!("matches this host, `{}`", brief(choice.hostname)),
            };
            Diagnostic::error(format!("no SLURM document in `{place}` {wanted}: there are only {all}"))
                .help("add a document `SLURM` there for all others, or choose one with `--cluster`")
        };
        self.report.push(diagnostic.at(at));
    }
}

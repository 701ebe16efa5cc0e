//! The harness: a folder of its own for each test, the real binary in a cleaned environment, and waiting with a deadline.

use serde_json::Value;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take that takes milliseconds on an idle machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What stands for the test's folder in outputs.
const HERE: &str = "[HERE]";

/// The binary under test.
pub(crate) const CW2: &str = env!("CARGO_BIN_EXE_cw2");

/// A folder to work in; removed with all that is in it.
#[derive(Debug)]
pub(crate) struct Scene {
    _dir: Folder,
    root: PathBuf,
    /// What is called there.
    program: PathBuf,
}

/// A folder of a test. Where that fails, what it left running there ends with it.
#[derive(Debug)]
struct Folder(TempDir);

impl Drop for Folder {
    fn drop(&mut self) {
        if thread::panicking() {
            end_all_in(self.0.path());
        }
    }
}

/// Ends every process whose working directory lies in this folder.
fn end_all_in(folder: &Path) {
    let Ok(folder) = folder.canonicalize() else { return };
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in
        processes.filter(|process| fs::read_link(process.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(&folder)))
    {
        if let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) {
            // It may have ended by itself.
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL);
        }
    }
}

impl Scene {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder");
        let root = dir.path().canonicalize().expect("the temporary folder's path");
        Scene { _dir: Folder(dir), root, program: PathBuf::from(CW2) }
    }

    /// The same with a program in the place of cw2 that has its commands.
    pub(crate) fn of(self, program: PathBuf) -> Self {
        Scene { program, ..self }
    }

    /// A scene whose `config.yml` is this text.
    pub(crate) fn with(config: &str) -> Self {
        let scene = Scene::new();
        scene.write("config.yml", config);
        scene
    }

    /// The folder.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// A path in it.
    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a file and the folders it needs.
    pub(crate) fn write(&self, name: &str, text: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("a file has a folder")).expect("its folder");
        fs::write(&path, text).expect("a file of the test");
        path
    }

    /// Reads a file.
    pub(crate) fn read(&self, name: impl AsRef<Path>) -> String {
        read(&self.path(name))
    }

    /// Whether something is there.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).symlink_metadata().is_ok()
    }

    /// The lines of a file that a command appends to; none while it is missing.
    pub(crate) fn lines(&self, name: &str) -> Vec<String> {
        fs::read_to_string(self.path(name)).unwrap_or_default().lines().map(str::to_owned).collect()
    }

    /// Everything below the folder, sorted; folders end in `/`.
    pub(crate) fn tree(&self) -> Vec<String> {
        tree(&self.root)
    }

    /// A call of cw2, or of the scene's own program, in this folder.
    pub(crate) fn call(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Call {
        Call::new(&self.program, &self.root).args(args)
    }

    /// The same with words separated by spaces.
    pub(crate) fn cw2(&self, words: &str) -> Outcome {
        self.call(words.split_whitespace()).run()
    }

    /// Freezes `config.yml` and returns its scripts.
    pub(crate) fn plan(&self) -> Vec<PathBuf> {
        let outcome = self.cw2("plan config.yml");
        assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
        outcome.stdout.lines().map(PathBuf::from).collect()
    }

    /// Runs one element of the plan in `folder`.
    pub(crate) fn worker(&self, folder: &str, index: u64) -> Outcome {
        self.cw2(&format!("worker --plan {folder} --index {index} --grace 0.2"))
    }

    /// The status of the repetition in this directory.
    pub(crate) fn status(&self, dir: impl AsRef<Path>) -> Value {
        let path = self.path(dir).join("status.json");
        serde_json::from_str(&read(&path)).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The word for the state of the repetition in this directory.
    pub(crate) fn state(&self, dir: impl AsRef<Path>) -> String {
        self.status(dir)["state"].as_str().expect("a state").to_owned()
    }
}

/// One call of a program, with nothing of this process's environment but the path.
#[derive(Debug)]
pub(crate) struct Call {
    command: Command,
    here: PathBuf,
}

impl Call {
    pub(crate) fn new(program: impl AsRef<OsStr>, folder: &Path) -> Self {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", folder)
            .env("LANG", "C.UTF-8")
            .env("NO_COLOR", "1")
            .env("RUST_BACKTRACE", "0")
            .stdin(Stdio::null())
            .current_dir(folder);
        Call { command, here: folder.to_owned() }
    }

    pub(crate) fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.command.args(args);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn stdin(mut self, file: fs::File) -> Self {
        self.command.stdin(file);
        self
    }

    pub(crate) fn current_dir(mut self, folder: impl AsRef<Path>) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Runs it to its end.
    pub(crate) fn run(mut self) -> Outcome {
        let output = loop {
            match self.command.output() {
                // A copy of the program that this process wrote: a child of another test, not yet what it will be, holds it open.
                Err(error) if error.kind() == std::io::ErrorKind::ExecutableFileBusy => std::thread::yield_now(),
                output => break output.unwrap_or_else(|error| panic!("{:?}: {error}", self.command)),
            }
        };
        Outcome::new(output, &self.here)
    }

    /// Starts it; its output can be had from [`Running::end`].
    pub(crate) fn start(mut self) -> Running {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command));
        Running { child: Some(child), here: self.here }
    }

    /// Starts it with no one to read its output; where the test fails, it ends with the scene in whose folder it runs.
    pub(crate) fn start_silent(mut self) -> Child {
        self.command.stdout(Stdio::null()).stderr(Stdio::null());
        self.command.spawn().unwrap_or_else(|error| panic!("{:?}: {error}", self.command))
    }
}

/// A program that runs; killed where the test ends before it.
#[derive(Debug)]
pub(crate) struct Running {
    child: Option<Child>,
    here: PathBuf,
}

impl Running {
    pub(crate) fn signal(&self, signal: nix::sys::signal::Signal) {
        let pid = self.child.as_ref().expect("it runs").id();
        let pid = nix::unistd::Pid::from_raw(pid.try_into().expect("a pid"));
        nix::sys::signal::kill(pid, signal).expect("the program is there");
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Outcome {
        let mut child = self.child.take().expect("it runs");
        let pid = child.id();
        wait_until(&format!("the end of process {pid}"), || {
            // Small outputs only: a full pipe would keep it from ending.
            child.try_wait().expect("a child of this process").is_some()
        });
        Outcome::new(child.wait_with_output().expect("its output"), &self.here)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// How a program ended, and what it said; the test's folder stands as `[HERE]`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: Option<i32>,
    pub(crate) signal: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    here: String,
}

impl Outcome {
    pub(crate) fn new(output: Output, here: &Path) -> Self {
        let status: ExitStatus = output.status;
        Outcome {
            code: status.code(),
            signal: status.signal(),
            stdout: String::from_utf8(output.stdout).expect("standard output is UTF-8"),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            here: here.to_string_lossy().into_owned(),
        }
    }

    /// Asserts the exit code, and shows what was said where it is another.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(
            (self.code, self.signal),
            (Some(code), None),
            "\n--- stdout\n{}\n--- stderr\n{}",
            self.stdout,
            self.stderr
        );
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// Asserts that standard error holds each of these.
    #[track_caller]
    pub(crate) fn says<T: AsRef<str>>(self, texts: impl IntoIterator<Item = T>) -> Self {
        for text in texts {
            let text = text.as_ref();
            assert!(self.stderr.contains(text), "`{text}` is not in\n{}", self.stderr);
        }
        self
    }

    /// Asserts that standard output is empty.
    #[track_caller]
    pub(crate) fn silent(self) -> Self {
        assert_eq!(self.stdout, "");
        self
    }

    /// Standard output with the test's folder replaced.
    pub(crate) fn out(&self) -> String {
        self.stdout.replace(&self.here, HERE)
    }

    /// Standard error with the test's folder replaced.
    pub(crate) fn err(&self) -> String {
        self.stderr.replace(&self.here, HERE)
    }

    /// Standard output as JSON, a value a line.
    pub(crate) fn json_lines(&self) -> Vec<Value> {
        let parse = |line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        self.stdout.lines().map(parse).collect()
    }
}

/// Reads a file.
pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Everything below a folder, sorted; folders end in `/`.
pub(crate) fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
            let path = entry.expect("an entry").path();
            let name = path.strip_prefix(root).expect("it lies below the root").to_string_lossy().into_owned();
            // Links are listed, not followed.
            if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                found.push(format!("{name}/"));
                folders.push(path);
            } else {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// Waits until a condition holds.
///
/// # Panics
///
/// After [`PATIENCE`].
#[track_caller]
pub(crate) fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < deadline, "still waiting for {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Whether a process lives (a zombie does not).
pub(crate) fn alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['Z', 'X'])))
}

/// Whether the tests may mount and mark files as root does; a loud line on standard error where not.
pub(crate) fn is_root(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        skipped(what);
    }
    root
}

/// Tells on the real standard error that a test did not run: `eprintln!` would be captured.
pub(crate) fn skipped(why: &str) {
    use std::io::Write as _;
    let thread = thread::current();
    let test = thread.name().unwrap_or("a test");
    writeln!(std::io::stderr(), "SKIPPED: {test}: {why}").expect("standard error is writable");
}

/// A small file system in memory; unmounted when dropped. Nothing, and a loud line, where this machine forbids it.
#[derive(Debug)]
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    pub(crate) fn mount(place: &Path, size: &str) -> Option<Self> {
        if !is_root("mounting needs root") {
            return None;
        }
        fs::create_dir_all(place).expect("a mount point");
        let options = format!("size={size}");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(place).output();
        if mounted.is_ok_and(|output| output.status.success()) {
            return Some(SmallDisk(place.to_owned()));
        }
        skipped("this machine forbids mounting");
        None
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: what still has a file open there must not keep the test's folder from being removed.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

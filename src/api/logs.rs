//! The `log` facade inside a repetition: what its threads log, and what they panic with, goes to its own files.
//!
//! A thread belongs to a repetition while it holds a [`LogGuard`]. Records of other threads go to the program's own logger.

use log::{Level, Log, Metadata, Record};
use std::cell::RefCell;
use std::fmt;
use std::fs::File;
use std::io::Write;
use std::marker::PhantomData;
use std::sync::{Arc, Once};

thread_local! {
    /// The repetitions this thread works for, innermost last.
    static CURRENT: RefCell<Vec<LogHandle>> = const { RefCell::new(Vec::new()) };
}

/// The log files of a repetition, to be entered by any thread that works for it; see
/// [`Context::log_handle`](super::Context::log_handle).
///
/// ```
/// /// Threads that log into the repetition's files, as many as its share of the CPUs.
/// fn pool(cx: &cw2::Context) -> anyhow::Result<rayon::ThreadPool> {
///     let handle = cx.log_handle();
///     let pool = rayon::ThreadPoolBuilder::new().num_threads(cx.threads());
///     Ok(pool.spawn_handler(move |thread| {
///         let handle = handle.clone();
///         std::thread::Builder::new().spawn(move || {
///             let _guard = handle.enter();
///             thread.run();
///         })?;
///         Ok(())
///     }).build()?)
/// }
/// ```
#[derive(Clone)]
pub struct LogHandle {
    files: Arc<Files>,
}

/// Opened for appending: a line is one write, so that lines of several threads never mix.
struct Files {
    out: File,
    err: File,
}

impl fmt::Debug for LogHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LogHandle")
    }
}

impl LogHandle {
    pub(crate) fn new(out: File, err: File) -> Self {
        LogHandle { files: Arc::new(Files { out, err }) }
    }

    /// Makes the calling thread one of the repetition, until the guard is dropped.
    #[must_use = "the thread is the repetition's only while the guard lives"]
    pub fn enter(&self) -> LogGuard {
        CURRENT.with_borrow_mut(|current| current.push(self.clone()));
        LogGuard { _of_this_thread: PhantomData }
    }

    /// The repetition the calling thread works for.
    fn current() -> Option<LogHandle> {
        // At a thread's very end its variables are gone already.
        CURRENT.try_with(|current| current.try_borrow().ok()?.last().cloned()).ok().flatten()
    }

    /// Writes into `err.log`. A full disk must not end what still can run.
    pub(crate) fn error(&self, text: &str) {
        let _ = (&self.files.err).write_all(text.as_bytes());
    }

    /// A record into `out.log`, and into `err.log` too where it tells of something wrong.
    fn write(&self, record: &Record<'_>) {
        let now = jiff::Timestamp::now();
        let now = now.round(jiff::Unit::Millisecond).unwrap_or(now);
        let line = format!("{now} {:5} {}: {}\n", record.level(), record.target(), record.args());
        let _ = (&self.files.out).write_all(line.as_bytes());
        if record.level() <= Level::Warn {
            self.error(&line);
        }
    }
}

/// While it lives, the thread's log records go to a repetition's files. Guards are dropped in reverse order of entering.
///
/// ```
/// fn work(handle: &cw2::LogHandle) {
///     let _guard = handle.enter();
///     log::info!("in out.log of the repetition");
/// }
/// ```
#[derive(Debug)]
pub struct LogGuard {
    // Not to be dropped on another thread.
    _of_this_thread: PhantomData<*const ()>,
}

impl Drop for LogGuard {
    fn drop(&mut self) {
        let _ = CURRENT.try_with(|current| current.try_borrow_mut().map(|mut current| drop(current.pop())));
    }
}

/// Writes into a log of the repetition that the calling thread works for, and to standard error where it works for none: for a
/// program that sets up `log` or `tracing` itself, instead of leaving that to cw2.
///
/// ```
/// // First thing in `main`; for tracing it is `tracing_subscriber::fmt().with_writer(cw2::LogWriter::out)`.
/// let target = env_logger::Target::Pipe(Box::new(cw2::LogWriter::out()));
/// env_logger::builder().target(target).init();
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LogWriter {
    to: Stream,
}

#[derive(Debug, Clone, Copy)]
enum Stream {
    Out,
    Err,
}

impl LogWriter {
    /// Into `out.log`.
    pub fn out() -> Self {
        LogWriter { to: Stream::Out }
    }

    /// Into `err.log`, whose last lines `status --failed` tells.
    pub fn err() -> Self {
        LogWriter { to: Stream::Err }
    }
}

impl Write for LogWriter {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match (LogHandle::current(), self.to) {
            (Some(handle), Stream::Out) => (&handle.files.out).write(bytes),
            (Some(handle), Stream::Err) => (&handle.files.err).write(bytes),
            (None, _) => std::io::stderr().write(bytes),
        }
    }

    /// Nothing is held back.
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The program's logger, which hands the records of repetitions to their files.
pub(crate) struct Router<L> {
    /// For everything else.
    pub normal: L,
    /// Says which records of repetitions are wanted; they do not depend on what a person wants to see.
    pub of_repetitions: L,
}

impl<L: Log> Log for Router<L> {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        match LogHandle::current() {
            Some(_) => self.of_repetitions.enabled(metadata),
            None => self.normal.enabled(metadata),
        }
    }

    fn log(&self, record: &Record<'_>) {
        match LogHandle::current() {
            Some(handle) if self.of_repetitions.enabled(record.metadata()) => handle.write(record),
            Some(_) => {}
            None => self.normal.log(record),
        }
    }

    fn flush(&self) {
        self.normal.flush();
    }
}

/// From now on a panic of a repetition's thread is told in its `err.log`, with place and backtrace; others as before.
pub(crate) fn route_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| match LogHandle::current() {
            Some(handle) => {
                let backtrace = std::backtrace::Backtrace::force_capture();
                handle.error(&format!("{info}\nstack backtrace:\n{backtrace}\n"));
                if let Some(place) = info.location() {
                    let text = super::panic_text(info.payload());
                    PLACE.set(Some((text, place.to_string())));
                }
            }
            None => before(info),
        }));
    });
}

thread_local! {
    /// What this thread panicked with last, and where.
    static PLACE: RefCell<Option<(String, String)>> = const { RefCell::new(None) };
}

/// Where the calling thread panicked with this text: file, line and column. A panic that came over from another thread has no
/// place here, and the last one of this thread may have been caught long ago.
pub(crate) fn take_panic_place(text: &str) -> Option<String> {
    PLACE.take().filter(|(known, _)| known == text).map(|(_, place)| place)
}

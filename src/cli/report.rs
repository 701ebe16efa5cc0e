//! `cw2 report`: a sweep as one HTML file to look at.

use super::Exit;
use crate::ops::failure::Failure;
use crate::ops::report::{self, Made, Options};
use crate::report::human::counted;
use clap::Args;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

#[derive(Debug, Args)]
#[command(after_help = "\
The file needs nothing beside it: it opens from disk, in any browser of the last years, and a content security policy in it \
forbids all network. It holds the parameters, the metrics, the last lines of failures, uncommitted changes and the configuration, \
so whoever has it can read them.

Learning curves of large sweeps are thinned, so that the file opens at once; it says where, and values in its tables are those \
that were logged. `-o -` writes to standard output.")]
pub(super) struct ReportArgs {
    /// Results folders, folders below them, or plans' folders [default: the working directory]
    #[arg(value_name = "PATH|PLAN")]
    sources: Vec<PathBuf>,
    /// Only these experiments
    #[arg(short, long, num_args = 1.., value_name = "NAME")]
    experiments: Vec<String>,
    /// The file; an older report is replaced, anything else is not
    #[arg(short, long, value_name = "FILE", default_value = "report.html")]
    output: PathBuf,
    /// Renew it every so many seconds (at least 10) until nothing is running, queued or pending; the page reads itself again
    #[arg(long, value_name = "SECONDS", num_args = 0..=1, default_missing_value = "60",
          value_parser = clap::value_parser!(u32).range(10..=86_400))]
    watch: Option<u32>,
}

pub(super) fn report(args: &ReportArgs, quiet: bool) -> Result<Exit, Failure> {
    let options = Options { sources: args.sources.clone(), experiments: args.experiments.clone(), every: args.watch };
    if args.output == Path::new("-") {
        if args.watch.is_some() {
            return Err(Failure::Usage(
                "`--watch` renews a file, which standard output is not: name one with `-o`".to_owned(),
            ));
        }
        let made = report::report(&options)?;
        let mut out = std::io::stdout().lock();
        out.write_all(made.html.as_bytes())?;
        out.flush()?;
        return Ok(Exit::Done);
    }
    report::check(&args.output)?;
    let Some(every) = args.watch else {
        let made = report::report(&options)?;
        report::write(&made, &args.output)?;
        tell(&made, &args.output, quiet);
        return Ok(Exit::Done);
    };
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        signal_hook::flag::register(signal, Arc::clone(&stop))
            .map_err(|error| Failure::Environment(format!("cannot listen to signals: {error}")))?;
    }
    let mut first = true;
    loop {
        let next = Instant::now() + Duration::from_secs(every.into());
        let made = report::report(&options)?;
        report::write(&made, &args.output)?;
        if first || !made.open {
            tell(&made, &args.output, quiet);
        }
        first = false;
        if !made.open {
            return Ok(Exit::Done);
        }
        while Instant::now() < next {
            if stop.load(Ordering::Relaxed) {
                // An open page is not left to wait for a next one.
                let last = report::report(&Options { every: None, ..options })?;
                report::write(&last, &args.output)?;
                return Ok(Exit::Done);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

fn tell(made: &Made, path: &Path, quiet: bool) {
    for note in &made.notes {
        tell!("note: {note}");
    }
    if !quiet {
        let told = counted(made.reps as u64, "repetition");
        tell!("{told} in `{}` ({:.1} MB)", path.display(), megabytes(made.html.len()));
    }
}

#[expect(clippy::cast_precision_loss, reason = "for a person")]
fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

//! The logger: standard error, levels from `-v`, `-q` and `RUST_LOG`.

use super::Verbosity;
use crate::api::logs::Router;
use log::Level;
use std::io::Write as _;

/// Starts it. The worker's lines carry the time: they end up in Slurm's log.
pub(super) fn init(verbosity: Verbosity, timed: bool) {
    let level = match (verbosity.quiet, verbosity.verbose) {
        (true, _) => "warn",
        (false, 0) => "info",
        (false, 1) => "debug",
        (false, _) => "trace",
    };
    let mut builder = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level));
    builder.format(move |out, record| {
        if timed {
            let now = jiff::Timestamp::now();
            write!(out, "{} ", now.round(jiff::Unit::Second).unwrap_or(now))?;
        }
        let style = out.default_level_style(record.level());
        match record.level() {
            Level::Info => writeln!(out, "{}", record.args()),
            level => writeln!(
                out,
                "{style}{}{style:#}: {}",
                level.as_str().to_lowercase().replace("warn", "warning"),
                record.args()
            ),
        }
    });
    let logger = builder.build();
    let level = if verbosity.quiet { "info" } else { level };
    let of_repetitions = env_logger::Builder::from_env(env_logger::Env::default().default_filter_or(level)).build();
    let most = logger.filter().max(of_repetitions.filter());
    // A second logger, set by a program that embeds this one, is kept.
    if log::set_boxed_logger(Box::new(Router { normal: logger, of_repetitions })).is_ok() {
        log::set_max_level(most);
    }
}

//! What a person should know while something is done.

use super::draft::Frozen;
use crate::config::Report;
use crate::plan::Plan;

/// Takes what is told, in the order it happens.
pub type Tell<'a> = &'a mut dyn FnMut(Notice<'_>);

/// Something to know.
#[derive(Debug)]
pub enum Notice<'a> {
    /// What is odd about a configuration.
    Config(&'a Report),
    /// Something went wrong that does not keep the rest from going on, or needs patience.
    Warning(String),
    /// Good to know.
    Note(String),
    /// A plan was made; it is on the disk where it has a folder.
    Planned(&'a Plan, &'a Frozen),
    /// A script of a plan was submitted.
    Submitted {
        /// Its name.
        script: &'a str,
        /// The job that it became.
        job: u64,
        /// Its elements.
        elements: u64,
        /// Whether they are pilots; else each is a job of the plan.
        pilots: bool,
    },
}

/// Tells why what is forgotten cannot be read.
pub fn unreadable_forgotten(sentences: &[String], tell: Tell<'_>) {
    for why in sentences {
        tell(Notice::Warning(why.clone()));
    }
}

/// Names the plans and the states that cannot be read: each state may tell of a finished repetition, so nothing is done about it.
pub fn unreadable(plans: &[String], states: &[String], tell: Tell<'_>) {
    const NAMED: usize = 5;
    for why in plans {
        tell(Notice::Warning(format!("skipping a plan: {why}")));
    }
    for why in states.iter().take(NAMED) {
        tell(Notice::Warning(why.clone()));
    }
    let named = if states.len() > NAMED { format!(" ({NAMED} of them are named above)") } else { String::new() };
    let all = match states.len() as u64 {
        0 => return,
        1 => "1 repetition is unreadable: it counts neither as finished nor as missing".to_owned(),
        more => format!(
            "{} repetitions are unreadable{named}: they count neither as finished nor as missing",
            crate::report::human::count(more)
        ),
    };
    tell(Notice::Warning(all));
}

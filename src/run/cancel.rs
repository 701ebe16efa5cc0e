//! Whether an element may be cancelled for the sake of chosen repetitions.

use crate::run::effective_state::EffectiveState;

/// What an element holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Chosen repetitions, finished ones included.
    chosen: u32,
    /// Chosen ones that are not finished.
    chosen_left: u32,
    /// Others that are not finished: what cancelling would cost.
    others: u32,
    /// The first of them.
    first: Option<String>,
}

impl Load {
    /// Adds a repetition; `name` is for a message.
    pub fn add(&mut self, chosen: bool, effective: EffectiveState, name: impl Fn() -> String) {
        self.chosen += u32::from(chosen);
        if effective.is_finished() {
            return;
        }
        if chosen {
            self.chosen_left += 1;
        } else {
            self.others += 1;
            self.first.get_or_insert_with(name);
        }
    }
}

/// The decision on an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// All it has left to do was chosen.
    Cancel,
    /// It holds chosen repetitions and others; the text says which.
    Shared(String),
    /// It has nothing that was chosen.
    Other,
}

/// Decides. Finished repetitions cost nothing, whoever chose them.
pub fn choose(load: &Load) -> Choice {
    match load {
        Load { chosen_left: 0, others: 1.., .. } | Load { chosen: 0, .. } => Choice::Other,
        Load { others: 0, .. } => Choice::Cancel,
        Load { others, first, .. } => {
            let more = if *others > 1 { format!(" and {} more", others - 1) } else { String::new() };
            Choice::Shared(format!(
                "also holds {}{more}, which {} not chosen",
                first.as_deref().unwrap_or("another repetition"),
                if *others > 1 { "were" } else { "was" }
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(reps: &[(bool, EffectiveState)]) -> Load {
        let mut load = Load::default();
        for (number, (chosen, effective)) in reps.iter().enumerate() {
            load.add(*chosen, *effective, || format!("rep {number}"));
        }
        load
    }

    #[test]
    fn only_elements_that_hold_nothing_else_are_cancelled() {
        use EffectiveState::{Completed, Crashed, Queued, Running};
        for (reps, expected) in [
            (&[(true, Queued), (true, Running)][..], Choice::Cancel),
            (&[(true, Queued), (false, Completed)], Choice::Cancel),
            (&[(true, Completed), (true, Running)], Choice::Cancel),
            (&[(false, Queued)], Choice::Other),
            (&[(true, Completed), (false, Running)], Choice::Other),
            (&[], Choice::Other),
            (&[(true, Queued), (false, Queued)], Choice::Shared("also holds rep 1, which was not chosen".to_owned())),
            (
                &[(false, Crashed), (true, Queued), (false, Queued)],
                Choice::Shared("also holds rep 0 and 1 more, which were not chosen".to_owned()),
            ),
        ] {
            assert_eq!(choose(&load(reps)), expected, "{reps:?}");
        }
    }
}

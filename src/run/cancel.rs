//! Whether an element may be cancelled for the sake of chosen repetitions.

/// What an element holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Load {
    /// Chosen repetitions, those that are over included.
    chosen: u32,
    /// Chosen ones that are not over.
    chosen_left: u32,
    /// Others that are not over: what cancelling would cost.
    others: u32,
    /// The first of them.
    first: Option<String>,
}

impl Load {
    /// Adds a repetition; it is over where the element will not begin it any more. `name` is for a message.
    pub fn add(&mut self, chosen: bool, over: bool, name: impl Fn() -> String) {
        self.chosen += u32::from(chosen);
        if over {
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

/// Decides. Repetitions that are over cost nothing, whoever chose them.
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

    fn load(reps: &[(bool, bool)]) -> Load {
        let mut load = Load::default();
        for (number, (chosen, over)) in reps.iter().enumerate() {
            load.add(*chosen, *over, || format!("rep {number}"));
        }
        load
    }

    #[test]
    fn only_elements_that_hold_nothing_else_are_cancelled() {
        const OVER: bool = true;
        const LEFT: bool = false;
        for (reps, expected) in [
            (&[(true, LEFT), (true, LEFT)][..], Choice::Cancel),
            (&[(true, LEFT), (false, OVER)], Choice::Cancel),
            (&[(true, OVER), (true, LEFT)], Choice::Cancel),
            (&[(false, LEFT)], Choice::Other),
            (&[(true, OVER), (false, LEFT)], Choice::Other),
            (&[], Choice::Other),
            (&[(true, LEFT), (false, LEFT)], Choice::Shared("also holds rep 1, which was not chosen".to_owned())),
            (
                &[(false, LEFT), (true, LEFT), (false, LEFT)],
                Choice::Shared("also holds rep 0 and 1 more, which were not chosen".to_owned()),
            ),
        ] {
            assert_eq!(choose(&load(reps)), expected, "{reps:?}");
        }
    }
}

//! An element of a job array as Slurm reports it.

/// One element of a job array, or a job that is no array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Element {
    /// The array's job id.
    pub job: u64,
    /// The element; `None` for a job that is no array.
    pub index: Option<u64>,
    /// What Slurm says of it.
    pub state: ElementState,
    /// Slurm's own word, such as `NODE_FAIL`.
    pub word: String,
    /// Why it waits, such as `JobHeldUser`; empty where nothing is said.
    pub reason: String,
    /// The script it was submitted with; empty where Slurm does not say.
    pub script: String,
    /// Its comment; `cw2 submit` leaves its token there.
    pub comment: String,
}

impl Element {
    /// What `cw2 submit` wrote behind the user's comment; empty where it did not.
    pub fn token(&self) -> &str {
        let last = self.comment.rsplit(' ').next().unwrap_or_default();
        if last.starts_with(TOKEN) { last } else { "" }
    }
}

/// What the tokens of `cw2 submit` begin with.
pub const TOKEN: &str = "cw2:";

/// What an element's state means for its repetitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ElementState {
    /// It will start, or start again.
    Queued,
    /// Its worker lives (or is about to start, or to end).
    Running,
    /// It is over.
    Ended,
}

impl ElementState {
    /// From Slurm's word: "JOB STATE CODES" of squeue(1) and sacct(1).
    pub fn of(word: &str) -> Self {
        // sacct writes `CANCELLED by 1000`.
        match word.split([' ', '+']).next().unwrap_or_default() {
            "PENDING" | "REQUEUED" | "REQUEUE_HOLD" | "REQUEUE_FED" | "SPECIAL_EXIT" | "RESV_DEL_HOLD" => Self::Queued,
            "RUNNING" | "CONFIGURING" | "COMPLETING" | "EXPEDITING" | "SUSPENDED" | "STOPPED" | "SIGNALING"
            | "STAGE_OUT" | "RESIZING" => Self::Running,
            _ => Self::Ended,
        }
    }
}

/// The elements of squeue's array notation: `7`, `3-5`, `1,4-8:2%3`; `None` where it is cut short (`…`) or no number.
pub fn parse_indices(text: &str) -> Option<Vec<u64>> {
    let text = text.split('%').next().unwrap_or_default();
    let text = text.trim_start_matches('[').trim_end_matches(']');
    let mut indices = Vec::new();
    for part in text.split(',') {
        let (range, step) = match part.split_once(':') {
            Some((range, step)) => (range, step.parse::<usize>().ok().filter(|step| *step > 0)?),
            None => (part, 1),
        };
        match range.split_once('-') {
            Some((first, last)) => {
                let (first, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
                // MaxArraySize is at most 4,000,001 (slurm.conf(5)).
                if last.checked_sub(first)? > 4_000_001 {
                    return None;
                }
                indices.extend((first..=last).step_by(step));
            }
            None => indices.push(range.parse().ok()?),
        }
    }
    Some(indices)
}

/// Names elements of an array as Slurm's commands read them: `12_[1-3,7]`, `12_4`. In parts, each short enough for one
/// argument of a command line.
pub fn element_names(job: u64, indices: &[u64]) -> Vec<String> {
    /// Linux takes 128 KiB an argument, and an index has at most 7 digits.
    const RANGES: usize = 4096;
    let mut sorted = indices.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    let mut ranges: Vec<(u64, u64)> = Vec::new();
    for index in sorted {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(index) => *last = index,
            _ => ranges.push((index, index)),
        }
    }
    let name = |(first, last): &(u64, u64)| if first == last { first.to_string() } else { format!("{first}-{last}") };
    let part = |ranges: &[(u64, u64)]| match ranges {
        [(first, last)] if first == last => format!("{job}_{first}"),
        ranges => format!("{job}_[{}]", ranges.iter().map(name).collect::<Vec<_>>().join(",")),
    };
    ranges.chunks(RANGES).map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn elements_are_named_in_ranges() {
        assert_eq!(element_names(12, &[7, 1, 3, 2, 3]), ["12_[1-3,7]"]);
        assert_eq!(element_names(12, &[4]), ["12_4"]);
        assert_eq!(element_names(12, &[4, 5]), ["12_[4-5]"]);
        assert_eq!(element_names(12, &[]), Vec::<String>::new());
        let far_apart: Vec<_> = (0..5000).map(|i| i * 2).collect();
        assert_eq!(element_names(1, &far_apart).len(), 2);
    }

    proptest! {
        #[test]
        fn names_are_read_back(indices in prop::collection::btree_set(0..300_u64, 1..60)) {
            let indices: Vec<_> = indices.into_iter().collect();
            let names = element_names(5, &indices);
            let read: Vec<_> = names.iter().flat_map(|name| parse_indices(name.strip_prefix("5_").unwrap()).unwrap()).collect();
            prop_assert_eq!(read, indices);
        }
    }

    #[test]
    fn indices_are_read_in_every_form() {
        for (text, expected) in [
            ("7", Some(vec![7])),
            ("[3-5]", Some(vec![3, 4, 5])),
            ("[0,2-6:2%3]", Some(vec![0, 2, 4, 6])),
            ("[1-3,9]%2", Some(vec![1, 2, 3, 9])),
            ("1,2,...", None),
            ("N/A", None),
            ("5-3", None),
            ("0-4:0", None),
            ("0-99999999999", None),
            ("", None),
        ] {
            assert_eq!(parse_indices(text), expected, "{text}");
        }
    }

    #[test]
    fn states_mean_what_the_worker_does() {
        assert_eq!(ElementState::of("PENDING"), ElementState::Queued);
        assert_eq!(ElementState::of("COMPLETING"), ElementState::Running);
        // It failed, and whether it starts again is decided when its epilogs have ended (25.11).
        assert_eq!(ElementState::of("EXPEDITING"), ElementState::Running);
        assert_eq!(ElementState::of("CANCELLED by 0"), ElementState::Ended);
        assert_eq!(ElementState::of("NODE_FAIL"), ElementState::Ended);
    }
}

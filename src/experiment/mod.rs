//! Sweep expansion: an experiment's runs, their names and the seeds of their repetitions.
//!
//! Owns which parameters each run has and in which order the runs come. Pure and lazy: a run exists only while it is looked
//! at, so a million of them cost no memory. It must not know jobs, plans or directories (that is [`crate::plan`]).

mod computed;
mod defaults;
mod expand;
mod name;

pub use defaults::same_but_for;
pub use expand::{Assignment, Expansion, LIMIT, Run};
pub(crate) use name::params_sha256;
pub use name::{component, paired_seed, seed};
pub(crate) use name::{hex, with_hash};

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

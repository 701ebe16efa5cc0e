//! What an array waits for: the user's own dependencies, and the array before it where `num_parallel_jobs` holds for the plan
//! as a whole.

use crate::config::Slurm;
use crate::ops::failure::Failure;
use crate::plan::bundle::PlannedArray;

/// The dependencies that the configuration gives the jobs of an array, which its script asks for.
fn configured(slurm: &Slurm) -> Option<&str> {
    slurm.options.text("dependency")
}

/// The option for an array that begins after the job `previous`; `given` is that of the command line, which takes the place
/// of the configured ones.
pub(super) fn option(previous: Option<u64>, given: Option<&str>, slurm: &Slurm) -> Option<String> {
    let Some(job) = previous else { return given.map(str::to_owned) };
    let chain = format!("afterany:{job}");
    Some(match given.or_else(|| configured(slurm)).filter(|own| !own.is_empty()) {
        Some(own) => format!("{chain},{own}"),
        None => chain,
    })
}

/// Refuses what could not be joined: Slurm reads a list as all of it, or as any of it. `arrays` are those of a plan in order.
pub(super) fn check(arrays: &[PlannedArray], given: Option<&str>) -> Result<(), Failure> {
    let chained = arrays.iter().filter(|array| array.record.num_parallel_jobs.is_some()).skip(1);
    let mut lists = chained.filter_map(|array| given.or_else(|| configured(&array.slurm)));
    let Some(list) = lists.find(|list| list.contains('?')) else { return Ok(()) };
    Err(Failure::Usage(format!(
        "the dependency `{list}` cannot be kept: `num_parallel_jobs` makes the arrays of this plan wait for each other, and Slurm \
         cannot join that with a list of which any (`?`) is enough; give one of which all (`,`) are needed, or leave \
         out `num_parallel_jobs`"
    )))
}

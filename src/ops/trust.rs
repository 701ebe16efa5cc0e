//! Whose plans may be run: what a plan says is run as the user who runs it.
//!
//! Asked wherever a plan is not made by the same call. In a job, the environment that it was submitted with answers.

use super::failure::Failure;
use crate::store::owner;
use crate::store::plan::Plan;

/// Names the users, separated by commas, whose plans may be run as if they were one's own.
pub const TRUST: &str = "CW2_TRUST";

/// Refuses plans of users who are not trusted.
///
/// # Errors
/// Whose plan it is, and how to run it all the same.
pub fn check<'a>(plans: impl IntoIterator<Item = &'a Plan>) -> Result<(), Failure> {
    let trusted = std::env::var(TRUST).unwrap_or_default();
    for plan in plans {
        let folder = plan.folder.display();
        let stranger = owner::stranger(&plan.folder);
        let stranger = stranger.map_err(|error| Failure::Environment(format!("cannot read `{folder}`: {error}")))?;
        let Some(user) = stranger else { continue };
        let name = owner::name(user);
        if !trusted.split(',').map(str::trim).any(|trusted| trusted == name || trusted == user.to_string()) {
            return Err(Failure::Usage(format!(
                "plan `{folder}` belongs to user `{name}`, and its commands would run as you; look through it, and run this again \
                 with `{TRUST}={name}` in the environment if you trust them"
            )));
        }
    }
    Ok(())
}

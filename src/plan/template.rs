//! A user's script template and the name of its copy in a plan.

use super::layout;
use crate::experiment::{component, hex};
use sha2::{Digest as _, Sha256};
use std::path::PathBuf;

/// A template of the user's, read at plan time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    /// Where it was read, as `path_to_template` has it.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
}

impl Template {
    /// The file name of its copy: templates that are alike share one, others never do.
    pub fn file_name(&self) -> String {
        let hash = hex(&Sha256::digest(self.text.as_bytes()));
        let name = component(&self.path.file_name().unwrap_or_default().to_string_lossy());
        format!("{}-{name}", hash.get(..12).unwrap_or(&hash))
    }

    /// Its copy, relative to the plan's folder.
    pub fn copy(&self) -> String {
        format!("{}/{}", layout::plan::TEMPLATES, self.file_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_are_told_apart_by_their_text() {
        let template = |path: &str, text: &str| Template { path: PathBuf::from(path), text: text.to_owned() }.copy();
        assert_eq!(template("a/my.sh.j2", "x"), "templates/2d711642b726-my.sh.j2");
        assert_eq!(template("a/my.sh.j2", "x"), template("b/my.sh.j2", "x"));
        assert_ne!(template("a/my.sh.j2", "x"), template("a/my.sh.j2", "y"));
    }
}

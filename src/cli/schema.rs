//! `cw2 schema`: what editors check a configuration against.

use super::Exit;
use crate::config;
use crate::ops::failure::Failure;
use std::io::Write as _;

pub(super) const AFTER_HELP: &str = "\
An editor with the YAML language server (VS Code, Neovim, Helix, Emacs, …) completes keys, shows what they mean and marks what cannot be right, where the first \
line of the configuration names the schema, as `cw2 init` writes it:

  cw2 schema > .cw2.schema.json
  # yaml-language-server: $schema=.cw2.schema.json";

pub(super) fn schema() -> Result<Exit, Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:#}", config::schema())?;
    out.flush()?;
    Ok(Exit::Done)
}

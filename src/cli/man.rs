//! `cw2 man`: the manual pages, one a command, for whoever packs a release.

use super::{Exit, command};
use crate::ops::failure::Failure;
use crate::store;
use crate::store::atomic::{Durable, replace};
use clap::Args;
use clap_mangen::Man;
use std::path::PathBuf;

#[derive(Debug, Args)]
pub(super) struct ManArgs {
    /// The folder they are written to, which is created where it is missing
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

pub(super) fn man(args: &ManArgs) -> Result<Exit, Failure> {
    store::create_folder(&args.folder)?;
    let mut root = command().disable_help_subcommand(true);
    root.build();
    let commands = root.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    for command in std::iter::once(root.clone()).chain(commands) {
        let version = root.get_version().unwrap_or_default().to_owned();
        let page = Man::new(command).date(" ").source(format!("cw2 {version}")).manual("cw2");
        let mut text = Vec::new();
        page.render(&mut text)?;
        replace(&args.folder.join(page.get_filename()), &text, Durable::No)?;
    }
    Ok(Exit::Done)
}

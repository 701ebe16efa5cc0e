//! `requeues/` in a plan's folder: how often an array's element put itself back into the queue.
//!
//! A file for each element that did. Slurm's own count does not tell: preemption, failed nodes and people requeue too. One
//! writer: the element's worker.

use super::atomic::{self, Durable};
use super::{Result, StoreError, files};
use std::path::{Path, PathBuf};

const FOLDER: &str = "requeues";

/// What is noted of an element (`12_3`, or a job's id); 0 where nothing is.
pub fn noted(plan: &Path, element: &str) -> Result<u32> {
    let path = file(plan, element);
    match files::read_text(&path, files::cap::RECORD) {
        Ok(text) => text.trim().parse().map_err(|_| StoreError::corrupt(&path, "it holds no number")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(StoreError::new("read", &path, error)),
    }
}

/// Notes how often an element requeued itself. To be done before Slurm is asked to: that ends the worker.
pub fn note(plan: &Path, element: &str, times: u32) -> Result<()> {
    super::create_folder(&plan.join(FOLDER))?;
    atomic::replace(&file(plan, element), format!("{times}\n").as_bytes(), Durable::Yes)
}

fn file(plan: &Path, element: &str) -> PathBuf {
    plan.join(FOLDER).join(element)
}

//! What a repetition's commands are called with: words, directory, environment. The same for a worker and by hand.

use super::context::Life;
use super::environment::Variables;
use crate::plan::call;
use crate::plan::layout::rep as names;
use crate::plan::record::ArgvRecord;
use crate::run::render::{self, Context, Names};
use std::path::PathBuf;

/// What the calls of one attempt are made of.
pub(super) struct Calls<'a> {
    life: &'a Life<'a>,
    context: Context,
    /// The environment, or why there is none.
    variables: Result<Variables, String>,
}

/// One call.
#[derive(Debug)]
pub(super) struct Call<'a> {
    /// The program and its arguments.
    pub words: Vec<String>,
    /// Where it starts.
    pub dir: PathBuf,
    /// What is added to its environment.
    pub variables: &'a Variables,
}

impl<'a> Calls<'a> {
    /// Those of an attempt with this number.
    pub(super) fn new(life: &'a Life<'a>, number: u32, resume: bool) -> Self {
        let experiment = life.experiment();
        let config_file = life.rep.dir.join(names::CONFIG);
        let names = Names {
            flag_style: experiment.flag_style.clone(),
            experiment: &experiment.name,
            run: &life.rep.run.record.run,
            rep: life.rep.number,
            rep_dir: &life.rep.dir.to_string_lossy(),
            config_file: &config_file.to_string_lossy(),
            iterations: experiment.iterations,
            seed: life.seed(),
            slot: life.slot.number,
            cpus: u32::try_from(life.slot.threads).unwrap_or(u32::MAX),
            gpus: &life.slot.gpus,
        };
        let context = Context::new(&life.rep.run.params, &names);
        let variables = variables(life, &context, number, resume);
        Calls { life, context, variables }
    }

    /// The call of a command.
    pub(super) fn call(&self, argv: &ArgvRecord) -> Result<Call<'_>, String> {
        let (dir, variables) = self.surroundings()?;
        let words = call::words(&self.life.experiment().launcher, argv, &self.context)?;
        Ok(Call { words, dir, variables })
    }

    /// What stands before a command.
    pub(super) fn launcher(&self) -> Result<Vec<String>, String> {
        call::words(&self.life.experiment().launcher, &ArgvRecord::Exec(Vec::new()), &self.context)
    }

    /// Where a command starts, and what is added to its environment.
    pub(super) fn surroundings(&self) -> Result<(PathBuf, &Variables), String> {
        let variables = self.variables.as_ref().map_err(Clone::clone)?;
        let start = self.life.plan.start_dir(self.life.job);
        let dir = match &self.life.experiment().workdir {
            Some(template) => {
                start.join(render::plain(template, &self.context).map_err(|why| format!("workdir: {why}"))?)
            }
            None => start,
        };
        Ok((dir, variables))
    }
}

/// The environment of all phases.
fn variables(life: &Life<'_>, context: &Context, attempt: u32, resume: bool) -> Result<Variables, String> {
    let dir = &life.rep.dir;
    let mut variables = Variables::new(life.slot, life.options);
    for (name, template) in &life.experiment().env {
        variables.set(name, render::plain(template, context).map_err(|why| format!("env `{name}`: {why}"))?);
    }
    variables.set("CW2_EXPERIMENT", &life.experiment().name);
    variables.set("CW2_RUN", &life.rep.run.record.run);
    variables.set("CW2_REP", life.rep.number.to_string());
    variables.set("CW2_REP_DIR", dir);
    variables.set("CW2_CONFIG", dir.join(names::CONFIG));
    variables.set("CW2_METRICS", dir.join(names::METRICS));
    variables.set("CW2_SURRENDER", dir.join(names::SURRENDER));
    variables.set("CW2_ATTEMPT", attempt.to_string());
    variables.set("CW2_RESUME", if resume { "1" } else { "0" });
    variables.set("CW2_SEED", life.seed().to_string());
    variables.set("CW2_CHECKPOINT_SIGNAL", life.experiment().checkpoint_signal.as_deref().unwrap_or("SIGTERM"));
    Ok(variables)
}

//! Job steps: which there are, and signals to their programs.

use super::SlurmError;
use super::client::call;
use nix::sys::signal::Signal;

/// A step that an `srun` of this machine started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// As scancel takes it: `12.0`.
    pub id: String,
    /// The process id of its `srun`.
    pub srun: i32,
}

/// The steps of this process's job; outside of any job, all that Slurm shows. Only those whose `srun` runs on this machine.
pub fn steps() -> Result<Vec<Step>, SlurmError> {
    let job = std::env::var("SLURM_JOB_ID").ok();
    let arguments: Vec<_> = ["--oneliner", "show", "step"].into_iter().chain(job.as_deref()).collect();
    let (out, _) = call("scontrol", &arguments)?;
    let host = nix::unistd::gethostname().unwrap_or_default();
    let host = host.to_string_lossy();
    Ok(out.lines().filter_map(|line| step(line, &host, job.as_deref())).collect())
}

/// Sends a signal to the programs of these steps. One that has ended meanwhile is no error.
pub fn signal_steps(steps: &[&str], signal: Signal) -> Result<(), SlurmError> {
    // Through the controller: sent to the nodes themselves, a step on a single one makes versions before 24.11 say that
    // there is none, though it got the signal.
    let arguments = ["--ctld".to_owned(), format!("--signal={}", signal as i32)];
    let arguments: Vec<_> = arguments.into_iter().chain(steps.iter().map(ToString::to_string)).collect();
    match call("scancel", &arguments) {
        Err(SlurmError::Refused { message, .. }) if message.split("; ").all(|line| line.contains("Invalid job id")) => {
            Ok(())
        }
        result => result.map(drop),
    }
}

/// A line of `scontrol --oneliner show step`.
fn step(line: &str, host: &str, job: Option<&str>) -> Option<Step> {
    let field = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
    let (from, srun) = field("SrunHost:Pid")?.rsplit_once(':')?;
    // srun leaves the domain out.
    if Some(from) != host.split('.').next() {
        return None;
    }
    let id = field("StepId")?;
    // Of an array's element it names the array (`12_3.0`), which not every scancel finds.
    let id = job.zip(id.rsplit_once('.')).map_or_else(|| id.to_owned(), |(job, (_, number))| format!("{job}.{number}"));
    Some(Step { id, srun: srun.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_as_20_11_to_24_11_write_them() {
        let batch = "StepId=1_0.batch UserId=0 Name=batch Network=(null) CPUFreqReq=Default SrunHost:Pid=(null):0";
        let first = "StepId=1_0.0 UserId=0 StartTime=2026-11-24T10:15:01 NodeList=n1 Nodes=1 CPUs=1 Tasks=1 Name=prog.sh \
                     CPUFreqReq=Default Dist=Cyclic SrunHost:Pid=vm:12174";
        let newer = "StepId=7.3 UserId=0 CPUFreqReq=Default Dist=Cyclic SrunHost:Pid=vm:16127 TresPerTask=cpu=2";
        let found = |id: &str, srun| Some(Step { id: id.to_owned(), srun });
        assert_eq!(step(batch, "vm", None), None);
        assert_eq!(step(first, "vm.example.org", Some("2")), found("2.0", 12174));
        assert_eq!(step(first, "other", Some("2")), None);
        assert_eq!(step(newer, "vm", None), found("7.3", 16127));
        assert_eq!(step("No job steps in the system", "vm", None), None);
    }
}

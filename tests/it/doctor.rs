//! What can be known where there is no Slurm, or one that says what a test wants.

use crate::support::{Call, Scene};
use serde_json::{Value, json};

impl Scene {
    /// A call without any of Slurm's programs.
    fn without_slurm(&self, words: &str) -> Call {
        self.call(words.split_whitespace()).env("PATH", self.path("nowhere"))
    }
}

#[test]
fn without_slurm_it_says_so_and_looks_at_the_folder() {
    let scene = Scene::with("name: a\npath: ${env:SET:-deep/out}\nrepetitions: 1\ncommand: 'true'\n");
    let told = scene.without_slurm("doctor config.yml").run().expect(0);
    let out = told.out();
    for text in [
        "Slurm: none on this machine, ",
        " (there is no `scontrol`)\n",
        "results in [HERE]/deep/out\n",
        "it does not exist yet; this is about [HERE]\n",
        "they exclude each other (between two processes of this machine)\n",
        "between nodes ",
    ] {
        assert!(out.contains(text), "`{text}` is not in\n{out}");
    }
    let json: Value = serde_json::from_str(&scene.without_slurm("clusters --json").run().expect(0).stdout).unwrap();
    assert_eq!(json["slurm"], json!({"found": false, "error": "there is no `scontrol`"}));
    assert_eq!(json["ok"], true);
    let folder = &json["folders"][0];
    assert_eq!((&folder["path"], &folder["exists"]), (&json!(scene.root()), &json!(true)));
    assert_eq!((&folder["locks_here"], &folder["between_nodes"]), (&json!("exclude"), &Value::Null));
    assert_ne!(folder["file_system"]["kind"], "");
    // It leaves nothing.
    assert_eq!(scene.tree(), ["config.yml"]);
    scene.without_slurm("doctor none.yml").run().expect(2).says(["cannot read `none.yml`"]);
    scene.without_slurm("doctor --srun='a").run().expect(2).says(["`--srun` has an unclosed quote"]);
    // Nothing can be written there.
    let proc = scene.without_slurm("doctor /proc").run().expect(3);
    assert!(proc.stdout.contains("cannot write into `/proc`: "), "{}", proc.stdout);
}

/// Answers as a cluster does that has no accounting.
const SCONTROL: &str = "#!/bin/sh
[ ! -e \"$HOME/away\" ] || { echo 'scontrol: error: Slurm is away' >&2; exit 1; }
case $2 in
config) printf 'ClusterName = lab\\nJobRequeue = 0\\nMaxArraySize = 5\\nMaxJobCount = 99\\nSLURM_VERSION = 24.11.5\\n' ;;
partition) echo 'PartitionName=dev Default=YES DefaultTime=00:10:00 MaxTime=01:00:00 MaxNodes=1 State=UP' ;;
esac
";
const SINFO: &str = "#!/bin/sh\necho 'dev|2|4|1000|gpu:a100:2(S:0)'\n";
const NONE: &str = "#!/bin/sh\necho \"${0##*/}: error: Slurm accounting storage is disabled\" >&2\nexit 1\n";
/// Two nodes that both get the lock.
const SRUN: &str = "#!/bin/sh\nprintf 'srun: queued\\nn1\\ttook\\t\\nn2\\ttook\\t\\n'\ncat\n";
/// Two nodes, of which one does not see the folder.
const BLIND: &str = "#!/bin/sh\nprintf 'n1\\ttook\\t\\n'\necho 'cannot open: No such file' >&2\nexit 3\n";
const SBATCH: &str = "#!/bin/sh\necho \"$1\" >>\"$HOME/asked\"\necho 'sbatch: Job 7 to start at noon' >&2\n";

fn cluster(config: &str) -> Scene {
    let scene = Scene::with(config);
    for (name, text) in [
        ("scontrol", SCONTROL),
        ("sinfo", SINFO),
        ("sacct", NONE),
        ("sacctmgr", NONE),
        ("srun", SRUN),
        ("sbatch", SBATCH),
    ] {
        scene.write_program(&format!("bin/{name}"), text);
    }
    scene
}

#[test]
fn what_a_cluster_says_is_told() {
    let scene = cluster("");
    let out = scene.cluster("doctor out").expect(0).out();
    for text in [
        "Slurm 24.11.5, cluster lab (asked on ",
        "arrays        5 jobs each (MaxArraySize)",
        "queue         99 jobs of all users",
        "requeue       only where a job asks for it, as `requeue: true` does\n",
        "accounting    none: sacct: Slurm accounting storage is disabled\n",
        "your limits   not known without accounting\n",
        " dev        1h 00m  10m 00s  2      4     1000 MB  2 (gpu:a100:2(S:0))  default, 1 nodes a job\n",
    ] {
        assert!(out.contains(text), "`{text}` is not in\n{out}");
    }
    // Locks that two nodes have at once are none, and this ends by itself though the nodes wait for a sign.
    let out = scene.cluster("doctor --srun").expect(3).out();
    let text = "between nodes they do not work (between n1 and n2): locks have no effect there: two had the same one at once\n";
    assert!(out.contains(text), "{out}");
    scene.write_program("bin/srun", BLIND);
    let out = scene.cluster("doctor --srun").expect(3).out();
    assert!(
        out.contains("between nodes not known: two nodes were asked, 1 answered: cannot open: No such file\n"),
        "{out}"
    );
    scene.write("away", "");
    let out = scene.cluster("doctor").expect(3).out();
    assert!(out.contains("Slurm: it does not answer on this machine") && out.contains("Slurm is away"), "{out}");
    assert!(!scene.tree().iter().any(|path| path.contains(".cw2-locks")));
}

#[test]
fn a_plan_is_compared_with_the_cluster() {
    let scene = cluster(
        "name: a\npath: out\nrepetitions: 7\ncommand: 'true'\n---\nname: SLURM\ntime: 60\ncpus-per-task: 4\nsbatch_args: {mem: 1000M}\n",
    );
    let fits = scene.cluster("plan --check config.yml").expect(0);
    assert_eq!(fits.stdout, "sbatch_1.sh: Job 7 to start at noon\nsbatch_2.sh: Job 7 to start at noon\n");
    fits.says(["the cluster would take it; nothing was written"]);
    assert_eq!(scene.lines("asked"), ["--test-only", "--test-only"]);
    let args = ["plan", "--check", "config.yml", "--set", "slurm.time=61", "--set", "slurm.sbatch_args.mem=2G"];
    let misfits = scene.on_cluster(&args).run().expect(2);
    // Slurm itself has no objection here.
    assert_eq!(misfits.stdout, "sbatch_1.sh: Job 7 to start at noon\nsbatch_2.sh: Job 7 to start at noon\n");
    misfits.says([
        "`time` is 1:01:00, but partition `dev` allows 1:00:00",
        "lower `time` to `1:00:00`",
        "a job asks for 2048 MB of a node, but in partition `dev` one gives at most 1000 MB",
        "--set:1:1",
        "this plan does not fit the cluster as it is; nothing was written",
    ]);
    let long = scene.on_cluster(&["plan", "--check", "config.yml", "--set", "rep_time=61m"]).run().expect(2);
    long.says([
        "warning: experiment `a`: a repetition takes 3660 s (`rep_time`), but its time limit is 3600 s (`time`)",
    ]);
    // Without `time` a job gets ten minutes.
    let args = ["plan", "--check", "config.yml", "--set", "slurm.time=null", "--set", "rep_time=11m"];
    let late = scene.on_cluster(&args).run().expect(2);
    late.says(["a job takes 1 × 660 s (`rep_time`), but without `time` partition `dev` gives it 0:10:00"]);
    scene.write_program("bin/sbatch", "#!/bin/sh\necho 'sbatch: error: invalid qos' >&2\nexit 1\n");
    let refused = scene.cluster("plan --check config.yml").expect(2);
    assert_eq!(refused.stdout, "sbatch_1.sh: refused: invalid qos\nsbatch_2.sh: refused: invalid qos\n");
    scene.without_slurm("plan --check config.yml").run().expect(3);
    assert!(!scene.has("out"));
}

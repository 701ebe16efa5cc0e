//! Whole scripts. Their texts are in `snapshots/`; each passes `bash -n` and shellcheck.

use super::*;
use crate::config::option::asked;
use crate::plan::record::ArrayRecord;
use crate::value::Value;

/// A template of the original's kind.
const ORIGINAL: &str = include_str!("testdata/original.template");

fn array(slurm: Slurm) -> PlannedArray {
    PlannedArray {
        record: ArrayRecord {
            script: "sbatch.sh".to_owned(),
            offset: 0,
            jobs: 24,
            code: None,
            num_parallel_jobs: None,
            pilots: None,
        },
        slurm,
        template: None,
        experiments: vec!["mnist".to_owned()],
    }
}

fn full() -> Slurm {
    Slurm {
        options: asked(&[
            "job-name=sweep #1",
            "partition=gpu",
            "account=hpc-prf-x",
            "ntasks=1",
            "cpus-per-task=8",
            "mem-per-cpu=4000",
            ":gres=gpu:a100:1",
            ":C=skylake&ib|[rack1]",
            ":exclusive",
            ":mail-type=END+FAIL",
            ":time=30",
            ":comment=it's a \"test\"",
        ]),
        num_parallel_jobs: Some(4),
        sh_lines: vec!["module load cuda".to_owned(), "export X=\"$HOME/x y\"".to_owned()],
        venv: Some("~/venvs/my env".to_owned()),
        requeue: Some(true),
        grace: Some(90.5),
        ..Slurm::default()
    }
}

struct Case {
    array: PlannedArray,
    plan: &'static str,
    workdir: &'static str,
    binary: &'static str,
    own_args: Vec<String>,
    code: Option<Code<'static>>,
}

impl Case {
    fn new(slurm: Slurm) -> Self {
        let (plan, workdir) = ("/home/u/project/out/plans/001", "/home/u/project");
        Case { array: array(slurm), plan, workdir, binary: "/home/u/.cargo/bin/cw2", own_args: Vec::new(), code: None }
    }

    fn render(&self, template: Option<&str>) -> Result<String, ScriptError> {
        let script = Script {
            array: &self.array,
            plan: Path::new(self.plan),
            workdir: Path::new(self.workdir),
            code: self.code,
            binary: Path::new(self.binary),
            own_args: &self.own_args,
            config: "mnist.yml",
            by_hand: false,
        };
        render(&script, template.map(|text| UserTemplate { path: Path::new("own.sh"), text }).as_ref())
    }
}

#[test]
fn without_a_slurm_document_any_cluster_accepts_the_script() {
    insta::assert_snapshot!("plain", Case::new(Slurm::default()).render(None).unwrap());
}

#[test]
fn every_key_has_its_line() {
    insta::assert_snapshot!("full", Case::new(full()).render(None).unwrap());
}

/// Lines that would end their quotes, their function or their script, if they could.
fn hostile_lines() -> Vec<String> {
    ["rm -rf \"$SCRATCH\" 'it'\\''s'", "}; #", "EOF", "\\"].map(str::to_owned).to_vec()
}

#[test]
fn what_runs_after_the_worker_is_a_word_of_the_script() {
    let case = Case::new(Slurm { sh_lines_after: hostile_lines(), ..full() });
    insta::assert_snapshot!("after", case.render(None).unwrap());
    insta::assert_snapshot!("after_original", case.render(Some(ORIGINAL)).unwrap());
    let error = case.render(Some("#!/bin/bash\n{{ sbatch }}\n{{ worker }}\n")).unwrap_err().to_string();
    assert!(error.starts_with("own.sh: nothing says what `sh_lines_after` are; write `{{ setup }}`"), "{error}");
    let error = case.render(Some("#!/bin/sh\n{{ sbatch }}\n{{ setup }}\n{{ worker }}\n")).unwrap_err().to_string();
    assert!(error.contains("need bash, and the first line is `#!/bin/sh`"), "{error}");
    let blank = Slurm { sh_lines_after: vec![" ".to_owned()], ..Slurm::default() };
    assert_eq!(Case::new(blank).render(None).unwrap(), Case::new(Slurm::default()).render(None).unwrap());
    let null = Slurm { sh_lines_after: vec!["\0".to_owned()], ..Slurm::default() };
    assert!(Case::new(null).render(None).unwrap_err().to_string().contains("null byte"));
}

#[test]
fn a_program_s_own_arguments_come_before_the_command() {
    let mut case = Case::new(Slurm::default());
    case.own_args = vec!["--data".to_owned(), "it's; $HERE".to_owned()];
    let script = case.render(None).unwrap();
    let words = shlex::split(script.lines().last().unwrap()).unwrap();
    assert_eq!(words[..6], ["exec", "/home/u/.cargo/bin/cw2", "--data", "it's; $HERE", "worker", "--plan"]);
    case.own_args = vec!["\0".to_owned()];
    assert!(case.render(None).unwrap_err().to_string().contains("null byte"));
}

#[test]
fn hostile_paths_are_quoted() {
    let mut case = Case::new(Slurm { venv: Some("my env; rm -rf $HOME".to_owned()), ..Slurm::default() });
    case.plan = "/home/ü/it's \"my\" $project #1 100%/plans/001";
    case.workdir = "/home/ü/it's \"my\" $project #1 100%";
    case.binary = "/opt/my tools/`cw2`";
    case.array.record.offset = 1001;
    case.array.record.jobs = 1;
    case.array.experiments = vec!["a b".to_owned(), "c\n#SBATCH --wrap=x".to_owned()];
    insta::assert_snapshot!("hostile", case.render(None).unwrap());
}

#[test]
fn paths_that_fit_no_line_are_refused() {
    let mut case = Case::new(Slurm::default());
    case.plan = "/home/u\n#SBATCH --wrap=x";
    assert_eq!(
        case.render(None).unwrap_err().to_string(),
        "the path `/home/u\\n#SBATCH --wrap=x/slurm` cannot be used in a script: it must be UTF-8 without line breaks; rename it"
    );
    let case = Case::new(Slurm { slurm_log: Some("a\\b".to_owned()), ..Slurm::default() });
    assert!(case.render(None).is_err());
    let case = Case::new(Slurm { options: asked(&["partition=a\nb"]), ..Slurm::default() });
    assert_eq!(
        case.render(None).unwrap_err().to_string(),
        "the value of `partition` cannot be passed to Slurm: it holds a line break or another control character"
    );
}

#[test]
fn logs_lie_where_the_document_says() {
    let slurm = Slurm { slurm_log: Some("logs/50%".to_owned()), ..Slurm::default() };
    assert_eq!(log_folder(&slurm, Path::new("/w"), Path::new("/p")), Path::new("/w/logs/50%"));
    let script = Case::new(slurm).render(None).unwrap();
    assert!(script.contains("#SBATCH --output=/home/u/project/logs/50%%/%A_%a.log\n"), "{script}");
}

#[test]
fn a_short_job_is_not_warned_from_its_start() {
    for (time, expected) in [(Some("0:01:00"), 30), (Some("5"), 120), (Some("UNLIMITED"), 120), (None, 120)] {
        let mut slurm = Slurm { requeue: Some(true), ..Slurm::default() };
        if let Some(time) = time {
            slurm.options.set_key("time", time);
        }
        let script = Case::new(slurm).render(None).unwrap();
        assert!(script.contains(&format!("#SBATCH --signal=B:USR1@{expected}\n")), "{time:?}: {script}");
        assert!(script.contains(&format!("--warning {expected} ")), "{time:?}: {script}");
    }
}

#[test]
fn a_users_jinja_template_sees_everything() {
    let mut slurm = full();
    slurm.extra.insert("my-image".to_owned(), Value::from("a b.sif"));
    let template = "#!/bin/bash -l\n#SBATCH --array={{ array }} --signal B:USR1@91\n{% if slurm.partition %}#SBATCH -p {{ slurm.partition }}\n\
                    {% endif %}{% if slurm.max_requeues %}never{% endif %}\
                    # {{ experiments | join(', ') }}: {{ offset }} {{ jobs }} {{ last_index }}\n\
                    export IMAGE={{ slurm.my_image | quote }}\n{{ setup }}\n{{ worker }}\n";
    insta::assert_snapshot!("jinja", Case::new(slurm).render(Some(template)).unwrap());
}

#[test]
fn a_name_that_a_template_cannot_use_is_told_with_those_it_can() {
    let case = Case::new(Slurm::default());
    for name in NAMES {
        let template = format!("#!/bin/bash\n{{% set x = {name} %}}{{{{ sbatch }}}}\n{{{{ worker }}}}\n");
        case.render(Some(&template)).unwrap();
    }
    let error = case.render(Some("#!/bin/bash\n{{ sbatch_args }}\n")).unwrap_err().to_string();
    assert!(error.contains("`sbatch_args`"), "{error}");
    assert!(
        error.ends_with(
            "the names a template can use are sbatch, setup, worker, title, array, offset, jobs, last_index, \
         experiments, plan, workdir, log_folder, cw2, config, slurm"
        ),
        "{error}"
    );
}

#[test]
fn a_template_that_cannot_work_is_refused() {
    let case = Case::new(Slurm::default());
    for (template, problem) in [
        (
            "#!/bin/bash\n{{ sbatch }}\npython x.py\n",
            "own.sh: the script never starts the worker; write `{{ worker }}` on a line of its own, at the end",
        ),
        (
            "{{ sbatch }}\n{{ worker }}\n",
            "own.sh: the first line must name the shell, as `#!/bin/bash` does; sbatch refuses a script without it",
        ),
        (
            "#!/bin/bash\n{{ sbatch }}\n  # {{ worker }}\n",
            "own.sh: the script never starts the worker; write `{{ worker }}` on a line of its own, at the end",
        ),
        (
            "#!/bin/bash\n# why\n\nset -e\n{{ sbatch }}\n{{ worker }}\n",
            "own.sh: Slurm reads no `#SBATCH` line below the first command, which is `set -e`; write the command below them",
        ),
        (
            "#!/bin/bash\n  {{ sbatch }}\n{{ worker }}\n",
            "own.sh: Slurm reads no option in `  #SBATCH --job-name=mnist`: the line must begin with `#SBATCH`",
        ),
        (
            "#!/bin/bash\n{{ sbatch }}\ntrue # {{ worker }}\n",
            "own.sh: the script never starts the worker; write `{{ worker }}` on a line of its own, at the end",
        ),
        (
            "#!/bin/bash\n{{ sbatch }}\n#SBATCH --array=0-77\n{{ worker }}\n",
            "own.sh: `#SBATCH` asks for the array `0-77`, but the elements are 0-23; write `#SBATCH --array={{ array }}`",
        ),
        (
            "#!/bin/bash\n#SBATCH --array=0-77\n{{ worker }}\n",
            "own.sh: `#SBATCH` asks for the array `0-77`, but the elements are 0-23; write `#SBATCH --array={{ array }}`",
        ),
        (
            "#!/bin/bash\n{{ worker }}\n",
            "own.sh: no `#SBATCH` line has the array; write `{{ sbatch }}` below the first line, or `#SBATCH --array={{ array }}`",
        ),
        (
            "#!/bin/bash\n#SBATCH -t %%tiem%%\npython3 %%python_script%%\n",
            "own.sh:2: `%%tiem%%` is no key of a template; put your own keys into the SLURM document",
        ),
        (
            "#!/bin/bash\n#SBATCH --array 0-%%last_job_idx%%\n# %%python_script%%\n",
            "own.sh: the script never starts the worker; write `{{ worker }}` on a line of its own, at the end",
        ),
    ] {
        assert_eq!(case.render(Some(template)).unwrap_err().to_string(), problem);
    }
    for (text, problem) in [
        ("{{ slurm.partitoin }}", "own.sh:2: template: `slurm.partitoin` is not defined here; the names a template"),
        ("#SBATCH --time={{ slurm.time }}", "own.sh:2: template: what it writes was not given; write it between"),
    ] {
        let error = case.render(Some(&format!("#!/bin/bash\n{text}\n{{{{ worker }}}}\n"))).unwrap_err().to_string();
        assert!(error.starts_with(problem), "{error}");
    }
}

#[test]
fn a_template_must_ask_for_the_warning() {
    let case = Case::new(Slurm { requeue: Some(true), ..Slurm::default() });
    let end = "; write `{{ sbatch }}` (or `%%sbatch_args%%`), or `#SBATCH --signal=B:USR1@120`";
    for (lines, problem) in [
        ("#SBATCH --array={{ array }}", "no `#SBATCH` line asks for it"),
        ("{{ sbatch }}\n#SBATCH --signal=USR2@40", "`#SBATCH` asks for another, `--signal=USR2@40`"),
    ] {
        let error = case.render(Some(&format!("#!/bin/bash\n{lines}\n{{{{ worker }}}}\n"))).unwrap_err().to_string();
        let start = "own.sh: `requeue` or `grace` needs a warning before the time limit, and ";
        assert_eq!(error, format!("{start}{problem}{end}"));
    }
    let old = "#!/bin/bash\n#SBATCH -a 0-%%last_job_idx%%\npython3 %%python_script%%\n";
    assert!(case.render(Some(old)).unwrap_err().to_string().ends_with(end));
    case.render(Some(&old.replace("python3", "%%sbatch_args%%\npython3"))).unwrap();
}

#[test]
fn the_originals_template_works() {
    insta::assert_snapshot!("original_full", Case::new(full()).render(Some(ORIGINAL)).unwrap());
    insta::assert_snapshot!("original_plain", Case::new(Slurm::default()).render(Some(ORIGINAL)).unwrap());
}

#[test]
fn a_template_of_the_originals_kind_may_be_anyhow_written() {
    let template = "#!/bin/bash\r\n#SBATCH -a 0-%%last_job_idx%%%%%num_parallel_jobs%%\r\n#SBATCH -D \"%%experiment_execution_dir%%\"\r\n\
                    #SBATCH -p %%partition%% -t %%time%%\r\n# %%venv%%\r\nif true; then cd \"%%experiment_execution_dir%%\"; fi\r\n\
                    srun --unbuffered \\\r\n    python3 %%python_script%% \\\r\n    -j 3\r\necho after\r\n";
    let mut case =
        Case::new(Slurm { venv: Some("x".to_owned()), options: asked(&["partition=p"]), ..Slurm::default() });
    case.workdir = "/a \"$b\"";
    insta::assert_snapshot!("original_odd", case.render(Some(template)).unwrap());
}

/// `PYTHONPATH` with an entry of every kind.
fn python_path() -> &'static [PathEntry] {
    vec![PathEntry::InCopy("".into()), PathEntry::InCopy("src/a b".into()), PathEntry::Elsewhere("/opt/it's".into())]
        .leak()
}

#[test]
fn jobs_run_in_the_code_snapshot() {
    let mut case = Case::new(Slurm {
        venv: Some("envs/x".to_owned()),
        sh_lines: vec!["module load cuda".to_owned()],
        slurm_log: Some("logs".to_owned()),
        ..Slurm::default()
    });
    case.code = Some(Code { folder: Path::new("/scratch/u/copy"), per_job: false, path: python_path() });
    insta::assert_snapshot!("snapshot", case.render(None).unwrap());
    insta::assert_snapshot!("snapshot_original", case.render(Some(ORIGINAL)).unwrap());
}

#[test]
fn each_job_runs_in_its_own_copy() {
    let mut case = Case::new(Slurm::default());
    case.array.record.offset = 101;
    case.code = Some(Code { folder: Path::new("/scratch/$u/my copies"), per_job: true, path: python_path() });
    insta::assert_snapshot!("snapshot_per_job", case.render(None).unwrap());
    insta::assert_snapshot!("snapshot_per_job_original", case.render(Some(ORIGINAL)).unwrap());
    case.code = Some(Code { folder: Path::new("/scratch/a:b"), per_job: true, path: &python_path()[..2] });
    assert!(!case.render(None).unwrap().contains("PYTHONPATH"));
    case.code = Some(Code { folder: Path::new("/scratch/a\nb"), per_job: false, path: &[] });
    assert!(case.render(None).is_err());
}

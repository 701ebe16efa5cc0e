//! How documents and files come together: DEFAULT, SLURM, imports, the command line.

use super::*;

fn params(experiment: &Experiment) -> String {
    experiment.params.to_value().to_json()
}

#[test]
fn default_lies_under_every_experiment() {
    let text = "
name: Default
path: out
repetitions: 3
command: ./run
params: {a: 1, net: {width: 64, depth: 2}, b: [1, 2]}
---
name: x
params: {net: {depth: 3, kind: mlp}, b: [3], c: {}}
---
name: y
path: elsewhere
";
    let (config, report) = load_files(&[("c.yml", text)], &request()).unwrap();
    assert!(report.is_empty());
    let [x, y] = &config.experiments[..] else { panic!("two experiments") };
    assert_eq!(params(x), r#"{"a":1,"net":{"width":64,"depth":3,"kind":"mlp"},"b":[3],"c":{}}"#);
    assert_eq!((x.path.as_str(), x.repetitions), ("out", 3));
    assert_eq!(params(y), r#"{"a":1,"net":{"width":64,"depth":2},"b":[1,2]}"#);
    assert_eq!(y.path, "elsewhere");
    // A place in DEFAULT stays one.
    assert_eq!(report.place(x.origin.get("repetitions").unwrap().at), "c.yml:4:14");
    assert_eq!(report.place(y.origin.get("path").unwrap().at), "c.yml:12:7");
}

#[test]
fn inherited_sweeps_keep_their_place() {
    let text = "
name: DEFAULT
path: out
repetitions: 1
command: ./run
grid: {lr: [1], width: [2]}
list2: {a: [1]}
---
name: x
list1: {b: [1]}
grid: {depth: [3], lr: [4, 5]}
";
    let experiment = one(text, &request());
    let sweeps: Vec<_> = experiment
        .sweeps
        .iter()
        .map(|sweep| {
            let axes: Vec<_> =
                sweep.axes.iter().map(|axis| format!("{}:{}", axis.path.join("."), axis.values.len())).collect();
            format!("{} {}", sweep.key, axes.join(" "))
        })
        .collect();
    assert_eq!(sweeps, ["grid lr:2 width:1 depth:1", "list2 a:1", "list1 b:1"]);
}

#[test]
fn parents_lie_under_their_children() {
    let main = "
name: DEFAULT
params: {from: default}
---
name: x
import_path: sub/parent.yml
import_exp: p
params: {own: 1}
---
name: y
import_exp: x
params: {own: 2}
";
    let parent = "
name: DEFAULT
path: from_parent
params: {from: parent default, base: 0}
---
name: p
import_path: grand.yml
command: ./p
params: {own: 0, p: true}
";
    let grand = "name: default\nrepetitions: 7\npath: from_grand\nparams: {base: 1, grand: yes}\n";
    let files = [("c.yml", main), ("sub/parent.yml", parent), ("sub/grand.yml", grand)];
    let (config, report) = load_files(&files, &request()).unwrap();
    let [x, y] = &config.experiments[..] else { panic!("two experiments") };
    assert_eq!(params(x), r#"{"base":0,"grand":true,"from":"default","own":1,"p":true}"#);
    assert_eq!((x.path.as_str(), x.repetitions), ("from_parent", 7));
    assert_eq!(params(y), r#"{"base":0,"grand":true,"from":"default","own":2,"p":true}"#);
    let names: Vec<_> = config.files.iter().map(|file| file.path.display().to_string()).collect();
    assert_eq!(names, ["c.yml", "sub/parent.yml", "sub/grand.yml"]);
    assert_eq!(report.place(x.origin.get("repetitions").unwrap().at), "sub/grand.yml:2:14");
    assert!(x.origin.get("import_path").is_none());
}

#[test]
fn a_circle_of_imports() {
    let main = "name: a\nimport_path: sub/b.yml\nimport_exp: b\n";
    let sub = "name: b\nimport_path: ../c.yml\nimport_exp: a\n";
    assert_eq!(
        import_errors(&[("c.yml", main), ("sub/b.yml", sub)], &request()),
        "error: the imports form a cycle: c.yml:a → sub/b.yml:b → c.yml:a
 --> sub/b.yml:3:13
  |
3 | import_exp: a
  |             ^
  |
  = help: remove one of the imports"
    );
}

#[test]
fn an_experiment_that_imports_itself() {
    assert_eq!(
        errors("name: a\nimport_exp: a\n", &request()),
        "error: the imports form a cycle: c.yml:a → c.yml:a
 --> c.yml:2:13
  |
2 | import_exp: a
  |             ^
  |
  = help: remove one of the imports"
    );
}

#[test]
fn a_parent_that_is_not_there() {
    let main = "name: a\nimport_path: b.yml\nimport_exp: basse\n";
    assert_eq!(
        import_errors(&[("c.yml", main), ("b.yml", "name: base\n---\nname: other\n")], &request()),
        "error: there is no experiment `basse` in `b.yml`
 --> c.yml:3:13
  |
3 | import_exp: basse
  |             ^^^^^
  |
  = help: did you mean `base`? the experiments are `base` and `other`"
    );
}

#[test]
fn a_parent_without_default() {
    let main = "name: a\nimport_path: b.yml\n";
    assert_eq!(
        import_errors(&[("c.yml", main), ("b.yml", "name: base\n---\nname: other\n")], &request()),
        "error: there is no DEFAULT in `b.yml`
 --> c.yml:2:14
  |
2 | import_path: b.yml
  |              ^^^^^
  |
  = help: its experiments are `base` and `other`; name one of them with `import_exp`"
    );
}

#[test]
fn invalid_yaml_in_a_parent() {
    let main = "name: a\nimport_path: sub/b.yml\n";
    assert_eq!(
        import_errors(&[("c.yml", main), ("sub/b.yml", "name: b\nx: 'y\n")], &request()),
        "error: invalid YAML: while scanning a quoted scalar, found unexpected end of stream
 --> sub/b.yml:2:4
  |
2 | x: 'y
  |    ^
  |
  = note: imported by c.yml:a
  = help: close the quotes"
    );
}

#[test]
fn not_utf_8() {
    let files = Files(HashMap::from([(PathBuf::from("c.yml"), b"name: a\npath: \xe9t\xc3\xa9\n".to_vec())]));
    let report = load(&files, Path::new("c.yml"), &request()).unwrap_err();
    assert_eq!(
        report.render(false),
        "error: the file is not UTF-8: byte 0xE9 cannot stand here
 --> c.yml:2:7
  |
2 | path: \u{fffd}té
  |       ^
  |
  = help: save the file as UTF-8"
    );
}

#[test]
fn a_byte_order_mark_is_skipped_and_kept() {
    let text = format!("\u{feff}{GOOD}params: {{é: 5}}\n");
    let (config, report) = load_files(&[("c.yml", &text)], &request()).unwrap();
    assert_eq!(config.files[0].text, text);
    let at = config.experiments[0].params.get("é").unwrap().at;
    assert_eq!(report.place(at), "c.yml:5:13");
    assert_eq!(&text[at.start as usize..at.end as usize], "5");
    let first = config.experiments[0].origin.key_at("name").unwrap();
    assert_eq!((first.column, &text[first.start as usize..first.end as usize]), (1, "name"));
}

#[test]
fn slurm_is_chosen_by_the_host() {
    let text = format!(
        "{GOOD}---\nname: SLURM\npartition: any\ntime: 90\n---\nname: Slurm_NODE1\npartition: special\n---\nname: SLURM_other\n"
    );
    let at = |hostname: &str| one(&text, &Request { hostname: hostname.to_owned(), ..request() }).slurm;
    assert_eq!(at("Node17.example").options.text("partition"), Some("special"));
    assert_eq!(at("Node17.example").options.text("time"), Some("1:30:00"));
    assert_eq!(at("laptop").options.text("partition"), Some("any"));
    assert_eq!(at("laptop").options.text("time"), Some("1:30:00"));
    assert_eq!(at("another").options.text("partition"), Some("any"));
}

#[test]
fn an_experiment_has_slurm_keys_of_its_own() {
    let text = format!(
        "{GOOD}cpus_per_rep: 2\nslurm: {{time: 2-0, sbatch_args: {{gres: gpu:2}}, gpus_per_rep: 0.5}}\n---\nname: SLURM\ntime: 10\npartition: p\nsbatch_args: {{qos: high, gres: null}}\ncpus_per_rep: 9\n"
    );
    let experiment = one(&text, &request());
    assert_eq!(experiment.slurm.options.text("time"), Some("2-0"));
    assert_eq!(experiment.slurm.options.text("partition"), Some("p"));
    let written: Vec<_> = experiment.slurm.options.written().map(|(key, _)| key).collect();
    assert_eq!(written, ["qos", "gres"]);
    assert_eq!(["qos", "gres"].map(|option| experiment.slurm.options.text(option)), [Some("high"), Some("gpu:2")]);
    assert_eq!((experiment.cpus_per_rep, experiment.gpus_per_rep), (Some(2), Some(0.5)));
}

#[test]
fn only_what_is_selected_is_resolved() {
    let text = format!("{GOOD}---\nname: broken\nrepetitions: none\n");
    let request = Request { experiments: vec!["a".to_owned()], ..request() };
    assert_eq!(one(&text, &request).name, "a");
}

#[test]
fn the_command_line_wins() {
    let text = format!("{GOOD}params: {{net: {{width: 1}}}}\ngrid: {{lr: [1, 2]}}\n---\nname: SLURM\ntime: 10\n");
    let set = [
        "params.net.width=64",
        "params.new.deep=[1e-3, x]",
        "slurm.time=1-0",
        "repetitions=5",
        "grid.lr=[7]",
        "workdir=",
    ];
    let request = Request { set: set.map(str::to_owned).to_vec(), ..request() };
    let experiment = one(&text, &request);
    assert_eq!(params(&experiment), r#"{"net":{"width":64},"new":{"deep":[0.001,"x"]}}"#);
    assert_eq!(experiment.slurm.options.text("time"), Some("1-0"));
    assert_eq!(experiment.repetitions, 5);
    assert_eq!(experiment.sweeps[0].axes[0].values.len(), 1);
    assert_eq!(experiment.workdir, None);
    assert_eq!(experiment.params.get("net").unwrap().get("width").unwrap().at.file, At::COMMAND_LINE);
}

#[test]
fn debug_is_one_repetition() {
    let text = format!("{GOOD}iterations: 9\nreps_per_job: 4\nreps_in_parallel: 2\n");
    for (debug, debug_all) in [(true, false), (false, true)] {
        let experiment = one(&text, &Request { debug, debug_all, ..request() });
        let counts =
            (experiment.repetitions, experiment.iterations, experiment.reps_per_job, experiment.reps_in_parallel);
        assert_eq!(counts, (1, Some(1), 1, 1));
        assert_eq!(experiment.path, "out/debug");
        assert_eq!(experiment.first_run_only, debug);
    }
}

#[test]
fn settings_for_other_hosts_only() {
    let text = format!("{GOOD}---\nname: SLURM_node1\npartition: a\n---\nname: SLURM_horeka\npartition: b\n");
    assert_eq!(one(&text, &request()).slurm.options.text("partition"), Some("a"));
    let elsewhere = Request { hostname: "laptop".to_owned(), ..request() };
    let rendered = "no SLURM document matches this host, `laptop`: there are only `SLURM_node1` and `SLURM_horeka`
 --> c.yml:6:7
  |
6 | name: SLURM_node1
  |       ^^^^^^^^^^^
  |
  = help: name one of them after this host, add a document `SLURM` for all others, or choose one with `--cluster`";
    assert_eq!(errors(&text, &elsewhere), format!("error: {rendered}"));
    let looking = Request { for_slurm: false, ..elsewhere };
    assert_eq!(warnings(&text, &looking), format!("warning: {rendered}"));
}

#[test]
fn a_cluster_is_chosen_by_its_name() {
    let text = format!("{GOOD}---\nname: SLURM_node1\npartition: a\n---\nname: SLURM_horeka\npartition: b\n");
    let on = |cluster: &str| Request { cluster: Some(cluster.to_owned()), ..request() };
    assert_eq!(one(&text, &on("HoreKa")).slurm.options.text("partition"), Some("b"));
    assert_eq!(
        errors(&text, &on("horka")),
        "error: no SLURM document describes the cluster `horka`
 |
 = help: did you mean `horeka`? the documents describe `node1` and `horeka`"
    );
    // A part of a name is none.
    assert!(errors(&text, &on("node")).contains("describes the cluster `node`"));
    let none = errors(GOOD, &on("x"));
    assert!(none.contains("a document named `SLURM_x` would describe it"), "{none}");
}

#[test]
fn slurm_comes_from_a_common_file() {
    let own = format!(
        "{GOOD}---\nname: SLURM\nimport_path: ../clusters.yml\ntime: 90\nsbatch_args: {{qos: high}}\n---\nname: SLURM_zz\naccount: mine\n"
    );
    let common = "name: SLURM\nimport_path: site.yml\ntime: 10\npartition: any\nsbatch_args: {gres: gpu:1}\n---\n\
                  name: SLURM_node17\npartition: fast\n---\nname: SLURM_zz\npartition: x\n";
    let files = [("c.yml", own.as_str()), ("../clusters.yml", common), ("../site.yml", "name: slurm\naccount: site\n")];
    let with = |cluster: Option<&str>| {
        let request = Request { cluster: cluster.map(str::to_owned), ..request() };
        let (config, _) = load_files(&files, &request).unwrap();
        let options = &config.experiments[0].slurm.options;
        let names = ["time", "partition", "account", "qos", "gres"];
        assert_eq!(config.files.len(), 3);
        names.map(|name| options.text(name).map(str::to_owned))
    };
    let some = |text: &str| Some(text.to_owned());
    let expected = |partition, account| [some("1:30:00"), some(partition), some(account), some("high"), some("gpu:1")];
    assert_eq!(with(None), expected("fast", "site"));
    assert_eq!(with(Some("zz")), expected("x", "mine"));
}

#[test]
fn what_is_wrong_with_an_import_of_slurm() {
    let text = format!("{GOOD}---\nname: SLURM\nimport_path: b.yml\n");
    let with = |b: &str| import_errors(&[("c.yml", &text), ("b.yml", b)], &request());
    assert_eq!(
        with("name: SLURM\nimport_path: ./c.yml\n"),
        "error: the imports of SLURM form a cycle: c.yml → b.yml → c.yml
 --> b.yml:2:14
  |
2 | import_path: ./c.yml
  |              ^^^^^^^
  |
  = help: remove one of the imports"
    );
    assert_eq!(
        with("name: SLURM_zz\n---\nname: SLURM_zy\n"),
        "error: no SLURM document in `b.yml` matches this host, `node17.example`: there are only `SLURM_zz` and `SLURM_zy`
 --> c.yml:7:14
  |
7 | import_path: b.yml
  |              ^^^^^
  |
  = help: add a document `SLURM` there for all others, or choose one with `--cluster`"
    );
    assert!(with("name: DEFAULT\n").starts_with("error: there is no SLURM document in `b.yml`\n --> c.yml:7:14"));
    assert!(with("name: SLURM\ntime: [\n").contains("imported by c.yml:SLURM"));
    let missing = import_errors(&[("c.yml", &text)], &request());
    assert!(missing.starts_with("error: cannot read `b.yml`: no such file\n --> c.yml:7:14"), "{missing}");
    let list = text.replace("b.yml", "[b.yml]");
    assert!(errors(&list, &request()).contains("`import_path` must be text, found a list"));
    let own = errors(&format!("{GOOD}slurm: {{import_path: b.yml}}\n"), &request());
    assert!(own.starts_with("error: `import_path` has no effect in an experiment's `slurm`"), "{own}");
}

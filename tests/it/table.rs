//! `cw2 results`: what repetitions measured, as tables.

use crate::console::without_times;
use crate::support::{Call, Outcome, Scene, SmallDisk};
use serde_json::{Value, json};
use std::fs;

/// Two parameters, three repetitions, of one run the last one crashes. `acc` is 0.16, 0.32 or 0.48 by width, 0.01 more for each
/// repetition, and at step 1 half of that of step 2; `loss` is best at step 1.
const SWEEP: &str = r#"name: e
path: out
repetitions: 3
objective: max acc
params: {opt: sgd, net: {depth: 2}}
grid: {lr: [0.1, 0.01], width: [16, 32]}
command: |
  echo '{"step": 1, "acc": {{ (params.width / 100 + rep / 100) / 2 }}, "loss": {"val": {{ params.lr }}}}' >> $CW2_METRICS
  echo '{"step": 2, "acc": {{ params.width / 100 + rep / 100 }}, "loss": {"val": {{ params.lr * 4 }}}}' >> $CW2_METRICS
  if [ {{ params.width }}{{ params.lr }}{{ rep }} = 160.12 ]; then exit 1; fi
"#;

fn scene() -> Scene {
    let scene = Scene::with(SWEEP);
    scene.cw2("run config.yml").expect(1);
    // How long a repetition took is never the same.
    for dir in scene.reps() {
        let mut status = scene.status(&dir);
        status["seconds"] = json!(90.0);
        scene.write(&format!("{dir}/status.json"), status.to_string());
    }
    scene
}

impl Scene {
    /// Calls `cw2 results` with words, and ones that may hold spaces behind them.
    fn results(&self, words: &str, more: &[&str]) -> Outcome {
        self.call(["results"].into_iter().chain(words.split_whitespace()).chain(more.iter().copied())).run()
    }

    /// The table.
    fn table(&self, words: &str, more: &[&str]) -> String {
        without_times(&self.results(words, more).expect(0).out())
    }
}

#[test]
fn a_row_a_run_the_best_first() {
    let scene = scene();
    let outcome = scene.results("out", &[]).expect(0);
    insta::assert_snapshot!(outcome.out(), @r"
         lr  width    N              acc  loss.val    TIME  NOTES
    *  0.01     32  3/3    0.330 ± 0.010  0.04 ± 0  1m 30s
        0.1     32  3/3    0.330 ± 0.010   0.4 ± 0  1m 30s
       0.01     16  3/3    0.170 ± 0.010  0.04 ± 0  1m 30s
        0.1     16  2/3  0.1650 ± 0.0071   0.4 ± 0  1m 30s  1 crashed
    ");
    insta::assert_snapshot!(outcome.err(), @r"note: N differs: from 2 to 3 repetitions a row");
    // Without a word where they are, and with the crashed one.
    insta::assert_snapshot!(scene.table("--include crashed --last acc --digits 2", &[]), @r"
         lr  width    N          acc    TIME  NOTES
    *  0.01     32  3/3  0.33 ± 0.01  1m 30s
        0.1     32  3/3  0.33 ± 0.01  1m 30s
       0.01     16  3/3  0.17 ± 0.01  1m 30s
        0.1     16  3/3  0.17 ± 0.01  1m 30s  1 crashed
    ");
}

#[test]
fn metrics_that_cannot_be_read_change_no_state() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 2\ncommand: |\n  echo '{\"x\": 1}' >> $CW2_METRICS\n");
    scene.cw2("run config.yml").expect(0);
    let metrics = scene.path("out/e/log/rep_00/metrics.jsonl");
    fs::remove_file(&metrics).expect("it was written");
    fs::create_dir(&metrics).expect("nothing is there");
    let outcome = scene.results("out", &[]).expect(0).says(["cannot read `out/e/log/rep_00/metrics.jsonl`"]);
    assert!(outcome.out().contains(" 2/2 ") && !outcome.err().contains("counts neither"), "{}", outcome.err());
}

#[test]
fn which_repetition_a_record_is_of_is_no_metric() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 2\ngrid: {x: [1, 2]}\ncommand: |\n  \
         echo '{\"loss\": 1, \"ts\": \"2026-01-01\", \"rep\": {{ rep }}, \"iter\": 0}' >> $CW2_METRICS\n",
    );
    scene.cw2("run config.yml").expect(0);
    let header = |words: &str| {
        scene.table(words, &[]).lines().next().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
    };
    assert_eq!(header("out").as_deref(), Some("x N loss TIME"));
    assert_eq!(header("out --reps").as_deref(), Some("REP STATE x loss TIME"));
    assert_eq!(header("out --history").as_deref(), Some("REP STATE x ATTEMPT STEP loss"));
    // Another number of that name is one.
    let line = scene.read("out/e/e__x1/log/rep_01/metrics.jsonl").replace("\"rep\": 1", "\"rep\": 5");
    scene.write("out/e/e__x1/log/rep_01/metrics.jsonl", line);
    assert_eq!(header("out").as_deref(), Some("x N loss rep TIME"));
}

#[test]
fn values_are_chosen() {
    let scene = scene();
    insta::assert_snapshot!(scene.table("out --best loss.val --min --at 1 acc --last acc", &[]), @r"
         lr  width    N              acc  min(loss.val)            acc@1    TIME  NOTES
    *  0.01     32  3/3    0.330 ± 0.010       0.01 ± 0  0.1650 ± 0.0050  1m 30s
        0.1     32  3/3    0.330 ± 0.010        0.1 ± 0  0.1650 ± 0.0050  1m 30s
       0.01     16  3/3    0.170 ± 0.010       0.01 ± 0  0.0850 ± 0.0050  1m 30s
        0.1     16  2/3  0.1650 ± 0.0071        0.1 ± 0  0.0825 ± 0.0035  1m 30s  1 crashed
    ");
    insta::assert_snapshot!(scene.table("out --best acc --by loss.val --min --ci", &[]), @r"
         lr  width    N  acc@min(loss.val)    TIME  NOTES
    *  0.01     32  3/3      0.165 ± 0.012  1m 30s
        0.1     32  3/3      0.165 ± 0.012  1m 30s
       0.01     16  3/3      0.085 ± 0.012  1m 30s
        0.1     16  2/3      0.083 ± 0.032  1m 30s  1 crashed
    ");
    insta::assert_snapshot!(scene.table("out --last acc --median --group width --sort width", &[]), @r"
       width    N                   acc    TIME  NOTES
          16  5/6  0.170 [0.160, 0.170]  1m 30s  1 crashed
    *     32  6/6  0.330 [0.323, 0.338]  1m 30s
    ");
    // The order of a parameter says nothing of what is best.
    let table = scene.table("out --last loss.val --sort width --max", &[]);
    assert!(!table.contains('*') && table.lines().nth(1).is_some_and(|line| line.contains(" 32 ")), "{table}");
    insta::assert_snapshot!(scene.table("out --last loss.val --sort loss.val", &[]), @r"
      lr  width    N  loss.val    TIME  NOTES
    0.01     16  3/3  0.04 ± 0  1m 30s
    0.01     32  3/3  0.04 ± 0  1m 30s
     0.1     16  2/3   0.4 ± 0  1m 30s  1 crashed
     0.1     32  3/3   0.4 ± 0  1m 30s
    ");
    insta::assert_snapshot!(scene.table("out --last acc --sort n --max", &["--where", "width > 16 or lr == 0.1"]), @r"
         lr  width    N              acc    TIME  NOTES
    *  0.01     32  3/3    0.330 ± 0.010  1m 30s
        0.1     32  3/3    0.330 ± 0.010  1m 30s
        0.1     16  2/3  0.1650 ± 0.0071  1m 30s  1 crashed
    ");
}

#[test]
fn what_is_not_there_is_said() {
    let scene = scene();
    for (words, more, says) in [
        ("out --last ac", &[][..], "error: no repetition has the metric `ac`; did you mean `acc`?"),
        (
            "out --best loss.val",
            &[],
            "which `loss.val` is the best? Say `--max` or `--min`, or write the key `objective: max loss.val`",
        ),
        ("out --at x acc", &[], "`--at` wants a step and a metric, as in `--at 100 loss`: `x` is no number"),
        ("out --group with", &[], "`--group`: no run has the parameter `with`; did you mean `width`?"),
        ("out --sort los", &[], "`--sort`: there is no column `los`"),
        ("out --pivot lr widht acc", &[], "`--pivot`: no run has the parameter `widht`; did you mean `width`?"),
        ("out --where", &["width > "], "`--where`: unexpected end of input, expected expression\n  width > \n"),
        (
            "out --where",
            &["widht > 3"],
            "no run has the parameter `widht`; did you mean `width`?\n  widht > 3\n  ^^^^^",
        ),
        ("out -e f", &[], "there is no experiment `f`"),
        ("nowhere", &[], "`nowhere` is not there"),
        ("config.yml", &[], "`config.yml` is no folder"),
        ("out/plans/001/config", &[], "there is no repetition in `out/plans/001/config`"),
        ("out -o x.xlsx", &[], "what format is a file `.xlsx`? Say `--format`"),
    ] {
        scene.results(words, more).expect(2).silent().says([says]);
    }
    assert_eq!(
        scene.results("out -r nothing", &[]).expect(0).stderr,
        "warning: no repetition is chosen by these options\n"
    );
    scene.write("config.yml", scene.read("config.yml").replace("max acc", "max ac"));
    scene.cw2("run config.yml -o").expect(1);
    scene
        .results("out", &[])
        .expect(0)
        .says(["the objective is `ac`, which no repetition has as a metric; did you mean `acc`?"]);
    scene.results("out --at -1 acc", &[]).expect(0).says(["warning: no repetition has a value for `acc@-1`"]);
    let empty = Scene::new();
    empty.results("", &[]).expect(2).silent().says(["there are no results here"]);
    assert!(!scene.has("x.xlsx"));
}

#[test]
fn a_row_a_repetition_and_a_row_a_step() {
    let scene = scene();
    let reps = scene.results("out --reps --format jsonl", &[]).expect(0).json_lines();
    assert_eq!(reps.len(), 12);
    assert_eq!(
        reps[8],
        json!({
            "experiment": "e", "run": "e__l0.1_w16", "rep": 2, "state": "crashed", "attempt": 1, "seconds": 90.0,
            "commit": null, "dir": "out/e/e__l0.1_w16/log/rep_02",
            "params": {"opt": "sgd", "net.depth": 2, "lr": 0.1, "width": 16}, "metrics": {"acc": 0.18, "loss.val": 0.4},
        })
    );
    let csv = scene.table("out --reps --format csv", &[]);
    let lines: Vec<_> = csv.lines().collect();
    assert_eq!(
        [lines[0], lines[9]],
        [
            "experiment,run,rep,state,opt,net.depth,lr,width,acc,loss.val,attempt,seconds,commit,dirty,dir",
            "e,e__l0.1_w16,2,crashed,sgd,2,0.1,16,0.18,0.4,1,90.0,,,out/e/e__l0.1_w16/log/rep_02",
        ]
    );
    insta::assert_snapshot!(scene.table("out --reps -r *w32 --rep 1", &[]), @r"
    REP  STATE        lr   acc  loss.val    TIME
      1  completed  0.01  0.33      0.04  1m 30s
      1  completed   0.1  0.33       0.4  1m 30s
    ");
    insta::assert_snapshot!(scene.table("out --history -r *l0.1* --rep 0", &[]), @r"
    REP  STATE      width  ATTEMPT  STEP   acc  loss.val
      0  completed     16        1     1  0.08       0.1
      0  completed     16        1     2  0.16       0.4
      0  completed     32        1     1  0.16       0.1
      0  completed     32        1     2  0.32       0.4
    ");
    let steps = scene.results("out --history --format jsonl", &[]).expect(0).json_lines();
    assert_eq!(steps.len(), 24);
    assert_eq!(
        steps[1],
        json!({
            "experiment": "e", "run": "e__l0.01_w16", "rep": 0, "state": "completed", "attempt": 1, "step": 2,
            "params": {"lr": 0.01, "width": 16}, "metrics": {"acc": 0.16, "loss.val": 0.04},
        })
    );
    let csv = scene.table("out --history --format csv --last acc", &[]);
    assert_eq!(csv.lines().count(), 25);
    assert_eq!(csv.lines().next(), Some("experiment,run,rep,state,lr,width,attempt,step,acc"));
}

#[test]
fn the_formats_say_the_same() {
    let scene = scene();
    insta::assert_snapshot!(scene.table("out --last acc --format csv", &[]), @r"
    best,experiment,run,opt,net.depth,lr,width,n,of,acc,acc_sd,acc_n,seconds,commit,dirty
    true,e,e__l0.01_w32,sgd,2,0.01,32,3,3,0.33,0.010000000000000009,3,90.0,,
    false,e,e__l0.1_w32,sgd,2,0.1,32,3,3,0.33,0.010000000000000009,3,90.0,,
    false,e,e__l0.01_w16,sgd,2,0.01,16,3,3,0.17,0.009999999999999995,3,90.0,,
    false,e,e__l0.1_w16,sgd,2,0.1,16,2,3,0.165,0.007071067811865481,2,90.0,,
    ");
    insta::assert_snapshot!(scene.table("out --last acc --format jsonl -r *w16", &[]), @r#"
    {"best":true,"experiment":"e","run":"e__l0.01_w16","n":3,"of":3,"seconds":90.0,"commit":null,"notes":null,"params":{"opt":"sgd","net.depth":2,"lr":0.01,"width":16},"metrics":{"acc":{"mean":0.17,"sd":0.009999999999999995,"n":3}}}
    {"best":false,"experiment":"e","run":"e__l0.1_w16","n":2,"of":3,"seconds":90.0,"commit":null,"notes":"1 crashed","params":{"opt":"sgd","net.depth":2,"lr":0.1,"width":16},"metrics":{"acc":{"mean":0.165,"sd":0.007071067811865481,"n":2}}}
    "#);
    insta::assert_snapshot!(scene.table("out --last acc --format markdown", &[]), @r"
    | lr | width | N | acc | time | notes |
    |---:|---:|---:|---:|---:|---|
    | 0.01 | 32 | 3/3 | **0.330 ± 0.010** | 1m 30s |  |
    | 0.1 | 32 | 3/3 | 0.330 ± 0.010 | 1m 30s |  |
    | 0.01 | 16 | 3/3 | 0.170 ± 0.010 | 1m 30s |  |
    | 0.1 | 16 | 2/3 | 0.1650 ± 0.0071 | 1m 30s | 1 crashed |
    ");
    insta::assert_snapshot!(scene.table("out --last acc --format latex", &[]), @r"
    \begin{tabular}{rrrrrl}
    \toprule
    lr & width & N & acc & time & notes \\
    \midrule
    0.01 & 32 & 3/3 & $\mathbf{0.330 \pm 0.010}$ & 1m 30s &  \\
    0.1 & 32 & 3/3 & $0.330 \pm 0.010$ & 1m 30s &  \\
    0.01 & 16 & 3/3 & $0.170 \pm 0.010$ & 1m 30s &  \\
    0.1 & 16 & 2/3 & $0.1650 \pm 0.0071$ & 1m 30s & 1 crashed \\
    \bottomrule
    \end{tabular}
    ");
    insta::assert_snapshot!(scene.table("out --pivot lr width acc --format latex --digits 3", &[]), @r"
    \begin{tabular}{rrr}
    \toprule
    lr \textbackslash{} width & 16 & 32 \\
    \midrule
    0.01 & $\mathbf{0.170 \pm 0.010}$ & $\mathbf{0.330 \pm 0.010}$ \\
    0.1 & $0.165 \pm 0.007$ & $\mathbf{0.330 \pm 0.010}$ \\
    \bottomrule
    \end{tabular}
    ");
    insta::assert_snapshot!(scene.table("out --pivot width lr loss.val --min --format markdown", &[]), @r"
    | width \\ lr | 0.01 | 0.1 |
    |---:|---:|---:|
    | 16 | **0.04 ± 0** | **0.4 ± 0** |
    | 32 | **0.04 ± 0** | **0.4 ± 0** |
    ");
    insta::assert_snapshot!(scene.table("out --pivot width lr loss.val", &[]), @r"
    width \ lr      0.01      0.1
            16  0.04 ± 0  0.4 ± 0
            32  0.04 ± 0  0.4 ± 0
    ");
    // A file's name says what it is to be; it appears whole.
    for (name, format) in
        [("t.csv", "csv"), ("t.jsonl", "jsonl"), ("t.md", "markdown"), ("t.tex", "latex"), ("t.txt", "table")]
    {
        scene.results("out -q -o", &[name]).expect(0).silent();
        assert_eq!(scene.read(name), scene.table(&format!("out --format {format}"), &[]), "{name}");
    }
    scene
        .results("out -o nowhere/t.csv", &[])
        .expect(2)
        .silent()
        .says(["cannot write `nowhere/t.csv`: `nowhere` is no folder"]);
    std::os::unix::net::UnixListener::bind(scene.path("socket")).expect("a socket");
    scene.results("out -o socket", &[]).expect(2).silent().says(["cannot write `socket`: it is no file"]);
    let parquet = scene.results("out -o t.parquet", &[]);
    if cfg!(feature = "parquet") {
        parquet.expect(0).silent();
        let bytes = fs::read(scene.path("t.parquet")).expect("a file");
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    } else {
        parquet.expect(2).silent().says(["built without Parquet"]);
    }
}

#[test]
fn a_table_that_does_not_fit_on_the_disk_is_no_table() {
    let scene = scene();
    let Some(_disk) = SmallDisk::mount(&scene.path("disk"), "4k") else { return };
    scene.write("disk/t.csv", "what was there");
    let full = "error: cannot write `disk/t.csv`: No space left on device (os error 28); free some space";
    scene.results("out --history -o disk/t.csv", &[]).expect(3).silent().says([full]);
    assert_eq!(
        (scene.read("disk/t.csv"), fs::read_dir(scene.path("disk")).expect("it").count()),
        ("what was there".to_owned(), 1)
    );
}

#[test]
fn what_has_no_room_is_named() {
    let scene = scene();
    let outcome = scene.call(["results", "out"]).env("COLUMNS", "50").run().expect(0);
    insta::assert_snapshot!(outcome.out(), @r"
         lr  width    N              acc    TIME  NOTES
    *  0.01     32  3/3    0.330 ± 0.010  1m 30s
        0.1     32  3/3    0.330 ± 0.010  1m 30s
       0.01     16  3/3    0.170 ± 0.010  1m 30s
        0.1     16  2/3  0.1650 ± 0.0071  1m 30s  1 crashed
    ");
    assert!(outcome.stderr.contains("note: no room for `loss.val`; `--last METRIC` chooses"), "{}", outcome.stderr);
}

#[test]
fn names_are_data() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 1\ngrid: {\"a|b\": [\"x\\u001b[2J_&\", \"</script>,\\\"q\\\"\"], n: [1]}\n\
         command: |\n  echo '{\"n\":1, \"run\":2}' > $CW2_METRICS\n",
    );
    scene.cw2("run config.yml").expect(0);
    insta::assert_snapshot!(scene.table("out", &[]), @r#"
    a|b              N  n  run   TIME
    </script>,"q"  1/1  1    2  0.0 s
    x\u{1b}[2J_&   1/1  1    2  0.0 s
    "#);
    insta::assert_snapshot!(scene.table("out --format markdown", &[]), @r#"
    | a\|b | N | n | run | time |
    |---|---:|---:|---:|---:|
    | \</script>,"q" | 1/1 | 1 | 2 | 0.0 s |
    | x\\u{1b}\[2J\_\& | 1/1 | 1 | 2 | 0.0 s |
    "#);
    insta::assert_snapshot!(scene.table("out --format latex", &[]), @r#"
    \begin{tabular}{lrrrr}
    \toprule
    a|b & N & n & run & time \\
    \midrule
    \textless{}/script\textgreater{},"q" & 1/1 & $1$ & $2$ & 0.0 s \\
    x\textbackslash{}u\{1b\}[2J\_\& & 1/1 & $1$ & $2$ & 0.0 s \\
    \bottomrule
    \end{tabular}
    "#);
    let csv = scene.table("out --reps --format csv", &[]);
    assert_eq!(
        csv.lines().next(),
        Some("experiment,run,rep,state,a|b,n,metrics.n,metrics.run,attempt,seconds,commit,dirty,dir")
    );
    assert!(csv.contains("\"</script>,\"\"q\"\"\""), "{csv}");
}

#[test]
fn folders_are_read_without_their_plans_and_put_together() {
    let scene = scene();
    let copy = |from: &str, to: &str| Call::new("cp", scene.root()).args(["-r", from, to]).run().expect(0);
    let table = scene.table("out", &[]);
    copy("out", "kept");
    fs::remove_dir_all(scene.path("kept/plans")).expect("the plans of the copy");
    assert_eq!(scene.table("kept", &[]), table);
    // One of which a repetition is missing, and one finished where the other crashed.
    fs::remove_dir_all(scene.path("kept/e/e__l0.01_w16/log/rep_00")).expect("a repetition");
    let mut crashed = scene.status("kept/e/e__l0.1_w16/log/rep_02");
    crashed["state"] = json!("completed");
    scene.write("kept/e/e__l0.1_w16/log/rep_02/status.json", crashed.to_string());
    for order in ["out kept", "kept out"] {
        let outcome = scene.results(order, &["--last", "acc"]).expect(0);
        let twice = "11 repetitions are there twice, and the finished or newer one counts: ";
        assert!(outcome.stderr.contains(twice), "{}", outcome.stderr);
        insta::allow_duplicates! { insta::assert_snapshot!(outcome.out(), @r"
             lr  width    N            acc    TIME
        *  0.01     32  3/3  0.330 ± 0.010  1m 30s
            0.1     32  3/3  0.330 ± 0.010  1m 30s
           0.01     16  3/3  0.170 ± 0.010  1m 30s
            0.1     16  3/3  0.170 ± 0.010  1m 30s
        "); }
    }
    // The same folder twice is no news.
    let absolute = scene.path("out").display().to_string();
    let outcome = scene.results("out ./out out/e", &[&absolute]).expect(0);
    assert_eq!((outcome.out(), outcome.stderr.contains("twice")), (table, false));
    // A plan is what it started, wherever it was moved to.
    fs::rename(scene.path("out"), scene.path("moved")).expect("another name");
    assert_eq!(scene.table("moved/plans/001 --reps --format csv", &[]).lines().count(), 13);
    assert_eq!(scene.table("moved/e/e__l0.1_w16/log/rep_01 --reps --format csv", &[]).lines().count(), 2);
}

#[test]
fn a_plan_means_its_own_repetitions() {
    let scene = scene();
    scene.write("config.yml", scene.read("config.yml").replace("[16, 32]", "[16, 32, 48]"));
    scene.cw2("run config.yml").expect(1);
    let rows = |words: &str| scene.table(&format!("{words} --reps --format csv"), &[]).lines().count() - 1;
    assert_eq!([rows("out"), rows("out/plans/001"), rows("out/plans/002")], [18, 12, 7]);
}

#[test]
fn what_debugging_ran_is_left_out() {
    let scene = scene();
    scene.cw2("run config.yml --debug").expect(0);
    let outcome = scene.results("out --reps --format csv", &[]).expect(0);
    assert_eq!(outcome.stdout.lines().count(), 13);
    assert!(outcome.stderr.contains("1 repetition of `--debug` in `out/debug` is left out"), "{}", outcome.stderr);
    assert_eq!(scene.table("out/debug --reps --format csv", &[]).lines().count(), 2);
}

#[test]
fn repetitions_with_other_parameters_are_rows_of_their_own() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 2\nparams: {lr: 1}\ncommand: |\n  echo '{\"a\": {{ params.lr }}}' > $CW2_METRICS\n",
    );
    scene.cw2("run config.yml").expect(0);
    fs::remove_dir_all(scene.path("out/e/log/rep_00")).expect("a repetition");
    scene.write("config.yml", scene.read("config.yml").replace("lr: 1", "lr: 2"));
    fs::rename(scene.path("out/e/log/rep_01"), scene.path("rep_01")).expect("aside");
    scene.cw2("run config.yml").expect(0);
    fs::remove_dir_all(scene.path("out/e/log/rep_01")).expect("a repetition");
    fs::rename(scene.path("rep_01"), scene.path("out/e/log/rep_01")).expect("back");
    let outcome = scene.results("out --last a", &[]).expect(0);
    assert!(outcome.stderr.contains("repetitions of the run `e` ran with different parameters"), "{}", outcome.stderr);
    let rows: Vec<Value> = scene.results("out --format jsonl", &[]).expect(0).json_lines();
    let told: Vec<_> = rows.iter().map(|row| (&row["params"]["lr"], &row["metrics"]["a"]["mean"], &row["n"])).collect();
    assert_eq!(told, [(&json!(1), &json!(1.0), &json!(1)), (&json!(2), &json!(2.0), &json!(1))]);
}

#[test]
fn metrics_are_read_from_what_the_program_writes() {
    let scene = Scene::with(
        r#"name: DEFAULT
path: out
repetitions: 2
---
name: table
metrics: {file: 'logs/*.csv', step: round}
command: mkdir -p {{ rep_dir }}/logs; printf 'round,acc\n1,0.5\n2,{{ rep }}\n' > {{ rep_dir }}/logs/m.csv
---
name: text
metrics: {regex: 'epoch (?P<epoch>\d+): loss (?P<acc>\S+)', in: out.log}
command: "echo 'epoch 1: loss 3,'; echo 'no metric'; echo 'epoch 2: loss 4e-1,'; echo 'epoch 3: loss none'"
---
name: lines
metrics: [{file: '*.jsonl'}, {file: not-there.csv}]
command: echo '{"epoch":7,"acc":1}' > {{ rep_dir }}/mine.jsonl
"#,
    );
    scene.cw2("run config.yml").expect(0);
    let outcome = scene.results("out --history --format csv --rep 1", &[]).expect(0);
    insta::assert_snapshot!(outcome.out(), @r"
    experiment,run,rep,state,attempt,step,acc
    lines,lines,1,completed,1,7,1.0
    table,table,1,completed,1,1,0.5
    table,table,1,completed,1,2,1.0
    text,text,1,completed,1,1,3.0
    text,text,1,completed,1,2,0.4
    text,text,1,completed,1,3,
    ");
    assert_eq!(
        outcome.stderr,
        "warning: 1 line is no record and does not count: `out/text/log/rep_01/out.log`, line 4: `none`, which `acc` matches, is no number\n"
    );
    insta::assert_snapshot!(scene.table("out", &[]), @r"
    EXPERIMENT  RUN      N          acc   TIME
    lines       lines  2/2        1 ± 0  0.0 s
    table       table  2/2  0.50 ± 0.71  0.0 s
    text        text   2/2      0.4 ± 0  0.0 s
    ");
}

#[test]
fn a_configuration_tells_afterwards_where_metrics_are() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 1\ngrid: {lr: [1, 2]}\ncommand: 'echo loss {{ params.lr }}; echo acc {{ params.lr }}'\n",
    );
    scene.cw2("run config.yml").expect(0);
    assert_eq!(scene.results("out --format csv --last loss", &[]).expect(2).out(), "");
    let config = scene.read("config.yml");
    // No sweep of the file has to be the one that ran.
    let config =
        config.replace("[1, 2]", "[3]") + "metrics: {regex: 'loss (?P<loss>\\d)', in: out.log}\nobjective: max loss\n";
    scene.write("later.yml", &config);
    let outcome = scene.results("out --history --format csv --config later.yml", &[]).expect(0);
    insta::assert_snapshot!(outcome.out(), @r"
    experiment,run,rep,state,lr,attempt,step,loss
    e,e__l1,0,completed,1,1,,1.0
    e,e__l2,0,completed,2,1,,2.0
    ");
    scene.write("other.yml", config.replace("name: e", "name: other"));
    insta::assert_snapshot!(scene.results("out --config other.yml", &[]).expect(2).err(),
        @"error: none of these results are of an experiment in `other.yml`, which has `other`");
}

#[test]
fn the_new_keys_are_checked_when_planning() {
    let plan = |keys: &str| {
        let scene = Scene::with(&format!("name: e\npath: out\nrepetitions: 1\ncommand: 'true'\n{keys}\n"));
        scene.cw2("plan -n config.yml")
    };
    insta::assert_snapshot!(plan("metrics: {files: a.csv, step: 1}").expect(2).err(), @r"
    error: `metrics` has no key `files`
     --> config.yml:5:11
      |
    5 | metrics: {files: a.csv, step: 1}
      |           ^^^^^
      |
      = help: did you mean `file`?
    ");
    insta::assert_snapshot!(plan("metrics:\n- {regex: 'loss (?P<loss>\\S+', in: out.log}").expect(2).err(), @r"
    error: `metrics` has the regular expression `loss (?P<loss>\S+`, which is wrong: unclosed group
     --> config.yml:6:11
      |
    6 | - {regex: 'loss (?P<loss>\S+', in: out.log}
      |           ^^^^^^^^^^^^^^^^^^^
      |
      = help: see https://docs.rs/regex for what can be written
    ");
    insta::assert_snapshot!(plan("metrics: {file: ../a.csv}").expect(2).err(), @r"
    error: `metrics` must name files of the repetition's own, not `../a.csv`
     --> config.yml:5:17
      |
    5 | metrics: {file: ../a.csv}
      |                 ^^^^^^^^
      |
      = help: write a path relative to the repetition's directory (`CW2_REP_DIR`), and let the program write there
    ");
    // Those may be a program's own.
    insta::assert_snapshot!(plan("metrics: [accuracy]").expect(0).err(), @r"
    warning: `metrics` tells `cw2 results` nothing, as it is a list
     --> config.yml:5:10
      |
    5 | metrics: [accuracy]
      |          ^^^^^^^^^^
      |
      = help: write `{file: metrics.csv}`, `{regex: 'loss (?P<loss>\S+)', in: out.log}`, or a list of such mappings; or leave it, if it is for the experiment alone: it is handed on as it is
    1 experiment, 1 run, 1 repetition to do in 1 job (1 array)
    dry run: nothing was written
    ");
    insta::assert_snapshot!(plan("objective: reg:squarederror").expect(0).err(), @r"
    warning: `objective` tells `cw2 results` nothing, as it is the text `reg:squarederror`
     --> config.yml:5:12
      |
    5 | objective: reg:squarederror
      |            ^^^^^^^^^^^^^^^^
      |
      = help: write `max METRIC` or `min METRIC`, such as `max test_acc`; or leave it, if it is for the experiment alone: it is handed on as it is
    1 experiment, 1 run, 1 repetition to do in 1 job (1 array)
    dry run: nothing was written
    ");
    assert!(!plan("objective: max acc\nmetrics: {file: a.csv}").expect(0).stderr.contains("warning"));
}

#[test]
fn lines_that_are_no_records_are_counted_and_named() {
    let scene = Scene::with("name: e\npath: out\nrepetitions: 2\ncommand: cp metrics $CW2_METRICS\n");
    let lines = [
        r#"{"step": 1, "loss": 1, "text": "\ud83d\ude00"}"#,
        "",
        r#"{"step": 2, "loss": NaN}"#,
        r#"{"step": 3, "loss": 1, "loss": 2, "weights": [1, 2]}"#,
        "Traceback",
        r#"{"step": 3, "loss": 5}"#,
        r#"{"step": 4, "#,
    ];
    scene.write("metrics", lines.join("\n"));
    scene.cw2("run config.yml").expect(0);
    let outcome = scene.results("out", &[]).expect(0);
    insta::assert_snapshot!(without_times(&outcome.out()), @r"
    RUN    N   loss  weights.0  weights.1   TIME
    e    2/2  5 ± 0      1 ± 0      2 ± 0  0.0 s
    ");
    insta::assert_snapshot!(outcome.err(), @r"
    warning: 4 lines in 2 files are no records and do not count: `out/e/log/rep_00/metrics.jsonl`, line 5, column 1: this is not a JSON value
    warning: steps are logged more than once by the same attempt in 2 repetitions, and the last one counts: `out/e/log/rep_00`
    ");
    let steps = scene.table("out --history --format csv --rep 0", &[]);
    insta::assert_snapshot!(steps, @r"
    experiment,run,rep,state,attempt,step,loss,weights.0,weights.1
    e,e,0,completed,1,1,1.0,,
    e,e,0,completed,1,2,nan,,
    e,e,0,completed,1,3,2.0,1.0,2.0
    e,e,0,completed,1,3,5.0,,
    ");
    // With -q what is wrong is still said.
    assert!(scene.results("-q out", &[]).expect(0).stderr.contains("4 lines in 2 files"));
}

#[test]
fn one_that_cannot_be_read_is_named_and_hides_no_other() {
    let scene = scene();
    let status = scene.path("out/e/e__l0.01_w16/log/rep_00/status.json");
    fs::remove_file(&status).expect("it is there");
    fs::create_dir(&status).expect("a folder");
    let outcome = scene.results("out --last acc -r *0.01_w16", &[]).expect(0);
    insta::assert_snapshot!(outcome.out(), @r"
    RUN             N              acc    TIME  NOTES
    e__l0.01_w16  2/3  0.1750 ± 0.0071  1m 30s  1 unreadable
    ");
    assert!(outcome.stderr.contains("1 repetition is unreadable"), "{}", outcome.stderr);
    fs::remove_dir(&status).expect("it is there");
    let outcome = scene.results("out --last acc -r *0.01_w16", &[]).expect(0);
    assert!(outcome.out().contains("2/3") && outcome.out().contains("1 not started"), "{}", outcome.out());
}

#[test]
fn the_version_of_the_code_is_told_and_mixtures_pointed_out() {
    let scene = Scene::with(
        "name: e\npath: out\nrepetitions: 2\ngrid: {a: [1, 2]}\ncommand: echo '{\"x\":1}' > $CW2_METRICS\n",
    );
    let git = |words: &str| {
        let name = ["-c", "user.name=u", "-c", "user.email=u@example.org", "-c", "init.defaultBranch=main"];
        Call::new("git", scene.root()).args(name).args(words.split_whitespace()).run().expect(0).stdout
    };
    git("init -q");
    git("add config.yml");
    git("commit -q -m first");
    scene.cw2("run config.yml").expect(0);
    let first = git("rev-parse HEAD").trim_end().to_owned();
    let rows = |words: &str| scene.results(words, &[]).expect(0).json_lines();
    let commits = |rows: &[Value]| rows.iter().map(|row| row["commit"].clone()).collect::<Vec<_>>();
    assert_eq!(commits(&rows("out --format jsonl")), [json!(first), json!(first)]);
    fs::remove_dir_all(scene.path("out/e/e__a2/log/rep_01")).expect("a repetition");
    scene.write("config.yml", scene.read("config.yml").replace("\"x\":1", "\"x\":2"));
    scene.cw2("run config.yml").expect(0);
    assert_eq!(commits(&rows("out --format jsonl")), [json!(first), json!("mixed")]);
    let outcome = scene.results("out", &[]).expect(0);
    let short = &first[..7];
    let note = format!("note: the code differs: 2 versions ({short}, {short}+), 1 row mixed");
    assert!(outcome.stderr.contains(&note), "{}", outcome.stderr);
    assert!(outcome.out().contains("mixed"), "{}", outcome.out());
    // A copy knows it too.
    Call::new("cp", scene.root()).args(["-r", "out", "kept"]).run().expect(0);
    assert_eq!(commits(&rows("kept --format jsonl")), [json!(first), json!("mixed")]);
}

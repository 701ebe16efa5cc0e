//! `cw2 report`: the file, read by a person's browser.

use crate::browser::Browser;
use crate::support::{Scene, is_root, wait_until};
use nix::sys::signal::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;
use std::process::Command;

/// What would be run, were data taken for HTML.
const HOSTILE: &str = "</script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>";

/// Five runs of two repetitions: `acc` after the last of three epochs is `width/200 + rep/100`; the widest crash in the second.
const PROGRAM: &str = r#"
for epoch in 1 2 3; do
    awk -v w="$1" -v r="$2" -v e="$epoch" 'BEGIN { printf "{\"epoch\": %d, \"loss\": %.4f, \"acc\": %.4f}\n", e, 3 / e, w / 200 * e / 3 + r / 100 }' >>"$CW2_METRICS"
    if [ "$1" = 128 ] && [ "$epoch" = 2 ]; then echo "no room: </script><script>window.hacked=1</script><img src=x onerror=window.hacked=1>" >&2; exit 3; fi
done
"#;

fn scene() -> Scene {
    let scene = Scene::with(&format!(
        "name: SLURM\ntime: 10\nmem-per-cpu: 1G\n---\nname: wide\npath: results\nrepetitions: 2\nobjective: max acc\n\
         command: sh ./program {{{{ params.width }}}} {{{{ rep }}}}\nparams: {{note: '{HOSTILE}'}}\n\
         list: {{width: [8, 16, 32, 64, 128], opt: [adam, sgd, adam, '{HOSTILE}', sgd]}}\n"
    ));
    scene.write("program", PROGRAM);
    scene
}

/// The data of a page.
fn data_of(html: &str) -> Value {
    let data = html.split("id=\"data\">").nth(1).expect("the data").split("</script>").next().expect("its end");
    serde_json::from_str(data).expect("JSON")
}

fn report(scene: &Scene, words: &str) -> Value {
    scene.cw2(&format!("report {words}")).expect(0).silent();
    data_of(&scene.read("report.html"))
}

fn cells(browser: &mut Browser, row: usize) -> Vec<String> {
    let cells = browser.js(&format!(
        "[...document.querySelectorAll('#runs tbody tr[data-run]')[{row}].cells].slice(1).map((cell) => cell.textContent)"
    ));
    cells.as_array().expect("cells").iter().map(|cell| cell.as_str().expect("text").to_owned()).collect()
}

#[test]
fn ten_repetitions_are_read_in_a_browser() {
    let scene = scene();
    scene.cw2("run config.yml").expect(1);
    let before = scene.tree();
    scene.cw2("report results -o report.html").expect(0).silent().says(["10 repetitions in `report.html`"]);
    let mut after = scene.tree();
    after.retain(|name| name != "report.html");
    assert_eq!(after, before, "it changes nothing else");

    let Some(mut browser) = Browser::start(1280, 900) else { return };
    let file = scene.path("report.html");
    browser.open(&file);
    assert_eq!(browser.text("document.querySelector('h1').textContent"), "8 of 10 repetitions are done, 2 failed.");

    // The table: best first, as the objective says.
    assert_eq!(browser.js("document.querySelectorAll('#runs tbody tr[data-run]').length"), 5);
    let best = cells(&mut browser, 0);
    assert_eq!(best[..5], ["64", &clipped(HOSTILE), "1", "0.3250 ± 0.0071", "2"]);
    assert_eq!(cells(&mut browser, 4)[..2], ["128", "sgd"]);
    assert_eq!(cells(&mut browser, 4).last().map(String::as_str), Some("2 crashed"));
    assert_eq!(browser.js("document.querySelector('#runs tr.best').dataset.run"), "3");
    browser.js("document.querySelector('#runs th[data-name=width] button').click()");
    assert_eq!(cells(&mut browser, 0)[0], "8");
    assert_eq!(browser.js("document.querySelector('#runs th[aria-sort]').getAttribute('aria-sort')"), "ascending");
    // By keyboard.
    browser.js("document.querySelector('#runs th[data-name=width] button').focus()");
    browser.key("Enter", 13);
    assert_eq!(cells(&mut browser, 0)[0], "128");
    browser.js("const box = document.getElementById('filter'); box.value = 'width<64 opt = adam'; box.dispatchEvent(new Event('input'))");
    assert_eq!(browser.text("document.querySelector('#results [role=status]').textContent"), "2 of 5 runs");
    browser.js("navigator.clipboard.writeText = (text) => { window.copied = text; return Promise.resolve(); }");
    browser.js(
        "[...document.querySelectorAll('#results button')].find((one) => one.textContent === 'Copy as CSV').click()",
    );
    browser.wait("window.copied");
    let csv = browser.text("window.copied");
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines[0], "run,width,opt,loss,loss sd,loss n,acc,acc sd,acc n,N,time,code,notes");
    assert!(lines.len() == 3 && lines[1].contains(",32,adam,1,0,2,0.165") && lines[2].contains(",8,adam,"), "{csv}");

    // Failures: what they said, and what they have in common.
    let failures = browser.text("document.querySelector('#failures').textContent");
    assert!(failures.contains("2 crashed: `run` exited with status 3"), "{failures}");
    assert!(failures.contains("all 2 have width=128; none of the other 8"), "{failures}");
    assert!(browser.text("document.querySelector('#failures pre').textContent").contains(HOSTILE));
    assert!(browser.text("document.querySelector('#configuration pre').textContent").contains(HOSTILE));
    assert_eq!(browser.js("window.hacked"), Value::Null);
    assert_eq!(browser.js("document.querySelectorAll('img').length"), 0);

    // The best, and what matters.
    assert_eq!(
        browser.text("document.querySelector('a.answer[href=\"#ranking\"] strong').textContent"),
        "0.3250 ± 0.0071"
    );
    assert!(browser.text("document.querySelector('#cost').textContent").contains("1G"));
    assert_eq!(browser.js("document.querySelectorAll('#effects figure svg').length"), 2);
    assert_eq!(browser.js("document.querySelectorAll('#pairs figure svg').length"), 1);
    assert_eq!(browser.js("document.querySelectorAll('#all figure svg').length"), 1);

    assert_eq!(browser.complaints(), [&Value::Null; 0], "no word on the console");
    assert_eq!(browser.requests(), [format!("file://{}", file.display())], "nothing but the file is read");
    curves(&mut browser);
    accessible(&mut browser, &file);
    closed(&mut browser);
}

fn clipped(text: &str) -> String {
    text.chars().take(59).chain(['…']).collect()
}

/// Means, hover values, single repetitions, logarithms, plots for each value, the plot as a file.
fn curves(browser: &mut Browser) {
    let chips = "document.querySelectorAll('#curves .chip')";
    assert_eq!(browser.js(&format!("{chips}.length")), 4, "nothing of the widest is finished");
    let control = |label: &str, value: &str| {
        format!(
            "{{ const one = [...document.querySelectorAll('#curves label')].find((one) => one.textContent.startsWith('{label}')).querySelector('select'); \
             one.value = '{value}'; one.dispatchEvent(new Event('change')) }}"
        )
    };
    let numbers = "(() => { const button = [...document.querySelectorAll('#curves button')].find((one) => one.textContent === 'Numbers'); \
                   if (button.getAttribute('aria-expanded') !== 'true') button.click(); \
                   return [...document.querySelectorAll('#curves .numbers tbody tr')].map((row) => [...row.cells].map((cell) => cell.textContent).join('|')) })()";
    browser.js(&control("a line for each", "width"));
    let rows = browser.js(numbers);
    let rows: Vec<&str> = rows.as_array().expect("rows").iter().filter_map(Value::as_str).collect();
    assert_eq!(rows.len(), 12, "{rows:?}");
    assert_eq!((rows[0], rows[11]), ("width=8|1|0.0183|0.007071|2", "width=64|3|0.325|0.007071|2"));
    // The end of the topmost line: its values, and with a click its repetitions.
    browser.js("document.querySelector('#curves').scrollIntoView({behavior: 'instant'})");
    let at = browser.js("(() => { const lines = [...document.querySelectorAll('#curves svg g[aria-label=line] path')]; \
        const box = lines.map((line) => line.getBoundingClientRect()).sort((a, b) => a.top - b.top)[0]; return [box.right - 2, box.top + 2]; })()");
    let at = (at[0].as_f64().expect("x"), at[1].as_f64().expect("y"));
    browser.point(at, false);
    browser.wait("document.querySelector('#curves svg g[aria-label=tip] text')");
    let tip = browser.text("document.querySelector('#curves svg g[aria-label=tip]').textContent");
    assert!(tip.contains("width=64") && tip.contains("epoch 3: 0.3250 ± 0.0071") && tip.contains("n = 2"), "{tip}");
    browser.point(at, true);
    browser.wait("document.querySelector('#curves .note').textContent.includes('width=64: 2 repetitions')");
    assert_eq!(
        browser.js(&format!("[...{chips}].filter((one) => one.getAttribute('aria-pressed') === 'true').length")),
        1
    );
    browser.js(&control("a plot for each", "opt"));
    let plots = "document.querySelectorAll('#curves svg g[aria-label=frame] rect, #curves svg g[aria-label=frame] path').length";
    assert_eq!(browser.js(plots), 3);
    browser.js("document.querySelectorAll('#curves .tick input').forEach((one) => one.click())");
    assert!(
        browser.js("document.querySelector('#curves svg g[aria-label=line] path').getAttribute('d').length").as_u64()
            > Some(5)
    );
    // A file of its own: no colour of this page, no script.
    let svg = browser.text("standalone(document.querySelector('#curves svg'))");
    assert!(svg.starts_with("<?xml") && !svg.contains("var(") && !svg.contains("<script"), "{svg}");
    let parsed = "new DOMParser().parseFromString(standalone(document.querySelector('#curves svg')), 'image/svg+xml').documentElement.nodeName";
    assert_eq!(browser.js(parsed), "svg");
    assert_eq!(browser.complaints(), [&Value::Null; 0]);
}

/// Light, dark, on a phone, on paper, without a pointer, to a screen reader.
fn accessible(browser: &mut Browser, file: &Path) {
    let ground = "getComputedStyle(document.body).backgroundColor";
    let light = browser.text(ground);
    let light_picture = browser.picture("light.png");
    browser
        .call("Emulation.setEmulatedMedia", &json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]}));
    assert_ne!(browser.text(ground), light);
    assert_ne!(browser.picture("dark.png"), light_picture);
    browser.js("const theme = [...document.querySelectorAll('header button')].find((one) => one.textContent === 'auto'); theme.click()");
    assert_eq!(browser.text(ground), light, "chosen by hand");
    browser.js("theme.click(); theme.click()");
    browser.call("Emulation.setEmulatedMedia", &json!({"features": [], "media": "print"}));
    assert_eq!(browser.js("getComputedStyle(document.getElementById('contents')).display"), "none");
    let paper = browser.call("Page.printToPDF", &json!({}));
    assert!(paper["data"].as_str().is_some_and(|data| data.len() > 20_000), "pages with plots");
    browser.call("Emulation.setEmulatedMedia", &json!({"features": [], "media": ""}));
    // Every plot says what it shows, and has its numbers as a table; every control has a name.
    let silent = "[...document.querySelectorAll('figure svg:has(g[aria-label])')].filter((svg) => svg.getAttribute('role') !== 'img' || !svg.getAttribute('aria-label')).length";
    assert_eq!(browser.js(silent), 0);
    let tables = "[...document.querySelectorAll('figure')].every((one) => { const button = [...one.querySelectorAll('button')].find((b) => b.textContent === 'Numbers'); \
        if (button.getAttribute('aria-expanded') !== 'true') button.click(); return one.querySelectorAll('.numbers tbody tr').length > 0 })";
    assert_eq!(browser.js(tables), true);
    let nameless = "[...document.querySelectorAll('button, select, input')].filter((one) => !(one.textContent.trim() || one.getAttribute('aria-label') || one.closest('label'))).length";
    assert_eq!(browser.js(nameless), 0);
    // The first stop leads past the contents.
    browser.open(file);
    browser.key("Tab", 9);
    assert_eq!(browser.js("document.activeElement.className"), "skip");
    browser.size(390, 844);
    browser.wait("document.documentElement.clientWidth === 390 && document.querySelector('#ranking svg').getBoundingClientRect().width < 390");
    assert_eq!(browser.js("document.documentElement.scrollWidth"), 390, "nothing hangs over the edge");
    browser.picture("phone.png");
    assert_eq!(browser.complaints(), [&Value::Null; 0]);
}

/// The policy in the file: neither network nor any other script.
fn closed(browser: &mut Browser) {
    browser.js("window.violated = []; document.addEventListener('securitypolicyviolation', (event) => violated.push(event.effectiveDirective))");
    browser.js("fetch('https://example.org/').catch(() => null)");
    browser.js("const script = document.createElement('script'); script.textContent = 'window.hacked = 2'; document.body.append(script)");
    browser.js("const image = document.createElement('img'); image.src = 'https://example.org/x.png'; document.body.append(image)");
    browser.wait("violated.length >= 3");
    let violated = browser.text("violated.sort().join()");
    assert_eq!(violated, "connect-src,img-src,script-src-elem");
    assert_eq!(browser.js("window.hacked"), Value::Null);
}

/// Fills a plan of a thousand runs of ten, each with so many steps of two metrics: `acc` is `(a + rep)/100`, and of the runs with the
/// largest `a` every other repetition crashed.
fn forge(scene: &Scene, steps: u32) {
    let values = |count: u32| (0..count).map(|value| value.to_string()).collect::<Vec<_>>().join(", ");
    scene.write(
        "config.yml",
        format!(
            "name: many\npath: results\nrepetitions: 10\nobjective: max acc\ncommand: 'true'\ngrid: {{a: [{}], b: [{}]}}\n",
            values(50),
            values(20)
        ),
    );
    scene.plan();
    // Different logs, each of which many repetitions have.
    for log in 0..60 {
        let line = |step: u32| {
            let (loss, acc) = (2.0 / f64::from(step + 1), f64::from(log) / 100.0);
            format!("{{\"step\": {step}, \"loss\": {loss}, \"acc\": {acc}}}\n")
        };
        scene.write(&format!("logs/{log}"), (0..steps).map(line).collect::<String>());
    }
    let params = scene.lines("results/plans/001/params.jsonl");
    for (run, params) in scene.lines("results/plans/001/runs.jsonl").iter().zip(params) {
        let parse = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
        let (run, params) = (parse(run), parse(&params));
        let a = params["a"].as_u64().expect("a number");
        for rep in 0..10 {
            let dir = format!("{}/log/rep_{rep:02}", run["dir"].as_str().expect("a folder"));
            let crashed = a == 49 && rep % 2 == 0;
            let mut status = json!({"format": 1, "state": if crashed { "crashed" } else { "completed" }, "experiment": "many", "run": run["run"],
                "rep": rep, "attempt": 1, "params_sha256": run["params_sha256"], "plan": "results/plans/001", "job": 0, "host": "node", "pid": 1,
                "started": "2026-01-01T00:00:00Z", "ended": "2026-01-01T00:01:00Z", "seconds": 60.5, "cpu_seconds": 50.0, "max_rss": 1_000_000});
            if crashed {
                status["exit"] = json!({"code": 1});
                status["error"] = json!({"phase": "run", "message": "`run` exited with status 1", "stderr_tail": "ValueError: too wide\n"});
            }
            scene.write(&format!("{dir}/status.json"), status.to_string());
            let config = json!({"name": "many", "run": run["run"], "rep": rep, "repetitions": 10, "objective": "max acc", "params": params});
            scene.write(&format!("{dir}/config.yml"), config.to_string());
            fs::hard_link(scene.path(format!("logs/{}", a + rep)), scene.path(&dir).join("metrics.jsonl"))
                .expect("a log");
        }
    }
}

#[test]
fn ten_thousand_repetitions_are_read_in_a_browser() {
    let scene = Scene::new();
    forge(&scene, 200);
    scene.cw2("report results").expect(0).silent().says(["10,000 repetitions in `report.html`"]);
    let size = fs::metadata(scene.path("report.html")).expect("the file").len();
    assert!(size < 20_000_000, "{size}");

    let Some(mut browser) = Browser::start(1280, 900) else { return };
    let took = browser.open(&scene.path("report.html"));
    println!("{size} bytes, ready after {took:?}");
    assert_eq!(
        browser.text("document.querySelector('h1').textContent"),
        "9,900 of 10,000 repetitions are done, 100 failed."
    );
    // Of runs with a = 48 the repetitions have 0.48 … 0.57; of those with a = 49 the five odd ones count: 0.50 … 0.58.
    assert_eq!(cells(&mut browser, 0)[0], "49");
    assert_eq!(cells(&mut browser, 0)[3..5], ["0.540 ± 0.032", "5"]);
    assert_eq!(browser.js("document.querySelectorAll('#runs tbody tr[data-run]').length"), 50);
    assert_eq!(browser.text("document.querySelector('#results [role=status]').textContent"), "1,000 runs");
    let note = browser.text("document.querySelector('#curves .note').textContent");
    assert!(note.contains("200 steps are thinned to "), "{note}");
    let failures = browser.text("document.querySelector('#failures').textContent");
    assert!(failures.contains("all 100 have a=49; 100 of the other 9900"), "{failures}");
    assert!(failures.contains("100 crashed: `run` exited with status 1: ValueError: too wide"), "{failures}");
    assert_eq!(browser.text("document.querySelector('a.answer[href=\"#effects\"] strong').textContent"), "a");
    assert_eq!(browser.complaints(), [&Value::Null; 0]);
    browser.picture("many.png");
}

#[test]
fn a_copy_without_its_plan_and_one_that_never_began_are_told() {
    let scene = scene();
    scene.cw2("run config.yml").expect(1);
    let data = report(&scene, "results");
    let copy = Command::new("cp").args(["-r", "results/wide", "copied"]).current_dir(scene.root()).status();
    assert!(copy.expect("cp").success());
    let copied = report(&scene, "copied");
    for key in ["metrics", "curves", "runs"] {
        assert_eq!(copied[key], data[key], "{key}");
    }
    assert_eq!(copied["reps"]["state"], data["reps"]["state"]);
    assert_eq!(
        (&copied["experiments"][0]["advice"], data["experiments"][0]["advice"]["finished"].as_u64()),
        (&Value::Null, Some(8))
    );
    assert!(
        copied["config"][0]["file"].as_str().is_some_and(|name| name.ends_with("rep_00/config.yml")),
        "{}",
        copied["config"]
    );
    assert_eq!(data["config"][0]["plans"], json!(["results/plans/001"]));

    // Both at once: every repetition once.
    let both = report(&scene, "results copied");
    assert_eq!(both["reps"]["rep"].as_array().map(Vec::len), Some(10));
    assert!(both["notes"][0].as_str().is_some_and(|note| note.contains("there twice")), "{}", both["notes"]);

    // What nobody wants any more is left out, though its directories are there.
    scene.cw2("forget results -r wide__w8*").expect(0);
    let wanted = report(&scene, "results");
    assert_eq!(wanted["reps"]["rep"].as_array().map(Vec::len), Some(8));
    assert!(wanted["notes"].to_string().contains("2 repetitions are forgotten"), "{}", wanted["notes"]);
    scene.cw2("forget results -r wide__w8* --undo").expect(0);

    // A new value, of which one repetition was never begun.
    scene.write("config.yml", scene.read("config.yml").replace("128]", "128, 256]").replace("sgd]", "sgd, sgd]"));
    scene.plan();
    assert_eq!(report(&scene, "results")["reps"]["rep"].as_array().map(Vec::len), Some(10), "nobody submitted it yet");
    scene.worker("results/plans/002", 0).expect(1);
    let more = report(&scene, "results");
    let states = more["reps"]["state"].as_array().expect("states").iter();
    let states: Vec<&str> = states
        .map(|state| {
            more["states"][usize::try_from(state.as_u64().expect("a place")).expect("small")].as_str().expect("a word")
        })
        .collect();
    assert_eq!(states.iter().filter(|state| **state == "pending").count(), 2, "{states:?}");
    assert_eq!(more["runs"][5]["params"], json!([256, "sgd"]));
    assert_eq!(more["code"][0]["plans"], json!(["results/plans/001", "results/plans/002"]));
}

#[test]
fn what_cannot_be_read_or_written_is_said() {
    let scene = scene();
    scene.cw2("report").expect(2).says(["neither a plan nor a repetition in `.`"]).silent();
    scene.cw2("report nowhere").expect(2).says(["`nowhere` is no folder"]).silent();
    scene.cw2("run config.yml").expect(1);
    scene.cw2("report -e wdie").expect(2).says(["there is no experiment `wdie`", "`wide`"]).silent();
    scene.cw2("report results -o missing/report.html").expect(2).says(["`missing` is no folder"]).silent();
    let config = scene.read("config.yml");
    scene.cw2("report results -o config.yml").expect(2).says(["`config.yml` is there, and no report"]).silent();
    assert_eq!(scene.read("config.yml"), config);
    scene.cw2("report results -o results").expect(2).says(["`results`", "directory"]).silent();
    scene.cw2("report results -o /dev/null").expect(2).says(["`/dev/null`", "device"]).silent();
    scene.cw2("report results --watch 5").expect(2).says(["5 is not in 10"]);
    scene.cw2("report results --watch -o -").expect(2).says(["`--watch` renews a file"]);
    assert!(!scene.has("report.html"));
    let out = scene.cw2("report -e wide -o -").expect(0).stdout;
    assert_eq!(data_of(&out)["reps"]["rep"].as_array().map(Vec::len), Some(10));

    let metrics = scene.path("results/wide").read_dir().expect("runs").next().expect("one").expect("one").path();
    let metrics = metrics.join("log/rep_00/metrics.jsonl");
    fs::write(&metrics, "{\"acc\": 0.5}\nno JSON\n{\"acc\": NaN}\n").expect("ours");
    let notes = report(&scene, "results")["notes"].to_string();
    assert!(notes.contains("metrics.jsonl: 1 line is no record"), "{notes}");
    if is_root("its own files are readable to root alone") {
        return;
    }
    let folder = scene.path("shut");
    fs::create_dir(&folder).expect("a folder");
    fs::set_permissions(&folder, std::os::unix::fs::PermissionsExt::from_mode(0o555)).expect("ours");
    scene.cw2("report results -o shut/report.html").expect(3).says(["shut/report.html"]);
}

#[test]
fn one_that_is_watched_is_renewed_until_all_is_done() {
    let scene = scene();
    scene.plan();
    let watch = scene.call(["report", "results", "--watch", "10"]).start();
    wait_until("the first report", || scene.has("report.html"));
    assert_eq!(data_of(&scene.read("report.html"))["reload"], 10);
    watch.signal(Signal::SIGINT);
    watch.end().expect(0);
    assert_eq!(data_of(&scene.read("report.html"))["reload"], Value::Null, "nobody renews it any more");
    scene.cw2("run config.yml").expect(1);
    scene.cw2("report results --watch").expect(0).says(["10 repetitions"]);
    let data = data_of(&scene.read("report.html"));
    assert_eq!((&data["reload"], &data["reps"]["rep"].as_array().map(Vec::len)), (&Value::Null, &Some(10)));
}

//! A headless Chromium, driven over its debugging pipe: messages of JSON, each ended by a zero byte, on descriptors 3 and 4.

use crate::support::skipped;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long a page may take on a machine that does much else.
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the browser's answers come from, while it lives.
pub(crate) struct Browser {
    child: Child,
    commands: ChildStdin,
    messages: Receiver<Value>,
    /// What was told meanwhile, oldest first.
    events: Vec<Value>,
    session: Option<String>,
    last: u64,
    _profile: TempDir,
}

impl Browser {
    /// Starts one with a page of this size. Nothing, and a loud line, where there is none on this machine.
    pub(crate) fn start(width: u32, height: u32) -> Option<Self> {
        let Some(program) = ["chromium", "chromium-browser", "google-chrome"].into_iter().find(|name| is_there(name))
        else {
            skipped("no Chromium on this machine (`apt-get install chromium`)");
            return None;
        };
        let profile = tempfile::tempdir().expect("a folder for the browser");
        // The shell puts the pipes where the browser wants them.
        let call = format!(
            "exec {program} --headless --no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking \
             --disable-component-update --disable-sync --disable-dev-shm-usage --hide-scrollbars --user-data-dir=\"$1\" \
             --remote-debugging-pipe about:blank 3<&0 4>&1 </dev/null >/dev/null 2>&1"
        );
        let mut child = Command::new("sh")
            .args(["-c", &call, "sh"])
            .arg(profile.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("sh starts");
        let commands = child.stdin.take().expect("its input");
        let mut answers = BufReader::new(child.stdout.take().expect("its output"));
        let (send, messages) = mpsc::channel();
        thread::spawn(move || {
            let mut message = Vec::new();
            while answers.read_until(0, &mut message).is_ok_and(|length| length > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { break };
                if send.send(value).is_err() {
                    break;
                }
                message.clear();
            }
        });
        let mut browser =
            Browser { child, commands, messages, events: Vec::new(), session: None, last: 0, _profile: profile };
        let targets = browser.call("Target.getTargets", &json!({}));
        let targets = targets["targetInfos"].as_array().expect("targets").clone();
        let page = targets.into_iter().find(|target| target["type"] == "page").expect("a page");
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": page["targetId"], "flatten": true}));
        browser.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        browser.size(width, height);
        Some(browser)
    }

    /// Calls a method of the protocol, and returns its answer.
    #[track_caller]
    pub(crate) fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last += 1;
        let mut message = json!({"id": self.last, "method": method, "params": params});
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        let mut bytes = serde_json::to_vec(&message).expect("JSON");
        bytes.push(0);
        self.commands.write_all(&bytes).expect("the browser reads");
        loop {
            let answer = self.next(method);
            if answer["id"] == self.last {
                assert!(answer["error"].is_null(), "{method}: {}", answer["error"]);
                return answer["result"].clone();
            }
            self.events.push(answer);
        }
    }

    #[track_caller]
    fn next(&self, what: &str) -> Value {
        self.messages
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("the browser does not answer ({what}): {error}"))
    }

    /// The size of the page.
    pub(crate) fn size(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Opens a file, waits until the page says that it is ready, and returns how long that took.
    #[track_caller]
    pub(crate) fn open(&mut self, file: &Path) -> Duration {
        self.events.clear();
        let begin = Instant::now();
        self.call("Page.navigate", &json!({"url": format!("file://{}", file.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.next("the page's end of loading");
            self.events.push(event);
        }
        self.wait("document.documentElement.hasAttribute('data-ready')");
        begin.elapsed()
    }

    /// Waits until an expression is true.
    #[track_caller]
    pub(crate) fn wait(&mut self, expression: &str) {
        let deadline = Instant::now() + PATIENCE;
        while self.js(&format!("!!({expression})")) != true {
            assert!(Instant::now() < deadline, "still waiting for {expression}; {:#?}", self.complaints());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// The value of an expression in the page.
    #[track_caller]
    pub(crate) fn js(&mut self, expression: &str) -> Value {
        let params = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        let answer = self.call("Runtime.evaluate", &params);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].clone()
    }

    /// The same as text.
    #[track_caller]
    pub(crate) fn text(&mut self, expression: &str) -> String {
        match self.js(expression) {
            Value::String(text) => text,
            other => panic!("{expression} is {other}"),
        }
    }

    /// Moves the pointer, and clicks there where that is wanted.
    pub(crate) fn point(&mut self, (x, y): (f64, f64), click: bool) {
        let kinds: &[&str] = if click { &["mouseMoved", "mousePressed", "mouseReleased"] } else { &["mouseMoved"] };
        for kind in kinds {
            let button = if *kind == "mouseMoved" { "none" } else { "left" };
            self.call(
                "Input.dispatchMouseEvent",
                &json!({"type": kind, "x": x, "y": y, "button": button, "clickCount": 1}),
            );
        }
    }

    /// Presses a key.
    pub(crate) fn key(&mut self, key: &str, code: u32) {
        let text = if key == "Enter" { "\r" } else { "" };
        for kind in ["keyDown", "keyUp"] {
            self.call("Input.dispatchKeyEvent", &json!({"type": kind, "key": key, "code": key, "windowsVirtualKeyCode": code, "text": if kind == "keyDown" { text } else { "" }}),
            );
        }
    }

    /// A picture of the whole page, as PNG in base64; it is kept in the target folder for a person to look at.
    pub(crate) fn picture(&mut self, name: &str) -> String {
        let size = self.call("Page.getLayoutMetrics", &json!({}))["cssContentSize"].clone();
        let height = size["height"].as_f64().unwrap_or(0.0).min(16_000.0);
        let clip = json!({"x": 0, "y": 0, "width": size["width"], "height": height, "scale": 1});
        let shot =
            self.call("Page.captureScreenshot", &json!({"format": "png", "captureBeyondViewport": true, "clip": clip}));
        let data = shot["data"].as_str().expect("a picture").to_owned();
        let bytes = STANDARD.decode(&data).expect("base64");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("report");
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join(name), bytes).expect("the picture");
        data
    }

    /// Errors and warnings of the console, uncaught exceptions.
    pub(crate) fn complaints(&self) -> Vec<&Value> {
        let is_one = |event: &&Value| match event["method"].as_str() {
            Some("Runtime.exceptionThrown" | "Log.entryAdded") => true,
            Some("Runtime.consoleAPICalled") => matches!(event["params"]["type"].as_str(), Some("error" | "warning")),
            _ => false,
        };
        self.events.iter().filter(is_one).collect()
    }

    /// What was asked of the network, or of the disk.
    pub(crate) fn requests(&self) -> Vec<&str> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| event["params"]["request"]["url"].as_str()).collect()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn is_there(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()))
}

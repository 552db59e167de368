//! A browser without a window, told what to do through the pipe that it offers for that (the DevTools protocol).
//!
//! It reads commands from descriptor 3 and writes answers and events to descriptor 4, each as JSON that ends in NUL.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::yard::{PATIENCE, Running};

/// Where Chromium is; `GATEPOST_REQUIRE_CHROMIUM=1` means that it must be.
pub(crate) fn found() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let all = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    let found = all.into_iter().find(|path| path.is_file());
    if found.is_none() {
        let required = std::env::var_os("GATEPOST_REQUIRE_CHROMIUM").is_some_and(|value| value == "1");
        assert!(!required, "there is no Chromium");
        eprintln!("no Chromium here: the page goes unseen");
    }
    found
}

/// A browser with one page.
pub(crate) struct Browser {
    commands: RefCell<File>,
    answers: Receiver<Value>,
    last: Cell<u64>,
    session: Option<String>,
    /// What went wrong on the page: exceptions, and what its policy forbade.
    complaints: RefCell<Vec<String>>,
    _running: Running,
    _profile: TempDir,
}

impl Browser {
    /// Starts `chromium` and opens `url` in a window of this size.
    pub(crate) fn open(chromium: &PathBuf, url: &str, width: u32, height: u32) -> Self {
        let profile = TempDir::new().expect("a temporary directory");
        let pipe = |name: &str| {
            let path = profile.path().join(name);
            mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o600), 0).expect("a named pipe");
            File::options().read(true).write(true).open(path).expect("both ends of it")
        };
        let (commands, answers) = (pipe("commands"), pipe("answers"));
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$@\" 3<commands 4>answers", "sh"]).arg(chromium);
        command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
        command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync"]);
        command.args(["--hide-scrollbars", "--remote-debugging-pipe", "--user-data-dir=profile", "about:blank"]);
        command.current_dir(profile.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let running = Running(command.spawn().expect("it starts"));
        let (tell, hear) = mpsc::channel();
        thread::spawn(move || {
            for message in BufReader::new(answers).split(0) {
                let message = serde_json::from_slice(&message.expect("the pipe is ours")).expect("JSON");
                if tell.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Self {
            commands: RefCell::new(commands),
            answers: hear,
            last: Cell::new(0),
            session: None,
            complaints: RefCell::default(),
            _running: running,
            _profile: profile,
        };
        let target = browser.tell("Target.createTarget", json!({"url": "about:blank"}));
        let target = json!({"targetId": target["targetId"], "flatten": true});
        let session = browser.tell("Target.attachToTarget", target);
        browser.session = session["sessionId"].as_str().map(str::to_owned);
        browser.tell("Runtime.enable", json!({}));
        browser.tell("Log.enable", json!({}));
        browser.tell("Page.enable", json!({}));
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        browser.tell("Emulation.setDeviceMetricsOverride", size);
        browser.tell("Page.navigate", json!({"url": url}));
        browser
    }

    /// Tells it something and waits for the answer.
    pub(crate) fn tell(&self, method: &str, parameters: Value) -> Value {
        let id = self.last.get() + 1;
        self.last.set(id);
        let mut message = json!({"id": id, "method": method, "params": parameters});
        if let Some(session) = &self.session {
            message["sessionId"] = session.as_str().into();
        }
        let text = format!("{message}\0");
        self.commands.borrow_mut().write_all(text.as_bytes()).expect("the pipe is ours");
        loop {
            let answer = self.answers.recv_timeout(PATIENCE).unwrap_or_else(|_| panic!("no answer to {method}"));
            if answer["id"] == id {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
            let kind = answer["method"].as_str().unwrap_or_default();
            let is_error = kind == "Log.entryAdded" && answer["params"]["entry"]["level"] == "error";
            if kind == "Runtime.exceptionThrown" || is_error {
                self.complaints.borrow_mut().push(answer["params"].to_string());
            }
        }
    }

    /// What `expression`, a promise too, comes to on the page.
    pub(crate) fn evaluate(&self, expression: &str) -> Value {
        let parameters = json!({"expression": expression, "returnByValue": true, "awaitPromise": true});
        self.tell("Runtime.evaluate", parameters)["result"]["value"].clone()
    }

    /// Waits until `condition` holds on the page.
    #[track_caller]
    pub(crate) fn until(&self, condition: &str) {
        crate::yard::until(condition, || self.evaluate(&format!("Boolean({condition})")) == true);
    }

    /// Fails if something went wrong on the page.
    #[track_caller]
    pub(crate) fn is_content(&self) {
        assert_eq!(*self.complaints.borrow(), [] as [String; 0]);
    }

    /// What it looks like, as PNG.
    pub(crate) fn screenshot(&self) -> Vec<u8> {
        let answer = self.tell("Page.captureScreenshot", json!({"format": "png", "captureBeyondViewport": false}));
        base64(answer["data"].as_str().expect("an image"))
    }
}

fn base64(text: &str) -> Vec<u8> {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let (mut bits, mut count) = (0u32, 0);
    let mut out = Vec::new();
    for byte in text.bytes().filter(|byte| *byte != b'=') {
        let value = ALPHABET.iter().position(|letter| *letter == byte).expect("base64");
        bits = bits << 6 | value as u32;
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    out
}

//! The page in a real browser: Chromium without a window, driven from outside by its command line.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Instant;

use tempfile::TempDir;

use crate::client::Server;
use crate::yard::{PATIENCE, Running, Yard, queue, take};

/// Chromium, where there is one; `GATEPOST_REQUIRE_CHROMIUM=1` means that there must be.
fn chromium() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name))).find(|path| path.is_file());
    if found.is_none() {
        assert!(std::env::var_os("GATEPOST_REQUIRE_CHROMIUM").is_none_or(|value| value != "1"), "there is no Chromium");
        eprintln!("no Chromium here: the page goes unseen");
    }
    found
}

/// What Chromium makes of `server`'s page, after so long that live data has arrived.
fn seen(chromium: &PathBuf, server: &Server, arguments: &[&str]) -> String {
    let profile = TempDir::new().expect("a temporary directory");
    let mut command = Command::new(chromium);
    command.args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]);
    command.args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"]);
    // A stream of events never ends loading, so it is given a time.
    command.arg(format!("--user-data-dir={}", profile.path().display())).arg("--timeout=5000").args(arguments);
    command.arg(format!("http://{}/", server.address));
    let mut child = Running(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("it starts"));
    let out = child.0.stdout.take().expect("a pipe");
    let text = std::thread::spawn(move || std::io::read_to_string(out).expect("text"));
    let began = Instant::now();
    assert_eq!(child.ends(), 0, "after {:?} of at most {PATIENCE:?}", began.elapsed());
    text.join().expect("it was read")
}

#[test]
fn live_data_appears_on_the_page() {
    let Some(chromium) = chromium() else { return };
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let _idle = yard.semaphore("link", 2);
    let _held = [take(&build, 4, "cargo build --release"), take(&build, 3, "<b>make</b>")];
    queue(&build, 3, "cargo test --workspace");
    let server = Server::start(&yard, &[]);
    let dom = seen(&chromium, &server, &["--dump-dom"]);
    let own = format!("pid {}", std::process::id());
    for words in [
        "data-live=\"yes\"",
        "<h2>build</h2>",
        "<h2>link</h2>",
        "cargo build --release",
        "the head asks for 3, 1 is free",
        "cargo test --workspace",
        "aria-valuetext=\"7 of 8\"",
        "created with a limit of 8",
        &own,
        // What a process calls itself stays text.
        "&lt;b&gt;make&lt;/b&gt;",
    ] {
        assert!(dom.contains(words), "{words:?} is not in:\n{dom}");
    }
}

#[test]
fn an_empty_folder_has_a_page_that_says_what_to_do() {
    let Some(chromium) = chromium() else { return };
    let yard = Yard::new();
    let server = Server::start(&yard, &[]);
    let dom = seen(&chromium, &server, &["--dump-dom"]);
    assert!(dom.contains("gatepost run --sem NAME --limit N"), "{dom}");
}

/// Makes the picture in `docs/`: `GATEPOST_SCREENSHOT=docs/serve.png cargo test … -- --ignored a_picture_for_the_docs`.
#[test]
#[ignore = "writes a file that is committed"]
fn a_picture_for_the_docs() {
    let chromium = chromium().expect("Chromium");
    let target = PathBuf::from(std::env::var_os("GATEPOST_SCREENSHOT").expect("GATEPOST_SCREENSHOT says where"));
    let target = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(target);
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let gpu = yard.semaphore("gpu", 2);
    let _link = yard.semaphore("link", 2);
    for _ in 0..40 {
        drop(take(&build, 2, "warm"));
    }
    build.pause().and_then(|()| build.resume()).expect("paused and resumed");
    let _held = [
        take(&build, 4, "cargo build --release"),
        take(&build, 2, "make -j2 check"),
        take(&build, 1, "ninja -C out"),
        take(&gpu, 1, "python train.py --epochs 40"),
        take(&gpu, 1, "python serve.py"),
    ];
    queue(&build, 3, "cargo test --workspace");
    queue(&build, 1, "npm run build");
    queue(&gpu, 1, "python eval.py");
    let server = Server::start(&yard, &[]);
    let shot = format!("--screenshot={}", target.display());
    seen(&chromium, &server, &[&shot, "--window-size=1200,1180"]);
    assert!(std::fs::metadata(&target).is_ok_and(|file| file.len() < 200 << 10), "it is there and below 200 KiB");
}

//! The page in a real browser.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gatepost_shared::{Permit, Semaphore};
use serde_json::json;

use crate::chromium::{Browser, found};
use crate::client::Server;
use crate::yard::{Yard, queue, take};

fn open(chromium: &PathBuf, server: &Server) -> Browser {
    Browser::open(chromium, &format!("http://{}/", server.address), 1200, 1180)
}

/// The text of all that a selector finds.
fn text(browser: &Browser, selector: &str) -> String {
    let found =
        browser.evaluate(&format!("[...document.querySelectorAll('{selector}')].map(e => e.innerText).join('\\n')"));
    found.as_str().expect("text").to_owned()
}

#[test]
fn live_data_appears_on_the_page_and_changes_there() {
    let Some(chromium) = found() else { return };
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let _idle = yard.semaphore("link", 2);
    let held = take(&build, 4, "cargo build --release");
    let _markup = take(&build, 3, "<b>make</b>");
    queue(&build, 3, "cargo test --workspace");
    let server = Server::start(&yard, &[]);
    let browser = open(&chromium, &server);
    browser.until("document.querySelectorAll('article').length === 2");
    assert_eq!(text(&browser, "#link"), "live");
    assert_eq!(text(&browser, "h2"), "build\nlink");
    let article = text(&browser, "article");
    let own = format!("pid {}", std::process::id());
    // What a process calls itself stays text.
    for words in [
        "7/8",
        "cargo build --release",
        "<b>make</b>",
        "the head asks for 3, 1 is free",
        "created with a limit of 8",
        &own,
    ] {
        assert!(article.contains(words), "{words:?} is not in:\n{article}");
    }
    assert_eq!(
        browser.evaluate("document.querySelectorAll('article b').length === document.querySelectorAll('h3 b').length"),
        true
    );
    assert_eq!(browser.evaluate("document.querySelector('[role=meter]').getAttribute('aria-valuenow')"), "7");
    assert_eq!(browser.evaluate("document.title"), "(1 waiting) gatepost");

    drop(held);
    browser.until("document.querySelector('article').innerText.includes('cargo test') === false");
    build.pause().expect("paused");
    browser.until("document.querySelector('.state').innerText === 'paused'");
    browser.is_content();
}

#[test]
fn an_empty_folder_has_a_page_that_says_what_to_do() {
    let Some(chromium) = found() else { return };
    let yard = Yard::new();
    let server = Server::start(&yard, &[]);
    let browser = open(&chromium, &server);
    browser.until("document.querySelector('.notice code')");
    assert!(text(&browser, "main").contains("gatepost run --sem NAME --limit N"));
    std::fs::write(yard.path().join("bad.gate"), b"no semaphore").expect("the file is written");
    browser.until("document.querySelector('article')");
    assert!(text(&browser, "article").contains("unreadable"));
    browser.is_content();
}

#[test]
fn the_page_comes_back_when_the_server_does() {
    let Some(chromium) = found() else { return };
    let yard = Yard::new();
    let _build = yard.semaphore("build", 8);
    let server = Server::start(&yard, &[]);
    let browser = open(&chromium, &server);
    browser.until("document.getElementById('link').dataset.live === 'yes'");
    let address = server.address;
    drop(server);
    browser.until("document.getElementById('link').dataset.live === 'no'");
    let _again = Server::start_at(&yard, &address.to_string(), &[]);
    browser.until("document.getElementById('link').dataset.live === 'yes'");
}

#[test]
fn it_fits_a_narrow_window() {
    let Some(chromium) = found() else { return };
    let (yard, _held) = busy();
    let server = Server::start(&yard, &[]);
    let browser = Browser::open(&chromium, &format!("http://{}/", server.address), 360, 700);
    browser.until("document.querySelectorAll('article').length === 3");
    let width = browser.evaluate("document.documentElement.scrollWidth");
    assert!(width.as_u64().is_some_and(|width| width <= 360), "{width}");
}

/// Does it when the last of all holders and waiters is three seconds old, or at once where no picture is made.
fn aged<T>(semaphore: &Semaphore, act: impl FnOnce() -> T) -> T {
    if std::env::var_os("GATEPOST_SCREENSHOT").is_some() {
        crate::yard::until("time passes", || {
            let status = semaphore.status().expect("a status");
            let held = status.holders.last().map(|holder| holder.held);
            status.waiters.last().map(|waiter| waiter.waited).or(held) >= Some(Duration::from_secs(3))
        });
    }
    act()
}

/// A machine at work.
fn busy() -> (Yard, Vec<Permit>) {
    let yard = Yard::new();
    let build = yard.semaphore("build", 8);
    let gpu = yard.semaphore("gpu", 2);
    let _link = yard.semaphore("link", 2);
    for n in 0..60 {
        let held = take(&build, 8, "an earlier build");
        if n % 3 == 0 {
            queue(&build, 1, "one that waits a moment");
        }
        drop(held);
    }
    build.pause().and_then(|()| build.resume()).expect("paused and resumed");
    let stale = take(&gpu, 1, "a notebook that was forgotten");
    gpu.revoke(stale.id(), "nobody answered").expect("revoked");
    let held = vec![
        take(&gpu, 1, "python train.py --epochs 40"),
        take(&build, 4, "cargo build --release"),
        aged(&build, || take(&build, 2, "make -j2 check")),
        take(&gpu, 1, "python serve.py"),
    ];
    drop(aged(&build, || crate::status::holder(&yard, "build", "ninja -C out", Some(std::process::id()))));
    queue(&build, 3, "cargo test --workspace");
    aged(&build, || queue(&build, 1, "npm run build"));
    queue(&gpu, 1, "python eval.py");
    (yard, held)
}

/// Makes the picture in `docs/`:
/// `GATEPOST_SCREENSHOT=docs/serve.png cargo test -p gatepost-cli --test view -- --ignored a_picture_for_the_docs`.
#[test]
#[ignore = "writes a file that is committed"]
fn a_picture_for_the_docs() {
    let chromium = found().expect("Chromium");
    let target = PathBuf::from(std::env::var_os("GATEPOST_SCREENSHOT").expect("GATEPOST_SCREENSHOT says where"));
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(target);
    let (yard, _held) = busy();
    let server = Server::start(&yard, &[]);
    let browser = Browser::open(&chromium, &format!("http://{}/", server.address), 1200, 1300);
    if std::env::var_os("GATEPOST_SCREENSHOT_DARK").is_some() {
        let dark = json!({"features": [{"name": "prefers-color-scheme", "value": "dark"}]});
        browser.tell("Emulation.setEmulatedMedia", dark);
    }
    // Ages that can be told apart.
    browser.until("document.querySelectorAll('article').length === 3");
    browser.until("parseFloat(document.querySelector('td.age').innerText) >= 9");
    let image = browser.screenshot();
    assert!(image.starts_with(b"\x89PNG") && image.len() < 200 << 10, "{} bytes", image.len());
    std::fs::write(target, image).expect("the picture is written");
}

//! What is known of the machine, so that a table can be read somewhere else.

use gatepost_bench_kit::cases::limits;
use gatepost_bench_kit::result::Value;
use indexmap::IndexMap;
use std::process::Command;
use std::time::Duration;

/// The facts that hold for the whole run.
pub(crate) fn facts() -> IndexMap<String, Value> {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let unknown = || "unknown".to_owned();
    let field = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.split_once([':', '='])).map(|(_, value)| value.trim().trim_matches('"').to_owned())
    };
    let cpu = field(&read("/proc/cpuinfo"), "model name").unwrap_or_else(|| std::env::consts::ARCH.to_owned());
    let memory = field(&read("/proc/meminfo"), "MemTotal");
    let memory = memory.and_then(|total| total.split(' ').next()?.parse::<u64>().ok()).unwrap_or(0) * 1024;
    let mut facts = IndexMap::new();
    let mut fact = |name: &str, value: Value| facts.insert(name.to_owned(), value);
    fact("cpu", cpu.into());
    fact("cores", cores().into());
    fact("kernel", said("uname", &["-sr"]).unwrap_or_else(unknown).into());
    fact(
        "os",
        field(&read("/etc/os-release"), "PRETTY_NAME").unwrap_or_else(|| std::env::consts::OS.to_owned()).into(),
    );
    fact("memory_bytes", memory.into());
    let virtual_machine = read("/proc/cpuinfo").split_whitespace().any(|flag| flag == "hypervisor");
    fact("virtual_machine", if virtual_machine { "yes" } else { "not that it says" }.into());
    facts
}

/// What changes while it runs: asked before and after.
pub(crate) fn drift(facts: &mut IndexMap<String, Value>, when: &str) {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    if let Some(load) = load.split(' ').next().and_then(|load| load.parse::<f64>().ok()) {
        facts.insert(format!("load_{when}"), load.into());
    }
    // A failure has no figure; the machine then has one processor, or no threads.
    if cores() > 1
        && let Ok(ns) = limits::line_one_way(Duration::from_millis(20))
    {
        facts.insert(format!("line_ns_{when}"), ((ns * 10.0).round() / 10.0).into());
    }
}

/// How many processors there are for us.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// What a command says in its first line.
fn said(command: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(command).args(arguments).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout).lines().next()?.trim().to_owned();
    (!text.is_empty()).then_some(text)
}

/// The compiler on the path, which is the one that has just compiled this.
pub(crate) fn rustc_version() -> String {
    let version = said("rustc", &["--version"]).unwrap_or_default();
    version.strip_prefix("rustc ").unwrap_or("unknown").to_owned()
}

/// The kernel, which some peers are calls of.
#[cfg(target_os = "linux")]
pub(crate) fn kernel_version() -> Option<String> {
    said("uname", &["-sr"])
}

/// The C library.
#[cfg(target_env = "gnu")]
pub(crate) fn libc_version() -> String {
    // SAFETY: a string that lives for ever.
    let version = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    format!("glibc {}", version.to_string_lossy())
}

#[cfg(all(target_os = "linux", not(target_env = "gnu")))]
pub(crate) fn libc_version() -> String {
    "not glibc".to_owned()
}

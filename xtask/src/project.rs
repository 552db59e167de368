//! Where things are: asked from `cargo metadata`, so that a moved target folder or another registry is no matter.

use crate::process::Step;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The library's package name.
pub(crate) const LIBRARY: &str = "gatepost";

/// The library of the process scope, which is for Linux alone.
pub(crate) const SHARED: &str = "gatepost-shared";

/// The workspace and what it depends on.
#[derive(Debug)]
pub(crate) struct Project {
    /// The folder of the workspace.
    pub(crate) root: PathBuf,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
    packages: Vec<Package>,
}

/// A package, of the workspace or from a registry.
#[derive(Clone, Debug)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) edition: String,
    pub(crate) rust_version: Option<String>,
    /// The folder that holds its manifest.
    pub(crate) folder: PathBuf,
    /// Its feature flags, `default` left out.
    pub(crate) features: Vec<String>,
}

impl Project {
    /// Asks cargo.
    pub(crate) fn load() -> Result<Project, String> {
        // The folder of this package is inside the workspace wherever the checkout lies.
        let here = std::env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
        let step = cargo().args(["metadata", "--format-version", "1", "--manifest-path"]).arg(here.join("Cargo.toml"));
        let text = step.answer().ok_or_else(|| format!("`{}` failed: run it to see why", step.line()))?;
        let json = serde_json::from_str(&text).map_err(|error| format!("cargo metadata: {error}"))?;
        Project::read(&json).ok_or_else(|| "cargo metadata has another form than expected".into())
    }

    fn read(json: &Value) -> Option<Project> {
        let path = |value: &Value| value.as_str().map(PathBuf::from);
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let packages = json["packages"].as_array()?.iter().map(|package| {
            let features = package["features"].as_object()?.keys().filter(|name| *name != "default");
            Some(Package {
                name: text(&package["name"])?,
                version: text(&package["version"])?,
                edition: text(&package["edition"])?,
                rust_version: text(&package["rust_version"]),
                folder: path(&package["manifest_path"])?.parent()?.to_path_buf(),
                features: features.cloned().collect(),
            })
        });
        Some(Project {
            root: path(&json["workspace_root"])?,
            target: path(&json["target_directory"])?,
            packages: packages.collect::<Option<_>>()?,
        })
    }

    /// The newest package of that name in the lock file.
    pub(crate) fn package(&self, name: &str) -> Result<&Package, String> {
        self.packages
            .iter()
            .filter(|package| package.name == name)
            .max_by_key(|package| numbers(&package.version))
            .ok_or_else(|| format!("no package `{name}` in the workspace's lock file"))
    }

    /// The library.
    pub(crate) fn library(&self) -> Result<&Package, String> {
        self.package(LIBRARY)
    }

    /// `path` as seen from the workspace's root, for messages.
    pub(crate) fn shown<'p>(&self, path: &'p Path) -> std::path::Display<'p> {
        path.strip_prefix(&self.root).unwrap_or(path).display()
    }
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> Step {
    Step::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
}

/// The compiler that goes with it.
pub(crate) fn compiler() -> Step {
    Step::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()))
}

/// The library's file, from what cargo printed with `--message-format=json-render-diagnostics`.
pub(crate) fn library_file(output: &str) -> Result<PathBuf, String> {
    let file = |line: &str| {
        let message: Value = serde_json::from_str(line).ok()?;
        if message["reason"] != "compiler-artifact" || message["target"]["name"] != LIBRARY {
            return None;
        }
        let files = message["filenames"].as_array()?.iter().filter_map(Value::as_str);
        files.map(PathBuf::from).find(|file| file.extension().is_some_and(|extension| extension == "rlib"))
    };
    let found = output.lines().filter(|line| line.starts_with('{')).find_map(file);
    found.ok_or_else(|| "cargo named no file of the library's".into())
}

fn numbers(version: &str) -> Vec<u64> {
    version.split(['.', '-', '+']).map_while(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_and_the_newest_version_wins() {
        let package = |name: &str, version: &str| {
            serde_json::json!({
                "name": name, "version": version, "edition": "2021", "rust_version": null,
                "manifest_path": format!("/registry/{name}-{version}/Cargo.toml"),
                "features": {"default": ["std"], "std": []},
            })
        };
        let json = serde_json::json!({
            "workspace_root": "/checkout", "target_directory": "/checkout/target",
            "packages": [package("tokio", "1.54.1"), package("tokio", "1.9.0"), package("loom", "0.7.2")],
        });
        let project = Project::read(&json).expect("all fields");
        let tokio = project.package("tokio").expect("tokio");
        assert_eq!(tokio.version, "1.54.1");
        assert_eq!(tokio.folder, Path::new("/registry/tokio-1.54.1"));
        assert_eq!(tokio.features, ["std"]);
        assert!(project.package("serde").is_err());
        assert_eq!(project.shown(Path::new("/checkout/xtask")).to_string(), "xtask");
    }

    #[test]
    fn the_library_file_is_found_among_the_messages() {
        let output = r#"   Compiling gatepost v0.1.0
{"reason":"compiler-artifact","target":{"name":"futures_core"},"filenames":["/t/libfutures_core.rlib"]}
{"reason":"compiler-artifact","target":{"name":"gatepost"},"filenames":["/t/libgatepost.rmeta","/t/libgatepost.rlib"]}
{"reason":"build-finished","success":true}
    Finished"#;
        assert_eq!(library_file(output), Ok(PathBuf::from("/t/libgatepost.rlib")));
        assert!(library_file("{\"reason\":\"build-finished\"}").is_err());
    }
}

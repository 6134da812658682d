//! The files of the checkout, as the other checks see them.

use std::fs;
use std::path::{Path, PathBuf};

/// A text file, with its path relative to the repository.
pub(crate) struct SourceFile {
    pub(crate) path: String,
    pub(crate) text: String,
}

impl SourceFile {
    /// A file that exists in a test only: for planting what a rule must find.
    pub(crate) fn planted(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.into() }
    }

    /// Whether the file is part of a crate, and not of its tests, benchmarks or examples.
    pub(crate) fn is_product(&self) -> bool {
        let in_src = self.path.starts_with("src/") || self.path.contains("/src/");
        in_src && !self.path.ends_with("/tests.rs") && !self.path.contains("/tests/")
    }
}

/// The folder of the repository.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Reads a file of the repository.
pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Every file with this ending, in the order of their paths; build outputs and environments are left out.
pub(crate) fn files(ending: &str) -> Vec<SourceFile> {
    let mut found = Vec::new();
    walk(&root(), ending, &mut found);
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no file ends with {ending}: the walk is broken");
    found
}

fn walk(folder: &Path, ending: &str, found: &mut Vec<SourceFile>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            let hidden = name.starts_with('.') && name != ".ci" && name != ".cargo";
            if !hidden && !["target", "__pycache__", "demo-data", "bench-data", "dist"].contains(&name.as_str()) {
                walk(&entry.path(), ending, found);
            }
        } else if kind.is_file() && name.ends_with(ending) {
            let path = entry.path().strip_prefix(root()).unwrap().to_str().unwrap().to_string();
            let text = fs::read_to_string(entry.path()).unwrap();
            found.push(SourceFile { path, text });
        }
    }
}

/// The folders of the workspace's crates, the root's (`""`) first.
pub(crate) fn crates() -> Vec<String> {
    let manifest: toml::Table = read("Cargo.toml").parse().unwrap();
    let members = manifest["workspace"]["members"].as_array().unwrap();
    std::iter::once(String::new()).chain(members.iter().map(|member| member.as_str().unwrap().to_string())).collect()
}

/// A path inside a crate's folder.
pub(crate) fn in_crate(folder: &str, path: &str) -> String {
    if folder.is_empty() { path.to_string() } else { format!("{folder}/{path}") }
}

/// The manifest of a crate.
pub(crate) fn manifest(folder: &str) -> toml::Table {
    read(&in_crate(folder, "Cargo.toml")).parse().unwrap()
}

/// Fails with one line for each violation.
#[track_caller]
pub(crate) fn none_of(violations: &[String]) {
    assert!(violations.is_empty(), "\n{}\n", violations.join("\n"));
}

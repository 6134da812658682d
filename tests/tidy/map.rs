//! The map in ARCHITECTURE.md is the workspace: each crate, and each module of each crate, stands in it and is there.

use std::collections::BTreeSet;
use std::fs;

use crate::tree::{crates, in_crate, none_of, read, root};

const MAP: &str = "ARCHITECTURE.md";

#[test]
fn the_map_is_the_workspace() {
    none_of(&differences(&mapped(&read(MAP)), &modules()));
}

/// The paths of the map: rows of the tables that begin with a path in code marks.
fn mapped(text: &str) -> BTreeSet<String> {
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(path, _)| path.trim_end_matches('/').to_string()).filter(|path| path.contains('/')).collect()
}

/// Every top-level module of every crate, the Python package's modules, and the folders of tests.
fn modules() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<String> = crates().iter().map(|folder| in_crate(folder, "src")).collect();
    folders.extend(["python-bindings/python/sheaf", "tests"].map(String::from));
    for folder in folders {
        for entry in fs::read_dir(root().join(&folder)).into_iter().flatten() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let has_sources = entry.path().is_dir() && !name.starts_with('.') && name != "__pycache__";
            let is_source = name.ends_with(".rs") || (name.ends_with(".py") && name != "__init__.py");
            let is_entrance = ["lib.rs", "tests.rs"].contains(&name.as_str());
            if has_sources || (is_source && !is_entrance) {
                found.insert(format!("{folder}/{}", name.trim_end_matches(".rs").trim_end_matches(".py")));
            }
        }
    }
    found
}

fn differences(mapped: &BTreeSet<String>, there: &BTreeSet<String>) -> Vec<String> {
    let lacks = there.difference(mapped).map(|path| format!("{MAP} lacks {path}"));
    let gone = mapped.difference(there).map(|path| format!("{MAP} names {path}, which is not there"));
    lacks.chain(gone).collect()
}

#[test]
fn a_difference_is_found_both_ways() {
    let map = mapped(
        "| module | what |\n|---|---|\n| `core/src/env` | time |\n| `core/src/gone` | was |\n| `core` | a crate |\n",
    );
    assert_eq!(map.len(), 2);
    let there = BTreeSet::from(["core/src/env", "core/src/new"].map(String::from));
    assert_eq!(differences(&map, &there).len(), 2);
    assert!(modules().contains("core/src/settings") && modules().contains("tests/tidy"));
}

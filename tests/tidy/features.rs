//! The wheel, the workspace's tests and each crate alone are one build: what they share has the same features in all.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::tree::{none_of, root};

type Features = BTreeMap<String, BTreeSet<String>>;

#[test]
fn the_wheel_has_the_features_of_the_workspace() {
    let tests =
        features(&["--workspace", "--exclude", "sheaf-python", "--features", "sheaf/polars", "-e", "normal,build,dev"]);
    // A crate built alone counts too: nobody should wait for the engine because of a `-p`.
    for package in ["sheaf-python", "sheaf-connectors", "sheaf-dataset", "sheaf-sql"] {
        let alone = features(&["-p", package, "-e", "normal,build"]);
        assert!(alone.keys().any(|name| name.starts_with("datafusion v")), "the list is broken: no DataFusion in it");
        none_of(&differences(&tests, &alone));
    }
}

#[test]
fn polars_comes_only_when_asked_for() {
    let has_polars = |selection: &[&str]| features(selection).keys().any(|name| name.starts_with("polars"));
    assert!(!has_polars(&["-p", "sheaf", "-e", "normal,build"]), "the feature `polars` is off by default");
    assert!(has_polars(&["-p", "sheaf", "--features", "polars", "-e", "normal,build"]), "and on when asked for");
}

/// Each package with the feature lists it is built with (a build tool may need it a second time, with others).
fn features(selection: &[&str]) -> Features {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none", "-f", "{p}|{f}"])
        .args(selection)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    parse(&String::from_utf8(output.stdout).unwrap())
}

fn parse(tree: &str) -> Features {
    let mut packages = Features::new();
    for line in tree.lines() {
        let line = line.trim_end_matches(" (*)");
        if let Some((package, features)) = line.split_once('|') {
            packages.entry(package.to_string()).or_default().insert(features.to_string());
        }
    }
    packages
}

fn differences(tests: &Features, wheel: &Features) -> Vec<String> {
    let own = |package: &str| package.starts_with("sheaf");
    let shared = wheel
        .iter()
        .filter(|(package, _)| !own(package))
        .filter_map(|(package, wheel)| Some((package, wheel, tests.get(package)?)));
    let differ = shared.filter(|(_, wheel, tests)| !wheel.is_subset(tests));
    differ
        .map(|(package, wheel, tests)| {
            format!("{package} would be built twice:\n  tests: {tests:?}\n  wheel: {wheel:?}")
        })
        .collect()
}

#[test]
fn a_second_feature_set_is_found() {
    let tests = parse("serde v1.0.1|default,std\nlog v0.4.1|\nsheaf v0.1.0 (/x)|polars");
    assert!(differences(&tests, &parse("serde v1.0.1|default,std (*)\nsheaf v0.1.0 (/x)|\nonly v1.0.0|a")).is_empty());
    assert_eq!(differences(&tests, &parse("serde v1.0.1|default,derive,std")).len(), 1);
}

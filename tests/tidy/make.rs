//! What the commands of the Makefile are made of: asked of `make` itself, which tells and runs nothing.

use std::process::Command;

use crate::tree::root;

/// The commands that a target would run.
fn commands(target: &str) -> String {
    let output = Command::new("make")
        .args(["--no-print-directory", "--dry-run", target])
        .current_dir(root())
        .env_remove("MAKEFLAGS")
        .env_remove("PROFILE")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn make_test_formats_lints_types_and_tests_everything() {
    let told = commands("test");
    for part in [
        "cargo fmt --all --check",
        "cargo clippy --workspace --all-targets --features polars --locked -- -D warnings",
        "scripts/lint-python",
        "cargo test --workspace --exclude sheaf-python --features polars --locked --lib --bins --tests",
        "cargo test --workspace --exclude sheaf-python --features polars --locked --doc",
        "mypy --config-file python-bindings/pyproject.toml",
        "pytest python-bindings/tests",
        "pytest benches/tests",
        "scripts/test-deploy",
        "scripts/test-other-pythons",
    ] {
        assert!(told.contains(part), "`make test` does not run `{part}`:\n{told}");
    }
}

#[test]
fn tests_build_the_wheel_in_dev_and_users_commands_in_release() {
    for (target, profile) in [
        ("test", "dev"),
        ("wheel", "dev"),
        ("demo", "release"),
        ("bench", "release"),
        ("bench-runtime", "release"),
        ("bench-dataset", "release"),
        ("bench-cluster", "release"),
    ] {
        let told = commands(target);
        let lines: Vec<_> = told.lines().filter(|line| line.contains("scripts/wheel")).collect();
        assert_eq!(lines.len(), 1, "{target}: {lines:?}");
        assert!(lines[0].ends_with(&format!("\"{profile}\"")), "{target}: {lines:?}");
    }
}

#[test]
fn the_demo_runs_both_examples() {
    let told = commands("demo");
    assert!(told.contains("examples/quickstart.py") && told.contains("sheaf sql -f examples/quickstart.sql"), "{told}");
}

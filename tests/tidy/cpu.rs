//! The instructions that builds may use: what cargo tells the compiler in this repository, asked of the compiler.

use std::fs;
use std::process::Command;

use crate::tree::{read, root};

/// What the compiler may use in a crate that cargo builds from here, with this in the environment.
fn features(environment: Option<(&str, &str)>) -> String {
    let probe = tempfile::tempdir().unwrap();
    fs::create_dir(probe.path().join("src")).unwrap();
    fs::write(probe.path().join("src/lib.rs"), "").unwrap();
    let manifest = probe.path().join("Cargo.toml");
    fs::write(&manifest, "[package]\nname = \"probe\"\nedition = \"2024\"\n[workspace]\n").unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["rustc", "--quiet", "--offline", "--lib", "--manifest-path"]).arg(&manifest);
    cargo.args(["--", "--print", "cfg"]).current_dir(root()).env("CARGO_TARGET_DIR", probe.path().join("target"));
    for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS"] {
        cargo.env_remove(name);
    }
    let output = cargo.envs(environment).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The variable that README sets to build for older CPUs, and its value.
fn documented() -> (String, String) {
    let readme = read("README.md");
    let section = readme.split("### Older CPUs\n").nth(1).expect("README tells of older CPUs");
    let command = section.split("```sh\n").nth(1).and_then(|rest| rest.lines().next()).unwrap();
    let (name, rest) = command.split_once("=\"").unwrap();
    let (value, rest) = rest.split_once('"').unwrap();
    assert_eq!(rest, " make demo");
    (name.into(), value.into())
}

#[test]
fn builds_use_avx2_and_the_documented_one_for_older_cpus_nothing_of_it() {
    let (name, value) = documented();
    let newer = ["avx2", "bmi2", "fma", "lzcnt", "movbe"].map(|feature| format!("target_feature=\"{feature}\""));
    let (usual, older) = (features(None), features(Some((&name, &value))));
    for feature in newer {
        assert!(usual.contains(&feature), "{feature} is not used");
        assert!(!older.contains(&feature), "{feature} is used in a build for older CPUs");
    }
    assert!(older.contains("target_feature=\"sse2\""), "{older}");
}

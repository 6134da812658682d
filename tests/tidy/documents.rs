//! The documents are true: README's commands and examples are real, and links lead somewhere.

use std::collections::BTreeSet;

use crate::tree::{SourceFile, files, none_of, read, root};

#[test]
fn the_readme_names_two_commands() {
    let readme = read("README.md");
    let commands: BTreeSet<&str> =
        code_blocks(&readme, "sh").flat_map(str::lines).filter(|line| line.starts_with("make ")).collect();
    let named: BTreeSet<&str> = commands.iter().map(|line| line.split('#').next().unwrap_or_default().trim()).collect();
    assert_eq!(
        named,
        BTreeSet::from(["make demo", "make test"]),
        "README.md has exactly two commands for a fresh machine"
    );
    none_of(&unknown_targets(&readme, &targets(&read("Makefile"))));
}

#[test]
fn every_make_command_in_the_documents_is_a_target() {
    let targets = targets(&read("Makefile"));
    none_of(&files(".md").iter().flat_map(|file| unknown_targets(&file.text, &targets)).collect::<Vec<_>>());
}

fn targets(makefile: &str) -> BTreeSet<String> {
    let rules = makefile.lines().filter_map(|line| line.split_once(':'));
    rules
        .filter(|(name, _)| !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '-'))
        .map(|(name, _)| name.into())
        .collect()
}

/// `make NAME` in code marks or in shell blocks.
fn unknown_targets(text: &str, targets: &BTreeSet<String>) -> Vec<String> {
    let in_marks = text.split('`').skip(1).step_by(2).flat_map(str::lines);
    let commands = in_marks.chain(text.lines()).filter_map(|line| line.strip_prefix("make "));
    let names = commands
        .filter_map(|rest| rest.split_whitespace().next())
        .filter(|name| name.chars().all(|c| c.is_ascii_lowercase() || c == '-'));
    let unknown: BTreeSet<&str> = names.filter(|name| !targets.contains(*name)).collect();
    unknown.into_iter().map(|name| format!("there is no `make {name}`")).collect()
}

fn code_blocks<'a>(text: &'a str, language: &'a str) -> impl Iterator<Item = &'a str> {
    let opening = format!("```{language}\n");
    text.match_indices(&opening).map(|(at, _)| at + opening.len()).collect::<Vec<_>>().into_iter().filter_map(|start| {
        let rest = &text[start..];
        Some(&rest[..rest.find("```")?])
    })
}

#[test]
fn the_rust_example_is_a_doc_test() {
    assert!(
        read("src/lib.rs").contains("#[doc = include_str!(\"../README.md\")]"),
        "README.md is not a doc test of src/lib.rs"
    );
    let readme = read("README.md");
    let example = code_blocks(&readme, "rust").next().expect("README.md has a Rust example");
    assert!(example.contains("sheaf::"), "{example}");
}

#[test]
fn links_lead_somewhere() {
    none_of(&files(".md").iter().flat_map(dead_links).collect::<Vec<_>>());
}

/// Relative links of a page whose file is not there.
fn dead_links(file: &SourceFile) -> Vec<String> {
    let folder = root().join(&file.path).parent().unwrap().to_path_buf();
    let targets = file.text.split("](").skip(1).filter_map(|rest| rest.split([')', '#', ' ']).next());
    let relative = targets.filter(|target| !target.is_empty() && !target.contains("://"));
    relative
        .filter(|target| !folder.join(target).exists())
        .map(|target| format!("{}: dead link {target}", file.path))
        .collect()
}

#[test]
fn each_violation_is_found() {
    let targets = targets("demo: wheel ## x\nlint-rust: venv\nVENV := x\n");
    assert_eq!(targets, BTreeSet::from(["demo".to_string(), "lint-rust".to_string()]));
    assert_eq!(unknown_targets("Run `make fly` and `make demo`.\n```sh\nmake swim\n```\n", &targets).len(), 2);
    let page = SourceFile::planted("README.md", "[a](ARCHITECTURE.md) [b](https://x.y) [c](no/such.md#x)");
    assert_eq!(dead_links(&page).len(), 1);
    assert_eq!(code_blocks("```rust\nlet a;\n```\n```sh\nls\n```", "rust").collect::<Vec<_>>(), ["let a;\n"]);
}

#[test]
fn the_readme_shows_the_measured_speeds() {
    let text = read("README.md");
    let table_of = |name: &str| {
        let begun = text.split(&format!("<!-- {name} table: begin")).nth(1).unwrap();
        begun.split(&format!("<!-- {name} table: end -->")).next().unwrap()
    };
    for (name, rows) in [
        ("speed", ["| Q1 |", "| Q22 |", "| **all 22** |", "| CSV → Parquet", "| `map_batches`: NumPy"]),
        ("dataset", ["| word count", "| `map_batches`, heavy", "| groupby, 10 M", "| join, 10 M", "| sort of 5 GB"]),
        ("cluster", ["| Q1 |", "| Q22 |", "| **all 22** |", "| first row", "a node killed"]),
    ] {
        let table = table_of(name);
        for row in rows {
            assert!(table.contains(row), "README's {name} table has no row {row}");
        }
        assert!(!table.contains("/tmp/") && !table.contains("/home/"), "{name}: paths of the machine that measured");
    }
}

#[test]
fn the_programs_have_the_allocator_and_the_instructions_that_readme_says() {
    for program in ["src/main.rs", "python-bindings/src/lib.rs"] {
        let text = read(program);
        assert!(text.contains("#[global_allocator]") && text.contains("sheaf::allocator::install()"), "{program}");
    }
    let flags = read(".cargo/config.toml");
    assert!(flags.contains(r#"[target.x86_64-unknown-linux-gnu]"#) && flags.contains("target-cpu=x86-64-v3"));
    const { assert!(cfg!(not(all(target_arch = "x86_64", target_os = "linux"))) || cfg!(target_feature = "avx2")) };
}

#[test]
fn the_readme_names_the_platforms_of_the_wheel() {
    let readme = read("README.md");
    let platforms = readme.split("## Platforms").nth(1).and_then(|rest| rest.split("\n## ").next()).unwrap_or_default();
    let project: toml::Table = read("python-bindings/pyproject.toml").parse().unwrap();
    let classifiers = project["project"]["classifiers"].as_array().unwrap().iter().filter_map(toml::Value::as_str);
    let versions: Vec<_> =
        classifiers.filter_map(|text| text.strip_prefix("Programming Language :: Python :: 3.")).collect();
    assert_eq!(versions.len(), 3, "{versions:?}");
    for version in versions {
        assert!(platforms.contains(&format!("3.{version}")), "README names no Python 3.{version}");
    }
    assert!(platforms.contains("Linux on x86-64 with AVX2") && platforms.contains("ARM64"), "{platforms}");
}

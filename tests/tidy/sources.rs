//! What every source file keeps to: it says what it is, has a name that says something, and leaves nothing for later.

use crate::tree::{SourceFile, files, none_of};

/// Names that say nothing of what is inside.
const BANNED_NAMES: [&str; 8] = ["util", "utils", "common", "helper", "helpers", "manager", "misc", "stuff"];

/// Files that may read environment variables: the settings, and the stores' credentials.
const READS_ENVIRONMENT: [&str; 2] = ["core/src/settings.rs", "connectors/src/stores.rs"];

/// Files that may ask for the time of day: what queries and folders show, and nothing that waits or decides; and the
/// age of cached files, which outlive the machine's other clocks (one that was set back makes none of them stay).
const TELLS_THE_TIME: [&str; 4] = [
    "core/src/env.rs",
    "core/src/local/logs.rs",
    "dataset/src/session.rs",
    "python-bindings/python/sheaf/_runtime/environment/cache.py",
];

#[test]
fn every_file_opens_with_its_doc() {
    none_of(&files(".rs").iter().filter_map(lacks_doc).collect::<Vec<_>>());
    none_of(&files(".py").iter().filter_map(lacks_doc).collect::<Vec<_>>());
}

fn lacks_doc(file: &SourceFile) -> Option<String> {
    let opening = if file.path.ends_with(".rs") { "//! " } else { "\"\"\"" };
    let first = file.text.lines().find(|line| !line.starts_with("#!/"))?;
    (!first.starts_with(opening))
        .then(|| format!("{}: must open with {opening}: what it is, where it stands", file.path))
}

#[test]
fn names_say_what_is_inside() {
    none_of(&files(".rs").iter().filter_map(|file| vague_name(&file.path)).collect::<Vec<_>>());
    none_of(&files(".py").iter().filter_map(|file| vague_name(&file.path)).collect::<Vec<_>>());
}

/// Ray's name of a package, which programs import.
const RAYS_NAME: &str = "python-bindings/python/sheaf/util/";

fn vague_name(path: &str) -> Option<String> {
    let path = path.strip_prefix(RAYS_NAME).unwrap_or(path);
    let stem = |part: &str| part.split('.').next().unwrap_or_default().trim_start_matches('_').to_lowercase();
    let vague = path.split('/').map(stem).find(|part| BANNED_NAMES.contains(&part.as_str()))?;
    Some(format!("{path}: {vague:?} says nothing of what is inside"))
}

#[test]
fn the_environment_is_read_in_one_place() {
    none_of(&files(".rs").iter().flat_map(environment_reads).collect::<Vec<_>>());
}

fn environment_reads(file: &SourceFile) -> Vec<String> {
    if !file.is_product() || READS_ENVIRONMENT.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let reads = |line: &str| {
        ["env::var(", "env::var_os(", "env::vars(", "env::vars_os("].iter().any(|call| line.contains(call))
    };
    lines_where(file, reads, "environment variables are read in core::settings only")
}

/// The clock of a machine may be set at any time, forth and back: what is overdue is told by one that cannot be.
#[test]
fn the_time_of_day_decides_nothing() {
    none_of(&files(".rs").iter().flat_map(times_of_day).collect::<Vec<_>>());
    let python = files(".py");
    none_of(&python.iter().filter(|file| file.path.starts_with(PYTHON)).flat_map(times_of_day).collect::<Vec<_>>());
}

/// What runs beside the engine, in Python.
const PYTHON: &str = "python-bindings/python/";

fn times_of_day(file: &SourceFile) -> Vec<String> {
    if !(file.is_product() || file.path.starts_with(PYTHON)) || TELLS_THE_TIME.contains(&file.path.as_str()) {
        return Vec::new();
    }
    let reads = |line: &str| ["SystemTime::", "time.time()", "datetime.now("].iter().any(|each| line.contains(each));
    lines_where(file, reads, "waits and decisions go by clocks that nobody sets: Instant, time.monotonic")
}

#[test]
fn nothing_is_left_for_later() {
    let everything = [".rs", ".py", ".md", ".toml", ".slt"].into_iter().flat_map(files);
    none_of(&everything.flat_map(|file| left_for_later(&file)).collect::<Vec<_>>());
}

fn left_for_later(file: &SourceFile) -> Vec<String> {
    // The words are put together here, so that this file does not find itself.
    let words =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X:"], ["unimplemented", "!("], ["todo", "!("]].map(|word| word.concat());
    lines_where(file, |line| words.iter().any(|word| line.contains(word)), "finish it, or leave it out")
}

fn lines_where(file: &SourceFile, matches: impl Fn(&str) -> bool, why: &str) -> Vec<String> {
    let lines =
        file.text.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//!") && matches(line));
    lines.map(|(at, line)| format!("{}:{}: {}: {why}", file.path, at + 1, line.trim())).collect()
}

#[test]
fn each_violation_is_found() {
    let planted = |path: &str, text: &str| SourceFile::planted(path, text);
    assert!(lacks_doc(&planted("core/src/a.rs", "use x;\n")).is_some());
    assert!(lacks_doc(&planted("core/src/a.rs", "//! What it is.\n")).is_none());
    assert!(lacks_doc(&planted("a.py", "#!/usr/bin/env python3\n\"\"\"What it is.\"\"\"\n")).is_none());
    assert!(lacks_doc(&planted("a.py", "import os\n")).is_some());

    assert!(vague_name("core/src/utils.rs").is_some());
    assert!(vague_name("dataset/src/common/join.rs").is_some());
    assert!(vague_name("dataset/src/join.rs").is_none());

    let read = "    let home = std::env::var_os(\"HOME\");\n";
    assert_eq!(environment_reads(&planted("dataset/src/a.rs", read)).len(), 1);
    assert!(environment_reads(&planted("core/src/settings.rs", read)).is_empty());
    assert!(environment_reads(&planted("tests/engine/a.rs", read)).is_empty());

    let later = ["// TO", "DO: the rest\n"].concat();
    assert_eq!(left_for_later(&planted("a.rs", &later)).len(), 1);
}

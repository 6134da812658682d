//! Files and functions stay small enough to be read.

use crate::tree::{SourceFile, files, none_of};

const FILE_LINES: usize = 600;
const FUNCTION_LINES: usize = 100;

#[test]
fn files_and_functions_stay_small() {
    let mut violations = Vec::new();
    for file in files(".rs").iter().chain(&files(".py")) {
        violations.extend(too_large(file));
    }
    none_of(&violations);
}

/// What is over the limits in a file: lines of code only, so that prose is never cut to fit.
fn too_large(file: &SourceFile) -> Vec<String> {
    let mut violations = Vec::new();
    let lines = code_lines(&file.text);
    if lines > FILE_LINES {
        violations.push(format!("{}: {lines} lines of code, the limit is {FILE_LINES}", file.path));
    }
    let text: Vec<&str> = file.text.lines().collect();
    for (at, line) in text.iter().enumerate() {
        let Some(name) = function_name(line) else { continue };
        let lines = code_lines(&text[at..function_end(&text, at)].join("\n"));
        if lines > FUNCTION_LINES {
            violations.push(format!(
                "{}:{}: {name} has {lines} lines, the limit is {FUNCTION_LINES}",
                file.path,
                at + 1
            ));
        }
    }
    violations
}

fn code_lines(text: &str) -> usize {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with("//") && !line.starts_with('#'))
        .count()
}

/// The name of the function that a line begins, in Rust or Python.
fn function_name(line: &str) -> Option<&str> {
    let mut rest = line.trim_start();
    for word in ["pub ", "pub(crate) ", "pub(super) ", "const ", "async ", "unsafe ", "extern \"C\" "] {
        rest = rest.strip_prefix(word).unwrap_or(rest);
    }
    let rest = rest.strip_prefix("fn ").or_else(|| rest.strip_prefix("def "))?;
    rest.split(|c: char| !(c.is_alphanumeric() || c == '_')).next()
}

/// The line after a function: sources are formatted, so a function ends at the next line that is not indented deeper,
/// other than the end of its signature.
fn function_end(text: &[&str], start: usize) -> usize {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let own = indent(text[start]);
    let inside = |line: &&str| line.is_empty() || indent(line) > own || line.trim_start().starts_with(')');
    let in_where = |line: &&str| line.trim() == "where" || line.trim() == "{";
    start + 1 + text[start + 1..].iter().take_while(|line| inside(line) || in_where(line)).count()
}

#[test]
fn a_long_file_and_a_long_function_are_found() {
    let body = "    let x = 1;\n".repeat(FUNCTION_LINES);
    let long = format!(
        "impl X {{\n}}\npub async fn long(\n    a: u8,\n) -> u8\nwhere\n    u8: Copy,\n{{\n{body}}}\nfn short() {{}}\n"
    );
    let found = too_large(&SourceFile::planted("a.rs", &long));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].starts_with("a.rs:3: long has"), "{found:?}");

    let python = format!("def long(\n    a,\n):\n{}\ndef short():\n    pass\n", "    a = 1\n".repeat(FUNCTION_LINES));
    assert_eq!(too_large(&SourceFile::planted("a.py", &python)).len(), 1);

    let lines = "const A: u8 = 1;\n// why\n\n".repeat(FILE_LINES);
    assert!(too_large(&SourceFile::planted("b.rs", &lines)).is_empty());
    assert_eq!(too_large(&SourceFile::planted("b.rs", &format!("{lines}const B: u8 = 1;"))).len(), 1);
}

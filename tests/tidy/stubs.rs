//! No crate, module or function pretends: each source file of the product has something in it.

use crate::tree::{SourceFile, files, none_of};

#[test]
fn no_source_is_a_stub() {
    none_of(&files(".rs").iter().filter(|file| file.is_product()).filter_map(stub).collect::<Vec<_>>());
}

fn stub(file: &SourceFile) -> Option<String> {
    let syntax = syn::parse_file(&file.text).unwrap_or_else(|error| panic!("{}: {error}", file.path));
    let empty = syntax.items.is_empty();
    let placeholder =
        file.text.lines().take_while(|line| line.starts_with("//!")).any(|line| line.contains("placeholder"));
    (empty || placeholder).then(|| format!("{}: nothing is in it", file.path))
}

#[test]
fn a_stub_is_found() {
    assert!(stub(&SourceFile::planted("flight/src/lib.rs", "//! Flight.\n")).is_some());
    assert!(stub(&SourceFile::planted("flight/src/lib.rs", "//! placeholder\nmod a;\n")).is_some());
    assert!(stub(&SourceFile::planted("flight/src/lib.rs", "//! Flight.\nmod encode;\n")).is_none());
}

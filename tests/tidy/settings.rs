//! `docs/settings.md` is the table of `core::settings`, written out. `UPDATE=1` writes it anew.

use std::fmt::Write as _;
use std::fs;

use sheaf_core::settings::{KEYS, Key};

use crate::tree::{read, root};

const PAGE: &str = "docs/settings.md";
/// More keys than this and nobody reads the table.
const MAX_KEYS: usize = 30;

fn page(keys: &[Key]) -> String {
    let mut page = String::from(
        "# Settings\n\nWhat users tune. The names are the same in Rust (`Options`) and Python (`sf.Session(memory_limit=…)`), and on the\n\
         command line with dashes (`--memory-limit 4GiB`). This page is generated from `core/src/settings.rs`.\n\n\
         | setting | default | what it does |\n|---|---|---|\n",
    );
    for key in keys {
        let _ = writeln!(page, "| `{}` | {} | {} |", key.name, key.default, key.doc);
    }
    page
}

#[test]
fn the_settings_page_is_the_table() {
    if std::env::var_os("UPDATE").is_some() {
        fs::write(root().join(PAGE), page(KEYS)).unwrap();
    }
    assert_eq!(read(PAGE), page(KEYS), "{PAGE} is out of date: run UPDATE=1 cargo test --test tidy settings");
}

#[test]
fn the_table_stays_short_and_every_key_is_told() {
    assert!(KEYS.len() <= MAX_KEYS, "{} settings, the limit is {MAX_KEYS}", KEYS.len());
    assert!(KEYS.iter().all(|key| !key.doc.is_empty() && !key.default.is_empty()));
    let new = Key { name: "new", default: "1", doc: "New." };
    assert_ne!(page(KEYS), page(&[KEYS, &[new]].concat()), "a new key changes the page");
}

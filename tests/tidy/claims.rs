//! `docs/dev/*.md`: every promise that is ticked names a test that exists.

use std::path::Path;

use crate::tree::{none_of, read, root};

/// The pages, and how many claims each has at the least.
const PAGES: [(&str, usize); 4] = [
    ("docs/dev/foundation.md", 80),
    ("docs/dev/runtime.md", 9),
    ("docs/dev/datasets.md", 100),
    ("docs/dev/cluster.md", 2),
];

#[test]
fn every_ticked_claim_names_a_test_that_exists() {
    for (path, least) in PAGES {
        let page = read(path);
        let claims = claims(&page);
        assert!(claims.len() >= least, "only {} claims: the table of {path} is not read", claims.len());
        none_of(&claims.iter().filter(|claim| claim.ticked).filter_map(unproved).collect::<Vec<_>>());
    }
}

struct Claim<'a> {
    text: &'a str,
    proofs: Vec<&'a str>,
    ticked: bool,
}

fn claims(page: &str) -> Vec<Claim<'_>> {
    let rows = page.lines().filter_map(|line| {
        let (text, rest) = line.strip_prefix("| ")?.split_once(" | `")?;
        let (proof, ticked) = rest.split_once(" | ")?;
        Some(Claim { text, proofs: proof.split('`').step_by(2).collect(), ticked: ticked.contains('✓') })
    });
    rows.collect()
}

fn unproved(claim: &Claim<'_>) -> Option<String> {
    let missing: Vec<_> = claim.proofs.iter().filter(|proof| !proof.is_empty() && !is_there(proof)).collect();
    (!missing.is_empty()).then(|| format!("«{}»: there is no {missing:?}", claim.text))
}

fn is_there(proof: &str) -> bool {
    let (path, test) = proof.split_once("::").unwrap_or((proof, ""));
    root().join(path).is_file() && (test.is_empty() || names_test(&read(path), Path::new(path), test))
}

/// Whether a function of this name is there and is a test.
fn names_test(text: &str, path: &Path, test: &str) -> bool {
    if path.extension().is_some_and(|ending| ending == "py") {
        return test.starts_with("test_") && text.contains(&format!("def {test}("));
    }
    let lines: Vec<_> = text.lines().collect();
    let place = lines.iter().position(|line| line.contains(&format!("fn {test}(")));
    place.is_some_and(|at| lines[at.saturating_sub(3)..at].iter().any(|line| is_test_attribute(line)))
}

fn is_test_attribute(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("#[test]") || line.starts_with("#[tokio::test")
}

#[test]
fn a_claim_without_its_test_is_found() {
    let own = "`tests/tidy/claims.rs::a_claim_without_its_test_is_found`";
    let page = format!(
        "| It works | `tests/tidy/claims.rs::no_such_test` | ✓ |\n| Later | `tests/x.rs::y` | |\n\
         | This | {own} | ✓ |\n| One of two | {own}, `tests/tidy/claims.rs::unproved` | ✓ |\n"
    );
    let claims = claims(&page);
    assert_eq!(claims.iter().map(|claim| claim.ticked).collect::<Vec<_>>(), [true, false, true, true]);
    assert!(unproved(&claims[0]).is_some());
    assert!(unproved(&claims[1]).is_some());
    assert!(unproved(&claims[2]).is_none());
    assert!(unproved(&claims[3]).is_some(), "`unproved` is no test");
}

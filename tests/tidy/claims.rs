//! `docs/dev/foundation.md`: every promise that is ticked names a test that exists.

use std::path::Path;

use crate::tree::{none_of, read, root};

const PAGE: &str = "docs/dev/foundation.md";

#[test]
fn every_ticked_claim_names_a_test_that_exists() {
    let page = read(PAGE);
    let claims = claims(&page);
    assert!(claims.len() > 80, "only {} claims: the table is not read", claims.len());
    none_of(&claims.iter().filter(|claim| claim.ticked).filter_map(unproved).collect::<Vec<_>>());
}

struct Claim<'a> {
    text: &'a str,
    proof: &'a str,
    ticked: bool,
}

fn claims(page: &str) -> Vec<Claim<'_>> {
    let rows = page.lines().filter_map(|line| {
        let (text, rest) = line.strip_prefix("| ")?.split_once(" | `")?;
        let (proof, rest) = rest.split_once('`')?;
        Some(Claim { text, proof, ticked: rest.contains('✓') })
    });
    rows.collect()
}

fn unproved(claim: &Claim<'_>) -> Option<String> {
    let (path, test) = claim.proof.split_once("::").unwrap_or((claim.proof, ""));
    let proved = root().join(path).is_file() && (test.is_empty() || names_test(&read(path), Path::new(path), test));
    (!proved).then(|| format!("{PAGE}: «{}»: there is no {}", claim.text, claim.proof))
}

fn names_test(text: &str, path: &Path, test: &str) -> bool {
    let keyword = if path.extension().is_some_and(|ending| ending == "py") { "def" } else { "fn" };
    text.contains(&format!("{keyword} {test}("))
}

#[test]
fn a_claim_without_its_test_is_found() {
    let page = "| It works | `tests/tidy/claims.rs::no_such_test` | ✓ |\n| Later | `tests/x.rs::y` | |\n\
                | This | `tests/tidy/claims.rs::a_claim_without_its_test_is_found` | ✓ |\n";
    let claims = claims(page);
    assert_eq!(claims.iter().map(|claim| claim.ticked).collect::<Vec<_>>(), [true, false, true]);
    assert!(unproved(&claims[0]).is_some());
    assert!(unproved(&claims[1]).is_some());
    assert!(unproved(&claims[2]).is_none());
}

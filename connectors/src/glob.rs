//! Globs over the paths of a store: `*` and `?` inside a segment, `**` over segments, `[a-z]` and `{a,b}`.

use regex::Regex;
use sheaf_core::{Error, Result};

/// A compiled glob.
#[derive(Debug, Clone)]
pub struct Glob {
    pattern: String,
    files: Regex,
    folders: Regex,
}

impl Glob {
    /// Compiles a path if it has glob characters, and splits off the folder before the first of them.
    ///
    /// # Errors
    /// [`sheaf_core::ErrorKind::InvalidInput`] for a bracket or brace that is not closed.
    pub(crate) fn parse(path: &str) -> Result<Option<(String, Self)>> {
        let Some(first) = path.find(['*', '?', '[', '{']) else { return Ok(None) };
        let stem = path[..first].rfind('/').map_or("", |slash| &path[..slash]);
        let pattern = translate(path.trim_end_matches('/'))?;
        let compile =
            |text: String| Regex::new(&text).map_err(|error| Error::invalid(format!("{path} is not a glob: {error}")));
        let (files, folders) = (compile(format!("^{pattern}$"))?, compile(format!("^{pattern}/"))?);
        let glob = Self { pattern: path.to_string(), files, folders };
        Ok(Some((stem.to_string(), glob)))
    }

    /// The text that it was compiled from.
    pub(crate) fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Whether the glob matches the whole path of a file.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.files.is_match(path)
    }

    /// The part of the path that is a folder which the glob matches, if there is one.
    #[must_use]
    pub fn folder_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        self.folders.find(path).map(|found| found.as_str().trim_end_matches('/'))
    }
}

/// The glob as a regular expression, without its anchors.
fn translate(glob: &str) -> Result<String> {
    let bad = |what: char| {
        Error::invalid(format!("the glob {glob} has a {what} that is not closed"))
            .with_hint(format!("write [{what}] to match the character itself"))
    };
    let mut out = String::from("(?s)");
    let mut braces = 0_usize;
    let mut rest = glob.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '*' if rest.next_if_eq(&'*').is_some() => {
                // `**/` also matches no folder at all.
                out.push_str(if rest.next_if_eq(&'/').is_some() { "(?:.*/)?" } else { ".*" });
            }
            '*' => out.push_str("[^/]*"),
            '?' => out.push_str("[^/]"),
            '[' => {
                let mut class = String::new();
                loop {
                    match rest.next() {
                        Some(']') if !class.is_empty() => break,
                        Some(inner) => class.push(inner),
                        None => return Err(bad('[')),
                    }
                }
                let (not, class) = match class.strip_prefix(['!', '^']) {
                    Some(class) => ("^", class.to_string()),
                    None => ("", class),
                };
                let class = class.replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]").replace('&', "\\&");
                out.push_str(&format!("[{not}{class}]"));
            }
            '{' => {
                braces += 1;
                out.push_str("(?:");
            }
            '}' if braces > 0 => {
                braces -= 1;
                out.push(')');
            }
            ',' if braces > 0 => out.push('|'),
            c => out.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    if braces > 0 {
        return Err(bad('{'));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn glob(text: &str) -> Glob {
        Glob::parse(text).unwrap().unwrap().1
    }

    #[test]
    fn stars_stay_inside_a_segment_and_double_stars_do_not() {
        assert!(glob("a/*.csv").matches("a/b.csv"));
        assert!(!glob("a/*.csv").matches("a/b/c.csv"));
        assert!(!glob("a/*.csv").matches("a/bxcsv"));
        for path in ["a/x.csv", "a/b/x.csv", "a/b/c/x.csv"] {
            assert!(glob("a/**/*.csv").matches(path), "{path}");
        }
    }

    #[test]
    fn classes_and_alternatives_match() {
        assert!(glob("part-[0-9].csv").matches("part-7.csv"));
        assert!(!glob("part-[!0-9].csv").matches("part-7.csv"));
        assert!(glob("{a,b*}/x").matches("bcd/x"));
        assert!(glob("a[[]1]*").matches("a[1].csv"));
        assert!(Glob::parse("a{b,c").is_err());
    }

    #[test]
    fn the_stem_is_the_folder_before_the_glob() {
        assert_eq!(Glob::parse("a/b/c*/d").unwrap().unwrap().0, "a/b");
        assert_eq!(Glob::parse("*.csv").unwrap().unwrap().0, "");
        assert!(Glob::parse("plain/path.csv").unwrap().is_none());
    }

    #[test]
    fn folders_that_match_are_found_in_the_paths_of_files() {
        assert_eq!(glob("t/year=*").folder_of("t/year=1/month=2/x.csv"), Some("t/year=1"));
        assert_eq!(glob("t/year=*").folder_of("t/other/x.csv"), None);
    }
}

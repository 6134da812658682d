//! Completion and the check for complete statements, as the line editor asks for them.

use std::fs;

use rustyline::completion::{Completer, Pair};
use rustyline::validate::{ValidationContext, ValidationResult, Validator};
use rustyline::{Context, Helper, Highlighter, Hinter};

use super::commands::{self, Command};
use super::names::Names;
use super::scan::{Place, scan};

/// More candidates than this help nobody.
const MOST: usize = 200;

/// What the line editor asks about a line.
#[derive(Debug, Default, Helper, Highlighter, Hinter)]
pub(super) struct Completion {
    names: Names,
}

impl Completion {
    /// Takes the names that are known now.
    pub(super) fn learn(&mut self, names: Names) {
        self.names = names;
    }

    /// Where the completed word begins, and what it may become.
    fn candidates(&self, text: &str) -> (usize, Vec<Pair>) {
        if let Some(command) = text.trim_start().strip_prefix('\\').filter(|rest| !rest.contains(char::is_whitespace)) {
            let names = commands::NAMES.iter().map(|name| pair(name, &format!("{name} ")));
            return (text.len() - command.len(), starting(names, command));
        }
        let (start, mut found) = match scan(text).place {
            Place::Comment => (text.len(), Vec::new()),
            Place::String(start) => files(text, start),
            Place::Name(start) => (start, self.quoted(text, &text[start..])),
            Place::Code => self.words(text),
        };
        found.truncate(MOST);
        (start, found)
    }

    fn words(&self, text: &str) -> (usize, Vec<Pair>) {
        let start = text
            .rfind(|char: char| !(char.is_alphanumeric() || char == '_'))
            .map_or(0, |at| at + text[at..].chars().next().map_or(0, char::len_utf8));
        let word = &text[start..];
        if let Some(columns) = text[..start].strip_suffix('.').and_then(|before| self.columns_of(before)) {
            return (start, starting(columns.iter().map(|name| pair(name, &in_sql(name))), word));
        }
        if word.is_empty() {
            return (start, Vec::new());
        }
        let lower = word.chars().all(|char| !char.is_uppercase());
        let keywords = Names::keywords().map(|name| {
            let name = if lower { name.to_lowercase() } else { name.to_string() };
            pair(&name, &format!("{name} "))
        });
        let functions = self.names.functions.iter().map(|name| pair(name, &format!("{name}(")));
        let tables = self.names.tables.keys().map(|name| pair(name, &in_sql(name)));
        let columns = self.columns(text).into_iter().map(|name| pair(name, &in_sql(name)));
        (start, starting(columns.chain(tables).chain(functions).chain(keywords), word))
    }

    /// Names inside of double quotes.
    fn quoted(&self, text: &str, word: &str) -> Vec<Pair> {
        let names = self.columns(text).into_iter().chain(self.names.tables.keys().map(String::as_str));
        starting(names.map(|name| pair(name, &format!("{}\"", name.replace('"', "\"\"")))), word)
    }

    /// The columns of the table whose name ends this text.
    fn columns_of(&self, text: &str) -> Option<&Vec<String>> {
        let text = text.trim_end_matches('"');
        let start = text.rfind(|char: char| !(char.is_alphanumeric() || char == '_')).map_or(0, |at| at + 1);
        self.names.tables.get(text.get(start..)?)
    }

    /// The columns of the tables that the text names; of all tables where it names none yet.
    fn columns(&self, text: &str) -> Vec<&str> {
        let named: Vec<_> = self.names.tables.iter().filter(|(table, _)| text.contains(table.as_str())).collect();
        let tables = if named.is_empty() { self.names.tables.iter().collect() } else { named };
        let mut columns: Vec<&str> =
            tables.iter().flat_map(|(_, columns)| columns.iter().map(String::as_str)).collect();
        columns.sort_unstable();
        columns.dedup();
        columns
    }
}

impl Completer for Completion {
    type Candidate = Pair;

    fn complete(&self, line: &str, pos: usize, _: &Context<'_>) -> rustyline::Result<(usize, Vec<Pair>)> {
        Ok(self.candidates(&line[..pos]))
    }
}

impl Validator for Completion {
    fn validate(&self, context: &mut ValidationContext<'_>) -> rustyline::Result<ValidationResult> {
        let text = context.input();
        let complete = text.trim().is_empty() || Command::parse(text).is_some() || scan(text).ended;
        Ok(if complete { ValidationResult::Valid(None) } else { ValidationResult::Incomplete })
    }
}

fn pair(display: &str, replacement: &str) -> Pair {
    Pair { display: display.to_string(), replacement: replacement.to_string() }
}

fn starting(names: impl Iterator<Item = Pair>, word: &str) -> Vec<Pair> {
    let word = word.to_lowercase();
    let mut found: Vec<Pair> = names.filter(|name| name.display.to_lowercase().starts_with(&word)).collect();
    // A name may be a function and a keyword; the first one, the more special, stays.
    let mut seen = std::collections::HashSet::new();
    found.retain(|name| seen.insert(name.display.to_lowercase()));
    found
}

/// A name as SQL needs it written: anything but lower-case letters, digits and `_` is quoted.
fn in_sql(name: &str) -> String {
    let plain = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_';
    if name.chars().all(plain) && !name.starts_with(|char: char| char.is_ascii_digit()) {
        return name.to_string();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Paths of the local disk inside of a string; folders end with `/`, so that completion goes on in them.
fn files(text: &str, start: usize) -> (usize, Vec<Pair>) {
    let path = &text[start..];
    let split = path.rfind('/').map_or(0, |at| at + 1);
    let (folder, begin) = path.split_at(split);
    let Ok(entries) = fs::read_dir(if folder.is_empty() { "." } else { folder }) else {
        return (start + split, Vec::new());
    };
    let mut found: Vec<Pair> = entries
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let name = entry.file_name().into_string().ok()?;
            let hidden = name.starts_with('.') && !begin.starts_with('.');
            let end = if entry.path().is_dir() { "/" } else { "'" };
            (name.starts_with(begin) && !hidden).then(|| pair(&name, &format!("{name}{end}")))
        })
        .collect();
    found.sort_by(|a, b| a.display.cmp(&b.display));
    (start + split, found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn completion() -> Completion {
        let columns = |names: &[&str]| names.iter().map(|name| (*name).to_string()).collect();
        let tables = [
            ("flights".to_string(), columns(&["carrier", "Dep Delay", "dest"])),
            ("planes".to_string(), columns(&["tailnum", "seats"])),
        ];
        Completion { names: Names { functions: vec!["sum".into(), "date_trunc".into()], tables: tables.into() } }
    }

    fn complete(text: &str) -> Vec<String> {
        completion().candidates(text).1.into_iter().map(|pair| pair.replacement).collect()
    }

    #[test]
    fn words_become_columns_tables_functions_and_keywords() {
        assert_eq!(complete("sel"), ["select "]);
        assert_eq!(complete("SEL"), ["SELECT "]);
        assert_eq!(complete("SELECT su"), ["sum("]);
        assert_eq!(complete("SELECT * FROM fl"), ["flights"]);
        assert_eq!(complete("SELECT * FROM flights WHERE carr"), ["carrier"]);
        assert_eq!(complete("SELECT * FROM flights WHERE tail"), Vec::<String>::new(), "planes is not named");
        assert_eq!(complete("SELECT de"), ["\"Dep Delay\"", "dest", "desc ", "describe "]);
        assert_eq!(complete("SELECT planes.s"), ["seats"]);
        assert_eq!(complete("SELECT \"Dep"), ["Dep Delay\""]);
        assert_eq!(complete("\\ti"), ["timing "]);
        assert_eq!(complete("SELECT 1 -- se"), Vec::<String>::new());
    }

    #[test]
    fn strings_become_files() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a.csv"), "").unwrap();
        fs::write(folder.path().join(".hidden"), "").unwrap();
        fs::create_dir(folder.path().join("august")).unwrap();
        let at = folder.path().display();
        assert_eq!(complete(&format!("SELECT * FROM '{at}/a")), ["a.csv'", "august/"]);
        assert_eq!(complete(&format!("SELECT * FROM '{at}/")), ["a.csv'", "august/"]);
        assert_eq!(complete("SELECT * FROM '/no/such/folder/a"), Vec::<String>::new());
        let (start, _) = completion().candidates("SELECT * FROM 'x/y");
        assert_eq!(start, 17, "only the file's name is replaced");
    }
}

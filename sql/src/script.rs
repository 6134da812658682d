//! A script of several statements, taken apart by the parser: a `;` in a string or a comment ends nothing.

use datafusion::sql::parser::{DFParser, Statement};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::tokenizer::{Location, Token, Tokenizer};
use sheaf_connectors::error::from_datafusion;
use sheaf_core::{Error, ErrorKind, Result};

use crate::mend::mend;

/// The statements of a script, in order, each as it is written, without its `;`.
///
/// # Errors
/// [`ErrorKind::Parse`] with the line and column of a string or comment that does not end.
///
/// ```
/// let script = "SELECT ';'; -- one; two\nSELECT 2;";
/// assert_eq!(sheaf_sql::split(script).unwrap(), ["SELECT ';'", "-- one; two\nSELECT 2"]);
/// ```
pub fn split(script: &str) -> Result<Vec<String>> {
    let tokens = Tokenizer::new(&GenericDialect {}, script)
        .tokenize_with_location()
        .map_err(|error| Error::new(ErrorKind::Parse, error.to_string()))?;
    let ends = tokens.iter().filter(|token| token.token == Token::SemiColon).map(|token| token.span.start);
    let mut statements = Vec::new();
    let mut begin = 0;
    for end in ends.map(|at| offset(script, at)).chain([script.len()]) {
        let text = script[begin..end].trim();
        if has_code(text) {
            statements.push(text.to_string());
        }
        begin = (end + 1).min(script.len());
    }
    Ok(statements)
}

/// The byte at which a line and column (both from 1, columns in characters) stand.
fn offset(text: &str, at: Location) -> usize {
    let line = at.line.saturating_sub(1) as usize;
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let column = at.column.saturating_sub(1) as usize;
    text[start..].char_indices().nth(column).map_or(text.len(), |(index, _)| start + index)
}

/// Whether there is anything but comments and space.
fn has_code(text: &str) -> bool {
    Tokenizer::new(&GenericDialect {}, text)
        .tokenize()
        .is_ok_and(|tokens| tokens.iter().any(|token| !matches!(token, Token::Whitespace(_) | Token::EOF)))
}

pub(crate) fn parse(script: &str) -> Result<Vec<Statement>> {
    let mut statements = DFParser::parse_sql(script).map(Vec::from).map_err(from_datafusion)?;
    statements.iter_mut().try_for_each(mend)?;
    Ok(statements)
}

/// The one statement of a text.
pub(crate) fn parse_one(text: &str) -> Result<Statement> {
    let mut statements = parse(text)?;
    match (statements.pop(), statements.len()) {
        (Some(statement), 0) => Ok(statement),
        (None, _) => Err(Error::new(ErrorKind::Parse, "there is no statement in the text")),
        (Some(_), more) => Err(Error::new(ErrorKind::Parse, format!("there are {} statements in the text", more + 1))
            .with_hint("run them one by one")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_end_at_semicolons_that_are_not_text() {
        let script = "-- a; b\nSELECT 'é;x' AS \"q;\";\n/* ; */\nCOPY t TO 'out;.csv'; ; -- the end";
        let statements = split(script).unwrap();
        assert_eq!(statements, ["-- a; b\nSELECT 'é;x' AS \"q;\"", "/* ; */\nCOPY t TO 'out;.csv'"]);
        assert_eq!(split("SELECT 'open").unwrap_err().kind(), ErrorKind::Parse);
    }

    #[test]
    fn errors_say_where() {
        let error = parse_one("SELEC 1").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Parse);
        assert!(error.to_string().contains("Line: 1, Column: 1"), "{error}");
        assert!(parse_one("").unwrap_err().to_string().contains("no statement"));
        assert!(parse_one("SELECT 1; SELECT 2").unwrap_err().to_string().contains("2 statements"));
    }
}

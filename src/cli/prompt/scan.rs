//! Reads SQL that is still being typed: where the cursor stands, and whether the text is complete.

/// What the end of a text is inside of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// SQL itself.
    Code,
    /// A string that begins at this byte, after its quote.
    String(usize),
    /// A quoted name that begins at this byte, after its quote.
    Name(usize),
    /// A comment.
    Comment,
}

/// What is known of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Scan {
    pub(super) place: Place,
    /// Whether the last thing that is no space or comment is a `;`.
    pub(super) ended: bool,
}

/// Reads a text to its end.
pub(super) fn scan(text: &str) -> Scan {
    let mut ended = false;
    let mut at = 0;
    while let Some(char) = text[at..].chars().next() {
        let rest = &text[at..];
        let (place, length) = match char {
            // A doubled quote inside needs no care: it ends one string and begins the next.
            '\'' => (Place::String(at + 1), close(&rest[1..], "'").map(|length| length + 1)),
            '"' => (Place::Name(at + 1), close(&rest[1..], "\"").map(|length| length + 1)),
            '-' if rest.starts_with("--") => (Place::Comment, close(rest, "\n")),
            '/' if rest.starts_with("/*") => (Place::Comment, close(&rest[2..], "*/").map(|length| length + 2)),
            _ => (Place::Code, Some(char.len_utf8())),
        };
        if place == Place::Code {
            ended = char == ';' || (ended && char.is_whitespace());
        } else if place != Place::Comment {
            ended = false;
        }
        match length {
            Some(length) => at += length,
            // A line comment that runs to the end leaves the statement before it ended.
            None => return Scan { place, ended: ended && !rest.starts_with("/*") },
        }
    }
    Scan { place: Place::Code, ended }
}

/// The length up to and with `end`, if it comes.
fn close(text: &str, end: &str) -> Option<usize> {
    text.find(end).map(|at| at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_complete_after_a_semicolon_that_is_sql() {
        for text in ["SELECT 1;", "SELECT 1; -- done", "SELECT ';';\n", "SELECT 'it''s';", "/* ; */ SELECT \"a;\" ;"] {
            assert!(scan(text).ended, "{text}");
        }
        for text in
            ["SELECT 1", "SELECT ';", "SELECT 1 -- ;", "SELECT 1; /* more", "SELECT 1; SELECT", "SELECT ';'", ""]
        {
            assert!(!scan(text).ended, "{text}");
        }
    }

    #[test]
    fn the_place_is_that_of_the_end() {
        assert_eq!(scan("SELECT a").place, Place::Code);
        assert_eq!(scan("FROM 'dé/x").place, Place::String(6));
        assert_eq!(scan("SELECT 'a', \"b").place, Place::Name(13));
        assert_eq!(scan("SELECT 1 -- x").place, Place::Comment);
        assert_eq!(scan("SELECT 1 -- x\n").place, Place::Code);
        assert_eq!(scan("'a''").place, Place::String(4), "a doubled quote is still inside");
    }
}

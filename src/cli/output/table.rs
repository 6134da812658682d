//! The table for people: columns as wide as their values and together no wider than the terminal, numbers to the
//! right, and how many rows there are. Widths are settled by the first rows; later rows stream.

use std::io::Write;

use arrow::datatypes::{DataType, SchemaRef};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use console::{Alignment, measure_text_width, pad_str};
use sheaf_core::{Error, ErrorKind};

use super::{More, Sink};
use crate::cli::exit::Stop;

/// Rows that are read before the widths of the columns are settled.
const WIDTH_ROWS: usize = 1_000;
/// Rows of a table on a terminal, unless the user wants others.
const TERMINAL_ROWS: usize = 100;
/// A column is made narrower than its values down to this, before columns are left out.
const MIN_WIDTH: usize = 12;
/// What stands for the rest of a value that is cut.
const CUT: &str = "…";

/// How much of a result a table shows.
#[derive(Debug, Clone, Copy)]
pub(in crate::cli) struct TableOptions {
    /// Rows to print; 0 for all.
    pub(in crate::cli) max_rows: usize,
    /// Columns of the terminal; `None` where nothing is cut.
    pub(in crate::cli) width: Option<usize>,
}

impl TableOptions {
    /// Cut to the terminal if standard output is one, else everything.
    pub(in crate::cli) fn of_terminal(max_rows: Option<usize>) -> Self {
        if !super::is_terminal() {
            return Self { max_rows: max_rows.unwrap_or(0), width: None };
        }
        let (_, columns) = console::Term::stdout().size();
        Self { max_rows: max_rows.unwrap_or(TERMINAL_ROWS), width: Some(usize::from(columns)) }
    }
}

pub(super) struct Table<'a> {
    to: &'a mut dyn Write,
    options: TableOptions,
    columns: Vec<Column>,
    /// Rows that wait for the widths.
    waiting: Vec<Vec<String>>,
    /// The widths of the columns that are shown, once they are settled.
    widths: Option<Vec<usize>>,
    rows: usize,
    more: bool,
    /// A plan (`EXPLAIN`) is printed as text: it has many lines and no use for a frame.
    plan: bool,
}

struct Column {
    name: String,
    align: Alignment,
}

impl<'a> Table<'a> {
    pub(super) fn new(schema: &SchemaRef, options: TableOptions, to: &'a mut dyn Write) -> Self {
        let columns: Vec<Column> = schema
            .fields()
            .iter()
            .map(|field| Column {
                name: one_line(field.name()),
                align: if is_number(field.data_type()) { Alignment::Right } else { Alignment::Left },
            })
            .collect();
        let plan = columns.iter().map(|column| column.name.as_str()).eq(["plan_type", "plan"]);
        Self { to, options, columns, waiting: Vec::new(), widths: None, rows: 0, more: false, plan }
    }

    fn print_waiting(&mut self) -> Result<(), Stop> {
        let names = self.columns.iter().map(|column| measure_text_width(&column.name)).collect();
        let widths = self.waiting.iter().fold(names, |widths: Vec<usize>, row| {
            widths.iter().zip(row).map(|(width, cell)| (*width).max(measure_text_width(cell))).collect()
        });
        let widths = match self.options.width {
            Some(terminal) => fit(widths, terminal),
            None => widths,
        };
        let mut text = String::new();
        rule(&widths, &mut text);
        let names = self.columns.iter().map(|column| (column.name.as_str(), Alignment::Left));
        line(names, &widths, self.options.width.is_some(), &mut text);
        rule(&widths, &mut text);
        for row in std::mem::take(&mut self.waiting) {
            self.row(&row, &widths, &mut text);
        }
        self.widths = Some(widths);
        self.put(&text)
    }

    fn row(&self, row: &[String], widths: &[usize], text: &mut String) {
        let cells = row.iter().zip(&self.columns).map(|(cell, column)| (cell.as_str(), column.align));
        line(cells, widths, self.options.width.is_some(), text);
    }

    fn put(&mut self, text: &str) -> Result<(), Stop> {
        self.to.write_all(text.as_bytes()).map_err(Stop::output)
    }

    fn plan_text(&mut self, batch: &RecordBatch) -> Result<(), Stop> {
        let options = FormatOptions::default();
        let format = |column: usize| ArrayFormatter::try_new(batch.column(column), &options).map_err(unprintable);
        let (kinds, plans) = (format(0)?, format(1)?);
        let text: String = (0..batch.num_rows())
            .map(|row| format!("== {} ==\n{}\n", kinds.value(row), plans.value(row).to_string().trim_end()))
            .collect();
        self.put(&text)
    }

    fn footer(&self) -> String {
        let rows = match (self.rows, self.more) {
            (rows, true) => format!("{rows} rows shown, there are more (--max-rows 0 prints all)"),
            (1, false) => "1 row".to_string(),
            (rows, false) => format!("{rows} rows"),
        };
        let shown = self.widths.as_ref().map_or(0, Vec::len);
        if shown < self.columns.len() {
            format!("{rows}, {shown} of {} columns\n", self.columns.len())
        } else {
            format!("{rows}\n")
        }
    }
}

impl Sink for Table<'_> {
    fn write(&mut self, batch: &RecordBatch) -> Result<More, Stop> {
        if self.plan {
            self.plan_text(batch)?;
            return Ok(More::Yes);
        }
        let options = FormatOptions::default().with_null("NULL");
        let formatters: Vec<ArrayFormatter<'_>> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options))
            .collect::<Result<_, _>>()
            .map_err(unprintable)?;
        let room = if self.options.max_rows == 0 { usize::MAX } else { self.options.max_rows - self.rows };
        let rows = batch.num_rows().min(room);
        let mut text = String::new();
        let widths = self.widths.clone();
        for row in 0..rows {
            let cells: Vec<String> = formatters.iter().map(|cells| one_line(&cells.value(row).to_string())).collect();
            match &widths {
                Some(widths) => self.row(&cells, widths, &mut text),
                None => self.waiting.push(cells),
            }
        }
        self.rows += rows;
        self.put(&text)?;
        if self.waiting.len() >= WIDTH_ROWS {
            self.print_waiting()?;
        }
        self.more = batch.num_rows() > rows;
        Ok(if self.more { More::No } else { More::Yes })
    }

    fn finish(&mut self) -> Result<(), Stop> {
        if !self.plan {
            if self.widths.is_none() {
                self.print_waiting()?;
            }
            let mut text = String::new();
            rule(self.widths.as_deref().unwrap_or_default(), &mut text);
            text.push_str(&self.footer());
            self.put(&text)?;
        }
        self.to.flush().map_err(Stop::output)
    }
}

/// Narrows the widest columns until the table fits, and leaves out the last ones where that is not enough.
fn fit(mut widths: Vec<usize>, terminal: usize) -> Vec<usize> {
    // Each column stands in `| … `, and one bar ends the line.
    let room = |columns: usize| terminal.saturating_sub(3 * columns + 1);
    let least = |widths: &[usize]| widths.iter().map(|width| (*width).min(MIN_WIDTH)).sum::<usize>();
    while widths.len() > 1 && least(&widths) > room(widths.len()) {
        widths.pop();
    }
    let room = room(widths.len()).max(1);
    while widths.iter().sum::<usize>() > room {
        let over = widths.iter().sum::<usize>() - room;
        let widest = widths.iter().copied().max().unwrap_or(0);
        let next = widths.iter().copied().filter(|width| *width < widest).max().unwrap_or(0);
        let count = widths.iter().filter(|width| **width == widest).count();
        // All the widest go down together, to the next one or as far as is needed.
        let cut = over.div_ceil(count).min(widest - next);
        for width in widths.iter_mut().filter(|width| **width == widest) {
            *width = (*width - cut).max(1);
        }
        if widest <= 1 {
            break;
        }
    }
    widths
}

fn rule(widths: &[usize], text: &mut String) {
    for width in widths {
        text.push('+');
        text.extend(std::iter::repeat_n('-', width + 2));
    }
    text.push_str("+\n");
}

fn line<'c>(cells: impl Iterator<Item = (&'c str, Alignment)>, widths: &[usize], cut: bool, text: &mut String) {
    for ((cell, align), width) in cells.zip(widths) {
        text.push_str("| ");
        text.push_str(&pad_str(cell, *width, align, cut.then_some(CUT)));
        text.push(' ');
    }
    text.push_str("|\n");
}

/// The text with its control characters escaped: a cell is one line, and data does not steer the terminal.
fn one_line(text: &str) -> String {
    if !text.contains(char::is_control) {
        return text.to_string();
    }
    let mut line = String::with_capacity(text.len() + 2);
    for char in text.chars() {
        if char.is_control() {
            line.extend(char.escape_default());
        } else {
            line.push(char);
        }
    }
    line
}

fn is_number(kind: &DataType) -> bool {
    match kind {
        DataType::Dictionary(_, values) => is_number(values),
        kind => kind.is_numeric(),
    }
}

fn unprintable(error: ArrowError) -> Stop {
    Error::new(ErrorKind::Unsupported, format!("these rows cannot be printed: {error}")).with_source(error).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, StringArray};

    fn batch(values: &[(&str, Option<i64>)]) -> RecordBatch {
        let names: ArrayRef = Arc::new(StringArray::from_iter_values(values.iter().map(|value| value.0)));
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter(values.iter().map(|value| value.1)));
        RecordBatch::try_from_iter([("name", names), ("n", numbers)]).unwrap()
    }

    fn print(batches: &[RecordBatch], options: TableOptions) -> (String, More) {
        let mut to = Vec::new();
        let mut table = Table::new(&batches[0].schema(), options, &mut to);
        let more = batches.iter().map(|batch| table.write(batch).unwrap()).last().unwrap();
        table.finish().unwrap();
        drop(table);
        (String::from_utf8(to).unwrap(), more)
    }

    const ALL: TableOptions = TableOptions { max_rows: 0, width: None };

    #[test]
    fn numbers_stand_right_nulls_are_named_and_rows_are_counted() {
        let (text, _) = print(&[batch(&[("café", Some(5)), ("a\nb", None)])], ALL);
        let table = "\
+------+------+
| name | n    |
+------+------+
| café |    5 |
| a\\nb | NULL |
+------+------+
2 rows
";
        assert_eq!(text, table);
    }

    #[test]
    fn a_wide_value_is_cut_and_columns_that_do_not_fit_are_counted() {
        let long = "x".repeat(100);
        let (text, _) = print(&[batch(&[(&long, Some(1))])], TableOptions { width: Some(40), ..ALL });
        assert!(text.lines().all(|line| measure_text_width(line) <= 40), "{text}");
        assert!(text.contains("x…"), "{text}");
        let (text, _) = print(&[batch(&[(&long, Some(1_234_567_890_123))])], TableOptions { width: Some(24), ..ALL });
        assert!(text.ends_with("1 row, 1 of 2 columns\n"), "{text}");
        let (text, _) = print(&[batch(&[("a", Some(1))])], TableOptions { width: Some(1), ..ALL });
        assert!(text.contains("1 row"), "no terminal is too narrow: {text}");
    }

    #[test]
    fn rows_over_the_maximum_end_the_table() {
        let options = TableOptions { max_rows: 3, width: None };
        let two = batch(&[("a", Some(1)), ("b", Some(2))]);
        let (text, more) = print(&[two.clone(), two.clone()], options);
        assert_eq!(more, More::No);
        assert!(text.ends_with("3 rows shown, there are more (--max-rows 0 prints all)\n"), "{text}");
        let exact = print(std::slice::from_ref(&two), TableOptions { max_rows: 2, width: None });
        assert!(exact.0.ends_with("\n2 rows\n") && exact.1 == More::Yes, "{}", exact.0);
    }

    #[test]
    fn rows_after_the_first_ones_stream() {
        let many = batch(&vec![("a", Some(1)); WIDTH_ROWS]);
        let wide = batch(&[("much wider", Some(2))]);
        let (text, _) = print(&[many, wide], ALL);
        assert!(text.contains("| much wider | "), "nothing is lost: {text}");
        assert!(text.ends_with("1001 rows\n"));
    }

    #[test]
    fn a_plan_is_printed_as_text() {
        let kind: ArrayRef = Arc::new(StringArray::from(vec!["physical_plan"]));
        let plan: ArrayRef = Arc::new(StringArray::from(vec!["SortExec\n  Scan\n"]));
        let batch = RecordBatch::try_from_iter([("plan_type", kind), ("plan", plan)]).unwrap();
        assert_eq!(print(&[batch], ALL).0, "== physical_plan ==\nSortExec\n  Scan\n");
    }
}

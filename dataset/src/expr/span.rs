//! `Span`: how far a window reaches along the column that orders its rows, as people write it: `5d`, `2h30m`, `1mo`.

use std::fmt;
use std::str::FromStr;

use sheaf_core::{Error, Result};

pub(crate) const SECOND: i64 = 1_000_000_000;
pub(crate) const DAY: i64 = 24 * 3600 * SECOND;

/// The units, longest name first where one begins with another. Months and steps are no lengths of time.
const UNITS: [(&str, Unit); 15] = [
    ("min", Unit::Nanos(60 * SECOND)),
    ("mo", Unit::Months(1)),
    ("ms", Unit::Nanos(1_000_000)),
    ("us", Unit::Nanos(1_000)),
    ("µs", Unit::Nanos(1_000)),
    ("ns", Unit::Nanos(1)),
    ("q", Unit::Months(3)),
    ("y", Unit::Months(12)),
    ("w", Unit::Weeks),
    ("d", Unit::Nanos(DAY)),
    ("D", Unit::Nanos(DAY)),
    ("h", Unit::Nanos(3600 * SECOND)),
    ("m", Unit::Nanos(60 * SECOND)),
    ("s", Unit::Nanos(SECOND)),
    ("i", Unit::Steps),
];

#[derive(Debug, Clone, Copy)]
enum Unit {
    Nanos(i64),
    Months(i64),
    Weeks,
    Steps,
}

/// A distance along a column: of time, of calendar months, or of whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Span {
    /// A length of time in nanoseconds; a day has 24 hours.
    Time(i64),
    /// Weeks, which begin on Mondays.
    Weeks(i64),
    /// Calendar months.
    Months(i64),
    /// Whole numbers of the column.
    Steps(i64),
}

impl Span {
    /// Whether it reaches back, or nowhere.
    pub(crate) fn is_positive(self) -> bool {
        match self {
            Self::Time(length) | Self::Weeks(length) | Self::Months(length) | Self::Steps(length) => length > 0,
        }
    }
}

/// Text such as `5d`, `2h30m`, `1w`, `100ms`, `1mo` or `3i`; units of `ns us ms s m h d w mo q y i`.
impl FromStr for Span {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            Error::invalid(format!("{text:?} is no span")).with_hint(
                "a span is numbers with units, such as \"5d\", \"2h30m\" or \"1mo\"; the units are ns, us, ms, s, m \
                 (minutes), h, d, w, mo, q, y, and i for whole numbers",
            )
        };
        let (sign, mut rest) = text.trim().strip_prefix('-').map_or((1, text.trim()), |rest| (-1, rest));
        let mut parts = Vec::new();
        while !rest.is_empty() {
            let digits = rest.find(|letter: char| !letter.is_ascii_digit()).ok_or_else(wrong)?;
            let (number, after) = rest.split_at(digits);
            let number: i64 = number.parse().map_err(|_| wrong())?;
            let (name, unit) = UNITS.iter().find(|(name, _)| after.starts_with(name)).ok_or_else(wrong)?;
            parts.push((number, *unit));
            rest = &after[name.len()..];
        }
        let total = |parts: &[(i64, Unit)], length: fn(Unit) -> Option<i64>| {
            parts.iter().try_fold(0_i64, |total, (number, unit)| total.checked_add(number.checked_mul(length(*unit)?)?))
        };
        let steps = |unit| matches!(unit, Unit::Steps).then_some(1);
        let weeks = |unit| matches!(unit, Unit::Weeks).then_some(1);
        let months = |unit| if let Unit::Months(months) = unit { Some(months) } else { None };
        let nanos = |unit| match unit {
            Unit::Nanos(nanos) => Some(nanos),
            Unit::Weeks => Some(7 * DAY),
            Unit::Months(_) | Unit::Steps => None,
        };
        if parts.is_empty() {
            return Err(wrong());
        }
        let span = total(&parts, steps).map(|steps| Self::Steps(sign * steps));
        let span = span.or_else(|| total(&parts, weeks).map(|weeks| Self::Weeks(sign * weeks)));
        let span = span.or_else(|| total(&parts, months).map(|months| Self::Months(sign * months)));
        let span = span.or_else(|| total(&parts, nanos).map(|nanos| Self::Time(sign * nanos)));
        span.ok_or_else(|| {
            Error::invalid(format!("the span {text:?} mixes units that have no common measure, or is too long"))
                .with_hint("months (mo, q, y), numbers (i) and times (ns to w) stand alone")
        })
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(nanos) => write!(f, "{nanos}ns"),
            Self::Weeks(weeks) => write!(f, "{weeks}w"),
            Self::Months(months) => write!(f, "{months}mo"),
            Self::Steps(steps) => write!(f, "{steps}i"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_as_people_write_them() {
        let spans = [
            ("5d", Span::Time(5 * DAY)),
            ("2h30m", Span::Time(9000 * SECOND)),
            ("1w", Span::Weeks(1)),
            ("1w1d", Span::Time(8 * DAY)),
            ("100ms", Span::Time(100_000_000)),
            ("1mo", Span::Months(1)),
            ("1y1q", Span::Months(15)),
            ("90min", Span::Time(5400 * SECOND)),
            ("7us1ns", Span::Time(7001)),
            ("-1d", Span::Time(-DAY)),
            ("3i", Span::Steps(3)),
        ];
        for (text, span) in spans {
            assert_eq!(text.parse::<Span>().unwrap(), span, "{text}");
        }
        for wrong in ["", "d", "5", "5 d", "5x", "1mo2d", "1i1s", "9999999999999d", "5dd", "1.5h"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong:?}");
        }
    }
}

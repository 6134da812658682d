//! The values of the users' metrics on one node, of all its processes, and the text in which Prometheus reads them.
//!
//! A process tells what was counted and observed since it told last, and what gauges were set to. So counters and
//! histograms are sums over all processes, those that are gone too, and a gauge is what was set last, by whichever.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use serde::{Deserialize, Serialize};

/// Values with different tags that a node keeps of all metrics together: a tag may have a value for each task.
const MAX_SERIES: usize = 10_000;

/// Metrics of which it is said that something was not kept.
const MAX_REFUSED: usize = 100;

/// What a process has to tell of one metric with these tags.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Update {
    /// The metric's name.
    pub name: String,
    /// What it means.
    pub description: String,
    /// Names and values of its tags.
    pub tags: BTreeMap<String, String>,
    /// What happened to it.
    pub change: Change,
}

/// What happened to a metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum Change {
    /// A counter grew by so much.
    Count(f64),
    /// A gauge was set to this.
    Set(f64),
    /// So many values came into each bucket of a histogram, the last of which has no bound; and their sum.
    Observe {
        /// The bounds of the buckets, in their order.
        bounds: Vec<f64>,
        /// One more than there are bounds.
        counts: Vec<u64>,
        /// Of all values.
        sum: f64,
    },
}

impl Change {
    fn kind(&self) -> &'static str {
        match self {
            Self::Count(_) => "counter",
            Self::Set(_) => "gauge",
            Self::Observe { .. } => "histogram",
        }
    }

    /// Adds what came later; `false` when that is of another kind.
    fn take(&mut self, later: Self) -> bool {
        match (self, later) {
            (Self::Count(value), Self::Count(more)) => *value += more,
            (Self::Set(value), Self::Set(new)) => *value = new,
            (Self::Observe { bounds, counts, sum }, Self::Observe { bounds: others, counts: more, sum: more_sum })
                if *bounds == others && counts.len() == more.len() =>
            {
                counts.iter_mut().zip(more).for_each(|(count, more)| *count += more);
                *sum += more_sum;
            }
            _ => return false,
        }
        true
    }
}

#[derive(Debug)]
struct Family {
    description: String,
    kind: &'static str,
    series: BTreeMap<BTreeMap<String, String>, Change>,
}

/// The metrics of a node.
#[derive(Debug, Default)]
pub struct Metrics {
    families: BTreeMap<String, Family>,
    series: usize,
    /// Those of which it was said that something was not kept.
    refused: BTreeSet<String>,
}

impl Metrics {
    /// Takes in what a process tells; says, once for each metric, why something is not kept.
    pub fn take(&mut self, update: Update) -> Option<String> {
        let name = update.name.clone();
        let why = self.add(update).err()?;
        (self.refused.len() < MAX_REFUSED && self.refused.insert(name)).then_some(why)
    }

    /// `Err` for a metric that another process knows as one of another kind, and for more and more values of tags.
    fn add(&mut self, update: Update) -> Result<(), String> {
        let Update { name, description, tags, change } = update;
        let kind = change.kind();
        let known = self.families.get_mut(&name);
        if let Some(family) = &known
            && family.kind != kind
        {
            return Err(format!("the metric {name} is a {}, and elsewhere a {kind}", family.kind));
        }
        if let Some(value) = known.and_then(|family| family.series.get_mut(&tags)) {
            let is_kept = value.take(change);
            return is_kept.then_some(()).ok_or_else(|| format!("the histogram {name} has other boundaries elsewhere"));
        }
        if self.series >= MAX_SERIES {
            return Err(format!(
                "the metric {name} has a new value of its tags, and a node keeps {MAX_SERIES}; give tags fewer values"
            ));
        }
        self.series += 1;
        let none = || Family { description, kind, series: BTreeMap::new() };
        self.families.entry(name).or_insert_with(none).series.insert(tags, change);
        Ok(())
    }

    /// All of them, in the text form of Prometheus, version 0.0.4.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        for (name, family) in &self.families {
            let name = match family.kind {
                "counter" if !name.ends_with("_total") => format!("{name}_total"),
                _ => name.clone(),
            };
            head(&mut text, &name, &family.description, family.kind);
            for (tags, value) in &family.series {
                let tags: Vec<(&str, &str)> = tags.iter().map(|(name, value)| (&**name, &**value)).collect();
                match value {
                    Change::Count(value) | Change::Set(value) => sample(&mut text, &name, &tags, *value),
                    Change::Observe { bounds, counts, sum } => {
                        histogram(&mut text, &name, &tags, (bounds, counts, *sum));
                    }
                }
            }
        }
        text
    }
}

/// A gauge of the runtime's own in the same form, with a value for each set of tags.
#[must_use]
pub fn gauge(name: &str, description: &str, values: &[(Vec<(&str, String)>, f64)]) -> String {
    let mut text = String::new();
    head(&mut text, name, description, "gauge");
    values.iter().for_each(|(tags, value)| sample(&mut text, name, tags, *value));
    text
}

fn histogram(text: &mut String, name: &str, tags: &[(&str, &str)], (bounds, counts, sum): (&[f64], &[u64], f64)) {
    let mut below = 0;
    let bounds = bounds.iter().copied().chain([f64::INFINITY]);
    for (bound, count) in bounds.zip(counts) {
        below += count;
        let bound = number(bound);
        let with_bound: Vec<_> = tags.iter().copied().chain([("le", &*bound)]).collect();
        sample(text, &format!("{name}_bucket"), &with_bound, below as f64);
    }
    sample(text, &format!("{name}_sum"), tags, sum);
    sample(text, &format!("{name}_count"), tags, below as f64);
}

fn head(text: &mut String, name: &str, description: &str, kind: &str) {
    let description = description.replace('\\', "\\\\").replace('\n', "\\n");
    // Text can always be written to.
    let _ = write!(text, "# HELP {name} {description}\n# TYPE {name} {kind}\n");
}

fn sample(text: &mut String, name: &str, tags: &[(&str, impl AsRef<str>)], value: f64) {
    let shown = |(name, value): &(&str, _)| {
        let value = AsRef::<str>::as_ref(value);
        let name: String = name.chars().map(|each| if each.is_ascii_alphanumeric() { each } else { '_' }).collect();
        let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        format!("{name}=\"{value}\"")
    };
    let tags: Vec<String> = tags.iter().map(shown).collect();
    let tags = if tags.is_empty() { String::new() } else { format!("{{{}}}", tags.join(",")) };
    let _ = writeln!(text, "{name}{tags} {}", number(value));
}

fn number(value: f64) -> String {
    if value.is_nan() {
        "NaN".to_string()
    } else if value.is_infinite() {
        (if value > 0.0 { "+Inf" } else { "-Inf" }).to_string()
    } else {
        value.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(name: &str, tag: &str, change: Change) -> Update {
        let tags = BTreeMap::from([("to".to_string(), tag.to_string())]);
        Update { name: name.to_string(), description: "What\nit is".to_string(), tags, change }
    }

    #[test]
    fn processes_are_summed_and_the_text_is_that_of_prometheus() {
        let mut metrics = Metrics::default();
        let observed =
            |counts: [u64; 3], sum| Change::Observe { bounds: vec![0.5, 10.0], counts: counts.to_vec(), sum };
        for (name, change) in [
            ("calls", Change::Count(1.0)),
            ("calls", Change::Count(2.5)),
            ("depth", Change::Set(7.0)),
            ("depth", Change::Set(-1.0)),
            ("wait", observed([1, 0, 2], 50.0)),
            ("wait", observed([0, 3, 0], 6.0)),
        ] {
            metrics.add(told(name, "a \"b\"\\", change)).unwrap();
        }
        let tags = r#"to="a \"b\"\\""#;
        let expected = format!(
            "# HELP calls_total What\\nit is\n# TYPE calls_total counter\ncalls_total{{{tags}}} 3.5\n\
             # HELP depth What\\nit is\n# TYPE depth gauge\ndepth{{{tags}}} -1\n\
             # HELP wait What\\nit is\n# TYPE wait histogram\nwait_bucket{{{tags},le=\"0.5\"}} 1\n\
             wait_bucket{{{tags},le=\"10\"}} 4\nwait_bucket{{{tags},le=\"+Inf\"}} 6\nwait_sum{{{tags}}} 56\n\
             wait_count{{{tags}}} 6\n"
        );
        assert_eq!(metrics.text(), expected);
    }

    #[test]
    fn what_does_not_fit_is_refused_and_changes_nothing() {
        let mut metrics = Metrics::default();
        metrics.add(told("calls", "a", Change::Count(1.0))).unwrap();
        let before = metrics.text();
        assert!(metrics.take(told("calls", "a", Change::Set(1.0))).unwrap().contains("is a counter"));
        assert_eq!(metrics.take(told("calls", "a", Change::Set(2.0))), None, "it is said once");
        assert_eq!(metrics.text(), before);
        for tag in 1..MAX_SERIES {
            metrics.add(told("calls", &tag.to_string(), Change::Count(1.0))).unwrap();
        }
        assert!(metrics.add(told("calls", "one more", Change::Count(1.0))).unwrap_err().contains("fewer"));
        metrics.add(told("calls", "a", Change::Count(1.0))).unwrap();
    }
}

//! A measured figure, and the table and JSON lines that figures are shown in.

use serde::Serialize;

/// Which side of the bar a ratio must be on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bar {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
    /// Told for its own sake.
    None,
}

/// A measured figure beside what it is measured against, in the same run.
#[derive(Clone, Debug, Serialize)]
pub struct Figure {
    /// Its stable name.
    pub name: &'static str,
    /// What was measured.
    pub value: f64,
    /// In which unit.
    pub unit: &'static str,
    /// What it is measured against, in the same unit.
    pub against: Option<f64>,
    /// Value divided by against; the value itself where there is nothing to divide by.
    pub ratio: f64,
    /// What the ratio must be.
    #[serde(serialize_with = "bar_as_text")]
    pub bar: Bar,
    /// Whether it is.
    pub ok: bool,
    /// What else was seen.
    pub note: String,
}

fn bar_as_text<S: serde::Serializer>(bar: &Bar, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&bar.to_string())
}

impl std::fmt::Display for Bar {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |bar: f64| (bar * 100.0).round() / 100.0;
        match *self {
            Self::AtLeast(bar) => write!(f, "≥ {}", short(bar)),
            Self::AtMost(bar) => write!(f, "≤ {}", short(bar)),
            Self::None => f.write_str("–"),
        }
    }
}

impl Bar {
    fn holds(self, ratio: f64) -> bool {
        match self {
            Self::AtLeast(bar) => ratio >= bar,
            Self::AtMost(bar) => ratio <= bar,
            Self::None => true,
        }
    }
}

impl Figure {
    /// A figure against another one of the same run.
    pub fn ratio(
        name: &'static str,
        value: f64,
        unit: &'static str,
        against: f64,
        bar: Bar,
    ) -> Self {
        let ratio = value / against;
        Self {
            name,
            value,
            unit,
            against: Some(against),
            ratio,
            bar,
            ok: bar.holds(ratio),
            note: String::new(),
        }
    }

    /// A figure that has a bar of its own.
    pub fn absolute(name: &'static str, value: f64, unit: &'static str, bar: Bar) -> Self {
        Self {
            name,
            value,
            unit,
            against: None,
            ratio: value,
            bar,
            ok: bar.holds(value),
            note: String::new(),
        }
    }

    /// The same with what else was seen.
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self {
            note: note.into(),
            ..self
        }
    }
}

/// A line of the table.
pub fn row(figure: &Figure) -> String {
    let against = figure.against.map_or_else(|| "–".to_owned(), short);
    format!(
        "{:<16} {:>12} {:<9} {:>12} {:>8} {:>9}  {}  {}",
        figure.name,
        short(figure.value),
        figure.unit,
        against,
        short(figure.ratio),
        figure.bar.to_string(),
        if figure.ok { "ok  " } else { "MISS" },
        figure.note,
    )
}

/// The table's head.
pub fn head() -> String {
    format!(
        "{:<16} {:>12} {:<9} {:>12} {:>8} {:>9}",
        "figure", "value", "unit", "against", "ratio", "bar"
    )
}

/// Three significant digits are what a benchmark is good for.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// A count as a number to divide.
pub fn number(count: u64) -> f64 {
    // Counts of a benchmark are far below 2^32.
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

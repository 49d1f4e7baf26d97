//! Files of labels: CSV and JSON, read strictly and written so that they read back the same.

use crate::cli::LabelFormat;
use alloy::primitives::Address;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::{collections::HashMap, fmt};
use store::labels::{LabelRow, MAX_CATEGORY, MAX_LABEL, MAX_NOTE, MAX_OWNER, Visibility};

/// Columns of CSV in the order of an export; the last two need not be there.
const COLUMNS: [&str; 6] = [
    "address",
    "label",
    "category",
    "visibility",
    "owner",
    "note",
];
const REQUIRED: usize = 4;

/// What is wrong with a row, and what is accepted.
#[derive(Debug, PartialEq)]
pub(super) struct Mistake {
    line: u64,
    what: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.what)
    }
}

/// A label as it is written in a file.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    address: String,
    label: String,
    category: String,
    visibility: String,
    #[serde(default)]
    owner: Option<String>,
    #[serde(default)]
    note: Option<String>,
}

impl From<&LabelRow> for Written {
    fn from(row: &LabelRow) -> Self {
        Self {
            address: row.address.to_checksum(None),
            label: row.label.clone(),
            category: row.category.clone(),
            visibility: row.visibility.name().to_owned(),
            owner: row.owner.clone(),
            note: row.note.clone(),
        }
    }
}

impl Written {
    fn check(&self) -> Result<LabelRow, String> {
        Ok(LabelRow {
            address: address(self.address.trim())?,
            label: required("label", &self.label, MAX_LABEL)?,
            category: required("category", &self.category, MAX_CATEGORY)?,
            visibility: visibility(self.visibility.trim())?,
            owner: optional("owner", self.owner.as_deref(), MAX_OWNER)?,
            note: optional("note", self.note.as_deref(), MAX_NOTE)?,
        })
    }
}

fn address(text: &str) -> Result<Address, String> {
    let accepted = "accepted are 0x and 40 hex digits, in one case or with their EIP-55 checksum";
    let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 40);
    let address: Option<Address> = digits.and_then(|digits| digits.parse().ok());
    let address = address.ok_or_else(|| format!("address is {text:?}: {accepted}"))?;
    let digits = &text[2..];
    let mixed = digits.bytes().any(|b| b.is_ascii_lowercase())
        && digits.bytes().any(|b| b.is_ascii_uppercase());
    let checksummed = address.to_checksum(None);
    if mixed && text != checksummed {
        return Err(format!(
            "address is {text:?}, whose checksum is wrong ({checksummed}): {accepted}"
        ));
    }
    Ok(address)
}

fn visibility(text: &str) -> Result<Visibility, String> {
    text.parse()
        .map_err(|reason| format!("visibility is {reason}"))
}

fn required(name: &str, text: &str, most: usize) -> Result<String, String> {
    optional(name, Some(text), most)?
        .ok_or_else(|| format!("{name} is empty: accepted are 1 to {most} characters"))
}

/// A text without the space around it; nothing is left of one that is all space.
fn optional(name: &str, text: Option<&str>, most: usize) -> Result<Option<String>, String> {
    let text = text.unwrap_or_default().trim();
    if let Some(bad) = text.chars().find(|character| !is_shown(*character)) {
        return Err(format!(
            "{name} holds the character {:?}: accepted are characters that are shown as they are, on one line",
            bad.escape_unicode().to_string()
        ));
    }
    let length = text.chars().count();
    if length > most {
        return Err(format!(
            "{name} has {length} characters: accepted are up to {most}"
        ));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// Whether a character may be in a text: no control character, and none that turns the order of those
/// around it, which would show another name than is stored.
fn is_shown(character: char) -> bool {
    let turns = matches!(character, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    !character.is_control() && !turns && character != '\u{feff}'
}

/// Reads a whole file. Either every row is good, or all mistakes are told.
pub(super) fn parse(bytes: &[u8], format: LabelFormat) -> Result<Vec<LabelRow>, Vec<Mistake>> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let written = match format {
        LabelFormat::Csv => parse_csv(bytes),
        LabelFormat::Json => parse_json(bytes),
    };
    let (mut rows, mut mistakes) = (Vec::new(), Vec::new());
    let mut lines: HashMap<(Address, String), u64> = HashMap::new();
    for (line, row) in written.map_err(|mistake| vec![mistake])? {
        let row = row.and_then(|row| row.check()).and_then(|row| {
            let key = (row.address, row.label.clone());
            match lines.insert(key, line) {
                None => Ok(row),
                Some(first) => Err(format!(
                    "line {first} has the same address and label: accepted is each once"
                )),
            }
        });
        match row {
            Ok(row) => rows.push(row),
            Err(what) => mistakes.push(Mistake { line, what }),
        }
    }
    if mistakes.is_empty() {
        Ok(rows)
    } else {
        Err(mistakes)
    }
}

/// Rows with their lines; a file that has none is a mistake as a whole.
type Rows = Result<Vec<(u64, Result<Written, String>)>, Mistake>;

fn parse_csv(bytes: &[u8]) -> Rows {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .from_reader(bytes);
    let mut records = reader.byte_records();
    let whole = |what| Mistake { line: 1, what };
    let accepted = || format!("accepted are {}", COLUMNS.join(", "));
    let header = records
        .next()
        .ok_or_else(|| whole(format!("there is no header: {}", accepted())))?
        .map_err(|error| whole(error.to_string()))?;
    let mut places = [None; COLUMNS.len()];
    for (place, name) in header.iter().enumerate() {
        let name = String::from_utf8_lossy(name).trim().to_owned();
        let known = COLUMNS.iter().position(|column| *column == name);
        let known =
            known.ok_or_else(|| whole(format!("column {name:?} is unknown: {}", accepted())))?;
        if places[known].replace(place).is_some() {
            return Err(whole(format!(
                "column {name} is there twice: accepted is once"
            )));
        }
    }
    for (column, place) in COLUMNS.iter().zip(places).take(REQUIRED) {
        place.ok_or_else(|| whole(format!("column {column} is missing: {}", accepted())))?;
    }
    let mut lines = Lines::of(bytes);
    let rows = records.map(|record| match record {
        Ok(record) => {
            let at = record.position().map_or(0, csv::Position::byte);
            let line = lines.at(usize::try_from(at).unwrap_or(usize::MAX));
            (line, csv_row(&record, header.len(), places))
        }
        Err(error) => (lines.line, Err(error.to_string())),
    });
    Ok(rows.collect())
}

/// Counts lines on the way through a file.
struct Lines<'a> {
    bytes: &'a [u8],
    counted: usize,
    line: u64,
}

impl<'a> Lines<'a> {
    fn of(bytes: &'a [u8]) -> Self {
        Self {
            bytes,
            counted: 0,
            line: 1,
        }
    }

    /// The line of the first character at or behind a position that is no line break: readers count from
    /// where they look for a row, and empty lines may come before it. Positions only rise.
    fn at(&mut self, position: usize) -> u64 {
        let rest = self.bytes.get(position..).unwrap_or_default();
        let empty = rest.iter().take_while(|byte| matches!(byte, b'\n' | b'\r'));
        let end = self.bytes.len().min(position.saturating_add(empty.count()));
        let passed = self.bytes.get(self.counted..end).unwrap_or_default();
        let breaks = passed.split(|byte| *byte == b'\n').count() - 1;
        self.line += u64::try_from(breaks).unwrap_or(0);
        self.counted = end.max(self.counted);
        self.line
    }
}

fn csv_row(
    record: &csv::ByteRecord,
    columns: usize,
    places: [Option<usize>; COLUMNS.len()],
) -> Result<Written, String> {
    if record.len() != columns {
        return Err(format!(
            "it has {} fields: accepted are {columns}, as many as the header has",
            record.len()
        ));
    }
    let mut texts = COLUMNS.iter().zip(places).map(|(column, place)| {
        let bytes = place
            .and_then(|place| record.get(place))
            .unwrap_or_default();
        let text = std::str::from_utf8(bytes);
        text.map(str::to_owned)
            .map_err(|_| format!("{column} is not UTF-8: accepted is UTF-8"))
    });
    let mut next = || texts.next().unwrap_or_else(|| Ok(String::new()));
    Ok(Written {
        address: next()?,
        label: next()?,
        category: next()?,
        visibility: next()?,
        owner: Some(next()?),
        note: Some(next()?),
    })
}

fn parse_json(bytes: &[u8]) -> Rows {
    let text = std::str::from_utf8(bytes).map_err(|error| Mistake {
        line: Lines::of(bytes).at(error.valid_up_to()),
        what: "it is not UTF-8: accepted is UTF-8".to_owned(),
    })?;
    let items: Vec<&RawValue> = serde_json::from_str(text).map_err(|error| Mistake {
        line: u64::try_from(error.line()).unwrap_or(0),
        what: format!("it is no JSON array: {error}"),
    })?;
    let mut lines = Lines::of(bytes);
    let rows = items.into_iter().map(|item| {
        // Items are parts of the text itself.
        let at = item.get().as_ptr().addr() - text.as_ptr().addr();
        let line = lines.at(at);
        let row = serde_json::from_str(item.get());
        let row = row.map_err(|error| {
            let members = COLUMNS.join(", ");
            format!(
                "{}: accepted are objects with {members}",
                without_place(&error)
            )
        });
        (line, row)
    });
    Ok(rows.collect())
}

/// The error without its line and column, which count from the item and not from the file.
fn without_place(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let end = text.rfind(" at line ").unwrap_or(text.len());
    text[..end].to_owned()
}

/// Writes a file that [`parse`] reads back the same.
pub(super) fn render(rows: &[LabelRow], format: LabelFormat) -> Result<Vec<u8>, String> {
    let rows = rows.iter().map(Written::from);
    match format {
        LabelFormat::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            writer
                .write_record(COLUMNS)
                .map_err(|error| error.to_string())?;
            for row in rows {
                let owner = row.owner.as_deref().unwrap_or_default();
                let note = row.note.as_deref().unwrap_or_default();
                let record: [&str; 6] = [
                    &row.address,
                    &row.label,
                    &row.category,
                    &row.visibility,
                    owner,
                    note,
                ];
                writer
                    .write_record(record)
                    .map_err(|error| error.to_string())?;
            }
            writer.into_inner().map_err(|error| error.to_string())
        }
        LabelFormat::Json => {
            let lines = rows.map(|row| serde_json::to_string(&row));
            let lines: Vec<String> = lines
                .collect::<Result<_, _>>()
                .map_err(|error| error.to_string())?;
            Ok(format!("[\n{}\n]\n", lines.join(",\n")).into_bytes())
        }
    }
}

#[cfg(test)]
mod tests;

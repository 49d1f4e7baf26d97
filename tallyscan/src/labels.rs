//! `tallyscan labels`: the wallet directory, from a file and into one.

mod file;

use crate::{
    Failure,
    cli::{LabelFormat, LabelsCommand, LabelsExportArgs, LabelsImportArgs},
    connect,
};
use file::Mistake;
use std::{
    fs::File,
    io::{Read, Write},
    path::Path,
};
use store::{
    labels::{self, LabelRow, Others},
    schema,
};

/// Most bytes of a file: a directory of some hundred thousand wallets.
const MAX_FILE_BYTES: u64 = 64 << 20;
/// Most mistakes that are told one by one.
const MAX_TOLD: usize = 100;
/// Stands for standard input and output.
const STANDARD: &str = "-";

/// Imports or exports.
pub(crate) async fn run(command: LabelsCommand) -> Result<(), Failure> {
    match command {
        LabelsCommand::Import(args) => import(args).await,
        LabelsCommand::Export(args) => export(args).await,
    }
}

async fn import(args: LabelsImportArgs) -> Result<(), Failure> {
    let format = format(&args.file, args.format)?;
    let text = read(&args.file)?;
    let rows = file::parse(&text, format).map_err(|mistakes| refuse(&args.file, &mistakes))?;
    let pool = connect::database("DATABASE_URL", &args.database_url, 1).await?;
    schema::check(&pool).await?;
    let others = if args.replace {
        Others::Remove
    } else {
        Others::Keep
    };
    let report = labels::import(&pool, &rows, others, args.dry_run).await?;
    let rehearsed = if args.dry_run {
        " (dry run: nothing was written)"
    } else {
        ""
    };
    println!(
        "{} added, {} changed, {} unchanged, {} removed{rehearsed}",
        report.added, report.changed, report.unchanged, report.removed
    );
    Ok(())
}

async fn export(args: LabelsExportArgs) -> Result<(), Failure> {
    let format = format(&args.out, args.format)?;
    let pool = connect::database("DATABASE_URL", &args.database_url, 1).await?;
    schema::check(&pool).await?;
    let rows = labels::export(&pool, args.visibility).await?;
    write(&args.out, &rows, format)?;
    Ok(())
}

/// The format that is asked for, or that the file's name tells.
fn format(path: &Path, asked: Option<LabelFormat>) -> Result<LabelFormat, String> {
    let extension = path.extension().and_then(|extension| extension.to_str());
    match (asked, extension.map(str::to_ascii_lowercase).as_deref()) {
        (Some(format), _) => Ok(format),
        (None, Some("csv")) => Ok(LabelFormat::Csv),
        (None, Some("json")) => Ok(LabelFormat::Json),
        (None, _) if path == Path::new(STANDARD) => Ok(LabelFormat::Csv),
        (None, _) => Err(format!(
            "{}: its name tells no format: accepted are names that end with .csv or .json, or --format",
            path.display()
        )),
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let cannot = |error| format!("{}: cannot be read: {error}", path.display());
    let source: Box<dyn Read> = if path == Path::new(STANDARD) {
        Box::new(std::io::stdin())
    } else {
        Box::new(File::open(path).map_err(cannot)?)
    };
    let mut bytes = Vec::new();
    let read = source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes);
    if u64::try_from(read.map_err(cannot)?).is_ok_and(|length| length <= MAX_FILE_BYTES) {
        return Ok(bytes);
    }
    let most = MAX_FILE_BYTES >> 20;
    Err(format!(
        "{}: is too large: accepted are {most} MiB",
        path.display()
    ))
}

fn write(path: &Path, rows: &[LabelRow], format: LabelFormat) -> Result<(), String> {
    let text = file::render(rows, format).map_err(|error| format!("labels: {error}"))?;
    let cannot = |error| format!("{}: cannot be written: {error}", path.display());
    if path == Path::new(STANDARD) {
        let mut out = std::io::stdout();
        return out
            .write_all(&text)
            .and_then(|()| out.flush())
            .map_err(cannot);
    }
    std::fs::write(path, text).map_err(cannot)
}

/// Tells every mistake on a line of its own, and then what came of it.
fn refuse(path: &Path, mistakes: &[Mistake]) -> String {
    for mistake in mistakes.iter().take(MAX_TOLD) {
        eprintln!("{}: {mistake}", path.display());
    }
    if mistakes.len() > MAX_TOLD {
        eprintln!("{}: and {} more", path.display(), mistakes.len() - MAX_TOLD);
    }
    let (count, rows) = match mistakes.len() {
        1 => ("1".to_owned(), "row is"),
        more => (more.to_string(), "rows are"),
    };
    format!(
        "{}: {count} {rows} not accepted: nothing was imported",
        path.display()
    )
}

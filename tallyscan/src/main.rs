//! The `tallyscan` program: scan a chain, tally the books.

mod cli;
mod connect;
mod doctor;
mod index;
mod labels;
mod logging;
mod migrate;
mod serve;
mod shutdown;
mod up;
mod usage;

use clap::Parser as _;
use std::process::ExitCode;

/// What a command ends with when it could not begin: bad configuration, or something it depends on
/// is not there.
const EXIT_UNUSABLE: u8 = 2;

/// Why a command ended early.
pub(crate) enum Failure {
    /// It could not begin: one sentence for the operator.
    Unusable(String),
    /// It ran and found what it looks for (differences), or broke.
    Failed(String),
}

impl<E: std::fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Unusable(error.to_string())
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let cli = match cli::Cli::try_parse() {
        Ok(cli) => cli,
        // Help and version, which are no mistakes, or the help where no command was given.
        Err(error) if usage::is_help(&error) => error.exit(),
        Err(error) => {
            eprintln!("tallyscan: {}", usage::sentence(&error));
            return ExitCode::from(EXIT_UNUSABLE);
        }
    };
    if let Err(error) = logging::init(cli.log_format) {
        eprintln!("tallyscan: {error}");
        return ExitCode::from(EXIT_UNUSABLE);
    }
    let ended = match cli.command {
        cli::Command::Up(args) => up::run(args).await,
        cli::Command::Index(args) => index::run(args).await,
        cli::Command::Serve(args) => serve::run(args).await,
        cli::Command::Migrate(args) => migrate::run(args).await,
        cli::Command::Doctor(args) => doctor::run(args).await,
        cli::Command::Labels(args) => labels::run(args.command).await,
        cli::Command::Tune(args) => index::tune(args).await,
        cli::Command::Rollback(args) => index::roll_back(args).await,
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Unusable(sentence)) => {
            eprintln!("tallyscan: {sentence}");
            ExitCode::from(EXIT_UNUSABLE)
        }
        Err(Failure::Failed(sentence)) => {
            eprintln!("tallyscan: {sentence}");
            ExitCode::FAILURE
        }
    }
}

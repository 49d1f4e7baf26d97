//! A mistake on the command line or in a setting, in one line: the setting, what was given, what is
//! accepted.

use crate::cli::Cli;
use clap::{
    CommandFactory as _, Error,
    error::{ContextKind, ContextValue, ErrorKind},
};
use std::error::Error as _;

/// Whether the error is a request for help or for the version.
pub(crate) fn is_help(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::DisplayHelp
            | ErrorKind::DisplayVersion
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

/// The mistake as a sentence. Settings that hold secrets accept any text, so what is repeated here is
/// never one of theirs.
pub(crate) fn sentence(error: &Error) -> String {
    let argument = text(error, ContextKind::InvalidArg);
    let given = text(error, ContextKind::InvalidValue);
    match (error.kind(), argument, given) {
        (ErrorKind::MissingRequiredArgument, Some(argument), _) => {
            format!(
                "{}: missing: set it, or give {argument}",
                setting(&argument)
            )
        }
        (ErrorKind::ValueValidation | ErrorKind::InvalidValue, Some(argument), Some(given)) => {
            let accepted = accepted(error, &argument);
            format!(
                "{}: {given:?} cannot be used: {accepted}",
                setting(&argument)
            )
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.trim_start_matches("error: ").to_owned()
        }
    }
}

/// What the argument accepts.
fn accepted(error: &Error, argument: &str) -> String {
    if argument.ends_with("<NUMBER>") {
        return "a whole number is accepted".to_owned();
    }
    if argument.ends_with("<ADDRESS>") {
        return "an address with a port is accepted, such as 127.0.0.1:8080".to_owned();
    }
    let parser = error.source().map(ToString::to_string);
    let values =
        text(error, ContextKind::ValidValue).map(|values| format!("accepted are {values}"));
    values.or(parser).unwrap_or_else(|| "see --help".to_owned())
}

fn text(error: &Error, kind: ContextKind) -> Option<String> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text.clone()),
        ContextValue::Strings(texts) => Some(texts.join(", ")),
        _ => None,
    }
}

/// The environment variable of an argument written as `--long <VALUE>`, or the argument itself.
fn setting(argument: &str) -> String {
    let long = argument
        .split([' ', ','])
        .next()
        .unwrap_or_default()
        .trim_start_matches("--");
    let command = Cli::command();
    let arguments = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments);
    command
        .get_arguments()
        .chain(arguments)
        .filter(|known| known.get_long() == Some(long))
        .find_map(|known| known.get_env()?.to_str().map(str::to_owned))
        .unwrap_or_else(|| argument.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser as _;

    #[test]
    fn a_mistake_is_one_line_that_names_the_setting_and_what_is_accepted() {
        for (arguments, words) in [
            (vec!["migrate"], vec!["DATABASE_URL", "missing"]),
            (
                vec!["serve", "--listen-addr", "x"],
                vec!["LISTEN_ADDR", "\"x\"", "127.0.0.1:8080"],
            ),
            (
                vec![
                    "--log-format",
                    "x",
                    "migrate",
                    "--database-url",
                    "postgres://h/d",
                ],
                vec!["LOG_FORMAT", "\"x\"", "text, json"],
            ),
            (
                vec!["rollback", "--to", "x"],
                vec!["--to", "\"x\"", "whole number"],
            ),
            (vec!["migrate", "--nonsense"], vec!["--nonsense"]),
            (vec!["nonsense"], vec!["nonsense"]),
        ] {
            let error = Cli::try_parse_from([&["tallyscan"], &*arguments].concat()).unwrap_err();
            let sentence = sentence(&error);
            assert_eq!(sentence.lines().count(), 1, "{sentence}");
            for word in words {
                assert!(sentence.contains(word), "{sentence} names no {word}");
            }
        }
    }
}

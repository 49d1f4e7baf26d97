//! What lists may be narrowed to: values of query parameters, read strictly.

use crate::{
    id,
    parameters::Values,
    problem::{Code, Problem, quoted},
};
use chain::{InternalKind, TransferKind};
use store::{
    read::{ActivityFilter, Flow, InternalFilter, Range, TransferFilter},
    view::{TokenStandard, parse_rfc3339},
};

/// What a list may be narrowed to.
pub(crate) trait Filter: Sized {
    /// The names of all parameters, those of a list's pages included.
    const NAMES: &'static [&'static str];
    /// Reads it.
    fn read(values: &Values) -> Result<Self, Problem>;
}

/// A list that is shown as it is.
impl Filter for () {
    const NAMES: &'static [&'static str] = &["limit", "cursor"];

    fn read(_: &Values) -> Result<Self, Problem> {
        Ok(())
    }
}

impl Filter for ActivityFilter {
    const NAMES: &'static [&'static str] = &[
        "limit",
        "cursor",
        "direction",
        "from_block",
        "to_block",
        "from_time",
        "to_time",
    ];

    fn read(values: &Values) -> Result<Self, Problem> {
        Ok(Self {
            range: range(values)?,
            flow: flow(values)?,
        })
    }
}

impl Filter for TransferFilter {
    const NAMES: &'static [&'static str] = &[
        "limit",
        "cursor",
        "direction",
        "token",
        "kind",
        "from_block",
        "to_block",
        "from_time",
        "to_time",
    ];

    fn read(values: &Values) -> Result<Self, Problem> {
        Ok(Self {
            range: range(values)?,
            flow: flow(values)?,
            token: values.get("token").map(id::address).transpose()?,
            kind: choice(values, "kind", &TransferKind::ALL, TransferKind::name)?,
        })
    }
}

/// Which transfers of a token are asked for.
pub(crate) struct TokenTransferFilter(pub TransferFilter);

impl Filter for TokenTransferFilter {
    const NAMES: &'static [&'static str] = &[
        "limit",
        "cursor",
        "kind",
        "from_block",
        "to_block",
        "from_time",
        "to_time",
    ];

    fn read(values: &Values) -> Result<Self, Problem> {
        TransferFilter::read(values).map(Self)
    }
}

impl Filter for InternalFilter {
    const NAMES: &'static [&'static str] = &[
        "limit",
        "cursor",
        "direction",
        "kind",
        "from_block",
        "to_block",
        "from_time",
        "to_time",
    ];

    fn read(values: &Values) -> Result<Self, Problem> {
        Ok(Self {
            range: range(values)?,
            flow: flow(values)?,
            kind: choice(values, "kind", &InternalKind::ALL, InternalKind::name)?,
        })
    }
}

impl Filter for Option<TokenStandard> {
    const NAMES: &'static [&'static str] = &["limit", "cursor", "standard"];

    fn read(values: &Values) -> Result<Self, Problem> {
        choice(values, "standard", &TokenStandard::ALL, TokenStandard::name)
    }
}

/// Whether a balance is to be explained, and between which heights; either end may be open.
#[derive(Debug, PartialEq)]
pub(crate) struct Explain(pub Option<(Option<u64>, Option<u64>)>);

impl Filter for Explain {
    const NAMES: &'static [&'static str] = &["explain", "from_block", "to_block"];

    fn read(values: &Values) -> Result<Self, Problem> {
        let Range {
            from_block,
            to_block,
            ..
        } = range(values)?;
        let explain = choice(values, "explain", &[true, false], |it| {
            if it { "true" } else { "false" }
        })?;
        if explain == Some(true) {
            return Ok(Self(Some((from_block, to_block))));
        }
        if from_block.or(to_block).is_some() {
            let detail = "from_block and to_block say what to explain: accepted are both, or one of \
                          them, with explain=true.";
            return Err(Problem::new(Code::MalformedFilter, detail));
        }
        Ok(Self(None))
    }
}

/// A value out of a few.
fn choice<T: Copy>(
    values: &Values,
    name: &str,
    all: &[T],
    spelling: impl Fn(T) -> &'static str,
) -> Result<Option<T>, Problem> {
    let Some(text) = values.get(name) else {
        return Ok(None);
    };
    let found = all.iter().find(|it| spelling(**it) == text);
    found.copied().map(Some).ok_or_else(|| {
        let accepted: Vec<&str> = all.iter().map(|it| spelling(*it)).collect();
        malformed(name, text, &accepted.join(", "))
    })
}

fn malformed(name: &str, text: &str, accepted: &str) -> Problem {
    Problem::new(
        Code::MalformedFilter,
        format!("{name} is {}: accepted is {accepted}.", quoted(text)),
    )
}

fn flow(values: &Values) -> Result<Option<Flow>, Problem> {
    choice(values, "direction", &[Flow::In, Flow::Out], |it| match it {
        Flow::In => "in",
        Flow::Out => "out",
    })
}

/// Heights and times; none may end before it begins.
fn range(values: &Values) -> Result<Range, Problem> {
    let height = |name| number(values, name, "a height in decimal", |_| None);
    let time = |name| {
        let accepted = "a time as 2026-01-31T12:00:00Z (RFC 3339) or in seconds since 1970";
        number(values, name, accepted, parse_rfc3339)
    };
    let range = Range {
        from_block: height("from_block")?,
        to_block: height("to_block")?,
        from_time: time("from_time")?,
        to_time: time("to_time")?,
    };
    for (unit, from, to) in [
        ("block", range.from_block, range.to_block),
        ("time", range.from_time, range.to_time),
    ] {
        if let Some((from, to)) = from.zip(to).filter(|(from, to)| from > to) {
            let detail = format!(
                "from_{unit} is {from} and to_{unit} is {to}: accepted is a range that does not \
                 end before it begins."
            );
            return Err(Problem::new(Code::MalformedFilter, detail));
        }
    }
    Ok(range)
}

/// A number, or another spelling of one.
fn number(
    values: &Values,
    name: &str,
    accepted: &str,
    other: impl Fn(&str) -> Option<u64>,
) -> Result<Option<u64>, Problem> {
    let Some(text) = values.get(name) else {
        return Ok(None);
    };
    let digits = id::digits(text).then(|| text.parse().ok()).flatten();
    let number = digits.or_else(|| other(text));
    number
        .map(Some)
        .ok_or_else(|| malformed(name, text, accepted))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter<F: Filter>(query: &str) -> Result<F, Problem> {
        let uri = format!("/x?{query}").parse().unwrap();
        F::read(&Values::of(&uri, F::NAMES)?)
    }

    #[test]
    fn a_filter_is_what_was_written() {
        let address = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";
        let read: TransferFilter = filter(&format!(
            "direction=in&token={address}&kind=withdrawal&from_block=7&to_block=7&to_time=9"
        ))
        .unwrap();
        let expected = TransferFilter {
            range: Range {
                from_block: Some(7),
                to_block: Some(7),
                from_time: None,
                to_time: Some(9),
            },
            flow: Some(Flow::In),
            token: Some(address.parse().unwrap()),
            kind: Some(TransferKind::Withdrawal),
        };
        assert_eq!(read, expected);
        let none: TransferFilter = filter("").unwrap();
        assert_eq!(none, TransferFilter::default());
        let read: InternalFilter = filter("kind=create2").unwrap();
        assert_eq!(read.kind, Some(InternalKind::Create2));
        let standard: Option<TokenStandard> = filter("standard=erc1155").unwrap();
        assert_eq!(standard, Some(TokenStandard::Erc1155));
    }

    #[test]
    fn a_balance_is_explained_only_when_asked_for() {
        let read = |query| filter::<Explain>(query).unwrap();
        assert_eq!(read(""), Explain(None));
        assert_eq!(read("explain=false"), Explain(None));
        assert_eq!(read("explain=true"), Explain(Some((None, None))));
        let ranged = read("explain=true&from_block=7");
        assert_eq!(ranged, Explain(Some((Some(7), None))));
        for query in [
            "explain=yes",
            "from_block=7",
            "explain=true&from_block=8&to_block=7",
        ] {
            let problem = filter::<Explain>(query).unwrap_err();
            assert_eq!(problem.code, Code::MalformedFilter, "{query}");
        }
    }

    #[test]
    fn a_time_is_seconds_or_rfc_3339() {
        for text in [
            "1767225600",
            "2026-01-01T00:00:00Z",
            "2026-01-01T01:00:00.5%2B01:00",
        ] {
            let read: ActivityFilter = filter(&format!("from_time={text}")).unwrap();
            assert_eq!(read.range.from_time, Some(1_767_225_600), "{text}");
        }
    }

    #[test]
    fn a_bad_value_is_named_with_what_is_accepted() {
        for (query, given, accepted) in [
            ("direction=up", "up", "in, out"),
            ("direction=", "direction", "in, out"),
            (
                "kind=ERC20",
                "ERC20",
                "erc20, erc721, erc1155, deposit, withdrawal",
            ),
            ("from_block=0x1", "0x1", "decimal"),
            ("to_block=-1", "-1", "decimal"),
            (
                "from_block=18446744073709551616",
                "18446744073709551616",
                "decimal",
            ),
            ("from_time=yesterday", "yesterday", "RFC 3339"),
            ("to_time=1969-12-31T23:59:59Z", "1969", "RFC 3339"),
            (
                "from_block=8&to_block=7",
                "from_block is 8",
                "to_block is 7",
            ),
            ("from_time=8&to_time=7", "from_time is 8", "to_time is 7"),
        ] {
            let problem = filter::<TransferFilter>(query).unwrap_err();
            assert_eq!(problem.code, Code::MalformedFilter, "{query}");
            let json = problem.to_json("r");
            assert!(json.contains(given) && json.contains(accepted), "{json}");
        }
        let problem = filter::<TransferFilter>("token=0x12").unwrap_err();
        assert_eq!(problem.code, Code::MalformedAddress);
        let problem = filter::<TokenTransferFilter>("direction=in").err().unwrap();
        assert_eq!(problem.code, Code::UnknownParameter);
    }
}

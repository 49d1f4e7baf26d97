//! What is accepted, what is told, and that files read back as they were written.

use super::*;
use proptest::prelude::*;

const HEADER: &str = "address,label,category,visibility,owner,note\n";
const ADDRESS: &str = "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed";

fn csv(text: &str) -> Result<Vec<LabelRow>, Vec<Mistake>> {
    parse(text.as_bytes(), LabelFormat::Csv)
}

fn told(result: Result<Vec<LabelRow>, Vec<Mistake>>) -> Vec<String> {
    result
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect()
}

#[test]
fn columns_come_in_any_order_and_two_of_them_need_not() {
    let rows = csv(&format!(
        "visibility,label,address,category\r\npublic, Exchange 1 ,{ADDRESS},exchange\r\n"
    ));
    let rows = rows.unwrap();
    assert_eq!(rows[0].label, "Exchange 1", "space around it is dropped");
    assert_eq!(rows[0].visibility, Visibility::Public);
    assert_eq!((&rows[0].owner, &rows[0].note), (&None, &None));
}

#[test]
fn every_bad_row_is_told_with_its_line() {
    let text = format!(
        "{HEADER}{ADDRESS},ok,c,public,,\n\n0x12,a,c,public,,\n{ADDRESS},\"two\nlines\",c,public,,\n\
         {ADDRESS},b,c,secret,,\n{ADDRESS},,c,public,,\n{ADDRESS},x,c\n{ADDRESS},ok,d,internal,,\n{},{},c,public,,\n",
        ADDRESS.replace("5aA", "5aa"),
        "l".repeat(81),
    );
    let told = told(csv(&text));
    let expected = [
        ("line 4: ", "40 hex digits"),
        ("line 5: ", "u{a}"),
        ("line 7: ", "public and internal"),
        ("line 8: ", "1 to 80"),
        ("line 9: ", "3 fields"),
        ("line 10: ", "line 2"),
        ("line 11: ", "checksum"),
    ];
    assert_eq!(told.len(), expected.len(), "{told:#?}");
    for (told, (line, words)) in told.iter().zip(expected) {
        assert!(told.starts_with(line) && told.contains(words), "{told}");
    }
}

#[test]
fn a_header_that_is_no_header_is_told() {
    for (text, words) in [
        ("", "no header"),
        ("address,label,category\n", "visibility"),
        ("address,label,category,visibility,colour\n", "colour"),
        ("address,label,label,category,visibility\n", "twice"),
        (&format!("{ADDRESS},a,b,public\n"), "unknown"),
    ] {
        let told = told(csv(text));
        assert!(
            told[0].starts_with("line 1: ") && told[0].contains(words),
            "{told:?}"
        );
    }
}

#[test]
fn json_items_are_told_with_their_lines() {
    let json = format!(
        "[\n {{\"address\":\"{ADDRESS}\",\"label\":\"a\",\"category\":\"c\",\"visibility\":\"public\"}},\n\
         {{\"address\":\"{ADDRESS}\"}},\n 7,\n {{\n\"address\":\"{ADDRESS}\",\"label\":\"b\",\"category\":\"c\",\"visibility\":\"public\",\"x\":1}}]"
    );
    let told = told(parse(json.as_bytes(), LabelFormat::Json));
    assert_eq!(told.len(), 3, "{told:#?}");
    assert!(
        told[0].starts_with("line 3: ") && told[0].contains("label"),
        "{told:?}"
    );
    assert!(told[1].starts_with("line 4: "), "{told:?}");
    assert!(
        told[2].starts_with("line 5: ") && told[2].contains('x'),
        "{told:?}"
    );
    for text in ["", "{}", "[{]", "\u{0}"] {
        assert!(parse(text.as_bytes(), LabelFormat::Json).is_err(), "{text}");
    }
}

#[test]
fn a_mark_of_the_byte_order_is_skipped_and_other_encodings_are_told() {
    let good = format!("\u{feff}{HEADER}{ADDRESS},a,c,public,,\n");
    assert_eq!(csv(&good).unwrap().len(), 1);
    let mut latin = format!("{HEADER}{ADDRESS},caf").into_bytes();
    latin.extend_from_slice(b"\xe9,c,public,,\n");
    let told = told(parse(&latin, LabelFormat::Csv));
    assert!(
        told[0].starts_with("line 2: label is not UTF-8"),
        "{told:?}"
    );
}

#[test]
fn texts_that_show_another_name_than_they_are_are_not_accepted() {
    for bad in ["a\u{202e}b", "a\u{7}b", "a\u{2066}b", "a\u{85}b", "a\0b"] {
        assert!(optional("label", Some(bad), 80).is_err(), "{bad:?}");
    }
    assert_eq!(
        optional("label", Some("Ünï 👩‍🚀 \"=1+1\""), 80)
            .unwrap()
            .as_deref(),
        Some("Ünï 👩‍🚀 \"=1+1\"")
    );
}

fn text(most: usize) -> impl Strategy<Value = String> {
    prop::collection::vec(any::<char>(), 1..=most)
        .prop_map(String::from_iter)
        .prop_filter_map("a text that is accepted", move |text: String| {
            optional("text", Some(&text), most).ok().flatten()
        })
}

prop_compose! {
    fn row()(
        address: [u8; 20],
        label in text(8),
        category in text(4),
        internal: bool,
        owner in prop::option::of(text(4)),
        note in prop::option::of(text(8)),
    ) -> LabelRow {
        let visibility = if internal { Visibility::Internal } else { Visibility::Public };
        LabelRow { address: address.into(), label, category, visibility, owner, note }
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(rows in prop::collection::vec(row(), 0..8)) {
        for format in [LabelFormat::Csv, LabelFormat::Json] {
            let text = render(&rows, format).unwrap();
            prop_assert_eq!(parse(&text, format), Ok(rows.clone()));
        }
    }

    #[test]
    fn garbage_never_panics(bytes: Vec<u8>) {
        for format in [LabelFormat::Csv, LabelFormat::Json] {
            let _ = parse(&bytes, format);
        }
    }
}

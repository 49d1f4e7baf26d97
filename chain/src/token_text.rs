//! What a token says of itself, made fit to be shown.
//!
//! A token's name is a stranger's text: it may hold control characters, turn the direction of the text
//! around it, hide letters, or go on for megabytes. What cannot be shown as it stands is taken out.

use alloy::{
    primitives::U256,
    sol_types::{SolType as _, sol_data},
};

/// Most characters of a name that are kept.
pub const LONGEST_NAME: usize = 128;
/// Most characters of a symbol that are kept.
pub const LONGEST_SYMBOL: usize = 32;

/// Most bytes of an answer that are read: names are short, and a longer answer is an attack.
const LONGEST_ANSWER: usize = 4_096;

/// The text of an answer to `name()` or `symbol()`: ABI `string`, or `bytes32` as some early tokens have
/// it; cleaned and cut to so many characters. `None` where nothing is left, or it was no text.
#[must_use]
pub fn text_of(answer: &[u8], longest: usize) -> Option<String> {
    if answer.len() > LONGEST_ANSWER {
        return None;
    }
    if answer.len() == 32 {
        let end = answer.iter().rposition(|byte| *byte != 0)?;
        return clean(&answer[..=end], longest);
    }
    // As bytes: what is not UTF-8 is replaced, not refused.
    let text = sol_data::Bytes::abi_decode(answer).ok()?;
    clean(&text, longest)
}

/// The number of an answer to `decimals()`; `None` for what does not fit a byte.
#[must_use]
pub fn decimals_of(answer: &[u8]) -> Option<u8> {
    u8::try_from(number_of(answer)?).ok()
}

/// The number of an answer to `totalSupply()`.
#[must_use]
pub fn number_of(answer: &[u8]) -> Option<U256> {
    if answer.len() > LONGEST_ANSWER {
        return None;
    }
    answer
        .first_chunk::<32>()
        .map(|word| U256::from_be_bytes(*word))
}

fn clean(bytes: &[u8], longest: usize) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let shown = text
        .chars()
        .map(|c| if c.is_whitespace() { ' ' } else { c });
    let shown: String = shown.filter(|c| !is_hidden(*c)).collect();
    let cut: String = shown.trim().chars().take(longest).collect();
    let cut = cut.trim_end();
    (!cut.is_empty()).then(|| cut.to_owned())
}

/// Characters that are not seen, or that change how others are: controls, zero-width ones, marks,
/// embeddings and overrides of direction, fillers, tags, variation selectors, private use, and the one that stands for bytes that
/// are no text.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'..='\u{1160}'
                | '\u{17b4}'..='\u{17b5}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | '\u{feff}'
                | '\u{ffa0}'
                | '\u{fff0}'..='\u{fffd}'
                | '\u{e000}'..='\u{f8ff}'
                | '\u{e0000}'..='\u{10ffff}'
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy::sol_types::SolValue as _;

    fn read(text: &str) -> Option<String> {
        text_of(&text.to_owned().abi_encode(), LONGEST_SYMBOL)
    }

    #[test]
    fn a_plain_name_stays_as_it_is() {
        for name in [
            "Tally Dollar",
            "T",
            "₮ether",
            "日本円",
            "Ünïcödé 🦄",
            "a  b",
        ] {
            assert_eq!(read(name).as_deref(), Some(name));
        }
    }

    #[test]
    fn a_name_in_32_bytes_is_read_up_to_its_zeros() {
        let mut word = [0; 32];
        word[..5].copy_from_slice(b"Maker");
        assert_eq!(text_of(&word, LONGEST_NAME).as_deref(), Some("Maker"));
        assert_eq!(text_of(&[0; 32], LONGEST_NAME), None);
        assert_eq!(text_of(&[b'x'; 32], LONGEST_NAME), Some("x".repeat(32)));
    }

    #[test]
    fn what_is_not_seen_or_turns_text_around_is_taken_out() {
        for (hostile, shown) in [
            ("US\u{202e}DT", "USDT"),
            ("\u{2066}US\u{2069}DT", "USDT"),
            ("U\u{200b}S\u{200d}D\u{feff}T", "USDT"),
            ("USDT\0\0", "USDT"),
            ("US\u{7}D\u{1b}[31mT", "USD[31mT"),
            ("US\u{ad}DT\u{3164}", "USDT"),
            ("US\u{e0041}DT\u{fe0f}", "USDT"),
            ("  US\nDT\t", "US DT"),
            ("\u{a0}USDT\u{3000}", "USDT"),
            ("<script>", "<script>"),
        ] {
            assert_eq!(read(hostile).as_deref(), Some(shown), "{hostile:?}");
        }
    }

    #[test]
    fn nothing_that_can_be_shown_is_nothing() {
        for hostile in ["", " ", "\0", "\u{202e}\u{200b}", "\n\t"] {
            assert_eq!(read(hostile), None, "{hostile:?}");
        }
    }

    #[test]
    fn bytes_that_are_no_text_are_taken_out() {
        let bytes = alloy::primitives::Bytes::from_static(b"US\xff\xfeDT\xc3");
        assert_eq!(text_of(&bytes.abi_encode(), 32).as_deref(), Some("USDT"));
    }

    #[test]
    fn a_long_name_is_cut_at_a_character() {
        let cut = read(&"é".repeat(100)).expect("a text");
        assert_eq!(cut, "é".repeat(LONGEST_SYMBOL));
        assert_eq!(
            text_of(&"x".repeat(5_000).abi_encode(), 32),
            None,
            "too long to be read"
        );
        let ends_in_space = format!("{} more", "x".repeat(LONGEST_SYMBOL - 1));
        assert_eq!(read(&ends_in_space), Some("x".repeat(LONGEST_SYMBOL - 1)));
    }

    #[test]
    fn answers_that_are_no_text_are_none() {
        let mut too_far = "USDT".to_owned().abi_encode();
        too_far[0] = 0xff;
        let mut too_long = "USDT".to_owned().abi_encode();
        too_long[32..64].fill(0xff);
        for answer in [
            &[][..],
            &[1],
            &[0; 31],
            &[0; 33],
            &[0xff; 64],
            &too_far,
            &too_long,
        ] {
            assert_eq!(text_of(answer, LONGEST_NAME), None, "{answer:?}");
        }
    }

    #[test]
    fn decimals_fit_a_byte_or_are_none() {
        let word = |number: u64| U256::from(number).abi_encode();
        assert_eq!(decimals_of(&word(0)), Some(0));
        assert_eq!(decimals_of(&word(18)), Some(18));
        assert_eq!(decimals_of(&word(255)), Some(255));
        assert_eq!(decimals_of(&word(256)), None);
        assert_eq!(decimals_of(&U256::MAX.abi_encode()), None);
        assert_eq!(decimals_of(&[]), None);
        assert_eq!(decimals_of(&[18]), None);
        assert_eq!(decimals_of(&[0; 5_000]), None);
    }

    #[test]
    fn a_supply_is_any_number() {
        assert_eq!(number_of(&U256::MAX.abi_encode()), Some(U256::MAX));
        assert_eq!(number_of(&[0; 31]), None);
    }
}

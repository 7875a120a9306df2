//! Numbers on the command line: parsers whose errors say what is allowed.

use std::fmt::Display;
use std::ops::RangeInclusive;

/// A parser for a whole number in a range. Its error follows clap's `invalid value 'x' for '--flag <NAME>': `.
pub(super) fn whole<T>(range: RangeInclusive<T>) -> impl Fn(&str) -> Result<T, String> + Clone + Send + Sync + 'static
where
    T: TryFrom<u64> + Into<u64> + Copy + Display + Send + Sync + 'static,
{
    let (low, high): (u64, u64) = ((*range.start()).into(), (*range.end()).into());
    move |text| {
        let number = text.parse::<u64>().ok().filter(|number| (low..=high).contains(number));
        number.and_then(|number| T::try_from(number).ok()).ok_or_else(|| refusal(text, low, high))
    }
}

/// Parses the permissions of a file, in octal. Its error is as that of `whole`.
pub(super) fn mode(text: &str) -> Result<u32, String> {
    let is_octal = text.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = if is_octal { u32::from_str_radix(text, 8).ok() } else { None };
    mode.filter(|mode| *mode <= 0o777).ok_or("give it in octal, from 0 to 777".to_owned())
}

/// What a text is instead of a number, and what is allowed.
fn refusal(text: &str, low: u64, high: u64) -> String {
    let bounds = if high == u64::MAX { format!("of {low} or more") } else { format!("from {low} to {high}") };
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let has_unit = digits.len() < text.len() && !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    let hint = if has_unit { format!("; leave out the unit {}", &text[digits.len()..]) } else { String::new() };
    format!("not a whole number {bounds}{hint}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_number_is_told_what_one_is() {
        let port = whole(0..=u16::MAX);
        assert_eq!(port("5116"), Ok(5116));
        for text in ["", "x", "-1", "65536", "1.5", "0x10", "99999999999999999999"] {
            assert_eq!(port(text), Err("not a whole number from 0 to 65535".to_owned()), "{text}");
        }
        assert_eq!(whole(1..=9_u32)("5s"), Err("not a whole number from 1 to 9; leave out the unit s".to_owned()));
        assert_eq!(whole(0..=u64::MAX)("many"), Err("not a whole number of 0 or more".to_owned()));
        assert_eq!(whole(0..=u64::MAX)("18446744073709551615"), Ok(u64::MAX));
    }

    #[test]
    fn a_mode_is_octal() {
        assert_eq!(["0", "700", "0620"].map(mode), [Ok(0), Ok(0o700), Ok(0o620)]);
        for text in ["", "778", "1000", "-1", "rwx", "0o700"] {
            assert_eq!(mode(text), Err("give it in octal, from 0 to 777".to_owned()), "{text}");
        }
    }
}

//! LongDouble: the x87 80-bit float in which Redis adds for INCRBYFLOAT: parsed, added and printed to the same byte.
//!
//! Owner: nobody; a value. Core: any. Cost: a few short big integers a call; some milliseconds at worst, for numbers of
//! thousands of digits. Never: touches the machine's floats, so that every host gives the same bytes.
//!
//! A number is `mantissa * 2^exponent`. Parsing, addition and printing are exact in between and rounded once, to the
//! nearest and ties to even, as glibc's `strtold`, the FPU's `fadd` and glibc's `%.17Lf` do.

mod natural;

use std::cmp::Ordering;

use self::natural::Natural;
use crate::limits::{FLOAT_DECIMALS, FLOAT_TEXT_BYTES_MAX};

/// Bits of the mantissa; the leading one is stored.
const MANTISSA_BITS: i64 = 64;
/// The exponent of the smallest numbers, those with less than a whole mantissa.
const EXPONENT_MIN: i64 = -16445;
/// The exponent of the largest numbers.
const EXPONENT_MAX: i64 = 16320;
/// Decimal exponents beyond which no number of this format is, with room to spare.
const DECIMAL_EXPONENT_MAX: i64 = 5000;

/// A number as the x87 would hold it; not a NaN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LongDouble {
    negative: bool,
    magnitude: Magnitude,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Magnitude {
    /// `mantissa * 2^exponent`; 0 if the mantissa is.
    Finite {
        mantissa: u64,
        exponent: i64,
    },
    Infinite,
}

const ZERO: Magnitude = Magnitude::Finite { mantissa: 0, exponent: EXPONENT_MIN };

impl LongDouble {
    /// The number zero.
    pub const ZERO: LongDouble = LongDouble { negative: false, magnitude: ZERO };

    /// Whether the number is not infinite.
    pub fn is_finite(self) -> bool {
        self.magnitude != Magnitude::Infinite
    }

    /// The number with the other sign.
    pub fn negated(self) -> LongDouble {
        LongDouble { negative: !self.negative, magnitude: self.magnitude }
    }

    /// The largest finite number, with the sign of this one.
    pub fn largest_of_its_sign(self) -> LongDouble {
        let magnitude = Magnitude::Finite { mantissa: u64::MAX, exponent: EXPONENT_MAX };
        LongDouble { negative: self.negative, magnitude }
    }

    /// Reads what Redis's `string2ld` takes: all that C's `strtold` does (hexadecimal and `inf` included), without space
    /// around it, without NaN, and without what overflows or underflows to nothing.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() >= FLOAT_TEXT_BYTES_MAX {
            return None;
        }
        let (negative, unsigned) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
            return Some(LongDouble { negative, magnitude: Magnitude::Infinite });
        }
        let magnitude = match unsigned {
            [b'0', b'x' | b'X', hexadecimal @ ..] => parse_hexadecimal(hexadecimal)?,
            _ => parse_decimal(unsigned)?,
        };
        Some(LongDouble { negative, magnitude })
    }

    /// The sum; `None` if it is infinite or not a number.
    pub fn plus(self, other: LongDouble) -> Option<LongDouble> {
        let (Magnitude::Finite { mantissa, exponent }, Magnitude::Finite { mantissa: more, exponent: other_exponent }) =
            (self.magnitude, other.magnitude)
        else {
            return None;
        };
        let low = exponent.min(other_exponent);
        let mut sum = Natural::from(mantissa).shifted((exponent - low).unsigned_abs() as usize);
        let mut addend = Natural::from(more).shifted((other_exponent - low).unsigned_abs() as usize);
        let mut negative = self.negative;
        if self.negative == other.negative {
            sum.add(&addend);
        } else {
            if sum.cmp(&addend) == Ordering::Less {
                std::mem::swap(&mut sum, &mut addend);
                negative = other.negative;
            }
            sum.subtract(&addend);
        }
        let magnitude = if sum.is_zero() { ZERO } else { rounded(sum, Natural::from(1), low) };
        (magnitude != Magnitude::Infinite).then_some(LongDouble { negative, magnitude })
    }

    /// The text as Redis stores it: `%.17Lf` without trailing zeros, and without a minus before a zero.
    pub fn text(self) -> Vec<u8> {
        let Magnitude::Finite { mantissa, exponent } = self.magnitude else {
            return if self.negative { b"-inf".to_vec() } else { b"inf".to_vec() };
        };
        let mut scaled = Natural::from(mantissa);
        scaled.multiply_by_power_of_5(FLOAT_DECIMALS);
        // 10^n is 5^n * 2^n.
        let shift = exponent + FLOAT_DECIMALS as i64;
        let scaled = if shift >= 0 {
            scaled.shifted(shift.unsigned_abs() as usize)
        } else {
            scaled.divided_by_power_of_2(shift.unsigned_abs() as usize)
        };
        let digits = scaled.decimal_digits();
        let zeros = (FLOAT_DECIMALS + 1).saturating_sub(digits.len());
        let mut text = Vec::with_capacity(digits.len() + zeros + 2);
        if self.negative {
            text.push(b'-');
        }
        text.resize(text.len() + zeros, b'0');
        text.extend_from_slice(&digits);
        let point = text.len() - FLOAT_DECIMALS;
        while text.len() > point && text.last() == Some(&b'0') {
            text.pop();
        }
        if text.len() > point {
            text.insert(point, b'.');
        }
        if text == b"-0" { b"0".to_vec() } else { text }
    }
}

impl PartialOrd for LongDouble {
    /// The order of numbers. Infinite ones are ordered by their sign alone.
    fn partial_cmp(&self, other: &LongDouble) -> Option<Ordering> {
        let Some(difference) = self.plus(other.negated()) else {
            // A difference that is too large has the sign of the first.
            return Some(other.negative.cmp(&self.negative));
        };
        Some(match difference.magnitude {
            Magnitude::Finite { mantissa: 0, .. } => Ordering::Equal,
            _ if difference.negative => Ordering::Less,
            _ => Ordering::Greater,
        })
    }
}

/// `digits [. digits] [e [sign] digits]`, at least one digit before the exponent.
fn parse_decimal(text: &[u8]) -> Option<Magnitude> {
    let (mut digits, point_exponent, rest) = split_digits(text, u8::is_ascii_digit)?;
    let exponent = match rest {
        [] => 0,
        [b'e' | b'E', exponent @ ..] => parse_exponent(exponent)?,
        _ => return None,
    };
    let Some(first) = digits.iter().position(|digit| *digit != b'0') else {
        return Some(ZERO);
    };
    digits.drain(..first);
    let exponent = exponent + point_exponent;
    // Where the first digit stands tells what is far outside of the format's range.
    let leading = exponent + digits.len() as i64;
    if leading.abs() > DECIMAL_EXPONENT_MAX {
        return None;
    }
    let mut numerator = Natural::from_decimal(&digits);
    let mut denominator = Natural::from(1);
    let power = exponent.unsigned_abs() as usize;
    if exponent >= 0 { &mut numerator } else { &mut denominator }.multiply_by_power_of_5(power);
    in_range(rounded(numerator, denominator, exponent))
}

/// What follows `0x`: `digits [. digits] [p [sign] digits]`, at least one digit before the exponent.
fn parse_hexadecimal(text: &[u8]) -> Option<Magnitude> {
    let (digits, point_exponent, rest) = split_digits(text, u8::is_ascii_hexdigit)?;
    let exponent = match rest {
        [] => 0,
        [b'p' | b'P', exponent @ ..] => parse_exponent(exponent)?,
        _ => return None,
    };
    let numerator = Natural::from_hexadecimal(&digits);
    if numerator.is_zero() {
        return Some(ZERO);
    }
    in_range(rounded(numerator, Natural::from(1), exponent + 4 * point_exponent))
}

/// The rounded number, unless it is beyond the format at either end, where `strtold` says `ERANGE`.
fn in_range(magnitude: Magnitude) -> Option<Magnitude> {
    match magnitude {
        Magnitude::Finite { mantissa: 0, .. } | Magnitude::Infinite => None,
        finite @ Magnitude::Finite { .. } => Some(finite),
    }
}

/// The digits before and after a point, together; the exponent the point gives them; and what follows.
fn split_digits(text: &[u8], is_digit: fn(&u8) -> bool) -> Option<(Vec<u8>, i64, &[u8])> {
    let run = |text: &[u8]| text.iter().take_while(|byte| is_digit(byte)).count();
    let (whole, rest) = text.split_at(run(text));
    let (fraction, rest) = match rest {
        [b'.', rest @ ..] => rest.split_at(run(rest)),
        _ => (&[][..], rest),
    };
    let digits = [whole, fraction].concat();
    (!digits.is_empty()).then(|| (digits, -(fraction.len() as i64), rest))
}

/// `[sign] digits`, clamped to what is far out of any range.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let clamp = 1_000_000_000;
    let exponent = digits.iter().fold(0, |sum, digit| clamp.min(sum * 10 + i64::from(digit - b'0')));
    Some(if negative { -exponent } else { exponent })
}

/// `numerator / denominator * 2^exponent`, rounded to the format. Neither is 0.
fn rounded(mut numerator: Natural, mut denominator: Natural, exponent: i64) -> Magnitude {
    // Brought to a quotient of at least 1 and below 2, whose first bit then stands for 2^leading.
    let gap = numerator.bits() as i64 - denominator.bits() as i64;
    let mut leading = exponent + gap;
    if gap > 0 {
        denominator = denominator.shifted(gap.unsigned_abs() as usize);
    } else {
        numerator = numerator.shifted(gap.unsigned_abs() as usize);
    }
    if numerator.cmp(&denominator) == Ordering::Less {
        numerator = numerator.shifted(1);
        leading -= 1;
    }
    let low = (leading - (MANTISSA_BITS - 1)).max(EXPONENT_MIN);
    let bits = leading - low + 1;
    if bits < 0 {
        return ZERO;
    }
    let mut next_bit = || {
        let one = numerator.cmp(&denominator) != Ordering::Less;
        if one {
            numerator.subtract(&denominator);
        }
        numerator.double();
        one
    };
    let mut mantissa = 0u64;
    for _ in 0..bits {
        mantissa = mantissa << 1 | u64::from(next_bit());
    }
    let half = next_bit();
    let up = half && (!numerator.is_zero() || mantissa & 1 == 1);
    let (mantissa, low) = match mantissa.checked_add(u64::from(up)) {
        Some(mantissa) => (mantissa, low),
        None => (1 << (MANTISSA_BITS - 1), low + 1),
    };
    if low > EXPONENT_MAX { Magnitude::Infinite } else { Magnitude::Finite { mantissa, exponent: low } }
}

#[cfg(test)]
mod tests;

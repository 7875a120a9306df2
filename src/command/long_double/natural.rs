//! Natural: an unsigned integer of any length, with the few operations that exact decimal conversion takes.
//!
//! Owner: `LongDouble`, within one call. Core: any. Cost: 4 bytes of memory per 32 bits; each operation is one pass, the
//! conversions from and to decimal a pass per nine digits. Never: is asked to hold more than some ten thousand digits.
//! Invariant: the last limb is not 0, so that lengths can be compared.

use std::cmp::Ordering;

/// The largest power of ten in a limb, and its digits.
const TEN_TO_9: (u32, usize) = (1_000_000_000, 9);
/// The largest power of five in a limb, and its exponent.
const FIVE_TO_13: (u32, usize) = (1_220_703_125, 13);

/// An unsigned integer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Natural {
    /// Base 2^32, the least significant first.
    limbs: Vec<u32>,
}

impl From<u64> for Natural {
    fn from(value: u64) -> Self {
        Natural { limbs: vec![value as u32, (value >> 32) as u32] }.trimmed()
    }
}

impl Natural {
    /// The number that decimal digits make.
    pub(super) fn from_decimal(digits: &[u8]) -> Natural {
        let mut number = Natural { limbs: Vec::with_capacity(digits.len() / TEN_TO_9.1 + 1) };
        for chunk in digits.chunks(TEN_TO_9.1) {
            let value = chunk.iter().fold(0, |sum, digit| sum * 10 + u32::from(digit - b'0'));
            number.multiply_add(10u32.pow(chunk.len() as u32), value);
        }
        number
    }

    /// The number that hexadecimal digits of either case make.
    pub(super) fn from_hexadecimal(digits: &[u8]) -> Natural {
        let value = |digit: &u8| char::from(*digit).to_digit(16).unwrap_or(0);
        let limbs = digits.rchunks(8).map(|chunk| chunk.iter().fold(0, |sum, digit| sum << 4 | value(digit)));
        Natural { limbs: limbs.collect() }.trimmed()
    }

    /// The decimal digits; a single `0` for zero.
    pub(super) fn decimal_digits(mut self) -> Vec<u8> {
        let mut reversed = Vec::with_capacity(self.limbs.len() * 10 + 1);
        while !self.is_zero() {
            let mut rest = 0u64;
            for limb in self.limbs.iter_mut().rev() {
                let value = rest << 32 | u64::from(*limb);
                *limb = (value / u64::from(TEN_TO_9.0)) as u32;
                rest = value % u64::from(TEN_TO_9.0);
            }
            for _ in 0..TEN_TO_9.1 {
                reversed.push(b'0' + (rest % 10) as u8);
                rest /= 10;
            }
            self = self.trimmed();
        }
        while reversed.last() == Some(&b'0') {
            reversed.pop();
        }
        if reversed.is_empty() {
            reversed.push(b'0');
        }
        reversed.reverse();
        reversed
    }

    pub(super) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// Bits without leading zeros.
    pub(super) fn bits(&self) -> usize {
        self.limbs.last().map_or(0, |last| self.limbs.len() * 32 - last.leading_zeros() as usize)
    }

    pub(super) fn cmp(&self, other: &Natural) -> Ordering {
        let by_length = self.limbs.len().cmp(&other.limbs.len());
        by_length.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }

    pub(super) fn add(&mut self, other: &Natural) {
        let len = self.limbs.len().max(other.limbs.len());
        self.limbs.resize(len, 0);
        let mut carry = 0;
        for (at, limb) in self.limbs.iter_mut().enumerate() {
            let sum = u64::from(*limb) + u64::from(other.limbs.get(at).copied().unwrap_or(0)) + carry;
            *limb = sum as u32;
            carry = sum >> 32;
        }
        self.push(carry as u32);
    }

    /// Subtracts a number that is not larger.
    pub(super) fn subtract(&mut self, other: &Natural) {
        let mut borrow = false;
        for (at, limb) in self.limbs.iter_mut().enumerate() {
            let (difference, under) = limb.overflowing_sub(other.limbs.get(at).copied().unwrap_or(0));
            let (difference, under_again) = difference.overflowing_sub(u32::from(borrow));
            *limb = difference;
            borrow = under || under_again;
        }
        debug_assert!(!borrow, "what is taken away is not larger");
        self.trim();
    }

    /// Times 2.
    pub(super) fn double(&mut self) {
        let mut carry = 0;
        for limb in &mut self.limbs {
            let value = *limb;
            *limb = value << 1 | carry;
            carry = value >> 31;
        }
        self.push(carry);
    }

    /// Times 2^`bits`.
    pub(super) fn shifted(mut self, bits: usize) -> Natural {
        if bits == 0 || self.is_zero() {
            return self;
        }
        if !bits.is_multiple_of(32) {
            self.multiply_add(1 << (bits % 32), 0);
        }
        self.limbs.splice(0..0, std::iter::repeat_n(0, bits / 32));
        self
    }

    /// Times 5^`power`.
    pub(super) fn multiply_by_power_of_5(&mut self, power: usize) {
        for _ in 0..power / FIVE_TO_13.1 {
            self.multiply_add(FIVE_TO_13.0, 0);
        }
        self.multiply_add(5u32.pow((power % FIVE_TO_13.1) as u32), 0);
    }

    /// By 2^`bits`, rounded to the nearest, ties to even. `bits` is not 0.
    pub(super) fn divided_by_power_of_2(self, bits: usize) -> Natural {
        if self.bits() < bits {
            return Natural::from(0);
        }
        let bit = |at: usize| self.limbs.get(at / 32).is_some_and(|limb| limb >> (at % 32) & 1 == 1);
        let whole = self.limbs.get(bits / 32..).unwrap_or_default();
        let limb = |at: usize| u64::from(whole.get(at).copied().unwrap_or(0));
        let limbs = (0..whole.len()).map(|at| ((limb(at) | limb(at + 1) << 32) >> (bits % 32)) as u32).collect();
        let half = bit(bits - 1);
        let more = (0..bits - 1).any(bit);
        let mut quotient = Natural { limbs }.trimmed();
        if half && (more || bit(bits)) {
            quotient.add(&Natural::from(1));
        }
        quotient
    }

    /// Times `factor` plus `addend`.
    fn multiply_add(&mut self, factor: u32, addend: u32) {
        let mut carry = u64::from(addend);
        for limb in &mut self.limbs {
            let value = u64::from(*limb) * u64::from(factor) + carry;
            *limb = value as u32;
            carry = value >> 32;
        }
        self.push(carry as u32);
    }

    fn push(&mut self, limb: u32) {
        if limb != 0 {
            self.limbs.push(limb);
        }
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }

    fn trimmed(mut self) -> Natural {
        self.trim();
        self
    }
}

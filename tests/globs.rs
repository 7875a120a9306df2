//! Glob patterns, fed with what costs most: mutations of patterns that once took seconds, of which those that take more steps
//! are mutated again. A match fails the test by the work it does, not by the time: steps are counted, and none may take more
//! than the product of both lengths. `ASPINE_FUZZ_RUNS` asks for more.
#![cfg(feature = "server")]

use aspine::command::glob::{Matched, Pattern};
use aspine::limits::GLOB_STEP_SKIPPED_BYTES;

/// Patterns and texts that are kept for further mutations.
const KEPT: usize = 64;
/// Bytes of a pattern, and of a text, at most.
const PATTERN_BYTES: usize = 300;
const TEXT_BYTES: usize = 600;
/// What patterns are made of, and texts that nearly match.
const WORDS: [&[u8]; 14] =
    [b"*", b"?", b"[", b"]", b"[^a]", b"[a-c]", b"[ab]", b"\\", b"-", b"a", b"b", b"*a", b"a*b", b"\xff"];

/// Random numbers of a seed (Vigna's splitmix64).
struct Rng(u64);

impl Rng {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % end.max(1) as u64) as usize
    }

    /// Some bytes are changed, doubled, taken out or put in.
    fn mutate(&mut self, bytes: &mut Vec<u8>, most: usize) {
        for _ in 0..1 + self.below(4) {
            let (one, other) = (self.below(bytes.len() + 1), self.below(bytes.len() + 1));
            let range = one.min(other)..one.max(other);
            match self.below(5) {
                0 => drop(bytes.drain(range)),
                1 | 2 => {
                    let again = bytes[range].to_vec();
                    bytes.splice(one..one, again);
                }
                _ => {
                    let word = WORDS[self.below(WORDS.len())].repeat(1 + self.below(3) * self.below(20));
                    bytes.splice(one..one, word);
                }
            }
            bytes.truncate(most);
        }
    }
}

/// What took seconds, or would in another way of matching, made short.
fn seeds() -> Vec<(Vec<u8>, Vec<u8>)> {
    let text = b"a".repeat(200);
    let patterns: [&[u8]; 6] = [
        b"*[bcdefghijklm]",
        b"*[bcdefghijklm]*",
        &[&b"*"[..], &b"?".repeat(60), b"b"].concat(),
        &[&b"*"[..], &b"a*".repeat(60), b"b*"].concat(),
        &[&b"*"[..], &b"[ab]".repeat(60), b"c*"].concat(),
        &[&b"*"[..], &b"a".repeat(60), b"b*"].concat(),
    ];
    patterns.iter().map(|pattern| (pattern.to_vec(), text.clone())).collect()
}

#[test]
fn no_match_takes_more_steps_than_the_product_of_the_lengths() {
    let runs = std::env::var("ASPINE_FUZZ_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(8_000);
    let mut rng = Rng(7);
    let mut kept: Vec<(u64, Vec<u8>, Vec<u8>)> =
        seeds().into_iter().map(|(pattern, text)| (0, pattern, text)).collect();
    let mut dearest = 0;
    for run in 0..runs {
        let (_, mut pattern, mut text) = kept[rng.below(kept.len())].clone();
        rng.mutate(&mut pattern, PATTERN_BYTES);
        if rng.below(2) == 0 {
            rng.mutate(&mut text, TEXT_BYTES);
        }
        let compiled = Pattern::new(&pattern);
        let Matched { matches, steps } = compiled.within(&text, u64::MAX);
        let (m, n) = (pattern.len() as u64 + 1, text.len() as u64 + 1);
        let what = || format!("run {run}: {} with {}", pattern.escape_ascii(), text.escape_ascii());
        assert!(steps <= m * n, "{steps} steps for {m} x {n}, {}", what());
        // A bound on steps is kept, but for the piece under way and the skip to its first byte; what it leaves undecided does
        // not match.
        let bounded = compiled.within(&text, steps / 2);
        let most = steps / 2 + m + n / GLOB_STEP_SKIPPED_BYTES as u64;
        assert!(bounded.steps <= most && (!bounded.matches || matches), "{bounded:?} of {steps}, {}", what());
        let share = steps * 1000 / (m * n);
        dearest = dearest.max(share);
        kept.push((share, pattern, text));
        if kept.len() > 2 * KEPT {
            kept.sort_by_key(|(share, ..)| std::cmp::Reverse(*share));
            kept.truncate(KEPT);
        }
    }
    // Otherwise the search got nowhere, and the bound was never near.
    assert!(dearest >= 200, "the dearest took {dearest} thousandths of the product");
    println!("{runs} runs; the dearest took {dearest} thousandths of the product of the lengths");
}

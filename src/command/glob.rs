//! Glob patterns, as KEYS, SCAN, PSUBSCRIBE and ACL rules have them: Redis's `stringmatchlen`, odd cases included.
//!
//! Pure; any core. Cost: O(pattern) for most, O(pattern x string) at worst: after a mismatch only the last `*` is
//! tried further, which suffices since an earlier one that takes more can only leave less. No recursion, no
//! allocation.
//! Redis's oddities, kept: nothing but the empty pattern matches the empty string, not even `*` (KEYS and SCAN take
//! a lone `*` for "all" before they ask here); an unclosed `[` ends with the pattern; `\` escapes inside `[]`, but
//! not the far end of a range; a range counts bytes as signed, as C does on x86.

/// Whether `string` as a whole matches `pattern`: `*` any bytes, `?` one, `[ab]` `[a-c]` `[^a]` one of or none of
/// these, `\` takes the next byte as it is.
pub fn matches(pattern: &[u8], string: &[u8]) -> bool {
    if string.is_empty() {
        return pattern.is_empty();
    }
    let (mut rest, mut text) = (pattern, string);
    // After the last `*`: the pattern behind it, and the text it was last tried on.
    let mut star: Option<(&[u8], &[u8])> = None;
    loop {
        if let [b'*', ..] = rest {
            rest = skip_stars(rest);
            if rest.is_empty() {
                return true;
            }
            star = Some((rest, text));
        }
        let Some((&byte, text_after)) = text.split_first() else {
            return rest.is_empty();
        };
        if let Some(rest_after) = match_one(rest, byte) {
            (rest, text) = (rest_after, text_after);
            continue;
        }
        // Let the last `*` take one byte more.
        let Some((behind, [_, shorter @ ..])) = star else {
            return false;
        };
        (rest, text) = (behind, shorter);
        star = Some((behind, shorter));
    }
}

/// Matches `byte` with the first element of `pattern`, which is no `*`; what follows that element if it does.
#[inline]
fn match_one(pattern: &[u8], byte: u8) -> Option<&[u8]> {
    match *pattern {
        [] => None,
        [b'?', ref rest @ ..] => Some(rest),
        [b'[', ref class @ ..] => match_class(class, byte),
        [b'\\', escaped, ref rest @ ..] => (escaped == byte).then_some(rest),
        [plain, ref rest @ ..] => (plain == byte).then_some(rest),
    }
}

/// Matches `byte` with the class that begins behind a `[`; what follows the `]` if it does.
fn match_class(class: &[u8], byte: u8) -> Option<&[u8]> {
    let (negated, mut rest) = match class {
        [b'^', rest @ ..] => (true, rest),
        _ => (false, class),
    };
    let mut found = false;
    loop {
        let hit;
        (hit, rest) = match *rest {
            [b'\\', escaped, ref rest @ ..] => (escaped == byte, rest),
            [b']', ref rest @ ..] => return (found != negated).then_some(rest),
            [] => return (found != negated).then_some(rest),
            [from, b'-', to, ref rest @ ..] => (in_range(from, to, byte), rest),
            [plain, ref rest @ ..] => (plain == byte, rest),
        };
        found |= hit;
    }
}

/// Whether `byte` lies between two others, whichever of them comes first.
fn in_range(from: u8, to: u8, byte: u8) -> bool {
    let (from, to, byte) = (from.cast_signed(), to.cast_signed(), byte.cast_signed());
    (from.min(to)..=from.max(to)).contains(&byte)
}

fn skip_stars(pattern: &[u8]) -> &[u8] {
    let stars = pattern.iter().take_while(|&&byte| byte == b'*').count();
    pattern.get(stars..).unwrap_or_default()
}

#[cfg(test)]
#[path = "glob_tests.rs"]
mod tests;

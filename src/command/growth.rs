//! Growth: how many bytes a command may store, as far as its arguments tell. Pure. Core: the key's.

use crate::command::bitfield;
use crate::command::bits::bit_offset;
use crate::command::facts::{Facts, flag};
use crate::limits::VALUE_BYTES_MAX;
use crate::resp::Args;
use crate::resp::number::parse_i64;

/// The bytes that a command may store: those of its arguments, and of the value up to the offset that it names.
#[inline]
pub fn stored_bytes(row: &Facts, args: Args<'_>) -> usize {
    let said = args.iter().map(<[u8]>::len).sum::<usize>();
    if row.is(flag::REACHES) { said + reach(row, args).min(VALUE_BYTES_MAX) } else { said }
}

/// The length of the value up to the offset; 0 if the command will be refused.
#[cold]
fn reach(row: &Facts, args: Args<'_>) -> usize {
    let offset = || args.get(1).and_then(parse_i64);
    match row.name {
        "bitfield" => bitfield::reach(args.tail(1)),
        "setbit" => bit_offset(offset()).map_or(0, |bit| bit / 8 + 1),
        _ => offset().and_then(|offset| usize::try_from(offset).ok()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::TABLE;
    use crate::resp::Words;

    fn stored(line: &str) -> usize {
        let (name, rest) = line.split_once(' ').unwrap();
        let row = TABLE.iter().find(|row| row.name.eq_ignore_ascii_case(name)).unwrap();
        stored_bytes(row, Words::new(rest.split(' ').map(str::as_bytes)).args())
    }

    #[test]
    fn an_offset_counts_as_what_it_makes_of_the_value() {
        assert_eq!(stored("SET k value"), 6);
        assert_eq!(stored("APPEND k v"), 2);
        assert_eq!(stored("SETRANGE k 1000 v"), 6 + 1000);
        assert_eq!(stored("SETBIT k 80 1"), 4 + 11);
        assert_eq!(stored("BITFIELD k SET u8 #4 1 GET u8 #9 INCRBY u8 0 1"), 26 + 5);
        for refused in
            ["SETRANGE k x v", "SETRANGE k -1 v", "SETBIT k x 1", "BITFIELD k SET u99 0 1", "BITFIELD k GET u8 9"]
        {
            let said: usize = refused.split(' ').skip(1).map(str::len).sum();
            assert_eq!(stored(refused), said, "{refused}");
        }
        assert!(stored("SETRANGE k 9223372036854775807 v") <= 22 + VALUE_BYTES_MAX);
    }
}

//! A reply as a tree. Reading it back gives the bytes it was read from, so equal trees are equal bytes.

/// A reply of a server.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reply {
    /// One line, of the kinds `+ - : _ # , (`, without the kind.
    Line(u8, Vec<u8>),
    /// A text with its length in front, of the kinds `$ = !`; none is `$-1`.
    Text(u8, Option<Vec<u8>>),
    /// Elements, of the kinds `* ~ > %`; none is `*-1`. A map has its keys and values in turn.
    Many(u8, Option<Vec<Reply>>),
}

impl Reply {
    /// The reply that `bytes` begin with and its length; none as long as its end is lacking.
    pub(crate) fn read(bytes: &[u8]) -> Result<Option<(Reply, usize)>, String> {
        let Some(end) = memchr::memmem::find(bytes, b"\r\n") else { return Ok(None) };
        let (kind, line, head) = (bytes[0], &bytes[1..end], end + 2);
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => Ok(Some((Reply::Line(kind, line.to_vec()), head))),
            b'$' | b'=' | b'!' => match count(bytes, line)? {
                None => Ok(Some((Reply::Text(kind, None), head))),
                Some(len) if bytes.len() < head + len + 2 => Ok(None),
                Some(len) if &bytes[head + len..head + len + 2] != b"\r\n" => Err(malformed(bytes)),
                Some(len) => Ok(Some((Reply::Text(kind, Some(bytes[head..head + len].to_vec())), head + len + 2))),
            },
            b'*' | b'~' | b'>' | b'%' => match count(bytes, line)? {
                None => Ok(Some((Reply::Many(kind, None), head))),
                Some(count) => Reply::read_many(bytes, kind, count, head),
            },
            _ => Err(malformed(bytes)),
        }
    }

    fn read_many(bytes: &[u8], kind: u8, count: usize, head: usize) -> Result<Option<(Reply, usize)>, String> {
        let mut at = head;
        let mut elements = Vec::new();
        for _ in 0..if kind == b'%' { 2 * count } else { count } {
            let Some((element, len)) = Reply::read(&bytes[at..])? else { return Ok(None) };
            elements.push(element);
            at += len;
        }
        Ok(Some((Reply::Many(kind, Some(elements)), at)))
    }

    /// An integer reply.
    pub(crate) fn number(number: i64) -> Reply {
        Reply::Line(b':', number.to_string().into_bytes())
    }

    /// The reply as it came.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        bytes
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let head = |bytes: &mut Vec<u8>, kind: &u8, rest: &[u8]| bytes.extend([&[*kind], rest, b"\r\n"].concat());
        match self {
            Reply::Line(kind, line) => head(bytes, kind, line),
            Reply::Text(kind, None) | Reply::Many(kind, None) => head(bytes, kind, b"-1"),
            Reply::Text(kind, Some(text)) => {
                head(bytes, kind, text.len().to_string().as_bytes());
                bytes.extend_from_slice(text);
                bytes.extend_from_slice(b"\r\n");
            }
            Reply::Many(kind, Some(elements)) => {
                let count = if *kind == b'%' { elements.len() / 2 } else { elements.len() };
                head(bytes, kind, count.to_string().as_bytes());
                elements.iter().for_each(|element| element.write(bytes));
            }
        }
    }

    /// The byte that says what it is.
    pub(crate) fn kind(&self) -> u8 {
        match self {
            Reply::Line(kind, _) | Reply::Text(kind, _) | Reply::Many(kind, _) => *kind,
        }
    }

    /// Whether it is null, as RESP2 or RESP3 has it.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Reply::Line(b'_', _) | Reply::Text(_, None) | Reply::Many(_, None))
    }

    /// Whether it is a refusal.
    pub(crate) fn is_error(&self) -> bool {
        matches!(self.kind(), b'-' | b'!')
    }

    /// Whether it is a status line with this text.
    pub(crate) fn is_status(&self, text: &[u8]) -> bool {
        matches!(self, Reply::Line(b'+', line) if line == text)
    }

    /// The number of the reply, if it is one.
    pub(crate) fn as_number(&self) -> Option<i64> {
        match self {
            Reply::Line(b':', line) => std::str::from_utf8(line).ok()?.parse().ok(),
            _ => None,
        }
    }

    /// The text of the reply, if it is one.
    pub(crate) fn as_text(&self) -> Option<&[u8]> {
        match self {
            Reply::Text(b'$', text) => text.as_deref(),
            _ => None,
        }
    }

    /// The elements of the reply; none if it has none.
    pub(crate) fn elements(&self) -> &[Reply] {
        match self {
            Reply::Many(_, Some(elements)) => elements,
            _ => &[],
        }
    }
}

/// A length or count, which has exactly one way to be written; none is -1.
fn count(bytes: &[u8], line: &[u8]) -> Result<Option<usize>, String> {
    if line == b"-1" {
        return Ok(None);
    }
    let number = std::str::from_utf8(line).ok().and_then(|text| text.parse::<usize>().ok());
    match number {
        Some(number) if number.to_string().as_bytes() == line => Ok(Some(number)),
        _ => Err(malformed(bytes)),
    }
}

fn malformed(bytes: &[u8]) -> String {
    format!("not a reply: {}", bytes[..bytes.len().min(200)].escape_ascii())
}

#[test]
fn a_reply_reads_back_as_its_bytes() {
    let replies: [&[u8]; 7] = [
        b"+OK\r\n",
        b"$-1\r\n",
        b"*-1\r\n",
        b"_\r\n",
        b"*2\r\n$3\r\na\r\n\r\n:-5\r\n",
        b"%1\r\n+k\r\n*0\r\n",
        b"=5\r\ntxt:x\r\n",
    ];
    for bytes in replies {
        let (reply, len) = Reply::read(bytes).unwrap().unwrap();
        assert_eq!((reply.bytes().as_slice(), len), (bytes, bytes.len()));
        for end in 0..bytes.len() {
            assert_eq!(Reply::read(&bytes[..end]), Ok(None));
        }
    }
    for bytes in [b"$03\r\nabc\r\n".as_slice(), b"*x\r\n", b"?\r\n", b"$1\r\nabcd\r\n"] {
        assert!(Reply::read(bytes).is_err(), "{}", bytes.escape_ascii());
    }
}

//! Replies and pushes of one session against a naive account of what may come where.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
enum Op {
    /// A reply at once.
    Append,
    /// A command that goes to another core.
    Hold,
    /// The answer to one of those, by its number among them.
    Fill(usize),
    /// A push of so many bytes besides its number.
    Push(usize),
    /// The kernel takes so many bytes at once.
    Send(usize),
    /// Output is handed over, for the kernel to take while other things happen.
    Take,
    /// The kernel has taken so many bytes of it.
    Back(usize),
    /// An array begins, or ends.
    Group,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        3 => Just(Op::Append),
        2 => Just(Op::Hold),
        3 => (0..8usize).prop_map(Op::Fill),
        3 => (0..40usize).prop_map(Op::Push),
        1 => (10_000..PUSH_COPIED_BYTES_MAX + 10).prop_map(Op::Push),
        2 => (0..300usize).prop_map(Op::Send),
        2 => (0..100_000usize).prop_map(Op::Send),
        1 => Just(Op::Take),
        2 => (0..100_000usize).prop_map(Op::Back),
        1 => Just(Op::Group),
    ]
}

fn encoded(text: &str) -> Encoded {
    Encoded { bytes: text.as_bytes().to_vec(), shared: None }
}

/// What was said and in which order it may leave.
#[derive(Default)]
struct Model {
    /// Replies asked for so far, and those of them that are here.
    asked: usize,
    ready: Vec<bool>,
    pushes: usize,
    /// For each push how many replies from the first on were here without a gap when it came.
    before: Vec<usize>,
    sent: Vec<u8>,
}

impl Model {
    fn check(&self) {
        let text = std::str::from_utf8(&self.sent).expect("ASCII");
        assert!(text.is_empty() || text.ends_with(';'), "ends with a whole reply");
        let (mut replies, mut pushes) = (0, 0);
        for token in text.split_terminator(';') {
            let number: usize = token[1..].trim_end_matches('.').parse().expect("a whole token");
            if token.starts_with('R') {
                assert_eq!(number, replies, "replies in the order of the requests");
                replies += 1;
            } else {
                assert_eq!(number, pushes, "pushes in their order");
                assert!(replies >= self.before[number], "a push behind what was there before it");
                pushes += 1;
            }
        }
        assert_eq!((replies, pushes), (self.asked, self.pushes), "nothing is lost");
    }
}

fn send(replies: &mut Replies, bytes: usize, model: &mut Model) {
    if let Some(output) = replies.take_output() {
        back(replies, output, bytes, model);
    }
}

/// What was handed over comes back, of which so many bytes were sent.
fn back(replies: &mut Replies, output: Output, bytes: usize, model: &mut Model) {
    let unsent = output.bytes();
    assert!(!unsent.is_empty(), "nothing is handed over for nothing");
    let sent = bytes.min(unsent.len());
    model.sent.extend_from_slice(&unsent[..sent]);
    replies.on_output(output, sent);
}

fn run(ops: &[Op]) {
    let mut replies = Replies::default();
    let mut model = Model::default();
    let mut waiting: Vec<(usize, Place)> = Vec::new();
    let mut grouped = false;
    let mut taken = None;
    for op in ops {
        match *op {
            Op::Append => {
                let number = model.asked;
                replies.append(|out| out.extend_from_slice(format!("R{number};").as_bytes()));
                model.asked += 1;
                model.ready.push(true);
            }
            Op::Hold => {
                waiting.push((model.asked, replies.hold(false)));
                model.asked += 1;
                model.ready.push(false);
            }
            Op::Fill(at) if !waiting.is_empty() => {
                let (number, place) = waiting.remove(at % waiting.len());
                replies.fill(place, format!("R{number};").as_bytes());
                model.ready[number] = true;
            }
            Op::Fill(_) => {}
            Op::Push(len) => {
                let text = format!("P{}{};", model.pushes, ".".repeat(len));
                replies.push(&mut encoded(&text));
                model.before.push(model.ready.iter().take_while(|ready| **ready).count());
                model.pushes += 1;
            }
            Op::Send(bytes) => send(&mut replies, bytes, &mut model),
            Op::Take => taken = taken.take().or_else(|| replies.take_output()),
            Op::Back(bytes) => {
                if let Some(output) = taken.take() {
                    back(&mut replies, output, bytes, &mut model);
                }
            }
            Op::Group => {
                if grouped {
                    replies.end_group();
                } else {
                    replies.begin_group();
                }
                grouped = !grouped;
            }
        }
        replies.verify();
    }
    for (number, place) in waiting {
        replies.fill(place, format!("R{number};").as_bytes());
    }
    if grouped {
        replies.end_group();
    }
    if let Some(output) = taken {
        assert!(!replies.is_empty(), "what is handed over is not said yet");
        back(&mut replies, output, 1, &mut model);
    }
    while !replies.unsent().is_empty() {
        send(&mut replies, usize::MAX, &mut model);
        replies.verify();
    }
    assert!(replies.is_empty());
    assert_eq!(replies.waiting_bytes(), 0);
    model.check();
}

proptest! {
    #[test]
    fn replies_and_pushes_keep_their_order(ops in proptest::collection::vec(op(), 0..200)) {
        run(&ops);
    }
}

#[test]
fn a_push_of_a_client_that_lags_is_shared() {
    let mut push = encoded(&"x".repeat(1000));
    let mut sessions: Vec<Replies> = (0..3).map(|_| Replies::default()).collect();
    for _ in 0..100 {
        for session in &mut sessions {
            session.push(&mut push);
        }
    }
    assert!(sessions.iter().all(|session| session.waiting_bytes() == 100_000));
    assert!(sessions.iter().all(|session| session.out.len() <= PUSH_COPIED_BYTES_MAX));
    let behind: usize = sessions.iter().map(|session| session.behind.len()).sum();
    assert_eq!(std::rc::Rc::strong_count(&push.shared()), behind + 2, "one memory for all");
}

#[test]
fn pushes_wait_until_an_array_is_whole() {
    let mut replies = Replies::default();
    replies.begin_group();
    replies.append(|out| out.extend_from_slice(b"*1\r\n"));
    replies.push(&mut encoded(">"));
    let place = replies.hold(false);
    replies.push(&mut encoded(">"));
    replies.fill(place, b":1\r\n");
    assert_eq!(replies.unsent(), b"*1\r\n:1\r\n");
    replies.end_group();
    assert_eq!(replies.unsent(), b"*1\r\n:1\r\n>>");
}

#[test]
fn what_is_cut_off_says_nothing_more() {
    let mut replies = Replies::default();
    replies.push(&mut encoded(&"x".repeat(PUSH_COPIED_BYTES_MAX + 1)));
    replies.discard();
    replies.push(&mut encoded("x"));
    assert!(replies.is_empty() && replies.unsent().is_empty());
    assert_eq!(replies.waiting_bytes(), 0);
    // A transaction under way when the session was cut off still writes its replies.
    replies.append(|out| out.extend_from_slice(b"+OK\r\n"));
    assert!(replies.take_output().is_none());
}

#[test]
fn what_was_sent_waits_no_longer() {
    // A client that always has a command at another core, and reads.
    let mut replies = Replies::default();
    let mut place = replies.hold(false);
    for _ in 0..10 {
        replies.append(|out| out.extend_from_slice(b":1\r\n"));
        let next = replies.hold(false);
        replies.fill(place, b":2\r\n");
        let output = replies.take_output().expect("two replies");
        let sent = output.bytes().len();
        assert_eq!(sent, 8);
        replies.on_output(output, sent);
        assert_eq!((replies.waiting_bytes(), replies.sizes()), (0, (0, 0)));
        place = next;
    }
}

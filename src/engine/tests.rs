//! Tests of the engine's private parts against naive models. The engine as a whole is tested in `tests/simulation`.

use proptest::collection::vec;
use proptest::prelude::*;

use crate::command::lookup::CommandId;
use crate::command::table::TABLE;
use crate::engine::home::replies::Replies;
use crate::engine::ids::Place;
use crate::engine::link::caller::Caller;
use crate::engine::link::codec::{
    Part, PartKind, append_frame, peek_key, read_frame, reply_frames, sum_bytes, write_reply,
};
use crate::resp::Proto;
use crate::shard::NO_CLIENT;

/// What may happen to one session's replies.
#[derive(Clone, Debug)]
enum Step {
    /// A reply is there at once.
    Append(Vec<u8>),
    /// A command goes to another core.
    Hold { muted: bool },
    /// One of those that went comes back, of the waiting ones the n-th.
    Fill(usize, Vec<u8>),
    /// The socket takes so many bytes.
    Send(usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        vec(any::<u8>(), 0..6).prop_map(Step::Append),
        any::<bool>().prop_map(|muted| Step::Hold { muted }),
        (any::<usize>(), vec(any::<u8>(), 0..6)).prop_map(|(nth, reply)| Step::Fill(nth, reply)),
        (0usize..20).prop_map(Step::Send),
    ]
}

/// A place in the model's order: `None` while it waits.
type Model = Vec<Option<Vec<u8>>>;

/// All that may leave: every reply before the first that waits.
fn said(model: &Model) -> Vec<u8> {
    model.iter().map_while(Option::as_ref).flatten().copied().collect()
}

proptest! {
    #[test]
    fn replies_leave_in_the_order_of_the_requests(steps in vec(step(), 0..80)) {
        let mut replies = Replies::default();
        let mut model = Model::new();
        let mut waiting: Vec<(Place, usize, bool)> = Vec::new();
        let mut sent = 0;
        for step in steps {
            match step {
                Step::Append(reply) => {
                    replies.append(|out| out.extend_from_slice(&reply));
                    model.push(Some(reply));
                }
                Step::Hold { muted } => {
                    waiting.push((replies.hold(muted), model.len(), muted));
                    model.push(None);
                }
                Step::Fill(nth, reply) if !waiting.is_empty() => {
                    let (place, at, muted) = waiting.remove(nth % waiting.len());
                    replies.fill(place, &reply);
                    model[at] = Some(if muted { Vec::new() } else { reply });
                }
                Step::Fill(..) => {}
                Step::Send(bytes) => {
                    if let Some(output) = replies.take_output() {
                        let bytes = bytes.min(output.bytes().len());
                        replies.on_output(output, bytes);
                        sent += bytes;
                    }
                }
            }
            replies.verify();
            prop_assert_eq!(replies.unsent(), &said(&model)[sent..]);
            prop_assert_eq!(replies.is_holding(), !waiting.is_empty());
            prop_assert_eq!(replies.is_empty(), waiting.is_empty() && replies.unsent().is_empty());
        }
    }

    #[test]
    fn requests_come_out_of_a_batch_as_they_went_in(
        requests in vec((0..TABLE.len() as u16, any::<[bool; 6]>(), vec(vec(any::<u8>(), 0..40), 0..6)), 0..8),
    ) {
        let mut bytes = Vec::new();
        let mut spans = Vec::new();
        let mut callers = Vec::new();
        for (command, [resp3, no_touch, part, held, remembers, quiet], args) in &requests {
            let proto = if *resp3 { Proto::Resp3 } else { Proto::Resp2 };
            let client = if *remembers || *quiet { 0x0102_0304_0506 } else { NO_CLIENT };
            let (no_touch, part, held, remembers, quiet) = (*no_touch, *part, *held, *remembers, *quiet);
            let database = *command as u8 % 16;
            let caller = Caller { client, database, proto, no_touch, part, held, remembers, quiet };
            append_frame(&mut bytes, CommandId(*command), caller, args.iter().map(Vec::as_slice));
            callers.push(caller);
        }
        let mut at = 0;
        for ((command, _, args), caller) in requests.iter().zip(&callers) {
            let Some((frame, next)) = read_frame(&bytes, at, &mut spans) else { panic!("a frame is missing") };
            prop_assert_eq!((frame.command, frame.caller), (CommandId(*command), *caller));
            let got: Vec<Vec<u8>> = frame.args.iter().map(<[u8]>::to_vec).collect();
            prop_assert_eq!(&got, args);
            prop_assert_eq!(peek_key(&bytes[at..]), args.first().map(|key| (&key[..], next - at)));
            at = next;
        }
        prop_assert!(read_frame(&bytes, at, &mut spans).is_none(), "and no more");
    }

    #[test]
    fn replies_come_out_of_a_batch_as_they_went_in(replies in vec((0..3u8, any::<i64>(), vec(any::<u8>(), 0..300)), 0..8)) {
        let mut bytes = Vec::new();
        let parts: Vec<Part<'_>> = replies
            .iter()
            .map(|(kind, sum, text)| match kind {
                0 => Part::Encoded(text),
                1 => Part::Sum(*sum),
                _ => Part::Refusal(text),
            })
            .collect();
        for part in &parts {
            write_reply(&mut bytes, |out| match part {
                Part::Encoded(text) => {
                    out.extend_from_slice(text);
                    PartKind::Encoded
                }
                Part::Sum(sum) => {
                    out.extend_from_slice(&sum_bytes(*sum));
                    PartKind::Sum
                }
                Part::Refusal(text) => {
                    out.extend_from_slice(text);
                    PartKind::Refusal
                }
            });
        }
        prop_assert_eq!(reply_frames(&bytes).collect::<Vec<_>>(), parts);
    }
}

#[test]
fn discarded_replies_stay_silent() {
    let mut replies = Replies::default();
    replies.append(|out| out.extend_from_slice(b"+OK\r\n"));
    let place = replies.hold(false);
    replies.append(|out| out.extend_from_slice(b"+PONG\r\n"));
    replies.discard();
    assert!(replies.is_empty());
    replies.fill(place, b"$1\r\nx\r\n");
    replies.verify();
    assert!(replies.is_empty() && replies.unsent().is_empty());
}

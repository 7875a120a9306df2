//! What subscribers hear, and whether it is right.

use super::*;

impl Messages {
    pub(super) fn on_reply(&mut self, at: usize, reply: &Value, scene: &mut Scene<'_>) -> Result<(), String> {
        let asked = self.clients[at].owed.pop_front();
        match (asked, reply) {
            (Some(Asked::Hello), Value::Map(_)) => Ok(()),
            (Some(Asked::Set(number)), Value::Simple(_)) => {
                self.messages[number].ended = scene.step;
                Ok(())
            }
            (Some(Asked::Publish(number)), Value::Integer(count)) => {
                self.messages[number].ended = scene.step;
                self.check_count(number, *count)
            }
            // There was no room for it.
            (Some(Asked::Set(number)), Value::Error(text)) if text.starts_with(b"OOM ") => {
                self.messages[number].began = NEVER;
                Ok(())
            }
            // A RESP2 client that still subscribes when it publishes.
            (Some(Asked::Set(number) | Asked::Publish(number)), Value::Error(text)) if !self.clients[at].resp3 => {
                self.messages[number].began = NEVER;
                let refused = text.starts_with(b"ERR Can't execute");
                if refused { Ok(()) } else { Err(format!("{}", text.escape_ascii())) }
            }
            (asked, reply) => Err(format!("client {at}: {asked:?} was answered {reply:?}")),
        }
    }

    /// How many PUBLISH says received a message.
    fn check_count(&self, number: usize, count: i64) -> Result<(), String> {
        let message = &self.messages[number];
        let concerned = || self.spans.iter().filter(|span| gets(span.name, &message.channel));
        let must = concerned().filter(|span| span.confirmed < message.began && message.ended < span.left).count();
        // Who is still being told, or has gone and is still counted by others, may be among them.
        let being_told = self.clients.iter().flat_map(|client| client.owed.iter()).map(|asked| match asked {
            Asked::Subscribe(names) => names.len(),
            _ => 0,
        });
        let may = concerned().filter(|span| span.over == NEVER || span.over >= message.began).count();
        let gone: usize = self.clients.iter().filter(|client| client.gone).count() * NAMES.len();
        let most = may + being_told.sum::<usize>() + gone;
        if (must as i64..=most as i64).contains(&count) {
            return Ok(());
        }
        Err(format!("message {number} on {}: {count} receivers, not {must} to {most}", message.channel))
    }

    pub(super) fn on_push(&mut self, at: usize, items: &[Value], scene: &mut Scene<'_>) -> Result<(), String> {
        let text = |at: usize| match items.get(at) {
            Some(Value::Bulk(Some(text))) => String::from_utf8_lossy(text).into_owned(),
            _ => String::new(),
        };
        let kind = text(0);
        if kind.ends_with("message") {
            let pattern = usize::from(kind == "pmessage");
            return self.on_message(at, [&text(1), &text(1 + pattern), &text(2 + pattern)], scene.marks);
        }
        let name = NAMES.iter().position(|(.., name)| *name == text(1)).ok_or(format!("confirms {:?}", text(1)))?;
        let client = &mut self.clients[at];
        let (names, subscribes) = match client.owed.front() {
            Some(Asked::Subscribe(names)) => (names.len(), true),
            Some(Asked::Unsubscribe(names)) => (names.len(), false),
            other => return Err(format!("client {at}: {kind} confirms {other:?}")),
        };
        if subscribes == kind.contains("unsubscribe") {
            return Err(format!("client {at}: {kind} is the wrong confirmation"));
        }
        client.confirmations += 1;
        if client.confirmations == names {
            client.confirmations = 0;
            client.owed.pop_front();
        }
        match (subscribes, client.spans.get(&name).copied()) {
            (true, None) => {
                client.spans.insert(name, self.spans.len());
                let (client, asked) = (at, scene.step);
                let span =
                    Span { client, name, asked, confirmed: scene.step, left: NEVER, over: NEVER, received: vec![] };
                self.spans.push(span);
            }
            (false, Some(span)) => {
                client.spans.remove(&name);
                self.spans[span].over = scene.step;
                self.spans[span].left = self.spans[span].left.min(scene.step);
                scene.marks.unsubscribed += 1;
            }
            _ => {}
        }
        // What it asked after this may end the span as well, and its bytes may be with the core already.
        let may_end = self.clients[at]
            .owed
            .iter()
            .any(|asked| matches!(asked, Asked::Unsubscribe(names) if names.contains(&name)));
        if may_end && let Some(span) = self.clients[at].spans.get(&name) {
            self.spans[*span].left = self.spans[*span].left.min(scene.step);
        }
        Ok(())
    }

    fn on_message(
        &mut self,
        at: usize,
        [name, channel, text]: [&str; 3],
        marks: &mut crate::marks::Marks,
    ) -> Result<(), String> {
        let text = if channel == KEY_EVENTS {
            // Others write keys, too.
            let Some(number) = text.strip_prefix(KEY_PREFIX) else { return Ok(()) };
            number
        } else {
            text
        };
        let name = NAMES.iter().position(|(.., known)| *known == name).ok_or(format!("a message for {name:?}"))?;
        let number: usize = text.parse().map_err(|_| format!("a message {text:?}"))?;
        let Some(span) = self.clients[at].spans.get(&name) else {
            return Err(format!("client {at}: message {number} for {} after its end", NAMES[name].2));
        };
        let message = &self.messages[number];
        if message.channel != channel || !gets(name, channel) {
            return Err(format!("client {at}: message {number} came on {channel}"));
        }
        marks.message_received += 1;
        marks.message_by_pattern += u64::from(NAMES[name].0 == "PSUBSCRIBE");
        marks.key_event += u64::from(channel == KEY_EVENTS);
        marks.own_message += u64::from(message.publisher == at);
        let received = &mut self.spans[*span].received;
        // Keys are of several shards, each a publisher of its own.
        let same = |other: &usize| {
            let other = &self.messages[*other];
            channel != KEY_EVENTS && (other.publisher, other.channel.as_str()) == (message.publisher, channel)
        };
        let last = received.iter().rev().find(|other| same(other)).copied();
        if last.is_some_and(|last| last >= number) || received.contains(&number) {
            return Err(format!("client {at}: message {number} on {channel} after {last:?}"));
        }
        received.push(number);
        Ok(())
    }
}

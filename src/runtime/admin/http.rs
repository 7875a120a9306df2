//! HTTP: one request in, one response out, then the connection ends. Pure.
//!
//! Three pages for GET; HEAD returns their heads. Only method and path of a request matter: a request has no body, and the
//! response is the same whatever is accepted. One request a connection, so no unread part of a request can be taken for
//! the next one.
//! Never: keeps a received byte.

use crate::limits::{ADMIN_HEAD_BYTES_MAX, ADMIN_HEADERS_MAX};

/// The pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Page {
    /// The page `/metrics`.
    Metrics,
    /// The page `/healthz`.
    Health,
    /// The page `/readyz`.
    Ready,
}

/// The parsed head of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Request {
    /// The requested page, or the error status.
    pub(super) page: Result<Page, Status>,
    /// Whether the method is HEAD: the response has no body.
    pub(super) head_only: bool,
}

/// The status of a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    HeadTooLarge,
    Unavailable,
}

impl Status {
    fn line(self) -> &'static str {
        match self {
            Status::Ok => "200 OK",
            Status::BadRequest => "400 Bad Request",
            Status::NotFound => "404 Not Found",
            Status::MethodNotAllowed => "405 Method Not Allowed",
            Status::HeadTooLarge => "431 Request Header Fields Too Large",
            Status::Unavailable => "503 Service Unavailable",
        }
    }

    /// The body of a response without a page.
    pub(super) fn text(self) -> &'static str {
        match self {
            Status::Ok => "ok\n",
            Status::BadRequest => "this is not an HTTP request\n",
            Status::NotFound => "there are /metrics, /healthz and /readyz\n",
            Status::MethodNotAllowed => "only GET and HEAD\n",
            Status::HeadTooLarge => "the request's head is too large\n",
            Status::Unavailable => "unavailable\n",
        }
    }
}

/// The content type of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// Plain text.
    Text,
    /// Prometheus's text format.
    Metrics,
}

/// Parses the head of a request; `None` if it is incomplete.
pub(super) fn parse(received: &[u8]) -> Option<Request> {
    let refused = |status| Some(Request { page: Err(status), head_only: false });
    let mut headers = [httparse::EMPTY_HEADER; ADMIN_HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    match request.parse(received) {
        Ok(httparse::Status::Complete(_)) => {}
        Ok(httparse::Status::Partial) if received.len() >= ADMIN_HEAD_BYTES_MAX => {
            return refused(Status::HeadTooLarge);
        }
        Ok(httparse::Status::Partial) => return None,
        Err(httparse::Error::TooManyHeaders) => return refused(Status::HeadTooLarge),
        Err(_) => return refused(Status::BadRequest),
    }
    let (Some(method), Some(target)) = (request.method, request.path) else { return refused(Status::BadRequest) };
    let path = target.split(['?', '#']).next().unwrap_or(target);
    let page = match path {
        "/metrics" => Ok(Page::Metrics),
        "/healthz" => Ok(Page::Health),
        "/readyz" => Ok(Page::Ready),
        _ => Err(Status::NotFound),
    };
    Some(match method {
        "GET" | "HEAD" => Request { page, head_only: method == "HEAD" },
        _ => Request { page: page.and(Err(Status::MethodNotAllowed)), head_only: false },
    })
}

/// The head of a response with a body of `body_bytes` bytes.
pub(super) fn head(status: Status, content: Content, body_bytes: usize) -> String {
    let content = match content {
        Content::Text => "text/plain; charset=utf-8",
        Content::Metrics => "text/plain; version=0.0.4; charset=utf-8",
    };
    let allow = if status == Status::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
    format!(
        "HTTP/1.1 {}\r\nContent-Type: {content}\r\nContent-Length: {body_bytes}\r\nCache-Control: no-store\r\n{allow}\
         Connection: close\r\n\r\n",
        status.line()
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn get(page: Result<Page, Status>) -> Option<Request> {
        Some(Request { page, head_only: false })
    }

    #[test]
    fn requests_are_told_apart() {
        for (text, expected) in [
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", get(Ok(Page::Metrics))),
            ("GET /metrics?x=/healthz HTTP/1.1\r\n\r\n", get(Ok(Page::Metrics))),
            ("GET /healthz HTTP/1.0\r\n\r\n", get(Ok(Page::Health))),
            ("GET /readyz HTTP/1.1\n\n", get(Ok(Page::Ready))),
            ("HEAD /readyz HTTP/1.1\r\n\r\n", Some(Request { page: Ok(Page::Ready), head_only: true })),
            ("HEAD / HTTP/1.1\r\n\r\n", Some(Request { page: Err(Status::NotFound), head_only: true })),
            ("GET / HTTP/1.1\r\n\r\n", get(Err(Status::NotFound))),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", get(Err(Status::NotFound))),
            ("POST /metrics HTTP/1.1\r\nContent-Length: 9\r\n\r\n", get(Err(Status::MethodNotAllowed))),
            ("get /metrics HTTP/1.1\r\n\r\n", get(Err(Status::MethodNotAllowed))),
            ("DELETE /nothing HTTP/1.1\r\n\r\n", get(Err(Status::NotFound))),
            ("*1\r\n$4\r\nPING\r\n", get(Err(Status::BadRequest))),
            ("GET /metrics HTTP/2.0\r\n\r\n", get(Err(Status::BadRequest))),
            ("GET /metrics\r\n\r\n", get(Err(Status::BadRequest))),
            ("\u{16}\u{3}\u{1}", get(Err(Status::BadRequest))),
            ("GET /metrics HTTP/1.1\r\nHost: a\r\n", None),
            ("", None),
        ] {
            assert_eq!(parse(text.as_bytes()), expected, "{text:?}");
        }
    }

    #[test]
    fn heads_are_bounded() {
        let long = format!("GET /metrics HTTP/1.1\r\nX: {}", "x".repeat(ADMIN_HEAD_BYTES_MAX));
        assert_eq!(parse(&long.as_bytes()[..ADMIN_HEAD_BYTES_MAX - 1]), None);
        assert_eq!(parse(&long.as_bytes()[..ADMIN_HEAD_BYTES_MAX]), get(Err(Status::HeadTooLarge)));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(ADMIN_HEADERS_MAX + 1));
        assert_eq!(parse(many.as_bytes()), get(Err(Status::HeadTooLarge)));
    }

    #[test]
    fn a_response_is_delimited_and_closes() {
        let head = head(Status::MethodNotAllowed, Content::Text, 18);
        assert!(head.starts_with("HTTP/1.1 405 Method Not Allowed\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        for line in ["Content-Length: 18\r\n", "Allow: GET, HEAD\r\n", "Connection: close\r\n"] {
            assert!(head.contains(line), "{line} in {head}");
        }
        assert!(super::head(Status::Ok, Content::Metrics, 0).contains("version=0.0.4; charset=utf-8\r\n"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn a_cut_request_waits(cut in 0usize..38) {
            let whole = b"GET /metrics HTTP/1.1\r\nHost: x:9116\r\n\r\n";
            prop_assert_eq!(parse(&whole[..cut]), None);
            prop_assert_eq!(parse(whole), get(Ok(Page::Metrics)));
        }
    }
}

//! Parts of files, and files that a client has already: `Range` and `If-Modified-Since` (RFC 9110, sections 13.1.3 and 14),
//! as Go's file server heeds them for LXD.

use std::time::{Duration, UNIX_EPOCH};

use hyper::header::{ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, LAST_MODIFIED};
use hyper::{HeaderMap, StatusCode};

use crate::api::request::Request;
use crate::api::response::header_value;

/// The part of a file that is asked for.
#[derive(Debug, PartialEq, Eq)]
pub struct Part {
    /// 200, 206, 304 or 416; with the last two nothing is sent.
    pub status: StatusCode,
    /// What says so.
    pub headers: HeaderMap,
    /// The first byte of it.
    pub from: u64,
    /// Bytes from there.
    pub count: u64,
}

/// What a request asks for of a file of `length` bytes that was changed `modified` seconds after 1970.
pub fn asked(request: &Request, length: u64, modified: i64) -> Part {
    let since = request.header("if-modified-since").and_then(|text| parse_time(&text));
    // Whether a file is the one of an `If-Range` we can't say: then it is sent whole.
    let ranges = request.header("if-range").is_none().then(|| request.header("range")).flatten();
    part((length, modified), since, ranges.as_deref())
}

fn part((length, modified): (u64, i64), since: Option<i64>, ranges: Option<&str>) -> Part {
    let mut headers = HeaderMap::new();
    headers.insert(LAST_MODIFIED, header_value(&http_time(modified)));
    if since.is_some_and(|since| modified <= since) {
        return Part { status: StatusCode::NOT_MODIFIED, headers, from: 0, count: 0 };
    }
    headers.insert(ACCEPT_RANGES, header_value("bytes"));
    let (status, from, count) = match ranges.and_then(|text| range(text, length)) {
        None => (StatusCode::OK, 0, length),
        Some(Some((first, last))) => {
            headers.insert(CONTENT_RANGE, header_value(&format!("bytes {first}-{last}/{length}")));
            (StatusCode::PARTIAL_CONTENT, first, last - first + 1)
        }
        Some(None) => {
            headers.insert(CONTENT_RANGE, header_value(&format!("bytes */{length}")));
            (StatusCode::RANGE_NOT_SATISFIABLE, 0, 0)
        }
    };
    headers.insert(CONTENT_LENGTH, count.into());
    Part { status, headers, from, count }
}

/// What a `Range` header with one range asks for, first and last byte; inner `None`: nothing that is there. Others are not heeded.
fn range(text: &str, length: u64) -> Option<Option<(u64, u64)>> {
    let (first, last) = text.strip_prefix("bytes=")?.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>();
    let (first, last) = match (first.trim(), last.trim()) {
        ("", last) => (length.saturating_sub(number(last).ok()?), u64::MAX),
        (first, "") => (number(first).ok()?, u64::MAX),
        (first, last) => (number(first).ok()?, number(last).ok()?),
    };
    let last = last.min(length.saturating_sub(1));
    Some((first <= last && first < length).then_some((first, last)))
}

/// What HTTP can say of times: its years have four digits.
const LAST_SECOND: u64 = 253_402_300_799;

/// A time as HTTP has it; one before 1970 is 1970.
fn http_time(seconds: i64) -> String {
    let since = u64::try_from(seconds).unwrap_or(0).min(LAST_SECOND);
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(since))
}

fn parse_time(text: &str) -> Option<i64> {
    let since = httpdate::parse_http_date(text).ok()?.duration_since(UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(range("bytes=2-8", 115), Some(Some((2, 8))));
        assert_eq!(
            (range("bytes=100-", 115), range("bytes=-5", 115)),
            (Some(Some((100, 114))), Some(Some((110, 114))))
        );
        assert_eq!((range("bytes=115-", 115), range("bytes=0-1", 0)), (Some(None), Some(None)));
        assert_eq!((range("bytes=1-2,4-5", 115), range("x", 1)), (None, None));
    }

    #[test]
    fn times_are_those_of_http() {
        assert_eq!(http_time(1_700_000_000), "Tue, 14 Nov 2023 22:13:20 GMT");
        assert_eq!(
            (http_time(-1), http_time(i64::MAX)),
            ("Thu, 01 Jan 1970 00:00:00 GMT".into(), "Fri, 31 Dec 9999 23:59:59 GMT".into())
        );
        assert_eq!(parse_time("Tue, 14 Nov 2023 22:13:20 GMT"), Some(1_700_000_000));
        assert_eq!((parse_time("yesterday"), parse_time("")), (None, None));
    }

    #[test]
    fn what_a_client_has_is_not_sent_again() {
        let status = |since| part((10, 1_700_000_000), since, Some("bytes=0-3")).status;
        assert_eq!(
            (status(Some(1_700_000_000)), status(Some(1_699_999_999))),
            (StatusCode::NOT_MODIFIED, StatusCode::PARTIAL_CONTENT)
        );
        assert_eq!(part((10, 0), None, None).count, 10);
    }
}

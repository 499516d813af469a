//! `/1.0/instances/{name}/files`: a path in an instance's tree.

use std::os::fd::AsFd;

use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Body as _, Bytes, Frame};
use hyper::header::{CONNECTION, CONTENT_DISPOSITION, CONTENT_TYPE, UPGRADE};
use hyper::{HeaderMap, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::tz::TimeZone;

use super::part::{self, Part};
use crate::api::request::{LARGE, Line, Request};
use crate::api::response::{Body, Reply, full, header_name, header_value};
use crate::order::Order;
use crate::runtime::instances::container::files::Visit;
use crate::runtime::spec::files::{FilesTask, Found, FoundKind, Fresh, MAX_PATH};
use crate::task::spawn;
use crate::{Ctx, Error, Kind, Result};

/// Bytes of names that a listing has at most.
const LISTING: usize = 32 << 20;

/// `GET`: a file's bytes, a directory's names, or where a symbolic link points.
pub async fn get(request: Request) -> Result<Reply> {
    let (project, name, path) = target(&request)?;
    let instances = request.services.instances.clone();
    let mut visit = instances.visit_files(&project, &name, &path, FilesTask::Read).await?;
    let found = visit.found().await?;
    let reply = match found.kind {
        FoundKind::Directory => listing(&mut visit, &found).await?,
        FoundKind::Symlink => {
            let target = seen_from(&path, &found.target);
            content(&request, &path, &found, Content::Whole(target))
        }
        FoundKind::File => content(&request, &path, &found, Content::Stream(Box::new(visit))),
    };
    instances.announce_file(&project, &name, "instance-file-retrieved", &path);
    Ok(reply)
}

/// `HEAD`: what is there.
pub async fn head(request: Request) -> Result<Reply> {
    let (project, name, path) = target(&request)?;
    let visit = request.services.instances.visit_files(&project, &name, &path, FilesTask::Stat).await?;
    let mut headers = described(&visit.found().await?);
    headers.insert(CONTENT_TYPE, header_value("application/json"));
    Ok(Reply::Raw { headers, body: full("") })
}

/// `POST`: writes a file, makes a directory or a symbolic link.
pub async fn post(mut request: Request) -> Result<Reply> {
    let done = change(&mut request).await;
    let past = request.line.as_ref().is_some_and(Line::ends);
    if done.is_err() && !past {
        request.drain().await;
    }
    done.map(|()| Reply::empty())
}

async fn change(request: &mut Request) -> Result<()> {
    let (project, name, path) = target(request)?;
    let instances = request.services.instances.clone();
    let task = wanted(request).await?;
    let writes = matches!(task, FilesTask::Write { .. });
    let mut visit = instances.visit_files(&project, &name, &path, task).await?;
    if writes {
        visit.ready().await?;
        send_all(request, &mut visit).await?;
    }
    visit.done().await?;
    instances.announce_file(&project, &name, "instance-file-pushed", &path);
    Ok(())
}

/// Writes a request's content: much of it right from the connection.
async fn send_all(request: &mut Request, visit: &mut Visit) -> Result<()> {
    let (length, mut sent) = (request.body.size_hint().exact(), 0);
    loop {
        match request.line.clone() {
            Some(line) if length.unwrap_or(sent) >= LARGE => return send_past(request, &line, sent, visit).await,
            _ => {}
        }
        let Some(bytes) = piece(request.body.frame().await)? else { return Ok(()) };
        visit.send(&bytes).await?;
        sent += bytes.len() as u64;
    }
}

/// A piece of a request's content; nothing at its end.
fn piece(frame: Option<Result<Frame<Bytes>, hyper::Error>>) -> Result<Option<Bytes>> {
    Ok(frame.transpose().map_err(unread)?.and_then(|frame| frame.into_data().ok()))
}

fn unread(e: impl std::fmt::Display) -> Error {
    Error::invalid(format!("Failed reading the request body: {e}"))
}

/// Writes a request's content, of which `sent` bytes are written: what HTTP has read of it; the rest the helper takes right from
/// the connection.
async fn send_past(request: &mut Request, line: &Line, mut sent: u64, visit: &mut Visit) -> Result<()> {
    let length = request.body.size_hint().exact().map(|left| left + sent);
    let read = line.take_reads();
    loop {
        tokio::select! {
            biased;
            frame = request.body.frame() => {
                let Some(bytes) = piece(frame)? else { return Ok(()) };
                sent += bytes.len() as u64;
                visit.send(&bytes).await?;
            }
            () = read.notified() => break,
        }
    }
    let rest = line.rest(length, sent).ok_or_else(|| unread("it is followed by another request"))?;
    let connection = line.reader().ctx(Kind::Internal, || "Failed handing a connection over")?;
    visit.hand_over(&rest, connection.as_fd()).await;
    Ok(())
}

/// `DELETE`: a file, a link or an empty directory.
pub async fn delete(request: Request) -> Result<Reply> {
    let (project, name, path) = target(&request)?;
    let instances = &request.services.instances;
    instances.visit_files(&project, &name, &path, FilesTask::Delete).await?.done().await?;
    instances.announce_file(&project, &name, "instance-file-deleted", &path);
    Ok(Reply::empty())
}

/// `GET …/sftp`: the connection becomes a stream of SFTP, version 3.
pub async fn sftp(mut request: Request) -> Result<Reply> {
    let (project, name) = (request.project_name(), request.param(0).to_owned());
    request.services.instances.kind_of(&project, &name)?;
    let asked = request.header("upgrade").is_some_and(|kind| kind == "sftp");
    let Some(upgrade) = request.upgrade.take().filter(|_| asked) else {
        return Err(Error::invalid("Missing or invalid upgrade header"));
    };
    let mut visit = request.services.instances.visit_files(&project, &name, "/", FilesTask::Sftp).await?;
    visit.ready().await?;
    let mut stream = visit.stream()?;
    spawn(async move {
        match upgrade.await {
            Ok(client) => {
                let mut client = TokioIo::new(client);
                // Either side may leave at any time; the helper goes with the visit.
                let _ = tokio::io::copy_bidirectional(&mut client, &mut stream).await;
            }
            Err(e) => tracing::debug!("Upgrade to SFTP failed: {e}"),
        }
        drop(visit);
    });
    let mut headers = HeaderMap::new();
    headers.insert(UPGRADE, header_value("sftp"));
    headers.insert(CONNECTION, header_value("Upgrade"));
    Ok(Reply::Upgrade(headers))
}

/// Project, instance and path.
fn target(request: &Request) -> Result<(String, String, String)> {
    let (project, name) = (request.project_name(), request.param(0).to_owned());
    request.services.instances.kind_of(&project, &name)?;
    let path =
        request.query.get("path").filter(|p| !p.is_empty()).ok_or_else(|| Error::invalid("Missing path argument"))?;
    if path.len() > MAX_PATH || path.contains('\0') {
        return Err(Error::invalid("The path is too long, or has a zero in it"));
    }
    let slash = if path.starts_with('/') { "" } else { "/" };
    Ok((project, name, format!("{slash}{path}")))
}

/// What the headers of a POST ask for.
async fn wanted(request: &mut Request) -> Result<FilesTask> {
    let or = |name, default: &str| request.header(name).filter(|v| !v.is_empty()).unwrap_or_else(|| default.to_owned());
    let (kind, write) = (or("x-lxd-type", "file"), or("x-lxd-write", "overwrite"));
    if !["overwrite", "append"].contains(&write.as_str()) {
        return Err(Error::invalid(format!("Bad file write mode: {write}")));
    }
    let fresh =
        Fresh { uid: id(request, "x-lxd-uid")?, gid: id(request, "x-lxd-gid")?, mode: mode(&or("x-lxd-mode", "")) };
    match kind.as_str() {
        "file" => Ok(FilesTask::Write { append: write == "append", fresh }),
        "directory" => Ok(FilesTask::Directory { fresh }),
        "symlink" => {
            let target = http_body_util::Limited::new(&mut request.body, MAX_PATH).collect().await;
            let target = target.map_err(|e| Error::invalid(format!("Failed reading the target of a link: {e}")))?;
            let target = String::from_utf8(target.to_bytes().into());
            match target {
                Ok(target) if !target.contains('\0') => Ok(FilesTask::Link { target }),
                _ => Err(Error::invalid("The target of a link must be text without zeros")),
            }
        }
        other => Err(Error::invalid(format!("Bad file type: {other}"))),
    }
}

/// A user or group id; LXD takes what is no number, or below zero, for none.
fn id(request: &Request, name: &str) -> Result<Option<u32>> {
    let Some(number) = request.header(name).and_then(|text| text.parse::<i64>().ok()).filter(|n| *n >= 0) else {
        return Ok(None);
    };
    // The last one means "leave it" to the system.
    let id = u32::try_from(number).ok().filter(|id| *id != u32::MAX);
    id.map(Some).ok_or_else(|| Error::invalid(format!("Bad user or group id: {number}")))
}

/// Permission bits: octal with a leading zero, else decimal; what is neither counts as none, as LXD does it.
fn mode(text: &str) -> Option<u32> {
    let number = text.parse::<u32>().ok()?;
    let octal = text.strip_prefix('0').and_then(|digits| u32::from_str_radix(digits, 8).ok());
    Some(octal.unwrap_or(number) & 0o777)
}

/// The headers that say what a thing is.
fn described(found: &Found) -> HeaderMap {
    let kind = match found.kind {
        FoundKind::File => "file",
        FoundKind::Directory => "directory",
        FoundKind::Symlink => "symlink",
    };
    let mut headers = HeaderMap::new();
    headers.insert(header_name("x-lxd-uid"), found.uid.into());
    headers.insert(header_name("x-lxd-gid"), found.gid.into());
    headers.insert(header_name("x-lxd-mode"), header_value(&format!("{:04o}", found.mode)));
    headers.insert(header_name("x-lxd-modified"), header_value(&go_time(found.modified.0)));
    headers.insert(header_name("x-lxd-type"), header_value(kind));
    headers
}

/// A time as Go prints it, which is what LXD sends: whole seconds.
fn go_time(seconds: i64) -> String {
    let t = TimeZone::UTC.to_datetime(jiff::Timestamp::from_second(seconds).unwrap_or_default());
    let (year, month, day) = (t.year(), t.month(), t.day());
    format!("{year:04}-{month:02}-{day:02} {:02}:{:02}:{:02} +0000 UTC", t.hour(), t.minute(), t.second())
}

async fn listing(visit: &mut Visit, found: &Found) -> Result<Reply> {
    let mut all = Vec::new();
    while let Some(bytes) = visit.next().await? {
        if all.len() + bytes.len() > LISTING {
            return Err(Error::new(Kind::Internal, "The directory has too many entries"));
        }
        all.extend_from_slice(&bytes);
    }
    let mut names: Vec<_> = all.split(|b| *b == 0).map(String::from_utf8_lossy).filter(|n| !n.is_empty()).collect();
    names.order();
    let mut http = Reply::sync(&names)?.into_http();
    http.headers_mut().extend(described(found));
    let (head, body) = http.into_parts();
    Ok(Reply::Raw { headers: head.headers, body })
}

/// Where a link points, seen from the root: LXD resolves what is relative, by text alone.
fn seen_from(path: &str, target: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(target);
    if text.starts_with('/') {
        return target.to_vec();
    }
    let mut parts: Vec<&str> = Vec::new();
    let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
    for part in parent.split('/').chain(text.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/")).into_bytes()
}

/// The bytes of an answer.
enum Content {
    Whole(Vec<u8>),
    Stream(Box<Visit>),
}

/// Bytes with their headers; a part of them when the request asks for one.
fn content(request: &Request, path: &str, found: &Found, content: Content) -> Reply {
    let length = match &content {
        Content::Whole(bytes) => bytes.len() as u64,
        Content::Stream(_) => found.size,
    };
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    let mut headers = described(found);
    headers.insert(CONTENT_DISPOSITION, header_value(&format!("inline;filename={name}")));
    headers.insert(CONTENT_TYPE, header_value("application/octet-stream"));
    let Part { status, headers: about, from, count } = part::asked(request, length, found.modified.0);
    headers.extend(about);
    if status == StatusCode::NOT_MODIFIED {
        headers.remove(CONTENT_TYPE);
    }
    let body = match content {
        Content::Whole(bytes) => full(bytes[from as usize..(from + count) as usize].to_vec()),
        Content::Stream(visit) if count > 0 => match request.line.clone().filter(|_| from == 0 && count >= LARGE) {
            Some(line) => stream_past(line, *visit, count),
            None => stream(*visit, from, count),
        },
        Content::Stream(_) => full(""),
    };
    Reply::Partial { status, headers, body }
}

/// The bytes of a visit from `skip` on, exactly `count`: the connection breaks when there are fewer.
fn stream(visit: Visit, skip: u64, count: u64) -> Body {
    let chunks = futures_util::stream::try_unfold((visit, skip, count), |(mut visit, mut skip, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        loop {
            let failed = |e: Error| std::io::Error::other(e.chain());
            let Some(mut bytes) = visit.next().await.map_err(failed)? else {
                return Err(std::io::Error::other("The file became shorter while it was read"));
            };
            let jump = skip.min(bytes.len() as u64);
            skip -= jump;
            let mut bytes = bytes.split_off(jump as usize);
            bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
            if !bytes.is_empty() {
                let left = left - bytes.len() as u64;
                return Ok(Some((Frame::data(bytes), (visit, skip, left))));
            }
        }
    });
    BodyExt::boxed(StreamBody::new(chunks))
}

/// The first `count` bytes of a visit, given right to the connection once the head of the answer is sent.
fn stream_past(line: Line, mut visit: Visit, count: u64) -> Body {
    line.end();
    let given = async move {
        line.flushed().await;
        visit.give_to(&line.writer()?, count).await.map_err(|e| std::io::Error::other(e.chain()))?;
        // HTTP has none of it, and ends the connection.
        Err(std::io::Error::other("The content was sent past HTTP"))
    };
    BodyExt::boxed(StreamBody::new(futures_util::stream::once(given)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_read_as_lxd_reads_them() {
        assert_eq!((mode("0644"), mode("420"), mode("04755")), (Some(0o644), Some(0o644), Some(0o755)));
        assert_eq!((mode("0999"), mode("9999"), mode("0")), (Some(0o747), Some(0o417), Some(0)));
        assert_eq!((mode(""), mode("0o640"), mode("x"), mode("-1")), (None, None, None, None));
    }

    #[test]
    fn relative_links_are_resolved_by_text() {
        let seen = |path, target: &str| String::from_utf8(seen_from(path, target.as_bytes())).unwrap();
        assert_eq!(seen("/root/l", "../etc/x"), "/etc/x");
        assert_eq!(seen("/tmp/../tmp/./a", "b"), "/tmp/b");
        assert_eq!((seen("/a", "../../x"), seen("/a/l", "/b/../c")), ("/x".into(), "/b/../c".into()));
    }

    #[test]
    fn times_are_printed_as_go_has_them() {
        assert_eq!(go_time(1_700_000_000), "2023-11-14 22:13:20 +0000 UTC");
    }
}

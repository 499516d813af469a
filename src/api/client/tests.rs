//! The client against a server that says what the test wants.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixListener;

use super::*;

/// Serves one answer after the other, closing the connection after each that begins with `!`. What was asked is noted.
struct Fake {
    client: Client,
    asked: Arc<Mutex<Vec<String>>>,
    _directory: Scratch,
}

struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn serve(name: &str, answers: &[(u16, &str)]) -> Fake {
    let directory = std::env::temp_dir().join(format!("lxbox-client-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let socket = directory.join("s");
    let listener = UnixListener::bind(&socket).unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let (noted, mut answers) = (asked.clone(), Vec::from_iter(answers.iter().map(|(s, a)| (*s, a.to_string()))));
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            loop {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    match stream.read_u8().await {
                        Ok(byte) => head.push(byte),
                        Err(_) => break,
                    }
                }
                if head.is_empty() || answers.is_empty() {
                    break;
                }
                let head = String::from_utf8_lossy(&head);
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
                stream.read_exact(&mut vec![0; length.unwrap_or(0)]).await.unwrap();
                noted.lock().unwrap().push(head.lines().next().unwrap_or("").to_string());
                let (status, answer) = answers.remove(0);
                let body = answer.trim_start_matches('!');
                let text =
                    format!("HTTP/1.1 {status} X\r\nETag: \"e\"\r\nContent-Length: {}\r\n\r\n{body}", body.len());
                stream.write_all(text.as_bytes()).await.unwrap();
                if answer.starts_with('!') {
                    break;
                }
            }
        }
    });
    Fake { client: Client::unix(socket), asked, _directory: Scratch(directory) }
}

fn sync(metadata: &str) -> String {
    format!("{{\"type\":\"sync\",\"status_code\":200,\"error\":\"\",\"error_code\":0,\"metadata\":{metadata}}}")
}

#[tokio::test]
async fn an_error_has_the_servers_text_and_kind() {
    let answer = r#"{"type":"error","error_code":404,"error":"Instance not found","metadata":null}"#;
    let fake = serve("error", &[(404, answer), (502, "no JSON")]);
    let error = fake.client.get::<String>("/1.0/instances/x").await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (Kind::NotFound, "Instance not found"));
    let error = fake.client.get::<String>("/1.0").await.unwrap_err();
    assert!(error.message().contains("502"), "{error}");
}

#[tokio::test]
async fn a_connection_the_server_closed_is_made_anew() {
    let (first, second) = (format!("!{}", sync("\"a\"")), sync("\"b\""));
    let fake = serve("again", &[(200, &first), (200, &second)]);
    assert_eq!(fake.client.get_with_etag::<String>("/1.0").await.unwrap(), ("a".into(), "\"e\"".into()));
    let closed = async || fake.client.connection.lock().await.as_ref().is_none_or(|sender| sender.is_closed());
    while !closed().await {
        tokio::task::yield_now().await;
    }
    assert_eq!(fake.client.get::<String>("/1.0").await.unwrap(), "b");
}

#[tokio::test]
async fn a_failed_operation_is_an_error_with_its_text() {
    let operation =
        |code: u16, err: &str| format!("{{\"id\":\"u\",\"class\":\"task\",\"status_code\":{code},\"err\":\"{err}\"}}");
    let begun = format!("{{\"type\":\"async\",\"metadata\":{}}}", operation(103, ""));
    let fake = serve("operation", &[(202, &begun), (200, &sync(&operation(400, "It broke")))]);
    let error = fake.client.post("/1.0/instances", &serde_json::json!({})).await.unwrap_err();
    assert_eq!(error.message(), "It broke");
    assert_eq!(fake.asked.lock().unwrap()[1], "GET /1.0/operations/u/wait?timeout=-1 HTTP/1.1");
}

#[tokio::test]
async fn the_project_is_part_of_every_path() {
    let Fake { client, asked, _directory } =
        serve("project", &[(200, &sync("1")), (200, &sync("1")), (200, &sync("1"))]);
    let client = client.in_project("p q");
    for path in ["/1.0/instances?recursion=1", "/1.0/instances?project=o", "/1.0/instances?all-projects=true"] {
        client.get::<i32>(path).await.unwrap();
    }
    let lines = asked.lock().unwrap().join("\n");
    let expected = "GET /1.0/instances?recursion=1&project=p%20q HTTP/1.1\nGET /1.0/instances?project=o HTTP/1.1\n\
                    GET /1.0/instances?all-projects=true HTTP/1.1";
    assert_eq!(lines, expected);
}

#[tokio::test]
async fn a_missing_daemon_is_said_plainly() {
    let error = Client::unix("/nonexistent/unix.socket").get::<String>("/1.0").await.unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert!(error.message().contains("is the daemon running?"), "{error}");
}

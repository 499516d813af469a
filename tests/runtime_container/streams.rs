//! Terminals, pipes, the console.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use lxbox::runtime::instances::container::{ExecSpec, ExecStreams, Stdio};

use crate::host::{Host, Kind, booted, command, sh};

fn terminal(words: &[&str]) -> ExecSpec {
    ExecSpec { stdio: Stdio::Terminal(91, 37), environment: vec![("TERM".into(), "xterm".into())], ..command(words) }
}

/// Reads until the text is seen or nothing comes for a while.
fn read_until(fd: &OwnedFd, wanted: &str) -> String {
    let mut file = File::from(fd.try_clone().unwrap());
    let mut text = String::new();
    let mut buffer = [0; 4096];
    let deadline = Instant::now() + Duration::from_secs(10);
    while !text.contains(wanted) && Instant::now() < deadline {
        let mut fds = [rustix::event::PollFd::new(fd, rustix::event::PollFlags::IN)];
        let wait = rustix::event::Timespec { tv_sec: 1, tv_nsec: 0 };
        if rustix::event::poll(&mut fds, Some(&wait)).unwrap() > 0 {
            match file.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(n) => text.push_str(&String::from_utf8_lossy(&buffer[..n])),
            }
        }
    }
    text
}

#[tokio::test]
async fn a_terminal_belongs_to_the_guest_and_can_be_resized() {
    let host = Host::busybox("tty");
    let running = host.start(&host.spec(Kind::Overlay)).await;
    booted(&running).await;
    let process =
        running.exec(terminal(&["sh", "-c", "tty; stty size; read x; stty size; echo got $x; exit 3"])).await.unwrap();
    let ExecStreams::Terminal(master) = &process.streams else { panic!() };
    let text = read_until(master, "37 91");
    assert!(text.starts_with("/dev/pts/1\r\n37 91"), "{text}");
    process.resize(100, 40).unwrap();
    File::from(master.try_clone().unwrap()).write_all(b"word\n").unwrap();
    let text = read_until(master, "got word");
    assert!(text.contains("40 100"), "{text}");
    assert_eq!(process.wait().await.unwrap(), 3);
    host.bury(&running).await;
}

#[tokio::test]
async fn signals_reach_the_command_and_control_c_its_group() {
    let host = Host::busybox("signal");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    let process = running.exec(terminal(&["sleep", "100"])).await.unwrap();
    let ExecStreams::Terminal(master) = &process.streams else { panic!() };
    File::from(master.try_clone().unwrap()).write_all(b"\x03").unwrap();
    assert_eq!(process.wait().await.unwrap(), 130);
    let process = running.exec(command(&["sleep", "100"])).await.unwrap();
    process.signal(15).unwrap();
    assert_eq!(process.wait().await.unwrap(), 143);
    host.bury(&running).await;
}

#[tokio::test]
async fn megabytes_come_out_whole_and_input_ends() {
    let host = Host::busybox("bytes");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    let mut process = running.exec(command(&["cat"])).await.unwrap();
    let ExecStreams::Pipes { stdin, stdout, .. } = std::mem::replace(&mut process.streams, ExecStreams::Given) else {
        panic!()
    };
    let sent: Vec<u8> = (0..20_000_000u32).map(|i| (i * 7 % 251) as u8).collect();
    let copy = sent.clone();
    let writer = std::thread::spawn(move || File::from(stdin).write_all(&copy).unwrap());
    let reader = tokio::task::spawn_blocking(move || {
        let mut got = Vec::new();
        File::from(stdout).read_to_end(&mut got).unwrap();
        got
    });
    assert!(reader.await.unwrap() == sent);
    writer.join().unwrap();
    assert_eq!(process.wait().await.unwrap(), 0);
    host.bury(&running).await;
}

#[tokio::test]
async fn children_that_keep_the_pipe_do_not_hold_up_the_end() {
    let host = Host::busybox("children");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    let process = running.exec(command(&["sh", "-c", "sleep 1000 & echo out"])).await.unwrap();
    let begin = Instant::now();
    assert_eq!(process.wait().await.unwrap(), 0);
    assert!(begin.elapsed() < Duration::from_secs(30));
    let ExecStreams::Pipes { stdout, .. } = &process.streams else { panic!() };
    assert_eq!(read_until(stdout, "out\n"), "out\n");
    host.bury(&running).await;
}

#[tokio::test]
async fn a_request_that_is_given_up_leaves_no_process() {
    let host = Host::busybox("giveup");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    let mut kept = Vec::new();
    for micros in [0, 200, 1000, 3000, 6000, 10_000, 20_000, 1_000_000] {
        let request = running.exec(command(&["sleep", "1000"]));
        kept.extend(tokio::time::timeout(Duration::from_micros(micros), request).await.map(Result::unwrap));
    }
    let group = format!("/sys/fs/cgroup/systemd/lxc.payload.{}/cgroup.procs", host.name);
    crate::host::until(async || {
        let lines = std::fs::read_to_string(&group).unwrap();
        let commands = lines.lines().map(|pid| std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default());
        let (mut sleeps, mut helpers) = (0, 0);
        commands.for_each(|line| match () {
            () if line.starts_with(b"sleep\x001000") => sleeps += 1,
            () if line.starts_with(b"lxbox") => helpers += 1,
            () => {}
        });
        (sleeps, helpers) == (kept.len(), kept.len())
    })
    .await;
    drop(kept);
    host.bury(&running).await;
}

#[tokio::test]
async fn the_console_is_logged_and_can_be_connected() {
    let host = Host::busybox("console");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    let log = || std::fs::read_to_string(host.dir.join("console.log")).unwrap();
    crate::host::until(async || log() == "booted\r\n").await;
    let (stream, tty) = running.console(false).await.unwrap();
    assert_eq!(running.console(false).await.unwrap_err().kind(), lxbox::Kind::Busy);
    lxbox::runtime::sys::pty::resize(&tty, 77, 22).unwrap();
    sh(&running, "stty size < /dev/console > /dev/console; (head -n1 < /dev/console > /run/typed) >/dev/null 2>&1 &")
        .await;
    assert!(read_until(&stream, "22 77\r\n").contains("22 77\r\n"));
    File::from(stream.try_clone().unwrap()).write_all(b"typed\n").unwrap();
    crate::host::until(async || sh(&running, "cat /run/typed").await == "typed\n").await;
    let (stream2, _tty) = running.console(true).await.unwrap();
    sh(&running, "echo second > /dev/console").await;
    assert!(read_until(&stream2, "second").contains("second"));
    assert!(!read_until(&stream, "second").contains("second"), "the first is cut off");
    drop(stream2);
    // Nobody reads: the guest isn't held up by its console.
    sh(&running, "head -c 1000000 /dev/zero | tr '\\0' x > /dev/console; echo end > /dev/console").await;
    crate::host::until(async || log().ends_with("end\r\n")).await;
    assert!(log().len() < 200_000);
    let _ = tty.as_fd();
    host.bury(&running).await;
}

//! Start, exec, limits, freezing, stopping, in both kinds of root.

use std::time::Instant;

use crate::host::{Host, Kind, booted, command, run, run_spec, sh};

async fn lives(name: &str, kind: Kind, privileged: bool) {
    let host = Host::busybox(name);
    let spec = if privileged { host.privileged(kind) } else { host.spec(kind) };
    let begin = Instant::now();
    let running = host.start(&spec).await;
    println!("start {:?}", begin.elapsed());
    booted(&running).await;
    assert_eq!(run(&running, &["echo", "hello"]).await, (0, "hello\n".into()));
    assert_eq!(run(&running, &["sh", "-c", "exit 7"]).await.0, 7);
    assert_eq!(run(&running, &["sh", "-c", "kill -9 $$"]).await.0, 137);
    assert_eq!(sh(&running, "cat /proc/1/comm; hostname; id -u; pwd").await, "init\nguest\n0\n/root\n");
    let begin = Instant::now();
    for _ in 0..10 {
        assert_eq!(run(&running, &["true"]).await.0, 0);
    }
    println!("exec {:?}", begin.elapsed() / 10);
    host.bury(&running).await;
}

#[tokio::test]
async fn a_dir_container_lives_and_dies() {
    lives("dir", Kind::Dir, false).await;
}

#[tokio::test]
async fn an_overlay_container_lives_and_dies() {
    lives("ovl", Kind::Overlay, false).await;
}

#[tokio::test]
async fn a_privileged_dir_container_lives_and_dies() {
    lives("pdir", Kind::Dir, true).await;
}

#[tokio::test]
async fn a_privileged_overlay_container_lives_and_dies() {
    lives("povl", Kind::Overlay, true).await;
}

#[tokio::test]
async fn commands_that_cannot_be_executed_have_lxds_texts() {
    let host = Host::busybox("texts");
    let running = host.start(&host.spec(Kind::Dir)).await;
    let error = async |words: &[&str]| running.exec(command(words)).await.unwrap_err().message().to_owned();
    assert_eq!(error(&["nosuch"]).await, "Command not found");
    assert_eq!(error(&["/nosuch"]).await, "Command not found");
    assert_eq!(error(&[""]).await, "Command not found");
    assert_eq!(error(&["/etc/passwd"]).await, "Command not executable");
    assert_eq!(error(&["/etc"]).await, "Command not executable");
    let spec = lxbox::runtime::instances::container::ExecSpec { uid: 1000, gid: 1001, cwd: "/nonexist".into(), ..command(&["sh", "-c", "id; pwd; echo $HOME"]) };
    assert_eq!(run_spec(&running, spec).await.1, "uid=1000 gid=1001\n/\n\n");
    host.bury(&running).await;
}

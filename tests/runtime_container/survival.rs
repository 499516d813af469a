//! Adoption, reboots, crashes.

use std::fs;
use std::time::Duration;

use lxbox::runtime::instances::container::{Adopted, Ended, ExitReason, Running, adopt, forget, start};

use crate::host::{Host, Kind, booted, run, sh, until};

async fn adopted(host: &Host) -> Running {
    match adopt(&host.dirs()).await.unwrap() {
        Adopted::Running(running) => running,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_container_is_adopted_with_all_it_has() {
    let host = Host::busybox("adopt");
    let running = host.start(&host.spec(Kind::Overlay)).await;
    booted(&running).await;
    let pid = running.pid();
    drop(running);
    let running = adopted(&host).await;
    assert_eq!(running.pid(), pid);
    assert_eq!(sh(&running, "echo still").await, "still\n");
    assert!(running.network_state().unwrap().contains_key("lo"));
    assert!(running.usage().memory.unwrap() > 0);
    let (stream, _terminal) = running.console(false).await.unwrap();
    drop(stream);
    host.bury(&running).await;
    assert!(matches!(adopt(&host.dirs()).await.unwrap(), Adopted::Gone));
}

#[tokio::test]
async fn a_second_daemon_takes_the_first_ones_place() {
    let host = Host::busybox("second");
    let first = host.start(&host.spec(Kind::Dir)).await;
    let second = adopted(&host).await;
    second.kill().await.unwrap();
    let Ended::Stopped(exit) = second.wait_exit().await.unwrap() else { panic!() };
    assert_eq!((exit.reason, exit.signal), (ExitReason::Killed, Some(9)));
    assert!(matches!(first.wait_exit().await.unwrap(), Ended::Stopped(_)));
    forget(&host.dirs()).await.unwrap();
    assert!(host.litter().is_empty());
}

#[tokio::test]
async fn power_off_and_exit_are_told_from_a_kill() {
    let host = Host::busybox("poweroff");
    for (line, reason, code) in [
        ("busybox poweroff -f", ExitReason::PowerOff, None),
        ("busybox halt -f", ExitReason::PowerOff, None),
        ("kill -PWR 1", ExitReason::PowerOff, Some(0)),
    ] {
        let running = host.start(&host.spec(Kind::Dir)).await;
        booted(&running).await;
        run(&running, &["sh", "-c", line]).await;
        let Ended::Stopped(exit) = running.wait_exit().await.unwrap() else { panic!() };
        assert_eq!((exit.reason, exit.code), (reason, code), "{line}");
        match adopt(&host.dirs()).await.unwrap() {
            Adopted::Exited(again) => assert_eq!(again, exit),
            other => panic!("{other:?}"),
        }
        forget(&host.dirs()).await.unwrap();
        assert!(host.litter().is_empty());
    }
}

#[tokio::test]
async fn a_clean_stop_reaches_the_init() {
    let host = Host::busybox("clean");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    running.stop_signal().await.unwrap();
    let Ended::Stopped(exit) = running.wait_exit().await.unwrap() else { panic!() };
    assert_eq!((exit.reason, exit.code), (ExitReason::PowerOff, Some(0)));
    forget(&host.dirs()).await.unwrap();
    assert!(host.litter().is_empty());
}

async fn reboot_guest(running: &Running) {
    run(running, &["sh", "-c", "busybox reboot -f"]).await;
}

#[tokio::test]
async fn a_reboot_runs_the_daemons_next_plan() {
    let host = Host::busybox("reboot");
    let running = host.start(&host.spec(Kind::Overlay)).await;
    booted(&running).await;
    sh(&running, "echo kept > /etc/kept").await;
    let first = running.pid();
    reboot_guest(&running).await;
    assert_eq!(running.wait_exit().await.unwrap(), Ended::Reboot);
    assert_eq!(running.pid(), 0);
    let mut next = host.spec(Kind::Overlay);
    next.hostname = "renamed".into();
    running.reboot(&next).await.unwrap();
    booted(&running).await;
    assert_ne!(running.pid(), first);
    assert_eq!(sh(&running, "hostname; cat /etc/kept").await, "renamed\nkept\n");
    assert_eq!((running.reboots(), running.is_stale()), (1, false));
    host.bury(&running).await;
}

#[tokio::test]
async fn a_reboot_can_be_declined() {
    let host = Host::busybox("decline");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    reboot_guest(&running).await;
    assert_eq!(running.wait_exit().await.unwrap(), Ended::Reboot);
    running.decline_reboot().await.unwrap();
    let Ended::Stopped(exit) = running.wait_exit().await.unwrap() else { panic!() };
    assert_eq!(exit.reason, ExitReason::Reboot);
    forget(&host.dirs()).await.unwrap();
    assert!(host.litter().is_empty());
}

#[tokio::test]
async fn a_guest_that_reboots_without_a_daemon_comes_back() {
    let host = Host::busybox("alone");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    let first = running.pid();
    sh(&running, "(sleep 0.2; busybox reboot -f) >/dev/null 2>&1 </dev/null &").await;
    drop(running);
    until(async || !std::path::Path::new(&format!("/proc/{first}")).exists()).await;
    let running = adopted(&host).await;
    booted(&running).await;
    assert_ne!(running.pid(), first);
    assert_eq!((running.reboots(), running.is_stale()), (1, true));
    host.bury(&running).await;
}

#[tokio::test]
async fn a_daemon_that_does_not_answer_gets_the_last_plan() {
    let host = Host::busybox("silent");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    reboot_guest(&running).await;
    assert_eq!(running.wait_exit().await.unwrap(), Ended::Reboot);
    tokio::select! {
        ended = running.wait_exit() => panic!("{ended:?}"),
        () = until(async || running.pid() != 0) => {}
    }
    assert!(running.is_stale());
    booted(&running).await;
    host.bury(&running).await;
}

/// The shim's process id, from its record.
fn shim_pid(host: &Host) -> i32 {
    let text = fs::read_to_string(host.dirs().run.join("run.json")).unwrap();
    serde_json::from_str::<serde_json::Value>(&text).unwrap()["shim"]["pid"].as_i64().unwrap() as i32
}

fn kill_shim(host: &Host) {
    let pid = rustix::process::Pid::from_raw(shim_pid(host)).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_killed_shim_takes_the_guest_down_before_it_is_called_stopped() {
    let host = Host::busybox("shimkill");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    let pid = running.pid();
    kill_shim(&host);
    let Ended::Stopped(exit) = running.wait_exit().await.unwrap() else { panic!() };
    assert_eq!(exit.reason, ExitReason::ShimLost);
    // Nobody reaps it but the host's init, which may take its time.
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    assert!(status.is_empty() || status.contains("State:\tZ"), "{status}");
    forget(&host.dirs()).await.unwrap();
    assert!(host.litter().is_empty());
}

#[tokio::test]
async fn a_frozen_guest_without_shim_is_brought_down_by_the_next_daemon() {
    let host = Host::busybox("frozen");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    running.freeze().await.unwrap();
    assert!(running.is_frozen());
    drop(running);
    kill_shim(&host);
    match adopt(&host.dirs()).await.unwrap() {
        Adopted::Exited(exit) => assert_eq!(exit.reason, ExitReason::ShimLost),
        other => panic!("{other:?}"),
    }
    forget(&host.dirs()).await.unwrap();
    assert!(host.litter().is_empty());
}

#[tokio::test]
async fn a_volume_in_use_is_not_started_twice() {
    let host = Host::busybox("twice");
    let running = host.start(&host.spec(Kind::Dir)).await;
    let mut other = host.dirs();
    other.run = host.dir.join("run2");
    let error = start(&host.spec(Kind::Dir), &other).await.unwrap_err();
    assert_eq!(error.kind(), lxbox::Kind::Busy, "{error}");
    host.bury(&running).await;
}

#[tokio::test]
async fn the_same_name_of_another_daemon_gets_other_groups() {
    let host = Host::busybox("names");
    let first = host.start(&host.spec(Kind::Dir)).await;
    let mut spec = host.spec(Kind::Dir);
    spec.lock = None;
    let mut dirs = host.dirs();
    dirs.run = host.dir.join("run2");
    let second = start(&spec, &dirs).await.unwrap();
    let groups = fs::read_to_string(format!("/proc/{}/cgroup", second.pid())).unwrap();
    assert!(groups.lines().all(|l| l.ends_with(&format!("lxc.payload.{}-1", host.name))), "{groups}");
    second.kill().await.unwrap();
    assert!(matches!(second.wait_exit().await.unwrap(), Ended::Stopped(_)));
    assert_eq!(run(&first, &["true"]).await.0, 0);
    host.bury(&first).await;
}

#[tokio::test]
async fn a_failed_start_says_what_failed_and_leaves_nothing() {
    let host = Host::busybox("failed");
    for (change, text) in
        [("init", "executing \"/nosuch\""), ("root", "opening \"/nosuch\""), ("limit", "setting limits")]
    {
        let mut spec = host.spec(Kind::Dir);
        match change {
            "init" => spec.init = vec!["/nosuch".into()],
            "root" => spec.root = lxbox::runtime::spec::RootSource::Dir { path: "/nosuch".into() },
            _ => spec.limits.cpuset = Some("9999".into()),
        }
        let error = start(&spec, &host.dirs()).await.unwrap_err();
        assert!(error.message().contains(text), "{error}");
        assert!(!host.dirs().run.exists());
        assert_eq!(host.litter(), Vec::<String>::new());
    }
    tokio::time::sleep(Duration::from_millis(1)).await;
}

/// Every place where a shim or one of its helpers can be killed on the way to a running container.
const START_POINTS: [&str; 13] = [
    "shim.prepared",
    "shim.groups",
    "shim.limits",
    "shim.forked",
    "stage.born",
    "stage.staged",
    "init.born",
    "init.ready",
    "shim.mapped",
    "shim.mounts",
    "shim.security",
    "init.exec",
    "shim.started",
];

/// Every place where a shim can be killed once its guest has ended.
const STOP_POINTS: [&str; 3] = ["shim.guest_down", "shim.emptied", "shim.exit_recorded"];

#[tokio::test]
async fn a_helper_killed_at_any_step_of_a_start_leaves_nothing() {
    let host = Host::busybox("walk");
    for kind in [Kind::Dir, Kind::Overlay] {
        for point in START_POINTS {
            let mut spec = host.spec(kind);
            spec.fault = Some(point.into());
            match start(&spec, &host.dirs()).await {
                Err(error) => assert!(!host.dirs().run.exists(), "{point}: {error}"),
                Ok(running) => {
                    assert!(["init.exec", "shim.started"].contains(&point), "{point} was passed");
                    assert!(matches!(running.wait_exit().await.unwrap(), Ended::Stopped(_)), "{point}");
                    forget(&host.dirs()).await.unwrap();
                }
            }
            assert_eq!(host.litter(), Vec::<String>::new(), "{point}");
            let running = host.start(&host.spec(kind)).await;
            host.bury(&running).await;
        }
    }
}

#[tokio::test]
async fn a_shim_killed_at_any_step_of_a_stop_leaves_nothing() {
    let host = Host::busybox("stopwalk");
    for point in STOP_POINTS {
        let mut spec = host.spec(Kind::Dir);
        spec.fault = Some(point.into());
        let running = start(&spec, &host.dirs()).await.unwrap();
        running.kill().await.unwrap();
        let Ended::Stopped(exit) = running.wait_exit().await.unwrap() else { panic!("{point}") };
        let recorded = point == "shim.exit_recorded";
        assert_eq!(exit.reason, if recorded { ExitReason::Killed } else { ExitReason::ShimLost }, "{point}");
        forget(&host.dirs()).await.unwrap();
        assert_eq!(host.litter(), Vec::<String>::new(), "{point}");
    }
}

#[tokio::test]
async fn a_start_that_is_given_up_leaves_nothing_or_a_container_to_adopt() {
    let host = Host::busybox("giveupstart");
    for micros in [0, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000] {
        let spec = host.spec(Kind::Overlay);
        let started = tokio::time::timeout(Duration::from_micros(micros), start(&spec, &host.dirs())).await;
        drop(started);
        // What the next daemon does.
        if let Adopted::Running(running) = adopt(&host.dirs()).await.unwrap() {
            host.bury(&running).await;
        }
        until(async || host.litter().is_empty()).await;
        forget(&host.dirs()).await.unwrap();
    }
}

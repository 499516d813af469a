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
    let spec = lxbox::runtime::instances::container::ExecSpec {
        uid: 1000,
        gid: 1001,
        cwd: "/nonexist".into(),
        ..command(&["sh", "-c", "id; pwd; echo $HOME"])
    };
    assert_eq!(run_spec(&running, spec).await.1, "uid=1000 gid=1001\n/\n\n");
    host.bury(&running).await;
}

#[tokio::test]
async fn a_guest_looks_as_under_lxd() {
    let host = Host::busybox("looks");
    let mut spec = host.spec(Kind::Dir);
    spec.environment = vec![("FOO".into(), "bar".into())];
    let running = host.start(&spec).await;
    booted(&running).await;
    let has = async |line: &str, text: &str| {
        let out = sh(&running, line).await;
        assert!(out.contains(text), "{line}: {out}");
    };
    has("cat /proc/1/environ | tr '\\0' '\\n'", "container=lxc").await;
    has("cat /proc/1/environ | tr '\\0' '\\n'", "FOO=bar").await;
    has("env", "FOO=bar").await;
    has("cat /proc/1/status", "CapBnd:\t000001ffffffffff").await;
    has("cat /proc/1/status", "Seccomp:\t2").await;
    has("cat /proc/self/status", "Seccomp:\t2").await;
    has("cat /proc/1/status", "NoNewPrivs:\t0").await;
    has("cat /proc/1/cgroup", ":memory:/\n").await;
    has("cat /proc/self/uid_map", " 0 ").await;
    has("ls -l /dev/console", "crw").await;
    has("readlink /dev/stdout", "/proc/self/fd/1").await;
    has("head -c 4 /dev/zero | wc -c", "4").await;
    has("echo x > /dev/null; echo $?", "0").await;
    has("ls -l /proc/1/fd", "0 -> /dev/").await;
    has("ls /proc/1/fd | wc -l", "4").await; // the shell reads its script through descriptor 10
    has("mount -t tmpfs t /mnt && umount /mnt && echo mounts", "mounts").await;
    has("touch /x && ls -ln /x", "0        0").await;
    has("ip link show lo", "UP").await;
    has("cat /proc/self/mountinfo | grep -c ' / /proc '", "1").await;
    assert_ne!(
        sh(&running, "cat /proc/sys/kernel/random/boot_id").await,
        std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap()
    );
    assert!(!sh(&running, "cat /proc/self/mountinfo").await.contains("/work"), "the host's mounts are seen");
    host.bury(&running).await;
}

#[tokio::test]
async fn limits_are_in_force_and_can_change() {
    let host = Host::busybox("limits");
    let mut spec = host.spec(Kind::Dir);
    spec.limits = lxbox::runtime::spec::Limits {
        cpuset: Some("0".into()),
        memory: Some(64 << 20),
        processes: Some(40),
        ..Default::default()
    };
    let running = host.start(&spec).await;
    booted(&running).await;
    assert_eq!(sh(&running, "nproc").await, "1\n");
    let out = sh(&running, "for i in $(seq 60); do sleep 5 & done 2>&1; killall sleep").await;
    assert!(out.contains("fork"), "{out}");
    let out = run(&running, &["sh", "-c", "head -c 100000000 /dev/zero | tail -c 90000000 | wc -c; echo done"]).await;
    assert!(!out.1.contains("90000000"), "{out:?}");
    spec.limits = lxbox::runtime::spec::Limits { cpuset: Some("0-1".into()), ..Default::default() };
    running.set_limits(&spec.limits).await.unwrap();
    assert_eq!(sh(&running, "nproc").await, "2\n");
    let out = run(&running, &["sh", "-c", "head -c 100000000 /dev/zero | tail -c 90000000 | wc -c"]).await;
    assert!(out.1.contains("90000000"), "{out:?}");
    let usage = running.usage();
    assert!(
        usage.cpu_ns.unwrap() > 0 && usage.memory_peak.unwrap() > 80 << 20 && usage.processes.unwrap() > 0,
        "{usage:?}"
    );
    host.bury(&running).await;
}

#[tokio::test]
async fn a_frozen_guest_does_nothing_until_it_is_thawed() {
    let host = Host::busybox("freeze");
    let running = host.start(&host.spec(Kind::Dir)).await;
    booted(&running).await;
    sh(&running, "(while true; do date +%N > /run/now; sleep 0.01; done) >/dev/null 2>&1 </dev/null &").await;
    let now = || std::fs::read_to_string(format!("/proc/{}/root/run/now", running.pid())).unwrap_or_default();
    running.freeze().await.unwrap();
    let before = now();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(now(), before);
    running.unfreeze().await.unwrap();
    crate::host::until(async || now() != before).await;
    running.freeze().await.unwrap();
    host.bury(&running).await;
}

#[tokio::test]
async fn templates_and_devices_are_there_before_init() {
    let host = Host::busybox("files");
    std::fs::create_dir_all(host.dir.join("share")).unwrap();
    std::fs::write(host.dir.join("share/f"), "shared").unwrap();
    let share = host.dir.join("share");
    let mount = |target: &str, readonly, shift| lxbox::runtime::spec::Mount {
        source: share.clone(),
        target: target.into(),
        readonly,
        shift,
        ..lxbox::runtime::spec::Mount::default()
    };
    let mut spec = host.spec(Kind::Overlay);
    let file = |path: &str, create_only| lxbox::runtime::spec::FileWrite {
        path: path.into(),
        content: "new\n".into(),
        mode: 0o644,
        create_only,
    };
    spec.files = vec![file("/etc/hostname", false), file("/a/b/c", true), file("etc/passwd", true)];
    let missing =
        lxbox::runtime::spec::Mount { source: "/nosuch".into(), optional: true, ..mount("/mnt/none", false, false) };
    spec.mounts = vec![mount("/mnt/ro", true, false), mount("/mnt/rw", false, true), missing];
    spec.mounts
        .push(lxbox::runtime::spec::Mount { source: host.dir.join("share/f"), ..mount("/etc/file", true, false) });
    let running = host.start(&spec).await;
    booted(&running).await;
    assert_eq!(
        sh(&running, "cat /etc/hostname /a/b/c; grep -c root /etc/passwd; stat -c %u%a /a/b/c").await,
        "new\nnew\n1\n0644\n"
    );
    assert_eq!(sh(&running, "cat /mnt/ro/f /etc/file; ls /mnt").await, "sharedsharedro\nrw\n");
    assert_eq!(
        sh(&running, "echo x > /mnt/rw/g && stat -c %u /mnt/rw/g /mnt/ro/f; touch /mnt/ro/x 2>&1").await,
        "0\n65534\ntouch: /mnt/ro/x: Read-only file system\n"
    );
    let out =
        sh(&running, "mount -o remount,rw,bind /mnt/ro 2>&1; touch /mnt/ro/x 2>&1; umount /mnt/ro && echo gone").await;
    assert!(out.contains("ermission denied") && out.contains("Read-only") && out.ends_with("gone\n"), "{out}");
    running.attach_mount(&mount("/mnt/late", true, true)).await.unwrap();
    let out = sh(
        &running,
        "cat /mnt/late/f; stat -c %u /mnt/late/f; mount -o remount,rw,bind /mnt/late 2>&1; touch /mnt/late/x 2>&1",
    )
    .await;
    assert!(out.starts_with("shared0\n") && out.contains("ermission denied") && out.contains("Read-only"), "{out}");
    running.detach_mount(std::path::Path::new("/mnt/late")).await.unwrap();
    // The place that was made for it goes with it.
    assert_eq!(sh(&running, "ls /mnt/late 2>/dev/null || echo gone").await, "gone\n");
    // What is told of a device is heard as if the guest's kernel had said it.
    sh(&running, "busybox uevent sh -c 'echo $ACTION $DEVPATH $MAJOR >>/tmp/heard' >/dev/null 2>&1 & sleep 0.5").await;
    let device = "DEVPATH=/devices/usb1/tty/ttyUSB0\nSUBSYSTEM=tty\nMAJOR=188";
    running.announce("add", vec![device.to_owned()]).await.unwrap();
    let heard = "for _ in 1 2 3 4 5 6 7 8 9; do [ -s /tmp/heard ] && break; sleep 0.2; done; cat /tmp/heard";
    assert_eq!(sh(&running, heard).await, "add /devices/usb1/tty/ttyUSB0 188\n");
    // A guest may have taken it away itself.
    running.detach_mount(std::path::Path::new("/mnt/late")).await.unwrap();
    assert!(host.dir.join("share/g").exists());
    host.bury(&running).await;
}

#[tokio::test]
async fn ids_can_be_shifted_on_disk_instead() {
    use lxbox::runtime::instances::container::shift;
    let host = Host::busybox("ondisk");
    let root = host.dir.join("rootfs");
    assert!(shift::can_mount(&root).unwrap());
    let mut spec = host.spec(Kind::Dir);
    spec.shift = lxbox::runtime::spec::Shift::OnDisk;
    shift::on_disk(&root, &Default::default(), &spec.idmap).await.unwrap();
    let running = host.start(&spec).await;
    booted(&running).await;
    assert_eq!(sh(&running, "stat -c %u /etc/passwd; touch /x; stat -c %u /x").await, "0\n0\n");
    host.bury(&running).await;
    shift::on_disk(&root, &spec.idmap, &Default::default()).await.unwrap();
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(root.join("x")).unwrap().uid(), 0);
    let running = host.start(&host.spec(Kind::Dir)).await;
    host.bury(&running).await;
}

/// Not that it had to shift ids on disk, which would change all files and not help.
#[test]
fn in_a_chroot_a_user_namespace_is_missed() {
    use lxbox::runtime::instances::container::shift;
    let looked = std::thread::spawn(|| {
        lxbox::runtime::sys::fork::unshare_directory().unwrap();
        rustix::process::chroot("/proc").unwrap();
        shift::can_mount(std::path::Path::new("/"))
    });
    let said = looked.join().unwrap().unwrap_err();
    assert!(said.message().starts_with("Failed making a user namespace"), "{said}");
}

/// The same on a host that had only one kind of hierarchy, as far as this one can show it.
async fn with_hierarchies(name: &str, keep: impl Fn(&lxbox::runtime::spec::cgroup::Hierarchy) -> bool) {
    let host = Host::busybox(name);
    let mut spec = host.spec(Kind::Dir);
    spec.cgroups.retain(keep);
    if spec.cgroups.is_empty() {
        return;
    }
    let running = host.start(&spec).await;
    booted(&running).await;
    running.freeze().await.unwrap();
    assert!(running.is_frozen());
    running.unfreeze().await.unwrap();
    assert!(!running.is_frozen());
    // Groups that the guest makes go with it.
    let kind = if spec.cgroups[0].unified { "cgroup2" } else { "cgroup -o pids" };
    let line = format!(
        "mount -t {kind} none /mnt && cd /mnt && for i in $(seq 30); do mkdir d e && cd d || exit 1; done; sleep 1000 & echo $! > cgroup.procs; pwd"
    );
    let process = running.exec(command(&["sh", "-c", &line])).await.unwrap();
    assert_eq!(process.wait().await.unwrap(), 0);
    assert_eq!(run(&running, &["true"]).await.0, 0);
    running.freeze().await.unwrap();
    host.bury(&running).await;
}

#[tokio::test]
async fn groups_are_emptied_and_removed_with_the_v2_tree_alone() {
    with_hierarchies("onlyv2", |h| h.unified).await;
}

#[tokio::test]
async fn groups_are_emptied_and_removed_with_v1_trees_alone() {
    with_hierarchies("onlyv1", |h| !h.unified).await;
}

//! A scratch place on the host with a busybox root, and proof that nothing is left of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use lxbox::runtime::instances::container::{
    Ended, ExecProcess, ExecSpec, ExecStreams, RunDirs, Running, Stdio, begin, forget, idmap, plan,
};
use lxbox::runtime::spec::cgroup::{Group, Hierarchy, group_name};
use lxbox::runtime::spec::syscalls::Policy;
use lxbox::runtime::spec::{ContainerSpec, Limits, RootSource, Shift, VERSION};
use lxbox::runtime::sys::{cgroup, executable};

/// Which kind of root.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Kind {
    Dir,
    Overlay,
}

/// A scratch directory with a unique instance name; removed when dropped.
pub struct Host {
    pub dir: PathBuf,
    pub name: String,
}

impl Host {
    pub fn new(name: &str) -> Host {
        let program = std::env::var_os("LXBOX_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lxbox").into());
        executable::choose(Path::new(&program)).unwrap();
        let name = format!("{name}-{}", std::process::id());
        let dir = Path::new("/var/tmp").join(format!("lxbox-rt-{name}"));
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Host { dir, name }
    }

    /// A host with a small busybox root in `rootfs`.
    pub fn busybox(name: &str) -> Host {
        let host = Host::new(name);
        busybox_root(&host.dir.join("rootfs"));
        host
    }

    pub fn dirs(&self) -> RunDirs {
        RunDirs { run: self.dir.join("run") }
    }

    pub fn spec(&self, kind: Kind) -> ContainerSpec {
        let root = match kind {
            Kind::Dir => RootSource::Dir { path: self.dir.join("rootfs") },
            Kind::Overlay => {
                for name in ["upper", "work"] {
                    let _ = fs::create_dir(self.dir.join(name));
                }
                let lowers = vec![self.dir.join("rootfs")];
                RootSource::Overlay { lowers, upper: self.dir.join("upper"), work: self.dir.join("work") }
            }
        };
        ContainerSpec {
            version: VERSION,
            id: 1,
            name: self.name.clone(),
            project: "default".into(),
            root,
            lock: Some(self.dir.clone()),
            idmap: idmap::host_range().unwrap(),
            shift: Shift::Mount,
            nesting: false,
            hostname: "guest".into(),
            environment: vec![],
            init: vec!["/sbin/init".into()],
            limits: Limits::default(),
            mounts: vec![],
            files: vec![],
            drop_capabilities: 0,
            group_files: Vec::new(),
            rlimits: Vec::new(),
            sysctls: Vec::new(),
            seccomp: plan::filter(&Policy::usual()).unwrap(),
            apparmor: String::new(),
            intercept: Default::default(),
            intercepted_mounts: Default::default(),
            no_new_privs: false,
            linux32: false,
            device_rules: vec![],
            cgroups: cgroup::discover().unwrap(),
            console_log: self.dir.join("console.log"),
            hold: false,
            view: None,
            mounter: None,
            fault: None,
        }
    }

    pub fn privileged(&self, kind: Kind) -> ContainerSpec {
        ContainerSpec {
            idmap: Default::default(),
            drop_capabilities: plan::dropped_capabilities(true).unwrap(),
            device_rules: plan::device_rules(true),
            ..self.spec(kind)
        }
    }

    pub async fn start(&self, spec: &ContainerSpec) -> Running {
        begin(spec, &self.dirs()).await.unwrap().finish().await.unwrap()
    }

    /// Control groups, mounts and processes with our name. Waits a moment for what the kernel does late.
    pub fn litter(&self) -> Vec<String> {
        let deadline = Instant::now() + Duration::from_secs(3);
        loop {
            let mut found = Vec::new();
            let groups =
                Command::new("find").args(["/sys/fs/cgroup", "-name", &format!("*{}*", self.name)]).output().unwrap();
            found.extend(String::from_utf8(groups.stdout).unwrap().lines().map(str::to_owned));
            let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
            found.extend(mounts.lines().filter(|l| l.contains(&self.name)).map(str::to_owned));
            for entry in fs::read_dir("/proc").unwrap().flatten() {
                let cmdline = fs::read(entry.path().join("cmdline")).unwrap_or_default();
                let text = String::from_utf8_lossy(&cmdline).replace('\0', " ");
                if text.contains(&self.name) && text.contains("shim") {
                    found.push(text);
                }
            }
            if found.is_empty() || Instant::now() > deadline {
                return found;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Kills it, waits, and checks that nothing is left.
    pub async fn bury(&self, running: &Running) {
        running.kill().await.unwrap();
        match running.wait_exit().await.unwrap() {
            Ended::Stopped(_) => {}
            other => panic!("{other:?}"),
        }
        forget(&self.dirs()).await.unwrap();
        assert_eq!(self.litter(), Vec::<String>::new());
    }
}

impl Host {
    fn groups(&self, hierarchies: &[Hierarchy]) -> Vec<Group> {
        let group = |h: &Hierarchy| Group {
            unified: h.unified,
            controllers: h.controllers.clone(),
            path: h.base.join(group_name("default", &self.name)),
            inode: 0,
        };
        hierarchies.iter().map(group).collect()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let hierarchies = cgroup::discover().unwrap();
        if std::thread::panicking() {
            // Nobody has buried the guest.
            let _ = cgroup::bring_down(&self.groups(&hierarchies), Duration::from_secs(5));
        }
        cgroup::remove_helpers(&hierarchies);
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// A root of busybox: its init, a shell, the usual applets.
pub fn busybox_root(root: &Path) {
    for dir in ["bin", "sbin", "etc", "proc", "sys", "dev", "tmp", "root", "run", "var", "mnt", "usr/bin"] {
        fs::create_dir_all(root.join(dir)).unwrap();
    }
    fs::copy("/bin/busybox", root.join("bin/busybox"))
        .or_else(|_| fs::copy("/usr/bin/busybox", root.join("bin/busybox")))
        .unwrap();
    let list = Command::new("busybox").arg("--list").output().unwrap();
    for applet in String::from_utf8(list.stdout).unwrap().lines().filter(|a| *a != "busybox" && *a != "init") {
        symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    let init = "#!/bin/sh\n\
        trap 'exit 0' PWR\n\
        trap 'busybox reboot -f' INT\n\
        echo booted\n\
        mount -t tmpfs run /run\n\
        touch /run/up\n\
        while true; do sleep 1 & wait $!; done\n";
    fs::write(root.join("sbin/init"), init).unwrap();
    fs::write(root.join("etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n").unwrap();
    fs::write(root.join("etc/hostname"), "image\n").unwrap();
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(root.join("sbin/init"), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).unwrap();
}

pub fn command(words: &[&str]) -> ExecSpec {
    ExecSpec {
        command: words.iter().map(|w| (*w).to_owned()).collect(),
        environment: vec![],
        uid: 0,
        gid: 0,
        cwd: String::new(),
        stdio: Stdio::Pipes,
    }
}

/// Runs a command and gives its exit code and output.
pub async fn run_spec(running: &Running, spec: ExecSpec) -> (i32, String) {
    let process = running.exec(spec).await.unwrap();
    finish(process).await
}

pub async fn run(running: &Running, words: &[&str]) -> (i32, String) {
    run_spec(running, command(words)).await
}

/// Runs a shell line.
pub async fn sh(running: &Running, line: &str) -> String {
    run(running, &["sh", "-c", line]).await.1
}

pub async fn finish(mut process: ExecProcess) -> (i32, String) {
    let streams = std::mem::replace(&mut process.streams, ExecStreams::Given);
    let reader = tokio::task::spawn_blocking(move || match streams {
        ExecStreams::Pipes { stdin, stdout, stderr } => {
            drop(stdin);
            let mut text = std::io::read_to_string(fs::File::from(stdout)).unwrap();
            text.push_str(&std::io::read_to_string(fs::File::from(stderr)).unwrap());
            text
        }
        _ => String::new(),
    });
    let code = process.wait().await.unwrap();
    (code, reader.await.unwrap())
}

/// Waits until the guest's init has come up.
pub async fn booted(running: &Running) {
    until(async || run(running, &["test", "-e", "/run/up"]).await.0 == 0).await;
}

pub async fn until(mut done: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !done().await {
        assert!(Instant::now() < deadline, "waited in vain");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

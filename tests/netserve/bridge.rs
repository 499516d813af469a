//! A bridge in network and mount namespaces of the test's own, with clients beside it.

use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use lxbox::runtime::network::serving::NetDirs;
use lxbox::runtime::spec::VERSION;
use lxbox::runtime::spec::net::{DnsMode, DnsPlan, Extra, Mac, NetPlan, V4Plan, V6Mode, V6Plan};
use lxbox::runtime::sys::executable;
use serde_json::Value;

/// Marks a process that has namespaces of its own already.
const INSIDE: &str = "LXBOX_NETSERVE_INSIDE";

/// Runs a test in new network, mount and process id namespaces: the test program starts itself again for it.
pub fn alone(name: &str, test: impl AsyncFnOnce(&Bridge)) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(async { test(&Bridge::new(name)).await });
        return;
    }
    let own = std::env::current_exe().unwrap();
    let status = Command::new("unshare")
        .args(["--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
        .arg(own)
        .args(["--exact", name, "--nocapture", "--test-threads=1"])
        .env(INSIDE, "1")
        .status()
        .unwrap();
    assert!(status.success(), "{name} failed in its namespaces");
}

/// The bridge `nsbr0` with 10.77.0.1/24 and fd42:77::1/64.
pub struct Bridge {
    dir: PathBuf,
}

/// A network namespace with one interface, `eth0`, in the bridge.
pub struct Guest {
    keeper: Child,
}

impl Bridge {
    fn new(name: &str) -> Bridge {
        let program = std::env::var_os("LXBOX_BIN").unwrap_or_else(|| env!("CARGO_BIN_EXE_lxbox").into());
        executable::choose(Path::new(&program)).unwrap();
        let dir = std::env::temp_dir().join(format!("lxbox-netserve-{name}"));
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        ip("link set lo up");
        ip("link add nsbr0 address 00:16:3e:77:00:01 type bridge forward_delay 0");
        ip("addr add 10.77.0.1/24 dev nsbr0");
        ip("addr add fd42:77::1/64 dev nsbr0 nodad");
        ip("link set nsbr0 up");
        Bridge { dir }
    }

    pub fn dirs(&self) -> NetDirs {
        NetDirs { run: self.dir.join("run"), leases: self.dir.join("networks/nsbr0/dnsmasq.leases") }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    pub fn plan(&self) -> NetPlan {
        let (four, six): (Ipv4Addr, Ipv6Addr) = ("10.77.0.1".parse().unwrap(), "fd42:77::1".parse().unwrap());
        let ranges = vec![(Ipv4Addr::new(10, 77, 0, 2), Ipv4Addr::new(10, 77, 0, 254))];
        let v4 =
            V4Plan { address: four, prefix: 24, ranges, expiry: 3600, gateway: None, routes: vec![], options: vec![] };
        let v6 = V6Plan { address: six, prefix: 64, mode: V6Mode::Stateless, router: true };
        let dns = DnsPlan { domain: "lxd".into(), mode: DnsMode::Managed, ..DnsPlan::default() };
        NetPlan {
            version: VERSION,
            network: "nsbr0".into(),
            bridge: "nsbr0".into(),
            ifindex: ifindex("nsbr0"),
            mac: "00:16:3e:77:00:01".parse().unwrap(),
            addresses: vec![IpAddr::from(four), IpAddr::from(six)],
            v4: Some(v4),
            v6: Some(v6),
            dns: Some(dns),
            hosts: vec![],
            mtu: None,
            extra: Extra::default(),
        }
    }

    /// A guest whose interface has this hardware address. `eth0` is up.
    pub fn guest(&self, number: u8) -> Guest {
        let keeper = Command::new("unshare").args(["--net", "sleep", "1000"]).spawn().unwrap();
        let pid = keeper.id();
        let own = std::fs::read_link("/proc/self/ns/net").unwrap();
        until("the guest has a namespace", || {
            std::fs::read_link(format!("/proc/{pid}/ns/net")).is_ok_and(|theirs| theirs != own)
        });
        ip(&format!("link add ve{number} type veth peer name eth0 address {} netns {pid}", mac(number)));
        ip(&format!("link set ve{number} master nsbr0 up"));
        let guest = Guest { keeper };
        guest.run("ip link set lo up");
        guest.run("ip link set eth0 up");
        guest
    }

    pub fn leases(&self) -> String {
        std::fs::read_to_string(self.dirs().leases).unwrap()
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Guest {
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.keeper.id().to_string(), "-n", "sh", "-c", line]);
        command
    }

    /// Runs a command, which must succeed, and gives its output.
    pub fn run(&self, line: &str) -> String {
        output(self.command(line), line)
    }

    /// Runs a verb of `client.py` and reads its answer.
    pub fn client(&self, words: &str) -> Value {
        serde_json::from_str(&self.run(&format!("{} {words}", script()))).unwrap()
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.keeper.kill();
        let _ = self.keeper.wait();
    }
}

fn ifindex(name: &str) -> u32 {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    rustix::net::netdevice::name_to_index(socket, name).unwrap()
}

/// The hardware address of a guest.
pub fn mac(number: u8) -> Mac {
    Mac([0, 0x16, 0x3e, 0x77, 1, number])
}

pub fn script() -> String {
    format!("python3 {}/tests/netserve/client.py", env!("CARGO_MANIFEST_DIR"))
}

/// As [`Guest::client`], on the host.
pub fn client(words: &str) -> Value {
    let line = format!("{} {words}", script());
    let mut command = Command::new("sh");
    command.args(["-c", &line]);
    serde_json::from_str(&output(command, &line)).unwrap()
}

/// A resolver of the outside, until dropped.
pub struct Resolver(Child);

impl Resolver {
    pub fn start(address: &str, port: u16, text: &str) -> Resolver {
        let line = format!("exec {} resolver {address} {port} {text}", script());
        let mut child = Command::new("sh").args(["-c", &line]).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        assert_eq!(ready, "ready\n");
        Resolver(child)
    }
}

impl Drop for Resolver {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub fn ip(words: &str) {
    let mut command = Command::new("ip");
    command.args(words.split(' '));
    output(command, words);
}

fn output(mut command: Command, what: &str) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{what}: {text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Waits for something that happens soon; says how long it took.
pub fn until(what: &str, mut done: impl FnMut() -> bool) -> Duration {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < Duration::from_secs(15), "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
    begin.elapsed()
}

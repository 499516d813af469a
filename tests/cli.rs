//! Our client beside the stock one, our daemon beside the stock one: one recorded script, four pairs, the same words.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::thread;

const STOCK: &str = "/usr/bin/lxc";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn ours() -> PathBuf {
    root().join(std::env::var("LXBOX_BIN").unwrap_or_else(|_| "target/dist-test/lxbox".to_owned()))
}

/// A folder for what is recorded, gone with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        // One that was killed has left its own.
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}"));
        fs::remove_dir_all(&path).ok();
        fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

/// Whether the real LXD is installed, as it has to be unless the one who runs this says otherwise.
fn oracle() -> bool {
    let there = Path::new("/usr/bin/lxd").exists();
    assert!(there || std::env::var("LXBOX_WITHOUT_LXD").is_ok_and(|without| without == "1"), "no LXD is installed");
    there
}

/// Has one client run all sections beside one fresh daemon.
fn record(daemon: &str, client: (&str, &Path), out: &Path) -> Output {
    let output = Command::new(root().join("tests/tools/with-daemon"))
        .arg(root().join("tests/parity/record.sh"))
        .arg(out)
        .arg(format!("{}={}", client.0, client.1.display()))
        .env("LXBOX_BIN", daemon)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    output
}

/// Commands with what was said to each, by section.
type Script = BTreeMap<String, Vec<(String, String)>>;

fn read(folder: &Path, client: &str) -> Script {
    let mut script = Script::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some(section) = name.strip_suffix(&format!(".{client}")) else { continue };
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let mut commands: Vec<(String, String)> = vec![("(before)".into(), String::new())];
        for line in text.lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push((command.into(), String::new())),
                None => commands.last_mut().unwrap().1 += &format!("{line}\n"),
            }
        }
        script.insert(section.into(), commands);
    }
    script
}

/// Commands that may differ, a line each: `client` or `daemon`, a tab, how the command begins; or `section` and its name.
fn known(kind: &str) -> Vec<String> {
    let text = fs::read_to_string(root().join("tests/parity/known.txt")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('\t').filter(|(k, _)| *k == kind)).map(|(_, c)| c.to_owned()).collect()
}

/// Whether the stock client never came back: LXD itself loses a race now and then on a busy machine, and its client waits for ever for
/// the end of what has failed already.
fn hung(kind: &str, said: &str) -> bool {
    kind != "client-ours" && said.ends_with("= 124\n")
}

/// Compares two recordings; returns what differs and must not, and tells `same` of each command that is equal.
fn compare(kind: &str, a: &Script, b: &Script, same: &mut dyn FnMut(&str, usize)) -> Vec<String> {
    let (known, mut wrong) = (known(kind), Vec::new());
    for (section, commands) in a {
        let others = &b[section];
        if known.contains(&format!("section {section}")) {
            continue;
        }
        if commands.len() != others.len() {
            wrong.push(format!("{section}: {} commands, and {}", commands.len(), others.len()));
        }
        for (at, (one, other)) in commands.iter().zip(others).enumerate() {
            match one == other {
                true => same(section, at),
                false if hung(kind, &one.1) || known.iter().any(|start| one.0.starts_with(start.as_str())) => {}
                false => wrong.push(format!("{section}: $ {}\n{}--- $ {}\n{}", one.0, one.1, other.0, other.1)),
            }
        }
    }
    wrong
}

/// The recorded script, for all four pairs of client and daemon; for two of them where the real daemon is not installed.
#[test]
fn four_pairs_of_client_and_daemon_say_the_same() {
    let folder = Folder::new("pairs");
    let bin = ours();
    let mut pairs = vec![("lxbox", "stock"), ("lxbox", "ours")];
    if oracle() {
        pairs.extend([("oracle", "stock"), ("oracle", "ours")]);
    }
    let record_one = |(daemon, client): (&str, &str)| {
        let out = folder.0.join(daemon);
        fs::create_dir_all(&out).unwrap();
        let program = if client == "stock" { Path::new(STOCK) } else { bin.as_path() };
        let server = if daemon == "oracle" { "oracle".to_owned() } else { bin.display().to_string() };
        record(&server, (client, program), &out);
        read(&out, client)
    };
    // What differs has to differ twice: a busy machine takes its time.
    let (mut wrong, mut all) = (Vec::new(), 0);
    for _ in 0..2 {
        let scripts: Vec<Script> = thread::scope(|scope| {
            let threads: Vec<_> = pairs.iter().map(|pair| scope.spawn(|| record_one(*pair))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let mut equal = BTreeMap::<(String, usize), usize>::new();
        let mut same = |section: &str, at: usize| *equal.entry((section.to_owned(), at)).or_default() += 1;
        wrong = compare("client-ours", &scripts[0], &scripts[1], &mut same);
        if let [ours, _, stock, with_ours] = &scripts[..] {
            wrong.extend(compare("client", stock, with_ours, &mut same));
            wrong.extend(compare("daemon", stock, ours, &mut same));
        }
        all = equal.values().filter(|same| **same == scripts.len() - 1).count();
        if wrong.is_empty() {
            break;
        }
        eprintln!("{} differ this time:\n{}", wrong.len(), wrong.join("\n\n"));
    }
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n\n"));
    assert!(all >= 200, "only {all} commands are the same for all pairs");
}

/// What a client says when it is called with these words, without any server.
fn said(program: &Path, words: &[&str]) -> (i32, String, String) {
    let folder = Folder::new(&format!("home-{}", words.join("-").replace(['/', ':'], "_")));
    let link = folder.0.join("lxc");
    std::os::unix::fs::symlink(program, &link).ok();
    let config = "default-remote: local\nremotes: {}\naliases: {}\n";
    fs::write(folder.0.join("config.yml"), config).unwrap();
    let output = Command::new(&link)
        .args(words)
        .env("LXD_CONF", &folder.0)
        .env("LXD_DIR", "/nonexistent")
        .env_remove("LXD_SOCKET")
        .current_dir(&folder.0)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code().unwrap_or(-1), text(&output.stdout), text(&output.stderr))
}

/// What of a help text is words and not sentences: usage, aliases, commands, flags with their defaults.
fn words_of_help(text: &str) -> Vec<String> {
    let (mut section, mut out) = (String::new(), Vec::new());
    for line in text.lines() {
        if !line.starts_with(' ') && line.ends_with(':') {
            section = line.to_owned();
            continue;
        }
        let line = line.trim_end();
        match section.as_str() {
            "Usage:" | "Aliases:" if !line.is_empty() => out.push(format!("{section} {}", line.trim())),
            "Available Commands:" if !line.is_empty() => {
                out.push(format!("command {}", line.split_whitespace().next().unwrap()));
            }
            "Flags:" | "Global Flags:" if !line.is_empty() => {
                let (head, sentence) = line.trim().split_once("   ").unwrap_or((line.trim(), ""));
                // `-c, --columns` is followed by two columns where all flags have letters.
                let default = sentence.split_once("(default ").map_or("", |(_, default)| default);
                out.push(format!("{section} {head} {default}"));
            }
            _ => {}
        }
    }
    out
}

/// All commands and groups of the stock client, as words.
fn commands(path: Vec<String>, out: &mut Vec<Vec<String>>) {
    let mut words: Vec<&str> = path.iter().map(String::as_str).collect();
    words.extend(if path.is_empty() { vec!["--all", "--help"] } else { vec!["--help"] });
    let (_, text, _) = said(Path::new(STOCK), &words);
    for line in words_of_help(&text) {
        if let Some(name) = line.strip_prefix("command ") {
            let mut next = path.clone();
            next.push(name.to_owned());
            out.push(next.clone());
            commands(next, out);
        }
    }
}

/// Calls both clients in the same way and says how they differ.
fn differ(words: &[&str], wrong: &mut Vec<String>) {
    let (stock, mine) = (said(Path::new(STOCK), words), said(&ours(), words));
    let error = |text: &str| text.lines().find(|line| line.starts_with("Error: ")).unwrap_or("").to_owned();
    let (a, b) = (error(&stock.2), error(&mine.2));
    // How a server can't be reached is said in words of one's own.
    let reached = |line: &str| !line.contains("socket") && !line.contains("dial");
    if stock.0 != mine.0 || (reached(&a) && a != b) || words_of_help(&stock.1) != words_of_help(&mine.1) {
        let (c, d) = (words_of_help(&stock.1), words_of_help(&mine.1));
        let lost: Vec<_> = c.iter().filter(|line| !d.contains(line)).collect();
        let new: Vec<_> = d.iter().filter(|line| !c.contains(line)).collect();
        wrong.push(format!("{words:?}: {} {a:?}, ours {} {b:?}; missing {lost:?}, new {new:?}", stock.0, mine.0));
    }
}

/// How the clients differ in these commands.
fn check(part: &[Vec<String>]) -> Vec<String> {
    let mut wrong = Vec::new();
    for path in part {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        for more in [&["--help"][..], &["--bogus"], &["-Z"], &[], &["--help=maybe"]] {
            differ(&[&path[..], more].concat(), &mut wrong);
        }
        let many = [&path[..], &["x/y"; 9]].concat();
        let (code, _, text) = said(Path::new(STOCK), &many);
        if code == 1 && text.contains("Invalid number of arguments") {
            differ(&many, &mut wrong);
        }
    }
    wrong
}

/// Each command of the stock client takes the same words and flags, and refuses the same, with the same exit code.
#[test]
fn every_command_has_the_words_and_refusals_of_the_stock_one() {
    let mut all = vec![Vec::new()];
    commands(Vec::new(), &mut all);
    assert!(all.len() > 260, "{} commands", all.len());
    let (left, right) = all.split_at(all.len() / 2);
    let wrong: Vec<String> = thread::scope(|scope| {
        let (left, right) = (scope.spawn(|| check(left)), scope.spawn(|| check(right)));
        [left.join().unwrap(), right.join().unwrap()].concat()
    });
    assert!(wrong.is_empty(), "{} differ:\n{}", wrong.len(), wrong.join("\n"));
}

/// A manual page for each command that the stock client has one for, and all of them well-formed.
#[test]
fn manual_pages_have_the_stock_names_and_are_well_formed() {
    let (a, b) = (Folder::new("man-stock"), Folder::new("man-ours"));
    for (format, end) in [("man", "1"), ("md", "md"), ("rest", "rst"), ("yaml", "yaml")] {
        let names = |folder: &Folder| {
            let all = fs::read_dir(&folder.0).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
            let mut all: Vec<String> = all.filter(|name| name.ends_with(&format!(".{end}"))).collect();
            all.sort();
            all
        };
        assert_eq!(said(Path::new(STOCK), &["manpage", "-f", format, a.0.to_str().unwrap()]).0, 0);
        assert_eq!(said(&ours(), &["manpage", "-f", format, b.0.to_str().unwrap()]).0, 0);
        assert_eq!(names(&a), names(&b));
    }
    let pages = fs::read_dir(&b.0).unwrap().map(|page| page.unwrap().path());
    let pages = pages.filter(|page| page.extension().is_some_and(|end| end == "1"));
    let groff = Command::new("groff").args(["-man", "-ww", "-Tascii"]).args(pages).output().expect("groff runs");
    let complaints = String::from_utf8_lossy(&groff.stderr);
    assert!(groff.status.success() && complaints.is_empty(), "{}: {complaints}", groff.status);
    assert!(String::from_utf8_lossy(&groff.stdout).contains("Create the directories that are missing"));
}

/// What a shell that runs `script` prints.
fn shell(program: &str, script: &str) -> String {
    let folder = Folder::new(&format!("shell-{program}"));
    std::os::unix::fs::symlink(ours(), folder.0.join("lxc")).ok();
    fs::write(folder.0.join("config.yml"), "default-remote: local\nremotes: {}\naliases: {}\n").unwrap();
    let path = format!("{}:{}", folder.0.display(), std::env::var("PATH").unwrap_or_default());
    let mut command = Command::new(program);
    let command = command.arg("-c").arg(script).env("PATH", path).env("LXD_CONF", &folder.0);
    let command = command.env("XDG_CONFIG_HOME", &folder.0).env("HOME", &folder.0);
    let output = command.env("LXD_DIR", "/nonexistent").stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.stderr.is_empty(), "{program}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Completion in a real bash: commands, flags, values of flags, keys, words after a colon.
#[test]
fn bash_completes_what_the_table_has() {
    let ask = |line: &str| {
        let script = format!(
            "eval \"$(lxc completion bash)\"; COMP_LINE={line:?}; COMP_POINT=${{#COMP_LINE}}; _lxc; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        shell("bash", &script).lines().map(String::from).collect::<Vec<_>>()
    };
    assert_eq!(ask("lxc sto"), ["stop", "storage"]);
    assert_eq!(ask("lxc storage volume re"), ["rename", "restore"]);
    assert_eq!(ask("lxc --project p file pu"), ["pull", "push"]);
    assert_eq!(ask("lxc list --form"), ["--format"]);
    assert_eq!(ask("lxc list --format j"), ["json"]);
    assert_eq!(ask("lxc list --format=c"), ["csv", "compact"]);
    assert_eq!(ask("lxc config set c1 limits.mem").first().map(String::as_str), Some("limits.memory"));
    assert_eq!(ask("lxc config set c1 security.nesting=t"), ["true"]);
    assert_eq!(ask("lxc launch x -c limits.cpu.a"), ["limits.cpu.allowance"]);
    assert_eq!(ask("lxc config set core.https_addr"), ["core.https_address"]);
    assert_eq!(ask("lxc config device add c1 eth0 nic nictype=bridged hwa"), ["hwaddr"]);
    assert_eq!(ask("lxc storage create p dir so"), ["source"]);
    assert_eq!(ask("lxc remote switch lo"), ["local"]);
    assert_eq!(ask("lxc exec c1 -- --he"), [""]);
}

/// The scripts of the other shells.
#[test]
fn zsh_and_fish_take_their_scripts() {
    let script = "mkdir -p $XDG_CONFIG_HOME/fish/completions; \
                  lxc completion fish >$XDG_CONFIG_HOME/fish/completions/lxc.fish; complete -C 'lxc storage volume re'";
    let said = shell("fish", script);
    let words: Vec<&str> = said.lines().filter_map(|line| line.split('\t').next()).collect();
    assert_eq!(words, ["rename", "restore"]);
    let script = "autoload -U compinit; compinit -D -u; source <(lxc completion zsh); print $_comps[lxc]; \
                  words=(lxc storage volume re); CURRENT=4; _describe() { print -l ${(P)2}; }; _lxc";
    let said = shell("zsh", script);
    let mut lines = said.lines();
    assert_eq!(lines.next(), Some("_lxc"));
    assert!(lines.next().is_some_and(|line| line.starts_with("rename:")), "{said}");
}

//! The confined process, started as the daemon starts it.

use std::fs::{self, File};
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lxbox::runtime::helper::unpack::plan::{Job, Plan};
use lxbox::runtime::helper::unpack::wire;
use lxbox::runtime::images::import::Receiver;
use lxbox::runtime::images::unpack::{Inspection, Outcome, Request, RootKind, Runner};
use lxbox::{Kind, Result};
use tar::EntryType;

use crate::made::Made;
use crate::scratch::{Scratch, sh};

fn runner() -> Runner {
    Runner::of(env!("CARGO_BIN_EXE_lxbox"), ["unpack"])
}

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn inspect(archives: &[&Path]) -> Result<Inspection> {
    let files = archives.iter().map(|path| File::open(path).unwrap()).collect();
    wait(runner().inspect(files, Default::default()))
}

fn unpack(scratch: &Scratch, archive: &Path) -> Result<Outcome> {
    let target = File::open(scratch.path("target")).unwrap().into();
    let files = vec![File::open(archive).unwrap()];
    let request = Request { target, files, devices: true, sync: true, limits: Default::default() };
    wait(runner().unpack(request, |read, all| assert!(read <= all)))
}

#[test]
fn every_format_is_inspected_and_unpacked_in_the_confined_process() {
    let scratch = Scratch::new("formats");
    let script = "printf 'architecture: amd64\\ncreation_date: 1700000000\\n' > metadata.yaml
        mkdir rootfs; echo hi > rootfs/hi; mknod rootfs/null c 1 3; mkfifo rootfs/pipe; ln rootfs/hi rootfs/again
        ln -s hi rootfs/link; setfattr -n user.a -v b rootfs/hi
        acl=0x0200000001000600ffffffff02000400e803000004000400ffffffff10000600ffffffff20000000ffffffff
        setfattr -n system.posix_acl_access -v $acl rootfs/pipe; setcap cap_net_raw+ep rootfs/hi
        tar --xattrs --xattrs-include='*' -cf plain metadata.yaml rootfs
        for c in gzip bzip2 xz lzma 'zstd -q'; do $c -c plain > \"made.${c%% *}\"; done; mv plain made.tar";
    sh(&scratch.0, script);
    for format in ["tar", "gzip", "bzip2", "xz", "lzma", "zstd"] {
        let archive = scratch.path(&format!("made.{format}"));
        let inspection = inspect(&[&archive]).unwrap();
        assert_eq!(inspection.root, RootKind::Tree, "{format}");
        assert!(inspection.metadata.starts_with("architecture: amd64\n"), "{format}");
        let inner = Scratch::new(&format!("format-{format}"));
        let outcome = unpack(&inner, &archive).unwrap();
        assert_eq!((outcome.entries, outcome.attributes_dropped), (6, 0), "{format}");
        assert_eq!(fs::read_to_string(inner.root("again")).unwrap(), "hi\n");
        let mut value = [0u8; 64];
        let length = rustix::fs::lgetxattr(inner.root("pipe"), "system.posix_acl_access", &mut value[..]).unwrap();
        assert_eq!(length, 44, "{format}");
        assert_eq!(rustix::fs::lgetxattr(inner.root("hi"), "security.capability", &mut value[..]).unwrap(), 20);
    }
}

#[test]
fn metadata_is_found_wherever_it_stands() {
    let scratch = Scratch::new("late");
    let mut image = Made::empty();
    for i in 0..200 {
        image.file(&format!("rootfs/{i}"), &[b'x'; 10_000]);
    }
    let archive =
        scratch.write("late", &zstd::encode_all(&image.file("./metadata.yaml", b"a: b").bytes()[..], 1).unwrap());
    assert_eq!(inspect(&[&archive]).unwrap(), Inspection { metadata: "a: b".into(), root: RootKind::Tree });
}

#[test]
fn what_is_no_image_is_refused_in_the_words_of_lxd() {
    let scratch = Scratch::new("wrong");
    let whole = Made::image().bytes();
    let cases: &[(&str, Vec<u8>)] = &[
        ("EOF", Vec::new()),
        ("Unsupported compression", b"hello\n".to_vec()),
        ("Unsupported compression", (0..5000u32).map(|i| ((i * 7919) >> 3) as u8 | 1).collect()),
        ("Metadata tarball is missing metadata.yaml", Made::empty().file("rootfs/x", b"").bytes()),
        ("Invalid instance type", Made::empty().file("metadata.yaml", b"").bytes()),
        ("unexpected EOF", whole[..700].to_vec()),
        ("unexpected EOF", zstd::encode_all(&whole[..], 1).unwrap()[..30].to_vec()),
    ];
    for (text, bytes) in cases {
        let archive = scratch.write("archive", bytes);
        let error = inspect(&[&archive]).unwrap_err();
        assert_eq!((error.message(), error.kind()), (*text, Kind::Invalid));
    }
    let archive = scratch.write("archive", b"hsqs and the rest of a squashfs");
    let error = inspect(&[&archive]).unwrap_err();
    assert_eq!((error.message(), error.kind()), ("unexpected EOF", Kind::Invalid));
    let metadata = scratch.write("metadata", &Made::empty().file("metadata.yaml", b"x").bytes());
    assert_eq!(inspect(&[&metadata, &archive]).unwrap().root, RootKind::Squashfs);
    let disk = scratch.write("disk", b"QFI\xfb and the rest of a qcow2");
    assert_eq!(inspect(&[&metadata, &disk]).unwrap().root, RootKind::Disk);
    let unified = scratch.write("unified", &Made::empty().file("metadata.yaml", b"x").file("rootfs.img", b"").bytes());
    assert_eq!(inspect(&[&unified]).unwrap().root, RootKind::Disk);
}

#[test]
fn an_upload_becomes_an_image() {
    let scratch = Scratch::new("upload");
    let bytes = zstd::encode_all(&Made::image().file("rootfs/f", b"x").bytes()[..], 1).unwrap();
    let mut receiver = Receiver::new(&scratch.0, None, 1 << 20).unwrap();
    bytes.chunks(100).for_each(|chunk| receiver.write(chunk).unwrap());
    let received = receiver.finish(None).unwrap();
    let inspection = wait(runner().inspect(received.files().unwrap(), Default::default())).unwrap();
    let imported = received.commit(&inspection).unwrap();
    assert_eq!(imported.metadata.architecture, "x86_64");
    assert_eq!(fs::read(scratch.path(&imported.fingerprint)).unwrap(), bytes);
    unpack(&scratch, &scratch.path(&imported.fingerprint)).unwrap();
    assert_eq!(fs::read(scratch.root("f")).unwrap(), b"x");
}

/// A small file that takes many seconds to unpack.
fn endless(scratch: &Scratch) -> PathBuf {
    const SIZE: u64 = 64 << 30;
    let path = scratch.path("endless");
    let mut encoder = zstd::Encoder::new(File::create(&path).unwrap(), 1).unwrap();
    let start = Made::image().bytes();
    encoder.write_all(&start[..start.len() - 1024]).unwrap();
    encoder.write_all(Made::header("rootfs/zeros", EntryType::Regular, SIZE).as_bytes()).unwrap();
    // The end of the data isn't there: nobody gets that far.
    for _ in 0..1024 {
        encoder.write_all(&[0; 1 << 20]).unwrap();
    }
    encoder.finish().unwrap();
    path
}

#[test]
fn dropping_the_future_kills_the_process() {
    let scratch = Scratch::new("dropped");
    let archive = endless(&scratch);
    let target = File::open(scratch.path("target")).unwrap().into();
    let files = vec![File::open(&archive).unwrap()];
    let request = Request { target, files, devices: false, sync: false, limits: Default::default() };
    wait(async {
        let runner = runner();
        let mut running = Box::pin(runner.unpack(request, |_, _| {}));
        let ended = tokio::time::timeout(Duration::from_millis(100), &mut running).await;
        assert!(ended.is_err(), "{ended:?}");
        // Children of other tests may hold it for the moment between fork and exec.
        assert!(unpacking(&archive) >= 1);
        drop(running);
        while unpacking(&archive) > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
}

/// How many processes but this one have the file open.
fn unpacking(archive: &Path) -> usize {
    let mut found = 0;
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let own = process.file_name().to_str() == Some(&std::process::id().to_string());
        let Ok(open) = fs::read_dir(process.path().join("fd")) else { continue };
        let has = open.flatten().any(|fd| fs::read_link(fd.path()).is_ok_and(|target| target == archive));
        found += usize::from(has && !own);
    }
    found
}

#[test]
fn the_process_ends_when_the_daemon_does() {
    let scratch = Scratch::new("orphan");
    let archive = File::open(endless(&scratch)).unwrap();
    let target = File::open(scratch.path("target")).unwrap();
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut process = std::process::Command::new(env!("CARGO_BIN_EXE_lxbox"))
        .arg("unpack")
        .stdin(OwnedFd::from(theirs))
        .spawn()
        .unwrap();
    let job = Job::Unpack { split: false, devices: false, sync: false };
    let plan = Plan { job, limits: Default::default() };
    wire::send(&ours, &plan, &[target.as_fd(), archive.as_fd()]).unwrap();
    while !scratch.root("zeros").exists() {
        std::thread::sleep(Duration::from_millis(5));
    }
    drop(ours);
    // Status 0 would mean an answer, and there was none to give yet.
    assert_eq!(process.wait().unwrap().code(), Some(1));
}

#[test]
fn started_by_hand_it_says_who_starts_it() {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_lxbox"))
        .arg("unpack")
        .stdin(std::process::Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "\"lxbox unpack\" is started by the daemon only\n");
}

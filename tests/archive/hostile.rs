//! Archives that mean harm: each is refused with words that name the thing, or comes out harmless.

use std::fs::{self, File};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use lxbox::Kind;
use lxbox::runtime::helper::unpack::{Limits, unpack_image};
use tar::EntryType;

use crate::made::Made;
use crate::scratch::{Scratch, sh};

fn refused(name: &str, image: &mut Made) -> String {
    Scratch::new(name).refusal(&image.bytes(), Limits::default())
}

#[test]
fn paths_that_lead_out_are_refused() {
    for path in ["../evil", "rootfs/../../evil", "rootfs/a/../../../evil", "/../evil", "rootfs/.."] {
        let text = refused("dots", Made::image().file(path, b"x"));
        assert_eq!(text, format!("The image's path \"{path}\" leads out of the archive"));
    }
}

#[test]
fn a_name_that_no_file_can_have_is_refused() {
    let long = "x".repeat(300);
    let text = refused("long", Made::image().pax(&[("path", format!("rootfs/{long}").as_bytes())]).file("short", b"x"));
    assert!(text.contains("is too long"), "{text}");
    let deep = format!("rootfs/{}", "d/".repeat(1000));
    let text = refused("deep", Made::image().pax(&[("path", deep.as_bytes())]).file("short", b"x"));
    assert!(text.contains("is too deep"), "{text}");
    let text = refused("nul", Made::image().pax(&[("path", b"rootfs/a\0b")]).file("short", b"x"));
    assert!(text.contains("has a NUL byte"), "{text}");
}

#[test]
fn nothing_is_written_through_links_that_lead_out() {
    let scratch = Scratch::new("through");
    let outside = scratch.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "as it was").unwrap();
    let climb = "../".repeat(20);
    let target = format!("{climb}{}", outside.strip_prefix("/").unwrap().display());
    let archive = scratch.write(
        "archive",
        &Made::image()
            .symlink("rootfs/absolute", outside.to_str().unwrap())
            .file("rootfs/absolute/one", b"x")
            .symlink("rootfs/climbing", &target)
            .file("rootfs/climbing/two", b"x")
            .symlink("rootfs/file", &format!("{}/kept", outside.display()))
            .file("rootfs/file", b"replaced")
            .symlink("rootfs/proc", "/proc/self/cwd")
            .file("rootfs/proc/three", b"x")
            .bytes(),
    );
    // The links' targets don't exist below the root, so these fail or stay inside; both are fine.
    let _ = scratch.unpack(&archive);
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.join("kept")).unwrap(), "as it was");
    assert!(!Path::new("three").exists());
}

#[test]
fn a_link_inside_the_tree_is_followed_inside_the_tree() {
    let scratch = Scratch::new("inside");
    let archive = scratch.write(
        "archive",
        &Made::image()
            .node("rootfs/usr/lib", EntryType::Directory, (0, 0))
            .symlink("rootfs/lib", "/usr/lib")
            .file("rootfs/lib/here", b"x")
            .symlink("rootfs/up", "../../../usr")
            .file("rootfs/up/there", b"y")
            .bytes(),
    );
    scratch.unpack(&archive).unwrap();
    assert_eq!(fs::read(scratch.root("usr/lib/here")).unwrap(), b"x");
    assert_eq!(fs::read(scratch.root("usr/there")).unwrap(), b"y");
    assert!(fs::symlink_metadata(scratch.root("lib")).unwrap().is_symlink());
}

#[test]
fn hard_links_reach_nothing_outside() {
    let outside = std::env::temp_dir().join(format!("lxbox-archive-secret-{}", std::process::id()));
    fs::write(&outside, "secret").unwrap();
    for target in ["../../secret", "metadata.yaml", "templates/x", "/etc/passwd", "etc/passwd", ""] {
        let text = refused("hard", Made::image().hardlink("rootfs/link", target));
        assert!(text.contains("leads out of the archive"), "{target}: {text}");
    }
    // Through a symbolic link: what is linked is the link, or something inside.
    let scratch = Scratch::new("hard-symlink");
    let name = outside.file_name().unwrap().to_str().unwrap();
    let mut image = Made::image();
    image.symlink("rootfs/tmp", "/tmp").hardlink("rootfs/link", &format!("rootfs/tmp/{name}"));
    let archive = scratch.write("archive", &image.bytes());
    assert!(scratch.unpack(&archive).is_err());
    image = Made::image();
    image.symlink("rootfs/s", outside.to_str().unwrap()).hardlink("rootfs/link", "rootfs/s");
    let second = Scratch::new("hard-symlink-2");
    let archive = second.write("archive", &image.bytes());
    second.unpack(&archive).unwrap();
    assert!(fs::symlink_metadata(second.root("link")).unwrap().is_symlink());
    assert_eq!(fs::metadata(&outside).unwrap().nlink(), 1);
    fs::remove_file(&outside).unwrap();
}

#[test]
fn devices_are_made_for_privileged_instances_only_and_whiteouts_where_guests_have_overlays() {
    let mut image = Made::image();
    image.node("rootfs/null", EntryType::Char, (1, 3)).node("rootfs/disk", EntryType::Block, (8, 0));
    image.node("rootfs/whiteout", EntryType::Char, (0, 0)).node("rootfs/var/lib/docker", EntryType::Char, (0, 0));
    let bytes = image.node("rootfs/var/lib/lxd/gone", EntryType::Char, (0, 0)).bytes();
    let scratch = Scratch::new("devices");
    let archive = scratch.write("archive", &bytes);
    let outcome = scratch.unpack_with(&[&archive], true, Limits::default()).unwrap();
    assert_eq!(outcome.devices_skipped, 2);
    assert!(fs::metadata(scratch.root("null")).unwrap().file_type().is_char_device());
    assert!(fs::metadata(scratch.root("disk")).unwrap().file_type().is_block_device());
    assert!(!scratch.root("whiteout").exists() && !scratch.root("var/lib/docker").exists());
    assert!(fs::metadata(scratch.root("var/lib/lxd/gone")).unwrap().file_type().is_char_device());
    let scratch = Scratch::new("no-devices");
    let archive = scratch.write("archive", &bytes);
    let outcome = scratch.unpack_with(&[&archive], false, Limits::default()).unwrap();
    assert_eq!(outcome.devices_skipped, 4);
    assert_eq!(fs::read_dir(scratch.root("")).unwrap().count(), 1);
    assert!(fs::metadata(scratch.root("var/lib/lxd/gone")).unwrap().file_type().is_char_device());
}

#[test]
fn attributes_that_steer_overlays_are_left_out() {
    let scratch = Scratch::new("attributes");
    let records: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.overlay.whiteout", b"y"),
        ("LIBARCHIVE.xattr.trusted.overlay.metacopy", b""),
        ("SCHILY.xattr.user.kept", b"yes"),
    ];
    let archive = scratch.write("archive", &Made::image().pax(records).file("rootfs/f", b"x").bytes());
    let outcome = scratch.unpack(&archive).unwrap();
    assert_eq!(outcome.attributes_dropped, 4);
    let mut names = vec![0u8; 1000];
    let length = rustix::fs::listxattr(scratch.root("f"), &mut names[..]).unwrap();
    assert_eq!(&names[..length], b"user.kept\0");
}

#[test]
fn bombs_are_stopped_by_the_budget() {
    let limits = Limits { bytes: 8 << 20, ..Limits::default() };
    let mut image = Made::image();
    let bytes = image.file("rootfs/zeros", &vec![0; 64 << 20]).bytes();
    for (name, packed) in [
        ("zstd", zstd::encode_all(&bytes[..], 1).unwrap()),
        ("xz", {
            let mut encoder = liblzma::write::XzEncoder::new(Vec::new(), 0);
            std::io::Write::write_all(&mut encoder, &bytes).unwrap();
            encoder.finish().unwrap()
        }),
    ] {
        let text = Scratch::new(name).refusal(&packed, limits);
        assert!(text.contains("unpacks to more than the limit"), "{text}");
    }
    let mut many = Made::image();
    for i in 0..2000 {
        many.file(&format!("rootfs/{i}"), b"");
    }
    let text = Scratch::new("many").refusal(&many.bytes(), Limits { entries: 1000, ..Limits::default() });
    assert!(text.contains("more entries than the limit"), "{text}");
}

#[test]
fn every_truncation_is_an_error_and_none_a_hang() {
    let bytes = Made::image().file("rootfs/a", &[7; 3000]).symlink("rootfs/s", "a").file("rootfs/b", b"x").bytes();
    let end = bytes.len() - 1024;
    let scratch = Scratch::new("truncated");
    for length in (1..end).step_by(97).filter(|length| length % 512 != 0) {
        let text = scratch.refusal(&bytes[..length], Limits::default());
        assert!(text.contains("ends too early") || text == "Unsupported compression", "{length}: {text}");
    }
    let packed = zstd::encode_all(&bytes[..], 1).unwrap();
    for length in (20..packed.len() - 4).step_by(7) {
        scratch.refusal(&packed[..length], Limits::default());
    }
}

#[test]
fn a_file_in_a_pax_sparse_form_can_not_lie() {
    let sparse = |map: &[u8], size: &[u8]| {
        let mut image = Made::image();
        let records: &[(&str, &[u8])] =
            &[("GNU.sparse.map", map), ("GNU.sparse.size", size), ("GNU.sparse.name", b"rootfs/s")];
        image.pax(records).file("rootfs/GNUSparse.0/s", b"0123456789").bytes()
    };
    for (map, size) in
        [("0,5,3,5", "100"), ("0,10", "5"), ("0,11", "100"), ("18446744073709551615,10", "100"), ("0,5", "100")]
    {
        let text = Scratch::new("sparse").refusal(&sparse(map.as_bytes(), size.as_bytes()), Limits::default());
        assert!(text.contains("pieces of a sparse file"), "{map}: {text}");
    }
    let scratch = Scratch::new("sparse-good");
    let archive = scratch.write("archive", &sparse(b"0,5,4096,5", b"5000"));
    scratch.unpack(&archive).unwrap();
    let content = fs::read(scratch.root("s")).unwrap();
    assert_eq!((content.len(), &content[..5], &content[4096..4101]), (5000, &b"01234"[..], &b"56789"[..]));
}

#[test]
fn later_members_replace_earlier_ones() {
    let scratch = Scratch::new("replace");
    let archive = scratch.write(
        "archive",
        &Made::image()
            .file("rootfs/file", b"first")
            .file("rootfs/file", b"second")
            .file("rootfs/becomes-dir", b"x")
            .node("rootfs/becomes-dir", EntryType::Directory, (0, 0))
            .file("rootfs/becomes-dir/in", b"y")
            .node("rootfs/empty-dir", EntryType::Directory, (0, 0))
            .symlink("rootfs/empty-dir", "file")
            .file("rootfs/one", b"linked")
            .hardlink("rootfs/two", "rootfs/one")
            .hardlink("rootfs/two", "rootfs/two")
            .hardlink("rootfs/one", "rootfs/two")
            .file("rootfs/two", b"apart")
            .bytes(),
    );
    scratch.unpack(&archive).unwrap();
    let read = |name: &str| fs::read_to_string(scratch.root(name)).unwrap();
    assert_eq!((read("file"), read("becomes-dir/in")), ("second".into(), "y".into()));
    assert_eq!(fs::read_link(scratch.root("empty-dir")).unwrap(), Path::new("file"));
    // The second name was replaced, not written through: the first keeps its content.
    assert_eq!((read("one"), read("two")), ("linked".into(), "apart".into()));
}

#[test]
fn a_root_that_is_no_directory_or_missing_is_refused() {
    let text = refused("root-file", Made::empty().file("metadata.yaml", b"x").file("rootfs", b"x"));
    assert_eq!(text, "The root file system of the image is not a directory");
    let text = refused("root-link", Made::empty().file("metadata.yaml", b"x").symlink("rootfs", "/etc"));
    assert_eq!(text, "The root file system of the image is not a directory");
    let text = refused("no-root", Made::empty().file("metadata.yaml", b"x"));
    assert_eq!(text, "The image has no root file system");
}

#[test]
fn parents_that_the_archive_does_not_have_are_made() {
    let scratch = Scratch::new("parents");
    let archive = scratch.write("archive", &Made::image().file("rootfs/a/b/c/d", b"x").bytes());
    scratch.unpack(&archive).unwrap();
    let parent = fs::metadata(scratch.root("a/b")).unwrap();
    assert_eq!((parent.mode() & 0o7777, parent.uid(), parent.gid()), (0o755, 0, 0));
}

#[test]
fn templates_are_taken_only_as_plain_files() {
    let scratch = Scratch::new("templates");
    let archive = scratch.write(
        "archive",
        &Made::image()
            .symlink("templates/link", "/etc/passwd")
            .file("templates/deep/er", b"x")
            .file("templates/good.tpl", b"good")
            .symlink("metadata.yaml", "/etc/passwd")
            .file("backup.yaml", b"x")
            .bytes(),
    );
    let outcome = scratch.unpack(&archive).unwrap();
    assert_eq!(outcome.ignored, 4);
    assert_eq!(fs::read_dir(scratch.path("target/templates")).unwrap().count(), 1);
    assert!(fs::symlink_metadata(scratch.path("target/metadata.yaml")).unwrap().is_file());
    let text = Scratch::new("big-template")
        .refusal(&Made::image().file("templates/big", &vec![b'x'; 2 << 20]).bytes(), Limits::default());
    assert!(text.contains("\"templates/big\" of the image is longer than"), "{text}");
}

#[test]
fn a_full_disk_is_one_clear_error() {
    let scratch = Scratch::new("full");
    let path = scratch.path("target");
    let run = |program: &str, arguments: &[&str]| {
        assert!(std::process::Command::new(program).args(arguments).arg(&path).status().unwrap().success());
    };
    run("mount", &["-t", "tmpfs", "-o", "size=1m", "tmpfs"]);
    let target = File::open(&path).unwrap();
    // It lives as long as the descriptor, also when this test is killed.
    run("umount", &["-l"]);
    let archive = scratch.write("archive", &Made::image().file("rootfs/big", &vec![7; 4 << 20]).bytes());
    let files = vec![File::open(archive).unwrap()];
    let error = unpack_image(target.into(), files, true, Limits::default()).unwrap_err();
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(error.message(), "Failed unpacking \"big\": No space left on device (os error 28)");
}

#[test]
fn a_damaged_squashfs_is_refused_or_read_but_never_more() {
    let scratch = Scratch::new("damaged-squashfs");
    let metadata = scratch.write("metadata", &Made::empty().file("metadata.yaml", b"x").bytes());
    sh(
        &scratch.0,
        "mkdir -p src/a/b; for i in 1 2 3 4 5 6 7 8 9; do head -c 9000 /dev/urandom > src/a/b/$i; done; ln src/a/b/1 src/l; ln -s x src/s",
    );
    sh(&scratch.0, "setfattr -n user.a -v b src/a/b/2; mksquashfs src whole -quiet -no-progress -comp zstd >/dev/null");
    let whole = std::fs::read(scratch.path("whole")).unwrap();
    let limits = Limits { entries: 1000, bytes: 10 << 20, ..Limits::default() };
    let unpacked = |file: &Path| {
        let target = scratch.path("target");
        fs::remove_dir_all(&target).and_then(|()| fs::create_dir(&target)).unwrap();
        scratch.unpack_with(&[&metadata, file], false, limits)
    };
    let mut refused = 0;
    for round in 0..600usize {
        let mut bytes = whole.clone();
        // The head, then the tables, which are at the end.
        let at = if round < 96 { round } else { bytes.len() - 1 - (round * 7) % 1200.min(bytes.len()) };
        bytes[at] ^= 1 << (round % 8);
        let damaged = scratch.write("damaged", &bytes);
        refused += usize::from(unpacked(&damaged).is_err());
    }
    assert!(refused > 100, "{refused}");
    // Padding follows what is used.
    let used = u64::from_le_bytes(whole[40..48].try_into().unwrap()) as usize;
    for cut in (0..used).step_by(used / 50) {
        let damaged = scratch.write("damaged", &whole[..cut]);
        assert!(unpacked(&damaged).is_err(), "{cut}");
    }
}

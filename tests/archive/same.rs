//! What GNU tar packs, we unpack as GNU tar does.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use lxbox::runtime::helper::unpack::Limits;

use crate::scratch::{Scratch, output, sh};

/// A tree with everything that a file system can hold.
const TREE: &str = r#"
mkdir -p rootfs/{etc,usr/bin,dev,deep/a/b/c,empty,sticky,setgid} templates
printf 'architecture: x86_64\ncreation_date: 1700000000\n' > metadata.yaml
echo '{{ container.name }}' > templates/hostname.tpl
cd rootfs
echo plain > etc/plain; chmod 640 etc/plain; chown 1000:1001 etc/plain
: > etc/nothing
head -c 300000 /dev/urandom > usr/bin/big
cp /bin/true usr/bin/suid; chown 5:6 usr/bin/suid; chmod 4755 usr/bin/suid
cp /bin/true usr/bin/sgid; chown 5:6 usr/bin/sgid; chmod 2711 usr/bin/sgid
ln usr/bin/big usr/bin/second; ln usr/bin/big deep/a/third
ln -s ../etc/plain usr/link; ln -s /etc/passwd absolute; ln -s nowhere dangling; chown -h 7:8 dangling
ln dangling hardlinked-symlink
mkfifo pipe; chmod 622 pipe; chown 9:10 pipe
mknod dev/null c 1 3; chmod 666 dev/null; mknod dev/disk b 8 1; chown 0:6 dev/disk
chmod 1777 sticky; chown 3:4 setgid; chmod 2775 setgid; chmod 555 deep
name=$(printf 'n%.0s' {1..200}); mkdir $name; echo long > $name/$name
printf 'x' > 'with space'; printf 'x' > $'new\nline'; printf 'x' > $'\xff\xfe'
chown 3000000000:4000000000 empty
truncate -s 50M sparse; printf 'middle' | dd of=sparse bs=1 seek=20000000 conv=notrunc status=none
printf 'end' | dd of=sparse bs=1 seek=52428797 conv=notrunc status=none
truncate -s 3M only-hole
head -c 2000000 /dev/zero > zeros; echo tail >> zeros
setfattr -n user.text -v value etc/plain
setfattr -n user.binary -v 0x000a0d3dff etc/plain
setfattr -n user.directory -v d setgid
setcap cap_net_raw+ep usr/bin/sgid
touch -d '2001-02-03 04:05:06.123456789' etc/plain usr/link -h
touch -d '1965-01-01 00:00:00' etc/nothing
touch -d '2010-01-01' -h dangling pipe deep/a/b/c deep/a/b deep/a deep usr/bin usr etc dev . ..
"#;

/// Everything that can be seen of a tree, one line an entry.
fn listing(root: &Path) -> String {
    let script = r#"cd "$1"; find . -printf '%P|%y|%m|%U:%G|%s|%T@|%l|%n\n' | LC_ALL=C sort
        find . -type f -print0 | LC_ALL=C sort -z | xargs -0 sha256sum
        getfattr -R -h -d -m - -e hex . 2>/dev/null
        find . \( -type b -o -type c \) -exec stat -c '%n %t:%T' {} + | sort"#;
    // The size of a directory is the file system's affair.
    let text = output("bash", &["-c", script, "-", root.to_str().unwrap()]);
    let without = |line: &str| {
        let mut fields: Vec<&str> = line.split('|').collect();
        if fields.get(1) == Some(&"d") {
            fields[4] = "";
        }
        fields.join("|")
    };
    text.lines().map(without).collect::<Vec<_>>().join("\n")
}

fn blocks(path: &Path) -> u64 {
    fs::symlink_metadata(path).unwrap().blocks()
}

fn compare(name: &str, pack: &str, extract: &str) {
    let scratch = Scratch::new(name);
    fs::create_dir(scratch.path("src")).unwrap();
    sh(&scratch.path("src"), TREE);
    sh(&scratch.0, pack);
    sh(&scratch.0, &format!("mkdir theirs; {extract}"));
    let outcome = scratch.unpack(&scratch.path("packed")).unwrap();
    let (ours, theirs) = (listing(&scratch.path("target/rootfs")), listing(&scratch.path("theirs/rootfs")));
    for (ours, theirs) in ours.lines().zip(theirs.lines()) {
        assert_eq!(ours, theirs);
    }
    assert_eq!(ours.lines().count(), theirs.lines().count());
    assert_eq!((outcome.devices_skipped, outcome.attributes_dropped, outcome.ignored), (0, 0, 0));
    // Holes stay holes, and zeros become some.
    for (file, most) in [("sparse", 32), ("only-hole", 0), ("zeros", 16)] {
        assert!(blocks(&scratch.root(file)) <= most, "{file}: {} blocks", blocks(&scratch.root(file)));
    }
    assert_eq!(fs::read_to_string(scratch.path("target/templates/hostname.tpl")).unwrap(), "{{ container.name }}\n");
    assert!(scratch.path("target/metadata.yaml").exists());
}

const EXTRACT: &str = "tar --numeric-owner --xattrs --xattrs-include='*' --acls -C theirs -xpf packed";

#[test]
fn a_squashfs_unpacks_as_with_its_own_tool() {
    let scratch = Scratch::new("squashfs");
    fs::create_dir(scratch.path("src")).unwrap();
    sh(&scratch.path("src"), TREE);
    sh(
        &scratch.path("src/rootfs"),
        "mkdir many; for i in $(seq 2000); do echo $i > many/file-$i; done; tar -cf below.tar many",
    );
    sh(&scratch.0, "tar -C src -cf metadata.tar metadata.yaml templates");
    let ways = [
        "gzip",
        "xz",
        "zstd",
        "lz4",
        "lzo",
        "lzma",
        "gzip -b 4K -no-fragments",
        "zstd -noI -noD -noF -b 1M",
        "xz -Xbcj x86",
    ];
    for way in ways {
        sh(&scratch.0, "rm -rf theirs target packed; mkdir theirs target");
        sh(&scratch.0, &format!("mksquashfs src/rootfs packed -quiet -no-progress -xattrs -comp {way} >/dev/null"));
        sh(&scratch.0, "unsquashfs -quiet -no-progress -d theirs/rootfs packed >/dev/null");
        let outcome =
            scratch.unpack_with(&[&scratch.path("metadata.tar"), &scratch.path("packed")], true, Limits::default());
        let outcome = outcome.unwrap_or_else(|e| panic!("{way}: {}", e.chain()));
        let (ours, theirs) = (listing(&scratch.path("target/rootfs")), listing(&scratch.path("theirs/rootfs")));
        for (ours, theirs) in ours.lines().zip(theirs.lines()) {
            assert_eq!(ours, theirs, "{way}");
        }
        assert_eq!(ours.lines().count(), theirs.lines().count());
        assert_eq!((outcome.devices_skipped, outcome.attributes_dropped, outcome.ignored), (0, 0, 0));
        assert!(blocks(&scratch.root("sparse")) <= 32 && blocks(&scratch.root("only-hole")) == 0);
    }
}

#[test]
fn a_pax_archive_unpacks_as_with_gnu_tar() {
    compare(
        "pax",
        "tar --format=pax --numeric-owner --xattrs --xattrs-include='*' --sparse -C src -cf packed metadata.yaml templates rootfs",
        EXTRACT,
    );
}

#[test]
fn a_gnu_archive_with_sparse_files_unpacks_as_with_gnu_tar() {
    // The GNU format has no attributes and no fractions of seconds.
    compare(
        "gnu",
        "tar --format=gnu --numeric-owner --sparse -C src -cf - metadata.yaml templates rootfs | gzip > packed",
        "tar --numeric-owner -C theirs -xpf packed",
    );
}

#[test]
fn each_version_of_pax_sparse_files_unpacks_as_with_gnu_tar() {
    for version in ["0.0", "0.1", "1.0"] {
        compare(
            &format!("sparse-{version}"),
            &format!(
                "tar --format=pax --sparse-version={version} --sparse --numeric-owner --xattrs --xattrs-include='*' \
                 -C src -cf - metadata.yaml templates rootfs | zstd -q > packed"
            ),
            EXTRACT,
        );
    }
}

#[test]
fn paths_may_begin_with_a_slash_or_a_dot() {
    for (name, transform) in [("slash", "s,^,/,"), ("dot", "s,^,./,"), ("slashes", "s,^,//.//,")] {
        compare(
            name,
            &format!(
                "tar -P --transform '{transform}S' --format=pax --numeric-owner --xattrs --xattrs-include='*' --sparse \
                 -C src -cf - metadata.yaml templates rootfs | xz -0 -T2 > packed"
            ),
            "tar --transform 's,^[/.]*,,S' --numeric-owner --xattrs --xattrs-include='*' -C theirs -xpf packed",
        );
    }
}

#[test]
fn a_split_image_unpacks_as_a_unified_one() {
    let scratch = Scratch::new("split");
    fs::create_dir(scratch.path("src")).unwrap();
    sh(&scratch.path("src"), TREE);
    sh(
        &scratch.0,
        "tar --numeric-owner -C src -cJf meta metadata.yaml templates; \
         tar --format=pax --numeric-owner --xattrs --xattrs-include='*' --sparse -C src/rootfs -cf - . | bzip2 > root",
    );
    let files = [scratch.path("meta"), scratch.path("root")];
    scratch.unpack_with(&[&files[0], &files[1]], true, Default::default()).unwrap();
    assert_eq!(listing(&scratch.path("target/rootfs")), listing(&scratch.path("src/rootfs")));
    assert!(scratch.path("target/templates/hostname.tpl").exists());
}

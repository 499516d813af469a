#!/bin/bash
# A full disk at each phase: a clear error, nothing left, and all works once there is space again.
. "$(dirname "$0")/lib.bash"
# A daemon of our own on a disk of 48 MB.
end_daemon TERM
truncate -s 48M "$SCRATCH/disk"
mkfs.ext4 -q -m 0 -O ^has_journal "$SCRATCH/disk" || fail "no mkfs.ext4"
mkdir "$SCRATCH/small"
mount -o loop "$SCRATCH/disk" "$SCRATCH/small" || fail "no loop device"
chmod 711 "$SCRATCH" "$SCRATCH/small"
export LXD_DIR=$SCRATCH/small/lxd LXD_SOCKET=$SCRATCH/small/lxd/unix.socket
mkdir -m 711 "$LXD_DIR"
MOUNTS_BEFORE=$(wc -l </proc/self/mountinfo)
begin_daemon
free() { df --output=avail -k "$LXD_DIR" | tail -n 1; }
# fill KB: leaves that much free. room: takes the ballast away.
fill() {
	local left=$1
	rm -f "$LXD_DIR/../ballast"
	head -c $(($(free) - left))K /dev/zero >"$LXD_DIR/../ballast" 2>/dev/null
	[ "$left" != 0 ] || head -c 1M /dev/zero >>"$LXD_DIR/../ballast" 2>/dev/null
}
room() { rm -f "$LXD_DIR/../ballast"; }
NO_SPACE='[Nn]o space left|the disk did not take it'
gone() { ! exists "$1"; }
exists() { req GET "$I/$1" && [ "$code" = 200 ]; }
same_space() { [ "$(free)" -ge $((space - 600)) ]; }
for pool in dir overlay; do
	it "$pool: says so at an import"
	does lxc storage create $pool $pool
	does lxc profile device add default root disk path=/ pool=$pool
	space=$(free)
	for left in 0 300; do
		fill $left
		refuses "$NO_SPACE" lxc image import "$BB" --alias bb
		room
		req GET /1.0/images
		meta . '[]'
		clean
	done

	it "$pool: says so at a launch"
	does lxc image import "$BB" --alias bb
	for left in 0 200 1200; do
		fill $left
		refuses "$NO_SPACE" lxc launch bb ful1 -q
		room
		exists ful1 && fail "it was made with $left KB"
		clean
	done
	launch ful1
	works ful1

	it "$pool: says so at a publish, a backup and its import"
	does lxc stop -f ful1
	does lxc export ful1 "$SCRATCH/export"
	images=$(ls "$LXD_DIR/images")
	nothing_of() { [ -z "$(find "$LXD_DIR" -name "$1*" -not -path "*/trash/*")" ]; }
	for left in 0 300; do
		fill $left
		refuses "$NO_SPACE" lxc publish ful1
		refuses "$NO_SPACE" lxc export ful1 "$SCRATCH/lost"
		refuses "$NO_SPACE" lxc import "$SCRATCH/export" ful2
		room
		exists ful2 && fail "it was made with $left KB"
		same "$(ls "$LXD_DIR/images")" "$images" "files of images"
		same "$(find "$LXD_DIR/backups" -type f | wc -l)" 0 "files of backups"
		until_true 10 nothing_of ful2 || fail "left behind: $(find "$LXD_DIR" -name "ful2*" | xargs)"
	done
	does lxc start ful1

	it "$pool: a start without space works, or fails as a whole"
	does lxc stop -f ful1
	fill 0
	out=$(bounded lxc start ful1) || like "$out" "$NO_SPACE" start
	if is_now ful1 Running; then works ful1; else same "$(groups_of ful1)" '' 'control groups'; fi
	room
	is_now ful1 Running || does lxc start ful1
	works ful1

	it "$pool: keeps guests that run on a full disk, and stops and deletes them"
	fill 0
	inside ful1 sh -c 'cat /dev/zero >/root/fill' 2>/dev/null
	inside ful1 sh -c 'for i in $(seq 2000); do echo "a line for the console, which nobody has space for"; done >/dev/console'
	works ful1
	does lxc console ful1 --show-log
	# Without space, a record can't be written; that is said, and nothing else happens.
	out=$(bounded lxc config set ful1 user.big "$(head -c 60000 /dev/zero | tr '\0' x)") || like "$out" "$NO_SPACE" 'config set'
	out=$(bounded lxc stop -f ful1)
	is_now ful1 Stopped || fail "not stopped: $out"
	same "$(groups_of ful1)" '' 'control groups'
	out=$(bounded lxc delete ful1) || like "$out" "$NO_SPACE" delete
	room
	exists ful1 && does lxc delete ful1
	clean

	it "$pool: snapshots, copies and restores fail as a whole, or work"
	does lxc init bb ful3 -q
	does lxc start ful3
	inside ful3 sh -c 'cat /bin/busybox /bin/busybox /bin/busybox >/root/large'
	does lxc snapshot ful3 one
	inside ful3 sh -c 'echo later >/root/later'
	listing() { (cd "$LXD_DIR/storage-pools/$pool" && find . -mindepth 2 -maxdepth 3 -not -path './trash*' -not -name '*backup.yaml*' | sort); }
	for left in 0 400; do
		before=$(listing)
		fill $left
		refuses "$NO_SPACE" lxc snapshot ful3 two
		works ful3
		refuses "$NO_SPACE" lxc copy ful3 ful4
		room
		works ful3
		until_true 10 gone ful4 || fail "a copy was left with $left KB"
		same "$(lxc query "$I/ful3/snapshots" | jq -c .)" '["/1.0/instances/ful3/snapshots/one"]' "snapshots with $left KB"
		same "$(listing)" "$before" "left with $left KB"
	done
	does lxc stop -f ful3
	fill 0
	out=$(bounded lxc restore ful3 one) || like "$out" "$NO_SPACE" restore
	room
	does lxc start ful3
	works ful3
	does lxc restore ful3 one
	same "$(inside ful3 sh -c 'test -e /root/later || echo back')" back
	does lxc snapshot ful3 two
	does lxc delete -f ful3
	clean

	it "$pool: starts up on a full disk, and adopts what runs"
	launch ful2
	fill 0
	another_daemon
	works ful2
	room
	works ful2
	does lxc delete -f ful2

	it "$pool: has all its space back"
	does lxc image delete bb
	clean
	until_true 10 same_space
	does lxc profile device remove default root
	does lxc storage delete $pool
done
end_daemon TERM
umount "$SCRATCH/small" || fail "still mounted: something holds it"
export LXD_DIR=$W/1 LXD_SOCKET=$W/1/unix.socket
begin_daemon
done_testing

#!/bin/bash
# The size of a root disk: project quotas, where the pool's file system has them; elsewhere it is taken and means nothing.
# covers: GET /1.0/instances/{name}/state
. "$(dirname "$0")/lib.bash"
MB=1048576
# A file system with quotas, where this kernel can; else the test's own.
mkdir "$SCRATCH/fs"
modprobe -a loop quota_v2 2>/dev/null
truncate -s 300M "$SCRATCH/image"
mke2fs -q -t ext4 -O quota,project -E quotatype=prjquota,lazy_itable_init=1 "$SCRATCH/image"
counting=''
mount -o loop,prjquota "$SCRATCH/image" "$SCRATCH/fs" 2>/dev/null && counting=1
echo "# project quotas: ${counting:-none}" >&2
# writes NAME MIB [FILE]: whether so much can be written in there.
writes() { inside "$1" dd if=/dev/zero of="/root/${3:-big}" bs=1M count="$2" conv=fsync 2>&1; }
full() { like "$(writes "$@")" 'quota exceeded|No space left'; }
# usage NAME: what the state says its root holds.
usage() { req GET "$I/$1/state" && get '.metadata.disk.root.usage // "none"'; }

# begin_pool DRIVER: a pool there, and a guest with a size.
begin_pool() {
	POOL=$1
	mkdir "$SCRATCH/fs/$POOL"
	does lxc storage create quota "$POOL" source="$SCRATCH/fs/$POOL"
	it "takes sizes that are ones, of the root disk alone ($POOL)"
	refuses 'Invalid value for device option "size"' lxc init bb quo0 -s quota -d root,size=huge
	does lxc init bb quo1 -q -s quota -d root,size=20MiB
	refuses 'Only the root disk may have a size quota' lxc config device add quo1 other disk source=/tmp path=/mnt size=1MB
	does lxc start quo1
}

if [ -z "$counting" ]; then
	begin_pool dir
	it "lets guests write where nothing is counted, and shows nothing"
	like "$(writes quo1 30)" '30\+0 records out'
	same "$(usage quo1)" none
	does lxc config device set quo1 root size=25MiB
	if ours; then grep -q 'No project quotas there' "$DAEMON_LOG"/daemon1.log || fail "$(tail -n 5 "$DAEMON_LOG"/daemon1.log)"; fi
	does lxc delete -f quo1
	does lxc storage delete quota
	done_testing
	exit
fi

counted() {
	begin_pool "$1"

	it "lets a guest write so much, and no more ($POOL)"
	like "$(writes quo1 10)" '10\+0 records out'
	full quo1 30
	like "$(inside quo1 df -k / | tail -n 1)" ' 20480 '

	it "doesn't make what is larger ($POOL)"
	if [ "$POOL" = dir ]; then
		refuses "uota exceeded|No space" lxc init bb quo0 -q -s quota -d root,size=100KiB
		req GET $I/quo0
		error 404 '^Instance not found$'
	fi

	it "shows what it holds ($POOL)"
	inside quo1 rm -f /root/big
	inside quo1 sync
	before=$(usage quo1)
	writes quo1 5 >/dev/null
	after=$(usage quo1)
	((after - before >= 5 * MB && after - before < 6 * MB)) || fail "$before, then $after"
	like "$(lxc info quo1)" 'Disk usage:'

	it "changes while the guest runs, and with its profile ($POOL)"
	does lxc config device set quo1 root size=40MiB
	like "$(writes quo1 30)" '30\+0 records out'
	does lxc config device set quo1 root size=35MiB
	full quo1 10 more
	does lxc config device unset quo1 root size
	like "$(writes quo1 60)" '60\+0 records out'
	inside quo1 rm -f /root/big /root/more
	does lxc profile create quo
	does lxc profile device add quo root disk path=/ pool=quota size=15MiB
	does lxc launch bb quo2 -q -p quo
	full quo2 16
	does lxc profile device set quo root size=30MiB
	like "$(writes quo2 16)" '16\+0 records out'

	it "goes on behind a stop, a restart, a rename, a copy and a snapshot's restore ($POOL)"
	does lxc config device set quo1 root size=20MiB
	does lxc stop -f quo1
	does lxc snapshot quo1 s
	does lxc copy quo1 quo3
	does lxc rename quo1 quo4
	for name in quo3 quo4; do
		does lxc start $name
		full $name 30
		inside $name rm /root/big
	done
	does lxc stop -f quo4
	does lxc restore quo4 s
	does lxc start quo4
	full quo4 30
	does lxc restart -f quo4
	full quo4 30
	inside quo4 rm /root/big

	it "counts each for itself ($POOL)"
	like "$(writes quo4 8)" '8\+0 records out'
	((before = $(usage quo3), before < 8 * MB)) || [ "$POOL" = dir ] || fail "quo3 holds $before"
	like "$(writes quo3 8)" '8\+0 records out'

	it "lets a guest move, link and rename whatever is in its tree ($POOL)"
	does lxc exec quo4 -- sh -c 'cd /root && ln -s /etc/passwd l && mv l /etc/l && mv /etc/l /root/k && cp /etc/group g && ln g /etc/h && ln /etc/passwd p && mv /bin/ls /root/ls && mv /root/ls /bin/ls && mkdir d && mv d /etc/d && rm -r /etc/d /etc/h g k p'

	if ours; then
		it "takes over what was made before there were quotas ($POOL)"
		[ "$POOL" = dir ] && place=$SCRATCH/fs/dir/containers/quo3 || place=$SCRATCH/fs/overlay/overlay/uppers/quo3
		does lxc stop -f quo3
		find "$place" \( -type d -o -type f \) -exec chattr -P {} + -exec chattr -p 0 {} +
		same "$(usage quo3)" none
		does lxc start quo3
		[ "$(usage quo3)" -gt $((8 * MB)) ] || fail "it holds $(usage quo3)"
		full quo3 30
	fi

	it "forgets the limits of what is gone ($POOL)"
	does lxc delete -f quo2 quo3 quo4
	does lxc launch bb quo5 -q -s quota
	like "$(writes quo5 50)" '50\+0 records out'
	does lxc delete -f quo5
	does lxc profile delete quo
	until_true 20 lxc storage delete quota
}

counted dir
! ours || counted overlay
umount "$SCRATCH/fs"
done_testing

#!/bin/bash
# Keys of disks: sources of all kinds, shifted owners, file systems on block devices, limits.
# covers: PATCH /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
D=$SCRATCH/disks
mkdir -p "$D/tree/sub" && echo text >"$D/file" && echo inside >"$D/tree/f"
mount -t tmpfs tmpfs "$D/tree/sub" && echo below >"$D/tree/sub/g"
add() { does lxc config device add "$n" "$@"; }
gone() { does lxc config device remove "$n" "$1"; }
# throttle INSTANCE V1-FILE: the line of the root disk's device.
throttle() {
	local pid group
	pid=$(req GET "$I/$1/state"; get .metadata.pid)
	group=$(sed -n 's/^[0-9]*:blkio://p' "/proc/$pid/cgroup" | sed 's,^\(/.*lxc\.payload[^/]*\).*,\1,')
	if [ -n "$group" ]; then sed 's/.* //' "/sys/fs/cgroup/blkio$group/blkio.throttle.$2"; fi
}
n=disks1
launch $n

it "mounts trees, with what is mounted below them or without"
add d disk "source=$D/tree" path=/mnt/d
same "$(inside $n cat /mnt/d/f)" inside
like "$(inside $n cat /mnt/d/sub/g 2>&1)" 'No such file'
gone d
add d disk "source=$D/tree" path=/mnt/d recursive=true
same "$(inside $n cat /mnt/d/sub/g)" below
gone d
like "$(inside $n ls -d /mnt/d 2>&1)" 'No such file' 'the place that was made for it'

it "mounts files, device nodes and sockets"
add d disk "source=$D/file" path=/mnt/file
same "$(inside $n cat /mnt/file)" text
gone d
add d disk source=/dev/zero path=/mnt/zero
same "$(inside $n stat -c '%F %t:%T' /mnt/zero)" 'character special file 1:5'
gone d
"$(dirname "$0")/../tools/ends" serve "unix:$D/socket" >"$SCRATCH/ready" 2>&1 &
ends=$!
until_true 5 grep -q ready "$SCRATCH/ready"
add d disk "source=$D/socket" path=/mnt/socket
same "$(inside $n stat -c %F /mnt/socket)" socket
gone d
kill $ends

it "mounts read-only"
add d disk "source=$D/tree" path=/mnt/d readonly=true
like "$(inside $n touch /mnt/d/new 2>&1)" 'Read-only'
gone d

it "takes a path with dots for what it means"
mkdir -p "$SCRATCH/dots" && echo dots >"$SCRATCH/dots/file"
does lxc config device add "$n" dots disk "source=$SCRATCH/dots" path=mnt/no/../../mnt2/./x
same "$(inside "$n" cat /mnt2/x/file)" dots
ours && inside "$n" test -e /mnt/no && fail "a directory nobody asked for"
does lxc config device remove "$n" dots

it "goes without what isn't required"
refuses 'Missing source path "[^"]*/missing" for disk "d"' lxc config device add $n d disk "source=$D/missing" path=/mnt/d
add d disk "source=$D/missing" path=/mnt/d required=false
gone d
refuses 'Cannot use both "required" and deprecated "optional"' lxc config device add $n d disk "source=$D/file" path=/mnt/d required=false optional=true

it "limits what is read and written"
refuses 'Invalid value: abc|Invalid value for device option "limits.max"' lxc config device add $n d disk "source=$D/tree" path=/mnt/d limits.max=abc
if [ -d /sys/fs/cgroup/blkio ]; then
	does lxc config device override $n root limits.read=30MB limits.write=100iops
	same "$(throttle $n read_bps_device) $(throttle $n write_iops_device)" '30000000 100'
	does lxc config device set $n root limits.read= limits.write=
	does lxc config device set $n root limits.max=2MB
	same "$(throttle $n read_bps_device) $(throttle $n write_bps_device)" '2000000 2000000'
	does lxc restart -f $n
	same "$(throttle $n read_bps_device) $(throttle $n write_bps_device)" '2000000 2000000' 'after a restart'
	if ours; then
		does lxc config device unset $n root limits.max
		same "$(throttle $n read_bps_device)$(throttle $n write_iops_device)" '' 'lifted'
	fi
fi

truncate -s 20M "$D/image" && mkfs.ext4 -q "$D/image"
if loop=$(losetup -f --show "$D/image" 2>/dev/null); then
	it "mounts the file system on a block device"
	add d disk "source=$loop" path=/mnt/block
	like "$(inside $n grep ' /mnt/block ' /proc/self/mounts)" 'ext4 rw'
	same "$(inside $n stat -c %F /mnt/block/lost+found)" directory
	gone d
	refuses 'Failed to start device "d"' lxc config device add $n d disk "source=$loop" path=/mnt/block raw.mount.options=nonsense=1
	if ours; then
		add d disk "source=$loop" path=/mnt/block raw.mount.options=errors=remount-ro,data=journal,nodiratime readonly=true
		like "$(inside $n grep ' /mnt/block ' /proc/self/mounts)" 'ext4 ro,nodiratime.*errors=remount-ro,data=journal'
		gone d
	fi
	does lxc stop -f $n
	add d disk "source=$loop" path=/mnt/block
	does lxc start $n
	like "$(inside $n grep ' /mnt/block ' /proc/self/mounts)" 'ext4 rw' 'from the start on'
	gone d
	until_true 10 losetup -d "$loop"
fi

if ours; then
	it "shifts owners"
	add d disk "source=$D/tree" path=/mnt/d shift=true
	same "$(inside $n stat -c '%u:%g' /mnt/d/f)" 0:0
	does inside $n touch /mnt/d/new
	same "$(stat -c '%u:%g' "$D/tree/new")" 0:0 'what the guest wrote'
	gone d
	add d disk "source=$D/tree" path=/mnt/d
	same "$(inside $n stat -c %u /mnt/d/f)" 65534 'without'
	gone d

	it "mounts with the options that any mount can have, and refuses others by name"
	add d disk "source=$D/tree" path=/mnt/d raw.mount.options=noatime,nosuid,nodev,noexec
	like "$(inside $n grep ' /mnt/d ' /proc/self/mounts)" 'rw,nosuid,nodev,noexec,noatime'
	does lxc config device set $n d raw.mount.options=ro
	like "$(inside $n grep ' /mnt/d ' /proc/self/mounts)" ' ro,relatime'
	gone d
	refuses 'can have the mount option "size=1"' lxc config device add $n d disk "source=$D/tree" path=/mnt/d raw.mount.options=size=1
	same "$(lxc config device list $n | grep -c '^d$')" 0
fi
does lxc delete -f $n
umount "$D/tree/sub"
it "has what is mounted below its source while it runs, unless it is private"
mkdir "$SCRATCH/follow"
does mount -t tmpfs -o mode=0777 follow "$SCRATCH/follow"
does mount --make-shared "$SCRATCH/follow"
mkdir "$SCRATCH/follow/"{before,later,guest}
does mount -t tmpfs before "$SCRATCH/follow/before"
echo before >"$SCRATCH/follow/before/file"
launch disf
later() {
	does mount -t tmpfs later "$SCRATCH/follow/later"
	echo later >"$SCRATCH/follow/later/file"
	same "$(inside disf cat /mnt/before/file 2>/dev/null || true) $(inside disf cat /mnt/later/file 2>/dev/null || true)" "$1" "$2"
	does umount "$SCRATCH/follow/later"
	same "$(inside disf ls /mnt/later)" '' "$2, when it is gone"
}
for recursive in false true; do
	seen=
	[ $recursive = false ] || seen=before
	does lxc config device add disf d disk "source=$SCRATCH/follow" path=/mnt recursive=$recursive
	later "$seen later" "plugged in, recursive=$recursive"
	does lxc restart -f disf
	later "$seen later" "at the start, recursive=$recursive"
	does lxc config device set disf d propagation=private
	does lxc restart -f disf
	later "$seen " "private, recursive=$recursive"
	does lxc config device remove disf d
done
does lxc config device add disf d disk "source=$SCRATCH/follow" path=/mnt propagation=shared
does lxc restart -f disf
does inside disf mount -t tmpfs guest /mnt/guest
does inside disf touch /mnt/guest/file
same "$(ls "$SCRATCH/follow/guest")" '' "what the guest mounts"
does lxc delete -f disf
does umount -R "$SCRATCH/follow"
refuses . lxc init --empty disg -d d,source=/tmp,path=/mnt,type=disk,propagation=nonsense
done_testing

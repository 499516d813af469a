#!/bin/bash
# System calls that are done outside of a container, for it: mknod, setxattr, sched_setscheduler, sysinfo, mount, bpf.
# covers: PUT /1.0/instances/{name}/state
. "$(dirname "$0")/lib.bash"
# LXD 5.0.2 binds a node of its own to the name when its first way fails, which not every kernel lets it do; of its commands in a
# container whose calls are intercepted every other one gets lost on the way.
if ! ours; then
	inside() {
		local name=$1 said code tries=0
		shift
		while said=$(timeout 90 lxc exec "$name" -- "$@" </dev/null 2>&1) && code=0 || code=$?; do
			[[ $said == *'Failed to retrieve PID'* ]] && ((tries++ < 30)) || break
		done
		[ -z "$said" ] || echo "$said"
		return "$code"
	}
fi
K=security.syscalls.intercept
build() { # OUT [OPTION]: the program of one system call
	cc -static -nostdlib -fno-stack-protector -fno-pic -no-pie -O1 "${@:2}" -o "$1" "$TOOLS/syscall.c" || fail 'no compiler'
}
build "$SCRATCH/call"
case $(uname -m) in
x86_64) SETXATTR=188 LSETXATTR=189 FSETXATTR=190 GETXATTR=191 SCHED=144 SYSINFO=99 MKNODAT=259 SECCOMP=317 MOUNT=165 BPF=321 ;;
*) SETXATTR=5 LSETXATTR=6 FSETXATTR=7 GETXATTR=8 SCHED=119 SYSINFO=179 MKNODAT=33 SECCOMP=277 MOUNT=40 BPF=280 ;;
esac
call() { inside int1 /call "$@"; } # prints what the kernel answers
again() { # once more, with the new configuration
	lxc stop -f int1 >/dev/null 2>&1 </dev/null
	does lxc start int1
}
node() { inside int1 stat -c '%F %t:%T %a %u:%g' "$1"; }
does lxc init bb int1 -q
does lxc file push -q --mode 0755 "$SCRATCH/call" int1/call
does lxc start int1

it "does nothing of that unasked"
ends 1 inside int1 mknod /root/null c 1 3
like "$out" 'Operation not permitted'
gives -1 eval "call $SETXATTR =/root =trusted.overlay.opaque =y 1 1 || :"
[ "$(call $SCHED 0 1 :32000000)" = -1 ] || fail 'anybody may have real time'
same "$(inside int1 sh -c 'grep Seccomp_filters /proc/self/status || echo 1' | tr -dc 0-9)" 1 'filters'

it "makes the device nodes that harm nobody"
does lxc config set int1 $K.mknod=true
again
if ours; then
	for device in 0:0 1:3 1:5 1:7 1:8 1:9 5:0 5:1; do
		[ "$device" != 0:0 ] || [ "${LXBOX_POOL:-dir}" != overlay ] || continue
		does inside int1 mknod -m 640 "/root/n$device" c "${device%:*}" "${device#*:}"
		same "$(node "/root/n$device")" "character special file $(printf %x:%x "${device%:*}" "${device#*:}") 640 0:0" "$device"
	done
	does inside int1 sh -c 'cd /root; echo x >n1:3; [ "$(head -c 3 n1:5 | tr "\0" 0)" = 000 ]'
	# From where it is, with its mask, as whom it is.
	does inside int1 sh -c 'mkdir -p /root/d; cd /root/d; ln -s .. up; umask 027; mknod up/here c 1 3'
	same "$(node /root/here)" 'character special file 1:3 640 0:0'
	does inside int1 sh -c 'mkdir -m 711 /root/alice; chown 1000:1000 /root/alice; chmod 711 /root'
	# 0x103 is 1:3.
	same "$(call $MKNODAT -100 =/root/alice/as-root 8612 0x103)" 0
	same "$(call $MKNODAT -100 =/nowhere/x 8612 0x103)" -2 'a directory that is missing'
	same "$(call $MKNODAT -100 =/root/here 8612 0x103)" -17 'a name that is taken'
	same "$(call $MKNODAT -100 =/proc/x 8612 0x103)" -13 'a place where no files are made'
	same "$(call $MKNODAT 77 =x 8612 0x103)" -9 'a descriptor that is not there'
	same "$(call $MKNODAT 0 =x 8612 0x103)" -20 'a descriptor of no directory'
	same "$(call $MKNODAT -100 16 8612 0x103)" -14 'a name that is not there'
	same "$(call $MKNODAT -100 "=/root/$(printf 'x%.0s' {1..4200})" 8612 0x103)" -36 'a long name'
	# A chroot is one: absolute links are the caller's.
	does inside int1 sh -c 'mkdir -p /root/jail/in; ln -s /in /root/jail/link; cp /call /root/jail/call'
	same "$(inside int1 chroot /root/jail /call $MKNODAT -100 =/link/../../../null 8612 0x103)" 0
	same "$(node /root/jail/null)" 'character special file 1:3 644 0:0'
	ends 1 inside int1 test -e /null
fi

it "makes them where a guest's own file system is, and they can be opened there"
if ours; then
	does inside int1 sh -c 'mkdir -p /root/own; mount -t tmpfs none /root/own; umask 0; for d in /dev /root/own; do mknod -m 640 $d/mine c 1 3; chown 5:6 $d/mine; mknod $d/data c 1 5; mknod $d/out c 1 7; done'
	for place in /dev /root/own; do
		same "$(node $place/mine)" 'character special file 1:3 640 5:6'
		does inside int1 sh -c "cd $place; echo x >mine; [ \"\$(head -c 3 data | tr '\0' 0)\" = 000 ]; ! echo x >out"
		# Mounted: it goes as mounts do.
		ends 1 inside int1 rm "$place/mine"
		does inside int1 sh -c "cd $place; umount mine; ! echo x 2>/dev/null >>mine; rm mine; mknod mine c 1 9; head -c 1 mine >/dev/null"
	done
	does inside int1 umount -l /root/own
	# What is taken by nodes of the host's has an end, and they go with their mounts.
	does inside int1 sh -c 'mkdir -p /dev/many; i=0; while [ $i -lt 50 ]; do mknod /dev/many/$i c 1 3 && echo >/dev/many/$i || exit 1; i=$((i+1)); done; for n in /dev/many/*; do umount $n && rm $n || exit 1; done'
fi

it "makes no others, and no more for others than the kernel does"
for device in 'c 1 11' 'c 1 1' 'c 10 200' 'b 8 0' 'b 1 3' 'c 1 259'; do
	ends 1 inside int1 mknod /root/other $device
	like "$out" 'Operation not permitted' "$device"
done
does inside int1 sh -c "[ -p /root/fifo ] || mknod /root/fifo p"
does inside int1 sh -c ': >/root/plain'
if ours; then
	ends 1 lxc exec int1 --user 1000 -- mknod /tmp/null c 1 3
	like "$out" 'Operation not permitted'
	# As root of a user namespace of its own: that isn't the container's.
	does inside int1 sh -c '! unshare -U -r mknod /tmp/nested c 1 3 2>/dev/null; [ ! -e /tmp/nested ]'
fi

it "says who makes them: commands as well as what process 1 has started"
if ours; then
	does inside int1 sh -c 'rm -f /root/n*; printf "#!/bin/sh\nmknod /root/first c 1 3\nexec /sbin/init.real\n" >/root/init; chmod 755 /root/init; mv /sbin/init /sbin/init.real; mv /root/init /sbin/init'
	again
	until_true 10 inside int1 test -c /root/first
	for i in 1 2 3 4 5 6 7 8; do inside int1 sh -c "for n in 1 2 3 4 5; do mknod /root/n$i-\$n c 1 3 || exit 1; done" & done
	wait
	gives 40 inside int1 sh -c 'ls /root/n*-* | wc -l'
fi

it "has no second listener, nor any filter that wants one"
gives -22 eval "call $SECCOMP 1 8 :0 || :"

it "sets the attribute of opaque directories"
does lxc config set int1 $K.setxattr=true $K.mknod=false
again
xattr() { call "$@" || :; }
does inside int1 mkdir -p /root/x /root/y
if ours && [ "${LXBOX_POOL:-dir}" != overlay ]; then
	same "$(xattr $SETXATTR =/root/x =trusted.overlay.opaque =y 1 1)" 0 'a new one'
	same "$(xattr $SETXATTR =/root/x =trusted.overlay.opaque =y 1 1)" -17 'the same again'
	same "$(xattr $SETXATTR =/root/x =trusted.overlay.opaque =x 1 2)" 0 'another value'
	same "$(xattr $LSETXATTR =/root/y =trusted.overlay.opaque =y 1 0)" 0 'lsetxattr'
	# Of the host alone.
	same "$(getfattr --only-values -n trusted.overlay.opaque "$LXD_DIR/storage-pools/default/containers/int1/rootfs/root/x" 2>/dev/null)" x
	same "$(inside int1 sh -c "/call $FSETXATTR 0 =trusted.overlay.opaque =y 1 0 </root/x")" 0 'fsetxattr'
	same "$(xattr $SETXATTR =/nowhere =trusted.overlay.opaque =y 1 1)" -2
	same "$(xattr $SETXATTR =/root/x =trusted.overlay.opaque 16 1 0)" -14
	same "$(lxc exec int1 --user 1000 -- /call $SETXATTR =/tmp =trusted.overlay.opaque =y 1 0 </dev/null)" -1 'as a user'
fi
same "$(xattr $SETXATTR =/root/y =trusted.overlay.redirect =y 1 1)" -1 'another of overlayfs'
same "$(xattr $SETXATTR =/root/y =trusted.other =y 1 1)" -1 'another that is trusted'
same "$(xattr $SETXATTR =/root/y =user.mine =y 1 1)" 0 'one of its own'
same "$(xattr $GETXATTR =/root/y =user.mine @1 1)" $'1\n79'

it "schedules processes in real time"
does lxc config set int1 $K.sched_setscheduler=true $K.setxattr=false
again
if ours; then
	# Groups of v1 have no time for that (cpu.rt_runtime_us is 0); the batch class is free for all.
	same "$(call $SCHED 0 3 :00000000)" 0 'itself'
	does inside int1 sh -c 'sleep 100 & echo $! >/root/pid'
	pid=$(inside int1 cat /root/pid)
	same "$(call $SCHED "$pid" 3 :00000000)" 0 'another'
	same "$(inside int1 sed 's/.*) //' "/proc/$pid/stat" | cut -d' ' -f39)" 3 'its class'
	same "$(call $SCHED 9999999 1 :01000000)" -3 'nobody'
	same "$(call $SCHED 0 1 :ff000000)" -22 'a priority there is not'
	same "$(call $SCHED 0 1 16)" -14 'a structure that is not there'
	same "$(lxc exec int1 --user 1000 -- /call $SCHED 0 1 :01000000 </dev/null)" -1 'as a user'
	files=$(find /sys/fs/cgroup -path "*/${W##*/}/*" -name cpu.rt_runtime_us 2>/dev/null | awk '{print length, $0}' | sort -n | cut -d' ' -f2-)
	for file in $files; do echo 10000 >"$file" 2>/dev/null; done
	same "$(call $SCHED 0 1 :05000000)" 0 'the first of them'
fi

if ours; then
	it "tells of the container's own memory and age"
	does lxc config set int1 $K.sysinfo=true $K.sched_setscheduler=false limits.memory=64MiB
	again
	# struct sysinfo: age, three loads, memory in all, …
	told=$(call $SYSINFO @112 | tail -n 1)
	word() { local hex=${told:$(($1 * 16)):16}; echo $((0x${hex:14:2}${hex:12:2}${hex:10:2}${hex:8:2}${hex:6:2}${hex:4:2}${hex:2:2}${hex:0:2})); }
	[ "$(word 0)" -lt 60 ] || fail "the age is $(word 0)"
	same "$(word 4)" $((64 << 20)) 'memory'
	[ "$(word 5)" -gt 0 ] && [ "$(word 5)" -lt $((64 << 20)) ] || fail "free is $(word 5)"
	same "$((0x${told:162:2}${told:160:2} < 50))" 1 'processes'
	same "$(call $SYSINFO 16)" -14 'a structure that is not there'
	like "$(inside int1 free -m)" 'Mem: +6[0-9] '

	it "knows calls of other architectures"
	if [ "$(uname -m)" = x86_64 ] && build "$SCRATCH/call32" -m32; then
		does lxc file push -q --mode 0755 "$SCRATCH/call32" int1/call32
		told=$(inside int1 /call32 116 @64 | tail -n 1)
		same "$((0x${told:38:2}${told:36:2}${told:34:2}${told:32:2} * 4096))" $((64 << 20)) 'memory'
		does lxc config set int1 $K.mknod=true
		again
		same "$(inside int1 /call32 14 =/root/narrow 8612 259)" 0
		same "$(node /root/narrow)" 'character special file 1:3 644 0:0'
		same "$(inside int1 /call32 14 =/root/narrower 8612 267)" -1
	fi
fi

it "mounts what is allowed of what is on devices of the container"
image=$SCRATCH/int-disk
truncate -s 16M "$image"
mkdir "$SCRATCH/int-tree" && echo hello >"$SCRATCH/int-tree/file"
mkfs.ext4 -q -E root_owner=0:0 -d "$SCRATCH/int-tree" "$image" >/dev/null || fail 'no mkfs.ext4'
debugfs -w -R 'mknod node c 1 3' "$image" 2>/dev/null
disk=$(losetup -f --show "$image") || fail 'no loop device'
does lxc stop -f int1
does lxc config set int1 $K.mount=true $K.mount.allowed=ext4 $K.mount.shift=true $K.mknod=false
! ours || does lxc config unset int1 $K.sysinfo
does lxc config device add int1 disk unix-block source="$disk" path=/dev/int-disk
does lxc start int1
in1() { inside int1 "$@"; }
refused() { refuses "$1" in1 mount "${@:2}"; } # REGEX WORD...: mounting fails in there
if ours; then
	does in1 mount -t ext4 -o noatime,nosuid /dev/int-disk /mnt
	gives hello in1 cat /mnt/file
	gives '0:0' in1 stat -c '%u:%g' /mnt/file
	like "$(in1 grep /mnt /proc/mounts)" '^/dev/int-disk /mnt ext4 rw,nosuid,nodev,noatime'
	does in1 sh -c 'echo more >/mnt/more; chown 7:8 /mnt/more'
	# A node that somebody has put there opens nothing, and its owner in there can't change that.
	ends 1 in1 sh -c 'echo x >/mnt/node'
	like "$out" 'Permission denied'
	refused 'ermission denied|not permitted' -o remount,bind,dev /mnt
	does in1 umount /mnt
	does in1 mount -t ext4 -r /dev/int-disk /mnt
	ends 1 in1 touch /mnt/x
	does in1 umount /mnt
	# Where it is, by relative names.
	does in1 sh -c 'mkdir /root/there; cd /root; mount -t ext4 ../dev/int-disk there && umount there'
	refused 'ermission denied|not permitted' -t ext4 -o journal_path=/dev/int-disk /dev/int-disk /mnt
	refused 'not permitted|ermission denied' -t ext4 -o errors=panic /dev/int-disk /mnt
	refused 'lock device' -t ext4 /dev/null /mnt
	refused 'o such file' -t ext4 /dev/nothing /mnt
	refused 'o such file|t a directory' -t ext4 /dev/int-disk /nowhere
	out=$(timeout 20 lxc exec int1 --user 1000 -- /call "$MOUNT" =/dev/int-disk =/mnt =ext4 0 0 </dev/null)
	same "$out" -1 'as a user'
	# What is not on the list is the kernel's to allow, as ever.
	refused 'ermitted|ermission' -t squashfs /dev/int-disk /mnt
	does in1 mount -t tmpfs none /mnt
	does in1 umount /mnt
	does in1 mount --bind /root /mnt
	does in1 umount /mnt
	# Another daemon, other rules: at once.
	does lxc config set int1 $K.mount.allowed=xfs
	refused 'ermitted|ermission' -t ext4 /dev/int-disk /mnt
	does lxc config set int1 $K.mount.allowed=xfs,ext4 $K.mount.shift=false
	does in1 mount -t ext4 /dev/int-disk /mnt
	gives '65534:65534' in1 stat -c '%u:%g' /mnt/file
	does in1 umount /mnt
	refuses '"overlay" in "security.syscalls.intercept.mount.allowed" is not supported yet' lxc config set int1 $K.mount.allowed=ext4,overlay
fi

it "has programs of the container mount"
printf '#!/bin/sh\n{ echo "$@"; id -u; echo $(grep -E "^(CapEff|Seccomp|Groups)" /proc/self/status) $(ls /proc/self/fd | wc -l); cat /proc/self/cgroup; hostname; } >/tmp/told 2>&1\n[ -e /tmp/well ]\n' >"$SCRATCH/program"
does lxc file push -q --mode 0755 "$SCRATCH/program" int1/bin/mount.fuse
refuses 'Filesystem ext4 cannot appear in security.syscalls.intercept.mount.allowed and security.syscalls.intercept.mount.fuse' lxc config set int1 $K.mount.fuse=ext4=fuse2fs
does lxc config set int1 $K.mount.allowed= $K.mount.fuse=ext4=fuse2fs
does in1 touch /tmp/well
told=$(in1 /call "$MOUNT" =/dev/int-disk =/mnt =ext4 0x401 =a,b=3)
same "$told" 0
like "$(in1 sed -n 1p /tmp/told)" '^fuse2fs#/dev/int-disk /mnt -o a,b=3,ro,noatime$'
if ours; then
	like "$(in1 cat /tmp/told)" $'\n0\nGroups: CapEff: 000001ffffffffff Seccomp: 2 Seccomp_filters: 1 4\n'
	like "$(in1 cat /tmp/told)" 'int1$'
	unlike "$(in1 cat /tmp/told)" lxc.monitor
	does in1 rm /tmp/well
	same "$(in1 /call "$MOUNT" =/dev/int-disk =/mnt =ext4 0 0)" -22 'a program that fails'
	does in1 rm /bin/mount.fuse
	same "$(in1 /call "$MOUNT" =/dev/int-disk =/mnt =ext4 0 0)" -22 'a program there is not'
	refuses 'Invalid value for "security.syscalls.intercept.mount.fuse"' lxc config set int1 $K.mount.fuse=ext4
fi
does lxc stop -f int1
does lxc config device remove int1 disk
losetup -d "$disk"

if ours && grep -q '^cgroup2 ' /proc/mounts; then
	it "loads and attaches programs that take devices from its own groups"
	does lxc config set int1 $K.bpf=true $K.bpf.devices=true $K.mount=false
	does lxc start int1
	does in1 sh -c 'mkdir -p /root/cg; mount -t cgroup2 none /root/cg; mkdir /root/cg/sub'
	nothing=':0f00000002000000[b7000000000000009500000000000000][47504c00]' # a program that allows no device
	first() { in1 sh -c "exec </root/cg$1; exec /call $BPF 5 $nothing 48 -- $BPF ${2:-8} :00000000030000000600000002000000 16 ${*:3}"; }
	same "$(first /sub)" $'3\n0'
	ends 1 in1 sh -c 'echo $$ >/root/cg/sub/cgroup.procs; head -c 1 /dev/zero'
	like "$out" 'Operation not permitted'
	does in1 mkdir /root/cg/other
	same "$(first /other 8 -- "$BPF" 9 :000000000300000006000000 12)" $'3\n0\n0'
	does in1 sh -c 'echo $$ >/root/cg/other/cgroup.procs; head -c 1 /dev/zero >/dev/null'
	same "$(first '')" $'3\n-1' 'the group that it begins with'
	# Several at once: each gets its descriptor, and its number.
	many() { in1 sh -c "for n in 1 2 3 4 5 6; do (i=0; while [ \$i -lt 50 ]; do (exec </root/cg/sub; exec /call $BPF 5 $nothing 48); i=\$((i + 1)); done) & done; wait" | sort | uniq -c; }
	same "$(many | xargs)" '300 3'
	same "$(first /sub 8 | tail -n 1; in1 sh -c "/call $BPF 8 :00000000010000000600000002000000 16 </root")" $'0\n-9' 'no group'
	# Of another kind, with a map that isn't its own, too long.
	same "$(in1 /call "$BPF" 5 "${nothing/:0f/:01}" 48)" -1
	same "$(in1 /call "$BPF" 5 ":0f00000003000000[1811000003000000000000000000000095000000000000000][47504c00]" 48)" -1
	same "$(in1 /call "$BPF" 5 "${nothing/02000000/02000100}" 48)" -7
	same "$(in1 /call "$BPF" 5 16 48)" -14
	does lxc stop -f int1
fi

if ours; then
	it "is nothing for privileged containers, which may do all that"
	does lxc config set int1 security.privileged=true
	does lxc start int1
	does inside int1 mknod /root/kmsg c 1 11
fi
does lxc delete -f int1
done_testing

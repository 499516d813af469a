#!/bin/bash
# Devices `unix-char` and `unix-block`: at a start and while the guest runs, with and without a user namespace.
# covers: PATCH /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
# Nodes of the host: a file system of this run's own, beside one name in /dev itself, which all of the machine sees.
mkdir -p /dev/lxbt && mount -t tmpfs tmpfs /dev/lxbt
comes=/dev/lxbt-$$
trap 'rm -f "$comes"; rmdir /dev/lxbt 2>/dev/null; '"$(trap -p EXIT | sed "s/^trap -- '//; s/' EXIT$//; s/'\\\\''/'/g")" EXIT
mknod /dev/lxbt/a c 1 5 && mknod /dev/lxbt/b b 7 7 && mknod /dev/lxbt/full c 1 7
# node INSTANCE PATH: kind, numbers, owner and mode as the guest sees them.
node() { inside "$1" stat -c '%F %t:%T %u:%g %a' "$2" 2>&1; }
# reads INSTANCE PATH: the first byte of it, in words; or the refusal.
reads() { inside "$1" sh -c "head -c 1 $2 | od -An -tx1" 2>&1 | tr -d '\n' | sed 's/^ *//'; }

for kind in plain privileged; do
	n=unix-$kind
	does lxc init bb "$n" -q $([ $kind = plain ] || echo -c security.privileged=true)

	it "gives a $kind guest nodes at its start"
	does lxc config device add "$n" a unix-char source=/dev/lxbt/a path=/dev/xa
	does lxc config device add "$n" z unix-char path=/dev/xz major=1 minor=3 uid=5 gid=6 mode=0640
	does lxc config device add "$n" b unix-block source=/dev/lxbt/b
	does lxc config device add "$n" far unix-char source=/dev/lxbt/a path=some/where/far
	does lxc config device add "$n" later unix-char "source=$comes" path=/dev/later required=false mode=0644
	does lxc start "$n"
	same "$(node "$n" /dev/xa)" 'character special file 1:5 0:0 660'
	same "$(node "$n" /dev/xz)" 'character special file 1:3 5:6 640'
	same "$(node "$n" /dev/lxbt/b)" 'block special file 7:7 0:0 660'
	same "$(node "$n" /some/where/far)" 'character special file 1:5 0:0 660'
	same "$(reads "$n" /dev/xa)" 00 'a device is read'
	inside "$n" sh -c 'echo x >/dev/xz' || fail "a device can't be written"
	like "$(node "$n" /dev/later)" 'No such file'

	it "gives them to a $kind guest that runs, changes them and takes them away"
	does lxc config device add "$n" hot unix-char source=/dev/lxbt/full path=/dev/hot mode=0600
	same "$(node "$n" /dev/hot)" 'character special file 1:7 0:0 600'
	same "$(reads "$n" /dev/hot)" 00
	does lxc config device set "$n" hot mode=0666
	same "$(node "$n" /dev/hot)" 'character special file 1:7 0:0 666'
	does lxc config device set "$n" hot path=/dev/hotter
	like "$(node "$n" /dev/hot)" 'No such file' 'the old place'
	same "$(node "$n" /dev/hotter)" 'character special file 1:7 0:0 666'
	does lxc config device remove "$n" hot
	like "$(node "$n" /dev/hotter)" 'No such file' 'after its removal'
	does lxc config device remove "$n" far
	like "$(node "$n" /some/where/far)" 'No such file' 'one that was there at the start'

	it "gives a $kind guest what comes later, and takes what goes"
	mknod "$comes" c 1 7
	until_true 10 eval 'node "$n" /dev/later | grep -q "character special file 1:7 0:0 644"'
	rm "$comes"
	until_true 10 eval 'node "$n" /dev/later | grep -q "No such file"'

	it "refuses what is no such device, and keeps a running $kind guest as it was"
	refuses 'Failed to start device "wrong": Path specified is not a unix-block device' lxc config device add "$n" wrong unix-block path=/dev/null
	refuses 'Failed to start device "none": The required device path doesn.t exist and the major and minor settings are not specified' lxc config device add "$n" none unix-char path=/dev/lxbt/none
	refuses 'Path needs to be in /dev' lxc config device add "$n" file unix-char source=/etc/passwd path=/dev/file
	refuses 'is missing the required "source" or "path"' lxc config device add "$n" file unix-char mode=0600
	refuses 'Invalid value for device option "mode"' lxc config device add "$n" file unix-char path=/dev/null mode=rwx
	unlike "$(lxc config device list "$n")" 'wrong|none|file'
	same "$(node "$n" /dev/xa)" 'character special file 1:5 0:0 660'

	it "doesn't start a $kind guest without a device that is required"
	does lxc stop "$n" --force
	does lxc config device add "$n" none unix-char path=/dev/lxbt/none
	refuses 'Failed to start device "none"' lxc start "$n"
	does lxc config device set "$n" none required=false
	does lxc start "$n"
	same "$(node "$n" /dev/xa)" 'character special file 1:5 0:0 660' 'at the second start'
	does lxc restart "$n" --force
	same "$(node "$n" /dev/xa)" 'character special file 1:5 0:0 660' 'after a restart'
done

it "lets a privileged guest use what it was given, and nothing else"
n=unix-privileged
does inside "$n" sh -c 'mknod /tmp/loop b 7 7; mknod /tmp/mem c 1 11'
like "$(reads "$n" /tmp/mem)" 'not permitted' 'a device that it has not'
does lxc config device add "$n" log unix-char path=/dev/log1 major=1 minor=11
unlike "$(inside "$n" sh -c 'exec 3</tmp/mem && echo opened' 2>&1)" 'not permitted' 'one that it was given'
does lxc config device remove "$n" log
like "$(reads "$n" /tmp/mem)" 'not permitted' 'one that was taken away'
same "$(reads "$n" /dev/zero)" 00 'what every guest has'

it "lets a privileged guest go on using what raw.lxc allows when devices change"
allow=lxc.cgroup.devices.allow
[ ! -e /sys/fs/cgroup/cgroup.controllers ] || allow=lxc.cgroup2.devices.allow
opens() { inside "$n" sh -c "exec 3<$1 && echo opened" 2>&1; }
does lxc config set "$n" raw.lxc "$allow = c 1:11 rwm"
does lxc restart "$n" --force
does inside "$n" mknod /root/control c 10 237
same "$(opens /tmp/mem)" opened
does lxc config device add "$n" more unix-char path=/dev/more major=1 minor=7
does lxc config device remove "$n" more
same "$(opens /tmp/mem)" opened 'after a change of devices'
like "$(opens /root/control)" 'not permitted' 'what nobody allowed'
does lxc config set "$n" raw.lxc "$allow = a"
does lxc restart "$n" --force
unlike "$(opens /root/control)" 'not permitted' 'all of them'
does lxc config device add "$n" more unix-char path=/dev/more major=1 minor=7
unlike "$(opens /root/control)" 'not permitted' 'all of them, after a change of devices'
does lxc config device remove "$n" more
does lxc config unset "$n" raw.lxc
does lxc restart "$n" --force

if ours; then
	it "keeps what every guest has when a device of the same numbers goes"
	does lxc config device add "$n" mine unix-char path=/dev/mynull major=1 minor=3
	does lxc config device remove "$n" mine
	inside "$n" sh -c 'echo x >/dev/null' || fail "/dev/null is gone"

	it "leaves the host alone, however a guest has laid its links"
	does inside "$n" sh -c 'mkdir -p /trap && ln -s ../../../../../../../../../../tmp /trap/out'
	does lxc config device add "$n" trap unix-char source=/dev/lxbt/a "path=/trap/out/lxbt-$$"
	[ ! -e "/tmp/lxbt-$$" ] || fail "a node on the host"
	same "$(node "$n" "/tmp/lxbt-$$")" 'character special file 1:5 0:0 660'
	does lxc config device remove "$n" trap

	it "doesn't stumble over a guest that took its device away itself"
	does lxc config device add "$n" own unix-char source=/dev/lxbt/a path=/dev/own
	does inside "$n" umount /dev/own
	does lxc config device remove "$n" own
fi
does lxc delete -f unix-plain unix-privileged
done_testing

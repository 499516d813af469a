#!/bin/bash
# Limits, and other configuration that changes what a guest is: as seen from inside.
# covers: PATCH /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
# What the kernel enforces on the guest, read where the guest's init is: works with every layout of control groups.
group_file() { # INSTANCE CONTROLLER V1-FILE V2-FILE
	local pid path
	pid=$(req GET "$I/$1/state"; get .metadata.pid)
	path=$(sed -n "s/^[0-9]*:[^:]*\b$2\b[^:]*://p" "/proc/$pid/cgroup" | head -n 1)
	# The guest's init may sit in a group of its own below the one that is limited.
	path=$(sed 's,^\(/.*lxc\.payload[^/]*\).*,\1,' <<<"$path")
	if [ -n "$path" ]; then cat "/sys/fs/cgroup/$2$path/$3"; else cat "/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$pid/cgroup" | sed 's,^\(/.*lxc\.payload[^/]*\).*,\1,')/$4"; fi
}
does lxc init bb lim1 -c limits.memory=64MiB -c limits.processes=40 -c limits.cpu=1 -q
does lxc start lim1

it "limits memory"
gives 67108864 group_file lim1 memory memory.limit_in_bytes memory.max
does lxc config set lim1 limits.memory=48MiB
gives 50331648 group_file lim1 memory memory.limit_in_bytes memory.max
ends 137 inside lim1 sh -c 'x=$(head -c 200000000 /dev/zero | tr "\0" x); echo survived'
is_now lim1 Running || fail "the guest is gone with its greedy command"
does lxc config unset lim1 limits.memory
unlike "$(group_file lim1 memory memory.limit_in_bytes memory.max)" '^50331648$'

it "limits the number of processes"
gives 40 group_file lim1 pids pids.max pids.max
inside lim1 sh -c 'i=0; while [ $i -lt 60 ]; do sleep 5 & i=$((i+1)); done' >/dev/null 2>"$SCRATCH/bomb"
like "$(cat "$SCRATCH/bomb")" 'fork'
same "$(inside lim1 sh -c 'true' && echo works)" works 'after the fork bomb'
inside lim1 killall sleep >/dev/null 2>&1
does lxc config unset lim1 limits.processes
gives max group_file lim1 pids pids.max pids.max

it "limits the processors"
gives 1 inside lim1 nproc
does lxc config set lim1 limits.cpu=0
gives 1 inside lim1 nproc
gives 'Cpus_allowed_list:	0' inside lim1 grep Cpus_allowed_list /proc/self/status
does lxc config unset lim1 limits.cpu
until_true 5 bash -c '[ "$(lxc exec lim1 -- nproc </dev/null)" = "$(nproc)" ]'

it "limits the time on them"
does lxc config set lim1 limits.cpu.allowance=20ms/100ms
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
	gives '20000 100000' group_file lim1 cpu nope cpu.max
else
	gives 20000 group_file lim1 cpu cpu.cfs_quota_us cpu.max
fi
does lxc config unset lim1 limits.cpu.allowance

it "tells instances apart that have the same share of them"
if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
	for pair in '10 1024' '5 1019' '0 1014'; do
		does lxc config set lim1 limits.cpu.priority="${pair% *}"
		gives "${pair#* }" group_file lim1 cpu cpu.shares cpu.weight
	done
	does lxc config set lim1 limits.cpu.allowance=50%
	gives 502 group_file lim1 cpu cpu.shares cpu.weight
	does lxc config unset lim1 limits.cpu.allowance
	does lxc config unset lim1 limits.cpu.priority
	gives 1024 group_file lim1 cpu cpu.shares cpu.weight
fi

it "limits what is swapped out"
if [ ! -e /sys/fs/cgroup/cgroup.controllers ]; then
	for pair in '10 60' '5 65' '0 70'; do
		does lxc config set lim1 limits.memory.swap.priority="${pair% *}"
		gives "${pair#* }" group_file lim1 memory memory.swappiness nope
	done
	does lxc config set lim1 limits.memory.swap=false limits.memory=100MiB
	gives 0 group_file lim1 memory memory.swappiness nope
	like "$(group_file lim1 memory memory.memsw.limit_in_bytes nope)" '^9223372036854771712$|No such file'
	does lxc config unset lim1 limits.memory.swap
	gives 70 group_file lim1 memory memory.swappiness nope
	does lxc config unset lim1 limits.memory.swap.priority
	gives 60 group_file lim1 memory memory.swappiness nope
	does lxc config unset lim1 limits.memory
else
	does lxc config set lim1 limits.memory.swap=false
	gives 0 group_file lim1 memory nope memory.swap.max
	does lxc config unset lim1 limits.memory.swap
fi

it "refuses what the host has nothing for"
[ -e /sys/fs/cgroup/blkio/blkio.weight ] || [ -e /sys/fs/cgroup/cgroup.controllers ] ||
	refuses 'blkio.weight' lxc config set lim1 limits.disk.priority=3
gives '' lxc config get lim1 limits.disk.priority
# On a hybrid host they are v2's, which LXD doesn't look at there: it takes the limit, and does nothing.
if ours; then
	unified=/sys/fs/cgroup$([ -e /sys/fs/cgroup/cgroup.controllers ] || echo /unified)
	req GET "$I/lim1/state"
	group=$unified$(sed -n 's/^0:://p' "/proc/$(get .metadata.pid)/cgroup" | sed 's,^\(/.*lxc\.payload[^/]*\).*,\1,')
	if [ -e "$group/hugetlb.2MB.max" ]; then
		does lxc config set lim1 limits.hugepages.2MB=4MiB
		gives 4194304 cat "$group/hugetlb.2MB.max"
		does lxc config unset lim1 limits.hugepages.2MB
		gives max cat "$group/hugetlb.2MB.max"
	elif [ ! -e /sys/fs/cgroup/hugetlb ]; then
		refuses hugetlb lxc config set lim1 limits.hugepages.2MB=4MiB
	fi
fi

it "refuses values that make no sense, and keeps what was"
refuses 'Invalid value: 1x' lxc config set lim1 limits.memory=1x
refuses 'Invalid CPU limit syntax' lxc config set lim1 limits.cpu=abc
refuses 'Invalid value for an integer' lxc config set lim1 limits.processes=x
refuses 'Invalid value for a boolean' lxc config set lim1 boot.autostart=x
refuses . lxc config set lim1 limits.cpu.allowance=x
gives '' lxc config get lim1 limits.memory

it "names a processor once"
refuses 'Cannot define CPU multiple times' lxc config set lim1 limits.cpu=0-1,1

it "says what the guest uses"
inside lim1 sh -c 'head -c 3000000 /dev/zero >/dev/null'
req GET $I/lim1/state
meta '[.cpu.usage > 0, .memory.usage > 0, .memory.usage_peak >= .memory.usage, .processes > 0]' '[true,true,true,true]'
does lxc info lim1
like "$out" 'Memory usage:'
like "$out" 'Processes:'

it "gives the guest only the devices of a container"
for node in null zero full random urandom tty ptmx console; do does inside lim1 test -c /dev/$node; done
does inside lim1 sh -c 'echo x >/dev/null && head -c 4 /dev/zero >/dev/null && head -c 4 /dev/urandom >/dev/null'
refuses . inside lim1 sh -c 'mknod /tmp/sda b 8 0'
does inside lim1 test -d /dev/pts
does inside lim1 test -L /dev/fd

it "keeps the guest from the machine"
refuses . inside lim1 sh -c 'echo 1 >/proc/sys/kernel/panic'
refuses . inside lim1 sh -c 'echo b >/proc/sysrq-trigger'
refuses . inside lim1 mount -t ext4 /dev/vda /mnt
does inside lim1 sh -c 'mount -t tmpfs none /mnt && umount /mnt'
does inside lim1 grep -E '^(Seccomp|CapBnd):' /proc/self/status
like "$out" 'Seccomp:.2'

it "makes a privileged one the machine's root, when asked"
does lxc init bb lim2 -c security.privileged=true -q
does lxc start lim2
pid=$(req GET $I/lim2/state; get .metadata.pid)
same "$(awk '/^Uid:/{print $2}' "/proc/$pid/status")" 0 uid

it "gives a privileged one device nodes of its own"
before=$(stat -c '%n %a %u:%g' /dev/full /dev/zero /dev/null)
does inside lim2 sh -c 'chmod 600 /dev/full && chown 5:5 /dev/zero && rm /dev/null && mknod -m 666 /dev/null c 1 3 && echo x >/dev/null'
same "$(stat -c '%n %a %u:%g' /dev/full /dev/zero /dev/null)" "$before" "the host's"
does lxc delete -f lim2

it "applies a limit before the guest runs"
does lxc stop -f lim1
does lxc config set lim1 limits.memory=32MiB limits.processes=30
does lxc start lim1
gives 33554432 group_file lim1 memory memory.limit_in_bytes memory.max
gives 30 group_file lim1 pids pids.max pids.max

it "takes limits from a profile, also of one that runs"
does lxc profile create lim
does lxc profile set lim limits.processes=20
does lxc config unset lim1 limits.processes
does lxc profile add lim1 lim
gives 20 group_file lim1 pids pids.max pids.max
does lxc profile set lim limits.processes=25
gives 25 group_file lim1 pids pids.max pids.max
does lxc profile remove lim1 lim
gives max group_file lim1 pids pids.max pids.max
does lxc profile delete lim
does lxc delete -f lim1

done_testing

#!/bin/bash
# What a guest sees of the host in /proc and /sys: its own share, also when that changes while it runs.
# covers: PATCH /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
# LXD itself leaves this to lxcfs, which is there before a guest is started.
if ! ours; then
	mkdir -p /var/lib/lxcfs
	lxcfs -l --enable-cfs /var/lib/lxcfs >/dev/null 2>&1 &
	lxcfs=$!
	until_true 10 test -e /var/lib/lxcfs/proc/meminfo
fi
kilobytes() { inside "$1" awk "/^$2:/ {print \$2}" /proc/meminfo; }
processors() { inside "$1" grep -c ^processor /proc/cpuinfo; }
host_memory=$(awk '/^MemTotal:/ {print $2}' /proc/meminfo)
host_processors=$(grep -c ^processor /proc/cpuinfo)
does lxc init bb view1 -c limits.memory=64MiB -c limits.cpu=1 -q
does lxc start view1
does lxc launch bb view2 -c security.privileged=true -q

it "shows the memory it may have"
same "$(kilobytes view1 MemTotal)" 65536 total
for name in MemFree MemAvailable Cached Shmem AnonPages; do
	[ "$(kilobytes view1 $name)" -le 65536 ] || fail "$name is $(kilobytes view1 $name)"
done
[ "$(kilobytes view1 MemFree)" -gt 32768 ] || fail "little is free: $(kilobytes view1 MemFree)"
same "$(kilobytes view2 MemTotal)" "$host_memory" 'without a limit'
[ "$(kilobytes view2 MemFree)" -gt $((host_memory - 262144)) ] || fail "the host's memory counts: $(kilobytes view2 MemFree)"
same "$(inside view1 cat /proc/meminfo | cut -d: -f1)" "$(cut -d: -f1 </proc/meminfo)" 'lines'

it "shows memory that is used"
before=$(kilobytes view1 MemFree)
# 20 MiB in the shell's own memory.
after=$(inside view1 sh -c 'x=$(head -c 20000000 /dev/zero | tr "\0" x); while read -r name n unit; do [ "$name" != MemFree: ] || echo $n; done </proc/meminfo')
[ $((before - after)) -gt 15000 ] || fail "$before kB, then $after kB"

it "shows swap space no larger than the host's"
like "$(inside view1 cat /proc/swaps)" '^Filename\s+Type\s+Size\s+Used\s+Priority'
[ "$(kilobytes view1 SwapTotal)" -le "$(awk '/^SwapTotal:/ {print $2}' /proc/meminfo)" ] || fail "swap $(kilobytes view1 SwapTotal)"

it "shows the processors it may use"
gives 1 processors view1
gives 1 inside view1 grep -c '^cpu[0-9]' /proc/stat
like "$(inside view1 cat /sys/devices/system/cpu/online)" '^[0-9]*$'
same "$(inside view1 sed -n 's/^processor.*: //p' /proc/cpuinfo)" 0 'its number'
gives "$host_processors" processors view2
# (lxcfs gives as many bytes as the guest that looked at it before had.)
! ours || same "$(inside view2 cat /sys/devices/system/cpu/online)" "$(cat /sys/devices/system/cpu/online)" online

it "shows limits that change while it runs"
does lxc config set view1 limits.memory=48MiB
gives 49152 kilobytes view1 MemTotal
does lxc config set view1 limits.cpu="$host_processors"
gives "$host_processors" processors view1
if [ "$host_processors" -gt 1 ]; then
	does lxc config set view1 limits.cpu.allowance=50ms/100ms
	gives 1 processors view1
	gives 1 inside view1 grep -c '^cpu[0-9]' /proc/stat
	does lxc config unset view1 limits.cpu.allowance
	gives "$host_processors" processors view1
fi
does lxc config unset view1 limits.memory
same "$(kilobytes view1 MemTotal)" "$host_memory" 'no limit any more'

it "is as old as its process 1"
read -r age idle < <(inside view1 cat /proc/uptime)
[ "${age%.*}" -lt 120 ] || fail "uptime $age, although the host's is $(cut -d' ' -f1 /proc/uptime)"
like "$age $idle" '^[0-9]+\.[0-9]{2} [0-9]+\.[0-9]{2}$'
[ "${idle%.*}" -le $((${age%.*} * host_processors + host_processors)) ] || fail "idle $idle of $age"
sleep 1.1
read -r later idle < <(inside view1 cat /proc/uptime)
[ "${later%.*}" -gt "${age%.*}" ] || fail "$age, then $later"
does lxc restart -f view1
read -r restarted idle < <(inside view1 cat /proc/uptime)
[ "${restarted/./}" -lt "${later/./}" ] || fail "$restarted after a restart, $later before"

it "shows its own processor time and load"
used() { inside view1 awk '/^cpu / {print $2 + $4}' /proc/stat; }
before=$(used)
inside view1 timeout 1 sh -c 'while :; do :; done'
after=$(used)
[ $((after - before)) -ge 30 ] || fail "$before, then $after"
[ "$after" -lt 3000 ] || fail "it has used $after"
like "$(inside view1 cat /proc/loadavg)" '^[0-9]+\.[0-9]{2} [0-9]+\.[0-9]{2} [0-9]+\.[0-9]{2} [0-9]+/[0-9]+ [0-9]+$'
tasks=$(inside view1 cat /proc/loadavg | sed 's,.*/\([0-9]*\) .*,\1,')
[ "$tasks" -le 30 ] || fail "$tasks tasks"
gives 1 inside view1 grep -c '^btime [0-9]' /proc/stat

it "shows the same in pieces of any size"
for file in /proc/cpuinfo /proc/swaps /sys/devices/system/cpu/online; do
	same "$(inside view1 dd if=$file bs=7 2>/dev/null | md5sum)" "$(inside view1 cat $file | md5sum)" "$file in pieces"
done
same "$(inside view1 dd if=/proc/meminfo bs=1 skip=100000 count=10 2>/dev/null)" '' 'behind the end'

it "can be copied by whatever means"
for how in 'cat FILE' 'cp FILE /tmp/copy; cat /tmp/copy' 'dd if=FILE' 'cat FILE | cat' 'head -n 1000 FILE' 'while read -r line; do echo "$line"; done <FILE'; do
	like "$(inside view1 sh -c "${how/FILE//proc/meminfo}" 2>/dev/null)" 'MemTotal: .*MemFree: .*Active: ' "$how"
	like "$(inside view1 sh -c "${how/FILE//proc/uptime}" 2>/dev/null)" '^[0-9.]+ [0-9.]+$' "$how"
done

it "can't be written to, by anybody"
for name in view1 view2; do
	for file in /proc/meminfo /proc/uptime /proc/stat; do
		inside $name sh -c "echo x >$file" 2>/dev/null && fail "$name can write to $file"
		inside $name chmod 777 $file 2>/dev/null && fail "$name can change $file"
		inside $name rm -f $file 2>/dev/null && fail "$name can remove $file"
		like "$(inside $name cat $file)" '[0-9]'
	done
done
like "$(inside view1 ls -l /proc/meminfo)" '^-r--r--r--'

it "holds out against many readers"
gives 1000 inside view1 sh -c 'i=0; while [ $i -lt 1000 ]; do cat /proc/stat /proc/meminfo >/dev/null && echo done & i=$((i+1)); done | grep -c done'
gives 300 inside view1 sh -c 'i=0; while [ $i -lt 300 ]; do (exec 3</proc/meminfo; read -r x <&3; sleep 1; read -r x <&3 && echo "$x") & i=$((i+1)); done | grep -c MemFree'
like "$(inside view2 cat /proc/uptime)" '[0-9]'

does lxc delete -f view1 view2
[ -z "${lxcfs:-}" ] || { kill "$lxcfs"; umount -l /var/lib/lxcfs 2>/dev/null; }
done_testing

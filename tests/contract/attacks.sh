#!/bin/bash
# Guests that attack: each case names what the guest does; the host, the daemon and the guest beside it stay unharmed.
# covers: GET /1.0/instances/{name}/state
. "$(dirname "$0")/lib.bash"
launch att1
launch att2
# unharmed: the neighbour works, the daemon answers, and the attacker can be brought down and up again.
unharmed() {
	gives here inside att2 echo here
	same "$(state_of att2)" Running 'the neighbour'
}
again() { does lxc stop -f "$1"; does lxc start "$1"; }
# program NAME ABI NUMBER [ARGUMENT...]: a program in att1 that makes a system call.
program() {
	local name=$1
	shift
	"$TOOLS/syscall-elf" "$@" >"$SCRATCH/elf"
	does lxc file push -q "$SCRATCH/elf" "att1$name" --mode 755
}
# errno ABI NUMBER [ARGUMENT...]: what the call ends with in att1.
errno() { program /root/call "$@"; inside att1 /root/call; echo $?; }

# The calls that are denied by default, by name, with their numbers on x86_64, x86 and x32.
denied='kexec_load 246 283 528
open_by_handle_at 304 342 304
init_module 175 128 175
finit_module 313 350 313
delete_module 176 129 176'
if [ "$(uname -m)" = x86_64 ]; then
	it "makes each system call that is denied, by each of the machine's ways in"
	while read -r name x64 x86 x32; do
		same "$name $(errno x86_64 "$x64") $(errno x86 "$x86") $(errno x32 "$x32")" "$name 38 38 38"
	done <<<"$denied"
	same "$(errno x86_64 39) $(errno x86 20)" '0 0' 'getpid, so that the program itself is known to work'
	# umount2 with MNT_FORCE.
	same "$(errno x86_64 166 0 1) $(errno x86 52 0 1)" '13 13' 'forced unmounts'
	does lxc config set att1 security.syscalls.deny_default=false
	again att1
	[ "$(errno x86_64 304)" != 38 ] || fail "without the filter open_by_handle_at is missing too: nothing was tested"
	does lxc config unset att1 security.syscalls.deny_default
	# (LXD denies some calls of x32 alone by it.)
	if ours; then
		does lxc config set att1 security.syscalls.deny_compat=true
		again att1
		# The program's end is denied, too: it runs on into nothing.
		[ "$(errno x86 20)" != 0 ] || fail "calls of 32 bits are made"
		does lxc config unset att1 security.syscalls.deny_compat
	fi
	again att1
fi

it "forks without end"
does lxc config set att1 limits.processes=60
inside att1 sh -c 'f() { f | f & }; f >/dev/null 2>&1' >/dev/null 2>&1
# Again, when some of the first ones were still there, and in the way.
full() {
	inside att1 sh -c 'while sleep 1000 >/dev/null 2>&1 & do :; done' >/dev/null 2>&1
	[ "$(req GET "$I/att1/state"; get .metadata.processes)" -ge 55 ]
}
until_true 20 full
req GET "$I/att1/state"
[ "$(get .metadata.processes)" -le 60 ] || fail "$(get .metadata.processes) processes"
unharmed
does lxc stop -f att1
does lxc config unset att1 limits.processes
does lxc start att1

it "fills its memory"
does lxc config set att1 limits.memory=64MiB
inside att1 sh -c 'tail /dev/zero >/dev/null' >/dev/null 2>&1
[ $? != 0 ] || fail "it was not stopped"
unharmed
gives up inside att1 echo up
req GET "$I/att1/state"
[ "$(get .metadata.memory.usage)" -le 67108864 ] || fail "$(get .metadata.memory)"
does lxc config unset att1 limits.memory

it "floods its console"
inside att1 sh -c 'timeout 3 yes flood >/dev/console' >/dev/null 2>&1
unharmed
req GET "$I/att1/console"
[ "$(stat -c %s "$SCRATCH/body")" -le 2000000 ] || fail "the log is kept whole"
[ "$(cat "$LXD_DIR"/logs/att1/* 2>/dev/null | wc -c)" -le 4000000 ] || fail "the log is kept whole on disk"

# LXD 5.0.2 can't stop one that did.
if ours; then
	it "freezes itself, its process 1 too"
	inside att1 sh -c 'mkdir /tmp/g; if grep -q :freezer: /proc/self/cgroup; then mount -t cgroup -o freezer c /tmp/g
		else mount -t cgroup2 c /tmp/g; fi; mkdir -p /tmp/g/in; setsid sleep 1000 >/dev/null 2>&1 & setsid sleep 1000 >/dev/null 2>&1 &
		echo 1 >/tmp/g/in/cgroup.procs; for p in $(pidof sleep); do echo $p >/tmp/g/in/cgroup.procs; done
		if [ -e /tmp/g/in/freezer.state ]; then echo FROZEN >/tmp/g/in/freezer.state; else echo 1 >/tmp/g/in/cgroup.freeze; fi' >/dev/null 2>&1
	pid=$(req GET "$I/att1/state"; get .metadata.pid)
	grep -q '/in$' "/proc/$pid/cgroup" || fail "nothing was frozen: $(cat "/proc/$pid/cgroup")"
	unharmed
	does lxc stop -f att1
	until_true 20 is_now att1 Stopped
	does lxc start att1
fi

it "reboots in a loop"
if ours; then
	does lxc launch bb att3 -q
	# As its process 1 does it.
	program /root/reboot x86_64 169 0xfee1dead 0x28121969 0x1234567
	inside att1 cat /root/reboot >"$SCRATCH/reboot"
	does lxc file push -q "$SCRATCH/reboot" att3/sbin/reboot-now --mode 755
	printf '#!/bin/sh\nexec /sbin/reboot-now\n' >"$SCRATCH/init"
	does lxc file push -q "$SCRATCH/init" att3/sbin/init --mode 755
	lxc stop -f att3 >/dev/null 2>&1 </dev/null
	lxc start att3 >/dev/null 2>&1 </dev/null
	sleep 1
	unharmed
	lxc stop -f att3 >/dev/null 2>&1 </dev/null
	stays_down() { is_now att3 Stopped && sleep 0.5 && is_now att3 Stopped; }
	until_true 20 stays_down
	until_true 20 lxc delete -f att3
fi

it "makes namespaces and mounts, and has no more in them"
gives 0 inside att1 unshare -U -r -m sh -c 'id -u'
refuses 'ermission|ermitted' inside att1 mount -t ext4 /dev/vda /mnt
refuses 'ermission|ermitted|nvalid' inside att1 unshare -U -r -m mount -t debugfs d /mnt
refuses 'ermission|ermitted' inside att1 mknod /root/vda b 254 0
refuses 'ermission|ermitted' inside att1 mknod /root/mem c 1 1
refuses . inside att1 chroot /proc/1/root/.. cat "$LXD_DIR/server.key"
refuses . inside att1 sh -c 'for i in 1 2 3 4 5 6 7 8; do cd ..; done; cat ".'"$LXD_DIR"'/server.key"'

# values: each readable kernel parameter of the host that doesn't change by itself.
values() {
	find /proc/sys -type f -perm -400 ! -path '/proc/sys/net/*' ! -name '*-nr' ! -name '*-state' ! -name 'ns_last_pid' \
		! -path '*/random/*' ! -path '*/quota/*' ! -path '*/pty/nr' ! -path '*/sched_domain/*' ! -name '*_cost' ! -name drop_caches ! -name compact_memory \
		-exec grep -sH . {} +
}
it "writes whatever it can of /proc/sys"
values >"$SCRATCH/before"
inside att1 sh -c 'find /proc/sys -type f ! -path "/proc/sys/net/*" | while read f; do echo 1 >$f; done' >/dev/null 2>&1
values >"$SCRATCH/after"
same "$(diff "$SCRATCH/before" "$SCRATCH/after")" ''
unharmed
again att1

it "opens whatever it can of /sys, and of /proc beside"
gives '' inside att1 sh -c 'find /sys -type f ! -path "/sys/fs/cgroup/*" ! -path "/sys/devices/virtual/net/*" | while read f; do
	(: >>$f) 2>/dev/null && echo $f; done; true'
gives '' inside att1 sh -c 'for f in /proc/sysrq-trigger /proc/kcore /proc/kmsg /proc/mtrr /proc/irq/default_smp_affinity /proc/acpi/*; do
	[ ! -f $f ] || { (: >>$f) 2>/dev/null && echo $f; }; done
	(head -c 1 /proc/kcore) >/dev/null 2>&1 && echo kcore; true'

it "finds nothing of the host among open descriptors"
# Process 1 has its console alone (by either of its names), a command what it was given, and `ls` the directory it lists.
like "$(inside att1 sh -c 'for f in /proc/1/fd/*; do readlink $f; done' | grep -v '^/sbin/init$' | sort -u)" '^/dev/(console|pts/0)$'
like "$(inside att1 ls /proc/self/fd | tr '\n' ' ')" '^0 1 2 3 $'
unlike "$(inside att1 ls -l /proc/self/fd)" "$LXD_DIR|lxbox|cgroup|memfd"
unlike "$(inside att1 sh -c 'cat /proc/self/environ /proc/1/environ' | tr '\0' '\n')" "LXD_|$SCRATCH"

it "goes for the file of the program that enters it, by /proc/self/exe"
file=$(readlink -f "$(command -v lxd)")
was=$(sha256sum <"$file")
push att1 /root/evil '#!/proc/self/exe
'
inside att1 chmod 755 /root/evil
inside att1 sh -c 'while :; do for e in /proc/[0-9]*/exe; do (echo harm >>$e) 2>/dev/null && echo "wrote $(readlink $e)" >>/root/wrote; done; done' >/dev/null 2>&1 &
writer=$!
for i in 1 2 3 4 5 6 7 8; do
	inside att1 /root/evil >/dev/null 2>&1
	inside att1 true
done
kill $writer
wait $writer 2>/dev/null
same "$(sha256sum <"$file")" "$was" 'the file'
unlike "$(inside att1 cat /root/wrote 2>/dev/null)" "lx[cd]|$LXD_DIR"
does lxc exec att2 true
again att1

it "turns paths that the host uses into links"
mkdir -p "$SCRATCH/given" "$SCRATCH/host"
echo given >"$SCRATCH/given/f"
inside att1 sh -c "ln -s '$SCRATCH/host' /root/out; ln -s ../../../../../../../../'$SCRATCH/host' /root/up; mkdir /root/d"
for place in /root/out/a /root/up/b; do
	lxc config device add att1 m disk source="$SCRATCH/given" path=$place >/dev/null 2>&1 </dev/null
	same "$(ls "$SCRATCH/host")" '' "the host's, through $place"
	lxc config device remove att1 m >/dev/null 2>&1 </dev/null
done
inside att1 sh -c "rm -rf /etc; ln -s '$SCRATCH/host' /etc"
req POST "$I/att1/files?path=/etc/passwd" 'x' -H 'Content-Type: application/octet-stream'
again att1
same "$(ls "$SCRATCH/host")" '' "the host's, through templates and files"
if ours; then
	ln -s "$LXD_DIR/storage-pools" "$SCRATCH/pools"
	refuses 'would reach into' lxc config device add att1 m disk source="$SCRATCH/pools/default/containers/att2" path=/mnt
fi

it "takes more than its share of a processor"
for name in att1 att2; do
	does lxc config set $name limits.cpu=0-0
	inside $name sh -c 'kill -9 $(pidof sleep) 2>/dev/null'
done
used() { req GET "$I/$1/state"; get .metadata.cpu.usage; }
first=$(used att1) second=$(used att2)
inside att1 sh -c 'for i in 1 2 3 4 5 6 7 8; do timeout 4 sh -c "while :; do :; done" & done; wait' >/dev/null 2>&1 &
inside att2 timeout 4 sh -c 'while :; do :; done' >/dev/null 2>&1
first=$(($(used att1) - first)) second=$(($(used att2) - second))
[ $((second * 100 / (first + second + 1))) -ge 35 ] || fail "the neighbour had $second of $((first + second)) ns"
wait

it "is a stranger to users of the host"
# Not below the directory of the run, which nobody may enter anyway.
for path in unix.socket server.key database; do
	[ "$(stat -c %A "$LXD_DIR/$path" | cut -c 8-)" = --- ] || fail "everybody may use $path: $(stat -c %A "$LXD_DIR/$path")"
done
inside att1 sh -c 'cp /bin/busybox /root/suid && chmod 4755 /root/suid'
found=$(setpriv --reuid 65534 --regid 65534 --clear-groups find -L "$LXD_DIR" -perm -4000 2>/dev/null)
same "$found" '' 'files of guests that are root for whoever runs them'

it "is brought down, and nothing is left"
for name in att1 att2; do does lxc delete -f $name; done
done_testing

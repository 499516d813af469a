#!/bin/bash
# The helper behind the guests' view of /proc: whichever of its processes die, no reader hangs, and guests go on seeing their share.
. "$(dirname "$0")/lib.bash"
# keeper, server: their process ids. The keeper is the one whose parent is none of them.
helpers() { grep -lsz '^procfs$' /proc/[0-9]*/cmdline | cut -d/ -f3 | while read -r pid; do alive "$pid" && echo "$pid"; done; }
parent() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f2; }
of_them() { # WANTED: whether a parent is one of them
	local pid all
	all=$(helpers)
	for pid in $all; do if grep -qx "$(parent "$pid")" <<<"$all"; then [ "$1" = yes ] && echo "$pid"; else [ "$1" = no ] && echo "$pid"; fi; done
}
keeper() { of_them no; }
server() { of_them yes; }
pair() { [ "$(keeper | grep -c .)" = 1 ] && [ "$(server | grep -c .)" = 1 ]; }
nobody() { [ -z "$(helpers)" ]; }
# sees NAME: reads its share, in a second. Without a daemon it is a process of the guest that says what it sees.
sees() { same "$(inside "$1" timeout 1 awk '/^MemTotal:/ {print $2}' /proc/meminfo)" 262144 "memory of $1"; }
watches() { inside "$1" sh -c 'n=0; while sleep 0.1; do n=$((n+1)); echo $n $(timeout 1 awk "/^MemTotal:/ {print \$2}" /proc/meminfo) >/tmp/seen.new && mv /tmp/seen.new /tmp/seen; done >/dev/null 2>&1 &'; }
seen() { cat "/proc/$(init_of "$1")/root/tmp/seen"; }
has_seen_more() { [ "$(seen "$1" | cut -d' ' -f1)" -gt "$2" ]; }
still_sees() {
	local count
	until_true 5 seen "$1"
	count=$(seen "$1" | cut -d' ' -f1)
	# The one after the next was begun after now.
	until_true 5 has_seen_more "$1" $((count + 1))
	same "$(seen "$1" | cut -d' ' -f2)" 262144 "memory of $1 as it says"
}
launch view1 -c limits.memory=256MiB
launch view2 -c limits.memory=256MiB

it "is two processes, of which one has no privileges"
until_true 5 pair
for name in view1 view2; do sees $name; done
same "$(awk '/^Uid:/ {print $2}' "/proc/$(server)/status")" 65534 'its user'
like "$(cat "/proc/$(server)/status")" 'CapEff:	0000000000000000.*NoNewPrivs:	1.*Seccomp:	2'
like "$(cat "/proc/$(keeper)/status")" 'CapEff:	00000000000000e0'

it "is read again at once when its server was killed"
for _ in 1 2 3 4 5; do
	was=$(server)
	kill -9 "$was"
	sees view1
	sees view2
	until_true 5 pair
	[ "$(server)" != "$was" ] || fail "the same server"
done

it "lets no reader hang whose request it had taken, or not yet taken"
# Readers that never stop say for each reading how it ended; at the end each has one more that succeeds.
inside view1 sh -c 'i=0; while [ $i -lt 20 ]; do (while [ ! -e /tmp/enough ]; do timeout 5 cat /proc/stat >/dev/null 2>&1; echo $?; done >/tmp/ends.$i; timeout 5 cat /proc/stat >/dev/null; echo last-$? >>/tmp/ends.$i) & i=$((i+1)); done; wait' &
readers=$!
for _ in $(seq 15); do
	until_true 5 pair
	kill -9 "$(server)"
	sleep 0.2
done
inside view1 touch /tmp/enough
wait $readers
ended=$(inside view1 sh -c 'cat /tmp/ends.* | sort | uniq -c' | awk '{print $2 "=" $1}')
like "$ended" 'last-0=20'
unlike "$ended" '(124|143)='
# One that is stopped holds readers up; its end lets them go on.
until_true 5 pair
was=$(server)
kill -STOP "$was"
inside view1 sh -c 'for i in 1 2 3 4 5 6 7 8; do cat /proc/uptime & done; wait; echo end' >"$SCRATCH/held" &
readers=$!
sleep 0.5
kill -9 "$was"
wait $readers
like "$(tail -n 1 "$SCRATCH/held")" end

it "goes on without its keeper, and gets another one"
for _ in 1 2 3; do
	until_true 5 pair
	was=$(keeper)
	kill -9 "$was"
	sees view1
	until_true 5 pair
	[ "$(keeper)" != "$was" ] || fail "the same keeper"
	sees view2
done

it "goes on when both die, as long as a daemon is there"
until_true 5 pair
kill -9 $(helpers)
sees view1
until_true 5 pair
sees view2

it "is taken over by the next daemon"
was=$(helpers)
another_daemon
same "$(helpers)" "$was" 'the same processes'
sees view1
watches view1
end_daemon TERM
still_sees view1
begin_daemon
same "$(helpers)" "$was" 'the same processes'

it "goes on without a daemon, whichever of both dies"
when view2 again 'reboot -f'
end_daemon
kill -9 "$(server)"
still_sees view1
until_true 5 pair
old=$(init_of view2)
trigger again "$old"
rebooted() { [ "$(run_record view2 .reboots)" = 1 ] && alive "$(init_of view2)"; }
until_true 30 rebooted
kill -9 "$(keeper)"
still_sees view1
# Who is in no container sees the host, there too.
same "$(timeout 1 awk '/^MemTotal:/ {print $2}' "/proc/$(init_of view1)/root/proc/meminfo")" "$(awk '/^MemTotal:/ {print $2}' /proc/meminfo)" 'as seen from here'
begin_daemon
sees view1
until_true 5 pair
sees view1

it "is there for a guest that rebooted when no daemon was"
until_true 30 is_now view2 Running
sees view2

it "fails what was taken at once, where the server dies by each reading"
does lxc delete -f view1 view2
until_true 10 nobody
end_daemon TERM
begin_daemon LXBOX_FAULT=procfs.taken
launch view3
begun=$(date +%s%N)
ends 1 inside view3 timeout 5 cat /proc/uptime
[ $(($(date +%s%N) - begun)) -lt 2000000000 ] || fail "it took $((($(date +%s%N) - begun) / 1000000)) ms"
works view3

it "leaves nothing when the last guest stops"
does lxc delete -f view3
clean
another_daemon TERM
launch view4
clean_after() { does lxc stop -f view4; until_true 10 nobody; until_true 5 test ! -e "$LXD_DIR/run/procfs"; }
clean_after
does lxc start view4
end_daemon
kill -9 "$(shim_of view4)"
is_down() { dead "$(init_of view4)"; }
until_true 10 is_down
begin_daemon
until_true 10 nobody
does lxc delete -f view4
clean
done_testing

#!/bin/bash
# Guests that reboot or power off by themselves, with a daemon there and without.
. "$(dirname "$0")/lib.bash"
gone() { req GET "$I/$1" && [ "$code" = 404 ]; }
# anew NAME PID: it runs with another process 1 than that.
anew() { local now; now=$(init_of "$1"); [ -n "$now" ] && [ "$now" != null ] && [ "$now" != "$2" ] && [ -e "/proc/$now/root/tmp" ]; }
does lxc storage create over overlay
launch reb1
launch reb2 -s over
launch reb3 --ephemeral

it "restarts a guest that reboots, with the configuration of now"
for name in reb1 reb2 reb3; do
	"$TOOLS/websocket" '/1.0/events?type=lifecycle' read:text:instance-restarted hangup >"$SCRATCH/events.$name" &
	old=$(pid_of $name)
	does lxc config set $name environment.COLOUR=blue
	inside $name reboot -f
	until_true 20 anew $name "$old"
	until_true 10 works $name
	dead "$old" || fail "the old process 1 is still there"
	like "$(inside $name sh -c 'tr "\0" "\n" </proc/1/environ')" 'COLOUR=blue'
	same "$(shims_of $name)" 1 "shims of $name"
	until_true 10 grep -q instance-restarted "$SCRATCH/events.$name"
done

it "sees one down that powers off"
inside reb1 poweroff -f
until_true 20 is_now reb1 Stopped
same "$(groups_of reb1)" '' 'control groups'
req GET $I/reb1
meta '.config["volatile.last_state.power"]' '"STOPPED"'
does lxc start reb1

it "brings guests back that reboot while there is no daemon, and the next one adopts them"
for name in reb1 reb2 reb3; do when $name go 'reboot -f'; done
p1=$(pid_of reb1) p2=$(pid_of reb2) p3=$(pid_of reb3)
end_daemon
trigger go "$p1"
trigger go "$p2"
trigger go "$p3"
until_true 20 anew reb1 "$p1"
until_true 20 anew reb2 "$p2"
until_true 20 anew reb3 "$p3"
begin_daemon
for name in reb1 reb2 reb3; do
	works $name
	same "$(pid_of $name)" "$(init_of $name)" "pid of $name"
	same "$(shims_of $name)" 1 "shims of $name"
done

it "gives a guest that waits for its next plan one, when a daemon comes in time"
when reb1 go 'reboot -f'
p1=$(pid_of reb1)
end_daemon
trigger go "$p1"
until_true 10 dead "$p1"
begin_daemon
until_true 10 anew reb1 "$p1"
until_true 10 works reb1
same "$(pid_of reb1)" "$(init_of reb1)" "pid of reb1"

it "finds those stopped that powered off while there was no daemon, and deletes ephemeral ones"
for name in reb1 reb2 reb3; do when $name go 'poweroff -f'; done
p1=$(pid_of reb1) p2=$(pid_of reb2) p3=$(pid_of reb3)
end_daemon
trigger go "$p1"
trigger go "$p2"
trigger go "$p3"
for pid in $p1 $p2 $p3; do until_true 10 dead "$pid"; done
begin_daemon
for name in reb1 reb2; do
	same "$(state_of $name)" Stopped "state of $name"
	same "$(groups_of $name)" '' "control groups of $name"
	req GET $I/$name
	meta '.config["volatile.last_state.power"]' '"STOPPED"'
done
until_true 10 gone reb3
does lxc start reb1 reb2
works reb1
works reb2

it "deletes an ephemeral guest that powers off, and keeps one that is restarted"
launch reb4 -e
does lxc restart -f reb4
works reb4
inside reb4 poweroff -f
until_true 10 gone reb4

it "leaves nothing behind"
does lxc delete -f reb1 reb2
clean
done_testing

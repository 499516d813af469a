#!/bin/bash
# Two daemons with an instance of the same name: both run, neither touches the other's. Run with `with-daemon -n 2`.
PREFIX=two
. "$(dirname "$0")/lib.bash"
: "${DAEMON_DIR_2:?two daemons are needed}"
other() { LXD_DIR=$DAEMON_DIR_2 LXD_SOCKET=$DAEMON_DIR_2/unix.socket "$@"; }
at_other() { other timeout 90 lxc exec two1 -- "$@" </dev/null; }
group_of() { jq -r '.groups[] | select((.controllers | index("pids"))) | .path' "$1"/run/*/run.json; }

it "runs both, each in control groups of its own"
launch two1
does other lxc launch bb two1 -q
first=$(group_of "$DAEMON_DIR_1") second=$(group_of "$DAEMON_DIR_2")
like "$first" '/lxc\.payload\.two1$'
like "$second" '/lxc\.payload\.two1-1$'
works two1
gives two1 at_other hostname
inside two1 touch /root/mine
ends 1 at_other test -e /root/mine

it "limits each alone"
does other lxc config set two1 limits.processes 55
like "$(at_other cat /proc/self/cgroup)" .
gives 55 cat "$second/pids.max"
gives max cat "$first/pids.max"

it "stops one and leaves the other"
does lxc stop -f two1
gives two1 at_other hostname
[ ! -d "$first" ] || fail "the first's group is left"
[ -d "$second" ] || fail "the second's group is gone"
does lxc start two1
works two1

it "adopts its own when both daemons were killed"
pid=$(pid_of two1)
other_pid=$(other lxc query /1.0/instances/two1/state | jq .pid)
for dir in "$DAEMON_DIR_1" "$DAEMON_DIR_2"; do kill -9 "$(cat "$(dirname "$dir")/pid${dir##*/}")"; done
until_true 10 dead "$(daemon)"
begin_daemon
LXD_DIR=$DAEMON_DIR_2 LXD_SOCKET=$DAEMON_DIR_2/unix.socket DAEMON_PID_FILE=$(dirname "$DAEMON_DIR_2")/pid2 begin_daemon
works two1
gives two1 at_other hostname
same "$(pid_of two1)" "$pid" pid
same "$(other lxc query /1.0/instances/two1/state | jq .pid)" "$other_pid" 'pid at the other'

it "brings down only its own when a shim is killed"
kill -9 "$(jq -r .shim.pid "$DAEMON_DIR_2"/run/*/run.json)"
until_true 10 eval 'other lxc list -f csv -c s | grep -qx STOPPED'
works two1
[ ! -d "$second" ] || fail "the second's group is left"
does other lxc start two1
gives two1 at_other hostname

it "ends one daemon with its instances, and leaves the other's"
does other lxd shutdown
[ ! -d "$second" ] || fail "the second's group is left"
works two1

it "leaves nothing behind"
LXD_DIR=$DAEMON_DIR_2 LXD_SOCKET=$DAEMON_DIR_2/unix.socket DAEMON_PID_FILE=$(dirname "$DAEMON_DIR_2")/pid2 begin_daemon
does other lxc delete -f two1
does lxc delete -f two1
clean
done_testing

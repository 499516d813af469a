#!/bin/bash
# A shim that is killed: its guest is brought down completely before it is called stopped, and never runs twice.
PREFIX=shi
. "$(dirname "$0")/lib.bash"
does lxc storage create over overlay
launch shi1
launch shi2 -s over

# down NAME PID: it is stopped, and nothing of it is left at the moment when that is first said.
down() {
	until_true 20 is_now "$1" Stopped
	same "$(groups_of "$1")" '' "control groups of $1"
	dead "$2" || fail "process 1 of $1 is still there"
	same "$(shims_of "$1")" 0 "shims of $1"
}

it "brings the guest down when its shim is killed, and starts it again"
for name in shi1 shi2; do
	inside $name sh -c 'for i in 1 2 3 4 5; do setsid sleep 1000 </dev/null >/dev/null 2>&1 & done'
	pid=$(pid_of $name)
	kill -9 "$(shim_of $name)"
	down $name "$pid"
	req GET $I/$name
	meta '.config["volatile.last_state.power"]' '"STOPPED"'
	does lxc start $name
	works $name
done

it "also a frozen one"
for name in shi1 shi2; do
	does lxc pause $name
	pid=$(pid_of $name)
	kill -9 "$(shim_of $name)"
	down $name "$pid"
	does lxc start $name
	works $name
done

it "never runs it twice, however soon it is started again"
for name in shi1 shi2; do
	for _ in 1 2 3 4 5; do
		kill -9 "$(shim_of $name)"
		for _ in $(seq 200); do timeout 30 lxc start $name >/dev/null 2>&1 && break; done
		same "$(shims_of $name)" 1 "shims of $name"
		same "$(cat $(groups_of $name | grep -m1 payload)/cgroup.procs | grep -c .)" 2 "processes of $name"
		like "$(run_record $name '.groups[0].path')" "lxc.payload.$name\$"
		works $name
	done
done

it "starts it once when many want it"
does lxc stop -f shi1 shi2
for _ in 1 2 3 4 5 6; do lxc start shi1 >/dev/null 2>&1 & done
wait
same "$(shims_of shi1)" 1 "shims of shi1"
works shi1
does lxc start shi2

it "brings it down when no daemon was there to see it"
for how in running frozen; do
	[ $how = running ] || does lxc pause shi1 shi2
	p1=$(pid_of shi1) p2=$(pid_of shi2)
	end_daemon
	kill -9 "$(shim_of shi1)" "$(shim_of shi2)"
	begin_daemon
	down shi1 "$p1"
	down shi2 "$p2"
	req GET $I/shi1
	meta '.config["volatile.last_state.power"]' '"STOPPED"'
	does lxc start shi1 shi2
	works shi1
	works shi2
done

it "ends for nobody but its guest"
for number in TERM HUP INT; do kill -s $number "$(shim_of shi1)"; done
works shi1
same "$(shims_of shi1)" 1 "shims of shi1"

it "leaves nothing behind"
does lxc delete -f shi1 shi2
clean
done_testing

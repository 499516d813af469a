#!/bin/bash
# The host goes down: instances are stopped in their order, and those that ran are there again after the next start.
. "$(dirname "$0")/lib.bash"
not_up() { [ -z "$(init_of "$1")" ]; }
running() { lxc list -f csv -c ns | sed -n 's/,RUNNING//p' | tr '\n' ' '; }
# watched: begins to record lifecycle events; order ACTION: the instances in the order of this event.
watched() { "$TOOLS/websocket" '/1.0/events?type=lifecycle' json >"$SCRATCH/events" & sleep 0.3; }
order() { jq -r "select(.metadata.action == \"$1\") | .metadata.source | sub(\".*/\"; \"\")" "$SCRATCH/events" | tr '\n' ' '; }
for n in 1 2 3 4 5; do does lxc init bb shu$n -q; done
does lxc config set shu1 boot.stop.priority 1
does lxc config set shu2 boot.stop.priority 3
does lxc config set shu3 boot.stop.priority 2
# Its init doesn't hear: it is killed after the time it has.
does lxc config set shu3 boot.host_shutdown_timeout 1
does lxc config set shu4 boot.autostart true
does lxc config set shu5 boot.autostart false
does lxc start shu1 shu2 shu3 shu5
launch shu6 -e

stops_in_order() {
	local p1 p2 p3
	p1=$(init_of shu1) p2=$(init_of shu2) p3=$(init_of shu3)
	# Which is last seen alive tells the order: watched from outside, as the daemon goes down with them.
	(
		while alive "$p1" || alive "$p2" || alive "$p3"; do
			for n in 2:$p2 3:$p3 1:$p1; do
				alive "${n#*:}" || grep -qx "${n%:*}" "$SCRATCH/order" || echo "${n%:*}" >>"$SCRATCH/order"
			done
			sleep 0.005
		done
		for n in 2:$p2 3:$p3 1:$p1; do grep -qx "${n%:*}" "$SCRATCH/order" || echo "${n%:*}" >>"$SCRATCH/order"; done
	) &
	watcher=$!
}

for how in shutdown PWR; do
	it "$how: stops all, the highest boot.stop.priority first"
	: >"$SCRATCH/order"
	# Stopped only, so that its init can't hear a signal.
	kill -STOP "$(init_of shu3)"
	pid=$(daemon)
	stops_in_order
	if [ $how = shutdown ]; then does lxd shutdown; else kill -s PWR "$pid"; fi
	until_true 40 dead "$pid"
	wait $watcher
	same "$(tr '\n' ' ' <"$SCRATCH/order")" '2 3 1 ' order
	for name in shu1 shu2 shu3 shu5 shu6; do
		same "$(groups_of $name)" '' "control groups of $name"
	done
	same "$(shims_of '[^ ]*')" 0 shims

	it "$how: starts those again that ran, and those that are meant to, the highest boot.autostart.priority first"
	begin_daemon
	until_true 20 eval '[ "$(running)" = "shu1 shu2 shu3 shu4 " ]'
	same "$(running)" 'shu1 shu2 shu3 shu4 ' running
	req GET $I/shu6
	same "$code" 404 "the ephemeral one"
	for name in shu1 shu2 shu3 shu4; do until_true 10 inside $name true; done
	for name in shu1 shu2 shu3 shu4; do works $name; done
	does lxc start shu5
	launch shu6 -e
	does lxc config set shu1 boot.autostart.priority 5
	does lxc config set shu3 boot.autostart.priority 9
	does lxc config set shu4 boot.autostart.priority 7
done
started() { cat "$LXD_DIR"/run/*/run.json | jq -rs 'sort_by(.started_ms) | .[].name' | grep -v 'shu[56]' | tr '\n' ' '; }

it "starts the highest boot.autostart.priority first"
does lxd shutdown
begin_daemon
until_true 20 eval '[ "$(running)" = "shu1 shu2 shu3 shu4 " ]'
# One that is being started counts as running already.
until_true 10 inside shu2 true
same "$(started)" 'shu3 shu4 shu1 shu2 ' order

it "starts those of one priority together, and rests after those that want it"
does lxc config set shu2 boot.autostart.priority 9
does lxc config set shu3 boot.autostart.delay 2
# What can't be started holds nobody up for ever, and is told.
does lxc init bb shu7 -q -c boot.autostart=true -c boot.autostart.priority=20
mkdir "$SCRATCH/gone"
does lxc config device add shu7 d disk source="$SCRATCH/gone" path=/mnt
rmdir "$SCRATCH/gone"
does lxd shutdown
begin_daemon
until_true 60 eval '[ "$(running)" = "shu1 shu2 shu3 shu4 " ]'
until_true 10 inside shu1 true
times() { cat "$LXD_DIR"/run/*/run.json | jq -rs "map(select(.name == \"$1\").started_ms) | .[0]"; }
for name in shu4 shu1; do
	[ $(($(times $name) - $(times shu3))) -ge 2000 ] || fail "$name started too early"
done
apart=$(($(times shu2) - $(times shu3)))
[ ${apart#-} -lt 2000 ] || fail 'two of one priority did not start together'
req GET '/1.0/warnings?recursion=1'
meta 'map(select(.type == "Failed to autostart instance") | [.entity_url, .status])' '[["/1.0/instances/shu7","new"]]'
does lxc delete shu7
does lxc config unset shu2 boot.autostart.priority
does lxc config unset shu3 boot.autostart.delay

it "doesn't start those that were stopped before"
does lxc stop -f shu1
does lxd shutdown
begin_daemon
until_true 20 eval '[ "$(running)" = "shu2 shu3 shu4 " ]'
until_true 10 inside shu2 true
# The last to be started is there, so nothing more comes.
same "$(running)" 'shu2 shu3 shu4 '

it "leaves a crash of the daemon alone: what runs isn't started twice"
another_daemon
for name in shu2 shu3 shu4; do
	works $name
	same "$(shims_of $name)" 1 "shims of $name"
done

it "leaves nothing behind"
does lxc delete -f shu1 shu2 shu3 shu4 shu5
clean
done_testing

#!/bin/bash
# Many instances: a profile that 200 use is changed during launches, and 20 launches of a fresh image unpack it once.
PREFIX=fan
. "$(dirname "$0")/lib.bash"
create() { curl -s --unix-socket "$LXD_SOCKET" -X POST http://lxd/1.0/instances -d "$1" | jq -r .operation; }
finished() { curl -s --unix-socket "$LXD_SOCKET" "http://lxd$1/wait?timeout=60" | jq -r '.metadata.status // "gone"'; }
does lxc storage create over overlay
does lxc profile create fan
does lxc profile device add fan root disk path=/ pool=over

it "unpacks a fresh image once for twenty launches"
operations=()
for n in $(seq 20); do operations+=("$(create '{"name":"fan-l'$n'","profiles":["fan"],"source":{"type":"image","alias":"bb"}}')"); done
most=0
while [ -z "${over:-}" ]; do
	# Unpacked beside the layers under names with a dot.
	now=$(find "$LXD_DIR/storage-pools/over/overlay/layers" -mindepth 1 -maxdepth 1 | wc -l)
	[ "$now" -le "$most" ] || most=$now
	curl -s --unix-socket "$LXD_SOCKET" http://lxd/1.0/operations | jq -e '.metadata == {}' >/dev/null && over=1
done
same "$most" 1 'layers at a time'
same "$(find "$LXD_DIR/storage-pools/over/overlay/layers" -mindepth 1 -maxdepth 1 | wc -l)" 1 layers
for operation in "${operations[@]}"; do like "$(finished "$operation")" 'Success|gone'; done
same "$(lxc list -f csv -c n | grep -c ^fan-l)" 20 instances
does lxc start fan-l{1..8}

it "changes a profile that 200 use, some of them running, while others are launched"
operations=()
for n in $(seq 180); do operations+=("$(create '{"name":"fan-s'$n'","profiles":["fan"],"source":{"type":"none"}}')"); done
for operation in "${operations[@]}"; do finished "$operation" >/dev/null; done
same "$(lxc query /1.0/profiles/fan | jq '.used_by | length')" 200 users
for n in 1 2 3 4; do timeout 60 lxc launch bb fan-n$n -p fan -q >"$SCRATCH/launch$n" 2>&1 & launches[n]=$!; done
for limit in 101 102 103; do does lxc profile set fan limits.processes $limit; done
for n in 1 2 3 4; do wait "${launches[n]}" || fail "launch: $(cat "$SCRATCH/launch$n")"; done
does lxc profile set fan limits.processes 99
for name in fan-l{1..8} fan-n{1..4}; do
	same "$(cat $(groups_of $name | sed 's|$|/pids.max|') 2>/dev/null)" 99 "limit of $name"
done
same "$(lxc query "/1.0/instances?recursion=1" | jq '[.[] | select(.expanded_config["limits.processes"] == "99")] | length')" 204 'changed instances'

it "goes on when a launch waits for a profile that is changed for ever"
(for n in $(seq 30); do lxc profile set fan user.n $n || exit 1; done) >"$SCRATCH/sets" 2>&1 &
sets=$!
for n in 5 6 7; do does timeout 60 lxc launch bb fan-n$n -p fan -q; done
wait $sets || fail "profile set: $(cat "$SCRATCH/sets")"
same "$(lxc profile get fan user.n)" 30

it "leaves nothing behind"
req PUT $I '{"state":{"action":"stop","force":true}}'
[ "$code" != 202 ] || finished "$(get .operation)" >/dev/null
operations=()
for name in $(lxc list -f csv -c n); do operations+=("$(curl -s --unix-socket "$LXD_SOCKET" -X DELETE "http://lxd$I/$name" | jq -r .operation)"); done
for operation in "${operations[@]}"; do finished "$operation" >/dev/null; done
same "$(lxc list -f csv -c n)" '' instances
does lxc image delete bb
clean
done_testing

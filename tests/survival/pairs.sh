#!/bin/bash
# Operations against each other on the same things: no deadlock, and an end that is one of the two orders.
PREFIX=pai
. "$(dirname "$0")/lib.bash"
ROUNDS=6
exists() { req GET "$I/$1" && [ "$code" = 200 ]; }
idle() { [ "$(curl -s --unix-socket "$LXD_SOCKET" 'http://lxd/1.0/operations?recursion=1' | jq -c .metadata)" = '{}' ]; }
# against A B...: commands at the same time, each bounded; what they said is in $SCRATCH/said.
against() {
	local line pids=() n=0
	for line; do
		timeout 40 bash -c "$line" </dev/null >"$SCRATCH/said.$n" 2>&1 &
		pids+=($!)
		n=$((n + 1))
	done
	n=0
	ended=()
	for line in "${pids[@]}"; do
		wait "$line"
		ended[n]=$?
		[ "${ended[n]}" != 124 ] || fail "never ended: ${!((n + 1))}"
		unlike "$(cat "$SCRATCH/said.$n")" 'nternal|panick|task ended|CONFLICT|conflict in' "said by $n"
		n=$((n + 1))
	done
}
said() { cat "$SCRATCH/said.$1"; }
# is_whole NAME: it is there as a whole: it can be started and stopped.
is_whole() {
	is_now "$1" Running || does lxc start "$1"
	works "$1"
	does lxc stop -f "$1"
}

it "start against delete"
for ((i = 0; i < ROUNDS; i++)); do
	does lxc init bb pai1 -q
	against 'lxc start pai1' 'lxc delete pai1'
	if exists pai1; then
		[ "${ended[1]}" != 0 ] || fail "deleted, and still there: $(said 1)"
		is_whole pai1
		does lxc delete pai1
	else
		[ "${ended[0]}" != 0 ] || fail "started and gone"
		same "$(shims_of pai1)" 0 shims
	fi
done
clean

it "rename against start"
for ((i = 0; i < ROUNDS; i++)); do
	does lxc init bb pai1 -q
	against 'lxc start pai1' 'lxc rename pai1 pai2'
	if exists pai2; then
		exists pai1 && fail "both names exist"
		name=pai2
	else
		name=pai1
	fi
	is_whole $name
	does lxc delete -f $name
done
clean

it "renames in a circle"
does lxc init bb pai1 -q
does lxc init bb pai2 -q
for ((i = 0; i < ROUNDS; i++)); do
	against 'lxc rename pai1 pai3 && lxc rename pai3 pai1' 'lxc rename pai2 pai3 && lxc rename pai3 pai2' 'lxc rename pai1 pai2' 'lxc rename pai2 pai1'
	names=$(lxc list -f csv -c n | sort | tr '\n' ' ')
	case $names in
	'pai1 pai2 ') ;;
	'pai1 pai3 ') does lxc rename pai3 pai2 ;;
	'pai2 pai3 ') does lxc rename pai3 pai1 ;;
	*) fail "instances: $names" ;;
	esac
done
is_whole pai1
is_whole pai2
does lxc delete pai1 pai2
clean

it "two creates of one name"
for ((i = 0; i < ROUNDS; i++)); do
	against 'lxc init bb pai1 -q' 'lxc init bb pai1 -q' 'lxc init bb pai1 -q'
	same "$(printf '%s\n' "${ended[@]}" | grep -c '^0$')" 1 "creates that succeeded: $(said 0) $(said 1) $(said 2)"
	is_whole pai1
	does lxc delete pai1
done
clean

it "a profile's deletion against a create with it"
for ((i = 0; i < ROUNDS; i++)); do
	does lxc profile create pai
	against 'lxc init bb pai1 -p default -p pai -q' 'lxc profile delete pai'
	if exists pai1; then
		meta .profiles '["default","pai"]'
		[ "${ended[1]}" != 0 ] || fail "a profile in use was deleted"
		is_whole pai1
		does lxc delete pai1
		does lxc profile delete pai
	else
		[ "${ended[0]}" != 0 ] || fail "created, and not there"
		same "${ended[1]}" 0 "$(said 0) $(said 1)"
	fi
done
clean

it "an image's deletion against launches of it"
for ((i = 0; i < ROUNDS; i++)); do
	against 'lxc launch bb pai1 -q' 'lxc image delete bb' 'lxc launch bb pai2 -q'
	for name in pai1 pai2; do
		if exists $name; then
			works $name
			does lxc delete -f $name
		fi
	done
	req GET /1.0/images
	[ "${ended[1]}" != 0 ] || meta . '[]'
	clean
	lxc image info bb >/dev/null 2>&1 || does lxc image import "$BB" --alias bb
done

it "start, stop, restart, pause and delete of one, all at once"
for ((i = 0; i < ROUNDS; i++)); do
	does lxc init bb pai1 -q
	against 'lxc start pai1' 'lxc stop -f pai1' 'lxc restart -f pai1' 'lxc pause pai1' 'lxc config set pai1 limits.processes 50' 'lxc delete -f pai1'
	until_true 20 idle
	if exists pai1; then
		does lxc delete -f pai1
	fi
done
clean

it "leaves nothing behind, and no operation"
until_true 10 idle
done_testing

#!/bin/bash
# What the daemon says of the machine's networks, and of what it warns about.
# covers: GET /1.0/networks, GET /1.0/networks/{name}, GET /1.0/networks/{name}/state
# covers: GET /1.0/warnings, GET /1.0/warnings/{uuid}, PUT /1.0/warnings/{uuid}, PATCH /1.0/warnings/{uuid}, DELETE /1.0/warnings/{uuid}
. "$(dirname "$0")/lib.bash"
N=/1.0/networks W=/1.0/warnings
nobody=b043d632-5c48-44b3-983c-a25660d61164

it "lists the machine's interfaces"
req GET $N
ok
meta . '["/1.0/networks/lo"]'
req GET "$N?recursion=1"
meta . '[{"config":{},"description":"","name":"lo","type":"loopback","used_by":[],"managed":false,"status":"","locations":null}]'
req GET $N/lo
ok
meta . '{"config":{},"description":"","name":"lo","type":"loopback","used_by":[],"managed":false,"status":"","locations":null}'
like "$(header etag)" '^"'

it "tells the state of one"
req GET $N/lo/state
ok
meta '[.mtu, .type, .addresses[0].family, .addresses[0].address]' '[65536,"loopback","inet","127.0.0.1"]'
req GET $N/nope/state
error 404 'not found'

it "sees one come and go"
if ip link add name hbr0 type bridge 2>/dev/null; then
	req GET $N/hbr0
	meta '[.type, .managed]' '["bridge",false]'
	ip link add name hve0 type veth peer name hve1
	req GET "$N?recursion=1"
	meta 'map(.name) | map(select(. == "hbr0"))' '["hbr0"]'
	ip link del hbr0
	ip link del hve0
fi
req GET $N/hbr0
error 404 '^Network not found$'
req GET $N/nope
error 404 '^Network not found$'
does lxc network list
does lxc network show lo
like "$out" 'type: loopback'

it "lists warnings"
req GET $W
ok
meta 'map(startswith("/1.0/warnings/")) | map(select(. != true))' '[]'
urls=$(get '.metadata | length')
req GET "$W?recursion=1"
ok
meta length "$urls"
meta 'map(keys) | unique | map(select(. != ["count","entity_url","first_seen_at","last_message","last_seen_at","location","project","severity","status","type","uuid"]))' '[]'
does lxc warning list

it "knows no warning of that name"
req GET $W/$nobody
error 404 '^Warning not found$'
req GET $W/nope
error 404 '^Warning not found$'
req DELETE $W/$nobody
error 404 '^Warning not found$'

it "lets a warning be acknowledged, and deleted"
req GET "$W?recursion=1"
uuid=$(get '[.metadata[] | select(.status == "new")][0].uuid // ""')
# A host that lacks nothing gives nothing to warn about.
if [ -n "$uuid" ]; then
	req GET $W/$uuid
	ok
	meta .uuid "\"$uuid\""
	req PUT $W/$uuid '{"status":"acknowledged"}'
	ok
	req GET $W/$uuid
	meta .status '"acknowledged"'
	req PATCH $W/$uuid '{"status":"new"}'
	ok
	req PUT $W/$uuid '{"status":"nope"}'
	error '400|500' .
	monitor "$SCRATCH/events"
	req PUT $W/$uuid '{"status":"acknowledged"}'
	req PATCH $W/$uuid '{"status":"new"}'
	req DELETE $W/$uuid
	ok
	for action in acknowledged reset deleted; do
		until_true 10 grep -q "warning-$action" "$SCRATCH/events"
	done
	kill "$monitor"
	req GET $W/$uuid
	error 404 '^Warning not found$'
fi

done_testing

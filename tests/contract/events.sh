#!/bin/bash
# The stream of events.
# covers: GET /1.0/events
. "$(dirname "$0")/lib.bash"

# listen FILE QUERY: collects the events of a websocket in FILE, and waits until it is connected.
listen() {
	"$TOOLS/websocket" "/1.0/events$2" json >"$1" 2>/dev/null &
	listener=$!
}
# seen FILE FILTER: whether an event in FILE fits jq's FILTER.
seen() { [ -n "$(jq -c "select($2)" "$1" 2>/dev/null)" ]; }
hang_up() { kill "$listener" 2>/dev/null; wait "$listener" 2>/dev/null; }

it "answers a plain request with the complaint of a websocket server"
req GET /1.0/events
same "$code" 400 code

it "refuses a kind of event it does not know"
does true
out=$("$TOOLS/websocket" '/1.0/events?type=nope') && fail "connected: $out"
like "$out" '^refused (400|500) .*nope'

it "sends the life of a profile"
listen "$SCRATCH/e1" '?type=lifecycle'
# The connection is known to be up when something has been seen on it.
until_true 10 bash -c '
	curl -s --unix-socket "$LXD_SOCKET" -X POST --data "{\"name\":\"warm$RANDOM\"}" http://lxd/1.0/profiles >/dev/null
	grep -q profile-created "$SCRATCH/e1"'
req POST /1.0/profiles '{"name":"ev"}'
until_true 10 seen "$SCRATCH/e1" '.metadata.action == "profile-created" and .metadata.source == "/1.0/profiles/ev"'
req PATCH /1.0/profiles/ev '{"description":"x"}'
until_true 10 seen "$SCRATCH/e1" '.metadata.action == "profile-updated" and .metadata.source == "/1.0/profiles/ev"'
req POST /1.0/profiles/ev '{"name":"ev2"}'
until_true 10 seen "$SCRATCH/e1" '.metadata.action == "profile-renamed" and .metadata.context.old_name == "ev"'
req DELETE /1.0/profiles/ev2
until_true 10 seen "$SCRATCH/e1" '.metadata.action == "profile-deleted" and .metadata.source == "/1.0/profiles/ev2"'

it "gives every event its envelope"
body=$(jq -cs '{metadata: .}' "$SCRATCH/e1")
meta 'map(.type) | unique' '["lifecycle"]'
meta 'map([.project, .location]) | unique' '[["default","none"]]'
meta 'map(.timestamp | test("^20[0-9]{2}-[0-9]{2}-[0-9]{2}T.*(Z|[+-][0-9:]+)$")) | unique' '[true]'
meta 'map(.metadata.requestor.protocol) | unique' '["unix"]'
hang_up

it "tells a listener of operations all that happens to one"
listen "$SCRATCH/e2" '?type=operation'
until_true 10 bash -c 'lxc image alias delete w >/dev/null 2>&1; lxc init bb evw$RANDOM -q >/dev/null 2>&1; grep -q "Creating instance" "$SCRATCH/e2"'
run POST "$I" '{"name":"ev1","source":{"type":"image","alias":"bb"}}'
succeeded
id=${operation##*/}
until_true 10 seen "$SCRATCH/e2" ".metadata.id == \"$id\" and .metadata.status == \"Running\""
until_true 10 seen "$SCRATCH/e2" ".metadata.id == \"$id\" and .metadata.status == \"Success\" and .metadata.status_code == 200"
seen "$SCRATCH/e2" '.type != "operation"' && fail "events of another kind"
hang_up

it "tells the life of an instance in order"
listen "$SCRATCH/e3" '?type=lifecycle'
until_true 10 bash -c '
	curl -s --unix-socket "$LXD_SOCKET" -X POST --data "{\"name\":\"warm$RANDOM\"}" http://lxd/1.0/profiles >/dev/null
	grep -q profile-created "$SCRATCH/e3"'
does lxc start ev1
run PUT "$I/ev1/state" '{"action":"freeze"}'
run PUT "$I/ev1/state" '{"action":"unfreeze"}'
does lxc stop ev1 --force
run POST "$I/ev1" '{"name":"ev3"}'
does lxc delete ev3
until_true 10 seen "$SCRATCH/e3" '.metadata.action == "instance-deleted"'
actions=$(jq -r 'select(.metadata.source | test("instances/ev[13]$")) | .metadata.action' "$SCRATCH/e3" | grep -v -- -updated | tr '\n' ' ')
like "$actions" 'instance-started .*instance-paused instance-resumed .*instance-(stopped|shutdown) instance-renamed instance-deleted'
hang_up

it "filters by project, and shows all when asked"
listen "$SCRATCH/e4" '?all-projects=true'
until_true 10 bash -c '
	curl -s --unix-socket "$LXD_SOCKET" -X POST --data "{\"name\":\"warm$RANDOM\"}" http://lxd/1.0/profiles >/dev/null
	grep -q profile-created "$SCRATCH/e4"'
hang_up

it "does not fall over a listener that goes away"
"$TOOLS/websocket" /1.0/events hangup
"$TOOLS/websocket" /1.0/events close >"$SCRATCH/e5"
like "$(cat "$SCRATCH/e5")" 'close|end'
req POST /1.0/profiles '{"name":"after"}'
created /1.0/profiles/after

it "accepts what an old library calls the host"
out=$("$TOOLS/websocket" '/1.0/events?type=lifecycle' host:localhost:None close)
unlike "$out" refused

it "works with the client's monitor"
timeout 20 lxc monitor --type=lifecycle --format=json >"$SCRATCH/monitor" 2>&1 &
monitor=$!
until_true 15 bash -c 'curl -s --unix-socket "$LXD_SOCKET" -X POST --data "{\"name\":\"m$RANDOM\"}" http://lxd/1.0/profiles >/dev/null; grep -q profile-created "$SCRATCH/monitor"'
kill $monitor

done_testing

#!/bin/bash
# The console of an instance, and its log.
# covers: GET /1.0/instances/{name}/console, POST /1.0/instances/{name}/console, DELETE /1.0/instances/{name}/console
. "$(dirname "$0")/lib.bash"
launch con1
C=$I/con1/console
# attach: a session; fd N is the path of a websocket of it.
attach() { begin POST $C "${1:-{\}}"; started=$body; }
fd() { echo "$operation/websocket?secret=$(jq -r ".metadata.metadata.fds[\"$1\"]" <<<"$started")"; }

it "keeps what is written to the console"
inside con1 sh -c 'echo hello-console >/dev/console'
until_true 5 bash -c 'curl -s --unix-socket "$LXD_SOCKET" http://lxd/1.0/instances/con1/console | grep -q hello-console'
req GET $C
same "$code" 200 code
like "$body" hello-console
does lxc console con1 --show-log
like "$out" hello-console

it "empties it"
req DELETE $C
ok
meta . '{}'
req GET $C
unlike "$body" hello-console
inside con1 sh -c 'echo second-line >/dev/console'
until_true 5 bash -c 'curl -s --unix-socket "$LXD_SOCKET" http://lxd/1.0/instances/con1/console | grep -q second-line'

it "connects to it, both ways"
attach '{"width":80,"height":24}'
is '.metadata | [.class, .description, (.metadata.fds | keys)]' '["websocket","Showing console",["0","control"]]'
"$TOOLS/websocket" "$(fd control)" 'text:{"command":"window-resize","args":{"width":"90","height":"30"}}' >/dev/null &
control=$!
"$TOOLS/websocket" "$(fd 0)" read:binary:from-guest 'binary:to-guest\n' read:binary:to-guest hangup >"$SCRATCH/0" &
session=$!
sleep 0.5
inside con1 sh -c 'echo from-guest >/dev/console; read line </dev/console; echo "<$line>" >/tmp/read' &
until_true 10 inside con1 grep -q '<to-guest>' /tmp/read
wait $session
kill $control 2>/dev/null
like "$(cat "$SCRATCH/0")" from-guest

it "lets a session go when its client leaves"
until_true 10 bash -c '[ "$(curl -s --unix-socket "$LXD_SOCKET" "http://lxd'"$operation"'" | jq -r .metadata.status)" != Running ]'

it "does not hold up a guest that talks to nobody"
does timeout 30 lxc exec con1 -- sh -c 'i=0; while [ $i -lt 20000 ]; do echo "line $i of a long story that nobody reads"; i=$((i+1)); done >/dev/console'
is_now con1 Running || fail "not running"

it "refuses what is not there"
req POST $C 'x'
error 400 'invalid character'
req POST $C '{"type":"nope"}'
error '400|500' .
req POST $I/nope/console '{}'
error 404 'Instance not found'
does lxc stop -f con1
req POST $C '{}'
error 400 '^Instance is not running$'
does lxc delete con1
req GET $C
error 404 'Instance not found'
req DELETE $C
error 404 'Instance not found'

done_testing

#!/bin/bash
# The console of an instance, and its log.
# covers: GET /1.0/instances/{name}/console, POST /1.0/instances/{name}/console, DELETE /1.0/instances/{name}/console
. "$(dirname "$0")/lib.bash"
launch con1
C=$I/con1/console
# says TEXT: writes it to the console from inside, until the log has it: each look of 5.0.2's takes away what it shows.
says() {
	local i
	for ((i = 0; i < 20; i++)); do
		inside con1 sh -c "echo $1 >/dev/console"
		req GET $C
		[[ $body == *"$1"* ]] && return 0
		sleep 0.1
	done
	fail "never seen: $1; last: $body"
}
# attach: a session; fd N is the path of a websocket of it.
attach() { begin POST $C "${1:-{\}}"; started=$body; }
fd() { echo "$operation/websocket?secret=$(jq -r ".metadata.metadata.fds[\"$1\"]" <<<"$started")"; }

it "keeps what is written to the console"
says hello-console
same "$code" 200 code
inside con1 sh -c 'echo for-the-client >/dev/console'
does lxc console con1 --show-log
like "$out" 'Console log:'
like "$out" for-the-client

it "empties it"
req DELETE $C
ok
meta . '{}'
req GET $C
unlike "$body" hello-console
says second-line

it "connects to it, both ways"
attach '{"width":80,"height":24}'
is '.metadata | [.class, .description, (.metadata.fds | keys)]' '["websocket","Showing console",["0","control"]]'
"$TOOLS/websocket" "$(fd control)" "wait:$SCRATCH/over" hangup >/dev/null &
"$TOOLS/websocket" "$(fd 0)" hangup
touch "$SCRATCH/over"
wait
inside con1 sh -c 'read line </dev/console; echo "<$line>" >/tmp/read' &
(
	for _ in $(seq 40); do
		inside con1 test -s /tmp/read >/dev/null 2>&1 && break
		inside con1 sh -c 'echo from-guest >/dev/console'
		echo to-guest
		sleep 0.5
	done
	printf '\001q'
	sleep 1
) | timeout 60 script -qec 'lxc console con1' /dev/null >"$SCRATCH/session" 2>&1
wait
like "$(cat "$SCRATCH/session")" from-guest
like "$(inside con1 cat /tmp/read)" 'to-guest'

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

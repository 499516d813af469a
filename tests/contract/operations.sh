#!/bin/bash
# Operations: listed, looked at, waited for, cancelled.
# covers: GET /1.0/operations, GET /1.0/operations/{id}, DELETE /1.0/operations/{id}
# covers: GET /1.0/operations/{id}/wait, GET /1.0/operations/{id}/websocket
. "$(dirname "$0")/lib.bash"
nobody=/1.0/operations/b043d632-5c48-44b3-983c-a25660d61164

it "describes an operation in the answer that begins it"
begin POST "$I" '{"name":"op1","source":{"type":"image","alias":"bb"}}'
meta keys '["class","created_at","description","err","id","location","may_cancel","metadata","resources","status","status_code","updated_at"]'
meta '[.class, .description, .location, .err, .may_cancel]' '["task","Creating instance","none","",false]'
meta .resources '{"containers":["/1.0/containers/op1"],"instances":["/1.0/instances/op1"]}'
meta '"/1.0/operations/" + .id' "\"$operation\""

it "waits for its end"
ended
succeeded
is '[.class, .description]' '["task","Creating instance"]'

it "still has it for a while after its end"
req GET "$operation"
ok
meta '[.status, .status_code]' '["Success",200]'
req GET "$operation/wait"
ok
meta .status '"Success"'

it "lists by status"
req GET /1.0/operations
ok
meta ".success | map(select(. == \"$operation\")) | length" 1
req GET '/1.0/operations?recursion=1'
ok
meta "[.success[] | select(.id == \"${operation##*/}\") | .description]" '["Creating instance"]'

it "reports a failure in the operation, not in the answer"
begin PUT "$I/op1/state" '{"action":"stop"}'
ended
failed_with 'already stopped'
req GET "$operation"
ok
meta '[.status, .status_code]' '["Failure",400]'

it "cannot cancel what is over or cannot be cancelled"
req DELETE "$operation"
[ "$code" = 400 ] || [ "$code" = 404 ] || fail "$code: $body"

it "runs out of patience when told to"
does lxc start op1
begin POST "$I/op1/exec" '{"command":["sleep","1000"],"wait-for-websocket":false}'
req GET "$operation/wait?timeout=1"
ok
meta .status '"Running"'
req GET /1.0/operations
meta ".running | map(select(. == \"$operation\")) | length" 1

it "does not let go of an operation when a waiter hangs up"
timeout 1 curl -s --unix-socket "$LXD_SOCKET" "http://lxd$operation/wait" >/dev/null
req GET "$operation"
meta .status '"Running"'
inside op1 sh -c 'kill $(pidof sleep | tr " " "\n" | while read p; do grep -q 1000 /proc/$p/cmdline && echo $p; done)'
ended
is .metadata.return 143

it "knows no operation of that name"
req GET "$nobody"
error 404 '^Operation not found$'
req GET /1.0/operations/nope
error 404 '^Operation not found$'
req DELETE "$nobody"
error 404 '^Operation not found$'
req GET "$nobody/wait"
error 404 '^Operation not found$'
req GET "$nobody/websocket?secret=x"
error 404 '^Operation not found$'

it "lets nobody into a websocket without the secret"
begin POST "$I/op1/exec" '{"command":["cat"],"wait-for-websocket":true,"interactive":false}'
secret=$(get '.metadata.metadata.fds["0"]')
like "$secret" '^[0-9a-f]{64}$'
out=$("$TOOLS/websocket" "$operation/websocket?secret=0000") && fail "let in: $out"
like "$out" '^refused (403|500)'
out=$("$TOOLS/websocket" "$operation/websocket") && fail "let in: $out"
like "$out" '^refused (400|403|500)'

it "gives up on a command whose sockets nobody opens"
ended
failed_with 'Timed out waiting for websockets to connect'

it "works with the client"
begin POST "$I/op1/exec" '{"command":["sleep","1000"]}'
does lxc operation list
like "$out" "${operation##*/}.*WEBSOCKET|${operation##*/}.*TASK"
does lxc operation show "${operation##*/}"
like "$out" 'status: Running'
refuses 'Operation not found|not found' lxc operation show nope
does lxc delete op1 --force

done_testing

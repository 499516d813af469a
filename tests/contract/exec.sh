#!/bin/bash
# Commands inside an instance.
# covers: POST /1.0/instances/{name}/exec, POST /1.0/containers/{name}/exec
# covers: GET /1.0/instances/{name}/logs, GET /1.0/instances/{name}/logs/{file}, DELETE /1.0/instances/{name}/logs/{file}
# covers: GET /1.0/operations/{id}/websocket
. "$(dirname "$0")/lib.bash"
launch exe1
E=$I/exe1/exec
# 5.0.2 leaves some control sockets open after the end: no script waits long for that.
export WS_TIMEOUT=15
# start_exec JSON: begins a command; fd N gives the path of a stream's websocket.
start_exec() { begin POST $E "$1"; started=$body; }
fd() { echo "$operation/websocket?secret=$(jq -r ".metadata.metadata.fds[\"$1\"]" <<<"$started")"; }
# done_exec RETURN: the command ended so.
done_exec() { ended; is '[.status, .metadata.return]' "[\"Success\",$1]"; }

it "gives back what a command prints, apart"
gives out inside exe1 echo out
seen=$(inside exe1 sh -c 'echo out; echo err >&2' 2>"$SCRATCH/err")
same "$seen" out stdout
same "$(cat "$SCRATCH/err")" err stderr

it "gives back how it ended"
for n in 0 1 2 42 126 255; do ends $n inside exe1 sh -c "exit $n"; done
ends 137 inside exe1 sh -c 'kill -9 $$'
ends 143 inside exe1 sh -c 'kill -15 $$'

it "says that there is no such command"
ends 127 inside exe1 nope
like "$out" 'Command not found'
ends 127 inside exe1 /nope/nope
run POST $E '{"command":["nope"],"record-output":true}'
is '[.status_code, .err, .metadata.return]' '[400,"Command not found",127]'
ends 126 inside exe1 /etc/passwd
like "$out" 'not executable'

it "feeds it"
same "$(echo hello | lxc exec exe1 -- cat)" hello stdin
same "$(printf '%s' 'no newline' | lxc exec exe1 -- wc -c)" 10 bytes
same "$(lxc exec exe1 -- cat </dev/null)" '' 'an empty stdin ends'

it "loses and reorders nothing of many megabytes"
head -c 20000000 /dev/urandom >"$SCRATCH/big"
sum=$(sha256sum <"$SCRATCH/big")
same "$(lxc exec exe1 -- sha256sum <"$SCRATCH/big")" "$sum" 'on the way in'
same "$(lxc exec exe1 -- cat <"$SCRATCH/big" | sha256sum)" "$sum" 'in and out'
same "$(inside exe1 sh -c 'i=0; while [ $i -lt 20000 ]; do echo $i; i=$((i+1)); done' | cksum)" "$(seq 0 19999 | cksum)" lines

it "does not mind a reader that leaves"
seen=$(timeout 20 lxc exec exe1 -- sh -c 'yes' </dev/null 2>/dev/null | head -n 1)
same "$seen" y line

it "runs in the environment it is given, over the usual one"
does inside exe1 env
for line in HOME=/root USER=root LANG=C.UTF-8 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin; do
	like $'\n'"$out"$'\n' $'\n'"$line"$'\n'
done
gives 'a b' lxc exec exe1 --env A='a b' -- sh -c 'echo "$A"'
gives /tmp lxc exec exe1 --env HOME=/tmp -- sh -c 'echo "$HOME"'
does lxc config set exe1 environment.B=c
gives c inside exe1 sh -c 'echo "$B"'
gives d lxc exec exe1 --env B=d -- sh -c 'echo "$B"'

it "runs where and as whom it is told"
gives /root inside exe1 pwd
gives /tmp lxc exec exe1 --cwd /tmp -- pwd
gives '0 0' inside exe1 sh -c 'echo $(id -u) $(id -g)'
gives '1000 0' lxc exec exe1 --user 1000 -- sh -c 'echo $(id -u) $(id -g)'
gives '1000 1000' lxc exec exe1 --user 1000 --group 1000 -- sh -c 'echo $(id -u) $(id -g)'
gives 0 inside exe1 sh -c 'id -G | tr " " "\n" | sort -u | tr -d "\n"'
ends 1 lxc exec exe1 --user 1000 -- touch /etc/x
does inside exe1 sh -c 'grep -c . /proc/self/cgroup'

it "starts clean: no descriptors, no signals of the daemon's"
gives '0 1 2 3' inside exe1 sh -c 'ls /proc/self/fd | sort -n | tr "\n" " " | sed "s/ $//"'
does inside exe1 grep -E '^Sig(Blk|Ign)' /proc/self/status
like "$out" 'SigBlk:.0000000000000000'
# LXD hands on what was ignored when it was started.
! ours || like "$out" 'SigIgn:.0000000000000000'

it "is a terminal when asked to be"
# LXD 5.0.2 may lose what a command prints right before its end.
out=$(sleep 3 | timeout 60 script -qec 'lxc exec exe1 -t -- sh -c "tty; stty size; echo TERM=\$TERM; sleep 1"' /dev/null)
like "$out" '/dev/pts/|/dev/console'
like "$out" 'TERM='
gives 'not a tty' inside exe1 sh -c 'tty || true'
same "$(lxc exec exe1 -T -- tty </dev/null)" 'not a tty' tty

it "has a terminal of the usual size when none is said"
(sleep 2 | timeout 20 lxc exec exe1 -t -- sh -c 'stty size >/root/size') >/dev/null 2>&1
same "$(inside exe1 cat /root/size)" '25 80'

it "takes the size of a terminal, and its changes"
start_exec '{"command":["sh","-c","stty size; read x; stty size; exit 7"],"wait-for-websocket":true,"interactive":true,"width":91,"height":37,"environment":{"TERM":"vt100"}}'
is '.metadata.metadata | [.interactive, .command[0], (.fds | keys)]' '[true,"sh",["0","control"]]'
is '.metadata.metadata.environment | [.TERM, .HOME, .USER, .LANG]' '["vt100","/root","root","C.UTF-8"]'
"$TOOLS/websocket" "$(fd 0)" read:binary:'37 91' "wait:$SCRATCH/resized" 'binary:\n' >"$SCRATCH/pty" &
"$TOOLS/websocket" "$(fd control)" "wait:$SCRATCH/go" 'text:{"command":"window-resize","args":{"width":"80","height":"24"}}' sleep:0.5 >"$SCRATCH/control" &
until_true 10 grep -q '37 91' "$SCRATCH/pty"
touch "$SCRATCH/go"
# Nothing says when a new size has arrived.
sleep 0.5
touch "$SCRATCH/resized"
done_exec 7
wait
like "$(cat "$SCRATCH/pty")" '24 80'
like "$(cat "$SCRATCH/pty")" $'\n(text|close|end)'

it "passes signals on"
start_exec '{"command":["sh","-c","trap \"echo got; exit 9\" USR1; echo ready; while :; do sleep 0.1; done"],"wait-for-websocket":true}'
"$TOOLS/websocket" "$(fd 0)" >/dev/null &
"$TOOLS/websocket" "$(fd 2)" >/dev/null &
"$TOOLS/websocket" "$(fd 1)" >"$SCRATCH/out" &
until_true 10 grep -q ready "$SCRATCH/out"
"$TOOLS/websocket" "$(fd control)" 'text:{"command":"signal","signal":10}' >/dev/null &
done_exec 9
wait
like "$(cat "$SCRATCH/out")" 'got'

it "ends each stream with its barrier, after its last byte"
start_exec '{"command":["sh","-c","cat; echo bye"],"wait-for-websocket":true}'
"$TOOLS/websocket" "$(fd 2)" >"$SCRATCH/2" &
"$TOOLS/websocket" "$(fd control)" >/dev/null &
"$TOOLS/websocket" "$(fd 1)" >"$SCRATCH/1" &
"$TOOLS/websocket" "$(fd 0)" 'binary:hello ' 'text:' >"$SCRATCH/0" &
done_exec 0
wait
same "$(sed -n 's/^binary //p' "$SCRATCH/1" | tr -d '\n')" 'hello bye\n' stdout
like "$(cat "$SCRATCH/1")" $'bye\\\\n\ntext '
like "$(cat "$SCRATCH/2")" 'text '

it "uses a secret once"
# 5.0.2 takes the second connection and leaves it hanging.
if ours; then
	start_exec '{"command":["cat"],"wait-for-websocket":true}'
	"$TOOLS/websocket" "$(fd 2)" >/dev/null &
	"$TOOLS/websocket" "$(fd 1)" >/dev/null &
	"$TOOLS/websocket" "$(fd control)" sleep:5 >/dev/null 2>&1 &
	sleep 0.3
	seen=$("$TOOLS/websocket" "$(fd 1)") && fail "used again: $seen"
	like "$seen" '^refused [45]'
	"$TOOLS/websocket" "$(fd 0)" 'text:' >/dev/null
	done_exec 0
	wait
fi

it "waits for a client that opens its streams late"
start_exec '{"command":["sh","-c","echo early"],"wait-for-websocket":true}'
"$TOOLS/websocket" "$(fd 0)" >/dev/null &
"$TOOLS/websocket" "$(fd 2)" >/dev/null &
sleep 1
"$TOOLS/websocket" "$(fd 1)" >"$SCRATCH/late"
like "$(cat "$SCRATCH/late")" 'binary early'
wait
done_exec 0

it "does without a control stream, as old clients do"
start_exec '{"command":["echo","old"],"wait-for-websocket":true}'
"$TOOLS/websocket" "$(fd 0)" >/dev/null &
"$TOOLS/websocket" "$(fd 2)" >/dev/null &
"$TOOLS/websocket" "$(fd 1)" >"$SCRATCH/old"
like "$(cat "$SCRATCH/old")" 'binary old'
wait
done_exec 0

it "kills the command of a client that goes away"
start_exec '{"command":["sh","-c","echo $$ >/tmp/pid; exec sleep 1000"],"wait-for-websocket":true,"interactive":true}'
"$TOOLS/websocket" "$(fd 0)" >/dev/null &
"$TOOLS/websocket" "$(fd control)" sleep:0.5 hangup >/dev/null
done_exec 137
wait
refuses . inside exe1 sh -c 'kill -0 $(cat /tmp/pid)'

it "is not held up by children that keep the pipe"
# How long the client waits for such children is not pinned: 5.0.2 waits for their end.
gives started lxc exec exe1 -- sh -c 'sleep 3 & echo started'
gives started lxc exec exe1 -- sh -c 'sleep 1000 >/dev/null 2>&1 </dev/null & echo started'
inside exe1 killall -q sleep >/dev/null 2>&1

it "runs without anybody listening"
run POST $E '{"command":["sh","-c","echo lost; exit 4"]}'
is '[.status, .metadata.return, .metadata.output]' '["Success",4,null]'
run POST $E '{"command":["sh","-c","[ -t 1 ] && exit 5"],"interactive":true}'
is .status_code 200

it "records what it printed, when asked to"
run POST $E '{"command":["sh","-c","echo out; echo err >&2; exit 3"],"record-output":true}'
is '[.status, .metadata.return, (.metadata.output | keys)]' '["Success",3,["1","2"]]'
one=$(get '.metadata.output["1"]') two=$(get '.metadata.output["2"]')
like "$one" "^$I/exe1/logs/exec_[0-9a-f-]{36}\.stdout$"
like "$two" "^$I/exe1/logs/exec_[0-9a-f-]{36}\.stderr$"
req GET "$one"
same "$code $body" '200 out' stdout
req GET "$two"
same "$code $body" '200 err' stderr
req GET $I/exe1/logs
ok
meta "map(select(. == \"$one\" or . == \"$two\")) | length" 2
req DELETE "$one"
ok
req GET "$one"
[ "$code" -ge 400 ] || fail "still there"

it "shows no other file as a log"
for name in nope ..%2f..%2funix.socket exec_.. %2e%2e; do
	req GET "$I/exe1/logs/$name"
	error '400|404' .
	req DELETE "$I/exe1/logs/$name"
	error '400|404' .
done
req DELETE $I/exe1/logs/lxc.log
error '400|404' .

it "refuses what is no command"
req POST $E '{"command":[]}'
# LXD 5.0.2 accepts it, and what becomes of that varies.
if ours; then error 400 'command is required'; fi
req POST $E 'x'
error 400 'invalid character'
req POST $E ''
error 400 'EOF|unexpected end'
req POST $I/nope/exec '{"command":["true"]}'
error 404 'Instance not found'

it "runs many at once"
for n in $(seq 12); do lxc exec exe1 -- sh -c "echo $n; exit $n" >"$SCRATCH/many$n" </dev/null & pids[n]=$!; done
for n in $(seq 12); do
	wait "${pids[n]}"
	same "$?" "$n" status
	same "$(cat "$SCRATCH/many$n")" "$n" output
done

it "leaves nothing behind in the guest"
until_true 10 bash -c '[ "$(lxc exec exe1 -- ps -o pid,args </dev/null | grep -v -E "ps -o|init|sleep 3600|PID" | wc -l)" = 0 ]' ||
	fail "$(inside exe1 ps)"

it "answers to the words of old"
run POST /1.0/containers/exe1/exec '{"command":["true"]}'
is .metadata.return 0

it "refuses a stopped instance"
does lxc stop -f exe1
req POST $E '{"command":["true"]}'
error 400 '^Instance is not running$'
refuses 'Instance is not running' lxc exec exe1 -- true
refuses 'Instance not found' lxc exec nope -- true
does lxc delete exe1

done_testing

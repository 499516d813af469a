#!/bin/bash
# A daemon that dies, ends or is replaced: guests don't notice, and the next daemon has them all.
. "$(dirname "$0")/lib.bash"
does lxc storage create over overlay
launch ado1
launch ado2 -s over
launch ado3
does lxc init bb ado4 -q

# unchanged: the guests are the ones from before, and everything works with them.
unchanged() {
	local name
	for name in ado1 ado2; do
		works $name
		same "$(pid_of $name)" "${pids[$name]}" "pid of $name"
		same "$(shims_of $name)" 1 "shims of $name"
	done
	same "$(state_of ado4)" Stopped "state of ado4"
}
declare -A pids
for name in ado1 ado2 ado3; do pids[$name]=$(pid_of $name); done

it "leaves guests running when it is killed, and the next daemon adopts them"
does lxc pause ado3
end_daemon
for name in ado1 ado2 ado3; do alive "${pids[$name]}" || fail "$name is dead"; done
begin_daemon
unchanged
same "$(state_of ado3)" Frozen "state of ado3"
does lxc start ado3
works ado3

it "has their consoles afterwards, with what was said meanwhile"
end_daemon
echo while-away >"/proc/${pids[ado1]}/root/dev/console"
begin_daemon
does lxc console ado1 --show-log
like "$out" while-away
console ado1 hello-dir
console ado2 hello-overlay

it "changes the limits of those it has adopted"
does lxc config set ado1 limits.processes 77
like "$(cat $(groups_of ado1 | sed 's|$|/pids.max|') 2>/dev/null)" '^77$'

it "keeps connections through a guest's border, and its proxies"
ENDS=$(dirname "$0")/../tools/ends
does lxc exec ado1 -- ip link set lo up
nsenter "--net=/proc/$(pid_of ado1)/ns/net" "$ENDS" serve tcp:127.0.0.1:80 >"$SCRATCH/ready" &
echo_end=$!
until_true 5 grep -q ready "$SCRATCH/ready"
does lxc config device add ado1 px proxy listen=tcp:127.0.0.1:2000 connect=tcp:127.0.0.1:80
does lxc config device add ado1 node unix-char path=/dev/node major=1 minor=5
proxy_of() { cat "$LXD_DIR"/run/*/proxies/px.json | jq .process.pid; }
proxy=$(proxy_of)
mkfifo "$SCRATCH/lines"
"$ENDS" talk tcp:127.0.0.1:2000 <"$SCRATCH/lines" >"$SCRATCH/answers" 2>&1 &
talk=$!
exec 7>"$SCRATCH/lines"
echo before >&7
until_true 5 grep -q before "$SCRATCH/answers"
end_daemon
echo without >&7
until_true 5 grep -q without "$SCRATCH/answers"
begin_daemon
echo after >&7
until_true 5 grep -q after "$SCRATCH/answers"
same "$(proxy_of)" "$proxy" "the proxy's process"
same "$(inside ado1 grep -c ' /dev/node ' /proc/mounts)" 1 'the node'
echo "# a proxy: $(awk '/^(RssAnon|VmRSS)/ {printf "%s %s kB ", $1, $2}' "/proc/$proxy/status")" >&2
exec 7>&-
kill $talk 2>/dev/null

it "starts proxies again that were killed, also while no daemon ran"
S=$SCRATCH/socket
answers() { [ "$("$ENDS" ask "$1" hello 2>&1)" = hello ]; }
does lxc config device add ado1 pu proxy "listen=unix:$S" connect=tcp:127.0.0.1:80
for round in watched adopted again; do
	proxy=$(proxy_of)
	[ $round != adopted ] || end_daemon
	kill -9 "$proxy" "$(jq .process.pid "$LXD_DIR"/run/*/proxies/pu.json)"
	[ $round != adopted ] || begin_daemon
	until_true 1 answers tcp:127.0.0.1:2000 || fail "$round: tcp"
	until_true 1 answers "unix:$S" || fail "$round: unix"
	dead "$proxy" || fail "$proxy lives"
	# One of each.
	same "$(words | grep -c '^lxbox proxy ')" 2 helpers
done
does lxc config device remove ado1 pu

it "says when it can't, and goes on trying"
kill -STOP "$(daemon)"
kill -9 "$(proxy_of)"
"$ENDS" serve tcp:127.0.0.1:2000 >"$SCRATCH/taken" &
taken=$!
until_true 5 grep -q ready "$SCRATCH/taken"
kill -CONT "$(daemon)"
warned() { req GET '/1.0/warnings?recursion=1' && get '.metadata[] | select(.type == "Proxy device unavailable") | .status + " " + .entity_url + .last_message' | grep -q "^$1 $I/ado1"; }
until_true 5 warned new
get '.metadata[].last_message' | grep -q px || fail "$out"
kill $taken
until_true 10 answers tcp:127.0.0.1:2000
warned resolved || fail "$(get .metadata)"

it "leaves those alone that are to be gone"
proxy=$(proxy_of)
does lxc config device remove ado1 px
until_true 5 dead "$proxy"
sleep 0.3
same "$(words | grep -c '^lxbox proxy ')" 0 helpers
does lxc config device remove ado1 node
kill $echo_end 2>/dev/null

it "won't start them again, nor delete them"
refuses 'already running' lxc start ado1
refuses 'running' lxc delete ado1
refuses 'running' lxc delete ado2

it "leaves guests running at SIGTERM and SIGINT"
for number in TERM INT; do
	another_daemon $number
	unchanged
done

it "serves on when its file was replaced, and the next daemon is the new file"
bin=$(dirname "$LXC")
cp "$bin/lxbox" "$bin/keep"
printf '#!/bin/false\n' >"$bin/new" && chmod 755 "$bin/new" && mv "$bin/new" "$bin/lxbox"
does lxc start ado4
works ado4
unchanged_state=$(state_of ado1)
same "$unchanged_state" Running
mv "$bin/keep" "$bin/lxbox"
does lxc stop --force ado4
another_daemon TERM
unchanged
same "$(readlink "/proc/$(daemon)/exe")" "$bin/lxbox" "the daemon's file"

it "notices when one that it has adopted ends, cleanly or not"
inside ado3 kill -PWR 1
until_true 10 is_now ado3 Stopped
req GET $I/ado3
meta '.config["volatile.last_state.power"]' '"STOPPED"'
kill -9 "${pids[ado2]}"
until_true 10 is_now ado2 Stopped
same "$(groups_of ado2)" '' 'control groups of ado2'

it "starts and stops what it has adopted"
does lxc stop ado1 --timeout 20
same "$(state_of ado1)" Stopped
does lxc start ado1
does lxc start ado2
works ado1
works ado2

it "keeps what those have that are without a root disk"
does lxc init bb ado5 -q
does lxc snapshot ado5 s0
does bash -c 'echo kept | lxc file push - ado5/root/kept'
does lxc profile assign ado5 ''
does lxc profile assign ado1 ''
another_daemon KILL
gives kept lxc file pull ado5/root/kept -
same "$(snapshots ado5)" s0
works ado1
does lxc profile assign ado5 default
does lxc start ado5
does lxc delete -f ado5

it "leaves nothing behind"
does lxc delete -f ado1 ado2 ado3 ado4
clean
does lxc storage delete over
done_testing

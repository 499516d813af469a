#!/bin/bash
# Many instances: a profile that 200 use is changed during launches, and 20 launches of a fresh image unpack it once.
PREFIX=fan
. "$(dirname "$0")/lib.bash"
# each: does the requests of standard input (`METHOD PATH [BODY]`, one a line), 16 at a time, each to the end of its
# operation; prints how many succeeded, and what the others said.
each() {
	python3 -S -c '
import http.client, json, os, socket, sys
from concurrent.futures import ThreadPoolExecutor
def ask(method, path, body=None):
    c = http.client.HTTPConnection("x"); c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(os.environ["LXD_SOCKET"])
    c.request(method, path, body); return json.loads(c.getresponse().read())
def one(line):
    answer = ask(*line.rstrip("\n").split(" ", 2))
    if answer["type"] != "async": return answer["error"]
    answer = ask("GET", answer["operation"] + "/wait?timeout=90")
    # One that is over may be forgotten already.
    return answer["metadata"]["err"] if answer["type"] == "sync" else ""
said = list(ThreadPoolExecutor(16).map(one, sys.stdin))
print(said.count(""), *sorted(set(said) - {""}))'
}
does lxc storage create over overlay
does lxc profile create fan
does lxc profile device add fan root disk path=/ pool=over

it "unpacks a fresh image once for twenty launches"
for n in $(seq 20); do echo "POST $I {\"name\":\"fan-l$n\",\"profiles\":[\"fan\"],\"source\":{\"type\":\"image\",\"alias\":\"bb\"}}"; done | each >"$SCRATCH/twenty" &
twenty=$!
most=0
while [ -z "${over:-}" ]; do
	# Unpacked beside the layers under names with a dot.
	now=$(find "$LXD_DIR/storage-pools/over/overlay/layers" -mindepth 1 -maxdepth 1 | wc -l)
	[ "$now" -le "$most" ] || most=$now
	alive $twenty || over=1
done
same "$most" 1 'layers at a time'
same "$(find "$LXD_DIR/storage-pools/over/overlay/layers" -mindepth 1 -maxdepth 1 | wc -l)" 1 layers
same "$(cat "$SCRATCH/twenty")" 20 created
same "$(lxc list -f csv -c n | grep -c ^fan-l)" 20 instances
does lxc start fan-l{1..8}

many() {
	for n in $(seq 180); do echo "POST $I {\"name\":\"fan-s$n\",\"profiles\":[\"fan\"],\"source\":{\"type\":\"none\"}}"; done | each
}
it "changes a profile that 200 use, some of them running, while others are launched"
gives 180 many
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
(for n in $(seq 15); do lxc profile set fan user.n $n || exit 1; done) >"$SCRATCH/sets" 2>&1 &
sets=$!
for n in 5 6 7; do does timeout 60 lxc launch bb fan-n$n -p fan -q; done
wait $sets || fail "profile set: $(cat "$SCRATCH/sets")"
same "$(lxc profile get fan user.n)" 15

it "leaves nothing behind"
echo "PUT $I {\"state\":{\"action\":\"stop\",\"force\":true}}" | each >/dev/null
lxc list -f csv -c n | sed "s|^|DELETE $I/|" | each >"$SCRATCH/deleted"
same "$(cat "$SCRATCH/deleted")" 207 deleted
same "$(lxc list -f csv -c n)" '' instances
does lxc image delete bb
clean
done_testing

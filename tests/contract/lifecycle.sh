#!/bin/bash
# Running an instance: start, stop, restart, pause, what the guest does itself, and many at once.
# covers: GET /1.0/instances/{name}/state, PUT /1.0/instances/{name}/state, PUT /1.0/instances
# covers: PUT /1.0/containers/{name}/state
. "$(dirname "$0")/lib.bash"
act() { run PUT "$I/$1/state" "$2"; }
pid_of() { req GET "$I/$1/state" && get .metadata.pid; }

does lxc init bb lif1 -q

it "says of a stopped one that it is"
req GET $I/lif1/state
ok
# What the root holds is known where the file system counts that (quotas.sh).
meta 'del(.disk.root)' '{"status":"Stopped","status_code":102,"disk":{},"memory":{"usage":0,"usage_peak":0,"swap_usage":0,"swap_usage_peak":0},"network":null,"pid":0,"processes":0,"cpu":{"usage":0}}'

it "starts"
act lif1 '{"action":"start"}'
succeeded
is '[.description, .resources.instances]' '["Starting instance",["/1.0/instances/lif1"]]'
req GET $I/lif1/state
meta '[.status, .status_code]' '["Running",103]'
meta '.pid > 0 and .processes > 0 and .cpu.usage > 0 and .memory.usage > 0' true
meta '.network.lo | [.type, .mtu, .state, .host_name]' '["loopback",65536,"up",""]'
meta '.network.lo.addresses | map([.family, .address, .netmask, .scope]) | sort | .[0]' '["inet","127.0.0.1","8","local"]'
meta '.network | keys' '["lo"]'
req GET $I/lif1
meta '[.status, .status_code, .config["volatile.last_state.power"]]' '["Running",103,"RUNNING"]'
meta '.last_used_at > "2020"' true
meta '.config["volatile.apply_template"]' null
meta '.config["volatile.idmap.current"] | fromjson | length' 2

it "runs the guest's own init, as nobody on the machine"
pid=$(pid_of lif1)
like "$(tr '\0' ' ' <"/proc/$pid/cmdline")" init
uid=$(awk '/^Uid:/{print $2}' "/proc/$pid/status")
[ "$uid" -ge 65536 ] || fail "the guest's root is $uid"
gives 0 inside lif1 id -u
gives lif1 inside lif1 hostname
gives lif1 inside lif1 cat /etc/hostname
gives lxc inside lif1 sh -c 'tr "\0" "\n" </proc/1/environ | sed -n "s/^container=//p"'

it "won't start what runs"
act lif1 '{"action":"start"}'
failed_with '^The instance is already running$'
refuses 'already running' lxc start lif1

it "pauses and goes on"
act lif1 '{"action":"freeze"}'
succeeded
req GET $I/lif1/state
meta '[.status, .status_code]' '["Frozen",110]'
act lif1 '{"action":"freeze"}'
failed_with 'already frozen'
req POST $I/lif1/exec '{"command":["true"]}'
error 400 'frozen'
req DELETE $I/lif1
error 400 '^Instance is running$'
act lif1 '{"action":"unfreeze"}'
succeeded
is_now lif1 Running || fail "not running"
act lif1 '{"action":"unfreeze"}'
failed_with 'already running'
does lxc pause lif1
does lxc start lif1
is_now lif1 Running || fail "not running"

it "stops when asked to, cleanly"
act lif1 '{"action":"stop","timeout":20}'
succeeded
is .description '"Stopping instance"'
is_now lif1 Stopped || fail "not stopped"
req GET $I/lif1
meta '.config["volatile.last_state.power"]' '"STOPPED"'
[ ! -d "/proc/$pid" ] || fail "its init is still there"

it "won't do to a stopped one what only a running one can have"
act lif1 '{"action":"stop"}'
failed_with '^The instance is already stopped$'
act lif1 '{"action":"stop","force":true}'
failed_with '^The instance is already stopped$'
act lif1 '{"action":"restart"}'
failed_with 'already stopped'
act lif1 '{"action":"freeze"}'
failed_with "isn't running"
act lif1 '{"action":"unfreeze"}'
failed_with "isn't running"

it "refuses an action that is none"
for body in '{"action":"nope"}' '{"action":""}' '{}' null; do
	req PUT $I/lif1/state "$body"
	error 400 'Unknown action'
done
req PUT $I/lif1/state 'x'
error 400 'invalid character'
req PATCH $I/lif1/state '{}'
error 501 'not implemented'

it "stops by force one that won't go, and only then"
does lxc start lif1
inside lif1 sh -c 'kill -STOP 1; trap "" PWR; true'
# An init that ignores the request to stop: the one in the image is told to, from inside.
does lxc stop -f lif1
does lxc init bb lif2 -q
printf '#!/bin/sh\ntrap "" PWR TERM INT\nwhile :; do sleep 1; done\n' >"$SCRATCH/init"
chmod 755 "$SCRATCH/init"
does lxc config device add lif2 init disk source="$SCRATCH/init" path=/sbin/init
does lxc start lif2
act lif2 '{"action":"stop","timeout":1}'
failed_with .
is_now lif2 Running || fail "not running"
refuses . lxc stop lif2 --timeout 1
act lif2 '{"action":"stop","force":true}'
succeeded
is_now lif2 Stopped || fail "not stopped"

it "stops one that is paused"
does lxc start lif1
does lxc pause lif1
act lif1 '{"action":"stop","force":true}'
succeeded
is_now lif1 Stopped || fail "not stopped"

it "restarts, by asking or by force"
does lxc start lif1
before=$(pid_of lif1)
act lif1 '{"action":"restart","timeout":20}'
succeeded
is .description '"Restarting instance"'
[ "$(pid_of lif1)" != "$before" ] || fail "the same init"
before=$(pid_of lif1)
act lif1 '{"action":"restart","force":true}'
succeeded
[ "$(pid_of lif1)" != "$before" ] || fail "the same init"
is_now lif1 Running || fail "not running"
does lxc restart lif1 -f

it "notices that the guest switched itself off"
inside lif1 poweroff -f >/dev/null 2>&1
until_true 15 is_now lif1 Stopped
until_true 10 bash -c 'lxc query /1.0/instances/lif1 | jq -e ".config[\"volatile.last_state.power\"] == \"STOPPED\""'

it "notices that the guest's init ended"
# 5.0.2 says Stopped a moment before it can start again.
until_true 10 lxc start lif1
inside lif1 kill -TERM 1
until_true 15 is_now lif1 Stopped

it "brings back a guest that reboots itself"
until_true 10 lxc start lif1
before=$(pid_of lif1)
inside lif1 sh -c 'echo 1 >/tmp/mark; echo 1 >/root/mark'
inside lif1 reboot -f >/dev/null 2>&1
until_true 15 bash -c '[ "$(curl -s --unix-socket "$LXD_SOCKET" http://lxd/1.0/instances/lif1/state | jq -r "select(.metadata.status == \"Running\") | .metadata.pid")" != "'"$before"'" ]'
until_true 15 is_now lif1 Running
until_true 10 lxc exec lif1 -- true
gives 1 inside lif1 cat /root/mark
does lxc stop -f lif1

it "keeps what was written, over a stop"
does lxc start lif1
gives 1 inside lif1 cat /root/mark
does lxc stop -f lif1

it "deletes an ephemeral one when it stops"
launch lif3 --ephemeral
does lxc stop -f lif3
until_true 10 bash -c '[ "$(curl -s -o /dev/null -w "%{http_code}" --unix-socket "$LXD_SOCKET" http://lxd/1.0/instances/lif3)" = 404 ]'
launch lif3 --ephemeral
inside lif3 poweroff -f >/dev/null 2>&1
until_true 15 bash -c '[ "$(curl -s -o /dev/null -w "%{http_code}" --unix-socket "$LXD_SOCKET" http://lxd/1.0/instances/lif3)" = 404 ]'
[ ! -e "$LXD_DIR/storage-pools/default/containers/lif3" ] || fail "its files are still there"

it "starts, stops, pauses all at once"
run PUT $I '{"state":{"action":"start"}}'
succeeded
is '.resources.instances | sort' '["/1.0/instances/lif1","/1.0/instances/lif2"]'
is_now lif1 Running && is_now lif2 Running || fail "not all run"
run PUT $I '{"state":{"action":"freeze"}}'
succeeded
is_now lif1 Frozen || fail "not paused"
run PUT $I '{"state":{"action":"unfreeze"}}'
succeeded
run PUT $I '{"state":{"action":"stop","force":true}}'
succeeded
is_now lif1 Stopped && is_now lif2 Stopped || fail "not all stopped"
req PUT $I '{"state":{"action":"nope"}}'
error 400 'Unknown action'
does lxc start --all
does lxc stop --all -f

it "answers to the words of old"
run PUT /1.0/containers/lif1/state '{"action":"start"}'
succeeded
run PUT /1.0/containers/lif1/state '{"action":"stop","force":true}'
succeeded

it "refuses to keep a guest's memory"
does lxc start lif1
req PUT $I/lif1/state '{"action":"stop","stateful":true}'
if ours; then
	error 501 'not supported yet'
else
	operation=$(jq -r .operation <<<"$body")
	ended
	is .status_code 400
fi
is_now lif1 Running || fail "not running"

it "lets two start one, one of them"
does lxc stop -f lif1
begin PUT $I/lif1/state '{"action":"start"}'
first=$operation
begin PUT $I/lif1/state '{"action":"start"}'
second=$operation
operation=$first ended
one=$(get .status_code)
operation=$second ended
two=$(get .status_code)
[ "$((one + two))" -ge 600 ] || [ "$one$two" = 200200 ] || fail "$one $two"
is_now lif1 Running || fail "not running"
same "$(pgrep -cf "^$(tr '\0' ' ' <"/proc/$(pid_of lif1)/cmdline" | sed 's/ $//')$" 2>/dev/null || echo 1)" 1 inits

it "sees a host's folder inside, and takes it away, while it runs"
mkdir "$SCRATCH/shared"
echo hello >"$SCRATCH/shared/file"
chmod 755 "$SCRATCH" "$SCRATCH/shared"
does lxc config device add lif1 sh disk source="$SCRATCH/shared" path=/mnt/shared
gives hello inside lif1 cat /mnt/shared/file
does lxc config device remove lif1 sh
refuses 'No such file' inside lif1 cat /mnt/shared/file
does lxc config device add lif1 sh disk source="$SCRATCH/shared" path=/mnt/shared readonly=true
refuses 'Read-only|denied' inside lif1 touch /mnt/shared/x
does lxc restart -f lif1
gives hello inside lif1 cat /mnt/shared/file
refuses 'Missing source path' lxc config device add lif1 bad disk source=/nope/nope path=/x

it "leaves alone what is as it should be already when all are meant"
does lxc stop -f lif1
does lxc init bb lif9 -q
does lxc start lif1
for action in 'stop -f' start; do
	does lxc ${action% -f} --all ${action#"${action% -f}"}
	does lxc ${action% -f} --all ${action#"${action% -f}"}
done
does lxc stop -f lif9
does lxc pause --all
same "$(state_of lif1) $(state_of lif9)" 'Frozen Stopped'
does lxc start lif1
does lxc delete -f lif9
does lxc delete -f lif1 lif2

done_testing

#!/bin/bash
# Snapshots of instances: made, shown, renamed, dated, restored, deleted.
# covers: GET /1.0/instances/{name}/snapshots, POST /1.0/instances/{name}/snapshots
# covers: GET /1.0/instances/{name}/snapshots/{snapshot}, PUT /1.0/instances/{name}/snapshots/{snapshot}
# covers: PATCH /1.0/instances/{name}/snapshots/{snapshot}, POST /1.0/instances/{name}/snapshots/{snapshot}
# covers: DELETE /1.0/instances/{name}/snapshots/{snapshot}, GET /1.0/containers/{name}/snapshots
. "$(dirname "$0")/lib.bash"
does lxc init bb sna1 -q
S=$I/sna1/snapshots
# described TEXT [INSTANCE]: the operation of the last answer.
described() {
	is '.metadata.description' "\"$1\""
	is '.metadata.resources' "{\"containers\":[\"/1.0/containers/${2:-sna1}\"],\"instances\":[\"/1.0/instances/${2:-sna1}\"]}"
}
names() { req GET "$S?recursion=1"; get '.metadata | map(.name) | join(" ")'; }

it "makes one"
begin POST $S '{"name":"s0"}'
described "Snapshotting instance"
ended
succeeded
is .metadata null
run POST $S '{}'
succeeded
run POST $S '{"name":""}'
succeeded
same "$(names)" 's0 snap0 snap1'
req GET $S
ok
meta . '["/1.0/instances/sna1/snapshots/s0","/1.0/instances/sna1/snapshots/snap0","/1.0/instances/sna1/snapshots/snap1"]'
req GET /1.0/containers/sna1/snapshots
meta length 3
run POST $S '{"name":"a_b:c@d"}'
succeeded

it "refuses what can't be one"
run POST $S '{"name":"s0"}'
failed_with '^Failed creating instance snapshot record "s0": Add snapshot info to the database: This "instances_snapshots" entry already exists$'
run POST $S '{"name":"a b"}'
failed_with '^Failed creating instance snapshot record "a b": Invalid instance snapshot name: Cannot contain space or / characters$'
req POST $S '{"name":"a/b"}'
error 400 '^Invalid snapshot name: Cannot contain "/"$'
run POST $S '{"name":"x","stateful":true}'
failed_with "^Unable to create a stateful snapshot. The instance isn't running$"
req POST $I/nope/snapshots '{"name":"x"}'
error 404 '^Instance not found$'
req POST $S '{"name":7}'
error 400 .
req POST $S ''
error 400 .
req GET $I/nope/snapshots
error 404 '^Instance not found$'
missing='^Failed to fetch snapshot "nope" of instance "sna1" in project "default": InstanceSnapshot not found$'
req GET $S/nope
error 404 "$missing"
req PUT $S/nope '{"expires_at":"2031-01-02T03:04:05Z"}'
error 404 "$missing"
req POST $S/nope '{"name":"x"}'
error 404 "$missing"
req DELETE $S/nope
error 404 "$missing"
same "$(names)" 's0 snap0 snap1 a_b:c@d'

it "shows it"
does lxc config set sna1 user.x=later
req GET $S/s0
ok
meta keys '["architecture","config","created_at","devices","ephemeral","expanded_config","expanded_devices","expires_at","last_used_at","name","profiles","size","stateful"]'
meta '[.name, .expires_at, .last_used_at, .size, .stateful, .ephemeral, .profiles, .devices]' '["s0","0001-01-01T00:00:00Z","0001-01-01T00:00:00Z",-1,false,false,["default"],{}]'
meta '[.config["user.x"], .config["volatile.apply_template"], .expanded_devices.root.pool]' '[null,"create","default"]'
[ -n "$(header etag)" ] || fail 'no ETag'
req GET "$I/sna1?recursion=1"
meta '.snapshots | map(.name)' '["s0","snap0","snap1","a_b:c@d"]'
req GET "$I?recursion=2"
meta 'map(.snapshots | length)' '[4]'
req GET $I/sna1
meta '.snapshots' null
same "$(lxc list -f csv -c nS)" 'sna1,4' list
like "$(lxc info sna1)" 'a_b:c@d'
req GET /1.0/storage-pools/default
meta '.used_by[:2]' '["/1.0/instances/sna1","/1.0/instances/sna1/snapshots/a_b:c@d"]'
does lxc init bb sna2 -q
req GET "$I/sna2?recursion=1"
meta .snapshots null
does lxc delete sna2

it "has its place where tools look"
same "$(readlink "$LXD_DIR/snapshots/sna1")" "$LXD_DIR/storage-pools/default/containers-snapshots/sna1" link
same "$(stat -c '%a %u' "$LXD_DIR/storage-pools/default/containers-snapshots/sna1" "$LXD_DIR/snapshots/sna1/s0")" $'700 0\n100 0' modes
[ -f "$LXD_DIR/snapshots/sna1/s0/metadata.yaml" ] || fail 'no metadata.yaml'

it "has a date at which it may go"
run POST $S '{"name":"e1","expires_at":"2030-01-02T03:04:05Z"}'
succeeded
req GET $S/e1
meta .expires_at '"2030-01-02T03:04:05Z"'
begin PUT $S/e1 '{"expires_at":"2031-01-02T03:04:05Z"}'
described "Updating snapshot" e1
ended
succeeded
run PATCH $S/e1 '{"expires_at":"2032-01-02T03:04:05Z"}'
succeeded
run PATCH $S/e1 '{}'
succeeded
run PUT $S/e1 '{}'
succeeded
req GET $S/e1
meta .expires_at '"2032-01-02T03:04:05Z"'
run PUT $S/e1 '{"expires_at":"0001-01-01T00:00:00Z"}'
succeeded
req GET $S/e1
meta .expires_at '"0001-01-01T00:00:00Z"'
req PUT $S/e1 '{"expires_at":"x"}'
error 400 .
does lxc config set sna1 snapshots.expiry=1d
run POST $S '{"name":"e2"}'
req GET $S/e2
meta '(.expires_at | sub("\\.[0-9]*"; "") | fromdate) - (.created_at | sub("\\.[0-9]*"; "") | fromdate)' 86400
does lxc snapshot sna1 e3 --no-expiry
req GET $S/e3
meta .expires_at '"0001-01-01T00:00:00Z"'
does lxc config unset sna1 snapshots.expiry

it "names it by a pattern"
does lxc config set sna1 "snapshots.pattern={{ creation_date|date:'2006-01-02' }}-%d"
run POST $S '{}'
succeeded
does lxc config set sna1 snapshots.pattern=daily
run POST $S '{}'
run POST $S '{}'
run POST $S '{}'
today=$(date +%Y-%m-%d)
same "$(names)" "s0 snap0 snap1 a_b:c@d e1 e2 e3 $today-0 daily daily-0 daily-1"
does lxc config unset sna1 snapshots.pattern
for name in snap1 a_b:c@d e1 e2 e3 "$today-0" daily daily-0 daily-1; do does lxc delete "sna1/$name"; done

it "names it by a template"
while read -r name pattern; do
	does lxc config set sna1 "snapshots.pattern=$pattern"
	[ "$name" != now ] || name=$(date +%y.%b)
	does lxc snapshot sna1
	req GET "$S/$name"
	same "$code" 200 "$pattern"
	does lxc delete "sna1/$name"
done <<'PATTERNS'
a0 {% if creation_date %}a{% else %}b{% endif %}%d
8x {{ 5 + 3 }}x
xy x{{ nosuch }}y
abc {% for i in "abc" %}{{ i }}{% endfor %}
now {{ creation_date|time:"06.Jan" }}
5 {{ "{{ 5 }}" }}
PATTERNS
does lxc config set sna1 'snapshots.pattern={{ "x"|date:"2006" }}'
like "$(lxc snapshot sna1 2>&1)" "filter input argument must be of type 'time.Time'"
does lxc config set sna1 'snapshots.pattern={{ creation_date|nofilter }}'
like "$(lxc snapshot sna1 2>&1)" "[fF]ilter 'nofilter' does not exist"
does lxc config unset sna1 snapshots.pattern

it "renames it"
begin POST $S/s0 '{"name":"s1"}'
described "Renaming snapshot"
ended
succeeded
same "$(names)" 's1 snap0'
req POST $S/s1 '{"name":"snap0"}'
error 409 "^Name 'sna1/snap0' already in use\$"
req POST $S/s1 '{"name":"s1"}'
error 409 "^Name 'sna1/s1' already in use\$"
req POST $S/s1 '{"name":"a/b"}'
error 400 '^Invalid snapshot name: Cannot contain "/"$'
does lxc move sna1/s1 sna1/s2
does lxc rename sna1/s2 sna1/s1
[ -d "$LXD_DIR/snapshots/sna1/s1/rootfs" ] || fail 'not renamed on disk'

it "goes back to it"
push sna1 /root/f one
run POST $S '{"name":"one"}'
push sna1 /root/f two
push sna1 /root/g two
req DELETE "$I/sna1/files?path=/etc/group"
does lxc config set sna1 user.y=1
uuid=$(lxc config get sna1 volatile.uuid)
run POST $S '{"name":"two"}'
begin PUT $I/sna1 '{"restore":"one"}'
described "Restoring snapshot"
ended
succeeded
same "$(file sna1 /root/f) $(file sna1 /root/g) $(lxc config get sna1 user.y)" 'one 404 '
unlike "$(file sna1 /etc/group)" 404
same "$(lxc config get sna1 volatile.uuid)" "$uuid" uuid
run PUT $I/sna1 '{"restore":"sna1/two"}'
succeeded
same "$(file sna1 /root/f) $(file sna1 /root/g) $(file sna1 /etc/group) $(lxc config get sna1 user.y)" 'two two 404 1'
run PUT $I/sna1 '{"restore":"s1"}'
succeeded
same "$(file sna1 /root/f)" 404
run PUT $I/sna1 '{"restore":"nope"}'
failed_with '^Snapshot sna1/nope does not exist$'
run PUT $I/sna1 '{"restore":"one","stateful":true}'
failed_with '^Stateful snapshot restore requested by snapshot is stateless$'
req PUT $I/nope '{"restore":"one"}'
error 404 '^Instance not found$'

it "is made of one that runs, and it is stopped and started to go back"
does lxc start sna1
inside sna1 sh -c 'echo run >/root/f; mkdir -p /root/d/e; echo deep >/root/d/e/f; rm /etc/group'
run POST $S '{"name":"run"}'
succeeded
inside sna1 sh -c 'echo after >/root/f; rm -r /root/d; echo x >/etc/group'
same "$(state_of sna1)" Running
run POST $S '{"name":"x","stateful":true}'
failed_with '^Unable to create a stateful snapshot. '
pid=$(req GET "$I/sna1/state"; get .metadata.pid)
does lxc restore sna1 run
same "$(state_of sna1)" Running
[ "$(req GET "$I/sna1/state"; get .metadata.pid)" != "$pid" ] || fail 'the same process'
same "$(inside sna1 cat /root/f /root/d/e/f)" $'run\ndeep'
inside sna1 test -e /etc/group && fail 'a removed file is back'
does lxc restore sna1 one
same "$(inside sna1 cat /root/f)" one
does lxc pause sna1
run POST $S '{"name":"frozen"}'
succeeded
same "$(state_of sna1)" Frozen
does lxc start sna1
does lxc stop -f sna1

it "goes with its instance"
run POST $I/sna1 '{"name":"sna9"}'
succeeded
S=$I/sna9/snapshots
same "$(names)" 's1 snap0 one two run frozen'
[ -d "$LXD_DIR/snapshots/sna9/s1" ] && [ ! -e "$LXD_DIR/snapshots/sna1" ] || fail 'links'
does lxc restore sna9 two
req GET "$I/sna9/files?path=/root/f"
same "$body" two

it "is deleted"
begin DELETE $S/snap0
is .metadata.description '"Deleting snapshot"'
is .metadata.resources '{"containers":["/1.0/containers/sna9/snap0"],"instances":["/1.0/instances/sna9/snap0"]}'
ended
succeeded
does lxc delete sna9/one
same "$(names)" 's1 two run frozen'
[ ! -e "$LXD_DIR/snapshots/sna9/one" ] || fail 'still on disk'
does lxc delete sna9
[ ! -e "$LXD_DIR/snapshots/sna9" ] && [ ! -e "$LXD_DIR/storage-pools/default/containers-snapshots/sna9" ] || fail 'left'
req GET $S
error 404 .

it "tells listeners"
monitor "$SCRATCH/events"
does lxc init bb sna1 -q
does lxc snapshot sna1 s0
does lxc rename sna1/s0 sna1/s1
does lxc restore sna1 s1
does lxc snapshot sna1 s2
does lxc delete sna1/s2
does lxc delete sna1
# The stock client prints events in no order.
seen() { jq -sc 'sort_by(.timestamp) | map(.metadata | select(.action != "config-updated") | [.action, .source, .context])[1:]' "$SCRATCH/events"; }
ended_all() { seen | grep -q '"instance-deleted"'; }
until_true 5 ended_all
kill $monitor
same "$(seen)" "$(jq -nc '[
	["instance-snapshot-created","/1.0/instances/sna1/snapshots/s0",null],
	["instance-snapshot-renamed","/1.0/instances/sna1/snapshots/s1",{"old_name":"sna1/s0"}],
	["instance-restored","/1.0/instances/sna1",{"snapshot":"sna1/s1"}],
	["instance-snapshot-created","/1.0/instances/sna1/snapshots/s2",null],
	["instance-snapshot-deleted","/1.0/instances/sna1/snapshots/s2",null],
	["instance-snapshot-deleted","/1.0/instances/sna1/snapshots/s1",null],
	["instance-deleted","/1.0/instances/sna1",null]]')" events
done_testing

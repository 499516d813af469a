#!/bin/bash
# Instances: made, looked at, changed, renamed, deleted.
# covers: GET /1.0/instances, POST /1.0/instances, GET /1.0/instances/{name}
# covers: PUT /1.0/instances/{name}, PATCH /1.0/instances/{name}, POST /1.0/instances/{name}, DELETE /1.0/instances/{name}
# covers: GET /1.0/containers, POST /1.0/containers, GET /1.0/containers/{name}, GET /1.0/containers/{name}/state
# covers: PUT /1.0/containers/{name}, PATCH /1.0/containers/{name}, POST /1.0/containers/{name}, DELETE /1.0/containers/{name}
# covers: GET /1.0/virtual-machines, GET /1.0/virtual-machines/{name}
. "$(dirname "$0")/lib.bash"
fingerprint=$(sha256sum "$BB" | cut -d' ' -f1)
long=$(printf 'a%.0s' {1..64})

it "takes an instance type for limits"
for size in 'c2-m4|2||4096MB' 'c1.5-m0.25|2|75%|256MB' 'm1|||1024MB'; do
	IFS='|' read -r type cpu share memory <<<"$size"
	does lxc init bb typ1 -q -t "$type"
	same "$(lxc config get typ1 limits.cpu)|$(lxc config get typ1 limits.cpu.allowance)|$(lxc config get typ1 limits.memory)" "$cpu|$share|$memory" "$type"
	does lxc delete typ1
done
does lxc init bb typ1 -q -t c2-m4 -c limits.memory=1GiB
gives 1GiB lxc config get typ1 limits.memory
gives 2 lxc config get typ1 limits.cpu
does lxc delete typ1

it "has none at first"
req GET $I
ok
meta . '[]'
req GET "$I?recursion=2"
meta . '[]'

it "makes one from an image"
run POST $I '{"name":"ins1","source":{"type":"image","alias":"bb"},"config":{"user.a":"b"}}'
succeeded
is '.resources.instances' '["/1.0/instances/ins1"]'
req GET $I/ins1
ok
like "$(header etag)" '^"[0-9a-f]{64}"$'
meta keys '["architecture","config","created_at","description","devices","ephemeral","expanded_config","expanded_devices","last_used_at","location","name","profiles","project","stateful","status","status_code","type"]'
meta '[.name, .description, .status, .status_code, .type, .project, .location, .architecture]' \
	"[\"ins1\",\"\",\"Stopped\",102,\"container\",\"default\",\"none\",\"$(uname -m)\"]"
meta '[.profiles, .ephemeral, .stateful, .devices, .last_used_at]' '[["default"],false,false,{},"1970-01-01T00:00:00Z"]'
meta .expanded_devices '{"root":{"path":"/","pool":"default","type":"disk"}}'

it "records in its configuration what it was made from"
meta '.config | [.["user.a"], .["image.os"], .["image.release"], .["volatile.base_image"]]' \
	"[\"b\",\"BusyBox\",\"1.35\",\"$fingerprint\"]"
meta '.config["volatile.uuid"] | test("^[0-9a-f-]{36}$")' true
meta '.config["volatile.apply_template"]' '"create"'
meta '.config["volatile.idmap.next"] | fromjson | map([.Isuid, .Isgid, .Nsid])' '[[true,false,0],[false,true,0]]'
meta '.expanded_config | [.["user.a"], .["image.os"]]' '["b","BusyBox"]'

it "makes one by fingerprint, by its beginning, by properties, and without an image"
run POST $I "{\"name\":\"ins2\",\"source\":{\"type\":\"image\",\"fingerprint\":\"$fingerprint\"}}"
succeeded
run POST $I "{\"name\":\"ins3\",\"source\":{\"type\":\"image\",\"properties\":{\"os\":\"BusyBox\"}}}"
succeeded
run POST $I '{"name":"ins4","source":{"type":"none"},"ephemeral":true}'
succeeded
req GET $I/ins4
meta '[.ephemeral, .config["volatile.base_image"]]' '[true,null]'

it "thinks of a name when there is none"
run POST $I '{"source":{"type":"none"}}'
succeeded
name=$(get '.resources.instances[0]')
like "$name" '^/1.0/instances/[a-z][a-z0-9-]*$'
run DELETE "$name"
succeeded

it "gives a name once"
run POST $I '{"name":"ins1","source":{"type":"none"}}'
failed_with 'already exists'
req GET $I/ins1
meta '.config["user.a"]' '"b"'

it "refuses bad names"
for name in -a a- 1a a_b a.b 'a b' "$long"; do
	req POST $I "{\"name\":\"$name\",\"source\":{\"type\":\"none\"}}"
	error 400 'Invalid instance name'
done
req POST $I '{"name":"a/b","source":{"type":"none"}}'
error 400 'reserved for snapshots'
req POST $I '{"name":"../x","source":{"type":"none"}}'
error 400 .

it "refuses what it cannot make, by name, and leaves nothing"
req POST $I '{"name":"bad1","source":{"type":"image","alias":"nope"}}'
error 404 '^Image alias not found$'
req POST $I '{"name":"bad1","source":{"type":"image"}}'
error '400|500' 'alias, fingerprint or properties'
req POST $I '{"name":"bad1","source":{"type":"nope"}}'
error 400 'nope'
req POST $I '{"name":"bad1"}'
error 400 'source type'
req POST $I '{"name":"bad1","type":"nope","source":{"type":"none"}}'
error 400 'Invalid instance type'
req POST $I '{"name":"bad1","instance_type":"nope","source":{"type":"none"}}'
error '400|500' "Provided instance type doesn't exist: nope"
req POST $I '{"name":"bad1","architecture":"nope","source":{"type":"none"}}'
error '400|500' 'nope'
req POST $I '{"name":"bad1","profiles":["nope"],"source":{"type":"none"}}'
error '400|404|500' 'nope'
run POST $I '{"name":"bad1","source":{"type":"image","fingerprint":"0000"}}'
failed_with .
run POST $I '{"name":"bad1","profiles":[],"source":{"type":"none"}}'
failed_with 'No root device could be found'
run POST $I '{"name":"bad1","config":{"nope":"1"},"source":{"type":"none"}}'
failed_with 'Unknown configuration key: nope'
run POST $I '{"name":"bad1","config":{"limits.memory":"lots"},"source":{"type":"none"}}'
failed_with 'lots'
run POST $I '{"name":"bad1","devices":{"d":{"type":"nope"}},"source":{"type":"none"}}'
failed_with 'nope'
run POST $I '{"name":"bad1","devices":{"d":{"type":"disk","path":"/x","source":"/nope/nope"}},"source":{"type":"none"}}'
failed_with '/nope/nope'
run POST $I '{"name":"bad1","devices":{"root":{"type":"disk","path":"/","pool":"nope"}},"source":{"type":"none"}}'
failed_with 'Storage pool not found'
req GET $I/bad1
error 404 '^Instance not found$'
same "$(find "$LXD_DIR" -path "$LXD_DIR/database" -prune -o -name '*bad1*' -print)" '' 'left behind'

it "says what is wrong with a body"
req POST $I 'xx'
error 400 'invalid character'
req POST $I ''
error 400 '^EOF$'
req POST $I '{"name":1}'
error 400 .

it "lists at every depth"
req GET $I
meta 'sort' '["/1.0/instances/ins1","/1.0/instances/ins2","/1.0/instances/ins3","/1.0/instances/ins4"]'
req GET "$I?recursion=1"
meta 'map(.name) | sort' '["ins1","ins2","ins3","ins4"]'
meta 'map(has("state")) | unique' '[false]'
req GET "$I?recursion=2"
meta 'map([.name, .state.status, .snapshots, .backups]) | sort | .[0]' '["ins1","Stopped",null,null]'
req GET "$I/ins1?recursion=1"
ok
meta .state.status '"Stopped"'

it "filters"
req GET "$I?filter=name+eq+ins1"
meta . '["/1.0/instances/ins1"]'
req GET "$I?recursion=1&filter=name+ne+ins1"
meta 'map(.name) | sort' '["ins2","ins3","ins4"]'
req GET "$I?recursion=2&filter=status+eq+Running"
meta . '[]'
req GET "$I?recursion=1&filter=name+eq+ins1+or+name+eq+ins2"
meta 'map(.name) | sort' '["ins1","ins2"]'
req GET "$I?recursion=1&filter=status+eq+stopped+and+not+name+eq+ins1"
meta 'map(.name) | sort' '["ins2","ins3","ins4"]'
req GET "$I?recursion=1&filter=config.user.a+eq+b"
[ "$code" = 200 ] || fail "$body"
req GET "$I?recursion=1&filter=nope+eq+x"
meta . '[]'
req GET "$I?recursion=1&filter=nope"
error '400|500' 'clause has no operator'
req GET "$I?filter="
ok

it "still answers to the words of old"
req GET /1.0/containers
ok
meta 'sort | .[0]' '"/1.0/containers/ins1"'
req GET "/1.0/containers?recursion=1"
meta 'map(.name) | sort | .[0]' '"ins1"'
req GET /1.0/containers/ins1
ok
meta .name '"ins1"'
req GET /1.0/containers/ins1/state
ok
req GET /1.0/virtual-machines
ok
meta . '[]'
req GET /1.0/virtual-machines/ins1
error 404 '^Instance not found$'
run POST /1.0/containers '{"name":"ins5","source":{"type":"none"}}'
succeeded
req PATCH /1.0/containers/ins5 '{"config":{"user.a":"b"}}'
ok
run POST /1.0/containers/ins5 '{"name":"ins6"}'
succeeded
run DELETE /1.0/containers/ins6
succeeded
req GET "$I?instance-type=virtual-machine"
meta . '[]'
req GET "$I?instance-type=container"
meta length 4

it "changes by PATCH what is given"
req PATCH $I/ins1 '{"config":{"user.b":"c"}}'
ok
meta . '{}'
req GET $I/ins1
meta '.config | [.["user.a"], .["user.b"]]' '["b","c"]'
req PATCH $I/ins1 '{"description":"second","devices":{"m":{"type":"disk","source":"/etc","path":"/mnt"}}}'
ok
req GET $I/ins1
meta '[.description, .devices.m.path, .expanded_devices.m.source]' '["second","/mnt","/etc"]'

it "replaces by PUT everything"
req GET $I/ins1
run PUT $I/ins1 "$(jq -c '.metadata | del(.config["user.a"]) | .devices = {} | .description = "third"' <<<"$body")"
succeeded
is .description '"Updating instance"'
req GET $I/ins1
meta '[.config["user.a"], .config["user.b"], .devices, .description]' '[null,"c",{},"third"]'

it "refuses a wrong change, and keeps what was"
req PATCH $I/ins1 '{"config":{"nope":"1","user.c":"d"}}'
error '400|500' 'Unknown configuration key: nope'
req PATCH $I/ins1 '{"config":{"volatile.x":"1"}}'
error '400|500' 'volatile.x'
req PATCH $I/ins1 '{"config":{"limits.memory":"lots"}}'
error '400|500' 'lots'
req PATCH $I/ins1 '{"devices":{"m":{"type":"disk","source":"/nope/nope","path":"/mnt"}}}'
error '400|500' '/nope/nope'
req PUT $I/ins1 '{"profiles":["nope"]}'
error 404 '^Profile not found$'
req PATCH $I/ins1 'x'
error 400 'invalid character'
req GET $I/ins1
meta '[.config["user.c"], .devices, .profiles]' '[null,{},["default"]]'

it "minds If-Match"
req GET $I/ins1
tag=$(header etag)
req PATCH $I/ins1 '{"config":{"user.d":"1"}}' -H 'If-Match: "0000"'
error 412 .
req PUT $I/ins1 "$(jq -c .metadata <<<"$(req GET $I/ins1; echo "$body")")" -H 'If-Match: 0000'
error 412 .
req PATCH $I/ins1 '{"config":{"user.d":"1"}}' -H "If-Match: $tag"
ok
req GET $I/ins1
[ "$(header etag)" != "$tag" ] || fail "the tag did not change"

it "renames one that is stopped"
begin POST $I/ins1 '{"name":"ins7"}'
ended
succeeded
req GET $I/ins1
error 404 '^Instance not found$'
req GET $I/ins7
ok
meta '[.name, .config["user.b"]]' '["ins7","c"]'
[ -L "$LXD_DIR/containers/ins7" ] && [ ! -L "$LXD_DIR/containers/ins1" ] || fail "links: $(ls "$LXD_DIR/containers")"
req POST $I/ins7 '{"name":"ins2"}'
error 409 'ins2.*already in use'
req POST $I/ins7 '{"name":"a/b"}'
error 400 'reserved for snapshots'
req POST $I/ins7 '{"name":"a_b"}'
error 400 'Invalid instance name'
req POST $I/nope '{"name":"x"}'
error 404 '^Instance not found$'
does lxc start ins7
gives ins7 inside ins7 hostname
run POST $I/ins7 '{"name":"ins8"}'
failed_with 'running'

it "deletes only what is stopped"
req DELETE $I/ins7
error 400 '^Instance is running$'
does lxc stop -f ins7
run DELETE $I/ins7
succeeded
is '.resources.instances' '["/1.0/instances/ins7"]'
req GET $I/ins7
error 404 '^Instance not found$'
req DELETE $I/ins7
error 404 '^Instance not found$'

it "knows no instance of that name, whatever is asked of it"
for what in 'GET ' 'PUT ' 'PATCH ' 'POST ' 'DELETE ' 'GET /state' 'PUT /state' 'POST /exec' 'GET /console' 'POST /console' \
	'DELETE /console' 'GET /logs'; do
	req "${what%% *}" "$I/nope${what#* }" '{"name":"x","action":"start","command":["true"]}'
	error 404 'Instance not found'
done

it "works with the client"
does lxc init bb ins9 -c user.x=y -c limits.processes=50 -q
does lxc list ins9 --format csv -c nst
same "$out" 'ins9,STOPPED,CONTAINER' list
does lxc config set ins9 user.z=1 limits.memory=64MiB
gives 64MiB lxc config get ins9 limits.memory
does lxc config unset ins9 limits.memory
gives '' lxc config get ins9 limits.memory
does lxc config device add ins9 d1 disk source=/etc path=/mnt
refuses 'already exists' lxc config device add ins9 d1 disk source=/etc path=/mnt2
gives d1 lxc config device list ins9
does lxc config device set ins9 d1 readonly=true
gives true lxc config device get ins9 d1 readonly
does lxc config device unset ins9 d1 readonly
does lxc config device remove ins9 d1
refuses "doesn't exist" lxc config device remove ins9 d1
does lxc config device override ins9 root size=1GiB
does lxc config show ins9 --expanded
like "$out" 'size: 1GiB'
does bash -c "lxc config show ins9 | sed 's/^description:.*/description: edited/' | lxc config edit ins9"
does bash -c "lxc config show ins9 | grep -x 'description: edited'"
does lxc info ins9
like "$out" 'Status: STOPPED'
does lxc rename ins9 ins10
refuses 'Invalid instance name' lxc launch bb a_b
refuses 'Image not found' lxc launch nope ins11
refuses 'nope' lxc launch bb ins11 -p nope
refuses 'Storage pool not found' lxc launch bb ins11 -s nope
refuses 'Instance not found' lxc info nope
refuses 'Instance not found' lxc start nope
refuses 'Instance not found' lxc delete nope
does lxc query /1.0/instances/ins10
does lxc delete ins10 ins2 ins3 ins4

it "takes no list for an object"
for body in '[]' '["x"]' '"x"' 1; do
	req PUT /1.0/profiles/default "$body"
	like "$(get .error_code)" '^(400|500)$'
	req POST $I "$body"
	same "$code" 400
done
req GET /1.0/profiles/default
meta '.devices | has("root")' true

it "drops what is empty, and knows names without values too"
mkdir -p "$SCRATCH/empty"
does lxc init bb ins-empty -q -c user.q= -c limits.cpu=
does lxc config device add ins-empty x disk "source=$SCRATCH/empty" path=/x readonly=
req GET $I/ins-empty
meta '.config | has("user.q") or has("limits.cpu")' false
meta '.devices.x | has("readonly")' false
refuses 'Unknown configuration key: a' lxc config set ins-empty a=
refuses 'unknown key' lxc config set core.bogus ''
does lxc config set ins-empty security.syscalls.deny=mkdir
refuses 'Mutually exclusive keys security.syscalls.deny and security.syscalls.blacklist' lxc config set ins-empty security.syscalls.blacklist=mkdir

it "filters by expressions"
req GET "$I?filter=name%20eq%20INS-em.*"
meta length 1
req GET "$I?filter=name%20eq%20ins-em"
meta length 0
req GET "$I?filter=name%20ne%20.*"
meta length 0

it "says what a start came to"
does lxc config unset ins-empty security.syscalls.deny
does lxc config device remove ins-empty x
does lxc start ins-empty
like "$(lxc info ins-empty --show-log)" 'Log:'
req GET $I/ins-empty/logs
meta 'map(split("/") | last) | sort | map(select(startswith("lxc.")))' '["lxc.conf","lxc.log"]'
like "$(curl -s --unix-socket "$LXD_SOCKET" http://x$I/ins-empty/logs/lxc.conf)" 'lxc.uts.name = ins-empty'
does lxc stop -f ins-empty
does lxc config set ins-empty linux.sysctl.net.bogus=1
lxc start ins-empty 2>/dev/null </dev/null && fail 'it has started'
like "$(lxc info ins-empty --show-log)" ERROR
until_true 10 lxc delete -f ins-empty

it "has snapshots, copies and backups of one that is empty"
run POST $I '{"name":"ins-none","source":{"type":"none"}}'
succeeded
does lxc snapshot ins-none s0
does lxc copy ins-none ins-copy
does lxc export ins-none "$SCRATCH/none" -q
does lxc delete ins-none ins-copy
does lxc import "$SCRATCH/none" -q
gives s0 snapshots ins-none
does lxc restore ins-none s0
does lxc delete ins-none

it "makes an image of one whose metadata says little"
does lxc init bb ins-meta -q
req PUT $I/ins-meta/metadata '{"properties":{"a":"b"}}'
does lxc publish ins-meta --alias of-meta
like "$(lxc image show of-meta)" 'a: b'
gives x86_64 bash -c 'lxc query /1.0/images/aliases/of-meta | jq -r .target | xargs -I F lxc query /1.0/images/F | jq -r .architecture'
does lxc image delete of-meta

it "leaves alone what is stopped when all are restarted"
run PUT $I '{"state":{"action":"restart","force":true}}'
succeeded
same "$(state_of ins-meta)" Stopped

it "doesn't restore by PATCH, nor keep what it can't use"
req PATCH $I/ins-meta '{"restore":"nope"}'
error 400 "Can't call PATCH in restore mode"
does lxc delete ins-meta
run POST $I '{"name":"ins-arch","source":{"type":"image","alias":"bb"},"architecture":"i686","stateful":true}'
req GET $I/ins-arch
meta '[.architecture, .stateful]' '["x86_64",false]'
req PATCH $I/ins-arch '{"devices":{"d":{"type":"usb","foo":""}}}'
error 500 'Invalid device option "foo"'
req PATCH $I/ins-arch '{"devices":{"d":{"type":"nic","network":"nope"}}}'
error 404 'Failed to load network "nope"'
does lxc config set ins-arch snapshots.expiry=' 7S 1d'
does lxc delete ins-arch

it "keeps a directory that no record knows of"
CONTAINERS=$LXD_DIR/storage-pools/default/containers
mkdir "$CONTAINERS/ins-stray" && echo dear >"$CONTAINERS/ins-stray/file"
refuses exist lxc init bb ins-stray -q
does lxc init bb ins-src -q
refuses exist lxc copy ins-src ins-stray
refuses exist lxc move ins-src ins-stray
does lxc export ins-src "$SCRATCH/export"
does lxc move ins-src ins-far
refuses exist lxc import -q "$SCRATCH/export" ins-stray
same "$(cat "$CONTAINERS/ins-stray/file")" dear 'the file'
req GET $I/ins-stray
error 404 'Instance not found'
does lxc delete ins-far
rm -r "$CONTAINERS/ins-stray"

it "leaves nothing behind when all are deleted"
req GET $I
meta . '[]'
for folder in containers storage-pools/default/containers devices; do
	same "$(ls -A "$LXD_DIR/$folder" 2>/dev/null | grep -E '^ins|^bad')" '' "$folder"
done
done_testing

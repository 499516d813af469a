#!/bin/bash
# Storage pools.
# covers: GET /1.0/storage-pools, POST /1.0/storage-pools
# covers: GET /1.0/storage-pools/{name}, PUT /1.0/storage-pools/{name}, PATCH /1.0/storage-pools/{name}
# covers: DELETE /1.0/storage-pools/{name}, GET /1.0/storage-pools/{name}/resources
. "$(dirname "$0")/lib.bash"
S=/1.0/storage-pools

it "lists pools"
req GET $S
ok
meta . '["/1.0/storage-pools/default"]'
req GET "$S?recursion=1"
ok
meta 'map(keys)' '[["config","description","driver","locations","name","status","used_by"]]'

it "describes a pool"
req GET $S/default
ok
meta '[.name, .driver, .description, .status, .locations, .used_by]' \
	"[\"default\",\"${LXBOX_POOL-dir}\",\"\",\"Created\",[\"none\"],[\"/1.0/profiles/default\"]]"
meta .config.source "\"$LXD_DIR/storage-pools/default\""

it "makes one"
req POST $S '{"name":"p2","driver":"dir","description":"second"}'
created $S/p2
req GET $S/p2
ok
meta '[.driver, .description, .status]' '["dir","second","Created"]'
meta '.used_by | length' 0
[ -d "$LXD_DIR/storage-pools/p2/containers" ] || fail "no folder"

it "takes a folder that is there as source, when it is empty"
mkdir "$SCRATCH/empty" "$SCRATCH/full"
touch "$SCRATCH/full/file"
req POST $S "{\"name\":\"p3\",\"driver\":\"dir\",\"config\":{\"source\":\"$SCRATCH/empty\"}}"
created $S/p3
req GET $S/p3
meta .config.source "\"$SCRATCH/empty\""
req POST $S "{\"name\":\"p4\",\"driver\":\"dir\",\"config\":{\"source\":\"$SCRATCH/full\"}}"
error '400|500' 'empty'
req POST $S '{"name":"p4","driver":"dir","config":{"source":"/nope/nope"}}'
error '400|500' '/nope/nope'
[ ! -e "$LXD_DIR/storage-pools/p4" ] || fail "a folder was left"

it "refuses what is wrong, and makes nothing"
req POST $S '{"name":"p2","driver":"dir"}'
error 409 'already exists'
req POST $S '{"name":"p4","driver":"nope"}'
error '400|500' .
req POST $S '{"name":"p4"}'
error 400 '^No driver provided$'
req POST $S '{"name":"","driver":"dir"}'
error 400 '^No name provided$'
req POST $S '{"name":"a/b","driver":"dir"}'
error 400 'slashes'
req POST $S '{"name":"p4","driver":"dir","config":{"nope":"1"}}'
error '400|500' 'nope'
req POST $S '{"name":"p4","driver":"dir","config":{"rsync.compression":"maybe"}}'
error '400|500' 'rsync.compression.*maybe'
req POST $S 'x'
error 400 'invalid character'
req GET $S/p4
error 404 '^Storage pool not found$'
[ ! -e "$LXD_DIR/storage-pools/p4" ] || fail "a folder was left"

it "changes what may be changed"
req PATCH $S/p2 '{"config":{"user.a":"b"}}'
ok
meta . '{}'
req GET $S/p2
meta '.config["user.a"]' '"b"'
config=$(get '.metadata.config | del(.["user.a"]) | tojson')
req PUT $S/p2 "{\"description\":\"x\",\"config\":$config}"
ok
req GET $S/p2
meta '[.description, .config["user.a"]]' '["x",null]'
req PUT $S/p2 "{\"config\":$(jq -c '.nope = "1"' <<<"$config")}"
error '400|500' 'nope'
req PUT $S/p2 '{"config":{"source":"/elsewhere"}}'
error '400|500' source
req PATCH $S/p2 '{"config":{"user.a":"c"}}' -H 'If-Match: "0000"'
error 412 .

it "says how much room there is"
req GET $S/p2/resources
ok
meta keys '["inodes","space"]'
meta '[.space.total > .space.used, .space.used > 0, .inodes.total > .inodes.used]' '[true,true,true]'
req GET $S/nope/resources
error '404|500' '^Storage pool not found$'

it "keeps a pool that is used"
req DELETE $S/default
error 400 '^The storage pool is currently in use$'
does lxc init bb pool1 -s p2 -q
req GET $S/p2
meta .used_by '["/1.0/instances/pool1"]'
req DELETE $S/p2
error 400 'in use'
[ -d "$LXD_DIR/storage-pools/p2/containers/pool1" ] || fail "the instance is elsewhere"
same "$(readlink "$LXD_DIR/containers/pool1")" "$LXD_DIR/storage-pools/p2/containers/pool1" link
does lxc delete pool1

it "lets go of one that is not, with its folders"
req DELETE $S/p2
ok
req DELETE $S/p3
ok
[ ! -e "$LXD_DIR/storage-pools/p2" ] || fail "its folder is still there"
same "$(ls -A "$SCRATCH/empty")" '' 'left in its source'
req DELETE $S/p2
error 404 '^Storage pool not found$'
for method in GET PUT PATCH; do
	req $method $S/p2 '{}'
	error 404 '^Storage pool not found$'
done
req POST $S/default '{"name":"x"}'
error 501 '^not implemented$'

it "works with the client"
does lxc storage create c1 dir
does lxc storage list --format csv
like "$out" 'c1,dir'
does lxc storage set c1 user.a=b
gives b lxc storage get c1 user.a
does lxc storage unset c1 user.a
does lxc storage show c1
like "$out" 'driver: dir'
does lxc storage info c1
like "$out" 'total space'
does lxc storage delete c1
refuses 'not found' lxc storage show c1
refuses 'in use' lxc storage delete default

done_testing

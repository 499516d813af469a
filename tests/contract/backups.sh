#!/bin/bash
# Backups of instances: kept here, fetched, and made instances again.
# covers: GET /1.0/instances/{name}/backups, POST /1.0/instances/{name}/backups
# covers: GET /1.0/instances/{name}/backups/{backup}, POST /1.0/instances/{name}/backups/{backup}
# covers: DELETE /1.0/instances/{name}/backups/{backup}, GET /1.0/instances/{name}/backups/{backup}/export
. "$(dirname "$0")/lib.bash"
B=$I/c1/backups
does lxc init bb c1 -c user.a=1
does lxc file push -q /etc/passwd c1/root/passwd --uid 5 --gid 7 --mode 0640
does lxc snapshot c1 s0
does lxc config set c1 user.a=2
does lxc file push -q /etc/group c1/root/group
index() { tar -xOf "$SCRATCH/body" "$@" backup/index.yaml; }

it "has none at first"
req GET "$I?recursion=2"
meta '.[0].backups' null
req GET $B
ok
meta . '[]'
req GET $I/nope/backups
error 404 '^Instance not found$'
req GET $B/b0
error 404 '^Load backup from database: Instance backup not found$'
req GET $B/b0/export
error 404 '^Load backup from database: Instance backup not found$'

it "makes one"
run POST $B '{"name":"b0","expires_at":"2030-01-01T00:00:00Z","instance_only":true,"compression_algorithm":"none"}'
succeeded
is '[.class, .description, .resources, .may_cancel]' \
	'["task","Backing up instance",{"backups":["/1.0/backups/b0"],"containers":["/1.0/containers/c1"],"instances":["/1.0/instances/c1"]},false]'
req GET $B/b0
ok
meta 'keys' '["container_only","created_at","expires_at","instance_only","name","optimized_storage"]'
meta '[.name, .expires_at, .instance_only, .container_only, .optimized_storage]' '["b0","2030-01-01T00:00:00Z",true,true,false]'
meta '.created_at|test("^[0-9-]{10}T[0-9:]{8}Z$")' true

it "chooses names"
run POST $B '{"compression_algorithm":"zstd"}'
succeeded
req GET $B
ok
meta . "[\"$B/b0\",\"$B/backup0\"]"
req GET "$I?recursion=2"
meta '[.[] | [.name, (.backups | map(keys | length))]]' '[["c1",[6,6]]]'
req GET "$I/c1?recursion=1"
meta '[.backups[].name]' '["b0","backup0"]'
req GET "$B?recursion=1"
ok
meta 'map(.name)' '["b0","backup0"]'

it "chooses different names at the same time"
if ours; then
	begin POST $B '{"compression_algorithm":"none"}'
	first=$operation
	begin POST $B '{"compression_algorithm":"none"}'
	ended
	succeeded
	operation=$first
	ended
	succeeded
	req GET $B
	meta . "[\"$B/b0\",\"$B/backup0\",\"$B/backup1\",\"$B/backup2\"]"
	for name in backup1 backup2; do
		run DELETE $B/$name
		succeeded
	done
fi

it "sends the archive"
req GET $B/b0/export
same "$code" 200 code
same "$(header content-type)" application/octet-stream
same "$(header content-length)" "$(stat -c %s "$SCRATCH/body")"
list=$(tar --numeric-owner -tvf "$SCRATCH/body")
same "$(head -n 1 <<<"$list" | awk '{print $NF}')" backup/index.yaml "the first member"
like "$list" '-rw-r-----.* 5/7 .* backup/container/rootfs/root/passwd'
like "$list" ' backup/container/backup.yaml'
like "$list" ' backup/container/metadata.yaml'
unlike "$list" 'backup/snapshots/'
like "$(index)" 'name: c1.*backend: .*pool: default.*optimized: false.*type: container.*config:.*container:.*user.a: "?2'
unlike "$(index)" 's0'

it "has snapshots in it unless told otherwise"
req GET $B/backup0/export
list=$(tar --zstd --numeric-owner -tvf "$SCRATCH/body")
like "$list" ' 5/7 .* backup/snapshots/s0/rootfs/root/passwd'
unlike "$list" 'backup/snapshots/s0/rootfs/root/group'
like "$list" ' backup/container/rootfs/root/group'
like "$(index --zstd)" 'snapshots:.- .?s0.*optimized'
cp "$SCRATCH/body" "$SCRATCH/whole"

it "refuses what can't be a backup"
req POST $B '{"name":"b/0"}'
error '400|500' '^Backup names may not contain slashes$'
run POST $B '{"name":"b0"}'
failed_with '^Create backup: Backup "c1/b0" already exists$'
req POST $I/nope/backups '{}'
error 404 '^Instance not found$'

it "renames it"
run POST $B/b0 '{"name":"b1"}'
succeeded
is '[.description, .resources]' '["Renaming instance backup",{"containers":["/1.0/containers/c1"],"instances":["/1.0/instances/c1"]}]'
req GET $B/b1
ok
meta '[.name, .expires_at]' '["b1","2030-01-01T00:00:00Z"]'
req GET $B/b0
error 404 'Instance backup not found$'
run POST $B/b1 '{"name":"backup0"}'
is '[.status_code]' '[400]'
req POST $B/nope '{"name":"b2"}'
error 404 'Instance backup not found$'

it "makes the same instance again"
run POST $I '' --data-binary "@$SCRATCH/whole" -H 'Content-Type: application/octet-stream' -H 'X-LXD-name: c2'
succeeded
is '[.description, .resources]' '["Restoring backup",{"containers":["/1.0/containers/c2"],"instances":["/1.0/instances/c2"]}]'
req GET $I/c1
one=$(jq -cS '.metadata | [.architecture, .config, .devices, .profiles, .created_at, .ephemeral, .status]' <<<"$body")
req GET $I/c2
same "$(jq -cS '.metadata | [.architecture, .config, .devices, .profiles, .created_at, .ephemeral, .status]' <<<"$body")" "$one"
req GET "$I/c2/snapshots?recursion=1"
ok
meta 'map([.name, .config["user.a"]])' '[["s0","1"]]'
does lxc start c2
does lxc exec c2 -- stat -c '%u %g %a %n' /root/passwd /root/group
same "$out" $'5 7 640 /root/passwd\n0 0 644 /root/group'
does lxc stop -f c2
does lxc restore c2 s0
does lxc start c2
refuses 'No such file' lxc exec c2 -- stat /root/group
does lxc delete -f c2

it "backs up what runs"
does lxc start c1
does lxc exec c1 -- sh -c 'echo live > /root/live; ln /root/live /root/link; mkfifo /root/fifo'
run POST $B '{"name":"live","compression_algorithm":"none"}'
succeeded
req GET $B/live/export
list=$(tar --numeric-owner -tvf "$SCRATCH/body")
# LXD has them as they are on disk, and says so in the configuration; ours are the guest's.
like "$list" 'rw-r--r--.* (0/0|100000/100000) .* backup/container/rootfs/root/link'
like "$list" 'hrw-r--r--.* (0/0|100000/100000) .* backup/container/rootfs/root/live link to backup/container/rootfs/root/link'
like "$list" 'prw.* backup/container/rootfs/root/fifo'
unlike "$list" 'rootfs/proc/1/'
does lxc stop -f c1

it "refuses what is no backup"
before=$(find "$LXD_DIR/backups" -type f | wc -l)
header=(-H 'Content-Type: application/octet-stream')
req POST $I '' --data-binary @/etc/passwd "${header[@]}" -H 'X-LXD-name: c3'
error '400|500' '^Unsupported compression$'
req POST $I '' --data-binary "@$BB" "${header[@]}" -H 'X-LXD-name: c3'
error 400 '^Backup is missing index.yaml$'
req POST $I '' --data-binary "@$SCRATCH/whole" "${header[@]}" -H 'X-LXD-name: c3' -H 'X-LXD-pool: nope'
error 500 '^Storage pool not found: Storage pool not found$'
run POST $I '' --data-binary "@$SCRATCH/whole" "${header[@]}"
failed_with '^Create instance from backup: Cannot restore volume, already exists on target$'
req GET $I/c3
error 404 '^Instance not found$'
same "$(find "$LXD_DIR/backups" -type f | wc -l)" "$before" "files after failures"

it "refuses snapshots that no instance could go back to"
if ours; then
	mkdir "$SCRATCH/bad"
	tar --zstd --numeric-owner -xf "$SCRATCH/whole" -C "$SCRATCH/bad"
	sed -i 's/user\.a: .\?1.\?$/nope.key: x/' "$SCRATCH/bad/backup/index.yaml"
	tar --numeric-owner -C "$SCRATCH/bad" -cf "$SCRATCH/bad.tar" backup/index.yaml backup/snapshots backup/container
	req POST $I '' --data-binary "@$SCRATCH/bad.tar" "${header[@]}" -H 'X-LXD-name: c3'
	error 400 '^Invalid snapshot "s0": .*nope.key'
fi

it "removes it"
run DELETE $B/b1
succeeded
is '[.description, .resources]' '["Removing instance backup",{"container":["/1.0/container/c1"]}]'
req DELETE $B/b1
error 404 'Instance backup not found$'

it "has the files of a running instance as they were at one moment"
# LXD reads them while the guest goes on; so do we where the pool has no layers.
if ours && [ "${LXBOX_POOL-dir}" = overlay ]; then
	does lxc start c1
	inside c1 sh -c 'for d in 1 2 3 4; do mkdir /root/d$d; head -c 12000000 /dev/urandom >/root/d$d/big; done'
	bounded lxc exec c1 -- sh -c 'i=0; while ! [ -e /root/end ]; do i=$((i + 1)); for d in 1 2 3 4; do echo $i >/root/d$d/m; mv /root/d$d/m /root/d$d/n; done; done' &
	until_true 10 inside c1 test -s /root/d4/n
	run POST $B '{"name":"moment","instance_only":true,"compression_algorithm":"gzip"}'
	succeeded
	inside c1 touch /root/end
	wait $!
	req GET $B/moment/export
	numbers=$(for d in 1 2 3 4; do tar -xOf "$SCRATCH/body" backup/container/rootfs/root/d$d/n; done | sort -n)
	[ "$(wc -l <<<"$numbers")" = 4 ] && [ $(($(tail -n 1 <<<"$numbers") - $(head -n 1 <<<"$numbers"))) -le 1 ] ||
		fail "it has several moments: $numbers"
	same "$(find "$LXD_DIR"/storage-pools/default/containers-snapshots -mindepth 2 -maxdepth 2 -printf '%f\n')" s0 'what is left'
	does lxc stop -f c1
	run DELETE $B/moment
	succeeded
fi

it "tells about it, and works by the stock client"
head -c 40000000 /dev/urandom >"$SCRATCH/noise"
does lxc file push -q "$SCRATCH/noise" c1/root/noise
monitor "$SCRATCH/monitor" operation
# Long enough that something is said: once a second, in what the client writes to standard output too.
does lxc export c1 "$SCRATCH/c1.tgz" --compression bzip2
does lxc import "$SCRATCH/c1.tgz" c4
until_true 5 grep -q instance-created "$SCRATCH/monitor"
kill $monitor
wait $monitor 2>/dev/null
! ours || like "$(jq -r '.metadata.metadata.create_backup_progress? // empty' "$SCRATCH/monitor")" '^[0-9.]+MB \([0-9.]+[kMG]B/s\)' 'progress'
same "$(jq -sc 'map(select(.type == "lifecycle" and (.metadata.action|startswith("instance"))) | [.metadata.action, .metadata.source, .metadata.context]) | sort' "$SCRATCH/monitor")" \
	"$(jq -nc '[["instance-backup-created","/1.0/instances/c1/backups/backup1",null],["instance-backup-retrieved","/1.0/instances/c1/backups/backup1",null],["instance-backup-deleted","/1.0/instances/c1/backups/backup1",null],["instance-created","/1.0/instances/c4",{"storage-pool":"default","type":"container"}],["instance-snapshot-created","/1.0/instances/c4/snapshots/s0",null]] | sort')"

it "finds what the database has lost"
for what in validate import; do
	req POST /internal/recover/$what '{"Pools":[{"name":"default"}]}'
	ok
	meta '[.UnknownVolumes, .DependencyErrors]' '[null,null]'
done

it "leaves nothing behind its instance"
does lxc delete c4
run DELETE $I/c1
succeeded
same "$(find "$LXD_DIR/backups" -type f | wc -l)" 0 "files"
done_testing

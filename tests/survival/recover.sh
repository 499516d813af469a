#!/bin/bash
# The database is lost: instances and snapshots are found again on the pool.
. "$(dirname "$0")/lib.bash"
driver=$(lxc storage list -f csv | cut -d, -f2 | head -n 1)
pools="{\"Pools\":[{\"name\":\"default\",\"driver\":\"$driver\"}]}"
described() { grep -q "$2" "$LXD_DIR/storage-pools/default/containers/$1/backup.yaml" 2>/dev/null; }

it "keeps a description beside each volume"
does lxc init bb rec1 -c user.a=1
does lxc file push -q /etc/passwd rec1/root/passwd
does lxc snapshot rec1 s0
does lxc config set rec1 user.a=two
until_true 10 described rec1 'user.a: .*two'
until_true 10 described rec1 'name: .*s0'
same "$(stat -c '%u %a' "$LXD_DIR/storage-pools/default/containers/rec1/backup.yaml")" '0 400' 'owner and mode'
does lxc rename rec1 rec2
until_true 10 described rec2 'name: .*rec2'

it "says what is lost, and brings it back"
end_daemon TERM
rm "$LXD_DIR"/database/*
begin_daemon
req GET $I
meta . '[]'
req POST /internal/recover/validate "$pools"
ok
meta . '{"UnknownVolumes":[{"name":"rec2","type":"container","snapshotCount":1,"project":"default","pool":"default"}],"DependencyErrors":null}'
req GET /1.0/storage-pools
meta . '[]'
req POST /internal/recover/import "$pools"
ok
meta . '{"UnknownVolumes":null,"DependencyErrors":null}'
req GET $I/rec2
meta '[.config["user.a"], .profiles, .status]' '["two",["default"],"Stopped"]'
req GET "$I/rec2/snapshots?recursion=1"
meta 'map([.name, .config["user.a"]])' '[["s0","1"]]'
does lxc start rec2
does lxc exec rec2 -- grep -c root: /root/passwd

another_daemon KILL
does lxc exec rec2 -- true
req POST /internal/recover/validate "$pools"
meta . '{"UnknownVolumes":null,"DependencyErrors":null}'
does lxc delete -f rec2

# lose: the database goes. talk CLIENT ANSWER...: `lxd recover` by that client.
source=$(lxc storage get default source)
lose() { end_daemon TERM; rm "$LXD_DIR"/database/*; begin_daemon; }
talk() {
	local client=$1
	shift
	# LXD's goes on asking for what is missing for ever when there are no more answers.
	printf '%s\n' "$@" | timeout 60 "$client" recover 2>&1 | head -c 20000 >"$SCRATCH/said"
	status=${PIPESTATUS[1]}
	out=$(cat "$SCRATCH/said")
}
prepare() { lxc image import "$BB" --alias bb && lxc profile device add default root disk path=/ pool=default; }
pool=(yes default "$driver" "$source" '' no)

clients=(lxd)
[ ! -x /usr/bin/lxd ] || clients+=(/usr/bin/lxd)
for client in "${clients[@]}"; do
	it "is asked for by a dialogue ($client)"
	does prepare
	does lxc profile create rec
	does lxc init bb rec3 -p default -p rec
	does lxc init bb rec4
	for s in s0 s1; do does lxc snapshot rec3 $s; done
	until_true 10 described rec3 'name: .*s1'
	until_true 10 described rec4 'name: .*rec4'
	lose
	talk "$client" "${pool[@]}" no
	same "$status" 0 'status after no'
	unlike "$out" Scanning 'scanned without leave'
	talk "$client" "${pool[@]}" yes
	[ "$client" != lxd ] || same "$status" 1 'status with something missing'
	like "$out" 'NEW: "default" .backend="'"$driver"'", source="'"$source"
	like "$out" 'Container "rec3" on pool "default" in project "default" .includes 2 snapshots'
	like "$out" 'Profile "rec" in project "default"'
	same "$(lxc list -f csv -c n)" '' 'brought back by looking'
	does lxc profile create rec
	talk "$client" "${pool[@]}" yes no
	same "$(lxc list -f csv -c n)" '' 'brought back after no'
	talk "$client" "${pool[@]}" yes yes
	same "$status" 0 "$out"
	like "$out" 'Starting recovery...'
	same "$(lxc list -f csv -c nS)" $'rec3,2\nrec4,0' 'what is back'
	does lxc start rec3 rec4
	does lxc restore rec3 s0
	talk "$client" '' ''
	like "$out" 'EXISTING: "default"'
	like "$out" 'No unknown volumes found. Nothing to do.'
	does lxc delete -f rec3 rec4
	does lxc profile delete rec
done

it "brings back more snapshots than one commit holds, whole or not at all"
does prepare
does lxc init bb rec5
for s in $(seq 70); do lxc query -X POST -d "{\"name\":\"s$s\"}" $I/rec5/snapshots >/dev/null; done
count() { [ "$(lxc list -f csv -c S)" = 70 ]; }
until_true 60 count
until_true 10 described rec5 'name: .*s70'
end_daemon TERM
rm "$LXD_DIR"/database/*
begin_daemon LXBOX_FAULT=daemon.recover.snapshots
pid=$(daemon)
talk lxd "${pool[@]}" yes yes
until_true 10 dead "$pid"
begin_daemon
same "$(lxc list -f csv -c n)" '' 'instances after a death'
talk lxd no yes yes
same "$status" 0 "$out"
same "$(lxc list -f csv -c nS)" rec5,70 'what is back'
does lxc start rec5
does lxc delete -f rec5

it "says what doesn't fit its description"
does prepare
does lxc init bb rec6
for s in s0 s1; do does lxc snapshot rec6 $s; done
until_true 10 described rec6 'name: .*s1'
lose
snapshots=$LXD_DIR/storage-pools/default/containers-snapshots/rec6
# unfit TEXT: the error's end.
unfit() {
	for what in validate import; do
		req POST /internal/recover/$what "${pools/\}]/,\"config\":{\"source\":\"$source\"\}\}]}"
		error 500 "^Failed checking volumes on pool \"default\": Instance \"rec6\" in project \"default\" has snapshot inconsistency: $1: Backup snapshots mismatch\$"
	done
}
mv "$snapshots/s1" "$snapshots/sx"
unfit 'Snapshot "sx" exists on storage device but not in backup config'
mv "$snapshots/sx" "$snapshots/../sx"
unfit 'Snapshot count in backup config and storage device are different'
mv "$snapshots/../sx" "$snapshots/s1"
talk lxd "${pool[@]}" yes yes
same "$(lxc list -f csv -c nS)" rec6,2 "$out"
does lxc delete rec6

it "keeps what no record knows of, whatever is to be made in its place"
does prepare
does lxc storage create other dir
does lxc init bb rec7 -q
P=$LXD_DIR/storage-pools
strays=("$P"/default/{containers-snapshots/rec7/s9,containers/rec8,containers-snapshots/rec9/s9} "$P/other/containers/rec7")
for stray in "${strays[@]}"; do mkdir -p "$stray" && echo dear >"$stray/file"; done
refuses 'exists already' lxc snapshot rec7 s9
refuses 'exists already' lxc init bb rec8 -q
refuses 'exists already' lxc copy rec7 rec8
refuses 'exists already' lxc move rec7 rec8
refuses 'exists already' lxc init bb rec9 -q
refuses 'exists already' lxc move rec7 -s other
another_daemon KILL
for stray in "${strays[@]}"; do
	same "$(cat "$stray/file")" dear "$stray"
	rm -r "$stray"
done
does lxc snapshot rec7 s9
does lxc init bb rec9 -q
does lxc delete rec7 rec9

it "takes away what couldn't be made or removed, and nothing else"
# Neither can be made nor thrown away without these.
mv "$LXD_DIR/containers" "$P/default/trash" "$SCRATCH"
refuses . lxc init bb rec7 -q
req GET $I/rec7
ok
refuses 'is being made or deleted' lxc rename rec7 rec8
refuses 'is being made or deleted' lxc move rec7 -s other
refuses 'is being made or deleted' lxc copy rec7 rec8
refuses 'is being made or deleted' lxc start rec7
mv "$SCRATCH/containers" "$LXD_DIR"
mv "$SCRATCH/trash" "$P/default"
gone() { ! req GET $I/rec7 || [ "$code" = 404 ]; }
until_true 20 gone || fail 'it stays'
[ ! -e "$P/default/containers/rec7" ] || fail 'its directory stays'
does lxc init bb rec7 -q
does lxc delete rec7
does lxc storage delete other
done_testing

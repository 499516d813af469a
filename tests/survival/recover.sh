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
does lxc query -X POST --wait -d '{"name":"b"}' $I/rec2/backups

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
done_testing

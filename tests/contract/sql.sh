#!/bin/bash
# `lxd sql`: what the daemon keeps as LXD's tables, read and repaired.
# covers: GET /internal/sql, POST /internal/sql
. "$(dirname "$0")/lib.bash"
S=/internal/sql
# ask STATEMENTS: runs them in the global database; the rows of the first are then in `body`.
ask() { req POST $S "$(jq -cn --arg q "$1" '{database: "global", query: $q}')"; }
rows() { is '.metadata.Results[0].rows' "$1"; }

does lxc init bb sql1 -q -c user.a=1 -d root,path=/
does lxc snapshot sql1 s1
does lxc config set user.sql x
does lxc profile create sqlp -q

it "gives rows of statements"
ask "SELECT name, architecture, type, ephemeral, stateful, project_id FROM instances"
ok
meta '.Results | length' 1
meta '.Results[0] | keys' '["columns","rows","rows_affected","type"]'
meta '.Results[0] | [.type, .columns, .rows, .rows_affected]' \
	'["select",["name","architecture","type","ephemeral","stateful","project_id"],[["sql1",2,0,0,0,1]],0]'
ask "select null, 1.5, x'4142'; delete from config where 0; select 2"
meta '[.Results[] | [.type, .rows, .rows_affected]]' \
	'[["select",[[null,1.5,"AB"]],0],["exec",null,0],["select",[[2]],0]]'

it "has the tables and columns that scripts know"
ask "SELECT c.key, c.value FROM instances_config c JOIN instances i ON i.id = c.instance_id WHERE i.name = 'sql1' AND key = 'user.a'"
rows '[["user.a","1"]]'
ask "SELECT d.name, d.type, c.value FROM instances_devices d JOIN instances_devices_config c ON c.instance_device_id = d.id WHERE c.key = 'path'"
rows '[["root",2,"/"]]'
ask "SELECT p.name, ip.apply_order FROM profiles p JOIN instances_profiles ip ON ip.profile_id = p.id"
rows '[["default",1]]'
ask "SELECT s.name, v.name FROM instances_snapshots s JOIN storage_volumes_all v ON v.name = 'sql1/' || s.name"
rows '[["s1","sql1/s1"]]'
ask "SELECT a.name, i.size > 0, i.public, i.architecture FROM images_aliases a JOIN images i ON i.id = a.image_id"
rows '[["bb",1,0,2]]'
ask "SELECT key, value FROM images_properties WHERE key = 'os'"
rows '[["os","BusyBox"]]'
ask "SELECT p.name, p.state, v.name, v.type, v.content_type FROM storage_pools p JOIN storage_volumes v ON v.storage_pool_id = p.id WHERE v.type = 0"
rows '[["default",1,"sql1",0,0]]'
ask "SELECT key, node_id FROM storage_pools_config WHERE key = 'source'"
rows '[["source",1]]'
ask "SELECT name, description, schema, state, arch, failure_domain_id FROM nodes"
rows '[["none","",60,0,2,null]]'
ask "SELECT name FROM projects"
rows '[["default"]]'
ask "SELECT value FROM projects_config WHERE key = 'features.images'"
rows '[["true"]]'
ask "SELECT key, value FROM config"
rows '[["user.sql","x"]]'
for table in certificates certificates_projects instances_backups networks networks_acls networks_acls_config networks_config \
	networks_forwards networks_nodes networks_peers networks_zones networks_zones_records nodes_config nodes_roles warnings; do
	ask "SELECT count(*) FROM $table WHERE 0"
	rows '[[0]]'
done
ask "SELECT creation_date FROM instances"
like "$(get '.metadata.Results[0].rows[0][0]')" '^20[0-9-]*T[0-9:.]*Z$' date

it "shows operations that run"
does lxc start sql1
bounded lxc exec sql1 -- sleep 5 &
runs() { ask "SELECT type FROM operations WHERE type = 19"; [ "$(jq -c '.metadata.Results[0].rows[0]' <<<"$body")" = '[19]' ]; }
until_true 5 runs
wait $!
does lxc stop -f sql1

it "gives it all as SQL"
for database in global local; do
	req GET "$S?database=$database&schema=1"
	ok
	jq -j .metadata.text <<<"$body" >"$SCRATCH/schema"
	req GET "$S?database=$database"
	jq -j .metadata.text <<<"$body" >"$SCRATCH/dump"
	for f in schema dump; do
		same "$(head -n 2 "$SCRATCH/$f")" $'PRAGMA foreign_keys=OFF;\nBEGIN TRANSACTION;' $f
		same "$(tail -n 1 "$SCRATCH/$f")" 'COMMIT;' $f
		grep -q 'CREATE TABLE config (' "$SCRATCH/$f" || fail "no table in $f"
	done
	grep -q '^INSERT INTO schema VALUES(1,' "$SCRATCH/dump" || fail 'no rows'
	! grep -q '^INSERT' "$SCRATCH/schema" || fail 'rows in the schema'
done

it "refuses what is wrong"
req GET $S?database=foo
error 400 '^Invalid database$'
req GET $S
error 400 '^Invalid database$'
req POST $S '{"database":"foo","query":"select 1"}'
error 400 '^Invalid database$'
req POST $S '{"database":"global"}'
error 400 '^No query provided$'
ask "selec"
error 500 '^Failed to exec query: near "selec": syntax error$'
ask "select 1; select * from nosuch"
error 500 '^Failed to exec(ute)? query: no such table: nosuch$'

it "sets values and takes rows away"
ask "UPDATE instances_config SET value = '2' WHERE key = 'user.a'"
meta '[.Results[] | [.type, .columns, .rows, .rows_affected]]' '[["exec",null,null,1]]'
gives 2 lxc config get sql1 user.a
ask "INSERT INTO config (key, value) VALUES ('user.sql2', 'y'); DELETE FROM config WHERE key = 'user.sql'"
ok
ask "SELECT key, value FROM config"
rows '[["user.sql2","y"]]'
ask "DELETE FROM instances_config WHERE key = 'user.a'"
gives '' lxc config get sql1 user.a
ask "DELETE FROM profiles WHERE name = 'sqlp'"
like "$(lxc profile show sqlp 2>&1)" 'not found' profile
ask "DELETE FROM instances WHERE name = 'sql1'"
meta '.Results[0].rows_affected' 1
like "$(lxc info sql1 2>&1)" 'not found' instance
[ -d "$LXD_DIR/storage-pools/default/containers/sql1" ] || fail 'files are gone'
ask "DELETE FROM storage_volumes WHERE name = 'sql1'"
ok
ask "SELECT name FROM storage_volumes_all WHERE type = 0"
rows null

it "refuses what can't be repaired, and changes nothing then"
if ours; then
	ask "DELETE FROM config; UPDATE profiles SET name = 'x'"
	error 501 '^Changing the table "profiles" in this way is not supported yet$'
	ask "CREATE TABLE x (a INT)"
	error 501 'is not supported yet$'
	ask "ATTACH '/etc/passwd' AS x"
	error 500 'too many attached'
	ask "SELECT key FROM config"
	rows '[["user.sql2"]]'
fi

it "prints tables"
does lxd sql global "SELECT key, value, NULL AS user_x FROM config"
same "$out" '+-----------+-------+--------+
|    key    | value | user_x |
+-----------+-------+--------+
| user.sql2 | y     | <nil>  |
+-----------+-------+--------+'
out=$(echo "SELECT 1; DELETE FROM config WHERE 0" | lxd sql global -)
same "$out" $'=> Query 0:\n\n+---+\n| 1 |\n+---+\n| 1 |\n+---+\n\n=> Query 1:\n\nRows affected: 0'
does lxd sql global "DELETE FROM config WHERE key = 'user.sql2'"
same "$out" 'Rows affected: 1'
does lxd sql local .schema
like "$out" 'CREATE TABLE raft_nodes \('
does lxd sql global .dump
like "$out" "INSERT INTO projects VALUES\(1,'default',"
like "$(lxd sql global selec 2>&1)" '^Error: Failed to exec query: near "selec": syntax error$'
like "$(lxd sql foo 'select 1' 2>&1)" 'Error: Invalid database type$'
like "$(lxd sql global 2>&1)" 'Error: Missing required arguments$'

done_testing

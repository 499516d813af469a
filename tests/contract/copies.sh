#!/bin/bash
# Copies and moves of instances within a server: with snapshots, from snapshots, to another pool, brought up to date.
# covers: POST /1.0/instances, POST /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
# Another pool, of the other driver where there are two.
other=dir
if ours && [ "${LXBOX_POOL-dir}" = dir ] && lxc storage create probe overlay >/dev/null 2>&1; then
	does lxc storage delete probe
	other=overlay
fi
does lxc storage create cpother $other
does lxc init bb cp1 -q -c user.a=1
# gone NAME...: deleted. LXD may say of one that runs that it doesn't.
gone() { local name; for name; do bounded lxc delete -f "$name" >/dev/null || does lxc delete "$name"; done; }
config() { lxc config get "$1" "$2"; }
push cp1 /root/f zero
does lxc snapshot cp1 s0
push cp1 /root/f one
does lxc snapshot cp1 s1
push cp1 /root/f now
req DELETE "$I/cp1/files?path=/etc/group"

it "copies an instance with its snapshots"
begin POST $I '{"name":"cp2","profiles":["default"],"source":{"type":"copy","source":"cp1"},"config":{"user.b":"2"},"description":"d"}'
is .metadata.description '"Creating instance"'
is .metadata.resources '{"containers":["/1.0/containers/cp2","/1.0/containers/cp1"],"instances":["/1.0/instances/cp2","/1.0/instances/cp1"]}'
ended
succeeded
same "$(snapshots cp2)" 's0 s1'
same "$(file cp2 /root/f) $(file cp2 /etc/group | head -c 3)" 'now 404'
req GET $I/cp2
meta '[.config["user.a"], .config["user.b"], .description, .profiles, .ephemeral, .status]' '["1","2","d",["default"],false,"Stopped"]'
meta '[.config["volatile.apply_template"], .config["volatile.idmap.base"], .config["volatile.last_state.idmap"], .config["volatile.idmap.current"]]' '["copy","0","[]",null]'
for key in volatile.uuid volatile.cloud-init.instance-id; do
	[ "$(config cp1 $key)" != "$(config cp2 $key)" ] || fail "the same $key"
done
same "$(config cp1 volatile.base_image)" "$(config cp2 volatile.base_image)" image
req GET $I/cp2/snapshots/s0
dates=$(get '[.metadata.created_at, .metadata.config["volatile.uuid"]] | join(" ")')
req GET $I/cp1/snapshots/s0
same "$(get '[.metadata.created_at, .metadata.config["volatile.uuid"]] | join(" ")')" "$dates" 'snapshot'
does lxc restore cp2 s0
same "$(file cp2 /root/f) $(file cp1 /root/f)" 'zero now'
does lxc start cp2
same "$(inside cp2 cat /root/f /etc/hostname)" 'zerocp2'
inside cp2 sh -c 'echo two >/root/f'
same "$(file cp1 /root/f)" now
gone cp2

it "copies a snapshot, or without snapshots"
run POST $I '{"name":"cp3","profiles":["default"],"source":{"type":"copy","source":"cp1/s0"}}'
succeeded
same "$(file cp3 /root/f) $(snapshots cp3)" 'zero '
run POST $I '{"name":"cp4","profiles":["default"],"source":{"type":"copy","source":"cp1","instance_only":true},"ephemeral":true}'
succeeded
same "$(file cp4 /root/f) $(snapshots cp4)" 'now '
req GET $I/cp4
meta .ephemeral true
does lxc copy cp1/s1 cp5
same "$(file cp5 /root/f)" one
does lxc delete cp3 cp4 cp5

it "refuses what can't be copied"
req POST $I '{"name":"cpx","profiles":["default"],"source":{"type":"copy","source":"cp1/nope"}}'
error 404 '^Failed to fetch snapshot "nope" of instance "cp1" in project "default": InstanceSnapshot not found$'
req POST $I '{"name":"cpx","profiles":["default"],"source":{"type":"copy","source":"nope"}}'
error 404 '^Failed to fetch instance "nope" in project "default": Instance not found$'
req POST $I '{"name":"cpx","profiles":["default"],"source":{"type":"copy"}}'
error 400 '^Must specify a source instance$'
req POST $I '{"name":"c x","profiles":["default"],"source":{"type":"copy","source":"cp1"}}'
error 400 '^Invalid instance name: Name can only contain alphanumeric and hyphen characters$'
run POST $I '{"name":"cp1","profiles":["default"],"source":{"type":"copy","source":"cp1"}}'
failed_with '^Failed creating instance record: Add instance info to the database: This "instances" entry already exists$'
run POST $I '{"name":"cpx","source":{"type":"copy","source":"cp1"}}'
failed_with '^Failed creating instance record: Failed initialising instance: Failed getting root disk: No root device could be found$'
req GET $I/cpx
error 404 .

it "copies one that runs"
does lxc start cp1
inside cp1 sh -c 'echo live >/root/f; mkdir /root/d; ln /root/f /root/d/hard'
run POST $I '{"name":"cp6","profiles":["default"],"source":{"type":"copy","source":"cp1"}}'
succeeded
same "$(state_of cp1) $(state_of cp6)" 'Running Stopped'
does lxc start cp6
same "$(inside cp6 cat /root/f) $(inside cp6 stat -c %h /root/d/hard)" 'live 2'
same "$(inside cp6 sh -c 'test -e /etc/group || echo gone')" gone
same "$(snapshots cp6)" 's0 s1'
gone cp6
does lxc stop -f cp1

it "copies between pools"
does lxc copy cp1 cp7 -s cpother
same "$(lxc config device get cp7 root pool) $(snapshots cp7) $(file cp7 /root/f)" 'cpother s0 s1 live'
same "$(file cp7 /etc/group | head -c 3)" 404
does lxc start cp7
# LXD's copy makes two files of one with two names.
same "$(inside cp7 stat -c '%h %u' /root/d/hard)" "$(ours && echo 2 || echo 1) 0"
same "$(inside cp7 sh -c 'cat /root/f; test -e /etc/group || echo gone')" $'live\ngone'
does lxc stop -f cp7
does lxc restore cp7 s0
same "$(file cp7 /root/f)" zero
does lxc copy cp7 cp8 -s default
same "$(file cp8 /root/f) $(snapshots cp8)" 'zero s0 s1'
does lxc start cp8
same "$(inside cp8 cat /root/f)" zero
gone cp8
does lxc start cp7
inside cp7 sh -c 'echo seven >/root/f'
does lxc copy cp7 cp8 -s default
same "$(file cp8 /root/f)" seven
gone cp7 cp8

it "brings a copy up to date"
does lxc copy cp1 cp9
push cp1 /root/f new
push cp9 /root/mine x
does lxc snapshot cp1 s2
does lxc delete cp1/s0
run POST $I '{"name":"cp9","profiles":["default"],"source":{"type":"copy","source":"cp1","refresh":true},"config":{"user.r":"1"}}'
succeeded
same "$(snapshots cp9)" 's1 s2'
same "$(file cp9 /root/f) $(file cp9 /root/mine | head -c 3)" 'new 404'
same "$(config cp9 user.r)" ''
does lxc copy --refresh cp1 cp10
same "$(file cp10 /root/f) $(snapshots cp10)" 'new s1 s2'
if [ "${LXBOX_POOL-dir}" = dir ]; then
	# Only what differs is written; what has the same size and time may differ all the same.
	one=$LXD_DIR/storage-pools/default/containers/cp1/rootfs nine=$LXD_DIR/storage-pools/default/containers/cp9/rootfs
	# Not by the copy's own links: what is still in the trash may have some.
	inodes() { (cd "$one" && find . -type f -links 1 -printf '%P\0') | (cd "$nine" && xargs -0 stat -c '%n %i') | sort; }
	printf same >"$one/root/same"
	touch -d @1000000000 "$one/root/same"
	mkdir -p "$one/root/deep/er"
	head -c 300000 /dev/zero >"$one/root/deep/er/zeros"
	does lxc copy --refresh cp1 cp9
	before=$(inodes)
	printf diff >"$one/root/same"
	touch -d @1000000000 "$one/root/same"
	rm "$nine/root/f"
	chmod 711 "$one/root/deep"
	! ours || setfattr -n user.x -v y "$one/root/deep/er/zeros"
	does lxc copy --refresh cp1 cp9
	same "$(cat "$nine/root/same" "$nine/root/f") $(stat -c %a "$nine/root/deep")" 'diffnew 711'
	if ours; then
		same "$(getfattr --only-values --absolute-names -n user.x "$nine/root/deep/er/zeros")" y
		same "$(comm -13 <(echo "$before") <(inodes) | cut -d' ' -f1 | grep -vx root/f)" $'root/deep/er/zeros\nroot/same' 'what is written anew'
	fi
fi
does lxc start cp9
run POST $I '{"name":"cp9","profiles":["default"],"source":{"type":"copy","source":"cp1","refresh":true}}'
failed_with '^Failed getting exclusive access to instance: Instance is running$'
gone cp9 cp10

it "moves to another pool"
uuid=$(config cp1 volatile.uuid)
begin POST $I/cp1 '{"name":"cp1","migration":true,"pool":"cpother"}'
is .metadata.description '"Migrating instance"'
is .metadata.resources '{"instances":["/1.0/instances/cp1"]}'
ended
succeeded
same "$(lxc config device get cp1 root pool) $(snapshots cp1) $(file cp1 /root/f) $(config cp1 volatile.uuid)" "cpother s1 s2 new $uuid"
same "$(readlink "$LXD_DIR/containers/cp1") $(readlink "$LXD_DIR/snapshots/cp1")" \
	"$LXD_DIR/storage-pools/cpother/containers/cp1 $LXD_DIR/storage-pools/cpother/containers-snapshots/cp1"
same "$(ls "$LXD_DIR/storage-pools/default/containers" "$LXD_DIR/storage-pools/default/containers-snapshots" | grep cp1)" ''
# What its snapshots are gone back to, and copied to, is in that pool, too.
req GET $I/cp1/snapshots/s1
meta '[.devices.root.pool, .expanded_devices.root.pool]' '["cpother","cpother"]'
does lxc copy cp1/s1 cpsnap
does lxc copy cp1 cpback -s default
does lxc restore cpback s1
pool() { lxc config show --expanded "$1" | sed -n 's/^    pool: //p'; }
same "$(pool cpsnap) $(pool cpback)" 'cpother default'
gone cpsnap cpback
does lxc move cp1 cpm -s default
same "$(lxc config device get cpm root pool) $(snapshots cpm) $(file cpm /root/f)" 'default s1 s2 new'
does lxc start cpm
run POST $I/cpm '{"name":"cpm","migration":true,"pool":"cpother"}'
failed_with "(must be stopped|CRIU isn't installed)"
same "$(inside cpm cat /root/f)" new
does lxc stop -f cpm
run POST $I/cpm '{"name":"cpm","migration":true,"pool":"nope"}'
failed_with '^Failed creating instance record: Failed initialising instance: Failed loading storage pool: Storage pool not found$'
does lxc init bb cp1 -q
run POST $I/cpm '{"name":"cp1","migration":true,"pool":"cpother"}'
failed_with '^Failed creating instance record: Add instance info to the database: This "instances" entry already exists$'
req POST $I/cpm '{"name":"a/b","migration":true,"pool":"cpother"}'
error 400 '^The character "/" is reserved for snapshots$'
run POST $I/cpm '{"name":"cpn","migration":true,"pool":"cpother","instance_only":true}'
succeeded
same "$(snapshots cpn) $(file cpn /root/f)" ' new'
does lxc start cpn
gone cpn cp1

it "leaves nothing behind"
req GET $I
meta . '[]'
for pool in default cpother; do
	for place in containers containers-snapshots; do
		same "$(ls "$LXD_DIR/storage-pools/$pool/$place")" '' "$pool/$place"
	done
	ours || continue
	same "$(ls "$LXD_DIR/storage-pools/$pool/pending")" '' marks
	empty() { [ -z "$(ls -A "$LXD_DIR/storage-pools/$pool/trash")" ]; }
	until_true 5 empty
	swept() { [ -z "$(ls "$LXD_DIR/storage-pools/$pool/overlay/layers" 2>/dev/null | grep copy-)" ]; }
	until_true 5 swept
done
does lxc storage delete cpother
done_testing

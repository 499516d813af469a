#!/bin/bash
# The crash walk: the daemon (or a shim) dies by SIGKILL at each step of each change. Then there is the old state or the
# new one, nothing is left behind, and the change can be made. `fault("...")` in the sources names the steps.
# LXBOX_POOL=dir|overlay: the driver of its pool.
. "$(dirname "$0")/lib.bash"
N=cra-$(lxc storage list -f csv | cut -d, -f2 | head -n 1)
exists() { req GET "$I/$1" && [ "$code" = 200 ]; }
stopped() { is_now "$1" Stopped; }

# dies POINT CMD...: CMD meets a daemon that dies at the point; another one takes over.
dies() {
	local point=$1 pid
	shift
	end_daemon TERM
	begin_daemon LXBOX_FAULT="$point"
	pid=$(daemon)
	timeout 30 "$@" </dev/null >"$SCRATCH/dies" 2>&1
	until_true 15 dead "$pid" || { fail "nothing died at $point: $(cat "$SCRATCH/dies")"; end_daemon; }
	begin_daemon
}

# shim_dies POINT CMD...: CMD meets a shim (or its helper) that dies there; the daemon clears up by itself, and goes on.
shim_dies() {
	local point=$1 pid
	shift
	end_daemon TERM
	begin_daemon LXBOX_FAULT="$point"
	pid=$(daemon)
	timeout 30 "$@" </dev/null >"$SCRATCH/dies" 2>&1
	alive "$pid" || { fail "the daemon died at $point, too"; begin_daemon; return; }
	until_true 15 stopped "$N"
	clean_of "$N"
	another_daemon TERM
}

# clean_of NAME: no process, control group, or run directory of it. tidy: nothing but the instance's own directories.
clean_of() {
	until_true 10 no_shim "$1"
	same "$(groups_of "$1")" '' "control groups after $point"
	# What serves all guests stays for a moment; `clean` waits for its end.
	same "$(ls "$LXD_DIR/run" | grep -vx procfs)" '' "run directories after $point"
}
no_shim() { [ "$(shims_of "$1")" = 0 ] && [ -z "$(groups_of "$1")" ]; }

# sources: the points that they name. all_of POINT...: the points that are walked.
sources() { grep -rhoE '^ *fault\("[^"]*"' "$(dirname "$0")/../../src" | cut -d'"' -f2 | sort -u; }
POINTS=()
all_of() { POINTS+=("$@"); }

it "create"
all_of daemon.create.{reserved,unpacked,volume,confirmed,settled}
for point in daemon.create.{reserved,unpacked,volume,confirmed,settled}; do
	# On an overlay pool, an image is unpacked for the first instance only: this one goes with its layer.
	dies $point lxc init bb "$N" -q
	if exists "$N"; then
		case $point in *reserved | *unpacked | *volume) fail "it exists after $point" ;; esac
		does lxc start "$N"
		works "$N"
		does lxc delete -f "$N"
		clean
	else
		case $point in *confirmed | *settled) fail "it is lost after $point" ;; esac
		clean
		does lxc init bb "$N" -q
		does lxc start "$N"
		works "$N"
		does lxc delete -f "$N"
		[ "$point" != daemon.create.reserved ] || forget_layer=1
	fi
	if [ -n "${forget_layer:-}" ]; then
		does lxc image delete bb
		clean
		does lxc image import "$BB" --alias bb
	fi
done
clean

it "start, when the daemon dies"
does lxc init bb "$N" -q
does lxc config device add "$N" eth0 nic nictype=p2p
cables() { ls /sys/class/net | grep -c '^veth'; }
no_cable() { [ "$(cables)" = 0 ]; }
all_of daemon.start.{spawned,plugged,started,recorded}
for point in daemon.start.{spawned,plugged,started,recorded}; do
	dies $point lxc start "$N"
	# It may be up or down, but must be what is said; and the next start has to end with one guest.
	if is_now "$N" Running; then works "$N"; else clean_of "$N"; does lxc start "$N"; fi
	works "$N"
	same "$(shims_of "$N")" 1 shims
	does lxc exec "$N" -- ip link show eth0
	[ -d "/sys/class/net/$(lxc config get "$N" volatile.eth0.host_name)" ] || fail "the host's end is not known after $point"
	does lxc stop -f "$N"
	clean_of "$N"
	until_true 5 no_cable
done

it "network devices, when the daemon dies"
# What stands behind them on the host: cables, filters, routes, and an interface that is lent.
ip link add crabr0 type bridge && ip link set crabr0 up
ip link add crawire0 type veth peer name crawire1
does lxc config device remove "$N" eth0
all_of nic.cable.laid daemon.nics.{remembered,rewired,unplugged}
traces() { nft list table bridge lxd 2>/dev/null | grep -c 'chain '; ip route | grep -c '^10\.57\.'; cables; }
no_traces() { [ "$(traces | xargs)" = '0 0 0' ]; }
volatile_of() { lxc config show "$1" | grep -E 'volatile.*(host_name|last_state.(hwaddr|mtu|created))'; }
plug=(lxc config device add "$N" eth0 nic nictype=bridged parent=crabr0 name=eth0 hwaddr=00:16:3e:57:00:01 security.mac_filtering=true ipv4.routes=10.57.0.0/24 limits.max=10Mbit)
does "${plug[@]}"
for point in nic.cable.laid daemon.start.plugged; do
	dies $point lxc start "$N"
	is_now "$N" Stopped || does lxc stop -f "$N"
	until_true 10 no_traces || fail "left after $point: $(traces | xargs)"
	same "$(volatile_of "$N")" '' "remembered after $point"
	does lxc start "$N"
	works "$N"
	does lxc stop -f "$N"
done
point=daemon.nics.unplugged
does lxc start "$N"
dies $point lxc stop -f "$N"
until_true 15 stopped "$N"
until_true 10 no_traces || fail "left after $point: $(traces | xargs)"
same "$(volatile_of "$N")" '' "remembered after $point"
does lxc config device remove "$N" eth0
does lxc start "$N"
point=daemon.nics.rewired
dies $point "${plug[@]}"
works "$N"
if [ -n "$(lxc config device get "$N" eth0 type 2>/dev/null)" ]; then
	does lxc exec "$N" -- ip link show eth0
	[ -d "/sys/class/net/$(lxc config get "$N" volatile.eth0.host_name)" ] || fail "the host's end is not known after $point"
	dies $point lxc config device remove "$N" eth0
	works "$N"
fi
refuses . lxc exec "$N" -- ip link show eth0
until_true 10 no_traces || fail "left after $point: $(traces | xargs)"
does lxc stop -f "$N"
does lxc config device add "$N" phys nic nictype=physical parent=crawire1 name=real
point=daemon.nics.remembered
dies $point lxc start "$N"
is_now "$N" Stopped || does lxc stop -f "$N"
[ -d /sys/class/net/crawire1 ] || fail "the interface is gone after $point"
same "$(volatile_of "$N")" '' "remembered after $point"
does lxc start "$N"
does lxc exec "$N" -- ip link show real
does lxc stop -f "$N"
until_true 5 test -d /sys/class/net/crawire1
does lxc config device remove "$N" phys
does lxc config device add "$N" eth0 nic nictype=p2p
ip link del crabr0
ip link del crawire0

it "proxies by NAT"
all_of daemon.proxies.marked
ip link add crabr1 type bridge && ip link set crabr1 up && ip addr add 10.57.1.1/24 dev crabr1
does lxc config device add "$N" eth1 nic nictype=bridged parent=crabr1 ipv4.address=10.57.1.9 security.ipv4_filtering=true
does lxc start "$N"
translations() { nft list table inet lxd 2>/dev/null | grep -c "chain .*\.$N\.p "; }
as_configured() {
	local chains=0
	[ -z "$(lxc config device get "$N" p type 2>/dev/null)" ] || chains=3
	[ "$(translations)" = $chains ]
}
point=daemon.proxies.marked
nat=(lxc config device add "$N" p proxy nat=true listen=tcp:10.57.1.1:2000 connect=tcp:10.57.1.9:80)
dies $point "${nat[@]}"
works "$N"
until_true 10 as_configured || fail "$(translations) chains after $point"
[ -n "$(lxc config device get "$N" p type 2>/dev/null)" ] || does "${nat[@]}"
same "$(translations)" 3
does lxc stop -f "$N"
same "$(translations)" 0 "chains of a guest that is down"
dies $point lxc start "$N"
until_true 10 works "$N"
until_true 10 as_configured || fail "$(translations) chains after $point"
does lxc stop -f "$N"
does lxc config device remove "$N" p
does lxc config device remove "$N" eth1
ip link del crabr1

it "devices of a running guest"
all_of daemon.devices.{detached,attached}
nodes() { inside "$N" grep -c ' /dev/node ' /proc/mounts; }
has_nodes() { [ "$(nodes)" = "$1" ]; }
does lxc start "$N"
for point in daemon.devices.{detached,attached}; do
	dies $point lxc config device add "$N" node unix-char path=/dev/node major=1 minor=5
	works "$N"
	if [ -n "$(lxc config device get "$N" node type 2>/dev/null)" ]; then
		until_true 10 has_nodes 1 || fail "mounted $(nodes) times after $point"
		dies $point lxc config device remove "$N" node
		works "$N"
	fi
	[ -z "$(lxc config device get "$N" node type 2>/dev/null)" ] || does lxc config device remove "$N" node
	until_true 10 has_nodes 0 || fail "mounted $(nodes) times without it, after $point"
	like "$(inside "$N" ls /dev/node 2>&1)" 'No such file' "after $point"
done
does lxc stop -f "$N"

it "start, when a shim or the guest's first process dies"
all_of shim.{prepared,groups,limits,forked,mapped,mounts,security,started} init.{born,ready,exec} stage.{born,staged}
for point in shim.{prepared,groups,limits,forked,mapped,mounts,security,started} init.{born,ready,exec} stage.{born,staged}; do
	shim_dies $point lxc start "$N"
done
does lxc start "$N"
works "$N"

it "stop, when the daemon dies"
all_of daemon.stop.{killed,signalled,down,recorded,cleaned}
for point in daemon.stop.{killed,recorded,signalled,down,recorded,cleaned}; do
	is_now "$N" Running || does lxc start "$N"
	case $point in *killed) how=-f ;; *signalled) how=--timeout=20 ;; esac
	dies $point lxc stop "$N" $how
	until_true 15 stopped "$N"
	clean_of "$N"
	req GET "$I/$N"
	meta '.config["volatile.last_state.power"]' '"STOPPED"'
done

it "stop, when its shim dies"
# All points of the shim's that the start has not met.
later=$(sources | grep '^shim\.' | grep -vxF "$(printf '%s\n' shim.rebooting "${POINTS[@]}")")
all_of $later
for point in $later; do
	end_daemon TERM
	begin_daemon LXBOX_FAULT=$point
	does lxc start "$N"
	does lxc stop -f "$N"
	stopped "$N" || fail "not stopped after $point"
	clean_of "$N"
	another_daemon TERM
done

it "reboot, when its shim dies"
all_of shim.rebooting
point=shim.rebooting
end_daemon TERM
begin_daemon LXBOX_FAULT=$point
does lxc start "$N"
inside "$N" reboot -f
until_true 15 stopped "$N"
clean_of "$N"
another_daemon TERM

it "rename"
all_of daemon.rename.{volume,recorded,logs}
for point in daemon.rename.{volume,recorded,logs}; do
	dies $point lxc rename "$N" "$N-new"
	if exists "$N"; then
		exists "$N-new" && fail "both exist after $point"
		does lxc rename "$N" "$N-new"
	fi
	does lxc start "$N-new"
	works "$N-new"
	does lxc stop -f "$N-new"
	same "$(ls "$LXD_DIR/containers" "$LXD_DIR/storage-pools/default/containers" | grep -c "^$N\$")" 0 "directories of the old name after $point"
	[ ! -e "$LXD_DIR/logs/$N" ] || fail "logs of the old name after $point"
	does lxc rename "$N-new" "$N"
done

it "delete"
all_of daemon.delete.{marked,volume,removed,forgotten}
for point in daemon.delete.{marked,volume,removed,forgotten}; do
	exists "$N" || does lxc init bb "$N" -q
	does lxc start "$N"
	does lxc stop -f "$N"
	dies $point lxc delete "$N"
	exists "$N" && fail "it is still there after $point"
	clean
done

it "snapshots"
all_of daemon.snapshot.{reserved,frozen,volume,confirmed} daemon.snapshot_rename.{volume,recorded} daemon.snapshot_delete.{marked,volume,forgotten}
# put NAME TEXT, text NAME: the content of a file of it.
put() { req POST "$I/$1/files?path=/root/f" "$2" -H 'Content-Type: application/octet-stream'; same "$code" 200 "put $2"; }
text() { req GET "$I/$1/files?path=/root/f"; [ "$code" = 200 ] && echo "$body"; }
# on_disk NAME: its snapshots where tools look; nothing may be pending.
on_disk() {
	same "$(find "$LXD_DIR"/storage-pools/*/pending -mindepth 1)" '' "marks after $point"
	until_true 5 no_trash
	ls "$LXD_DIR/snapshots/$1" 2>/dev/null | xargs
}
no_trash() { [ -z "$(find "$LXD_DIR"/storage-pools/*/trash -mindepth 1 -maxdepth 1)" ]; }
does lxc init bb "$N" -q
for point in daemon.snapshot.{reserved,volume,confirmed}; do
	put "$N" "$point"
	dies $point lxc snapshot "$N" one
	case $point in *confirmed) expected=one ;; *) expected='' ;; esac
	same "$(snapshots "$N")|$(on_disk "$N")" "$expected|$expected" "snapshots after $point"
	same "$(text "$N")" "$point" "content after $point"
done
for point in daemon.snapshot_rename.{volume,recorded}; do
	dies $point lxc rename "$N/one" "$N/two"
	case $point in *recorded) expected=two ;; *) expected=one ;; esac
	same "$(snapshots "$N")|$(on_disk "$N")" "$expected|$expected" "snapshots after $point"
done
for point in daemon.snapshot_delete.{marked,volume,forgotten}; do
	[ -n "$(snapshots "$N")" ] || does lxc snapshot "$N" two
	dies $point lxc delete "$N/two"
	same "$(snapshots "$N")|$(on_disk "$N")" "|" "snapshots after $point"
done
does lxc start "$N"
for point in daemon.snapshot.{frozen,volume}; do
	inside "$N" sh -c "echo $point >/root/f"
	dies $point lxc snapshot "$N" one
	# It goes on, and isn't left frozen.
	works "$N"
	same "$(snapshots "$N")|$(on_disk "$N")|$(inside "$N" cat /root/f)" "||$point" "snapshots after $point"
done
does lxc snapshot "$N" one
does lxc stop -f "$N"

it "restores"
all_of daemon.restore.{noted,volume,recorded} storage.restore.upper
points=(daemon.restore.{noted,volume,recorded})
[[ $N != *overlay ]] || points+=(storage.restore.upper)
for point in "${points[@]}"; do
	put "$N" later
	does lxc config set "$N" user.later=1
	dies "$point" lxc restore "$N" one
	same "$(text "$N") $(lxc config get "$N" user.later)" "daemon.snapshot.volume " "after $point"
	same "$(on_disk "$N")" one "snapshots after $point"
	does lxc start "$N"
	works "$N"
	does lxc stop -f "$N"
done

it "copies and moves"
all_of daemon.copy.{reserved,volumes,confirmed} daemon.refresh.staged daemon.move.{copied,recorded,removed}
for point in daemon.copy.{reserved,volumes,confirmed}; do
	dies $point lxc copy "$N" "$N-copy"
	if exists "$N-copy"; then
		[ $point = daemon.copy.confirmed ] || fail "it is there after $point"
		same "$(snapshots "$N-copy")|$(on_disk "$N-copy")|$(text "$N-copy")" "one|one|daemon.snapshot.volume" "the copy after $point"
	else
		[ $point != daemon.copy.confirmed ] || fail "it is lost after $point"
		same "$(on_disk "$N-copy")" '' "the copy after $point"
	fi
	same "$(on_disk "$N")|$(text "$N")" "one|daemon.snapshot.volume" "the source after $point"
done
does lxc start "$N"
inside "$N" sh -c 'echo new >/root/f'
point=daemon.refresh.staged
dies $point lxc copy --refresh "$N" "$N-copy"
same "$(snapshots "$N-copy")|$(on_disk "$N-copy")|$(text "$N-copy")" "one|one|daemon.snapshot.volume" "the copy after $point"
does lxc copy --refresh "$N" "$N-copy"
same "$(text "$N-copy")" new
does lxc stop -f "$N"
does lxc delete "$N-copy"
does lxc storage create cramove dir
to=cramove
for point in daemon.move.{copied,recorded,removed}; do
	dies $point lxc move "$N" -s $to
	now=$(lxc query "$I/$N" | jq -r .expanded_devices.root.pool)
	case $point in *copied) same "$now" default "pool after $point" ;; *) same "$now" $to "pool after $point" ;; esac
	same "$(snapshots "$N")|$(on_disk "$N")|$(text "$N")" "one|one|new" "after $point"
	same "$(readlink "$LXD_DIR/containers/$N") $(ls -d "$LXD_DIR"/storage-pools/*/containers/"$N" | wc -l)" "$LXD_DIR/storage-pools/$now/containers/$N 1" "its place after $point"
	does lxc start "$N"
	works "$N"
	does lxc stop -f "$N"
	[ "$now" = default ] || does lxc move "$N" -s default
done
does lxc delete "$N"
does lxc storage delete cramove
clean

it "image import"
does lxc image delete bb
all_of daemon.import.{receiving,received,committed,recorded}
for point in daemon.import.{receiving,received,committed,recorded}; do
	dies $point lxc image import "$BB"
	req GET /1.0/images
	if [ "$(get '.metadata | length')" = 1 ]; then
		[ $point = daemon.import.recorded ] || fail "it is there after $point"
	else
		[ $point != daemon.import.recorded ] || fail "it is lost after $point"
		clean
		does lxc image import "$BB"
	fi
	clean
	fingerprint=$(lxc image list -f csv -c F)
	does lxc init "$fingerprint" "$N" -q
	does lxc delete "$N"
	does lxc image delete "$fingerprint"
	clean
done
does lxc image import "$BB" --alias bb

it "image delete"
all_of daemon.image_delete.{forgotten,removed}
for point in daemon.image_delete.{forgotten,removed}; do
	does lxc init bb "$N" -q
	does lxc delete "$N"
	dies $point lxc image delete bb
	req GET /1.0/images
	meta . '[]'
	clean
	does lxc image import "$BB" --alias bb
done

it "publish"
all_of daemon.publish.{receiving,received}
does lxc init bb "$N" -q
for point in daemon.publish.{receiving,received} daemon.import.{committed,recorded}; do
	dies $point lxc publish "$N" --alias made
	req GET /1.0/images
	if [ $point = daemon.import.recorded ]; then
		made=$(get '.metadata[]' | grep -v "$(lxc query /1.0/images/aliases/bb | jq -r .target)")
		does lxc image delete "${made##*/}"
	fi
	req GET /1.0/images
	same "$(get '.metadata | length')" 1 "images after $point"
	same "$(ls "$LXD_DIR/images" | wc -l)" 1 "files of images after $point"
	clean_of "$N"
done
does lxc publish "$N" --alias made
does lxc image delete made

it "backup"
all_of daemon.backup.{begun,packed,kept}
for point in daemon.backup.{begun,packed,kept}; do
	dies $point lxc query -X POST --wait -d '{"name":"b"}' "$I/$N/backups"
	req GET "$I/$N/backups"
	files=$(find "$LXD_DIR/backups" -type f | wc -l)
	if [ $point = daemon.backup.kept ]; then
		meta . "[\"$I/$N/backups/b\"]"
		does lxc query -X DELETE --wait "$I/$N/backups/b"
	else
		meta . '[]'
		same "$files" 0 "files after $point"
	fi
done
# Of one that runs: what was copied for it goes, too.
does lxc start "$N"
point=daemon.backup.begun
dies $point lxc query -X POST --wait -d '{"name":"b"}' "$I/$N/backups"
works "$N"
same "$(find "$LXD_DIR"/storage-pools/*/containers-snapshots -mindepth 2 -maxdepth 2)" '' "snapshots after $point"
does lxc query -X POST --wait -d '{"name":"b"}' "$I/$N/backups"
does lxc query -X DELETE --wait "$I/$N/backups/b"
does lxc stop -f "$N"
does lxc export "$N" "$SCRATCH/export"
does lxc delete "$N"
clean

it "backup import"
all_of daemon.restore.{reserved,volume,confirmed}
for point in daemon.restore.{reserved,volume,confirmed}; do
	dies $point lxc import "$SCRATCH/export"
	if [ $point = daemon.restore.confirmed ]; then
		exists "$N" || fail "it is lost after $point"
		does lxc start "$N"
		works "$N"
		does lxc delete -f "$N"
	else
		exists "$N" && fail "it exists after $point"
	fi
	same "$(find "$LXD_DIR/backups" -type f | wc -l)" 0 "files after $point"
	clean
done

it "pool create and delete"
driver=${N#cra-}
all_of daemon.pool_create.{reserved,made,confirmed} daemon.pool_delete.{marked,removed}
for point in daemon.pool_create.{reserved,made,confirmed} daemon.pool_delete.{marked,removed}; do
	case $point in
	*create*) dies $point lxc storage create two "$driver" ;;
	*) does lxc storage create two "$driver" && dies $point lxc storage delete two ;;
	esac
	if [ $point = daemon.pool_create.confirmed ]; then
		same "$(lxc query /1.0/storage-pools/two | jq -r .status)" Created status
		does lxc storage delete two
	fi
	req GET /1.0/storage-pools
	meta . '["/1.0/storage-pools/default"]'
	[ ! -e "$LXD_DIR/storage-pools/two" ] || fail "its directory is left after $point"
done

it "networks: create and delete"
net=crn0
all_of daemon.network_create.{reserved,made,confirmed} network.apply.{link,addresses,ports,firewall,served}
all_of daemon.network_delete.{marked,removed} network.remove.{firewall,ports}
made() { does lxc network create $net ipv4.address=10.211.7.1/24 ipv4.nat=true ipv6.address=none; }
no_net() {
	refuses 'not found' lxc network show $net
	[ ! -e /sys/class/net/$net ] || fail "the link is left after $point"
	[ ! -e "$LXD_DIR/networks/$net" ] || fail "its folder is left after $point"
	if command -v nft >/dev/null; then unlike "$(nft list ruleset)" "$net" "rules after $point"; fi
}
there() {
	same "$(lxc query /1.0/networks/$1 | jq -r .status)" Created "status after $point"
	like "$(ip -4 -o address show dev "$1")" ' 10\.211\.7\.1/24 ' "addresses after $point"
}
for point in network.apply.{link,addresses,ports,firewall,served} daemon.network_create.{reserved,made,confirmed}; do
	dies $point lxc network create $net ipv4.address=10.211.7.1/24 ipv6.address=none
	[ $point != daemon.network_create.confirmed ] || { there $net; does lxc network delete $net; }
	no_net
done
for point in daemon.network_delete.{marked,removed} network.remove.{firewall,ports}; do
	made
	dies $point lxc network delete $net
	no_net
done

it "networks: changes and names"
all_of daemon.network_update.{committed,applied} daemon.network_rename.{gone,committed,applied}
made
for point in daemon.network_update.{committed,applied}; do
	does lxc network set $net bridge.mtu=1400
	dies $point lxc network set $net bridge.mtu=1300
	there $net
	same "$(cat /sys/class/net/$net/mtu)" "$(lxc network get $net bridge.mtu)" "MTU after $point"
done
for point in daemon.network_rename.{gone,committed,applied}; do
	dies $point lxc network rename $net ${net}b
	if [ $point = daemon.network_rename.gone ]; then
		there $net
		continue
	fi
	there ${net}b
	refuses 'not found' lxc network show $net
	[ ! -e "$LXD_DIR/networks/$net" ] || fail "its old folder is left after $point"
	does lxc network rename ${net}b $net
done

it "networks: access lists and forwards"
all_of daemon.network_acl_update.committed daemon.network_forward_{create,update,delete}.committed
does lxc network acl create cra
does lxc network set $net security.acls=cra
point=daemon.network_acl_update.committed
dies $point lxc network acl rule add cra ingress action=allow protocol=udp
there $net
like "$(lxc network acl show cra)" 'protocol: udp' "rules after $point"
if command -v nft >/dev/null; then like "$(nft list chain inet lxd acl.$net)" 'l4proto udp accept' "filter after $point"; fi
point=daemon.network_forward_create.committed
dies $point lxc network forward create $net 192.0.2.7 target_address=10.211.7.9
like "$(lxc network forward list $net -f csv)" 192.0.2.7 "forwards after $point"
point=daemon.network_forward_update.committed
dies $point lxc network forward set $net 192.0.2.7 target_address=10.211.7.8
same "$(lxc network forward get $net 192.0.2.7 target_address)" 10.211.7.8 "target after $point"
point=daemon.network_forward_delete.committed
dies $point lxc network forward delete $net 192.0.2.7
same "$(lxc network forward list $net -f csv)" '' "forwards after $point"
if command -v nft >/dev/null; then unlike "$(nft list ruleset)" 192.0.2.7 "filter after $point"; fi
does lxc network delete $net
does lxc network acl delete cra
no_net

it "walks every step that the sources name"
# In tests/survival/view.sh.
all_of procfs.taken
all_of intercept.taken intercept.acted # by interception.sh
all_of daemon.recover.snapshots # by recover.sh
same "$(sources)" "$(printf '%s\n' "${POINTS[@]}" | sort -u)" points

it "leaves nothing behind"
clean
done_testing

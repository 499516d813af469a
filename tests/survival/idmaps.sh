#!/bin/bash
# Hosts without idmapped mounts: the guest's ids are shifted on disk, and back when the host can do better.
. "$(dirname "$0")/lib.bash"
tree=$LXD_DIR/storage-pools/default/containers/idm1/rootfs
base=$(awk -F: '$1 == "root" {print $2; exit}' /etc/subuid)
base=${base:-1000000}
owner() { stat -c %u "$tree/$1"; }
last() { lxc config get idm1 volatile.last_state.idmap; }

it "maps ids as it mounts where the host can"
launch idm1
inside idm1 sh -c 'touch /mine; chown 7:8 /mine; chmod 4755 /mine'
same "$(owner mine) $(last)" '7 []'

it "shifts them on disk where it can't"
does lxc stop -f idm1
end_daemon TERM
begin_daemon LXD_IDMAPPED_MOUNTS_DISABLE=1
does lxc start idm1
same "$(owner mine)" $((base + 7))
like "$(last)" "\"Hostid\":$base,"
gives '7 8 4755' inside idm1 stat -c '%u %g %a' /mine
inside idm1 touch /later
same "$(owner later)" "$base"
does lxc restart -f idm1
gives '0' inside idm1 stat -c %u /later

it "makes new containers there, too"
launch idm2
gives 0 inside idm2 stat -c %u /bin/busybox

it "takes a privileged one back to the ids it has"
does lxc stop -f idm1
does lxc config set idm1 security.privileged=true
does lxc start idm1
same "$(owner mine) $(owner later) $(last)" '7 0 []'
does lxc stop -f idm1
does lxc config set idm1 security.privileged=false
does lxc start idm1
same "$(owner mine)" $((base + 7))

it "gives them other ids, unless they are protected"
does lxc stop -f idm1
does lxc config set idm1 security.idmap.isolated=true security.protection.shift=true
refuses 'Container is protected against filesystem shifting' lxc start idm1
same "$(owner mine)" $((base + 7))
does lxc config unset idm1 security.protection.shift
does lxc start idm1
same "$(owner mine)" $((base + 65536 + 7))
gives '7 8 4755' inside idm1 stat -c '%u %g %a' /mine

it "shifts them back when the host has idmapped mounts again"
does lxc stop -f idm1
end_daemon TERM
begin_daemon
does lxc start idm1
same "$(owner mine) $(owner later) $(last)" '7 0 []'
gives '7 8 4755' inside idm1 stat -c '%u %g %a' /mine

it "refuses by name where a pool can't do it"
does lxc storage create idmo overlay
end_daemon TERM
begin_daemon LXD_IDMAPPED_MOUNTS_DISABLE=1
refuses 'overlay pool without idmapped mounts is not supported yet' lxc launch bb idm3 -s idmo -q

done_testing

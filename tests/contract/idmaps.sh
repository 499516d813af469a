#!/bin/bash
# Which ids of the host a container's are.
# covers: PATCH /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
map() { lxc config get "$1" "volatile.idmap.$2" </dev/null | jq -c '[.[] | select(.Isuid) | [.Hostid, .Nsid, .Maprange]] | unique'; }
uids() { inside "$1" awk '{print $1, $2, $3}' /proc/self/uid_map | paste -sd' '; }
again() {
	lxc stop -f "$1" >/dev/null 2>&1 </dev/null
	does lxc start "$1"
}
does lxc launch bb ids1 -q
first=$(lxc config get ids1 volatile.idmap.next | jq .[0].Hostid)
all=$(lxc config get ids1 volatile.idmap.next | jq .[0].Maprange)
own=$((first + 65536))

it "shares the host's map by default"
same "$(map ids1 next)" "[[$first,0,$all]]"
same "$(uids ids1)" "0 $first $all"
gives 0 lxc config get ids1 volatile.idmap.base

it "gives a container ids of its own, from its next start on"
does lxc config set ids1 security.idmap.isolated=true
gives $own lxc config get ids1 volatile.idmap.base
same "$(map ids1 next)" "[[$own,0,65536]]"
same "$(map ids1 current)" "[[$first,0,$all]]"
same "$(uids ids1)" "0 $first $all" 'it runs'
again ids1
same "$(uids ids1)" "0 $own 65536"
same "$(map ids1 current)" "[[$own,0,65536]]"
gives '0 0' inside ids1 stat -c '%u %g' /root
does inside ids1 touch /root/mine
does lxc file push -q /etc/hostname ids1/root/pushed
gives 0 inside ids1 stat -c %u /root/pushed

it "chooses others for the next one, also of a profile, and in the place of one that is gone"
does lxc init bb ids2 -q -c security.idmap.isolated=true -c security.idmap.size=100000
same "$(map ids2 next)" "[[$((own + 65536)),0,100000]]"
does lxc profile create ids
does lxc profile set ids security.idmap.isolated=true
does lxc init bb ids3 -q -p default -p ids
same "$(map ids3 next)" "[[$((own + 165536)),0,65536]]"
does lxc delete ids2
does lxc copy ids3 ids4
same "$(map ids4 next)" "[[$((own + 65536)),0,65536]]"
does lxc start ids4
same "$(uids ids4)" "0 $((own + 65536)) 65536"
does lxc delete -f ids3 ids4

it "takes the ids that are asked for"
does lxc config set ids1 security.idmap.base=900000
same "$(map ids1 next)" '[[900000,0,65536]]'
again ids1
same "$(uids ids1)" '0 900000 65536'
gives 0 inside ids1 stat -c %u /root/mine
does lxc config unset ids1 security.idmap.base
refuses 'Invalid value for uint32|Invalid value for an integer|uint32' lxc config set ids1 security.idmap.size=x

it "shares again"
does lxc config unset ids1 security.idmap.isolated
same "$(map ids1 next)" "[[$first,0,$all]]"
again ids1
same "$(uids ids1)" "0 $first $all"
gives 0 inside ids1 stat -c %u /root/mine

it "puts ids of the host into a map"
does lxc stop -f ids1
does lxc config set ids1 raw.idmap 'both 1000 1000'
same "$(map ids1 next)" "[[1000,1000,1],[$first,0,1000],[$((first + 1001)),1001,$((all - 1001))]]"
does lxc config set ids1 raw.idmap $'uid 1000-1010 50-60\ngid 1000 100'
same "$(map ids1 next)" "[[1000,50,11],[$first,0,50],[$((first + 61)),61,$((all - 61))]]"
refuses 'Failed to get ID map: Invalid ID map line "foo"' lxc config set ids1 raw.idmap foo
refuses 'Failed to get ID map: Invalid ID map type "x 1 2"' lxc config set ids1 raw.idmap 'x 1 2'
refuses 'Failed to get ID map: The ID map ranges are of different sizes "uid 1-5 1-2"' lxc config set ids1 raw.idmap 'uid 1-5 1-2'
refuses 'Failed to get ID map: Host id is in the range of subids' lxc config set ids1 raw.idmap "both $first 3000"
if ours; then
	# LXC maps no ids that /etc/subuid doesn't give to root.
	mkdir "$SCRATCH/shared"
	chown 1005:1000 "$SCRATCH/shared"
	does lxc config device add ids1 shared disk source="$SCRATCH/shared" path=/shared
	does lxc start ids1
	gives '55 100' inside ids1 stat -c '%u %g' /shared
	gives 0 inside ids1 stat -c %u /root/mine
	does lxc stop -f ids1
	refuses 'An id is mapped twice by' lxc config set ids1 raw.idmap $'uid 1000 1\nuid 1001 1'
	refuses 'Invalid "security.idmap.base" 5 ' lxc config set ids1 security.idmap.isolated=true security.idmap.base=5
fi
does lxc config unset ids1 raw.idmap
does lxc start ids1
does lxc delete -f ids1
does lxc profile delete ids
done_testing

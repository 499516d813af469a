#!/bin/bash
# Networks: bridges that the server makes, and the host's own interfaces beside them. What needs network devices of
# instances stands in nics.sh.
# covers: GET /1.0/networks, POST /1.0/networks, GET /1.0/networks/{name}, PUT /1.0/networks/{name}
# covers: PATCH /1.0/networks/{name}, POST /1.0/networks/{name}, DELETE /1.0/networks/{name}
# covers: GET /1.0/networks/{name}/state, GET /1.0/networks/{name}/leases
# covers: GET /1.0/networks/{name}/peers, POST /1.0/networks/{name}/peers, GET /1.0/networks/{name}/peers/{peer}
# covers: PUT /1.0/networks/{name}/peers/{peer}, PATCH /1.0/networks/{name}/peers/{peer}
# covers: DELETE /1.0/networks/{name}/peers/{peer}
. "$(dirname "$0")/lib.bash"
N=/1.0/networks
NONE='"ipv4.address":"none","ipv6.address":"none"'

# made NAME [CONFIG]: a network with this configuration (JSON without braces).
made() { req POST $N "{\"name\":\"$1\",\"config\":{${2-$NONE}}}"; created "$N/$1"; }
gone() { req DELETE "$N/$1"; ok; meta . '{}'; }
# bad STATUS REGEX CONFIG: creation with this configuration is refused and leaves nothing.
bad() {
	req POST $N "{\"name\":\"bad0\",\"config\":{$3}}"
	error "$1" "$2"
	req GET $N/bad0
	error 404 '^Network not found$'
	[ ! -e /sys/class/net/bad0 ] || fail "a link was left"
	[ ! -e "$LXD_DIR/networks/bad0" ] || fail "a folder was left"
}

timeout 300 lxc monitor --type=lifecycle --format=json >"$SCRATCH/events" 2>/dev/null &
monitor=$!
ip link add foreign type bridge
ip address add 10.99.0.1/24 dev foreign
ip link set foreign up

it "lists the host's interfaces"
req GET $N
ok
meta . '["/1.0/networks/lo","/1.0/networks/foreign"]'

it "makes a bridge, and chooses its addresses"
req POST $N '{"name":"net0"}'
created $N/net0
req GET $N/net0
ok
meta 'keys_unsorted' '["config","description","name","type","used_by","managed","status","locations"]'
meta 'del(.config, .used_by)' '{"description":"","name":"net0","type":"bridge","managed":true,"status":"Created","locations":["none"]}'
meta '.used_by // []' '[]'
meta '.config | keys' '["ipv4.address","ipv4.nat","ipv6.address","ipv6.nat"]'
meta '.config | [.["ipv4.nat"], .["ipv6.nat"]]' '["true","true"]'
like "$(get '.metadata.config["ipv4.address"]')" '^10\.[0-9]+\.[0-9]+\.1/24$'
like "$(get '.metadata.config["ipv6.address"]')" '^fd42:[0-9a-f]+:[0-9a-f]+:[0-9a-f]+::1/64$'
four=$(get '.metadata.config["ipv4.address"]') six=$(get '.metadata.config["ipv6.address"]')
same "$(cat /sys/class/net/net0/bridge/stp_state)" 0 'no spanning tree'

it "lists it before the host's own"
req GET $N
meta . '["/1.0/networks/net0","/1.0/networks/lo","/1.0/networks/foreign"]'
req GET "$N?recursion=1"
ok
meta 'map([.name, .type, .managed, .status, .locations])' '[["net0","bridge",true,"Created",["none"]],["lo","loopback",false,"",null],["foreign","bridge",false,"",null]]'

it "says what it does now"
req GET $N/net0/state
ok
meta 'keys_unsorted' '["addresses","counters","hwaddr","mtu","state","type","bond","bridge","vlan","ovn"]'
meta '[.mtu, .state, .type, .bond, .vlan, .ovn]' '[1500,"up","broadcast",null,null,null]'
like "$(get .metadata.hwaddr)" '^00:16:3e:'
meta '.addresses | map(select(.scope == "global")) | map([.family, .address + "/" + .netmask])' "[[\"inet\",\"$four\"],[\"inet6\",\"$six\"]]"
meta '.bridge | [.stp, .vlan_filtering, .upper_devices]' '[false,false,[]]'
req GET $N/nope/state
error 404 '^Network interface "nope" not found$'

it "has its own addresses among the leases"
req GET $N/net0/leases
ok
meta . "[{\"hostname\":\"net0.gw\",\"hwaddr\":\"\",\"address\":\"${four%/*}\",\"type\":\"gateway\",\"location\":\"\"},{\"hostname\":\"net0.gw\",\"hwaddr\":\"\",\"address\":\"${six%/*}\",\"type\":\"gateway\",\"location\":\"\"}]"
for name in lo nope; do
	req GET $N/$name/leases
	error 404 '^Failed loading network: Network not found$'
done

it "keeps its hardware address, and takes one"
mac=$(cat /sys/class/net/net0/address)
req PATCH $N/net0 '{"description":"d"}'
ok
same "$(cat /sys/class/net/net0/address)" "$mac" mac
req PATCH $N/net0 '{"config":{"bridge.hwaddr":"00:16:3e:01:02:03","bridge.mtu":"1400"}}'
ok
same "$(cat /sys/class/net/net0/address)" 00:16:3e:01:02:03 mac
same "$(cat /sys/class/net/net0/mtu)" 1400 mtu

it "makes one with nothing on it"
req POST $N "{\"name\":\"net1\",\"description\":\"second\",\"type\":\"bridge\",\"config\":{$NONE}}"
created $N/net1
req GET $N/net1
meta '[.description, .config]' "[\"second\",{$NONE}]"
req GET $N/net1/state
meta '.addresses | map(select(.scope == "global"))' '[]'
req GET $N/net1/leases
meta . '[]'
gone net1
[ ! -e /sys/class/net/net1 ] || fail "the link is still there"

it "fills in addresses, and NAT where it chose them itself"
made net1 '"ipv4.address":"auto","ipv6.address":"fd42:1:2:3::1/64","ipv4.nat":"false"'
req GET $N/net1
meta '.config | del(.["ipv4.address"])' '{"ipv4.nat":"false","ipv6.address":"fd42:1:2:3::1/64"}'
like "$(get '.metadata.config["ipv4.address"]')" '^10\.[0-9]+\.[0-9]+\.1/24$'
gone net1
made net1 '"ipv4.address":"10.44.0.1/24","ipv6.address":"none"'
req GET $N/net1
meta .config '{"ipv4.address":"10.44.0.1/24","ipv6.address":"none"}'
gone net1

it "refuses names"
while IFS=';' read -r name status text; do
	req POST $N "{\"name\":\"$name\"}"
	error "$status" "$text"
done <<-'END'
	net0;400;^The network already exists$
	lo;400|500;^Network interface "lo" already exists$
	foreign;400|500;^Network interface "foreign" already exists$
	;400;^No name provided$
	waytoolongforaninterface;400;^Network interface is too long \(maximum 15 characters\)$
	x;400;^Network interface is too short \(minimum 2 characters\)$
	a/b;400;^Network interface contains invalid characters$
	a b;400;^Network interface contains invalid characters$
	a:b;400;^Network interface contains invalid characters$
END
req POST $N '{}'
error 400 '^No name provided$'
req POST $N 'x'
error 400 'invalid character'

it "refuses types"
req POST $N '{"name":"bad0","type":"nope"}'
error 400 '^Unknown driver$'
req POST $N '{"name":"bad0","type":"loopback"}'
error 400 '^Unknown driver$'
for type in macvlan sriov; do
	req POST $N "{\"name\":\"bad0\",\"type\":\"$type\"}"
	error '400|500' '^Invalid value for network "bad0" option "parent": Required value$'
	req POST $N "{\"name\":\"bad0\",\"type\":\"$type\",\"config\":{\"parent\":\"nope\"}}"
	error '400|500' '^Parent interface "nope" not found$'
done
req GET $N/bad0
error 404 '^Network not found$'

it "refuses values, and makes nothing"
bad '400|500' '^Invalid option for network "bad0" option "nope"$' '"nope":"1"'
bad '400|500' '^Invalid option for network "bad0" option "volatile.bridge.hwaddr"$' '"volatile.bridge.hwaddr":"1"'
bad '400|500' '^Invalid value for network "bad0" option "ipv4.address": invalid CIDR address: nope$' '"ipv4.address":"nope"'
bad '400|500' '^Invalid value for network "bad0" option "ipv4.address": Not a usable IPv4 address "10.0.0.0/24"$' '"ipv4.address":"10.0.0.0/24"'
bad '400|500' 'invalid CIDR address: 10.0.0.1/33$' '"ipv4.address":"10.0.0.1/33"'
bad '400|500' 'invalid CIDR address: 10.0.0.1$' '"ipv4.address":"10.0.0.1"'
bad '400|500' 'option "bridge.mtu": Out of MTU range \(1280-16384\) "99999"$' '"bridge.mtu":"99999"'
bad '400|500' 'option "dns.mode": Invalid value "x" \(not one of \[dynamic managed none\]\)$' '"dns.mode":"x"'
bad '400|500' '^Network ACL "nope" does not exist$' '"security.acls":"nope"'
bad '400|500' 'option "dns.zone.forward": Network zone "nope" doesn.t exist$' '"dns.zone.forward":"nope"'
bad '400|500' '^Invalid option for network "bad0" option "tunnel.x.nope"$' '"tunnel.x.nope":"1"'
bad '400|500' '^Network name too long for tunnel interface: bad0-averylongtunnelname$' '"tunnel.averylongtunnelname.protocol":"vxlan"'
bad '400|500' 'line 1' '"raw.dnsmasq":"nonsense=1"'
bad '400|500|501' '[Oo]pen ?v[Ss]witch|bridge.driver' '"bridge.driver":"openvswitch"'
bad '400|500|501' 'gateway|bridge.mode' '"bridge.mode":"fan"'

it "changes what may be changed"
req PATCH $N/net0 '{"config":{"user.a":"b"}}'
ok
meta . '{}'
req GET $N/net0
meta '[.config["user.a"], .config["ipv4.nat"]]' '["b","true"]'
# LXD 5.0.2 loses the description that a PATCH doesn't name.
! ours || meta .description '"d"'
req PATCH $N/net0 '{"config":{"nope":"b"}}'
error 400 '^Invalid option for network "net0" option "nope"$'
req PATCH $N/net0 '{"config":{"ipv4.address":"x"}}'
error 400 '^Invalid value for network "net0" option "ipv4.address": invalid CIDR address: x$'
req PUT $N/net0 '{"description":"x","config":{"ipv4.address":"10.50.0.1/24","ipv6.address":"none","ipv4.dhcp.ranges":"10.50.0.2-10.50.0.20"}}'
ok
req GET $N/net0
meta '[.description, .config]' '["x",{"ipv4.address":"10.50.0.1/24","ipv4.dhcp.ranges":"10.50.0.2-10.50.0.20","ipv6.address":"none"}]'
req GET $N/net0/state
meta '.addresses | map(select(.scope == "global")) | map(.address)' '["10.50.0.1"]'
req PATCH $N/net0 '{"config":{"ipv4.address":"auto"}}'
ok
req GET $N/net0
like "$(get '.metadata.config["ipv4.address"]')" '^10\.[0-9]+\.[0-9]+\.1/24$'
req PUT $N/net0 '{}'
ok
req GET $N/net0
meta '[.description, .config]' '["",{}]'

it "checks ETags"
req GET $N/net0
like "$(header etag)" '^"[0-9a-f]{64}"$'
tag=$(header etag)
req PATCH $N/net0 '{"config":{"ipv4.address":"10.50.0.1/24"}}' -H "If-Match: $tag"
ok
req PUT $N/net0 '{"config":{}}' -H "If-Match: $tag"
error 412 "^ETag doesn't match: "
req GET $N/net0
meta .config '{"ipv4.address":"10.50.0.1/24"}'

it "changes nothing that it does not manage"
for name in foreign nope; do
	for method in PUT PATCH DELETE; do
		req $method $N/$name '{}'
		error 404 '^Failed loading network: Network not found$'
	done
	req POST $N/$name '{"name":"new0"}'
	error 404 '^Failed loading network: Network not found$'
done
req GET $N/nope
error 404 '^Network not found$'

it "renames"
made net2
while IFS=';' read -r name status text; do
	req POST $N/net0 "{\"name\":\"$name\"}"
	error "$status" "$text"
done <<-'END'
	;400;^New network name not provided$
	foreign;400|500;^Network interface "foreign" already exists$
	net2;409;^Network "net2" already exists$
	x;400;^Network interface is too short \(minimum 2 characters\)$
	a/b;400;^Network interface contains invalid characters$
END
req POST $N/net0 '{"name":"net9"}'
created $N/net9
req GET $N/net9
meta '[.name, .config]' '["net9",{"ipv4.address":"10.50.0.1/24"}]'
req GET $N/net0
error 404 '^Network not found$'
[ -e /sys/class/net/net9 ] || fail "no link net9"
[ ! -e /sys/class/net/net0 ] || fail "link net0 is still there"
[ -d "$LXD_DIR/networks/net9" ] || fail "no folder net9"
[ ! -e "$LXD_DIR/networks/net0" ] || fail "folder net0 is still there"

it "leaves its record when somebody takes the link away, and lets go of it"
ip link del net2
req GET $N/net2/state
error 404 '^Network interface "net2" not found$'
req GET $N/net2
ok
meta .status '"Created"'
gone net2

it "has networks for projects"
req GET "$N?project=nope"
error 404 'Project not found$'
req GET "$N?project=default"
ok

it "has no peers for bridges"
req GET $N/net9/peers
error 400 '^Network driver "bridge" does not support peering$'
req POST $N/net9/peers '{"name":"p1","target_network":"net9"}'
error 400 'does not support peering$'
for method in GET PUT PATCH DELETE; do
	req $method $N/net9/peers/p1 '{}'
	error 400 'does not support peering$'
done
req GET $N/nope/peers
error 404 '^Failed loading network: Network not found$'

it "tells what happens"
until_true 5 grep -q network-renamed "$SCRATCH/events"
happened() { jq -c "select(.metadata.action == \"$1\" and .metadata.source == \"$N/$2\") | [.project, .metadata.requestor.username, .metadata.context]" "$SCRATCH/events" | head -n 1; }
same "$(happened network-created net0)" '["default","root",null]'
same "$(happened network-updated net0)" '["default","root",null]'
same "$(happened network-renamed net9)" '["default","root",{"old_name":"net0"}]'
same "$(happened network-deleted net1)" '["default","root",null]'
kill $monitor

it "works with the client"
gives 'Network cl0 created' lxc network create cl0 ipv4.address=10.51.0.1/24 ipv6.address=none
refuses '^Error: The network already exists$' lxc network create cl0
refuses '^Error: Bad key/value pair: nope$' lxc network create cl1 nope
refuses 'option "parent": Required value$' lxc network create mv0 -t macvlan
refuses '^Error: Unknown driver$' lxc network create cl1 --type nope
does lxc network list
like "$out" $'\\| cl0  +\\| bridge +\\| YES +\\| 10.51.0.1/24 +\\| none +\\| +\\| 0 +\\| CREATED +\\|'
does lxc network list -f csv
like "$out" 'cl0,bridge,YES,10.51.0.1/24,none,,0,CREATED'
does lxc network list -f json
does lxc network list -f yaml
like "$out" 'name: cl0'
does lxc network show cl0
same "$out" 'config:
  ipv4.address: 10.51.0.1/24
  ipv6.address: none
description: ""
name: cl0
type: bridge
used_by: []
managed: true
status: Created
locations:
- none'
gives 10.51.0.1/24 lxc network get cl0 ipv4.address
gives '' lxc network get cl0 nope
does lxc network set cl0 ipv4.nat true
does lxc network set cl0 ipv4.nat=true user.a=b
refuses 'Invalid option for network "cl0" option "nope"' lxc network set cl0 nope=true
gives b lxc network get cl0 user.a
does lxc network unset cl0 user.a
gives '' lxc network get cl0 user.a
does lxc network info cl0
like "$out" '^Name: cl0'
like "$out" 'inet	10.51.0.1/24 \(global\)'
like "$out" 'Network usage:'
like "$out" 'Bridge:
  ID: 8000\.'
does lxc network info lo
like "$out" '127.0.0.1/8 \(local\)'
does lxc network list-leases cl0
like "$out" '\| cl0.gw +\| +\| 10.51.0.1 +\| GATEWAY +\|'
gives cl0.gw,,10.51.0.1,GATEWAY lxc network list-leases cl0 -f csv
refuses '^Error: Failed loading network: Network not found$' lxc network list-leases lo
edited() { printf 'description: via edit\nconfig:\n  ipv4.address: 10.52.0.1/24\n  ipv6.address: none\n' | lxc network edit cl0; }
edited || fail "edit"
does lxc network show cl0
like "$out" 'description: via edit'
like "$out" 'ipv4.address: 10.52.0.1/24'
refuses '^Error: Only managed networks can be modified$' lxc network set lo a=b
refuses '^Error: Network not found$' lxc network show nope
refuses '^Error: Network interface "lo" already exists$' lxc network rename cl0 lo
gives 'Network cl0 renamed to cl1' lxc network rename cl0 cl1
refuses 'does not support peering$' lxc network peer list cl1
refuses 'does not support peering$' lxc network peer create cl1 p1 net9
refuses 'does not support peering$' lxc network peer show cl1 p1
refuses 'does not support peering$' lxc network peer delete cl1 p1
gives 'Network cl1 deleted' lxc network delete cl1
refuses '^Error: Failed loading network: Network not found$' lxc network delete cl1

it "dumps networks for a preseed"
does lxd init --dump
like "$out" $'networks:\n- config:\n    ipv4.address: 10.50.0.1/24\n  description: ""\n  name: net9\n  type: bridge\n  project: default\n'

it "leaves nothing behind"
gone net9
[ ! -e /sys/class/net/net9 ] || fail "the link is still there"
[ ! -e "$LXD_DIR/networks/net9" ] || fail "the folder is still there"
req GET $N
meta . '["/1.0/networks/lo","/1.0/networks/foreign"]'

done_testing

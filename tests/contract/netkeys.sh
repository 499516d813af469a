#!/bin/bash
# Each key of a bridge, and what it does: on the host, in the packet filter, to a client on the bridge. A case begins with
# `key NAME…`; tests/contract.rs fails when a key of the table has none.
# covers: PUT /1.0/networks/{name}
# covers: PATCH /1.0/networks/{name}
. "$(dirname "$0")/lib.bash"
N=/1.0/networks
BASE='"ipv4.address":"10.66.0.1/24","ipv6.address":"fd42:66::1/64"'
MAC=00:16:3e:66:00:01
CLIENT=$TOOLS/../netserve/client.py

reset() { req PUT $N/nk0 "{\"config\":{$BASE}}"; ok; }
# key NAME...: the case of these keys, on a bridge that has none of them.
key() {
	it "acts on $*"
	reset
	# LXD makes the bridge anew for some of them.
	[ ! -e /sys/class/net/nkg ] || ip link set nkg master nk0
}
# set NAME VALUE [NAME VALUE...]: sets them. refused REGEX NAME VALUE...: they are refused, and nothing is changed.
pairs() { jq -cn '$ARGS.positional | [. as $a | range(0; length; 2) | {key: $a[.], value: $a[. + 1]}] | {config: from_entries}' --args "$@"; }
set_keys() { req PATCH $N/nk0 "$(pairs "$@")"; ok; }
refused() {
	local text=$1 before
	shift
	req GET $N/nk0
	before=$(get .metadata.config)
	req PATCH $N/nk0 "$(pairs "$@")"
	error '400|500|501' "$text"
	req GET $N/nk0
	same "$(get .metadata.config)" "$before"
}
# later NAME VALUE...: refused by name by us, and for LXD to say.
later() { if ours; then refused "\"?$1\"?.* is not supported yet$" "$@"; fi; }
rules() { nft list table inet lxd 2>/dev/null; }
chain() { nft list chain inet lxd "$1.nk0" 2>/dev/null | tr -s '\t ' ' '; }
address_of() { ip -j address show dev "$1" | jq -r '.[].addr_info[] | select(.scope == "global") | .local + "/" + (.prefixlen | tostring)' | sort | tr '\n' ' '; }
link() { ip -d -j link show dev "$1" 2>/dev/null | jq -r ".[0] | $2"; }
# A guest is a namespace with an interface on the bridge.
guest() { nsenter -t "$guest" -n "$@"; }
# dhcp VARIABLE: what udhcpc is told, as it names it.
cat >"$SCRATCH/told" <<-END
	#!/bin/sh
	[ "\$1" != bound ] || env >"$SCRATCH/lease"
END
chmod +x "$SCRATCH/told"
dhcp() {
	rm -f "$SCRATCH/lease"
	guest timeout 20 busybox udhcpc -i eth0 -f -n -q -t 8 -T 1 -O search -O mtu -O ntpsrv -O domain -O router -O dns -x hostname:nk-guest -s "$SCRATCH/told" >/dev/null 2>&1
}
told() { sed -n "s/^$1=//p" "$SCRATCH/lease" 2>/dev/null; }
leased() { dhcp; [ -s "$SCRATCH/lease" ]; }
six() { guest python3 "$CLIENT" dhcp6 eth0; }
asks() { timeout 10 dig +short +tries=3 +time=2 "$@" @10.66.0.1; }

req POST $N "{\"name\":\"nk0\",\"config\":{$BASE}}"
created $N/nk0
unshare --net sleep 1000 &
guest=$!
apart() { [ "$(readlink /proc/$guest/ns/net)" != "$(readlink /proc/self/ns/net)" ]; }
until_true 5 apart
ip link add nkg type veth peer name eth0 address $MAC netns $guest
ip link set nkg master nk0 up
guest ip link set lo up
guest ip link set eth0 up

key bgp.peers.NAME.address bgp.peers.NAME.asn bgp.peers.NAME.password
later bgp.peers.a.address 192.0.2.1
later bgp.peers.a.asn 65000
later bgp.peers.a.password x

key bgp.ipv4.nexthop bgp.ipv6.nexthop
refused '"?bgp.ipv4.nexthop"?' bgp.ipv4.nexthop 192.0.2.1
refused '"?bgp.ipv6.nexthop"?' bgp.ipv6.nexthop 2001:db8::1

key bridge.driver
set_keys bridge.driver native
same "$(link nk0 .linkinfo.info_kind)" bridge
ours && refused 'openvswitch.* is not supported yet' bridge.driver openvswitch

key bridge.external_interfaces
ip link add nkx type veth peer name nky
set_keys bridge.external_interfaces nkx
same "$(link nkx .master)" nk0
set_keys bridge.external_interfaces ''
same "$(link nkx .master)" null
ip link delete nkx

key bridge.hwaddr
set_keys bridge.hwaddr 00:16:3e:66:00:aa
same "$(link nk0 .address)" 00:16:3e:66:00:aa

key bridge.mode
set_keys bridge.mode standard
ours && refused 'fan.* is not supported yet' bridge.mode fan

key bridge.mtu
set_keys bridge.mtu 1400
same "$(link nk0 .mtu)" 1400
until_true 20 leased
same "$(told mtu)" 1400

key dns.domain
set_keys dns.domain nk.example
until_true 20 leased
same "$(told domain)" nk.example
same "$(asks a nk-guest.nk.example)" "$(told ip)"

key dns.mode
set_keys dns.mode dynamic
until_true 20 leased
same "$(asks a nk-guest.lxd)" "$(told ip)"
set_keys dns.mode none
until_true 20 leased
same "$(asks a nk-guest.lxd)" ''

key dns.search
set_keys dns.search 'one.example,two.example'
until_true 20 leased
same "$(told search)" 'one.example two.example'
set_keys dns.search ''
until_true 20 leased
same "$(told search)" ''

key dns.zone.forward dns.zone.reverse.ipv4 dns.zone.reverse.ipv6
for zone in nk.example 0.66.10.in-addr.arpa 6.6.0.0.2.4.d.f.ip6.arpa; do
	req POST /1.0/network-zones "{\"name\":\"$zone\",\"config\":{\"peers.a.address\":\"127.0.0.1\"}}"
	created /1.0/network-zones/$zone
done
req PATCH /1.0 '{"config":{"core.dns_address":"127.0.0.1:1053"}}'
ok
set_keys dns.zone.forward nk.example dns.zone.reverse.ipv4 0.66.10.in-addr.arpa dns.zone.reverse.ipv6 6.6.0.0.2.4.d.f.ip6.arpa
transfer() { timeout 20 dig +tries=1 -p 1053 axfr "$1" @127.0.0.1 | tr -s '\t ' ' '; }
like "$(transfer nk.example)" 'nk0.gw.nk.example. 300 IN A 10.66.0.1'
like "$(transfer 0.66.10.in-addr.arpa)" '1.0.66.10.in-addr.arpa. 300 IN PTR nk0.gw.nk.example.'
like "$(transfer 6.6.0.0.2.4.d.f.ip6.arpa)" '6.6.0.0.2.4.d.f.ip6.arpa. 300 IN PTR nk0.gw.nk.example.'

key fan.overlay_subnet fan.type fan.underlay_subnet
later fan.overlay_subnet 240.0.0.0/8
later fan.type vxlan
later fan.underlay_subnet auto

key ipv4.address ipv6.address
same "$(address_of nk0)" '10.66.0.1/24 fd42:66::1/64 '
set_keys ipv4.address 10.67.0.1/16 ipv6.address fd42:67::1/64
same "$(address_of nk0)" '10.67.0.1/16 fd42:67::1/64 '
set_keys ipv4.address none ipv6.address none
same "$(address_of nk0)" ''

key ipv4.dhcp
set_keys ipv4.dhcp false
leased && fail 'an address was given out'
unlike "$(chain in)" 'dport 67 '
set_keys ipv4.dhcp true
until_true 20 leased
like "$(chain in)" 'dport 67 '

key ipv4.dhcp.expiry
until_true 20 leased
same "$(told lease)" 3600
set_keys ipv4.dhcp.expiry 10m
until_true 20 leased
same "$(told lease)" 600

key ipv4.dhcp.gateway
until_true 20 leased
same "$(told router)" 10.66.0.1
set_keys ipv4.dhcp.gateway 10.66.0.9
until_true 20 leased
same "$(told router)" 10.66.0.9

key ipv4.dhcp.ranges
set_keys ipv4.dhcp.ranges 10.66.0.50-10.66.0.50
until_true 20 leased
same "$(told ip)" 10.66.0.50
refused . ipv4.dhcp.ranges nonsense

key ipv4.firewall
like "$(chain fwd)" 'ip version 4 iifname "nk0" accept'
set_keys ipv4.firewall false
unlike "$(rules)" 'ip version 4 .*"nk0"'
like "$(chain fwd)" 'ip6 version 6 iifname "nk0" accept'

key ipv6.firewall
like "$(chain fwd)" 'ip6 version 6 iifname "nk0" accept'
set_keys ipv6.firewall false
unlike "$(rules)" 'ip6 version 6 .*"nk0"'
like "$(chain fwd)" 'ip version 4 iifname "nk0" accept'

key ipv4.nat ipv4.nat.address
unlike "$(rules)" 'masquerade|snat'
set_keys ipv4.nat true
like "$(chain pstrt)" 'ip saddr 10.66.0.0/24 ip daddr != 10.66.0.0/24 masquerade'
set_keys ipv4.nat.address 192.0.2.1
like "$(chain pstrt)" 'ip saddr 10.66.0.0/24 ip daddr != 10.66.0.0/24 snat ip to 192.0.2.1'

key ipv6.nat ipv6.nat.address
set_keys ipv6.nat true
like "$(chain pstrt)" 'ip6 saddr fd42:66::/64 ip6 daddr != fd42:66::/64 masquerade'
set_keys ipv6.nat.address 2001:db8::1
like "$(chain pstrt)" 'ip6 saddr fd42:66::/64 ip6 daddr != fd42:66::/64 snat ip6 to 2001:db8::1'

key ipv4.nat.order ipv6.nat.order
# With nftables there is one place for both: the chain's priority.
set_keys ipv4.nat true ipv4.nat.order after ipv6.nat true ipv6.nat.order before
like "$(chain pstrt)" 'ip saddr 10.66.0.0/24 .* masquerade'
refused 'ipv4.nat.order' ipv4.nat.order nonsense

key ipv4.ovn.ranges ipv6.ovn.ranges
later ipv4.ovn.ranges 10.66.0.100-10.66.0.110
later ipv6.ovn.ranges fd42:66::100-fd42:66::110

key ipv4.routes ipv6.routes
set_keys ipv4.routes 192.0.2.0/24,198.51.100.0/24 ipv6.routes 2001:db8::/64
same "$(ip route show dev nk0 | grep -c '^192.0.2.0/24\|^198.51.100.0/24')" 2
like "$(ip -6 route show dev nk0)" '2001:db8::/64'
set_keys ipv4.routes '' ipv6.routes ''
unlike "$(ip route show dev nk0)" '192.0.2.0/24'

key ipv4.routing
set_keys ipv4.routing false
like "$(chain fwd)" 'ip version 4 iifname "nk0" reject'

key ipv6.routing
advertised() { guest ip -6 route show default | grep -q 'proto ra'; }
guest ip link set eth0 down
guest ip link set eth0 up
until_true 20 advertised
set_keys ipv6.routing false
like "$(chain fwd)" 'ip6 version 6 iifname "nk0" reject'
guest ip link set eth0 down
guest ip link set eth0 up

key ipv6.dhcp
like "$(chain in)" 'dport 547 '
# To who asks for an address, dnsmasq says nothing but that there is none.
ours && like "$(six)" '"dns": "fd42:66::1"'
set_keys ipv6.dhcp false
unlike "$(chain in)" 'dport 547 '

key ipv6.dhcp.stateful ipv6.dhcp.ranges
set_keys ipv6.dhcp.stateful true ipv6.dhcp.ranges fd42:66::50-fd42:66::50
like "$(six)" '"address": "fd42:66::50"'

key ipv6.dhcp.expiry
set_keys ipv6.dhcp.stateful true ipv6.dhcp.expiry 10m
like "$(six)" '"valid": 600'

key maas.subnet.ipv4 maas.subnet.ipv6
later maas.subnet.ipv4 x
later maas.subnet.ipv6 x

key raw.dnsmasq
set_keys raw.dnsmasq "$(printf '%s\n' '# by hand' 'dhcp-option=option:ntp-server,0.0.0.0' 'dhcp-option=3' 'address=/ads.example/192.0.2.7' \
	'host-record=web.example,192.0.2.8,2001:db8::8' 'cname=www.example,web.example' 'txt-record=t.example,"one, two",three' \
	'srv-host=_x._tcp.example,web.example,80,1,2' 'ptr-record=4.2.0.192.in-addr.arpa,web.example' 'mx-host=m.example,web.example,5' \
	'local=/home.arpa/' 'domain-needed' 'bogus-priv' "dhcp-host=$MAC,10.66.0.77,named" 'dhcp-boot=pxe.0,boot,192.0.2.9' \
	'local-ttl=33' 'dhcp-lease-max=5' 'no-hosts')"
until_true 20 leased
same "$(told ntpsrv)" 10.66.0.1
same "$(told router)" ''
same "$(told ip)" 10.66.0.77
same "$(told boot_file)" pxe.0
same "$(told siaddr)" 192.0.2.9
same "$(asks a x.ads.example)" 192.0.2.7
same "$(asks aaaa web.example)" 2001:db8::8
same "$(asks a www.example | tail -n 1)" 192.0.2.8
same "$(asks txt t.example)" '"one, two" "three"'
same "$(asks srv _x._tcp.example)" '1 2 80 web.example.'
same "$(asks mx m.example)" '5 web.example.'
same "$(asks ptr 4.2.0.192.in-addr.arpa)" 'web.example.'
same "$(asks a named.lxd)" 10.66.0.77
like "$(timeout 10 dig a x.home.arpa @10.66.0.1)" 'status: NXDOMAIN'
like "$(timeout 10 dig -x 192.168.77.7 @10.66.0.1)" 'status: NXDOMAIN'
like "$(timeout 10 dig a web.example @10.66.0.1)" 'web.example.[[:space:]]+33[[:space:]]'
ours && refused 'line 2 can.t be honoured: "log-queries"' raw.dnsmasq $'no-hosts\nlog-queries'

key security.acls security.acls.default.egress.action security.acls.default.egress.logged security.acls.default.ingress.action security.acls.default.ingress.logged
req POST /1.0/network-acls '{"name":"nka","egress":[{"action":"allow","protocol":"tcp","destination_port":"77","state":"enabled"}]}'
created /1.0/network-acls/nka
set_keys security.acls nka
like "$(chain acl)" 'dport 77 .*accept'
like "$(chain acl)" 'iifname "nk0" reject'
set_keys security.acls.default.egress.action drop security.acls.default.egress.logged true
like "$(chain acl)" 'iifname "nk0" log prefix "nk0-egress " drop'
set_keys security.acls.default.ingress.action allow security.acls.default.ingress.logged true
like "$(chain acl)" 'oifname "nk0" log prefix "nk0-ingress " accept'
set_keys security.acls ''
same "$(chain acl)" ''

key tunnel.NAME.protocol tunnel.NAME.id tunnel.NAME.local tunnel.NAME.remote tunnel.NAME.port
ip address add 192.0.2.1/24 dev lo
if ip link add nkt type vxlan id 1 dstport 0 2>/dev/null; then
	ip link delete nkt
	set_keys tunnel.t.protocol vxlan tunnel.t.id 42 tunnel.t.local 192.0.2.1 tunnel.t.remote 192.0.2.2 tunnel.t.port 4790
	same "$(link nk0-t '[.master, .linkinfo.info_kind] + (.linkinfo.info_data | [.id, .local, .remote, .port]) | map(tostring) | join(" ")')" 'nk0 vxlan 42 192.0.2.1 192.0.2.2 4790'
	reset
	same "$(link nk0-t .ifname)" ''
fi

key tunnel.NAME.group tunnel.NAME.interface tunnel.NAME.ttl
ip link add nkd type veth peer name nke
ip address add 198.51.100.1/24 dev nkd
ip link set nkd up
if ip link add nkt type vxlan id 1 dstport 0 2>/dev/null; then
	ip link delete nkt
	set_keys tunnel.t.protocol vxlan tunnel.t.id 42 tunnel.t.group 239.0.0.7 tunnel.t.interface nkd tunnel.t.ttl 3
	same "$(link nk0-t '.linkinfo.info_data | [.group, .link, .ttl] | map(tostring) | join(" ")')" '239.0.0.7 nkd 3'
	reset
fi
ip link delete nkd

key 'user.*'
set_keys user.anything goes
req GET $N/nk0
meta '.config["user.anything"]' '"goes"'

it "leaves nothing"
kill $guest
req DELETE $N/nk0
ok
same "$(ip -j link show | jq -r '.[].ifname' | grep -c '^nk0')" 0
unlike "$(rules)" nk0

done_testing

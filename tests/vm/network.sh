#!/bin/bash
# Runs inside the virtual machine after inside.sh: network devices that need parts the test machines' kernels don't
# have (VLANs, ipvlan, tunnels) or an interface of hardware.
set -eu
fail() {
	echo "FAILED: $*"
	ip link
	ip route
	journalctl --no-pager -u lxbox -n 30
	exit 1
}
bounded() { if [ "$(type -t "$1")" = file ]; then timeout 100 "$@"; else "$@"; fi; }
check() {
	local what=$1 said
	shift
	said=$(bounded "$@" 2>&1 </dev/null) || fail "$what: $*: $said"
	echo "vm: $what"
}
refuses() {
	local what=$1 said
	shift
	! said=$(bounded "$@" 2>&1 </dev/null) || fail "$what: $*: $said"
	echo "vm: $what"
}
soon() {
	for _ in $(seq 100); do
		"$@" >/dev/null 2>&1 && return 0
		sleep 0.2
	done
	fail "not soon: $*"
}
guest() { local name=$1; shift; timeout 100 lxc exec "$name" -- "$@" </dev/null; }
is_down() { [ "$(lxc list "$1" -c s -f csv)" = STOPPED ]; }
gone() { [ ! -e "/sys/class/net/$1" ]; }
has() { [ -e "/sys/class/net/$1" ]; }
modprobe -a bridge veth 8021q ipvlan macvlan ip_gre vxlan virtio_net nf_tables || fail "modules"
lxc list >/dev/null 2>&1 || systemctl start lxbox.service
lxc delete -f c1 >/dev/null 2>&1 || true
for n in v1 v2 v3; do lxc init bb $n -q; done

check 'a bridge that tells VLANs apart' lxc network create vmbr0 ipv4.address=10.71.0.1/24 ipv6.address=none ipv4.nat=false
[ "$(cat /sys/class/net/vmbr0/bridge/vlan_filtering)" = 1 ] || fail 'vlan_filtering is off'
lxc config device add v1 eth0 nic network=vmbr0 name=eth0 vlan=10 >/dev/null
lxc config device add v2 eth0 nic network=vmbr0 name=eth0 vlan.tagged=10,20-21 >/dev/null
lxc config device add v3 eth0 nic network=vmbr0 name=eth0 vlan=none >/dev/null
for n in v1 v2 v3; do
	check "start of $n" lxc start $n
	guest $n ip link set eth0 up
done
port() { bridge -j vlan show dev "$(lxc config get "$1" volatile.eth0.host_name)" | jq -c '[.[].vlans[] | [.vlan, .vlanEnd // .vlan, (.flags // [] | length)]]'; }
[ "$(port v1)" = '[[10,10,2]]' ] || fail "ports of v1: $(port v1)"
[ "$(port v2 | tr -d ' ')" = '[[1,1,2],[10,10,0],[20,20,0],[21,21,0]]' ] || fail "ports of v2: $(port v2)"
[ "$(port v3)" = '[]' ] || fail "ports of v3: $(port v3)"
guest v1 ip addr add 10.72.0.1/24 dev eth0
ip netns add v2net
ip link set "$(lxc config get v2 volatile.eth0.host_name)" up
guest v2 ip link add link eth0 name tag10 type vlan id 10
guest v2 ip link set tag10 up
guest v2 ip addr add 10.72.0.2/24 dev tag10
check 'tagged and untagged in one VLAN' guest v2 ping -c 1 -W 10 10.72.0.1
guest v3 ip addr add 10.72.0.3/24 dev eth0
refuses 'nobody from no VLAN' guest v3 ping -c 1 -W 2 10.72.0.1
for n in v1 v2 v3; do lxc stop -f $n && lxc config device remove $n eth0 >/dev/null; done

ip link add vw0 type veth peer name vw1 netns v2net && ip link set vw0 up && ip addr add 10.73.0.1/24 dev vw0
ip netns exec v2net sh -c 'ip link set vw1 up; ip addr add 10.73.0.2/24 dev vw1'
for n in v1 v2; do lxc config device add $n eth0 nic nictype=macvlan parent=vw0 name=eth0 vlan=7 gvrp=true >/dev/null; done
check 'macvlan in a VLAN' lxc start v1
ip -d link show vw0.7 | grep -q 'vlan protocol 802.1Q id 7 .*GVRP' || fail "$(ip -d link show vw0.7)"
[ "$(lxc config get v1 volatile.eth0.last_state.created)" = true ] || fail 'created is not true'
check 'another in the same' lxc start v2
lxc stop -f v1
has vw0.7 || fail 'the VLAN went with its first user'
systemctl restart lxbox.service
lxc stop -f v2
gone vw0.7 || fail 'the VLAN stays'
for n in v1 v2; do lxc config device remove $n eth0 >/dev/null; done
ip link add vw0.8 link vw0 type vlan id 8
lxc config device add v1 eth0 nic nictype=physical parent=vw0 name=eth0 vlan=8 >/dev/null
check 'somebody else'\''s VLAN' lxc start v1
gone vw0.8 || fail 'the VLAN is not lent'
lxc stop -f v1
soon has vw0.8
[ "$(lxc config get v1 volatile.eth0.last_state.created)" = '' ] || fail 'created is left'
lxc config device remove v1 eth0 >/dev/null

lxc config device add v1 eth0 nic nictype=routed parent=vw0 name=eth0 vlan=9 ipv4.address=10.74.0.5 >/dev/null
check 'routed in a VLAN' lxc start v1
[ "$(cat /proc/sys/net/ipv4/conf/vw0.9/forwarding)" = 1 ] || fail 'no forwarding on the VLAN'
ip netns exec v2net sh -c 'ip link add vw1.9 link vw1 type vlan id 9; ip link set vw1.9 up; ip addr add 10.74.0.2/24 dev vw1.9'
ip addr add 10.74.0.1/24 dev vw0.9
check 'routed is reached from its VLAN' ip netns exec v2net /host/busybox ping -c 1 -W 10 10.74.0.5
lxc stop -f v1
gone vw0.9 || fail 'the VLAN stays'
lxc config device remove v1 eth0 >/dev/null

sysctl -qw net.ipv4.conf.vw0.forwarding=1 net.ipv4.conf.all.forwarding=1
lxc config device add v1 eth0 nic nictype=ipvlan parent=vw0 name=eth0 ipv4.address=10.73.0.50 >/dev/null
check 'ipvlan' lxc start v1
ip route show 10.73.0.50 | grep -q 'dev lo' || fail "$(ip route)"
ip neigh show proxy | grep -q '10.73.0.50' || fail 'nobody answers for it'
check 'ipvlan is reached' ip netns exec v2net /host/busybox ping -c 1 -W 10 10.73.0.50
check 'ipvlan reaches' guest v1 ping -c 1 -W 10 10.73.0.2
lxc stop -f v1
[ -z "$(ip route show 10.73.0.50)$(ip neigh show proxy)" ] || fail 'something of ipvlan is left'
lxc config device set v1 eth0 mode=l2 ipv4.address=10.73.0.51/24 ipv4.gateway=10.73.0.1
check 'ipvlan in mode l2' lxc start v1
check 'ipvlan in mode l2 reaches' guest v1 ping -c 1 -W 10 10.73.0.2
guest v1 ip route | grep -q 'default via 10.73.0.1' || fail 'no gateway'
lxc stop -f v1
lxc config device remove v1 eth0 >/dev/null

check 'a tunnel by GRE' lxc network set vmbr0 tunnel.g.protocol=gre tunnel.g.local=10.73.0.1 tunnel.g.remote=10.73.0.2
ip -d link show vmbr0-g | grep -q 'gretap.*remote 10.73.0.2' || fail "$(ip -d link)"
check 'a tunnel by VXLAN' lxc network set vmbr0 tunnel.x.protocol=vxlan tunnel.x.id=77 tunnel.x.local=10.73.0.1 tunnel.x.remote=10.73.0.2
ip -d link show vmbr0-x | grep -q 'vxlan id 77' || fail "$(ip -d link)"
check 'no network, no tunnels' lxc network delete vmbr0
gone vmbr0-g && gone vmbr0-x || fail 'a tunnel is left'

for card in /sys/class/net/*; do [ -e "$card/device" ] && break; done
card=${card##*/}
mac=$(cat "/sys/class/net/$card/address")
ip link set "$card" mtu 1420
is_back() { [ "$(cat "/sys/class/net/$card/address" "/sys/class/net/$card/mtu" | xargs)" = "$mac 1420" ]; }
lxc config device add v1 eth0 nic nictype=physical parent="$card" name=real hwaddr=00:16:3e:0a:0b:0c mtu=1300 >/dev/null
check 'an interface of hardware' lxc start v1
gone "$card" || fail 'it is not lent'
[ "$(guest v1 cat /sys/class/net/real/mtu)" = 1300 ] || fail 'its mtu'
lxc stop -f v1
soon is_back
check 'once more' lxc start v1
pid=$(lxc query /1.0/instances/v1/state | jq .pid)
systemctl stop lxbox.socket lxbox.service
kill -9 "$pid"
soon has real
systemctl start lxbox.socket lxbox.service
soon is_down v1
soon is_back
gone real || fail 'its name of the guest is left'
echo 'vm: it came back without a daemon'

systemctl stop lxbox.socket lxbox.service
systemctl set-environment LXBOX_FAULT=daemon.start.plugged
systemctl start lxbox.socket lxbox.service
refuses 'a daemon that dies as it has lent it' lxc start v1
systemctl unset-environment LXBOX_FAULT
systemctl restart lxbox.socket lxbox.service
soon is_down v1
soon is_back
gone real || fail 'its name of the guest is left after that'
lxc delete -f v1 v2 v3
echo 'vm: network devices passed'

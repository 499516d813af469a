#!/bin/bash
# Network devices with fixed addresses, and those on tagged networks and virtual functions of an interface.
# covers: PATCH /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
sysctl -qw net.ipv4.conf.all.forwarding=1 net.ipv6.conf.all.forwarding=1 net.ipv6.conf.all.proxy_ndp=1
# wire0 is the parent; wire1, in a namespace of its own, is somebody else on its wire.
ip netns add rtpeer
ip link add wire0 type veth peer name wire1 netns rtpeer && ip link set wire0 up && ip addr add 10.41.0.1/24 dev wire0
ip -6 addr add fd41::1/64 dev wire0 nodad
ip netns exec rtpeer sh -c 'ip link set lo up; ip link set wire1 up; ip addr add 10.41.0.2/24 dev wire1; ip -6 addr add fd41::2/64 dev wire1 nodad'
sysctl -qw net.ipv4.conf.wire0.forwarding=1 net.ipv6.conf.wire0.forwarding=1 net.ipv6.conf.wire0.proxy_ndp=1
volatile() { lxc config get r1 "volatile.$1"; }
peer() { timeout 20 ip netns exec rtpeer "$@" </dev/null; }
guest() { inside r1 "$@"; }
proxied() { ip neigh show proxy dev wire0 | sed 's/ .*//' | sort | xargs; }

it "routes addresses to a guest, and answers for them on the parent's wire"
does lxc init bb r1 -q
does lxc config device add r1 eth0 nic nictype=routed parent=wire0 name=eth0 ipv4.address=10.41.0.20,10.41.0.21 ipv6.address=fd41::20 ipv4.routes=10.66.0.0/24 ipv4.host_table=100
does lxc start r1
near=$(volatile eth0.host_name)
like "$near" '^veth[0-9a-f]{8}$'
like "$(volatile eth0.hwaddr)" '^00:16:3e:'
routes=$(ip route)
like "$routes" "10.41.0.20 dev $near scope link"
like "$routes" "10.41.0.21 dev $near scope link"
like "$routes" "10.66.0.0/24 via 10.41.0.20 dev $near"
like "$(ip route show table 100)" "10.41.0.20 dev $near scope link"
unlike "$(ip route show table 100)" '10.66'
like "$(ip -6 route)" "fd41::20 dev $near"
like "$(ip addr show "$near")" 'inet 169.254.0.1/32 '
like "$(ip addr show "$near")" 'inet6 fe80::1/128 '
like "$(proxied)" '^10.41.0.20 10.41.0.21 fd41::20'
same "$(cat "/proc/sys/net/ipv4/conf/$near/forwarding")" 1
like "$(nft list chain inet lxd prert.r1.eth0)" 'fib saddr . iif oif missing drop'

it "gives the guest its addresses and its way out"
like "$(guest ip addr show eth0)" 'inet 10.41.0.20/32 .*inet 10.41.0.21/32 .*inet6 fd41::20/128'
like "$(guest ip link show eth0)" '[<,]UP[,>]'
same "$(guest ip route | sed 's/ *$//' | sort | xargs)" '169.254.0.1 dev eth0 scope link default via 169.254.0.1 dev eth0'
like "$(guest ip -6 route)" 'default via fe80::1 dev eth0'

it "is reached by those on the wire, and reaches them"
does peer busybox ping -c 1 -W 5 10.41.0.20
until_true 10 peer busybox ping -6 -c 1 -W 2 fd41::20
does guest ping -c 1 -W 5 10.41.0.2
does busybox ping -c 1 -W 5 10.41.0.21

it "drops what the guest sends from elsewhere"
does guest ip addr add 10.41.0.99/32 dev eth0
out=$(guest ping -c 1 -W 1 -I 10.41.0.99 10.41.0.2) && fail "a foreign address gets through"

it "changes limits in place, and addresses with a new cable"
does lxc config device set r1 eth0 limits.ingress=20Mbit
same "$(volatile eth0.host_name)" "$near"
like "$(tc qdisc show dev "$near")" htb
does lxc config device set r1 eth0 ipv4.address=10.41.0.30
near=$(volatile eth0.host_name)
like "$(ip route)" "10.41.0.30 dev $near scope link"
unlike "$(ip route)" '10.41.0.2[01]'
like "$(proxied)" '^10.41.0.30 fd41::20'
# LXD 5.0.2 leaves a new cable in the guest without addresses.
if ours; then
	does peer busybox ping -c 1 -W 5 10.41.0.30
	like "$(guest ip route)" 'default via 169.254.0.1'
fi

it "needs no parent, nor a way out"
refuses 'Existing NIC "eth1" already uses "ipv6.gateway" in auto mode' lxc config device add r1 eth1 nic nictype=routed ipv4.address=10.42.0.5 ipv4.gateway=none
does lxc config device add r1 eth1 nic nictype=routed name=eth1 ipv4.address=10.42.0.5 ipv4.host_address=169.254.7.1 ipv4.gateway=none ipv6.gateway=none
like "$(ip addr show "$(volatile eth1.host_name)")" 'inet 169.254.7.1/32 '
unlike "$(ip addr show "$(volatile eth1.host_name)")" 'fe80::1/128'
like "$(ip route)" "10.42.0.5 dev $(volatile eth1.host_name) scope link"
unlike "$(guest ip route)" '169.254.7.1'
does lxc config device remove r1 eth1
unlike "$(ip route)" '10.42.0.5'

it "leaves nothing when the guest is down"
does lxc stop -f r1
unlike "$(ip route)" 'veth|10.41.0.30|10.66'
same "$(proxied)" ''
unlike "$(nft list ruleset)" 'prert.r1'
same "$(ip route show table 100 2>/dev/null)" ''

it "does not take an address that somebody on the wire has"
does lxc config device set r1 eth0 ipv4.address=10.41.0.2
refuses 'IP address "10.41.0.2" in use on parent network "wire0"' lxc start r1
does lxc config device set r1 eth0 ipv4.neighbor_probe=false
does lxc start r1
does lxc stop -f r1
does lxc config device set r1 eth0 ipv4.address=10.41.0.20

it "says which switch of the host is missing"
sysctl -qw net.ipv6.conf.wire0.proxy_ndp=0
refuses 'Routed mode requires sysctl net.ipv6.conf.wire0.proxy_ndp=1' lxc start r1
sysctl -qw net.ipv6.conf.wire0.proxy_ndp=1 net.ipv4.conf.wire0.forwarding=0
refuses 'Routed mode requires sysctl net.ipv4.conf.wire0.forwarding=1' lxc start r1
sysctl -qw net.ipv4.conf.wire0.forwarding=1
does lxc config device set r1 eth0 parent=nope
refuses "Parent device \"nope\" doesn't exist" lxc start r1
does lxc config device remove r1 eth0

it "refuses what can't be"
nic() { lxc config device add r1 x nic "$@"; }
refuses 'The vlan setting can only be used when combined with a parent interface' nic nictype=routed vlan=4
refuses 'Duplicate address "10.9.0.4" in "ipv4.address"' nic nictype=routed ipv4.address=10.9.0.4,10.9.0.4
refuses 'Not an IPv4 address "10.9.0.4/32"' nic nictype=routed ipv4.address=10.9.0.4/32
refuses 'Invalid gateway: x' nic nictype=routed ipv4.gateway=x
refuses 'ipv4.routes requires ipv4.address to be set' nic nictype=routed ipv4.routes=10.7.0.0/24
refuses 'Invalid device option "mode"' nic nictype=routed mode=l2
refuses 'Invalid device option "boot.priority"' nic nictype=ipvlan parent=wire0 boot.priority=1
refuses 'Invalid gateway: 10.9.0.1' nic nictype=ipvlan parent=wire0 ipv4.gateway=10.9.0.1
refuses 'Not an IPv4 address "10.9.0.4/24"' nic nictype=ipvlan parent=wire0 ipv4.address=10.9.0.4/24
refuses 'Invalid device option "gvrp"' nic nictype=sriov parent=wire0 gvrp=true
refuses 'Invalid device option "security.mac_filtering"' nic nictype=macvlan parent=wire0 security.mac_filtering=true
refuses 'Out of VLAN ID range' nic nictype=macvlan parent=wire0 vlan=4095
for good in 'nictype=ipvlan ipv4.address=10.9.0.4/24 mode=l2 ipv4.gateway=10.9.0.1' 'nictype=macvlan vlan=4 gvrp=true boot.priority=1' \
	'nictype=physical vlan=4 gvrp=true boot.priority=1' 'nictype=sriov vlan=4 security.mac_filtering=true boot.priority=1'; do
	# shellcheck disable=SC2086
	does nic parent=wire0 $good
	does lxc config device remove r1 x
done

it "says what the parent can't, and leaves nothing"
starts() {
	local wanted=$1
	shift
	does lxc config device add r1 eth0 nic name=eth0 "$@"
	refuses "$wanted" lxc start r1
	until_true 10 is_now r1 Stopped
	does lxc config device remove r1 eth0
}
starts "Parent device \"wire0\" doesn't support SR-IOV" nictype=sriov parent=wire0
if ip link add vl0 link wire0 type vlan id 9 2>/dev/null; then
	ip link delete vl0
else
	starts 'Failed to create VLAN interface "wire0.7" on "wire0"' nictype=macvlan parent=wire0 vlan=7
	starts 'Failed to create VLAN interface "wire0.7" on "wire0"' nictype=physical parent=wire0 vlan=7
	starts 'Failed to create VLAN interface "wire0.7" on "wire0"' nictype=routed parent=wire0 ipv4.address=10.41.0.20 vlan=7
fi
ip link add br0 type bridge
[ -e /sys/class/net/br0/bridge/vlan_filtering ] || starts 'Failed getting bridge VLAN status for "br0"' nictype=bridged parent=br0 vlan=5
# LXD 5.0.2's guests hang on the way down then.
if ours && ! ip link add ipv0 link wire0 type ipvlan 2>/dev/null; then
	starts 'Failed creating network interface "ipv' nictype=ipvlan parent=wire0 ipv4.address=10.41.0.20
fi
unlike "$(ip route)" '10.41.0.20'
same "$(proxied)" ''

it "takes what the network says"
does lxc network create mvnet --type=macvlan parent=wire0 mtu=1400
does lxc config device add r1 eth0 nic network=mvnet name=eth0
does lxc start r1
same "$(guest cat /sys/class/net/eth0/mtu)" 1400
refuses 'Cannot use "vlan" property in conjunction with "network" property' nic network=mvnet vlan=7
refuses 'Cannot use "mtu" property in conjunction with "network" property' nic network=mvnet mtu=1300
does lxc delete -f r1
does lxc network create srnet --type=sriov parent=wire0
does lxc init bb r1 -n srnet -q
refuses "Parent device \"wire0\" doesn't support SR-IOV" lxc start r1

it "leaves nothing on the host"
does lxc delete -f r1
does lxc network delete mvnet
does lxc network delete srnet
same "$(ls -d /sys/class/net/*/ | xargs -n 1 basename | sort | xargs)" 'br0 lo wire0'
ip netns delete rtpeer

done_testing

#!/bin/bash
# What network devices may send: filters of hardware and network addresses on bridges, tried with packets.
# covers: PATCH /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
does lxc network create filt0 ipv4.address=10.31.0.1/24 ipv4.nat=false ipv6.address=fd31::1/64 ipv6.nat=false ipv6.dhcp.stateful=true
does lxc network create filt1 ipv4.address=none ipv6.address=none
# Hosts send unsolicited ARP so that what they say is believed at once.
sysctl -qw net.ipv4.conf.all.arp_accept=1
volatile() { lxc config get "$1" "volatile.eth0.$2"; }
chains() { nft list table bridge lxd 2>/dev/null | sed -n 's/^.*chain \([^ ]*\) {.*/\1/p' | xargs; }
# rules NAME KIND: the rules of the device's chain, with the name of its cable and its hardware address taken out.
rules() {
	local mac hex
	mac=$(volatile "$1" hwaddr)
	hex=${mac//:/}
	nft list chain bridge lxd "$2.$1.eth0" 2>/dev/null | grep iifname |
		sed -e "s/iifname \"$(volatile "$1" host_name)\" //" -e "s/$mac/MAC/" -e "s/0x${hex#00}/MAC/" -e 's/^[ \t]*//'
}
prefix() { printf 'ether saddr != MAC drop\narp saddr ether != MAC drop\nicmpv6 type nd-neighbor-advert @nh,528,48 != MAC drop'; }
# The host forgets first whom it took the address for: guests change theirs here.
pings() { ip neigh flush to "$1"; busybox ping -c 1 -W 2 "$1"; }
# A guest that hears of its lease throws away the addresses it was given before.
leased() { inside "$1" ip -4 addr show eth0 | grep -q 'inet 10.31.0.'; }
silent() { ! busybox ping -c 1 -W 1 "$1" >/dev/null 2>&1; }

it "asks for an own hardware address"
does lxc init bb f1 -q
does lxc config device add f1 eth0 nic network=filt0 name=eth0 security.mac_filtering=true
does lxc start f1
same "$(chains)" 'in.f1.eth0 fwd.f1.eth0'
same "$(rules f1 in)" "$(prefix)"
same "$(rules f1 fwd)" "$(prefix)"

it "drops frames of a foreign hardware address"
until_true 10 leased f1
does inside f1 ip addr add 10.31.0.40/24 dev eth0
does inside f1 ip link set eth0 up
does pings 10.31.0.40
real=$(volatile f1 hwaddr)
does inside f1 ip link set eth0 address 00:16:3e:99:99:99
silent 10.31.0.40 || fail "a foreign hardware address gets through"
does inside f1 ip link set eth0 address "$real"
until_true 5 pings 10.31.0.40

it "changes while the guest runs, and goes away"
near=$(volatile f1 host_name)
does lxc config device unset f1 eth0 security.mac_filtering
same "$(chains)" ''
same "$(volatile f1 host_name)" "$near" 'the cable stays'
does inside f1 ip link set eth0 address 00:16:3e:99:99:99
until_true 5 pings 10.31.0.40
does inside f1 ip link set eth0 address "$real"

it "lets a guest send only by the addresses it was given"
does lxc config device set f1 eth0 ipv4.address=10.31.0.50 security.ipv4_filtering=true
same "$(chains)" 'in.f1.eth0 fwd.f1.eth0'
v4=$'\narp saddr ip 10.31.0.50 accept\nip saddr 10.31.0.50 accept\nether type arp drop\nether type ip drop\nether type != { ip, arp, ip6 } drop'
same "$(rules f1 in)" "$(prefix)"$'\nip saddr 0.0.0.0 ip daddr 255.255.255.255 udp dport 67 accept'"$v4"
same "$(rules f1 fwd)" "$(prefix)$v4"
ours && same "$(volatile f1 host_name)" "$near" 'the cable stays'
does inside f1 ip addr replace 10.31.0.50/24 dev eth0
does inside f1 ip addr replace 10.31.0.40/24 dev eth0
does inside f1 ip link set eth0 up
until_true 5 pings 10.31.0.50
silent 10.31.0.40 || fail "a foreign address gets through"

it "drops what one guest sends another under a foreign address"
launch f2 -n filt0
until_true 10 leased f2
does inside f2 ip addr replace 10.31.0.60/24 dev eth0
until_true 5 inside f1 ping -c 1 -W 1 -I 10.31.0.50 10.31.0.60
out=$(inside f1 ping -c 1 -W 1 -I 10.31.0.40 10.31.0.60) && fail "a foreign address gets through"
does lxc delete -f f2

it "chooses an address where none is said"
does lxc config device unset f1 eth0 ipv4.address
does lxc config device set f1 eth0 security.ipv6_filtering=true
own=$(rules f1 in | sed -n 's/^ip saddr \([0-9.]*\) accept/\1/p')
like "$own" '^10\.31\.0\.[0-9]+$'
id=$(volatile f1 hwaddr | sed 's/^00:\(..\):\(..\):\(..\):\(..\):\(..\)$/2\1:\2ff:fe\3:\4\5/; s/:0*/:/g')
id=fd31::${id/3e/3e}
like "$(rules f1 in)" "ip6 saddr $id accept"
like "$(rules f1 in)" 'ip6 saddr fe80::/10 ip6 daddr ff02::1:2 udp dport 547 accept'
unlike "$(rules f1 fwd)" 'dport'
req GET /1.0/networks/filt0/leases
# LXD 5.0.2 may keep another address than the one it lets pass.
ours && like "$(get '.metadata[] | select(.hostname == "f1") | .address')" "$own"

it "has them again after a restart, and no rules while it is down"
does lxc stop -f f1
same "$(chains)" ''
does lxc start f1
same "$(chains)" 'in.f1.eth0 fwd.f1.eth0'
# LXD 5.0.2 may choose another.
ours && like "$(rules f1 in)" "ip saddr $own accept"
does lxc stop -f f1

it "lets nothing through where there are no addresses"
does lxc config device remove f1 eth0
does lxc config device add f1 eth0 nic network=filt1 name=eth0 security.ipv4_filtering=true security.ipv6_filtering=true
does lxc start f1
same "$(rules f1 in)" "$(prefix)"$'\nether type arp drop\nether type ip drop\nether type ip6 drop'
does lxc stop -f f1
does lxc config device remove f1 eth0

it "lets networks behind the guest send too"
does lxc config device add f1 eth0 nic network=filt0 name=eth0 security.ipv4_filtering=true ipv4.address=10.31.0.9 ipv4.routes=10.77.0.0/24 ipv4.routes.external=192.0.2.0/24
does lxc start f1
like "$(rules f1 fwd)" $'ip saddr 10.31.0.9 accept\narp saddr ip 10.77.0.0/24 accept\nip saddr 10.77.0.0/24 accept\narp saddr ip 192.0.2.0/24 accept'
like "$(ip route)" '10.77.0.0/24 dev filt0'
like "$(ip route)" '192.0.2.0/24 dev filt0'
does lxc stop -f f1
unlike "$(ip route)" '10.77.0.0|192.0.2.0'

it "refuses what can't be"
nic() { lxc config device add f1 x nic "$@"; }
ip link add brx type bridge
refuses 'IPv4 filtering requires a manually specified ipv4.address when using an unmanaged parent bridge' nic nictype=bridged parent=brx security.ipv4_filtering=true
refuses 'IPv6 filtering requires a manually specified ipv6.address when using an unmanaged parent bridge' nic nictype=bridged parent=brx security.ipv6_filtering=true
refuses 'Cannot use manually specified ipv4.address when using unmanaged parent bridge' nic nictype=bridged parent=brx ipv4.address=10.9.0.8
refuses 'Cannot have ipv4.address as none unless using security.ipv4_filtering' nic network=filt0 ipv4.address=none
refuses 'not within network "filt0" subnet' nic network=filt0 security.ipv4_filtering=true ipv4.address=10.7.0.8
refuses 'Cannot specify "ipv4.address" when DHCP is disabled \(unless using security.ipv4_filtering\) on network "filt1"' nic network=filt1 ipv4.address=10.7.0.8
refuses 'IP filtering cannot be used with VLAN filtering' nic network=filt0 security.ipv4_filtering=true vlan=5
refuses 'Invalid device option "security.acls"' nic network=filt0 security.acls=x
refuses 'Cannot use "mtu" property in conjunction with "network" property' nic network=filt0 mtu=1300
refuses 'Invalid device option "queue.tx.length"' nic network=filt0 queue.tx.length=5
refuses 'Invalid value for uint32' nic network=filt0 boot.priority=x
refuses 'Instance DNS name "f1" already used on network' nic network=filt0
does nic nictype=p2p boot.priority=4
does lxc config device remove f1 x

it "isolates ports from each other"
does lxc config device remove f1 eth0
does lxc config device add f1 eth0 nic network=filt0 name=eth0 security.port_isolation=true
does lxc start f1
near=$(volatile f1 host_name)
same "$(cat "/sys/class/net/$near/brport/isolated")" 1
does lxc delete -f f1

it "leaves nothing on the host"
does lxc network delete filt0
does lxc network delete filt1
same "$(chains)" ''
same "$(ls -d /sys/class/net/*/ | xargs -n 1 basename | sort | xargs)" 'brx lo'

done_testing

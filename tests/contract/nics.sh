#!/bin/bash
# Network devices on interfaces of the host: cables to a bridge or to the host, macvlan, and the interface itself.
# covers: PATCH /1.0/instances/{name}
# covers: PUT /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
ip link add br0 type bridge && ip link set br0 up && ip addr add 10.9.0.1/24 dev br0
ip link add wire0 type veth peer name wire1 && ip link set wire0 up && ip link set wire1 up
volatile() { lxc config get nic1 "volatile.$1"; }
links() { lxc exec nic1 -- ip -o link </dev/null | sed 's/^[0-9]*: \([^:@]*\).*/\1/' | sort | xargs; }
host_has() { [ -d "/sys/class/net/$1" ]; }
gone() { ! host_has "$1"; }

it "chooses an address and a name"
does lxc init bb nic1 -q
does lxc config device add nic1 eth0 nic nictype=bridged parent=br0
like "$(volatile eth0.hwaddr)" '^00:16:3e:..:..:..$'
same "$(volatile eth0.name) $(volatile eth0.host_name)" 'eth0 '

it "plugs a cable into a bridge"
does lxc config device add nic1 other nic nictype=macvlan parent=wire0 name=other
does lxc start nic1
same "$(links)" 'eth0 lo other'
like "$(inside nic1 ip link show other)" '[<,]UP[,>]'
does lxc config device remove nic1 other
same "$(links)" 'eth0 lo'
near=$(volatile eth0.host_name)
like "$near" '^veth[0-9a-f]{8}$'
same "$(basename "$(readlink "/sys/class/net/$near/master")")" br0
same "$(lxc exec nic1 -- cat /sys/class/net/eth0/address </dev/null)" "$(volatile eth0.hwaddr)"
does lxc exec nic1 -- ip addr add 10.9.0.2/24 dev eth0
does busybox ping -c 1 -W 5 10.9.0.2
req GET $I/nic1/state
meta '.network.eth0 | [.host_name, .hwaddr, .mtu, .state, .type]' \
	"[\"$near\",\"$(volatile eth0.hwaddr)\",1500,\"up\",\"broadcast\"]"

it "has a new cable after a restart, and the same address"
was=$(volatile eth0.hwaddr)
does lxc restart -f nic1
same "$(volatile eth0.hwaddr)" "$was"
[ "$(volatile eth0.host_name)" != "$near" ] || fail "the same cable"
until_true 5 gone "$near"
same "$(links)" 'eth0 lo'

it "has it still after a reboot"
init_of() { req GET "$I/nic1/state" && get .metadata.pid; }
before=$(init_of)
has_new_init() { [ "$(init_of)" -gt 0 ] && [ "$(init_of)" != "$before" ]; }
lxc exec nic1 -- reboot -f </dev/null >/dev/null 2>&1
until_true 20 has_new_init
has_links() { [ "$(links)" = "$1" ]; }
until_true 5 has_links 'eth0 lo'
host_has "$(volatile eth0.host_name)" || fail "no $(volatile eth0.host_name)"

it "changes a device in a running guest"
does lxc config device set nic1 eth0 hwaddr=00:16:3e:01:02:03
same "$(lxc exec nic1 -- cat /sys/class/net/eth0/address </dev/null)" 00:16:3e:01:02:03
same "$(volatile eth0.hwaddr)" ''
does lxc config device set nic1 eth0 mtu=1400
same "$(lxc exec nic1 -- cat /sys/class/net/eth0/mtu </dev/null)" 1400

# LXD 5.0.2 loses the device.
if ours; then
it "keeps what it had when a change fails"
refuses 'Parent device "nope" doesn.t exist' lxc config device set nic1 eth0 parent=nope
same "$(links)" 'eth0 lo'
same "$(lxc config device get nic1 eth0 parent)" br0
host_has "$(volatile eth0.host_name)" || fail "the cable is not known"
fi

it "adds and removes cables to the host"
does lxc config device add nic1 p nic nictype=p2p host_name=nichost name=far ipv4.routes=10.77.0.0/24
same "$(links)" 'eth0 far lo'
host_has nichost || fail "no host's end"
same "$(volatile p.host_name)" nichost
like "$(ip route show dev nichost)" '10.77.0.0/24'
does ip link add hosts0 type bridge
does ip addr add 10.88.0.1/24 dev hosts0
does ip link set hosts0 up
refuses '' lxc config device set nic1 p ipv4.routes=10.88.0.0/24
like "$(ip route show 10.88.0.0/24)" 'dev hosts0 proto kernel'
does ip link delete hosts0
does lxc config device set nic1 p ipv4.routes=10.78.0.0/24
like "$(ip route show dev nichost)" '10.78.0.0/24'
unlike "$(ip route show dev nichost)" '10.77.0.0/24'
does lxc config device remove nic1 p
same "$(links)" 'eth0 lo'
host_has nichost && fail "the host's end is left"
same "$(volatile p.host_name)" ''

it "routes through a bridge, and no longer than there is a guest"
does lxc config device set nic1 eth0 ipv4.routes=10.79.0.0/24
like "$(ip route)" '10.79.0.0/24 dev br0'
does lxc stop -f nic1
unlike "$(ip route)" '10.79.0.0/24'
does lxc start nic1
like "$(ip route)" '10.79.0.0/24 dev br0'
does lxc config device unset nic1 eth0 ipv4.routes
unlike "$(ip route)" '10.79.0.0/24'

it "puts a link on a wire"
does lxc config device add nic1 m nic nictype=macvlan parent=wire0
same "$(links)" 'eth0 eth1 lo'
like "$(volatile m.host_name)" '^mac[0-9a-f]{8}$'
same "$(volatile m.last_state.created)" false
does lxc config device remove nic1 m
same "$(links)" 'eth0 lo'

it "lends an interface, and gets it back as it was"
address=$(cat /sys/class/net/wire1/address)
does lxc config device add nic1 phys nic nictype=physical parent=wire1 name=real
same "$(links)" 'eth0 lo real'
host_has wire1 && fail "wire1 is still the host's"
same "$(volatile phys.last_state.hwaddr) $(volatile phys.last_state.mtu) $(volatile phys.host_name)" "$address 1500 wire1"
does lxc stop -f nic1
until_true 5 host_has wire1
same "$(cat /sys/class/net/wire1/address)" "$address"
same "$(volatile phys.host_name)" ''
does lxc start nic1
same "$(links)" 'eth0 lo real'
does lxc config device remove nic1 phys
until_true 5 host_has wire1

it "refuses what can't be"
refuses 'Parent device "nope" doesn.t exist' lxc config device add nic1 x nic nictype=bridged parent=nope
refuses 'Required value' lxc config device add nic1 x nic nictype=bridged
refuses 'already defined on another NIC' lxc config device add nic1 x nic nictype=bridged parent=br0 hwaddr=00:16:3e:01:02:03
refuses 'already defined on another NIC' lxc config device add nic1 x nic nictype=bridged parent=br0 hwaddr=00:16:3E:01:02:03
refuses 'Duplicate NIC name detected "same"' sh -c 'lxc config device add nic1 x nic nictype=p2p name=same && lxc config device add nic1 y nic nictype=p2p name=same'
does lxc config device remove nic1 x
refuses 'Unsupported device type' lxc config device add nic1 x nic nictype=nope
same "$(links)" 'eth0 lo'

it "keeps a guest from starting without its parent, and leaves nothing"
does lxc init bb nic2 -q
does lxc config device add nic2 a nic nictype=p2p host_name=nic2a
does lxc config device add nic2 b nic nictype=bridged parent=nope
refuses 'Parent device "nope" doesn.t exist' lxc start nic2
same "$(state_of nic2)" Stopped
until_true 5 gone nic2a

it "leaves nothing on the host"
near=$(volatile eth0.host_name)
does lxc delete -f nic1
does lxc delete -f nic2
until_true 5 gone "$near"
same "$(ls -d /sys/class/net/*/ | xargs -n 1 basename | sort | xargs)" 'br0 lo wire0 wire1'

done_testing

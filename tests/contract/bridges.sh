#!/bin/bash
# What bridges are for: guests reach each other by name, on one bridge and over two, and what lies behind their host.
# covers: PATCH /1.0/networks/{name}
. "$(dirname "$0")/lib.bash"
# Resolvers of the host: each bridge asks the other one for names that aren't its own.
printf 'nameserver 10.45.0.1\nnameserver 10.46.0.1\n' >"$SCRATCH/resolv.conf"
mount --bind "$SCRATCH/resolv.conf" /etc/resolv.conf || exit 1
# Somebody far away, behind a cable of the host, who knows no way to the guests.
ip netns add brfar
ip link add far0 type veth peer name far1 netns brfar && ip link set far0 up
ip addr add 192.0.2.1/24 dev far0 && ip -6 addr add 2001:db8:2::1/64 dev far0 nodad
far() { timeout 20 ip netns exec brfar "$@" </dev/null; }
far sh -c 'ip link set lo up; ip link set far1 up; ip addr add 192.0.2.2/24 dev far1; ip -6 addr add 2001:db8:2::2/64 dev far1 nodad'
# Tells everybody who connects from where.
ip netns exec brfar python3 -c '
import socket
s = socket.create_server(("::", 8000), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    c, a = s.accept()
    with c: c.sendall(a[0].encode())
' </dev/null &
teller=$!

asks() { timeout 30 lxc exec "$1" -- udhcpc -i eth0 -n -q -t 8 -s /etc/udhcpc.sh </dev/null; }
address() { lxc exec "$1" -- ip -"$2" -o addr show dev eth0 scope global </dev/null | sed -n '1s/.*inet6* \([0-9a-f.:]*\).*/\1/p'; }
has_global6() { [ -n "$(address "$1" 6)" ]; }
pings() { inside "$1" ping "-$2" -c 1 -W 2 "$3"; }
# reaches FROM NAME: by name, over both; names of addresses that guests chose themselves take a moment to be known.
reaches() {
	local seen
	does pings "$1" 4 "$2"
	until_true 10 pings "$1" 6 "$2"
	seen=$(inside "$1" ping -4 -c 1 "$2" 2>&1)
	like "$seen" "\($(address "${2%%.*}" 4)\)" "$1 to $2"
	seen=$(inside "$1" ping -6 -c 1 "$2" 2>&1)
	like "$seen" "\($(address "${2%%.*}" 6)\)" "$1 to $2"
}
# seen_from GUEST ADDRESS: as whom the far host sees it; nothing when there is no way.
seen_from() { timeout 5 lxc exec "$1" -- nc -w 3 "$2" 8000 </dev/null 2>/dev/null | sed 's/^::ffff://'; }

does lxc network create bria ipv4.address=10.45.0.1/24 ipv4.nat=true ipv6.address=fd45::1/64 ipv6.nat=true
does lxc network create brib ipv4.address=10.46.0.1/24 ipv4.nat=true ipv6.address=fd46::1/64 ipv6.nat=true dns.domain=brib
for guest in c1:bria c2:bria c3:brib; do
	does lxc init bb "${guest%:*}" -q
	does lxc config device add "${guest%:*}" eth0 nic network="${guest#*:}" name=eth0
	does lxc start "${guest%:*}"
	does asks "${guest%:*}"
	until_true 10 has_global6 "${guest%:*}"
done

it "brings guests of one bridge together by their names"
reaches c1 c2.lxd
reaches c2 c1.lxd
reaches c1 c2

it "brings guests of two bridges together by their names"
reaches c1 c3.brib
reaches c3 c2.lxd

it "has names for the way out, and none for strangers"
like "$(inside c1 nslookup _gateway.lxd 10.45.0.1)" '10\.45\.0\.1'
ends 1 inside c1 ping -c 1 -W 1 c9.lxd

it "brings guests out in the name of their host"
same "$(seen_from c1 192.0.2.2)" 192.0.2.1
same "$(seen_from c1 2001:db8:2::2)" 2001:db8:2::1
same "$(seen_from c3 192.0.2.2)" 192.0.2.1
same "$(seen_from c3 2001:db8:2::2)" 2001:db8:2::1
does pings c1 4 192.0.2.2
does pings c1 6 2001:db8:2::2

it "chooses the name they go out by"
does ip addr add 192.0.2.9/24 dev far0
does lxc network set bria ipv4.nat.address=192.0.2.9
same "$(seen_from c1 192.0.2.2)" 192.0.2.9
same "$(seen_from c3 192.0.2.2)" 192.0.2.1
does lxc network unset bria ipv4.nat.address
same "$(seen_from c1 192.0.2.2)" 192.0.2.1

it "leaves their addresses as they are without translation"
does lxc network set bria ipv4.nat=false
same "$(seen_from c1 192.0.2.2)" ''
does far ip route add 10.45.0.0/24 via 192.0.2.1
same "$(seen_from c1 192.0.2.2)" "$(address c1 4)"
same "$(seen_from c1 2001:db8:2::2)" 2001:db8:2::1
does lxc network set bria ipv6.nat=false
same "$(seen_from c1 2001:db8:2::2)" ''
does far ip -6 route add fd45::/64 via 2001:db8:2::1
same "$(seen_from c1 2001:db8:2::2)" "$(address c1 6)"
same "$(seen_from c3 192.0.2.2)" 192.0.2.1
does lxc network set bria ipv4.nat=true ipv6.nat=true
same "$(seen_from c1 192.0.2.2)" 192.0.2.1
same "$(seen_from c1 2001:db8:2::2)" 2001:db8:2::1

it "leaves nothing behind"
kill $teller
umount /etc/resolv.conf
does lxc delete -f c1 c2 c3
does lxc network delete bria
does lxc network delete brib
ip netns del brfar
until_true 5 eval '[ ! -e /sys/class/net/far0 ]'
same "$(ls /sys/class/net | xargs)" lo
done_testing

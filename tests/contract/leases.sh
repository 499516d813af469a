#!/bin/bash
# Guests on a managed bridge: addresses, names, and what the network says of them.
# covers: GET /1.0/networks/{name}/leases
# covers: GET /1.0/networks/{name}
. "$(dirname "$0")/lib.bash"
does lxc network create lea0 ipv4.address=10.44.0.1/24 ipv6.address=fd44::1/64
asks() { timeout 30 lxc exec "$1" -- udhcpc -i eth0 -n -q -t 8 </dev/null 2>&1; }
ip4() { lxc exec "$1" -- ip -4 -o addr show dev eth0 </dev/null | sed -n 's/.*inet \([0-9.]*\).*/\1/p'; }
has_global6() { lxc exec "$1" -- ip -6 -o addr show dev eth0 </dev/null | grep -q 'inet6 fd44:'; }
leases() { lxc network list-leases lea0 -f csv | sort; }

it "gives an address to whoever asks"
does lxc profile device add default eth0 nic network=lea0 name=eth0
launch lea1
launch lea2
does asks lea1
does asks lea2
like "$(ip4 lea1)" '^10\.44\.0\.[0-9]+$'
like "$(lxc exec lea1 -- ip route </dev/null)" 'default via 10.44.0.1'
until_true 10 has_global6 lea1

it "knows guests by their names"
like "$(lxc exec lea1 -- cat /etc/resolv.conf </dev/null)" 'nameserver 10.44.0.1'
does lxc exec lea1 -- ping -c 1 -W 5 lea2.lxd
does lxc exec lea1 -- ping -c 1 -W 5 lea2
like "$(lxc exec lea1 -- nslookup "$(ip4 lea2)" 10.44.0.1 </dev/null)" 'lea2\.lxd'

it "says who has what"
like "$(leases)" "lea1,00:16:3e:[0-9a-f:]*,$(ip4 lea1),DYNAMIC"
like "$(leases)" "lea0.gw,,10.44.0.1,GATEWAY"
req GET /1.0/networks/lea0
meta '.used_by | sort' '["/1.0/instances/lea1","/1.0/instances/lea2","/1.0/profiles/default"]'
like "$(lxc list lea1 -c 4 -f csv)" '10\.44\.0\.[0-9]+ \(eth0\)'

it "reaches what its host reaches"
does busybox ping -c 1 -W 5 "$(ip4 lea1)"
does lxc exec lea1 -- ping -c 1 -W 5 10.44.0.1

it "keeps an address for a device that names it"
does lxc config device override lea2 eth0 ipv4.address=10.44.0.77
does lxc restart -f lea2
does asks lea2
same "$(ip4 lea2)" 10.44.0.77
like "$(leases)" 'lea2,00:16:3e:[0-9a-f:]*,10.44.0.77,STATIC'

it "refuses addresses that can't be"
refuses 'not within network' lxc config device set lea2 eth0 ipv4.address=10.45.0.3
does lxc config device override lea1 eth0
refuses 'already defined on another NIC' lxc config device set lea1 eth0 ipv4.address=10.44.0.77
refuses 'not found' lxc config device add lea1 eth9 nic network=nope name=eth9
refuses 'Cannot use "nictype"' lxc config device add lea1 eth9 nic network=lea0 nictype=bridged name=eth9

it "attaches and detaches"
does lxc profile device remove default eth0
does lxc config device remove lea1 eth0
does lxc network attach lea0 lea1 eth5 eth5
like "$(lxc exec lea1 -- ip -o link </dev/null)" 'eth5'
does lxc network detach lea0 lea1 eth5
unlike "$(lxc exec lea1 -- ip -o link </dev/null)" 'eth5'

it "is not deleted while it is used"
refuses 'in use' lxc network delete lea0
does lxc delete -f lea1
does lxc delete -f lea2
does lxc network delete lea0
[ ! -d /sys/class/net/lea0 ] || fail "the bridge is left"

done_testing

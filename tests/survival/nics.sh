#!/bin/bash
# Network devices over the ends of daemons: rules that hold again, and what guests leave that go down meanwhile.
. "$(dirname "$0")/lib.bash"
sysctl -qw net.ipv4.conf.all.forwarding=1
ip link add sbr0 type bridge && ip link set sbr0 up && ip addr add 10.51.0.1/24 dev sbr0
ip link add swire0 type veth peer name swire1 && ip link set swire0 up && ip link set swire1 up
does lxc network create snet0 ipv4.address=10.52.0.1/24 ipv6.address=none ipv4.nat=false
chains() { nft list ruleset | sed -n 's/^.*chain \([a-z]*\.sni[^ ]*\) {.*/\1/p' | sort | xargs; }
proxied() { ip neigh show proxy | sed 's/ .*//' | sort | xargs; }

it "has guests with rules, routes and answers for them"
for n in sni1 sni2; do
	does lxc init bb $n -q
	does lxc config device add $n eth0 nic network=snet0 name=eth0 security.ipv4_filtering=true
done
does lxc config device add sni2 eth1 nic nictype=bridged parent=sbr0 name=eth1 ipv4.routes=10.53.0.0/24
does lxc config device add sni2 eth2 nic nictype=routed parent=swire0 name=eth2 ipv4.address=10.54.0.5 ipv4.neighbor_probe=false
does lxc start sni1
does lxc start sni2
same "$(chains)" 'fwd.sni1.eth0 fwd.sni2.eth0 in.sni1.eth0 in.sni2.eth0 prert.sni2.eth2'
same "$(proxied)" 10.54.0.5
like "$(ip route)" '10.53.0.0/24 dev sbr0'

it "makes the rules hold again that are gone at its start"
before=$(nft list table bridge lxd | sort)
end_daemon
nft delete table bridge lxd
nft delete chain inet lxd prert.sni2.eth2
begin_daemon
same "$(chains)" 'fwd.sni1.eth0 fwd.sni2.eth0 in.sni1.eth0 in.sni2.eth0 prert.sni2.eth2'
same "$(nft list table bridge lxd | sort)" "$before"

it "clears up after a guest that went down while there was no daemon"
pid=$(pid_of sni2)
end_daemon
kill -9 "$pid"
until_true 10 dead "$pid"
begin_daemon
same "$(state_of sni2)" Stopped
same "$(chains)" 'fwd.sni1.eth0 in.sni1.eth0'
same "$(proxied)" ''
unlike "$(ip route)" '10.53.0.0|10.54.0.5'
does lxc start sni2
same "$(proxied)" 10.54.0.5

it "leaves nothing behind"
does lxc delete -f sni1 sni2
same "$(chains)" ''
same "$(proxied)" ''
does lxc network delete snet0
done_testing

#!/bin/bash
# Interfaces of InfiniBand's with their nodes: at a start, while the guest runs, over the end of a daemon, and given back. There is no
# such card here: links of another kind stand for it, in a made-up /sys/class.
. "$(dirname "$0")/lib.bash"
real=$SCRATCH/sys class=/sys/class card=$SCRATCH/card
mkdir "$real" && mount --bind /sys "$real"
mount -t tmpfs tmpfs $class
for part in "$real"/class/*; do [ "${part##*/}" = net ] || ln -s "$part" $class; done
mkdir $class/net $class/infiniband_verbs $class/infiniband_mad
ln -s "$real"/class/net/* $class/net
# make SLOT NAME NUMBER: one function of the card with its interface and nodes.
make() {
	local place=$card/$1 n
	ip link add "$2" address "00:16:3e:00:00:0$3" type veth peer name "far$3"
	mkdir -p "$place/net/$2"
	echo 32 >"$place/net/$2/type" && echo 0 >"$place/net/$2/dev_port"
	ln -s "$place" "$place/net/$2/device"
	ln -s "$place/net/$2" $class/net
	for n in infiniband_verbs/uverbs infiniband_mad/umad; do
		mkdir "$class/$n$3" && ln -s "$place" "$class/$n$3/device"
	done
	echo "1:$((3 + 2 * $3))" >"$class/infiniband_verbs/uverbs$3/dev"
	echo "5:$3" >"$class/infiniband_mad/umad$3/dev"
}
make 0000:01:00.0 ib0 0
make 0000:01:00.1 ib1 1
make 0000:01:00.2 ib2 2
ln -s "$card/0000:01:00.1" "$card/0000:01:00.0/virtfn0"
ln -s "$card/0000:01:00.2" "$card/0000:01:00.0/virtfn1"
MOUNTS_BEFORE=$(wc -l </proc/self/mountinfo)

links() { inside "$1" ls /sys/class/net | grep -v '^lo$' | xargs; }
nodes() { inside "$1" sh -c 'cd /dev/infiniband 2>/dev/null && stat -c "%n:%t:%T:%a" * 2>/dev/null' | xargs; }
on_host() { ip -br link show type veth | awk '/^ib/ {sub("@.*", "", $1); print $1 "=" $3}' | sort | xargs; }
volatile() { lxc config get "$1" "volatile.$2"; }
home='ib0=00:16:3e:00:00:00 ib1=00:16:3e:00:00:01 ib2=00:16:3e:00:00:02'

it "gives guests a function each, with its nodes"
for n in sib1 sib2; do
	does lxc init bb $n -q
	does lxc config device add $n fast infiniband nictype=sriov parent=ib0 mtu=1400
done
does lxc start sib1
does lxc start sib2
same "$(links sib1) $(links sib2)" 'ib0 ib0'
same "$(nodes sib1)" 'umad1:5:1:660 uverbs1:1:5:660'
same "$(nodes sib2)" 'umad2:5:2:660 uverbs2:1:7:660'
same "$(inside sib1 cat /sys/class/net/ib0/mtu)" 1400
same "$(volatile sib1 fast.host_name) $(volatile sib2 fast.host_name)" 'ib1 ib2'
same "$(on_host)" 'ib0=00:16:3e:00:00:00'

it "refuses a third, and what is no such interface"
does lxc init bb sib3 -q
does lxc config device add sib3 fast infiniband nictype=sriov parent=ib0
refuses 'Failed to start device "fast": All virtual functions on parent device are already in use' lxc start sib3
same "$(volatile sib3 fast.host_name)" ''
does lxc config device remove sib3 fast
does lxc start sib3
refuses 'Failed to start device "x": Specified infiniband device "lo" not found' lxc config device add sib3 x infiniband nictype=physical parent=lo
refuses "Failed to start device \"x\": Parent device 'nope' doesn.t exist" lxc config device add sib3 x infiniband nictype=physical parent=nope
same "$(lxc config device list sib3)" ''

it "gives one to a guest that runs, and keeps it over the end of the daemon"
does lxc config device add sib3 whole infiniband nictype=physical parent=ib0 name=wire0
same "$(links sib3)" wire0
same "$(nodes sib3)" 'umad0:5:0:660 uverbs0:1:3:660'
same "$(on_host)" ''
another_daemon
same "$(links sib3) $(links sib1)" 'wire0 ib0'
same "$(volatile sib3 whole.host_name) $(volatile sib3 whole.last_state.hwaddr)" 'ib0 00:16:3e:00:00:00'
does lxc config set sib1 user.x y
same "$(nodes sib1) $(nodes sib3)" 'umad1:5:1:660 uverbs1:1:5:660 umad0:5:0:660 uverbs0:1:3:660' 'after another change'

it "takes it from a guest that runs"
does lxc config device remove sib3 whole
same "$(links sib3)" ''
same "$(nodes sib3)" ''
same "$(on_host)" 'ib0=00:16:3e:00:00:00'

it "gets all back as they were, also from guests that another daemon started"
does lxc stop -f sib1
until_true 10 eval '[ "$(on_host)" = "ib0=00:16:3e:00:00:00 ib1=00:16:3e:00:00:01" ]'
same "$(cat "$real/class/net/ib1/mtu")" 1500
same "$(volatile sib1 fast.host_name)$(volatile sib1 fast.last_state.mtu)" ''
does lxc restart -f sib2
same "$(links sib2)" ib0
does lxc delete -f sib1 sib2 sib3
until_true 10 eval '[ "$(on_host)" = "$home" ]'
clean
umount -l $class "$real"
done_testing

#!/bin/bash
# What a bridge serves while its daemon is dead, and over its end: names, renewals, new leases.
. "$(dirname "$0")/lib.bash"
does lxc network create names0 ipv4.address=10.56.0.1/24 ipv4.dhcp.expiry=20s ipv6.address=fd56::1/64 ipv6.dhcp.stateful=true
FILE=$LXD_DIR/networks/names0/dnsmasq.leases
helper() { words | grep -c '^lxbox net names0 '; }
helper_pid() { pgrep -f '^lxbox net names0'; }
# Without the daemon nobody execs: by the guest's namespaces, as seen from its first process.
within() { local pid=$1; shift; timeout 40 nsenter -t "$pid" -m -n -u -p -r -w "$@" </dev/null 2>&1; }
asks() { within "$1" /bin/udhcpc -i eth0 -n -q -t 8 -s /etc/udhcpc.sh "${@:2}"; }
address() { within "$1" /bin/ip -4 -o addr show dev eth0 scope global | sed -n '1s/.*inet \([0-9.]*\).*/\1/p'; }
pings() { within "$1" /bin/ping -c 1 -W 3 "$2"; }
# lease NAME: its address; end_of NAME: when it ends, in seconds.
lease() { awk -v name="$1" '$4 == name && $3 ~ /\./ {print $3}' "$FILE"; }
end_of() { awk -v name="$1" '$4 == name && $3 ~ /\./ {print $1}' "$FILE"; }
leases() { lxc network list-leases names0 -f csv | sort; }

it "serves while there is a daemon"
for n in nam1 nam2 nam3; do
	does lxc init bb $n -q
	does lxc config device add $n eth0 nic network=names0 name=eth0
	does lxc start $n
done
one=$(pid_of nam1) two=$(pid_of nam2) three=$(pid_of nam3)
# Only the two: whoever starts asks by itself, which the third is kept from.
until_true 15 eval '[ -n "$(address $one)" ] && [ -n "$(address $two)" ] && [ -n "$(address $three)" ]'
within "$three" /bin/sh -c 'killall udhcpc; ip -4 addr flush dev eth0'
does pings "$one" nam2.lxd
first=$(helper_pid)
same "$(helper)" 1 helpers

it "serves while there is none"
before=$(leases)
kept=$(address "$one")
was=$(end_of nam1)
end_daemon
until_true 5 eval '! lxc list'
does pings "$one" nam2.lxd
does pings "$two" nam1
does within "$one" /bin/nslookup "$(address "$two")" 10.56.0.1
like "$out" 'nam2\.lxd'
sleep 1.1
does asks "$one" -r "$kept"
same "$(address "$one")" "$kept" 'the address after it is asked for again'
[ "$(end_of nam1)" -gt "$was" ] || fail "not renewed: $was, $(end_of nam1)"
does asks "$three"
given=$(address "$three")
like "$given" '^10\.56\.0\.'
same "$(lease nam3)" "$given" 'the new lease on disk'
does pings "$one" nam3.lxd

it "goes on with the next daemon"
begin_daemon
same "$(helper_pid)" "$first" 'the process that serves'
same "$(leases)" "$before" 'leases before and after'
does pings "$three" nam1.lxd
was=$(end_of nam2)
sleep 1.1
does asks "$two" -r "$(address "$two")"
[ "$(end_of nam2)" -gt "$was" ] || fail "not renewed: $was, $(end_of nam2)"
same "$(leases)" "$before" 'leases after a renewal'

it "goes on when the one that serves dies"
kill -9 "$first"
until_true 15 eval '[ "$(helper)" = 1 ] && [ "$(helper_pid)" != "$first" ]'
until_true 5 pings "$one" nam2.lxd
same "$(leases)" "$before" 'leases after its end'
end_daemon
kill -9 "$(helper_pid)"
begin_daemon
until_true 5 pings "$one" nam2.lxd
same "$(leases)" "$before" 'leases after the end of both'

it "leaves nothing behind"
does lxc delete -f nam1 nam2 nam3
does lxc network delete names0
until_true 5 eval '[ "$(helper)" = 0 ]'
[ ! -e /sys/class/net/names0 ] || fail 'the bridge is left'
clean
done_testing

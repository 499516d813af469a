#!/bin/bash
# A real Debian 12 with systemd.
# covers: POST /1.0/instances/{name}/exec
. "$(dirname "$0")/lib.bash"
image=$("$TOOLS/debian-image") || exit 1

it "is imported and starts"
does lxc image import "$image" --alias debian
launch_debian() { lxc launch debian deb1 -q; }
does launch_debian

it "boots with nothing failed"
until_true 90 bash -c '[[ "$(lxc exec deb1 -- systemctl is-system-running --wait </dev/null)" =~ running|degraded ]]'
gives running inside deb1 systemctl is-system-running
gives '' inside deb1 systemctl --failed --no-legend

it "has the name it was given"
gives deb1 inside deb1 hostname
gives deb1 inside deb1 cat /etc/hostname

it "knows that it is in a container"
gives lxc inside deb1 systemd-detect-virt
gives container=lxc inside deb1 sh -c 'tr "\0" "\n" </proc/1/environ | grep ^container='

it "runs services, and keeps a journal"
does inside deb1 systemd-run --wait --collect /bin/true
refuses . inside deb1 systemd-run --wait --collect /bin/false
does inside deb1 journalctl -n 5 --no-pager
gives '' inside deb1 sh -c 'su nobody -s /bin/sh -c "touch /etc/x 2>/dev/null"; true'

it "keeps owners, modes and capabilities of its files"
gives '0 0 4755' inside deb1 stat -c '%u %g %a' /usr/bin/mount
like "$(inside deb1 stat -c %G /var/mail)" mail
does inside deb1 test -p /run/initctl -o -d /run/systemd

it "limits what runs in it"
does lxc config set deb1 limits.memory=256MiB
like "$(inside deb1 cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || inside deb1 cat /sys/fs/cgroup/memory.max)" '268435456'

does lxc network create debnet0 ipv4.address=10.47.0.1/24 ipv6.address=fd47::1/64
given() { lxc exec deb1 -- ip -"$1" -o addr show dev "$2" scope global </dev/null | sed -n '1s/.*inet6* \([0-9a-f.:]*\).*/\1/p'; }
has_given() { [[ "$(given "$1" "$2")" =~ $3 ]]; }
leased() { lxc network list-leases debnet0 -f csv | grep "$1" | cut -d, -f3; }
ends_at() { awk -v address="$1" '$3 == address {print $1}' "$LXD_DIR/networks/debnet0/dnsmasq.leases"; }
mac() { lxc config get deb1 "volatile.$1.hwaddr"; }

it "is given addresses and names by systemd's client"
does lxc config device add deb1 eth0 nic network=debnet0 name=eth0
until_true 30 has_given 4 eth0 '^10[.]47[.]0[.]'
until_true 30 has_given 6 eth0 '^fd47::'
same "$(leased "$(mac eth0),10[.]")" "$(given 4 eth0)"
like "$(inside deb1 ip route)" 'default via 10\.47\.0\.1 dev eth0'
like "$(inside deb1 ip -6 route)" 'default .*via fe80:'
until_true 20 inside deb1 resolvectl query --legend=no _gateway.lxd
until_true 20 inside deb1 ping -c 1 -W 2 deb1.lxd

# systemd's client leaves eth1 alone: nothing is configured for it.
it "is given an address by dhclient, which renews and releases it"
# A second device of one guest on a network that names guests is refused.
refuses 'Instance DNS name "deb1" already used on network' lxc config device add deb1 eth1 nic network=debnet0 name=eth1
does lxc config device remove deb1 eth0
does lxc config device add deb1 eth1 nic network=debnet0 name=eth1
does inside deb1 dhclient -4 -1 -v eth1
like "$out" 'bound to 10\.47\.0\.[0-9]+ -- renewal in'
first=$(given 4 eth1)
same "$(leased "$(mac eth1),10[.]")" "$first"
was=$(ends_at "$first")
does inside deb1 dhclient -4 -x eth1
# Leases end at whole seconds: one has to pass.
sleep 1.1
does inside deb1 dhclient -4 -1 -v eth1
like "$out" "DHCPREQUEST for $first on eth1"
like "$out" "bound to $first "
[ "$(ends_at "$first")" -gt "$was" ] || fail "not renewed: $was, $(ends_at "$first")"
does inside deb1 dhclient -4 -r -v eth1
like "$out" "DHCPRELEASE of $first on eth1 to 10\.47\.0\.1"
is_released() { [ -z "$(leased "$(mac eth1),10[.]")" ]; }
until_true 5 is_released
same "$(given 4 eth1)" ''
does lxc config device remove deb1 eth1
does lxc network delete debnet0

it "goes down when asked, and comes back"
does lxc stop deb1 --timeout 60
does lxc start deb1
until_true 90 bash -c '[[ "$(lxc exec deb1 -- systemctl is-system-running --wait </dev/null)" =~ running|degraded ]]'
init_of() { req GET "$I/$1/state" && get .metadata.pid; }
before=$(init_of deb1)
has_new_init() { [ "$(init_of deb1)" -gt 0 ] && [ "$(init_of deb1)" != "$before" ]; }
inside deb1 systemctl reboot >/dev/null 2>&1
until_true 60 has_new_init
until_true 60 bash -c '[[ "$(lxc exec deb1 -- systemctl is-system-running --wait </dev/null)" =~ running|degraded ]]'
inside deb1 systemctl poweroff >/dev/null 2>&1
until_true 60 is_now deb1 Stopped
until_true 10 lxc delete deb1

done_testing

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

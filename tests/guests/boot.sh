#!/bin/bash
# Debian of other releases, with another process 1, and for another machine: each boots with nothing failed, is asked for
# what only works when its parts work together, goes down and comes back. By hand, since each image takes minutes to make:
#   LXBOX_BIN=... LXBOX_POOL=overlay LXBOX_IMAGE= tests/tools/with-daemon tests/guests/boot.sh [trixie] [sid] [i386] [sysvinit]
. "$(dirname "$0")/../contract/lib.bash"
image() {
	case $1 in
	trixie | sid) SUITE=$1 "$TOOLS/debian-image" ;;
	i386) ARCH=i386 "$TOOLS/debian-image" ;;
	sysvinit) INIT=sysvinit "$TOOLS/debian-image" ;;
	*) echo "no image $1" >&2; exit 1 ;;
	esac
}
# booted GUEST KIND: process 1 has done what it does at a start.
booted() {
	case $2 in
	sysvinit) inside "$1" runlevel | grep -q '^N 2$' ;;
	*) [[ "$(inside "$1" systemctl is-system-running --wait)" =~ running|degraded ]] ;;
	esac
}
init_of() { req GET "$I/$1/state" && get .metadata.pid; }
renewed() { [ "$(init_of "$1")" -gt 0 ] && [ "$(init_of "$1")" != "$2" ]; }

for kind in "${@:-trixie}"; do
	guest=boot-$kind
	it "$kind: boots with nothing failed"
	file=$(image "$kind") || { fail "no image"; continue; }
	does lxc image import "$file" --alias "$kind"
	does lxc launch "$kind" "$guest" -q
	until_true 90 booted "$guest" "$kind"
	if [ "$kind" != sysvinit ]; then
		gives running inside "$guest" systemctl is-system-running
		gives '' inside "$guest" systemctl --failed --no-legend
		does inside "$guest" systemd-run --wait --collect /bin/true
		does inside "$guest" journalctl -n 1 --no-pager
		gives lxc inside "$guest" systemd-detect-virt
	fi
	gives "$guest" inside "$guest" hostname
	[ "$kind" != i386 ] || gives i686 inside "$guest" uname -m

	it "$kind: has limits"
	does lxc config set "$guest" limits.memory=256MiB
	like "$(inside "$guest" cat /proc/meminfo)" 'MemTotal: +262144 kB'

	it "$kind: goes down when asked, and comes back"
	does lxc stop "$guest" --timeout 60
	does lxc start "$guest"
	until_true 90 booted "$guest" "$kind"
	before=$(init_of "$guest")
	inside "$guest" reboot >/dev/null 2>&1
	until_true 60 renewed "$guest" "$before"
	until_true 60 booted "$guest" "$kind"
	does lxc delete -f "$guest"
	does lxc image delete "$kind"
done
done_testing

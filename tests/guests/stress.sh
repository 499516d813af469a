#!/bin/bash
# stress-ng, as Debian has it, in a guest with limits: what its neighbour has meanwhile. By hand, since its image takes minutes to make:
#   LXBOX_BIN=... LXBOX_IMAGE= tests/tools/with-daemon tests/guests/stress.sh
. "$(dirname "$0")/../contract/lib.bash"
image=$(INCLUDE=stress-ng NAME=stress "$TOOLS/debian-image") || exit 1
does lxc image import "$image" --alias stress
does lxc launch stress busy -q -c limits.cpu=0-0 -c limits.memory=256MiB -c limits.processes=200
does lxc launch stress calm -q -c limits.cpu=0-0 -c limits.memory=256MiB
for name in busy calm; do until_true 60 inside $name systemctl is-system-running -q || inside $name systemctl --failed; done

# work: how often the neighbour gets something done in 6 s, alone on its processor or not.
work() {
	inside calm sh -c 'end=$(($(date +%s) + 6)) n=0; while [ $(date +%s) -lt $end ]; do head -c 1000000 /dev/zero | sha256sum >/dev/null; n=$((n + 1)); done; echo $n'
}
free_of_host() { awk '/^MemAvailable/ {print int($2 / 1024)}' /proc/meminfo; }
# beside PERCENT ARGUMENTS...: the neighbour gets so much of its work done while stress-ng does this.
beside() {
	local floor=$1 had
	shift
	lxc exec busy -- timeout -s KILL 60 stress-ng "$@" --timeout 12s --quiet >"$SCRATCH/said" 2>&1 </dev/null &
	sleep 2
	had=$(work)
	echo "# $*: $((had * 100 / alone)) % of $alone"
	[ $((had * 100 / alone)) -ge "$floor" ] || fail "the neighbour had $had of $alone while: $*"
	wait $!
	gives Running state_of busy
	does inside calm true
}
it "leaves a neighbour half of the processor that they share"
alone=$(work)
beside 40 --cpu 8
beside 40 --switch 4 --pipe 4
beside 40 --fork 8 --vfork 4

it "leaves it nearly all when it may have a tenth"
does lxc config set busy limits.cpu.allowance=10ms/100ms
beside 65 --cpu 8
does lxc config unset busy limits.cpu.allowance

it "takes no more memory than it may"
before=$(free_of_host)
lxc exec busy -- timeout -s KILL 30 stress-ng --vm 4 --vm-bytes 2G --vm-populate --timeout 12s --quiet >"$SCRATCH/said" 2>&1 </dev/null &
sleep 6
now=$(free_of_host)
[ $((before - now)) -lt 700 ] || fail "the host has $((before - now)) MiB less"
[ "$(work)" -gt 0 ] || fail "the neighbour stands still"
wait $!
does inside busy true

it "makes no more processes than it may"
lxc exec busy -- timeout -s KILL 30 stress-ng --fork 1000 --clone 100 --timeout 8s --quiet >"$SCRATCH/said" 2>&1 </dev/null &
sleep 4
pids=$(req GET "$I/busy/state"; get .metadata.processes)
[ "$pids" -le 200 ] || fail "it has $pids processes"
does inside calm true
wait $!
does lxc delete -f busy calm
done_testing

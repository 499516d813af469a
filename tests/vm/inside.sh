#!/bin/bash
# Runs inside the virtual machine: the systemd units, and a container on pure cgroup v2. Emulated, hence slow: this
# is not the whole suite, but what only differs there.
set -eu
fail() {
	echo "FAILED: $*"
	systemctl --no-pager status lxbox.socket lxbox.service
	systemctl --no-pager list-jobs
	journalctl --no-pager -n 40
	exit 1
}
# What hangs is a failure too: it must not keep the machine until the time of the whole run is up.
check() {
	local what=$1 said
	shift
	said=$(timeout 150 "$@" 2>&1 </dev/null) || fail "$what: $*: $said"
	echo "vm: $what"
}
[ "$(stat -fc %T /sys/fs/cgroup)" = cgroup2fs ] || fail "not a pure cgroup v2"

groupadd -r lxd 2>/dev/null || true
cp /host/lxbox /usr/local/bin/lxbox
ln -s lxbox /usr/local/bin/lxd
cp /host/systemd/* /etc/systemd/system/
systemctl daemon-reload
check 'the socket listens before the daemon runs' systemctl start lxbox.socket
[ "$(stat -c '%a %G' /var/lib/lxd/unix.socket)" = '660 lxd' ] || fail "the socket's mode"
systemctl is-active -q lxbox.service && fail "the daemon runs already"
check 'the first client starts it' lxc list
check 'it is a service' systemctl is-active -q lxbox.service

check 'a pool' lxc storage create default dir
check 'a root disk' lxc profile device add default root disk path=/ pool=default
check 'an image' lxc image import /host/bb.tar.gz --alias bb
check 'launch' lxc launch bb c1 -c limits.memory=64MiB -c limits.processes=50 -q
[ "$(lxc exec c1 -- hostname </dev/null)" = c1 ] || fail "exec"
label=$(cat "/proc/$(lxc query /1.0/instances/c1/state | jq .pid)/attr/apparmor/current")
[[ $label == 'lxd-c1_</var/lib/lxd>//&:lxd-c1_<var-lib-lxd>:unconfined'* ]] || fail "its AppArmor label: $label"
aa-status 2>/dev/null | grep -qF 'lxd-c1_</var/lib/lxd>' || fail "aa-status does not know it"

group=/sys/fs/cgroup$(sed -n 's/^0:://p' "/proc/$(lxc query /1.0/instances/c1/state | jq .pid)/cgroup" | sed 's,^\(/.*lxc\.payload[^/]*\).*,\1,')
[ "$(cat "$group/memory.max")" = 67108864 ] || fail "memory.max of $group"
[ "$(cat "$group/pids.max")" = 50 ] || fail "pids.max of $group"
sees() { [ "$(lxc exec c1 -- awk "$1" "/proc/$2" </dev/null)" = "$3" ] || fail "it sees in $2: $(lxc exec c1 -- cat "/proc/$2" </dev/null)"; }
sees '/^MemTotal:/ {print $2}' meminfo 65536
sees '{print ($1 < 100)}' uptime 1
lxc config set c1 limits.memory=32MiB
sees '/^MemTotal:/ {print $2}' meminfo 32768
[ "$(cat "$group/memory.max")" = 33554432 ] || fail "memory.max of $group"
check 'pause' lxc pause c1
grep -q 'frozen 1' "$group/cgroup.events" || fail "not frozen"
check 'go on' lxc start c1

pid=$(lxc query /1.0/instances/c1/state | jq .pid)
check 'restart of the service' systemctl restart lxbox.service
[ "$(lxc query /1.0/instances/c1/state | jq .pid)" = "$pid" ] || fail "the guest did not outlive it"
check 'exec by the new daemon' lxc exec c1 -- true
check 'stop' lxc stop c1 --timeout 60
[ ! -d "$group" ] || fail "$group is left"
check 'start' lxc start c1
check 'guests are a service' systemctl start lxbox-guests.service
check 'guests stop with it, as with the machine' systemctl stop lxbox-guests.service
[ ! -d "/proc/$pid" ] || fail "the guest is still there"
check 'and start with it again' systemctl start lxbox-guests.service
for _ in $(seq 60); do
	[ "$(lxc list c1 -c s -f csv)" = RUNNING ] && break
	sleep 1
done
[ "$(lxc list c1 -c s -f csv)" = RUNNING ] || fail "the guest is not back"
check 'stop by force' lxc stop --force c1
check 'the daemon stops' systemctl stop lxbox.service
check 'nobody waits for one that does not run' systemctl stop lxbox-guests.service
echo "vm: all passed"

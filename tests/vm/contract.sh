#!/bin/bash
# Runs inside the virtual machine after the others: contract scripts whose matter differs there, since the kernel confines by AppArmor and
# has control groups of version 2 alone. vm says which; each runs as on any machine, beside a daemon of its own. MINUTES after the
# start of the machine no more of them is begun.
set -u
systemctl stop lxbox-guests.service lxbox.service lxbox.socket 2>/dev/null
# What the machine itself has of them is none of the scripts' business.
mkdir -p /var/lib/lxd
mount -t tmpfs tmpfs /var/lib/lxd
# systemd hands down only the controllers that its units use.
sed 's/[^ ]*/+&/g' /sys/fs/cgroup/cgroup.controllers >/sys/fs/cgroup/cgroup.subtree_control
modprobe -a loop overlay fuse 2>/dev/null
# Or each new network namespace has this kernel's own tunnels in it.
sysctl -q -w net.core.fb_tunnels_only_for_init_net=1
export LXBOX_BIN=/usr/local/bin/lxbox LXBOX_IMAGE=/host/bb.tar.gz LXBOX_READY=120
failed=0
for script in "$@"; do
	began=$SECONDS
	up=$(cut -d. -f1 /proc/uptime)
	if [ -n "${MINUTES:-}" ] && ((up > MINUTES * 60)); then
		echo "vm: contract $script: left out, after $up s"
		continue
	fi
	if timeout 600 /host/tests/tools/with-daemon "/host/tests/contract/$script.sh" >"/tmp/$script" 2>&1; then
		echo "vm: contract $script: $(grep -c '^ok' "/tmp/$script") cases, $((SECONDS - began)) s"
	else
		failed=1
		echo "FAILED: contract $script, $((SECONDS - began)) s"
		grep -v '^ok' "/tmp/$script"
	fi
done
[ $failed = 0 ] && echo "vm: no contract failed"
exit $failed

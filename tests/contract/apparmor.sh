#!/bin/bash
# AppArmor: what confines guests where the host has it (in the virtual machine; most machines that build this don't), and that
# they run without it where it doesn't.
# covers: PUT /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
KERNEL=/sys/kernel/security/apparmor
here() { [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ] && [ -e $KERNEL/.replace ]; }
pid_of() { req GET "$I/$1/state"; get .metadata.pid; }
label() { cat "/proc/$1/attr/apparmor/current"; }
loaded() { grep -q "^lxd-$1_<$LXD_DIR> (enforce)$" $KERNEL/profiles; }
space() { [ -d "$KERNEL/policy/namespaces/lxd-$1_<$(tr / - <<<"${LXD_DIR#/}")>" ]; }
again() {
	lxc stop -f "$1" >/dev/null 2>&1 </dev/null
	does lxc start "$1"
}
warned() { lxc warning list --format json | jq -e 'map(select(.type == "AppArmor support has been disabled" and .status != "resolved")) | length > 0'; }

it "says when guests aren't confined by it"
if here; then
	! warned >/dev/null || fail "a warning: $(lxc warning list)"
else
	until_true 10 warned
fi

it "takes lines for the profile, also where there is none"
launch aa1
does lxc config set aa1 raw.apparmor $'# no more\ndeny /root/secret rw,'
gives 'deny /root/secret rw,' eval 'lxc config get aa1 raw.apparmor | tail -n 1'
does lxc config unset aa1 raw.apparmor
does lxc config set aa1 raw.lxc 'lxc.apparmor.profile = unconfined'
again aa1
does inside aa1 true
does lxc config unset aa1 raw.lxc
if ! here; then
	does lxc delete -f aa1
	done_testing
	exit
fi

it "gives each guest a profile of LXD's name, and its commands too"
again aa1
name="lxd-aa1_<$LXD_DIR>"
until_true 5 loaded aa1
like "$(label "$(pid_of aa1)")" "^$name//&:lxd-aa1_<[^/]*>:unconfined"
inside aa1 sleep 321 &
mine() { for at in /proc/[0-9]*; do tr '\0' ' ' <"$at/cmdline" | grep -q '^sleep 321 ' && basename "$at"; done 2>/dev/null; }
until_true 10 eval '[ -n "$(mine)" ]'
like "$(label "$(mine | head -n 1)")" "^$name//&:"
does inside aa1 sh -c 'sleep 322 & kill $!'
does inside aa1 killall sleep
wait
refuses 'denied|No such' inside aa1 cat /proc/kcore
does inside aa1 mount -t tmpfs tmpfs /mnt

it "has policies of the guest's own below it"
if space aa1; then
	gives "lxd-aa1_<$(tr / - <<<"${LXD_DIR#/}")>" inside aa1 cat $KERNEL/.ns_name
	gives yes inside aa1 cat $KERNEL/.ns_stacked
	gives '' inside aa1 cat $KERNEL/profiles
else
	fail "no namespace: $(ls $KERNEL/policy/namespaces)"
fi

it "keeps a privileged guest from the host's kernel, and from other ways there"
does lxc launch bb aa2 -q -c security.privileged=true
same "$(label "$(pid_of aa2)")" "lxd-aa2_<$LXD_DIR> (enforce)"
does inside aa2 mkdir -p /x /y
# The mounts that make them read-only are the guest's own.
does inside aa2 umount -l /proc/sys
does inside aa2 umount -l /proc/sysrq-trigger
refuses 'denied' inside aa2 sh -c 'cat /proc/sys/kernel/core_pattern >/proc/sys/kernel/core_pattern'
refuses 'denied' inside aa2 sh -c 'echo 0 >/proc/sys/vm/drop_caches'
does inside aa2 sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'
refuses 'denied' inside aa2 sh -c 'echo h >/proc/sysrq-trigger'
for wrong in '-t proc proc /x' '-t sysfs sys /x' '-o bind /proc /x' '-o bind /sys /x' '-o rbind / /x' '-t debugfs d /x' '-o remount,rw /sys' '-t ext4 /dev/vda /x'; do
	refuses 'denied|such' inside aa2 mount $wrong
done
does inside aa2 mount -t tmpfs tmpfs /x
does inside aa2 umount /x
does inside aa2 sh -c 'sleep 322 & kill $!'

it "lets it mount what it likes with nesting"
does lxc config set aa2 security.nesting=true
again aa2
does inside aa2 mount -t proc proc /x
does inside aa2 mount -o bind /proc /y
refuses 'denied' inside aa2 ls /dev/.lxc/proc/1
does inside aa2 umount -l /proc/sysrq-trigger
refuses 'denied' inside aa2 sh -c 'echo h >/proc/sysrq-trigger'

it "adds an operator's lines, while the guest runs too, and refuses wrong ones"
does inside aa1 touch /root/secret /root/other
does lxc config set aa1 raw.apparmor 'deny /root/secret rw,'
refuses 'denied' inside aa1 cat /root/secret
does inside aa1 cat /root/other
refuses 'AppArmor profile' lxc config set aa1 raw.apparmor 'no such rule'
gives 'deny /root/secret rw,' lxc config get aa1 raw.apparmor
refuses 'denied' inside aa1 cat /root/secret
again aa1
refuses 'denied' inside aa1 cat /root/secret
does lxc config unset aa1 raw.apparmor
does inside aa1 cat /root/secret

it "compiles each variant once"
files() { ls "$LXD_DIR/security/apparmor/cache"; }
had=$(files)
again aa1
launch aa3
does lxc delete -f aa3
same "$(files)" "$had"
unlike "$(files)" 'text|new'

it "stays with guests that outlive the daemon"
kill -9 "$(cat "$DAEMON_PID_FILE")"
setsid lxd --group root --logfile "$DAEMON_LOG/daemon1.log" >>"$DAEMON_LOG/daemon1.out" 2>&1 </dev/null &
echo $! >"$DAEMON_PID_FILE"
does lxd waitready --timeout=60
loaded aa1 || fail "it was unloaded"
like "$(inside aa1 sh -c 'cat /proc/self/attr/apparmor/current')" unconfined
like "$(label "$(pid_of aa1)")" "^$name//&:"
refuses 'denied' inside aa2 sh -c 'echo h >/proc/sysrq-trigger'

it "goes with the guest, whoever ends it"
does lxc stop -f aa1
! loaded aa1 || fail "it is loaded still"
! space aa1 || fail "the namespace is still there"
does lxc start aa1
guest=$(pid_of aa1)
kill -9 "$(cat "$DAEMON_PID_FILE")"
if [ "$guest" -gt 1 ]; then kill -9 "$guest"; else fail "it doesn't run"; fi
setsid lxd --group root --logfile "$DAEMON_LOG/daemon1.log" >>"$DAEMON_LOG/daemon1.out" 2>&1 </dev/null &
echo $! >"$DAEMON_PID_FILE"
does lxd waitready --timeout=60
until_true 20 is_now aa1 Stopped
! loaded aa1 || fail "it is loaded still"
loaded aa2 || fail "that of another is gone"

it "takes a profile of the host's instead"
echo 'profile lxbox-aa flags=(attach_disconnected) { file, capability, network, mount, umount, signal, ptrace, deny /root/other r, }' >"$SCRATCH/profile"
does apparmor_parser -r "$SCRATCH/profile"
does lxc config set aa1 raw.lxc 'lxc.apparmor.profile = lxbox-aa'
again aa1
same "$(label "$(pid_of aa1)")" 'lxbox-aa (enforce)'
refuses 'denied' inside aa1 cat /root/other
does lxc config set aa1 raw.lxc 'lxc.apparmor.profile = lxbox-nothing'
refuses 'AppArmor label' lxc restart -f aa1
does lxc delete -f aa1 aa2
! grep -q "<$LXD_DIR>" $KERNEL/profiles || fail "profiles are left: $(cat $KERNEL/profiles)"
echo -n lxbox-aa >$KERNEL/.remove
done_testing

#!/bin/bash
# What a container may do by its configuration: system calls, resource limits, kernel parameters, kernel modules.
# covers: PUT /1.0/instances/{name}/state
. "$(dirname "$0")/lib.bash"
again() { # once more, with the new configuration
	lxc stop -f "$1" >/dev/null 2>&1 </dev/null
	does lxc start "$1"
}
# LXD's way down from a start that fails at its end may hang.
refuses_late() { ! ours || refuses_to_start "$1"; }
refuses_to_start() { # INSTANCE
	lxc stop -f "$1" >/dev/null 2>&1 </dev/null
	refuses . lxc start "$1"
	lxc stop -f "$1" >/dev/null 2>&1 </dev/null
}
does lxc launch bb sec1 -q

it "denies system calls by name, with an error number or for good"
does lxc config set sec1 security.syscalls.deny $'mkdir errno 1\nmkdirat errno 1'
again sec1
ends 1 inside sec1 mkdir /root/a
like "$out" 'Operation not permitted'
does inside sec1 touch /root/b
does lxc config set sec1 security.syscalls.deny $'# by default\nmkdir\n[all]\nmkdirat'
again sec1
ends 159 inside sec1 mkdir /root/a
does lxc config set sec1 security.syscalls.deny 'mkdir foo bar'
refuses_to_start sec1
does lxc config unset sec1 security.syscalls.deny
does lxc config set sec1 security.syscalls.blacklist $'mkdir errno 13\nmkdirat errno 13'
again sec1
ends 1 inside sec1 mkdir /root/a
like "$out" 'Permission denied'
does lxc config unset sec1 security.syscalls.blacklist

it "denies what is denied by default unless it is told not to"
again sec1
gives 'Seccomp:	2' inside sec1 grep Seccomp: /proc/1/status
does lxc config set sec1 security.syscalls.deny_default=false
again sec1
gives 'Seccomp:	0' inside sec1 grep Seccomp: /proc/1/status
gives 'Seccomp:	0' inside sec1 grep Seccomp: /proc/self/status
does lxc config unset sec1 security.syscalls.deny_default

it "takes a whole filter, with conditions on arguments"
does lxc config set sec1 raw.seccomp $'2\ndenylist\n[all]\nsocket errno 13 [0,1,SCMP_CMP_EQ]\nchmod errno 5 [1,0700,SCMP_CMP_MASKED_EQ,0700]\nfchmodat errno 5 [2,0700,SCMP_CMP_MASKED_EQ,0700]\nfchmodat2 errno 5 [2,0700,SCMP_CMP_MASKED_EQ,0700]\n'
again sec1
does inside sec1 touch /root/c
ends 1 inside sec1 chmod 750 /root/c
like "$out" 'I/O error|Input/output error'
does inside sec1 chmod 444 /root/c
does lxc config set sec1 raw.seccomp 'no filter'
refuses_to_start sec1
does lxc config unset sec1 raw.seccomp

it "refuses keys that contradict each other"
does lxc config set sec1 security.syscalls.deny=mkdir
refuses 'security.syscalls.allow is mutually exclusive with security.syscalls.deny' lxc config set sec1 security.syscalls.allow=read
refuses 'raw.seccomp is mutually exclusive with security.syscalls' lxc config set sec1 raw.seccomp=x
does lxc config unset sec1 security.syscalls.deny

it "sets resource limits, also of what is executed later"
does lxc config set sec1 limits.kernel.nofile=100:200 limits.kernel.core=4096
again sec1
gives '100 200' inside sec1 sh -c 'echo $(ulimit -n) $(ulimit -Hn)'
gives 'Max open files            100                  200                  files     ' inside sec1 grep 'Max open files' /proc/1/limits
like "$(inside sec1 grep 'Max core file size' /proc/self/limits)" ' 4096 +4096 '
does lxc config set sec1 limits.kernel.nofile=300
again sec1
gives '300 300' inside sec1 sh -c 'echo $(ulimit -n) $(ulimit -Hn)'
does lxc config set sec1 limits.kernel.cpu=unlimited limits.kernel.memlock=4096:8192
again sec1
like "$(inside sec1 grep 'Max cpu time' /proc/self/limits)" ' unlimited +unlimited '
like "$(inside sec1 grep 'Max locked memory' /proc/self/limits)" ' 4096 +8192 '
does lxc config set sec1 limits.kernel.nofile=unlimited
refuses_late sec1
refuses . lxc config set sec1 limits.kernel.nofile=abc
does lxc config set sec1 limits.kernel.nofile=200:100
refuses_late sec1
does lxc config unset sec1 limits.kernel.nofile

it "sets kernel parameters of the container"
does lxc config set sec1 linux.sysctl.net.ipv4.ip_forward=1 linux.sysctl.net.ipv4.conf.lo.log_martians=1 linux.sysctl.kernel.msgmax=5000
again sec1
gives 1 inside sec1 cat /proc/sys/net/ipv4/ip_forward
gives 1 inside sec1 cat /proc/sys/net/ipv4/conf/lo/log_martians
gives 5000 inside sec1 cat /proc/sys/kernel/msgmax
same "$(cat /proc/sys/kernel/msgmax)" 8192 "the host's"
does lxc config set sec1 linux.sysctl.no.such.thing=1
refuses_late sec1
does lxc config unset sec1 linux.sysctl.no.such.thing
does lxc config set sec1 linux.sysctl.net.ipv4.ip_forward=x
refuses_late sec1
does lxc config unset sec1 linux.sysctl.net.ipv4.ip_forward

it "takes lines of an LXC configuration"
is_now sec1 Running && does lxc stop -f sec1
refuses 'Invalid raw.lxc line: foo|Failed to set LXC config' lxc config set sec1 raw.lxc foo
refuses 'lxc.log' lxc config set sec1 raw.lxc lxc.log.file=/x
refuses 'Process limits should be set via' lxc config set sec1 raw.lxc lxc.prlimit.nofile=500
mkdir -p "$SCRATCH/from/below"
does lxc config set sec1 raw.lxc "# everyday ones
lxc.sysctl.net.ipv4.ip_forward = 1
lxc.cap.drop = sys_boot mac_admin
lxc.environment = FROM_LXC=a=b
lxc.apparmor.profile = unconfined
lxc.mount.auto = proc:rw sys:rw cgroup:rw
lxc.mount.entry = $SCRATCH/from opt/there none bind,ro,create=dir 0 0
lxc.mount.entry = /no/where opt/nowhere none bind,optional,create=dir 0 0
lxc.start.auto = 1
lxc.uts.name = another"
does lxc start sec1
gives another inside sec1 cat /proc/sys/kernel/hostname
gives 1 inside sec1 cat /proc/sys/net/ipv4/ip_forward
gives below inside sec1 ls /opt/there
ends 1 inside sec1 touch /opt/there/x
gives FROM_LXC=a=b inside sec1 sh -c 'tr "\0" "\n" </proc/1/environ | grep FROM_LXC'
kept=$((0x$(inside sec1 sed -n 's/^CapBnd:\t//p' /proc/1/status)))
same "$((kept >> 22 & 1)) $((kept >> 33 & 1)) $((kept >> 21 & 1))" '0 0 1' 'capabilities'
does lxc stop -f sec1
does lxc config unset sec1 raw.lxc

it "does not start without the kernel modules it needs, nor takes them when it runs"
is_now sec1 Running || does lxc start sec1
refuses "Failed to load kernel module 'lxbox_has_none'" lxc config set sec1 linux.kernel_modules=lxbox_has_none
gives '' lxc config get sec1 linux.kernel_modules
does lxc stop -f sec1
does lxc config set sec1 linux.kernel_modules=lxbox_has_none
refuses "Failed to load kernel module 'lxbox_has_none'" lxc start sec1
is_now sec1 Stopped || fail 'it runs'
does lxc config unset sec1 linux.kernel_modules
again sec1

# LXD 5.0.2 ignores system calls it doesn't know, and denies names that no kernel has.
if ours; then
	it "says which system call, or resource, there isn't"
	does lxc config set sec1 security.syscalls.deny=no_such_call
	refuses 'Unknown system call "no_such_call"' lxc restart -f sec1
	does lxc config unset sec1 security.syscalls.deny
	refuses 'Unknown resource "files"' lxc config set sec1 limits.kernel.files=3
	is_now sec1 Running || does lxc start sec1

	# There it can't be stopped any more.
	it "allows nothing but what is allowed"
	does lxc config set sec1 security.syscalls.allow=read
	refuses_to_start sec1
	does lxc config unset sec1 security.syscalls.allow
	again sec1

	it "denies the calls of other architectures"
	base64 -d >"$SCRATCH/i386" <<<'f0VMRgEBAQAAAAAAAAAAAAIAAwABAAAAVIAECDQAAAAAAAAAAAAAADQAIAABACgAAAAAAAEAAAAAAAAAAIAECACABAh1AAAAdQAAAAUAAAAAEAAAuBQAAADNgIP4AHwJMdu4AQAAAM2AuwMAAAC4AQAAAM2A'
	does lxc file push -q --mode 0755 "$SCRATCH/i386" sec1/root/i386
	if [ "$(uname -m)" = x86_64 ]; then
		does inside sec1 /root/i386
		does lxc config set sec1 security.syscalls.deny_compat=true
		again sec1
		ends 139 inside sec1 /root/i386
		does lxc config unset sec1 security.syscalls.deny_compat
	fi
fi
does lxc delete -f sec1
done_testing

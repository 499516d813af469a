#!/bin/bash
# System calls that are done outside of a container: whichever of those that do them die, no caller hangs, and calls go on being answered.
. "$(dirname "$0")/lib.bash"
# worker NAME: the process that takes the calls of a guest, a child of its shim.
worker() {
	local task shim
	shim=$(shim_of "$1")
	for task in /proc/[0-9]*; do
		[ "$(cat "$task/comm" 2>/dev/null)" = intercept ] && [ "$(sed 's/.*) //' "$task/stat" 2>/dev/null | cut -d' ' -f2)" = "$shim" ] && echo "${task#/proc/}"
	done
}
has_worker() { [ "$(worker "$1" | grep -c .)" = 1 ]; }
# tries NAME: a process of the guest that makes nodes for ever, and says how often that was done, and how often interrupted.
tries() {
	inside "$1" sh -c 'setsid sh -c "done=0; failed=0; while :; do if timeout 5 mknod /root/n c 1 3; then done=\$((done+1)); rm /root/n; else failed=\$((failed+1)); rm -f /root/n; fi; echo \$done \$failed >/root/told.new; mv /root/told.new /root/told; done" >/dev/null 2>&1 </dev/null &'
	until_true 10 told "$1"
}
told() { cat "/proc/$(init_of "$1")/root/root/told"; }
done_more() { [ "$(told "$1" | cut -d' ' -f1)" -gt "$2" ]; }
goes_on() { local before; before=$(told "$1" | cut -d' ' -f1) && until_true 10 done_more "$1" $((before + 2)); }
launch isv1 -c security.syscalls.intercept.mknod=true
launch isv2

it "is a process of its own where it is asked for, and nothing elsewhere"
until_true 5 has_worker isv1
same "$(worker isv2)" '' 'workers of a guest that intercepts nothing'
same "$(ls -l "/proc/$(worker isv1)/fd" | grep -cE 'ptmx|shim.sock|rootfs|lock')" 0 'descriptors of the shim'
tries isv1
goes_on isv1

it "answers while there is no daemon"
end_daemon
goes_on isv1
begin_daemon
goes_on isv1
works isv1

it "answers when its worker was killed, and lets no caller hang"
for _ in $(seq 20); do
	until_true 5 has_worker isv1
	kill -9 "$(worker isv1)" 2>/dev/null
	sleep 0.05
done
goes_on isv1
# Calls that were taken then: the caller is told, and by the kernel itself.
[ "$(told isv1 | cut -d' ' -f2)" -le 20 ] || fail "more failed than were interrupted: $(told isv1)"
[ ! -e /proc/$(init_of isv1)/root/root/stuck ] || fail 'a call hangs'

it "ends with the guest"
was=$(worker isv1)
does lxc stop -f isv1
until_true 5 dead "$was"
does lxc start isv1
until_true 5 has_worker isv1
does inside isv1 mknod /root/after c 1 3
does lxc stop -f isv1

for point in intercept.taken intercept.acted; do
	it "tells the caller when its worker dies at $point"
	end_daemon TERM
	begin_daemon LXBOX_FAULT=$point
	does lxc start isv1
	# Both are answered: what was made, was made.
	for _ in 1 2; do
		ends 1 inside isv1 timeout 5 mknod "/root/$point" c 1 3
		like "$out" 'Interrupted system call|File exists'
	done
	[ $point = intercept.acted ] || ends 1 inside isv1 test -e "/root/$point"
	works isv1
	does lxc stop -f isv1
	another_daemon TERM
done
does lxc delete -f isv1 isv2
clean
done_testing

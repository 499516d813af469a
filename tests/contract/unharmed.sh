#!/bin/bash
# A guest that writes while it is copied: through an open file, a working directory and memory. It goes on unharmed, the
# snapshot holds what it had written, and the kernel has nothing to complain about.
# covers: POST /1.0/instances/{name}/snapshots
. "$(dirname "$0")/lib.bash"
launch unh1
kernel_log() { dmesg 2>/dev/null | grep -ciE 'overlay.*in-use|in-use.*(upper|work)dir'; }
does dmesg
before=$(kernel_log)
# Enough that it isn't copied in one pass.
inside unh1 sh -c 'mkdir -p /root/many/there; cd /root/many; for i in $(seq 600); do echo $i >f$i; done; cat /bin/busybox /bin/busybox >large'
inside unh1 sh -c 'echo begun >/root/log; exec 7>>/root/log; cd /root/many/there; i=0
	while [ ! -e /root/stop ]; do i=$((i + 1)); echo line $i >&7; echo $i >here; mv here there; done; echo ended $i >&7' >/dev/null 2>&1 &
written() { inside unh1 wc -l /root/log | awk '{print $1}'; }
# Memory: a file of the guest's, mapped by a process of ours as one of the guest's own would.
inside unh1 sh -c 'head -c 65536 /bin/busybox >/root/mapped'
pid=$(req GET "$I/unh1/state"; get .metadata.pid)
python3 -c 'import mmap, os, sys
m = mmap.mmap(os.open(sys.argv[1], os.O_RDWR), 65536)
i = 0
while not os.path.exists(sys.argv[2]):
    i += 1
    m[4096:4106] = b"%010d" % i
    m[60000:60010] = b"%010d" % i
print(i)' "/proc/$pid/root/root/mapped" "$SCRATCH/unmap" >"$SCRATCH/mapped" &
mapper=$!
moves() { local n; n=$(written); sleep 0.3; [ "$(written)" -gt "$n" ]; }
until_true 20 moves

it "keeps a guest going through snapshots and copies"
for i in 1 2 3; do
	n=$(written)
	does lxc snapshot unh1 "s$i"
	until_true 10 moves
	[ "$(written)" -gt "$n" ] || fail "nothing was written after snapshot $i"
done
does lxc copy unh1 unh2 --instance-only
until_true 10 moves
touch "$SCRATCH/unmap"
wait $mapper
same "$(inside unh1 sh -c 'dd if=/root/mapped bs=1 skip=60000 count=10 2>&-')" "$(printf %010d "$(cat "$SCRATCH/mapped")")" memory
inside unh1 touch /root/stop
ended() { inside unh1 tail -n 1 /root/log | grep -q ended; }
until_true 10 ended
n=$(inside unh1 tail -n 1 /root/log | awk '{print $2}')
same "$(inside unh1 sh -c 'tail -n 2 /root/log | head -n 1; cat /root/many/there/there; ls /root/many | wc -l')" "line $n"$'\n'"$n"$'\n'602
same "$(inside unh1 grep -c line /root/log)" "$n" lines

it "has all of it in the snapshots"
last=0
for i in 1 2 3; do
	does lxc copy "unh1/s$i" "unh1$i"
	does lxc start "unh1$i"
	# Line after line, without a gap, and more than before.
	lines=$(inside "unh1$i" grep -c '^line ' /root/log)
	same "$(inside "unh1$i" sh -c 'grep "^line " /root/log | tail -n 1')" "line $lines" "snapshot $i"
	[ "$lines" -ge "$last" ] || fail "snapshot $i has less than the one before"
	last=$lines
	same "$(inside "unh1$i" sh -c 'ls /root/many | wc -l; cat /root/many/f600')" $'602\n600' "files of snapshot $i"
	bounded lxc delete -f "unh1$i" >/dev/null || does lxc delete "unh1$i"
done
does lxc delete -f unh2

it "gives the kernel no reason to complain"
same "$(kernel_log)" "$before" dmesg
does lxc restore unh1 s1
same "$(state_of unh1)" Running
same "$(inside unh1 test -e /root/stop && echo there)" ''
inside unh1 touch /root/stop
does lxc delete -f unh1
done_testing

#!/bin/bash
# security.nesting: what a guest that has guests of its own needs, and the plain directories that its overlays stand on.
# covers: PUT /1.0/instances/{name}/state
. "$(dirname "$0")/lib.bash"

does lxc init bb nest1 -q
does lxc config set nest1 security.nesting=true
does lxc start nest1

it "mounts a proc and a sysfs beside its own, so that the kernel allows others inside"
does inside nest1 test -e /dev/.lxc/proc/stat -a -d /dev/.lxc/sys/class
does inside nest1 unshare -m -p -f sh -c 'mount -t proc proc /proc && [ "$(ls -d /proc/[0-9]* | head -n 1)" = /proc/1 ]'
does inside nest1 unshare -m -U -r sh -c 'mount -t tmpfs t /mnt && mount -o bind /root /mnt'

# layered GUEST DIRECTORY: the guest lays an overlay over directories in there, hides a file of the lower one, and changes another.
layered() {
	inside "$1" sh -ec 'mkdir -p $0; cd $0; mkdir -p low up work all; echo a >low/a; echo b >low/b
		mount -t overlay o -o lowerdir=low,upperdir=up,workdir=work,userxattr all
		rm all/a; echo c >>all/b; mv all/b all/d; ls all; cat all/d; umount all; ls -l up' "$2"
}

it "lets overlays of the guest's own stand on /var/lib/docker"
does inside nest1 mkdir -p /var/lib/docker
does layered nest1 /var/lib/docker
like "$out" $'d\nb\nc\n'
like "$out" ' 0, +0 .* a'

if ours && [ "${LXBOX_POOL-dir}" = overlay ]; then
	it "refuses them anywhere else, where the guest's root is an overlay itself"
	refuses 'nvalid argument' layered nest1 /root
	it "gives the directories to the guest's root"
	for name in containers containerd docker kubelet lxd; do
		gives '0:0 711' inside nest1 stat -c '%u:%g %a' "/var/lib/$name"
	done
fi

it "keeps them over a restart"
does lxc restart -f nest1
gives b inside nest1 sh -c 'tail -n 1 /var/lib/docker/low/b'
gives 'a
b
d' inside nest1 ls /var/lib/docker/up

it "has them in a snapshot, of a running and of a stopped guest"
does lxc snapshot nest1 hot
inside nest1 sh -c 'echo later >/var/lib/docker/mark'
does lxc stop -f nest1
does lxc snapshot nest1 cold
does lxc start nest1
gives later inside nest1 cat /var/lib/docker/mark
inside nest1 sh -c 'echo last >/var/lib/docker/mark'
does lxc restart -f nest1
gives last inside nest1 cat /var/lib/docker/mark

it "goes back to them"
does lxc restore nest1 cold
is_up() { inside nest1 test -d /proc/1; }
until_true 20 is_up
gives later inside nest1 cat /var/lib/docker/mark
does lxc restore nest1 hot
until_true 20 is_up
refuses . inside nest1 cat /var/lib/docker/mark
gives 'c 0:0' inside nest1 sh -c '[ -c /var/lib/docker/up/a ] && stat -c "c %t:%T" /var/lib/docker/up/a'

it "copies them, to another pool too"
does lxc copy nest1/cold nest2
does lxc start nest2
gives later inside nest2 cat /var/lib/docker/mark
gives 'c 0:0' inside nest2 stat -c 'c %t:%T' /var/lib/docker/up/a
inside nest2 sh -c 'echo other >/var/lib/docker/mark'
other=dir
! ours || [ "${LXBOX_POOL-dir}" != dir ] || other=overlay
does lxc storage create nestpool $other
does lxc copy nest2 nest3 -s nestpool --stateless
does lxc start nest3
gives other inside nest3 cat /var/lib/docker/mark
gives 'c 0:0' inside nest3 stat -c 'c %t:%T' /var/lib/docker/up/a
does layered nest3 /var/lib/docker/again
does lxc stop -f nest3
does lxc move nest3 nest4 -s default
does lxc start nest4
gives other inside nest4 cat /var/lib/docker/mark
gives 'c 0:0' inside nest4 stat -c 'c %t:%T' /var/lib/docker/up/a

it "takes them along in backups and images"
inside nest1 sh -c 'echo kept >/var/lib/docker/mark; mkdir -p /var/lib/lxd/x; echo y >/var/lib/lxd/x/y'
does lxc export nest1 "$SCRATCH/hot.tar.gz"
does lxc stop -f nest1
does lxc export nest1 "$SCRATCH/cold.tar.gz" --instance-only
does lxc publish nest1 --alias nestimage
does lxc start nest1
for from in hot cold image; do
	if [ $from = image ]; then
		does lxc init nestimage nest6 -c security.nesting=true
	else
		does lxc import "$SCRATCH/$from.tar.gz" nest6
	fi
	does lxc start nest6
	gives 'kept y' inside nest6 sh -c 'echo $(cat /var/lib/docker/mark /var/lib/lxd/x/y)'
	gives 'c 0:0' inside nest6 stat -c 'c %t:%T' /var/lib/docker/up/a
	does layered nest6 /var/lib/docker/again
	if [ $from = hot ]; then
		does lxc restore nest6 cold
		until_true 20 inside nest6 true
		gives later inside nest6 cat /var/lib/docker/mark
	fi
	does lxc delete -f nest6
done
does lxc image delete nestimage

it "keeps what a guest had there before it was nesting"
does lxc launch bb nest5 -q
inside nest5 sh -c 'mkdir -p /var/lib/docker/vfs; echo old >/var/lib/docker/vfs/f; chown 7:8 /var/lib/docker/vfs; ln -s /root /var/lib/kubelet'
does lxc config set nest5 security.nesting=true
does lxc restart -f nest5
gives 'old 7:8' inside nest5 sh -c 'echo $(cat /var/lib/docker/vfs/f) $(stat -c %u:%g /var/lib/docker/vfs)'
gives /root inside nest5 readlink /var/lib/kubelet
inside nest5 sh -c 'echo new >/var/lib/docker/vfs/f'
does lxc config set nest5 security.nesting=false
does lxc restart -f nest5
gives new inside nest5 cat /var/lib/docker/vfs/f

# What systemd does in a guest that has it.
mount_groups() {
	inside "$1" sh -ec 'mount -t tmpfs cgroups /sys/fs/cgroup; cd /sys/fs/cgroup
		while IFS=: read -r n controllers path; do
			case $controllers in
			"") mkdir unified && mount -t cgroup2 cgroup2 unified ;;
			name=systemd) mkdir systemd && mount -t cgroup -o none,name=systemd cgroup systemd ;;
			*) mkdir "$controllers" && mount -t cgroup -o "$controllers" cgroup "$controllers" ;;
			esac
		done </proc/self/cgroup'
}

if ours; then
	does lxc file push -q "$(readlink -f "$(command -v lxd)")" nest1/usr/bin/lxbox --mode 755
	inside nest1 lxbox version >/dev/null 2>&1
	# A file that isn't static has no loader there.
	[ $? != 127 ] || skip='not static'
fi
if ours && [ -z "${skip:-}" ]; then
	it "runs our own daemon, with a guest that is unprivileged in an unprivileged one"
	does inside nest1 sh -c 'ln -s lxbox /usr/bin/lxd; ln -s lxbox /usr/bin/lxc'
	does lxc file push -q "$BB" nest1/root/bb
	does mount_groups nest1
	inside nest1 sh -c 'setsid lxd --group root --logfile /root/log >/root/out 2>&1 </dev/null &'
	does inside nest1 lxd waitready --timeout=30
	does inside nest1 lxd init --auto
	does inside nest1 lxc image import /root/bb --alias bb
	does inside nest1 lxc launch bb inner
	like "$(inside nest1 lxc exec inner -- cat /proc/self/uid_map)" '^ +0 +1000000 '
	gives inner inside nest1 lxc exec inner -- hostname
	pid=$(inside nest1 lxc info inner | sed -n 's/^PID: //p')
	like "$(inside nest1 grep -l . "/proc/$pid/uid_map")" uid_map
	does inside nest1 lxc exec inner -- sh -c 'touch /f && chown 1000:1000 /f'
	gives '1001000:1001000' inside nest1 stat -c %u:%g /var/lib/lxd/storage-pools/default/containers/inner/rootfs/f
	does inside nest1 lxc restart -f inner
	does inside nest1 lxc config set inner limits.memory=32MiB limits.processes=30
	does inside nest1 lxc delete -f inner
	does inside nest1 lxd shutdown
fi

it "takes them away with the instance"
for name in nest1 nest2 nest4 nest5; do does lxc delete -f $name; done
does lxc storage delete nestpool

done_testing

#!/bin/bash
# `nvidia.runtime`: NVIDIA's tool, for which a script stands here, mounts what it has in the guest's root at each start.
# covers: PUT /1.0/instances/{name}/state
. "$(dirname "$0")/lib.bash"
mount -t tmpfs -o mode=755 tmpfs /usr/local/sbin
tool=/usr/local/sbin/nvidia-container-cli
# In the root it is given: what it was called with, and who and where it is; and a library of the host's. As the real one does, it
# finds its parent by the root's own /proc.
cat >"$tool" <<'T'
#!/bin/bash
for root; do :; done
exec 3>>"$root/called"
echo "${*:1:$#-1}" | sed 's/@[^ ]*/@FILE/' >&3
echo "parent $PPID user $(id -u) map $(awk '{print ($3 > 4000000000 ? "all" : $2 > 0)}' /proc/self/uid_map)" >&3
[ "$(readlink "$root/proc/$PPID/ns/mnt")" = "$(readlink /proc/self/ns/mnt)" ] && echo 'same mounts' >&3
[ -e "$root/dev/null" ] || [ -d "$root/dev" ] && echo 'devices are there' >&3
[ ! -e /called ] && [ -e /etc/debian_version ] && echo "the host's files" >&3
mkdir -p "$root/usr/lib/driver" && touch "$root/usr/lib/driver/libcuda.so"
mount --bind /etc/debian_version "$root/usr/lib/driver/libcuda.so"
echo 'nothing of this reaches anybody'
T
chmod 755 "$tool"
seen() { inside "$1" cat /called | tr '\n' ';'; }

it "has the tool mount libraries before the guest begins"
does lxc init bb n1 -q -c nvidia.runtime=true -c nvidia.driver.capabilities=compute,video
does lxc start n1
called='--user configure --no-cgroups --ldconfig=@FILE'
found="parent 1 user 0 map 1;same mounts;devices are there;the host's files;"
# The conditions: LXD 5.0.2 gives those that aren't set, and leaves out those that are.
same "$(seen n1 | sed 's/ --require=//g')" "$called --compute --video;$found"
same "$(inside n1 cat /usr/lib/driver/libcuda.so)" "$(cat /etc/debian_version)"
like "$(inside n1 cat /proc/mounts)" ' /usr/lib/driver/libcuda.so '
same "$(inside n1 sh -c 'cd /; ls -d usr lib* var/lib/lxd 2>/dev/null | head -1')" usr "the guest's own tree"

it "tells the guest of it"
same "$(inside n1 env | grep -c '^NVIDIA_VISIBLE_DEVICES=none$\|^NVIDIA_DRIVER_CAPABILITIES=compute,video$')" 2
same "$(inside n1 cat /proc/1/environ | tr '\0' '\n' | grep -c '^NVIDIA_DRIVER_CAPABILITIES=compute,video$')" 1

it "does it again at the next start"
does lxc stop -f n1
does lxc config set n1 nvidia.driver.capabilities=all
does lxc start n1
same "$(seen n1 | sed 's/ --require=//g')" "$called --compute --video;$found$called --compute --compat32 --display --graphics --utility --video;$found"
does lxc stop -f n1

if ours; then
	it "hands on conditions"
	does lxc config set n1 nvidia.require.cuda='cuda>=9.0' nvidia.require.driver='driver>=390'
	does lxc config unset n1 nvidia.driver.capabilities
	does lxc start n1
	same "$(seen n1 | cut -d';' -f11)" "$called --compute --utility --require=cuda>=9.0 --require=driver>=390"
	same "$(inside n1 env | grep -c '^NVIDIA_REQUIRE_CUDA=cuda>=9.0$\|^NVIDIA_REQUIRE_DRIVER=driver>=390$')" 2

	it "does it again when the guest reboots"
	before=$(lxc query /1.0/instances/n1/state | jq .pid)
	inside n1 reboot -f
	until_true 20 eval '[ "$(lxc query /1.0/instances/n1/state | jq .pid)" != "$before" ] && [ "$(inside n1 grep -c configure /called)" = 4 ]'
	does lxc stop -f n1

	it "says what is wrong"
	does lxc config set n1 nvidia.driver.capabilities=fly
	refuses 'Unknown capability "fly"' lxc start n1
	does lxc config unset n1 nvidia.driver.capabilities
	printf '#!/bin/sh\necho first >&2\necho no driver here >&2\nexit 3\n' >"$tool"
	refuses 'no driver here' lxc start n1
	does lxc config set n1 security.privileged=true
	refuses 'unprivileged containers only' lxc start n1
	does lxc config unset n1 security.privileged
	does lxc config device add n1 part gpu gputype=mig mig.uuid=c904725f-0d7d-4afd-9ad7-e12ee4b853e1
	refuses 'Failed to detect requested GPU device' lxc start n1
	does lxc config set n1 nvidia.runtime=false
	refuses 'must be "true" for parts of a GPU' lxc start n1
	does lxc config device remove n1 part
	does lxc config set n1 nvidia.runtime=true
fi

it "wants the tool"
rm "$tool"
refuses "The NVIDIA container tools couldn't be found" lxc start n1
does lxc config unset n1 nvidia.runtime
does lxc start n1
does lxc delete -f n1
umount /usr/local/sbin
done_testing

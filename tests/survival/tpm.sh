#!/bin/bash
# TPMs of guests: at a start, while the guest runs, over the ends of daemons, with what they know kept. No kernel here makes such chips:
# a script stands for swtpm, and /sys/class and /dev/vtpmx are made up.
. "$(dirname "$0")/lib.bash"
real=$SCRATCH/sys class=/sys/class bin=$SCRATCH/bin
mkdir "$real" "$bin" && mount --bind /sys "$real"
mount -t tmpfs tmpfs $class
for part in "$real"/class/*; do ln -s "$part" $class 2>/dev/null; done
rm -f $class/tpm $class/tpmrm && mkdir $class/tpm $class/tpmrm
# chip NUMBER NODE NODE
chip() {
	mkdir "$class/tpm/tpm$1" "$class/tpmrm/tpmrm$1"
	echo "$2" >"$class/tpm/tpm$1/dev" && echo "$3" >"$class/tpmrm/tpmrm$1/dev"
}
chip 5 1:5 1:7
chip 6 1:8 1:9
if [ ! -e /dev/vtpmx ]; then
	mknod /dev/vtpmx c 1 3
	trap 'rm -f /dev/vtpmx; '"$(trap -p EXIT | sed "s/^trap -- '//; s/' EXIT$//; s/'\\\\''/'/g")" EXIT
fi
MOUNTS_BEFORE=$(wc -l </proc/self/mountinfo)
# The first chip that no other of these has; what was kept is counted.
cat >"$bin/swtpm.new" <<END
#!/bin/bash
echo "\$*" >>$SCRATCH/words
state=\${4#dir=}
[ ! -e "\$state/broken" ] || { echo "Could not open the state"; exit 1; }
echo x >>"\$state/starts"
for n in 5 6; do
	exec 9>$SCRATCH/chip\$n
	flock -n 9 && break
done
echo "New TPM device: /dev/tpm\$n (major/minor = 1/\$n)"
exec -a stand-in-for-swtpm-$$ sleep infinity
END
chmod +x "$bin/swtpm.new"
nodes() { inside "$1" sh -c 'cd /dev && stat -c "%n:%t:%T:%a" tpm* 2>/dev/null' | xargs; }
played() { words | grep -c "^stand-in-for-swtpm-$$ "; }
helpers() { words | grep -c '^lxbox tpm '; }
starts() { cat "$LXD_DIR/containers/$1/tpm.$2/starts" 2>/dev/null | wc -l; }

it "refuses what can't be"
does lxc init bb tp1 -q
refuses 'Device validation failed for "chip": Failed to validate config: Invalid value for device option "path(rm)?": Required value' lxc config device add tp1 chip tpm
refuses 'Device validation failed for "chip": Failed to validate config: Invalid value for device option "pathrm": Required value' lxc config device add tp1 chip tpm path=/dev/tpm0
does lxc config device add tp1 chip tpm path=/dev/tpm0 pathrm=/dev/tpmrm0
refuses "Failed to start device \"chip\": Failed to validate environment: Required tool 'swtpm' is missing" lxc start tp1
same "$(state_of tp1)" Stopped
mv "$bin/swtpm.new" "$bin/swtpm"
end_daemon && begin_daemon PATH="$PATH:$bin"

it "gives a guest one at its start"
does lxc start tp1
same "$(nodes tp1)" 'tpm0:1:5:660 tpmrm0:1:7:660'
same "$(cat "$SCRATCH/words")" "chardev --tpm2 --tpmstate dir=$(readlink -f "$LXD_DIR/containers/tp1")/tpm.chip --vtpm-proxy"
same "$(stat -c %a:%u "$LXD_DIR/containers/tp1/tpm.chip/")" 700:0

it "gives one to a guest that runs, and takes it away with what it knew"
does lxc config device add tp1 two tpm path=dev/tpm1 pathrm=/dev/tpmrm1
same "$(nodes tp1)" 'tpm0:1:5:660 tpm1:1:8:660 tpmrm0:1:7:660 tpmrm1:1:9:660'
same "$(played) $(helpers)" '2 2'
does lxc config device remove tp1 two
same "$(nodes tp1)" 'tpm0:1:5:660 tpmrm0:1:7:660'
same "$(played) $(helpers)" '1 1'
[ ! -e "$LXD_DIR/containers/tp1/tpm.two" ] || fail 'what it knew is still there'

it "keeps it over the end of a daemon, and what it knows over a reboot and a stop"
end_daemon && begin_daemon PATH="$PATH:$bin"
same "$(nodes tp1)" 'tpm0:1:5:660 tpmrm0:1:7:660'
does lxc config set tp1 user.x y
same "$(starts tp1 chip) $(played)" '1 1'
does lxc restart -f tp1
same "$(nodes tp1)" 'tpm0:1:5:660 tpmrm0:1:7:660'
same "$(starts tp1 chip) $(played)" '2 1'
does lxc stop -f tp1
same "$(played) $(helpers)" '0 0'
does lxc start tp1
same "$(starts tp1 chip)" 3

it "ends it with its guest while there is no daemon, and with its helper"
pid=$(pid_of tp1)
end_daemon
kill -9 "$pid"
until_true 10 eval '[ "$(played) $(helpers)" = "0 0" ]'
begin_daemon PATH="$PATH:$bin"
same "$(state_of tp1)" Stopped
does lxc start tp1
same "$(nodes tp1)" 'tpm0:1:5:660 tpmrm0:1:7:660'
kill -9 "$(jq .process.pid "$LXD_DIR"/run/*/tpms/chip.json)"
until_true 10 eval '[ "$(played)" = 0 ]'
does lxc stop -f tp1

it "tells what the program says when it can't begin, and leaves the guest as it was"
touch "$LXD_DIR/containers/tp1/tpm.chip/broken"
refuses 'Failed to start device "chip": Failed getting TPM device information: Could not open the state' lxc start tp1
same "$(state_of tp1) $(played) $(helpers)" 'Stopped 0 0'
rm "$LXD_DIR/containers/tp1/tpm.chip/broken"
does lxc start tp1

it "has snapshots, copies and moves take along what it knows"
does lxc stop -f tp1
kept=$(starts tp1 chip)
does lxc snapshot tp1 s0
echo x >>"$LXD_DIR/containers/tp1/tpm.chip/starts"
does lxc copy tp1 tp2
same "$(starts tp2 chip)" $((kept + 1))
does lxc restore tp1 s0
same "$(starts tp1 chip)" "$kept"
same "$(stat -c %a:%u "$LXD_DIR/containers/tp1/tpm.chip/")" 700:0
does lxc move tp2 tp3
does lxc start tp3
same "$(starts tp3 chip) $(nodes tp3)" "$((kept + 2)) tpm0:1:5:660 tpmrm0:1:7:660"
does lxc snapshot tp3 s1
does lxc restore tp3 s1
same "$(starts tp3 chip) $(played)" "$((kept + 3)) 1" 'restored while it ran'

it "leaves nothing behind"
does lxc delete -f tp1 tp3
same "$(played) $(helpers)" '0 0'
clean
umount -l $class "$real"
done_testing

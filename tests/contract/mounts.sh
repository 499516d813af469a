#!/bin/bash
# `lxc file mount`: a guest's files in a folder here, by sshfs, for as long as the client runs.
# covers: GET /1.0/instances/{name}/files
. "$(dirname "$0")/lib.bash"
cd "$SCRATCH" || exit 1
own=${LXC%/*}/lxbox
clients=(lxc)
[ ! -x "$own" ] || clients+=("$own client")
[ -e /dev/fuse ] || mknod -m 666 /dev/fuse c 10 229
launch mou1
mkdir at
free() { ! mountpoint -q at && ! pgrep -x sshfs; }
over() { ! kill -0 "$pid" 2>/dev/null; }
# mounts CLIENT SOURCE: has it mount that on `at`; sets pid.
mounts() {
	# Bash has what it starts in the background ignore ctrl+c.
	# shellcheck disable=SC2086
	env --default-signal=INT $1 file mount "$2" at >said 2>&1 & pid=$!
	until_true 20 mountpoint -q at || cat said
}
# left WANTED...: it has ended with one of these, and nothing of it is left.
left() {
	until_true 20 over
	wait $pid
	status=$?
	[[ " $* " == *" $status "* ]] || fail "it ended with $status: $(cat said)"
	until_true 10 free
	same "$(ls -A at)" '' 'what is left'
}

for client in "${clients[@]}"; do
	# LXD's takes it for a failure when the signal is for itself alone, not for its sshfs too; that of being told to end kills it.
	stopped=0 ended=0
	[ "$client" != lxc ] || { stopped='0 1' ended='0 143'; }
	it "is a folder like any other (${client##*/})"
	mounts "$client" mou1/root
	like "$(cat said)" "^sshfs mounting \"mou1/root\" on \"at\""
	echo text >at/written
	does mkdir at/folder
	does mv at/written at/folder/renamed
	does ln -s renamed at/folder/link
	gives text inside mou1 cat /root/folder/link
	inside mou1 sh -c 'echo other >/root/other; chown 7:8 /root/other'
	gives '7:8' stat -c %u:%g at/other
	does rm -r at/folder at/other
	gives '' inside mou1 ls -A /root

	it "ends by ctrl+c, and with its folder (${client##*/})"
	kill -INT $pid
	left $stopped
	mounts "$client" mou1/etc
	does umount at
	left 0

	it "leaves nothing when it is told to end (${client##*/})"
	mounts "$client" mou1/
	gives root stat -c %U at/etc
	kill -TERM $pid
	left $ended

	it "mounts what is stopped (${client##*/})"
	does lxc stop -f mou1
	mounts "$client" mou1/root
	echo stopped >at/file
	gives stopped lxc file pull mou1/root/file -
	does rm at/file
	kill -INT $pid
	left $stopped
	does lxc start mou1

	it "mounts nothing that isn't there (${client##*/})"
	# shellcheck disable=SC2086
	refuses 'Instance not found' $client file mount nope/root at
	# shellcheck disable=SC2086
	refuses 'Target path must be a directory' $client file mount mou1/root said
	# shellcheck disable=SC2086
	refuses 'no such file or directory' $client file mount mou1/root nope
	free || fail 'it is mounted'
done
if ours; then
	it "goes with the guest"
	mounts "$own client" mou1/root
	does lxc stop -f mou1
	left 0 1
fi
done_testing

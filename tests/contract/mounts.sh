#!/bin/bash
# `lxc file mount`: a guest's files in a folder here, by sshfs, or for any SFTP client, for as long as the client runs.
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
	over_with "$@"
	until_true 10 free
	same "$(ls -A at)" '' 'what is left'
}
# over_with WANTED...: it has ended with one of these.
over_with() {
	until_true 20 over
	wait $pid
	status=$?
	[[ " $* " == *" $status "* ]] || fail "it ended with $status: $(cat said)"
}
# listens CLIENT FLAGS...: has it listen for SSH; sets pid, port, user and password.
listens() {
	# Before it starts: what the one before has said must not be taken for its words.
	: >said
	# shellcheck disable=SC2086
	env --default-signal=INT $1 file mount mou1 "${@:2}" >said 2>&1 & pid=$!
	until_true 20 grep -q '^Login' said || cat said
	port=$(sed -n 's/^SSH SFTP listening on 127.0.0.1:\([0-9]*\)$/\1/p' said)
	user=$(sed -n 's/^Login with username "\([^"]*\)".*/\1/p' said)
	password=$(sed -n 's/^Login.* password "\([^"]*\)"$/\1/p' said)
}
printf '#!/bin/sh\necho "$PASSWORD"\n' >ask
chmod +x ask
options=(-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o PubkeyAuthentication=no
	-o NumberOfPasswordPrompts=1 -o LogLevel=ERROR -F none)
# visits USER PASSWORD: what sftp says that has these, and does what its standard input asks for.
visits() {
	PASSWORD=$2 SSH_ASKPASS=$PWD/ask SSH_ASKPASS_REQUIRE=force timeout 30 sftp "${options[@]}" -P "$port" "$1@127.0.0.1" 2>&1
}
# asks WORDS...: what ssh says.
asks() {
	PASSWORD=$password SSH_ASKPASS=$PWD/ask SSH_ASKPASS_REQUIRE=force \
		timeout 30 ssh "${options[@]}" -p "$port" "$user@127.0.0.1" "$@" </dev/null 2>&1
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

	it "listens for SSH, and lets in who knows the password (${client##*/})"
	listens "$client"
	echo sent >file
	like "$(visits "$user" "$password" <<<$'put file /root/sent\nrename /root/sent /root/there\nls /root')" '/root/there'
	gives sent inside mou1 cat /root/there
	does inside mou1 rm /root/there
	head -c 3000000 /dev/urandom >file
	like "$(visits "$user" "$password" <<<$'put file /root/big\nget /root/big back\nrm /root/big')" 'Fetching'
	does cmp file back
	like "$(visits "$user" wrong </dev/null)" 'Permission denied'
	like "$(visits root "$password" </dev/null)" 'Permission denied'
	like "$(asks ls)" 'exec request failed'
	like "$(asks)" 'shell request failed'
	like "$(asks -s other)" 'subsystem request failed'
	like "$(cat said)" 'SSH client connected "127.0.0.1:[0-9]*"'
	like "$(cat said)" 'SSH client disconnected "127.0.0.1:[0-9]*"'
	# Somebody who says nothing that is understood.
	(exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'SSH-2.0-x\r\nnonsense' >&3)
	until_true 10 grep -q 'Failed SSH handshake with client' said

	it "listens where it is told to, for whom it is told to (${client##*/})"
	# shellcheck disable=SC2086
	refuses 'Failed to listen for connection: listen tcp 127.0.0.1:.*address already in use' \
		timeout 20 $client file mount mou1 --listen "127.0.0.1:$port"
	# shellcheck disable=SC2086
	refuses 'Failed to listen for connection' timeout 20 $client file mount mou1 --listen 127.0.0.1
	kill -INT $pid
	over_with 130
	free_port=$port
	listens "$client" --listen "127.0.0.1:$free_port" --auth-user me
	same "$port $user" "$free_port me" 'where and who'
	like "$(visits me "$password" <<<'ls /etc')" '/etc/passwd'
	kill -TERM $pid
	over_with 143
	listens "$client" --no-auth
	like "$(cat said)" 'Login without username and password'
	like "$(visits anyone '' <<<'ls /etc')" '/etc/passwd'
	kill -TERM $pid
	over_with 143
	# shellcheck disable=SC2086
	refuses 'Instance path cannot be used in SSH SFTP listener mode' timeout 20 $client file mount mou1/root
	# shellcheck disable=SC2086
	refuses 'Instance not found' timeout 20 $client file mount nope
done
if ours; then
	it "goes with the guest"
	mounts "$own client" mou1/root
	does lxc stop -f mou1
	left 0 1
fi
done_testing

#!/bin/bash
# SFTP over an instance's tree, by OpenSSH's client.
# covers: GET /1.0/instances/{name}/sftp
. "$(dirname "$0")/lib.bash"
launch sft1
S=$I/sft1/sftp
cd "$SCRATCH" || exit 1
# batch: the lines of standard input as commands of sftp; sets out and status.
batch() { cat >"$SCRATCH/batch"; out=$(set -o pipefail; timeout 60 sftp -q -D "$TOOLS/sftp-bridge $S" -b "$SCRATCH/batch" 2>&1 </dev/null | sed '/^sftp>/d'); status=$?; }

it "wants an upgrade"
req GET $S
error 400 '^Missing or invalid upgrade header$'
req GET $S '' -H 'Connection: Upgrade' -H 'Upgrade: websocket'
error 400 '^Missing or invalid upgrade header$'
req GET $I/nope/sftp '' -H 'Connection: Upgrade' -H 'Upgrade: sftp'
error 404 '^Instance not found$'

for state in running stopped; do
	it "$state: lists, reads and writes"
	head -c 3000000 /dev/urandom >"$SCRATCH/big"
	batch <<-END
		pwd
		cd /etc
		get passwd $SCRATCH/passwd
		put $SCRATCH/big /root/big
		get /root/big $SCRATCH/back
		mkdir /root/$state
		put $SCRATCH/passwd /root/$state/a
		chmod 4751 /root/$state/a
		chown 7 /root/$state/a
		chgrp 8 /root/$state/a
		rename /root/$state/a /root/$state/b
		symlink b /root/$state/link
		ln /root/$state/b /root/$state/hard
		ls -ln /root/$state
		df /root
	END
	like "$out" 'Remote working directory: /'
	like "$out" '-rws?[-rwxs]* .* 7 +8 +115 .*b'
	same "$(sha256sum <"$SCRATCH/back")" "$(sha256sum <"$SCRATCH/big")" 'what came back'
	like "$(cat "$SCRATCH/passwd")" '^root:x:0:0:'
	rm -f "$SCRATCH/back"

	it "$state: says what it can't do"
	while IFS='|' read -r command wanted; do
		batch <<<"$command"
		same "$status" 1 "$command"
		like "$out" "$wanted" "$command"
	done <<-'END'
		get /nope|^File "/nope" not found
		put batch /nope/x|"/nope/x": No such file or directory
		mkdir /root|^remote mkdir "/root": Failure
		rmdir /root|^remote rmdir "/root": Failure
		rm /nope|^remote delete /nope: No such file or directory
		rename /nope /y|^remote rename "/nope" to "/y": No such file or directory
		cd /etc/passwd|"/etc/passwd" is not a directory
	END

	it "$state: never leaves the tree"
	echo host >"$SCRATCH/secret"
	printf 'symlink %s /root/%s/out\nsymlink ../../../../../../../..%s /root/%s/up\n' "$SCRATCH/secret" $state "$SCRATCH/secret" $state >"$SCRATCH/links"
	batch <"$SCRATCH/links"
	same "$status" 0 "$out"
	for name in out up; do
		rm -f "$SCRATCH/got"
		batch <<<"get /root/$state/$name $SCRATCH/got"
		unlike "$(cat "$SCRATCH/got" 2>/dev/null)" host $name
	done
	[ $state = stopped ] || does lxc stop -f sft1
done

it "was all done in the guest"
does lxc start sft1
for state in running stopped; do
	gives '751 7 8 2 b' inside sft1 sh -c "echo \$(stat -c '%a %u %g %h' /root/$state/b) \$(readlink /root/$state/link)"
	gives "$SCRATCH/secret ../../../../../../../..$SCRATCH/secret" inside sft1 sh -c "echo \$(readlink /root/$state/out) \$(readlink /root/$state/up)"
done
same "$(inside sft1 sha256sum /root/big | cut -d' ' -f1)" "$(sha256sum <"$SCRATCH/big" | cut -d' ' -f1)" big

it "goes with the guest, which starts again at once"
mkfifo "$SCRATCH/pipe"
sftp -q -D "$TOOLS/sftp-bridge $S" -b "$SCRATCH/pipe" >"$SCRATCH/session" 2>&1 & session=$!
exec 9>"$SCRATCH/pipe"
echo 'ls -1 /etc' >&9
until_true 10 grep -q passwd "$SCRATCH/session"
if ours; then
	does lxc stop -f sft1
	does lxc start sft1
	gives yes inside sft1 sh -c 'touch /root/again && echo yes'
	echo 'ls -1 /' >&9
	exec 9>&-
	wait $session
	[ $? != 0 ] || fail 'the session went on'
fi
exec 9>&-
kill $session 2>/dev/null

it "stopped: a session keeps nobody out"
does lxc stop -f sft1
sftp -q -D "$TOOLS/sftp-bridge $S" -b "$SCRATCH/pipe" >"$SCRATCH/session" 2>&1 & session=$!
exec 9>"$SCRATCH/pipe"
echo 'ls -1 /etc' >&9
until_true 10 grep -q passwd "$SCRATCH/session"
echo beside >"$SCRATCH/beside"
does lxc file push beside sft1/root/beside
echo "get /root/beside $SCRATCH/got2" | batch
same "$(cat "$SCRATCH/got2")" beside 'what another session got'
echo 'ls -1 /root' >&9
until_true 10 grep -q beside "$SCRATCH/session"
# Who came later goes on when the first one has left.
mkfifo "$SCRATCH/pipe2"
sftp -q -D "$TOOLS/sftp-bridge $S" -b "$SCRATCH/pipe2" >"$SCRATCH/session2" 2>&1 9>&- & second=$!
exec 8>"$SCRATCH/pipe2"
echo 'ls -1 /etc' >&8
until_true 10 grep -q passwd "$SCRATCH/session2"
exec 9>&-
wait $session
gives beside lxc file pull sft1/root/beside -
echo 'ls -1 /root' >&8
until_true 10 grep -q beside "$SCRATCH/session2"
exec 8>&-
wait $second
does lxc start sft1
gives beside inside sft1 cat /root/beside

it "refuses nonsense"
printf '\377\377\377\377garbage' | timeout 10 "$TOOLS/sftp-bridge" $S >"$SCRATCH/nonsense"
same "$(wc -c <"$SCRATCH/nonsense")" 0 answered
gives yes inside sft1 echo yes
done_testing

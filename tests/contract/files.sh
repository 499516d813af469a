#!/bin/bash
# Files of an instance.
# covers: GET /1.0/instances/{name}/files, HEAD /1.0/instances/{name}/files, POST /1.0/instances/{name}/files
# covers: DELETE /1.0/instances/{name}/files, GET /1.0/containers/{name}/files
. "$(dirname "$0")/lib.bash"
launch fil1
F=$I/fil1/files
# push PATH CONTENT [HEADER...]: by the API. LXD takes a body that curl calls a form for no content at all.
push() {
	local path=$1 content=$2 h args=(-H 'Content-Type: application/octet-stream')
	shift 2
	for h; do args+=(-H "X-LXD-$h"); done
	req POST "$F?path=$path" "$content" "${args[@]}"
}
pull() { req GET "$F?path=$1"; }
# has CONTENT UID GID MODE: of the file in the last answer.
has() { same "$code $body|$(header x-lxd-type) $(header x-lxd-uid) $(header x-lxd-gid) $(header x-lxd-mode)" "200 $1|file $2 $3 $4"; }
# sftp WORDS: LXD's text for a call that the guest's tree refused.
sftp() { error 500 "^sftp: \"$1\" \(SSH_FX_FAILURE\)\$"; }

it "gives a file with what it is"
pull /etc/passwd
same "$code $(header content-length) $(header content-type)" '200 115 application/octet-stream' headers
same "$(header content-disposition) $(header accept-ranges)" 'inline;filename=passwd bytes' headers
same "$(header x-lxd-modified)" '2023-11-14 22:13:20 +0000 UTC' modified
same "$(header last-modified)" 'Tue, 14 Nov 2023 22:13:20 GMT' 'last modified'
same "$(header x-lxd-type) $(header x-lxd-uid) $(header x-lxd-gid) $(header x-lxd-mode)" 'file 0 0 0644' described
like "$body" '^root:x:0:0:root:/root:/bin/sh'
pull etc/passwd
like "$body" '^root:x:0:0:root:/root:/bin/sh'
pull //etc/../etc/./passwd
like "$body" '^root:x:0:0:root:/root:/bin/sh'
req GET "/1.0/containers/fil1/files?path=/etc/hostname"
same "$code $body" '200 fil1' 'by the old name'

it "gives a part of it"
req GET "$F?path=/etc/passwd" '' -r 2-8
same "$code $body $(header content-range) $(header content-length)" '206 ot:x:0: bytes 2-8/115 7'
req GET "$F?path=/etc/passwd" '' -r -4
same "$code $body $(header content-range)" '206 /sh bytes 111-114/115'
req GET "$F?path=/etc/passwd" '' -H "If-Modified-Since: $(date -uR -d 2030-01-01 | sed 's/+0000/GMT/')"
same "$code$(header content-type)$(header content-length)" 304 'not modified'
req GET "$F?path=/etc/passwd" '' -H 'If-Modified-Since: Thu, 01 Jan 1981 00:00:00 GMT'
same "$code ${#body}" '200 114' modified

it "gives a directory's names"
pull /etc
ok
is '.metadata | sort' '["group","hostname","passwd","udhcpc.sh"]'
same "$(header x-lxd-type) $(header x-lxd-uid) $(header x-lxd-gid) $(header x-lxd-mode)" 'directory 0 0 0755' described
like "$(header x-lxd-modified)" '^2026-[0-9-]+ [0-9:]+ \+0000 UTC$'
pull /
meta 'index("etc") != null' true

it "says what is not there"
for call in GET HEAD DELETE; do
	args=(); [ $call != HEAD ] || args=('' -I)
	req $call "$F?path=/nope" "${args[@]}"
	same "$code" 404 $call
	req $call "$F" "${args[@]}"
	same "$code" 400 "$call without a path"
	req $call "$I/nope/files?path=/etc/passwd" "${args[@]}"
	same "$code" 404 "$call of no instance"
done
pull /nope
error 404 '^Not Found$'
req GET "$F"
error 400 '^Missing path argument$'
req POST "$I/nope/files?path=/x" x
error 404 '^Instance not found$'
req GET "/1.0/virtual-machines/fil1/files?path=/etc/passwd"
error 404 '^Instance not found$'
req GET "$F?path=/etc/passwd&project=nope"
error 404 '^Instance not found$'
pull /etc/passwd/x
sftp 'lstat /etc/passwd/x: not a directory'
req PUT "$F?path=/x"
error 501 'not implemented'

it "makes a file, with the owner and mode of the headers"
push /root/a hello
ok
meta . '{}'
pull /root/a
has hello 0 0 0644
push /root/b hello 'uid: 1000' 'gid: 1001' 'mode: 0600' 'type: file' 'write: overwrite'
ok
pull /root/b
has hello 1000 1001 0600
gives '600 1000 1001 hello' inside fil1 sh -c 'stat -c "%a %u %g" /root/b | tr "\n" " "; cat /root/b'
push /root/c x 'mode: 420'
pull /root/c
has x 0 0 0644
push /root/d x 'mode: 04755' 'gid: 5'
pull /root/d
has x 0 5 0755
gives 755 inside fil1 stat -c %a /root/d
push /root/e x 'mode: xx' 'uid: zz' 'gid: -4'
pull /root/e
has x 0 0 0644
push /root/f x 'uid: 99999999999'
[ "$code" -ge 400 ] || fail "$code"
if ours; then
	push /root/outside x 'uid: 3000000000'
	[ "$code" -ge 400 ] || fail "an owner that the guest hasn't: $code"
	pull /root/outside
	error 404 .
fi
push /root/é x
pull /root/é
same "$(header content-disposition)" 'inline;filename=é'

it "writes into what is there, and leaves its owner and mode"
push /root/b 'two' 'mode: 0644' 'uid: 5'
ok
pull /root/b
has two 1000 1001 0600
push /root/b ' three' 'write: append'
ok
pull /root/b
has 'two three' 1000 1001 0600
inside fil1 chmod 0 /root/b
push /root/b four
pull /root/b
has four 1000 1001 0000
push /root/new x 'write: append'
error 404 '^Not Found$'

it "refuses what it can't write"
push /root/b x 'write: nope'
error 400 '^Bad file write mode: nope$'
push /root/b x 'type: nope'
error 400 '^Bad file type: nope$'
push /root/nope/b x
error 404 '^Not Found$'
push /root x
sftp 'open /root: is a directory'
push /root/dir/ x
sftp 'open /root/dir/: is a directory'
push /root/b/x x
sftp 'open /root/b/x: not a directory'
long=$(printf '/root/%0300d' 1)
push "$long" x
sftp "open $long: file name too long"
push /proc/sys/kernel/hostname x
error 403 '^Forbidden$'

it "makes a directory"
push /root/dir '' 'type: directory'
ok
pull /root/dir
meta . '[]'
same "$(header x-lxd-mode)" 0750 mode
push /root/dir '' 'type: directory' 'mode: 0711'
ok
pull /root/dir
same "$(header x-lxd-mode)" 0750 'the mode of one that was there'
push /root/dir2/ '' 'type: directory' 'mode: 01777' 'uid: 7'
ok
gives '777 7 0' inside fil1 stat -c '%a %u %g' /root/dir2
push /root/b '' 'type: directory'
ok
push /root/nope/dir '' 'type: directory'
error 404 '^Not Found$'
push /root/b/dir '' 'type: directory'
sftp 'mkdir /root/b/dir: not a directory'

it "makes a symbolic link, and gives where it points"
push /root/l /etc/passwd 'type: symlink' 'uid: 7'
ok
pull /root/l
same "$code $(header x-lxd-type) $(header x-lxd-mode) $body" '200 symlink 0777 /etc/passwd' link
gives '/etc/passwd 0' inside fil1 sh -c 'echo $(readlink /root/l) $(stat -c %u /root/l)'
push /root/l /etc/passwd 'type: symlink'
ok
push /root/l /etc/group 'type: symlink'
sftp 'symlink /etc/group /root/l: file exists'
push /root/rel ../etc/group 'type: symlink'
gives ../etc/group inside fil1 readlink /root/rel
pull /root/rel
same "$body" /etc/group 'as seen from the root'
push /root/nope/l /x 'type: symlink'
error 404 '^Not Found$'

it "follows links inside of the guest"
push /root/to-b ../root/b 'type: symlink'
push /root/to-b through
pull /root/b
has through 1000 1001 0000
push /root/to-new /root/behind 'type: symlink'
push /root/to-new through 'uid: 9' 'mode: 0611'
ok
pull /root/behind
has through 9 0 0611
push /root/to-dir /root/dir 'type: symlink'
push /root/to-dir/in 'in it'
pull /root/dir/in
has 'in it' 0 0 0644
pull /root/to-dir/
is '[.metadata[]]' '["in"]'
pull /root/to-dir/../b
has through 1000 1001 0000
push /root/to-dir '' 'type: directory'
ok
push /root/up ../../../../../../../../etc/hostname 'type: symlink'
push /root/up 'in the guest'
gives 'in the guest' inside fil1 cat /etc/hostname
inside fil1 ln -s loop /root/loop
push /root/loop x
sftp 'open /root/loop: too many levels of symbolic links'
push /root/dangling /root/nowhere 'type: symlink'
push /root/dangling '' 'type: directory'
sftp 'mkdir /root/dangling: file exists'

it "says what is there, without its content"
for path in /etc/passwd:file /etc:directory /root/l:symlink /dev/null:file; do
	req HEAD "$F?path=${path%:*}" '' -I
	same "$code $(header x-lxd-type)" "200 ${path#*:}" "$path"
done
same "$(header x-lxd-mode)" 0666 mode

it "does not open what is no file"
pull /dev/null
same "$code $(header content-length) $body" '200 0 ' '/dev/null'
inside fil1 mkfifo /root/fifo
# LXD 5.0.2 waits there for ever.
if ours; then
	pull /root/fifo
	same "$code $(header content-length)" '200 0' 'a fifo'
	push /root/fifo x
	sftp 'open /root/fifo: invalid argument'
	pull /root/nope
	error 404 .
fi

it "removes files, links and empty directories"
req DELETE "$F?path=/root/dir"
sftp 'remove /root/dir: directory not empty'
for path in /root/a /root/l /root/dir/in /root/dir /root/to-dir /root/fifo; do
	req DELETE "$F?path=$path"
	ok
	pull $path
	error 404 .
done
gives yes inside fil1 sh -c '[ -e /etc/passwd ] && echo yes'
req DELETE "$F?path=/root/b/"
sftp 'remove /root/b/: not a directory'
req DELETE "$F?path=/"
sftp 'remove /: device or resource busy'
req DELETE "$F?path=/root/nope"
error 404 '^Not Found$'

it "tells of it"
timeout 30 lxc monitor --format json --type lifecycle >"$SCRATCH/events" &
monitor=$!
told() { bounded jq -ces "map(select(.metadata.action == \"instance-file-$1\" and .metadata.context.path == \"/root/told\")) | length > 0" "$SCRATCH/events"; }
until_true 10 eval 'push /root/told x; told pushed'
pull /root/told
req DELETE "$F?path=/root/told"
until_true 10 told retrieved
until_true 10 told deleted
kill $monitor 2>/dev/null
wait $monitor 2>/dev/null

it "sees what is mounted in the guest"
inside fil1 sh -c 'mkdir -p /mnt/t; mount -t tmpfs none /mnt/t; echo deep >/mnt/t/f'
pull /mnt/t/f
has deep 0 0 0644
push /mnt/t/g shallow 'uid: 3'
gives 'shallow 3' inside fil1 sh -c 'echo $(cat /mnt/t/g) $(stat -c %u /mnt/t/g)'

it "loses nothing of many megabytes"
head -c 30000000 /dev/urandom >"$SCRATCH/big"
sum=$(sha256sum <"$SCRATCH/big")
does lxc file push -q "$SCRATCH/big" fil1/root/big
same "$(inside fil1 sha256sum /root/big)" "${sum%-}/root/big" pushed
same "$(lxc file pull -q fil1/root/big - | sha256sum)" "$sum" pulled
U=http://lxd$F?path=/root/big
same "$(curl -s --unix-socket "$LXD_SOCKET" "$U" "$U" "$U" | sha256sum)" "$(cat "$SCRATCH"/big{,,} | sha256sum)" 'three in a row'
same "$(curl -s --unix-socket "$LXD_SOCKET" -r 1000-20000999 "$U" | sha256sum)" \
	"$(tail -c +1001 "$SCRATCH/big" | head -c 20000000 | sha256sum)" 'a large part'
same "$(curl -s --unix-socket "$LXD_SOCKET" -X POST -T "$SCRATCH/big" "$U" -X POST -T "$SCRATCH/big" "$U" | grep -o '"status_code":200' | wc -l)" 2 'two uploads'
same "$(inside fil1 sha256sum /root/big)" "${sum%-}/root/big" 'pushed twice'
same "$(curl -s --unix-socket "$LXD_SOCKET" -X POST -H Transfer-Encoding:chunked -T - "$U" <"$SCRATCH/big" | grep -o '"status_code":200' | wc -l)" 1 'of unknown length'
same "$(inside fil1 sha256sum /root/big)" "${sum%-}/root/big" 'pushed again'

it "says when a large file finds no room, and stores what came of one that is cut short"
does inside fil1 mkdir /root/small
does inside fil1 mount -t tmpfs -o size=4m none /root/small
out=$(lxc file push -q "$SCRATCH/big" fil1/root/small/big 2>&1) && fail 'the file fitted'
like "$out" 'no space left on device|SSH_FX_FAILURE'
does inside fil1 umount /root/small
for how in -T"$SCRATCH/big" "-T-"; do
	curl -s --unix-socket "$LXD_SOCKET" --limit-rate 5M --max-time 2 -X POST "$how" "http://lxd$F?path=/root/cut" <"$SCRATCH/big" >/dev/null
	until_true 10 inside fil1 sh -c 'test "$(stat -c %s /root/cut)" -gt 1000000'
	cut=$(inside fil1 stat -c %s /root/cut)
	same "$(lxc file pull -q fil1/root/cut - | sha256sum)" "$(head -c "$cut" "$SCRATCH/big" | sha256sum)" "what came ($how)"
	[ "$cut" -lt 30000000 ] || fail 'all of it came'
	does lxc file delete fil1/root/cut
done
does lxc file delete fil1/root/big
# A reader that leaves.
inside fil1 sh -c 'head -c 30000000 /dev/zero >/root/zero'
curl -s --unix-socket "$LXD_SOCKET" "http://lxd$F?path=/root/zero" | head -c 100 | wc -c >"$SCRATCH/left"
same "$(cat "$SCRATCH/left")" 100 'as much as was wanted'
does lxc file delete fil1/root/zero

it "has patience with a slow reader"
does inside fil1 dd if=/dev/zero of=/root/slow bs=1M count=30
gives 31457280 curl -s --limit-rate 2m --unix-socket "$LXD_SOCKET" -o /dev/null -w '%{size_download}' "http://lxd$F?path=/root/slow"
does inside fil1 rm /root/slow

it "pushes and pulls by the client"
echo one >"$SCRATCH/one"
chmod 640 "$SCRATCH/one"
does lxc file push -q "$SCRATCH/one" fil1/root/
gives '640 0 0' inside fil1 stat -c '%a %u %g' /root/one
does lxc file push -q "$SCRATCH/one" fil1/root/two --mode 604 --uid 3 --gid 4
gives '604 3 4' inside fil1 stat -c '%a %u %g' /root/two
refuses 'Not Found' lxc file push -q "$SCRATCH/one" fil1/root/deep/down/one
does lxc file push -q -p "$SCRATCH/one" fil1/root/deep/down/one --uid 3
gives '750 3' inside fil1 stat -c '%a %u' /root/deep/down
echo piped | lxc file push -q - fil1/root/piped
gives piped inside fil1 cat /root/piped
gives piped lxc file pull -q fil1/root/piped -
does lxc file pull -q fil1/root/two "$SCRATCH/"
same "$(stat -c %a "$SCRATCH/two") $(cat "$SCRATCH/two")" '604 one' pulled
refuses 'Not Found' lxc file pull -q fil1/root/nope -
refuses "pull a directory without --recursive" lxc file pull -q fil1/root "$SCRATCH/"
refuses 'directory not empty' lxc file delete fil1/root
does lxc file delete fil1/root/piped

it "pushes and pulls whole trees"
mkdir -p "$SCRATCH/tree/sub/empty"
echo 1 >"$SCRATCH/tree/sub/file"
chmod 700 "$SCRATCH/tree/sub/empty"
chmod 751 "$SCRATCH/tree/sub/file"
ln -s file "$SCRATCH/tree/sub/link"
ln -s /etc/passwd "$SCRATCH/tree/far"
does lxc file push -q -r "$SCRATCH/tree" fil1/root
gives $'700 ./sub/empty\n751 ./sub/file' inside fil1 sh -c 'cd /root/tree; stat -c "%a %n" ./sub/empty ./sub/file'
gives '/etc/passwd file' inside fil1 sh -c 'echo $(readlink /root/tree/far) $(readlink /root/tree/sub/link)'
refuses 'Not Found' lxc file push -q -r "$SCRATCH/tree" fil1/root/x/y
does lxc file push -q -r -p "$SCRATCH/tree" fil1/root/x/y
gives 1 inside fil1 cat /root/x/y/tree/sub/file
mkdir "$SCRATCH/back"
does lxc file pull -q -r fil1/root/tree "$SCRATCH/back"
same "$(cd "$SCRATCH/back/tree" && find . | sort | tr '\n' ' ')" '. ./far ./sub ./sub/empty ./sub/file ./sub/link ' names
same "$(stat -c %a "$SCRATCH/back/tree/sub/file") $(readlink "$SCRATCH/back/tree/far")" '751 /etc/passwd' 'what they are'

it "edits"
# Without a terminal it reads the content from its input.
does script -qec "EDITOR='sed -i s/one/edited/' lxc file edit fil1/root/one" /dev/null
gives edited inside fil1 cat /root/one
echo 'from stdin' | lxc file edit fil1/root/one
gives 'from stdin 640' inside fil1 sh -c 'echo $(cat /root/one) $(stat -c %a /root/one)'

it "works while the guest is frozen"
does lxc pause fil1
pull /root/one
has 'from stdin' 0 0 0640
push /root/frozen x
ok
does lxc start fil1
gives x inside fil1 cat /root/frozen

it "keeps inside of the guest, whatever that does meanwhile"
secret=$SCRATCH/secret
mkdir -p "$secret/deep"
echo host >"$secret/deep/file"
echo "$secret" >"$SCRATCH/where"
# The same path is a directory of the guest's, a link to / and a link up and out, in turn; behind each there is such a file or not.
inside fil1 sh -c "mkdir -p /swap/real$secret/deep /swap/other && echo guest >/swap/real$secret/deep/file && cp -r /swap/real$secret/.. /swap/x 2>/dev/null; mkdir -p $secret/deep; echo guest >$secret/deep/file; true"
lxc exec fil1 -- sh -c "cd /swap; ln -s real now; while [ ! -e /swap/stop ]; do
	ln -sfn / link; mv -T link now; ln -sfn ../../../../../.. link; mv -T link now; ln -sfn real link; mv -T link now
	ln -sfn /proc/1/root link; mv -T link now
	rm now; mkdir now; rmdir now; ln -s real now
done" </dev/null >/dev/null 2>&1 &
swapper=$!
for n in $(seq 60); do
	pull "/swap/now$secret/deep/file"
	unlike "$body" host 'read from the host'
	push "/swap/now$secret/deep/file" pushed
	push "/swap/now$secret/deep/made$n" pushed
	push "/swap/now$secret/deep/dir$n" '' 'type: directory' 'mode: 0777' 'uid: 1000'
	push "/swap/now$secret/deep/link$n" /x 'type: symlink'
	req DELETE "$F?path=/swap/now$secret/deep/made$n"
done
inside fil1 touch /swap/stop
wait $swapper
same "$(cd "$secret" && find . | sort | tr '\n' ' ')" '. ./deep ./deep/file ' "the host's names"
same "$(cat "$secret/deep/file")" host "the host's file"

it "does the same with a stopped guest"
does lxc stop -f fil1
pull /root/one
has 'from stdin' 0 0 0640
push /root/stopped still 'uid: 1000' 'gid: 5' 'mode: 0604'
ok
pull /root/stopped
has still 1000 5 0604
push /root/stopped ' here' 'write: append'
ok
push /root/sdir '' 'type: directory'
ok
push /root/sdir/link ../one 'type: symlink'
ok
pull /root/sdir/link
same "$body" /root/one link
pull /root/sdir
is .metadata '["link"]'
req DELETE "$F?path=/root/sdir/link"
ok
req HEAD "$F?path=/root/stopped" '' -I
same "$code $(header x-lxd-type)" '200 file' head
pull /root/nope
error 404 '^Not Found$'
push /root/up 'never outside'
pull /etc/hostname
same "$body" 'never outside' 'inside'
does lxc file push -q -r "$SCRATCH/tree" fil1/root/again -p
does lxc file push -q "$SCRATCH/big" fil1/root/big
same "$(lxc file pull -q fil1/root/big - | sha256sum)" "$sum" pulled
for n in 1 2 3 4 5 6; do lxc file push -q "$SCRATCH/one" "fil1/root/many$n" & done
wait
does lxc start fil1
gives 'still here 1000 5 604' inside fil1 sh -c 'echo "$(cat /root/stopped)" $(stat -c "%u %g %a" /root/stopped)'
gives 6 inside fil1 sh -c 'ls /root/many* | wc -l'
gives 1 inside fil1 cat /root/again/tree/sub/file

it "lets a start go before a reader of the stopped guest"
# LXD 5.0.2 lets it wait for that.
if ours; then
	does lxc stop -f fil1
	curl -s --limit-rate 1000 --max-time 60 --unix-socket "$LXD_SOCKET" "http://lxd$F?path=/root/big" >/dev/null &
	reader=$!
	sleep 0.5
	does timeout 30 lxc start fil1
	kill $reader 2>/dev/null
	wait $reader 2>/dev/null
	gives "${sum%-}/root/big" inside fil1 sha256sum /root/big
fi
does lxc delete -f fil1

done_testing

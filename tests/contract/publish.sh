#!/bin/bash
# Images made of instances.
# covers: POST /1.0/images
. "$(dirname "$0")/lib.bash"
M=/1.0/images
does lxc init bb c1
does lxc file push -q /etc/passwd c1/root/passwd --uid 5 --gid 7 --mode 0640
# publish JSON: of the source c1, with these members besides.
publish() { run POST $M "{\"source\":{\"type\":\"instance\",\"name\":\"c1\"},$1}"; }
fingerprint() { jq -r .metadata.fingerprint <<<"$body"; }
# members FINGERPRINT TAR-OPTION: what its file has.
members() { req GET "$M/$1/export"; tar --numeric-owner -tv "$2" -f "$SCRATCH/body" 2>&1; }
leftovers() { find "$LXD_DIR/images" -mindepth 1 -type f | grep -c .; }

it "makes an image of a stopped instance"
publish '"public":true,"filename":"named","properties":{"a":"b"},"aliases":[{"name":"first","description":"d"}]'
succeeded
is '[.class, .description, .resources, .may_cancel, (.metadata|keys)]' \
	'["task","Downloading image",null,false,["fingerprint","size"]]'
fp=$(fingerprint)
like "$fp" '^[0-9a-f]{64}$'
req GET $M/$fp
meta '[.public, .filename, .properties, .aliases, .profiles, .type, .cached, .auto_update, .expires_at]' \
	'[true,"named",{"a":"b"},[{"name":"first","description":"d"}],["default"],"container",false,false,"0001-01-01T00:00:00Z"]'
same "$(jq -r .metadata.size <<<"$body")" "$(stat -c %s "$LXD_DIR/images/$fp")" size
req GET $M/$fp/export
same "$(sha256sum <"$SCRATCH/body" | cut -d' ' -f1)" "$fp" "hash of what is exported"
like "$(header content-disposition)" "filename=$fp.tar.gz"
tar -C "$SCRATCH" -xOzf "$SCRATCH/body" metadata.yaml >"$SCRATCH/metadata.yaml"
like "$(cat "$SCRATCH/metadata.yaml")" 'architecture: x86_64.*creation_date: 1700000000.*properties:.*a: .?b'

it "packs the guest's files with the guest's ids"
list=$(members $fp -z)
like "$list" '-rw-r-----.* 5/7 .* rootfs/root/passwd'
like "$list" 'lrwxrwxrwx.* 0/0 .* rootfs/bin/ash -> busybox'
same "$(head -n 1 <<<"$list" | awk '{print $NF}')" metadata.yaml "the first member"

it "takes every compressor"
for how in none:--no-auto-compress gzip:-z 'gzip -1:-z' bzip2:-j xz:-J 'xz -1:-J' lzma:--lzma zstd:--zstd 'zstd -5:--zstd'; do
	publish "\"compression_algorithm\":\"${how%:*}\",\"properties\":{\"how\":\"${how%:*}\"}"
	succeeded
	like "$(members "$(fingerprint)" "${how#*:}")" ' rootfs/root/passwd'
done

it "makes a squashfs, which is launched like others, and exported as it is"
command -v tar2sqfs >/dev/null || fail "tar2sqfs (squashfs-tools-ng) is needed"
does lxc start c1
does lxc exec c1 -- sh -c 'ln /root/passwd /root/again; ln -s passwd /root/link; mkfifo /root/pipe; mkdir -m 1777 /root/dir; truncate -s 30M /root/hole; echo end >>/root/hole'
does setfattr -n user.some -v thing "/proc/$(lxc query $I/c1/state | jq .pid)/root/root/passwd"
does lxc stop -f c1
publish '"compression_algorithm":"squashfs","aliases":[{"name":"squash"}]'
succeeded
fp=$(fingerprint)
req GET $M/$fp
same "$(stat -c '%u %g %s' "$LXD_DIR/images/$fp")" "0 0 $(jq -r .metadata.size <<<"$body")" 'its file'
req GET $M/$fp/export
same "$(sha256sum <"$SCRATCH/body" | cut -d' ' -f1)" "$fp" "hash of what is exported"
like "$(header content-disposition)" "filename=$fp.squashfs"
like "$(unsquashfs -lln "$SCRATCH/body" 2>&1)" '-rw-r-----.* 5/7 .* squashfs-root/rootfs/root/passwd'
does lxc launch squash c2 -q
does lxc exec c2 -- sh -c 'cd /root; stat -c "%u %g %a %h %F" passwd pipe dir; readlink link; tail -c 4 hole; stat -c %s hole; cmp passwd again && echo same'
same "$(xargs <<<"$out")" '5 7 640 2 regular file 0 0 644 1 fifo 0 0 1777 2 directory passwd end 31457284 same'
like "$(getfattr --absolute-names -n user.some "/proc/$(lxc query $I/c2/state | jq .pid)/root/root/passwd")" thing
does lxc delete -f c2
does lxc image export squash "$SCRATCH/squash"
does lxc image delete squash
does lxc image import "$SCRATCH/squash.squashfs" --alias squash
does lxc init squash c2 -q
does lxc delete c2
does lxc export c1 "$SCRATCH/backup" --compression squashfs -q
like "$(head -c 4 "$SCRATCH/backup")" hsqs
does lxc import "$SCRATCH/backup" c2 -q
does lxc file pull c2/root/passwd "$SCRATCH/pulled"
does cmp "$SCRATCH/pulled" /etc/passwd
does lxc delete c2
rm "$SCRATCH/backup" "$SCRATCH/squash.squashfs"
does lxc file delete c1/root/again c1/root/link c1/root/pipe c1/root/hole

if ours; then
	it "says what a squashfs lacks"
	before=$(leftovers)
	tool=$(command -v tar2sqfs)
	mount --bind /dev/null "$tool"
	req POST $M '{"source":{"type":"instance","name":"c1"},"compression_algorithm":"squashfs"}'
	error 400 'needs the program "tar2sqfs", which the host'
	umount "$tool"
	printf '#!/bin/sh\nhead -c 300 >/dev/null\necho no space for this >&2\nexit 3\n' >"$SCRATCH/tool"
	chmod 755 "$SCRATCH/tool"
	mount --bind "$SCRATCH/tool" "$tool"
	publish '"compression_algorithm":"squashfs","properties":{"x":"broken"}'
	failed_with '^Failed making a squashfs: no space for this$'
	umount "$tool"
	same "$(leftovers)" "$before" 'files after failures'
fi

it "launches what it has made"
does lxc init first c2
does lxc start c2
does lxc exec c2 -- stat -c '%u %g %a' /root/passwd
same "$out" '5 7 640'
does lxc delete -f c2

it "keeps the instance's own properties unless there are others"
publish '"expires_at":"2030-01-02T03:04:05Z","compression_algorithm":"none"'
succeeded
fp=$(fingerprint)
req GET $M/$fp
meta '[.expires_at, .properties, .public]' '["2030-01-02T03:04:05Z",{"description":"busybox test","os":"BusyBox","release":"1.35"},false]'
like "$(members $fp --no-auto-compress)" metadata.yaml
like "$(tar -xOf "$SCRATCH/body" metadata.yaml)" 'expiry_date: 1893553445'

it "says that the image is there already"
publish '"compression_algorithm":"none"'
fp=$(fingerprint)
sleep 1.1
publish '"compression_algorithm":"none"'
failed_with "^The image already exists: $fp$"
same "$(fingerprint)" "$fp" fingerprint

it "keeps the image of an alias that is taken"
publish '"properties":{"x":"taken"},"aliases":[{"name":"bb"}]'
failed_with '^Alias already exists: bb$'
req GET $M/"$(fingerprint)"
ok

it "follows the server's choice of a compressor"
does lxc config set images.compression_algorithm 'zstd -2'
publish '"properties":{"x":"server"}'
succeeded
req GET "$M/$(fingerprint)/export"
like "$(header content-disposition)" '.tar.zst$'
does lxc config unset images.compression_algorithm

it "tells about it"
monitor "$SCRATCH/monitor"
publish '"properties":{"x":"event"},"aliases":[{"name":"told"}]'
fp=$(fingerprint)
until_true 5 grep -q image-created "$SCRATCH/monitor"
kill $monitor
wait $monitor 2>/dev/null
same "$(jq -sc 'map(select(.metadata.action != "config-updated") | [.metadata.action, .metadata.source, .metadata.context])' "$SCRATCH/monitor")" \
	"[[\"image-created\",\"$M/$fp\",{\"type\":\"container\"}]]"

it "says how far it is"
head -c 20000000 /dev/urandom >"$SCRATCH/noise"
does lxc file push "$SCRATCH/noise" c1/root/noise
monitor "$SCRATCH/progress" operation
publish '"properties":{"x":"progress"},"compression_algorithm":"none"'
succeeded
until_true 5 grep -q 'Image pack: [0-9.]*\(%\|MB\) ([0-9.]*[kMG]B/s)' "$SCRATCH/progress"
kill $monitor
wait $monitor 2>/dev/null
says='.metadata.metadata | select(.progress) | [.progress.stage, (.progress.speed | test("^[0-9]+$"))] | @text'
same "$(jq -r "$says" "$SCRATCH/progress" | sort -u)" '["create_image_from_container_pack",true]'
same "$(get '.metadata | has("progress")')" false 'progress at the end'
does lxc file delete c1/root/noise

it "refuses what it can't make an image of"
before=$(leftovers)
req POST $M '{"source":{"type":"instance","name":"nope"}}'
error 404 '^Instance not found$'
req POST $M '{"source":{"type":"snapshot","name":"c1/nope"}}'
error 404 '^Instance not found$'
run POST $M '{"source":{"type":"snapshot","name":"c1"}}'
failed_with '^Not a snapshot$'
run POST $M '{"source":{"type":"instance"}}'
failed_with '^No source provided$'
req POST $M '{"source":{"type":"odd"}}'
error '500' '^Invalid images JSON$'
req POST $M '{"source":{"type":"instance","name":"c1"},"compression_algorithm":"rm -rf"}'
error '400|500' '^Invalid compression algorithm "rm"$'
does lxc start c1
publish '"public":false'
failed_with '^Cannot export a running instance as an image$'
does lxc stop -f c1
# LXD leaves the file of an image whose alias was refused.
! ours || same "$(leftovers)" "$before" "files after failures"

it "works by the stock client"
does lxc publish c1 --alias mine --compression xz k=v
like "$out" 'Instance published with fingerprint: [0-9a-f]{64}'
does lxc launch mine c3
does lxc delete -f c3
does lxc launch mine c4 --ephemeral
does lxc stop -f c4
done_testing

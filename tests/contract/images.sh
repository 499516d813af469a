#!/bin/bash
# Images and their aliases.
# covers: GET /1.0/images, POST /1.0/images
# covers: GET /1.0/images/{fingerprint}, PUT /1.0/images/{fingerprint}, PATCH /1.0/images/{fingerprint}
# covers: DELETE /1.0/images/{fingerprint}, GET /1.0/images/{fingerprint}/export
# covers: GET /1.0/images/aliases, POST /1.0/images/aliases
# covers: GET /1.0/images/aliases/{name}, PUT /1.0/images/aliases/{name}, PATCH /1.0/images/aliases/{name}
# covers: POST /1.0/images/aliases/{name}, DELETE /1.0/images/aliases/{name}
# covers: POST /1.0/images/{fingerprint}/refresh
. "$(dirname "$0")/lib.bash"
M=/1.0/images
fingerprint=$(sha256sum "$BB" | cut -d' ' -f1)

# The busybox image taken apart, to be put together in every other way.
mkdir "$SCRATCH/tree"
tar -C "$SCRATCH/tree" -xzf "$BB"
cd "$SCRATCH" || exit 1
tar -C tree --sort=name -cf plain.tar metadata.yaml templates rootfs
# variant NUMBER: another image, told apart by a property.
variant() {
	sed "s/description: .*/description: variant $1/" tree/metadata.yaml >"$SCRATCH/metadata.yaml"
	mkdir -p v && cp -a tree/. v/ && cp metadata.yaml v/
	tar -C v --sort=name -cf "$SCRATCH/$1.tar" metadata.yaml templates rootfs
}
upload() { run POST $M '' --data-binary "@$1" -H 'Content-Type: application/octet-stream' "${@:2}"; }
leftovers() { find "$LXD_DIR/images" -mindepth 1 | grep -c . ; }

it "lists what was imported"
req GET $M
ok
meta . "[\"$M/$fingerprint\"]"
req GET "$M?recursion=1"
ok
meta 'map(keys)' '[["aliases","architecture","auto_update","cached","created_at","expires_at","filename","fingerprint","last_used_at","profiles","properties","public","size","type","uploaded_at"]]'

it "describes an image"
req GET $M/$fingerprint
ok
like "$(header etag)" '^"[0-9a-f]{64}"$'
meta '[.fingerprint, .size, .type, .architecture, .filename]' \
	"[\"$fingerprint\",$(stat -c %s "$BB"),\"container\",\"$(uname -m)\",\"$(basename "$BB")\"]"
meta '[.public, .auto_update, .cached, .profiles, .expires_at, .created_at, .last_used_at]' \
	'[false,false,false,["default"],"1970-01-01T00:00:00Z","2023-11-14T22:13:20Z","0001-01-01T00:00:00Z"]'
meta .properties '{"description":"busybox test","os":"BusyBox","release":"1.35"}'
meta .aliases '[{"name":"bb","description":""}]'

it "finds it by the beginning of its fingerprint"
req GET "$M/${fingerprint:0:6}"
ok
meta .fingerprint "\"$fingerprint\""
does lxc image info "${fingerprint:0:12}"
like "$out" "Fingerprint: $fingerprint"

it "knows no such image"
for name in nope 0000 "${fingerprint/%????/0000}"; do
	req GET "$M/$name"
	error 404 '^Image not found$'
	req DELETE "$M/$name"
	error 404 '^Image not found$'
	req GET "$M/$name/export"
	error 404 '^Image not found$'
done

it "changes what may be changed"
req PATCH $M/$fingerprint '{"public":true}'
ok
req GET $M/$fingerprint
meta '[.public, .properties.os]' '[true,"BusyBox"]'
tag=$(header etag)
req PUT $M/$fingerprint '{"properties":{"a":"b"}}' -H 'If-Match: "0000"'
error 412 .
req PUT $M/$fingerprint '{"properties":{"a":"b"}}' -H "If-Match: $tag"
ok
meta . '{}'
req GET $M/$fingerprint
meta '[.public, .properties]' '[false,{"a":"b"}]'
req PATCH $M/$fingerprint '{"properties":{"c":"d"}}'
ok
req GET $M/$fingerprint
meta '.properties.c' '"d"'
req PUT $M/nope '{}'
error 404 '^Image not found$'

it "keeps the profiles that a change says nothing of"
for null in '{"properties":{}}' '{"properties":{},"profiles":null}'; do
	req PUT $M/$fingerprint "$null"
	ok
	req GET $M/$fingerprint
	meta .profiles '["default"]'
done

it "keeps its date of expiry unless a change says one, and has each profile once"
req PUT $M/$fingerprint '{"expires_at":"2099-01-01T00:00:00Z","profiles":["default"]}'
req PUT $M/$fingerprint '{"properties":{"a":""},"expires_at":null}'
req GET $M/$fingerprint
meta '[.expires_at, .properties, .profiles]' '["2099-01-01T00:00:00Z",{},["default"]]'
req PUT $M/$fingerprint '{"expires_at":"1970-01-01T00:00:00Z"}'
req GET $M/$fingerprint
meta .expires_at '"1970-01-01T00:00:00Z"'
req PUT $M/$fingerprint '{"profiles":["nope"]}'
error 400 "Profile 'nope' doesn't exist"

it "gives back the very bytes"
req GET "$M/$fingerprint/export"
same "$code" 200 code
same "$(sha256sum <"$SCRATCH/body" | cut -d' ' -f1)" "$fingerprint" bytes
same "$(header content-length)" "$(stat -c %s "$BB")" length
like "$(header content-disposition)" "filename=$fingerprint.tar.gz"
it "sends a part of a file, or nothing to who has it"
req GET "$M/$fingerprint/export" '' -H 'Range: bytes=1-4'
same "$code $(od -An -tx1 "$SCRATCH/body") $(header content-range)" "206  8b 08 00 00 bytes 1-4/$(stat -c %s "$BB")"
req GET "$M/$fingerprint/export" '' -H 'If-Modified-Since: Tue, 01 Jan 2030 00:00:00 GMT'
same "$code$(header content-length)" 304 'not modified'
does lxc image export bb "$SCRATCH/exported"
same "$(sha256sum "$SCRATCH"/exported*.tar.gz | cut -d' ' -f1)" "$fingerprint" bytes

it "lets go of it, and takes it again"
run DELETE "$M/${fingerprint:0:10}"
succeeded
is .resources "{\"images\":[\"$M/$fingerprint\"]}"
req GET $M
meta . '[]'
req GET $M/aliases
meta . '[]'
same "$(leftovers)" 0 'files left'
upload "$BB" -H 'X-LXD-filename: some.tar.gz' -H 'X-LXD-public: true' -H 'X-LXD-properties: a=b%20c&os=other'
succeeded
is '.metadata | [.fingerprint, .size]' "[\"$fingerprint\",\"$(stat -c %s "$BB")\"]"
req GET $M/$fingerprint
meta '[.filename, .public, .properties.a, .properties.os, .properties.release]' '["some.tar.gz",true,"b c","other","1.35"]'
meta .aliases '[]'

it "has each image once"
upload "$BB"
failed_with 'already exists'
req GET $M
meta length 1

it "checks a fingerprint that was announced"
variant 1
upload 1.tar -H 'X-LXD-fingerprint: 0000'
failed_with 'fingerprint'
upload 1.tar -H "X-LXD-fingerprint: $(sha256sum 1.tar | cut -d' ' -f1)"
succeeded

it "reads each compression"
n=2
for tool in 'cat' 'gzip -1' 'bzip2 -1' 'xz -0' 'xz -0 --format=lzma' 'zstd -q'; do
	command -v "${tool%% *}" >/dev/null || { fail "no $tool here"; continue; }
	variant $n
	$tool <"$n.tar" >"$n.packed"
	if [ "$tool" = 'zstd -q' ] && ! ours; then break; fi
	upload "$n.packed"
	succeeded
	req GET "$M/$(sha256sum "$n.packed" | cut -d' ' -f1)"
	meta .properties.description "\"variant $n\""
	does lxc init "$(sha256sum "$n.packed" | cut -c1-20)" "img$n" -q
	does lxc delete "img$n"
	n=$((n + 1))
done

it "takes an image in two parts, and gives back two parts"
sed 's/description: .*/description: in two parts/' tree/metadata.yaml >metadata.yaml
tar -cJf meta.tar.xz metadata.yaml -C tree templates
tar -C tree/rootfs --sort=name -czf root.tar.gz .
both=$(cat meta.tar.xz root.tar.gz | sha256sum | cut -d' ' -f1)
run POST $M '' -F 'metadata=@meta.tar.xz' -F 'rootfs=@root.tar.gz'
succeeded
is .metadata.fingerprint "\"$both\""
req GET $M/$both
meta '[.size, .type, .properties.description]' "[$(cat meta.tar.xz root.tar.gz | wc -c),\"container\",\"in two parts\"]"
req GET "$M/$both/export"
like "$(header content-type)" '^multipart/form-data; boundary='
like "$(head -c 2000 "$SCRATCH/body" | tr -d '\0')" 'name="?metadata"?; filename="?meta-'
mkdir two
does lxc image export $both two/
same "$(cat two/meta-* two/[0-9a-f]*.tar.gz | sha256sum | cut -d' ' -f1)" "$both" bytes
run DELETE $M/$both
succeeded
does lxc image import meta.tar.xz root.tar.gz --alias split
does lxc launch split imgsplit -q
gives imgsplit inside imgsplit hostname
does lxc delete -f imgsplit

it "takes a squashfs for a root, and gives it back"
mkdir -p sq
tar -C sq -xf root.tar.gz
chown 12:34 sq/etc
does mksquashfs sq root.squashfs -quiet -no-progress -comp xz
does lxc image import meta.tar.xz root.squashfs --alias squash
does lxc launch squash imgsquash -q
gives imgsquash inside imgsquash hostname
gives '12 34' inside imgsquash stat -c '%u %g' /etc
does lxc delete -f imgsquash
mkdir -p sqout
does lxc image export squash sqout/x
same "$(sha256sum <sqout/x.root)" "$(sha256sum <root.squashfs)" 'exported'
does lxc image delete squash

it "forgives how real images write their names"
rm -rf odd && mkdir odd && cp -a tree/. odd/
sed -i 's/description: .*/description: odd/' odd/metadata.yaml
tar -C odd -cf odd.tar --transform 's,^\./,,;s,^,./,' metadata.yaml templates/hostname.tpl rootfs
upload odd.tar
succeeded
printf '{"architecture":"x86_64","creation_date":1700000000,"properties":{"description":"json"},"templates":{"/etc/x":{"when":["start"],"template":"x.tpl","properties":{"p":"q"}}}}' >odd/metadata.yaml
echo '{{ trigger }} {{ container.name }} {{ instance.type }} {{ config_get("user.k", "none") }} {{ properties.p }}{% if container.privileged == "true" %} bad{% endif %}' >odd/templates/x.tpl
tar -C odd -cf json.tar metadata.yaml templates rootfs
does lxc image import json.tar --alias json

it "fills in the templates of an image"
does lxc launch json imgtpl -c user.k=v -q
gives 'start imgtpl container v q' inside imgtpl cat /etc/x
gives '644 0 0' inside imgtpl stat -c '%a %u %g' /etc/x
does lxc delete -f imgtpl

it "refuses what is no image, and keeps nothing of it"
before=$(leftovers)
echo 'this is no image' >junk
upload junk
failed_with .
refuses . lxc image import junk
tar -cf nometa.tar junk
upload nometa.tar
failed_with 'metadata.yaml'
head -c 300000 "$BB" >cut.tar.gz
upload cut.tar.gz
# One that is cut short behind its metadata is found out when it is unpacked, by LXD too.
if [ "$(get .status)" = Success ]; then
	refuses . lxc launch "$(sha256sum cut.tar.gz | cut -d' ' -f1)" imgcut -q
	lxc delete -f imgcut >/dev/null 2>&1
	run DELETE "$M/$(sha256sum cut.tar.gz | cut -d' ' -f1)"
fi
mkdir bad && printf 'properties: [\n' >bad/metadata.yaml && mkdir bad/rootfs
tar -C bad -cf bad.tar metadata.yaml rootfs
upload bad.tar
failed_with .
printf 'properties: {a: b}\n' >bad/metadata.yaml
tar -C bad -cf bad2.tar metadata.yaml rootfs
upload bad2.tar
failed_with '[Aa]rchitecture'
upload /dev/null
failed_with .
same "$(leftovers)" "$before" 'files left'

it "refuses a source it does not know"
req POST $M '{"source":{"type":"nope"}}'
error '400|500' .
for body in 'xx' '{"source":{"type":"image","fingerprint":"nope","mode":"nope"}}'; do
	req POST $M "$body"
	if [ "$code" = 202 ]; then
		operation=$(get .operation)
		ended
		is .status_code 400
	else
		[ "$code" -ge 400 ] || fail "$code: $body"
	fi
done
# 5.0.2 breaks the connection on a body without a source.
if ours; then
	req POST $M '{}'
	error 400 .
fi

it "names an image"
one=$(sha256sum 1.tar | cut -d' ' -f1)
req POST $M/aliases "{\"name\":\"a1\",\"target\":\"$one\",\"description\":\"x\"}"
created $M/aliases/a1
req GET $M/aliases/a1
ok
meta . "{\"name\":\"a1\",\"target\":\"$one\",\"description\":\"x\",\"type\":\"container\"}"
tag=$(header etag)
like "$tag" '^"'
req GET $M/$one
meta .aliases '[{"name":"a1","description":"x"}]'
req GET $M/aliases
meta "map(select(. == \"$M/aliases/a1\"))" "[\"$M/aliases/a1\"]"
req GET "$M/aliases?recursion=1"
meta 'map(select(.name == "a1") | .target)' "[\"$one\"]"

it "gives a name once, to an image that is there"
req POST $M/aliases "{\"name\":\"a1\",\"target\":\"$one\"}"
error 409 'a1.*already exists'
req POST $M/aliases '{"name":"a2","target":"0000"}'
error 404 '^Image not found$'
req POST $M/aliases '{"name":"","target":"x"}'
error '400|500' .
req POST $M/aliases 'x'
error 400 'invalid character'

it "changes and renames a name"
req PUT $M/aliases/a1 "{\"target\":\"$fingerprint\",\"description\":\"y\"}" -H 'If-Match: "0000"'
error 412 .
req PUT $M/aliases/a1 "{\"target\":\"$fingerprint\",\"description\":\"y\"}" -H "If-Match: $tag"
ok
req GET $M/aliases/a1
meta '[.target, .description]' "[\"$fingerprint\",\"y\"]"
# 5.0.2 blocks itself for ten seconds here, and fails.
if ours; then
	req PATCH $M/aliases/a1 '{"description":"z"}'
	ok
	req GET $M/aliases/a1
	meta '[.target, .description]' "[\"$fingerprint\",\"z\"]"
fi
req POST $M/aliases/a1 '{"name":"with/slash"}'
same "$code" 201 code
req GET $M/aliases/with%2Fslash
ok
meta .name '"with/slash"'
req POST $M/aliases/with%2Fslash '{"name":"split"}'
error 409 'split.*already exists'
req DELETE $M/aliases/with%2Fslash
ok
for method in GET DELETE; do
	req $method $M/aliases/a1
	error 404 'not found'
done
req PUT $M/aliases/a1 "{\"target\":\"$one\"}"
error 404 'not found'
req POST $M/aliases/a1 '{"name":"a3"}'
error 404 'not found'

it "filters"
req GET "$M?recursion=1&filter=properties.description+eq+%22variant+1%22"
ok
meta 'map(.fingerprint)' "[\"$one\"]"
req GET "$M?filter=type+eq+virtual-machine"
meta . '[]'

it "refuses to refresh an image that has no source"
req POST "$M/$one/refresh"
if ours; then [ "$code" -ge 400 ] && like "$body" 'not supported yet'; else same "$code" 202 code; fi

it "works with the client"
does lxc image list --format csv
like "$out" 'variant 1'
does lxc image list split --format csv
same "$(wc -l <<<"$out")" 1 lines
does lxc image show split
like "$out" 'description: in two parts'
does lxc image alias create again "$one"
does lxc image alias list
like "$out" again
does lxc image alias rename again then
does lxc image set-property then k v
gives v lxc image get-property then k
does lxc image unset-property then k
does lxc image alias delete then
does bash -c "lxc image show ${one:0:12} | sed 's/public: false/public: true/' | lxc image edit ${one:0:12}"
does bash -c "lxc image show ${one:0:12} | grep -x 'public: true'"
does lxc image delete "${one:0:12}"
refuses 'not found' lxc image delete nope
refuses 'not found' lxc image alias delete nope

it "knows aliases with a slash, however it is written"
one=$(req GET $M; get '.metadata[0]')
does lxc image alias create debian/12 "${one##*/}"
for name in debian/12 debian%2F12; do
	req GET "$M/aliases/$name"
	meta .name '"debian/12"'
done
req DELETE $M/aliases/debian/12
same "$code" 200

it "leaves no file behind when all are deleted"
for one in $(req GET $M; get '.metadata[]'); do run DELETE "$one"; succeeded; done
same "$(leftovers)" 0 'files left'

done_testing

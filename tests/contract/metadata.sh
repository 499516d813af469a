#!/bin/bash
# Metadata and templates of an instance.
# covers: GET /1.0/instances/{name}/metadata, PUT /1.0/instances/{name}/metadata, PATCH /1.0/instances/{name}/metadata
# covers: GET /1.0/instances/{name}/metadata/templates, POST /1.0/instances/{name}/metadata/templates
# covers: DELETE /1.0/instances/{name}/metadata/templates
. "$(dirname "$0")/lib.bash"
launch met1
M=$I/met1/metadata T=$I/met1/metadata/templates
place=$LXD_DIR/containers/met1
# put NAME TEXT: writes a template.
put() { req POST "$T?path=$1" "$2" -H 'Content-Type: application/octet-stream'; }
own='{"architecture":"x86_64","creation_date":5,"expiry_date":6,"properties":{"a":"b"},
	"templates":{"/x":{"when":["start"],"create_only":true,"template":"p","properties":{"q":"r"}}}}'

it "says what the image said of itself"
req GET $M
ok
meta '[keys_unsorted, .architecture, .creation_date, .expiry_date, .properties.release]' \
	'[["architecture","creation_date","expiry_date","properties","templates"],"x86_64",1700000000,0,"1.35"]'
meta '.templates["/etc/hostname"] | [.when, .create_only, .template]' '[["create","copy","rename"],false,"hostname.tpl"]'
like "$(header etag)" '^"[0-9a-f]{64}"$' etag
req GET /1.0/containers/met1/metadata
meta .architecture '"x86_64"'
req GET /1.0/virtual-machines/met1/metadata
error 404 '^Instance not found$'
for call in GET PUT PATCH; do
	req $call $I/nope/metadata '{}'
	error 404 '^Instance not found$'
done
req DELETE $M
error 501 'not implemented'

it "replaces it"
req GET $M
etag=$(header etag)
req PUT $M "$own" -H "If-Match: $etag"
ok
meta . '{}'
req GET $M
meta . "$own"
# LXD 5.0.2 looks at it in PATCH alone.
if ours; then
	req PUT $M "$own" -H "If-Match: $etag"
	error 412 "^ETag doesn't match"
fi
req PUT $M 'xx'
error 400 "^invalid character 'x' looking for beginning of value\$"
gives x86_64 jq -rn --arg text "$(cat "$place/metadata.yaml")" '$text | capture("architecture: (?<a>.*)").a'

it "changes what is named"
req GET $M
etag=$(header etag)
req PATCH $M '{"creation_date":7,"properties":{"c":"yes","n":"1.50"}}' -H "If-Match: $etag"
ok
req GET $M
meta '[.creation_date, .expiry_date, .properties, .templates["/x"].template]' '[7,6,{"a":"b","c":"yes","n":"1.50"},"p"]'
req PATCH $M '{"templates":{"/x":{"when":["stop"]}}}'
req GET $M
meta '.templates["/x"] | [.when, .create_only, .template, .properties]' '[["stop"],false,"",{}]'
req PATCH $M '{}' -H 'If-Match: "nope"'
error 412 "^ETag doesn't match"
req PUT $M '{}'
req GET $M
meta . '{"architecture":"","creation_date":0,"expiry_date":0,"properties":{},"templates":{}}'

it "tells who has read it, and logs"
monitor "$SCRATCH/read"
req GET $M
ok
until_true 10 grep -q "instance-metadata-retrieved" "$SCRATCH/read"
name=${M%/metadata}
mkdir -p "$LXD_DIR/logs/${name##*/}"
echo x >"$LXD_DIR/logs/${name##*/}/lxc.log"
req GET "$name/logs/lxc.log"
same "$code" 200
same "$(header content-disposition)" 'inline;filename=lxc.log'
until_true 10 grep -q "instance-log-retrieved" "$SCRATCH/read"
kill "$monitor"

it "does without a file"
rm "$place/metadata.yaml"
req GET $M
ok
meta .creation_date 0
same "$(header etag)" '' etag
req PATCH $M '{"creation_date":9}'
ok
req GET $M
meta .creation_date 9

it "lists templates, and gives their texts"
req GET $T
ok
meta . '["hostname.tpl"]'
req GET "$T?path=hostname.tpl"
same "$code $(header content-type) $(header content-length) $(header content-disposition)" \
	'200 application/octet-stream 21 inline;filename=hostname.tpl' headers
same "$body" '{{ container.name }}' text
req GET "$T?path=nope"
error 404 '^Template "nope" not found$'
# LXD 5.0.2 takes `..` for a name, and removes the directory.
for path in ../metadata.yaml a/b $(ours && echo ..); do
	for call in GET DELETE POST; do
		req $call "$T?path=$path"
		error '400|500' .
	done
done
req GET $I/nope/metadata/templates
error 404 '^Instance not found$'
req PUT $T '{}'
error 501 'not implemented'

it "writes, replaces and removes templates"
put new.tpl 'hello {{ instance.name }}'
ok
meta . '{}'
put empty ''
put new.tpl 'bye {{ instance.name }}'
req GET $T
meta sort '["empty","hostname.tpl","new.tpl"]'
req GET "$T?path=new.tpl"
same "$body" 'bye {{ instance.name }}' text
req GET "$T?path=empty"
same "$code $body" '200 ' empty
req DELETE "$T?path=new.tpl"
ok
req DELETE "$T?path=new.tpl"
error 404 '^Template "new.tpl" not found$'
for call in POST DELETE; do
	req $call $T
	error 400 '^missing path argument$'
	req $call "$I/nope/metadata/templates?path=x"
	error 404 '^Instance not found$'
done

it "follows no link and reads no endless text"
if ours; then
	echo secret >"$SCRATCH/secret"
	ln -s "$SCRATCH/secret" "$place/templates/link"
	mkfifo "$place/templates/fifo"
	for name in link fifo; do
		req GET "$T?path=$name"
		error 400 .
	done
	put link mine
	same "$(cat "$SCRATCH/secret")" secret 'what a link pointed to'
	rm -f "$place/templates/link" "$place/templates/fifo"
	head -c 2000000 /dev/zero >"$SCRATCH/much"
	req POST "$T?path=much" '' --data-binary "@$SCRATCH/much"
	error 400 'longer than'
	ln -sf "$SCRATCH/secret" "$place/metadata.yaml"
	req GET $M
	error 400 .
	req PUT $M "$own"
	ok
	same "$(cat "$SCRATCH/secret")" secret 'what a link pointed to'
fi

it "is what the next start goes by"
put greeting 'I am {{ instance.name }}, {{ properties.q }}, {{ config_get("user.who", "nobody") }}'
req PUT $M '{"architecture":"x86_64","creation_date":5,"templates":{"/root/greeting":{"when":["start"],"template":"greeting","properties":{"q":"r"}}}}'
does lxc profile create met-who
does lxc profile set met-who user.who somebody
does lxc profile add met1 met-who
does lxc restart -f met1
gives 'I am met1, r, somebody' inside met1 cat /root/greeting

it "does the same with a stopped instance"
does lxc stop -f met1
req GET $M
meta '.templates["/root/greeting"].template' '"greeting"'
req PATCH $M '{"expiry_date":3}'
ok
put stopped x
req GET $T
meta 'index("stopped") != null' true
req GET "$T?path=stopped"
same "$body" x text
req DELETE "$T?path=stopped"
ok
does lxc rename met1 met2
req GET $I/met2/metadata
meta .expiry_date 3
does lxc rename met2 met1

it "tells of it"
timeout 30 lxc monitor --format json --type lifecycle >"$SCRATCH/events" &
monitor=$!
# told ACTION SOURCE CONTEXT
told() { bounded jq -ces "map(.metadata | select(.action == \"instance-metadata-$1\") | [.source, .context, .requestor.username]) | index([[\"$2\", $3, \"root\"]]) != null" "$SCRATCH/events"; }
until_true 10 eval 'req PUT $M "$own"; told updated $M null'
put told x
until_true 10 told template-created $T '{"path":"told"}'
req GET "$T?path=told"
until_true 10 told template-retrieved $T '{"path":"told"}'
req DELETE "$T?path=told"
until_true 10 told template-deleted $T '{"path":"told"}'
kill $monitor 2>/dev/null
wait $monitor 2>/dev/null

it "shows and edits by the client"
does lxc config metadata show met1
shown=$out
like "$shown" 'creation_date: 5'
like "$shown" '    create_only: true'
does eval 'lxc config metadata show met1 | sed s/x86_64/i686/ | lxc config metadata edit met1'
req GET $M
meta .architecture '"i686"'
does script -qec "EDITOR='sed -i s/i686/x86_64/' lxc config metadata edit met1" /dev/null
gives "$shown" lxc config metadata show met1
refuses 'yaml|YAML' eval 'echo "xx: [" | lxc config metadata edit met1'
refuses 'Instance not found' lxc config metadata show nope
refuses 'Missing instance name' lxc config metadata show ''

it "works on templates by the client"
does lxc config template create met1 by-client
does eval 'echo one | lxc config template edit met1 by-client'
gives one lxc config template show met1 by-client
does script -qec "EDITOR='sed -i s/one/two/' lxc config template edit met1 by-client" /dev/null
gives two lxc config template show met1 by-client
gives $'by-client\nempty\ngreeting\nhostname.tpl' eval 'lxc config template list met1 -f csv | grep -v link'
does lxc config template delete met1 by-client
refuses 'Template "by-client" not found' lxc config template delete met1 by-client
refuses 'Template "nope" not found' lxc config template show met1 nope
refuses 'Invalid number of arguments' lxc config template show met1

done_testing

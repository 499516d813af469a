#!/bin/bash
# Zones of names, and their records.
# covers: GET /1.0/network-zones, POST /1.0/network-zones, GET /1.0/network-zones/{zone}, PUT /1.0/network-zones/{zone}
# covers: PATCH /1.0/network-zones/{zone}, DELETE /1.0/network-zones/{zone}
# covers: GET /1.0/network-zones/{zone}/records, POST /1.0/network-zones/{zone}/records
# covers: GET /1.0/network-zones/{zone}/records/{name}, PUT /1.0/network-zones/{zone}/records/{name}
# covers: PATCH /1.0/network-zones/{zone}/records/{name}, DELETE /1.0/network-zones/{zone}/records/{name}
. "$(dirname "$0")/lib.bash"
N=/1.0/networks Z=/1.0/network-zones R=/1.0/network-zones/lxd.example.net/records

timeout 300 lxc monitor --type=lifecycle --format=json >"$SCRATCH/events" 2>/dev/null &
monitor=$!

it "makes and shows zones"
req GET $Z
ok
meta . '[]'
req POST $Z '{"name":"lxd.example.net"}'
created $Z/lxd.example.net
req POST $Z '{"name":"2.0.192.in-addr.arpa","description":"d","config":{"user.a":"b"}}'
created $Z/2.0.192.in-addr.arpa
req POST $Z '{"name":"z3","config":{"dns.nameservers":"ns1.example.net, ns2.example.net","peers.a.address":"127.0.0.1","peers.a.key":"x","network.nat":"false"}}'
created $Z/z3
req GET $Z
meta sort "[\"$Z/2.0.192.in-addr.arpa\",\"$Z/lxd.example.net\",\"$Z/z3\"]"
req GET "$Z?recursion=1"
meta 'sort_by(.name) | map([.name, .description])' '[["2.0.192.in-addr.arpa","d"],["lxd.example.net",""],["z3",""]]'
req GET $Z/2.0.192.in-addr.arpa
ok
meta keys_unsorted '["description","config","name","used_by"]'
meta . '{"description":"d","config":{"user.a":"b"},"name":"2.0.192.in-addr.arpa","used_by":[]}'
like "$(header etag)" '^"[0-9a-f]{64}"$'

it "refuses zones"
while IFS=';' read -r zone status text; do
	req POST $Z "{$zone}"
	error "$status" "$text"
done <<-'END'
	"name":"z3";400;^The network zone already exists$
	"name":"";400|500;^Name is required$
	"name":"z4","config":{"nope":"b"};400|500;^Invalid config option "nope"$
	"name":"z4","config":{"network.nat":"x"};400|500;^Invalid value for config option "network.nat": Invalid value for a boolean "x"$
	"name":"z4","config":{"peers.a.address":"x"};400|500;^Invalid value for config option "peers.a.address": Not an IP address "x"$
	"name":"z4","config":{"peers.a.nope":"x"};400|500;^Invalid config option "peers.a.nope"$
END
req GET $Z/z4
error 404 '^Network zone not found$'

it "changes zones"
req PATCH $Z/z3 '{"config":{"user.a":"b"}}'
ok
meta . '{}'
req GET $Z/z3
meta '.config["user.a"], .config["network.nat"]' '"b","false"'
req PUT $Z/z3 '{"description":"d2"}'
ok
req GET $Z/z3
meta '[.description, .config]' '["d2",{}]'
req PUT $Z/z3 '{"description":"d2"}' -H 'If-Match: "0"'
error 412 "^ETag doesn't match: "
req PUT $Z/z3 '{"config":{"nope":"1"}}'
error '400|500' '^Invalid config option "nope"$'
for method in GET PUT PATCH DELETE; do
	req $method $Z/nope '{}'
	error 404 '^Network zone not found$'
done
req POST $Z/z3 '{"name":"x"}'
error 501 '^not implemented$'

it "keeps records"
req GET $R
ok
meta . '[]'
req POST $R '{"name":"www"}'
created $R/www
req POST $R '{"name":"@"}'
created $R/@
req POST $R '{"name":"r2","entries":[{"type":"A","value":"1.2.3.4"},{"type":"TXT","value":"hello world","ttl":60}],"config":{"user.x":"y"},"description":"dd"}'
created $R/r2
req GET $R
meta . "[\"$R/@\",\"$R/r2\",\"$R/www\"]"
req GET "$R?recursion=1"
meta 'map(.name)' '["@","r2","www"]'
req GET $R/r2
ok
meta keys_unsorted '["description","entries","config","name"]'
meta . '{"description":"dd","entries":[{"type":"A","value":"1.2.3.4"},{"type":"TXT","ttl":60,"value":"hello world"}],"config":{"user.x":"y"},"name":"r2"}'
like "$(header etag)" '^"[0-9a-f]{64}"$'

it "refuses records"
while IFS=';' read -r record text; do
	req POST $R "{$record}"
	error '400|409|500' "$text"
done <<-'END'
	"name":"r3","entries":[{"type":"NOPE","value":"1.2.3.4"}];^Bad zone record entry: .*NOPE
	"name":"r3","entries":[{"type":"A","value":"x"}];^Bad zone record entry: .*x
	"name":"r3","entries":[{"type":"A","value":"1.2.3.4"},{"type":"A","value":"1.2.3.4"}];^Duplicate record for type "A" and value "1.2.3.4"$
	"name":"r3","config":{"nope":"1"};^Invalid config option "nope"$
END
req POST $R '{"name":"www"}'
error '400|409|500' .
req GET $R/r3
error 404 '^Network zone record not found$'
req GET $Z/nope/records
error 404 '^Network zone not found$'
req POST $Z/nope/records '{"name":"www"}'
error 404 '^Network zone not found$'

it "changes records"
req PATCH $R/r2 '{"config":{"user.z":"y"}}'
ok
meta . '{}'
req GET $R/r2
meta '.config["user.z"]' '"y"'
req PUT $R/r2 '{"description":"x"}'
ok
req GET $R/r2
meta '[.description, .config, (.entries // [])]' '["x",{},[]]'
req PUT $R/r2 '{"description":"x"}' -H 'If-Match: "0"'
error 412 "^ETag doesn't match: "
for method in GET PUT DELETE; do
	req $method $R/nope '{}'
	error 404 '^Network zone record not found$'
done
req DELETE $R/r2
ok

it "belongs to networks"
req POST $N '{"name":"zn0","config":{"ipv4.address":"10.55.0.1/24","ipv6.address":"none","dns.zone.forward":"lxd.example.net","dns.zone.reverse.ipv4":"2.0.192.in-addr.arpa"}}'
created $N/zn0
req GET $Z/lxd.example.net
meta .used_by '["/1.0/networks/zn0"]'
req DELETE $Z/lxd.example.net
error '400|500' '^Cannot delete a zone that is in use$'
req PATCH $N/zn0 '{"config":{"dns.zone.forward":"nope"}}'
error 400 'option "dns.zone.forward": Network zone "nope" doesn.t exist$'
req DELETE $N/zn0
ok

# The stock client asks for the extension `network_dns`, which comes with the server of the zones' names.
it "works with the client"
if lxc query /1.0 | jq -e '.api_extensions | index("network_dns_records")' >/dev/null || [ "$(readlink "$LXC")" = lxbox ]; then
does lxc network zone list
like "$out" '\| z3 +\| d2 +\| 0 +\|'
gives 'Network Zone z4 created' lxc network zone create z4 user.a=b
refuses 'The network zone already exists' lxc network zone create z4
gives b lxc network zone get z4 user.a
does lxc network zone set z4 user.a=c
does lxc network zone unset z4 user.a
gives '' lxc network zone get z4 user.a
does lxc network zone show z4
same "$out" 'description: ""
config: {}
name: z4
used_by: []'
printf 'description: edited\n' | lxc network zone edit z4 || fail edit
does lxc network zone show z4
like "$out" 'description: edited'
gives 'Network zone record mail created' lxc network zone record create z4 mail user.a=b
does lxc network zone record entry add z4 mail A 1.2.3.4 --ttl 60
refuses 'Duplicate record for type "A" and value "1.2.3.4"' lxc network zone record entry add z4 mail A 1.2.3.4
does lxc network zone record entry add z4 mail AAAA fd42::1
does lxc network zone record list z4
like "$out" '\| mail +\| +\| A 1.2.3.4 +\|
\| +\| +\| AAAA fd42::1 \|'
does lxc network zone record show z4 mail
same "$out" 'description: ""
entries:
- type: A
  ttl: 60
  value: 1.2.3.4
- type: AAAA
  value: fd42::1
config:
  user.a: b
name: mail'
gives b lxc network zone record get z4 mail user.a
does lxc network zone record set z4 mail user.a=c
does lxc network zone record unset z4 mail user.a
does lxc network zone record entry remove z4 mail A 1.2.3.4
refuses "Couldn't find a matching entry" lxc network zone record entry remove z4 mail A 1.2.3.4
printf 'description: edited\n' | lxc network zone record edit z4 mail || fail edit
does lxc network zone record show z4 mail
like "$out" 'description: edited'
gives 'Network zone record mail deleted' lxc network zone record delete z4 mail
gives 'Network Zone z4 deleted' lxc network zone delete z4
refuses 'Network zone not found' lxc network zone show z4
else
	refuses 'network_dns' lxc network zone list
	req POST $Z '{"name":"z4"}'
	created $Z/z4
	req DELETE $Z/z4
	ok
fi

it "tells what happens"
happened() { jq -c "select(.metadata.action == \"$1\" and .metadata.source == \"$2\") | [.project, .metadata.requestor.username]" "$SCRATCH/events" | head -n 1; }
seen() { [ -n "$(happened network-zone-deleted $Z/z4)" ]; }
until_true 5 seen
plain='["default","root"]'
same "$(happened network-zone-created $Z/z3)" "$plain"
same "$(happened network-zone-updated $Z/z3)" "$plain"
same "$(happened network-zone-record-created $R/r2)" "$plain"
same "$(happened network-zone-record-updated $R/r2)" "$plain"
same "$(happened network-zone-record-deleted $R/r2)" "$plain"
kill $monitor

it "lets go of zones, with their records"
req DELETE $Z/lxd.example.net
ok
req GET $R/www
error 404 '^Network zone not found$'
req DELETE $Z/z3
ok
req DELETE $Z/2.0.192.in-addr.arpa
ok
req GET $Z
meta . '[]'

done_testing

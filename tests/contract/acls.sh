#!/bin/bash
# Access lists and address forwards of networks.
# covers: GET /1.0/network-acls, POST /1.0/network-acls, GET /1.0/network-acls/{name}, PUT /1.0/network-acls/{name}
# covers: PATCH /1.0/network-acls/{name}, POST /1.0/network-acls/{name}, DELETE /1.0/network-acls/{name}
# covers: GET /1.0/network-acls/{name}/log
# covers: GET /1.0/networks/{name}/forwards, POST /1.0/networks/{name}/forwards
# covers: GET /1.0/networks/{name}/forwards/{address}, PUT /1.0/networks/{name}/forwards/{address}
# covers: PATCH /1.0/networks/{name}/forwards/{address}, DELETE /1.0/networks/{name}/forwards/{address}
. "$(dirname "$0")/lib.bash"
N=/1.0/networks A=/1.0/network-acls F=/1.0/networks/fw0/forwards

timeout 300 lxc monitor --type=lifecycle --format=json >"$SCRATCH/events" 2>/dev/null &
monitor=$!

it "makes and shows access lists"
req GET $A
ok
meta . '[]'
req POST $A '{"name":"a1"}'
created $A/a1
req GET $A
meta . '["/1.0/network-acls/a1"]'
req GET "$A?recursion=1"
meta . '[{"name":"a1","description":"","egress":[],"ingress":[],"config":{},"used_by":[]}]'
req GET $A/a1
ok
meta keys_unsorted '["name","description","egress","ingress","config","used_by"]'
like "$(header etag)" '^"[0-9a-f]{64}"$'

it "refuses names of access lists"
while IFS=';' read -r name status text; do
	req POST $A "{\"name\":\"$name\"}"
	error "$status" "$text"
done <<-'END'
	a1;400;^The network ACL already exists$
	;400|500;^Name is required$
	a/b;400|500;^Name can only contain alphanumeric and hyphen characters$
	a b;400|500;^Name can only contain alphanumeric and hyphen characters$
	a_b;400|500;^Name can only contain alphanumeric and hyphen characters$
	a.b;400|500;^Name can only contain alphanumeric and hyphen characters$
	1a;400|500;^Name must not start with a number$
	-a;400|500;^Name must not start with "-" character$
	@internal;400|500;^Name cannot start with reserved character '@'$
	x234567890123456789012345678901234567890123456789012345678901234567890;400|500;^Name must be 1-63 characters long$
END
req POST $A '{"name":"a2","config":{"nope":"1"}}'
error '400|500' '^Invalid config option "nope"$'

it "refuses rules"
on='"action":"allow","state":"enabled"'
while IFS=';' read -r rules text; do
	req POST $A "{\"name\":\"a2\",\"ingress\":[$rules]}"
	error '400|500' "$text"
done <<-END
	{"action":"nope"};^Invalid ingress rule 0: Action must be one of: allow, drop, reject$
	{"action":"allow"};^Invalid ingress rule 0: State must be one of: enabled, disabled, logged$
	{$on,"protocol":"nope"};rule 0: Protocol must be one of: icmp4, icmp6, tcp, udp$
	{$on,"source":"nope"};rule 0: Invalid Source: Invalid subject "nope"$
	{$on,"source":"a2"};rule 0: Invalid Source: Invalid subject "a2"$
	{$on,"source":"10.0.0.5-10.0.0.1"};rule 0: Invalid Source: Invalid subject "10.0.0.5-10.0.0.1"$
	{$on,"destination":"a1"};rule 0: Invalid Destination: Named subjects not allowed in "Destination" for "ingress" rules$
	{$on,"source":"10.0.0.1","destination":"fd42::1"};rule 0: Conflicting IP family types used for Source and Destination$
	{$on,"destination_port":"80"};rule 0: Destination port cannot be used without specifying protocol$
	{$on,"protocol":"tcp","destination_port":"80-70"};rule 0: Invalid Destination port: Start port 80 must be lower than end port 70$
	{$on,"protocol":"tcp","source_port":"x"};rule 0: Invalid Source port: Invalid port number "x"$
	{$on,"protocol":"tcp","icmp_type":"8"};rule 0: ICMP type cannot be used with non-ICMP protocol$
	{$on,"icmp_type":"8"};rule 0: ICMP type cannot be used without specifying protocol$
	{$on,"protocol":"icmp4","icmp_type":"300"};rule 0: Invalid ICMP type: Invalid value for an integer "300". Must be between 0 and 255$
	{$on,"protocol":"icmp4","source_port":"3"};rule 0: Source port cannot be used with "icmp4" protocol$
	{$on,"protocol":"icmp4","source":"fd42::1"};rule 0: Cannot use IPv6 source addresses with "icmp4" protocol$
	{$on,"protocol":"icmp6","destination":"10.0.0.1"};rule 0: Cannot use IPv4 destination addresses with "icmp6" protocol$
	{$on},{$on};^Duplicate of ingress rule 0$
END
req GET $A/a2
error 404 '^Network ACL not found$'

it "keeps rules, without blanks and in their order"
req POST $A "{\"name\":\"a2\",\"description\":\"dd\",\"config\":{\"user.x\":\"1\"},\"ingress\":[{$on,\"source\":\" 10.0.0.0/24 , 10.1.0.1-10.1.0.5\",\"protocol\":\"tcp\",\"destination_port\":\"22,80-90\",\"description\":\" x \"}],\"egress\":[{\"action\":\"reject\",\"state\":\"logged\"},{\"action\":\"drop\",\"state\":\"disabled\",\"destination\":\"a1\"}]}"
created $A/a2
req GET $A/a2
ok
meta . '{"name":"a2","description":"dd","config":{"user.x":"1"},"used_by":[],"ingress":[{"action":"allow","source":"10.0.0.0/24,10.1.0.1-10.1.0.5","protocol":"tcp","destination_port":"22,80-90","description":"x","state":"enabled"}],"egress":[{"action":"reject","state":"logged"},{"action":"drop","destination":"a1","state":"disabled"}]}'
req GET $A/a1
meta .used_by '["/1.0/network-acls/a2"]'
req DELETE $A/a1
error '400|500' '^Cannot delete an ACL that is in use$'

it "changes and renames them"
req POST $A '{"name":"a3"}'
created $A/a3
req PATCH $A/a3 '{"config":{"user.y":"1"}}'
ok
meta . '{}'
req GET $A/a3
meta .config '{"user.y":"1"}'
req PUT $A/a3 '{"description":"p"}'
ok
req GET $A/a3
meta '[.description, .config, .ingress]' '["p",{},[]]'
req PUT $A/a3 '{"description":"p"}' -H 'If-Match: "0"'
error 412 "^ETag doesn't match: "
req PUT $A/a3 '{"config":{"nope":"p"}}'
error '400|500' '^Invalid config option "nope"$'
req POST $A/a3 '{"name":"a2"}'
error '400|409|500' '^An ACL by that name exists already$'
req POST $A/a3 '{"name":""}'
error '400|500' '^Name is required$'
req POST $A/a3 '{"name":"a4"}'
created $A/a4
req DELETE $A/a4
ok
for method in GET PUT PATCH DELETE; do
	req $method $A/a4 '{}'
	error 404 '^Network ACL not found$'
done
req POST $A/a4 '{"name":"a5"}'
error 404 '^Network ACL not found$'
req GET $A/a2/log
error '400|500' '^Only OVN log entries may be retrieved at this time$'
req GET $A/a4/log
error 404 '^Network ACL not found$'

it "has no subjects of OVN for bridges"
req POST $A "{\"name\":\"ovn\",\"ingress\":[{$on,\"source\":\"@internal\"}]}"
created $A/ovn
req POST $N '{"name":"fw1","config":{"ipv4.address":"none","ipv6.address":"none","security.acls":"ovn"}}'
error '400|500' '^Unsupported nftables subject "@internal"$'
req GET $N/fw1
error 404 '^Network not found$'
req DELETE $A/ovn
ok

it "says which networks use them"
req POST $N '{"name":"fw0","config":{"ipv4.address":"10.53.0.1/24","ipv6.address":"fd42:53::1/64","security.acls":"a2"}}'
created $N/fw0
req GET $A/a2
meta .used_by '["/1.0/networks/fw0"]'
req DELETE $A/a2
error '400|500' '^Cannot delete an ACL that is in use$'
req POST $A/a2 '{"name":"a4"}'
error '400|500' '^Cannot rename an ACL that is in use$'
req PATCH $N/fw0 '{"config":{"security.acls":"a2,nope"}}'
error 400 '^Network ACL "nope" does not exist$'

it "changes access lists with the client"
does lxc network acl list
like "$out" '\| a2 +\| dd +\| 1 +\|'
does lxc network acl show a2
like "$out" 'used_by:
- /1.0/networks/fw0'
refuses 'Only OVN log entries' lxc network acl show-log a2
gives 1 lxc network acl get a2 user.x
does lxc network acl set a2 user.z=1
does lxc network acl unset a2 user.z
gives '' lxc network acl get a2 user.z
gives 'Network ACL b1 created' lxc network acl create b1 user.a=b
refuses 'The network ACL already exists' lxc network acl create b1
does lxc network acl rule add b1 ingress action=allow protocol=udp
refuses 'Duplicate of ingress rule 0' lxc network acl rule add b1 ingress action=allow protocol=udp
refuses 'The direction argument must be one of: ingress, egress' lxc network acl rule add b1 nope action=allow
refuses 'Unknown key: nope' lxc network acl rule add b1 ingress nope=allow
does lxc network acl show b1
like "$out" 'ingress:
- action: allow
  protocol: udp
  state: enabled'
does lxc network acl rule add b1 ingress action=drop protocol=udp
refuses 'Multiple rules match. Use --force to remove them all' lxc network acl rule remove b1 ingress protocol=udp
does lxc network acl rule remove b1 ingress protocol=udp --force
refuses 'No matching rule\(s\) found' lxc network acl rule remove b1 ingress protocol=udp
printf 'description: edited\nconfig: {}\n' | lxc network acl edit b1 || fail edit
does lxc network acl show b1
like "$out" 'description: edited'
gives 'Network ACL b1 renamed to b2' lxc network acl rename b1 b2
gives 'Network ACL b2 deleted' lxc network acl delete b2
refuses 'Network ACL not found' lxc network acl show b2

it "forwards addresses"
req GET $F
ok
meta . '[]'
req POST $F '{"listen_address":"192.0.2.1"}'
created $F/192.0.2.1
req GET $F
meta . "[\"$F/192.0.2.1\"]"
req GET "$F?recursion=1"
meta . '[{"description":"","config":{},"ports":[],"listen_address":"192.0.2.1","location":"none"}]'
req GET $F/192.0.2.1
ok
meta keys_unsorted '["description","config","ports","listen_address","location"]'
like "$(header etag)" '^"[0-9a-f]{64}"$'
req POST $F '{"listen_address":"2001:db8:0:0::1"}'
created $F/2001:db8::1
req POST $F '{"listen_address":"192.0.2.2","description":"ff","config":{"target_address":"10.53.0.5","user.a":"b"},"ports":[{"protocol":"tcp","listen_port":"80","target_address":"10.53.0.6"},{"protocol":"udp","listen_port":"79-81","target_address":"10.53.0.6","target_port":"1-3","description":"u"}]}'
created $F/192.0.2.2
req GET $F/192.0.2.2
meta . '{"description":"ff","config":{"target_address":"10.53.0.5","user.a":"b"},"ports":[{"description":"","protocol":"tcp","listen_port":"80","target_port":"","target_address":"10.53.0.6"},{"description":"u","protocol":"udp","listen_port":"79-81","target_port":"1-3","target_address":"10.53.0.6"}],"listen_address":"192.0.2.2","location":"none"}'

it "refuses forwards"
while IFS=';' read -r forward status text; do
	req POST $F "{$forward}"
	error "$status" "$text"
done <<-'END'
	"listen_address":"192.0.2.1";409;^Failed creating forward: A forward for that listen address already exists$
	"listen_address":"nope";400|500;^Failed creating forward: Failed parsing address forward listen address "nope"
	"listen_address":"";400|500;^Failed creating forward: Failed parsing address forward listen address ""
	"listen_address":"192.0.2.3","config":{"nope":"1"};400|500;^Failed creating forward: Invalid option "nope"$
	"listen_address":"192.0.2.3","config":{"target_address":"x"};400|500;^Failed creating forward: Invalid default target address$
	"listen_address":"192.0.2.3","config":{"target_address":"10.99.0.1"};400|500;^Failed creating forward: Default target address is not within the network subnet$
	"listen_address":"192.0.2.3","config":{"target_address":"fd42:53::5"};400|500;^Failed creating forward: Cannot mix IP versions in listen address and default target address$
	"listen_address":"192.0.2.3","ports":[{"protocol":"nope"}];400|500;Invalid port protocol in port specification 0, protocol must be one of: tcp, udp$
	"listen_address":"192.0.2.3","ports":[{"protocol":"tcp","listen_port":"","target_address":"10.53.0.6"}];400|500;Missing listen port in port specification 0$
	"listen_address":"192.0.2.3","ports":[{"protocol":"tcp","listen_port":"80","target_address":""}];400|500;Invalid target address in port specification 0$
	"listen_address":"192.0.2.3","ports":[{"protocol":"tcp","listen_port":"80","target_address":"10.99.0.1"}];400|500;Target address is not within the network subnet in port specification 0$
	"listen_address":"192.0.2.3","ports":[{"protocol":"tcp","listen_port":"80-82","target_address":"10.53.0.6","target_port":"80,81"}];400|500;Mismatch of listen port\(s\) and target port\(s\) count in port specification 0$
	"listen_address":"192.0.2.3","ports":[{"protocol":"tcp","listen_port":"80,80","target_address":"10.53.0.6"}];400|500;Duplicate listen port 80 for protocol "tcp" in port specification 0$
	"listen_address":"192.0.2.3","ports":[{"protocol":"tcp","listen_port":"80","target_address":"10.53.0.6"},{"protocol":"tcp","listen_port":"79-81","target_address":"10.53.0.6"}];400|500;Duplicate listen port 80 for protocol "tcp" in port specification 1$
END
req GET $F/192.0.2.3
error 404 '^Network forward not found$'
req POST $N '{"name":"fw1","config":{"ipv4.address":"10.54.0.1/24","ipv6.address":"none"}}'
created $N/fw1
req POST $N/fw1/forwards '{"listen_address":"192.0.2.1"}'
error '400|500' '^Failed creating forward: Forward listen address "192.0.2.1/32" overlaps with another network or NIC$'
req DELETE $N/fw1
ok
for name in nope lo; do
	req GET $N/$name/forwards
	error 404 '^Failed loading network: Network not found$'
	req POST $N/$name/forwards '{"listen_address":"192.0.2.1"}'
	error 404 '^Failed loading network: Network not found$'
done

it "changes forwards"
req PATCH $F/192.0.2.2 '{"config":{"user.b":"c"}}'
ok
meta . '{}'
req GET $F/192.0.2.2
meta '[.config, (.ports | length)]' '[{"target_address":"10.53.0.5","user.a":"b","user.b":"c"},2]'
req PUT $F/192.0.2.2 '{"description":"p"}'
ok
req GET $F/192.0.2.2
meta '[.description, .config, .ports]' '["p",{},[]]'
req PUT $F/192.0.2.7 '{"description":"p"}'
error 404 '^Failed updating forward: Network forward not found$'
req DELETE $F/192.0.2.7
error 404 '^Failed deleting forward: Network forward not found$'
# What a forward needs can't be taken away below it.
req PATCH $N/fw0 '{"config":{"ipv4.address":"none"}}'
error '400|500' 'forward'
req GET $N/fw0
meta '.config["ipv4.address"]' '"10.53.0.1/24"'
req DELETE $F/192.0.2.2
ok

it "forwards with the client"
does lxc network forward list fw0
like "$out" '\| 192.0.2.1 +\| +\| +\| 0 +\|'
gives 'Network forward 192.0.2.3 created' lxc network forward create fw0 192.0.2.3 target_address=10.53.0.7 user.x=y
gives 10.53.0.7 lxc network forward get fw0 192.0.2.3 target_address
does lxc network forward set fw0 192.0.2.3 target_address=10.53.0.8
does lxc network forward unset fw0 192.0.2.3 target_address
gives '' lxc network forward get fw0 192.0.2.3 target_address
does lxc network forward port add fw0 192.0.2.3 tcp 80 10.53.0.9 8080
refuses 'Duplicate listen port 80 for protocol "tcp" in port specification 1' lxc network forward port add fw0 192.0.2.3 tcp 80 10.53.0.9 8080
does lxc network forward show fw0 192.0.2.3
same "$out" 'description: ""
config:
  user.x: "y"
ports:
- description: ""
  protocol: tcp
  listen_port: "80"
  target_port: "8080"
  target_address: 10.53.0.9
listen_address: 192.0.2.3
location: none'
refuses 'No matching port\(s\) found' lxc network forward port remove fw0 192.0.2.3 udp
does lxc network forward port add fw0 192.0.2.3 udp 81-82 10.53.0.9
refuses 'Multiple ports match. Use --force to remove them all' lxc network forward port remove fw0 192.0.2.3
does lxc network forward port remove fw0 192.0.2.3 tcp 80
printf 'description: edited\n' | lxc network forward edit fw0 192.0.2.3 || fail edit
does lxc network forward show fw0 192.0.2.3
like "$out" 'description: edited'
gives 'Network forward 192.0.2.3 deleted' lxc network forward delete fw0 192.0.2.3
refuses 'Network forward not found' lxc network forward show fw0 192.0.2.3

it "tells what happens"
happened() { jq -c "select(.metadata.action == \"$1\" and .metadata.source == \"$2\") | [.project, .metadata.requestor.username, .metadata.context]" "$SCRATCH/events" | head -n 1; }
seen() { [ -n "$(happened network-forward-deleted $F/192.0.2.3)" ]; }
until_true 5 seen
plain='["default","root",null]'
same "$(happened network-acl-created $A/a1)" "$plain"
same "$(happened network-acl-updated $A/a3)" "$plain"
same "$(happened network-acl-renamed $A/a4)" '["default","root",{"old_name":"a3"}]'
same "$(happened network-acl-deleted $A/a4)" "$plain"
same "$(happened network-forward-created $F/192.0.2.2)" "$plain"
same "$(happened network-forward-updated $F/192.0.2.2)" "$plain"
kill $monitor

it "lets go of all"
req DELETE $N/fw0
ok
req DELETE $A/a2
ok
req DELETE $A/a1
ok
req GET $A
meta . '[]'

done_testing

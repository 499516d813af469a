#!/bin/bash
# Zones as other servers of names get them: what is in them, who may have them (core.dns_address).
# covers: PATCH /1.0
# covers: POST /1.0/network-zones
. "$(dirname "$0")/lib.bash"
N=/1.0/networks Z=/1.0/network-zones
command -v dig >/dev/null || fail "dig (bind9-dnsutils) is needed"

# zone NAME CONFIG; record ZONE NAME ENTRIES.
zone() { req POST $Z "{\"name\":\"$1\",\"config\":$2}"; created $Z/$1; }
record() { req POST $Z/$1/records "{\"name\":\"$2\",\"entries\":$3}"; same "$code" 201 "$body"; }
asks() { timeout 20 dig +nocmd +nostats +noedns +tries=1 +time=5 -p 1053 "$@"; }
# got ZONE [ARGUMENT...]: sets out to the zone's records without the SOA's serial number, one a line, sorted.
got() { out=$(asks @127.0.0.1 axfr "$@" | grep -v '^;' | tr -s '\t ' ' ' | sed '/^$/d;s/\( SOA .*\) [0-9]\{9,10\} /\1 SERIAL /' | sort -u); }
# silent ZONE [ARGUMENT...]: the zone isn't given.
silent() { got "$@"; same "$out" '' "$*"; }
code_of() { asks @127.0.0.1 "$@" | sed -n 's/.*status: \([A-Z]*\),.*/\1/p'; }
ip address add 127.0.0.2/8 dev lo

it "listens where it is told"
req PATCH /1.0 '{"config":{"core.dns_address":"nope"}}'
error 400 "^cannot set 'core.dns_address' to 'nope': Couldn't resolve \"nope\"$"
req PATCH /1.0 '{"config":{"core.dns_address":"127.0.0.2:1054"}}'
ok
same "$(ss -Hlntu | awk '$5 ~ /:1054$/ {print $1, $5}' | sort | tr '\n' ' ')" 'tcp 127.0.0.2:1054 udp 127.0.0.2:1054 '
req PATCH /1.0 '{"config":{"core.dns_address":"127.0.0.1:1053"}}'
ok
same "$(ss -Hlntu | awk '$5 ~ /:105[34]$/ {print $1, $5}' | sort | tr '\n' ' ')" 'tcp 127.0.0.1:1053 udp 127.0.0.1:1053 '
if ours; then
	# LXD takes it, and listens nowhere.
	req PATCH /1.0 '{"config":{"core.dns_address":"192.0.2.77:1053"}}'
	error 500 '^Failed listening for servers of names on "192.0.2.77:1053": '
	req GET /1.0
	meta '.config["core.dns_address"]' '"127.0.0.1:1053"'
fi

it "gives the names of networks and instances"
zone z.example.net '{"peers.a.address":"127.0.0.1","dns.nameservers":"ns1.example.net,ns2.example.net"}'
zone 100.0.10.in-addr.arpa '{"peers.a.address":"127.0.0.1"}'
zone 2.4.d.f.ip6.arpa '{"peers.a.address":"127.0.0.1"}'
req POST $N '{"name":"zt0","config":{"ipv4.address":"10.0.100.1/24","ipv6.address":"fd42::1/64","ipv4.nat":"true","dns.zone.forward":"z.example.net","dns.zone.reverse.ipv4":"100.0.10.in-addr.arpa","dns.zone.reverse.ipv6":"2.4.d.f.ip6.arpa"}}'
created $N/zt0
does lxc init bb zt-a -q -n zt0
does lxc config device set zt-a eth0 hwaddr=00:16:3e:00:00:0a ipv4.address=10.0.100.9
got z.example.net
same "$out" 'z.example.net. 300 IN NS ns1.example.net.
z.example.net. 300 IN NS ns2.example.net.
z.example.net. 3600 IN SOA z.example.net. ns1.example.net. SERIAL 120 60 86400 30
zt-a.z.example.net. 300 IN A 10.0.100.9
zt-a.z.example.net. 300 IN AAAA fd42::216:3eff:fe00:a
zt0.gw.z.example.net. 300 IN A 10.0.100.1
zt0.gw.z.example.net. 300 IN AAAA fd42::1'
got 100.0.10.in-addr.arpa
same "$out" '1.100.0.10.in-addr.arpa. 300 IN PTR zt0.gw.z.example.net.
100.0.10.in-addr.arpa. 3600 IN SOA 100.0.10.in-addr.arpa. hostmaster.100.0.10.in-addr.arpa. SERIAL 120 60 86400 30
9.100.0.10.in-addr.arpa. 300 IN PTR zt-a.z.example.net.'
got 2.4.d.f.ip6.arpa
like "$out" '0.0.0.2.4.d.f.ip6.arpa. 300 IN PTR zt0.gw.z.example.net.'
like "$out" '(^|'$'\n'')a.0.0.0.0.0.e.f.f.f.e.3.6.1.2.0.0.0.0.0.0.0.0.0.0.0.0.0.2.4.d.f.ip6.arpa. 300 IN PTR zt-a.z.example.net.'

it "gives what was given out"
launch zt-b -n zt0
leased() { req GET $N/zt0/leases && jq -e '.metadata[] | select(.hostname == "zt-b" and (.address | startswith("10.")))' <<<"$body"; }
until_true 20 leased
address=$(get '.metadata[] | select(.hostname == "zt-b" and (.address | startswith("10."))) | .address')
got z.example.net
like "$out" "zt-b.z.example.net. 300 IN A $address"
got 100.0.10.in-addr.arpa
like "$out" "${address##*.}.100.0.10.in-addr.arpa. 300 IN PTR zt-b.z.example.net."

it "hides what is behind NAT when asked"
req PATCH $Z/z.example.net '{"config":{"network.nat":"false"}}'
ok
got z.example.net
unlike "$out" ' A '
like "$out" 'zt0.gw.z.example.net. 300 IN AAAA fd42::1'

it "gives records"
zone r.example.net '{"peers.a.address":"127.0.0.1"}'
record r.example.net www '[{"type":"A","value":"1.2.3.4","ttl":60},{"type":"aaaa","value":"fd00::1"}]'
record r.example.net a.b '[{"type":"TXT","value":"hello world"},{"type":"TXT","value":"\"one; two\" \"three\""}]'
record r.example.net '*' '[{"type":"CNAME","value":"www.example.org."},{"type":"CAA","value":"0 issue \"x\""}]'
got r.example.net
like "$out" 'www.r.example.net. 60 IN A 1.2.3.4'
like "$out" 'www.r.example.net. 300 IN AAAA fd00::1'
like "$out" 'a.b.r.example.net. 300 IN TXT "hello" "world"'
like "$out" 'a.b.r.example.net. 300 IN TXT "one; two" "three"'
like "$out" '\*.r.example.net. 300 IN CNAME www.example.org.'
like "$out" '\*.r.example.net. 300 IN CAA 0 issue "x"'
if ours; then
	# LXD serves none of a zone with such names.
	record r.example.net rel '[{"type":"CNAME","value":"www"}]'
	record r.example.net @ '[{"type":"MX","value":"10 mail"},{"type":"TYPE65400","value":"\\# 2 aabb"}]'
	got r.example.net
	like "$out" 'rel.r.example.net. 300 IN CNAME www.r.example.net.'
	like "$out" 'r.example.net. 300 IN MX 10 mail.r.example.net.'
	like "$out" 'r.example.net. 300 IN TYPE65400 \\# 2 AABB'
	req POST $Z/r.example.net/records '{"name":"lost","entries":[{"type":"TXT","value":"v=1; k=2"}]}'
	error 500 '^Bad zone record entry: '
fi

it "gives a long zone in pieces"
zone long.example.net '{"peers.a.address":"127.0.0.1"}'
for i in 1 2 3 4; do
	record long.example.net "n$i" "$(jq -cn --arg i "$i" '[range(250) | {type: "TXT", value: ("\"" + $i + "-" + (. | tostring) + "-" + ("x" * 200) + "\"")}]')"
done
if ours; then
	# LXD fails with more than fits in one message.
	got long.example.net
	same "$(grep -c TXT <<<"$out")" 1000
fi

it "tells peers the state of a zone, and little else"
same "$(code_of soa r.example.net)" NOERROR
like "$(asks @127.0.0.1 soa r.example.net)" 'r.example.net\..*SOA.*r.example.net. hostmaster.r.example.net.'
like "$(asks @127.0.0.1 soa r.example.net +tcp)" 'flags: qr aa'
same "$(code_of a www.r.example.net)" NOTIMP
same "$(code_of any r.example.net)" NOTIMP
same "$(code_of soa nope.example.net)" NXDOMAIN
got www.r.example.net
same "$out" ''
if ours; then
	# LXD finds a zone only as it is written.
	got R.Example.NET
	like "$(tr A-Z a-z <<<"$out")" 'www.r.example.net. 60 in a 1.2.3.4'
	serial() { asks @127.0.0.1 +short soa r.example.net | awk '{print $3}'; }
	before=$(serial)
	like "$before" '^[0-9]+$'
	sleep 1.1
	# Whoever asks again gets nothing again.
	same "$(serial)" "$before"
	same "$(asks @127.0.0.1 ixfr="$before" r.example.net | grep -c SOA)" 1
	req DELETE $Z/r.example.net/records/rel
	ok
	[ "$(serial)" -gt "$before" ] || fail "the serial number stays $before"
	like "$(asks @127.0.0.1 ixfr="$before" r.example.net)" 'www.r.example.net'
fi

it "keeps zones from strangers"
zone none.example.net '{}'
silent none.example.net
same "$(code_of soa none.example.net)" NXDOMAIN
silent r.example.net -b 127.0.0.2
same "$(code_of soa r.example.net -b 127.0.0.2)" NXDOMAIN

it "asks for keys"
key=$(head -c 32 /dev/urandom | base64) other=$(head -c 32 /dev/urandom | base64)
zone keyed.net "{\"peers.a.key\":\"$key\"}"
zone both.net "{\"peers.a.key\":\"$key\",\"peers.a.address\":\"127.0.0.2\",\"peers.b.key\":\"$other\"}"
silent keyed.net
for algorithm in hmac-sha1 hmac-sha256 hmac-sha512; do
	got keyed.net -y "$algorithm:keyed.net_a.:$key"
	like "$out" 'keyed.net. 3600 IN SOA' "$algorithm"
done
silent keyed.net -y "hmac-sha256:keyed.net_a.:$other"
silent keyed.net -y "hmac-sha256:keyed.net_b.:$key"
silent keyed.net -y "hmac-md5:keyed.net_a.:$key"
silent both.net -y "hmac-sha256:both.net_a.:$key"
silent both.net -b 127.0.0.2
got both.net -b 127.0.0.2 -y "hmac-sha256:both.net_a.:$key"
like "$out" 'both.net. 3600 IN SOA'
got both.net -y "hmac-sha256:both.net_b.:$other"
like "$out" 'both.net. 3600 IN SOA'
if ours; then
	# Each of the messages is signed, over the one before.
	req PATCH $Z/long.example.net "{\"config\":{\"peers.k.key\":\"$key\",\"peers.k.address\":\"127.0.0.2\"}}"
	ok
	got long.example.net -b 127.0.0.2 -y "hmac-sha384:long.example.net_k.:$key"
	same "$(grep -c TXT <<<"$out")" 1000
fi

it "survives what isn't DNS"
printf 'nonsense' >/dev/udp/127.0.0.1/1053
head -c 3000 /dev/urandom >/dev/udp/127.0.0.1/1053
{ printf '\377\377'; head -c 70000 /dev/urandom; } 2>/dev/null >/dev/tcp/127.0.0.1/1053
head -c 300 /dev/urandom 2>/dev/null >/dev/tcp/127.0.0.1/1053
got r.example.net
like "$out" 'www.r.example.net. 60 IN A 1.2.3.4'

it "stops listening"
req PATCH /1.0 '{"config":{"core.dns_address":""}}'
ok
same "$(ss -Hlntu | grep -c ':1053')" 0
does lxc delete -f zt-a zt-b
req DELETE $N/zt0
ok

done_testing

#!/bin/bash
# The API over TLS: where it listens, whom it trusts, what it tells strangers, and that strangers can't keep it busy.
# covers: GET /1.0/certificates, POST /1.0/certificates
# covers: GET /1.0/certificates/{fingerprint}, PUT /1.0/certificates/{fingerprint}
# covers: PATCH /1.0/certificates/{fingerprint}, DELETE /1.0/certificates/{fingerprint}
. "$(dirname "$0")/lib.bash"

C=/1.0/certificates
AT=127.0.0.1:8443
cd "$SCRATCH" || exit 1

# pair NAME: a client's key pair. fp NAME: its fingerprint. der NAME: its certificate as the API takes it.
pair() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:secp384r1 -nodes -keyout "$1.key" -out "$1.crt" -days 100 \
		-subj "/O=org/CN=$1 name" 2>/dev/null || fail "no pair $1"
}
fp() { openssl x509 -in "$1.crt" -outform DER | sha256sum | cut -d ' ' -f 1; }
der() { openssl x509 -in "$1.crt" -outform DER | base64 -w 0; }

# treq WHO METHOD PATH [BODY] [CURL ARGUMENT...]: as req, over TLS with WHO's certificate (`-`: with none).
treq() {
	local who=$1 method=$2 path=$3 data=${4-}
	shift 3
	[ $# = 0 ] || shift
	[ "$who" = - ] || set -- --cert "$who.crt" --key "$who.key" "$@"
	curl -ksS --max-time 60 -X "$method" -D headers -o body ${data:+--data-binary "$data"} "$@" "https://$AT$path" \
		2>curl.err || fail "$method $path: $(cat curl.err)"
	headers=$(tr -d '\r' <headers | sed 's/^\([A-Za-z-]*\):/\L\1:/')
	code=$(sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p' <<<"$headers")
	body=$(tr -d '\0' <body)
}
listen() { req PATCH /1.0 "{\"config\":{\"core.https_address\":\"$1\"}}"; }
answers() { curl -ksS --max-time 5 -o /dev/null "https://$1/" 2>/dev/null; }
pair a
pair b
pair m

it "has a key pair from its first start on"
same "$(stat -c '%a %U' "$LXD_DIR/server.crt" "$LXD_DIR/server.key" | tr '\n' ' ')" '644 root 600 root ' modes
same "$(head -n 1 "$LXD_DIR/server.key")" '-----BEGIN EC PRIVATE KEY-----'
openssl ec -in "$LXD_DIR/server.key" -noout -check >/dev/null 2>&1 || fail "server.key is no key"
text=$(openssl x509 -in "$LXD_DIR/server.crt" -noout -text -nameopt RFC2253)
for line in 'Subject: CN=root@with-daemon,O=linuxcontainers.org' 'Issuer: CN=root@with-daemon,O=linuxcontainers.org' \
	'Signature Algorithm: ecdsa-with-SHA384' 'NIST CURVE: P-384' 'TLS Web Server Authentication' 'CA:FALSE' \
	'Digital Signature, Key Encipherment' 'DNS:with-daemon, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1'; do
	[[ $text == *"$line"* ]] || fail "no $line in $text"
done
like "$(openssl verify -CAfile "$LXD_DIR/server.crt" "$LXD_DIR/server.crt")" OK
from=$(openssl x509 -in "$LXD_DIR/server.crt" -noout -startdate | cut -d = -f 2)
to=$(openssl x509 -in "$LXD_DIR/server.crt" -noout -enddate | cut -d = -f 2)
same $((($(date -d "$to" +%s) - $(date -d "$from" +%s)) / 86400)) 3650 days
req GET /1.0
meta .environment.certificate "$(jq -Rs . <"$LXD_DIR/server.crt")"
meta .environment.certificate_fingerprint "\"$(cp "$LXD_DIR/server.crt" s.crt; fp s)\""
meta .environment.addresses '[]'

it "listens where it is told, before it answers"
while read -r address at shown; do
	listen "$address"
	ok
	answers "$at" || fail "nobody answers at $at for $address"
	req GET /1.0
	meta .environment.addresses "$shown"
	meta '.config["core.https_address"]' "\"$address\""
done <<-'END'
	127.0.0.1 127.0.0.1:8443 ["127.0.0.1:8443"]
	127.0.0.1:9443 127.0.0.1:9443 ["127.0.0.1:9443"]
	[::1] [::1]:8443 ["[::1]:8443"]
	[::1]:9443 [::1]:9443 ["[::1]:9443"]
	[::] 127.0.0.1:8443 []
	:8443 [::1]:8443 []
	::1 [::1]:8443 ["[::1]:8443"]
	0.0.0.0:9000 127.0.0.1:9000 []
	localhost:9001 127.0.0.1:9001 ["localhost:9001"]
END
answers 127.0.0.1:9443 && fail "it still listens where it did before"

it "listens everywhere at the addresses of the host"
ip addr add 10.77.0.1/24 dev lo && ip -6 addr add fd77::1/64 dev lo nodad
listen '[::]'
req GET /1.0
meta '.environment.addresses | sort' '["10.77.0.1:8443","[fd77::1]:8443"]'
answers 10.77.0.1:8443 || fail "not at 10.77.0.1"

it "keeps what it had when it can't listen"
listen $AT
ok
python3 -c '
import socket, time
s = socket.socket(); s.bind(("127.0.0.1", 7777)); s.listen(); print("ready", flush=True); time.sleep(60)' >taken &
taken=$!
until_true 5 grep -q ready taken
for address in 127.0.0.1:7777 192.0.2.1:8443; do
	listen $address
	error 500 "^Cannot listen on network HTTPS socket \"$address\": "
	answers $AT || fail "nobody answers any more after $address"
	# 5.0.2 keeps the address that it couldn't have.
	ours && { req GET /1.0; meta '.config["core.https_address"]' "\"$AT\""; }
	listen $AT
done
kill $taken
listen nope
error 400 "cannot set 'core.https_address' to 'nope': Couldn't resolve \"nope\""

it "speaks TLS 1.3, and HTTP/2 or 1.1"
treq - GET /
ok
like "$headers" '^HTTP/2 200'
treq - GET / '' --http1.1
ok
like "$headers" '^HTTP/1.1 200'
curl -ksS --max-time 10 --tls-max 1.2 https://$AT/ >/dev/null 2>&1 && fail "TLS 1.2 is taken"
out=$(curl -sS --max-time 10 --http0.9 http://$AT/ 2>&1)
like "$out" 'Client sent an HTTP request to an HTTPS server'

it "tells a stranger what anybody may know"
treq - GET /
ok
meta . '["/1.0"]'
req GET /1.0
extensions=$(jq -c .metadata.api_extensions <<<"$body")
for who in - a; do
	treq $who GET /1.0
	ok
	meta 'keys_unsorted' '["api_extensions","api_status","api_version","auth","public","auth_methods"]'
	meta 'del(.api_extensions)' '{"api_status":"stable","api_version":"1.0","auth":"untrusted","public":false,"auth_methods":["tls"]}'
	meta '.api_extensions' "$extensions"
	same "$(header etag)" ''
done

it "refuses a stranger everything else"
for request in 'GET /1.0/instances' 'GET /1.0/certificates' 'GET /1.0/events' 'GET /1.0/operations' 'GET /1.0/operations/x/wait' \
	'POST /1.0' 'PUT /1.0' 'POST /1.0/images/x/secret' 'GET /1.0/images/aliases' 'GET /internal/ready' 'GET /1.0/resources' \
	'DELETE /1.0/instances/x' 'GET /1.0/instances/x/files?path=/' 'GET /1.0/projects' 'PUT /internal/shutdown' 'GET /1.0/warnings'; do
	# shellcheck disable=SC2086
	treq a $request '{}'
	error 403 '^not authorized$'
done
treq - GET /1.0 '' -H 'X-LXD-authenticated: true'
error 403 '^not authorized$'
treq - GET /1.0/nope
error 404 '^not found$'
treq - GET /1.0/operations/x/websocket
error 400 '^missing secret$'

it "shows a stranger public images alone"
req GET '/1.0/images?recursion=1'
image=$(get '.metadata[0].fingerprint')
treq - GET /1.0/images
meta . '[]'
treq - GET "/1.0/images/$image"
error 404 '^Image .*not found$'
treq - GET "/1.0/images/$image/export"
error '403|404' '[Nn]ot (found|authorized)$'
treq - GET /1.0/images/aliases/bb
error 404 '^Image alias not found$'
req PATCH "/1.0/images/$image" '{"public":true}'
ok
treq - GET /1.0/images
meta . "[\"/1.0/images/$image\"]"
treq - GET '/1.0/images?recursion=1'
meta 'map(.fingerprint)' "[\"$image\"]"
treq - GET "/1.0/images/$image"
meta .fingerprint "\"$image\""
treq - GET /1.0/images/aliases/bb
meta .target "\"$image\""
treq - GET "/1.0/images/$image/export"
same "$(sha256sum <body | cut -d ' ' -f 1)" "$image" content
treq - DELETE "/1.0/images/$image"
error 403 .
req PATCH "/1.0/images/$image" '{"public":false}'

it "keeps the password to itself"
req PATCH /1.0 '{"config":{"core.trust_password":"sekret"}}'
ok
req GET /1.0
meta '.config["core.trust_password"]' true
unlike "$body" sekret
req PUT /1.0 "{\"config\":{\"core.https_address\":\"$AT\",\"core.trust_password\":true}}"
ok
req GET /1.0
meta '.config["core.trust_password"]' true
req PATCH /1.0 '{"config":{"core.trust_password":false}}'
error 400 "cannot set 'core.trust_password': invalid type bool"
gives true lxc config get core.trust_password
does lxc config set user.x=y
if ours; then
	grep -q sekret -r "$LXD_DIR/database" && fail "the password lies in the database"
fi

it "lets in who knows the password, and nobody else"
lxc monitor --type=lifecycle --format=json >events 2>/dev/null &
monitor=$!
until_true 5 eval 'lxc config set user.x=z; [ -s events ]'
for given in '"password":"wrong"' '"password":""' '"name":"x"' '"password":"sekre"' '"password":true'; do
	treq a POST $C "{\"type\":\"client\",$given}"
	error '400|403' .
done
treq a POST $C
error 400 '^EOF$'
treq a POST $C '{"password":"sekret"}'
error 400 '^Invalid certificate type$'
ours && { treq - POST $C '{"type":"client","password":"sekret"}'; error 400 .; }
treq a GET /1.0/instances
error 403 .
treq a POST $C '{"type":"client","password":"sekret"}'
created "$C/$(fp a)"
treq a POST $C '{"type":"client","password":"sekret"}'
error 400 '^Client is already trusted$'
treq a GET /1.0
meta '[.auth, .environment.server, .config["core.trust_password"]]' '["trusted","lxd",true]'
treq a GET /1.0/instances
ok
meta . '[]'
treq a GET "$C/$(fp a)"
ok
meta '[.name, .type, .restricted, .projects, .fingerprint]' "[\"a name\",\"client\",false,[],\"$(fp a)\"]"
meta .certificate "$(jq -Rs . <a.crt)"
like "$(header etag)" '^"[0-9a-f]{64}"$'

it "takes certificates that trusted callers send"
treq a POST $C "{\"type\":\"client\",\"name\":\"bb\",\"certificate\":\"$(der b)\"}"
created "$C/$(fp b)"
treq a POST $C "{\"type\":\"client\",\"name\":\"bb\",\"certificate\":\"$(der b)\"}"
error 409 '^Certificate already in trust store$'
treq b GET /1.0/instances
ok
req POST $C "{\"type\":\"metrics\",\"name\":\"mm\",\"certificate\":\"$(der m)\"}"
created "$C/$(fp m)"
treq m GET /1.0/instances
error 403 .
while IFS=';' read -r post status text; do
	req POST $C "{$post}"
	error "$status" "$text"
done <<-END
	"type":"client";400;^Client is already trusted$
	"type":"client","certificate":"xx";400;^illegal base64 data at input byte
	"type":"client","certificate":"eHh4";400;^Invalid certificate material: x509: malformed certificate$
	"type":"zz","certificate":"$(der b)";400;^Invalid certificate type$
END
ours && { req POST $C '{"type":"client","token":true}'; error 501 'token.*not supported yet'; }
ours && { req POST $C "{\"type\":\"client\",\"restricted\":true,\"certificate\":\"$(der b)\"}"; error 501 'restricted.*not supported yet'; }

it "lists and changes certificates"
req GET $C
meta 'sort' "$(printf '%s\n' "$C/$(fp a)" "$C/$(fp b)" "$C/$(fp m)" | sort | jq -Rcn '[inputs]')"
req GET "$C?recursion=1"
meta 'map([.name, .type]) | sort' '[["a name","client"],["bb","client"],["mm","metrics"]]'
b=$(fp b)
req GET "$C/${b:0:12}"
meta .name '"bb"'
req PATCH "$C/${b:0:12}" '{"name":"two"}'
ok
req GET "$C/$b"
meta '[.name, .type]' '["two","client"]'
tag=$(header etag)
req PUT "$C/$b" '{"name":"three","type":"client"}' -H 'If-Match: "0"'
error 412 .
req PUT "$C/$b" '{"name":"three","type":"client"}' -H "If-Match: $tag"
ok
req GET "$C/$b"
meta '[.name, .projects]' '["three",[]]'
req PUT "$C/$b" '{"name":"x","type":"metrics"}'
error 403 '^The certificate type cannot be changed$'
for method in GET PUT DELETE; do
	req $method $C/zzz '{"name":"x","type":"client"}'
	error 404 '^Certificate not found$'
done
req POST "$C/$b" '{}'
error 501 '^not implemented$'

it "works with the client's words for it"
cp b.crt c.crt
does lxc config trust list
like "$out" "\| client +\| three +\| b name +\| ${b:0:12} \|"
does lxc config trust show "$b"
like "$out" $'name: three\ntype: client\nrestricted: false\nprojects: \\[\\]\ncertificate: \\|\n'
printf 'name: four\ntype: client\nrestricted: false\nprojects: []\n' | lxc config trust edit "$b" || fail edit
gives '' lxc config trust remove "$b"
refuses 'Certificate not found' lxc config trust show "$b"
refuses 'Unknown certificate type "zz"' lxc config trust add c.crt --type zz
does lxc config trust add c.crt --name five
refuses 'Certificate already in trust store' lxc config trust add c.crt
does lxc config trust list --format csv
like "$out" "client,five,b name,${b:0:12},"
does lxc config trust remove "${b:0:12}"

it "tells what happens to certificates"
happened() { jq -c "select(.metadata.action == \"$1\" and .metadata.source == \"$2\") | [.project, .metadata.requestor.username, .metadata.requestor.protocol, (.metadata.requestor.address | sub(\":[0-9]+$\"; \"\"))]" events | head -n 1; }
seen() { [ -n "$(happened certificate-deleted "$C/$b")" ] || [ -n "$(happened certificate-deleted "$C/${b:0:12}")" ]; }
until_true 5 seen
same "$(happened certificate-created "$C/$(fp a)")" '["default","","","127.0.0.1"]'
same "$(happened certificate-created "$C/$b")" "[\"default\",\"$(fp a)\",\"tls\",\"127.0.0.1\"]"
same "$(happened certificate-updated "$C/$b")" '["default","root","unix","@"]'
kill $monitor

it "answers browsers as it is told"
req PATCH /1.0 '{"config":{"core.https_allowed_origin":"*","core.https_allowed_methods":"GET, POST","core.https_allowed_headers":"x-foo","core.https_allowed_credentials":"true"}}'
ok
treq - OPTIONS /1.0 '' -H 'Origin: http://x'
same "$code" 200
same "$(sed -n 's/^access-control-allow-//p' <<<"$headers" | sort | tr '\n' ';')" 'credentials: true;headers: x-foo;methods: GET, POST;origin: *;'
treq - GET /1.0/instances '' -H 'Origin: http://x'
same "$code $(header access-control-allow-origin)" '403 *'
treq - GET /
same "$(header access-control-allow-origin)$(header access-control-allow-credentials)" true
req PATCH /1.0 '{"config":{"core.https_allowed_origin":"","core.https_allowed_methods":"","core.https_allowed_headers":"","core.https_allowed_credentials":""}}'
ok
treq - GET / '' -H 'Origin: http://x'
unlike "$headers" access-control

it "is used by the stock client over TLS"
export LXD_CONF=$SCRATCH/stock
mkdir "$LXD_CONF"
printf 'default-remote: local\nremotes: {}\naliases: {}\n' >"$LXD_CONF/config.yml"
out=$(echo n | lxc remote add r $AT 2>&1)
like "$out" "Certificate fingerprint: $(fp s)"
like "$out" 'Server certificate NACKed by user'
refuses 'not authorized' lxc remote add r $AT --accept-certificate --password wrong
does lxc remote add r $AT --accept-certificate --password sekret
like "$out" 'Client certificate now trusted by server: r'
does lxc list r:
does lxc launch bb r:https1 -q
gives hello lxc exec r:https1 -- echo hello
out=$(echo typed | lxc exec r:https1 -- cat)
same "$out" typed
ends 7 lxc exec r:https1 -- sh -c 'exit 7'
lxc query r:/1.0/instances/https1 | jq -e '.status == "Running"' >/dev/null || fail "no instance"
does lxc image export r:bb "$SCRATCH/out"
does lxc image delete r:bb
does lxc image import "$SCRATCH"/out.tar.gz r: --alias bb
head -c 3000000 /dev/urandom >big
does lxc file push big r:https1/root/big
does lxc file pull r:https1/root/big big2
cmp big big2 || fail "the file came back different"
gives x lxc exec r:https1 --env A=x -- sh -c 'echo $A'
does lxc delete -f r:https1
does lxc remote list
like "$out" "\| r +\| https://$AT +\| lxd +\| tls "
does lxc config trust list r:
does lxc remote rename r q
does lxc remote remove q
export LXD_CONF=$SCRATCH/../conf

# Also beside the real LXD: the program of this repository as client.
own=$(dirname "$LXC")/lxbox
[ -x "$own" ] || for own in "$TOOLS"/../../target/{dist-test,debug}/lxbox; do [ -x "$own" ] && break; done
mine() { timeout 60 "$own" client "$@"; }
same_words() { same "$(mine "$@" 2>&1)" "$(timeout 60 lxc "$@" 2>&1)" "$*"; }

it "is used by our client over TLS"
export LXD_CONF=$SCRATCH/mine
mkdir "$LXD_CONF"
printf 'default-remote: local\nremotes: {}\naliases: {}\n' >"$LXD_CONF/config.yml"
out=$(echo n | mine remote add r $AT 2>&1)
like "$out" 'Generating a client certificate'
like "$out" "Certificate fingerprint: $(fp s)"$'\n''ok \(y/n/\[fingerprint\]\)\? '
like "$out" 'Server certificate NACKed by user'
same "$(stat -c %a "$LXD_CONF/client.key")" 600
refuses 'not authorized' mine remote add r $AT --accept-certificate --password wrong
rm "$LXD_CONF/servercerts/r.crt"
out=$(printf 'y\nsekret\n' | mine remote add r $AT 2>&1)
like "$out" 'Client certificate now trusted by server: r'
cmp "$LXD_CONF/servercerts/r.crt" "$LXD_DIR/server.crt" || fail "another certificate is pinned"
out=$(fp s | mine remote add r3 $AT 2>&1) || fail "$out"
refuses "Remote r exists as <https://$AT>" mine remote add r $AT
refuses 'Invalid protocol: nope' mine remote add n $AT --protocol nope
refuses "Authentication type 'nope' not supported by server" mine remote add n $AT --accept-certificate --auth-type nope
refuses 'Invalid URL scheme "ftp" in "ftp://x"' mine remote add n ftp://x
refuses 'Failed connecting to the LXD server at "https://127.0.0.1:1"' mine remote add n 127.0.0.1:1 --accept-certificate
refuses 'Project not found' mine remote add n $AT --accept-certificate --project nope
does mine remote add pub $AT --accept-certificate --public

it "shares its configuration with the stock client"
same_words remote list
does lxc list r:
does lxc remote add s $AT --accept-certificate
does mine list s:
same_words remote list
same_words config trust list r:
same_words config trust list r: -f csv
same_words config trust list r: -f json
same_words config trust list r: -f yaml
f=$(openssl x509 -in "$LXD_CONF/client.crt" -outform DER | sha256sum | cut -d ' ' -f 1)
same_words config trust show "r:$f"
same_words config trust show r:zz
does mine config trust add r: c.crt --name six
refuses 'already in trust store' mine config trust add r: c.crt
printf 'name: seven\ntype: client\nrestricted: false\nprojects: []\n' | mine config trust edit "r:$b" || fail edit
like "$(mine config trust show "r:$b")" 'name: seven'
does mine config trust remove "r:$b"
refuses 'Certificate not found' mine config trust remove "r:$b"

it "does its work over TLS too"
does mine launch r:bb r:https2 -q
same "$(mine exec r:https2 -- echo hello </dev/null)" hello
same "$(echo typed | mine exec r:https2 -- cat)" typed
ends 7 mine exec r:https2 -- sh -c 'exit 7'
same "$(mine list r: -c ns -f csv)" https2,RUNNING
(mine monitor r: --type=lifecycle --format=json >mine.events 2>/dev/null & echo $! >mine.pid)
until_true 10 eval 'mine config set r: user.q=z >/dev/null; [ -s mine.events ]'
kill "$(cat mine.pid)"
rm -f "$SCRATCH"/out*
does mine image export r:bb "$SCRATCH/out"
does mine image delete r:bb
does mine image import "$SCRATCH/out.tar.gz" r: --alias bb
does mine delete -f r:https2
does mine remote rename r q
[ -e "$LXD_CONF/servercerts/q.crt" ] || fail "the pin did not follow the name"
does mine list q:
does mine remote set-url q https://127.0.0.1:1
refuses 'Failed connecting' mine list q:
does mine remote set-url q "https://$AT"
cp c.crt "$LXD_CONF/servercerts/q.crt"
refuses "isn't the one that was trusted" mine list q:
rm "$LXD_CONF/servercerts/q.crt"
refuses "isn't known" mine list q:
does mine remote switch s
same "$(mine remote get-default)" s
refuses "Can't remove the default remote" mine remote remove s
does mine list
does mine remote switch local
does mine remote remove s
[ ! -e "$LXD_CONF/servercerts/s.crt" ] || fail "the pin is still there"
req DELETE "$C/$f"
refuses 'not authorized' mine list r3:
export LXD_CONF=$SCRATCH/../conf

it "is no less sure of itself while strangers make trouble"
cat >strangers.py <<'END'
import os, socket, sys, time
socks = []
def new():
    s = socket.socket(); s.settimeout(10); s.connect(("127.0.0.1", 8443)); socks.append(s); return s
for n in range(100): new().send(os.urandom(200))                       # rubbish
for n in range(100): new().send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")     # half a hello
for n in range(1000): new()                                            # nothing at all
for n in range(50): new().send(b"GET / HTTP/1.1\r\n")
print("ready", flush=True)
time.sleep(60)
END
ulimit -n 4096
python3 strangers.py >trouble 2>&1 &
trouble=$!
until_true 20 grep -q ready trouble
for _ in 1 2 3 4 5; do
	req GET /1.0/instances
	ok
	treq a GET /1.0/instances
	ok
	treq - GET /
	ok
done
# A head that never ends, a head that is too long, a body that never comes.
ours && {
	gives 431 curl -ksS --max-time 20 --http1.1 -o head.out -w '%{http_code}' -H @<(echo "X-Long: $(head -c 200000 /dev/zero | tr '\0' x)") https://$AT/
	start=$SECONDS
	does curl -ksSi --http1.1 --max-time 40 --cert m.crt --key m.key -H 'Content-Length: 1000' -X POST --data-binary '{"type"' "https://$AT$C"
	like "$out" '^HTTP/1.1 400 .*it comes too slowly'
	((SECONDS - start < 30)) || fail "a body that doesn't come is waited for"
	{ printf '{"type":"client","password":"' && head -c 400000 /dev/zero | tr '\0' x && printf '"}'; } >long.json
	treq m POST $C @long.json
	error 400 .
}
kill $trouble
wait $trouble 2>/dev/null
treq a GET /1.0
meta .auth '"trusted"'

it "trusts nobody whose certificate was removed, at once"
req DELETE "$C/$(fp a)"
ok
treq a GET /1.0/instances
error 403 '^not authorized$'

it "closes the socket, and opens it at its next start"
listen ''
ok
answers $AT && fail "it still listens"
req GET /1.0
meta .environment.addresses '[]'
meta '.config["core.https_address"]' null
listen $AT
ok
kill "$(cat "$DAEMON_PID_FILE")"
until_true 30 eval '! kill -0 "$(cat "$DAEMON_PID_FILE")" 2>/dev/null'
setsid lxd --group root --logfile "$DAEMON_LOG/daemon1.log" >"$DAEMON_LOG/daemon1b.out" 2>&1 </dev/null &
echo $! >"$DAEMON_PID_FILE"
does lxd waitready --timeout=60
until_true 10 answers $AT

done_testing

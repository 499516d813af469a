#!/bin/bash
# Images from elsewhere: secrets for private ones, URLs, other servers.
# covers: POST /1.0/images/{fingerprint}/secret
. "$(dirname "$0")/lib.bash"
M=/1.0/images
AT=127.0.0.1:8443
cd "$SCRATCH" || exit 1
fingerprint=$(sha256sum "$BB" | cut -d' ' -f1)
req PATCH /1.0 "{\"config\":{\"core.https_address\":\"$AT\"}}"

# stranger PATH [CURL ARGUMENT...]: GETs it over TLS; sets code and body.
stranger() {
	code=$(curl -ksS --max-time 60 -o "$SCRATCH/body" -w '%{http_code}' "${@:2}" "https://$AT$1")
	body=$(tr -d '\0' <"$SCRATCH/body")
}
# secret: makes one; sets secret and operation.
secret() {
	begin POST "$M/$fingerprint/secret"
	secret=$(get .metadata.metadata.secret)
}
content() { sha256sum <"$SCRATCH/body" | cut -d' ' -f1; }

it "makes a secret for an image"
begin POST "$M/${fingerprint:0:12}/secret"
meta '[.class, .description, .status, .may_cancel]' '["token","Image download token","Running",true]'
meta .resources "{\"images\":[\"$M/$fingerprint\"]}"
like "$(get .metadata.metadata.secret)" '^[0-9a-f]{64}$'
req GET "$operation/wait?timeout=1"
meta .status '"Running"'
req POST $M/nope/secret
error 404 '^Image not found$'

it "shows a private image to who knows its secret"
secret
stranger "$M/$fingerprint?secret=$secret"
meta '[.fingerprint, .public]' "[\"$fingerprint\",false]"
stranger "$M/$fingerprint?secret=$secret"
same "$code" 200
stranger "$M/$fingerprint?secret=${secret/%????/0000}"
error 404 '^Image .*not found$'
stranger "$M/$fingerprint?secret="
error 404 '^Image .*not found$'
stranger "$M?secret=$secret"
meta . '[]'

it "gives its files away once"
stranger "$M/$fingerprint/export?secret=${secret/%????/0000}"
error 404 '^Image .*not found$'
stranger "$M/$fingerprint/export?secret=$secret"
same "$(content)" "$fingerprint" content
req GET "$operation"
meta '[.status, .status_code]' '["Cancelled",401]'
# 5.0.2 goes on for as long as the operation can be asked for: five seconds.
ours || sleep 6
stranger "$M/$fingerprint/export?secret=$secret"
error 404 '^Image .*not found$'
stranger "$M/$fingerprint?secret=$secret"
error 404 '^Image .*not found$'

it "takes a secret back"
secret
req DELETE "$operation"
ok
ours || sleep 6
stranger "$M/$fingerprint?secret=$secret"
error 404 '^Image .*not found$'

# --- from a URL ----------------------------------------------------------------------------------------------------

mkdir tree
tar -C tree -xzf "$BB"
# image NAME: one of its own.
image() {
	sed "s/description: .*/description: $1/" -i tree/metadata.yaml
	tar -C tree --sort=name -czf "$1.tar.gz" metadata.yaml templates rootfs
	sha256sum "$1.tar.gz" | cut -d' ' -f1
}
one=$(image one) two=$(image two)
# A server of whatever the query asks for: /?hash=HASH&url=URL&status=CODE&to=LOCATION says so in its headers.
cat >server.py <<'END'
import http.server, os, ssl, sys, time, urllib.parse
class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self): self.answer()
    def do_GET(self): self.answer()
    def answer(self):
        print(self.command, self.path, *(f"{k.lower()}={v}" for k, v in self.headers.items()), sep="\t", flush=True)
        at = urllib.parse.urlparse(self.path)
        ask = dict(urllib.parse.parse_qsl(at.query))
        data = b""
        if at.path != "/": data = open(os.path.basename(at.path), "rb").read()
        self.send_response(int(ask.get("status", 200)))
        for name, key in ("LXD-Image-Hash", "hash"), ("LXD-Image-URL", "url"), ("Location", "to"):
            if key in ask: self.send_header(name, ask[key])
        if "long" in ask: self.send_header("X-Long", "x" * 500000)
        self.send_header("Content-Length", str(len(data) + int(ask.get("more", 0))))
        self.end_headers()
        if self.command == "HEAD": return
        if "slow" in ask:
            self.wfile.write(data[:1000]); self.wfile.flush(); time.sleep(60)
        self.wfile.write(data)
    def log_message(self, *_): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
if len(sys.argv) > 2:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[2], sys.argv[3])
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
server.serve_forever()
END
# An authority that the host trusts, in this mount namespace alone, and one that it doesn't.
authority() {
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$1.key" -out "$1.crt" -days 9 \
		-subj "/CN=$1" -addext basicConstraints=critical,CA:true 2>/dev/null || fail "no authority $1"
}
# vouched AUTHORITY NAME SAN: a pair of that authority.
vouched() {
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout "$2.key" -out "$2.csr" -subj "/CN=$2" 2>/dev/null
	openssl x509 -req -in "$2.csr" -CA "$1.crt" -CAkey "$1.key" -CAcreateserial -days 9 -out "$2.crt" \
		-extfile <(echo "subjectAltName=$3") 2>/dev/null || fail "no pair $2"
}
authority trusted
authority unknown
vouched trusted right IP:127.0.0.1,DNS:localhost
vouched trusted other DNS:other.example
vouched unknown wrong IP:127.0.0.1
if ours; then
	mkdir -p /etc/ssl/certs
	mount -t tmpfs tmpfs /etc/ssl/certs
	cp trusted.crt /etc/ssl/certs/ca-certificates.crt
else
	# It has read the host's at its start.
	kill "$(cat "$DAEMON_PID_FILE")"
	until_true 20 eval '! kill -0 "$(cat "$DAEMON_PID_FILE")"'
	SSL_CERT_FILE=$SCRATCH/trusted.crt setsid lxd --group root >"$DAEMON_LOG/daemon1b.out" 2>&1 </dev/null &
	echo $! >"$DAEMON_PID_FILE"
	does lxd waitready --timeout=60
fi
servers=()
serve() {
	python3 server.py "$@" >>asked 2>server.err &
	servers+=($!)
	until_true 10 eval "(exec 3<>/dev/tcp/127.0.0.1/$1)"
}
serve 8001
serve 8002 right.crt right.key
serve 8003 wrong.crt wrong.key
serve 8004 other.crt other.key
H=http://127.0.0.1:8001 T=https://127.0.0.1:8002

# from URL [JSON MEMBERS]: makes an image of it.
from() { run POST $M "{${2:+$2,}\"source\":{\"type\":\"url\",\"mode\":\"pull\",\"protocol\":\"direct\",\"url\":\"$1\"}}"; }
files() { find "$LXD_DIR/images" -mindepth 1 | grep -c .; }
before=$(files)

it "makes an image of what a URL's headers tell"
from "$H/?hash=$one&url=$H/one.tar.gz" '"public":true,"filename":"named","properties":{"a":"b","os":"mine"},"aliases":[{"name":"fromurl","description":"d"}]'
succeeded
is .metadata "{\"fingerprint\":\"$one\",\"size\":\"$(stat -c %s one.tar.gz)\"}"
req GET $M/$one
meta '[.public, .filename, .properties, .aliases, .auto_update, .cached, .profiles]' \
	'[true,"named",{"a":"b","os":"mine","description":"one","release":"1.35"},[{"name":"fromurl","description":"d"}],false,false,["default"]]'
like "$(grep ^HEAD asked)" 'lxd-server-architectures=[a-z]'
like "$(grep ^HEAD asked)" 'lxd-server-version=5\.'
like "$(grep ^HEAD asked)" 'user-agent=LXD 5\.'
does lxc launch fromurl sources1 -q
does lxc delete -f sources1

it "adds to an image that is there already what is said of it now"
count=$(grep -c ^GET asked)
from "$H/?hash=$one&url=$H/one.tar.gz" '"properties":{"c":"d"},"aliases":[{"name":"again"}]'
succeeded
is .metadata.fingerprint "\"$one\""
same "$(grep -c ^GET asked)" "$count" downloads
req GET $M/$one
meta '[.public, .properties.a, .properties.c, (.aliases | map(.name) | sort)]' '[false,"b","d",["again","fromurl"]]'
run DELETE $M/$one

it "follows redirections, but not for ever"
from "$H/?status=302&to=/%3Fhash=$one%26url=$H/one.tar.gz"
succeeded
run DELETE $M/$one
cat >loop.py <<'END'
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_HEAD(self): self.send_response(302); self.send_header("Location", "/"); self.end_headers()
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8005), Handler).serve_forever()
END
python3 loop.py &
servers+=($!)
until_true 10 eval '(exec 3<>/dev/tcp/127.0.0.1/8005)'
# 5.0.2 does.
ours && { from http://127.0.0.1:8005/; failed_with 'Too many redirections'; }

it "takes nothing but the image that was announced"
while IFS=';' read -r url text; do
	from "$url"
	failed_with "$text"
done <<-END
	;^Missing URL$
	$H/?url=$H/one.tar.gz;^Missing LXD-Image-Hash header$
	$H/?hash=$one;^Missing LXD-Image-URL header$
	$H/?hash=$two&url=$H/one.tar.gz;(Hash mismatch|fingerprints don't match).*$one
	$H/?hash=00&url=$H/one.tar.gz;(Hash mismatch|Invalid fingerprint)
	$H/?hash=../../x&url=$H/one.tar.gz;(Hash mismatch|Invalid fingerprint)
	$H/?hash=$one&url=$H/one.tar.gz?status=404;^Unable to fetch "$H/one.tar.gz\?status=404": 404 Not Found$
	$H/?hash=$one&url=/one.tar.gz;unsupported protocol scheme ""
	$H/?hash=$one&url=$H/one.tar.gz?more=10;.
	http://127.0.0.1:1/x;127.0.0.1:1
	ftp://127.0.0.1/x;unsupported protocol scheme "ftp"
	$H/x?hash=$one&url=file:///etc/passwd;.
END
ours && { from "$H/?long=1&hash=$one&url=$H/one.tar.gz"; failed_with .; }
ours && { from "http://user:pass@127.0.0.1:8001/"; failed_with "not supported yet"; }
req GET $M
meta . "[\"$M/$fingerprint\"]"
# 5.0.2 keeps what it has downloaded.
ours && same "$(files)" "$before" 'files left'

it "refuses what it can't do with a URL"
if ours; then
	req POST $M '{"source":{"type":"url","mode":"push","url":"http://x/"}}'
	error 501 'not supported yet'
	req POST $M '{"auto_update":true,"source":{"type":"url","url":"http://x/"}}'
	error 501 'not supported yet'
	req POST $M '{"source":{"type":"image","alias":"x"}}'
	error 501 'not supported yet'
	req POST $M '{"source":{"type":"image","alias":"x","server":"https://x","protocol":"simplestreams"}}'
	error 501 'not supported yet'
fi

it "knows servers of https by the host's authorities"
from "$T/?hash=$one&url=$T/one.tar.gz"
succeeded
run DELETE $M/$one
from "https://127.0.0.1:8003/?hash=$one&url=$T/one.tar.gz"
failed_with '(certificate|UnknownIssuer)'
from "https://127.0.0.1:8004/?hash=$one&url=$T/one.tar.gz"
failed_with '(certificate|doesn.t contain any IP)'
from "$T/?hash=$one&url=https://127.0.0.1:8003/one.tar.gz"
failed_with '(certificate|UnknownIssuer)'
from "https://127.0.0.1:8001/?hash=$one&url=$H/one.tar.gz"
failed_with .
if ours; then
	from "$T/?status=302&to=$H/"
	failed_with 'redirects from https'
fi

it "stops when it is told to"
begin POST $M "{\"source\":{\"type\":\"url\",\"url\":\"$H/?hash=$one&url=$H/one.tar.gz?slow=1\"}}"
until_true 10 grep -q slow asked
cancelled() { req DELETE "$operation" && [ "$code" = 200 ]; }
if ours; then
	until_true 5 cancelled
	ended
	is '[.status, .status_code]' '["Cancelled",401]'
	until_true 5 eval "[ \$(find '$LXD_DIR/images' -mindepth 1 | grep -c .) = $before ]"
fi

it "is what the clients' word for it does"
refuses 'Only https:// is supported' lxc image import $H/x
does lxc image import "$T/?hash=$one&url=$T/one.tar.gz" --alias cli
like "$out" "Image imported with fingerprint: $one"
does lxc image delete cli
own=$(dirname "$LXC")/lxbox
[ -x "$own" ] || for own in "$TOOLS"/../../target/{dist-test,debug}/lxbox; do [ -x "$own" ] && break; done
does "$own" client image import "$T/?hash=$one&url=$T/one.tar.gz" --alias cli
like "$out" "Image imported with fingerprint: $one"
does lxc image delete cli

kill "${servers[@]}"
done_testing

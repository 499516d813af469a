#!/bin/bash
# Proxies: on the client's way to servers by its environment, on the server's way to others by its configuration.
# covers: PATCH /1.0
. "$(dirname "$0")/lib.bash"
cd "$SCRATCH" || exit 1
# No address of the host's own is reached by a proxy; this one looks like somebody else's.
HERE=10.77.0.1
does ip address add $HERE/32 dev lo
own=${LXC%/*}/lxbox
fingerprint=$(sha256sum "$BB" | cut -d' ' -f1)
req PATCH /1.0 "{\"config\":{\"core.https_address\":\"$HERE:8443\",\"core.trust_password\":\"sekret\"}}"
ok

cat >proxy.py <<'END'
import http.server, select, socket, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def tell(self):
        user = self.headers.get("Proxy-Authorization", "-")
        open("asked", "a").write(f"{self.command} {self.path} {user}\n")
    def do_CONNECT(self):
        self.tell()
        if self.path.endswith(":7"): return self.send_error(403, "Not there")
        host, port = self.path.rsplit(":", 1)
        other = socket.create_connection((host, int(port)))
        self.wfile.write(b"HTTP/1.1 200 Connection established\r\nVia: 1.1 test\r\n\r\n")
        ends = {self.connection: other, other: self.connection}
        while True:
            for end in select.select(list(ends), [], [])[0]:
                data = end.recv(65536)
                if not data: return
                ends[end].sendall(data)
    def do_HEAD(self):
        self.tell()
        self.send_response(200)
        self.send_header("LXD-Image-Hash", FINGERPRINT)
        self.send_header("LXD-Image-URL", "http://origin.example/image")
        self.end_headers()
    def do_GET(self):
        self.tell()
        data = open(IMAGE, "rb").read()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)
    def log_message(self, *_): pass
import sys
FINGERPRINT, IMAGE = sys.argv[1:]
http.server.ThreadingHTTPServer(("127.0.0.1", 3128), Handler).serve_forever()
END
: >asked
python3 proxy.py "$fingerprint" "$BB" 2>proxy.err &
proxy=$!
until_true 10 eval '(: </dev/tcp/127.0.0.1/3128)'
P=127.0.0.1:3128
# asked: what the proxy was asked for since the last time, each thing once.
asked() { sort -u asked; : >asked; }
# by CLIENT WORDS...: as that client.
by() {
	case $1 in
	stock) timeout 60 lxc "${@:2}" ;;
	own) timeout 60 "$own" client "${@:2}" ;;
	esac
}
clients=(stock)
[ ! -x "$own" ] || clients+=(own)

it "is what the client asks where the environment names it"
for client in "${clients[@]}"; do
	export LXD_CONF=$SCRATCH/$client
	mkdir "$LXD_CONF"
	printf 'default-remote: local\nremotes: {}\naliases: {}\n' >"$LXD_CONF/config.yml"
	does env https_proxy=http://joe:p%40ss@$P bash -c "$(declare -f by); own=$own by $client remote add far $HERE --accept-certificate --password sekret"
	same "$(asked)" "CONNECT $HERE:8443 Basic am9lOnBAc3M=" "$client adds a remote"
	export HTTPS_PROXY=$P https_proxy=127.0.0.1:1
	does by $client list far:
	same "$(asked)" "CONNECT $HERE:8443 -" "$client lists"
	same "$(by $client query far:/1.0 | jq -r .auth)" trusted
	asked >/dev/null
	# Websockets too.
	does lxc init bb local:prox1 -q
	does lxc start local:prox1
	gives hello by $client exec far:prox1 -- echo hello
	same "$(asked)" "CONNECT $HERE:8443 -" "$client executes"
	does lxc delete -f local:prox1
	for none in '*' $HERE "x, $HERE:99" 10.0.0.0/8 0.1 .0.1; do
		NO_PROXY=$none does by $client list far:
		same "$(asked)" '' "$client with NO_PROXY=$none"
	done
	for none in 10.0.0.0/16 7.0.1 example; do
		no_proxy=$none does by $client list far:
		same "$(asked)" "CONNECT $HERE:8443 -" "$client with no_proxy=$none"
	done
	HTTPS_PROXY='' https_proxy='' HTTP_PROXY=$P does by $client list far:
	same "$(asked)" '' "$client with HTTP_PROXY alone"
	HTTPS_PROXY=127.0.0.1:1 refuses 'refused' by $client list far:
	does by $client remote set-url far https://$HERE:7
	refuses '(403|Forbidden|Not there)' by $client list far:
	asked >/dev/null
	unset HTTPS_PROXY https_proxy
done
! ours || HTTPS_PROXY=socks5://$P refuses 'not supported yet' by own list far:
export LXD_CONF=$SCRATCH/../conf

it "is what the server asks where its configuration names it"
req PATCH /1.0 "{\"config\":{\"core.proxy_http\":\"http://joe:x@$P\",\"core.proxy_https\":\"$P\"}}"
ok
req GET /1.0
meta '.config | [."core.proxy_http", ."core.proxy_https"]' "[\"http://joe:x@$P\",\"$P\"]"
does lxc image delete bb
run POST /1.0/images '{"source":{"type":"url","url":"http://origin.example/"},"aliases":[{"name":"bb"}],"public":true}'
succeeded
same "$(asked)" "GET http://origin.example/image Basic am9lOng=
HEAD http://origin.example/ Basic am9lOng=" 'an image by http'
req GET /1.0
certificate=$(get .metadata.environment.certificate | jq -Rs .)
copy="{\"source\":{\"type\":\"image\",\"mode\":\"pull\",\"protocol\":\"lxd\",\"server\":\"https://$HERE:8443\",\"fingerprint\":\"$fingerprint\",\"certificate\":$certificate}}"
run POST /1.0/images "$copy"
succeeded
same "$(asked)" "CONNECT $HERE:8443 -" 'an image of a server'

it "is left out for the hosts that the configuration names"
req PATCH /1.0 "{\"config\":{\"core.proxy_ignore_hosts\":\"$HERE,origin.example\"}}"
ok
run POST /1.0/images "$copy"
succeeded
run POST /1.0/images "{\"source\":{\"type\":\"url\",\"url\":\"http://$HERE:9/\"}}"
failed_with refused
same "$(asked)" ''
req PATCH /1.0 '{"config":{"core.proxy_http":"","core.proxy_https":"","core.proxy_ignore_hosts":""}}'
ok
run POST /1.0/images "{\"source\":{\"type\":\"url\",\"url\":\"http://$HERE:9/\"}}"
failed_with refused
same "$(asked)" ''

kill $proxy
wait $proxy 2>/dev/null
done_testing

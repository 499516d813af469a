#!/bin/bash
# Clients that hang up in mid-request, come by the thousand, are slow, or send too much.
. "$(dirname "$0")/lib.bash"
exists() { req GET "$I/$1" && [ "$code" = 200 ]; }
idle() { [ "$(curl -s --unix-socket "$LXD_SOCKET" 'http://lxd/1.0/operations?recursion=1' | jq -c .metadata)" = '{}' ]; }
# raw SCRIPT [ARGUMENT...]: Python with `connect()`, an open connection to the daemon.
raw() {
	local script=$1
	shift
	timeout 100 python3 -S -c '
import os, socket, sys, time
def connect():
    s = socket.socket(socket.AF_UNIX); s.connect(os.environ["LXD_SOCKET"]); s.settimeout(60); return s
'"$script" "$@"
}
# serves: the daemon answers as ever, and has no descriptors of clients that are gone.
descriptors() { ls "/proc/$(daemon)/fd" | wc -l; }
few() { [ "$(descriptors)" -le $((before + 4)) ]; }
does lxc init bb cli0 -q
does lxc start cli0
before=$(descriptors)
pid=$(daemon)

# Its headers never end: looked at below.
raw '
s = connect(); start = time.time()
s.sendall(b"GET /1.0 HTTP/1.1\r\n")
s.settimeout(1)
while time.time() - start < 50:
    try:
        got = s.recv(4096)
        if not got or b"408" in got: print("ended"); break
    except TimeoutError:
        try: s.sendall(b"X-A: b\r\n")
        except OSError: print("ended"); break
    except OSError: print("ended"); break' >"$SCRATCH/slow" &
endless=$!
before=$((before + 1))

it "finishes what a client asked for that hangs up at once"
for n in 1 2 3; do
	raw '
body = b"{\"name\":\"%s\",\"source\":{\"type\":\"image\",\"alias\":\"bb\"}}" % sys.argv[1].encode()
s = connect(); s.sendall(b"POST /1.0/instances HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)); s.close()' cli$n
done
until_true 20 idle
# A request may be dropped as a whole when its client is gone before it was read; never half.
for n in 1 2 3; do
	if exists cli$n; then
		does lxc start cli$n
		works cli$n
		does lxc delete -f cli$n
	fi
	does lxc init bb cli$n -q
	does lxc delete cli$n
done

it "makes nothing of half a request"
raw '
body = b"{\"name\":\"cli4\",\"source\":{\"type\":\"image\",\"alias\":\"bb\"}}"
s = connect(); s.sendall(b"POST /1.0/instances HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + body); s.close()'
raw 's = connect(); s.sendall(b"POST /1.0/instances HTT"); s.close()'
until_true 10 idle
exists cli4 && fail "it was made"
until_true 10 few

it "keeps nothing of half an image"
for encoding in 'Content-Length: 900000' 'Transfer-Encoding: chunked'; do
	raw '
s = connect(); s.sendall(b"POST /1.0/images HTTP/1.1\r\nHost: x\r\n" + sys.argv[2].encode() + b"\r\n\r\n")
data = open(sys.argv[1], "rb").read(500000)
s.sendall(b"%x\r\n" % len(data) + data if "chunked" in sys.argv[2] else data); s.close()' "$BB" "$encoding"
done
until_true 10 idle
only_one() { [ "$(find "$LXD_DIR/images" -type f | wc -l)" = 1 ]; }
until_true 10 only_one

it "ends a command whose client hangs up, or leaves it in peace, but keeps no descriptor"
for _ in 1 2 3 4 5; do
	timeout -s KILL 1 lxc exec cli0 -- sleep 300 </dev/null >/dev/null 2>&1
	begin POST $I/cli0/exec '{"command":["sleep","301"],"wait-for-websocket":true,"interactive":false}'
	"$TOOLS/websocket" "$operation/websocket?secret=$(get '.metadata.metadata.fds["0"]')" hangup >/dev/null
done
works cli0
# Those who never connected are given up after a while; 5.0.2 waits for ever.
does lxc restart -f cli0
works cli0
until_true 20 few

it "answers when a thousand clients come at once"
out=$(raw '
many = [connect() for _ in range(1000)]
for s in many: s.sendall(b"GET /1.0 HTTP/1.1\r\nHost: x\r\n\r\n")
good = 0
for s in many:
    if s.recv(65536).startswith(b"HTTP/1.1 200"): good += 1
extra = connect(); extra.sendall(b"GET /1.0 HTTP/1.1\r\nHost: x\r\n\r\n")
print(good, extra.recv(12).decode())')
same "$out" "1000 HTTP/1.1 200"
until_true 20 few

it "answers others while a thousand say nothing, or speak slowly"
raw '
many = [connect() for _ in range(1000)]
for s in many: s.sendall(b"GET /1.0 HTTP/1.1\r\nX-Slow: ")
open(sys.argv[1], "w").close()
while not os.path.exists(sys.argv[2]): time.sleep(0.05)
for s in many[:20]: s.sendall(b"1")' "$SCRATCH/there" "$SCRATCH/over" &
slow=$!
until_true 20 test -e "$SCRATCH/there"
does lxc init bb cli5 -q
does lxc delete cli5
touch "$SCRATCH/over"
wait $slow
until_true 20 few

it "refuses 100 MB of JSON, and headers without end"
req POST $I '' -H 'Expect:' --data-binary @<(printf '{"name":"'; head -c 100000000 /dev/zero | tr '\0' x; printf '"}')
case $code in 400 | 413) ;; *) fail "$code: $body" ;; esac
like "$body" 'larger'
head -c 10000000 /dev/zero | tr '\0' '[' >"$SCRATCH/deep"
req POST $I '' --data-binary @"$SCRATCH/deep"
same "$code" 400 "$body"
out=$(raw '
s = connect()
try:
    s.sendall(b"GET /1.0 HTTP/1.1\r\n")
    for n in range(100000): s.sendall(b"X-%d: " % n + b"a" * 100 + b"\r\n")
    s.sendall(b"\r\n")
except OSError: pass
try: print(s.recv(40).split(b"\r")[0].decode())
except OSError: print("ended")')
like "$out" '^(HTTP/1.1 4..|ended|$)'
rss=$(awk '/^VmRSS/ {print $2}' "/proc/$pid/status")
[ "$rss" -lt 200000 ] || fail "the daemon has $rss kB"

it "ends a connection whose headers take too long"
wait $endless
same "$(cat "$SCRATCH/slow")" ended

it "is the same daemon as before, and leaves nothing behind"
same "$(daemon)" "$pid"
alive "$pid" || fail "the daemon is dead"
works cli0
does lxc delete -f cli0
until_true 10 idle
clean
done_testing

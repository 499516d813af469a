#!/bin/bash
# Devices `proxy`: all pairs of protocols, both ways, while the guest runs and at its start.
# covers: PATCH /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
ENDS="$(dirname "$0")/../tools/ends"
# serve WHERE PLACE [PREFIX]: has an answering end there: on the host, or in the guest's network (`guest`) and files (for unix sockets).
# Sets served, its pid.
serve() {
	local run=("$ENDS")
	if [ "$1" = guest ]; then
		inner "$(pid_of)"
		[[ $2 != unix:/* ]] || set -- guest "unix:/proc/$(pid_of)/root${2#unix:}" "${@:3}"
	fi
	"${run[@]}" serve "${@:2}" >"$SCRATCH/ready" 2>"$SCRATCH/serve" </dev/null &
	served=$!
	disown
	until_true 5 grep -q ready "$SCRATCH/ready" || fail "$(cat "$SCRATCH/serve")"
}
# inner PID: sets run, which begins a command as root of the guest. The guest has no python, and its root may not see this folder; and root
# out here can't make files in there.
inner() { run=(nsenter "--user=/proc/$1/ns/user" "--net=/proc/$1/ns/net" -S 0 -G 0 /usr/bin/python3 -S -c "$(cat "$ENDS")"); }
pid_of() { req GET "$I/prox/state"; get .metadata.pid; }
ask() { "$ENDS" ask "$@" 2>&1; }
# ask_inside PLACE TEXT: the same from within.
ask_inside() {
	local pid place=$1
	pid=$(pid_of)
	[[ $place != unix:/* ]] || place="unix:/proc/$pid/root${place#unix:}"
	nsenter "--net=/proc/$pid/ns/net" "$ENDS" ask "$place" "$2" 2>&1
}
add() { does lxc config device add prox "$@"; }
gone() { does lxc config device remove prox "$1"; }
S=$SCRATCH/s
launch prox
does inside prox ip link set lo up

it "passes tcp on to the guest"
serve guest tcp:127.0.0.1:80 guest-
add p proxy listen=tcp:127.0.0.1:2000 connect=tcp:127.0.0.1:80
same "$(ask tcp:127.0.0.1:2000 hello)" guest-hello
same "$(ask tcp:127.0.0.1:2000 again)" guest-again

it "takes what is changed while it runs"
does lxc config device set prox p listen=tcp:127.0.0.1:2001
same "$(ask tcp:127.0.0.1:2001 hello)" guest-hello
like "$(ask tcp:127.0.0.1:2000 hello)" refused 'the old place'
gone p
like "$(ask tcp:127.0.0.1:2001 hello)" refused 'a device that is gone'

it "passes unix sockets on to the guest's tcp, with owner and mode"
add p proxy "listen=unix:$S" connect=tcp:127.0.0.1:80 uid=12 gid=13 mode=0670
same "$(stat -c '%u:%g %a' "$S")" '12:13 670'
same "$(ask "unix:$S" hello)" guest-hello
gone p
! ours || [ ! -e "$S" ] || fail "its socket is left"

it "passes abstract unix sockets on"
add p proxy "listen=unix:@lxbox-prox" connect=tcp:127.0.0.1:80
same "$(ask unix:@lxbox-prox hello)" guest-hello
gone p

it "maps ranges of ports"
serve guest tcp:127.0.0.1:81 other-
other=$served
add p proxy listen=tcp:127.0.0.1:3000-3001 connect=tcp:127.0.0.1:80-81
same "$(ask tcp:127.0.0.1:3000 x) $(ask tcp:127.0.0.1:3001 x)" 'guest-x other-x'
gone p
add p proxy listen=tcp:127.0.0.1:3000,3005 connect=tcp:127.0.0.1:81
same "$(ask tcp:127.0.0.1:3000 x) $(ask tcp:127.0.0.1:3005 x)" 'other-x other-x'
gone p
kill $other

it "passes the guest's connections on to the host"
serve host tcp:127.0.0.1:4000 host-
add p proxy bind=instance listen=tcp:127.0.0.1:5000 connect=tcp:127.0.0.1:4000
same "$(ask_inside tcp:127.0.0.1:5000 hello)" host-hello
gone p
add p proxy bind=guest listen=unix:/tmp/sock connect=tcp:127.0.0.1:4000 uid=7 gid=8 mode=0600
same "$(inside prox stat -c '%u:%g %a' /tmp/sock)" '7:8 600'
same "$(ask_inside unix:/tmp/sock hello)" host-hello
gone p

it "passes unix sockets on to unix sockets, and the descriptors that are sent through them"
serve host "unix:$SCRATCH/host" host-
add p proxy bind=instance listen=unix:/tmp/to-host "connect=unix:$SCRATCH/host"
same "$(ask_inside unix:/tmp/to-host hello)" host-hello
gone p
serve guest unix:/tmp/in-guest in-guest-
add p proxy "listen=unix:$S" connect=unix:/tmp/in-guest
same "$(ask "unix:$S" hello)" in-guest-hello
gone p
echo what-is-in-it >"$SCRATCH/file"
inner "$(pid_of)"
"${run[@]}" getfd "unix:/proc/$(pid_of)/root/tmp/fd" >"$SCRATCH/got" &
until_true 5 grep -q ready "$SCRATCH/got"
add p proxy "listen=unix:$S" connect=unix:/tmp/fd
timeout 5 "$ENDS" fd "unix:$S" "$SCRATCH/file" >/dev/null 2>&1
until_true 5 grep -q what-is-in-it "$SCRATCH/got"
gone p

it "passes udp on"
serve guest udp:127.0.0.1:53 guest-
add p proxy listen=udp:127.0.0.1:5300 connect=udp:127.0.0.1:53
same "$(ask udp:127.0.0.1:5300 one) $(ask udp:127.0.0.1:5300 two)" 'guest-one guest-two'
gone p

it "listens on all addresses of both versions where none is named"
for everywhere in tcp::2000 tcp:0.0.0.0:2000 'tcp:[::]:2000'; do
	add p proxy "listen=$everywhere" connect=tcp:127.0.0.1:80
	same "$(ask tcp:127.0.0.1:2000 four) $(ask 'tcp:[::1]:2000' six)" 'guest-four guest-six' "$everywhere"
	gone p
done
serve guest udp:127.0.0.1:54 guest-
add p proxy listen=udp::5300 connect=udp::54
same "$(ask udp:127.0.0.1:5300 four) $(ask 'udp:[::1]:5300' six)" 'guest-four guest-six'
gone p
add p proxy listen=tcp:127.0.0.1:0 connect=tcp::80
gone p
for wrong in tcp:::1:2000 tcp:2000 tcp:localhost:2000 tcp:127.0.0.1: tcp:127.0.0.1:x; do
	refuses listen lxc config device add prox p proxy "listen=$wrong" connect=tcp:127.0.0.1:80
done
refuses 'Cannot listen on wildcard address' lxc config device add prox p proxy listen=tcp:0.0.0.0:1 connect=tcp:10.0.0.1:1 nat=true

it "says who connects"
add p proxy listen=tcp:127.0.0.1:2000 connect=tcp:127.0.0.1:80 proxy_protocol=true
like "$(ask tcp:127.0.0.1:2000 hello)" 'PROXY TCP4 127.0.0.1 127.0.0.1 [0-9]+ 2000'
gone p
add p proxy listen=tcp:0.0.0.0:2000 connect=tcp:127.0.0.1:80 proxy_protocol=true
like "$(ask tcp:127.0.0.1:2000 hello)" 'PROXY TCP4 127.0.0.1 127.0.0.1 [0-9]+ 2000'
gone p

it "passes much on"
nsenter "--net=/proc/$(pid_of)/ns/net" "$ENDS" swallow tcp:127.0.0.1:90 >"$SCRATCH/swallowed" &
until_true 5 grep -q ready "$SCRATCH/swallowed"
add p proxy listen=tcp:127.0.0.1:2000 connect=tcp:127.0.0.1:90
begun=$EPOCHREALTIME
"$ENDS" pour tcp:127.0.0.1:2000 1073741824
until_true 60 grep -q 1073741824 "$SCRATCH/swallowed"
echo "# 1 GiB in $(bc <<<"$EPOCHREALTIME - $begun") s" >&2
gone p

it "starts with the guest, and ends with it"
add p proxy listen=tcp:127.0.0.1:2000 connect=tcp:127.0.0.1:80
does lxc restart -f prox
does inside prox ip link set lo up
serve guest tcp:127.0.0.1:80 anew-
same "$(ask tcp:127.0.0.1:2000 hello)" anew-hello
does lxc stop -f prox
until_true 5 eval 'ask tcp:127.0.0.1:2000 x | grep -q refused'

it "doesn't start a guest whose proxy can't listen"
serve host tcp:127.0.0.1:2000
does lxc config device add prox q proxy listen=unix:@lxbox-q connect=tcp:127.0.0.1:80
refuses 'listen' lxc start prox
same "$(state_of prox)" Stopped
kill $served
does lxc start prox
gone p
gone q

it "refuses what can't be, with a guest that goes on as before"
add keeps proxy listen=unix:@lxbox-keeps connect=tcp:127.0.0.1:80
wrong() { local text=$1; shift; refuses "$text" lxc config device add prox p proxy "$@"; }
wrong 'Invalid value for device option "connect": Unknown protocol type ""' listen=tcp:127.0.0.1:2000
wrong 'Mismatch between listen port\(s\) and connect port\(s\) count' listen=tcp:127.0.0.1:2000 connect=tcp:127.0.0.1:80-81
wrong 'Invalid port range' listen=tcp:127.0.0.1:2000-2002 connect=tcp:127.0.0.1:80-81
wrong 'Only proxy devices for non-abstract unix sockets can carry uid, gid, or mode' listen=tcp:127.0.0.1:2000 connect=tcp:127.0.0.1:80 uid=5
wrong 'Only proxy devices for non-abstract unix sockets can carry uid, gid, or mode' listen=unix:@x connect=tcp:127.0.0.1:80 mode=0600
wrong 'The PROXY header can only be sent to tcp servers in non-nat mode' listen=udp:127.0.0.1:2000 connect=udp:127.0.0.1:80 proxy_protocol=true
wrong 'Proxying from udp to non-udp protocol is not supported' listen=udp:127.0.0.1:2000 connect=tcp:127.0.0.1:80
wrong 'Only host-bound proxies can use NAT' listen=tcp:127.0.0.1:2000 connect=tcp:127.0.0.1:80 nat=true bind=instance
wrong 'Proxying unix <-> tcp is not supported when using NAT' listen=unix:/x connect=tcp:127.0.0.1:80 nat=true
wrong 'Failed to start device "p": .*listen' listen=tcp:10.99.99.99:2000 connect=tcp:127.0.0.1:80
wrong 'Failed to start device "p"' listen=unix:/nonexist/dir/x connect=tcp:127.0.0.1:80
does inside prox ip link set lo up
serve guest tcp:127.0.0.1:80 still-
same "$(ask unix:@lxbox-keeps hello)" still-hello
same "$(lxc config device list prox)" keeps

if ours; then
	it "passes the end of a half on (LXD ends the other half, too)"
	add p proxy listen=tcp:127.0.0.1:2000 connect=tcp:127.0.0.1:80
	same "$("$ENDS" half tcp:127.0.0.1:2000 hello 2>&1)" still-hello
	gone p

	it "keeps a file of the host that is no socket"
	echo mine >"$SCRATCH/mine"
	wrong 'Failed to start device "p": Failed listening on' "listen=unix:$SCRATCH/mine" connect=tcp:127.0.0.1:80
	same "$(cat "$SCRATCH/mine")" mine
fi
does lxc delete -f prox
kill %% 2>/dev/null
done_testing

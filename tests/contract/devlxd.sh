#!/bin/bash
# What a guest is told through /dev/lxd/sock.
# covers: GET /1.0/instances/{name}/state
. "$(dirname "$0")/lib.bash"
launch dev1 -c user.foo=bar -c cloud-init.user-data=x -c user.meta-data=$'own: y\n' -c limits.memory=200MiB -c environment.X=y
init() { req GET "$I/$1/state" && get .metadata.pid; }
pid=$(init dev1)
# guest METHOD PATH [OPTION...]: asks from inside; sets code, headers and body as `req` does.
guest() {
	bounded "$TOOLS/in-guest" "$pid" "$@" | tr -d '\0' >"$SCRATCH/guest"
	code=$(sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p' "$SCRATCH/guest")
	headers=$(sed '/^$/q; s/^\([A-Za-z-]*\):/\L\1:/' "$SCRATCH/guest")
	body=$(sed '1,/^$/d' "$SCRATCH/guest")
}
# answers CODE TYPE BODY: what it said.
answers() { same "$code $(header content-type) $body" "$1 $2 $3"; }
text='text/plain; charset=utf-8' bytes=application/octet-stream json=application/json

it "is in the guest"
gives srw-rw-rw- inside dev1 sh -c "ls -l /dev/lxd/sock | cut -c1-10"
guest GET /
answers 200 $json '["/1.0"]'
guest GET /1.0
answers 200 $json '{"state":"","api_version":"1.0","instance_type":"container","location":"none"}'
guest HEAD /1.0
same "$code $(header content-length) $body" '200 79 ' head

it "gives the keys that are the guest's business"
guest GET /1.0/config
same "$code $(header content-type)" "200 $json"
is sort '["/1.0/config/cloud-init.user-data","/1.0/config/user.foo","/1.0/config/user.meta-data"]'
guest GET /1.0/config/user.foo
answers 200 $bytes bar
guest GET /1.0/config/cloud-init.user-data
answers 200 $bytes x
guest GET /1.0/config/user.nope
answers 404 "$text" 'not found'
for key in limits.memory environment.X volatile.uuid nope; do
	guest GET /1.0/config/$key
	answers 403 "$text" 'not authorized'
done
does lxc profile create dev-more
does lxc profile set dev-more user.more=profile user.foo=hidden
does lxc profile add dev1 dev-more
guest GET /1.0/config/user.more
answers 200 $bytes profile
guest GET /1.0/config/user.foo
answers 200 $bytes bar

it "gives metadata for cloud-init"
guest GET /1.0/meta-data
id=$(lxc config get dev1 volatile.cloud-init.instance-id)
answers 200 $bytes "$(printf '#cloud-config\ninstance-id: %s\nlocal-hostname: dev1\nown: y' "$id")"

it "gives devices"
guest GET /1.0/devices
answers 200 $json '{"root":{"path":"/","pool":"default","type":"disk"}}'
does lxc config device add dev1 eth7 nic nictype=p2p name=eth7
guest GET /1.0/devices
is '.eth7 | [.type, .nictype, .hwaddr]' "[\"nic\",\"p2p\",\"$(lxc config get dev1 volatile.eth7.hwaddr)\"]"
does lxc config device remove dev1 eth7

it "says what there is not"
for path in /nope /1.0/ /1.0/nope /1.0/config/ /1.0/config/a/b /2.0 /1.0/images; do
	guest GET $path
	answers 404 "$text" '404 page not found'
done
# LXD 5.0.2 takes every method for GET.
if ours; then
	for call in PUT POST DELETE PATCH; do
		guest $call /1.0/config/user.foo
		answers 405 "$text" 'method not allowed'
	done
fi

it "speaks with the guest's root alone"
for path in / /1.0/config/user.foo /1.0/events; do
	guest GET $path -u 1000 -t 2
	answers 401 "$text" 'Access denied for non-root user'
done

it "gives images when it may"
fp=$(lxc query /1.0/images/aliases/bb | jq -r .target)
guest GET "/1.0/images/$fp/export"
answers 403 "$text" 'not authorized'
does lxc config set dev1 security.devlxd.images=true
guest GET "/1.0/images/$fp/export"
error 404 "^Image \"$fp\" not found\$"
guest GET /1.0/images/abcdef/export
error 404 'not found'
lxc image show bb | sed 's/public: false/public: true/' | lxc image edit bb
guest GET "/1.0/images/$fp/export"
same "$code $(header content-type) $(header content-length)" "200 $bytes $(stat -Lc %s "$BB")" 'an image'
lxc image show bb | sed 's/public: true/public: false/' | lxc image edit bb
does lxc config set dev1 security.devlxd.images=false
guest GET "/1.0/images/$fp/export"
answers 403 "$text" 'not authorized'

it "tells what changes"
"$TOOLS/in-guest" "$pid" GET /1.0/events -t 60 >"$SCRATCH/plain" & plain=$!
"$TOOLS/in-guest" "$pid" GET '/1.0/events?type=config' -w -t 60 >"$SCRATCH/config" & config=$!
"$TOOLS/in-guest" "$pid" GET '/1.0/events?type=device' -w -t 60 >"$SCRATCH/device" & device=$!
# Who is answered doesn't listen yet: they do when they have heard of what is changed for that.
wake() {
	lxc config set dev1 user.wake=$RANDOM
	lxc config device add dev1 wake none
	lxc config device remove dev1 wake
	for file in plain config device; do grep -qa wake "$SCRATCH/$file" || return; done
}
until_true 10 wake
like "$(head -n 1 "$SCRATCH/config")" '101 Switching Protocols'
does lxc config set dev1 user.foo=baz
does lxc config unset dev1 user.foo
does lxc config set dev1 limits.memory=210MiB cloud-init.user-data=y
does lxc profile set dev-more user.more=else
does lxc config device add dev1 d disk source=/srv path=/mnt/x
does lxc config device set dev1 d readonly=true
does lxc config device remove dev1 d
# news FILE: the events in it, without their times, and without those of `wake`.
news() {
	grep -ao '{"type.*}' "$SCRATCH/$1" |
		jq -cS 'select((.timestamp | test("^20[0-9-]+T")) and .metadata.key != "user.wake" and .metadata.name != "wake") | [.type, .metadata]'
}
keys='["config",{"key":"user.foo","old_value":"bar","value":"baz"}]
["config",{"key":"user.foo","old_value":"baz","value":"hidden"}]
["config",{"key":"user.more","old_value":"profile","value":"else"}]'
disk='"path":"/mnt/x","source":"/srv","type":"disk"' readonly='"path":"/mnt/x","readonly":"true","source":"/srv","type":"disk"'
devices="[\"device\",{\"action\":\"added\",\"config\":{$disk},\"name\":\"d\"}]
[\"device\",{\"action\":\"removed\",\"config\":{$disk},\"name\":\"d\"}]
[\"device\",{\"action\":\"added\",\"config\":{$readonly},\"name\":\"d\"}]
[\"device\",{\"action\":\"removed\",\"config\":{$readonly},\"name\":\"d\"}]"
until_true 10 eval '[ "$(news device | wc -l)" -ge 4 ]'
until_true 10 eval '[ "$(news plain | wc -l)" -ge 7 ]'
same "$(news config)" "$keys" config
same "$(news device)" "$devices" device
same "$(news plain)" "$keys"$'\n'"$devices" both
kill $plain $config $device 2>/dev/null
wait $plain $config $device 2>/dev/null

it "has an identity for cloud-init that follows its data"
identity() { lxc config get dev1 volatile.cloud-init.instance-id; }
before=$(identity)
does lxc config set dev1 user.meta-data=other user.else=1
same "$(identity)" "$before" 'the identity'
for change in user.user-data=a user.vendor-data=a user.network-config=a cloud-init.vendor-data=a; do
	does lxc config set dev1 $change
	[ "$(identity)" != "$before" ] || fail "not new after $change"
	before=$(identity)
done
does lxc profile set dev-more cloud-init.user-data=a cloud-init.vendor-data=b
same "$(identity)" "$before" 'the identity'
does lxc profile set dev-more user.user-data=a cloud-init.network-config='{version: 1}'
[ "$(identity)" != "$before" ] || fail 'not new after a change of a profile'
guest GET /1.0/meta-data
like "$body" "instance-id: $(identity)"

it "is taken away and given back while the guest runs"
does lxc config set dev1 security.devlxd=false
gives no inside dev1 sh -c '[ -e /dev/lxd/sock ] || echo no'
does lxc config set dev1 security.devlxd=true
guest GET /1.0
same "$code" 200 'given back'
does lxc config set dev1 security.devlxd=false
does lxc restart -f dev1
gives no inside dev1 sh -c '[ -e /dev/lxd/sock ] || echo no'
does lxc config unset dev1 security.devlxd
pid=$(init dev1)
guest GET /1.0/config/user.more
answers 200 $bytes else

it "serves privileged guests too"
launch dev2 -c security.privileged=true -c user.me=2
pid=$(init dev2)
guest GET /1.0/config/user.me
answers 200 $bytes 2
guest GET /1.0/config/user.me -u 1000
answers 401 "$text" 'Access denied for non-root user'

it "keeps a greedy guest to its share"
if ours; then
	"$TOOLS/in-guest" "$pid" GET /1.0 -n 60 -t 4 >"$SCRATCH/greedy" &
	greedy=$!
	sleep 1
	pid=$(init dev1)
	guest GET /1.0
	same "$code" 200 'the other guest'
	req GET /1.0
	same "$code" 200 'the daemon'
	wait $greedy
	same "$(cat "$SCRATCH/greedy")" 16 'connections that are answered'
	# Nobody on the host gets to it.
	ends 7 setpriv --reuid=65534 --regid=65534 --clear-groups curl -sS --unix-socket "$LXD_DIR/devlxd/1/sock" http://lxd/1.0
fi

it "works on after a restart of the daemon"
if ours; then
	pid=$(init dev1)
	"$TOOLS/in-guest" "$pid" GET /1.0/events -t 60 >"$SCRATCH/plain" & plain=$!
	until_true 10 grep -q '^HTTP/1.1' "$SCRATCH/plain"
	kill -9 "$(cat "$DAEMON_PID_FILE")"
	wait $plain
	setsid lxd --group root --logfile "$DAEMON_LOG/daemon1.log" >"$DAEMON_LOG/daemon1b.out" 2>&1 </dev/null &
	echo $! >"$DAEMON_PID_FILE"
	does lxd waitready --timeout=60
	guest GET /1.0/config/user.more
	answers 200 $bytes else
	does lxc config set dev1 security.devlxd=false
	gives no inside dev1 sh -c '[ -e /dev/lxd/sock ] || echo no'
	does lxc config unset dev1 security.devlxd
fi

it "leaves nothing behind"
does lxc delete -f dev1 dev2
same "$(find "$LXD_DIR/devlxd" -mindepth 1 ! -path "$LXD_DIR/devlxd/sock")" '' 'directories of sockets'

done_testing

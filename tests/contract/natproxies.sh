#!/bin/bash
# Devices `proxy` with `nat=true`: the firewall changes addresses, and no process stands in between.
# covers: PATCH /1.0/instances/{name}
. "$(dirname "$0")/lib.bash"
ENDS="$(dirname "$0")/../tools/ends"
# serve PLACE PREFIX: an answering end in the guest's network.
serve() {
	: >"$SCRATCH/ready"
	nsenter "--net=/proc/$(pid_of natp)/ns/net" "$ENDS" serve "$@" >"$SCRATCH/ready" 2>"$SCRATCH/serve" </dev/null &
	disown
	until_true 5 grep -q ready "$SCRATCH/ready" || fail "$(cat "$SCRATCH/serve")"
}
pid_of() { req GET "/1.0/instances/$1/state"; get .metadata.pid; }
ask() { timeout 5 "$ENDS" ask "$@" 2>&1; }
rules() { nft list table inet lxd 2>/dev/null; }
# up: gives the guest's network its addresses, as its system would.
up() {
	local guest=(nsenter "--net=/proc/$(pid_of natp)/ns/net" ip)
	"${guest[@]}" link set lo up
	"${guest[@]}" link set eth0 up
	does "${guest[@]}" addr replace 10.99.7.10/24 dev eth0
	does "${guest[@]}" addr replace fd42:99:7::10/64 dev eth0 nodad
	does "${guest[@]}" route replace default via 10.99.7.1
	does "${guest[@]}" -6 route replace default via fd42:99:7::1
	serve tcp:0.0.0.0:80 guest-
	serve udp:0.0.0.0:53 udp-
	serve 'tcp:[::]:81' six-
}
device() { does lxc config device add natp p proxy nat=true "$@"; }
gone() { does lxc config device remove natp p; }
wrong() {
	local message=$1
	shift
	refuses "$message" lxc config device add natp w proxy nat=true "$@"
}
# Addresses of the host that are no bridge's.
ip link set lo up
ip addr add 10.88.0.1/32 dev lo
ip -6 addr add fd42:88::1/128 dev lo nodad
does lxc network create natpbr0 ipv4.address=10.99.7.1/24 ipv6.address=fd42:99:7::1/64 ipv6.dhcp.stateful=true
launch natp
does lxc config device add natp eth0 nic network=natpbr0 name=eth0 ipv4.address=10.99.7.10 ipv6.address=fd42:99:7::10
up

it "passes tcp on"
device listen=tcp:10.88.0.1:2000 connect=tcp:10.99.7.10:80
same "$(ask tcp:10.88.0.1:2000 hello)" guest-hello
like "$(rules)" 'chain prert.natp.p '
like "$(rules)" 'chain out.natp.p '
like "$(rules)" 'chain pstrt.natp.p '
same "$(pgrep -fc 'proxy p')" 0 'a process in between'

it "takes what is changed while it runs"
does lxc config device set natp p listen=tcp:10.88.0.1:2001
same "$(ask tcp:10.88.0.1:2001 hello)" guest-hello
like "$(ask tcp:10.88.0.1:2000 hello)" refused 'the old place'
gone
like "$(ask tcp:10.88.0.1:2001 hello)" refused 'a device that is gone'
[[ $(rules) != *natp.p* ]] || fail "rules are left: $(rules)"

it "takes the static address for the wildcard"
device listen=tcp:10.88.0.1:2000 connect=tcp:0.0.0.0:80
same "$(ask tcp:10.88.0.1:2000 hello)" guest-hello
gone

it "maps ranges, and many to one"
device listen=tcp:10.88.0.1:2079-2081,2090 connect=tcp:10.99.7.10:79-81,80
same "$(ask tcp:10.88.0.1:2080 a) $(ask tcp:10.88.0.1:2090 b)" 'guest-a guest-b'
gone
device listen=tcp:10.88.0.1:2000-2001 connect=tcp:10.99.7.10:80
same "$(ask tcp:10.88.0.1:2000 a) $(ask tcp:10.88.0.1:2001 b)" 'guest-a guest-b'
gone

it "passes udp on, and IPv6"
device listen=udp:10.88.0.1:2053 connect=udp:10.99.7.10:53
same "$(ask udp:10.88.0.1:2053 hello)" udp-hello
gone
device 'listen=tcp:[fd42:88::1]:2000' 'connect=tcp:[fd42:99:7::10]:81'
same "$(ask 'tcp:[fd42:88::1]:2000' hello)" six-hello

it "goes and comes with the guest"
does lxc stop -f natp
[[ $(rules) != *natp.p* ]] || fail "rules are left: $(rules)"
does lxc start natp
up
same "$(ask 'tcp:[fd42:88::1]:2000' hello)" six-hello
gone

it "has only addresses that are the guest's"
wrong "Connect IP .* must be one of the instance's static IPv4 addresses" listen=tcp:10.88.0.1:2000 connect=tcp:10.99.7.11:80
wrong 'Cannot listen on wildcard address' listen=tcp:0.0.0.0:2000 connect=tcp:10.99.7.10:80
wrong '.' 'listen=tcp:10.88.0.1:2000' 'connect=tcp:[fd42:99:7::10]:81'
does lxc config device set natp eth0 ipv6.address=
wrong 'Instance has no static IPv6 address assigned' 'listen=tcp:[fd42:88::1]:2000' 'connect=tcp:[::]:81'
[[ $(rules) != *natp.w* ]] || fail "rules are left: $(rules)"
does lxc delete -f natp
does lxc network delete natpbr0
done_testing

#!/bin/bash
# Docker as Debian has it, in a guest. By hand, since its image takes minutes to make:
#   LXBOX_BIN=... LXBOX_POOL=overlay LXBOX_IMAGE= tests/tools/with-daemon tests/guests/docker.sh
. "$(dirname "$0")/../contract/lib.bash"
image=$(INCLUDE=docker.io,iptables NAME=docker "$TOOLS/debian-image") || exit 1
busybox=$(command -v busybox) || exit 1
does lxc image import "$image" --alias docker
does lxc network create dockbr0 ipv4.address=10.48.0.1/24 ipv6.address=none
# Images are made on the spot: no registry is asked. $1: the guest.
prepare() {
	until_true 90 inside "$1" docker info
	inside "$1" mkdir -p /root/b/bin
	does lxc file push -q "$busybox" "$1/root/b/bin/busybox" --mode 755
	does inside "$1" sh -c 'cd /root/b/bin && for a in sh ls cat echo rm touch ps ip ping; do ln -sf busybox $a; done; cd .. && tar c . | docker import - bb'
}
driver() { inside "$1" docker info --format '{{.Driver}}'; }

# try NAME KEY=VALUE...: everything, in a guest with this configuration.
try() {
	local guest=$1
	shift
	it "starts in $guest ($*)"
	does lxc launch docker "$guest" -q -c security.nesting=true "${@/#/-c}" -n dockbr0
	prepare "$guest"
	same "$(driver "$guest")" overlay2

	it "runs what is in an image"
	gives hello inside "$guest" docker run --rm bb echo hello
	gives 1 inside "$guest" docker run --rm bb sh -c 'echo $$'
	does inside "$guest" docker run --rm bb ip addr show eth0
	like "$out" 'inet 172\.'

	it "builds images of layers, in which files are gone"
	does inside "$guest" sh -c 'printf "FROM bb\nRUN echo one >/one && touch /two\nRUN rm /two\n" >/root/Dockerfile; docker build -q -t built /root'
	gives 'one' inside "$guest" docker run --rm built sh -c 'cat /one; ls /two 2>/dev/null; true'

	it "keeps containers that are stopped, with limits"
	does inside "$guest" docker run -d --name d1 -m 64m --pids-limit 20 bb sh -c 'echo x >/kept; while :; do read x <&1; done 2>/dev/null; exec cat /dev/zero >/dev/null'
	does inside "$guest" docker stop -t 1 d1
	does inside "$guest" docker start d1
	gives x inside "$guest" docker exec d1 cat /kept

	it "goes on after the guest has been copied and snapshotted"
	does lxc snapshot "$guest" s0
	does lxc stop "$guest" --timeout 60
	does lxc copy "$guest/s0" "$guest-copy"
	does lxc start "$guest-copy"
	until_true 90 inside "$guest-copy" docker info
	same "$(driver "$guest-copy")" overlay2
	gives 'one' inside "$guest-copy" docker run --rm built sh -c 'cat /one; ls /two 2>/dev/null; true'
	gives hello inside "$guest-copy" docker run --rm bb echo hello
	does lxc delete -f "$guest-copy" "$guest"
}

try dock1
[ -n "${FEW:-}" ] || try dock2 security.privileged=true
done_testing

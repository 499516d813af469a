#!/bin/bash
# copy.sh [LXD]: images are copied between the daemon and another one (this program; the same one when none is named), over
# the network and by both clients.
. "$(dirname "$0")/../contract/lib.bash"
cd "$SCRATCH" || exit 1
HERE=127.0.0.1:8441 THERE=127.0.0.1:8442
mkdir -m 711 "$SCRATCH/there"
other() { LXD_DIR=$SCRATCH/there LXD_SOCKET=$SCRATCH/there/unix.socket "$@"; }
other setsid "${1:-lxd}" --group root >"$DAEMON_LOG/there.out" 2>&1 </dev/null &
there=$!
until_true 60 other lxc query /1.0
does lxc config set core.https_address $HERE
does other lxc config set core.https_address $THERE
does other lxc config set core.trust_password sekret
does lxc config set core.trust_password sekret
own=$(dirname "$LXC")/lxbox
[ -x "$own" ] || for own in "$TOOLS"/../../target/{dist-test,debug}/lxbox; do [ -x "$own" ] && break; done
mine() { timeout 90 "$own" client "$@"; }
does lxc remote add here $HERE --accept-certificate --password sekret
does lxc remote add there $THERE --accept-certificate --password sekret
fingerprint=$(sha256sum "$BB" | cut -d' ' -f1)
does lxc image set-property bb own property

it "copies a private image there"
does lxc image copy here:bb there: --alias new --copy-aliases
gives property lxc image get-property there:new own
gives false bash -c "lxc image show there:bb | sed -n 's/^public: //p'"
does lxc image export there:bb out
same "$(sha256sum <out.tar.gz | cut -d' ' -f1)" "$fingerprint" content
does lxc image delete there:bb

it "copies a public image there"
does bash -c 'lxc image show bb | sed "s/public: false/public: true/" | lxc image edit bb'
does mine image copy here:bb there: --public --alias new
gives true bash -c "lxc image show there:new | sed -n 's/^public: //p'"
does lxc image delete there:new
does bash -c 'lxc image show bb | sed "s/public: true/public: false/" | lxc image edit bb'

it "copies an image of two files there and back"
mkdir tree && tar -C tree -xzf "$BB"
sed -i 's/description: .*/description: in two parts/' tree/metadata.yaml
tar -C tree -cJf meta.tar.xz metadata.yaml templates
tar -C tree/rootfs -czf root.tar.gz .
both=$(cat meta.tar.xz root.tar.gz | sha256sum | cut -d' ' -f1)
does lxc image import meta.tar.xz root.tar.gz --alias split
does mine image copy here:split there: --copy-aliases
does lxc image delete split
does lxc image copy there:split here: --copy-aliases
does lxc image show "$both"
does lxc launch split copy1 -q
gives copy1 inside copy1 hostname
does lxc delete -f copy1
does mine image copy there:split here: --alias again
does lxc image delete "$both"
does mine image copy there:"${both:0:12}" here:
does lxc image delete "$both"

it "copies nothing that isn't there, and from nobody else"
refuses 'not found' lxc image copy here:nope there:
refuses 'not found' mine image copy here:nope there:
secret=$(lxc query -X POST "/1.0/images/$fingerprint/secret" | jq -r .metadata.secret)
crt=$(jq -Rs . <"$SCRATCH/there/server.crt")
before=$(find "$SCRATCH/there/images" | grep -c .)
for said in "\"certificate\":$crt,\"secret\":\"$secret\"" "\"secret\":\"$secret\"" "\"certificate\":\"xx\",\"secret\":\"$secret\"" \
	"\"certificate\":$(jq -Rs . <"$LXD_DIR/server.crt"),\"secret\":\"00\"" "\"certificate\":$(jq -Rs . <"$LXD_DIR/server.crt")"; do
	refuses . lxc query --wait -X POST there:/1.0/images -d "{\"source\":{\"type\":\"image\",\"mode\":\"pull\",\"protocol\":\"lxd\",\"server\":\"https://$HERE\",\"fingerprint\":\"$fingerprint\",$said}}"
done
refuses 'must specify one of alias or fingerprint' lxc query --wait -X POST there:/1.0/images -d "{\"source\":{\"type\":\"image\",\"mode\":\"pull\",\"protocol\":\"lxd\",\"server\":\"https://$HERE\"}}"
same "$(find "$SCRATCH/there/images" | grep -c .)" "$before" 'files left'
refuses 'must be different' mine image copy here:bb here:
refuses "Can't provide a name" mine image copy here:bb there:x

other timeout 40 "${1:-lxd}" shutdown --timeout=20 >/dev/null 2>&1 || kill $there
done_testing

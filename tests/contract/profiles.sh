#!/bin/bash
# Profiles.
# covers: GET /1.0/profiles, POST /1.0/profiles
# covers: GET /1.0/profiles/{name}, PUT /1.0/profiles/{name}, PATCH /1.0/profiles/{name}
# covers: POST /1.0/profiles/{name}, DELETE /1.0/profiles/{name}
. "$(dirname "$0")/lib.bash"
P=/1.0/profiles

it "has the default profile"
req GET $P
ok
meta . '["/1.0/profiles/default"]'
req GET "$P?recursion=1"
ok
meta 'map(keys)' '[["config","description","devices","name","used_by"]]'
meta 'map([.name, .description, .config, .devices.root])' \
	'[["default","Default LXD profile",{},{"path":"/","pool":"default","type":"disk"}]]'
req GET "$P?recursion=x"
meta . '["/1.0/profiles/default"]'

it "makes one"
req POST $P '{"name":"p1","description":"first","config":{"user.x":"1","limits.memory":"1GiB"},
	"devices":{"etc":{"type":"disk","source":"/etc","path":"/mnt"}}}'
created $P/p1
req GET $P/p1
ok
meta . '{"name":"p1","description":"first","config":{"limits.memory":"1GiB","user.x":"1"},
	"devices":{"etc":{"path":"/mnt","source":"/etc","type":"disk"}},"used_by":[]}'
like "$(header etag)" '^"[0-9a-f]{64}"$'

it "refuses a second one of that name"
req POST $P '{"name":"p1"}'
error 500 'p1.*already exists'

it "refuses bad names"
req POST $P '{"name":""}'
error 400 '^No name provided$'
req POST $P '{}'
error 400 '^No name provided$'
req POST $P '{"name":"a/b"}'
error 400 'slashes'
req POST $P '{"name":".."}'
error 400 '\.\.'
req POST $P '{"name":"."}'
error 400 'name "\."'

it "refuses wrong configuration and devices"
req POST $P '{"name":"p2","config":{"nope":"1"}}'
error 400 'Unknown configuration key: nope'
req POST $P '{"name":"p2","config":{"limits.cpu":"x"}}'
error 400 'Invalid CPU limit syntax'
req POST $P '{"name":"p2","config":{"volatile.uuid":"x"}}'
error 400 '[Vv]olatile'
req POST $P '{"name":"p2","devices":{"d":{"type":"nope"}}}'
error 400 'd".*Unsupported device type'
req POST $P '{"name":"p2","devices":{"d":{"type":"disk"}}}'
error 400 'd".*missing the required'
req POST $P '{"name":"p2","devices":{"d":{"type":"disk","path":"/x","source":"/etc","nope":"1"}}}'
error 400 'nope'
req GET $P/p2
error 404 'Profile not found'

it "replaces by PUT what is given, and what is not"
req PUT $P/p1 '{"description":"second","config":{"user.y":"2"}}'
ok
meta . '{}'
req GET $P/p1
meta '[.description, .config, .devices]' '["second",{"user.y":"2"},{}]'

it "adds by PATCH"
req PATCH $P/p1 '{"config":{"user.z":"3"}}'
ok
req GET $P/p1
meta '[.description, .config]' '["second",{"user.y":"2","user.z":"3"}]'
req PATCH $P/p1 '{"devices":{"d":{"type":"none"}}}'
ok
req GET $P/p1
meta '[.config["user.z"], .devices]' '["3",{"d":{"type":"none"}}]'

it "keeps what was when a change is refused"
req PUT $P/p1 '{"config":{"nope":"1"}}'
error '400|500' 'nope'
req PATCH $P/p1 '{"config":{"limits.memory":"lots"}}'
error '400|500' 'lots'
req PUT $P/p1 'x'
error 400 'invalid character'
req GET $P/p1
meta '.config' '{"user.y":"2","user.z":"3"}'

it "changes the entity tag with the content, and minds If-Match"
req GET $P/p1
tag=$(header etag)
req PUT $P/p1 '{"description":"third"}' -H 'If-Match: "0000"'
error 412 .
req PUT $P/p1 '{"description":"third"}' -H "If-Match: $tag"
ok
req GET $P/p1
[ "$(header etag)" != "$tag" ] || fail "the tag did not change"
meta .description '"third"'
req PATCH $P/p1 '{"description":"fourth"}' -H "If-Match: $tag"
error 412 .
req PATCH $P/p1 '{"description":"fourth"}' -H "If-Match: $(header etag)"

it "renames"
req POST $P/p1 '{"name":"p3"}'
created $P/p3
req GET $P/p1
error 404 'Profile not found'
req GET $P/p3
ok
meta .name '"p3"'
req POST $P/p3 '{"name":"default"}'
error 500 'default.*already in use'
req POST $P/p3 '{"name":"a/b"}'
error 400 'slashes'
req POST $P/p3 '{}'
error 400 'No name provided'

it "does not touch the default profile's name"
req POST $P/default '{"name":"x"}'
error 403 'default.*cannot be renamed'
req DELETE $P/default
error 403 'default.*cannot be deleted'

it "knows no profile of that name"
req GET $P/nope
error 404 'Profile not found'
req PUT $P/nope '{}'
error 404 'Profile not found'
req PATCH $P/nope '{}'
error 404 'Profile not found'
req DELETE $P/nope
error 404 'Profile not found'

it "lists who uses it, and is not deleted meanwhile"
does lxc init bb prof1 -p default -p p3 -q
req GET $P/p3
meta .used_by '["/1.0/instances/prof1"]'
req DELETE $P/p3
error 500 '^Profile is currently in use$'
req GET "$P?recursion=1"
meta 'map([.name, (.used_by | length)])' '[["default",1],["p3",1]]'

it "shows in the instance what it brings"
req PUT $P/p3 '{"config":{"user.brought":"yes"},"devices":{"d":{"type":"disk","source":"/etc","path":"/mnt"}}}'
ok
req GET $I/prof1
meta '[.config["user.brought"], .expanded_config["user.brought"], .expanded_devices.d.path, .devices]' '[null,"yes","/mnt",{}]'
meta .profiles '["default","p3"]'

it "lets the later profile win, and the instance win over both"
req PATCH $P/default '{"config":{"user.brought":"default","user.only":"default"}}'
req GET $I/prof1
meta '[.expanded_config["user.brought"], .expanded_config["user.only"]]' '["yes","default"]'
does lxc profile assign prof1 p3,default
req GET $I/prof1
meta '.expanded_config["user.brought"]' '"default"'
does lxc config set prof1 user.brought=own
req GET $I/prof1
meta '.expanded_config["user.brought"]' '"own"'
req PUT $P/default "$(req GET $P/default; jq -c '.metadata | .config = {}' <<<"$body")"
ok

it "does not let go of the device that instances stand on"
req PUT $P/default '{"devices":{}}'
error '400|500' 'root'
req GET $P/default
meta '.devices.root.pool' '"default"'

it "lets an instance be without a root disk, which then doesn't start, and lets it go from one that brings one to another"
does lxc profile create web
does lxc profile device add web root disk path=/ pool=default
does lxc init bb prof2 -q
does lxc profile remove prof2 default
does lxc config set prof2 user.a=b
does lxc config show prof2
refuses '^Error: No root device could be found' lxc start prof2
refuses 'Failed getting root disk: No root device could be found' lxc snapshot prof2 s0
refuses 'Failed getting root disk: No root device could be found' lxc copy prof2 prof3
does lxc copy prof2 prof3 -s default
does lxc rename prof2 prof4
does lxc rename prof4 prof2
refuses 'No root device could be found' lxc export prof2 "$SCRATCH/none"
does lxc delete prof3
does lxc profile add prof2 web
does lxc start prof2
does lxc profile remove prof2 web
does lxc config set prof2 limits.memory=64MiB
gives yes lxc exec prof2 -- echo yes
req PATCH $I/prof2 '{"devices":{"root":{"type":"disk","path":"/","pool":"nope"}}}'
[ "$code" -ge 400 ] || fail "another pool is taken"
does lxc config device add prof2 root disk path=/ pool=default
does lxc config device remove prof2 root
# (The real one ends the guest, and says that it failed.)
if ours; then does lxc stop -f prof2; else lxc stop -f prof2 >/dev/null 2>&1; fi
does lxc delete prof2
gives '' lxc list -c n --format csv prof2
if ours; then
	it "keeps an instance without a root disk where it is"
	does lxc init bb prof2 -q
	does lxc snapshot prof2 s0
	does lxc profile assign prof2 ''
	does lxc storage create other dir
	does lxc profile device set web root pool other
	refuses 'Cannot update root disk device pool name to "other"' lxc profile assign prof2 web
	does lxc profile create empty
	does lxc profile assign prof2 empty
	refuses 'Cannot update root disk device pool name to "other"' lxc profile device add empty root disk path=/ pool=other
	does lxc profile device add empty root disk path=/ pool=default
	does lxc restore prof2 s0
	does lxc start prof2
	does lxc delete -f prof2
	does lxc profile delete empty
	does lxc profile device set web root pool default
	does lxc storage delete other
fi
does lxc profile delete web

it "refuses network devices and disks that can't be"
req POST $P '{"name":"no","devices":{"e":{"type":"nic","network":"nope"}}}'
error 400 'Failed loading device "e": Failed to load network "nope"'
req POST $P '{"name":"no","devices":{"e":{"type":"nic","nictype":"bridged","parent":"br-none","ipv4.address":"10.1.0.5"}}}'
error 400 'Cannot use manually specified ipv4.address when using unmanaged parent bridge'
req POST $P '{"name":"no","devices":{"e":{"type":"disk","path":"/","pool":"default","recursive":"true"}}}'
error 400 'only supported for additional bind-mounted paths'

it "chooses addresses for stopped instances too"
does lxc profile create nics
does lxc init bb prof5 -p default -p nics -q
does lxc profile device add nics n nic nictype=p2p
like "$(lxc config get prof5 volatile.n.hwaddr) $(lxc config get prof5 volatile.n.name)" '^00:16:3e:[0-9a-f:]* eth0$'
does lxc profile device set nics n name=other
same "$(lxc config get prof5 volatile.n.name)" ''
does lxc profile device remove nics n
same "$(lxc config get prof5 volatile.n.hwaddr)" ''
does lxc delete prof5
does lxc profile delete nics

it "works with the client"
does lxc profile create c1
gives 'c1
default
p3' bash -c "lxc profile list --format csv | cut -d, -f1"
does lxc profile set c1 user.a=b limits.cpu=2
gives b lxc profile get c1 user.a
does lxc profile unset c1 user.a
does lxc profile device add c1 x disk source=/etc path=/mnt
gives x lxc profile device list c1
gives /etc lxc profile device get c1 x source
does lxc profile device set c1 x readonly=true
does lxc profile show c1
like "$out" 'readonly: "true"'
does lxc profile device remove c1 x
does lxc profile copy c1 c2
does lxc profile rename c2 c3
does bash -c 'echo "description: edited" | lxc profile edit c3'
does bash -c 'lxc profile show c3 | grep -x "description: edited"'
does lxc profile add prof1 c3
does lxc profile remove prof1 c3
does lxc profile delete c3
does lxc profile delete c1
refuses 'in use' lxc profile delete p3
refuses 'not found' lxc profile show nope
does lxc delete prof1
does lxc profile delete p3

done_testing

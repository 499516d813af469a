#!/bin/bash
# The root of the API, the server's own object and configuration, and what every answer has in common.
# covers: GET /
# covers: GET /1.0, PUT /1.0, PATCH /1.0
# covers: GET /1.0/resources, GET /1.0/cluster
# covers: GET /1.0/projects, GET /1.0/projects/{name}
# covers: GET /1.0/metadata/configuration
. "$(dirname "$0")/lib.bash"

it "names its one version at the root"
req GET /
ok
meta . '["/1.0"]'
same "$(header content-type)" application/json

it "describes itself to a trusted caller"
req GET /1.0
ok
meta '[.api_status, .api_version, .auth, .public, .auth_methods]' '["stable","1.0","trusted",false,["tls"]]'
meta '.config' '{}'
meta '.environment | [.server, .server_version, .project, .server_clustered, .server_event_mode, .driver, .kernel]' \
	'["lxd","5.0.2","default",false,"full-mesh","lxc | qemu","Linux"] | if '"$(ours && echo true || echo false)"' then .[5] = "lxc" else .[5] = '"$(jq -c .metadata.environment.driver <<<"$body")"' end'
meta '.environment.architectures[0]' "\"$(uname -m)\""
meta '.environment.kernel_version' "\"$(uname -r)\""
meta '.environment.server_name' "\"$(hostname)\""
meta '.environment | (.server_pid > 0), (.kernel_features | type), (.lxc_features | type)' 'true, "object", "object"'
meta '[.environment.kernel_features[], .environment.lxc_features[]] | map(select(. != "true" and . != "false"))' '[]'
meta '.environment.storage_supported_drivers | map(keys) | unique' '[["Name","Remote","Version"]]'
meta '[.environment.storage_supported_drivers[].Name | select(. == "dir")]' '["dir"]'

it "has the extensions that clients ask for before they use them"
meta '["etag","patch","network","storage","resources","projects","container_exec_recording","container_exec_signal_handling",
	"container_full","instances","instance_bulk_state_change","api_filtering"] - .api_extensions' '[]'
meta '.api_extensions | length == (unique | length)' true

it "gives every entity tag in quotes, the same for the same content"
tag=$(header etag)
like "$tag" '^"[0-9a-f]{64}"$' etag
req GET /1.0
same "$(header etag)" "$tag" etag

it "stores a key of the user's"
req PATCH /1.0 '{"config":{"user.one":"1"}}'
ok
meta . '{}'
req GET /1.0
meta .config '{"user.one":"1"}'
[ "$(header etag)" != "$tag" ] || fail "the entity tag did not change"

it "adds by PATCH, replaces by PUT, and removes what is set to nothing"
req PATCH /1.0 '{"config":{"core.shutdown_timeout":"7"}}'
req GET /1.0
meta .config '{"user.one":"1","core.shutdown_timeout":"7"}'
# 5.0.2 leaves the user's keys out of the replacing: they go when they are set to nothing.
req PUT /1.0 '{"config":{"user.one":"","user.three":"3"}}'
ok
req GET /1.0
meta .config '{"user.three":"3"}'

it "refuses a key it does not know, and keeps what was"
req PATCH /1.0 '{"config":{"nope":"1","user.four":"4"}}'
error 400 'nope.*unknown key'
req GET /1.0
meta .config '{"user.three":"3"}'

it "refuses a value of the wrong kind, naming key and value"
req PATCH /1.0 '{"config":{"core.shutdown_timeout":"soon"}}'
error 400 "core.shutdown_timeout.*soon.*invalid integer"

it "works with the client's own words for it"
does lxc config set user.five=5
gives 5 lxc config get user.five
does lxc config unset user.five
gives '' lxc config get user.five
refuses 'unknown key' lxc config set nope=1
does lxc config show
like "$out" 'user.three: "3"'
does lxc info
like "$out" 'server_version: 5.0.2'
does lxc version
like "$out" 'Server version: 5.0.2'

it "refuses a change based on an old version"
req PATCH /1.0 '{"config":{"user.six":"6"}}' -H 'If-Match: "0000"'
error 412 .
req GET /1.0
tag=$(header etag)
meta '.config["user.six"]' null
req PATCH /1.0 '{"config":{"user.six":"6"}}' -H "If-Match: $tag"
ok
req PUT /1.0 '{"config":{}}' -H "If-Match: $(req GET /1.0; header etag | tr -d '"')"
ok

it "answers an unknown path, a slash too many, a missing method"
req GET /1.0/nope
error 404 '^not found$'
same "$(header x-content-type-options)" nosniff
req GET /1.0/
error 404 '^not found$'
req GET /2.0
error 404 '^not found$'
req POST /1.0 '{}'
error 501 '^not implemented$'
req DELETE /1.0/instances
error 501 '^not implemented$'

it "knows no members of a cluster"
for what in 'GET /1.0' 'GET /1.0/resources' 'GET /1.0/storage-pools/default' 'POST /1.0/storage-pools' 'POST /1.0/networks'; do
	req "${what%% *}" "${what#* }?target=nope" '{"name":"member0","driver":"dir"}'
	error 404 '^Cluster member not found$'
done
req POST '/1.0/instances?target=nope' '{"name":"member0","source":{"type":"none"}}'
error 400 '^Target only allowed when clustered$'
if ours; then
	for path in /1.0/storage-pools/default/volumes/custom /1.0/projects /1.0/cluster/members; do
		req POST "$path" '{}'
		error 501 ' is not supported yet$'
	done
fi

it "says what is wrong with a body"
req PATCH /1.0 'xx'
error 400 'invalid character'
req PATCH /1.0 '{"config":'
error 400 .
req PATCH /1.0 '{"config":{"user.a":[]}}'
error 400 .
req PATCH /1.0 ''
error 400 '^EOF$'

it "takes members in any case of their letters, the last of two, and what comes first"
req POST /1.0/profiles '{"Name":"first","NAME":"cases","Config":{"user.A":"1","user.a":null}} and more'
created /1.0/profiles/cases
req PATCH /1.0/profiles/cases '{"config":{"user.A":null,"user.b":"2"},"devices":null}'
ok
req GET /1.0/profiles/cases
meta '[.config, .devices]' '[{"user.b":"2"},{}]'
req PATCH /1.0/profiles/cases '{"config":[]}'
error 400 'cannot unmarshal.*config'
req PATCH /1.0/profiles/cases '{"devices":{"d":null}}'
error 500 'Missing device type'
req DELETE /1.0/profiles/cases
ok
req POST /1.0/instances '{"name":"cases","source":[]}'
error 400 'cannot unmarshal array|array, expected an object'

it "ignores fields it does not know, and accepts null as a body"
req PATCH /1.0 '{"config":{"user.a":"1"},"nope":{"a":[1]}}'
ok
req PATCH /1.0 null
ok
req GET /1.0/instances null
ok
req PUT /1.0 '{"config":{}}'

it "does not mind whom it is called"
for host in localhost:None localhost unix.socket 'a b' ''; do
	req GET /1.0/instances '' -H "Host: $host"
	[ "$host" = 'a b' ] || ok
done

it "keeps a connection for more requests, also after an error"
seen=$(curl -sS --unix-socket "$LXD_SOCKET" -w '%{num_connects} ' -o /dev/null http://lxd/1.0 --next -sS \
	--unix-socket "$LXD_SOCKET" -w '%{num_connects} ' -o /dev/null http://lxd/1.0/nope --next -sS \
	--unix-socket "$LXD_SOCKET" -w '%{num_connects}' -o /dev/null http://lxd/1.0)
same "$seen" '1 0 0' connections

it "answers before it has read a body that it doesn't need"
late() { # METHOD PATH: the status of the answer to a request whose body comes late
	python3 - "$LXD_SOCKET" "$1" "$2" <<-'END'
		import socket, sys, time
		s = socket.socket(socket.AF_UNIX)
		s.connect(sys.argv[1])
		s.sendall(f"{sys.argv[2]} {sys.argv[3]} HTTP/1.1\r\nHost: x\r\nContent-Length: 50000\r\n\r\n".encode())
		time.sleep(0.05)
		s.sendall(b"x" * 50000)
		print(s.recv(12).decode())
	END
}
gives 'HTTP/1.1 404' late PUT /1.0/nope
gives 'HTTP/1.1 404' late DELETE /1.0/instances/nope
gives 'HTTP/1.1 200' late GET /1.0

it "refuses values of another kind, and takes null for nothing"
req PATCH /1.0 '{"config":{"user.t":true}}'
error 400 "invalid type bool"
req PATCH /1.0 '{"config":{"user.t":"x"}}'
req PATCH /1.0 '{"config":{"user.t":null}}'
ok
req GET /1.0
meta '.config["user.t"]' null

it "takes a chunked body"
req PATCH /1.0 '{"config":{}}' -H 'Transfer-Encoding: chunked'
ok

it "lists the default project"
req GET /1.0/projects
ok
meta . '["/1.0/projects/default"]'
req GET '/1.0/projects?recursion=1'
meta 'map(.name)' '["default"]'
req GET /1.0/projects/default
ok
meta '.config | [.["features.images"], .["features.profiles"], .["features.storage.volumes"], .["features.networks"]] | unique' '["true"]'
meta '[.name, .description]' '["default","Default LXD project"]'
meta '.used_by | map(select(. == "/1.0/profiles/default"))' '["/1.0/profiles/default"]'
like "$(header etag)" '^"'
req GET /1.0/projects/nope
error 404 '^Project not found$'
req GET '/1.0/profiles?project=nope'
error 404 'Project not found'
req GET '/1.0/instances?project=default'
ok

it "is no member of a cluster"
req GET /1.0/cluster
ok
meta '[.server_name, .enabled]' '["",false]'

it "knows the machine"
req GET /1.0/resources
ok
meta 'keys' '["cpu","gpu","memory","network","pci","storage","system","usb"]'
meta '.cpu.total' "$(nproc --all)"
meta '.cpu.architecture' "\"$(uname -m)\""
meta '[.cpu.sockets[].cores[].threads[]] | length' "$(nproc --all)"
meta '.memory.total > 0 and .memory.used > 0 and .memory.used < .memory.total' true
meta '.storage.total == (.storage.disks | length)' true
does lxc info --resources
like "$out" 'Memory:'

it "documents every configuration key"
req GET /1.0/metadata/configuration
# Newer than LXD 5.0.2.
if ours; then
	ok
	meta '.configs.instance | map(.keys[] | keys[0]) | map(select(. == "limits.memory"))' '["limits.memory"]'
	meta '.configs | has("server") and has("project")' true
else
	error 404 'not found'
fi

done_testing

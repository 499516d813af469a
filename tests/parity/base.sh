# What has worked from the beginning: words that are wrong, images, instances, configuration, profiles, states, storage.
t list; t version; t --version; t remote list; t remote get-default; t alias list; t project list
t network list; t network list -f yaml; t network show lo; t network info lo
# words that are wrong
t bogus; t profil; t profile bogus; t launch --bogus; t launch -Z; t launch -p; t list --project
t stop --timeout=x; t stop --force=maybe c; t list -f bogus; t list -c nXZ; t list -c n,,s; t list -c nL
t query nope; t query /1.0/nope; t list nope:; t profile create; t image import; t storage show nope
t monitor --format=bogus; t console nope -t bogus
# images
t image list; t image list -f csv -c lLfFpdast; t image list -f json; t image list -f yaml; t image list bb -f compact
t image list os=busybox; t image list 'os=Busy.*' -f csv; t image list nope; t image list -c x
ts image info bb; t image show bb; t image info nope; t image import "$BB"; t image alias list; t image alias list b -f csv
fingerprint=$(lxc query /1.0/images/aliases/bb | jq -r .target)
t image alias create p-alias "$fingerprint"; t image alias create p-alias "$fingerprint"; t image list -f csv -c lL
t image alias rename p-alias p-alias2; t image alias delete p-alias2; t image alias delete p-alias2
t image set-property bb k v; t image get-property bb k; t image unset-property bb k; t image get-property bb k
t image unset-property bb k; t image export bb "$work/exported"; sha256sum "$work"/exported.* | cut -c1-64; rm -f "$work"/exported*
(cd "$work" && rm -rf s && mkdir s && tar -C s -xzf "$BB" && tar --mtime=@0 -cf m.tar -C s metadata.yaml && tar --sort=name --mtime=@0 -cf r.tar -C s/rootfs .)
t image import "$work/m.tar" "$work/r.tar" --alias p-split x=y z='a b' --public
t image show p-split; t image export p-split "$work/split"; (cd "$work" && ls split* && sha256sum split* | cut -c1-64; rm -f split*)
printf 'public: false\nproperties:\n  a: 1\n' >"$work/in"; stdin=$work/in t image edit p-split; t image show p-split
t image delete p-split; t image delete p-split
# creating
t launch nope p1; t launch bb p1 -c bogus=1; t launch bb p1 -p nope; t launch bb nope:p1; t init bb p1 --network nope
t init bb p1 --no-profiles; t init bb p1 -d foo; t init bb p1 -d nope,a=b; t init bb p1 -c foo; t init --vm bb p1
t launch bb p1 -c user.a=b -c environment.X=y -d root,user.size=10GB; t init bb p1
printf 'config:\n  user.z: 5\n' >"$work/in"
stdin=$work/in t init bb p2 -e --no-profiles -s default
t init --empty p3; t list p; t list ^p2; t list p1 p2; t list type=container status=stopped -f csv -c nst; t list user.z=5 -c n
t list u.z=5 -c nd,user.z:Z:1,user.z:note,devices:root.pool -f compact; t list 'user.a=^b' -fcsv -cn; t list -c bdefFPtS p
t list --fast p; t list -f yaml p3; t list -f json p3; t list --all-projects p -c ns; t ls p1 -c n; t list status=running -c n
t info p1; t info p2; t info nope; t info p1 --show-log=false
# configuration
t config show p1; t config show p1 -e; t config show nope; t config get p1 user.a; t config get p1 nope
t config get p2 user.z -e; t config set p1 user.q=1 user.w=2; t config set p1 user.q 3; t config get p1 user.q
t config set p1 user.q=; t config get p1 user.q; t config unset p1 user.w; t config unset p1 user.w; t config set p1
t config set p1 bogus=1; t config set p1 user.a=1 bogus; t config set p1 a b c; t config set user.s=1; t config show
t config get user.s; t config set user.s 2; t config unset user.s; t config unset user.s; t config set core.bogus 1
t config get p1; t config show p1 p2
for v in y 10:20 '1_000' '0x1F' ' a' 'a: b' '- x' '~' $'two\nlines' $'tab\there' "it's: so" 'é' '2026-11-21' "$(seq -s ' ' 60)"; do
  t config set p3 "user.v=$v"; t config show p3
done
t config unset p3 user.v
t config device add p1 data disk source=/tmp path=/mnt; t config device add p1 data disk source=/tmp path=/mnt
ts config device list p1; t config device show p1; t config device get p1 data path; t config device get p1 data nope
t config device get p1 nope path; t config device get p2 root path; t config device set p1 data readonly=true
t config device set p1 data readonly false; t config device show p1; t config device unset p1 data readonly
t config device unset p1 nope readonly; t config device remove p1 data; t config device remove p1 data
t config device add p1 bad; t config device add p1 bad disk foo; t config device add p1 bad disk
t config device override p3 root size=1GB; t config device override p3 root; t config device override p3 nope
t config device set p1 nope a=b; t config device rm p1 nope; t config device show p2
# profiles
t profile create pp; t profile create pp; t profile set pp user.a=b user.c=d; t profile set pp user.c e; t profile get pp user.c
t profile get pp nope; t profile unset pp user.c; t profile unset pp user.c; t profile set pp a; t profile set pp bogus=1
t profile device add pp eth0 nic nictype=p2p; t profile device add pp eth0 nic nictype=p2p; t profile device list pp
t profile device show pp; t profile device get pp eth0 nictype; t profile device set pp eth0 mtu=1400; t profile show pp
t profile device unset pp eth0 mtu; t profile device remove pp eth0; t profile device remove pp eth0; t profile device show pp
t profile add p3 pp; t profile add p3 pp; t profile add p3 nope; t profile show pp; t profile list -f csv; t profile remove p3 pp
t profile remove p3 pp; t profile assign p3 default,pp; t profile assign p3 default; t profile rename pp pq; t profile copy pq pr
t profile copy pq pr; t profile copy nope x; t profile list; t profile list -f yaml; t profile list -f json
printf 'description: hi\nconfig: {user.q: 1}\ndevices: {}\n' >"$work/in"; stdin=$work/in t profile edit pq; t profile show pq
printf 'description: ~\nconfig:\n  user.q:\n  user.n: 1.50\ndevices:\n' >"$work/in"; stdin=$work/in t profile edit pq; t profile show pq
printf 'profiles:\nconfig: ~\n' >"$work/in"; stdin=$work/in t init bb p4; t config get p4 user.q; t list p4 -c nP; t delete p4 -q
t profile create pq-q -q; t profile create 'pq1' -q; t profile list local:x -f csv; t profile delete pq-q -q; t profile delete pq1
t profile delete pq; t profile delete pq; t profile delete pr; t profile delete default; t config profile list -f csv; t profile ls -f compact
# states
t start p1; t stop p1 -f; t stop p1; t start p1; t pause p1; t list p1 -c ns; t start p1; t restart -f p1
t start nope; t stop nope -f; t exec p1 -- echo hi; t exec p1 -- sh -c 'echo out; echo err >&2; exit 3'; t exec p1 -- nonexist
t exec p1 --cwd /bin -- pwd; t exec p1 --env A=b --env TERM=t -- sh -c 'echo $A $TERM $X $HOME'; t exec p1 -- false
t exec p1 --user 1000 --group 1001 -- id -u; t exec p1 -t -T -- ls; t exec p1 --mode bogus -- echo x; t exec p1 -- sh -c 'kill -9 $$'
t exec p1; t exec p3 -- ls; t exec nope -- ls; t exec p1 -n -- cat; t exec p1 -T -- sh -c 'exit 255'; t exec p1 --mode=non-interactive -- tty
head -c 3000000 /dev/zero | tr '\0' x >"$work/in"; stdin=$work/in t exec p1 -- md5sum; stdin=$work/in t exec p1 -- wc -c
t exec p1 -- sh -c 'yes | head -c 2000000 | md5sum'; lxc exec p1 -- sh -c 'yes | head -c 5000000' | md5sum
t exec p1 ls -l; t shell; t delete p1; t delete nope; t delete p1 nope; t console --show-log p3
# storage, projects, operations, warnings
t storage list; t storage show default; t storage create ps dir; t storage create ps dir; t storage create px nope
t storage create px dir bad; t storage get ps source; t storage set ps user.x y; t storage get ps user.x; t storage unset ps user.x
t storage show ps; t storage show ps --resources; t storage info ps; t storage list -f csv; t storage delete ps; t storage delete ps
t storage delete default; t storage info default --bytes; t project show default; t project get default features.images
t project switch nope; t project show nope; t operation show nope; t operation delete nope; t warning show nope; t warning list -f csv -c tSsc
t warning delete; t list --project default p1 -c n; t list --project nope; t query /1.0/profiles; t query --raw /1.0/profiles
t query -X POST -d '{"name":"pz"}' /1.0/profiles; t query -X DELETE /1.0/profiles/pz; t query '/1.0/instances/p1/files?path=/etc/passwd'; t query '/1.0/instances/p1/files?path=/nope'; t query --raw --wait -X PUT -d '{"action":"stop"}' /1.0/instances/p3/state; t query /1.0/instances/p3; t query /1.0/instances/p3/state
# the client's own
t alias add pa 'list -c n'; t pa p1; t -q pa p1; t --force-local --project=default pa p1; t --project default pa p1; t -q rm nope; t alias add pa x; t alias list; t alias list -f json; t alias list -f yaml; t alias rename pa pb; t alias remove pb
t alias remove pb; t remote switch nope; t remote switch images; t remote get-default; t remote switch local; t remote remove local
t remote rename images im; t remote set-url im https://x.example; t remote list -f csv; t remote rename im images; t remote remove images
t remote add loc2 "unix://${LXD_SOCKET:-$LXD_DIR/unix.socket}"; t list loc2: -c n; t list loc2:p1 -c n; t remote list; t remote list -f yaml; t remote remove loc2
t remote remove loc2; cat "$LXD_CONF/config.yml"
t list name=p1 -c n; t list name=p -c n; t list project=default -c n; t list user.nope= -c n; t list name=p1,p2 -c n; t list status=stopped name=p3 -c n
for a in y yes; do echo $a >"$work/in"; stdin=$work/in t delete -i p3; done
t delete -f p1 p2; t list

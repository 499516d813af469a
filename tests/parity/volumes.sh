# Custom volumes and their snapshots.
t storage volume list default -f csv -c tncu; t storage volume create default v1; t storage volume create default v1
t storage volume create default v2 size=10MiB user.a=b; t storage volume create default vb bogus=1; t storage volume create default vb foo
t storage volume create nope v; t storage volume create default vbl --type=block size=1MiB; t storage volume create default vbad --type=nope
t storage volume create; t storage volume create default; t storage volume list default; t storage volume list default -f yaml; t storage volume list default -f json
t storage volume list default -c ncdtL; t storage volume list default -c xyz; t storage volume list nope; t storage volume list default -f bogus
t storage volume list default name=v1 -f csv -c n; t storage volume list default type=custom -f csv -c n; t storage volume list default v -f csv
ts storage volume list default --all-projects -f csv -c etn; t storage volume list default U -f csv; t storage volume list default -c u,n
t storage volume show default v1; t storage volume show default custom/v2; t storage volume show default nope; t storage volume show nope v1
t storage volume show default bogus/v1; t storage volume show default; t storage volume info default v1; t storage volume info default nope
t storage volume get default v2 user.a; t storage volume get default v2 size; t storage volume get default v2 nope; t storage volume get default nope x
t storage volume set default v2 user.b=c user.d=e; t storage volume set default v2 user.b f; t storage volume set default v2 bogus=1
t storage volume set default v2; t storage volume set default v2 a; t storage volume unset default v2 user.b; t storage volume unset default v2 user.b
t storage volume unset default nope user.b; t storage volume show default v2; t storage volume get default v2/s0 x
printf 'description: hi\nconfig:\n  user.z: "1"\n' >"$work/in"; stdin=$work/in t storage volume edit default v1; t storage volume show default v1
stdin=$work/in t storage volume edit default nope
t storage volume snapshot default v1 s0; t storage volume snapshot default v1 s0; t storage volume snapshot default v1 s0 --reuse
t storage volume snapshot default v1; t storage volume snapshot default nope; t storage volume info default v1; t storage volume show default v1/s0
t storage volume snapshot default v1 s9 --no-expiry; t storage volume rename default v1/s9 v1/s8; t storage volume rename default v1/s8 v2/s8
t storage volume rename default v1/s8 s7; t storage volume list default -f csv -c tn; t storage volume show default v1/nope
stdin=$work/in t storage volume edit default v1/s0; t storage volume show default v1/s0; t storage volume restore default v1 s0; t storage volume restore default v1 nope
t storage volume delete default v1/s8; t storage volume delete default v1/nope; t storage volume get default v1/s0 user.z
t storage volume rename default v2 v3; t storage volume rename default v2 v4; t storage volume rename default v3 v1; t storage volume show default v3
t storage volume copy default/v1 default/v4; t storage volume copy default/v1 v5; t storage volume copy v1 default/v5; t storage volume copy default/v1/s0 default/v5
t storage volume copy default/v1 default/v6 --volume-only; t storage volume copy default/v1 default/v6; t storage volume copy default/v1 default/v6 --refresh
t storage volume copy default/nope default/v7; t storage volume copy default/v1 nope/v7; t storage volume copy default/v1 default/v7 --mode=pull
t storage volume list default -f csv -c n; t storage create second dir; t storage volume move default/v6 second/v6; t storage volume move default/v6 second/v6
t storage volume move default/v5 default/v8; t storage volume move v5 default/v9; t storage volume move default/v8 v9; t storage volume list second -f csv -c n
t storage volume move second/v6 default/v6; t storage delete second
t init --empty vc; t storage volume attach default v1 vc /mnt; t config device show vc; t storage volume attach default v1 vc data /mnt2; t config device show vc
t storage volume attach default v4 vc data /data; t storage volume attach default v4 vc; t storage volume attach default nope vc /x; t storage volume attach default v4 nope /x
t storage volume detach default v1 vc; t storage volume detach default v1 vc; t storage volume detach default v4 vc data; t storage volume detach default v4 vc nope
t storage volume detach default v1 vc v1; t storage volume detach default v4 nope; t storage volume attach default v4 vc x y z w; t config device show vc; t storage volume list default -f csv -c nu
t profile create vp; t storage volume attach-profile default v1 vp /mnt; t profile device show vp; t storage volume attach-profile default v4 vp d /d
t storage volume attach-profile default v1 nope /mnt; t storage volume attach-profile default nope vp /n; t storage volume detach-profile default v1 vp; t storage volume detach-profile default v4 vp d
t storage volume detach-profile default v4 vp; t storage volume detach-profile default v4 nope; t profile device show vp; t profile delete vp; t delete vc
(cd "$work" && t storage volume export default v1 vol.tar.gz && tar tf vol.tar.gz | sort; t storage volume export default nope x.tgz; ls x.tgz
t storage volume import default vol.tar.gz v10; t storage volume import default vol.tar.gz; t storage volume import default nope.tgz v11; t storage volume export default v1 vol2.tgz --volume-only --compression=none
tar tf vol2.tgz | sort; t storage volume export default v1; ls; rm -f *.tgz *.tar.gz v1*; t storage volume import default /etc/hostname v12)
t storage volume show default v10; t storage volume list default -f csv -c tn
for v in v1 v4 v5 v6 v9 v3 v10 vbl; do t storage volume delete default $v; done; t storage volume delete default v7; t storage volume delete default v8; t storage volume delete default v1; t storage volume delete default image/nope; t storage volume list default

# Published images and backups.
t init bb pu; t publish pu --alias pub1 os=x 'description=a b'; ts image info pub1 | grep -v Size; t image show pub1; t publish pu --alias pub1; t publish pu --alias pub1 -f; t publish nope; t publish pu pu
t publish pu x=y --public --alias pub2 --alias pub3 --compression none; t image list -f csv -c lLptd; t publish pu --compression bogus; t publish pu --expire=2030-01-01T00:00:00Z --alias pub4; t image show pub4
t publish pu foo; t publish; t publish pu nope:; t snapshot pu s0; t publish pu/s0 --alias pub5; t publish pu/nope --alias z; t image list pub -f csv -c ld
t start pu; t publish pu --alias pub6; t publish pu --alias pub6 -f; t list pu -c ns; t stop -f pu; t launch pub5 pu2; t list pu2 -c ns; t delete -f pu2
for i in pub1 pub2 pub4 pub5 pub6; do t image delete $i; done; for f in $(lxc image list -f csv -c lF | sed -n 's/^,//p'); do lxc image delete "$f"; done; t image list -f csv -c l
(cd "$work" && t export pu pu.tar.gz; tar tf pu.tar.gz | grep -v rootfs/ | sort; t export pu pu2.tar --compression none; tar tf pu2.tar | grep -v rootfs/ | sort; t export pu pu3.tgz --instance-only; tar tf pu3.tgz | grep -v rootfs/ | sort
t export nope; t export nope x.tgz; ls x.tgz; t export pu --compression bogus y.tgz; ls y.tgz; t export; t export pu a b; t export pu z.tgz --optimized-storage; tar tf z.tgz | grep -v rootfs/ | sort; t export pu/s0 q.tgz
t export pu; ls; t export pu - | cut -c1-0; t import pu.tar.gz; t import pu.tar.gz pi; t info pi; t config show pi; t import pu.tar.gz pi; t import nope.tgz; t import; t import /etc/hostname; t import pu.tar.gz a b c; t import local: pu2.tar pi2 -s default
t import pu3.tgz pi3 -s nope; t import pu3.tgz local:; t import local:pi4 pu3.tgz; t delete pu; t import pu3.tgz; t info pu; t list -c nS; rm -f *.tgz *.tar*)
t delete pu; t delete pi; t delete pi2; t delete pi3

# Files of instances, running and stopped.
t init bb fi; t init bb fi2; (cd "$work"; echo hello >f1; echo two >f2; chmod 640 f1; mkdir -p d/e; echo in >d/e/x; echo y >d/y; ln -s y d/l; chmod 700 d/e; umask 022
t file push f1 fi/tmp/; t file push f1 fi/tmp/g1; t file push f1 f2 fi/tmp/; t file push f1 f2 fi/tmp/nodir; t file push nope fi/tmp/; t file push f1 nope/tmp/
t file push f1 fi; t file push f1 fi/; t file push; t file push f1; t file push -r d fi/tmp/; t file push -r d fi/new/; t file push -rp d fi/new/; t file push -p f1 fi/a/b/c
t file push f1 fi/no/dir/f; t file push --mode=0600 --uid=5 --gid=6 f1 fi/tmp/m; t file push --mode=zz f1 fi/tmp/m; t file push -r --mode=0600 d fi/tmp/; t file push --uid=x f1 fi/tmp/m
stdin=f2 t file push - fi/tmp/stdin; stdin=f2 t file push - fi/tmp/; t file push -r f1 d fi/tmp/both/; t file push -pr d f1 fi/tmp/both/; t file push f1 fi/tmp/t1 fi2/x
t file push f1 local:fi/tmp/rem; t file push f1 nope:fi/tmp/rem; t file push f1 fi//tmp//twice; t file push -r nope fi/tmp/
t file pull fi/tmp/f1 -; t file pull fi/tmp/g1 out1; cat out1; stat -c %a out1; t file pull fi/tmp/f1 fi/tmp/f2 .; t file pull fi/tmp/f1 fi/tmp/f2 nodir; t file pull fi/tmp/f1 fi/tmp/f2 -p pd; ls pd
t file pull fi/nope -; t file pull nope/x -; t file pull fi -; t file pull fi/ -; t file pull fi/tmp/d .; t file pull -r fi/tmp/d got; (cd got && find . -printf '%p %y %m %l\n' | sort); t file pull -r fi/tmp/d got; find got | sort
t file pull fi/tmp/d/l lnk; ls -l lnk | cut -c1-10; t file pull fi/tmp/f1; t file pull; t file pull -p fi/tmp/f1 x/y/z; ls x/y; t file pull fi/tmp/f1 x2/y2/z2; t file pull -r fi/tmp/f1 recf; cat recf; t file pull fi/tmp/m m; stat -c %a m
t file pull fi/tmp/stdin -; t file pull local:fi/tmp/f1 -
t file edit fi/tmp/f1; stdin=f2 t file edit fi/tmp/f1; t file pull fi/tmp/f1 -; stdin=f2 t file edit fi/tmp/newfile; t file pull fi/tmp/newfile -; t file edit fi/tmp/d; t file edit fi; t file edit fi/no/such
EDITOR='sed -i s/two/three/' t file edit fi/tmp/f1; t file pull fi/tmp/f1 -
t file delete fi/tmp/f1; t file delete fi/tmp/f1; t file delete fi/tmp/d; t file delete fi; t file delete; t file delete fi/tmp/f2 fi/tmp/g1; t file delete fi/tmp/nope fi/tmp/stdin; t file delete nope/x; t file rm fi/tmp/stdin
t start fi; t exec fi -- ls -ln /tmp /a/b /new/d | sed -E 's/[A-Z][a-z]{2} [ 0-9:]+/D /'; t file push f1 fi/root/r -p; t file pull fi/root/r -; t exec fi -- cat /root/r
head -c 3000000 /dev/zero >big; t file push big fi/root/; t file pull fi/root/big big2; cmp big big2; t file pull fi/proc/version - | cut -c1-9; t file push -r d fi/root --quiet; t file pull -r fi/root/d got2 -q; find got2 | sort
for m in 04755 4755 01777 0x1ff 7 0 999 1_0; do t file push --mode=$m f1 fi/root/mode; t exec fi -- stat -c %a /root/mode; done
t exec fi -- sh -c 'mkdir /root/li; cd /root/li; echo hi >f; ln -s f a; ln -s a b; ln -s /root/li/b c; ln -s nowhere n; ln -s o o; ln -s ../li/./f p'
for l in a b c n o p; do t file pull fi/root/li/$l -; done
t file mount; t file mount nope; t file mount fi a b c)
t delete -f fi fi2

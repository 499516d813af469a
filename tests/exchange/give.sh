#!/bin/bash
# give.sh DIRECTORY: a container with what is hard to carry, as a backup (`backup`) and as an image (`image`).
. "$(dirname "$0")/../contract/lib.bash"
to=$1
it "makes a container with a snapshot, and gives it away"
does lxc init bb g1 -c user.when=before
does lxc start g1
does lxc exec g1 -- sh -c '
	cd /root && echo first > kept && echo first > plain && echo gone > removed && mkdir dir && echo lower > dir/file
	ln kept twice && ln -s kept link && mkfifo fifo && chown 7:8 kept && chmod 4751 kept
	truncate -s 3M holes && echo end >> holes
	touch -d "2001-02-03 04:05:06" dir/old
	long=$(printf "%0120d" 7) && echo long > $long && rm -f /etc/motd'
does lxc stop -f g1
does lxc snapshot g1 s0
does lxc config set g1 user.when=after
does lxc start g1
does lxc exec g1 -- sh -c 'cd /root && rm removed && rm -r dir && mkdir dir && echo new > dir/other && echo changed >> plain'
does lxc stop -f g1
does lxc export g1 "$to/backup"
does lxc publish g1 --alias given carried=yes
does lxc image export given "$to/image"
mv "$to"/image* "$to/image.file" && mv "$to/image.file" "$to/image"
done_testing

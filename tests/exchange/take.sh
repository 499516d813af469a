#!/bin/bash
# take.sh DIRECTORY: what give.sh of the same or another daemon has left there comes out as it was.
. "$(dirname "$0")/../contract/lib.bash"
from=$1
# seen NAME: what the guest has, in a form to compare.
seen() { lxc exec "$1" -- sh -c 'cd /root && find . | sort && stat -c "%n %u %g %a %h %s" kept twice holes fifo && cat plain dir/* && { [ ! -e dir/old ] || stat -c %Y dir/old; }; md5sum holes; cat $(printf "%0120d" 7); readlink link' </dev/null; }
long=$(printf '%0120d' 7)
holes=$( (head -c 3145728 /dev/zero; echo end) | md5sum | cut -d' ' -f1)
names() { printf '%s\n' "$@" | LC_ALL=C sort; }

it "takes the backup"
does lxc import "$from/backup" t1
req GET $I/t1
meta '[.name, .config["user.when"], .profiles, .type]' '["t1","after",["default"],"container"]'
req GET "$I/t1/snapshots?recursion=1"
meta 'map([.name, .config["user.when"]])' '[["s0","before"]]'
does lxc start t1
same "$(seen t1)" "$(names . ./$long ./dir ./dir/other ./fifo ./holes ./kept ./link ./plain ./twice)
kept 7 8 4751 2 6
twice 7 8 4751 2 6
holes 0 0 644 1 3145732
fifo 0 0 644 1 0
first
changed
new
$holes  holes
long
kept"

it "takes its snapshot"
does lxc stop -f t1
does lxc restore t1 s0
does lxc start t1
same "$(seen t1)" "$(names . ./$long ./dir ./dir/file ./dir/old ./fifo ./holes ./kept ./link ./plain ./removed ./twice)
kept 7 8 4751 2 6
twice 7 8 4751 2 6
holes 0 0 644 1 3145732
fifo 0 0 644 1 0
first
lower
981173106
$holes  holes
long
kept"
req GET $I/t1
meta '.config["user.when"]' '"before"'
does lxc delete -f t1

it "takes the image"
does lxc image import "$from/image" --alias taken
does lxc launch taken t2
like "$(seen t2)" 'kept 7 8 4751 2 6.*first.changed.new.*long.kept'
req GET $I/t2
meta '.config["image.carried"]' '"yes"'
does lxc delete -f t2
done_testing

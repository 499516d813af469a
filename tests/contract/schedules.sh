#!/bin/bash
# Snapshots that nobody asks for, and those whose time is over: what happens by itself, once a minute.
# covers: GET /1.0/instances/{name}/snapshots, PUT /1.0/instances/{name}/snapshots/{snapshot}
. "$(dirname "$0")/lib.bash"
names() { lxc query "$I/$1/snapshots" | jq -r '.[]' | sed 's,.*/,,'; }
has() { names "$1" | grep -qx "$2"; }
lacks() { ! has "$1" "$2"; }

does lxc launch bb sch1 -q -c snapshots.schedule='* * * * *' -c snapshots.pattern=tick%d -c snapshots.expiry=1d
does lxc init bb sch2 -q -c snapshots.schedule='* * * * *'
does lxc init bb sch3 -q -c snapshots.schedule='* * * * *' -c snapshots.schedule.stopped=true
does lxc init bb sch4 -q -c snapshots.schedule=@startup
does lxc init bb sch5 -q
for s in past future never; do does lxc snapshot sch5 $s; done
# A date that has passed can be set by a change of the snapshot, or when it is made.
run PUT $I/sch5/snapshots/past '{"expires_at":"2020-01-02T03:04:05Z"}'
run PUT $I/sch5/snapshots/future '{"expires_at":"2100-01-02T03:04:05Z"}'
run POST $I/sch5/snapshots '{"name":"gone","expires_at":"2020-01-02T03:04:05Z"}'

it "makes one at each start, when asked to"
does lxc start sch4
same "$(names sch4)" snap0 'at the first start'
does lxc restart -f sch4
does lxc stop -f sch4
does lxc start sch4
like "$(names sch4 | tail -n 1)" '^snap[12]$' 'at the second'

it "makes those that are due"
until_true 70 has sch1 tick0
until_true 10 has sch3 snap0
same "$(names sch2)" '' 'of a stopped instance'
req GET $I/sch1/snapshots/tick0
ok
meta '.stateful' false
meta '(.expires_at | sub("\\.[0-9]*"; "") | fromdate) - (.created_at | sub("\\.[0-9]*"; "") | fromdate)' 86400

it "takes away those whose time is over, and no others"
until_true 15 lacks sch5 past
until_true 15 lacks sch5 gone
same "$(names sch5)" $'future\nnever' 'what stays'

does lxc delete -f sch1 sch2 sch3 sch4 sch5
done_testing

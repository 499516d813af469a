# For the survival scripts, on top of the contract's: killing and starting daemons, and proof that nothing is left.
# Sourced, never run.
# shellcheck shell=bash
. "$(dirname "${BASH_SOURCE[0]}")/../contract/lib.bash"
MOUNTS_BEFORE=$(wc -l </proc/self/mountinfo)

# --- the daemon ----------------------------------------------------------------------------------------------------

daemon() { cat "$DAEMON_PID_FILE"; }

# alive PID: whether it is a process that still does something.
alive() {
	local stat
	[ -n "$1" ] && stat=$(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) && [ -n "$stat" ] && [ "${stat:0:1}" != Z ]
}
dead() { ! alive "$1"; }

# end_daemon [SIGNAL]: sends it (KILL), and waits for its end.
end_daemon() {
	local pid
	pid=$(daemon)
	kill -s "${1:-KILL}" "$pid"
	until_true 30 dead "$pid"
}

# begin_daemon [NAME=VALUE...]: starts one in the place of the last, and waits until it is ready.
begin_daemon() {
	setsid env "$@" lxd --group root --logfile "$DAEMON_LOG/daemon1.log" >>"$DAEMON_LOG/daemon1.out" 2>&1 </dev/null &
	echo $! >"$DAEMON_PID_FILE"
	disown
	timeout 40 lxd waitready --timeout=30 || { fail "the daemon did not become ready"; return 1; }
}

# another_daemon [SIGNAL]: the next one takes over.
another_daemon() { end_daemon "$@" && begin_daemon; }

# --- guests --------------------------------------------------------------------------------------------------------

# run_record NAME FILTER: of what the shim of an instance has written down.
run_record() { cat "$LXD_DIR"/run/*/run.json 2>/dev/null | jq -r "select(.name == \"$1\") | $2"; }
shim_of() { run_record "$1" .shim.pid; }
init_of() { run_record "$1" .init.pid; }
pid_of() { req GET "$I/$1/state" && get .metadata.pid; }

# groups_of NAME: its control groups that exist.
groups_of() { groups "lxc.payload.$1" "lxc.monitor.$1"; }
# groups NAME NAME: those of these names, below the groups that with-daemon has made for this run alone.
groups() { find /sys/fs/cgroup -type d -path "*/lxbox-${W##*/lxbox-}/*" \( -name "$1" -o -name "$2" \) 2>/dev/null; }
# shims_of NAME: how many there are.
shims_of() { words | grep -c "^lxbox shim $1 "; }
# words: the command lines of all processes.
words() {
	local task
	for task in /proc/[0-9]*; do tr '\0' ' ' <"$task/cmdline" && alive "${task#/proc/}" && echo; done 2>/dev/null
}

# when NAME FILE COMMAND: leaves a process in the guest that runs COMMAND once something is in /tmp/FILE.
# trigger FILE PID: puts something there, as seen by the guest's process 1. (Root out here can't make files in there.)
when() { inside "$1" sh -c ": >/tmp/$2; setsid sh -c 'while [ ! -s /tmp/$2 ]; do sleep 0.1; done; rm /tmp/$2; $3' >/dev/null 2>&1 </dev/null &"; }
trigger() { echo now >>"/proc/$2/root/tmp/$1"; }

# works NAME: it runs, and commands can be executed in it.
works() {
	same "$(state_of "$1")" Running "state of $1"
	same "$(inside "$1" hostname 2>&1)" "$1" "hostname in $1"
}

# listening NAME: starts reading a line from the console in the guest; heard NAME TEXT: that it was TEXT.
# console NAME TEXT: attaches, waits for something from the guest, and types TEXT.
console() {
	local task
	inside "$1" rm -f /tmp/typed
	inside "$1" sh -c '(until [ -s /tmp/typed ]; do echo from-guest >/dev/console; sleep 0.2; done) & read line </dev/console; echo "<$line>" >/tmp/typed' &
	task=$!
	begin POST "$I/$1/console" '{"width":80,"height":24}'
	"$TOOLS/websocket" "$operation/websocket?secret=$(get .metadata.metadata.fds.control)" "wait:$SCRATCH/typed.$1" hangup >/dev/null &
	out=$(WS_TIMEOUT=20 "$TOOLS/websocket" "$operation/websocket?secret=$(get '.metadata.metadata.fds["0"]')" read:binary:from-guest "binary:$2"'\n' hangup)
	touch "$SCRATCH/typed.$1"
	like "$out" from-guest "console of $1"
	wait $task
	rm "$SCRATCH/typed.$1"
	same "$(inside "$1" cat /tmp/typed)" "<$2>" "typed into $1"
}

# --- nothing left --------------------------------------------------------------------------------------------------

# litter: everything on the host that belongs to instances, uploads or unpackings; one a line.
litter() {
	(
		cd "$LXD_DIR" || exit
		find run logs containers snapshots storage-pools/*/containers storage-pools/*/containers-snapshots storage-pools/*/trash storage-pools/*/pending -mindepth 1 -maxdepth 1
		find storage-pools/*/overlay/uppers storage-pools/*/overlay/snapshots storage-pools/*/overlay/layers -mindepth 1 -maxdepth 1 2>/dev/null
		find images -type f
	) 2>/dev/null | grep -vxF "${EXPECTED:-}" | sort -u
	groups 'lxc.payload.*' 'lxc.monitor.*'
	words | grep -E '^(lxbox |/proc/self/exe |/bin/sh /sbin/init)'
	[ "$(wc -l </proc/self/mountinfo)" = "$MOUNTS_BEFORE" ] || cat /proc/self/mountinfo
}
no_litter() { [ -z "$(litter)" ]; }

# clean: nothing is left but the images (and their layers) that are there on purpose.
clean() {
	local i
	req GET /1.0/images
	EXPECTED=$(get '.metadata[] | sub(".*/"; "")' | while read -r f; do
		echo "images/$f"
		for i in "$LXD_DIR"/storage-pools/*; do echo "storage-pools/${i##*/}/overlay/layers/$f"; done
	done)
	[ -n "$EXPECTED" ] || EXPECTED=none
	for ((i = 0; i < 100; i++)); do
		no_litter && return 0
		sleep 0.1
	done
	fail "left behind: $(litter)"
}

#!/bin/bash
# record.sh OUT CLIENT...: has each client (`stock=/usr/bin/lxc`, `ours=target/debug/lxbox`) run the sections of this
# folder against the running server, and writes what it says to OUT/SECTION.NAME. Called by tests/cli.rs.
#
# Needs: LXD_DIR or LXD_SOCKET of a running server (a stock LXD 5.0.2, or ours) that has a pool "default", a profile
# "default" with a root disk on it, an image with the alias "bb" that boots, and BB, the path of that image's file.
# SECTIONS chooses sections. Leaves the server as it was.
# What can't be equal is masked: ids, dates, sizes that move, hints in prose.
set -u
here=$(dirname "$(readlink -f "$0")") out=$(readlink -f "$1")
shift
: "${BB:?path of the image}"
work=${SCRATCH:?run this by tests/tools/with-daemon}
# Not /dev/null: the stock client's `file edit` changes the mode of what it reads from.
nothing=$work/nothing
: >"$nothing"

mask() {
  sed -E \
    -e 's/.*\r//' -e 's/^(Importing|Transferring|Exporting|Pushing|Pulling|Backing up|Retrieving) [^:]*: .*(B|%|s\))$//' \
    -e 's/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/UUID/g' \
    -e 's/\b[0-9a-f]{64}\b/FINGERPRINT/g' -e 's/\b[0-9a-f]{12}\b/SHORT/g' \
    -e 's/[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:.]+Z/TIME/g' \
    -e 's#[0-9]{4}/[0-9]{2}/[0-9]{2} [0-9]{2}:[0-9]{2} UTC#DATE#g' \
    -e 's/[A-Z][a-z]{2} [0-9]{1,2}, [0-9]{4} at [0-9]{1,2}:[0-9]{2}[ap]m \(UTC\) */LONGDATE/g' \
    -e 's/^( *(PID|Processes|CPU usage \(in seconds\)|Memory \([a-z]+\)|Bytes [a-z]+|Packets [a-z]+|space used|used)): .*/\1: N/' \
    -e 's/^( *Last used): .*/\1: DATE/' \
    -e 's/^( *(usage|usage_peak|pid|processes|mtu)): .*/\1: N/' \
    -e 's/"(usage|usage_peak|pid|processes|used)":[0-9]+/"\1":N/g' \
    -e 's/"(usage|usage_peak|pid|processes|used)": [0-9]+/"\1": N/g' \
    -e 's#/(var/)?tmp/lxbox-test\.[A-Za-z0-9]+#/DIR#g' -e '/^ *Swap \([a-z]+\): /d' \
    -e 's/veth[0-9a-f]+/VETH/g' -e 's/00:16:3e(:[0-9a-f]{2}){3}/MAC/g' \
    -e '/^The instance (you are starting|has no network)/d' -e '/^  (To create a new network|Create one with)/d' \
    -e '/^  (To attach a network|Attach it with)/d' -e '/^Try `lxc info --show-log/d' \
    -e '/^$/d' -e 's/^-+$/RULE/' -e 's/-{20,}/--/g'
}

# What comes in Go's random order: sorted.
ts() { t "$@" | sort; }

# t WORDS...: runs lxc with them, and writes down words, output, errors and exit code.
t() {
  printf '$ lxc %s\n' "$*" | sed -E 's#/(var/)?tmp/(lxbox-test|lxbox-cache)\.?[A-Za-z0-9]*#/DIR#g'
  timeout 60 lxc "$@" >"$work/out" 2>"$work/err" <"${stdin:-$nothing}"
  local rc=$?
  mask <"$work/out" | sed 's/^/  /'
  mask <"$work/err" | sed 's/^/! /'
  [ $rc = 0 ] || echo "= $rc"
}

for client; do
	which=${client%%=*}
	mkdir -p "$work/$which.bin" "$work/$which.conf" "$work/scratch"
	ln -s "$(readlink -f "${client#*=}")" "$work/$which.bin/lxc"
	LXD_CONF=$work/$which.conf "$work/$which.bin/lxc" list >/dev/null 2>&1 # the first call greets
	for section in ${SECTIONS:-$(cd "$here" && ls ./*.sh | sed 's#./##; s/.sh$//; /^record$/d')}; do
		(
			PATH=$work/$which.bin:$PATH LXD_CONF=$work/$which.conf work=$work/scratch
			export PATH LXD_CONF
			# Some commands write where they are.
			cd "$work" || exit
			. "$here/$section.sh"
		) 2>&1 |
			# Sentences of help are each client's own; tests/cli.rs compares their words.
			sed '/^  Description:/,/^  *--version /d; /^!* *Usage:/,/more information about a command/d' >"$out/$section.$which"
		rm -rf "$work/scratch" && mkdir "$work/scratch"
	done
done

# For the contract scripts: asking the daemon, and saying what is expected of the answer. Sourced, never run.
# A script is a list of cases, each begun by `it "behaviour"`. A failed expectation is printed with what was seen, and
# the script goes on; its status says at the end whether all was well. It runs alone, beside a fresh daemon:
#   LXBOX_BIN=oracle tests/tools/with-daemon tests/contract/profiles.sh
# shellcheck shell=bash
set -u
: "${LXD_SOCKET:?run this by tests/tools/with-daemon}"
TOOLS=$(cd "$(dirname "${BASH_SOURCE[0]}")/../tools" && pwd)
I=/1.0/instances
case_name='' case_failed='' cases=0 failures=0
code='' body='' headers='' operation='' out='' status=''

# --- cases ---------------------------------------------------------------------------------------------------------

# it BEHAVIOUR: ends the case before and begins one. With ONLY set, scripts still run whole: cases build on each other.
it() {
	end_case
	case_name=$1 case_failed=''
}

end_case() {
	[ -n "$case_name" ] || return 0
	cases=$((cases + 1))
	if [ -n "$case_failed" ]; then failures=$((failures + 1)); echo "not ok $cases - $case_name"; else echo "ok $cases - $case_name"; fi
	case_name=''
}

# fail TEXT...: the case failed; says where in the script.
fail() {
	local i line=0
	for ((i = 1; i < ${#BASH_SOURCE[@]}; i++)); do
		[ "${BASH_SOURCE[i]}" = "${BASH_SOURCE[0]}" ] || { line=${BASH_LINENO[i - 1]}; break; }
	done
	case_failed=1
	printf '# %s, line %s: %s\n' "${0##*/}" "$line" "$*" | cut -c1-1500
}

finish() {
	end_case
	echo "1..$cases"
	[ "$failures" = 0 ] && [ "$cases" -gt 0 ] && exit 0
	echo "# $failures of $cases failed"
	tail -n 15 "$DAEMON_LOG"/daemon*.log 2>/dev/null | sed 's/^/# log: /'
	exit 1
}
# An empty script, or one that ends early, must not look like one that passed.
trap 'rc=$?; [ -n "${finished:-}" ] || { echo "# ended before its end ($rc)"; exit 1; }' EXIT
done_testing() { finished=1; finish; }

# ours: whether the daemon is lxbox. Guards the cases where LXD 5.0.2 itself is broken, or which only we have.
ours() { [ "$DAEMON" = lxbox ]; }

# --- the wire ------------------------------------------------------------------------------------------------------

# req METHOD PATH [BODY] [CURL ARGUMENT...]: sets code, headers (lower-case names), body.
req() {
	local method=$1 path=$2 data=${3-}
	shift 2
	[ $# = 0 ] || shift
	curl -sS --max-time 120 --unix-socket "$LXD_SOCKET" -X "$method" -D "$SCRATCH/headers" -o "$SCRATCH/body" \
		${data:+--data-binary "$data"} "$@" "http://lxd$path" 2>"$SCRATCH/curl" || fail "$method $path: $(cat "$SCRATCH/curl")"
	# Only the last answer's: curl keeps a `100 Continue` in front of it.
	headers=$(tr -d '\r' <"$SCRATCH/headers" | sed 's/^\([A-Za-z-]*\):/\L\1:/' | awk '/^HTTP/{n = 0} {line[n++] = $0} END {for (i = 0; i < n; i++) print line[i]}')
	code=$(sed -n '1s/^[^ ]* \([0-9]*\).*/\1/p' <<<"$headers")
	body=$(tr -d '\0' <"$SCRATCH/body")
}

# header NAME: its value in the last answer.
header() { sed -n "s/^$1: //p" <<<"$headers" | head -n 1; }

# run METHOD PATH [BODY]: an operation from its request to its end; sets operation (its URL) and body (its object).
run() {
	begin "$@"
	[ -z "$operation" ] || ended
}

# begin METHOD PATH [BODY]: starts an operation, and checks the answer that every one of them has.
begin() {
	req "$@"
	operation=
	[ "$code" = 202 ] || { fail "$1 $2: $code instead of an operation: $body"; return; }
	operation=$(jq -r .operation <<<"$body")
	same "$(header location)" "$operation" location
	is '[.type, .status, .status_code, .error_code, .error]' '["async","Operation created",100,0,""]'
}

# ended: waits for the operation begun; body is then its object.
ended() {
	req GET "$operation/wait?timeout=60"
	body=$(jq -c .metadata <<<"$body")
}

# succeeded, failed_with REGEX: how the operation ended.
succeeded() { is '[.status, .status_code, .err]' '["Success",200,""]'; }
failed_with() {
	is '[.status, .status_code]' '["Failure",400]'
	like "$(jq -r .err <<<"$body")" "$1" err
}

# ok: the last answer was a success in the standard envelope. created LOCATION: of something new.
ok() {
	[ "$code" = 200 ] || { fail "$code: $body"; return; }
	is '[keys_unsorted, .type, .status, .status_code, .operation, .error_code, .error]' \
		'[["type","status","status_code","operation","error_code","error","metadata"],"sync","Success",200,"",0,""]'
}
created() {
	same "$code" 201 "$body"
	same "$(header location)" "$1" location
	is '[.type, .status_code, .metadata]' '["sync",200,null]'
}

# error CODE REGEX: the last answer was that error in the standard envelope. CODE may be `400|500`: LXD 5.0.2 answers a
# good many wrong requests with 500, where a client must be as happy with 400.
error() {
	[[ "|$1|" == *"|$code|"* ]] || { fail "$code instead of $1: $body"; return; }
	is '[keys_unsorted, .type, .status, .status_code, .operation, .error_code, .metadata]' \
		'[["type","status","status_code","operation","error_code","error","metadata"],"error","",0,"",'"$code"',null]'
	like "$(jq -r .error <<<"$body")" "$2" error
}

# is FILTER JSON: jq's FILTER of the last body. meta FILTER JSON: of its metadata.
is() { same "$(jq -cS "$1" <<<"$body" 2>&1)" "$(jq -cnS "$2" 2>&1)" "$1"; }
meta() { is ".metadata | $1" "$2"; }
# get FILTER: the value, as text.
get() { jq -r "$1" <<<"$body"; }

# --- comparing -----------------------------------------------------------------------------------------------------

# same SEEN WANTED [WHAT]; like SEEN REGEX [WHAT] (extended, not anchored).
same() { [ "$1" = "$2" ] || fail "${3:-}"$'\n#   seen:   '"$1"$'\n#   wanted: '"$2"; }
like() { [[ $1 =~ $2 ]] || fail "${3:-}"$'\n#   seen:   '"$1"$'\n#   wanted: '"/$2/"; }
unlike() { [[ ! $1 =~ $2 ]] || fail "${3:-}"$'\n#   seen:     '"$1"$'\n#   unwanted: '"/$2/"; }

# --- commands ------------------------------------------------------------------------------------------------------

# bounded CMD...: runs it, never for ever.
bounded() {
	if [ "$(type -t "$1")" != file ]; then "$@" </dev/null 2>&1; else timeout 90 "$@" </dev/null 2>&1; fi
}

# does CMD...: runs it, sets out (both streams) and status, and expects success. gives TEXT CMD...: expects this output.
does() {
	out=$(bounded "$@")
	status=$?
	[ $status = 0 ] || fail "$* ended with $status: $out"
}
gives() {
	local wanted=$1
	shift
	does "$@"
	same "$out" "$wanted" "$*"
}

# refuses REGEX CMD...: expects a failure with this text. ends STATUS CMD...: expects the status alone.
refuses() {
	local wanted=$1
	shift
	out=$(bounded "$@")
	status=$?
	[ $status != 0 ] || fail "$* succeeded: $out"
	like "$out" "$wanted" "$*"
}
ends() {
	local wanted=$1
	shift
	out=$(bounded "$@")
	status=$?
	[ $status = "$wanted" ] || fail "$* ended with $status instead of $wanted: $out"
}

# until_true SECONDS CMD...: waits for the condition that CMD tests. On a busy machine a look may take seconds: it is
# given twenty in any case.
until_true() {
	local looks=0 seconds=$1 end=$((SECONDS + $1))
	shift
	while ((SECONDS < end || looks < 20)); do
		bounded "$@" >/dev/null && return 0
		looks=$((looks + 1))
		sleep 0.05
	done
	fail "still not after $seconds s: $*"
	return 1
}

# --- instances -----------------------------------------------------------------------------------------------------

# The scripts run side by side, and the names of cgroups are global on a machine: each script takes names of its own.
launch() { does lxc launch bb "$@" -q; }
state_of() { req GET "$I/$1" && get .metadata.status; }
is_now() { [ "$(state_of "$1")" = "$2" ]; }
# snapshots NAME: the names of its snapshots. push NAME PATH TEXT: writes a file of it. file NAME PATH: what is in it,
# or the code of the refusal.
snapshots() { req GET "$I/$1/snapshots?recursion=1"; get '.metadata | map(.name) | join(" ")'; }
push() { req POST "$I/$1/files?path=$2" "$3" -H 'Content-Type: application/octet-stream'; }
file() { req GET "$I/$1/files?path=$2"; [ "$code" = 200 ] && echo "$body" || echo "$code"; }
# monitor FILE [TYPE]: has events (of that type too) written there by a client that listens by then, in no order; sets monitor (its pid). What wakes
# it are `config-updated`.
monitor() {
	local events=$1
	timeout 300 lxc monitor --type=lifecycle ${2:+--type=$2} --format=json >"$events" 2>/dev/null &
	monitor=$!
	until_true 10 eval 'lxc config set user.woken=$RANDOM; [ -s "$events" ]'
}
# inside NAME COMMAND...: what the command prints in there.
inside() { local name=$1; shift; timeout 90 lxc exec "$name" -- "$@" </dev/null; }

# Shared by the scripts of packaging/ and .ci/: sourced, never run.
# shellcheck shell=bash

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ARCH=$(uname -m)
# A root by plain `su` has neither the administrator's folders nor rustup's in it.
PATH=$PATH:/usr/sbin:/sbin${HOME:+:$HOME/.cargo/bin}
MUSL_TARGET=$ARCH-unknown-linux-musl
# What may be fetched or made again; kept between runs and between checkouts.
if [ "$(id -u)" = 0 ]; then CACHE=${LXBOX_CACHE:-/var/cache/lxbox}; else CACHE=${LXBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lxbox}; fi

# What SQLite needn't be able to do, which makes the file smaller by 0.4 MB: it only ever holds tables in memory for `lxd sql`.
export LIBSQLITE3_FLAGS="\
	-USQLITE_ENABLE_FTS3 -USQLITE_ENABLE_FTS3_PARENTHESIS -USQLITE_ENABLE_FTS5 -USQLITE_ENABLE_RTREE \
	-USQLITE_ENABLE_STAT4 -USQLITE_ENABLE_DBSTAT_VTAB -USQLITE_ENABLE_COLUMN_METADATA -USQLITE_ENABLE_API_ARMOR \
	-USQLITE_ENABLE_LOAD_EXTENSION -USQLITE_ENABLE_JSON1 -USQLITE_SOUNDEX -USQLITE_USE_URI \
	-DSQLITE_OMIT_LOAD_EXTENSION -DSQLITE_OMIT_DEPRECATED -DSQLITE_OMIT_SHARED_CACHE -DSQLITE_OMIT_UTF16 \
	-DSQLITE_OMIT_WAL -DSQLITE_OMIT_JSON -DSQLITE_OMIT_INCRBLOB -DSQLITE_OMIT_COMPILEOPTION_DIAGS \
	-DSQLITE_OMIT_DESERIALIZE -DSQLITE_OMIT_TRACE -DSQLITE_OMIT_GET_TABLE -DSQLITE_OMIT_COMPLETE \
	-DSQLITE_OMIT_TCL_VARIABLE -DSQLITE_OMIT_INTEGRITY_CHECK -DSQLITE_OMIT_SCHEMA_VERSION_PRAGMAS \
	-DSQLITE_OMIT_AUTHORIZATION -DSQLITE_OMIT_AUTOVACUUM -DSQLITE_OMIT_PROGRESS_CALLBACK -DSQLITE_UNTESTABLE \
	-DSQLITE_DEFAULT_FOREIGN_KEYS=1 -DSQLITE_TEMP_STORE=3 -DSQLITE_MAX_EXPR_DEPTH=200 -DSQLITE_DQS=1"

say() { printf '%s: %s\n' "${0##*/}" "$*" >&2; }
die() { say "$*"; exit 1; }

# run_as_root CMD...: directly, or through sudo where we are somebody else.
run_as_root() {
	if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else die "needs root: $*"; fi
}

# has_packages NAME...: whether all of them are installed.
has_packages() {
	local one
	for one in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$one" 2>/dev/null)" = installed ] || return 1
	done
}

# apt_get ARG...: asks nothing, starts no service on this machine, and is quiet unless it fails.
apt_get() {
	local log failed=''
	log=$(mktemp "${TMPDIR:-/tmp}/lxbox-apt.XXXXXX")
	run_as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o Dpkg::Use-Pty=0 -o APT::Update::Error-Mode=any \
		"$@" >"$log" 2>&1 || failed=1
	[ -z "$failed" ] || tail -n 15 "$log" >&2
	rm -f "$log"
	[ -z "$failed" ]
}

# install_packages NAME...: installs or upgrades Debian packages, by newer lists when they can't be had by the present ones.
install_packages() {
	command -v apt-get >/dev/null || die "this needs $* (Debian's names); install them and run it again"
	say "installing $*"
	apt_get install -y --no-install-recommends "$@" 2>/dev/null ||
		{ apt_get update && apt_get install -y --no-install-recommends "$@"; } ||
		die "could not install $*"
}

# need_packages NAME...: installs Debian packages that are missing, and says nothing when none is.
need_packages() {
	local one missing=()
	for one in "$@"; do has_packages "$one" || missing+=("$one"); done
	[ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}

# need_debian_rust: Debian's own compiler, new enough. The first release of Debian 12 had an older one: the suite
# bookworm-security has what is needed, and lists from before that suite was added don't know it.
need_debian_rust() {
	local wanted packages=(rustc-web cargo-web rust-web-src)
	wanted=$(sed -n 's/^rust-version *= *"\(.*\)"/\1/p' "$REPO/Cargo.toml")
	new_enough() { dpkg --compare-versions "${1:-0}" ge "$wanted"; }
	candidate() { LC_ALL=C apt-cache policy rustc-web | sed -n 's/^ *Candidate: //p'; }
	if has_packages "${packages[@]}" && new_enough "$(dpkg-query -W -f '${Version}' rustc-web)"; then return; fi
	command -v apt-get >/dev/null || die "this needs rustup, or Debian's ${packages[*]} of version $wanted"
	new_enough "$(candidate)" || apt_get update || die "apt could not read what its sources offer"
	new_enough "$(candidate)" || die "Debian's compiler (rustc-web) is $(candidate) by apt's sources, and $wanted is needed:" \
		"add the suite bookworm-security to them, or install rustup"
	install_packages "${packages[@]}"
}

# The version of the compiler that the project is written for.
pinned_toolchain() { sed -n 's/^channel *= *"\(.*\)"/\1/p' "$REPO/rust-toolchain.toml"; }

# rustup_has_musl: whether rustup can give us the pinned compiler with the musl target (fetched now when it is not there).
rustup_has_musl() {
	command -v rustup >/dev/null || return 1
	local version
	version=$(pinned_toolchain)
	[ -d "$(RUSTUP_AUTO_INSTALL=0 rustc "+$version" --print sysroot 2>/dev/null)/lib/rustlib/$MUSL_TARGET/lib" ] && return 0
	say "rustup fetches Rust $version"
	# Not with --force-non-host and the like: a toolchain that cannot be had plainly is not there.
	timeout 600 rustup --quiet toolchain install "$version" --no-self-update --profile minimal --component rustfmt --component clippy \
		--target "$MUSL_TARGET" >&2 && timeout 300 rustup --quiet target add --toolchain "$version" "$MUSL_TARGET" >&2
}

# static_seccomp DIR: a copy of Debian's static libseccomp that also links with musl, in DIR/libseccomp.a.
static_seccomp() {
	local from
	from=/usr/lib/$(gcc -print-multiarch)/libseccomp.a
	[ "$1/libseccomp.a" -nt "$from" ] && [ "$1/libseccomp.a" -nt "$REPO/packaging/musl/fortify.c" ] && return 0
	mkdir -p "$1" &&
		musl-gcc -O2 -c "$REPO/packaging/musl/fortify.c" -o "$1/fortify.o" &&
		cp "$from" "$1/libseccomp.a.part" &&
		ar rs "$1/libseccomp.a.part" "$1/fortify.o" &&
		mv "$1/libseccomp.a.part" "$1/libseccomp.a"
}

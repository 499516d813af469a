# Shared by the scripts of packaging/ and .ci/: sourced, never run.
# shellcheck shell=bash

REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
ARCH=$(uname -m)
MUSL_TARGET=$ARCH-unknown-linux-musl
# What may be fetched or made again; kept between runs and between checkouts.
if [ "$(id -u)" = 0 ]; then CACHE=${LXBOX_CACHE:-/var/cache/lxbox}; else CACHE=${LXBOX_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/lxbox}; fi

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

# need_packages NAME...: installs Debian packages that are missing, and says nothing when none is.
need_packages() {
	local one missing=()
	for one in "$@"; do has_packages "$one" || missing+=("$one"); done
	[ ${#missing[@]} -gt 0 ] || return 0
	command -v apt-get >/dev/null || die "this needs ${missing[*]} (Debian's names); install them and run it again"
	say "installing ${missing[*]}"
	# Nothing that gets installed here may start a service on this machine.
	local apt=(env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get -q -o Dpkg::Use-Pty=0 -o APT::Update::Error-Mode=any)
	run_as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}" >/tmp/lxbox-apt.$$ 2>&1 ||
		{ run_as_root "${apt[@]}" update && run_as_root "${apt[@]}" install -y --no-install-recommends "${missing[@]}"; } \
			>/tmp/lxbox-apt.$$ 2>&1 || { tail -n 15 "/tmp/lxbox-apt.$$" >&2; die "could not install ${missing[*]}"; }
	rm -f "/tmp/lxbox-apt.$$"
}

# The version of the compiler that the project is written for.
pinned_toolchain() { sed -n 's/^channel *= *"\(.*\)"/\1/p' "$REPO/rust-toolchain.toml"; }

# rustup_has_musl: whether rustup can give us the pinned compiler with the musl target (fetched now when it is not there).
rustup_has_musl() {
	command -v rustup >/dev/null || return 1
	local version
	version=$(pinned_toolchain)
	[ -d "$(rustc "+$version" --print sysroot 2>/dev/null)/lib/rustlib/$MUSL_TARGET/lib" ] && return 0
	# Not with --force-non-host and the like: a toolchain that cannot be had plainly is not there.
	timeout 600 rustup toolchain install "$version" --profile minimal --component rustfmt --component clippy \
		--target "$MUSL_TARGET" >&2 && timeout 300 rustup target add --toolchain "$version" "$MUSL_TARGET" >&2
}

# static_seccomp DIR: a copy of Debian's static libseccomp that also links with musl, in DIR/libseccomp.a.
static_seccomp() {
	local from
	from=/usr/lib/$(gcc -print-multiarch)/libseccomp.a
	[ "$1/libseccomp.a" -nt "$from" ] && [ "$1/libseccomp.a" -nt "$REPO/packaging/musl/fortify.c" ] && return 0
	mkdir -p "$1"
	musl-gcc -O2 -c "$REPO/packaging/musl/fortify.c" -o "$1/fortify.o"
	cp "$from" "$1/libseccomp.a.part"
	ar rs "$1/libseccomp.a.part" "$1/fortify.o"
	mv "$1/libseccomp.a.part" "$1/libseccomp.a"
}

#!/bin/sh
# Unpacks packages of the next Debian below a folder, and installs nothing: next_debian.sh WORK TARGET PACKAGE...
# WORK has package lists of its own, so the system's are not touched. Needs no root. Exit 1 with one line for each package that cannot be had.
set -eu

suite=trixie
work=$1
target=$2
shift 2

cannot() {
	echo "packages of Debian's $suite cannot be had ($1): $2" >&2
	return 1
}

keyring=/usr/share/keyrings/debian-archive-keyring.gpg
command -v apt-get >/dev/null && command -v dpkg >/dev/null || cannot "$*" "this is no Debian"
[ -e "$keyring" ] || cannot "$*" "$keyring is missing (apt-get install debian-archive-keyring)"

mkdir -p "$work/lists/partial" "$work/cache/archives/partial" "$target"
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | grep -v security | head -n 1)
cat >"$work/next.sources" <<SOURCES
Types: deb
URIs: ${mirror:-http://deb.debian.org/debian}
Suites: $suite
Components: main
Signed-By: $keyring
SOURCES

apt() {
	apt-get -q -o Dir::Etc::SourceList="$work/next.sources" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" \
		-o APT::Sandbox::User= -o APT::Update::Error-Mode=any -o Acquire::Languages=none \
		-o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20 "$@"
}

apt update >"$work/log" 2>&1 || cannot "$*" "$(tail -n 1 "$work/log")"
status=0
for package; do # each by itself: `apt-get download` fetches none when it cannot have one of them
	{ (cd "$work" && apt download "$package" && dpkg -x "$package"_*.deb "$target") >>"$work/log" 2>&1 && rm "$work/$package"_*.deb; } ||
		cannot "$package" "$(tail -n 1 "$work/log")" || status=1
done
exit $status

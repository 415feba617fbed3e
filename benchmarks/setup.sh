#!/bin/sh
# Fetches the peers that benchmarks compare with and that Debian 12 lacks: packages of the next Debian, unpacked below benchmarks/work/peers and not installed.
# Needs no root. Where this cannot be done the benchmark prints the peer as missing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$here/work
packages=${*:-goss}
suite=trixie

if ! command -v apt-get >/dev/null || ! command -v dpkg >/dev/null; then
	echo "bench-setup: this is no Debian; set GOSS=/path/to/goss to compare with it" >&2
	exit 0
fi
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
if [ ! -e "$keyring" ]; then
	echo "bench-setup: $keyring is missing (apt-get install debian-archive-keyring); set GOSS=/path/to/goss to compare with it" >&2
	exit 0
fi

mkdir -p "$work/apt/lists/partial" "$work/apt/cache/archives/partial" "$work/peers"
mirror=$(sed -n 's/^URIs: *\([^ ]*\).*/\1/p; s/^deb *\(\[[^]]*\] *\)\{0,1\}\([^ ]*\).*/\2/p' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | grep -v security | head -n 1)
cat >"$work/apt/peers.sources" <<SOURCES
Types: deb
URIs: ${mirror:-http://deb.debian.org/debian}
Suites: $suite
Components: main
Signed-By: $keyring
SOURCES

apt() {
	apt-get -q -o Dir::Etc::SourceList="$work/apt/peers.sources" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$work/apt/lists" \
		-o Dir::Cache="$work/apt/cache" -o APT::Sandbox::User= "$@"
}

apt update >"$work/apt/log" 2>&1 || { tail -n 5 "$work/apt/log" >&2; echo "bench-setup: no package lists of $suite" >&2; exit 0; }
for package in $packages; do
	(cd "$work/apt" && rm -f "$package"_*.deb && apt download "$package" >>log 2>&1 && dpkg -x "$package"_*.deb "$work/peers") ||
		{ echo "bench-setup: no package $package in $suite" >&2; continue; }
	echo "bench-setup: $package is below $work/peers"
done

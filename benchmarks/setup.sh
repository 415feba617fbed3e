#!/bin/sh
# Fetches the peers that benchmarks compare with and that Debian 12 lacks: packages of the next Debian, unpacked below benchmarks/work/peers and not installed.
# Needs no root. Where this cannot be done the benchmark prints the peer as missing.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=$here/work

if sh "$here/../tools/next_debian.sh" "$work/apt" "$work/peers" "${@:-goss}"; then
	echo "bench-setup: ${*:-goss} is below $work/peers"
else
	echo "bench-setup: set GOSS=/path/to/goss to compare with it"
fi

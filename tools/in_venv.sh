#!/bin/sh
# Run a program of the venv that `make setup` made, wherever that is.
set -eu
program=$1
shift
exec "$(sh "$(dirname "$0")/place.sh")/.venv/bin/$program" "$@"

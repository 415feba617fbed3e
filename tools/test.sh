#!/bin/sh
# Does everything hold? Runs every test under branch coverage, reports the coverage, and prints pytest's closing line last: its verdict is the exit code.
set -u
log=$(mktemp)
trap 'rm -f "$log"' EXIT INT TERM

{ python -m coverage run -m pytest tests "$@" --durations=15 2>&1; echo "exit $?"; } | tee "$log" | sed '$d'
code=$(sed -n '$s/^exit //p' "$log")

python -m coverage combine --quiet
python -m coverage report
grep -E '^=+ .* in [0-9.]+s' "$log" | tail -n 1
exit "${code:-1}"

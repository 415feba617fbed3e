#!/bin/sh
# Does everything hold? Runs every test under branch coverage, then reports the coverage; the exit code is pytest's.
# Some tests say nothing about an ordinary user when root runs them, and are skipped: the files that hold them run once more as nobody.
set -u
log=$(mktemp)
other=$(mktemp -d)
trap 'rm -rf "$log" "$other"' EXIT INT TERM

{
    python -m coverage run -m pytest tests -rs "$@" --durations=15 2>&1
    echo "exit $?"
} | tee "$log" | sed '/^exit [0-9]*$/d'
code=$(sed -n '$s/^exit //p' "$log")

files=$(sed -nE 's/^SKIPPED \[[0-9]+\] (tests[^:]*):[0-9]+: .*root (may|reads).*/\1/p' "$log" | sort -u)
if [ "$(id -u)" = 0 ] && [ -n "$files" ]; then
    chown nobody "$other"
    nobody() { setpriv --reuid=65534 --regid=65534 --clear-groups "$@"; }
    if nobody sh -c 'python -c "" && test -r pyproject.toml' 2>/dev/null; then
        echo "== as an ordinary user: $(echo "$files" | wc -l) files with tests that root skips"
        # shellcheck disable=SC2086 # one word for each file
        nobody env HOME="$other" LOGNAME=nobody USER=nobody TMPDIR="$other" COVERAGE_FILE="$other/.coverage" HYPOTHESIS_STORAGE_DIRECTORY="$other/hypothesis" \
            python -m coverage run -m pytest -p no:cacheprovider -q $files || code=$?
    else
        echo "== nobody cannot run this Python or read this folder: what an ordinary user sees stays untested here"
    fi
fi

python -m coverage combine --quiet . "$other" && python -m coverage report
grep -E '^=+ .* in [0-9.]+s' "$log" | tail -n 1
exit "${code:-1}"

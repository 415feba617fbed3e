#!/bin/sh
# Does everything hold? Runs every test under branch coverage, then reports the coverage; the verdict of pytest is the exit code.
set -u
code=0
python -m coverage run -m pytest tests "$@" --durations=15 || code=$?
python -m coverage combine --quiet && python -m coverage report
exit "$code"

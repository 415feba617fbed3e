#!/bin/sh
# Does the wheel work where nothing of this repository is? Builds it, installs it into an empty venv, runs a preflight in an empty folder.
set -eu
python=${PYTHON:-python3}
root=$(cd "$(dirname "$0")/.." && pwd -P)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT INT TERM

"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip wheel -qq --disable-pip-version-check --no-deps --wheel-dir "$work/dist" "$root"
"$work/venv/bin/python" -m pip install -qq --disable-pip-version-check "$work"/dist/interlock-*.whl

mkdir "$work/site"
cd "$work/site"
echo here >present
cat >interlock.yaml <<END
interlock: 1
site: empty-folder
expect:
  a-file-is-there:
    file:
      path: $work/site/present
not_used:
  mounts: the smoke test has no disk
  state_dir: the smoke test keeps no state
  backups: the smoke test keeps no state
  parity: the smoke test has no database
  templates: the smoke test has no template
  automation: the smoke test has no workflow
END
"$work/venv/bin/interlock" --version
"$work/venv/bin/interlock" scan --explain compose.strict_parse | grep -q 'Holds when' || { echo "wheel-smoke: the pages of the guardrails are not in the wheel" >&2; exit 1; }
"$work/venv/bin/python" -m pytest -m preflight
rm present
code=0
"$work/venv/bin/interlock" preflight || code=$?
[ "$code" = 1 ] || { echo "wheel-smoke: the file is gone, and preflight ended with $code instead of 1" >&2; exit 1; }
echo "wheel-smoke: open with the file, shut without it"

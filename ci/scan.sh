#!/bin/sh
# Judges the checkout that it is started in, as it will be once it is merged: two branches that hold can break each other.
# action.yml calls it; it is told everything by the environment, and leaves the checkout as it is.
#
#   INTERLOCK_SOURCE    what pip installs, into a venv of its own      INTERLOCK_COMMAND   an interlock that is there already, in its place
#   INTERLOCK_PATH      the folder to scan (default: .)                INTERLOCK_BASE      the branch to be merged into (default: the pull request's)
#   INTERLOCK_SITE, INTERLOCK_BASELINE, INTERLOCK_SARIF, INTERLOCK_NEW_ONLY=true, INTERLOCK_PYTHON: as in action.yml
#
# Ends as `interlock scan` does; 1 where the branches do not merge.
set -eu

work=$(mktemp -d "${RUNNER_TEMP:-${TMPDIR:-/tmp}}/interlock-XXXXXX")
here=$(pwd -P)
base=${INTERLOCK_BASE-${GITHUB_BASE_REF:-}}
python=${INTERLOCK_PYTHON:-python3}
record=$work/record.json

fail() {
	echo "::error title=interlock scan::$1"
	tell ""
	exit "$2"
}

# The outputs of the action: the decision, and the record where there is one.
tell() {
	[ -z "${GITHUB_OUTPUT:-}" ] || printf 'decision=%s\nrecord=%s\n' "$1" "${1:+$record}" >>"$GITHUB_OUTPUT"
}

install() {
	command=${INTERLOCK_COMMAND:-}
	[ -z "$command" ] || return 0
	"$python" -m venv "$work/venv"
	"$work/venv/bin/python" -m pip install --quiet --disable-pip-version-check "${INTERLOCK_SOURCE:?nothing says what to install}"
	command=$work/venv/bin/interlock
}

# The folder that holds the merge result: this one where it is that already, else a private clone in which the branches are merged.
merge() {
	tree=$here
	[ -n "$base" ] || return 0
	git fetch --quiet --no-tags ${shallow:+--depth=1} origin "+refs/heads/$base:refs/remotes/origin/$base"
	tip=$(git rev-parse --verify "refs/remotes/origin/$base")
	# What a commit says of its parents stands in it also where they were not fetched.
	if [ "$(git rev-parse HEAD)" = "$tip" ] || git cat-file -p HEAD | sed '/^$/q' | grep -q "^parent $tip\$"; then return 0; fi
	[ -z "$shallow" ] || git fetch --quiet --no-tags --unshallow origin "+refs/heads/$base:refs/remotes/origin/$base"
	tip=$(git rev-parse --verify "refs/remotes/origin/$base")
	if git merge-base --is-ancestor "$tip" HEAD; then return 0; fi
	tree=$work/$(basename "$here")
	git clone --quiet --shared --no-checkout "$here" "$tree"
	git -C "$tree" -c advice.detachedHead=false checkout --quiet --detach "$(git rev-parse HEAD)"
	if ! git -C "$tree" -c user.name=interlock -c user.email=interlock@localhost -c commit.gpgsign=false merge --quiet --no-edit --no-ff "$tip" >"$work/merge.log" 2>&1; then
		cat "$work/merge.log" >&2
		fail "this branch does not merge into $base: merge $base into it, and mend what conflicts" 1
	fi
	git -C "$tree" update-ref "refs/remotes/origin/$base" "$tip"
}

shallow=
if [ -n "$base" ] && [ "$(git rev-parse --is-shallow-repository)" = true ]; then shallow=yes; fi
install
merge

cd "$tree"
set -- scan "${INTERLOCK_PATH:-.}" --format github --also "json=$record"
[ -z "${INTERLOCK_SITE:-}" ] || set -- "$@" --site "$INTERLOCK_SITE"
[ -z "${INTERLOCK_BASELINE:-}" ] || set -- "$@" --baseline "$INTERLOCK_BASELINE"
[ -z "${INTERLOCK_SARIF:-}" ] || case $INTERLOCK_SARIF in
/*) set -- "$@" --also "sarif=$INTERLOCK_SARIF" ;;
*) set -- "$@" --also "sarif=$here/$INTERLOCK_SARIF" ;;
esac
if [ -n "$base" ]; then
	set -- "$@" --changed-since "refs/remotes/origin/$base"
	[ "${INTERLOCK_NEW_ONLY:-false}" != true ] || set -- "$@" --new-only
fi
code=0
GITHUB_WORKSPACE=$tree "$command" "$@" || code=$?
decision=
[ ! -e "$record" ] || decision=$("$python" -c 'import json, sys; print(json.load(open(sys.argv[1]))["decision"])' "$record")
tell "$decision"
exit "$code"

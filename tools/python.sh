#!/bin/sh
# Which Python makes the venv? Prints the first on PATH that is 3.11 or newer and has venv, or says exactly what is missing.
# For root the first that the user `nobody` may run as well, where there is one: what must not run as root then runs from the same venv.
set -eu
seen=
only_root=

candidates() {
    case ${PYTHON:-} in
    */*) [ ! -x "$PYTHON" ] || echo "$PYTHON" ;;
    *)
        for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
            echo "$PATH" | tr : '\n' | while read -r folder; do
                [ ! -x "$folder/$name" ] || echo "$folder/$name"
            done
        done
        ;;
    esac
}

others_may_run() {
    [ "$(id -u)" != 0 ] || ! command -v setpriv >/dev/null || setpriv --reuid=65534 --regid=65534 --clear-groups sh -c 'exec "$0" -c ""' "$1" 2>/dev/null
}

found=$(candidates)
IFS='
'
for path in $found; do
    version=$("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || {
        seen="$seen
  $path does not run"
        continue
    }
    if ! "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        seen="$seen
  $path is Python $version, too old"
    elif ! "$path" -c 'import ensurepip, venv' 2>/dev/null; then
        seen="$seen
  $path is Python $version, but without venv (Debian, Ubuntu: apt-get install python$version-venv)"
    elif [ -n "${PYTHON:-}" ] || others_may_run "$path"; then
        echo "$path"
        exit 0
    else
        only_root=${only_root:-$path}
    fi
done

if [ -n "$only_root" ]; then
    echo "$only_root"
    exit 0
fi
cat >&2 <<END
interlock needs Python 3.11 or newer with venv, and found none:${seen:-
  ${PYTHON:-python3} is not on PATH}
  remedy: install one (Debian, Ubuntu: apt-get install python3 python3-venv; Fedora, RHEL: dnf install python3.11),
          or name one: make PYTHON=/path/to/python3 ...
END
exit 1

#!/bin/sh
# Which Python makes the venv? Prints the first that is 3.11 or newer and has venv, or says exactly what is missing.
set -eu
seen=

for name in ${PYTHON:-python3 python3.14 python3.13 python3.12 python3.11}; do
    path=$(command -v "$name") || continue
    version=$("$path" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || continue
    if ! "$path" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
        seen="$seen
  $path is Python $version, too old"
    elif ! "$path" -c 'import ensurepip, venv' 2>/dev/null; then
        seen="$seen
  $path is Python $version, but without venv (Debian, Ubuntu: apt-get install python$version-venv)"
    else
        echo "$path"
        exit 0
    fi
done

cat >&2 <<END
interlock needs Python 3.11 or newer with venv, and found none:${seen:-
  ${PYTHON:-python3} is not on PATH}
  remedy: install one (Debian, Ubuntu: apt-get install python3 python3-venv; Fedora, RHEL: dnf install python3.11),
          or name one: make PYTHON=/path/to/python3 ...
END
exit 1

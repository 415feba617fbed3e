#!/bin/sh
# Where do the venv and the downloaded tools go? In the repository, unless root runs this below a folder that nobody else may enter: PostgreSQL
# refuses to run as root, so its programs (they come in the venv) and its data must lie where the user `nobody` can reach them.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd -P)

closed() {
    folder=$1
    while [ "$folder" != / ]; do
        [ -n "$(find "$folder" -prune -perm -001)" ] || return 0
        folder=$(dirname "$folder")
    done
    return 1
}

if [ "$(id -u)" = 0 ] && closed "$root"; then
    echo "/var/tmp/interlock-0/$(printf %s "$root" | cksum | cut -d' ' -f1)"
else
    echo "$root"
fi

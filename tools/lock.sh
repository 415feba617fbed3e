#!/bin/sh
# Which exact distributions does this project stand on? Writes requirements/*.txt, for every platform and every Python from 3.11 on.
set -eu
cd "$(dirname "$0")/.."
UV=${UV:-uv}
command -v "$UV" >/dev/null || {
    echo "make lock needs uv: install it (pipx install uv), or name it with UV=/path/to/uv" >&2
    exit 1
}

lock() {
    target=$1
    shift
    "$UV" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-emit-find-links \
        --no-annotate --custom-compile-command "make lock" --output-file "requirements/$target" "$@"
}

lock dev.txt pyproject.toml requirements/build.in --all-extras --group demo --group test --group lint "$@"
lock demo.txt pyproject.toml requirements/build.in --group demo --constraints requirements/dev.txt
lock runtime.txt pyproject.toml --constraints requirements/dev.txt
lock docs.txt requirements/docs.in --constraints requirements/dev.txt
lock fuzz.txt requirements/fuzz.in --constraints requirements/dev.txt

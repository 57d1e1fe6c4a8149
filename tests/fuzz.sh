#!/bin/sh
# Fuzzes every target for SECONDS (60), or only the named ones; a find ends it and is left in build/fuzz/finds.
# New inputs are kept in build/fuzz/kept; --keep merges those that reach new code into tests/fuzz/corpora.
# use: tests/fuzz.sh [--keep] [SECONDS [TARGET...]]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
build=$here/../build/fuzz
keep=no
if [ "${1:-}" = --keep ]; then
    keep=yes
    shift
fi
seconds=${1:-60}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- $(cd "$here/fuzz/corpora" && ls)

cmake -S "$here/.." -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_C_COMPILER=clang \
    -DCMAKE_CXX_COMPILER=clang++ -DCASFLEET_FUZZ=ON >/dev/null
targets=
for name in "$@"; do targets="$targets fuzz_$name"; done
# shellcheck disable=SC2086
ninja -C "$build" $targets >/dev/null

mkdir -p "$build/finds"
for name in "$@"; do
    kept=$build/kept/$name
    corpus=$here/fuzz/corpora/$name
    words=$here/fuzz/$name.dict
    mkdir -p "$kept"
    set -- -max_total_time="$seconds" -timeout=2 -rss_limit_mb=1024 -artifact_prefix="$build/finds/$name-" -print_final_stats=1
    [ ! -f "$words" ] || set -- "$@" -dict="$words"
    if ! "$build/tests/fuzz_$name" "$@" "$kept" "$corpus" >"$kept.log" 2>&1; then
        tail -40 "$kept.log"
        echo "fuzz: $name failed; the input is in $build/finds" >&2
        exit 1
    fi
    [ "$keep" = no ] || "$build/tests/fuzz_$name" -merge=1 "$corpus" "$kept" >/dev/null 2>&1
    echo "fuzz: $name: $(sed -n 's/^stat::number_of_executed_units: *//p' "$kept.log") inputs in $seconds s, no find"
done

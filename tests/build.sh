#!/usr/bin/env bash
# build.sh PRESET: configures once, and when the presets changed, then builds; quiet unless it fails. All it printed is
# in build/PRESET.log.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
# Libraries made anew: what was found of the ones before is forgotten.
cache=build/$1/CMakeCache.txt
if [[ $1 == windows* ]] && [ -f "$cache" ] && ! grep -qx "CASFLEET_WINDOWS_PREFIX:PATH=$(agent/windows/third_party.sh)" "$cache"; then
  rm -rf "build/$1"
fi
if ! { [ "build/$1/build.ninja" -nt CMakePresets.json ] || cmake --preset "$1"; } >"build/$1.log" 2>&1 ||
   ! cmake --build --preset "$1" >>"build/$1.log" 2>&1; then
  tail -n 60 "build/$1.log" >&2
  echo "building $1 failed; all of it: build/$1.log" >&2
  exit 1
fi

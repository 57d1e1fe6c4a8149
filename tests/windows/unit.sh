#!/usr/bin/env bash
# unit.sh [BUILD]: the unit tests of the Windows files, under Wine in a prefix of their own; tests/e2e/netns.sh runs it, as
# what lists sockets sees the whole network namespace. BUILD is build/windows.
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
build=$(realpath "${1:-$top/build/windows}")
work=$(mktemp -d "${TMPDIR:-/tmp}/casfleet-unit.XXXXXX")
export WINEPREFIX=$work/prefix WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES='winedbg.exe=d;mscoree,mshtml=d'
unset DISPLAY
stop() {
  wineserver -k 2>/dev/null || true
  wineserver -w 2>/dev/null || true
  rm -rf "$work"
}
trap stop EXIT
mkdir "$WINEPREFIX"
wineserver -p
wineboot -i >"$work/boot.log" 2>&1 || { tail -n 20 "$work/boot.log" >&2; echo "unit: no Wine prefix can be made" >&2; exit 1; }
ctest --test-dir "$build" --output-on-failure -j 2 --no-tests=error

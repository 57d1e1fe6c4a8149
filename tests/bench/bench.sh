#!/usr/bin/env bash
# What do the programs cost, beside bare libzmq doing the same? Prints a table; never judges. Under five minutes.
#
#   tests/bench/bench.sh [few] [many] [agent]     binaries from build/release, or $CASFLEET_BIN
set -euo pipefail
top=$(cd "$(dirname "$0")/../.." && pwd)
bin=${CASFLEET_BIN:-$top/build/release}

for program in tests/bench controller/casfleet-controller controller/casfleet agent/casfleet-agent; do
  [ -x "$bin/$program" ] || { echo "bench: $bin/$program: build it first (./quickstart.sh build)" >&2; exit 2; }
done
work=$(mktemp -d "${TMPDIR:-/tmp}/casfleet-bench.XXXXXX")
trap 'rm -rf "$work"' EXIT
TMPDIR=$work "$bin/tests/bench" "$bin" "$@"

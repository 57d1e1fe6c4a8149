#!/usr/bin/env bash
# fuzz_one.sh TARGET SECONDS FOLDER: runs one fuzz target on a copy of its kept inputs; prints one line.
set -u
top=$(cd "$(dirname "$0")/../.." && pwd)
target=$1 seconds=$2 work=$3/$1
mkdir -p "$work/corpus"
dictionary=""
[ -f "$top/tests/fuzz/$target.dict" ] && dictionary="-dict=$top/tests/fuzz/$target.dict"
# shellcheck disable=SC2086
if ! "$top/build/fuzz/tests/fuzz_$target" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 -print_final_stats=1 \
  -artifact_prefix="$work/" $dictionary "$work/corpus" "$top/tests/fuzz/corpora/$target" >"$work/log" 2>&1; then
  tail -n 40 "$work/log"
  mkdir -p "$top/build/fuzz-found" && cp "$work"/crash-* "$work"/timeout-* "$work"/oom-* "$top/build/fuzz-found/" 2>/dev/null
  echo "fuzz $target FAILED; inputs in build/fuzz-found"
  exit 255
fi
echo "fuzz $target: $(awk '/number_of_executed_units/ {print $2}' "$work/log") inputs in $seconds s, none broke it"

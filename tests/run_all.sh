#!/usr/bin/env bash
# Every test, in the order in which a mistake is found soonest. One stage by name: tests/run_all.sh unit
# Names with a comma between them run at the same time: tests/run_all.sh e2e,windows
#   CASFLEET_LONG=1   adds the long sweeps      CASFLEET_FUZZ_S=60   seconds for each fuzz target
#   CASFLEET_SEEDS=100000   seeds of the simulation; in the long run a million
set -euo pipefail
cd "$(dirname "$0")/.."
fuzz_s=${CASFLEET_FUZZ_S:-60}
seeds=${CASFLEET_SEEDS:-100000}
[ -z "${CASFLEET_LONG:-}" ] || { fuzz_s=$((fuzz_s * 10)); seeds=1000000; }
stages=${*:-"unit clang seeds e2e,windows,demo mutants fuzz"}

# What must be built for each stage.
declare -A presets=([unit]="debug" [clang]="clang" [seeds]="release clang failpoints debug" [e2e]="failpoints"
  [windows]="failpoints windows windows-failpoints" [demo]="release" [mutants]="" [fuzz]="fuzz")

# Unit, property, story and tidy tests under ASan and UBSan; every kept fuzz input.
stage_unit() { ctest --test-dir build/debug --output-on-failure -j 2; }

# The same sources by the other compiler, warnings as errors: all is in the building.
stage_clang() { :; }

# The real controller and agents on virtual time, network and disks, under every fault. Before that, one seed must take
# one course in every build: optimised, by the other compiler, with failpoints, sanitized.
stage_seeds() {
  local build said course courses=""
  for build in release clang failpoints debug; do
    said=$("build/$build/tests/sweep_seeds" --seeds 200 --jobs 2) || { printf '%s\n' "$build:" "$said"; return 1; }
    course=$(tail -n 1 <<<"$said" | grep -o 'trace [0-9a-f]*') || { echo "$build tells no trace"; return 1; }
    echo "200 seeds, $build: $course"
    courses+="$course"$'\n'
  done
  [ "$(sort -u <<<"${courses%$'\n'}" | wc -l)" = 1 ] || { echo "one seed takes two courses"; return 1; }
  build/release/tests/sweep_seeds --seeds "$seeds" --jobs 2 --marks 1
}

# Real processes, hostile peers, kills.
stage_e2e() {
  local kills=0 kills_pid others=0
  export CASFLEET_BIN=$PWD/build/failpoints
  # Two at a time: both mostly wait for processes to start, to notice and to end.
  /usr/bin/python3 -m pytest -q -p no:cacheprovider tests/e2e/test_kills.py tests/e2e/test_disk.py \
    tests/e2e/test_io_faults.py >build/kills.log 2>&1 &
  kills_pid=$!
  /usr/bin/python3 -m pytest -q -p no:cacheprovider --ignore tests/e2e/test_kills.py --ignore tests/e2e/test_disk.py \
    --ignore tests/e2e/test_io_faults.py --ignore tests/e2e/test_windows.py tests/e2e ||
    others=$?
  wait "$kills_pid" || kills=$?
  cat build/kills.log
  return $((kills > others ? kills : others))
}

# The Windows programs: cross-built, packaged to the same bytes twice, and proved under Wine in a network namespace.
stage_windows() {
  local first second refused=0
  first=$(agent/windows/package.sh) && second=$(agent/windows/package.sh) || return 1
  [ "$first" = "$second" ] || { printf 'packages differ:\n%s\n%s\n' "$first" "$second"; return 1; }
  echo "$first"
  agent/windows/package.sh build/windows 0.1.1 >/dev/null || return 1 # to upgrade to
  tests/e2e/netns.sh tests/windows/unit.sh &&
    CASFLEET_BIN=$PWD/build/failpoints tests/e2e/netns.sh /usr/bin/python3 -m pytest -q -p no:cacheprovider \
      tests/e2e/test_windows.py || refused=$?
  if [ $refused = 77 ]; then
    echo "== windows: THE WINE TESTS WERE NOT RUN: no network namespace can be made here (unshare is refused)"
    return 0
  fi
  return $refused
}

# What ./quickstart.sh shows, checked by its own exit code.
stage_demo() {
  ./tests/e2e/demo.sh >build/demo.log 2>&1 || { tail -n 60 build/demo.log; return 1; }
  grep '^verified' build/demo.log
}

# Planted mistakes must be found.
stage_mutants() { tests/mutants.sh; }

# Each target for a while, two at a time, beginning with all inputs kept.
stage_fuzz() {
  local work target broken=0
  work=$(mktemp -d)
  for target in tests/fuzz/fuzz_*.c; do
    target=$(basename "$target" .c)
    [ "$target" = fuzz_replay_main ] || echo "${target#fuzz_}"
  done | xargs -P 2 -I{} tests/fuzz/fuzz_one.sh {} "$fuzz_s" "$work" || broken=1
  rm -rf "$work"
  return $broken
}

# A stage runs where `set -e` has no say (its failure is caught below): each step in it says itself what it failed at.
run_stage() { # NAME, and when its building began
  printf '\n== %s\n' "$1"
  "stage_$1" || { echo "== $1 FAILED after $((SECONDS - $2)) s"; return 1; }
  printf '== %s passed in %d s\n' "$1" $((SECONDS - $2))
}

# What the stages of a group need is built before any of them begins; of those that run at once, each one's words stay
# together.
for group in $stages; do
  began=$SECONDS lanes=() failed=0
  for stage in ${group//,/ }; do
    [ -n "${presets[$stage]+known}" ] || { echo "run_all: no stage is called $stage" >&2; exit 2; }
    for preset in ${presets[$stage]}; do
      tests/build.sh "$preset" || { echo "== $stage FAILED: $preset cannot be built"; exit 1; }
    done
  done
  for stage in ${group//,/ }; do
    if [ "$stage" = "$group" ]; then
      run_stage "$stage" "$began" || exit 1
    else
      run_stage "$stage" "$began" >"build/stage_$stage.log" 2>&1 &
      lanes+=($!)
    fi
  done
  for stage in ${lanes[@]+${group//,/ }}; do
    wait "${lanes[0]}" || failed=1
    lanes=("${lanes[@]:1}")
    cat "build/stage_$stage.log"
  done
  [ $failed = 0 ] || exit 1
done

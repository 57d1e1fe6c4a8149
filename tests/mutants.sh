#!/bin/sh
# Is each promise tested? Builds the tests once more with a planted mistake (CASFLEET_MUTANT_<NAME>) and asks that at
# least one of them fails; without a mistake all must pass. Prints which program noticed which mistake.
# use: tests/mutants.sh [NAME...]; CASFLEET_LONG=1 plays more seeds for those that nothing has killed yet.
set -eu
tree=$(cd "$(dirname "$0")/.." && pwd)
build=${CASFLEET_MUTANT_BUILD:-$tree/build/mutant-reuse}
jobs=$(nproc 2>/dev/null || echo 2)
known="I1 I3 I5 I7 I13 R1 R3 R4 R5 R7 R9 R11 R12 R14"
names=${*:-$known}
# Quick ones first: the first that fails is enough.
tests="story_rollout story_crash story_wire story_operator story_reports story_disk sweep_faults sweep_seeds"
seeds=60
[ "${CASFLEET_LONG:-0}" != 0 ] && seeds=2000
[ -d /dev/shm ] && export TMPDIR=/dev/shm
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT

# Every mistake in the sources must be on the list, and the reverse.
found=$(grep -rhoE 'CASFLEET_MUTANT_[A-Z0-9]+' "$tree/agent" "$tree/controller" "$tree/proto" | sed 's/.*_//' | sort -u)
for name in $found; do
    case " $known " in *" $name "*) ;; *) echo "mutants: $name is in the sources and not on the list" >&2; exit 2 ;; esac
done
for name in $known; do
    echo "$found" | grep -qx "$name" || { echo "mutants: $name is on the list and not in the sources" >&2; exit 2; }
done

make_with() { # NAME, "" for none
    cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCASFLEET_SANITIZE=OFF \
        -DCASFLEET_FAILPOINTS=ON -DCASFLEET_MUTANT="$1" >"$log/cmake" 2>&1 || { cat "$log/cmake" >&2; exit 2; }
    # shellcheck disable=SC2086
    ninja -C "$build" -j "$jobs" $tests >"$log/ninja" 2>&1 || { tail -30 "$log/ninja" >&2; exit 2; }
}

# Runs until the first that fails; sets killer to its name.
run() {
    killer=""
    for test in $tests; do
        more=""
        [ "$test" = sweep_seeds ] && more="--seeds $seeds"
        # shellcheck disable=SC2086
        if ! timeout 300 "$build/tests/$test" $more >"$log/$test" 2>&1; then
            killer=$test
            return
        fi
    done
}

started=$(date +%s)
make_with ""
run
if [ -n "$killer" ]; then
    echo "mutants: without any mistake $killer fails:" >&2
    tail -40 "$log/$killer" >&2
    exit 1
fi
echo "none: all pass, $(($(date +%s) - started)) s"
survivors=""
for name in $names; do
    started=$(date +%s)
    make_with "$name"
    run
    if [ -z "$killer" ]; then
        survivors="$survivors $name"
        echo "$name: SURVIVES, $(($(date +%s) - started)) s"
    else
        what=$(grep -hE '^(seed [0-9]+|every promise): |FAILED  \] [a-z]' "$log/$killer" | head -1 | cut -c1-150)
        echo "$name: killed by $killer, $(($(date +%s) - started)) s: $what"
    fi
done
make_with ""
[ -z "$survivors" ] || { echo "mutants: nothing notices$survivors" >&2; exit 1; }

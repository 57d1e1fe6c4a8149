#!/bin/sh
# Is each promise tested? Builds the tests once more with a planted mistake (CASFLEET_MUTANT_<NAME>) and asks that at
# least one of them fails; without a mistake all must pass. Prints which program noticed which mistake.
# use: tests/mutants.sh [NAME...]; CASFLEET_LONG=1 plays more seeds for those that nothing has killed yet.
set -eu
tree=$(cd "$(dirname "$0")/.." && pwd)
build=${CASFLEET_MUTANT_BUILD:-$tree/build/mutant-reuse}
jobs=$(nproc 2>/dev/null || echo 2)
# Each with the program that notices it soonest. R1 to R15 are the rules that keep the budget and at most one act a
# command; I... are promises of their own.
killers="R1:story_crash R2:sweep_seeds R3:story_wire R4:story_rollout R5:story_rollout R6:story_crash R7:story_crash
R8:story_rollout R9:story_wire R10:story_wire R11:story_wire R12:story_wire R13:sweep_seeds R14:story_crash
R15:story_rollout I1:story_rollout I3:story_wire I4:sweep_seeds I5:story_reports I7:story_operator I11:story_crash
I13:story_rollout"
known=$(echo $killers | tr ' ' '\n' | sed 's/:.*//' | tr '\n' ' ')
names=${*:-$known}
# All of them, where the named one notices nothing. Quick ones first.
tests="story_rollout story_crash story_wire story_operator story_reports story_clock story_disk sweep_faults sweep_seeds"
seeds=60
most=20000 # each mistake is found within so many
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

make_with() { # NAME, "" for none; programs
    with=$1
    shift
    cmake -S "$tree" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCASFLEET_SANITIZE=OFF \
        -DCASFLEET_FAILPOINTS=ON -DCASFLEET_MUTANT="$with" >"$log/cmake" 2>&1 || { cat "$log/cmake" >&2; exit 2; }
    ninja -C "$build" -j "$jobs" "$@" >"$log/ninja" 2>&1 || { tail -30 "$log/ninja" >&2; exit 2; }
}

# Runs programs until the first that fails; sets killer to its name.
run() { # SEEDS PROGRAM...
    play=$1
    shift
    killer=""
    for test in "$@"; do
        more=""
        [ "$test" = sweep_seeds ] && more="--seeds $play --jobs $jobs --shrink 0"
        # shellcheck disable=SC2086
        if ! timeout 300 "$build/tests/$test" $more >"$log/$test" 2>&1; then
            killer=$test
            return
        fi
    done
}

started=$(date +%s)
# shellcheck disable=SC2086
make_with "" $tests
# shellcheck disable=SC2086
run "$seeds" $tests
if [ -n "$killer" ]; then
    echo "mutants: without any mistake $killer fails:" >&2
    tail -40 "$log/$killer" >&2
    exit 1
fi
echo "none: all pass, $(($(date +%s) - started)) s"
survivors=""
for name in $names; do
    started=$(date +%s)
    named=$(echo $killers | tr ' ' '\n' | sed -n "s/^$name://p")
    make_with "$name" "$named"
    run "$most" "$named"
    if [ -z "$killer" ]; then
        echo "$name: $named does not notice it any more; looking for another"
        # shellcheck disable=SC2086
        make_with "$name" $tests
        # shellcheck disable=SC2086
        run "$seeds" $tests
    fi
    if [ -z "$killer" ]; then
        survivors="$survivors $name"
        echo "$name: SURVIVES, $(($(date +%s) - started)) s"
    else
        what=$(grep -hE '^(seed [0-9]+|every promise): |FAILED  \] [a-z]' "$log/$killer" | head -1 | cut -c1-150)
        echo "$name: killed by $killer, $(($(date +%s) - started)) s: $what"
    fi
done
# shellcheck disable=SC2086
make_with "" $tests
[ -z "$survivors" ] || { echo "mutants: nothing notices$survivors" >&2; exit 1; }

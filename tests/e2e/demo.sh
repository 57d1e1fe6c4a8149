#!/usr/bin/env bash
# A farm of real processes on loopback: one controller, agents with modelled servers, one that replays a capture.
# Rolls a recycle through one site and checks from the servers' effect logs what really happened.
#
#   tests/e2e/demo.sh [--keep] [--servers N]     binaries from build/release, or $CASFLEET_BIN
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
bin=${CASFLEET_BIN:-$top/build/release}
keep="" servers=12

usage() { echo "quickstart: $1 (--keep, --servers 4..99)" >&2; exit 2; }
while [ $# -gt 0 ]; do
  case "$1" in
  --keep) keep=1 ;;
  --servers) servers=${2:-}; shift ;;
  *) usage "$1: no such option" ;;
  esac
  shift || usage "--servers: its value is missing"
done
[[ "$servers" =~ ^[0-9]{1,2}$ ]] && [ "$servers" -ge 4 ] || usage "--servers '$servers': 4 to 99"

work=$(mktemp -d "${TMPDIR:-/tmp}/casfleet-demo.XXXXXX")
pids=()
stop_all() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  pids=()
}
trap stop_all EXIT

say() { printf '\n\033[1m== %s\033[0m\n' "$*" | if [ -t 1 ]; then cat; else sed 's/\x1b\[[0-9;]*m//g'; fi; }
show() { printf '\n$ casfleet %s\n' "$*"; "$bin/controller/casfleet" --config "$work/casfleet.conf" "$@"; }
ask() { "$bin/controller/casfleet" --config "$work/casfleet.conf" "$@"; }
give_up() { echo "quickstart: $1; logs: $work" >&2; exit 1; }

# until_true SECONDS WORDS COMMAND...: looks again and again, gives up with WORDS.
until_true() {
  local end=$((SECONDS + $1)) words=$2
  shift 2
  until "$@"; do
    [ $SECONDS -lt $end ] || give_up "$words"
    sleep 0.2
  done
}

start_controller() {
  mkdir -p "$work/controller"
  "$bin/controller/casfleet-controller" init --state "$work/controller" --agents 'tcp://127.0.0.1:*' \
    --operators 'tcp://127.0.0.1:*' >"$work/init.txt"
  local key
  key=$(ask key new "$work/ops.key" 2>/dev/null)
  "$bin/controller/casfleet-controller" operator add ops.demo admin "$key" \
    --config "$work/controller/casfleet-controller.conf" >>"$work/init.txt"
  "$bin/controller/casfleet-controller" run --config "$work/controller/casfleet-controller.conf" --tick 1s \
    >"$work/controller.log" 2>&1 &
  pids+=($!)
  until_true 20 "the controller did not start" test -s "$work/controller/endpoints"
  # shellcheck disable=SC1091
  . "$work/controller/endpoints"
  cat >"$work/casfleet.conf" <<EOF
controller = $operators
controller_keys = $work/controller/controller.pub
key = $work/ops.key
EOF
}

# The farm's make-up, one line a server: name, site, build, Pings stranded a day, worker's age.
farm() {
  local lon=$(((servers * 2 + 2) / 3)) i name
  local builds=(15.0.1497.48 15.0.1497.48 15.0.1497.23 15.1.1466.3 15.1.1466.16 15.1.1466.3 15.1.1591.10 15.1.2507.6)
  for ((i = 1; i <= servers; i++)); do
    if [ "$i" -le "$lon" ]; then
      printf -v name 'LON-CAS%02d' "$i"
      local leak=0 age=2d
      case $i in 2) leak=530 age=16d ;; 3) leak=500 age=9d ;; 5) leak=500 age=12d ;; esac
      echo "$name LON ${builds[$(((i - 1) % 8))]} $leak $age"
    else
      printf -v name 'FRA-CAS%02d' $((i - lon))
      case $((i - lon)) in
      1) echo "$name FRA 15.2.1544.4 0 30d" ;;
      2) echo "$name FRA 15.1.2507.6 0 12d" ;;
      3) echo "$name FRA 15.0.1497.48 0 3d" ;;
      *) echo "$name FRA replay 0 0s" ;;
      esac
    fi
  done
}

start_agent() {
  local name=$1 site=$2 build=$3 leak=$4 age=$5 folder=$work/$1 host=sim settings
  mkdir -p "$folder"
  settings=$folder/server.ini
  if [ "$build" = replay ]; then
    host=replay settings=$top/tests/data/capture-leaking
  else
    cat >"$settings" <<EOF
name = $name
build = $build
leak_per_day = $leak
worker_age = $age
devices = 3000
speed = 30
seed = $((16#$(printf %s "$name" | cksum | cut -c1-4)))
effects = $folder/effects.log
state = $folder/server.state
EOF
  fi
  cat >"$folder/agent.ini" <<EOF
controller = $agents
controller_keys = $work/controller/controller.pub
state = $folder
host = $host
host_settings = $settings
sample = 2s
report = 4s
EOF
  local key
  key=$("$bin/agent/casfleet-agent" --config "$folder/agent.ini" --fingerprint | grep -oE '[0-9a-f]{64}' | head -n 1)
  ask agent approve "$name" --agent-key "$key" --site "$site" >>"$work/approve.txt"
  "$bin/agent/casfleet-agent" --config "$folder/agent.ini" >"$folder/agent.log" 2>&1 &
  pids+=($!)
}

count_reporting() { # servers with a proof and a first sample
  [ "$(ask server list -o csv 2>/dev/null | awk -F, 'NR > 1 && $9 == "\"up\"" && $10 != ""' | wc -l)" -ge "$servers" ]
}

end_of_demo() {
  say "everything is in $work"
  printf '%s\n' "controller  $work/controller (database, keys, log: $work/controller.log)" \
    "agents      $work/<NAME>/ (agent.ini, journal, outbox, effects.log)" \
    "yourself    casfleet --config $work/casfleet.conf status"
  if [ -n "$keep" ]; then
    printf '\n%s\n' "The farm runs on. Type against it:" \
      "  export PATH=$bin/controller:\$PATH CASFLEET_CONFIG=$work/casfleet.conf" "  casfleet status" \
      "Stop it:  kill ${pids[*]}"
    trap - EXIT
    disown -a
  else
    stop_all
    echo "stopped: the controller and $servers agents (--keep leaves them running)"
    echo "the Windows agent, on a server of doubles under Wine: ./quickstart.sh windows"
  fi
}

main() {
  say "a controller and $servers agents, each its own process, over CURVE on loopback"
  start_controller
  local row
  while read -r -a row; do start_agent "${row[@]}"; done < <(farm)
  until_true 40 "not every agent reported" count_reporting
  show status || [ $? = 1 ]
  show patch report
  say "one site, two at a time, halting at the first failure (gap and samples shortened, the servers' own time 30x)"
  show recycle plan -l site=LON --at now --at-once 2 --gap 2s --settle 4s --drain 5s --proof 60s --stop-after 1 \
    --floor 75 | tee "$work/plan.txt" || give_up "the plan was refused"
  local id
  id=$(grep -oE '^Plan r-[0-9]+' "$work/plan.txt" | cut -d' ' -f2)
  local expected
  expected=$(ask server list -l 'site=LON,fix=lacks' -o name | paste -sd, -)
  show recycle run "$id" --reason quickstart --watch || give_up "the rollout did not end well: casfleet why $id"
  say "what the servers themselves say they did"
  local lon=$(((servers * 2 + 2) / 3))
  python3 "$here/verify_effects.py" --allowed $((lon / 4 < 2 ? (lon / 4 < 1 ? 1 : lon / 4) : 2)) \
    --expect "$expected" --none-else "$work"/*/effects.log || give_up "the servers' effect logs say otherwise"
  show status || [ $? = 1 ]
  show recycle list
  end_of_demo
}
main

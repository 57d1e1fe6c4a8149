#!/usr/bin/env bash
# casfleet's one set-up script for Debian 12.
#
#   ./quickstart.sh [--keep] [--servers N]   install what is missing, build, run a farm on this machine
#   ./quickstart.sh windows                  the same set-up, then the Windows agent on a server of doubles under Wine
#   ./quickstart.sh test [--long]            the same set-up, then every test; --long adds the long sweeps
#   ./quickstart.sh bench                    the same set-up, then the benchmark
#   ./quickstart.sh build                    the same set-up, nothing else
set -euo pipefail
cd "$(dirname "$0")"

build_packages="gcc g++ make cmake ninja-build pkg-config libzmq3-dev libsodium-dev libmsgpack-dev libsqlite3-dev
  libinih-dev libjansson-dev libexpat1-dev libical-dev tzdata libcmocka-dev python3 procps"
test_packages="git clang clang-format libclang-rt-14-dev python3-pytest python3-zmq python3-nacl python3-msgpack
  python3-dateutil python3-icalendar util-linux iproute2 mount"

windows_packages="g++-mingw-w64-x86-64-win32 autoconf automake libtool dpkg-dev tcl xz-utils wixl msitools zip wine wine64
  openssl iproute2 util-linux python3-zmq python3-nacl python3-msgpack"

say() { printf '\n== %s\n' "$*"; }

install_missing() {
  local package missing=""
  for package in "$@"; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q '^install ok installed$' || missing="$missing $package"
  done
  [ -n "$missing" ] || return 0
  say "installing:$missing"
  local as_root=""
  [ "$(id -u)" = 0 ] || as_root=sudo
  mkdir -p build
  # shellcheck disable=SC2086
  if ! { $as_root apt-get update -q &&
    DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -q --no-install-recommends $missing; } >build/apt.log 2>&1; then
    tail -n 20 build/apt.log >&2
    echo "quickstart: installing failed; all of it: build/apt.log" >&2
    return 1
  fi
}

run_tests() {
  local long=${1:-}
  # shellcheck disable=SC2086
  install_missing $build_packages $test_packages $windows_packages
  CASFLEET_LONG=$([ "$long" = --long ] && echo 1 || echo "") exec tests/run_all.sh
}

main() {
  case "${1:-}" in
  test)
    [ $# -le 2 ] && [ "${2:---long}" = --long ] || { echo "usage: ./quickstart.sh test [--long]" >&2; exit 2; }
    run_tests "${2:-}"
    ;;
  windows)
    # shellcheck disable=SC2086
    install_missing $build_packages $windows_packages
    say "building (build/release, build/windows) and packaging"
    tests/build.sh release
    tests/build.sh windows
    agent/windows/package.sh
    CASFLEET_BIN=$PWD/build/release exec tests/e2e/netns.sh /usr/bin/python3 tests/e2e/demo_windows.py
    ;;
  bench)
    # shellcheck disable=SC2086
    install_missing $build_packages
    tests/build.sh release
    exec tests/bench/bench.sh
    ;;
  build)
    # shellcheck disable=SC2086
    install_missing $build_packages
    tests/build.sh release
    ;;
  -h | --help)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    ;;
  "" | --*)
    # shellcheck disable=SC2086
    install_missing $build_packages
    say "building (build/release)"
    tests/build.sh release
    exec tests/e2e/demo.sh "$@"
    ;;
  *)
    echo "quickstart: $1: no such command; ./quickstart.sh --help lists them" >&2
    exit 2
    ;;
  esac
}
main "$@"

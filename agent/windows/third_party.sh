#!/usr/bin/env bash
# third_party.sh: the libraries of the Windows programs, cross-built from Debian's source packages. Prints their folder.
#
#   agent/windows/third_party.sh [--fresh]      --fresh asks Debian for newer sources now, not after a week
#
# apt fetches the sources and checks Debian's signature, with lists of its own: the machine's apt settings stay as they
# are. The folder's name is a hash of this script, the toolchain file, the compiler and the sources, so whatever changes
# one of them makes another folder; it appears whole or not at all. Asking apt takes seconds, so its answer counts for a
# week, about the pace of Debian's updates: a second run takes no time, and needs no network.
set -euo pipefail
export LC_ALL=C.UTF-8

here=$(cd "$(dirname "$0")" && pwd)
packages="zeromq3 libsodium msgpack-c sqlite3 expat libinih jansson cmocka" # cmocka: for tests, in no program
needed="g++-mingw-w64-x86-64-win32 gcc make cmake ninja-build pkg-config autoconf automake libtool dpkg-dev tcl xz-utils"
triple=x86_64-w64-mingw32
cache=${CASFLEET_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/casfleet}
stamp_days=7

say() { echo "third_party: $*" >&2; }
die() { say "$*"; exit 1; }

missing_tools() {
  local tool
  for tool in $triple-g++-win32 gcc make cmake ninja pkg-config autoreconf automake libtoolize dpkg-source tclsh xz; do
    command -v "$tool" >/dev/null || printf ' %s' "$tool"
  done
}

# The archives this machine installs from, as lines for deb-src; Debian's own where none is named.
source_list() { # RELEASE
  local signed="" found main security
  [ ! -f /usr/share/keyrings/debian-archive-keyring.gpg ] ||
    signed="[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] "
  found=$(find /etc/apt -name '*.list' -o -name '*.sources' | sort |
    xargs -r sed -nE 's/^(deb |URIs: *)(\[[^]]*\] *)?([^ ]+).*/\3/p' | sed 's:/*$::')
  main=$(grep -E '/debian$' <<<"$found" | head -n 1) || main=http://deb.debian.org/debian
  security=$(grep -E '/debian-security$' <<<"$found" | head -n 1) || security=$main-security
  printf 'deb-src %s%s %s main\n' "$signed" "$main" "$1" "$signed" "$main" "$1-updates" "$signed" "$security" "$1-security"
}

# An apt of our own in folder $1 for release $2: its lists, its cache, its sources. How to reach the archive (proxies,
# mirrors) stays as the machine has it.
apt_set_up() {
  mkdir -p "$1/lists/partial" "$1/cache/archives/partial"
  source_list "$2" >"$1/sources.list"
  apt-config dump | grep -E '^(Acquire|APT::Sandbox)' >"$1/main.conf" || true
  cat >>"$1/main.conf" <<END
Dir::Etc::SourceList "$1/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::State::Lists "$1/lists";
Dir::Cache "$1/cache";
Acquire::Languages "none";
Acquire::Retries "3";
END
  printf 'Dir::Etc::Main "%s/main.conf";\nDir::Etc::Parts "/dev/null";\n' "$1" >"$1/apt.conf"
  apt_update "$1" && return 0
  ! grep -rqs debian-security /etc/apt || return 1
  # An archive of the own house may have no updates beside it: what it has must do, and is said.
  sed -i -E '/-(updates|security) main$/d' "$1/sources.list"
  apt_update "$1" || return 1
  say "no updates of $2 are found; its sources are those of the release"
}

apt_update() {
  APT_CONFIG=$1/apt.conf apt-get update -q >"$1/update.log" 2>&1 && ! grep -q '^[EW]: ' "$1/update.log"
}

# The newest version of package $2 that the apt in folder $1 has and can fetch, into fetched/.
fetch_newest() {
  local version
  for version in $(APT_CONFIG=$1/apt.conf apt-cache showsrc --only-source "$2" 2>/dev/null |
    sed -n 's/^Version: *//p' | sort -rVu); do
    rm -f "fetched/$2"_*
    if (cd fetched && APT_CONFIG=$1/apt.conf apt-get source -q --download-only "$2=$version") >>fetch.log 2>&1; then
      return 0
    fi
    say "$2 $version is listed, yet the archive does not hand it out"
  done
  return 1
}

# Every package's sources: of Debian 12, of the next release where the archive has lost those. Their signed lists say
# what a file's hash must be, and apt checks it.
fetch_sources() {
  local name
  mkdir -p fetched
  [ "$(id -u)" != 0 ] || ! id _apt >/dev/null 2>&1 || chown _apt fetched
  for name in $packages; do
    fetch_newest "$work/apt" "$name" && continue
    [ -d "$work/apt-next" ] || apt_set_up "$work/apt-next" trixie || return 1
    fetch_newest "$work/apt-next" "$name" || { say "$name: no source package can be fetched"; return 1; }
    say "$name is taken from Debian 13"
  done
}

# ---- one function a library; each runs in a shell of its own, in $work, and fails at the first error ----

flags() { echo "-O2 -ffunction-sections -fdata-sections -fstack-protector-strong -ffile-prefix-map=$work=."; }

with_cmake() { # SOURCE [OPTION...]
  local name=$1
  shift
  cmake -S "src/$name" -B "build/$name" -G Ninja -DCMAKE_TOOLCHAIN_FILE="$here/toolchain.cmake" \
    -DCASFLEET_WINDOWS_PREFIX="$made" -DCMAKE_BUILD_TYPE=None -DCMAKE_INSTALL_PREFIX="$made" \
    -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_C_FLAGS="$(flags) -I$work/shim" -DCMAKE_CXX_FLAGS="$(flags)" "$@"
  ninja -C "build/$name" install
}

build_libsodium() {
  cd src/libsodium
  autoreconf -fi
  ./configure --host=$triple --prefix="$made" --disable-shared --enable-static --disable-dependency-tracking \
    CC=$triple-gcc-win32 CFLAGS="$(flags) -D_WIN32_WINNT=0x0603"
  make -j"$(nproc)" install
}

build_zeromq3() {
  # mingw's file names are in lower case; wepoll.c wants these.
  mkdir -p shim
  for header in WS2tcpip WinSock2 Windows; do echo "#include <${header,,}.h>" >"shim/$header.h"; done
  # ipc: mingw has afunix.h, yet no sys/socket.h. win32api: this gcc has no std::condition_variable_any.
  export PKG_CONFIG_LIBDIR=$made/lib/pkgconfig
  with_cmake zeromq3 -DBUILD_SHARED=OFF -DBUILD_STATIC=ON -DBUILD_TESTS=OFF -DWITH_PERF_TOOL=OFF -DWITH_DOCS=OFF \
    -DENABLE_CPACK=OFF -DENABLE_CURVE=ON -DWITH_LIBSODIUM=ON -DWITH_LIBSODIUM_STATIC=ON -DZMQ_HAVE_IPC=OFF \
    -DZMQ_CV_IMPL=win32api -DPOLLER=epoll -DCMAKE_UNITY_BUILD=ON -DCMAKE_UNITY_BUILD_BATCH_SIZE=60
}

build_msgpack_c() {
  with_cmake msgpack-c -DMSGPACK_ENABLE_SHARED=OFF -DMSGPACK_ENABLE_STATIC=ON -DMSGPACK_BUILD_TESTS=OFF \
    -DMSGPACK_BUILD_EXAMPLES=OFF
}

build_expat() {
  mv src/expat src/expat-all
  mv src/expat-all/expat src/expat
  sed -i -E 's/^(#cmakedefine XML_(DTD|NS|GE))$/\1 1/' src/expat/expat_config.h.cmake # Debian's fixes compare these with 1
  with_cmake expat -DEXPAT_SHARED_LIBS=OFF -DEXPAT_BUILD_TOOLS=OFF -DEXPAT_BUILD_EXAMPLES=OFF -DEXPAT_BUILD_TESTS=OFF \
    -DEXPAT_BUILD_DOCS=OFF -DEXPAT_BUILD_PKGCONFIG=OFF
}

build_jansson() {
  with_cmake jansson -DJANSSON_BUILD_SHARED_LIBS=OFF -DJANSSON_BUILD_DOCS=OFF -DJANSSON_EXAMPLES=OFF \
    -DJANSSON_WITHOUT_TESTS=ON
}

build_cmocka() {
  with_cmake cmocka -DWITH_STATIC_LIB=ON -DWITH_EXAMPLES=OFF -DUNIT_TESTING=OFF
  rm -f "$made/lib/libcmocka.dll.a" # it makes both kinds
  mv "$made/lib/libcmocka-static.a" "$made/lib/libcmocka.a"
}

one_file() { # LIBRARY SOURCE [FLAG...]
  local library=$1 source=$2
  shift 2
  # shellcheck disable=SC2046
  $triple-gcc-win32 $(flags) -D_WIN32_WINNT=0x0603 "$@" -c "$source" -o "$library.o"
  rm -f "$made/lib/lib$library.a"
  $triple-ar rcsD "$made/lib/lib$library.a" "$library.o"
}

build_libinih() {
  one_file inih src/libinih/ini.c -DINI_ALLOW_MULTILINE=1 -DINI_ALLOW_BOM=1
  cp src/libinih/ini.h "$made/include/"
}

build_sqlite3() {
  mkdir -p build/sqlite3 && cd build/sqlite3
  ../../src/sqlite3/configure --disable-tcl --disable-readline --disable-load-extension
  make sqlite3.c
  cp sqlite3.h "$made/include/"
  cd ../..
  one_file sqlite3 build/sqlite3/sqlite3.c -DSQLITE_OMIT_LOAD_EXTENSION
}

# What a static link takes, for pkg-config: the projects' own files leave half of it out.
write_pc() { # NAME VERSION LIBS [CFLAGS]
  printf '%s\n' 'prefix=${pcfiledir}/../..' "Name: $1" "Description: $1 for Windows" "Version: $2" \
    "Libs: -L\${prefix}/lib $3" "Cflags: -I\${prefix}/include ${4:-}" >"$made/lib/pkgconfig/$1.pc"
}

version_of() { sed -n "s/^Version: *\([0-9]*:\)\{0,1\}\([0-9.]*\).*/\2/p" fetched/"$1"_*.dsc | head -n 1; }

write_all_pc() {
  rm -rf "$made/lib/pkgconfig" "$made/lib/cmake" && mkdir -p "$made/lib/pkgconfig"
  write_pc libzmq "$(version_of zeromq3)" "-lzmq -lsodium -lws2_32 -liphlpapi -lrpcrt4 -ladvapi32 -lstdc++" -DZMQ_STATIC
  write_pc libsodium "$(version_of libsodium)" "-lsodium -ladvapi32" -DSODIUM_STATIC=1
  write_pc msgpack "$(version_of msgpack-c)" "-lmsgpackc"
  write_pc sqlite3 "$(version_of sqlite3)" "-lsqlite3"
  write_pc expat "$(version_of expat)" "-lexpat" -DXML_STATIC
  write_pc inih "$(version_of libinih)" "-linih"
  write_pc cmocka "$(version_of cmocka)" "-lcmocka"
  write_pc jansson "$(version_of jansson)" "-ljansson -ladvapi32"
}

# Debian's record of who wrote what under which terms; also of what the compiler adds.
keep_licenses() {
  local name
  for name in $packages; do
    mkdir -p "$made/share/licenses/$name"
    cp "licenses/$name" "$made/share/licenses/$name/copyright"
  done
  for name in gcc-mingw-w64-x86-64-win32-runtime mingw-w64-x86-64-dev; do
    [ -f "/usr/share/doc/$name/copyright" ] || continue
    mkdir -p "$made/share/licenses/$name"
    cp "/usr/share/doc/$name/copyright" "$made/share/licenses/$name/"
  done
}

# A library without it falls back to one that nobody looks after, and says so nowhere else.
check_curve() {
  grep -q 'Using libsodium for CURVE security' build.zeromq3.log ||
    die "libzmq was not built with libsodium for CURVE; see $work/build.zeromq3.log"
  cat >has_curve.c <<'END'
#include <stdio.h>
#include <zmq.h>
int main(void)
{
    printf("curve=%d\n", zmq_has("curve"));
    return 0;
}
END
  # shellcheck disable=SC2046
  $triple-gcc-win32 $(flags) -static has_curve.c $(PKG_CONFIG_LIBDIR="$made/lib/pkgconfig" pkg-config --cflags --libs libzmq) \
    -o has_curve.exe
  command -v wine >/dev/null || { say "no wine here: that libzmq has CURVE is known from its build only"; return 0; }
  export WINEPREFIX=$work/wine WINEARCH=win64 WINEDEBUG=-all WINEDLLOVERRIDES='winedbg.exe=d;mscoree,mshtml=d'
  local said
  said=$(env -u DISPLAY timeout 180 wine ./has_curve.exe 2>wine.log | tr -d '\r') || true
  wineserver -k 2>/dev/null || true
  [ "$said" = curve=1 ] || die "under wine, libzmq says \"$said\" of CURVE, not curve=1"
}

# One after the other, each in a shell of its own with a log of its own. Only ever started in the background: where a
# caller tests the result with || or if, bash would not end at the first error.
lane() { # FUNCTION...
  local step
  for step in "$@"; do
    (build_"$step") >"build.$step.log" 2>&1
  done
}

unpack() {
  local name
  mkdir -p src licenses
  for name in $packages; do
    # No check of the maintainer's signature: apt has checked the archive's over the same bytes.
    dpkg-source -q --no-check -x fetched/"$name"_*.dsc "src/$name" >>fetch.log 2>&1 ||
      { tail -n 20 fetch.log >&2; die "$name: cannot be unpacked"; }
    cp "src/$name/debian/copyright" "licenses/$name"
  done
}

build_all() {
  made=$work/made
  mkdir -p "$made/lib" "$made/include"
  local first second is_built=yes
  lane libsodium zeromq3 &
  first=$!
  lane libinih msgpack_c expat jansson cmocka sqlite3 &
  second=$!
  wait $first || is_built=no
  wait $second || is_built=no
  if [ $is_built = no ]; then
    tail -n 8 build.*.log >&2
    die "building failed; all of it: $work"
  fi
  write_all_pc
  check_curve
  keep_licenses
  rm -rf "$made/bin" "$made/share/man" "$made/share/doc" "$made/share/zmq" "$made/share/expat"* "$made/cmake" "$made/CMake" "$made"/lib/*.la
  $triple-strip --strip-debug --enable-deterministic-archives "$made"/lib/*.a
}

main() {
  local is_fresh=${1:-}
  case "$is_fresh" in "" | --fresh) ;; *) die "usage: third_party.sh [--fresh]" ;; esac
  local absent
  absent=$(missing_tools)
  [ -z "$absent" ] || die "missing:$absent - apt-get install --no-install-recommends $needed"
  mkdir -p "$cache"
  exec 9>"$cache/windows.lock"
  flock 9
  local recipe stamp prefix resolved
  recipe=$({ cat "$0" "$here/toolchain.cmake"; $triple-gcc-win32 --version; $triple-ld --version; } | sha256sum)
  stamp=$cache/windows-${recipe:0:16}.stamp
  prefix=$(cat "$stamp" 2>/dev/null) || prefix=""
  if [ -z "$is_fresh" ] && [ -n "$prefix" ] && [ -d "$prefix" ] && [ -n "$(find "$stamp" -mtime -$stamp_days)" ]; then
    echo "$prefix"
    return
  fi
  work=$(mktemp -d "${TMPDIR:-/tmp}/casfleet-windows.XXXXXX") # not in the cache: root's apt fetches as a user without rights
  cd "$work"
  chmod 755 "$work"
  if ! apt_set_up "$work/apt" bookworm || ! fetch_sources; then
    tail -qn 20 apt*/update.log fetch.log >&2 2>/dev/null || true
    [ -n "$prefix" ] && [ -d "$prefix" ] || die "the sources cannot be fetched; all of it: $work"
    say "the sources cannot be fetched; what was built from them before is taken"
    rm -rf "$work"
    echo "$prefix"
    return
  fi
  resolved=$(cd fetched && sha256sum -- *.dsc)
  local hash
  hash=$(printf '%s\n' "$recipe" "$resolved" | sha256sum)
  prefix=$cache/windows-${hash:0:16}
  if [ ! -d "$prefix" ]; then
    say "building $(cd fetched && echo *.dsc | sed 's/\.dsc//g')"
    unpack
    build_all
    printf '%s\n' "$resolved" >"$made/share/sources.txt"
    rm -rf "$prefix.new"
    cp -R "$made" "$prefix.new"
    mv "$prefix.new" "$prefix"
  fi
  cd /
  rm -rf "$work"
  echo "$prefix" >"$stamp.new"
  mv "$stamp.new" "$stamp"
  echo "$prefix"
}
main "$@"

#!/usr/bin/env bash
# package.sh [BUILD [VERSION]]: MSI and zip of the Windows programs, in BUILD/package; BUILD is build/windows.
#
# Whoever builds the same sources twice gets the same bytes twice: wixl writes the time, random ids and tables in the
# order of a hash into its database, so its tables are taken out, settled, and put together again in one fixed order. The
# package's id is a hash of what is in it, the product's of the version. The time is SOURCE_DATE_EPOCH, or the last
# commit's.
set -euo pipefail
export LC_ALL=C TZ=UTC
here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
build=$(realpath "${1:-$top/build/windows}")
version=${2:-$(sed -nE 's/^project\(casfleet VERSION ([0-9.]+).*/\1/p' "$top/CMakeLists.txt")}
epoch=${SOURCE_DATE_EPOCH:-$(git -C "$top" log -1 --format=%ct 2>/dev/null || echo 1704067200)}
package=$build/package

die() { echo "package: $*" >&2; exit 1; }

# The id that belongs to a text: the same text, the same id.
id_of() { python3 -c 'import sys, uuid; print(str(uuid.uuid5(uuid.NAMESPACE_URL, sys.argv[1])).upper())' "urn:casfleet:$1"; }

third_party() {
  local prefix name
  prefix=$(sed -n 's/^CASFLEET_WINDOWS_PREFIX:[A-Z]*=//p' "$build/CMakeCache.txt")
  [ -d "$prefix/share/licenses" ] || die "no licenses in $prefix/share/licenses"
  echo "The programs contain, in binary form, what these terms are for; the sources are Debian's:"
  sed -nE '/ cmocka_/d; s/.* ([^ ]+)\.dsc$/  \1/p' "$prefix/share/sources.txt"
  for name in "$prefix"/share/licenses/*; do
    [ "${name##*/}" != cmocka ] || continue # for tests, in no program
    printf '\n\n======== %s ========\n\n' "$(basename "$name")"
    cat "$name/copyright"
  done
}

stage() {
  rm -rf "$work"
  mkdir -p "$work/files"
  cp "$build/agent/casfleet-agent.exe" "$build/controller/casfleet.exe" "$work/files/"
  sed 's/\r*$/\r/' "$top/LICENSE" >"$work/files/LICENSE.txt"
  sed 's/\r*$/\r/' "$here/agent.sample.ini" >"$work/files/agent.sample.ini"
  third_party | sed 's/\r*$/\r/' >"$work/files/THIRD-PARTY.txt"
  chmod 644 "$work"/files/*
  touch -d "@$epoch" "$work"/files/*
}

# What wixl leaves to chance or cannot say, in the tables as text.
settle() { # IDT PACKAGE-ID
  local when action at
  when=$(date -d "@$epoch" '+%Y\/%m\/%d %H:%M:%S')
  sed -i -E "s/^9\t.*/9\t{$2}/; s/^(12|13)\t.*/\1\t$when/" "$1/_SummaryInformation.idt"
  # The old version goes before the new one comes. The service is stopped, or goes, by its own word before StopServices
  # and DeleteServices look whether one is left; it is made when the files are there. What is done when rolling back is
  # done in the opposite order: first install, then start.
  while read -r action at; do
    sed -i -E "s/^($action\t.*\t)[0-9]+(\r?)$/\1$at\2/" "$1/InstallExecuteSequence.idt"
    grep -qP "^$action\t.*\t$at" "$1/InstallExecuteSequence.idt" || die "casfleet.wxs: no $action in the sequence"
  done <<END
SayController 1410
SayKeys 1411
SayPools 1412
SayRemove 1413
RemoveExistingProducts 1510
ServiceAgain 1849
ServiceBack 1850
ServiceStop 1851
ServiceRemove 1852
ServiceUndo 4009
ServiceHalt 4010
ServiceMake 4011
ServiceStart 5910
END
  sed -i -E "s/^(DeleteServices\tVersionNT)\t/\1 AND NOT UPGRADINGPRODUCTCODE\t/" "$1/InstallExecuteSequence.idt"
  grep -q "^DeleteServices.*NOT UPGRADINGPRODUCTCODE" "$1/InstallExecuteSequence.idt" ||
    die "casfleet.wxs: no DeleteServices in the sequence"
  # 3410: a file of ours (18), deferred (1024), as the system (2048), when rolling back (256), whatever its exit code
  # (64). 51: sets a property.
  sed -i -E 's/^(Service(Undo|Halt|Back|Again)\t)[0-9]+/\13410/; s/^(Say[A-Za-z]+\t)[0-9]+/\151/' "$1/CustomAction.idt"
  sed -i -E 's/^(SecureCustomProperties\t)(.*)$/\1CONTROLLER;CONTROLLERKEYS;POOLS;REMOVESTATE;\2/' "$1/Property.idt"
}

build_msi() { # OUT
  local table idt=$work/idt id
  id=$(cd "$work/files" && sha256sum ./* "$here/casfleet.wxs" "$here/package.sh" | sed 's: .*/: :' | sha256sum)
  (cd "$work/files" &&
    wixl -a x64 -D "Version=$version" -D "ProductCode=$(id_of "product:$version")" \
      -o "$work/first.msi" "$here/casfleet.wxs") 2>"$work/wixl.log" ||
    { cat "$work/wixl.log" >&2; die "wixl failed"; }
  mkdir -p "$idt"
  for table in $(msiinfo tables "$work/first.msi" | sort); do
    msiinfo export "$work/first.msi" "$table" >"$idt/$table.idt"
  done
  settle "$idt" "$(id_of "package:$version:$epoch:$id")"
  for table in "$idt"/*.idt; do
    case $table in
    */_SummaryInformation.idt | */_ForceCodepage.idt) ;;
    *) { head -n 3 "$table" && tail -n +4 "$table" | sort; } >"$table.new" && mv "$table.new" "$table" ;;
    esac
    msibuild "$1" -i "$table"
  done
  msiinfo extract "$work/first.msi" casfleet.cab >"$work/casfleet.cab"
  msibuild "$1" -a casfleet.cab "$work/casfleet.cab"
}

build_zip() { # OUT
  local folder=casfleet-$version
  mkdir "$work/$folder"
  cp -p "$work"/files/* "$work/$folder/"
  touch -d "@$epoch" "$work/$folder"
  (cd "$work" && zip -X -q -9 "$1" "$folder"/*)
}

main() {
  local msi=$package/casfleet-agent-$version-x64.msi zip=$package/casfleet-$version-windows-x64.zip
  [ -f "$build/agent/casfleet-agent.exe" ] && [ -f "$build/controller/casfleet.exe" ] ||
    die "no programs in $build; cmake --preset windows && cmake --build --preset windows"
  mkdir -p "$package"
  work=$package/work-$version
  stage
  rm -f "$msi" "$zip"
  build_msi "$msi"
  build_zip "$zip"
  rm -rf "$work"
  (cd "$package" && sha256sum "$(basename "$msi")" "$(basename "$zip")")
}
main

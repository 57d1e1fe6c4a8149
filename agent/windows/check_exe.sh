#!/usr/bin/env bash
# check_exe.sh EXE...: may these programs be handed to a Windows server? Only Windows' own DLLs, at most 4 MB, no time in
# them, nothing left to debug, and the guards of the loader on. Prints a line for each; exit 1 when one may not.
set -euo pipefail
limit=$((4 * 1024 * 1024))
# Everything Windows Server 2012 R2 has in System32 and a program of ours has reason to use.
own='advapi32|bcrypt|crypt32|iphlpapi|kernel32|msvcrt|ntdll|ole32|oleaut32|pdh|psapi|rpcrt4|shell32|user32|version|wevtapi|winhttp|ws2_32'
status=0

complain() { echo "$1: $2" >&2; status=1; }

check() {
  local exe=$1 head size dlls dll flag
  [ -f "$exe" ] || { complain "$exe" "is not there"; return; }
  head=$(x86_64-w64-mingw32-objdump -p "$exe")
  size=$(stat -c %s "$exe")
  dlls=$(sed -n 's/^[[:space:]]*DLL Name: *//p' <<<"$head" | tr 'A-Z' 'a-z' | sort)
  [ "$size" -le $limit ] || complain "$exe" "has $size bytes, at most $limit are wanted"
  [ -n "$dlls" ] || complain "$exe" "imports nothing: is it a program?"
  for dll in $dlls; do
    grep -qxE "($own)\.dll" <<<"$dll" || complain "$exe" "needs $dll, which is not one of Windows' own that we use"
  done
  for flag in HIGH_ENTROPY_VA DYNAMIC_BASE NX_COMPAT; do
    grep -qw "$flag" <<<"$head" || complain "$exe" "is linked without $flag"
  done
  grep -q '^Time/Date.*Thu Jan *1 00:00:00 1970' <<<"$head" ||
    complain "$exe" "says when it was linked, so no two builds are the same"
  [ "$(x86_64-w64-mingw32-objdump -h "$exe" | grep -c ' \.debug')" = 0 ] || complain "$exe" "has debug sections"
  echo "$exe: $size bytes, $(wc -w <<<"$dlls") DLLs: $(tr '\n' ' ' <<<"$dlls")sha256 $(sha256sum "$exe" | cut -c1-64)"
}

[ $# -gt 0 ] || { echo "use: check_exe.sh EXE..." >&2; exit 2; }
for exe in "$@"; do check "$exe"; done
exit $status

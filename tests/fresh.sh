#!/usr/bin/env bash
# Both commands of the README in a bare Debian 12 made by debootstrap, from a fresh clone. Run by hand, as root.
#
#   tests/fresh.sh [FOLDER]      FOLDER is made, needs about 4 GB, and is removed at the end when all went well
set -euo pipefail
top=$(cd "$(dirname "$0")/.." && pwd)
root=${1:-$(mktemp -d /tmp/casfleet-fresh.XXXXXX)}
[ "$(id -u)" = 0 ] || { echo "fresh.sh: needs root (debootstrap, chroot)" >&2; exit 2; }
command -v debootstrap >/dev/null || apt-get install -y -q --no-install-recommends debootstrap

# The same archive this machine installs from.
mirror=$(find /etc/apt -name '*.list' -o -name '*.sources' | xargs sed -nE 's/^(deb |URIs: )(\[[^]]*\] )?([^ ]+).*/\3/p' |
  grep -E '/debian/?$' | head -n 1) || true
[ -n "$mirror" ] || { echo "fresh.sh: no archive found in /etc/apt" >&2; exit 1; }

unmount() { umount "$root/proc" "$root/dev/shm" "$root/dev/pts" "$root/dev" 2>/dev/null || true; }
trap unmount EXIT
debootstrap --variant=minbase bookworm "$root" "$mirror" >"$root.log" 2>&1 || { tail "$root.log"; exit 1; }
mount --bind /dev "$root/dev"
mount --bind /dev/pts "$root/dev/pts"
mount -t proc proc "$root/proc"
mkdir -p "$root/dev/shm"
cp -f /etc/resolv.conf /etc/hosts "$root/etc/" 2>/dev/null || true
cp -rf /etc/apt/apt.conf.d "$root/etc/apt/" 2>/dev/null || true
git clone -q "$top" "$root/root/casfleet"

inside() { chroot "$root" env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin TERM=dumb LC_ALL=C.UTF-8 "$@"; }
for command in "./quickstart.sh" "./quickstart.sh test"; do
  echo "== $command in a bare Debian 12"
  began=$SECONDS
  inside bash -c "cd /root/casfleet && $command"
  echo "== $command: exit 0 after $((SECONDS - began)) s"
done
unmount
trap - EXIT
rm -rf "$root" "$root.log"

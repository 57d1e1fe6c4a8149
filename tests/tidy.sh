#!/bin/sh
# Does the tree keep its own rules? Prints "path:line: rule: what" for each breach; exit 1 when there is one.
# use: tests/tidy.sh [TREE]
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tree=$(cd "${1:-$here/..}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

for tool in python3 clang-format; do
    command -v "$tool" >/dev/null || { echo "tidy: $tool is not installed" >&2; exit 2; }
done

python3 "$here/tidy.py" "$tree" >"$work/all"
sed -n 's/^FORMAT //p' "$work/all" >"$work/sources"
grep -v '^FORMAT ' "$work/all" >"$work/found" || true

# Lines of clang-format read "file:line:column: error: code should be clang-formatted"; one a file is enough.
cd "$tree"
xargs -r -P 2 -n 20 clang-format --style=file --dry-run -Werror <"$work/sources" 2>&1 |
    sed -n 's/^\([^: ]*\):\([0-9]*\):[0-9]*: error:.*/\1:\2: format: clang-format -i it/p' |
    sort -t: -k1,1 -u >>"$work/found" || true

if [ -s "$work/found" ]; then
    cat "$work/found"
    echo "tidy: $(wc -l <"$work/found") breaches" >&2
    exit 1
fi
echo "tidy: $(wc -l <"$work/sources") sources, clean"

#!/bin/sh
# Why: a check that never fails is no check. How: in a copy of the sources, one breach of each rule is planted; tidy.sh
# must name every one of them by path, line and rule, and must not have named them before.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/tree
mkdir -p "$tree"
(cd "$here/.." && tar -c --exclude=corpora --exclude=golden --exclude=data .clang-format proto agent controller tests) |
    tar -x -C "$tree"
"$here/tidy.sh" "$tree" >"$work/before" || true

# plant PATH LINE RULE: standard input becomes PATH; LINE is where RULE is broken.
plant() {
    mkdir -p "$tree/$(dirname "$1")"
    cat >"$tree/$1"
    echo "$1:$2: $3: " >>"$work/expected"
}

# code PATH RULE TEXT: a source whose third line is TEXT.
code() {
    printf '#include <stddef.h>\n\n%s\n' "$3" | plant "$1" 3 "$2"
}

# door PATH RULE TEXT: a header whose third line is TEXT.
door() {
    printf '/* %s - what is wrong here?\n */\n%s\n' "$(basename "$1")" "$3" | plant "$1" 3 "$2"
}

code proto/base/planted_up.c include '#include "proto/wire/message.h"'
code proto/wire/planted_trust.c include '#include "proto/trust/keys.h"'
code proto/trust/planted_right.c include '#include "proto/channel/channel.h"'
code proto/wire/planted_out.c include '#include "agent/host/host.h"'
code proto/wire/planted_test.c include '#include "tests/unit/test.h"'
code agent/planted_controller.c include '#include "controller/store/store.h"'
code controller/planted_agent.c include '#include "agent/host/host.h"'
code controller/core/rollout_planted_log.c include '#include "proto/base/log.h"'
code controller/core/rollout_planted_keys.c include '#include "proto/trust/keys.h"'
code controller/core/inventory_planted.c include '#include "controller/core/rollout.h"'
code controller/core/planted_room.c include '#include "controller/core/rollout.h"'
code controller/core/compliance_planted.c include '#include "controller/store/store.h"'
code controller/store/planted_view.c include '#include "controller/view/view.h"'
code controller/cli/planted_core.c include '#include "controller/core/rollout.h"'
code controller/view/planted_hub.c include '#include "controller/hub/hub.h"'
code agent/planted_short.c include '#include "host.h"'

code agent/planted_msgpack.c library '#include <msgpack.h>'
code proto/wire/planted_sodium.c library '#include <sodium.h>'
code controller/hub/planted_zmq.c library '#include <zmq.h>'
code proto/base/planted_ini.c library '#include <ini.h>'
code agent/host/planted_sqlite.c library '#include <sqlite3.h>'
code controller/store/planted_jansson.c library '#include <jansson.h>'
code controller/planted_http.c library '#include <microhttpd.h>'
door agent/journal/planted_door.h library '#include <sqlite3.h>'
printf '#include "agent/journal/planted_door.h"\n' >"$tree/agent/planted_user.c"

code agent/planted_unistd.c posix '#include <unistd.h>'
code agent/planted_threads.c posix '#include <threads.h>'
code agent/planted_strdup.c posix 'char *x(void) { return strdup("a"); }'
code agent/planted_ssize.c posix 'static ssize_t x;'
code agent/planted_if.c platform '#ifdef _WIN32'
code proto/base/planted_winapi.c posix '#include <windows.h>'
code proto/base/planted_a_posix.c platform '#include <windows.h>'
code agent/planted_b_windows.c platform '#include <unistd.h>'
code agent/planted_c_windows_net.c platform '#include <sys/socket.h>'
code agent/planted_wide.c platform '#include "proto/base/wide_windows.h"'
code agent/planted_d_posix.c platform '#include "proto/base/file_guard_windows.h"'
printf '#include <windows.h>\n\n#include "proto/base/wide_windows.h"\n' >"$tree/agent/planted_fine_windows.c"

awk 'BEGIN { for (i = 0; i <= 800; i++) print "/* line */" }' | plant agent/planted_long.c 801 size
awk 'BEGIN { print "int x(void)\n{"; for (i = 0; i < 59; i++) print "    x();"; print "}" }' |
    plant agent/planted_function.c 2 size

for call in strcpy strcat sprintf vsprintf strtok atoi gets alloca rand; do
    code "agent/planted_$call.c" forbidden "static int x = $call(y);"
done
code agent/planted_goto.c forbidden '    goto done;'
code agent/planted_typedef.c forbidden 'typedef struct x x_t;'
code agent/planted_isnan.c forbidden 'static int x = isnan(y);'
code agent/planted_pthread.c forbidden 'static pthread_t x;'

code proto/wire/planted_log.c log '    log_event(EVENT_START, "x");'
code controller/core/rollout_planted_event.c log '    log_event(EVENT_START, "x");'
code controller/core/rollout_planted_clock.c pure 'static int x = clock_now();'
code controller/core/rollout_planted_file.c pure 'static int x = fopen("a", "r");'
code proto/trust/planted_clock.c pure 'static int x = clock_now();'
code controller/hub/planted_sql.c sql 'static const char x[] = "SELECT name FROM server";'
code agent/host/planted_pragma.c sql 'static const char x[] = "PRAGMA journal_mode";'

printf '/* x */\n' | plant agent/sub/planted_twice.c 1 name
printf '/* x */\n' >"$tree/agent/planted_twice.c"
printf 'int x;\n' | plant agent/planted_plain.h 1 door
door agent/planted_check.h door 'enum cas_err planted_open(void);'
printf 'int x;\n\tint y;\n' | plant agent/planted_tab.c 2 blank
printf 'int x;\nint y;\r\n' | plant agent/planted_return.c 2 blank
printf 'int x; \n' | plant agent/planted_blank.c 1 blank
printf 'int x;' | plant agent/planted_end.c 1 blank
code agent/planted_todo.c unfinished '/* TO''DO */'
code agent/planted_fornow.md unfinished 'good enough for'' now'
code agent/planted_issue.c foreign '/* see iss''ue 2 */'
code agent/planted_folder.md foreign 'in /wo''rk/shared'
printf 'int  x;\n' | plant agent/planted_format.c 1 format

if "$here/tidy.sh" "$tree" >"$work/after" 2>/dev/null; then
    echo "tidy_test: tidy.sh found nothing to say about the planted tree" >&2
    exit 1
fi
missed=0
while IFS= read -r line; do
    if ! grep -qF "$line" "$work/after"; then
        echo "tidy_test: planted and not found: $line" >&2
        missed=1
    fi
    if grep -qF "$line" "$work/before"; then
        echo "tidy_test: found before it was planted: $line" >&2
        missed=1
    fi
done <"$work/expected"
if grep -F planted_fine "$work/after" >&2; then
    echo "tidy_test: nothing is wrong with this one" >&2
    missed=1
fi
[ "$missed" = 0 ] || exit 1
echo "tidy_test: $(wc -l <"$work/expected") planted breaches found"

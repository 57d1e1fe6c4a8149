/* log.h - how does a loop tell people what it decided?
 *
 *     log_event(EVENT_ROLLOUT_HALTED, "id=%s failed=%u limit=%u", id, failed, limit);
 *     2026-10-14T00:00:05.250Z error rollout_halted id=r-0412 failed=1 limit=1
 *
 * Called by loops and programs only: proto/ and core return facts instead. One thread. Lines go to
 * stderr until log_open. An event that comes more than LOG_BURST times at once and then more than
 * once a second is counted, and told as "and 4120 more in 10 s". No key, no message body, no mail
 * user's name belongs into a line. */
#ifndef PROTO_BASE_LOG_H
#define PROTO_BASE_LOG_H

#include "proto/base/cas.h"
#include "proto/base/clock.h"

enum log_level {
    LOG_ERROR,
    LOG_WARN,
    LOG_INFO,
    LOG_DEBUG
};

enum event {
    EVENT_NONE = 0,
#define EVENT(name, number, level, meaning, remedy) EVENT_##name = (number),
#include "proto/base/events.def"
#undef EVENT
};

struct log_event_row {
    enum event event; /* also the id in the Windows Event Log */
    const char *name; /* lower case, as in the line */
    enum log_level level;
    const char *meaning;
    const char *remedy; /* what to do */
};
const struct log_event_row *log_event_rows(size_t *ret_row_n);
const char *log_level_name(enum log_level level);
/* "error" "warn" "info" "debug"; CAS_ERR_FORMAT otherwise */
CAS_CHECK enum cas_err log_level_from(struct cas_slice name, enum log_level *ret_level);

void log_event(enum event event, const char *fmt, ...) CAS_PRINTF(2, 3);
/* Tells the counts that are due; called once a tick, so that a flood that ends is told too. */
void log_tick(void);

/* Lines above this level are not written. LOG_INFO at start. */
void log_set_level(enum log_level most);
/* Appends to this file; NULL or "" is stderr. Called again after the file was moved away. On an
 * error the log stays where it was. */
CAS_CHECK enum cas_err log_open(const char *path, struct cas_why *why);
/* A file of the log has at most so many bytes: before a line that would be too much it becomes
 * PATH.1, what was that PATH.2, up to PATH.file_n; the oldest goes. When that fails the file grows
 * on, a line says so, and it is tried again a sixteenth later: no line is lost by it. bytes 0:
 * never. */
void log_set_limits(int64_t bytes, unsigned file_n);
/* Tells outstanding counts, closes the file and the system's log, back to stderr, LOG_INFO and no
 * limits. */
void log_close(void);

/* For tests and stories: other time, other place. NULL puts the real ones back; both forget all
 * counts. */
struct log_stage {
    struct cas_now (*now)(void *arg);
    void (*line)(void *arg, enum event event, const char *text); /* without line feed */
    void *arg;
};
void log_set_stage(const struct log_stage *stage);

#endif

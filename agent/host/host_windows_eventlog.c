/* The System log through the Evt API. Wine's EvtQuery gives none, without an error number, and its
 * EvtRender and EvtCreateRenderContext end the process: they are called for a handle only that
 * EvtNext gave. */
#include "agent/host/host_windows.h"

#include <stdlib.h>
#include <string.h>
#include <windows.h>
#include <winevt.h>

#include "agent/host/event_mark.h"
#include "proto/base/clock.h"
#include "proto/base/wide_windows.h"

enum {
    NEXT_MS = 1000,    /* one EvtNext; the service looks through the log until something fits */
    READING_MS = 1000, /* then the rest comes in the next reading */
    BATCH = 64,        /* handles of one EvtNext */
    VALUES = 512,      /* EVT_VARIANTs: those of the system and room for their texts */
    COUNT_MOST = 100000,
    COUNT_KEEP_MS = 60000, /* a count looks through the whole log */
    COUNTS = 4,
};

struct eventlog {
    EVT_HANDLE query;
    EVT_HANDLE context; /* for the system's values; made with the first event */
    EVT_HANDLE event[BATCH];
    DWORD event_n, event_at;
    EVT_VARIANT value[VALUES];
    wchar_t wide[CAPTURE_EVENT_BYTES];
    char xml[CAPTURE_EVENT_BYTES];
    char problem[REASON_BYTES];
};

static void eventlog_close(struct eventlog *log)
{
    for (; log->event_at < log->event_n; log->event_at++)
        (void)EvtClose(log->event[log->event_at]);
    log->event_at = log->event_n = 0;
    if (log->query != NULL)
        (void)EvtClose(log->query);
    log->query = NULL;
}

static void eventlog_free(struct eventlog *log)
{
    if (log == NULL)
        return;
    eventlog_close(log);
    if (log->context != NULL)
        (void)EvtClose(log->context);
    free(log);
}
CAS_AUTO_DEFINE(eventlog);

static enum cas_err eventlog_open(struct eventlog **ret_log, struct cas_why *why)
{
    *ret_log = calloc(1, sizeof **ret_log);
    if (*ret_log == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory to read the event log");
    return CAS_OK;
}

static enum cas_err
eventlog_ask(struct eventlog *log, const char *query, DWORD direction, struct cas_why *why)
{
    wchar_t wide[EVENT_MARK_QUERY_BYTES];
    enum cas_err err = wide_from_utf8(query, wide, CAS_COUNT(wide));
    if (err != CAS_OK)
        return cas_fail(why, err, "no event log: the query cannot be asked");
    eventlog_close(log);
    SetLastError(0);
    log->query = EvtQuery(NULL, L"System", wide, EvtQueryChannelPath | direction);
    if (log->query != NULL)
        return CAS_OK;
    DWORD code = GetLastError();
    if (code == 0) /* its words would say that all is well */
        return cas_fail(why, CAS_ERR_UNSUPPORTED, "no event log: EvtQuery(System): error 0");
    return windows_fail(why, wide_err_of(code), code, "no event log: EvtQuery(System)");
}

enum next {
    NEXT_EVENT,
    NEXT_END,  /* no further event fits */
    NEXT_LATER /* the log changed under the query, or the time is over */
};
/* *ret_event is borrowed until the next call. */
static enum cas_err eventlog_next(struct eventlog *log,
                                  DWORD batch,
                                  enum next *ret_next,
                                  EVT_HANDLE *ret_event,
                                  struct cas_why *why)
{
    if (log->event_n > 0)
        (void)EvtClose(log->event[log->event_at++]);
    if (log->event_at == log->event_n) {
        log->event_at = log->event_n = 0;
        DWORD n = 0;
        if (!EvtNext(log->query, batch, log->event, NEXT_MS, 0, &n)) {
            DWORD code = GetLastError();
            *ret_next = code == ERROR_NO_MORE_ITEMS ? NEXT_END : NEXT_LATER;
            if (code == ERROR_NO_MORE_ITEMS || code == ERROR_TIMEOUT ||
                code == ERROR_EVT_QUERY_RESULT_STALE ||
                code == ERROR_EVT_QUERY_RESULT_INVALID_POSITION)
                return CAS_OK;
            return windows_fail(why, wide_err_of(code), code, "event log System: EvtNext");
        }
        if (n == 0) {
            *ret_next = NEXT_END;
            return CAS_OK;
        }
        log->event_n = n;
    }
    *ret_next = NEXT_EVENT;
    *ret_event = log->event[log->event_at];
    return CAS_OK;
}

/* Number and time of an event. They come as values, so that an event whose XML cannot be read has
 * its place too. */
static enum cas_err eventlog_place(struct eventlog *log,
                                   EVT_HANDLE event,
                                   struct event_mark *ret_place,
                                   struct cas_why *why)
{
    DWORD used = 0;
    DWORD n = 0;
    if (log->context == NULL)
        log->context = EvtCreateRenderContext(0, NULL, EvtRenderContextSystem);
    if (log->context == NULL || !EvtRender(log->context,
                                           event,
                                           EvtRenderEventValues,
                                           sizeof log->value,
                                           log->value,
                                           &used,
                                           &n)) {
        DWORD code = GetLastError();
        return windows_fail(why, wide_err_of(code), code, "event log System: EvtRender(values)");
    }
    const EVT_VARIANT *record = &log->value[EvtSystemEventRecordId];
    const EVT_VARIANT *time = &log->value[EvtSystemTimeCreated];
    if (n <= EvtSystemEventRecordId || n <= EvtSystemTimeCreated ||
        record->Type != EvtVarTypeUInt64 || time->Type != EvtVarTypeFileTime)
        return cas_fail(why, CAS_ERR_FORMAT, "event log System: an event without number or time");
    ret_place->record = record->UInt64Val;
    /* Of 100 ns since 1601; the years between are 11644473600 s. */
    ret_place->time_ms = (int64_t)(time->FileTimeVal / 10000) - 11644473600000;
    return CAS_OK;
}

static void eventlog_xml(struct eventlog *log, EVT_HANDLE event, struct event_mark_row *row)
{
    DWORD used = 0;
    DWORD n = 0;
    struct cas_why why = {""};
    row->xml = (struct cas_slice){"", 0};
    row->problem = NULL;
    if (!EvtRender(NULL, event, EvtRenderEventXml, sizeof log->wide, log->wide, &used, &n)) {
        DWORD code = GetLastError();
        (void)windows_fail(&why, CAS_ERR_IO, code, "EvtRender(XML), %lu bytes", used);
    } else {
        log->wide[CAPTURE_EVENT_BYTES - 1] = L'\0';
        if (wide_to_utf8(log->wide, log->xml, sizeof log->xml) == CAS_OK)
            row->xml = cas_slice_of(log->xml);
        else
            (void)cas_fail(&why, CAS_ERR_TOO_LONG, "longer than %d bytes", CAPTURE_EVENT_BYTES - 1);
    }
    if (why.text[0] == '\0')
        return;
    struct cas_text text = CAS_TEXT(log->problem);
    cas_text_clear(&text);
    cas_text_add(&text, "%s", why.text);
    row->problem = log->problem;
}

/* The first event in that direction; record 0 when the log is empty. */
static enum cas_err eventlog_first(struct eventlog *log,
                                   DWORD direction,
                                   struct event_mark *ret_place,
                                   struct cas_why *why)
{
    enum next next = NEXT_END;
    EVT_HANDLE event = NULL;
    *ret_place = (struct event_mark){0};
    enum cas_err err = eventlog_ask(log, "*", direction, why);
    if (err == CAS_OK)
        err = eventlog_next(log, 1, &next, &event, why);
    if (err != CAS_OK || next == NEXT_END)
        return err;
    if (next == NEXT_LATER)
        return cas_fail(why,
                        CAS_ERR_AGAIN,
                        "event log System: no event within %d ms, or it changed",
                        NEXT_MS);
    return eventlog_place(log, event, ret_place, why);
}

static enum cas_err eventlog_look(struct eventlog *log,
                                  struct event_mark mark,
                                  struct event_mark_log *ret_log,
                                  struct cas_why *why)
{
    *ret_log = (struct event_mark_log){0};
    enum cas_err err = eventlog_first(log, EvtQueryReverseDirection, &ret_log->newest, why);
    if (err == CAS_OK && ret_log->newest.record > 0)
        err = eventlog_first(log, EvtQueryForwardDirection, &ret_log->oldest, why);
    if (err != CAS_OK || ret_log->oldest.record == 0 || mark.record < ret_log->oldest.record ||
        mark.record > ret_log->newest.record)
        return err;
    /* Still at the oldest: numbers follow one another, so the place is known without a search.
     * Where that does not hold, another number stands there, and the check is left out. */
    LONGLONG off = (LONGLONG)(mark.record - ret_log->oldest.record);
    enum next next = NEXT_END;
    EVT_HANDLE event = NULL;
    if (!EvtSeek(log->query, off, NULL, 0, EvtSeekRelativeToFirst))
        return CAS_OK;
    err = eventlog_next(log, 1, &next, &event, why);
    if (err != CAS_OK || next != NEXT_EVENT)
        return err;
    return eventlog_place(log, event, &ret_log->at, why);
}

static enum cas_err eventlog_read(struct eventlog *log,
                                  struct event_mark_reading *reading,
                                  bool *ret_is_all,
                                  struct cas_why *why)
{
    char query[EVENT_MARK_QUERY_BYTES];
    int64_t end_ms = clock_now().mono_ms + READING_MS;
    event_mark_query(reading, query);
    enum cas_err err = eventlog_ask(log, query, EvtQueryForwardDirection, why);
    enum next next = NEXT_LATER;
    bool is_wanted = true;
    while (err == CAS_OK && is_wanted) {
        EVT_HANDLE event = NULL;
        struct event_mark_row row = {.problem = NULL};
        err = eventlog_next(log, BATCH, &next, &event, why);
        if (err != CAS_OK || next != NEXT_EVENT)
            break;
        err = eventlog_place(log, event, &row.at, why);
        if (err != CAS_OK)
            break;
        eventlog_xml(log, event, &row);
        is_wanted = event_mark_take(reading, &row) && clock_now().mono_ms < end_ms;
    }
    if (err == CAS_OK)
        *ret_is_all = is_wanted && next == NEXT_END;
    return err;
}

enum cas_err windows_events(const char *pool,
                            const char *bookmark,
                            struct host_event *ret_event,
                            size_t cap,
                            size_t *ret_n,
                            char ret_bookmark[REASON_BYTES],
                            struct cas_why *why)
{
    CAS_AUTO(eventlog) log = NULL;
    struct event_mark mark = {0};
    struct event_mark_log found;
    struct event_mark_reading reading;
    bool is_all = true;
    if (event_mark_parse(bookmark, &mark, NULL) != CAS_OK)
        mark = (struct event_mark){0}; /* event_mark_begin tells it */
    enum cas_err err = eventlog_open(&log, why);
    if (err == CAS_OK)
        err = eventlog_look(log, mark, &found, why);
    if (err != CAS_OK)
        return err;
    event_mark_begin(&reading, bookmark, &found, clock_now().wall_ms, pool, ret_event, cap);
    if (!event_mark_is_idle(&reading))
        err = eventlog_read(log, &reading, &is_all, why);
    if (err != CAS_OK)
        return err;
    size_t n = 0;
    char next[REASON_BYTES];
    event_mark_end(&reading, is_all, &n, next);
    if (!is_all && n == 0 && strcmp(next, bookmark) == 0)
        return cas_fail(why,
                        CAS_ERR_AGAIN,
                        "event log System: no event found within %d ms, or it changed",
                        NEXT_MS);
    memcpy(ret_bookmark, next, sizeof next);
    *ret_n = n;
    return CAS_OK;
}

/* ---- counts ---- */

static struct {
    uint32_t id; /* 0: free */
    uint64_t count;
    int64_t made_ms; /* monotonic */
} counts[COUNTS];

static enum cas_err count_now(uint32_t id, uint64_t *ret_count, struct cas_why *why)
{
    CAS_AUTO(eventlog) log = NULL;
    char query[EVENT_MARK_QUERY_BYTES];
    enum cas_err err = event_mark_count_query(id, query, why);
    if (err == CAS_OK)
        err = eventlog_open(&log, why);
    if (err == CAS_OK)
        err = eventlog_ask(log, query, EvtQueryReverseDirection, why);
    int64_t end_ms = clock_now().mono_ms + READING_MS;
    uint64_t count = 0;
    enum next next = NEXT_EVENT;
    while (err == CAS_OK && count < COUNT_MOST && clock_now().mono_ms < end_ms) {
        EVT_HANDLE event = NULL;
        err = eventlog_next(log, BATCH, &next, &event, why);
        if (err != CAS_OK || next != NEXT_EVENT)
            break;
        count++;
    }
    if (err != CAS_OK)
        return err;
    if (next == NEXT_LATER && count == 0)
        return cas_fail(why,
                        CAS_ERR_AGAIN,
                        "event log System: events %u not counted within %d ms",
                        (unsigned)id,
                        NEXT_MS);
    *ret_count = count;
    return CAS_OK;
}

enum cas_err windows_events_count(uint32_t id, uint64_t *ret_count, struct cas_why *why)
{
    int64_t now_ms = clock_now().mono_ms;
    size_t slot = 0;
    while (slot < COUNTS && counts[slot].id != id)
        slot++;
    if (slot < COUNTS && now_ms - counts[slot].made_ms < COUNT_KEEP_MS) {
        *ret_count = counts[slot].count;
        return CAS_OK;
    }
    uint64_t count = 0;
    enum cas_err err = count_now(id, &count, why);
    if (err != CAS_OK)
        return err;
    for (slot = 0; slot < COUNTS && counts[slot].id != id && counts[slot].id != 0;)
        slot++;
    if (slot < COUNTS) {
        counts[slot].id = id;
        counts[slot].count = count;
        counts[slot].made_ms = now_ms;
    }
    *ret_count = count;
    return CAS_OK;
}

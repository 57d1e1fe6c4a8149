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
    NEXT_MS = 1000,    /* one EvtNext */
    READING_MS = 1000, /* then the rest comes in the next reading */
    BATCH = 64,        /* handles of one EvtNext */
    VALUES = 512,      /* EVT_VARIANTs: those of the system and room for their texts */
    PROVIDER_BYTES = 256,
    BOOKMARK_CHARS = 128,
    COUNT_KEEP_MS = 60000, /* a count looks at all events of a day */
    COUNTS = 4,
};

struct eventlog {
    EVT_HANDLE query;
    EVT_HANDLE context; /* for the system's values; made with the first event */
    EVT_HANDLE event[BATCH];
    DWORD event_n, event_at;
    DWORD batch; /* asked for at once */
    EVT_VARIANT value[VALUES];
    wchar_t wide[CAPTURE_EVENT_BYTES];
    char xml[CAPTURE_EVENT_BYTES];
    char problem[REASON_BYTES];
};

static void eventlog_drop(struct eventlog *log)
{
    for (; log->event_at < log->event_n; log->event_at++)
        (void)EvtClose(log->event[log->event_at]);
    log->event_at = log->event_n = 0;
}

static void eventlog_close(struct eventlog *log)
{
    eventlog_drop(log);
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
    (*ret_log)->batch = BATCH;
    return CAS_OK;
}

static enum cas_err eventlog_ask(struct eventlog *log, DWORD direction, struct cas_why *why)
{
    eventlog_close(log);
    SetLastError(0);
    log->query = EvtQuery(NULL, L"System", L"*", EvtQueryChannelPath | direction);
    if (log->query != NULL)
        return CAS_OK;
    DWORD code = GetLastError();
    if (code == 0) /* its words would say that all is well */
        return cas_fail(why, CAS_ERR_UNSUPPORTED, "no event log: EvtQuery(System): error 0");
    return windows_fail(why, wide_err_of(code), code, "no event log: EvtQuery(System)");
}

/* The next event is the one with this number; where it is gone, the one behind it; behind the end,
 * the last. A bookmark is a place, which a query by number is not: that is a filter, tried on every
 * record from the oldest on. Offset 0 and not 1 from the one before, since with that one gone 1 may
 * pass one over. */
static enum cas_err eventlog_seek(struct eventlog *log, uint64_t record, struct cas_why *why)
{
    wchar_t xml[BOOKMARK_CHARS];
    eventlog_drop(log);
    (void)_snwprintf(xml,
                     CAS_COUNT(xml),
                     L"<BookmarkList><Bookmark Channel='System' RecordId='%I64u' IsCurrent='true'/>"
                     L"</BookmarkList>",
                     record);
    xml[CAS_COUNT(xml) - 1] = L'\0';
    EVT_HANDLE bookmark = EvtCreateBookmark(xml);
    BOOL is_there =
        bookmark != NULL && EvtSeek(log->query, 0, bookmark, 0, EvtSeekRelativeToBookmark);
    DWORD code = GetLastError();
    if (bookmark != NULL)
        (void)EvtClose(bookmark);
    if (is_there)
        return CAS_OK;
    return windows_fail(why,
                        wide_err_of(code),
                        code,
                        "event log System: EvtSeek(record %llu)",
                        (unsigned long long)record);
}

enum next {
    NEXT_EVENT,
    NEXT_END,   /* no further event fits */
    NEXT_LATER, /* the log changed under the query, or the time is over */
    NEXT_AGAIN  /* too much at once: the query has to be asked again, for fewer */
};
/* *ret_event is borrowed until the next call. */
static enum cas_err
eventlog_next(struct eventlog *log, enum next *ret_next, EVT_HANDLE *ret_event, struct cas_why *why)
{
    if (log->event_n > 0)
        (void)EvtClose(log->event[log->event_at++]);
    if (log->event_at == log->event_n) {
        log->event_at = log->event_n = 0;
        DWORD n = 0;
        if (!EvtNext(log->query, log->batch, log->event, NEXT_MS, 0, &n)) {
            DWORD code = GetLastError();
            if (code == RPC_S_INVALID_BOUND && log->batch > 1) {
                /* The events together are more than the answer holds; the query has passed them. */
                log->batch /= 2;
                *ret_next = NEXT_AGAIN;
                return CAS_OK;
            }
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

struct place {
    struct event_mark at;
    char provider[PROVIDER_BYTES]; /* "" when it has none that can be read */
    uint32_t id;
};
/* They come as values, so that an event whose XML cannot be read has its place too. */
static enum cas_err
eventlog_place(struct eventlog *log, EVT_HANDLE event, struct place *ret_place, struct cas_why *why)
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
    const EVT_VARIANT *provider = &log->value[EvtSystemProviderName];
    const EVT_VARIANT *id = &log->value[EvtSystemEventID];
    if (n < EvtSystemPropertyIdEND || record->Type != EvtVarTypeUInt64 ||
        time->Type != EvtVarTypeFileTime)
        return cas_fail(why, CAS_ERR_FORMAT, "event log System: an event without number or time");
    ret_place->at.record = record->UInt64Val;
    /* Of 100 ns since 1601; the years between are 11644473600 s. */
    ret_place->at.time_ms = (int64_t)(time->FileTimeVal / 10000) - 11644473600000;
    ret_place->id = id->Type == EvtVarTypeUInt16 ? id->UInt16Val : 0;
    if (provider->Type != EvtVarTypeString ||
        wide_to_utf8(provider->StringVal, ret_place->provider, PROVIDER_BYTES) != CAS_OK)
        ret_place->provider[0] = '\0';
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

/* The event where the query stands; record 0 when the log is empty. */
static enum cas_err
eventlog_here(struct eventlog *log, struct event_mark *ret_at, struct cas_why *why)
{
    enum next next = NEXT_END;
    EVT_HANDLE event = NULL;
    struct place place = {.at = {0}};
    log->batch = 1;
    enum cas_err err = eventlog_next(log, &next, &event, why);
    log->batch = BATCH;
    if (err == CAS_OK && next == NEXT_EVENT)
        err = eventlog_place(log, event, &place, why);
    if (err == CAS_OK && next == NEXT_LATER)
        return cas_fail(why,
                        CAS_ERR_AGAIN,
                        "event log System: no event within %d ms, or it changed",
                        NEXT_MS);
    if (err == CAS_OK)
        *ret_at = place.at;
    return err;
}

static enum cas_err eventlog_look(struct eventlog *log,
                                  struct event_mark mark,
                                  struct event_mark_log *ret_log,
                                  struct cas_why *why)
{
    *ret_log = (struct event_mark_log){0};
    enum cas_err err = eventlog_ask(log, EvtQueryReverseDirection, why);
    if (err == CAS_OK)
        err = eventlog_here(log, &ret_log->newest, why);
    if (err != CAS_OK || ret_log->newest.record == 0)
        return err;
    err = eventlog_ask(log, EvtQueryForwardDirection, why);
    if (err == CAS_OK)
        err = eventlog_here(log, &ret_log->oldest, why);
    if (err != CAS_OK || mark.record < ret_log->oldest.record ||
        mark.record > ret_log->newest.record)
        return err;
    err = eventlog_seek(log, mark.record, why);
    return err == CAS_OK ? eventlog_here(log, &ret_log->at, why) : err;
}

/* The number of the first event later than after_ms, found by halves; of an earlier one when the
 * time is over. */
static enum cas_err eventlog_find(struct eventlog *log,
                                  const struct event_mark_log *found,
                                  int64_t after_ms,
                                  int64_t end_ms,
                                  uint64_t *ret_record,
                                  struct cas_why *why)
{
    uint64_t low = found->oldest.record;
    uint64_t high = found->newest.record + 1;
    enum cas_err err = CAS_OK;
    while (err == CAS_OK && low < high && clock_now().mono_ms < end_ms) {
        struct event_mark at = {0};
        uint64_t middle = low + (high - low) / 2;
        err = eventlog_seek(log, middle, why);
        if (err == CAS_OK)
            err = eventlog_here(log, &at, why);
        if (at.time_ms > after_ms)
            high = middle;
        else
            low = middle + 1;
    }
    *ret_record = low;
    return err;
}

/* Where the reading goes on: behind what it has, and not before the oldest there is. */
static uint64_t eventlog_from(const struct event_mark_reading *reading,
                              const struct event_mark_log *found)
{
    uint64_t from = reading->mark.record + 1;
    return from > found->oldest.record ? from : found->oldest.record;
}

static enum cas_err eventlog_read(struct eventlog *log,
                                  const struct event_mark_log *found,
                                  struct event_mark_reading *reading,
                                  bool *ret_is_all,
                                  struct cas_why *why)
{
    int64_t end_ms = clock_now().mono_ms + READING_MS;
    uint64_t from = eventlog_from(reading, found);
    enum cas_err err = CAS_OK;
    if (reading->after_record == 0)
        err = eventlog_find(log, found, reading->after_ms, end_ms, &from, why);
    if (err == CAS_OK)
        err = eventlog_seek(log, from, why);
    enum next next = NEXT_LATER;
    bool is_wanted = true;
    while (err == CAS_OK && is_wanted) {
        EVT_HANDLE event = NULL;
        struct place place = {.at = {0}};
        struct event_mark_row row = {.problem = NULL};
        err = eventlog_next(log, &next, &event, why);
        if (err == CAS_OK && next == NEXT_AGAIN) {
            err = eventlog_ask(log, EvtQueryForwardDirection, why);
            if (reading->mark.record >= from)
                from = reading->mark.record + 1;
            if (err == CAS_OK)
                err = eventlog_seek(log, from, why);
            continue;
        }
        if (err != CAS_OK || next != NEXT_EVENT)
            break;
        err = eventlog_place(log, event, &place, why);
        if (err != CAS_OK)
            break;
        row.at = place.at;
        row.is_others = !event_mark_asks(place.provider, place.id);
        if (!row.is_others)
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
        err = eventlog_read(log, &found, &reading, &is_all, why);
    if (err != CAS_OK)
        return err;
    size_t n = 0;
    char next[REASON_BYTES];
    event_mark_end(&reading, is_all, &n, next);
    if (!is_all && n == 0 && strcmp(next, bookmark) == 0)
        return cas_fail(why,
                        CAS_ERR_AGAIN,
                        "event log System: no event within %d ms, or it changed",
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
    enum cas_err err;
    struct cas_why why;
} counts[COUNTS];

/* Newest first, up to the first one that is older than a day. */
static enum cas_err count_now(uint32_t id, uint64_t *ret_count, struct cas_why *why)
{
    CAS_AUTO(eventlog) log = NULL;
    const char *provider = NULL;
    int64_t oldest_ms = clock_now().wall_ms - EVENT_MARK_FIRST_MS;
    int64_t end_ms = clock_now().mono_ms + READING_MS;
    uint64_t count = 0;
    enum next next = NEXT_AGAIN;
    enum cas_err err = event_mark_provider(id, &provider, why);
    if (err == CAS_OK)
        err = eventlog_open(&log, why);
    while (err == CAS_OK && next != NEXT_END && next != NEXT_LATER) {
        EVT_HANDLE event = NULL;
        struct place place = {.at = {0}};
        if (next == NEXT_AGAIN) {
            count = 0;
            err = eventlog_ask(log, EvtQueryReverseDirection, why);
        }
        if (err == CAS_OK)
            err = eventlog_next(log, &next, &event, why);
        if (err == CAS_OK && next == NEXT_EVENT)
            err = eventlog_place(log, event, &place, why);
        if (err != CAS_OK || next != NEXT_EVENT)
            continue;
        if (place.at.time_ms < oldest_ms)
            next = NEXT_END;
        else if (clock_now().mono_ms >= end_ms)
            next = NEXT_LATER;
        else if (place.id == id && strcmp(place.provider, provider) == 0)
            count++;
    }
    if (err != CAS_OK)
        return err;
    if (next == NEXT_LATER)
        return cas_fail(why,
                        CAS_ERR_AGAIN,
                        "event log System: events %u not counted within %d ms",
                        (unsigned)id,
                        READING_MS);
    *ret_count = count;
    return CAS_OK;
}

enum cas_err windows_events_count(uint32_t id, uint64_t *ret_count, struct cas_why *why)
{
    int64_t now_ms = clock_now().mono_ms;
    uint64_t count = 0;
    struct cas_why found = {""};
    size_t slot = 0;
    while (slot < COUNTS && counts[slot].id != id && counts[slot].id != 0)
        slot++;
    bool is_kept =
        slot < COUNTS && counts[slot].id == id && now_ms - counts[slot].made_ms < COUNT_KEEP_MS;
    enum cas_err err = is_kept ? counts[slot].err : count_now(id, &count, &found);
    if (is_kept) {
        count = counts[slot].count;
        found = counts[slot].why;
    } else if (slot < COUNTS) {
        counts[slot].id = id;
        counts[slot].count = count;
        counts[slot].made_ms = now_ms;
        counts[slot].err = err;
        counts[slot].why = found;
    }
    if (err != CAS_OK)
        return cas_fail(why, err, "%s", found.text);
    *ret_count = count;
    return CAS_OK;
}

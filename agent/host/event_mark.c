#include "agent/host/event_mark.h"

#include <string.h>

#include "agent/host/capture.h"
#include "proto/base/log.h"

enum {
    TIME_SLACK_MS = 1 /* one event's time comes from two calls that may round differently */
};

enum source {
    SOURCE_TCPIP,
    SOURCE_WAS
};
static const struct {
    enum source source;
    uint32_t id;
} known[] = {
#define EVENT(source, id, meaning, words) {SOURCE_##source, (id)},
#include "agent/host/capture_events.def"
#undef EVENT
};
static const struct {
    enum source source;
    const char *name;
} providers[] = {
    {SOURCE_TCPIP, "Tcpip"},
    {SOURCE_WAS, "Microsoft-Windows-WAS"},
};

/* ---- the bookmark ---- */

enum cas_err
event_mark_parse(const char *bookmark, struct event_mark *ret_mark, struct cas_why *why)
{
    struct cas_slice version;
    struct cas_slice record;
    struct cas_slice time;
    struct cas_slice rest;
    struct event_mark mark = {0};
    uint64_t time_ms = 0;
    if (bookmark[0] == '\0') {
        *ret_mark = mark;
        return CAS_OK;
    }
    if (!capture_cut(cas_slice_of(bookmark), '/', &version, &rest) || !cas_slice_is(version, "1") ||
        !capture_cut(rest, '/', &record, &time) ||
        !capture_digits(record, INT64_MAX, &mark.record) ||
        !capture_digits(time, INT64_MAX, &time_ms) || time_ms == 0)
        return cas_fail(why,
                        CAS_ERR_FORMAT,
                        "\"%.64s\" is not a bookmark of a Windows event log",
                        bookmark);
    mark.time_ms = (int64_t)time_ms;
    *ret_mark = mark;
    return CAS_OK;
}

void event_mark_print(struct event_mark mark, char ret_bookmark[REASON_BYTES])
{
    struct cas_text text = {.data = ret_bookmark, .cap = REASON_BYTES};
    cas_text_clear(&text);
    if (mark.record > 0 || mark.time_ms > 0)
        cas_text_add(&text,
                     "1/%llu/%lld",
                     (unsigned long long)mark.record,
                     (long long)(mark.time_ms > 0 ? mark.time_ms : 1));
}

/* ---- events ---- */

static bool is_alike(const struct host_event *a, const struct host_event *b)
{
    return a->id == b->id && a->pid == b->pid && strcmp(a->provider, b->provider) == 0 &&
           strcmp(a->pool, b->pool) == 0;
}

/* Alike ones fold into the last of them; false when there is no room. */
static bool add(struct event_mark_reading *reading, struct host_event event)
{
    size_t same = 0;
    while (same < reading->n && !is_alike(&reading->event[same], &event))
        same++;
    if (same == reading->n && reading->n == reading->cap)
        return false;
    if (same < reading->n) {
        event.count += reading->event[same].count;
        memmove(&reading->event[same],
                &reading->event[same + 1],
                (reading->n - same - 1) * sizeof event);
        reading->n--;
    }
    reading->event[reading->n++] = event;
    return true;
}

static struct host_event of_ours(enum event id, int64_t at_ms, uint64_t count, const char *words)
{
    struct host_event event = {.at_ms = at_ms, .id = (uint32_t)id, .count = count};
    struct cas_text provider = CAS_TEXT(event.provider);
    struct cas_text text = CAS_TEXT(event.text);
    cas_text_add(&provider, "%s", EVENT_MARK_PROVIDER);
    cas_text_add(&text, "%s", words);
    return event;
}

/* ---- where to begin ---- */

static void
tell_lost(struct event_mark_reading *reading, int64_t at_ms, uint64_t count, const char *words)
{
    CAS_ASSERT(add(reading, of_ours(EVENT_EVENTS_LOST, at_ms, count, words)));
}

static void begin_by_time(struct event_mark_reading *reading, int64_t after_ms, int64_t now_ms)
{
    /* A mark of a clock that was wrong must not hide everything up to its time. */
    if (after_ms <= 0 || after_ms > now_ms)
        after_ms = now_ms > EVENT_MARK_FIRST_MS ? now_ms - EVENT_MARK_FIRST_MS : 1;
    reading->after_record = 0;
    reading->after_ms = after_ms;
    reading->mark = (struct event_mark){.time_ms = after_ms};
}

static bool is_same_time(int64_t a_ms, int64_t b_ms)
{
    return a_ms >= b_ms - TIME_SLACK_MS && a_ms <= b_ms + TIME_SLACK_MS;
}

static void begin_other_log(struct event_mark_reading *reading,
                            struct event_mark mark,
                            const struct event_mark_log *log,
                            int64_t now_ms)
{
    char words[256];
    struct cas_text text = CAS_TEXT(words);
    cas_text_add(&text,
                 "the System log is another one than before: record %llu was of ",
                 (unsigned long long)mark.record);
    cas_text_utc(&text, mark.time_ms);
    if (log->at.record != 0) {
        cas_text_add(&text, ", now it is of ");
        cas_text_utc(&text, log->at.time_ms);
    } else {
        cas_text_add(&text, ", now the last is %llu", (unsigned long long)log->newest.record);
    }
    cas_text_add(&text, "; what was not read before is lost");
    begin_by_time(reading, mark.time_ms, now_ms);
    tell_lost(reading, now_ms, 1, words);
}

static void begin_by_record(struct event_mark_reading *reading,
                            struct event_mark mark,
                            const struct event_mark_log *log)
{
    reading->after_record = mark.record;
    reading->mark = mark;
    if (log->oldest.record <= mark.record + 1)
        return;
    uint64_t lost_n = log->oldest.record - mark.record - 1;
    char words[256];
    struct cas_text text = CAS_TEXT(words);
    cas_text_add(&text,
                 "records %llu to %llu of the System log, %llu of any kind, were overwritten or "
                 "cleared before they were read",
                 (unsigned long long)mark.record + 1,
                 (unsigned long long)log->oldest.record - 1,
                 (unsigned long long)lost_n);
    reading->mark.record = log->oldest.record - 1; /* told once, whatever becomes of the rest */
    tell_lost(reading, log->oldest.time_ms, lost_n, words);
}

void event_mark_begin(struct event_mark_reading *ret_reading,
                      const char *bookmark,
                      const struct event_mark_log *log,
                      int64_t now_ms,
                      const char *pool,
                      struct host_event *event,
                      size_t cap)
{
    CAS_ASSERT(cap >= 2);
    *ret_reading = (struct event_mark_reading){.event = event, .cap = cap, .newest = log->newest};
    struct cas_text text = CAS_TEXT(ret_reading->pool);
    cas_text_add(&text, "%s", pool);

    struct event_mark mark = {0};
    struct cas_why why = {""};
    if (event_mark_parse(bookmark, &mark, &why) != CAS_OK) {
        begin_by_time(ret_reading, 0, now_ms);
        tell_lost(ret_reading, now_ms, 1, why.text);
    } else if (mark.record == 0) {
        begin_by_time(ret_reading, mark.time_ms, now_ms);
    } else if (log->newest.record == 0) {
        /* Empty: nothing to read, and nothing to tell until something stands in it. */
        ret_reading->after_record = mark.record;
        ret_reading->mark = mark;
    } else if (log->newest.record < mark.record ||
               (log->at.record == mark.record && !is_same_time(log->at.time_ms, mark.time_ms))) {
        begin_other_log(ret_reading, mark, log, now_ms);
    } else {
        begin_by_record(ret_reading, mark, log);
    }
}

bool event_mark_is_idle(const struct event_mark_reading *reading)
{
    return reading->newest.record == 0 || reading->newest.record <= reading->after_record;
}

/* ---- what is asked for ---- */

static const char *provider_of(size_t row)
{
    size_t provider = 0;
    while (providers[provider].source != known[row].source)
        provider++;
    return providers[provider].name;
}

bool event_mark_asks(const char *provider, uint32_t id)
{
    for (size_t row = 0; row < CAS_COUNT(known); row++) {
        if (known[row].id == id && strcmp(provider_of(row), provider) == 0)
            return true;
    }
    return false;
}

enum cas_err event_mark_provider(uint32_t id, const char **ret_provider, struct cas_why *why)
{
    size_t row = 0;
    while (row < CAS_COUNT(known) && known[row].id != id)
        row++;
    if (row == CAS_COUNT(known))
        return cas_fail(why, CAS_ERR_NOT_FOUND, "event %u is none that means something", id);
    *ret_provider = provider_of(row);
    return CAS_OK;
}

/* ---- rows ---- */

static enum cas_err read_xml(const struct event_mark_row *row,
                             struct host_event *ret_event,
                             struct capture_told *ret_told,
                             struct cas_why *why)
{
    if (row->problem != NULL)
        return cas_fail(why, CAS_ERR_IO, "%s", row->problem);
    CAS_AUTO(capture_events) events = NULL;
    struct capture_event event;
    enum cas_err err =
        capture_events_open((struct capture_input){"System", row->xml}, &events, why);
    if (err == CAS_OK)
        err = capture_events_next(events, &event, why);
    if (err == CAS_OK)
        err = capture_event_meaning(&event, ret_told, why);
    if (err != CAS_OK)
        return err;
    *ret_event = (struct host_event){.at_ms = event.time_ms,
                                     .id = event.id,
                                     .count = 1,
                                     .pid = ret_told->pid};
    struct cas_text provider = CAS_TEXT(ret_event->provider);
    struct cas_text pool = CAS_TEXT(ret_event->pool);
    struct cas_text text = CAS_TEXT(ret_event->text);
    cas_text_add(&provider, "%s", event.provider);
    cas_text_add(&pool, "%s", ret_told->pool);
    cas_text_add(&text, "%s", ret_told->words);
    return CAS_OK;
}

static bool take_new(struct event_mark_reading *reading, const struct event_mark_row *row)
{
    struct host_event event;
    struct capture_told told = {.meaning = CAPTURE_MEANING_NONE};
    struct cas_why why = {""};
    if (read_xml(row, &event, &told, &why) != CAS_OK) {
        char words[256];
        struct cas_text text = CAS_TEXT(words);
        cas_text_add(&text, "record %llu: %s", (unsigned long long)row->at.record, why.text);
        return add(reading, of_ours(EVENT_EVENTS_UNREAD, row->at.time_ms, 1, words));
    }
    bool is_elsewhere = told.pool[0] != '\0' && reading->pool[0] != '\0' &&
                        !capture_same(cas_slice_of(told.pool), reading->pool);
    return told.meaning == CAPTURE_MEANING_NONE || is_elsewhere || add(reading, event);
}

bool event_mark_take(struct event_mark_reading *reading, const struct event_mark_row *row)
{
    if (reading->row_n == EVENT_MARK_ROWS || reading->is_upset)
        return false;
    if (reading->after_record > 0 && row->at.record <= reading->after_record)
        return true;
    if (row->at.record <= reading->mark.record) {
        reading->is_upset = true;
        return false;
    }
    bool is_new = reading->after_record > 0 || row->at.time_ms > reading->after_ms;
    if (is_new && !row->is_others) {
        if (!take_new(reading, row))
            return false;
        reading->row_n++;
    }
    reading->mark = row->at;
    return true;
}

void event_mark_end(struct event_mark_reading *reading,
                    bool is_all,
                    size_t *ret_n,
                    char ret_bookmark[REASON_BYTES])
{
    if (is_all && !reading->is_upset && reading->newest.record > reading->mark.record)
        reading->mark = reading->newest;
    event_mark_print(reading->mark, ret_bookmark);
    *ret_n = reading->n;
}

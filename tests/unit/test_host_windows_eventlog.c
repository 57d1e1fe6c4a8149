#include "tests/unit/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>

#include <windows.h>

#include <winevt.h>

#include "agent/host/host_windows.h"
#include "proto/base/clock.h"
#include "proto/base/log.h"
#include "proto/base/wide_windows.h"

/* A double of the Evt API stands in this program instead of Windows' own: a log in memory, handles
 * that are counted, and errors on demand. It knows the one query the agent asks, for all events;
 * seeking follows Microsoft's page on EVT_SEEK_FLAGS. */
enum {
    ROWS = 2000,
    HANDLES = 512
};
static const char pool[] = "MSExchangeSyncAppPool";

struct double_row {
    uint64_t record;
    int64_t time_ms;
    uint32_t id;
    bool is_long; /* its XML is more than fits */
};
struct double_handle {
    bool is_open;
    bool is_back;
    uint64_t record; /* of a bookmark */
    size_t at;       /* of a query: the next row; of an event: its row */
};
static struct double_row rows[ROWS];
static size_t row_n;
static struct double_handle handles[HANDLES];
static size_t open_n, most_open_n, query_n, seek_n;
static size_t given_n;       /* events given one by one or in batches */
static DWORD query_error;    /* of EvtQuery */
static DWORD next_error;     /* of EvtNext, at the event with this number, in batches */
static uint64_t next_record; /* 0: at the first event there is */
static DWORD bound_batch;    /* more than these are too much for the answer; 0: any number fits */
static DWORD next_ms;        /* an EvtNext takes so long */

static EVT_HANDLE handle_new(struct double_handle **ret_handle)
{
    size_t i = 0;
    while (i < HANDLES && handles[i].is_open)
        i++;
    CAS_ASSERT(i < HANDLES);
    handles[i] = (struct double_handle){.is_open = true};
    open_n++;
    most_open_n = open_n > most_open_n ? open_n : most_open_n;
    *ret_handle = &handles[i];
    return &handles[i];
}

EVT_HANDLE WINAPI EvtQuery(EVT_HANDLE session, LPCWSTR path, LPCWSTR query, DWORD flags)
{
    struct double_handle *handle = NULL;
    CAS_ASSERT(session == NULL && wcscmp(path, L"System") == 0 && wcscmp(query, L"*") == 0);
    CAS_ASSERT((flags & EvtQueryChannelPath) != 0);
    query_n++;
    if (query_error != 0) {
        SetLastError(query_error);
        return NULL;
    }
    EVT_HANDLE made = handle_new(&handle);
    handle->is_back = (flags & EvtQueryReverseDirection) != 0;
    return made;
}

static const struct double_row *row_at(const struct double_handle *query)
{
    return &rows[query->is_back ? row_n - 1 - query->at : query->at];
}

WINBOOL WINAPI
EvtNext(EVT_HANDLE set, DWORD size, EVT_HANDLE *events, DWORD timeout, DWORD flags, PDWORD ret_n)
{
    struct double_handle *query = set;
    CAS_ASSERT(query != NULL && query->is_open && timeout > 0 && timeout <= 1000 && flags == 0);
    DWORD n = 0;
    bool is_error = false;
    Sleep(next_ms);
    for (; n < size && query->at < row_n && !is_error; query->at += is_error ? 0 : 1) {
        struct double_handle *event = NULL;
        is_error = next_error != 0 && size > 1 && row_at(query)->record >= next_record;
        if (is_error)
            continue;
        events[n++] = handle_new(&event);
        event->at = (size_t)(row_at(query) - rows);
    }
    bool is_bound = bound_batch > 0 && n > bound_batch; /* and the place is behind them all */
    for (; is_bound && n > 0; n--)
        (void)EvtClose(events[n - 1]);
    given_n += n;
    *ret_n = n;
    if (n > 0)
        return TRUE;
    SetLastError(is_bound ? RPC_S_INVALID_BOUND : is_error ? next_error : ERROR_NO_MORE_ITEMS);
    return FALSE;
}

EVT_HANDLE WINAPI EvtCreateBookmark(LPCWSTR xml)
{
    char text[256];
    unsigned long long record = 0;
    struct double_handle *handle = NULL;
    CAS_ASSERT(wide_to_utf8(xml, text, sizeof text) == CAS_OK);
    CAS_ASSERT(sscanf(text,
                      "<BookmarkList><Bookmark Channel='System' RecordId='%llu' IsCurrent='true'/>"
                      "</BookmarkList>",
                      &record) == 1);
    EVT_HANDLE made = handle_new(&handle);
    handle->record = record;
    return made;
}

WINBOOL WINAPI EvtSeek(EVT_HANDLE set, LONGLONG to, EVT_HANDLE mark, DWORD timeout, DWORD flags)
{
    struct double_handle *query = set;
    const struct double_handle *bookmark = mark;
    CAS_ASSERT(query->is_open && !query->is_back && bookmark->is_open && timeout == 0 && to == 0);
    CAS_ASSERT(flags == EvtSeekRelativeToBookmark && row_n > 0);
    seek_n++;
    query->at = 0;
    while (query->at + 1 < row_n && rows[query->at].record < bookmark->record)
        query->at++;
    return TRUE;
}

WINBOOL WINAPI EvtClose(EVT_HANDLE object)
{
    struct double_handle *handle = object;
    CAS_ASSERT(handle >= handles && handle < handles + HANDLES && handle->is_open);
    handle->is_open = false;
    open_n--;
    return TRUE;
}

EVT_HANDLE WINAPI EvtCreateRenderContext(DWORD path_n, LPCWSTR *path, DWORD flags)
{
    struct double_handle *handle = NULL;
    CAS_ASSERT(path_n == 0 && path == NULL && flags == EvtRenderContextSystem);
    return handle_new(&handle);
}

static WINBOOL render_values(const struct double_row *row, DWORD size, void *to, PDWORD ret_n)
{
    EVT_VARIANT value[EvtSystemPropertyIdEND];
    CAS_ASSERT(size >= sizeof value);
    memset(value, 0, sizeof value);
    value[EvtSystemProviderName].Type = EvtVarTypeString;
    value[EvtSystemProviderName].StringVal = row->id < 5000   ? L"Tcpip"
                                             : row->id < 6000 ? L"Microsoft-Windows-WAS"
                                                              : L"Service Control Manager";
    value[EvtSystemEventID].Type = EvtVarTypeUInt16;
    value[EvtSystemEventID].UInt16Val = (uint16_t)row->id;
    value[EvtSystemEventRecordId].Type = EvtVarTypeUInt64;
    value[EvtSystemEventRecordId].UInt64Val = row->record;
    value[EvtSystemTimeCreated].Type = EvtVarTypeFileTime;
    value[EvtSystemTimeCreated].FileTimeVal =
        (ULONGLONG)(row->time_ms + 11644473600000) * 10000 + 9999;
    memcpy(to, value, sizeof value);
    *ret_n = EvtSystemPropertyIdEND;
    return TRUE;
}

WINBOOL WINAPI EvtRender(EVT_HANDLE context,
                         EVT_HANDLE fragment,
                         DWORD flags,
                         DWORD size,
                         PVOID to,
                         PDWORD ret_used,
                         PDWORD ret_n)
{
    const struct double_handle *event = fragment;
    char time[64];
    char xml[1024];
    wchar_t wide[1024];
    CAS_ASSERT(event->is_open && (context != NULL) == (flags == EvtRenderEventValues));
    const struct double_row *row = &rows[event->at];
    if (flags == EvtRenderEventValues)
        return render_values(row, size, to, ret_n);
    struct cas_text utc = CAS_TEXT(time);
    cas_text_utc(&utc, row->time_ms);
    (void)snprintf(xml,
                   sizeof xml,
                   "<Event><System><Provider Name='%s'/><EventID>%u</EventID>"
                   "<TimeCreated SystemTime='%s'/></System><EventData>"
                   "<Data Name='AppPoolID'>%s</Data></EventData></Event>",
                   row->id < 5000 ? "Tcpip" : "Microsoft-Windows-WAS",
                   row->id,
                   time,
                   pool);
    CAS_ASSERT(wide_from_utf8(xml, wide, CAS_COUNT(wide)) == CAS_OK);
    *ret_used = row->is_long ? 300000 : (DWORD)((wcslen(wide) + 1) * sizeof wide[0]);
    if (row->is_long || *ret_used > size) {
        SetLastError(ERROR_INSUFFICIENT_BUFFER);
        return FALSE;
    }
    memcpy(to, wide, *ret_used);
    return TRUE;
}

static void log_begin(void)
{
    row_n = open_n = most_open_n = query_n = seek_n = given_n = 0;
    query_error = next_error = bound_batch = next_ms = 0;
    next_record = 0;
    memset(handles, 0, sizeof handles);
}

/* Rows of the last hour, one a second. */
static void log_add(uint32_t id, size_t n)
{
    int64_t begin_ms = clock_now().wall_ms - 3600000;
    for (size_t i = 0; i < n && row_n < ROWS; i++, row_n++)
        rows[row_n] = (struct double_row){
            .record = row_n == 0 ? 1000 : rows[row_n - 1].record + 1,
            .time_ms = row_n == 0 ? begin_ms : rows[row_n - 1].time_ms + 1000,
            .id = id,
        };
}

static size_t log_read(char bookmark[REASON_BYTES], struct host_event *ret_event)
{
    struct cas_why why = {""};
    size_t n = 77;
    EXPECT_OK(windows_events(pool, bookmark, ret_event, HOST_EVENTS, &n, bookmark, &why), &why);
    EXPECT_UINT_EQ(0, open_n);
    return n;
}

TEST(host_windows_eventlog, new_events_are_told_once_and_every_handle_is_closed)
{
    log_begin();
    log_add(7036, 300);
    log_add(4231, 150);
    log_add(5079, 1);
    log_add(7036, 300);
    char bookmark[REASON_BYTES] = "";
    struct host_event event[HOST_EVENTS];
    EXPECT_UINT_EQ(2, log_read(bookmark, event));
    EXPECT_UINT_EQ(150, event[0].count);
    EXPECT_UINT_EQ(5079, event[1].id);
    EXPECT_INT_EQ(rows[450].time_ms, event[1].at_ms);
    EXPECT_TEXT_HAS("1/1750/", bookmark);
    EXPECT_TRUE(most_open_n > 60 && most_open_n < 70);
    EXPECT_UINT_EQ(0, log_read(bookmark, event));
    log_add(4227, 2);
    EXPECT_UINT_EQ(1, log_read(bookmark, event));
    EXPECT_UINT_EQ(2, event[0].count);
}

TEST(host_windows_eventlog, nothing_new_is_seen_without_a_search)
{
    log_begin();
    log_add(4231, 5);
    char bookmark[REASON_BYTES] = "";
    struct host_event event[HOST_EVENTS];
    EXPECT_UINT_EQ(1, log_read(bookmark, event));
    query_n = seek_n = 0;
    EXPECT_UINT_EQ(0, log_read(bookmark, event));
    EXPECT_UINT_EQ(2, query_n); /* the newest and the oldest, then the record of the bookmark */
    EXPECT_UINT_EQ(1, seek_n);
}

TEST(host_windows_eventlog, another_log_under_the_same_numbers_is_found)
{
    log_begin();
    log_add(7036, 10);
    char bookmark[REASON_BYTES] = "";
    struct host_event event[HOST_EVENTS];
    EXPECT_UINT_EQ(0, log_read(bookmark, event));
    for (size_t i = 0; i < row_n; i++)
        rows[i].time_ms += 60000;
    log_add(4231, 3);
    EXPECT_UINT_EQ(2, log_read(bookmark, event));
    EXPECT_UINT_EQ(EVENT_EVENTS_LOST, event[0].id);
    EXPECT_UINT_EQ(3, event[1].count);
}

/* Why: the log is written while we read; what was read stays, the rest comes next time. */
TEST(host_windows_eventlog, a_query_that_went_stale_goes_on_in_the_next_reading)
{
    static const DWORD errors[] = {ERROR_EVT_QUERY_RESULT_STALE, ERROR_TIMEOUT};
    for (size_t i = 0; i < CAS_COUNT(errors); i++) {
        log_begin();
        log_add(4231, 100);
        next_error = errors[i];
        next_record = 1070;
        char bookmark[REASON_BYTES] = "";
        struct host_event event[HOST_EVENTS];
        EXPECT_UINT_EQ(1, log_read(bookmark, event));
        EXPECT_UINT_EQ(70, event[0].count);
        next_error = 0;
        EXPECT_UINT_EQ(1, log_read(bookmark, event));
        EXPECT_UINT_EQ(30, event[0].count);
    }
}

TEST(host_windows_eventlog, no_right_and_no_progress_are_reasons)
{
    log_begin();
    log_add(4231, 3);
    struct host_event event[HOST_EVENTS];
    char bookmark[REASON_BYTES] = "";
    size_t n = 0;
    struct cas_why why = {""};
    query_error = ERROR_ACCESS_DENIED;
    EXPECT_ERR(CAS_ERR_DENIED, windows_events(pool, "", event, HOST_EVENTS, &n, bookmark, &why));
    EXPECT_TEXT_HAS("no event log: EvtQuery(System): error 5", why.text);
    query_error = 0;
    EXPECT_UINT_EQ(1, log_read(bookmark, event));
    log_add(4231, 3);
    next_error = ERROR_TIMEOUT;
    next_record = 1003;
    EXPECT_ERR(CAS_ERR_AGAIN,
               windows_events(pool, bookmark, event, HOST_EVENTS, &n, bookmark, &why));
    EXPECT_TEXT_HAS("no event within 1000 ms", why.text);
    next_error = ERROR_EVT_CHANNEL_NOT_FOUND;
    EXPECT_ERR(CAS_ERR_IO, windows_events(pool, bookmark, event, HOST_EVENTS, &n, bookmark, &why));
    EXPECT_TEXT_HAS("event log System: EvtNext: error 15007", why.text);
    EXPECT_UINT_EQ(0, open_n);
}

TEST(host_windows_eventlog, an_event_too_long_is_told_and_passed)
{
    log_begin();
    log_add(4231, 3);
    rows[1].is_long = true;
    struct host_event event[HOST_EVENTS];
    char bookmark[REASON_BYTES] = "";
    EXPECT_UINT_EQ(2, log_read(bookmark, event));
    EXPECT_UINT_EQ(EVENT_EVENTS_UNREAD, event[0].id);
    EXPECT_TEXT_HAS("record 1001: EvtRender(XML), 300000 bytes: error 122", event[0].text);
    EXPECT_UINT_EQ(2, event[1].count);
}

/* Why: a System log may hold more than a second shows. What was looked at is not looked at again,
 * though nothing of ours was in it. How: each answer of Windows takes its time; ours is the last
 * event of all. */
TEST(host_windows_eventlog, a_log_longer_than_a_reading_is_read_to_its_end)
{
    log_begin();
    log_add(7036, 1);
    struct host_event event[HOST_EVENTS];
    char bookmark[REASON_BYTES] = "";
    EXPECT_UINT_EQ(0, log_read(bookmark, event));
    log_add(7036, ROWS - 2);
    log_add(4231, 1);
    given_n = 0;
    next_ms = 60; /* 32 answers needed, about 15 in a second */
    size_t readings = 1;
    for (size_t n = log_read(bookmark, event); n == 0 && readings < 10; readings++)
        n = log_read(bookmark, event);
    EXPECT_TRUE(readings > 1 && readings < 10);
    EXPECT_UINT_EQ(4231, event[0].id);
    EXPECT_TRUE(given_n < ROWS + readings * (2 * 64 + 3));
}

/* Why: the first reading, and one of an exchanged log, begins at a time. How: of 2000 records three
 * are of the last 24 hours. */
TEST(host_windows_eventlog, a_time_is_found_without_going_through_the_log)
{
    log_begin();
    log_add(4231, ROWS);
    for (size_t i = 0; i < ROWS - 3; i++)
        rows[i].time_ms -= 86400000;
    struct host_event event[HOST_EVENTS];
    char bookmark[REASON_BYTES] = "";
    EXPECT_UINT_EQ(1, log_read(bookmark, event));
    EXPECT_UINT_EQ(3, event[0].count);
    EXPECT_TRUE(given_n < 20);
}

/* Why: overwritten while nobody looked; nothing of what is left is passed over. */
TEST(host_windows_eventlog, a_bookmark_before_the_oldest_record_begins_there)
{
    log_begin();
    log_add(4231, 20);
    struct host_event event[HOST_EVENTS];
    char bookmark[REASON_BYTES] = "";
    EXPECT_UINT_EQ(1, log_read(bookmark, event));
    log_add(4231, 20);
    memmove(rows, rows + 25, (row_n - 25) * sizeof rows[0]);
    row_n -= 25;
    EXPECT_UINT_EQ(2, log_read(bookmark, event));
    EXPECT_UINT_EQ(EVENT_EVENTS_LOST, event[0].id);
    EXPECT_UINT_EQ(5, event[0].count);
    EXPECT_UINT_EQ(15, event[1].count);
}

/* Why: events that together are more than an answer holds give 1734, and the query stands behind
 * them all the same. */
TEST(host_windows_eventlog, an_answer_too_large_is_asked_again_for_fewer)
{
    static const DWORD bounds[] = {63, 5, 1};
    for (size_t i = 0; i < CAS_COUNT(bounds); i++) {
        log_begin();
        log_add(5079, 200);
        bound_batch = bounds[i];
        struct host_event event[HOST_EVENTS];
        char bookmark[REASON_BYTES] = "";
        uint64_t count = 0;
        struct cas_why why = {""};
        EXPECT_UINT_EQ(1, log_read(bookmark, event));
        EXPECT_UINT_EQ(200, event[0].count);
        if (i > 0)
            continue; /* the count is kept */
        EXPECT_OK(windows_events_count(5079, &count, &why), &why);
        EXPECT_UINT_EQ(200, count);
    }
}

/* Why: half a count looks like a quiet server. It is not tried again at once either. */
TEST(host_windows_eventlog, a_count_cut_by_time_is_none)
{
    log_begin();
    log_add(5002, ROWS);
    next_ms = 60;
    uint64_t count = 77;
    struct cas_why why = {""};
    for (int i = 0; i < 2; i++) {
        EXPECT_ERR(CAS_ERR_AGAIN, windows_events_count(5002, &count, &why));
        EXPECT_TEXT_HAS("events 5002 not counted within 1000 ms", why.text);
        EXPECT_UINT_EQ(77, count);
        EXPECT_UINT_EQ(1, query_n);
    }
    EXPECT_UINT_EQ(0, open_n);
}

/* Why: counting looks at all events of a day; a sample comes every quarter of a minute. How: those
 * before that day are not looked at. */
TEST(host_windows_eventlog, a_count_is_made_once_a_minute)
{
    log_begin();
    log_add(4231, 1500);
    for (size_t i = 0; i < 1370; i++)
        rows[i].time_ms -= 86400000;
    log_add(4227, 7);
    uint64_t count = 0;
    struct cas_why why = {""};
    EXPECT_OK(windows_events_count(4231, &count, &why), &why);
    EXPECT_UINT_EQ(130, count);
    EXPECT_TRUE(given_n <= 3 * 64);
    EXPECT_OK(windows_events_count(4227, &count, &why), &why);
    EXPECT_UINT_EQ(7, count);
    log_add(4227, 7);
    query_n = 0;
    EXPECT_OK(windows_events_count(4227, &count, &why), &why);
    EXPECT_UINT_EQ(7, count);
    EXPECT_UINT_EQ(0, query_n);
    EXPECT_UINT_EQ(0, open_n);
}

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
 * that are counted, and errors on demand. It knows the queries the agent asks, no others. */
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
    bool is_back, is_counting, is_all;
    uint64_t after;
    int64_t after_ms;
    uint32_t id;
    size_t at; /* of a query: the next row; of an event: its row */
    size_t given;
};
static struct double_row rows[ROWS];
static size_t row_n;
static struct double_handle handles[HANDLES];
static size_t open_n, most_open_n, query_n;
static DWORD query_error; /* of EvtQuery */
static DWORD next_error;  /* of EvtNext, once it gave next_given events */
static size_t next_given;

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

static int64_t number_behind(const char *text, const char *mark)
{
    const char *at = strstr(text, mark);
    return at == NULL ? 0 : strtoll(at + strlen(mark), NULL, 10);
}

EVT_HANDLE WINAPI EvtQuery(EVT_HANDLE session, LPCWSTR path, LPCWSTR query, DWORD flags)
{
    char text[1024];
    struct double_handle *handle = NULL;
    CAS_ASSERT(session == NULL && wcscmp(path, L"System") == 0);
    CAS_ASSERT((flags & EvtQueryChannelPath) != 0);
    CAS_ASSERT(wide_to_utf8(query, text, sizeof text) == CAS_OK);
    query_n++;
    if (query_error != 0) {
        SetLastError(query_error);
        return NULL;
    }
    EVT_HANDLE made = handle_new(&handle);
    handle->is_back = (flags & EvtQueryReverseDirection) != 0;
    handle->is_all = strcmp(text, "*") == 0;
    handle->is_counting = strstr(text, "timediff") != NULL;
    handle->id = (uint32_t)number_behind(text, "EventID=");
    handle->after = (uint64_t)number_behind(text, "EventRecordID>");
    const char *time = strstr(text, "@SystemTime>='");
    if (time != NULL)
        CAS_ASSERT(cas_parse_utc((struct cas_slice){time + 14, 24}, &handle->after_ms, NULL) ==
                   CAS_OK);
    return made;
}

static bool is_asked(const struct double_handle *query, const struct double_row *row)
{
    bool is_ours = (row->id >= 4227 && row->id <= 4266) || (row->id >= 5002 && row->id <= 5186);
    if (query->is_counting)
        return row->id == query->id;
    return query->is_all ||
           (is_ours && row->record > query->after && row->time_ms >= query->after_ms);
}

WINBOOL WINAPI
EvtNext(EVT_HANDLE set, DWORD size, EVT_HANDLE *events, DWORD timeout, DWORD flags, PDWORD ret_n)
{
    struct double_handle *query = set;
    CAS_ASSERT(query != NULL && query->is_open && timeout > 0 && timeout <= 1000 && flags == 0);
    DWORD n = 0;
    for (; n < size && query->at < row_n; query->at++) {
        size_t index = query->is_back ? row_n - 1 - query->at : query->at;
        if (!is_asked(query, &rows[index]))
            continue;
        if (next_error != 0 && !query->is_all && query->given + n == next_given)
            break;
        struct double_handle *event = NULL;
        events[n++] = handle_new(&event);
        event->at = index;
    }
    query->given += n;
    *ret_n = n;
    if (n > 0)
        return TRUE;
    SetLastError(query->at < row_n ? next_error : ERROR_NO_MORE_ITEMS);
    return FALSE;
}

WINBOOL WINAPI EvtSeek(EVT_HANDLE set, LONGLONG to, EVT_HANDLE mark, DWORD timeout, DWORD flags)
{
    struct double_handle *query = set;
    CAS_ASSERT(query->is_open && mark == NULL && timeout == 0);
    CAS_ASSERT(flags == EvtSeekRelativeToFirst && !query->is_back);
    query->at = (size_t)to;
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
    row_n = open_n = most_open_n = query_n = next_given = 0;
    query_error = next_error = 0;
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
    query_n = 0;
    EXPECT_UINT_EQ(0, log_read(bookmark, event));
    EXPECT_UINT_EQ(2, query_n); /* the newest and the oldest; none of them looks through the log */
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
        next_given = 70;
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
    EXPECT_ERR(CAS_ERR_AGAIN,
               windows_events(pool, bookmark, event, HOST_EVENTS, &n, bookmark, &why));
    EXPECT_TEXT_HAS("no event found within 1000 ms", why.text);
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

/* Why: counting goes through the whole log; a sample comes every quarter of a minute. */
TEST(host_windows_eventlog, a_count_is_made_once_a_minute)
{
    log_begin();
    log_add(4231, 130);
    log_add(4227, 7);
    uint64_t count = 0;
    struct cas_why why = {""};
    EXPECT_OK(windows_events_count(4231, &count, &why), &why);
    EXPECT_UINT_EQ(130, count);
    EXPECT_OK(windows_events_count(4227, &count, &why), &why);
    EXPECT_UINT_EQ(7, count);
    log_add(4227, 7);
    query_n = 0;
    EXPECT_OK(windows_events_count(4227, &count, &why), &why);
    EXPECT_UINT_EQ(7, count);
    EXPECT_UINT_EQ(0, query_n);
    EXPECT_UINT_EQ(0, open_n);
}

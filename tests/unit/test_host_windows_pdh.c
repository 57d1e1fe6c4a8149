#include "tests/unit/test.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <wchar.h>
#include <windows.h>

#include <pdh.h>
#include <pdhmsg.h>

#include "agent/host/host_windows.h"
#include "agent/host/scene_raw.h"

/* A PDH that says what a test wants it to, in the place of Windows' own: Wine has no counters. How
 * the real one behaves is written in host_windows_pdh.c. */
enum {
    ITEMS = 4,
    MINUTE = 60 * 1000
};

struct double_counter {
    uint32_t add_code;
    uint32_t code; /* of the reading */
    uint32_t status[ITEMS];
    double value[ITEMS]; /* the first: of a counter that is no array */
    wchar_t name[ITEMS][64];
    size_t name_n;
    size_t added_n, removed_n;
};
static struct {
    struct double_counter counter[CAPTURE_COUNTER_N];
    bool is_wine;
    uint32_t open_code, collect_code;
    size_t open_n, close_n, collect_n, refresh_n;
} pdh_double;

static void set_name(wchar_t *ret_name, const wchar_t *name)
{
    (void)swprintf(ret_name, 64, L"%ls", name);
}

static enum capture_counter kind_of(LPCWSTR path)
{
    for (size_t i = CAPTURE_OTHER + 1; i < CAPTURE_COUNTER_N; i++) {
        char text[128];
        wchar_t wide[128];
        struct cas_text into = CAS_TEXT(text);
        scene_counters_path((enum capture_counter)i, &into);
        for (size_t at = 0; at <= into.used; at++)
            wide[at] = (wchar_t)text[at];
        if (wcscmp(wide, path) == 0)
            return (enum capture_counter)i;
    }
    return CAPTURE_OTHER;
}

bool windows_is_wine(void)
{
    return pdh_double.is_wine;
}

enum cas_err
windows_fail(struct cas_why *why, enum cas_err err, uint32_t code, const char *fmt, ...)
{
    char head[256];
    va_list args;
    va_start(args, fmt);
    (void)vsnprintf(head, sizeof head, fmt, args);
    va_end(args);
    return cas_fail(why, err, "%s: error 0x%08lX", head, (unsigned long)code);
}

PDH_STATUS WINAPI PdhOpenQueryW(LPCWSTR source, DWORD_PTR user, PDH_HQUERY *ret_query)
{
    (void)source;
    (void)user;
    *ret_query = (PDH_HQUERY)&pdh_double;
    pdh_double.open_n += pdh_double.open_code == 0 ? 1 : 0;
    return (PDH_STATUS)pdh_double.open_code;
}

PDH_STATUS WINAPI PdhCloseQuery(PDH_HQUERY query)
{
    EXPECT_TRUE(query == (PDH_HQUERY)&pdh_double);
    pdh_double.close_n++;
    return 0;
}

PDH_STATUS WINAPI PdhAddEnglishCounterW(PDH_HQUERY query,
                                        LPCWSTR path,
                                        DWORD_PTR user,
                                        PDH_HCOUNTER *ret_counter)
{
    (void)user;
    enum capture_counter kind = kind_of(path);
    EXPECT_TRUE(query == (PDH_HQUERY)&pdh_double);
    EXPECT_TRUE(kind != CAPTURE_OTHER);
    if (pdh_double.counter[kind].add_code != 0)
        return (PDH_STATUS)pdh_double.counter[kind].add_code;
    pdh_double.counter[kind].added_n++;
    *ret_counter = (PDH_HCOUNTER)&pdh_double.counter[kind];
    return 0;
}

PDH_STATUS WINAPI PdhRemoveCounter(PDH_HCOUNTER counter)
{
    ((struct double_counter *)counter)->removed_n++;
    return 0;
}

PDH_STATUS WINAPI PdhCollectQueryData(PDH_HQUERY query)
{
    EXPECT_TRUE(query == (PDH_HQUERY)&pdh_double);
    pdh_double.collect_n++;
    return (PDH_STATUS)pdh_double.collect_code;
}

PDH_STATUS WINAPI PdhEnumObjectsW(LPCWSTR source,
                                  LPCWSTR machine,
                                  LPWSTR list,
                                  LPDWORD size,
                                  DWORD detail,
                                  WINBOOL is_refresh)
{
    (void)source;
    (void)machine;
    (void)list;
    (void)detail;
    EXPECT_TRUE(is_refresh);
    EXPECT_UINT_EQ(0, *size);
    pdh_double.refresh_n++;
    return (PDH_STATUS)PDH_MORE_DATA;
}

PDH_STATUS WINAPI PdhGetFormattedCounterValue(PDH_HCOUNTER counter,
                                              DWORD format,
                                              LPDWORD type,
                                              PPDH_FMT_COUNTERVALUE ret_value)
{
    const struct double_counter *from = (const struct double_counter *)counter;
    (void)type;
    EXPECT_UINT_EQ(PDH_FMT_DOUBLE | PDH_FMT_NOCAP100, format);
    ret_value->CStatus = from->status[0];
    ret_value->doubleValue = from->value[0];
    return (PDH_STATUS)from->code;
}

PDH_STATUS WINAPI PdhGetFormattedCounterArrayW(PDH_HCOUNTER counter,
                                               DWORD format,
                                               LPDWORD size,
                                               LPDWORD ret_n,
                                               PPDH_FMT_COUNTERVALUE_ITEM_W array)
{
    struct double_counter *from = (struct double_counter *)counter;
    DWORD wanted = (DWORD)(from->name_n * sizeof *array);
    EXPECT_UINT_EQ(PDH_FMT_DOUBLE | PDH_FMT_NOCAP100, format);
    if (from->code != 0)
        return (PDH_STATUS)from->code;
    if (*size < wanted) {
        *size = wanted;
        return (PDH_STATUS)PDH_MORE_DATA;
    }
    for (size_t i = 0; i < from->name_n; i++) {
        array[i].szName = from->name[i];
        array[i].FmtValue.CStatus = from->status[i];
        array[i].FmtValue.doubleValue = from->value[i];
    }
    *ret_n = (DWORD)from->name_n;
    return 0;
}

/* ---- the stage ---- */

struct stage {
    struct windows_pdh *pdh;
    struct scene_counters counters;
};

static void stage_free(struct stage *stage)
{
    if (stage == NULL)
        return;
    windows_pdh_free(stage->pdh);
    free(stage);
}
CAS_AUTO_DEFINE(stage);

/* A server whose every counter is there and has 7, and whose pool has the worker 4120. */
static struct stage *stage_open(void)
{
    struct cas_why why = {""};
    struct stage *stage = calloc(1, sizeof *stage);
    CAS_ASSERT(stage != NULL);
    memset(&pdh_double, 0, sizeof pdh_double);
    for (size_t i = CAPTURE_OTHER + 1; i < CAPTURE_COUNTER_N; i++) {
        pdh_double.counter[i].value[0] = 7;
        set_name(pdh_double.counter[i].name[0], L"w3wp");
        pdh_double.counter[i].name_n = 1;
    }
    set_name(pdh_double.counter[CAPTURE_WORKER_ACTIVE].name[0], L"4120_MSExchangeSyncAppPool");
    set_name(pdh_double.counter[CAPTURE_QUEUE_REJECTED].name[0], L"MSExchangeSyncAppPool");
    EXPECT_OK(windows_pdh_open("MSExchangeSyncAppPool", &stage->pdh, &why), &why);
    return stage;
}

static void stage_read(struct stage *stage, int64_t mono_ms)
{
    struct cas_why why = {""};
    struct cas_now now = {.mono_ms = mono_ms};
    EXPECT_OK(windows_pdh_read(stage->pdh, now, &stage->counters, &why), &why);
}

static const struct scene_counter *
row_of(const struct stage *stage, enum capture_counter kind, const char *instance)
{
    for (size_t i = 0; i < stage->counters.row_n; i++) {
        const struct scene_counter *row = &stage->counters.row[i];
        if (row->kind == kind && strcmp(row->instance, instance) == 0)
            return row;
    }
    return NULL;
}

static const char *absent(const struct stage *stage, enum capture_counter kind)
{
    return stage->counters.absent[kind].text;
}

TEST(host_windows_pdh, every_counter_comes_in_one_collection)
{
    CAS_AUTO(stage) stage = stage_open();
    pdh_double.counter[CAPTURE_CPU].value[0] = 104.5;
    stage_read(stage, 0);
    EXPECT_UINT_EQ(1, pdh_double.collect_n);
    EXPECT_UINT_EQ(CAPTURE_COUNTER_N - 1, stage->counters.row_n);
    for (size_t kind = CAPTURE_OTHER + 1; kind < CAPTURE_COUNTER_N; kind++)
        EXPECT_TEXT_EQ("", absent(stage, (enum capture_counter)kind));
    EXPECT_TRUE(row_of(stage, CAPTURE_CPU, "_Total")->value == 104.5);
    EXPECT_TRUE(row_of(stage, CAPTURE_PROCESS_PID, "w3wp")->value == 7);
    EXPECT_NOT_NULL(row_of(stage, CAPTURE_WORKER_ACTIVE, "4120_MSExchangeSyncAppPool"));

    stage_read(stage, 999);
    EXPECT_UINT_EQ(1, pdh_double.collect_n);
    EXPECT_UINT_EQ(CAPTURE_COUNTER_N - 1, stage->counters.row_n);
    stage_read(stage, 1000);
    EXPECT_UINT_EQ(2, pdh_double.collect_n);
    EXPECT_UINT_EQ(0, pdh_double.refresh_n);
    stage_free(CAS_TAKE(stage));
    EXPECT_UINT_EQ(1, pdh_double.close_n);
}

/* Why: a rate needs two samples; until then it is not 0. */
TEST(host_windows_pdh, rate_has_no_value_in_its_first_sample_and_says_so)
{
    CAS_AUTO(stage) stage = stage_open();
    struct double_counter *rate = &pdh_double.counter[CAPTURE_EAS_REQUESTS];
    rate->code = PDH_INVALID_DATA;
    rate->status[0] = PDH_CSTATUS_INVALID_DATA;
    stage_read(stage, 0);
    EXPECT_FALSE(cas_is_number(row_of(stage, CAPTURE_EAS_REQUESTS, "")->value));
    EXPECT_TEXT_HAS("\\MSExchange ActiveSync\\Requests/sec: error 0xC0000BBA",
                    absent(stage, CAPTURE_EAS_REQUESTS));
    rate->code = 0;
    rate->status[0] = PDH_CSTATUS_NEW_DATA;
    stage_read(stage, MINUTE / 4);
    EXPECT_TRUE(row_of(stage, CAPTURE_EAS_REQUESTS, "")->value == 7);
    EXPECT_TEXT_EQ("", absent(stage, CAPTURE_EAS_REQUESTS));
    EXPECT_UINT_EQ(1, rate->added_n);
}

/* Why: an object may be registered later, by an update of Exchange or after a repair; asking all
 * the time would cost the server. */
TEST(host_windows_pdh, absent_counter_is_named_and_tried_again_after_ten_minutes)
{
    CAS_AUTO(stage) stage = stage_open();
    struct double_counter *pings = &pdh_double.counter[CAPTURE_EAS_PINGS];
    pings->add_code = PDH_CSTATUS_NO_OBJECT;
    stage_read(stage, 0);
    EXPECT_NULL(row_of(stage, CAPTURE_EAS_PINGS, ""));
    EXPECT_TEXT_EQ("PdhAddEnglishCounterW \\MSExchange ActiveSync\\Ping Commands Pending: error "
                   "0xC0000BB8",
                   absent(stage, CAPTURE_EAS_PINGS));
    pings->add_code = 0;
    /* The worker that was found first is a change, too: one more try after a minute. */
    pdh_double.counter[CAPTURE_EAS_PINGS].add_code = PDH_CSTATUS_NO_COUNTER;
    stage_read(stage, MINUTE);
    EXPECT_UINT_EQ(1, pdh_double.refresh_n);
    EXPECT_TEXT_HAS("0xC0000BB9", absent(stage, CAPTURE_EAS_PINGS));
    pings->add_code = 0;
    stage_read(stage, 11 * MINUTE - 1);
    EXPECT_UINT_EQ(1, pdh_double.refresh_n);
    EXPECT_NULL(row_of(stage, CAPTURE_EAS_PINGS, ""));
    stage_read(stage, 11 * MINUTE);
    EXPECT_UINT_EQ(2, pdh_double.refresh_n);
    EXPECT_TRUE(row_of(stage, CAPTURE_EAS_PINGS, "")->value == 7);
    EXPECT_TEXT_EQ("", absent(stage, CAPTURE_EAS_PINGS));
    EXPECT_UINT_EQ(1, pdh_double.open_n);

    stage_read(stage, 40 * MINUTE);
    EXPECT_UINT_EQ(2, pdh_double.refresh_n);
}

TEST(host_windows_pdh, another_worker_lets_absent_counters_be_tried_after_a_minute)
{
    CAS_AUTO(stage) stage = stage_open();
    pdh_double.counter[CAPTURE_CLR_HEAP].add_code = PDH_CSTATUS_NO_OBJECT;
    stage_read(stage, 0);
    stage_read(stage, MINUTE);
    EXPECT_UINT_EQ(1, pdh_double.refresh_n);
    pdh_double.counter[CAPTURE_CLR_HEAP].add_code = 0;
    set_name(pdh_double.counter[CAPTURE_WORKER_ACTIVE].name[0], L"7788_MSExchangeSyncAppPool");
    stage_read(stage, MINUTE + 15000);
    EXPECT_UINT_EQ(1, pdh_double.refresh_n);
    stage_read(stage, 2 * MINUTE);
    EXPECT_UINT_EQ(2, pdh_double.refresh_n);
    EXPECT_NOT_NULL(row_of(stage, CAPTURE_CLR_HEAP, "w3wp"));
}

/* Why: while the pool has no worker its counters have no instance; that is a reason, and the
 * counter stays for the worker to come. */
TEST(host_windows_pdh, instances_come_and_go)
{
    CAS_AUTO(stage) stage = stage_open();
    struct double_counter *active = &pdh_double.counter[CAPTURE_WORKER_ACTIVE];
    stage_read(stage, 0);
    active->code = PDH_NO_DATA;
    stage_read(stage, 5000);
    EXPECT_TEXT_HAS("\\W3SVC_W3WP(*)\\Active Requests: error 0x800007D5",
                    absent(stage, CAPTURE_WORKER_ACTIVE));
    stage_read(stage, 12 * MINUTE);
    active->code = 0;
    active->name_n = 0;
    stage_read(stage, 13 * MINUTE);
    EXPECT_TEXT_EQ("\\W3SVC_W3WP(*)\\Active Requests: 0 instances, none of the pool",
                   absent(stage, CAPTURE_WORKER_ACTIVE));
    set_name(active->name[0], L"9999_Other");
    set_name(active->name[1], L"7788_MSExchangeSyncAppPool");
    active->value[1] = 12;
    active->name_n = 2;
    stage_read(stage, 30 * MINUTE);
    EXPECT_TEXT_EQ("", absent(stage, CAPTURE_WORKER_ACTIVE));
    EXPECT_TRUE(row_of(stage, CAPTURE_WORKER_ACTIVE, "7788_MSExchangeSyncAppPool")->value == 12);
    EXPECT_UINT_EQ(1, active->added_n);
    EXPECT_UINT_EQ(0, active->removed_n);
}

/* How: of two workers one has a value that is negative, as PDH says; another process' trouble is no
 * reason for ours. */
TEST(host_windows_pdh, one_instance_without_value_is_none_and_the_other_stays)
{
    CAS_AUTO(stage) stage = stage_open();
    struct double_counter *bytes = &pdh_double.counter[CAPTURE_PROCESS_PRIVATE];
    set_name(bytes->name[1], L"w3wp");
    set_name(bytes->name[2], L"svchost");
    bytes->name_n = 3;
    bytes->value[1] = 8;
    bytes->status[2] = PDH_CSTATUS_INVALID_DATA;
    stage_read(stage, 0);
    EXPECT_TEXT_EQ("", absent(stage, CAPTURE_PROCESS_PRIVATE));
    bytes->status[0] = PDH_CALC_NEGATIVE_VALUE;
    stage_read(stage, 5000);
    EXPECT_FALSE(cas_is_number(row_of(stage, CAPTURE_PROCESS_PRIVATE, "w3wp")->value));
    EXPECT_TRUE(row_of(stage, CAPTURE_PROCESS_PRIVATE, "w3wp#1")->value == 8);
    EXPECT_TEXT_HAS("error 0x800007D8", absent(stage, CAPTURE_PROCESS_PRIVATE));
}

/* Why: a counter whose provider was replaced may stay broken until it is added anew. */
TEST(host_windows_pdh, counter_that_keeps_failing_is_added_anew)
{
    CAS_AUTO(stage) stage = stage_open();
    struct double_counter *heap = &pdh_double.counter[CAPTURE_CLR_HEAP];
    heap->code = PDH_CSTATUS_INVALID_DATA;
    stage_read(stage, 0);
    stage_read(stage, 9 * MINUTE);
    EXPECT_TRUE(heap->added_n >= 1);
    heap->code = 0;
    size_t before = heap->removed_n;
    stage_read(stage, 20 * MINUTE);
    EXPECT_NOT_NULL(row_of(stage, CAPTURE_CLR_HEAP, "w3wp"));
    EXPECT_TRUE(heap->removed_n >= before);
    EXPECT_UINT_EQ(heap->added_n, heap->removed_n + 1);
}

TEST(host_windows_pdh, query_that_fails_as_a_whole_is_told_and_opened_anew)
{
    CAS_AUTO(stage) stage = stage_open();
    stage_read(stage, 0);
    pdh_double.collect_code = PDH_INVALID_HANDLE;
    stage_read(stage, 5000);
    EXPECT_UINT_EQ(0, stage->counters.row_n);
    EXPECT_UINT_EQ(1, pdh_double.close_n);
    for (size_t kind = CAPTURE_OTHER + 1; kind < CAPTURE_COUNTER_N; kind++)
        EXPECT_TEXT_HAS("PdhCollectQueryData", absent(stage, (enum capture_counter)kind));
    pdh_double.collect_code = 0;
    stage_read(stage, MINUTE);
    EXPECT_UINT_EQ(2, pdh_double.open_n);
    EXPECT_UINT_EQ(CAPTURE_COUNTER_N - 1, stage->counters.row_n);
    EXPECT_TEXT_EQ("", absent(stage, CAPTURE_CPU));
}

TEST(host_windows_pdh, pdh_that_cannot_be_used_is_every_counter_s_reason)
{
    CAS_AUTO(stage) stage = stage_open();
    pdh_double.open_code = PDH_MEMORY_ALLOCATION_FAILURE;
    stage_read(stage, 0);
    for (size_t kind = CAPTURE_OTHER + 1; kind < CAPTURE_COUNTER_N; kind++)
        EXPECT_TEXT_HAS("error 0xC0000BBB", absent(stage, (enum capture_counter)kind));
    EXPECT_UINT_EQ(0, pdh_double.collect_n);
    pdh_double.open_code = 0;
    stage_read(stage, 10 * MINUTE);
    EXPECT_UINT_EQ(CAPTURE_COUNTER_N - 1, stage->counters.row_n);
}

TEST(host_windows_pdh, nothing_is_asked_under_wine)
{
    CAS_AUTO(stage) stage = stage_open();
    stage_free(CAS_TAKE(stage));
    stage = stage_open();
    windows_pdh_free(CAS_TAKE(stage->pdh));
    pdh_double.is_wine = true;
    EXPECT_OK(windows_pdh_open("MSExchangeSyncAppPool", &stage->pdh, NULL), NULL);
    stage_read(stage, 0);
    stage_read(stage, 60 * MINUTE);
    EXPECT_UINT_EQ(0, pdh_double.open_n + pdh_double.collect_n + pdh_double.refresh_n);
    EXPECT_TEXT_EQ("\\Processor(_Total)\\% Processor Time: Wine has no such counter",
                   absent(stage, CAPTURE_CPU));
}

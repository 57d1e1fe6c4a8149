#include "agent/host/host_windows.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <wchar.h>
#include <windows.h>

#include <pdh.h>
#include <pdhmsg.h>

#include "agent/host/scene_raw.h"

/* What this file rests on, none of it seen under Wine. "name/project number": a discussion there.
 * - A path with (*) added once yields the instances that exist at each collection; an object that
 *   had none yet is no error. Microsoft, "PdhAddCounterW function", "Creating a Query";
 *   open-telemetry/opentelemetry-collector-contrib 33815.
 * - An array leaves out the #1 of equal names: elastic/beats 9835, influxdata/telegraf 2879.
 * - Rates of such instances mix up processes (open-telemetry/opentelemetry-collector-contrib
 * 32798): arrays are asked for counters of one sample only; the rates here belong to objects
 * without instances.
 * - Objects that were registered after this process first used PDH stay unknown to it until
 *   PdhEnumObjects refreshes its names: DataDog/datadog-agent 13101, GuillaumeGomez/sysinfo 1385.
 * - PDH_FMT_DOUBLE is not scaled by a counter's default scale, which is for charts; NOCAP100 keeps
 *   values above 100, and of more than 32 bits, as they are: influxdata/telegraf 7007. */
enum {
    AGAIN_MS = 10 * 60 * 1000,   /* absent counters are tried again after */
    AGAIN_WORKER_MS = 60 * 1000, /* and when the pool's worker has changed, but not sooner */
    AGAIN_COST = 1000,           /* nor before this many times what the last try took */
    COLLECT_MS = 1000,           /* a rate over less says nothing */
    ARRAY_BYTES = 4 * 1024 * 1024,
    ARRAY_TRIES = 3,
    FORMAT = PDH_FMT_DOUBLE | PDH_FMT_NOCAP100,
    PATH_UNITS = 128,
};

struct windows_pdh {
    char pool[POOL_BYTES];
    PDH_HQUERY query;                        /* NULL: none */
    PDH_HCOUNTER counter[CAPTURE_COUNTER_N]; /* NULL: not there */
    bool is_failing[CAPTURE_COUNTER_N];      /* there, and the last reading was an error */
    struct scene_reason absent[CAPTURE_COUNTER_N];
    bool is_wine, was_tried, was_collected;
    int64_t tried_ms, cost_ms, again_ms, collected_ms; /* monotonic */
    uint32_t collect_code;
    uint64_t workers;
    size_t array_bytes;
    PDH_FMT_COUNTERVALUE_ITEM_W *array; /* [array_bytes] */
};

enum cas_err windows_pdh_open(const char *pool, struct windows_pdh **ret_pdh, struct cas_why *why)
{
    CAS_AUTO(windows_pdh) pdh = calloc(1, sizeof *pdh);
    if (pdh == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "no memory for performance counters");
    enum cas_err err = cas_slice_copy(cas_slice_of(pool), pdh->pool, sizeof pdh->pool);
    if (err != CAS_OK)
        return cas_fail(why, err, "pool %s: longer than %d bytes", pool, POOL_BYTES - 1);
    pdh->is_wine = windows_is_wine();
    *ret_pdh = CAS_TAKE(pdh);
    return CAS_OK;
}

static void query_close(struct windows_pdh *pdh)
{
    if (pdh->query != NULL)
        (void)PdhCloseQuery(pdh->query);
    pdh->query = NULL;
    pdh->was_collected = false;
    memset(pdh->counter, 0, sizeof pdh->counter);
    memset(pdh->is_failing, 0, sizeof pdh->is_failing);
}

void windows_pdh_free(struct windows_pdh *pdh)
{
    if (pdh == NULL)
        return;
    query_close(pdh);
    free(pdh->array);
    free(pdh);
}

static void set_reason(struct scene_reason *reason, const char *words)
{
    struct cas_text text = CAS_TEXT(reason->text);

    cas_text_clear(&text);
    cas_text_add(&text, "%s", words);
}

/* The code's words come last: they may be cut. */
static void
set_failed(struct windows_pdh *pdh, enum capture_counter kind, const char *call, uint32_t code)
{
    char path[PATH_UNITS];
    struct cas_text text = CAS_TEXT(path);
    struct cas_why why = {{0}};

    scene_counters_path(kind, &text);
    (void)windows_fail(&why, CAS_ERR_IO, code, "%s %s", call, path);
    set_reason(&pdh->absent[kind], why.text);
}

/* ---- adding ---- */

static bool is_missing(const struct windows_pdh *pdh)
{
    for (size_t kind = CAPTURE_OTHER + 1; kind < CAPTURE_COUNTER_N; kind++)
        if (pdh->counter[kind] == NULL || pdh->is_failing[kind])
            return true;
    return false;
}

/* Under Wine the calls for arrays end the process, so that none of their counters may ever be
 * there; the others yield a constant. */
static void refuse_wine(struct windows_pdh *pdh)
{
    for (size_t kind = CAPTURE_OTHER + 1; kind < CAPTURE_COUNTER_N; kind++) {
        char words[REASON_BYTES];
        struct cas_text text = CAS_TEXT(words);

        scene_counters_path((enum capture_counter)kind, &text);
        cas_text_add(&text, ": Wine has no such counter");
        set_reason(&pdh->absent[kind], words);
    }
}

static void add(struct windows_pdh *pdh, enum capture_counter kind)
{
    char path[PATH_UNITS];
    wchar_t wide[PATH_UNITS];
    struct cas_text text = CAS_TEXT(path);
    PDH_HCOUNTER counter = NULL;

    scene_counters_path(kind, &text); /* ASCII, as all of capture_counters.def */
    for (size_t i = 0; i <= text.used; i++)
        wide[i] = (wchar_t)(unsigned char)path[i];
    uint32_t code = (uint32_t)PdhAddEnglishCounterW(pdh->query, wide, 0, &counter);
    if (code != ERROR_SUCCESS) {
        set_failed(pdh, kind, "PdhAddEnglishCounterW", code);
        return;
    }
    pdh->counter[kind] = counter;
    pdh->is_failing[kind] = false;
    /* A reading is of one sample: what is new needs one. */
    pdh->was_collected = false;
}

static void try_missing(struct windows_pdh *pdh)
{
    if (pdh->query == NULL) {
        uint32_t code = (uint32_t)PdhOpenQueryW(NULL, 0, &pdh->query);
        if (code != ERROR_SUCCESS) {
            pdh->query = NULL;
            for (size_t kind = CAPTURE_OTHER + 1; kind < CAPTURE_COUNTER_N; kind++)
                set_failed(pdh, (enum capture_counter)kind, "PdhOpenQueryW for", code);
            return;
        }
    }
    if (pdh->was_tried) {
        /* Only the side effect is wanted: the size says that it was done. */
        DWORD size = 0;
        (void)PdhEnumObjectsW(NULL, NULL, NULL, &size, PERF_DETAIL_WIZARD, TRUE);
    }
    for (size_t kind = CAPTURE_OTHER + 1; kind < CAPTURE_COUNTER_N; kind++) {
        if (pdh->is_failing[kind]) {
            (void)PdhRemoveCounter(pdh->counter[kind]);
            pdh->counter[kind] = NULL;
            pdh->is_failing[kind] = false;
        }
        if (pdh->counter[kind] == NULL)
            add(pdh, (enum capture_counter)kind);
    }
}

static int64_t at_least(int64_t span_ms, int64_t cost_ms)
{
    return span_ms > cost_ms * AGAIN_COST ? span_ms : cost_ms * AGAIN_COST;
}

static void try_when_due(struct windows_pdh *pdh, struct cas_now now)
{
    if (!is_missing(pdh) || (pdh->was_tried && now.mono_ms < pdh->again_ms))
        return;
    if (pdh->is_wine) {
        refuse_wine(pdh);
        pdh->cost_ms = 0;
    } else {
        ULONGLONG begin = GetTickCount64();
        try_missing(pdh);
        pdh->cost_ms = (int64_t)(GetTickCount64() - begin);
    }
    pdh->was_tried = true;
    pdh->tried_ms = now.mono_ms;
    pdh->again_ms = now.mono_ms + at_least(AGAIN_MS, pdh->cost_ms);
}

void windows_pdh_again(struct windows_pdh *pdh)
{
    int64_t soon_ms = pdh->tried_ms + at_least(AGAIN_WORKER_MS, pdh->cost_ms);

    if (soon_ms < pdh->again_ms)
        pdh->again_ms = soon_ms;
}

/* ---- reading ---- */

static bool has_value(uint32_t status)
{
    return status == PDH_CSTATUS_VALID_DATA || status == PDH_CSTATUS_NEW_DATA;
}

static void
read_value(struct windows_pdh *pdh, enum capture_counter kind, struct scene_counters *ret_counters)
{
    PDH_FMT_COUNTERVALUE value = {0};
    uint32_t code = (uint32_t)PdhGetFormattedCounterValue(pdh->counter[kind], FORMAT, NULL, &value);

    /* PDH_INVALID_DATA says less than the counter's own status. */
    if (!has_value(value.CStatus) && (code == ERROR_SUCCESS || code == PDH_INVALID_DATA))
        code = value.CStatus;
    pdh->is_failing[kind] = code != ERROR_SUCCESS;
    if (code != ERROR_SUCCESS)
        set_failed(pdh, kind, "PdhGetFormattedCounterValue", code);
    scene_counters_add_value(ret_counters,
                             kind,
                             code == ERROR_SUCCESS ? value.doubleValue : (double)NAN);
}

/* The array of one counter into pdh->array; its code. The data is that of the last collection, so
 * that the size asked for holds; a size below it is never trusted, as the documentation warns. */
static uint32_t array_get(struct windows_pdh *pdh, enum capture_counter kind, DWORD *ret_n)
{
    for (int try = 0; try < ARRAY_TRIES; try++) {
        DWORD size = 0;
        DWORD count = 0;
        uint32_t code =
            (uint32_t)PdhGetFormattedCounterArrayW(pdh->counter[kind], FORMAT, &size, &count, NULL);
        if (code != PDH_MORE_DATA) {
            *ret_n = 0; /* success without room: no instance */
            return code;
        }
        if (size > ARRAY_BYTES)
            return PDH_INSUFFICIENT_BUFFER;
        if (size > pdh->array_bytes) {
            PDH_FMT_COUNTERVALUE_ITEM_W *array = realloc(pdh->array, size);
            if (array == NULL)
                return PDH_MEMORY_ALLOCATION_FAILURE;
            pdh->array = array;
            pdh->array_bytes = size;
        }
        size = (DWORD)pdh->array_bytes;
        code = (uint32_t)
            PdhGetFormattedCounterArrayW(pdh->counter[kind], FORMAT, &size, &count, pdh->array);
        if (code != PDH_MORE_DATA && code != PDH_INVALID_ARGUMENT) {
            *ret_n = count;
            return code;
        }
    }
    return PDH_MORE_DATA;
}

static void explain_rows(struct windows_pdh *pdh,
                         enum capture_counter kind,
                         const struct scene_counters *counters,
                         size_t first,
                         DWORD item_n,
                         uint32_t status)
{
    if (counters->row_n == first) {
        char words[REASON_BYTES];
        struct cas_text text = CAS_TEXT(words);

        scene_counters_path(kind, &text);
        cas_text_add(&text, ": %lu instances, none of the pool", (unsigned long)item_n);
        set_reason(&pdh->absent[kind], words);
        return;
    }
    for (size_t i = first; i < counters->row_n; i++)
        if (!cas_is_number(counters->row[i].value))
            set_failed(pdh, kind, "PdhGetFormattedCounterArrayW", status);
}

static void
read_array(struct windows_pdh *pdh, enum capture_counter kind, struct scene_counters *ret_counters)
{
    DWORD item_n = 0;
    uint32_t status = PDH_CSTATUS_INVALID_DATA;
    uint32_t code = array_get(pdh, kind, &item_n);
    if (code == ERROR_SUCCESS && item_n > SCENE_ITEMS)
        code = PDH_INSUFFICIENT_BUFFER;
    struct scene_item *item = calloc((size_t)item_n + 1, sizeof *item);
    if (code == ERROR_SUCCESS && item == NULL)
        code = PDH_MEMORY_ALLOCATION_FAILURE;

    /* An object without any instance is no failure: the pool may have no worker now. */
    pdh->is_failing[kind] =
        code != ERROR_SUCCESS && code != PDH_NO_DATA && code != PDH_CSTATUS_NO_INSTANCE;
    if (code != ERROR_SUCCESS) {
        set_failed(pdh, kind, "PdhGetFormattedCounterArrayW", code);
        free(item);
        return;
    }
    for (DWORD i = item_n; i-- > 0;) {
        const PDH_FMT_COUNTERVALUE_ITEM_W *from = &pdh->array[i];
        bool is_known = has_value(from->FmtValue.CStatus);

        item[i].name = from->szName;
        item[i].name_n = from->szName != NULL ? wcslen(from->szName) : 0;
        item[i].value = is_known ? from->FmtValue.doubleValue : (double)NAN;
        if (!is_known)
            status = from->FmtValue.CStatus;
    }
    size_t first = ret_counters->row_n;
    (void)scene_counters_add_array(ret_counters, kind, pdh->pool, item, item_n);
    explain_rows(pdh, kind, ret_counters, first, item_n, status);
    free(item);
}

/* One sample of all counters; false when there is none. A query that fails as a whole does not
 * recover by itself: it is opened anew. */
static bool collect(struct windows_pdh *pdh, struct cas_now now)
{
    if (pdh->query == NULL)
        return false;
    if (!pdh->was_collected || now.mono_ms - pdh->collected_ms >= COLLECT_MS) {
        pdh->collect_code = (uint32_t)PdhCollectQueryData(pdh->query);
        pdh->was_collected = true;
        pdh->collected_ms = now.mono_ms;
    }
    if (pdh->collect_code == ERROR_SUCCESS)
        return true;
    for (size_t kind = CAPTURE_OTHER + 1; kind < CAPTURE_COUNTER_N; kind++)
        if (pdh->counter[kind] != NULL)
            set_failed(pdh, (enum capture_counter)kind, "PdhCollectQueryData", pdh->collect_code);
    if (pdh->collect_code != PDH_NO_DATA) {
        query_close(pdh);
        windows_pdh_again(pdh);
    }
    return false;
}

enum cas_err windows_pdh_read(struct windows_pdh *pdh,
                              struct cas_now now,
                              struct scene_counters *ret_counters,
                              struct cas_why *why)
{
    (void)why; /* each counter has a reason of its own */
    scene_counters_clear(ret_counters);
    try_when_due(pdh, now);
    if (collect(pdh, now)) {
        for (size_t i = CAPTURE_OTHER + 1; i < CAPTURE_COUNTER_N; i++) {
            enum capture_counter kind = (enum capture_counter)i;

            if (pdh->counter[kind] == NULL)
                continue;
            set_reason(&pdh->absent[kind], "");
            if (scene_counters_is_array(kind))
                read_array(pdh, kind, ret_counters);
            else
                read_value(pdh, kind, ret_counters);
        }
        uint64_t workers = scene_counters_workers(ret_counters);
        if (workers != pdh->workers)
            windows_pdh_again(pdh);
        pdh->workers = workers;
    }
    memcpy(ret_counters->absent, pdh->absent, sizeof ret_counters->absent);
    return CAS_OK;
}

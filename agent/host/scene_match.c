#include "agent/host/scene.h"

#include <string.h>

/* As counter paths are written, for reasons. */
static const char *path_of(enum capture_counter kind)
{
    static const char *const paths[CAPTURE_COUNTER_N] = {
#define COUNTER(name, object, counter) [CAPTURE_##name] = object " " counter,
#include "agent/host/capture_counters.def"
#undef COUNTER
    };
    return paths[kind] != NULL ? paths[kind] : "a counter";
}

/* Why the counter has no value that counts. */
static bool say_none(const struct scene_counters *counters,
                     enum capture_counter kind,
                     const char *words,
                     struct scene_reason *ret_reason)
{
    struct cas_text text = CAS_TEXT(ret_reason->text);
    cas_text_clear(&text);
    if (counters->absent[kind].text[0] != '\0')
        cas_text_add(&text, "%s", counters->absent[kind].text);
    else
        cas_text_add(&text, "%s: %s", path_of(kind), words);
    if (counters->dropped_n > 0)
        cas_text_add(&text, " (%zu values beyond %d)", counters->dropped_n, SCENE_COUNTERS);
    return false;
}

static bool is_named(const struct scene_counter *row, const char *instance)
{
    return capture_same(cas_slice_of(row->instance), instance);
}

static bool value_of(const struct scene_counters *counters,
                     const struct scene_counter *row,
                     double *ret_value,
                     struct scene_reason *ret_reason)
{
    if (!cas_is_number(row->value))
        return say_none(counters, row->kind, "no value in this sample", ret_reason);
    *ret_value = row->value;
    ret_reason->text[0] = '\0';
    return true;
}

bool scene_counter(const struct scene_counters *counters,
                   enum capture_counter kind,
                   const char *instance,
                   double *ret_value,
                   struct scene_reason *ret_reason)
{
    bool has_kind = false;
    for (size_t i = 0; i < counters->row_n; i++) {
        const struct scene_counter *row = &counters->row[i];
        if (row->kind != kind)
            continue;
        if (is_named(row, instance))
            return value_of(counters, row, ret_value, ret_reason);
        has_kind = true;
    }
    return say_none(counters,
                    kind,
                    has_kind ? "no such instance" : "not in this sample",
                    ret_reason);
}

/* Which of several instances of the same name, counted in the order of the sample: Windows hands
 * equal names over without their number. */
static size_t rows_named(const struct scene_counters *counters,
                         enum capture_counter kind,
                         const char *instance,
                         size_t before)
{
    size_t count = 0;
    for (size_t i = 0; i < before; i++) {
        const struct scene_counter *row = &counters->row[i];
        count += row->kind == kind && is_named(row, instance) ? 1 : 0;
    }
    return count;
}

static const struct scene_counter *row_named(const struct scene_counters *counters,
                                             enum capture_counter kind,
                                             const char *instance,
                                             size_t ordinal)
{
    for (size_t i = 0; i < counters->row_n; i++) {
        const struct scene_counter *row = &counters->row[i];
        if (row->kind != kind || !is_named(row, instance))
            continue;
        if (ordinal == 0)
            return row;
        ordinal--;
    }
    return NULL;
}

/* By the PID counter of the same instance of the same object. */
static bool counter_by_pid(const struct scene_counters *counters,
                           enum capture_counter kind,
                           enum capture_counter pid_kind,
                           uint32_t pid,
                           double *ret_value,
                           struct scene_reason *ret_reason)
{
    size_t at = counters->row_n;
    for (size_t i = 0; i < counters->row_n; i++) {
        const struct scene_counter *row = &counters->row[i];
        if (row->kind != pid_kind || !cas_is_number(row->value) || row->value != (double)pid)
            continue;
        if (at < counters->row_n)
            return say_none(counters, kind, "two instances claim the same process", ret_reason);
        at = i;
    }
    if (at == counters->row_n)
        return say_none(counters, kind, "no instance has the worker's process id", ret_reason);
    const char *instance = counters->row[at].instance;
    size_t pid_n = rows_named(counters, pid_kind, instance, counters->row_n);
    size_t kind_n = rows_named(counters, kind, instance, counters->row_n);
    if (kind_n == 0)
        return say_none(counters, kind, "the worker's instance is not in this sample", ret_reason);
    if (pid_n != kind_n)
        return say_none(counters, kind, "instances of one name cannot be told apart", ret_reason);
    size_t ordinal = rows_named(counters, pid_kind, instance, at);
    const struct scene_counter *row = row_named(counters, kind, instance, ordinal);
    return value_of(counters, row, ret_value, ret_reason);
}

static const struct scene_counter *
row_of_worker(const struct scene_counters *counters, enum capture_counter kind, uint32_t pid)
{
    for (size_t i = 0; i < counters->row_n; i++) {
        const struct scene_counter *row = &counters->row[i];
        struct cas_slice name = cas_slice_of(row->instance);
        struct cas_slice pool;
        uint32_t found = 0;
        if (row->kind != kind)
            continue;
        bool is_named_so = kind == CAPTURE_WORKER_ACTIVE
                               ? capture_worker_instance(name, &found, &pool)
                               : capture_clr_instance(name, &found);
        if (is_named_so && found == pid)
            return row;
    }
    return NULL;
}

static bool is_clr(enum capture_counter kind)
{
    return kind == CAPTURE_CLR_GC_TIME || kind == CAPTURE_CLR_HEAP;
}

bool scene_counter_of(const struct scene_counters *counters,
                      enum capture_counter kind,
                      uint32_t pid,
                      double *ret_value,
                      struct scene_reason *ret_reason)
{
    if (kind == CAPTURE_WORKER_ACTIVE || is_clr(kind)) {
        const struct scene_counter *row = row_of_worker(counters, kind, pid);
        if (row != NULL)
            return value_of(counters, row, ret_value, ret_reason);
    }
    if (kind == CAPTURE_WORKER_ACTIVE)
        return say_none(counters, kind, "no instance of this worker in this sample", ret_reason);
    enum capture_counter pid_kind = is_clr(kind) ? CAPTURE_CLR_PID : CAPTURE_PROCESS_PID;
    return counter_by_pid(counters, kind, pid_kind, pid, ret_value, ret_reason);
}

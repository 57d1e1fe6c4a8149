/* Any bytes as a window, and as a calendar file of blackout dates. The first byte says which, so
 * that neither is tried on the other's inputs: 'w' a window, any other a calendar. */
#include "tests/fuzz/fuzz.h"

#include <stdlib.h>

#include "controller/core/window.h"

enum {
    WINDOWS = 8,
    BLACKOUTS = 256,
};
#define NOW_MS INT64_C(1764000000000) /* in November 2025 */
static const int64_t day_ms = INT64_C(24) * 60 * 60 * 1000;

static void check_window(struct cas_slice text)
{
    struct window_rule rule;
    struct window_time time[WINDOWS];
    struct cas_why why = {""};
    size_t n = 0;
    enum cas_err err = window_parse(text, &rule, &why);
    CAS_ASSERT((err == CAS_OK) == (why.text[0] == '\0'));
    if (err != CAS_OK)
        return;
    CAS_ASSERT(rule.length_min >= 1 && rule.length_min < 24 * 60);
    rule = window_at_site(&rule, "Europe/Berlin");
    CAS_ASSERT(window_next(&rule, NOW_MS, WINDOWS, time, &n, &why) == CAS_OK);
    CAS_ASSERT(n <= WINDOWS);
    for (size_t i = 0; i < n; i++) {
        CAS_ASSERT(time[i].start_ms > (i == 0 ? NOW_MS : time[i - 1].start_ms));
        CAS_ASSERT(time[i].end_ms >= time[i].start_ms);
        CAS_ASSERT(time[i].end_ms <= time[i].start_ms + 2 * day_ms);
    }
}

static void check_calendar(struct cas_slice file)
{
    static struct window_blackout black[BLACKOUTS];
    static const struct window_rule rule = {.recur = "FREQ=DAILY", .zone = "Europe/Berlin"};
    static const struct window_time time = {.start_ms = NOW_MS, .end_ms = NOW_MS + 1000};
    struct cas_why why = {""};
    size_t n = 0;
    enum cas_err err = window_blackouts_read(file,
                                             NOW_MS - 2 * day_ms,
                                             NOW_MS + 3 * 366 * day_ms,
                                             BLACKOUTS,
                                             black,
                                             &n,
                                             &why);
    CAS_ASSERT((err == CAS_OK) == (why.text[0] == '\0'));
    CAS_ASSERT(err != CAS_OK || n <= BLACKOUTS);
    for (size_t i = 0; err == CAS_OK && i < n; i++) {
        bool is_black = false;
        CAS_ASSERT(black[i].is_day ? black[i].from_day <= black[i].to_day
                                   : black[i].start_ms <= black[i].end_ms);
        CAS_ASSERT(cas_is_clean_text(cas_slice_of(black[i].name)));
        CAS_ASSERT(window_is_black(&rule, &time, &black[i], &is_black, &why) == CAS_OK);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct cas_slice text = {(const char *)data + 1, size - 1};
    if (data[0] == 'w')
        check_window(text);
    else
        check_calendar(text);
    return 0;
}

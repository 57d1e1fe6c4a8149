#include <string.h>
#include <time.h>

#include "controller/ask/ask_room.h"
#include "controller/core/window.h"

enum {
    NOON_S = 12 * 60 * 60,
    SEARCH_S = 4 * 60 * 60 /* no clock is ever changed by more */
};

static bool take_word(struct cas_slice *text, const char *word)
{
    size_t size = strlen(word);
    if (text->size <= size || memcmp(text->data, word, size) != 0 || text->data[size] != ' ')
        return false;
    size_t at = size;
    while (at < text->size && text->data[at] == ' ')
        at++;
    *text = (struct cas_slice){text->data + at, text->size - at};
    return true;
}

static int minute_of(const struct tm *at)
{
    return ((at->tm_year * 12 + at->tm_mon) * 31 + at->tm_mday) * 24 * 60 + at->tm_hour * 60 +
           at->tm_min;
}

/* The first instant whose local time is not before at: a time that a clock change leaps over is the
 * instant of the leap, one that comes twice is its first. */
static int64_t first_local(struct tm at)
{
    struct tm noon = at; /* which every day has */
    noon.tm_hour = 12;
    noon.tm_min = 0;
    int wall_s = (at.tm_hour * 60 + at.tm_min) * 60;
    time_t from = mktime(&noon) - NOON_S + wall_s - SEARCH_S;
    noon.tm_hour = at.tm_hour;
    noon.tm_min = at.tm_min;
    int wanted = minute_of(&noon);
    for (time_t second = from; second <= from + 2 * SEARCH_S; second += 60) {
        const struct tm *local = localtime(&second);
        if (local == NULL || minute_of(local) >= wanted)
            return (int64_t)second * 1000;
    }
    return (int64_t)(from + SEARCH_S) * 1000;
}

/* The next such time of day in local time; the C library knows the zone and its changes. */
static int64_t next_local(struct cas_now now, int hour, int minute, int days_on)
{
    time_t today = (time_t)(now.wall_ms / 1000);
    const struct tm *local = localtime(&today);
    if (local == NULL)
        return 0;
    struct tm at = *local;
    at.tm_hour = hour;
    at.tm_min = minute;
    at.tm_sec = 0;
    at.tm_isdst = -1;
    at.tm_mday += days_on;
    int64_t wall_ms = first_local(at);
    if (days_on > 0 || wall_ms > now.wall_ms)
        return wall_ms;
    at.tm_mday += 1;
    return first_local(at);
}

enum cas_err
ask_when(struct cas_slice text, struct cas_now now, int64_t *ret_wall_ms, struct cas_why *why)
{
    int32_t at_min = 0;
    if (cas_slice_is(text, "now")) {
        *ret_wall_ms = now.wall_ms;
        return CAS_OK;
    }
    if (cas_parse_utc(text, ret_wall_ms, NULL) == CAS_OK)
        return CAS_OK;
    struct cas_slice rest = text;
    bool is_tomorrow = take_word(&rest, "tomorrow");
    if (!is_tomorrow && !take_word(&rest, "tonight"))
        take_word(&rest, "today");
    if (!window_clock(rest, &at_min))
        return cas_fail(
            why,
            CAS_ERR_FORMAT,
            "\"%.*s\" is no time: write now, 01:00, 'tonight 01:00', 'tomorrow 01:00' or "
            "2026-10-15T00:00Z",
            (int)(text.size < 80 ? text.size : 80),
            text.data == NULL ? "" : text.data);
    *ret_wall_ms = next_local(now, at_min / 60, at_min % 60, is_tomorrow ? 1 : 0);
    return CAS_OK;
}

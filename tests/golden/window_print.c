/* Windows as casfleet sees them, for comparing with another implementation: each line of stdin is
 * AFTER_MS, COUNT and the window's text parted by tabs; each window is a line "START_MS END_MS DAY
 * SHIFT", each question ends with a line "." or "! REASON". */
#include <stdio.h>
#include <string.h>

#include "controller/core/window.h"

static enum cas_err answer(char *line, struct cas_why *why)
{
    static struct window_time time[WINDOW_NEXT_MOST];
    char *count = strchr(line, '\t');
    char *text = count == NULL ? NULL : strchr(count + 1, '\t');
    if (text == NULL)
        return cas_fail(why, CAS_ERR_FORMAT, "AFTER_MS, COUNT and a window, parted by tabs");
    struct cas_slice after_text = {line, (size_t)(count - line)};
    struct cas_slice count_text = {count + 1, (size_t)(text - count) - 1};
    int64_t after_ms = 0, most = 0;
    size_t n = 0;
    struct window_rule rule;
    enum cas_err err = cas_parse_i64(after_text, 0, INT64_MAX, &after_ms, why);
    if (err == CAS_OK)
        err = cas_parse_i64(count_text, 1, WINDOW_NEXT_MOST, &most, why);
    if (err == CAS_OK)
        err = window_parse(cas_slice_of(text + 1), &rule, why);
    if (err == CAS_OK)
        err = window_next(&rule, after_ms, (size_t)most, time, &n, why);
    for (size_t i = 0; i < n; i++)
        printf("%lld %lld %d %d\n",
               (long long)time[i].start_ms,
               (long long)time[i].end_ms,
               (int)time[i].day,
               (int)time[i].shift);
    return err;
}

int main(void)
{
    char line[512];
    while (fgets(line, sizeof line, stdin) != NULL) {
        struct cas_why why = {.text = ""};
        line[strcspn(line, "\n")] = '\0';
        enum cas_err err = answer(line, &why);
        if (err == CAS_OK)
            printf(".\n");
        else
            printf("! %s\n", why.text);
        fflush(stdout);
    }
    return 0;
}

#include "proto/base/failpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FAILPOINTS = 16,
    FAILPOINT_NAME_BYTES = 64
};

enum failpoint_what {
    WHAT_KILL,
    WHAT_EIO,
    WHAT_ENOSPC
};

struct failpoint {
    char name[FAILPOINT_NAME_BYTES];
    int64_t at; /* the passage that fails */
    bool is_lasting;
    enum failpoint_what what;
    int64_t passed;
};

static struct failpoint points[FAILPOINTS];
static size_t point_n;
static bool is_read;

/* The part of *rest up to a byte, which is stepped over; all of it when the byte is not there. */
static struct cas_slice next_part(struct cas_slice *rest, char byte)
{
    size_t size = 0;
    while (size < rest->size && rest->data[size] != byte)
        size++;
    struct cas_slice part = {rest->data, size};
    size_t step = size < rest->size ? size + 1 : size;
    *rest = (struct cas_slice){rest->data + step, rest->size - step};
    return part;
}

static bool point_read(struct cas_slice text, struct failpoint *ret_point)
{
    static const struct {
        const char *name;
        enum failpoint_what what;
    } whats[] = {{"kill", WHAT_KILL}, {"eio", WHAT_EIO}, {"enospc", WHAT_ENOSPC}};
    struct failpoint point = {0};
    struct cas_slice name = next_part(&text, ':');
    struct cas_slice count = next_part(&text, ':');
    if (count.size > 0 && count.data[count.size - 1] == '+') {
        point.is_lasting = true;
        count.size--;
    }
    if (name.size == 0 || cas_slice_copy(name, point.name, sizeof point.name) != CAS_OK ||
        cas_parse_i64(count, 1, INT64_MAX, &point.at, NULL) != CAS_OK)
        return false;
    for (size_t i = 0; i < CAS_COUNT(whats); i++) {
        if (cas_slice_is(text, whats[i].name)) {
            point.what = whats[i].what;
            *ret_point = point;
            return true;
        }
    }
    return false;
}

void failpoint_set(const char *setting)
{
    struct cas_slice rest = cas_slice_of(setting);
    point_n = 0;
    is_read = true;
    while (rest.size > 0) {
        if (point_n == FAILPOINTS || !point_read(next_part(&rest, ','), &points[point_n])) {
            (void)fprintf(stderr,
                          "CASFLEET_FAILPOINT=%s: write NAME:N:kill|eio|enospc, at most %d\n",
                          setting,
                          FAILPOINTS);
            abort();
        }
        point_n++;
    }
}

int64_t failpoint_passages(const char *name)
{
    for (size_t i = 0; i < point_n; i++) {
        if (strcmp(points[i].name, name) == 0)
            return points[i].passed;
    }
    return 0;
}

enum cas_err failpoint_pass(const char *name)
{
    if (!is_read)
        failpoint_set(getenv("CASFLEET_FAILPOINT"));
    enum cas_err err = CAS_OK;
    for (size_t i = 0; i < point_n; i++) {
        struct failpoint *point = &points[i];
        if (strcmp(point->name, name) != 0)
            continue;
        point->passed++;
        if (point->passed != point->at && !(point->is_lasting && point->passed > point->at))
            continue;
        switch (point->what) {
        case WHAT_KILL:
            failpoint_kill();
        case WHAT_EIO:
            err = CAS_ERR_IO;
            break;
        case WHAT_ENOSPC:
            err = CAS_ERR_FULL;
            break;
        }
    }
    return err;
}

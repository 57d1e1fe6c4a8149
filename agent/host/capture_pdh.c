#include "agent/host/capture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    WEST_MOST_MIN = 900, /* no zone is further from UTC than 14 h; 15 leaves room */
    MINUTE_MS = 60000,
    TIME_BYTES = 19, /* 12/29/2020 18:20:42 */
    TIME_MS_BYTES = 23,
    SHOWN = 60 /* bytes of a refused value that a reason shows */
};

/* Objects whose instances are brought together by PID. */
enum group_class {
    GROUP_NONE,
    GROUP_WORKER,
    GROUP_CLR,
    GROUP_PROCESS
};

struct pdh_group {
    enum group_class class;
    struct cas_slice instance;
    size_t column[CAPTURE_COUNTER_N]; /* 1 more than the column, 0 = none */
};

struct capture_pdh {
    struct capture_lines lines;
    struct capture_lines body; /* where rows begin */
    struct cas_slice header;
    char separator;
    char *names; /* header fields without their quotes */
    struct capture_path *column;
    struct pdh_group *group;
    size_t group_n;
    double *value;
    struct capture_pdh_head head;
};

static int shown(struct cas_slice text)
{
    return (int)(text.size > SHOWN ? SHOWN : text.size);
}

/* ---- paths ---- */

static enum capture_counter counter_kind(struct cas_slice object, struct cas_slice counter)
{
    static const struct {
        const char *object;
        const char *counter;
        enum capture_counter kind;
    } known[] = {
#define COUNTER(name, object, counter) {(object), (counter), CAPTURE_##name},
#include "agent/host/capture_counters.def"
#undef COUNTER
    };
    for (size_t i = 0; i < CAS_COUNT(known); i++) {
        if (capture_same(object, known[i].object) && capture_same(counter, known[i].counter))
            return known[i].kind;
    }
    return CAPTURE_OTHER;
}

enum cas_err capture_path_parse(struct cas_slice text, struct capture_path *ret_path)
{
    struct cas_slice rest = capture_trim(text);
    struct capture_path path = {.kind = CAPTURE_OTHER};
    struct cas_slice empty = {.data = rest.data, .size = 0};
    path.host = empty;
    path.instance = empty;
    if (capture_starts(rest, "\\\\")) {
        rest.data += 2;
        rest.size -= 2;
        if (!capture_cut(rest, '\\', &path.host, &rest))
            return CAS_ERR_FORMAT;
    } else if (capture_starts(rest, "\\")) {
        rest.data += 1;
        rest.size -= 1;
    } else {
        return CAS_ERR_FORMAT;
    }
    /* Counter names hold no backslash; instances may hold nearly anything. */
    struct cas_slice front;
    if (!capture_cut_last(rest, '\\', &front, &path.counter) || path.counter.size == 0)
        return CAS_ERR_FORMAT;
    path.object = front;
    struct cas_slice object;
    struct cas_slice instance;
    if (front.size > 0 && front.data[front.size - 1] == ')' &&
        capture_cut(front, '(', &object, &instance)) {
        path.object = object;
        path.instance = (struct cas_slice){.data = instance.data, .size = instance.size - 1};
    }
    if (path.object.size == 0)
        return CAS_ERR_FORMAT;
    path.kind = counter_kind(path.object, path.counter);
    *ret_path = path;
    return CAS_OK;
}

bool capture_worker_instance(struct cas_slice instance,
                             uint32_t *ret_pid,
                             struct cas_slice *ret_pool)
{
    struct cas_slice digits;
    struct cas_slice pool;
    uint64_t pid = 0;
    if (!capture_cut(instance, '_', &digits, &pool) || pool.size == 0 ||
        !capture_digits(digits, UINT32_MAX, &pid) || pid == 0)
        return false;
    *ret_pid = (uint32_t)pid;
    *ret_pool = pool;
    return true;
}

/* ---- fields ---- */

/* One field without its outer quotes; inner "" stay doubled. False: a quote that is not closed, or
 * text behind a closed one; *ret_field is then the place. */
static bool take_field(struct cas_slice *rest, char separator, struct cas_slice *ret_field)
{
    const char *from = rest->data;
    size_t size = rest->size;
    size_t at = 0;
    if (size > 0 && from[0] == '"') {
        at = 1;
        bool is_closed = false;
        while (!is_closed && at < size) {
            const char *quote = memchr(from + at, '"', size - at);
            if (quote == NULL)
                break;
            at = (size_t)(quote - from) + 1;
            is_closed = at >= size || from[at] != '"';
            at += is_closed ? 0 : 1;
        }
        if (!is_closed) {
            *ret_field = *rest;
            return false;
        }
        *ret_field = (struct cas_slice){.data = from + 1, .size = at - 2};
        while (at < size && from[at] == ' ')
            at++;
        if (at < size && from[at] != separator) {
            *ret_field = (struct cas_slice){.data = from + at, .size = size - at};
            return false;
        }
    } else {
        const char *end = size > 0 ? memchr(from, separator, size) : NULL;
        at = end != NULL ? (size_t)(end - from) : size;
        *ret_field = (struct cas_slice){.data = from, .size = at};
    }
    /* The separator itself goes too; a line that ends in one has an empty last field. */
    bool is_last = at >= size;
    rest->data = is_last ? NULL : from + at + 1;
    rest->size = is_last ? 0 : size - at - 1;
    return true;
}

/* ---- header ---- */

static enum cas_err read_zone(struct capture_pdh *pdh,
                              struct cas_slice field,
                              int32_t assumed_west_min,
                              struct cas_why *why)
{
    struct cas_slice rest = field;
    rest.data += strlen("(PDH-CSV 4.0)");
    rest.size -= strlen("(PDH-CSV 4.0)");
    rest = capture_trim(rest);
    pdh->head.west_min = assumed_west_min;
    pdh->head.has_zone = false;
    struct cas_slice name;
    struct cas_slice number;
    /* A zone's name may hold parentheses, and some tools break off within it. */
    if (rest.size < 2 || rest.data[rest.size - 1] != ')' ||
        !capture_cut_last(rest, '(', &name, &number))
        return CAS_OK;
    number.size -= 1;
    bool is_east = number.size > 0 && number.data[0] == '-';
    struct cas_slice digits = number;
    if (is_east) {
        digits.data += 1;
        digits.size -= 1;
    }
    uint64_t minutes = 0;
    if (!capture_digits(digits, UINT32_MAX, &minutes))
        return CAS_OK;
    if (minutes > WEST_MOST_MIN)
        return capture_refuse(&pdh->lines,
                              number.data,
                              CAS_ERR_RANGE,
                              why,
                              "time zone of %.*s minutes west of UTC, at most %d either way",
                              shown(number),
                              number.data,
                              WEST_MOST_MIN);
    pdh->head.has_zone = true;
    pdh->head.west_min = is_east ? -(int32_t)minutes : (int32_t)minutes;
    return CAS_OK;
}

static bool is_header(struct cas_slice line)
{
    if (line.size > 0 && line.data[0] == '"') {
        line.data += 1;
        line.size -= 1;
    }
    return capture_starts(line, "(PDH-CSV 4.0)") || capture_starts(line, "(PDH-TSV 4.0)");
}

static enum cas_err find_header(struct capture_pdh *pdh, struct cas_why *why)
{
    while (capture_lines_next(&pdh->lines)) {
        if (!is_header(pdh->lines.line))
            continue;
        if (pdh->lines.line.size > CAPTURE_ROW_BYTES)
            return capture_refuse(&pdh->lines,
                                  pdh->lines.line.data,
                                  CAS_ERR_TOO_LONG,
                                  why,
                                  "a header of %zu bytes, at most %d",
                                  pdh->lines.line.size,
                                  CAPTURE_ROW_BYTES);
        pdh->header = pdh->lines.line;
        size_t kind_at = pdh->header.data[0] == '"' ? 6 : 5;
        pdh->separator = pdh->header.data[kind_at] == 'T' ? '\t' : ',';
        return CAS_OK;
    }
    return cas_fail(why,
                    CAS_ERR_MISSING,
                    "%s: no header \"(PDH-CSV 4.0)\" in %zu lines: not a counter file",
                    pdh->lines.input.file,
                    pdh->lines.line_n);
}

static enum cas_err count_columns(struct capture_pdh *pdh, size_t *ret_n, struct cas_why *why)
{
    struct cas_slice rest = pdh->header;
    size_t field_n = 0;
    while (rest.data != NULL) {
        struct cas_slice field;
        if (!take_field(&rest, pdh->separator, &field))
            return capture_refuse(&pdh->lines,
                                  field.data,
                                  CAS_ERR_FORMAT,
                                  why,
                                  "column %zu of the header: quotes that do not fit: %.*s",
                                  field_n + 1,
                                  shown(field),
                                  field.data);
        if (field_n == CAPTURE_COLUMNS + 1)
            return capture_refuse(&pdh->lines,
                                  field.data,
                                  CAS_ERR_TOO_MANY,
                                  why,
                                  "more than %d counters",
                                  CAPTURE_COLUMNS);
        field_n++;
    }
    *ret_n = field_n - 1; /* the first is the time */
    return CAS_OK;
}

/* Copies without the doubling of inner quotes; names has room for the whole header. */
static struct cas_slice unquote(struct cas_slice field, char *names, size_t *used)
{
    char *to = names + *used;
    size_t size = 0;
    for (size_t i = 0; i < field.size; i++) {
        to[size++] = field.data[i];
        if (field.data[i] == '"' && i + 1 < field.size && field.data[i + 1] == '"')
            i++;
    }
    *used += size;
    return (struct cas_slice){.data = to, .size = size};
}

static void name_columns(struct capture_pdh *pdh)
{
    struct cas_slice rest = pdh->header;
    struct cas_slice field;
    size_t used = 0;
    if (!take_field(&rest, pdh->separator, &field))
        return;
    for (size_t i = 0; i < pdh->head.column_n; i++) {
        if (!take_field(&rest, pdh->separator, &field))
            return;
        struct cas_slice name = unquote(field, pdh->names, &used);
        struct capture_path *path = &pdh->column[i];
        if (capture_path_parse(name, path) != CAS_OK)
            *path = (struct capture_path){.counter = name, .kind = CAPTURE_OTHER};
        if (path->kind == CAPTURE_OTHER)
            pdh->head.other_n++;
    }
}

/* ---- groups ---- */

static enum group_class class_of(enum capture_counter kind)
{
    switch (kind) {
    case CAPTURE_WORKER_ACTIVE:
        return GROUP_WORKER;
    case CAPTURE_CLR_PID:
    case CAPTURE_CLR_GC_TIME:
    case CAPTURE_CLR_HEAP:
        return GROUP_CLR;
    case CAPTURE_PROCESS_PID:
    case CAPTURE_PROCESS_PRIVATE:
    case CAPTURE_PROCESS_WORKING:
    case CAPTURE_PROCESS_HANDLES:
    case CAPTURE_PROCESS_ELAPSED:
        return GROUP_PROCESS;
    case CAPTURE_OTHER:
    case CAPTURE_EAS_PINGS:
    case CAPTURE_EAS_REQUESTS:
    case CAPTURE_EAS_SYNCS:
    case CAPTURE_QUEUE_REJECTED:
    case CAPTURE_TCP_ESTABLISHED:
    case CAPTURE_MEMORY_MBYTES:
    case CAPTURE_MEMORY_BYTES:
    case CAPTURE_CPU:
    case CAPTURE_COUNTER_N:
        break;
    }
    return GROUP_NONE;
}

struct member {
    enum group_class class;
    struct cas_slice instance;
    enum capture_counter kind;
    size_t column;
};

static unsigned char fold(char byte)
{
    return (unsigned char)(byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte);
}

static int compare_members(const void *left, const void *right)
{
    const struct member *a = left;
    const struct member *b = right;
    if (a->class != b->class)
        return a->class < b->class ? -1 : 1;
    size_t size = a->instance.size < b->instance.size ? a->instance.size : b->instance.size;
    for (size_t i = 0; i < size; i++) {
        unsigned char x = fold(a->instance.data[i]);
        unsigned char y = fold(b->instance.data[i]);
        if (x != y)
            return x < y ? -1 : 1;
    }
    if (a->instance.size != b->instance.size)
        return a->instance.size < b->instance.size ? -1 : 1;
    return a->column < b->column ? -1 : a->column > b->column;
}

static bool same_group(const struct member *a, const struct member *b)
{
    struct member left = *a;
    struct member right = *b;
    left.column = 0;
    right.column = 0;
    return compare_members(&left, &right) == 0;
}

static size_t list_members(const struct capture_pdh *pdh, struct member *member)
{
    size_t member_n = 0;
    for (size_t i = 0; i < pdh->head.column_n; i++) {
        enum group_class class = class_of(pdh->column[i].kind);
        if (class == GROUP_NONE)
            continue;
        member[member_n++] = (struct member){.class = class,
                                             .instance = pdh->column[i].instance,
                                             .kind = pdh->column[i].kind,
                                             .column = i};
    }
    qsort(member, member_n, sizeof *member, compare_members);
    return member_n;
}

static enum cas_err make_groups(struct capture_pdh *pdh)
{
    struct member *member = calloc(pdh->head.column_n + 1, sizeof *member);
    if (member == NULL)
        return CAS_ERR_NOMEM;
    size_t member_n = list_members(pdh, member);
    size_t group_n = 0;
    for (size_t i = 0; i < member_n; i++)
        group_n += i == 0 || !same_group(&member[i - 1], &member[i]) ? 1 : 0;
    pdh->group = calloc(group_n + 1, sizeof *pdh->group);
    if (pdh->group == NULL) {
        free(member);
        return CAS_ERR_NOMEM;
    }
    for (size_t i = 0; i < member_n; i++) {
        if (i == 0 || !same_group(&member[i - 1], &member[i])) {
            pdh->group[pdh->group_n].class = member[i].class;
            pdh->group[pdh->group_n].instance = member[i].instance;
            pdh->group_n++;
        }
        size_t *column = &pdh->group[pdh->group_n - 1].column[member[i].kind];
        if (*column == 0)
            *column = member[i].column + 1;
    }
    free(member);
    return CAS_OK;
}

/* ---- life ---- */

void capture_pdh_free(struct capture_pdh *pdh)
{
    if (pdh == NULL)
        return;
    free(pdh->names);
    free(pdh->column);
    free(pdh->group);
    free(pdh->value);
    free(pdh);
}

static enum cas_err
open_header(struct capture_pdh *pdh, int32_t assumed_west_min, struct cas_why *why)
{
    enum cas_err err = find_header(pdh, why);
    if (err != CAS_OK)
        return err;
    size_t column_n = 0;
    err = count_columns(pdh, &column_n, why);
    if (err != CAS_OK)
        return err;
    struct cas_slice rest = pdh->header;
    struct cas_slice time_field;
    if (!take_field(&rest, pdh->separator, &time_field))
        return CAS_ERR_BUG;
    err = read_zone(pdh, time_field, assumed_west_min, why);
    if (err != CAS_OK)
        return err;

    pdh->names = malloc(pdh->header.size + 1);
    pdh->column = calloc(column_n + 1, sizeof *pdh->column);
    pdh->value = calloc(column_n + 1, sizeof *pdh->value);
    if (pdh->names == NULL || pdh->column == NULL || pdh->value == NULL)
        return cas_fail(why,
                        CAS_ERR_NOMEM,
                        "%s: no memory for %zu counters",
                        pdh->lines.input.file,
                        column_n);
    pdh->head.column = pdh->column;
    pdh->head.column_n = column_n;
    name_columns(pdh);
    err = make_groups(pdh);
    if (err != CAS_OK)
        return cas_fail(why,
                        err,
                        "%s: no memory for %zu counters",
                        pdh->lines.input.file,
                        column_n);
    pdh->body = pdh->lines;
    return CAS_OK;
}

enum cas_err capture_pdh_open(struct capture_input input,
                              int32_t assumed_west_min,
                              struct capture_pdh **ret_pdh,
                              struct cas_why *why)
{
    if (assumed_west_min < -WEST_MOST_MIN || assumed_west_min > WEST_MOST_MIN)
        return cas_fail(why,
                        CAS_ERR_RANGE,
                        "%s: assumed time zone of %d minutes west of UTC, at most %d either way",
                        input.file,
                        assumed_west_min,
                        WEST_MOST_MIN);
    CAS_AUTO(capture_pdh) pdh = calloc(1, sizeof *pdh);
    if (pdh == NULL)
        return cas_fail(why, CAS_ERR_NOMEM, "%s: no memory for a counter file", input.file);
    capture_lines_init(&pdh->lines, input);
    enum cas_err err = open_header(pdh, assumed_west_min, why);
    if (err != CAS_OK)
        return err;
    *ret_pdh = CAS_TAKE(pdh);
    return CAS_OK;
}

const struct capture_pdh_head *capture_pdh_head(const struct capture_pdh *pdh)
{
    return &pdh->head;
}

void capture_pdh_rewind(struct capture_pdh *pdh)
{
    pdh->lines = pdh->body;
}

/* ---- rows ---- */

static bool two_digits(const char *at, uint32_t *ret_value)
{
    uint64_t value = 0;
    if (!capture_digits((struct cas_slice){.data = at, .size = 2}, 99, &value))
        return false;
    *ret_value = (uint32_t)value;
    return true;
}

/* "12/29/2020 18:20:42.717", local time in this form whatever the locale. */
static bool read_time(struct cas_slice text, int32_t west_min, int64_t *ret_ms)
{
    struct capture_moment moment = {.ms = 0};
    uint64_t year = 0;
    uint64_t ms = 0;
    if (text.size != TIME_BYTES && text.size != TIME_MS_BYTES)
        return false;
    const char *at = text.data;
    if (!two_digits(at, &moment.month) || at[2] != '/' || !two_digits(at + 3, &moment.day) ||
        at[5] != '/' ||
        !capture_digits((struct cas_slice){.data = at + 6, .size = 4}, 9999, &year) ||
        at[10] != ' ' || !two_digits(at + 11, &moment.hour) || at[13] != ':' ||
        !two_digits(at + 14, &moment.minute) || at[16] != ':' ||
        !two_digits(at + 17, &moment.second))
        return false;
    if (text.size == TIME_MS_BYTES &&
        (at[19] != '.' ||
         !capture_digits((struct cas_slice){.data = at + 20, .size = 3}, 999, &ms)))
        return false;
    moment.year = (uint32_t)year;
    moment.ms = (uint32_t)ms;
    int64_t local_ms = 0;
    if (!capture_moment_ms(&moment, &local_ms))
        return false;
    *ret_ms = local_ms + (int64_t)west_min * MINUTE_MS;
    return true;
}

static enum cas_err read_value(const struct capture_pdh *pdh,
                               struct cas_slice field,
                               size_t column,
                               double *ret_value,
                               struct cas_why *why)
{
    struct cas_slice text = capture_trim(field);
    if (text.size == 0 || cas_slice_is(text, "-1")) {
        *ret_value = NAN;
        return CAS_OK;
    }
    if (cas_parse_f64(text, ret_value, NULL) == CAS_OK)
        return CAS_OK;
    struct cas_slice name = pdh->column[column].counter;
    return capture_refuse(&pdh->lines,
                          text.data,
                          CAS_ERR_FORMAT,
                          why,
                          "\"%.*s\" is not a number (counter %.*s)",
                          shown(text),
                          text.data,
                          shown(name),
                          name.data);
}

static enum cas_err
take_value(struct capture_pdh *pdh, struct cas_slice *rest, size_t column, struct cas_why *why)
{
    struct cas_slice field;
    if (!take_field(rest, pdh->separator, &field))
        return capture_refuse(&pdh->lines,
                              field.data,
                              CAS_ERR_FORMAT,
                              why,
                              "quotes that do not fit: %.*s",
                              shown(field),
                              field.data);
    if (column < pdh->head.column_n)
        return read_value(pdh, field, column, &pdh->value[column], why);
    if (capture_trim(field).size == 0)
        return CAS_OK;
    return capture_refuse(&pdh->lines,
                          field.data,
                          CAS_ERR_FORMAT,
                          why,
                          "\"%.*s\" is value %zu of a row, but the header names %zu counters",
                          shown(field),
                          field.data,
                          column + 1,
                          pdh->head.column_n);
}

static enum cas_err
read_row(struct capture_pdh *pdh, struct capture_row *ret_row, struct cas_why *why)
{
    struct capture_row row = {.value = pdh->value, .line_n = pdh->lines.line_n};
    struct cas_slice rest = pdh->lines.line;
    struct cas_slice field;
    if (rest.size > CAPTURE_ROW_BYTES)
        return capture_refuse(&pdh->lines,
                              rest.data,
                              CAS_ERR_TOO_LONG,
                              why,
                              "a row of %zu bytes, at most %d",
                              rest.size,
                              CAPTURE_ROW_BYTES);
    bool is_field = take_field(&rest, pdh->separator, &field);
    if (!is_field || !read_time(capture_trim(field), pdh->head.west_min, &row.time_ms))
        return capture_refuse(&pdh->lines,
                              field.data,
                              CAS_ERR_FORMAT,
                              why,
                              "\"%.*s\" is not a time such as 12/29/2020 18:20:42.717",
                              shown(field),
                              field.data);
    size_t column = 0;
    for (; rest.data != NULL; column++) {
        enum cas_err err = take_value(pdh, &rest, column, why);
        if (err != CAS_OK)
            return err;
    }
    for (; column < pdh->head.column_n; column++)
        pdh->value[column] = NAN;
    for (size_t i = 0; i < pdh->head.column_n; i++)
        row.missing_n += cas_is_number(pdh->value[i]) ? 0 : 1;
    *ret_row = row;
    return CAS_OK;
}

static bool same_header(const struct capture_pdh *pdh)
{
    return pdh->lines.line.size == pdh->header.size &&
           memcmp(pdh->lines.line.data, pdh->header.data, pdh->header.size) == 0;
}

enum cas_err
capture_pdh_next(struct capture_pdh *pdh, struct capture_row *ret_row, struct cas_why *why)
{
    while (capture_lines_next(&pdh->lines)) {
        struct cas_slice line = pdh->lines.line;
        if (is_header(line)) {
            if (same_header(pdh))
                continue;
            /* What follows belongs to other counters. */
            pdh->lines.at = pdh->lines.input.bytes.size;
            return capture_refuse(
                &pdh->lines,
                line.data,
                CAS_ERR_FORMAT,
                why,
                "a second header that differs from the first: one set of counters "
                "a file");
        }
        bool is_row =
            line.size > 0 && (line.data[0] == '"' || (line.data[0] >= '0' && line.data[0] <= '9'));
        if (is_row)
            return read_row(pdh, ret_row, why);
    }
    return cas_fail(why, CAS_ERR_NOT_FOUND, "%s: no further row", pdh->lines.input.file);
}

/* ---- values ---- */

double capture_pdh_value(const struct capture_pdh *pdh,
                         const struct capture_row *row,
                         enum capture_counter kind,
                         const char *instance)
{
    const char *wanted = instance != NULL ? instance : "";
    for (size_t i = 0; i < pdh->head.column_n; i++) {
        if (pdh->column[i].kind == kind && capture_same(pdh->column[i].instance, wanted))
            return row->value[i];
    }
    return NAN;
}

bool capture_pdh_has(const struct capture_pdh *pdh, enum capture_counter kind)
{
    for (size_t i = 0; i < pdh->head.column_n; i++) {
        if (pdh->column[i].kind == kind)
            return true;
    }
    return false;
}

static double
group_value(const struct pdh_group *group, const struct capture_row *row, enum capture_counter kind)
{
    return group->column[kind] > 0 ? row->value[group->column[kind] - 1] : (double)NAN;
}

bool capture_clr_instance(struct cas_slice instance, uint32_t *ret_pid)
{
    struct cas_slice head;
    struct cas_slice run;
    struct cas_slice front;
    struct cas_slice pid;
    uint64_t number = 0;
    if (!capture_cut_last(instance, '_', &head, &run) || !capture_starts(run, "r") ||
        !capture_cut_last(head, '_', &front, &pid) || !capture_starts(pid, "p"))
        return false;
    pid.data += 1;
    pid.size -= 1;
    if (!capture_digits(pid, UINT32_MAX, &number))
        return false;
    *ret_pid = (uint32_t)number;
    return true;
}

static double group_pid(const struct pdh_group *group, const struct capture_row *row)
{
    enum capture_counter kind = group->class == GROUP_CLR ? CAPTURE_CLR_PID : CAPTURE_PROCESS_PID;
    double pid = group_value(group, row, kind);
    uint32_t named = 0;
    if (!cas_is_number(pid) && group->class == GROUP_CLR &&
        capture_clr_instance(group->instance, &named))
        return (double)named;
    return pid;
}

static void fill_by_pid(const struct capture_pdh *pdh,
                        const struct capture_row *row,
                        struct capture_worker *worker)
{
    for (size_t i = 0; i < pdh->group_n; i++) {
        const struct pdh_group *group = &pdh->group[i];
        if (group->class == GROUP_WORKER)
            continue;
        double pid = group_pid(group, row);
        if (!cas_is_number(pid) || pid != (double)worker->pid)
            continue;
        for (size_t kind = 1; kind < CAPTURE_COUNTER_N; kind++) {
            if (group->column[kind] > 0)
                worker->value[kind] = row->value[group->column[kind] - 1];
        }
    }
}

static bool is_older(const struct capture_worker *a, const struct capture_worker *b)
{
    double x = a->value[CAPTURE_PROCESS_ELAPSED];
    double y = b->value[CAPTURE_PROCESS_ELAPSED];
    return cas_is_number(x) && cas_is_number(y) && x > y;
}

void capture_pdh_workers(const struct capture_pdh *pdh,
                         const struct capture_row *row,
                         const char *pool,
                         struct capture_worker ret_worker[CAPTURE_WORKERS],
                         size_t *ret_n)
{
    size_t worker_n = 0;
    for (size_t i = 0; i < pdh->group_n && worker_n < CAPTURE_WORKERS; i++) {
        const struct pdh_group *group = &pdh->group[i];
        struct capture_worker worker = {.pid = 0};
        struct cas_slice its_pool;
        double active = group_value(group, row, CAPTURE_WORKER_ACTIVE);
        if (group->class != GROUP_WORKER || !cas_is_number(active) ||
            !capture_worker_instance(group->instance, &worker.pid, &its_pool) ||
            !capture_same(its_pool, pool))
            continue;
        for (size_t kind = 0; kind < CAPTURE_COUNTER_N; kind++)
            worker.value[kind] = NAN;
        worker.value[CAPTURE_WORKER_ACTIVE] = active;
        fill_by_pid(pdh, row, &worker);
        size_t at = worker_n++;
        while (at > 0 && is_older(&worker, &ret_worker[at - 1])) {
            ret_worker[at] = ret_worker[at - 1];
            at--;
        }
        ret_worker[at] = worker;
    }
    *ret_n = worker_n;
}

#include "agent/host/scene_raw.h"

#include <math.h>
#include <string.h>

enum {
    NAME_BYTES = 1024, /* an instance's name before it is cut */
    REPLACEMENT = 0xFFFD,
};

/* Which instances of an object are asked for. */
enum pick {
    PICK_NONE,   /* it has none */
    PICK_TOTAL,  /* _Total alone */
    PICK_W3WP,   /* all, worker processes are kept */
    PICK_QUEUE,  /* all, the pool's is kept */
    PICK_WORKER, /* all, the pool's workers are kept */
};

static const struct {
    const char *object, *counter;
} names[CAPTURE_COUNTER_N] = {
#define COUNTER(name, object, counter) [CAPTURE_##name] = {object, counter},
#include "agent/host/capture_counters.def"
#undef COUNTER
};

static const struct {
    const char *object;
    enum pick pick;
} picks[] = {
    {"W3SVC_W3WP", PICK_WORKER},
    {".NET CLR Memory", PICK_W3WP},
    {"Process", PICK_W3WP},
    {"HTTP Service Request Queues", PICK_QUEUE},
    {"Processor", PICK_TOTAL},
};

static enum pick pick_of(enum capture_counter kind)
{
    CAS_ASSERT(kind > CAPTURE_OTHER && kind < CAPTURE_COUNTER_N);
    for (size_t i = 0; i < CAS_COUNT(picks); i++)
        if (strcmp(picks[i].object, names[kind].object) == 0)
            return picks[i].pick;
    return PICK_NONE;
}

void scene_counters_path(enum capture_counter kind, struct cas_text *path)
{
    enum pick pick = pick_of(kind);
    const char *instance = pick == PICK_NONE ? "" : pick == PICK_TOTAL ? "(_Total)" : "(*)";

    cas_text_add(path, "\\%s%s\\%s", names[kind].object, instance, names[kind].counter);
}

bool scene_counters_is_array(enum capture_counter kind)
{
    enum pick pick = pick_of(kind);

    return pick != PICK_NONE && pick != PICK_TOTAL;
}

void scene_counters_clear(struct scene_counters *counters)
{
    memset(counters, 0, sizeof *counters);
}

void scene_text(const uint16_t *unit, size_t unit_n, char *ret_text, size_t cap)
{
    size_t used = 0;

    for (size_t i = 0; i < unit_n; i++) {
        uint32_t point = unit[i];
        char byte[4];
        size_t size = 0;

        if (point >= 0xD800 && point < 0xDC00 && i + 1 < unit_n && unit[i + 1] >= 0xDC00 &&
            unit[i + 1] < 0xE000)
            point = 0x10000 + ((point - 0xD800) << 10) + (unit[++i] - 0xDC00U);
        else if (point >= 0xD800 && point < 0xE000)
            point = REPLACEMENT;

        if (point >= 0x80) {
            uint32_t lead = point < 0x800 ? 0xC0 : point < 0x10000 ? 0xE0 : 0xF0;
            uint32_t shift = point < 0x800 ? 6 : point < 0x10000 ? 12 : 18;
            byte[size++] = (char)(lead | point >> shift);
            while (shift > 0) {
                shift -= 6;
                byte[size++] = (char)(0x80 | (point >> shift & 0x3F));
            }
        } else {
            byte[size++] = (char)point;
        }
        if (used + size >= cap)
            break;
        memcpy(ret_text + used, byte, size);
        used += size;
    }
    ret_text[used] = '\0';
}

/* How strictly a pool's name is compared. */
enum strict {
    STRICT_NAME,
    STRICT_LOOSE
};

static char fold(char c, enum strict strict)
{
    if (c >= 'A' && c <= 'Z')
        return (char)(c - 'A' + 'a');
    if (strict == STRICT_NAME)
        return c;
    if (c == '[')
        return '(';
    if (c == ']')
        return ')';
    return c == '/' || c == '\\' || c == '#' || c == '*' ? '_' : c;
}

static bool is_same(const char *a, const char *b, enum strict strict)
{
    for (; *a != '\0' && *b != '\0'; a++, b++)
        if (fold(*a, strict) != fold(*b, strict))
            return false;
    return *a == *b;
}

static bool is_worker_process(const char *name)
{
    struct cas_slice head = {name, 4};

    return strlen(name) >= 4 && capture_same(head, "w3wp") &&
           (name[4] == '\0' || name[4] == '#' || name[4] == '_');
}

/* Is this name one to keep? */
static bool is_kept(enum pick pick, const char *pool, const char *name, enum strict strict)
{
    uint32_t pid;
    struct cas_slice tail;

    switch (pick) {
    case PICK_W3WP:
        return is_worker_process(name);
    case PICK_QUEUE:
        return is_same(name, pool, strict);
    case PICK_WORKER:
        /* tail ends where name ends */
        return capture_worker_instance(cas_slice_of(name), &pid, &tail) &&
               is_same(tail.data, pool, strict);
    case PICK_NONE:
    case PICK_TOTAL:
        break;
    }
    return false;
}

static void add_row(struct scene_counters *counters,
                    enum capture_counter kind,
                    const char *instance,
                    double value)
{
    if (counters->row_n == SCENE_COUNTERS) {
        counters->dropped_n++;
        return;
    }
    struct scene_counter *row = &counters->row[counters->row_n++];
    struct cas_text text = CAS_TEXT(row->instance);

    row->kind = kind;
    row->value = cas_is_number(value) ? value : (double)NAN;
    cas_text_add(&text, "%s", instance);
}

void scene_counters_add_value(struct scene_counters *counters,
                              enum capture_counter kind,
                              double value)
{
    add_row(counters, kind, pick_of(kind) == PICK_TOTAL ? "_Total" : "", value);
}

static bool has_row(const struct scene_counters *counters, size_t first, const char *instance)
{
    for (size_t i = first; i < counters->row_n; i++)
        if (is_same(counters->row[i].instance, instance, STRICT_NAME))
            return true;
    return false;
}

/* "w3wp", then "w3wp#1": the first that no row from `first` on has. */
static void number(const struct scene_counters *counters,
                   size_t first,
                   const struct scene_item *item,
                   char ret_name[SCENE_INSTANCE_BYTES])
{
    char mark[16] = "";
    char name[SCENE_INSTANCE_BYTES];

    for (unsigned n = 0; n <= SCENE_COUNTERS; n++) {
        struct cas_text mark_text = CAS_TEXT(mark);
        struct cas_text text = {.data = ret_name, .cap = SCENE_INSTANCE_BYTES};

        if (n > 0)
            cas_text_add(&mark_text, "#%u", n);
        scene_text(item->name, item->name_n, name, sizeof name - strlen(mark));
        cas_text_add(&text, "%s%s", name, mark);
        if (!has_row(counters, first, ret_name))
            return;
    }
}

size_t scene_counters_add_array(struct scene_counters *counters,
                                enum capture_counter kind,
                                const char *pool,
                                const struct scene_item *item,
                                size_t item_n)
{
    enum pick pick = pick_of(kind);
    size_t first = counters->row_n;
    size_t kept_n = 0;

    for (enum strict strict = STRICT_NAME; strict <= STRICT_LOOSE && kept_n == 0; strict++) {
        for (size_t i = 0; i < item_n; i++) {
            char name[NAME_BYTES];
            char instance[SCENE_INSTANCE_BYTES];

            scene_text(item[i].name, item[i].name_n, name, sizeof name);
            if (!is_kept(pick, pool, name, strict))
                continue;
            kept_n++;
            number(counters, first, &item[i], instance);
            /* A queue is asked for by the pool's name, however a provider writes it. */
            add_row(counters, kind, pick == PICK_QUEUE ? pool : instance, item[i].value);
        }
    }
    return kept_n;
}

uint64_t scene_counters_workers(const struct scene_counters *counters)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < counters->row_n; i++) {
        const struct scene_counter *row = &counters->row[i];
        uint32_t pid;
        struct cas_slice pool;

        /* Order does not matter, and two workers do not cancel out. */
        if (row->kind == CAPTURE_WORKER_ACTIVE &&
            capture_worker_instance(cas_slice_of(row->instance), &pid, &pool))
            sum += (uint64_t)pid * pid + ((uint64_t)1 << 48);
    }
    return sum;
}

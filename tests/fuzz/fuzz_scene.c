/* Any bytes as a worker's command line, a component state, a health page, names of counter
 * instances as PDH hands them over, and a whole sample: one line a counter, "KINDinstance|value",
 * KIND a letter from A. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "agent/host/scene_raw.h"
#include "tests/fuzz/fuzz.h"

enum {
    ITEMS = 64
};
#define POOL "MSExchangeSyncAppPool"

static void read_command(struct cas_slice bytes)
{
    char pool[POOL_BYTES] = "";
    struct cas_why why = {""};
    if (scene_command_pool(bytes, pool, &why) == CAS_OK)
        CAS_ASSERT(pool[0] != '\0' && cas_is_clean_text(cas_slice_of(pool)));
    else
        CAS_ASSERT(why.text[0] != '\0');
}

/* What is read must be written again as it was, but for the ticks below a millisecond. */
static void read_state(struct cas_slice bytes)
{
    bool is_active = false;
    int64_t at_ms = 0;
    if (scene_state_parse(bytes, &is_active, &at_ms, NULL) != CAS_OK || at_ms == 0)
        return;
    char text[64];
    struct cas_text out = CAS_TEXT(text);
    bool is_same = !is_active;
    int64_t same_ms = 0;
    cas_text_clear(&out);
    scene_state_text(is_active, at_ms, &out);
    CAS_ASSERT(scene_state_parse(cas_slice_of(text), &is_same, &same_ms, NULL) == CAS_OK);
    CAS_ASSERT(is_same == is_active);
    CAS_ASSERT(same_ms == at_ms || same_ms == 0);
}

static void read_page(struct cas_slice bytes)
{
    struct scene_probe probe = {.status = 200};
    struct scene_reason reason = {""};
    size_t size = bytes.size < sizeof probe.body - 1 ? bytes.size : sizeof probe.body - 1;
    if (size > 0)
        memcpy(probe.body, bytes.data, size);
    enum pool_health health =
        scene_probe_judge(&probe, SCENE_FRONT, "LON-CAS01.contoso.com", &reason);
    CAS_ASSERT((health == HEALTH_GOOD) == (reason.text[0] == '\0'));
    CAS_ASSERT(cas_is_clean_text(cas_slice_of(reason.text)));
}

static void check_readings(const struct scene *scene)
{
    struct host_reading reading[SYMPTOM_END];
    size_t n = 0;
    scene_read(scene, reading, CAS_COUNT(reading), &n);
    for (size_t i = 0; i < n; i++) {
        CAS_ASSERT(reading[i].is_known == (reading[i].reason[0] == '\0'));
        CAS_ASSERT(!reading[i].is_known ||
                   (cas_is_number(reading[i].value) && reading[i].value >= 0));
        CAS_ASSERT(cas_is_clean_text(cas_slice_of(reading[i].reason)));
    }
    struct host_pool pool;
    scene_pool(scene, &pool);
    CAS_ASSERT(!pool.has_requests || cas_is_number(pool.active_requests));
    CAS_ASSERT(cas_is_clean_text(cas_slice_of(pool.maintenance)));
}

static void add_line(struct cas_slice line, struct scene *scene, struct scene_counters *counters)
{
    struct cas_slice name;
    struct cas_slice value;
    uint32_t pid = 0;
    struct cas_slice pool;
    if (line.size == 0 || counters->row_n == SCENE_COUNTERS ||
        !capture_cut_last(line, '|', &name, &value))
        return;
    struct scene_counter *row = &counters->row[counters->row_n];
    row->kind = CAPTURE_OTHER + 1 + (uint8_t)name.data[0] % (CAPTURE_COUNTER_N - 1);
    name.data++;
    name.size--;
    if (cas_slice_copy(name, row->instance, sizeof row->instance) != CAS_OK)
        return;
    if (cas_parse_f64(value, &row->value, NULL) != CAS_OK)
        row->value = NAN;
    counters->row_n++;
    if (capture_worker_instance(name, &pid, &pool) && scene->worker_n < HOST_WORKERS)
        scene->worker[scene->worker_n++] =
            (struct scene_worker){.pid = pid, .private_bytes = NAN, .handles = NAN};
}

static void read_sample(struct cas_slice bytes, struct scene_counters *counters)
{
    static struct scene_states states;
    static struct capture_netstat_sum sum;
    struct scene scene = {.pool = POOL, .counters = counters, .states = &states, .sockets = &sum};
    struct capture_lines lines;
    scene_counters_clear(counters);
    memset(&states, 0, sizeof states);
    capture_lines_init(&lines, (struct capture_input){.file = "fuzz", .bytes = bytes});
    while (capture_lines_next(&lines)) {
        struct cas_slice line = lines.line;
        add_line(line, &scene, counters);
        scene_states_add(&states, "ServerWideOffline", "Maintenance", line);
    }
    check_readings(&scene);
}

/* Pairs of bytes as UTF-16, a name up to each line feed. */
static void read_items(struct cas_slice bytes, struct scene_counters *counters)
{
    struct scene_item item[ITEMS];
    size_t item_n = 0;
    size_t unit_n = bytes.size / 2;
    uint16_t *unit = calloc(unit_n + 1, sizeof *unit);
    if (unit == NULL)
        return;
    size_t first = 0;
    for (size_t i = 0; i < unit_n; i++) {
        unit[i] = (uint16_t)((uint8_t)bytes.data[2 * i] | (uint8_t)bytes.data[2 * i + 1] << 8);
        if (unit[i] != '\n' || item_n == ITEMS)
            continue;
        item[item_n++] = (struct scene_item){.name = unit + first, .name_n = i - first, .value = 1};
        first = i + 1;
    }
    scene_counters_clear(counters);
    (void)scene_counters_add_array(counters, CAPTURE_WORKER_ACTIVE, POOL, item, item_n);
    (void)scene_counters_add_array(counters, CAPTURE_CLR_PID, POOL, item, item_n);
    for (size_t i = 0; i < counters->row_n; i++)
        CAS_ASSERT(cas_is_clean_text(cas_slice_of(counters->row[i].instance)) ||
                   counters->row[i].instance[0] != '\0');
    free(unit);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct scene_counters counters;
    struct cas_slice bytes = {.data = size > 0 ? (const char *)data : "", .size = size};
    read_command(bytes);
    read_state(bytes);
    read_page(bytes);
    read_sample(bytes, &counters);
    read_items(bytes, &counters);
    return 0;
}

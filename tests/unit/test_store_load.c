#include "controller/store/store_load.h"

#include "tests/unit/test.h"

enum {
    MINUTE_MS = 60000,
    HOUR = 60, /* reports of one */
};
static const int64_t from_ms = INT64_C(1700000000000);

static struct store *open_store(void)
{
    static const uint8_t leader[CAS_ID_BYTES] = {0xa};
    struct cas_now now = {.wall_ms = from_ms, .mono_ms = 1};
    struct store *store = NULL;
    struct cas_why why = {.text = ""};
    EXPECT_OK(store_open(test_path("load.db"), leader, now, &store, &why), &why);
    return store;
}

/* A report with one sample, taken at taken_ms and come at came_ms. */
static void put(struct store *store,
                uint32_t server_id,
                uint64_t seq,
                int64_t taken_ms,
                int64_t came_ms,
                const char *pool,
                double requests)
{
    uint8_t body[128];
    size_t size = 0;
    uint64_t upto = 0;
    struct record_reading reading = {.symptom = SYMPTOM_active_requests,
                                     .has_value = requests >= 0,
                                     .value = requests,
                                     .has_reason = requests < 0,
                                     .reason = cas_slice_of("access denied")};
    struct record_sample sample = {.pool = cas_slice_of(pool),
                                   .readings = &reading,
                                   .readings_n = 1};
    EXPECT_OK(record_encode(RECORD_sample, &sample, body, sizeof body, &size, NULL), NULL);
    struct record_entry entry = {.seq = seq,
                                 .kind = ENTRY_SAMPLE,
                                 .at_ms = taken_ms,
                                 .body = {(const char *)body, size}};
    struct message_report report = {.first_seq = seq, .entries = &entry, .entries_n = 1};
    struct cas_now now = {.wall_ms = came_ms, .mono_ms = 1};
    struct cas_why why = {.text = ""};
    EXPECT_OK(store_report_add(store, server_id, &report, now, &upto, &why), &why);
}

struct seen {
    size_t n;
    double first, last;
    uint32_t only; /* server that is wanted; 0 all */
};

static bool on_wants(void *context, uint32_t server_id, int64_t at_ms)
{
    const struct seen *seen = context;
    EXPECT_TRUE(at_ms >= from_ms);
    return seen->only == 0 || seen->only == server_id;
}

static void on_tell(void *context, uint32_t server_id, int64_t at_ms, double requests)
{
    struct seen *seen = context;
    (void)at_ms;
    EXPECT_TRUE(seen->only == 0 || seen->only == server_id);
    if (seen->n++ == 0)
        seen->first = requests;
    seen->last = requests;
}

static struct seen
read_span(struct store *store, int64_t first_ms, int64_t last_ms, int64_t late_ms, uint32_t only)
{
    struct seen seen = {.only = only};
    struct store_load load = {.pool = "P", .context = &seen, .wants = on_wants, .tell = on_tell};
    struct cas_why why = {.text = ""};
    EXPECT_OK(store_loads_read(store, &load, from_ms + first_ms, from_ms + last_ms, late_ms, &why),
              &why);
    return seen;
}

/* Why: a record of two weeks cannot be read whole while servers wait to be heard; a time in it is
 * found. How: an hour of reports of two servers, one a minute, its number as its value. */
TEST(store_load, samples_of_a_time_are_found_among_all_and_no_others)
{
    CAS_AUTO(store) store = open_store();
    int64_t since_ms = -1;
    EXPECT_OK(store_loads_since(store, &since_ms, NULL), NULL);
    EXPECT_INT_EQ(0, since_ms);
    EXPECT_UINT_EQ(0, read_span(store, 0, HOUR * MINUTE_MS, 0, 0).n);
    for (int64_t m = 0; m < HOUR; m++) {
        int64_t at_ms = from_ms + m * MINUTE_MS;
        put(store, 1, (uint64_t)m + 1, at_ms, at_ms, "P", (double)m);
        put(store, 2, (uint64_t)m + 1, at_ms, at_ms, "P", (double)m + 1000);
    }
    EXPECT_OK(store_commit(store, NULL), NULL);
    EXPECT_OK(store_loads_since(store, &since_ms, NULL), NULL);
    EXPECT_INT_EQ(from_ms, since_ms);
    for (int64_t m = 0; m < HOUR; m += 7) {
        struct seen seen = read_span(store, m * MINUTE_MS, (m + 3) * MINUTE_MS, 0, 1);
        EXPECT_UINT_EQ(m + 3 < HOUR ? 4 : (size_t)(HOUR - m), seen.n);
        EXPECT_TRUE(seen.first == (double)m);
    }
    EXPECT_UINT_EQ(2, read_span(store, 5 * MINUTE_MS, 5 * MINUTE_MS, 0, 0).n);
    EXPECT_UINT_EQ(0, read_span(store, 5 * MINUTE_MS + 1, 6 * MINUTE_MS - 1, 0, 0).n);
    EXPECT_UINT_EQ((size_t)(2 * HOUR), read_span(store, 0, HOUR * MINUTE_MS, 0, 0).n);
}

/* Why: what came late belongs to the time it was taken at; what has no value, or is of another
 * pool, is no load of 0. */
TEST(store_load, late_reports_count_where_they_were_taken_and_nothing_is_made_up)
{
    CAS_AUTO(store) store = open_store();
    put(store, 1, 1, from_ms, from_ms, "P", 10);
    put(store, 1, 2, from_ms + MINUTE_MS, from_ms + MINUTE_MS, "P", -1);
    put(store, 1, 3, from_ms + MINUTE_MS, from_ms + MINUTE_MS, "Q", 77);
    put(store, 1, 4, from_ms + MINUTE_MS, from_ms + 9 * MINUTE_MS, "P", 30);
    EXPECT_OK(store_commit(store, NULL), NULL);
    struct seen seen = read_span(store, 0, MINUTE_MS, 8 * MINUTE_MS, 0);
    EXPECT_UINT_EQ(2, seen.n);
    EXPECT_TRUE(seen.first == 10 && seen.last == 30);
    EXPECT_UINT_EQ(1, read_span(store, 0, MINUTE_MS, 8 * MINUTE_MS - 1, 0).n);
}
